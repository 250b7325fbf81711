//! The operations that training spends its time in, behind one seam: [`Kernels`] has a default body
//! of ordinary Burn ops for each (they serve Flex, and are the reference in tests) and a LibTorch
//! body at full speed. Knows nothing of models, data sets or the method.
// Burn marks LibTorch as deprecated; 0.22 is the last series that has it, and pinned.
#![allow(deprecated)]

mod counting;
mod cuda;
mod held;
mod libtorch;
mod path;
mod repeated;
mod shim;
mod tally;
mod update;

pub use counting::{OperatorCounts, count_operators};
pub use cuda::KernelError;
pub use held::{AnyRank, Held, Leaving, Lost, copied, copied_whole, stored};
#[cfg(test)]
pub(crate) use path::with_device_path;
pub use path::{is_forced as is_device_path_forced, is_launched};
#[cfg(test)]
pub(crate) use repeated::with_failing_captures;
pub use repeated::{Repeated, can_repeat, has_graphs};
pub use tally::{Work, tallied};
pub use update::{DeviceNumbers, Group, Numbers, Rule, StepNumbers, Update, pull};

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::libtorch::LibTorchDevice;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchDevice, ExtensionType, Flex, FloatDType, LibTorch,
    TensorMetadata, backend_extension,
};
use burn::module::Module;
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{BoolDType, DType, Device, Int, IntDType, Slice, Tensor, TensorData};
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

/// Output of a batch norm in training, and the running statistics with this batch in them: those
/// that were given, where they are changed in place.
#[derive(ExtensionType)]
pub struct NormOutput<B: Backend> {
    /// `[b, c, h, w]`
    pub output: FloatTensor<B>,
    /// `[c]`
    pub running_mean: FloatTensor<B>,
    /// `[c]`, unbiased as in PyTorch.
    pub running_var: FloatTensor<B>,
}

/// Operations with a body of their own on LibTorch. Shapes: images `[b, c, h, w]`, everything per
/// channel `[c]`.
#[backend_extension(LibTorch, Flex, Autodiff)]
pub trait Kernels: Backend {
    /// Rows `indices` `[b]` of bytes `data` `[n, k]` as f32 `[b, k]`, values 0 to 255.
    fn gather_rows(data: IntTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        Self::int_into_float(Self::int_select(data, 0, indices), FloatDType::F32)
    }

    /// Square convolution without bias. Where `op` says so, input and weight are multiplied as bf16
    /// and the output is bf16.
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        op: Convolution,
    ) -> FloatTensor<Self> {
        Self::conv2d(x, weight, None, ConvOptions::new([op.stride; 2], [op.padding; 2], [1; 2], 1))
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
    fn normalize_add_train(
        #[extension_type] input: NormInput<Self>,
        residual: FloatTensor<Self>,
        op: Norm,
    ) -> NormOutput<Self> {
        let mut n = by_the_batch(input, op);
        n.output = Self::float_add(n.output, residual);
        if op.relu {
            n.output = Self::relu(n.output);
        }
        n
    }

    /// Batch norm by the running statistics, then ReLU if `op` says so.
    fn normalize(#[extension_type] input: NormInput<Self>, op: Norm) -> FloatTensor<Self> {
        let y = Self::batch_norm(
            input.x,
            input.gamma,
            input.beta,
            input.running_mean,
            input.running_var,
            op.epsilon,
        );
        if op.relu { Self::relu(y) } else { y }
    }

    /// Mean over height and width, `[b, c]`.
    fn average_pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = x.shape();
        Self::float_reshape(Self::adaptive_avg_pool2d(x, [1, 1]), [shape[0], shape[1]].into())
    }

    /// Cross entropy of `logits` `[b, C]` against `labels` `[b]` with label smoothing, each
    /// sample's loss times its factor `[b]`; and what the same softmax says of each sample.
    fn cross_entropy(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        factors: FloatTensor<Self>,
        smoothing: f64,
    ) -> LossOutput<Self> {
        by_ordinary_ops(logits, labels, factors, None, smoothing)
    }

    /// The same, but the loss is that of other logits: the first row of `shifts` `[2, C]` is added
    /// to each, the second to that of the true class. What is said of each sample stays that of
    /// `logits`.
    fn shifted_cross_entropy(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        factors: FloatTensor<Self>,
        shifts: FloatTensor<Self>,
        smoothing: f64,
    ) -> LossOutput<Self> {
        by_ordinary_ops(logits, labels, factors, Some(shifts), smoothing)
    }
}

/// Constants of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    /// Step of the filters.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
    /// Multiply in bf16 (LibTorch only).
    pub bf16: bool,
}

/// Constants of a batch norm in training.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Weight of the batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// What a cross entropy gives.
#[derive(ExtensionType)]
pub struct LossOutput<B: Backend> {
    /// Mean loss, `[1]`.
    pub loss: FloatTensor<B>,
    /// Of each sample: probability of the true class, largest one of another class, that class, sum
    /// of the squared probabilities, entropy in nats; `[b, 5]`.
    pub figures: FloatTensor<B>,
}

/// The reference for a cross entropy, of ordinary ops.
fn by_ordinary_ops<B: Backend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    factors: FloatTensor<B>,
    shifts: Option<FloatTensor<B>>,
    smoothing: f64,
) -> LossOutput<B> {
    let [b, classes] = [logits.shape()[0], logits.shape()[1]];
    let (device, int) = (logits.device(), IntDType::from(labels.dtype()));
    let truth = B::int_reshape(labels, [b, 1].into());
    let column =
        B::int_reshape(B::int_arange(0..classes as i64, &device, int), [1, classes].into());
    let whole = |t| B::int_expand(t, [b, classes].into());
    let is_truth = B::int_equal(whole(column), whole(truth.clone()), BoolDType::Native);
    let log_p = B::log_softmax(logits.clone(), 1);
    let of_loss = match shifts {
        None => log_p.clone(),
        Some(shifts) => {
            let row = |k: usize| {
                let row = B::float_slice(shifts.clone(), &[Slice::from(k..k + 1)]);
                B::float_expand(row, [b, classes].into())
            };
            let truths = B::bool_into_float(is_truth.clone(), FloatDType::F32);
            let by = B::float_add(row(0), B::float_mul(row(1), truths));
            B::log_softmax(B::float_add(logits, by), 1)
        }
    };
    let row = |t| B::float_reshape(t, [b].into());
    let nll = B::float_neg(row(B::float_gather(1, of_loss.clone(), truth.clone())));
    let per_sample = if smoothing == 0.0 {
        nll
    } else {
        let all = row(B::float_mean_dim(of_loss, 1));
        B::float_sub(
            B::float_mul_scalar(nll, (1.0 - smoothing).into()),
            B::float_mul_scalar(all, smoothing.into()),
        )
    };
    let loss = B::float_mean(B::float_mul(per_sample, factors));

    let log_p = B::float_detach(log_p);
    let p = B::float_exp(log_p.clone());
    let p_true = B::float_gather(1, p.clone(), truth);
    let others = B::float_mask_fill(p.clone(), is_truth, (-1.0).into());
    let (p_other, other) = B::float_max_dim_with_indices(others, 1, int);
    let squares = B::float_sum_dim(B::float_mul(p.clone(), p.clone()), 1);
    let entropy = B::float_neg(B::float_sum_dim(B::float_mul(p, log_p), 1));
    let other = B::int_into_float(other, FloatDType::F32);
    LossOutput { loss, figures: B::float_cat(vec![p_true, p_other, other, squares, entropy], 1) }
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
    NormOutput {
        output: n.output,
        running_mean: mix(input.running_mean, n.mean),
        running_var: mix(input.running_var, unbiased),
    }
}

/// Whether an optimizer's step on `model` is made of all parameters together.
pub fn steps_together(model: &impl Module) -> bool {
    model.devices().iter().all(held::changes_in_place)
}

/// Bytes `[n, k]`, resident on `device` at one byte each.
pub fn resident_bytes(bytes: &[u8], shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    if let DispatchDevice::LibTorch(target) = device.as_dispatch() {
        let tensor = tch::Tensor::from_slice(bytes)
            .view(shape.map(|d| d as i64))
            .to_device((*target).into());
        return Tensor::from_primitive::<LibTorch>(TchTensor::new(tensor));
    }
    Tensor::from_data(TensorData::new(bytes.to_vec(), shape), (device, DType::U8))
}

/// The same of bytes that are used for a step only: the host does not wait for a CUDA device.
pub fn bytes(bytes: &[u8], shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    match cuda_copy(bytes, &shape, device) {
        Some(copy) => Tensor::from_primitive::<LibTorch>(copy),
        None => resident_bytes(bytes, shape, device),
    }
}

/// Numbers of the host on `device`. The host does not wait for a CUDA device, which a plain copy
/// would do: for everything that it was given before.
pub fn whole_numbers<const D: usize>(
    values: &[i64],
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    match cuda_copy(values, &shape, device) {
        Some(copy) => Tensor::from_primitive::<LibTorch>(copy),
        None => Tensor::from_data(TensorData::new(values.to_vec(), shape), device),
    }
}

/// The same of f32 numbers.
pub fn numbers<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    match cuda_copy(values, &shape, device) {
        Some(copy) => Tensor::from_primitive::<LibTorch>(copy),
        None => Tensor::from_data(TensorData::new(values.to_vec(), shape), device),
    }
}

fn cuda_copy<T: tch::kind::Element>(
    values: &[T],
    shape: &[usize],
    device: &Device,
) -> Option<TchTensor> {
    let DispatchDevice::LibTorch(LibTorchDevice::Cuda(index)) = device.as_dispatch() else {
        return None;
    };
    let shape: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
    shim::to_cuda(&tch::Tensor::from_slice(values).view(shape.as_slice()), *index)[0]
        .take()
        .map(TchTensor::new)
}

/// Sets how `device` computes, where it is a CUDA device: f32 products as TF32
/// (`torch.backends.cuda.matmul.allow_tf32` and `torch.backends.cudnn.allow_tf32`), and cuDNN's
/// algorithms by trying (`torch.backends.cudnn.benchmark`) or the same ones every time
/// (`torch.backends.cudnn.deterministic`). For the whole process.
pub fn set_cuda_math(device: &Device, tf32: bool, benchmark: bool) {
    if matches!(device.as_dispatch(), DispatchDevice::LibTorch(LibTorchDevice::Cuda(_))) {
        shim::cuda_math(tf32, benchmark);
    }
}

/// What kernels of our own there are on `device`, in words; compiles them. `None` where there need
/// be none: they are for CUDA devices.
///
/// # Errors
/// Why a CUDA device has none. It does the same by ordinary operations.
pub fn compiled(device: &Device) -> Option<Result<String, KernelError>> {
    match device.as_dispatch() {
        DispatchDevice::LibTorch(LibTorchDevice::Cuda(index)) => Some(cuda::status(*index)),
        _ => None,
    }
}

/// What is to be said of kernels that a CUDA device goes without, since this was last called.
pub fn take_warnings() -> Vec<String> {
    cuda::take_warnings()
}

/// cuDNN's version, as `9.10.2`; `None` where LibTorch has none.
pub fn cudnn_version() -> Option<String> {
    let version = shim::cudnn_version().ok()?;
    Some(format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100))
}

/// Memory that LibTorch took of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes of all tensors, when they were most (`torch.cuda.max_memory_allocated`).
    pub in_use: u64,
    /// Bytes taken from the device for them, at most (`torch.cuda.max_memory_reserved`).
    pub held: u64,
}

/// The most that this process took of a CUDA device; `None` for others.
pub fn peak_memory(device: &Device) -> Option<DeviceMemory> {
    let DispatchDevice::LibTorch(LibTorchDevice::Cuda(index)) = device.as_dispatch() else {
        return None;
    };
    let [in_use, held] = shim::cuda_memory(*index).ok()?.map(|bytes| bytes.max(0) as u64);
    Some(DeviceMemory { in_use, held })
}

/// See [`Kernels::gather_rows`]. The tensors need no gradient.
pub fn gather_rows(data: Tensor<2, Int>, indices: Tensor<1, Int>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Kernels>::gather_rows(
        data.into_dispatch(),
        indices.into_dispatch(),
    ))
}

/// Images `[b, c, h, w]`, stored channels-last, out of resident bytes: rows `index` `[b]` of `data`
/// `[n, h w c]`, byte times `scale` plus `shift` (both `[c]`), moved by `crops` `[b, 3]` (down,
/// right, mirrored) where there are some, zero bytes outside. `shape` is channels, height, width.
/// Nothing here has a gradient.
pub fn images(
    data: &Tensor<2, Int>,
    index: Tensor<1, Int>,
    crops: Option<Tensor<2, Int>>,
    [scale, shift]: [&Tensor<1>; 2],
    shape: [usize; 3],
) -> Tensor<4> {
    if let DispatchDevice::LibTorch(device) = data.device().as_dispatch() {
        let of_float = |t: &Tensor<1>| t.clone().try_into_primitive::<LibTorch>();
        let of_crops = crops.clone().map(|c| c.try_into_primitive::<LibTorch>()).transpose();
        if let (Ok(bytes), Ok(index), Ok(crops), Ok(scale), Ok(shift)) = (
            data.clone().try_into_primitive::<LibTorch>(),
            index.clone().try_into_primitive::<LibTorch>(),
            of_crops,
            of_float(scale),
            of_float(shift),
        ) && let Some(images) =
            libtorch::images(*device, &bytes, &index, crops.as_ref(), [&scale, &shift], shape)
        {
            return Tensor::from_primitive::<LibTorch>(images).permute([0, 3, 1, 2]);
        }
    }
    ordinary_images(data, index, crops, [scale, shift], shape)
}

/// The reference for [`images`], of ordinary ops.
fn ordinary_images(
    data: &Tensor<2, Int>,
    index: Tensor<1, Int>,
    crops: Option<Tensor<2, Int>>,
    [scale, shift]: [&Tensor<1>; 2],
    [c, h, w]: [usize; 3],
) -> Tensor<4> {
    let (b, n) = (index.dims()[0], data.dims()[0]);
    let pixels = match crops {
        None => gather_rows(data.clone(), index).reshape([b, h, w, c]),
        Some(crops) => {
            // Pixel by pixel: row and column of each target pixel in its source, zero where that is
            // outside.
            let device = data.device();
            let move_by = |k: usize| crops.clone().slice([0..b, k..k + 1]).reshape([b, 1, 1]);
            let arange = |n: usize| Tensor::<1, Int>::arange(0..n as i64, &device);
            let (right, mirrored) = (move_by(1), move_by(2));
            let rows = arange(h).reshape([1, h, 1]) + move_by(0);
            // Mirrored: column j shows w - 1 - right - j, else j + right.
            let sign = mirrored.clone() * -2 + 1;
            let columns = (arange(w).reshape([1, 1, w]) + right) * sign + mirrored * (w as i64 - 1);
            let inside = |t: &Tensor<3, Int>, n: usize| {
                t.clone().greater_equal_elem(0).bool_and(t.clone().lower_elem(n as i64))
            };
            let visible =
                inside(&rows, h).expand([b, h, w]).bool_and(inside(&columns, w).expand([b, h, w]));
            let source = index.reshape([b, 1, 1]) * (h * w) as i64
                + rows.clamp(0, h as i64 - 1) * w as i64
                + columns.clamp(0, w as i64 - 1);
            let flat = data.clone().reshape([n * h * w, c]);
            gather_rows(flat, source.reshape([b * h * w])).reshape([b, h, w, c])
                * visible.float().reshape([b, h, w, 1])
        }
    };
    (pixels * scale.clone().reshape([1, 1, 1, c]) + shift.clone().reshape([1, 1, 1, c]))
        .permute([0, 3, 1, 2])
}

/// See [`Kernels::convolve`]: `[b, i, h, w]` by `[o, i, k, k]`.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, op: Convolution) -> Tensor<4> {
    let [_, inputs, height, width] = weight.dims();
    let y: Tensor<4> = Tensor::from_dispatch(<Dispatch as Kernels>::convolve(
        x.into_dispatch(),
        weight.into_dispatch(),
        op,
    ));
    tally::add(y.dims(), inputs * height * width);
    y
}

/// See [`Kernels::cross_entropy`], and [`Kernels::shifted_cross_entropy`] where there are `shifts`
/// `[2, C]`: the loss `[1]`, with its graph, and the figures `[b, 5]`.
pub fn cross_entropy(
    logits: Tensor<2>,
    labels: Tensor<1, Int>,
    factors: Tensor<1>,
    shifts: Option<Tensor<2>>,
    smoothing: f64,
) -> (Tensor<1>, Tensor<2>) {
    let (logits, labels, factors) =
        (logits.into_dispatch(), labels.into_dispatch(), factors.into_dispatch());
    let out = match shifts.map(Tensor::into_dispatch) {
        None => <Dispatch as Kernels>::cross_entropy(logits, labels, factors, smoothing),
        Some(shifts) => {
            <Dispatch as Kernels>::shifted_cross_entropy(logits, labels, factors, shifts, smoothing)
        }
    };
    (Tensor::from_dispatch(out.loss), Tensor::from_dispatch(out.figures))
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

/// Batch norm by the batch, `+ residual` where there is one, then ReLU if `op` says so. Gives the
/// output; and the running mean and variance with this batch in them, unless those that were given
/// were changed in place, as on LibTorch.
pub fn batch_norm_train(
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    parameters: NormParameters,
    op: Norm,
) -> (Tensor<4>, Option<[Tensor<1>; 2]>) {
    let is_in_place = held::changes_in_place(&x.device());
    let input = parameters.with(x);
    let n = match residual {
        Some(residual) => {
            <Dispatch as Kernels>::normalize_add_train(input, residual.into_dispatch(), op)
        }
        None => <Dispatch as Kernels>::normalize_train(input, op),
    };
    let running =
        (!is_in_place).then(|| [n.running_mean, n.running_var].map(Tensor::from_dispatch));
    (Tensor::from_dispatch(n.output), running)
}

/// Batch norm by the running statistics, then ReLU if `op` says so.
pub fn batch_norm(x: Tensor<4>, parameters: NormParameters, op: Norm) -> Tensor<4> {
    tally::add(x.dims(), 0);
    Tensor::from_dispatch(<Dispatch as Kernels>::normalize(parameters.with(x), op))
}

/// 2x2 max pool with stride 2.
pub fn max_pool2d(x: Tensor<4>) -> Tensor<4> {
    let y = burn::tensor::module::max_pool2d(x, MaxPoolOptions::new([2, 2]));
    tally::add(y.dims(), 0);
    y
}

/// 3x3 max pool with stride 2, padded by one pixel that is less than any other.
pub fn overlapping_max_pool(x: Tensor<4>) -> Tensor<4> {
    let options = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
    let y = burn::tensor::module::max_pool2d(x, options);
    tally::add(y.dims(), 0);
    y
}

/// Rows `[b, i]` times the transpose of `[o, i]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let [output, input] = weight.dims();
    tally::add([x.dims()[0], output], input);
    x.matmul(weight.transpose())
}

/// See [`Kernels::average_pool`]: `[b, c, h, w]` to `[b, c]`.
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Kernels>::average_pool(x.into_dispatch()))
}

#[cfg(test)]
mod tests;
