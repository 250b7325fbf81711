#!/usr/bin/env python3
"""Whether a model that was trained on half of the classes is a good start for the other half.

    python3 scripts/fine_tuning.py FOLDER [--seeds 3] [--earlybird target/debug/earlybird]

Makes two image folders of the embedded data, a half of its classes each. Trains a ResNet-18 in
ImageNet's form on the first half, exports it, and has torchvision read and measure it. Then trains
one on 200 images of the second half, at equal steps: anew, from that file, and from it with half
of its layers frozen. Needs PyTorch, torchvision, safetensors, NumPy and Pillow.
"""

import argparse
import gzip
import json
import pathlib
import statistics
import subprocess

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file

NAMES = "tshirt trouser pullover dress coat sandal shirt sneaker bag boot".split()
DATA = pathlib.Path(__file__).parent.parent / "src/data/fashion-mnist-mini"
# Halves with things alike in both: T-shirts and shirts, pullovers and coats, sneakers and boots.
FIRST = {0, 2, 3, 5, 7}
SIDE = 64


def idx(name):
    """The array of an IDX file, less its header."""
    raw = gzip.decompress((DATA / name).read_bytes())
    return np.frombuffer(raw, np.uint8)[4 + 4 * raw[3]:]


def write_folders(root):
    """Colour PNGs by split and class, each half in a folder of its own."""
    for stem, split in [("train", "train"), ("t10k", "test")]:
        labels = idx(f"{stem}-labels-idx1-ubyte.gz")
        images = idx(f"{stem}-images-idx3-ubyte.gz").reshape(-1, 28, 28)
        for i, (image, label) in enumerate(zip(images, labels)):
            half = "first" if label in FIRST else "second"
            folder = root / half / split / f"{label}-{NAMES[label]}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).convert("RGB").save(folder / f"{i:05}.png")


class Runs:
    """Runs of the program, in one folder."""

    def __init__(self, program, root):
        self.program, self.root = program, root

    def call(self, *args):
        """What it says on its standard output."""
        called = subprocess.run([self.program, *args], capture_output=True, text=True)
        if called.returncode != 0:
            raise SystemExit(f"{args}: {called.stderr}")
        return called.stdout

    def train(self, name, half, seed, epochs, **values):
        """Trains on the classes of `half`; the last test accuracy in percent."""
        config = {
            "name": name, "seed": seed, "data.source": "folder", "data.path": self.root / half,
            "data.image_size": SIDE, "data.flip": "true", "model.name": "resnet18-imagenet",
            "train.epochs": epochs, "train.batch_size": 32, "train.lr": 0.02,
            "importance.pretrain_epochs": epochs, "checkpoint.every_minutes": 0, **values,
        }
        sets = [arg for key, value in config.items() for arg in ("--set", f"{key}={value}")]
        runs = str(self.root / "runs")
        self.call("train", "--headless", "--device", "cpu", "--runs-dir", runs, *sets)
        journal = sorted((self.root / "runs").glob(f"{name}-*"))[-1] / "journal.jsonl"
        records = [json.loads(line) for line in journal.read_text().splitlines()]
        ends = [r for r in records if r["event"] == "epoch_end"]
        return [100 * end["test_accuracy"] for end in ends], journal.parent.name


def by_torchvision(file, root, figures):
    """Test accuracy of the file by torchvision's resnet18 on the images of `root`, in percent."""
    model = torchvision.models.resnet18(num_classes=len(figures["classes"]))
    missing = model.load_state_dict(load_file(file), strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    model.eval()
    mean, std = (torch.tensor(figures[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    right = total = 0
    for label, folder in enumerate(sorted((root / "test").iterdir())):
        # The program scales images as the image crate does; these agree to a grey level.
        images = [Image.open(f).resize((SIDE, SIDE), Image.BILINEAR) for f in folder.iterdir()]
        batch = torch.tensor(np.stack(images)).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            right += (model((batch - mean) / std).argmax(1) == label).sum().item()
        total += len(images)
    return 100 * right / total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-epochs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--earlybird", default="target/debug/earlybird")
    args = parser.parse_args()
    if not (args.folder / "first").exists():
        write_folders(args.folder)
    runs = Runs(args.earlybird, args.folder)
    frozen = '["conv1", "bn1", "layer1", "layer2"]'
    all_seeds = []
    for seed in range(1, args.seeds + 1):
        first, run = runs.train("first", "first", seed, args.first_epochs)
        file = args.folder / f"first-{seed}.safetensors"
        place = ["--runs-dir", str(args.folder / "runs")]
        runs.call("export", run, "--to", str(file), *place)
        figures = json.loads(runs.call("evaluate", run, "--device", "cpu", "--json", *place))
        read = by_torchvision(file, args.folder / "first", figures)
        tuned = {"model.init": file}
        arms = {
            "anew": ("anew", {}),
            "from the file": ("tuned", tuned),
            "the same, half frozen": ("frozen", {**tuned, "train.freeze": frozen}),
        }
        of_seed = {}
        for label, (name, values) in arms.items():
            values = {"data.train_limit": args.images, **values}
            of_seed[label], _ = runs.train(name, "second", seed, args.epochs, **values)
        all_seeds.append(of_seed)
        print(f"seed {seed}: first half {first[-1]:.2f} %, by torchvision {read:.2f} %")
        for name, course in of_seed.items():
            print(f"  {name}: {', '.join(f'{a:.2f}' for a in course)}", flush=True)
    print("test accuracy of the second half after each epoch, mean of the seeds")
    for name in all_seeds[0]:
        courses = zip(*(of_seed[name] for of_seed in all_seeds))
        print(f"  {name}: {', '.join(f'{statistics.mean(epoch):.2f}' for epoch in courses)}")


if __name__ == "__main__":
    main()
