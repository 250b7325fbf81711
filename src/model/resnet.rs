//! Residual networks (He et al. 2016), in the form for small images (3x3 stem, no max pool) and in
//! that of ImageNet (7x7 stem with stride 2, 3x3 max pool). Parameter names are torchvision's; as
//! there, the stride of a bottleneck is in its 3x3 convolution.

use super::kernels;
use super::layers::{BatchNorm, Conv, Init, Linear, Mode};
use burn::module::Module;
use burn::tensor::Tensor;

/// How images come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stem {
    /// 3x3 with stride 1: the side stays.
    Small,
    /// 7x7 with stride 2, then a 3x3 max pool with stride 2: a quarter of the side.
    Imagenet,
}

/// What the four layers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, and 1x1 to four times the width.
    Bottleneck,
}

/// Layers of widths 64, 128, 256, 512; each but the first halves the side.
#[derive(Module, Debug)]
pub struct Resnet {
    /// Stem.
    pub conv1: Conv,
    /// Its normalisation.
    pub bn1: BatchNorm,
    /// 64 wide.
    pub layer1: Vec<ResidualBlock>,
    /// 128 wide.
    pub layer2: Vec<ResidualBlock>,
    /// 256 wide.
    pub layer3: Vec<ResidualBlock>,
    /// 512 wide.
    pub layer4: Vec<ResidualBlock>,
    /// Classifier.
    pub fc: Linear,
    is_pooled: bool,
}

/// Names of the kinds of block, which are no part of a parameter's name.
pub(super) const BLOCKS: [&str; 2] = ["Basic", "Bottleneck"];

/// One block of a layer.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has blocks of one kind")]
pub enum ResidualBlock {
    /// Two 3x3 convolutions.
    Basic(BasicBlock),
    /// 1x1, 3x3, 1x1.
    Bottleneck(BottleneckBlock),
}

/// Two 3x3 convolutions and a shortcut.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// First convolution, with the block's stride.
    pub conv1: Conv,
    /// Its normalisation.
    pub bn1: BatchNorm,
    /// Second convolution.
    pub conv2: Conv,
    /// Its normalisation.
    pub bn2: BatchNorm,
    /// The shortcut's projection, where the shape changes.
    pub downsample: Option<Downsample>,
}

/// A 1x1, a 3x3 and a 1x1 convolution, and a shortcut.
#[derive(Module, Debug)]
pub struct BottleneckBlock {
    /// 1x1, to the block's width.
    pub conv1: Conv,
    /// Its normalisation.
    pub bn1: BatchNorm,
    /// 3x3, with the block's stride.
    pub conv2: Conv,
    /// Its normalisation.
    pub bn2: BatchNorm,
    /// 1x1, to four times the width.
    pub conv3: Conv,
    /// Its normalisation.
    pub bn3: BatchNorm,
    /// The shortcut's projection, where the shape changes.
    pub downsample: Option<Downsample>,
}

/// A 1x1 convolution and its normalisation; torchvision names them `downsample.0` and
/// `downsample.1`.
#[derive(Module, Debug)]
pub struct Downsample {
    /// `downsample.0`
    pub conv: Conv,
    /// `downsample.1`
    pub bn: BatchNorm,
}

impl Downsample {
    /// Where a block changes the shape.
    fn between(input: usize, output: usize, stride: usize, init: &mut Init) -> Option<Self> {
        (stride != 1 || input != output).then(|| Self {
            conv: Conv::new(input, output, 1, stride, init),
            bn: BatchNorm::new(output, init),
        })
    }
}

/// The shortcut of a block.
fn shortcut(downsample: Option<&Downsample>, x: Tensor<4>, mode: Mode) -> Tensor<4> {
    match downsample {
        Some(d) => d.bn.forward(d.conv.forward(x), mode),
        None => x,
    }
}

impl BasicBlock {
    fn new(input: usize, output: usize, stride: usize, init: &mut Init) -> Self {
        Self {
            conv1: Conv::new(input, output, 3, stride, init),
            bn1: BatchNorm::new(output, init),
            conv2: Conv::new(output, output, 3, 1, init),
            bn2: BatchNorm::new(output, init),
            downsample: Downsample::between(input, output, stride, init),
        }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let through = shortcut(self.downsample.as_ref(), x.clone(), mode);
        let y = self.bn1.forward_relu(self.conv1.forward(x), mode);
        self.bn2.forward_add_relu(self.conv2.forward(y), through, mode)
    }
}

impl BottleneckBlock {
    fn new(input: usize, width: usize, stride: usize, init: &mut Init) -> Self {
        let output = Kind::Bottleneck.output(width);
        Self {
            conv1: Conv::new(input, width, 1, 1, init),
            bn1: BatchNorm::new(width, init),
            conv2: Conv::new(width, width, 3, stride, init),
            bn2: BatchNorm::new(width, init),
            conv3: Conv::new(width, output, 1, 1, init),
            bn3: BatchNorm::new(output, init),
            downsample: Downsample::between(input, output, stride, init),
        }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let through = shortcut(self.downsample.as_ref(), x.clone(), mode);
        let y = self.bn1.forward_relu(self.conv1.forward(x), mode);
        let y = self.bn2.forward_relu(self.conv2.forward(y), mode);
        self.bn3.forward_add_relu(self.conv3.forward(y), through, mode)
    }
}

impl Kind {
    /// Channels behind a block of this width.
    fn output(self, width: usize) -> usize {
        match self {
            Self::Basic => width,
            Self::Bottleneck => 4 * width,
        }
    }

    fn block(self, input: usize, width: usize, stride: usize, init: &mut Init) -> ResidualBlock {
        match self {
            Self::Basic => ResidualBlock::Basic(BasicBlock::new(input, width, stride, init)),
            Self::Bottleneck => {
                ResidualBlock::Bottleneck(BottleneckBlock::new(input, width, stride, init))
            }
        }
    }

    /// `count` blocks, the first of which changes the shape.
    fn layer(
        self,
        (input, width): (usize, usize),
        count: usize,
        stride: usize,
        init: &mut Init,
    ) -> Vec<ResidualBlock> {
        let output = self.output(width);
        let block = |k: usize| match k {
            0 => self.block(input, width, stride, init),
            _ => self.block(output, width, 1, init),
        };
        (0..count).map(block).collect()
    }
}

impl ResidualBlock {
    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        match self {
            Self::Basic(block) => block.forward(x, mode),
            Self::Bottleneck(block) => block.forward(x, mode),
        }
    }
}

impl Resnet {
    /// ResNet-18 for small images, as CIFAR's.
    pub fn small_18(channels: usize, classes: usize, init: &mut Init) -> Self {
        Self::new((Stem::Small, Kind::Basic, [2, 2, 2, 2]), channels, classes, init)
    }

    /// torchvision's `resnet18`.
    pub fn imagenet_18(channels: usize, classes: usize, init: &mut Init) -> Self {
        Self::new((Stem::Imagenet, Kind::Basic, [2, 2, 2, 2]), channels, classes, init)
    }

    /// torchvision's `resnet34`.
    pub fn imagenet_34(channels: usize, classes: usize, init: &mut Init) -> Self {
        Self::new((Stem::Imagenet, Kind::Basic, [3, 4, 6, 3]), channels, classes, init)
    }

    /// torchvision's `resnet50`.
    pub fn imagenet_50(channels: usize, classes: usize, init: &mut Init) -> Self {
        Self::new((Stem::Imagenet, Kind::Bottleneck, [3, 4, 6, 3]), channels, classes, init)
    }

    /// For images of `channels` channels and `classes` classes; `counts` are the blocks of each
    /// layer.
    fn new(
        (stem, kind, counts): (Stem, Kind, [usize; 4]),
        channels: usize,
        classes: usize,
        init: &mut Init,
    ) -> Self {
        let (size, stride) = match stem {
            Stem::Small => (3, 1),
            Stem::Imagenet => (7, 2),
        };
        let [one, two, three, four] = counts;
        let output = |width| kind.output(width);
        Self {
            conv1: Conv::new(channels, 64, size, stride, init),
            bn1: BatchNorm::new(64, init),
            layer1: kind.layer((64, 64), one, 1, init),
            layer2: kind.layer((output(64), 128), two, 2, init),
            layer3: kind.layer((output(128), 256), three, 2, init),
            layer4: kind.layer((output(256), 512), four, 2, init),
            fc: Linear::new(output(512), classes, init),
            is_pooled: stem == Stem::Imagenet,
        }
    }

    /// `[b, channels, h, w]` to logits `[b, classes]`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<2> {
        let mut x = self.bn1.forward_relu(self.conv1.forward(x), mode);
        if self.is_pooled {
            x = kernels::overlapping_max_pool(x);
        }
        for block in [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten()
        {
            x = block.forward(x, mode);
        }
        self.fc.forward(kernels::global_avg_pool(x))
    }
}
