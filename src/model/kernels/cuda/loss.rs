//! Cross entropy with what is recorded of each sample, as one kernel and a mean.

use super::driver::{Grid, Loaded, Stream};
use super::{KernelError, Source, give_up, loaded};
use crate::model::kernels::shim;
use std::ffi::{CStr, c_int};
use tch::{Kind, Tensor};

/// See `loss.h`.
pub(super) static SOURCE: Source = Source { name: c"earlybird_loss", what: "the loss", text: TEXT };

const TEXT: &CStr =
    match CStr::from_bytes_with_nul(concat!(include_str!("loss.h"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("loss.h holds a zero"),
    };

/// What is to be computed, laid out as in `loss.h`. The addresses are the device's.
#[repr(C)]
struct LossTask {
    logits: *const f32,
    labels: *const i64,
    factors: *const f32,
    shifts: *const f32,
    losses: *mut f32,
    figures: *mut f32,
    gradient: *mut f32,
    b: c_int,
    classes: c_int,
    smoothing: f32,
}

/// What a loss is computed of, all of it on one device.
pub(in crate::model::kernels) struct Logits<'a> {
    /// f32 `[b, C]`
    pub(in crate::model::kernels) logits: &'a Tensor,
    /// i64 `[b]`, in `0..C`.
    pub(in crate::model::kernels) labels: &'a Tensor,
    /// f32 `[b]`
    pub(in crate::model::kernels) factors: &'a Tensor,
    /// f32 `[2, C]`
    pub(in crate::model::kernels) shifts: Option<&'a Tensor>,
    pub(in crate::model::kernels) smoothing: f64,
}

/// Threads of a block: few, so that a batch's rows are spread over the device.
const THREADS: u32 = 32;

impl Logits<'_> {
    /// Rows and classes, where the kernel takes the tensors as they are.
    fn fit(&self) -> Option<[c_int; 2]> {
        let [b, classes] = self.logits.size()[..] else { return None };
        let is = |t: &Tensor, kind: Kind, size: &[i64]| {
            t.kind() == kind
                && t.device() == self.logits.device()
                && t.size() == size
                && t.is_contiguous()
        };
        let fits = is(self.logits, Kind::Float, &[b, classes])
            && is(self.labels, Kind::Int64, &[b])
            && is(self.factors, Kind::Float, &[b])
            && self.shifts.is_none_or(|shifts| is(shifts, Kind::Float, &[2, classes]));
        let counts = [c_int::try_from(b).ok()?, c_int::try_from(classes).ok()?];
        (fits && b > 0 && classes > 0).then_some(counts)
    }

    /// Mean loss `[1]`, figures `[b, 5]` and gradient `[b, C]`, on `stream`; `None` where the
    /// kernel does not take the tensors.
    pub(super) fn compute(
        &self,
        kernel: &Loaded<'_>,
        stream: Stream,
    ) -> Result<Option<[Tensor; 3]>, KernelError> {
        let Some([b, classes]) = self.fit() else { return Ok(None) };
        let empty = |size: &[i64]| Tensor::empty(size, (Kind::Float, self.logits.device()));
        let (rows, columns) = (i64::from(b), i64::from(classes));
        let [losses, figures, gradient] =
            [empty(&[rows]), empty(&[rows, 5]), empty(&[rows, columns])];
        let task = LossTask {
            logits: self.logits.data_ptr().cast(),
            labels: self.labels.data_ptr().cast(),
            factors: self.factors.data_ptr().cast(),
            shifts: self.shifts.map_or(std::ptr::null(), |shifts| shifts.data_ptr().cast()),
            losses: losses.data_ptr().cast(),
            figures: figures.data_ptr().cast(),
            gradient: gradient.data_ptr().cast(),
            b,
            classes,
            smoothing: self.smoothing as f32,
        };
        let grid = Grid { blocks: b.unsigned_abs().div_ceil(THREADS), rows: 1, threads: THREADS };
        // SAFETY: the kernel takes such a task. It reads and writes within the tensors whose sizes
        // were checked; LibTorch gives their memory to others only behind it on the same stream.
        unsafe { kernel.launch(&task, grid, stream) }?;
        Ok(Some([losses.mean(Kind::Float).view([1]), figures, gradient]))
    }
}

/// Mean loss `[1]`, figures `[b, 5]` and gradient `[b, C]` on CUDA device `device`, on LibTorch's
/// current stream; `None` where there is no kernel for it.
pub(in crate::model::kernels) fn cross_entropy(
    device: usize,
    logits: &Logits<'_>,
) -> Option<[Tensor; 3]> {
    let kernel = loaded(&SOURCE, device);
    let kernel = (*kernel).as_ref().ok()?;
    let stream = shim::cuda_stream(device).map_err(KernelError::from);
    let computed = stream.and_then(|stream| logits.compute(kernel, stream));
    computed.unwrap_or_else(|why| {
        give_up(&SOURCE, device, why);
        None
    })
}
