//! The machine: processor, memory, NVIDIA GPUs, and what the training process takes of them. Knows
//! no screen.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// A process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// Process id.
    pub pid: u32,
    /// Percent of one core.
    pub cpu: f64,
    /// Resident memory, bytes.
    pub memory: u64,
}

/// A GPU, as NVML tells of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuFigures {
    /// As its maker calls it.
    pub name: String,
    /// Percent of the time in which it computed.
    pub utilization: u32,
    /// Bytes used and in all.
    pub memory: (u64, u64),
    /// Watts.
    pub power: f64,
    /// Degrees Celsius.
    pub temperature: u32,
}

/// What a look at the machine gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineFigures {
    /// Percent of each logical core.
    pub cores: Vec<f64>,
    /// Load of the last minute.
    pub load: f64,
    /// Bytes used and in all.
    pub memory: (u64, u64),
    /// The process that trains.
    pub trainer: Option<ProcessFigures>,
    /// The cockpit's own process, where that is another one.
    pub cockpit: Option<ProcessFigures>,
    /// GPUs; empty where there are none or NVML is not there.
    pub gpus: Vec<GpuFigures>,
}

/// Looks at it.
pub struct Machine {
    system: System,
    nvml: Option<Nvml>,
    trainer: Option<u32>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("trainer", &self.trainer).finish_non_exhaustive()
    }
}

impl Machine {
    /// Of this machine; `trainer` is the process that trains.
    pub fn new(trainer: Option<u32>) -> Self {
        Self { system: System::new(), nvml: Nvml::init().ok(), trainer }
    }

    /// Figures since the last look.
    pub fn look(&mut self) -> MachineFigures {
        let own = std::process::id();
        let pids: Vec<Pid> = self.trainer.into_iter().chain([own]).map(Pid::from_u32).collect();
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what);
        let process = |pid: u32| {
            let p = self.system.process(Pid::from_u32(pid))?;
            Some(ProcessFigures { pid, cpu: f64::from(p.cpu_usage()), memory: p.memory() })
        };
        MachineFigures {
            cores: self.system.cpus().iter().map(|c| f64::from(c.cpu_usage())).collect(),
            load: System::load_average().one,
            memory: (self.system.used_memory(), self.system.total_memory()),
            trainer: self.trainer.and_then(process),
            cockpit: (self.trainer != Some(own)).then(|| process(own)).flatten(),
            gpus: self.nvml.as_ref().map(gpus).unwrap_or_default(),
        }
    }
}

/// What a GPU does not tell is zero.
fn gpus(nvml: &Nvml) -> Vec<GpuFigures> {
    let one = |i: u32| {
        let gpu = nvml.device_by_index(i).ok()?;
        let memory = gpu.memory_info().map(|m| (m.used, m.total)).unwrap_or_default();
        Some(GpuFigures {
            name: gpu.name().unwrap_or_else(|_| format!("GPU {i}")),
            utilization: gpu.utilization_rates().map(|u| u.gpu).unwrap_or_default(),
            memory,
            power: gpu.power_usage().map(|mw| f64::from(mw) / 1e3).unwrap_or_default(),
            temperature: gpu.temperature(TemperatureSensor::Gpu).unwrap_or_default(),
        })
    };
    (0..nvml.device_count().unwrap_or(0)).filter_map(one).collect()
}
