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
pub use step::{DataFigures, StepBench, StepFigures, data, step};

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
