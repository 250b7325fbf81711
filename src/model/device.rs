//! Devices by name, and what LibTorch there is. With `kernels` the only place that names LibTorch.
// Burn marks LibTorch as deprecated; 0.22 is the last series that has it, and pinned.
#![allow(deprecated)]

use super::kernels::set_cuda_math;
use super::libtorch::Flavour;
use burn::tensor::Device;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Where training runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// LibTorch on the CPU: `libtorch:cpu` or `cpu`.
    LibtorchCpu,
    /// LibTorch on a CUDA device: `libtorch:cuda:0` or `cuda:0` or `cuda`.
    LibtorchCuda(usize),
    /// Burn's own CPU backend: `flex`. Slow; the reference.
    Flex,
}

/// How CUDA devices of this process compute; others do not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CudaMath {
    /// f32 products as TF32 (ten bits of mantissa), in cuBLAS and cuDNN.
    pub tf32: bool,
    /// cuDNN's algorithms by trying; else the same ones, and the same bits, every time.
    pub cudnn_benchmark: bool,
}

impl Default for CudaMath {
    fn default() -> Self {
        Self { tf32: true, cudnn_benchmark: false }
    }
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No such name.
    #[error(
        "unknown device \"{0}\"\n  Known are cpu, cuda:0 (any index), flex; with their backend, \
         libtorch:cpu and libtorch:cuda:0."
    )]
    Unknown(String),
    /// LibTorch sees no such CUDA device.
    #[error("{name}: {why}\n  `earlybird doctor` shows the devices there are.")]
    Absent {
        /// Its name.
        name: String,
        /// What LibTorch says.
        why: String,
    },
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(s: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(s.to_owned());
        match s.strip_prefix("libtorch:").unwrap_or(s) {
            "cpu" => Ok(Self::LibtorchCpu),
            "cuda" => Ok(Self::LibtorchCuda(0)),
            "flex" if s == "flex" => Ok(Self::Flex),
            other => {
                let index = other.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::LibtorchCuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LibtorchCpu => write!(f, "libtorch:cpu"),
            Self::LibtorchCuda(i) => write!(f, "libtorch:cuda:{i}"),
            Self::Flex => write!(f, "flex"),
        }
    }
}

impl DeviceName {
    /// The first CUDA device, else the CPU.
    pub fn best() -> Self {
        if cuda_devices() > 0 { Self::LibtorchCuda(0) } else { Self::LibtorchCpu }
    }

    /// Whether it is a device of its own beside the processor.
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::LibtorchCuda(_))
    }

    /// What LibTorch's bodies and training are tested on: the processor, or what
    /// `EARLYBIRD_TEST_DEVICE` names.
    #[cfg(test)]
    pub(crate) fn tested() -> Self {
        match std::env::var("EARLYBIRD_TEST_DEVICE") {
            Ok(name) => name.parse().expect("EARLYBIRD_TEST_DEVICE names a device"),
            Err(_) => Self::LibtorchCpu,
        }
    }

    /// The same for tests: a CUDA device computes as exactly as it can, unless
    /// EARLYBIRD_TEST_TF32 is set.
    #[cfg(test)]
    pub fn open(self) -> Result<Device, DeviceError> {
        let tf32 = std::env::var_os("EARLYBIRD_TEST_TF32").is_some();
        self.open_with(CudaMath { tf32, cudnn_benchmark: false })
    }

    /// The Burn device (without autodiff). Nobody gets a CUDA device without saying how it
    /// computes: it would compute as LibTorch happens to.
    ///
    /// # Errors
    /// [`DeviceError::Absent`] when there is no such CUDA device.
    pub fn open_with(self, math: CudaMath) -> Result<Device, DeviceError> {
        match self {
            Self::LibtorchCpu => Ok(Device::libtorch()),
            Self::Flex => Ok(Device::flex()),
            Self::LibtorchCuda(i) => {
                let count = cuda_devices();
                if i < count {
                    let device = Device::libtorch_cuda(i);
                    set_cuda_math(&device, math.tf32, math.cudnn_benchmark);
                    return Ok(device);
                }
                let why = match count {
                    0 if has_cuda_build() => "LibTorch sees no CUDA device (no driver, or \
                                              CUDA_VISIBLE_DEVICES hides it)"
                        .to_owned(),
                    0 => {
                        "this LibTorch is the CPU build; EARLYBIRD_LIBTORCH=cuda make build takes \
                          the other one"
                            .to_owned()
                    }
                    n => format!("LibTorch sees {n} CUDA device(s), counted from 0"),
                };
                Err(DeviceError::Absent { name: self.to_string(), why })
            }
        }
    }
}

/// Waits until a CUDA device has done everything that it was given; others have.
pub fn wait_for(device: &Device) {
    use burn::backend::{DispatchDevice, libtorch::LibTorchDevice};
    if let DispatchDevice::LibTorch(LibTorchDevice::Cuda(index)) = device.as_dispatch() {
        tch::Cuda::synchronize(*index as i64);
    }
}

/// Whether `device` multiplies in bf16.
pub fn computes_bf16(device: &Device) -> bool {
    matches!(device.as_dispatch(), burn::backend::DispatchDevice::LibTorch(_))
}

/// What this processor multiplies bf16 with; empty where it has nothing for that.
pub fn bf16_units() -> Vec<&'static str> {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let known = ["avx512_bf16", "amx_bf16", "bf16"];
    let has = |flag: &str| {
        flags.lines().any(|l| {
            (l.starts_with("flags") || l.starts_with("Features"))
                && l.split_whitespace().any(|f| f == flag)
        })
    };
    known.into_iter().filter(|flag| has(flag)).collect()
}

/// CUDA devices that LibTorch can use.
pub fn cuda_devices() -> usize {
    if tch::Cuda::is_available() {
        usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
    } else {
        0
    }
}

/// Whether there is an NVIDIA driver, going by files under `root`: containers often lack its tools.
pub fn has_driver(root: &Path) -> bool {
    let files = ["dev/nvidiactl", "dev/dxg", "proc/driver/nvidia/version"];
    let folders = ["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib", "usr/lib/wsl/lib"];
    let libraries = folders.iter().map(|folder| format!("{folder}/libcuda.so.1"));
    files.into_iter().map(str::to_owned).chain(libraries).any(|file| root.join(file).exists())
}

/// Whether this LibTorch was built with CUDA.
pub fn has_cuda_build() -> bool {
    tch::utils::has_cuda()
}

/// LibTorch's intra-op threads.
pub fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

/// What computes, by name and version.
pub fn versions() -> Vec<(String, String)> {
    let pair = |a: &str, b: String| (a.to_owned(), b);
    vec![
        pair("earlybird", env!("CARGO_PKG_VERSION").into()),
        pair("burn", "0.22.1".into()),
        pair("libtorch", Flavour::loaded().version),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_found_by_any_of_its_files() {
        for file in
            ["dev/nvidiactl", "dev/dxg", "proc/driver/nvidia/version", "usr/lib64/libcuda.so.1"]
        {
            let root = tempfile::tempdir().expect("a folder");
            assert!(!has_driver(root.path()));
            let file = root.path().join(file);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(&file, "").expect("written");
            assert!(has_driver(root.path()), "{}", file.display());
        }
    }
}
