//! What there is to compute on: each device is named, and makes one small step of training, so that
//! a GPU that this LibTorch does not support is found here and not when a run begins.

use super::{Finding, ok, warning};
use crate::bench::{self, StepBench};
use crate::config::{ModelName, Precision};
use crate::model::device::{self, CudaMath, DeviceName};
use crate::model::kernels;
use crate::tui::{GpuFigures, own_gpus};
use std::path::Path;

/// What is found of each device.
pub(super) fn findings() -> Vec<Finding> {
    let mut found = vec![step_on(DeviceName::LibtorchCpu, "cpu".to_owned())];
    let driver = device::has_driver(Path::new("/"));
    match (device::cuda_devices(), driver, device::has_cuda_build()) {
        (0, false, _) => {
            found.push(ok("device", "no CUDA device (no NVIDIA driver on this machine)"));
        }
        (0, true, false) => found.push(warning(
            "device",
            "an NVIDIA driver is present, but this LibTorch is the CPU build",
            "EARLYBIRD_LIBTORCH=cuda make build, or activate a Python with torch 2.9 to 2.11 and \
             its CUDA build, remove .libtorch and build again.",
        )),
        (0, true, true) => found.push(warning(
            "device",
            "an NVIDIA driver is present, but LibTorch sees no CUDA device",
            "Check CUDA_VISIBLE_DEVICES, and by nvidia-smi that the driver is new enough for this \
             CUDA. A container must be given its GPUs (docker run --gpus all).",
        )),
        (n, ..) => found.extend(cuda(n)),
    }
    found
}

/// Of `n` CUDA devices.
fn cuda(n: usize) -> Vec<Finding> {
    let told = own_gpus();
    let mut found = Vec::new();
    if let Some((driver, _)) = &told {
        let cudnn = kernels::cudnn_version().map_or_else(String::new, |v| format!(", cuDNN {v}"));
        found.push(ok("driver", format!("NVIDIA {driver}{cudnn}")));
    }
    found.push(if kernels::has_graphs() {
        ok("graphs", "CUDA graphs: steps become one launch (train.cuda_graph)")
    } else {
        warning(
            "graphs",
            "no CUDA graphs: CUDA's headers were not there when this was compiled",
            "pip install nvidia-cuda-nvcc-cu12 (CUDA 13: nvidia-cuda-crt) beside torch, or set \
             CUDA_HOME to a toolkit, and build again.",
        )
    });
    for index in 0..n {
        let gpu = told.iter().flat_map(|(_, gpus)| &gpus.visible).find(|gpu| gpu.cuda == index);
        let name = gpu.map_or_else(String::new, |gpu| format!(": {}", words(gpu)));
        found.push(step_on(DeviceName::LibtorchCuda(index), format!("cuda:{index}{name}")));
        found.extend(kernels_of(index));
    }
    found
}

/// Name, compute capability and memory.
fn words(gpu: &GpuFigures) -> String {
    let capability = gpu.capability.map(|(major, minor)| format!("capability {major}.{minor}"));
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let memory = gpu.memory.map(|(used, all)| {
        format!("{:.1} of {:.1} GiB free", gib(all.saturating_sub(used)), gib(all))
    });
    let parts = [Some(gpu.name.clone()), capability, memory];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Makes some small steps of training on a device, which is `called` so.
fn step_on(name: DeviceName, called: String) -> Finding {
    let small = StepBench {
        model: ModelName::Convnet,
        shape: [1, 8, 8],
        classes: 2,
        samples: 64,
        batch: 4,
        steps: 6, // the fourth would be captured as a CUDA graph
        warmup: 0,
        precision: Precision::Fp32,
        augment: true,
        count_ops: false,
        device: name,
        math: CudaMath::default(),
    };
    // A panic's message comes in the finding.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let made = bench::step(&small);
    std::panic::set_hook(report);
    match made {
        Ok(figures) => match figures.warnings.first().filter(|_| name.is_gpu()) {
            None => ok("device", format!("{called}; a step of training works")),
            Some(warned) => warning(
                "device",
                format!("{called}; a step of training works, but {warned}"),
                "It is slower so. train.cuda_graph = \"off\" leaves the graph out.",
            ),
        },
        Err(why) => warning(
            "device",
            format!("{called}; a step of training fails: {why}"),
            "\"no kernel image\" means that this LibTorch has no code for this GPU: take a newer \
             or an older one. Else see that no other process holds the device's memory.",
        ),
    }
}

/// What was compiled for a CUDA device.
fn kernels_of(index: usize) -> Option<Finding> {
    let device = DeviceName::LibtorchCuda(index).open_with(CudaMath::default()).ok()?;
    Some(match kernels::compiled(&device)? {
        Ok(what) => ok("kernels", format!("cuda:{index}: {what}")),
        Err(why) => warning(
            "kernels",
            format!("cuda:{index}: {why}"),
            "Crops and normalisation take more operations there, which is slower. NVRTC comes with \
             PyTorch's CUDA wheels (nvidia-cuda-nvrtc).",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_told_by_what_is_known_of_it() {
        let whole = GpuFigures {
            name: "NVIDIA H100".into(),
            capability: Some((9, 0)),
            memory: Some((1 << 30, 80 << 30)),
            ..GpuFigures::default()
        };
        assert_eq!(words(&whole), "NVIDIA H100, capability 9.0, 79.0 of 80.0 GiB free");
        let mute = GpuFigures { name: "GPU".into(), ..GpuFigures::default() };
        assert_eq!(words(&mute), "GPU");
    }

    #[test]
    fn a_device_makes_a_step_or_says_why_not() {
        let fine = step_on(DeviceName::LibtorchCpu, "cpu".into());
        assert!(fine.remedy.is_none() && fine.text.contains("works"), "{}", fine.text);
        let absent = step_on(DeviceName::LibtorchCuda(999), "cuda:999".into());
        assert!(absent.remedy.is_some() && absent.text.contains("fails: "), "{}", absent.text);
    }
}
