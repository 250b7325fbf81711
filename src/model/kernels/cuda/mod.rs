//! Kernels of our own on CUDA devices, where ATen would take dozens of operations. NVRTC compiles
//! them for the device at the first start, and the cache keeps them. Whatever is missing for that
//! (NVRTC, the driver's library, a form of tensor that a kernel does not take) costs speed only:
//! the ordinary operations do the same.

mod cache;
mod compiler;
mod driver;
mod images;
mod loss;

pub(super) use images::{Parts, images};
pub(super) use loss::{Logits, cross_entropy};

use self::compiler::Compiler;
use self::driver::{Driver, Loaded};
use super::shim::Refusal;
use crate::cache::cache_dir;
use libloading::Library;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_int};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A kernel: its source in the common language of NVRTC and the C++ compiler.
struct Source {
    /// The function to launch, and the name of its file in the cache.
    name: &'static CStr,
    /// What it does, in words.
    what: &'static str,
    text: &'static CStr,
}

/// What a device computes with: 9.0 is 90.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(c_int);

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

/// Why a device has no kernels of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// LibTorch brings no NVRTC, or there is no driver.
    #[error("{library} cannot be loaded: {why}")]
    Library { library: String, why: String },
    /// NVRTC or the driver is too old.
    #[error("{0} is missing in NVIDIA's libraries")]
    Function(&'static str),
    /// NVRTC compiles for newer devices only.
    #[error("NVRTC compiles for compute capability {least} and newer; this device has {has}")]
    Capability { has: Capability, least: Capability },
    /// It refused, with NVRTC's log.
    #[error("NVRTC's {function} failed ({code}): {log}")]
    Nvrtc { function: &'static str, code: c_int, log: String },
    /// The driver refused.
    #[error("the driver's {function} failed ({code})")]
    Driver { function: &'static str, code: c_int },
    /// LibTorch refused.
    #[error(transparent)]
    LibTorch(#[from] Refusal),
}

/// A table of functions out of a library; each gives 0 or an error's number.
macro_rules! functions {
    ($(#[$doc:meta])* $table:ident { $($name:ident($($type:ty),* $(,)?);)* }) => {
        $(#[$doc])*
        #[allow(non_snake_case)] // NVIDIA's names
        pub(super) struct $table {
            $(pub(super) $name: unsafe extern "C" fn($($type),*) -> std::ffi::c_int,)*
        }

        impl $table {
            /// # Errors
            /// [`KernelError::Function`] when the library lacks one.
            pub(super) fn find(
                library: &libloading::Library,
            ) -> Result<Self, super::KernelError> {
                Ok(Self {
                    $($name: {
                        let missing = |_| super::KernelError::Function(stringify!($name));
                        // SAFETY: NVIDIA's headers declare the function so.
                        *unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) }
                            .map_err(missing)?
                    },)*
                })
            }
        }
    };
}
use functions;

/// LibTorch's own way to NVRTC and to the driver: a library without code whose dependencies they
/// are. So both are those that LibTorch itself uses, of CUDA 12 and 13 alike, wherever they lie.
const LIBRARY: &str = "libcaffe2_nvrtc.so";

struct Nvidia {
    compiler: Compiler,
    driver: Driver,
}

fn nvidia() -> Result<&'static Nvidia, KernelError> {
    static FOUND: OnceLock<Result<Nvidia, KernelError>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let library = open(LIBRARY)?;
        let (compiler, driver) = (Compiler::find(&library)?, Driver::find(&library)?);
        std::mem::forget(library); // its functions stay
        Ok(Nvidia { compiler, driver })
    });
    found.as_ref().map_err(KernelError::clone)
}

fn open(name: &str) -> Result<Library, KernelError> {
    // SAFETY: NVIDIA's libraries, and LibTorch's, may be loaded at any time.
    unsafe { Library::new(name) }
        .map_err(|e| KernelError::Library { library: name.to_owned(), why: e.to_string() })
}

type Found = Arc<Result<Loaded<'static>, KernelError>>;

/// What each device has of each kernel.
static LOADED: Mutex<BTreeMap<(usize, &'static CStr), Found>> = Mutex::new(BTreeMap::new());

/// A kernel on a device, compiled and loaded when it is first asked for: before a CUDA graph is
/// captured, since loading is nothing that a graph can repeat.
fn loaded(source: &'static Source, device: usize) -> Found {
    let mut all = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = all.entry((device, source.name)).or_insert_with(|| {
        Arc::new(load(source, device).inspect_err(|why| warn(source, device, why)))
    });
    found.clone()
}

/// From here on the device has this kernel no more.
fn give_up(source: &'static Source, device: usize, why: KernelError) {
    let mut all = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if !matches!(all.get(&(device, source.name)).map(|found| &**found), Some(Err(_))) {
        warn(source, device, &why);
        all.insert((device, source.name), Arc::new(Err(why)));
    }
}

/// What is to be said of kernels that there are not.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Once for each kernel and device.
fn warn(source: &Source, device: usize, why: &KernelError) {
    let what = source.what;
    let text = format!("cuda:{device} goes without its kernel for {what}, which is slower: {why}");
    WARNINGS.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}

/// The warnings since this was last called.
pub(super) fn take_warnings() -> Vec<String> {
    std::mem::take(&mut WARNINGS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn load(source: &Source, device: usize) -> Result<Loaded<'static>, KernelError> {
    let Nvidia { compiler, driver } = nvidia()?;
    let capability = driver.capability(device)?;
    let target = compiler.target(capability)?;
    let key = compiler.key(source, target)?;
    let image =
        cache::kept(&cache_dir().join("kernels"), &key, || compiler.compile(source, target))?;
    driver.load(device, &image, source.name)
}

/// What kernels cuda:`device` has, in words; compiles them.
///
/// # Errors
/// Why it has none.
pub(super) fn status(device: usize) -> Result<String, KernelError> {
    let Nvidia { compiler, driver } = nvidia()?;
    let target = compiler.target(driver.capability(device)?)?;
    for source in [&images::SOURCE, &loss::SOURCE] {
        (*loaded(source, device)).as_ref().map_err(KernelError::clone)?;
    }
    Ok(format!("compiled for {} by NVRTC {}", target.name(), compiler.version()?))
}

#[cfg(test)]
mod tests;
