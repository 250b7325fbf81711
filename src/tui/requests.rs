//! What this cockpit asked of the trainer: what still waits for its answer, and what can be taken
//! back. Answers are matched by the number of the request, so that what another cockpit of the same
//! run changes is neither taken for an answer nor undone from here.

use crate::config::RunConfig;
use crate::protocol::{Bias, Command, Event, Reply, Stop};
use serde_json::Value;

/// Changes that can be undone at most.
const UNDO: usize = 100;

/// A change that was made here.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    /// Path of the config key.
    key: String,
    /// The value before.
    old: Value,
    /// The value since.
    new: Value,
}

/// Why nothing is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoUndo {
    #[error("nothing to undo: changes of values can be undone, one after the other")]
    Nothing,
    #[error("nothing to undo: what was changed here has been changed again elsewhere")]
    ChangedSince,
}

/// Requests, and the changes that they made.
#[derive(Debug, Default)]
pub struct Requests {
    /// Oldest first.
    waiting: Vec<Waiting>,
    /// The newest at the end.
    changes: Vec<Change>,
    /// What the next command that is sent takes back.
    undoing: Option<Change>,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    words: String,
    /// The change that it takes back.
    undoes: Option<Change>,
}

impl Requests {
    /// The command that takes the newest change back; it has to be sent next. What somebody else
    /// has changed since stays as it is.
    ///
    /// # Errors
    /// Why there is none.
    pub fn undo(&mut self, now: &RunConfig) -> Result<Command, NoUndo> {
        let config = serde_json::to_value(now).unwrap_or_default();
        let value = |key: &str| key.split('.').try_fold(&config, |v, part| v.get(part));
        let mut why = NoUndo::Nothing;
        while let Some(change) = self.changes.pop() {
            if value(&change.key) != Some(&change.new) {
                why = NoUndo::ChangedSince;
                continue;
            }
            let command = Command::Set { key: change.key.clone(), value: change.old.clone() };
            self.undoing = Some(change);
            return Ok(command);
        }
        Err(why)
    }

    /// `command` was sent with this number, or could not be sent.
    pub fn sent(&mut self, command: &Command, id: Option<u64>) {
        let undoes = self.undoing.take();
        match id {
            Some(id) => self.waiting.push(Waiting { id, words: words_of(command), undoes }),
            None => self.changes.extend(undoes),
        }
    }

    /// Takes an answer. What was refused once would be refused again, so it is not undone again.
    pub fn answered(&mut self, reply: Reply) {
        let place = self.waiting.iter().position(|w| w.id == reply.id);
        let undoes = place.and_then(|at| self.waiting.remove(at).undoes);
        match (reply.record.map(|r| r.event), undoes) {
            (None, Some(change)) => self.changes.push(change),
            (Some(Event::Changed { key, old, new, .. }), None) => {
                let change = |key: &'static str| Change { key: key.to_owned(), old, new };
                self.changes.extend(key.key().map(|key| change(key.path)));
                let surplus = self.changes.len().saturating_sub(UNDO);
                self.changes.drain(..surplus);
            }
            _ => {}
        }
    }

    /// What waits for its answer, in a few words each, oldest first.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.waiting.iter().map(|w| w.words.as_str())
    }
}

/// What is asked, in a few words.
fn words_of(command: &Command) -> String {
    match command {
        Command::Set { key, value } => format!("{key} = {value}"),
        Command::Bias { bias } => {
            let word = match bias {
                Bias::Now => "now",
                Bias::Off => "off",
                Bias::On => "on",
            };
            format!("bias {word}")
        }
        Command::Stop { stop: Stop::Now } => "stop now".into(),
        Command::Stop { stop: Stop::AfterEpoch } => "stop after this epoch".into(),
        Command::Stop { stop: Stop::AtEpoch(epoch) } => format!("stop after epoch {epoch}"),
        Command::Note { .. } => "note".into(),
        Command::Pause => "pause".into(),
        Command::Resume => "go on".into(),
        Command::Checkpoint => "checkpoint".into(),
        Command::Rescore => "rescore".into(),
        Command::Rewind { .. } => "back to the last checkpoint".into(),
    }
}
