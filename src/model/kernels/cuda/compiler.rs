//! NVRTC, NVIDIA's compiler as a library. Knows nothing of devices but what they compute with.

use super::{Capability, KernelError, Source, functions};
use sha2::{Digest, Sha256};
use std::ffi::{CStr, CString, c_char, c_int, c_void};

type Program = *mut c_void;
type Texts = *const *const c_char;

functions! {
    Compiler {
        nvrtcVersion(*mut c_int, *mut c_int);
        nvrtcGetNumSupportedArchs(*mut c_int);
        nvrtcGetSupportedArchs(*mut c_int);
        nvrtcCreateProgram(*mut Program, *const c_char, *const c_char, c_int, Texts, Texts);
        nvrtcCompileProgram(Program, c_int, Texts);
        nvrtcGetProgramLogSize(Program, *mut usize);
        nvrtcGetProgramLog(Program, *mut c_char);
        nvrtcGetCUBINSize(Program, *mut usize);
        nvrtcGetCUBIN(Program, *mut c_char);
        nvrtcGetPTXSize(Program, *mut usize);
        nvrtcGetPTX(Program, *mut c_char);
        nvrtcDestroyProgram(*mut Program);
    }
}

/// What is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// This device, to machine code.
    Machine(Capability),
    /// Devices from this one on: the driver makes machine code of it.
    Portable(Capability),
}

impl Target {
    /// Its name among NVRTC's architectures.
    pub(super) fn name(self) -> String {
        match self {
            Self::Machine(Capability(n)) => format!("sm_{n}"),
            Self::Portable(Capability(n)) => format!("compute_{n}"),
        }
    }

    /// The best for a device, of what a compiler knows.
    ///
    /// # Errors
    /// [`KernelError::Capability`] when the device is older than all of it.
    fn of(has: Capability, known: &[Capability]) -> Result<Self, KernelError> {
        if known.contains(&has) {
            return Ok(Self::Machine(has));
        }
        let least = known.iter().copied().min().unwrap_or(Capability(c_int::MAX));
        let newest_before = known.iter().copied().filter(|known| *known < has).max();
        newest_before.map(Self::Portable).ok_or(KernelError::Capability { has, least })
    }
}

const STANDARD: &CStr = c"--std=c++17";

/// A program of NVRTC's, until it is dropped.
struct Compiling<'a> {
    program: Program,
    nvrtc: &'a Compiler,
}

impl Drop for Compiling<'_> {
    fn drop(&mut self) {
        // SAFETY: made by nvrtcCreateProgram, and used no more.
        unsafe { (self.nvrtc.nvrtcDestroyProgram)(&raw mut self.program) };
    }
}

type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Get = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

impl Compiling<'_> {
    /// One of a program's texts, with the zero that ends it if it has one.
    fn bytes(&self, size: Size, get: Get) -> Result<Vec<u8>, c_int> {
        let mut length = 0_usize;
        // SAFETY: `length` outlives the call.
        done(unsafe { size(self.program, &raw mut length) })?;
        let mut bytes = vec![0_u8; length];
        // SAFETY: there is room for as many bytes as NVRTC says.
        done(unsafe { get(self.program, bytes.as_mut_ptr().cast()) })?;
        Ok(bytes)
    }

    fn log(&self) -> String {
        let log = self.bytes(self.nvrtc.nvrtcGetProgramLogSize, self.nvrtc.nvrtcGetProgramLog);
        let log = log.unwrap_or_default();
        String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned()
    }
}

fn done(code: c_int) -> Result<(), c_int> {
    if code == 0 { Ok(()) } else { Err(code) }
}

fn refused(function: &'static str, log: String) -> impl FnOnce(c_int) -> KernelError {
    move |code| KernelError::Nvrtc { function, code, log }
}

impl Compiler {
    /// As in `12.8`.
    pub(super) fn version(&self) -> Result<String, KernelError> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both outlive the call.
        done(unsafe { (self.nvrtcVersion)(&raw mut major, &raw mut minor) })
            .map_err(refused("nvrtcVersion", String::new()))?;
        Ok(format!("{major}.{minor}"))
    }

    /// What to compile for on such a device.
    pub(super) fn target(&self, has: Capability) -> Result<Target, KernelError> {
        let why = || refused("nvrtcGetSupportedArchs", String::new());
        let mut count = 0;
        // SAFETY: `count` outlives the call.
        done(unsafe { (self.nvrtcGetNumSupportedArchs)(&raw mut count) }).map_err(why())?;
        let mut known = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: there is room for as many numbers as NVRTC says.
        done(unsafe { (self.nvrtcGetSupportedArchs)(known.as_mut_ptr()) }).map_err(why())?;
        Target::of(has, &known.into_iter().map(Capability).collect::<Vec<_>>())
    }

    /// The name of a kernel in the cache: another one when its source, what it is for or NVRTC
    /// changes.
    pub(super) fn key(&self, source: &Source, target: Target) -> Result<String, KernelError> {
        let (target, version) = (target.name(), self.version()?);
        let name = source.name.to_string_lossy();
        let parts = [source.text.to_bytes(), STANDARD.to_bytes()];
        let hash = Sha256::digest(parts.join(&0));
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{name}-{hash}-{target}-nvrtc-{version}.bin"))
    }

    /// Machine code, or PTX with the zero that ends it.
    pub(super) fn compile(&self, source: &Source, target: Target) -> Result<Vec<u8>, KernelError> {
        let none = std::ptr::null();
        let mut compiling = Compiling { program: std::ptr::null_mut(), nvrtc: self };
        let (text, name) = (source.text.as_ptr(), source.name.as_ptr());
        let program = &raw mut compiling.program;
        // SAFETY: both texts end in a zero, and NVRTC copies them.
        done(unsafe { (self.nvrtcCreateProgram)(program, text, name, 0, none, none) })
            .map_err(refused("nvrtcCreateProgram", String::new()))?;
        let target_option =
            CString::new(format!("--gpu-architecture={}", target.name())).unwrap_or_default();
        let options = [target_option.as_ptr(), STANDARD.as_ptr()];
        // SAFETY: as many texts as said, each with its zero; they outlive the call.
        done(unsafe { (self.nvrtcCompileProgram)(compiling.program, 2, options.as_ptr()) })
            .map_err(|code| refused("nvrtcCompileProgram", compiling.log())(code))?;
        let (size, get): (Size, Get) = match target {
            Target::Machine(_) => (self.nvrtcGetCUBINSize, self.nvrtcGetCUBIN),
            Target::Portable(_) => (self.nvrtcGetPTXSize, self.nvrtcGetPTX),
        };
        compiling.bytes(size, get).map_err(refused("nvrtcGetCUBIN", String::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_the_compiler_knows_gets_machine_code_and_a_newer_one_what_the_driver_takes() {
        let known = [75, 80, 90, 100].map(Capability);
        let of = |n| Target::of(Capability(n), &known);
        assert_eq!(of(90), Ok(Target::Machine(Capability(90))));
        assert_eq!(of(86), Ok(Target::Portable(Capability(80))));
        assert_eq!(of(120), Ok(Target::Portable(Capability(100))));
        let error = of(61).expect_err("an error");
        let (has, least) = (Capability(61), Capability(75));
        assert_eq!(error, KernelError::Capability { has, least });
        assert!(error.to_string().contains("7.5 and newer; this device has 6.1"), "{error}");
    }
}
