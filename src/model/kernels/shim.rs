//! Safe wrappers around `shim.cpp`: LibTorch tensors in, LibTorch tensors out.
//! An error of ATen becomes a panic with its message: the trainer thread turns that into a `failed` event.

use std::ffi::{CStr, c_char, c_int};
use tch::Tensor;
use torch_sys::C_tensor;

unsafe extern "C" {
    fn earlybird_convolution_backward(
        grad: *const C_tensor,
        input: *const C_tensor,
        weight: *const C_tensor,
        stride: i64,
        padding: i64,
        want_input: c_int,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn earlybird_batch_norm_backward(
        grad: *const C_tensor,
        input: *const C_tensor,
        weight: *const C_tensor,
        mean: *const C_tensor,
        invstd: *const C_tensor,
        eps: f64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn earlybird_free(message: *mut c_char);
}

/// Calls `body` with room for `N` tensors and takes what it puts there; a null stays `None`.
fn take<const N: usize>(body: impl FnOnce(*mut *mut C_tensor) -> *mut c_char) -> [Option<Tensor>; N] {
    let mut out = [std::ptr::null_mut::<C_tensor>(); N];
    let message = body(out.as_mut_ptr());
    if !message.is_null() {
        // SAFETY: the shim gives a NUL-terminated string of its own, to be freed by `earlybird_free`, once.
        let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
        unsafe { earlybird_free(message) };
        panic!("LibTorch: {text}");
    }
    // SAFETY: each pointer that is not null is a tensor that the shim handed over to us alone.
    out.map(|tensor| (!tensor.is_null()).then(|| unsafe { Tensor::from_ptr(tensor) }))
}

/// Gradients of the input (if wanted) and of the weight of a square convolution without bias.
pub(super) fn convolution_backward(
    grad: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    stride: usize,
    padding: usize,
    want_input: bool,
) -> [Option<Tensor>; 2] {
    // SAFETY: the tensors live through the call, which only reads them; `out` has room for two.
    take(|out| unsafe {
        earlybird_convolution_backward(
            grad.as_ptr(),
            input.as_ptr(),
            weight.as_ptr(),
            stride as i64,
            padding as i64,
            c_int::from(want_input),
            out,
        )
    })
}

/// Gradients of input, scale and shift of a batch norm in training.
pub(super) fn batch_norm_backward(
    grad: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    mean: &Tensor,
    invstd: &Tensor,
    eps: f64,
) -> [Option<Tensor>; 3] {
    // SAFETY: as above; `out` has room for three.
    take(|out| unsafe {
        earlybird_batch_norm_backward(grad.as_ptr(), input.as_ptr(), weight.as_ptr(), mean.as_ptr(), invstd.as_ptr(), eps, out)
    })
}
