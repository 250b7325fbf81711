"""The two models as PyTorch users write them. Parameter names are those of `earlybird export` (resnet18: torchvision's)."""

import torch.nn as nn
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


MODELS = {"convnet": Convnet, "resnet18": Resnet18}
