//! Wide residual networks for small images (Zagoruyko & Komodakis 2016), without dropout: the
//! literature's network for CIFAR. Batch norm and ReLU come before each convolution. Parameter
//! names are those of <https://github.com/xternalz/WideResNet-pytorch>.

use super::kernels;
use super::layers::{BatchNorm, Conv, Init, Linear, Mode};
use burn::module::Module;
use burn::tensor::Tensor;

/// Three groups of blocks of widths 16, 32, 64, times a factor; each but the first halves the side.
#[derive(Module, Debug)]
pub struct WideResnet {
    /// Stem: 3x3, to 16 channels.
    pub conv1: Conv,
    /// 16 times the factor wide.
    pub block1: Group,
    /// 32 times.
    pub block2: Group,
    /// 64 times.
    pub block3: Group,
    /// The last normalisation.
    pub bn1: BatchNorm,
    /// Classifier.
    pub fc: Linear,
}

/// Blocks of one width.
#[derive(Module, Debug)]
pub struct Group {
    /// Of which the first changes the shape.
    pub layer: Vec<WideBlock>,
}

/// Two 3x3 convolutions, each behind batch norm and ReLU, and a shortcut.
#[derive(Module, Debug)]
pub struct WideBlock {
    /// Before the first convolution.
    pub bn1: BatchNorm,
    /// With the block's stride.
    pub conv1: Conv,
    /// Before the second one.
    pub bn2: BatchNorm,
    /// Second convolution.
    pub conv2: Conv,
    /// The shortcut's projection, where the shape changes: `convShortcut`.
    pub conv_shortcut: Option<Conv>,
}

impl WideBlock {
    fn new(input: usize, output: usize, stride: usize, init: &mut Init) -> Self {
        Self {
            bn1: BatchNorm::new(input, init),
            conv1: Conv::new(input, output, 3, stride, init),
            bn2: BatchNorm::new(output, init),
            conv2: Conv::new(output, output, 3, 1, init),
            conv_shortcut: (input != output).then(|| Conv::new(input, output, 1, stride, init)),
        }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let active = self.bn1.forward_relu(x.clone(), mode);
        // A projection takes what the convolutions take, the identity what comes in.
        let through = match &self.conv_shortcut {
            Some(conv) => conv.forward(active.clone()),
            None => x,
        };
        let y = self.bn2.forward_relu(self.conv1.forward(active), mode);
        self.conv2.forward(y) + through
    }
}

impl Group {
    fn new((input, output): (usize, usize), count: usize, stride: usize, init: &mut Init) -> Self {
        let block = |k: usize| match k {
            0 => WideBlock::new(input, output, stride, init),
            _ => WideBlock::new(output, output, 1, init),
        };
        Self { layer: (0..count).map(block).collect() }
    }
}

impl WideResnet {
    /// 28 layers, ten times as wide: 36,479,194 parameters for three channels and ten classes.
    pub fn deep_28_wide_10(channels: usize, classes: usize, init: &mut Init) -> Self {
        Self::new((28, 10), channels, classes, init)
    }

    /// Of so many layers, 4 more than a multiple of 6, and so many times as wide.
    fn new(
        (depth, factor): (usize, usize),
        channels: usize,
        classes: usize,
        init: &mut Init,
    ) -> Self {
        let count = (depth - 4) / 6;
        let [one, two, three] = [16, 32, 64].map(|width| width * factor);
        Self {
            conv1: Conv::new(channels, 16, 3, 1, init),
            block1: Group::new((16, one), count, 1, init),
            block2: Group::new((one, two), count, 2, init),
            block3: Group::new((two, three), count, 2, init),
            bn1: BatchNorm::new(three, init),
            fc: Linear::new(three, classes, init),
        }
    }

    /// `[b, channels, h, w]` to logits `[b, classes]`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<2> {
        let mut x = self.conv1.forward(x);
        let blocks = [&self.block1, &self.block2, &self.block3];
        for block in blocks.into_iter().flat_map(|group| &group.layer) {
            x = block.forward(x, mode);
        }
        self.fc.forward(kernels::global_avg_pool(self.bn1.forward_relu(x, mode)))
    }
}
