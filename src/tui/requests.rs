//! What this cockpit asked of the trainer: what still waits for its answer, and what can be taken
//! back. Answers are matched by the number of the request, so that what another cockpit of the same
//! run changes is neither taken for an answer nor undone from here.

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
    /// The command that takes the newest change back, if there was one. It has to be sent next.
    pub fn undo(&mut self) -> Option<Command> {
        self.undoing = self.changes.pop();
        let Change { key, old } = self.undoing.clone()?;
        Some(Command::Set { key, value: old })
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
            (Some(Event::Changed { key, old, .. }), None) => {
                let change = |key: &'static str| Change { key: key.to_owned(), old };
                self.changes.extend(key.key().map(|key| change(key.path)));
                let surplus = self.changes.len().saturating_sub(UNDO);
                self.changes.drain(..surplus);
            }
            _ => {}
        }
    }

    /// What waited on a line that broke is not answered any more.
    pub fn forget(&mut self) {
        self.waiting.clear();
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
