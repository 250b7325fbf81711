//! The machine: processor, memory, NVIDIA GPUs, and what the training process takes of them. Knows
//! no screen.

use super::gpus::{self, Gpus, Variables};
use nvml_wrapper::Nvml;
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
    /// The GPUs that the process that trains sees; none where NVML is not there.
    pub gpus: Gpus,
}

/// Looks at it.
pub struct Machine {
    system: System,
    nvml: Option<Nvml>,
    trainer: Option<u32>,
    /// What decides which GPUs the trainer sees.
    variables: Variables,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("trainer", &self.trainer).finish_non_exhaustive()
    }
}

impl Machine {
    /// Of this machine; `trainer` is the process that trains.
    pub fn new(trainer: Option<u32>) -> Self {
        let variables = Variables::of(trainer);
        Self { system: System::new(), nvml: Nvml::init().ok(), trainer, variables }
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
            gpus: self
                .nvml
                .as_ref()
                .map(|nvml| gpus::look(nvml, &self.variables))
                .unwrap_or_default(),
        }
    }
}
