//! Measurements: the real trainer's step, the sampler, the data path, the journal, the cockpit's
//! frames. Each gives plain figures; how they are shown, and the peers that they are put beside, is
//! the command line's.

mod epoch;
mod journal;
mod sampler;
mod screen;
mod step;
mod stream;

pub use epoch::{EpochFigures, epoch};
pub use journal::{JournalFigures, journal};
pub use sampler::{SamplerFigures, sampler};
pub use screen::{ScreenFigures, TabFigures, screen};
pub use step::{DataFigures, StepBench, StepFigures, StepOperators};
pub use stream::{ReadFigures, read};

use crate::data::{DataError, ReadError};
use crate::importance::AliasError;
use crate::model::device::DeviceError;
use crate::run::RunError;
use crate::train::{PrepareError, TrainError};
use crate::tui::ThemeError;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Why something is not measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// There are no such images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An image cannot be read.
    #[error(transparent)]
    Unread(#[from] ReadError),
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
    /// What was measured broke off: its reason.
    #[error("{0}")]
    Failed(String),
}

/// See [`step::step`]. LibTorch's errors, as of a device without memory for such a batch, are
/// [`BenchError::Failed`].
///
/// # Errors
/// When there is no such device, or it cannot compute so.
pub fn step(b: &StepBench) -> Result<StepFigures, BenchError> {
    in_words(|| step::step(b))
}

/// See [`step::data`]; errors as of [`step`](fn@step).
///
/// # Errors
/// When there is no such device, or it cannot compute so.
pub fn data(b: &StepBench) -> Result<DataFigures, BenchError> {
    in_words(|| step::data(b))
}

/// What `body` gives, its panics as errors.
fn in_words<T>(body: impl FnOnce() -> Result<T, BenchError>) -> Result<T, BenchError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_else(|| "a panic".to_owned());
        Err(BenchError::Failed(text.lines().next().unwrap_or_default().to_owned()))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libtorch_says_against_a_measurement_is_an_error_of_one_line() {
        let refused = || -> Result<(), BenchError> {
            panic!("LibTorch: CUDA out of memory. Tried to allocate 2.00 GiB.{}", "\nmore")
        };
        let error = in_words(refused).expect_err("an error");
        let words = "LibTorch: CUDA out of memory. Tried to allocate 2.00 GiB.";
        assert_eq!(error.to_string(), words);
        assert_eq!(in_words(|| Ok(3)).expect("no error"), 3);
    }
}
