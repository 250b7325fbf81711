//! What a run leaves on the disk: its directory, its journal, its checkpoints.
//! Knows nothing of how training works, nor of screens.

mod checkpoints;
mod directory;
mod durable;
mod ending;
mod hub;
mod journal;
mod keeper;
mod lock;
mod model;
mod samples;
mod tensorboard;
mod trainer;

pub use checkpoints::{Checkpoints, Found};
pub use directory::{RunDirectory, RunError};
pub(crate) use durable::with_suffix;
pub use ending::{Ending, had_a_checkpoint};
pub use hub::{Hub, HubOutlet};
pub use journal::{Journal, Read as ReadJournal, Tail, read as read_journal, read_without_steps};
pub use keeper::Keeper;
pub use lock::{Ownership, RunLock};
pub use model::{ModelError, RunModel, Which};
pub use samples::{read_samples, samples_written};
pub use tensorboard::TensorBoard;
pub use trainer::{TrainedBy, Trainer};
