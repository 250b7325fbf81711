"""The report of scripts/gpu_check.sh, from what its sections left in a folder.

    gpu_report.py FOLDER DEVICE [quick]  the report, in Markdown
    gpu_report.py --accuracy FILE        accuracies (a hash and an accuracy a line) beside the CPU's
"""

import json
import math
import pathlib
import statistics
import sys

# `train configs/demo.toml --headless --device cpu --seed S`, seeds 1 to 3, LibTorch 2.9.0.
ON_THE_CPU = [86.48, 86.92, 86.86]
# Two-sided 5% of Student's t with 4 degrees of freedom: three seeds on each side.
T_95 = 2.78
# What codes of a section mean; any other one: failed.
CODES = {0: "ok", 3: "left open", 124: "ran out of time", 137: "ran out of time"}
# What a run on the CPU says nothing of.
OPEN_ON_THE_CPU = """\
- whether LibTorch's CUDA build loads and finds the device; cuBLAS, cuDNN, TF32
- whether NVRTC's kernels are launched there, on the right stream, and give the same
- whether two runs on a GPU end with the same parameters: its sums are made in parallel
- CUDA graphs, memory of the device, out of memory there
- every speed: PyTorch's compiled forms were not measured, and the CPU's figures are not a GPU's"""


def accuracy(path):
    here = [100 * float(line.split()[1]) for line in open(path)]
    means = [statistics.mean(v) for v in (here, ON_THE_CPU)]
    # Three seeds know their own scatter badly: at least a fifth of a point.
    spread = [max(0.2, statistics.stdev(v)) for v in (here, ON_THE_CPU)]
    noise = T_95 * math.hypot(*spread) / math.sqrt(3)
    difference = means[0] - means[1]
    print(f"here {means[0]:.2f} +- {spread[0]:.2f}, on the CPU {means[1]:.2f} +- {spread[1]:.2f}: "
          f"{difference:+.2f} points; seeds alone make {noise:.2f} (95%)")
    sys.exit(abs(difference) > noise)


def sections(folder):
    """Name, title, result and seconds of each section, and what it printed."""
    for row in (folder / "sections").read_text().splitlines():
        name, _, title = row.split(" ", 2)
        ended, printed = folder / f"{name}.ended", folder / f"{name}.txt"
        if not ended.exists():
            yield name, title, "not reached", "", ""
            continue
        code, seconds = map(int, ended.read_text().split())
        text = printed.read_text(errors="replace").strip()
        yield name, title, CODES.get(code, f"failed (code {code})"), seconds, text


def figures(text):
    """The JSON lines among what a section printed."""
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def cell(row, ours):
    """A peer's images a second, and ours as a ratio of them."""
    if row is None:
        return "not measured"
    if "skipped" in row:
        return row["skipped"][:60]
    speed = row.get("median", row.get("images_per_s"))
    return f"{speed:,.0f}" + (f" ({ours / speed:.2f})" if ours else "")


def memory(row):
    if not row or "device_mib" not in row:
        return ""
    in_use, held = row["device_mib"]
    return f"{in_use:,.0f} ({held:,.0f})"


def speeds(found):
    """One table of all steps: a line for a cell of model, batch and precision."""
    yield "| cell | earlybird | PyTorch | lean | compiled | CUDA graphs | MiB here | MiB of lean |"
    yield "|---|---|---|---|---|---|---|---|"
    texts = {name: text for name, _, _, _, text in found}
    for name, text in texts.items():
        if not name.startswith("step_"):
            continue
        what = name.removeprefix("step_")
        rows = [v for v in figures(text) if "rows" in v]
        rows = rows[-1]["rows"] if rows else []
        named = {row["name"]: row for row in rows}
        ours = named.get("earlybird", {}).get("median")
        lean = next((row for n, row in named.items() if "lean" in n or "inplace" in n), None)
        compiled = list(figures(texts.get(f"compiled_{what}", "")))
        by_mode = {row.get("compile"): row for row in compiled}
        cells = [what.replace("_", " "), f"{ours:,.0f}" if ours else "not measured"]
        cells += [cell(named.get("pytorch channels_last"), ours), cell(lean, ours)]
        cells += [cell(by_mode.get(mode), ours) for mode in ("default", "reduce-overhead")]
        cells += [memory(named.get("earlybird")), memory(lean)]
        yield "| " + " | ".join(cells) + " |"


def report(folder, device, small):
    found = list(sections(folder))
    yield f"# earlybird on {device}\n"
    yield "Written by `scripts/gpu_check.sh`.\n"
    if small:
        yield "Everything is small (`--quick`): batches are a sixteenth of what is said.\n"
    if device == "cpu":
        yield "Run on the CPU with `EARLYBIRD_DEVICE_PATH=1`: it does what a GPU is asked to do."
        yield "That leaves open:\n"
        yield OPEN_ON_THE_CPU + "\n"
    yield "| what | result | s |\n|---|---|---|"
    for _, title, result, seconds, _ in found:
        yield f"| {title} | {result} | {seconds} |"
    yield "\n## Speed\n"
    yield "Images a second of steps with crops and flips, one round; in brackets earlybird's as a"
    yield "ratio of it. Memory is the device's: in use at most, and held.\n"
    yield from speeds(found)
    for _, title, result, _, text in found:
        yield f"\n## {title}\n\n{result}\n"
        if text:
            yield "```text\n" + "\n".join(text.splitlines()[-60:]).replace("```", "'''") + "\n```"


if __name__ == "__main__":
    if sys.argv[1] == "--accuracy":
        accuracy(sys.argv[2])
    print("\n".join(report(pathlib.Path(sys.argv[1]), sys.argv[2], "quick" in sys.argv[3:])))
