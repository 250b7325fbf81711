//! ResNet-18 (He et al. 2016) in its CIFAR form: 3x3 stem, no max pool. Parameter names are
//! torchvision's. 11,173,962 parameters for three channels and ten classes.

use super::kernels;
use super::layers::{BatchNorm, Conv, Init, Linear, Mode};
use burn::module::Module;
use burn::tensor::Tensor;

/// Widths 64, 128, 256, 512, two blocks each.
#[derive(Module, Debug)]
pub struct Resnet18 {
    /// Stem.
    pub conv1: Conv,
    /// Its normalisation.
    pub bn1: BatchNorm,
    /// 64 wide.
    pub layer1: Vec<ResidualBlock>,
    /// 128 wide, half the side.
    pub layer2: Vec<ResidualBlock>,
    /// 256 wide, a quarter of the side.
    pub layer3: Vec<ResidualBlock>,
    /// 512 wide, an eighth of the side.
    pub layer4: Vec<ResidualBlock>,
    /// Classifier.
    pub fc: Linear,
}

/// Two 3x3 convolutions and a shortcut.
#[derive(Module, Debug)]
pub struct ResidualBlock {
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

/// A 1x1 convolution and its normalisation; torchvision names them `downsample.0` and
/// `downsample.1`.
#[derive(Module, Debug)]
pub struct Downsample {
    /// `downsample.0`
    pub conv: Conv,
    /// `downsample.1`
    pub bn: BatchNorm,
}

impl ResidualBlock {
    fn new(input: usize, output: usize, stride: usize, init: &mut Init) -> Self {
        Self {
            conv1: Conv::new(input, output, 3, stride, init),
            bn1: BatchNorm::new(output, init),
            conv2: Conv::new(output, output, 3, 1, init),
            bn2: BatchNorm::new(output, init),
            downsample: (stride != 1 || input != output).then(|| Downsample {
                conv: Conv::new(input, output, 1, stride, init),
                bn: BatchNorm::new(output, init),
            }),
        }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some(d) => d.bn.forward(d.conv.forward(x.clone()), mode),
            None => x.clone(),
        };
        let y = self.bn1.forward_relu(self.conv1.forward(x), mode);
        self.bn2.forward_add_relu(self.conv2.forward(y), shortcut, mode)
    }
}

impl Resnet18 {
    /// For images of `channels` channels and `classes` classes.
    pub fn new(channels: usize, classes: usize, init: &mut Init) -> Self {
        let layer = |input: usize, output: usize, stride: usize, init: &mut Init| {
            vec![
                ResidualBlock::new(input, output, stride, init),
                ResidualBlock::new(output, output, 1, init),
            ]
        };
        Self {
            conv1: Conv::new(channels, 64, 3, 1, init),
            bn1: BatchNorm::new(64, init),
            layer1: layer(64, 64, 1, init),
            layer2: layer(64, 128, 2, init),
            layer3: layer(128, 256, 2, init),
            layer4: layer(256, 512, 2, init),
            fc: Linear::new(512, classes, init),
        }
    }

    /// `[b, channels, h, w]` to logits `[b, classes]`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<2> {
        let mut x = self.bn1.forward_relu(self.conv1.forward(x), mode);
        for block in [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten()
        {
            x = block.forward(x, mode);
        }
        self.fc.forward(kernels::global_avg_pool(x))
    }
}
