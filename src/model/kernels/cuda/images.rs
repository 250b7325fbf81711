//! Images out of resident bytes as one kernel.

use super::driver::{Grid, Loaded, Stream};
use super::{KernelError, Source, give_up, loaded};
use crate::model::kernels::shim;
use std::ffi::{CStr, c_int};
use tch::{Kind, Tensor};

/// See `images.h`.
pub(super) static SOURCE: Source =
    Source { name: c"earlybird_images", what: "crops and normalisation", text: TEXT };

const TEXT: &CStr =
    match CStr::from_bytes_with_nul(concat!(include_str!("images.h"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("images.h holds a zero"),
    };

/// What is to be made, laid out as in `images.h`. The addresses are the device's.
#[repr(C)]
struct ImagesTask {
    bytes: *const u8,
    index: *const i64,
    crops: *const i64,
    scale: *const f32,
    shift: *const f32,
    images: *mut f32,
    n: i64,
    b: i64,
    h: c_int,
    w: c_int,
    c: c_int,
}

/// What images are made of, all of it on one device.
pub(in crate::model::kernels) struct Parts<'a> {
    /// Bytes `[n, h w c]`.
    pub(in crate::model::kernels) bytes: &'a Tensor,
    /// i64 `[b]`
    pub(in crate::model::kernels) index: &'a Tensor,
    /// i64 `[b, 3]`
    pub(in crate::model::kernels) crops: Option<&'a Tensor>,
    /// f32 `[c]` each.
    pub(in crate::model::kernels) scale_shift: [&'a Tensor; 2],
    /// Channels, height, width.
    pub(in crate::model::kernels) shape: [usize; 3],
}

/// Threads of a block. An image of 28 x 28 pixels leaves 112 of its 7 blocks' 896 idle.
const THREADS: u32 = 128;
/// The most rows of blocks that a launch may have.
const ROWS: i64 = 65_535;
/// The most pixels of an image: the kernel counts in 32 bits.
const PIXELS: usize = 1 << 30;

impl Parts<'_> {
    /// Whether the kernel takes them as they are.
    fn fit(&self) -> bool {
        let [c, h, w] = self.shape;
        let pixels = h.checked_mul(w).filter(|pixels| *pixels <= PIXELS);
        let Some(values) = pixels.and_then(|pixels| pixels.checked_mul(c)) else { return false };
        let is = |t: &Tensor, kind: Kind, size: &[i64]| {
            t.kind() == kind
                && t.device() == self.bytes.device()
                && t.size() == size
                && t.is_contiguous()
        };
        let [n, b] = [self.bytes, self.index].map(|t| t.size().first().copied().unwrap_or(0));
        b > 0
            && (1..=PIXELS).contains(&values)
            && is(self.bytes, Kind::Uint8, &[n, values as i64])
            && is(self.index, Kind::Int64, &[b])
            && self.crops.is_none_or(|crops| is(crops, Kind::Int64, &[b, 3]))
            && self.scale_shift.iter().all(|t| is(t, Kind::Float, &[c as i64]))
    }

    /// Images f32 `[b, h, w, c]`, on `stream`; `None` where the kernel does not take the parts.
    pub(super) fn make(
        &self,
        kernel: &Loaded<'_>,
        stream: Stream,
    ) -> Result<Option<Tensor>, KernelError> {
        if !self.fit() {
            return Ok(None);
        }
        let ([c, h, w], [scale, shift]) = (self.shape, self.scale_shift);
        let [n, b] = [self.bytes.size()[0], self.index.size()[0]];
        let size = [b, h as i64, w as i64, c as i64];
        let images = Tensor::empty(size, (Kind::Float, self.bytes.device()));
        let task = ImagesTask {
            bytes: self.bytes.data_ptr().cast(),
            index: self.index.data_ptr().cast(),
            crops: self.crops.map_or(std::ptr::null(), |crops| crops.data_ptr().cast()),
            scale: scale.data_ptr().cast(),
            shift: shift.data_ptr().cast(),
            images: images.data_ptr().cast(),
            n,
            b,
            h: h as c_int, // at most PIXELS, as the others
            w: w as c_int,
            c: c as c_int,
        };
        let grid = Grid {
            blocks: ((h * w) as u32).div_ceil(THREADS),
            rows: b.min(ROWS) as u32,
            threads: THREADS,
        };
        // SAFETY: the kernel takes such a task. It reads and writes within the tensors whose sizes
        // were checked; LibTorch gives their memory to others only behind it on the same stream.
        unsafe { kernel.launch(&task, grid, stream) }?;
        Ok(Some(images))
    }
}

/// Images f32 `[b, h, w, c]` on CUDA device `device`, on LibTorch's current stream; `None` where
/// there is no kernel for it.
pub(in crate::model::kernels) fn images(device: usize, parts: &Parts<'_>) -> Option<Tensor> {
    let kernel = loaded(&SOURCE, device);
    let kernel = (*kernel).as_ref().ok()?;
    let stream = shim::cuda_stream(device).map_err(KernelError::from);
    let made = stream.and_then(|stream| parts.make(kernel, stream));
    made.unwrap_or_else(|why| {
        give_up(&SOURCE, device, why);
        None
    })
}
