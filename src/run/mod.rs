//! What a run leaves on the disk: its directory, its journal, its checkpoints.
//! Knows nothing of how training works, nor of screens.

mod checkpoints;
mod directory;
mod hub;
mod journal;
mod keeper;

pub use checkpoints::{Checkpoints, Found};
pub use directory::{RunDirectory, RunError, RunLock};
pub use hub::Hub;
pub use journal::{Journal, read as read_journal};
pub use keeper::Keeper;
