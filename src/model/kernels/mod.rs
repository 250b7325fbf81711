//! The operations that training spends its time in, behind one seam: what LibTorch does better than Burn's ordinary ops
//! gets a body of its own in [`Kernels`]; everything else is the ordinary op, named here so that a faster body has a place.
//! Knows nothing of models, data sets or the method.
#![allow(deprecated)] // Burn marks LibTorch as deprecated; 0.22 is the last series that has it, and pinned.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, DispatchDevice, Flex, FloatDType, LibTorch, backend_extension};
use burn::tensor::module as ops;
use burn::tensor::module::BatchNormTrainOutput;
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_tch::TchTensor;

/// Operations with a body of their own on LibTorch. The default bodies are made of ordinary ops: they serve Flex and are
/// the reference in tests. Called with tensors that need no gradient.
#[backend_extension(LibTorch, Flex)]
pub trait Kernels: Backend {
    /// Rows `indices` `[b]` of bytes `data` `[n, k]` as f32 `[b, k]`, values 0 to 255.
    fn gather_rows(data: IntTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        Self::int_into_float(Self::int_select(data, 0, indices), FloatDType::F32)
    }
}

impl Kernels for Flex {}

impl Kernels for LibTorch {
    // Burn's own select would not take bytes, and widening the whole set would cost eight times the memory.
    fn gather_rows(data: IntTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        TchTensor::new(data.tensor.index_select(0, &indices.tensor).to_kind(tch::Kind::Float))
    }
}

/// Bytes `[n, k]`, resident on `device` at one byte each.
pub fn resident_bytes(bytes: &[u8], shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    if let Some(target) = libtorch_target(device) {
        let tensor = tch::Tensor::from_slice(bytes).view(shape.map(|d| d as i64)).to_device(target);
        return Tensor::from_primitive::<LibTorch>(TchTensor::new(tensor));
    }
    Tensor::from_data(TensorData::new(bytes.to_vec(), shape), (device, DType::U8))
}

/// The LibTorch device under a Burn device; `None` for another backend.
fn libtorch_target(device: &Device) -> Option<tch::Device> {
    match device.as_dispatch() {
        DispatchDevice::LibTorch(device) => Some((*device).into()),
        _ => None,
    }
}

/// Rows `indices` `[b]` of bytes `[n, k]` as f32 `[b, k]`.
pub fn gather_rows(data: Tensor<2, Int>, indices: Tensor<1, Int>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Kernels>::gather_rows(data.into_dispatch(), indices.into_dispatch()))
}

/// Square convolution without bias: `[b, i, h, w]` by `[o, i, k, k]`.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    ops::conv2d(x, weight, None, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
}

/// Batch norm by the batch's own statistics; gives these too (biased variance), shape `[c]`.
pub fn batch_norm_train(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> BatchNormTrainOutput<4> {
    ops::batch_norm_train(x, gamma, beta, epsilon)
}

/// Batch norm by given statistics.
pub fn batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
) -> Tensor<4> {
    ops::batch_norm(x, gamma, beta, mean, variance, epsilon)
}

/// 2x2 max pool with stride 2.
pub fn max_pool2d(x: Tensor<4>) -> Tensor<4> {
    ops::max_pool2d(x, MaxPoolOptions::new([2, 2]))
}

/// Mean over height and width: `[b, c, h, w]` to `[b, c]`.
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    let [b, c, _, _] = x.dims();
    x.mean_dims(&[2, 3]).reshape([b, c])
}
