//! When a run's state goes to the disk: at the end of each epoch, on command, when it is stopped; and the model at the end.

use super::checkpoints::durable;
use super::{Checkpoints, RunDirectory};
use crate::model::to_safetensors;
use crate::protocol::Event;
use crate::train::{Keep, Session};

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

    /// Writes what `why` asks for, and says so. A disk that does not take it costs a warning, not the run.
    pub fn keep(&self, session: &mut Session, why: Keep) -> Event {
        let file = match why {
            Keep::Final => {
                let file = self.directory.file("model.safetensors");
                to_safetensors(&session.state()).and_then(|bytes| durable(&file, &bytes)).map(|()| file)
            }
            Keep::EpochEnd | Keep::Asked | Keep::Stopped => self.checkpoints.write(&session.checkpoint()),
        };
        let (epoch, step) = (session.completed(), session.step_in_epoch());
        match file {
            Ok(file) => Event::Checkpoint { epoch, step, file: file.display().to_string(), kind: why.word().into() },
            Err(e) => Event::Warning {
                code: "checkpoint".into(),
                text: format!(
                    "the run's state cannot be written to {}: {e}. Training goes on; the next try is at the end of the epoch.",
                    self.directory.path().display()
                ),
            },
        }
    }
}
