//! What a run leaves on the disk: its directory and its journal.
//! Knows nothing of training or of screens.

mod directory;
mod hub;
mod journal;

pub use directory::{RunDirectory, RunError};
pub use hub::Hub;
pub use journal::{Journal, read as read_journal};
