//! The operations that training spends its time in, behind one seam: [`Kernels`] has a default body of ordinary Burn ops for
//! each (they serve Flex, and are the reference in tests) and a LibTorch body at full speed.
//! Knows nothing of models, data sets or the method.
#![allow(deprecated)] // Burn marks LibTorch as deprecated; 0.22 is the last series that has it, and pinned.

mod libtorch;
mod shim;

pub use libtorch::Norm;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchDevice, ExtensionType, Flex, FloatDType, LibTorch, TensorMetadata, backend_extension,
};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_tch::TchTensor;

/// What a batch norm takes: images `[b, c, h, w]`, everything else `[c]`.
#[derive(ExtensionType)]
pub struct NormInput<B: Backend> {
    /// Images.
    pub x: FloatTensor<B>,
    /// Scale.
    pub gamma: FloatTensor<B>,
    /// Shift.
    pub beta: FloatTensor<B>,
    /// Running mean.
    pub running_mean: FloatTensor<B>,
    /// Running variance.
    pub running_var: FloatTensor<B>,
}

/// Output of a batch norm in training, and the running statistics with this batch in them.
#[derive(ExtensionType)]
pub struct NormOutput<B: Backend> {
    /// `[b, c, h, w]`
    pub output: FloatTensor<B>,
    /// `[c]`
    pub running_mean: FloatTensor<B>,
    /// `[c]`, unbiased as in PyTorch.
    pub running_var: FloatTensor<B>,
}

/// Operations with a body of their own on LibTorch. Shapes: images `[b, c, h, w]`, everything per channel `[c]`.
#[backend_extension(LibTorch, Flex, Autodiff)]
pub trait Kernels: Backend {
    /// Rows `indices` `[b]` of bytes `data` `[n, k]` as f32 `[b, k]`, values 0 to 255.
    fn gather_rows(data: IntTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        Self::int_into_float(Self::int_select(data, 0, indices), FloatDType::F32)
    }

    /// Square convolution without bias.
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize, padding: usize) -> FloatTensor<Self> {
        Self::conv2d(x, weight, None, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
    }

    /// Batch norm by the batch, then ReLU if `op` says so.
    fn normalize_train(#[extension_type] input: NormInput<Self>, op: Norm) -> NormOutput<Self> {
        let mut n = by_the_batch(input, op);
        if op.relu {
            n.output = Self::relu(n.output);
        }
        n
    }

    /// Batch norm by the batch, then `+ residual`, then ReLU if `op` says so.
    fn normalize_add_train(#[extension_type] input: NormInput<Self>, residual: FloatTensor<Self>, op: Norm) -> NormOutput<Self> {
        let mut n = by_the_batch(input, op);
        n.output = Self::float_add(n.output, residual);
        if op.relu {
            n.output = Self::relu(n.output);
        }
        n
    }

    /// Batch norm by the running statistics, then ReLU if `op` says so.
    fn normalize(#[extension_type] input: NormInput<Self>, op: Norm) -> FloatTensor<Self> {
        let y = Self::batch_norm(input.x, input.gamma, input.beta, input.running_mean, input.running_var, op.epsilon);
        if op.relu { Self::relu(y) } else { y }
    }

    /// Mean over height and width, `[b, c]`.
    fn average_pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = x.shape();
        Self::float_reshape(Self::adaptive_avg_pool2d(x, [1, 1]), [shape[0], shape[1]].into())
    }
}

impl Kernels for Flex {}
impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {}

/// The reference for a batch norm in training, of ordinary ops.
fn by_the_batch<B: Backend>(input: NormInput<B>, op: Norm) -> NormOutput<B> {
    let shape = input.x.shape();
    let count = (shape[0] * shape[2] * shape[3]) as f64;
    let n = B::batch_norm_train(input.x, input.gamma, input.beta, op.epsilon);
    let mix = |old, batch| {
        let old = B::float_mul_scalar(old, (1.0 - op.momentum).into());
        B::float_add(old, B::float_mul_scalar(batch, op.momentum.into()))
    };
    let unbiased = B::float_mul_scalar(n.variance, (count / (count - 1.0).max(1.0)).into());
    NormOutput { output: n.output, running_mean: mix(input.running_mean, n.mean), running_var: mix(input.running_var, unbiased) }
}

/// Bytes `[n, k]`, resident on `device` at one byte each.
pub fn resident_bytes(bytes: &[u8], shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    if let DispatchDevice::LibTorch(target) = device.as_dispatch() {
        let tensor = tch::Tensor::from_slice(bytes).view(shape.map(|d| d as i64)).to_device((*target).into());
        return Tensor::from_primitive::<LibTorch>(TchTensor::new(tensor));
    }
    Tensor::from_data(TensorData::new(bytes.to_vec(), shape), (device, DType::U8))
}

/// See [`Kernels::gather_rows`]. The tensors need no gradient.
pub fn gather_rows(data: Tensor<2, Int>, indices: Tensor<1, Int>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Kernels>::gather_rows(data.into_dispatch(), indices.into_dispatch()))
}

/// See [`Kernels::convolve`]: `[b, i, h, w]` by `[o, i, k, k]`.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::convolve(x.into_dispatch(), weight.into_dispatch(), stride, padding))
}

/// Scale and shift of a batch norm and its running statistics, each `[c]`.
#[derive(Clone, Debug)]
pub struct NormParameters {
    /// Scale.
    pub gamma: Tensor<1>,
    /// Shift.
    pub beta: Tensor<1>,
    /// Running mean.
    pub mean: Tensor<1>,
    /// Running variance.
    pub var: Tensor<1>,
}

impl NormParameters {
    fn with(self, x: Tensor<4>) -> NormInput<Dispatch> {
        NormInput {
            x: x.into_dispatch(),
            gamma: self.gamma.into_dispatch(),
            beta: self.beta.into_dispatch(),
            running_mean: self.mean.into_dispatch(),
            running_var: self.var.into_dispatch(),
        }
    }
}

/// Batch norm by the batch, `+ residual` where there is one, then ReLU if `op` says so. Gives the output and the running mean
/// and variance with this batch in them.
pub fn batch_norm_train(
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    parameters: NormParameters,
    op: Norm,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let input = parameters.with(x);
    let n = match residual {
        Some(residual) => <Dispatch as Kernels>::normalize_add_train(input, residual.into_dispatch(), op),
        None => <Dispatch as Kernels>::normalize_train(input, op),
    };
    (Tensor::from_dispatch(n.output), Tensor::from_dispatch(n.running_mean), Tensor::from_dispatch(n.running_var))
}

/// Batch norm by the running statistics, then ReLU if `op` says so.
pub fn batch_norm(x: Tensor<4>, parameters: NormParameters, op: Norm) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::normalize(parameters.with(x), op))
}

/// 2x2 max pool with stride 2.
pub fn max_pool2d(x: Tensor<4>) -> Tensor<4> {
    burn::tensor::module::max_pool2d(x, MaxPoolOptions::new([2, 2]))
}

/// See [`Kernels::average_pool`]: `[b, c, h, w]` to `[b, c]`.
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Kernels>::average_pool(x.into_dispatch()))
}

#[cfg(test)]
mod tests;
