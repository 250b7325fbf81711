//! Measurements: the real trainer's step, the sampler, the data path, the journal, the cockpit's
//! frames. Each gives plain figures; how they are shown, and the peers that they are put beside, is
//! the command line's.

mod epoch;
mod journal;
mod sampler;
mod screen;
mod step;

pub use epoch::{EpochFigures, epoch};
pub use journal::{JournalFigures, journal};
pub use sampler::{SamplerFigures, sampler};
pub use screen::{ScreenFigures, TabFigures, screen};
pub use step::{DataFigures, StepBench, StepFigures, StepOperators, data, step};

use crate::importance::AliasError;
use crate::model::device::DeviceError;
use crate::run::RunError;
use crate::train::{PrepareError, TrainError};
use crate::tui::ThemeError;
use std::io;
use std::path::PathBuf;

/// Why something is not measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// It cannot train so.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// There is no thread that trains.
    #[error(transparent)]
    Prepare(#[from] PrepareError<TrainError>),
    /// No alias table of so many weights.
    #[error(transparent)]
    Weights(#[from] AliasError),
    /// The run's directory is taken.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There is no such theme.
    #[error(transparent)]
    Theme(#[from] ThemeError),
    /// The temporary directory takes no files.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error(transparent)]
    Thread(io::Error),
    /// The run that was measured broke off: its reason.
    #[error("{0}")]
    Failed(String),
}

/// Largest memory of this process so far, in MiB; 0 where the system does not tell.
pub fn peak_memory_mib() -> f64 {
    memory("VmHWM:")
}

/// Memory of this process now, in MiB; 0 where the system does not tell.
pub fn memory_mib() -> f64 {
    memory("VmRSS:")
}

fn memory(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|l| l.strip_prefix(key)?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
