//! What a run leaves on the disk: its directory, its journal, its checkpoints.
//! Knows nothing of how training works, nor of screens.

mod checkpoints;
mod directory;
mod durable;
mod ending;
mod hub;
mod journal;
mod keeper;
mod samples;
mod tensorboard;

pub use checkpoints::{Checkpoints, Found};
pub use directory::{RunDirectory, RunError, RunLock};
pub use ending::Ending;
pub use hub::{Hub, HubOutlet};
pub use journal::{Journal, Read as ReadJournal, Tail, read as read_journal, read_without_steps};
pub use keeper::Keeper;
pub use samples::{read_samples, samples_written};
pub use tensorboard::TensorBoard;
