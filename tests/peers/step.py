"""The peer that a user would pick instead: the same training step in eager PyTorch, timed on the same machine.

Prints one JSON line. Same work as `earlybird bench step`: draw a batch by weight from an in-memory uint8 set, gather,
normalise, forward, cross entropy, backward, SGD (momentum 0.9, weight decay 5e-4), record the true-class probability.
`--lean` is what experts write: ReLU in place, and the fused optimizer.
"""

import argparse
import json
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


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
        changed = stride != 1 or inputs != outputs
        self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride, 0), nn.BatchNorm2d(outputs)) if changed else None

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


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--model", default="convnet", choices=["convnet", "resnet18"])
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
    a.add_argument("--lean", action="store_true")
    o = a.parse_args()
    if o.threads:
        torch.set_num_threads(o.threads)
    if o.model == "resnet18":
        o.warmup = min(o.warmup, 2)
    torch.manual_seed(0)
    c, h, w = map(int, o.shape.split(","))
    device = torch.device(o.device)
    layout = torch.channels_last if o.format == "channels_last" else torch.contiguous_format
    net = {"convnet": convnet, "resnet18": resnet18}[o.model](c, o.classes, o.lean).to(device, memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=o.lean)
    images = torch.randint(0, 256, (o.samples, c, h, w), dtype=torch.uint8, device=device)
    labels = torch.randint(0, o.classes, (o.samples,), device=device)
    weights = torch.rand(o.samples, device=device)
    p_true = torch.zeros(o.samples, device=device)
    draws = torch.multinomial(weights, o.batch * (o.steps + o.warmup), replacement=True)

    def step(k):
        index = draws[k * o.batch : (k + 1) * o.batch]
        x = images[index].to(torch.float32).sub_(73.0).div_(90.0).contiguous(memory_format=layout)
        y = labels[index]
        with torch.autocast(device.type, torch.bfloat16, enabled=o.dtype == "bf16"):
            z = net(x)
        z = z.float()
        loss = F.cross_entropy(z, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            p_true[index] = z.softmax(1).gather(1, y[:, None])[:, 0]

    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    for k in range(o.warmup):
        step(k)
    wait()
    began = time.perf_counter()
    for k in range(o.warmup, o.warmup + o.steps):
        step(k)
    wait()
    seconds = time.perf_counter() - began
    print(json.dumps({
        "model": o.model, "shape": o.shape, "batch": o.batch, "format": o.format, "dtype": o.dtype, "lean": o.lean,
        "threads": torch.get_num_threads(), "images_per_s": o.steps * o.batch / seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))


main()
