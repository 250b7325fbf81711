//! Safe wrappers around `shim.cpp`: LibTorch tensors in, LibTorch tensors out. `shim.h` says what
//! each function demands of its tensors, which the shim checks before it touches their memory;
//! build.rs writes the declarations from it. Errors of the shim and of ATen become panics with
//! their message: the trainer thread turns them into a `failed` event.

use super::{Convolution, Norm, Sgd};
use std::ffi::{CStr, c_char};
use tch::Tensor;
use torch_sys::C_tensor;

include!(concat!(env!("OUT_DIR"), "/shim.rs")); // the declarations

/// A tensor, or null.
fn pointer(tensor: Option<&Tensor>) -> *const C_tensor {
    tensor.map_or(std::ptr::null(), |t| t.as_ptr())
}

/// Calls `body` with room for `N` tensors and takes what it puts there; a null stays `None`.
///
/// # Panics
/// With the message that `body` gives.
fn take<const N: usize>(
    body: impl FnOnce(*mut [*mut C_tensor; N]) -> *const c_char,
) -> [Option<Tensor>; N] {
    let mut out = [std::ptr::null_mut::<C_tensor>(); N];
    let message = body(&raw mut out);
    // SAFETY: each pointer that is not null is a tensor that the shim handed over to us alone.
    let tensors =
        out.map(|tensor| (!tensor.is_null()).then(|| unsafe { Tensor::from_ptr(tensor) }));
    if !message.is_null() {
        // SAFETY: a NUL-terminated string of the shim's, which stays until this thread calls again.
        let text = unsafe { CStr::from_ptr(message) }.to_string_lossy();
        panic!("LibTorch: {text}");
    }
    tensors
}

/// Gradients of the input (if wanted) and of the weight of a square convolution without bias.
pub(super) fn convolution_backward(
    grad: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    op: Convolution,
    want_input: bool,
) -> [Option<Tensor>; 2] {
    // SAFETY: the tensors live through the call, which checks them and only reads them.
    take(|out| unsafe {
        earlybird_convolution_backward(
            grad.as_ptr(),
            input.as_ptr(),
            weight.as_ptr(),
            op.stride as i64,
            op.padding as i64,
            want_input,
            out,
        )
    })
}

/// Gradients of input, scale and shift of a batch norm in training. `saved` are mean and inverse
/// deviation.
pub(super) fn batch_norm_backward(
    grad: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    saved: [&Tensor; 2],
    eps: f64,
) -> [Option<Tensor>; 3] {
    let [mean, invstd] = saved.map(|t| t.as_ptr());
    // SAFETY: as above.
    take(|out| unsafe {
        earlybird_batch_norm_backward(
            grad.as_ptr(),
            input.as_ptr(),
            weight.as_ptr(),
            mean,
            invstd,
            eps,
            out,
        )
    })
}

/// Whether [`batch_norm_forward`] and [`batch_norm_gradients`] use LibTorch's threads.
pub(super) fn has_threads() -> bool {
    // SAFETY: reads a constant.
    unsafe { earlybird_has_threads() }
}

/// Batch norm in training on the processor, `+ residual`, ReLU if `op` says so: output, mean,
/// inverse deviation. The running statistics (mean, variance) are updated in place: nobody else may
/// hold them.
pub(super) fn batch_norm_forward(
    input: &Tensor,
    residual: Option<&Tensor>,
    [weight, bias]: [&Tensor; 2],
    running: &mut [Tensor; 2],
    op: Norm,
) -> [Option<Tensor>; 3] {
    let [mean, var] = running;
    // SAFETY: as above; the running statistics, which it writes, are lent to us alone.
    take(|out| unsafe {
        earlybird_batch_norm_forward(
            input.as_ptr(),
            pointer(residual),
            weight.as_ptr(),
            bias.as_ptr(),
            mean.as_mut_ptr(),
            var.as_mut_ptr(),
            op.momentum,
            op.epsilon,
            op.relu,
            out,
        )
    })
}

/// Its gradients: of input, scale and shift, and of the residual (if wanted). `saved` are mean and
/// inverse deviation.
pub(super) fn batch_norm_gradients(
    grad: &Tensor,
    input: &Tensor,
    output: &Tensor,
    weight: &Tensor,
    saved: [&Tensor; 2],
    relu: bool,
    want_residual: bool,
) -> [Option<Tensor>; 4] {
    // SAFETY: as above.
    take(|out| unsafe {
        earlybird_batch_norm_gradients(
            grad.as_ptr(),
            input.as_ptr(),
            output.as_ptr(),
            weight.as_ptr(),
            saved[0].as_ptr(),
            saved[1].as_ptr(),
            relu,
            want_residual,
            out,
        )
    })
}

/// Mean loss `[1]`, figures `[b, 5]` and gradient of the logits `[b, C]`, on the processor.
pub(super) fn cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    factors: &Tensor,
    shifts: Option<&Tensor>,
    smoothing: f64,
) -> [Option<Tensor>; 3] {
    // SAFETY: as above.
    take(|out| unsafe {
        earlybird_cross_entropy(
            logits.as_ptr(),
            labels.as_ptr(),
            factors.as_ptr(),
            pointer(shifts),
            smoothing,
            out,
        )
    })
}

/// One step of SGD on `weight` and `velocity`, in place: nobody else may hold them.
pub(super) fn sgd_step(weight: &mut Tensor, gradient: &Tensor, velocity: &mut Tensor, op: Sgd) {
    // SAFETY: as above; weight and velocity, which it writes, are lent to us alone.
    let [] = take(|_| unsafe {
        let (weight, velocity) = (weight.as_mut_ptr(), velocity.as_mut_ptr());
        earlybird_sgd_step(
            weight,
            gradient.as_ptr(),
            velocity,
            op.lr,
            op.momentum,
            op.weight_decay,
            op.nesterov,
        )
    });
}

/// Images `index` `[b]` out of `bytes` `[n, h w c]` as f32 `[b, h, w, c]`, on the processor;
/// `crops` `[b, 3]` move them.
pub(super) fn gather_images(
    bytes: &Tensor,
    index: &Tensor,
    crops: Option<&Tensor>,
    [scale, shift]: [&Tensor; 2],
    [c, h, w]: [usize; 3],
) -> [Option<Tensor>; 1] {
    // SAFETY: as above.
    take(|out| unsafe {
        earlybird_gather_images(
            bytes.as_ptr(),
            index.as_ptr(),
            pointer(crops),
            scale.as_ptr(),
            shift.as_ptr(),
            h as i64,
            w as i64,
            c as i64,
            out,
        )
    })
}

/// A copy on CUDA device `index` that the host does not wait for.
pub(super) fn to_cuda(tensor: &Tensor, index: usize) -> [Option<Tensor>; 1] {
    // SAFETY: as above; LibTorch keeps the pinned copy until the device has read it.
    take(|out| unsafe { earlybird_to_cuda(tensor.as_ptr(), index as i64, out) })
}

/// How CUDA devices of this process compute from here on: products of f32 as TF32, and the fastest
/// algorithms found by trying (else the same ones every time).
pub(super) fn cuda_math(tf32: bool, benchmark: bool) {
    // SAFETY: sets flags of LibTorch's own.
    let [] = take(|_| unsafe { earlybird_cuda_math(tf32, benchmark) });
}

/// The form of a tensor without memory: a tensor that is not on the processor, on any machine.
#[cfg(test)]
fn to_meta(tensor: &Tensor) -> [Option<Tensor>; 1] {
    // SAFETY: as above.
    take(|out| unsafe { earlybird_to_meta(tensor.as_ptr(), out) })
}

#[cfg(test)]
mod tests;
