//! The driver's library: loads a compiled kernel and launches it in LibTorch's context, on a stream
//! that the caller names. Knows nothing of tensors.

use super::{Capability, KernelError, functions};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

type Context = *mut c_void;
type Module = *mut c_void;
type Function = *mut c_void;
/// A `cudaStream_t`; null is the default stream.
pub(super) type Stream = *mut c_void;
type Pointers = *mut *mut c_void;

functions! {
    Driver {
        cuInit(c_uint);
        cuDeviceGet(*mut c_int, c_int);
        cuDeviceGetAttribute(*mut c_int, c_int, c_int);
        cuDevicePrimaryCtxRetain(*mut Context, c_int);
        cuCtxPushCurrent_v2(Context);
        cuCtxPopCurrent_v2(*mut Context);
        cuModuleLoadData(*mut Module, *const c_void);
        cuModuleGetFunction(*mut Function, Module, *const c_char);
        cuLaunchKernel(
            Function, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Stream, Pointers,
            Pointers,
        );
    }
}

/// CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
const CAPABILITY: [c_int; 2] = [75, 76];

fn done(function: &'static str, code: c_int) -> Result<(), KernelError> {
    if code == 0 { Ok(()) } else { Err(KernelError::Driver { function, code }) }
}

impl Driver {
    /// The driver's handle of a device. LibTorch counts devices as the driver does.
    fn device(&self, device: usize) -> Result<c_int, KernelError> {
        let mut handle = 0;
        let index = c_int::try_from(device).unwrap_or(c_int::MAX);
        // SAFETY: may be called at any time, and as often as one likes.
        done("cuInit", unsafe { (self.cuInit)(0) })?;
        // SAFETY: `handle` outlives the call.
        done("cuDeviceGet", unsafe { (self.cuDeviceGet)(&raw mut handle, index) })?;
        Ok(handle)
    }

    /// What a device computes with.
    pub(super) fn capability(&self, device: usize) -> Result<Capability, KernelError> {
        let handle = self.device(device)?;
        let [major, minor] = CAPABILITY.map(|attribute| {
            let mut value = 0;
            // SAFETY: `value` outlives the call.
            let code = unsafe { (self.cuDeviceGetAttribute)(&raw mut value, attribute, handle) };
            done("cuDeviceGetAttribute", code).map(|()| value)
        });
        Ok(Capability(major? * 10 + minor?))
    }

    /// Loads function `name` of a compiled kernel into the context that LibTorch uses, too: the
    /// device's primary one. It stays there until the process ends.
    pub(super) fn load(
        &self,
        device: usize,
        image: &[u8],
        name: &CStr,
    ) -> Result<Loaded<'_>, KernelError> {
        let handle = self.device(device)?;
        let mut context = std::ptr::null_mut();
        // SAFETY: `context` outlives the call.
        done("cuDevicePrimaryCtxRetain", unsafe {
            (self.cuDevicePrimaryCtxRetain)(&raw mut context, handle)
        })?;
        let mut loaded = Loaded { driver: self, context, function: std::ptr::null_mut() };
        let mut module = std::ptr::null_mut();
        loaded.in_context(|| {
            // SAFETY: machine code, or PTX with its zero, out of NVRTC; the driver copies it.
            done("cuModuleLoadData", unsafe {
                (self.cuModuleLoadData)(&raw mut module, image.as_ptr().cast())
            })
        })?;
        // SAFETY: a module that the driver has just given, and a text with its zero.
        done("cuModuleGetFunction", unsafe {
            (self.cuModuleGetFunction)(&raw mut loaded.function, module, name.as_ptr())
        })?;
        Ok(loaded)
    }
}

/// A kernel on a device.
pub(super) struct Loaded<'a> {
    driver: &'a Driver,
    context: Context,
    function: Function,
}

// SAFETY: the driver's handles may be used by any thread.
unsafe impl Send for Loaded<'_> {}
// SAFETY: as above.
unsafe impl Sync for Loaded<'_> {}

/// How many threads a launch has: `blocks` x `rows` blocks of `threads`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) blocks: c_uint,
    pub(super) rows: c_uint,
    pub(super) threads: c_uint,
}

impl Loaded<'_> {
    /// Does something with the device's context current on this thread, and leaves the one that was
    /// current before.
    fn in_context(
        &self,
        body: impl FnOnce() -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        // SAFETY: the context is retained.
        done("cuCtxPushCurrent", unsafe { (self.driver.cuCtxPushCurrent_v2)(self.context) })?;
        let result = body();
        let mut popped = std::ptr::null_mut();
        // SAFETY: `popped` outlives the call.
        let code = unsafe { (self.driver.cuCtxPopCurrent_v2)(&raw mut popped) };
        result.and(done("cuCtxPopCurrent", code))
    }

    /// Puts the kernel on `stream`; nobody waits for it.
    ///
    /// # Safety
    /// The kernel takes a `T`, and the memory that `task` points to stays what it is until the
    /// stream has come to the kernel.
    pub(super) unsafe fn launch<T>(
        &self,
        task: &T,
        grid: Grid,
        stream: Stream,
    ) -> Result<(), KernelError> {
        let mut parameters = [(&raw const *task).cast_mut().cast::<c_void>()];
        let Grid { blocks, rows, threads } = grid;
        let (f, none) = (self.function, std::ptr::null_mut());
        self.in_context(|| {
            // SAFETY: the driver copies the parameter, which is of the kernel's type.
            done("cuLaunchKernel", unsafe {
                let parameters = parameters.as_mut_ptr();
                let launch = self.driver.cuLaunchKernel;
                launch(f, blocks, rows, 1, threads, 1, 1, 0, stream, parameters, none)
            })
        })
    }
}
