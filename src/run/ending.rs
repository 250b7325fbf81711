//! Whether a run is over, by what its journal says: whoever wants to know asks here.

use super::checkpoints::sha256;
use super::{RunDirectory, read_without_steps};
use crate::model::from_safetensors;
use crate::protocol::{End, Event, Record};
use std::fs;
use std::io;

/// How a run ended, if it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is told of an end: it trains, or was killed.
    #[default]
    Open,
    /// It was stopped before everything was done.
    Stopped,
    /// It could not go on.
    Failed,
    /// Everything was done that was asked for: all epochs, and the test where it was kept back.
    Finished {
        /// Completed epochs.
        epochs: usize,
        /// SHA-256 over all parameters and running statistics.
        parameters_sha256: String,
        /// SHA-256 of the file `model.safetensors`; `None` in journals of before it was told.
        model_sha256: Option<String>,
    },
}

impl Ending {
    /// That of a run with this journal.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let (mut ending, mut model) = (Self::Open, None);
        for record in records {
            match &record.event {
                Event::RunStarted { .. } | Event::Continued { .. } => ending = Self::Open,
                Event::Checkpoint { sha256: Some(sha256), .. } => model = Some(sha256.clone()),
                Event::Failed { .. } => ending = Self::Failed,
                Event::Finished { end: End::Stopped, .. } => ending = Self::Stopped,
                Event::Finished { epochs, parameters_sha256, .. } => {
                    let parameters_sha256 = parameters_sha256.clone();
                    let model_sha256 = model.clone();
                    ending = Self::Finished { epochs: *epochs, parameters_sha256, model_sha256 };
                }
                _ => {}
            }
        }
        ending
    }

    /// Whether everything was done.
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Finished { .. })
    }
}

impl RunDirectory {
    /// How the run ended, if it did.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn ending(&self) -> io::Result<Ending> {
        Ok(Ending::of(&read_without_steps(&self.file("journal.jsonl"))?))
    }

    /// Whether `model.safetensors` is what was written at the end of a run that ended so.
    pub fn has_its_model(&self, ending: &Ending) -> bool {
        let Ok(bytes) = fs::read(self.file("model.safetensors")) else { return false };
        match ending {
            Ending::Finished { model_sha256: Some(wanted), .. } => sha256(&bytes) == *wanted,
            _ => from_safetensors(&bytes).is_ok(),
        }
    }
}

/// Whether a journal with these records ever told of a checkpoint.
pub fn had_a_checkpoint(records: &[Record]) -> bool {
    records.iter().any(|record| matches!(record.event, Event::Checkpoint { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::CheckpointKind;

    #[test]
    fn a_run_is_over_when_its_last_word_says_that_all_was_done() {
        let finished = |end| Event::Finished {
            epochs: 3,
            best_accuracy: 0.5,
            best_epoch: 2,
            final_accuracy: 0.5,
            seconds: 1.0,
            parameters_sha256: "ab".into(),
            end,
        };
        let note = Event::Note { text: "after the end".into() };
        let goes_on =
            Event::Continued { epoch: 3, step: 0, steps: 0, parameters_sha256: "ab".into() };
        let failed = Event::Failed { reason: "no memory".into() };
        let model = Event::Checkpoint {
            epoch: 3,
            step: 0,
            file: "model.safetensors".into(),
            kind: CheckpointKind::Final,
            sha256: Some("cd".into()),
        };
        let over = Ending::Finished {
            epochs: 3,
            parameters_sha256: "ab".into(),
            model_sha256: Some("cd".into()),
        };
        for (events, wanted) in [
            (vec![], Ending::Open),
            (vec![note.clone()], Ending::Open),
            (vec![finished(End::Stopped)], Ending::Stopped),
            (vec![model, finished(End::Complete), note], over),
            (vec![finished(End::Complete), goes_on], Ending::Open),
            (vec![finished(End::Stopped), failed], Ending::Failed),
        ] {
            let record = |event| Record { seq: 1, t: 0.0, event };
            let records: Vec<Record> = events.into_iter().map(record).collect();
            assert_eq!(Ending::of(&records), wanted, "{records:?}");
        }
    }
}
