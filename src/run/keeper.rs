//! How a run's state goes to the disk: checkpoints, what became of the samples, and the model at
//! the end.

use super::checkpoints::sha256;
use super::{Checkpoints, RunDirectory, durable, samples};
use crate::model::to_safetensors;
use crate::protocol::{CheckpointKind, Event};
use crate::train::Kept;
use std::io;

/// Keeps what a session has reached.
#[derive(Clone, Debug)]
pub struct Keeper {
    directory: RunDirectory,
    checkpoints: Checkpoints,
}

impl Keeper {
    /// For the run in `directory`.
    pub fn new(directory: RunDirectory) -> Self {
        let checkpoints = directory.checkpoints();
        Self { directory, checkpoints }
    }

    /// The run's checkpoints.
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// Writes a state; gives the event that tells of it, if it is worth telling.
    ///
    /// # Errors
    /// Whatever the file system says; nothing half is left under a final name.
    pub fn keep(&self, state: &Kept, why: CheckpointKind) -> io::Result<Option<Event>> {
        let mut checksum = None;
        let (file, epoch, step) = match state {
            Kept::Model { tensors, completed, step } => {
                let file = self.directory.file("model.safetensors");
                let bytes = to_safetensors(tensors)?;
                checksum = Some(sha256(&bytes));
                durable::write(&file, &bytes)?;
                (file, *completed, *step)
            }
            Kept::Samples(sheet) => return samples::write(&self.directory, sheet).map(|()| None),
            Kept::Checkpoint(leaving) => {
                let c = leaving.arrived().map_err(io::Error::other)?;
                let step = c.state.epoch.map_or(0, |e| e.step);
                (self.checkpoints.write(&c)?, c.state.completed, step)
            }
        };
        let file = file.display().to_string();
        Ok(Some(Event::Checkpoint { epoch, step, file, kind: why, sha256: checksum }))
    }
}
