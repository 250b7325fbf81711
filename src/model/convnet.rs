//! The small network: three 3x3 convolutions with batch norm and ReLU, two 2x2 max pools, global
//! average pool, linear. 94,186 parameters for one channel and ten classes.

use super::kernels;
use super::layers::{BatchNorm, Conv, Init, Linear, Mode};
use burn::module::Module;
use burn::tensor::Tensor;

/// Widths 32, 64, 128.
#[derive(Module, Debug)]
pub struct Convnet {
    /// First convolution.
    pub conv1: Conv,
    /// Its normalisation.
    pub bn1: BatchNorm,
    /// Second convolution.
    pub conv2: Conv,
    /// Its normalisation.
    pub bn2: BatchNorm,
    /// Third convolution.
    pub conv3: Conv,
    /// Its normalisation.
    pub bn3: BatchNorm,
    /// Classifier.
    pub fc: Linear,
}

impl Convnet {
    /// For images of `channels` channels and `classes` classes.
    pub fn new(channels: usize, classes: usize, init: &mut Init) -> Self {
        Self {
            conv1: Conv::new(channels, 32, 3, 1, init),
            bn1: BatchNorm::new(32, init),
            conv2: Conv::new(32, 64, 3, 1, init),
            bn2: BatchNorm::new(64, init),
            conv3: Conv::new(64, 128, 3, 1, init),
            bn3: BatchNorm::new(128, init),
            fc: Linear::new(128, classes, init),
        }
    }

    /// `[b, channels, h, w]` to logits `[b, classes]`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<2> {
        let x = kernels::max_pool2d(self.bn1.forward_relu(self.conv1.forward(x), mode));
        let x = kernels::max_pool2d(self.bn2.forward_relu(self.conv2.forward(x), mode));
        let x = self.bn3.forward_relu(self.conv3.forward(x), mode);
        self.fc.forward(kernels::global_avg_pool(x))
    }
}
