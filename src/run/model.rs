//! Which model is a run's: what its journal says was kept last, checked against its checksum. Never
//! another one without a word, and nothing by the times of files, which a copy changes.

use super::checkpoints::{foremost, read_checkpoint, sha256};
use super::{Ending, RunDirectory, read_without_steps};
use crate::advice::about;
use crate::model::{NamedTensor, from_safetensors};
use crate::protocol::{CheckpointKind, Event, Record};
use crate::train::Checkpoint;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MODEL: &str = "model.safetensors";

/// The newest model of a run.
#[derive(Debug)]
pub struct RunModel {
    /// Parameters and running statistics.
    pub state: Vec<NamedTensor>,
    /// Where it stands.
    pub file: PathBuf,
    /// Completed epochs, and steps of the next one.
    pub at: (usize, usize),
    /// What is newer by the journal, but not there any more, a line each.
    pub missing: Vec<String>,
}

/// Why a run gives no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The journal, or the directory, cannot be read.
    #[error("{}", about(file.display(), source))]
    Unreadable {
        /// What cannot be read.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing was kept yet.
    #[error(
        "{run} has no model yet: the first one comes with the end of an epoch{}",
        gone(missing)
    )]
    None {
        /// The run.
        run: String,
        /// What its journal names, and is not there.
        missing: Vec<String>,
    },
    /// Nothing but the last model is left.
    #[error("{run} has no whole checkpoint: without --which there is its last model")]
    NoCheckpoint {
        /// The run.
        run: String,
    },
    /// It was not kept here.
    #[error(
        "{run}: the model of its best epoch ({epoch}) is not here: it is that of a run that this \
         one was forked from, or was removed\n  Without --which there is its last model."
    )]
    NoBest {
        /// The run.
        run: String,
        /// The epoch.
        epoch: usize,
    },
    /// None was asked for.
    #[error(
        "{run} has no average of its parameters: it was trained with train.ema_decay = 0\n  \
         A run with train.ema_decay = 0.999, say, keeps one."
    )]
    NoAverage {
        /// The run.
        run: String,
    },
    /// The newest is not what was written.
    #[error("{run}: its newest model is {} ({}), which {what}\n  \
             {help}", file.display(), place(*at))]
    Damaged {
        /// The run.
        run: String,
        /// The damaged file.
        file: PathBuf,
        /// Completed epochs, and steps of the next one.
        at: (usize, usize),
        /// What is wrong with it.
        what: String,
        /// What to do.
        help: String,
    },
}

/// Which of its models a run is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    #[default]
    Last,
    /// That at the end of the best epoch.
    Best,
    /// The newest average over the steps of training.
    Average,
}

/// Something that a run kept.
#[derive(Clone, Debug)]
struct Kept {
    file: PathBuf,
    at: (usize, usize),
    /// SHA-256 of the file, where the journal tells it; checkpoints have their own.
    sha256: Option<String>,
}

impl RunDirectory {
    /// One of the run's models.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn one_of_its_models(&self, which: Which) -> Result<RunModel, ModelError> {
        match which {
            Which::Last => self.model(),
            Which::Best => self.best_model(),
            Which::Average => self.average_model(),
        }
    }

    fn best_model(&self) -> Result<RunModel, ModelError> {
        let (newest, file, missing) = self.newest_checkpoint()?;
        let epoch = newest.state.best_epoch;
        let kept = newest.best();
        if !kept.is_empty() {
            return Ok(RunModel { state: kept, file, at: (epoch, 0), missing });
        }
        match self.checkpoints().at_end_of(epoch) {
            Ok((checkpoint, file)) => {
                Ok(RunModel { state: checkpoint.model(), file, at: (epoch, 0), missing })
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(ModelError::NoBest { run: self.id(), epoch })
            }
            Err(source) => {
                let file = self.checkpoints().directory().to_owned();
                Err(ModelError::Unreadable { file, source })
            }
        }
    }

    /// The newest whole checkpoint, its file, and what is newer and damaged, a line each.
    fn newest_checkpoint(&self) -> Result<(Checkpoint, PathBuf, Vec<String>), ModelError> {
        let checkpoints = self.checkpoints();
        let found = checkpoints.newest().map_err(|source| {
            let file = checkpoints.directory().to_owned();
            ModelError::Unreadable { file, source }
        });
        let found = found?;
        match found.checkpoint {
            Some((checkpoint, file)) => Ok((checkpoint, file, found.damaged)),
            None => Err(ModelError::NoCheckpoint { run: self.id() }),
        }
    }

    fn average_model(&self) -> Result<RunModel, ModelError> {
        let (checkpoint, file, missing) = self.newest_checkpoint()?;
        let state = checkpoint.average();
        if state.is_empty() {
            return Err(ModelError::NoAverage { run: self.id() });
        }
        let step = checkpoint.state.epoch.map_or(0, |epoch| epoch.step);
        let at = (checkpoint.state.completed, step);
        Ok(RunModel { state, file, at, missing })
    }

    /// The newest model that the run has.
    ///
    /// # Errors
    /// [`ModelError`]: also when the newest is damaged, since the one before it is another model.
    pub fn model(&self) -> Result<RunModel, ModelError> {
        let unreadable = |file: PathBuf| move |source| ModelError::Unreadable { file, source };
        let journal = self.file("journal.jsonl");
        let records = read_without_steps(&journal).map_err(unreadable(journal.clone()))?;
        let kept = self.kept(&records).map_err(unreadable(self.file("checkpoints")))?;
        let mut missing = Vec::new();
        for (place_in_order, newest) in kept.iter().enumerate() {
            match newest.read() {
                Ok(state) => {
                    return Ok(RunModel {
                        state,
                        file: newest.file.clone(),
                        at: newest.at,
                        missing,
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    missing.push(format!(
                        "{} ({}) is not there",
                        newest.file.display(),
                        place(newest.at)
                    ));
                }
                Err(e)
                    if e.kind() == io::ErrorKind::InvalidData
                        || e.kind() == io::ErrorKind::Unsupported =>
                {
                    let mut help = help(&kept[place_in_order + 1..]);
                    if newest.is_model() && Ending::of(&records).is_finished() {
                        let again = format!("`earlybird resume {}` writes it again.", self.id());
                        help = format!("{again}\n  {help}");
                    }
                    let (file, at, what) = (newest.file.clone(), newest.at, e.to_string());
                    return Err(ModelError::Damaged { run: self.id(), file, at, what, help });
                }
                Err(source) => {
                    return Err(ModelError::Unreadable { file: newest.file.clone(), source });
                }
            }
        }
        Err(ModelError::None { run: self.id(), missing })
    }

    /// Whether the run's newest model is this file.
    pub fn names_as_newest(&self, file: &Path) -> bool {
        let records = read_without_steps(&self.file("journal.jsonl")).unwrap_or_default();
        let newest = self.kept(&records).ok().and_then(|kept| kept.into_iter().next());
        newest.is_some_and(|newest| newest.file == file)
    }

    /// What the run kept, the newest first: as the journal has it, and before that a checkpoint of
    /// later than all it tells of, which a run writes just before it tells of it.
    fn kept(&self, records: &[Record]) -> io::Result<Vec<Kept>> {
        let mut kept: Vec<Kept> = records.iter().filter_map(|r| self.told(&r.event)).collect();
        let latest = kept.iter().map(|k| k.at).max();
        let foremost = foremost(self.checkpoints().directory())?;
        kept.extend(
            foremost
                .filter(|(at, _)| latest.is_none_or(|latest| *at > latest))
                .map(|(at, file)| Kept { file, at, sha256: None }),
        );
        kept.reverse();
        let mut seen = std::collections::HashSet::new();
        kept.retain(|k| seen.insert(k.file.clone())); // its last word on a file counts
        Ok(kept)
    }

    /// What an event says was kept. The file is looked for in this directory, which may be a copy
    /// of the one that it names.
    fn told(&self, event: &Event) -> Option<Kept> {
        let Event::Checkpoint { epoch, step, file, kind, sha256 } = event else { return None };
        let file = match kind {
            CheckpointKind::Final => self.file(MODEL),
            _ => self.checkpoints().directory().join(Path::new(file).file_name()?),
        };
        Some(Kept { file, at: (*epoch, *step), sha256: sha256.clone() })
    }
}

impl Kept {
    /// Whether it is the model of the run's end, and no checkpoint.
    fn is_model(&self) -> bool {
        self.file.file_name().is_some_and(|name| name == MODEL)
    }

    fn read(&self) -> io::Result<Vec<NamedTensor>> {
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        if self.is_model() {
            let bytes = fs::read(&self.file)?;
            if self.sha256.as_ref().is_some_and(|wanted| sha256(&bytes) != *wanted) {
                return Err(damaged(
                    "is damaged: it does not have the checksum that the journal tells".into(),
                ));
            }
            return from_safetensors(&bytes).map_err(|e| damaged(format!("is damaged: {e}")));
        }
        let checkpoint = read_checkpoint(&self.file.with_extension("json"));
        checkpoint.map(|checkpoint| checkpoint.model()).map_err(|e| {
            let why = e.to_string();
            let why = why.lines().next().unwrap_or_default(); // what to do is said below
            match e.kind() {
                io::ErrorKind::InvalidData => damaged(format!("is damaged: {why}")),
                io::ErrorKind::Unsupported => {
                    io::Error::new(e.kind(), format!("cannot be used: {why}"))
                }
                _ => e,
            }
        })
    }
}

/// What to do about a damaged one, when these are older.
fn help(older: &[Kept]) -> String {
    match older.iter().find(|k| k.read().is_ok()) {
        Some(whole) => {
            format!(
                "{} ({}) is whole: move the damaged file away to use that one.",
                whole.file.display(),
                place(whole.at)
            )
        }
        None => "Nothing older is whole. `earlybird resume` says what is left of the run.".into(),
    }
}

/// `after epoch 3` or `in epoch 4, after step 7`.
fn place((epoch, step): (usize, usize)) -> String {
    match step {
        0 => format!("after epoch {epoch}"),
        _ => format!("in epoch {}, after step {step}", epoch.saturating_add(1)),
    }
}

fn gone(missing: &[String]) -> String {
    missing.iter().map(|line| format!("\n  {line}")).collect()
}

impl RunModel {
    /// In words for people: where it is of, and what is newer.
    pub fn warnings(&self) -> Vec<String> {
        let used = format!("{} ({}) is used instead", self.file.display(), place(self.at));
        self.missing.iter().map(|line| format!("{line}: {used}")).collect()
    }
}
