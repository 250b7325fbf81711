"""What earlybird writes, read by those whom it is written for: PyTorch and TensorBoard.

    make test-peers
"""

import gzip
import io
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models import MODELS

ROOT = pathlib.Path(__file__).resolve().parents[2]
EARLYBIRD = os.environ.get("EARLYBIRD", str(ROOT / "target/debug/earlybird"))
DATA = ROOT / "src/data/fashion-mnist-mini"


def earlybird(*args):
    done = subprocess.run([EARLYBIRD, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def images(name):
    raw = gzip.decompress((DATA / f"{name}-images-idx3-ubyte.gz").read_bytes())
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28).copy())


def labels(name):
    raw = gzip.decompress((DATA / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=8).astype(np.int64))


class Exported(unittest.TestCase):
    """A model trained here says the same in PyTorch."""

    def check(self, model, *settings):
        with tempfile.TemporaryDirectory() as folder:
            runs = ["--runs-dir", folder]
            sets = [part for s in ["data.imbalance=1.0", f"model.name={model}", *settings] for part in ("--set", s)]
            earlybird("train", "--headless", *sets, *runs)
            file, logits_file = f"{folder}/model.safetensors", f"{folder}/logits.safetensors"
            earlybird("export", "demo-001", "--to", file, *runs)
            ours = json.loads(earlybird("evaluate", "demo-001", "--json", "--logits", logits_file, *runs))
            logits = load_file(logits_file)["logits"]
            peer = MODELS[model](1, 10)
            rest = peer.load_state_dict(load_file(file), strict=False)
            self.assertEqual(rest.unexpected_keys, [])
            self.assertTrue(all(k.endswith("num_batches_tracked") for k in rest.missing_keys), rest.missing_keys)
            # Images in [0, 1], normalised by the mean and deviation of what it was trained on.
            x = (images("t10k").float() / 255 - ours["mean"][0]) / ours["std"][0]
            peer.eval()
            with torch.no_grad():
                theirs = torch.cat([peer(part) for part in x.split(500)])
            difference = (theirs - logits).abs().max().item()
            right = (theirs.argmax(1) == labels("t10k")).double().mean().item()
            print(f"\n{model}: accuracy here {ours['accuracy']:.4f}, in PyTorch {right:.4f}; logits differ by {difference:.1e} at most")
            self.assertLess(difference, 1e-3)
            self.assertLessEqual(abs(right - ours["accuracy"]), 1e-4)

    def test_convnet(self):
        self.check("convnet", "train.epochs=4", "importance.pretrain_epochs=2")

    def test_resnet18(self):
        self.check("resnet18", "train.epochs=2", "importance.pretrain_epochs=1", "train.batch_size=64", "train.lr=0.05", "data.train_limit=640")


def photos(folder, side, count):
    """A folder of noise images of one size, as PNG; the test images, `[n, 3, side, side]`."""
    rng, tests = np.random.default_rng(0), []
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            place = pathlib.Path(folder) / split / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{i:02}.png")
                if split == "test":
                    tests.append(torch.from_numpy(pixels).permute(2, 0, 1))
    return torch.stack(tests)


class Random(unittest.TestCase):
    """Random weights and statistics made in PyTorch give the same logits here."""

    def check(self, name, make, side):
        torch.manual_seed(1)
        peer = make(num_classes=5).eval()
        for key, value in peer.state_dict().items():
            if key.endswith("running_mean") or key.endswith("bias"):
                value.normal_(0, 0.1)
            elif key.endswith("running_var"):
                value.uniform_(0.5, 2)
        with tempfile.TemporaryDirectory() as folder:
            x = photos(folder, side, 3)
            for extra in ("x", "y", "z"):  # five classes
                for split in ("train", "test"):
                    place = pathlib.Path(folder) / split / extra
                    place.mkdir()
                    os.link(pathlib.Path(folder) / split / "cat" / "00.png", place / "00.png")
            x = torch.cat([x, x[:1], x[:1], x[:1]])
            file, logits_file = f"{folder}/random.safetensors", f"{folder}/logits.safetensors"
            save_file(peer.state_dict(), file)
            config = [f"model.name={name}", "data.source=folder", f"data.path={folder}", f"data.image_size={side}",
                      "data.normalize=imagenet", "data.imbalance=1.0"]
            sets = [part for s in config for part in ("--set", s)]
            earlybird("evaluate", file, "--json", "--logits", logits_file, *sets)
            ours = load_file(logits_file)["logits"]
            # The same as files of torch.save, which are read without Python.
            state = peer.state_dict()
            inside = {"epoch": 1, "state_dict": {f"model.{k}": v for k, v in state.items()}}
            saved = {"random.pth": (state, True), "old.pth": (state, False),
                     "random.ckpt": (inside, True)}
            for name_saved, (what, archive) in saved.items():
                torch.save(what, f"{folder}/{name_saved}", _use_new_zipfile_serialization=archive)
                file = f"{folder}/{name_saved}"
                earlybird("evaluate", file, "--json", "--logits", logits_file, *sets)
                self.assertTrue(torch.equal(load_file(logits_file)["logits"], ours), name_saved)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        with torch.no_grad():
            theirs = peer((x.float() / 255 - mean[:, None, None]) / std[:, None, None])
        size = theirs.abs().max().item()
        difference = (theirs - ours).abs().max().item() / size
        print(f"\n{name}: logits of up to {size:.2f} differ by {difference:.1e} of that at most")
        self.assertLess(difference, 1e-5)

    def test_resnet18_imagenet(self):
        self.check("resnet18-imagenet", torchvision.models.resnet18, 96)

    def test_resnet34(self):
        self.check("resnet34", torchvision.models.resnet34, 96)

    def test_resnet50(self):
        self.check("resnet50", torchvision.models.resnet50, 224)

    def test_wide_resnet(self):
        self.check("wide-resnet-28-10", lambda num_classes: MODELS["wide-resnet-28-10"](3, num_classes), 32)


class TensorBoard(unittest.TestCase):
    """TensorBoard finds what the journal says."""

    def test_scalars_histograms_and_images(self):
        with tempfile.TemporaryDirectory() as folder:
            runs = ["--runs-dir", folder]
            sets = ["--set", "train.epochs=3", "--set", "importance.pretrain_epochs=2", "--set", "data.train_limit=1000"]
            earlybird("train", "--headless", "--tensorboard", *sets, *runs)
            events = [json.loads(line) for line in (pathlib.Path(folder) / "demo-001/journal.jsonl").read_text().splitlines()]
            seen = EventAccumulator(f"{folder}/demo-001", size_guidance={"images": 0, "scalars": 0, "histograms": 0})
            seen.Reload()
            epochs = [e for e in events if e["event"] == "epoch_end"]
            for tag, key in [("test/accuracy", "test_accuracy"), ("test/loss", "test_loss"), ("epoch/balance", "balance")]:
                values = [s.value for s in seen.Scalars(tag)]
                np.testing.assert_allclose(values, [e[key] for e in epochs], rtol=1e-6)
            steps = [s.step for s in seen.Scalars("test/accuracy")]
            self.assertEqual(steps, [steps[0], 2 * steps[0], 3 * steps[0]])
            self.assertGreater(len(seen.Scalars("train/loss")), 2)
            weights = next(e for e in events if e["event"] == "weights")
            for tag, edges, counts in [("weights/importance", "edges", "counts"), ("weights/expected_draws", "draw_edges", "draw_counts")]:
                histogram = seen.Histograms(tag)[-1].histogram_value
                np.testing.assert_allclose(histogram.bucket, weights[counts])
                np.testing.assert_allclose(histogram.bucket_limit, weights[edges][1:], rtol=1e-6)
                self.assertEqual(histogram.num, weights["n"])
            tags = seen.Tags()["images"]
            self.assertEqual(len(tags), 20, tags)
            strip = Image.open(io.BytesIO(seen.Images("hardest/Shirt")[-1].encoded_image_string))
            self.assertEqual((strip.size, strip.mode), ((8 * 29 - 1, 28), "L"))
            print(f"\nTensorBoard: {len(seen.Tags()['scalars'])} scalars, 2 histograms, {len(tags)} images, equal to the journal")

    def test_a_resumed_run_continues_its_curves(self):
        with tempfile.TemporaryDirectory() as folder:
            runs = ["--runs-dir", folder]
            small = ["--set", "train.epochs=2", "--set", "importance.pretrain_epochs=1", "--set", "data.train_limit=600"]
            earlybird("train", "--headless", "--tensorboard", *small, *runs)
            earlybird("resume", "demo-001", "--headless", "--set", "train.epochs=3", *runs)
            seen = EventAccumulator(f"{folder}/demo-001")
            seen.Reload()
            self.assertEqual(len(seen.Scalars("test/accuracy")), 3)


if __name__ == "__main__":
    unittest.main()
