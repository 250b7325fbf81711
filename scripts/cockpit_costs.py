#!/usr/bin/env python3
"""What a cockpit costs: bytes a second on its line, its share of a core, what training loses by it.

Runs the program in a terminal (a pty of 120x36) that reads everything, and runs without a screen,
in turn. Needs nothing but Python and a built program:
scripts/cockpit_costs.py target/debug/earlybird [rounds] [epochs]
"""
import fcntl
import json
import os
import pty
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time

PROGRAM = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
EPOCHS = int(sys.argv[3]) if len(sys.argv) > 3 else 12
RUN = ["train", "--set", f"train.epochs={EPOCHS}", "--fps", "10", "--theme", "dark"]


class Screen:
    """A cockpit on a pty; counts what it writes."""

    def __init__(self, args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            os.execv(PROGRAM, [PROGRAM, *args])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self.bytes, self.tail = 0, b""

    def read(self, seconds, until=None):
        """Reads for so long, or until these bytes came; whether the cockpit is still there."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.fd], [], [], left)[0]:
                return True
            try:
                got = os.read(self.fd, 1 << 16)
            except OSError:
                return False
            self.bytes += len(got)
            self.tail = (self.tail + got)[-65536:]
            if until and until in self.tail:
                return True
        return True

    def press(self, keys):
        os.write(self.fd, keys)

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def images_per_s(directory):
    """Training throughput of the epochs after the first two: draws over training seconds."""
    epochs = []
    with open(os.path.join(directory, "journal.jsonl")) as journal:
        for line in journal:
            record = json.loads(line)
            if record["event"] == "epoch_end":
                epochs.append(record)
    drawn = [sum(e["drawn"]) for e in epochs[2:]]
    return sum(drawn) / sum(e["seconds"] - e["eval_seconds"] for e in epochs[2:])


def with_screen(runs):
    screen = Screen([*RUN, "--runs-dir", runs])
    screen.read(60, until=b"TRAINING")
    screen.read(2)
    begin, bytes_before, cpu_before = time.monotonic(), screen.bytes, screen.cpu_seconds()
    screen.read(12)
    seconds = time.monotonic() - begin
    rate = (screen.bytes - bytes_before) / seconds
    cpu = (screen.cpu_seconds() - cpu_before) / seconds
    screen.tail = b""
    screen.read(600, until=b"any other key looks on")  # the end
    screen.press(b"q")
    screen.read(10)
    os.waitpid(screen.pid, 0)
    return rate, cpu, images_per_s(os.path.join(runs, "demo-001"))


def paused():
    runs = tempfile.mkdtemp()
    screen = Screen([*RUN, "--runs-dir", runs])
    screen.read(60, until=b"TRAINING")
    screen.press(b" ")
    screen.read(30, until=b"PAUSED")
    screen.read(3)
    before, begin = screen.bytes, time.monotonic()
    screen.read(10)
    rate = (screen.bytes - before) / (time.monotonic() - begin)
    screen.press(b"qs")
    screen.read(15)
    os.waitpid(screen.pid, 0)
    shutil.rmtree(runs)
    return rate


def without_screen(runs):
    command = [PROGRAM, *RUN, "--headless", "--runs-dir", runs]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return images_per_s(os.path.join(runs, "demo-001"))


ratios, rates, cpus = [], [], []
for round in range(ROUNDS):
    places = [tempfile.mkdtemp(), tempfile.mkdtemp()]
    alone_first = round % 2 == 0
    alone = without_screen(places[0]) if alone_first else None
    rate, cpu, watched = with_screen(places[1])
    alone = alone or without_screen(places[0])
    ratios.append(watched / alone)
    rates.append(rate)
    cpus.append(cpu)
    print(
        f"round {round + 1}: {rate:.0f} B/s, {100 * cpu:.1f}% of a core, "
        f"images/s watched {watched:.0f}, alone {alone:.0f}: {watched / alone:.3f}",
        flush=True,
    )
    for place in places:
        shutil.rmtree(place)
print(
    f"Overview at 120x36 and 10 fps: {statistics.median(rates):.0f} B/s, "
    f"{100 * statistics.median(cpus):.1f}% of a core (medians)"
)
print(f"paused: {paused():.0f} B/s")
print(f"images/s watched over alone: {statistics.median(ratios):.3f} (median of {ROUNDS} pairs)")
