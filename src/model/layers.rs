//! The layers of both architectures, with PyTorch's parameter names, layouts and conventions.

use super::Precision;
use super::kernels::{self, Convolution, Norm, NormParameters};
use crate::stream::{Purpose, stream};
use burn::module::{Module, Param, RunningState};
use burn::tensor::activation::relu as relu_of;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Whether a forward pass is part of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Normalise by the batch, update the running statistics.
    Train,
    /// Normalise by the running statistics.
    Evaluate,
}

/// Draws initial parameters on the host, so that every device starts from the same ones.
#[derive(Debug)]
pub struct Init {
    rng: ChaCha8Rng,
    device: Device,
    precision: Precision,
}

impl Init {
    /// The initial values of `seed`, placed on the autodiff form of `device`, for a model that
    /// computes in `precision`.
    pub fn new(seed: u64, precision: Precision, device: &Device) -> Self {
        Self { rng: stream(seed, Purpose::Init, 0), device: device.clone().autodiff(), precision }
    }

    /// Uniform in `-bound..bound`.
    fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        let n = shape.iter().product();
        let values: Vec<f32> =
            (0..n).map(|_| self.rng.random_range(-bound..bound) as f32).collect();
        let device = self.device.clone().without_autodiff();
        let values = Tensor::from_data(TensorData::new(values, shape), &device);
        Param::from_tensor(Tensor::from_inner(kernels::stored(values)))
    }

    fn filled<const D: usize>(&self, shape: [usize; D], value: f32) -> Tensor<D> {
        Tensor::full(shape, value, &self.device)
    }
}

/// Square convolution without bias. `weight` has shape `[out, in, k, k]`.
#[derive(Module, Debug)]
pub struct Conv {
    /// The filters.
    pub weight: Param<Tensor<4>>,
    stride: usize,
    padding: usize,
    bf16: bool,
}

impl Conv {
    /// `size` x `size` filters, padded to keep the side at stride 1. Kaiming uniform by fan-out (He
    /// et al. 2015).
    pub fn new(input: usize, output: usize, size: usize, stride: usize, init: &mut Init) -> Self {
        let fan_out = (output * size * size) as f64;
        Self {
            weight: init.uniform([output, input, size, size], (6.0 / fan_out).sqrt()),
            stride,
            padding: size / 2,
            bf16: init.precision == Precision::Bf16,
        }
    }

    /// `[b, in, h, w]` to `[b, out, ceil(h / stride), ceil(w / stride)]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let op = Convolution { stride: self.stride, padding: self.padding, bf16: self.bf16 };
        kernels::conv2d(x, self.weight.val(), op)
    }
}

/// Batch normalisation over channels, momentum 0.1, epsilon 1e-5. All tensors have shape `[c]`.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale, gamma.
    pub weight: Param<Tensor<1>>,
    /// Shift, beta.
    pub bias: Param<Tensor<1>>,
    /// Running mean.
    pub running_mean: RunningState<Tensor<1>>,
    /// Running variance, unbiased as in PyTorch.
    pub running_var: RunningState<Tensor<1>>,
}

impl BatchNorm {
    const MOMENTUM: f64 = 0.1;
    const EPSILON: f64 = 1e-5;

    /// Scale 1, shift 0, running statistics of a standard normal.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        Self {
            weight: Param::from_tensor(init.filled([channels], 1.0)),
            bias: Param::from_tensor(init.filled([channels], 0.0)),
            running_mean: RunningState::new(init.filled([channels], 0.0)),
            running_var: RunningState::new(init.filled([channels], 1.0)),
        }
    }

    /// Shape-preserving on `[b, c, h, w]`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        self.apply(x, None, false, mode)
    }

    /// The same with a ReLU after it, as one operation.
    pub fn forward_relu(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        self.apply(x, None, true, mode)
    }

    /// The same with `+ residual` and a ReLU after it, as one operation: the end of a residual
    /// block.
    pub fn forward_add_relu(&self, x: Tensor<4>, residual: Tensor<4>, mode: Mode) -> Tensor<4> {
        self.apply(x, Some(residual), true, mode)
    }

    fn apply(
        &self,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        relu: bool,
        mode: Mode,
    ) -> Tensor<4> {
        let op = Norm { momentum: Self::MOMENTUM, epsilon: Self::EPSILON, relu };
        let (gamma, beta) = (self.weight.val(), self.bias.val());
        // One that is frozen stays as it is altogether.
        if mode == Mode::Train && gamma.is_require_grad() {
            // `value_sync`: `value` would be one update late.
            let (mean, var) = (self.running_mean.value_sync(), self.running_var.value_sync());
            let (y, running) = kernels::batch_norm_train(
                x,
                residual,
                NormParameters { gamma, beta, mean, var },
                op,
            );
            if let Some([mean, var]) = running {
                self.running_mean.update(mean.detach());
                self.running_var.update(var.detach());
            }
            return y;
        }
        let p = NormParameters {
            gamma,
            beta,
            mean: self.running_mean.value(),
            var: self.running_var.value(),
        };
        match residual {
            None => kernels::batch_norm(x, p, op),
            Some(residual) => {
                relu_of(kernels::batch_norm(x, p, Norm { relu: false, ..op }) + residual)
            }
        }
    }
}

/// Fully connected layer. `weight` has shape `[out, in]`, `bias` `[out]`.
#[derive(Module, Debug)]
pub struct Linear {
    /// The matrix.
    pub weight: Param<Tensor<2>>,
    /// The shift.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// PyTorch's default: both uniform within `1 / sqrt(in)`.
    pub fn new(input: usize, output: usize, init: &mut Init) -> Self {
        let bound = 1.0 / (input as f64).sqrt();
        Self { weight: init.uniform([output, input], bound), bias: init.uniform([output], bound) }
    }

    /// `[b, in]` to `[b, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::linear(x, self.weight.val()) + self.bias.val().unsqueeze()
    }
}
