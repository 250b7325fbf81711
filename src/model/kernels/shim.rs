//! Safe wrappers around `shim.cpp`: LibTorch tensors in, LibTorch tensors out. `shim.h` says what
//! each function demands of its tensors, which the shim checks before it touches their memory;
//! build.rs writes the declarations from it. Errors of the shim and of ATen become panics with
//! their message: the trainer thread turns them into a `failed` event.

use super::{Convolution, Norm};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
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
    succeeded(message);
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

/// A number, or the tensor `[]` where the device finds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    pub(super) number: f64,
    pub(super) there: Option<&'a Tensor>,
}

/// Pointers to the tensors of one step of an optimizer, as many of each kind as of weights.
struct Pointers {
    weights: Vec<*mut C_tensor>,
    gradients: Vec<*const C_tensor>,
    n: i64,
}

impl Pointers {
    /// # Panics
    /// Where there are not as many of both.
    fn new(weights: &mut [Tensor], gradients: &[Tensor]) -> Self {
        let n = weights.len();
        assert_eq!(gradients.len(), n, "a step needs as many gradients as weights");
        let weights = weights.iter_mut().map(Tensor::as_mut_ptr).collect();
        let gradients = gradients.iter().map(Tensor::as_ptr).collect();
        Self { weights, gradients, n: n as i64 }
    }

    /// # Panics
    /// Where there are not as many of `kept`.
    fn kept(&self, kept: &mut [Tensor]) -> Vec<*mut C_tensor> {
        assert_eq!(kept.len(), self.weights.len(), "a step needs as much kept as weights");
        kept.iter_mut().map(Tensor::as_mut_ptr).collect()
    }
}

/// One step of SGD on all `weights` and, with momentum, their `velocities`, in place: nobody else
/// may hold them. Gradients are divided by `scale` `[]`.
///
/// # Panics
/// Also where there are not as many gradients and velocities as weights.
pub(super) fn sgd_step(
    weights: &mut [Tensor],
    gradients: &[Tensor],
    velocities: &mut [Tensor],
    lr: Given<'_>,
    (momentum, nesterov): (f64, bool),
    weight_decay: f64,
    scale: Option<&Tensor>,
) {
    let of = Pointers::new(weights, gradients);
    let velocities = if momentum == 0.0 { Vec::new() } else { of.kept(velocities) };
    // SAFETY: as above; there are `n` of each that is read. Weights and velocities, which it
    // writes, are lent to us alone.
    let [] = take(|_| unsafe {
        earlybird_sgd_step(
            of.weights.as_ptr(),
            of.gradients.as_ptr(),
            velocities.as_ptr(),
            of.n,
            pointer(lr.there),
            pointer(scale),
            lr.number,
            momentum,
            weight_decay,
            nesterov,
        )
    });
}

/// One step of AdamW, likewise; `kept` are the means of gradients and of their squares, `op` are
/// beta1, beta2 and epsilon.
///
/// # Panics
/// As [`sgd_step`].
pub(super) fn adamw_step(
    weights: &mut [Tensor],
    gradients: &[Tensor],
    kept: [&mut [Tensor]; 2],
    [lr, step]: [Given<'_>; 2],
    (beta1, beta2, epsilon): (f64, f64, f64),
    weight_decay: f64,
    scale: Option<&Tensor>,
) {
    let of = Pointers::new(weights, gradients);
    let [means, squares] = kept.map(|kept| of.kept(kept));
    // SAFETY: as above.
    let [] = take(|_| unsafe {
        earlybird_adamw_step(
            of.weights.as_ptr(),
            of.gradients.as_ptr(),
            means.as_ptr(),
            squares.as_ptr(),
            of.n,
            pointer(lr.there),
            pointer(step.there),
            pointer(scale),
            lr.number,
            step.number,
            beta1,
            beta2,
            epsilon,
            weight_decay,
        )
    });
}

/// The norm `[1]` of all values of f32 `tensors`, of which there are some, and what they are
/// divided by `[]` for it to be at most `largest`.
pub(super) fn norm(tensors: &[&Tensor], largest: f64) -> [Option<Tensor>; 2] {
    let all: Vec<_> = tensors.iter().map(|t| t.as_ptr()).collect();
    // SAFETY: as above.
    take(|out| unsafe { earlybird_norm(all.as_ptr(), all.len() as i64, largest, out) })
}

/// Moves `tensors` towards `to`, of the same shapes, by a share, in place: nobody else may hold
/// them.
///
/// # Panics
/// Also where there are not as many of both.
pub(super) fn pull(tensors: &mut [Tensor], to: &[Tensor], by: Given<'_>) {
    assert_eq!(tensors.len(), to.len(), "pull: as many of both are needed");
    let n = to.len() as i64;
    let tensors: Vec<_> = tensors.iter_mut().map(Tensor::as_mut_ptr).collect();
    let to: Vec<_> = to.iter().map(Tensor::as_ptr).collect();
    // SAFETY: as above; what it writes is lent to us alone.
    let [] = take(|_| unsafe {
        earlybird_pull(tensors.as_ptr(), to.as_ptr(), n, pointer(by.there), by.number)
    });
}

/// Copies the values of `from` to the tensors `to` of the same shapes and types, in place: nobody
/// else may hold these.
///
/// # Panics
/// Also where there are not as many of both.
pub(super) fn copy_all(to: &mut [Tensor], from: &[Tensor]) {
    assert_eq!(to.len(), from.len(), "copy_all: as many of both are needed");
    let n = to.len() as i64;
    let to: Vec<_> = to.iter_mut().map(Tensor::as_mut_ptr).collect();
    let from: Vec<_> = from.iter().map(Tensor::as_ptr).collect();
    // SAFETY: as above; what it writes is lent to us alone.
    let [] = take(|_| unsafe { earlybird_copy_all(to.as_ptr(), from.as_ptr(), n) });
}

/// Whether all values of f32 `tensors`, of which there are some, are finite: a bool `[]` that stays
/// on their device.
pub(super) fn are_finite(tensors: &[Tensor]) -> [Option<Tensor>; 1] {
    let all: Vec<_> = tensors.iter().map(Tensor::as_ptr).collect();
    // SAFETY: as above.
    take(|out| unsafe { earlybird_are_finite(all.as_ptr(), all.len() as i64, out) })
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

/// Whether this build has CUDA graphs.
pub(super) fn has_graphs() -> bool {
    // SAFETY: reads a constant.
    unsafe { earlybird_has_graphs() }
}

/// A CUDA graph.
#[derive(Debug)]
pub(super) struct Graph {
    handle: NonNull<c_void>,
    is_captured: bool,
}

impl Graph {
    /// With nothing in it, of CUDA device `index`.
    ///
    /// # Panics
    /// Where this build has no CUDA, or there is no such device.
    pub(super) fn new(index: usize) -> Self {
        let mut out = [std::ptr::null_mut::<c_void>(); 1];
        // SAFETY: `out` is room for one pointer.
        succeeded(unsafe { earlybird_graph_new(index as i64, &raw mut out) });
        let handle = NonNull::new(out[0]).unwrap_or_else(|| panic!("LibTorch: no graph was made"));
        Self { handle, is_captured: false }
    }

    /// Whether there is something to be launched.
    pub(super) fn is_captured(&self) -> bool {
        self.is_captured
    }

    /// Runs `body`, whose launches on the device by this thread go into the graph instead of being
    /// done.
    pub(super) fn capture<T>(&mut self, body: impl FnOnce() -> T) -> T {
        // SAFETY: the handle is that of a graph that only this thread uses.
        succeeded(unsafe { earlybird_graph_begin(self.handle.as_ptr()) });
        let given = body();
        // SAFETY: as above.
        succeeded(unsafe { earlybird_graph_end(self.handle.as_ptr()) });
        self.is_captured = true;
        given
    }

    /// Launches all of it.
    pub(super) fn launch(&mut self) {
        // SAFETY: as above.
        succeeded(unsafe { earlybird_graph_launch(self.handle.as_ptr()) });
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: nobody uses the graph after this.
        unsafe { earlybird_graph_free(self.handle.as_ptr()) };
    }
}

/// Values on their way to the host.
#[derive(Debug)]
pub(super) struct Leaving(NonNull<c_void>);

// SAFETY: the memory behind it belongs to nobody else, and LibTorch's events may be waited for on
// any thread.
unsafe impl Send for Leaving {}

impl Leaving {
    /// Sends the values of f32 `tensors`, each row-major, one after another.
    ///
    /// # Panics
    /// When there are none.
    pub(super) fn new(tensors: &[Tensor]) -> Self {
        let all: Vec<_> = tensors.iter().map(Tensor::as_ptr).collect();
        let mut out = [std::ptr::null_mut()];
        // SAFETY: the tensors live through the call, which only reads them; so does `out`.
        succeeded(unsafe { earlybird_leave(all.as_ptr(), all.len() as i64, &raw mut out) });
        Self(NonNull::new(out[0]).unwrap_or_else(|| panic!("LibTorch: nothing was sent")))
    }

    /// Waits for them: f32, on the processor.
    pub(super) fn arrived(&self) -> Result<Tensor, Refusal> {
        let mut out = [std::ptr::null_mut::<C_tensor>()];
        // SAFETY: the handle is that of values that were sent; `out` outlives the call.
        said(unsafe { earlybird_arrived(self.0.as_ptr(), &raw mut out) })?;
        // SAFETY: without an error there is a tensor, which was handed over to us alone.
        Ok(unsafe { Tensor::from_ptr(out[0]) })
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // SAFETY: nobody uses the handle after this.
        unsafe { earlybird_leaving_free(self.0.as_ptr()) };
    }
}

/// # Panics
/// With `message`, where there is one.
fn succeeded(message: *const c_char) {
    said(message).unwrap_or_else(|refusal| panic!("{refusal}"));
}

/// Runs `body` and gives what it gives, and the text of what this thread asked ATen for meanwhile
/// (see the header).
pub(super) fn counted<T>(body: impl FnOnce() -> T) -> (T, String) {
    // SAFETY: it has no arguments.
    unsafe { earlybird_count_operators() };
    let given = body();
    // SAFETY: a NUL-terminated string of the shim's, which stays until this thread counts again.
    let text = unsafe { CStr::from_ptr(earlybird_counted_operators()) };
    (given, text.to_string_lossy().into_owned())
}

/// What the shim or LibTorch says against a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("LibTorch: {0}")]
pub struct Refusal(String);

/// What a function of the shim's that gives no tensors says.
fn said(message: *const c_char) -> Result<(), Refusal> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a NUL-terminated string of the shim's, which stays until this thread calls again.
    Err(Refusal(unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()))
}

/// LibTorch's current stream on CUDA device `index`, a `cudaStream_t`.
pub(super) fn cuda_stream(index: usize) -> Result<*mut c_void, Refusal> {
    let mut stream = [0];
    // SAFETY: `stream` outlives the call.
    said(unsafe { earlybird_cuda_stream(index as i64, &raw mut stream) })?;
    Ok(stream[0] as *mut c_void)
}

/// Bytes of CUDA device `index` that LibTorch had in use at most, and that it held at most.
pub(super) fn cuda_memory(index: usize) -> Result<[i64; 2], Refusal> {
    let mut bytes = [0; 2];
    // SAFETY: `bytes` outlives the call.
    said(unsafe { earlybird_cuda_memory(index as i64, &raw mut bytes) })?;
    Ok(bytes)
}

/// cuDNN's version, as 91002.
pub(super) fn cudnn_version() -> Result<i64, Refusal> {
    let mut version = [0];
    // SAFETY: `version` outlives the call.
    said(unsafe { earlybird_cudnn_version(&raw mut version) })?;
    Ok(version[0])
}

/// Carries out a launch of the kernel for images on the processor.
///
/// # Safety
/// `task` is an `ImagesTask` of `cuda/images.h`, and what it points to is the processor's memory.
#[cfg(test)]
pub(super) unsafe fn images_threads(task: *const c_void, threads: u32, rows: u32) {
    // SAFETY: the caller's.
    let message = unsafe { earlybird_images_threads(task, i64::from(threads), i64::from(rows)) };
    said(message).unwrap_or_else(|refusal| panic!("{refusal}"));
}

/// The same of the kernel for the loss.
///
/// # Safety
/// `task` is a `LossTask` of `cuda/loss.h`, and what it points to is the processor's memory.
#[cfg(test)]
pub(super) unsafe fn loss_threads(task: *const c_void, threads: u32) {
    // SAFETY: the caller's.
    said(unsafe { earlybird_loss_threads(task, i64::from(threads)) })
        .unwrap_or_else(|refusal| panic!("{refusal}"));
}

/// The form of a tensor without memory: a tensor that is not on the processor, on any machine.
#[cfg(test)]
fn to_meta(tensor: &Tensor) -> [Option<Tensor>; 1] {
    // SAFETY: as above.
    take(|out| unsafe { earlybird_to_meta(tensor.as_ptr(), out) })
}

#[cfg(test)]
mod tests;
