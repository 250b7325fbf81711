//! How the cockpit stands with what trains: what it watches, whether that still talks, and what was
//! asked of it.

use super::input::keymap::{Tab, Where};
use super::requests::Requests;
use crate::dashboard::Dashboard;

/// What the cockpit is a cockpit of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Watching {
    /// A run in a process of its own, which goes on without it.
    Run,
    /// A run in this process, which ends with it.
    InlineRun,
    /// A journal.
    Replay {
        /// Whether it moves.
        playing: bool,
        /// As a multiple of the run's own.
        speed: f64,
        /// Seconds of the run.
        at: f64,
        /// Seconds that the run took.
        of: f64,
    },
}

/// Why a cockpit hears nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The run's process is gone.
    Gone(String),
    /// The process is there; it or this program ended the conversation.
    Parted(String),
}

/// The cockpit's side of the conversation.
#[derive(Debug)]
pub struct Connection {
    /// A run or a journal.
    pub watching: Watching,
    /// Why nothing more will come, if so.
    pub lost: Option<Lost>,
    /// What was asked, and what can be taken back.
    pub requests: Requests,
    /// Whether somebody wants the run resumed from its last checkpoint.
    pub again: bool,
    /// Whether the cockpit leaves as soon as the run is over.
    pub leaving: bool,
}

impl Connection {
    /// One on which nothing was said yet.
    pub fn new(watching: Watching) -> Self {
        Self { watching, lost: None, requests: Requests::default(), again: false, leaving: false }
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self, run: &Dashboard) -> bool {
        run.is_over() || self.lost.is_some()
    }

    /// Whether the run's process is there, and does not talk to this cockpit any more.
    pub fn is_parted(&self, run: &Dashboard) -> bool {
        matches!(self.lost, Some(Lost::Parted(_))) && !run.is_over()
    }

    /// Whether a journal is played.
    pub fn is_replay(&self) -> bool {
        matches!(self.watching, Watching::Replay { .. })
    }

    /// Where somebody who looks at `tab` is, for keys.
    pub fn here(&self, tab: Tab) -> Where {
        if self.is_replay() { Where::Replay(tab) } else { Where::Run(tab) }
    }

    /// What to say to somebody who asks for something of which nothing can come any more.
    pub fn why_not(&self, run: &Dashboard) -> &'static str {
        if self.is_replay() {
            "this is a replay: it takes no commands"
        } else if self.is_parted(run) {
            "this cockpit is cut off: r attaches again, q leaves"
        } else {
            "the run is over: q leaves"
        }
    }
}
