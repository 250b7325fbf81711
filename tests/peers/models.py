"""The models as PyTorch users write them. Parameter names are those of `earlybird export` (resnets: torchvision's)."""

import torch.nn as nn
import torchvision
import torch.nn.functional as F


def conv(inputs, outputs, kernel=3, stride=1, padding=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)


class Convnet(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv1, self.bn1 = conv(channels, 32), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = conv(32, 64), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = conv(64, 128), nn.BatchNorm2d(128)
        self.fc = nn.Linear(128, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.relu(self.bn3(self.conv3(x)))
        return self.fc(x.mean((2, 3)))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs), nn.BatchNorm2d(outputs)
        changed = stride != 1 or inputs != outputs
        self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride, 0), nn.BatchNorm2d(outputs)) if changed else None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Resnet18(nn.Module):
    """torchvision's resnet18 with the stem for small images: a 3x3 convolution, no pool."""

    def __init__(self, channels, classes):
        super().__init__()
        self.conv1, self.bn1 = conv(channels, 64), nn.BatchNorm2d(64)
        widths, strides = [64, 64, 128, 256, 512], [1, 2, 2, 2]
        for k, stride in enumerate(strides):
            first = BasicBlock(widths[k], widths[k + 1], stride)
            setattr(self, f"layer{k + 1}", nn.Sequential(first, BasicBlock(widths[k + 1], widths[k + 1], 1)))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, stride=stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs)
        self.convShortcut = conv(inputs, outputs, 1, stride, 0) if inputs != outputs else None

    def forward(self, x):
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (x if self.convShortcut is None else self.convShortcut(active))


class Group(nn.Module):
    def __init__(self, inputs, outputs, count, stride):
        super().__init__()
        rest = [WideBlock(outputs, outputs, 1) for _ in range(count - 1)]
        self.layer = nn.Sequential(WideBlock(inputs, outputs, stride), *rest)

    def forward(self, x):
        return self.layer(x)


class WideResnet(nn.Module):
    """Zagoruyko & Komodakis's network for CIFAR, 28 layers, ten times as wide, as xternalz/WideResNet-pytorch has it."""

    def __init__(self, channels, classes):
        super().__init__()
        self.conv1 = conv(channels, 16)
        self.block1, self.block2, self.block3 = Group(16, 160, 4, 1), Group(160, 320, 4, 2), Group(320, 640, 4, 2)
        self.bn1, self.fc = nn.BatchNorm2d(640), nn.Linear(640, classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


def of_torchvision(make):
    """A model of torchvision's, for images of three channels."""
    return lambda channels, classes: make(num_classes=classes)


MODELS = {
    "convnet": Convnet,
    "resnet18": Resnet18,
    "wide-resnet-28-10": WideResnet,
    "resnet18-imagenet": of_torchvision(torchvision.models.resnet18),
    "resnet34": of_torchvision(torchvision.models.resnet34),
    "resnet50": of_torchvision(torchvision.models.resnet50),
}
