"""The peer that a user would pick instead: the same training step in PyTorch, timed on the same
machine and device.

Prints one JSON line: figures, or {"skipped": why}. Same work as `earlybird bench step`: draw a
batch by weight from an in-memory uint8 set, gather, crop and flip (--augment), normalise, forward,
cross entropy, backward, SGD (momentum 0.9, weight decay 5e-4), record the true-class probability.
`--lean` is what experts write: ReLU in place, and the fused optimizer. `--compile` gives everything
from bytes to loss to torch.compile; its mode "reduce-overhead" captures CUDA graphs.
"""

import argparse
import json
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from models import MODELS

PADDING = 2  # of a crop, as in `earlybird bench step --augment`


def conv(inputs, outputs, kernel=3, stride=1, padding=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)


def convnet(channels, classes, lean):
    def block(inputs, outputs):
        return nn.Sequential(conv(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(inplace=lean))

    return nn.Sequential(
        block(channels, 32), nn.MaxPool2d(2), block(32, 64), nn.MaxPool2d(2), block(64, 128),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, classes),
    )


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, lean):
        super().__init__()
        self.lean = lean
        self.conv1, self.bn1 = conv(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = conv(inputs, outputs, 1, stride, 0)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=self.lean)))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=self.lean)


def resnet18(channels, classes, lean):
    layers, width = [conv(channels, 64), nn.BatchNorm2d(64), nn.ReLU(inplace=lean)], 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(width, outputs, stride, lean), Block(outputs, outputs, 1, lean)]
        width = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument("--model", default="convnet", choices=list(MODELS))
    a.add_argument("--shape", default="1,28,28")
    a.add_argument("--classes", type=int, default=10)
    a.add_argument("--samples", type=int, default=10000)
    a.add_argument("--batch", type=int, default=128)
    a.add_argument("--steps", type=int, default=60)
    a.add_argument("--warmup", type=int, default=10)
    a.add_argument("--threads", type=int, default=0)
    a.add_argument("--device", default="cpu")
    a.add_argument("--format", default="channels_last", choices=["contiguous", "channels_last"])
    a.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"], help="bf16: autocast")
    a.add_argument("--augment", action="store_true")
    a.add_argument("--lean", action="store_true")
    a.add_argument("--compile", default="no", choices=["no", "default", "reduce-overhead"])
    a.add_argument("--no-tf32", action="store_true")
    a.add_argument("--cudnn-benchmark", action="store_true")
    return a.parse_args()


def settle(o):
    """Threads, and the switches that earlybird sets, too."""
    if o.threads:
        torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    if o.device.startswith("cuda"):
        torch.backends.cuda.matmul.allow_tf32 = not o.no_tf32
        torch.backends.cudnn.allow_tf32 = not o.no_tf32
        torch.backends.cudnn.benchmark = o.cudnn_benchmark
        torch.backends.cudnn.deterministic = not o.cudnn_benchmark


def cropped(x):
    """Each image moved by up to PADDING pixels each way, and mirrored or not."""
    b, c, h, w = x.shape
    down, right = torch.randint(0, 2 * PADDING + 1, (2, b, 1), device=x.device)
    mirrored = torch.rand(b, 1, device=x.device) < 0.5
    rows = torch.arange(h, device=x.device) + down
    columns = torch.arange(w, device=x.device) + right
    columns = torch.where(mirrored, w - 1 + 2 * PADDING - columns, columns)
    padded = F.pad(x, (PADDING, PADDING, PADDING, PADDING))
    images = torch.arange(b, device=x.device)[:, None, None]
    return padded[images, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def main():
    o = arguments()
    settle(o)
    c, h, w = map(int, o.shape.split(","))
    device = torch.device(o.device)
    layout = torch.channels_last if o.format == "channels_last" else torch.contiguous_format
    # What has no lean form of its own is the model as people write it.
    lean = {"convnet": convnet, "resnet18": resnet18}.get(o.model)
    net = lean(c, o.classes, o.lean) if lean else MODELS[o.model](c, o.classes)
    net = net.to(device, memory_format=layout)
    constants = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
    optimizer = torch.optim.SGD(net.parameters(), **constants, fused=o.lean)
    images = torch.randint(0, 256, (o.samples, c, h, w), dtype=torch.uint8, device=device)
    labels = torch.randint(0, o.classes, (o.samples,), device=device)
    weights = torch.rand(o.samples, device=device)
    p_true = torch.zeros(o.samples, device=device)
    draws = torch.multinomial(weights, o.batch * (o.steps + o.warmup), replacement=True)

    def forward(x, y):
        if o.augment:
            x = cropped(x)
        x = x.to(torch.float32).sub_(73.0).div_(90.0).contiguous(memory_format=layout)
        with torch.autocast(device.type, torch.bfloat16, enabled=o.dtype == "bf16"):
            z = net(x)
        z = z.float()
        return F.cross_entropy(z, y), z.detach().softmax(1).gather(1, y[:, None])[:, 0]

    if o.compile != "no":
        forward = torch.compile(forward, mode=o.compile)

    def step(k):
        index = draws[k * o.batch : (k + 1) * o.batch]
        if o.compile == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        loss, p = forward(images[index], labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            p_true[index] = p

    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    for k in range(o.warmup):
        step(k)
    wait()
    began = time.perf_counter()
    for k in range(o.warmup, o.warmup + o.steps):
        step(k)
    wait()
    seconds = time.perf_counter() - began
    figures = {
        "model": o.model, "shape": o.shape, "batch": o.batch, "format": o.format,
        "dtype": o.dtype, "lean": o.lean, "compile": o.compile, "device": o.device,
        "threads": torch.get_num_threads(), "images_per_s": o.steps * o.batch / seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if device.type == "cuda":
        peaks = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
        figures["device_mib"] = [peak / 2**20 for peak in peaks]
    print(json.dumps(figures))


def skip_without_compiler(error):
    """Says that torch.compile is not possible here: it needs a compiler and Python's headers."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    print(json.dumps({"skipped": f"torch.compile is not possible: {said}"}))


try:
    main()
except Exception as error:  # whatever the compiler's parts raise
    if arguments().compile == "no":
        raise
    skip_without_compiler(error)
