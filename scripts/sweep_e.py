#!/usr/bin/env python3
"""Final accuracy over the number of pretraining epochs, E, beside the E that a run finds by itself.

    scripts/sweep_e.py [DIRECTORY]

trains configs/study-embedded.toml with each E and seed in four settings and prints, for each
setting, the mean and standard deviation over seeds by E, how settled the importance was at that
epoch, and the E of `importance.pretrain_epochs = "auto"`: its run is that of the same E, bit for
bit. What was trained stays in DIRECTORY (default: study/sweep) and is not trained again.
"""

import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SETTINGS = {
    "ten to one": ["data.imbalance=10", "train.epochs=12"],
    "fifty to one": [],
    "fifty to one, a tenth of the labels flipped": ["data.label_noise=0.1"],
    "balanced": ["data.imbalance=1", "train.epochs=10"],
}
SEEDS = [6, 7, 8]
FIXED = [1, 2, 3, 4, 5, 6]
LATEST = {"ten to one": 6, "balanced": 5}  # half of N, where auto ends at the latest; else 10
THRESHOLD = 0.85  # the default of importance.auto_threshold
PROGRAM = os.environ.get("EARLYBIRD", "earlybird")


def train(directory, setting, e, seed):
    """Final accuracy in percent, and the settled figure by epoch."""
    name = f"{list(SETTINGS).index(setting)}-{e}-{seed}"
    kept = directory / f"{name}.jsonl"
    if not kept.exists():
        command = [PROGRAM, "train", "configs/study-embedded.toml", "--json", "--threads", "1"]
        command += ["--runs-dir", str(directory / "runs"), "--seed", str(seed)]
        for value in [f"name=e{name}", f"importance.pretrain_epochs={e}", *SETTINGS[setting]]:
            command += ["--set", value]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        ends = [line for line in lines.splitlines() if '"event":"epoch_end"' in line]
        kept.with_suffix(".part").write_text("\n".join(ends))
        kept.with_suffix(".part").rename(kept)
    ends = [json.loads(line) for line in kept.read_text().splitlines()]
    settled = {end["epoch"]: end["settled"] for end in ends if end.get("settled") is not None}
    return 100 * ends[-1]["test_accuracy"], settled


def main():
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "study/sweep")
    directory.mkdir(parents=True, exist_ok=True)
    tasks = [(s, e, seed) for s in SETTINGS for seed in SEEDS for e in FIXED]
    with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        found = dict(zip(tasks, pool.map(lambda task: train(directory, *task), tasks)))
    for setting in SETTINGS:
        print(setting)
        for e in FIXED:
            accuracies = [found[setting, e, seed][0] for seed in SEEDS]
            settled = [found[setting, max(FIXED), seed][1].get(e) for seed in SEEDS]
            known = [s for s in settled if s is not None]
            words = f"settled {statistics.mean(known):.2f}" if known else ""
            mean, sd = statistics.mean(accuracies), statistics.stdev(accuracies)
            print(f"  E = {e}  {mean:.2f} +- {sd:.2f}  {words}")
        longest = {seed: found[setting, max(FIXED), seed][1] for seed in SEEDS}
        latest = LATEST.get(setting, 10)
        found_e = [next((e for e, s in sorted(longest[seed].items()) if s >= THRESHOLD), latest)
                   for seed in SEEDS]
        found_e = [min(e, latest) for e in found_e]
        words = f"  auto: E = {', '.join(map(str, found_e))} (seeds {', '.join(map(str, SEEDS))})"
        if all((setting, e, seed) in found for e, seed in zip(found_e, SEEDS)):
            ends = [found[setting, e, seed][0] for e, seed in zip(found_e, SEEDS)]
            words += f"  {statistics.mean(ends):.2f} +- {statistics.stdev(ends):.2f}"
        print(words)


if __name__ == "__main__":
    main()
