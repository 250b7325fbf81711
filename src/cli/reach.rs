//! Which run is meant, and what to say of one that cannot be reached: a process may train it all
//! the same, where there can be no sockets, or on another machine.

use super::{complain, program};
use crate::link::ConnectError;
use crate::printable::in_one_line;
use crate::run::{RunDirectory, RunError, TrainedBy};
use std::path::Path;

/// The run that `name` names, this user's newest one if none does; says which newer ones were not
/// taken.
pub(super) fn find(runs: &Path, name: Option<&str>) -> Result<RunDirectory, RunError> {
    let found = RunDirectory::find(runs, name);
    if name.is_none_or(|name| name == "latest") {
        tell_left_out(&RunDirectory::all(runs), found.as_ref().ok());
    }
    found
}

/// Tells of the runs after `chosen` that belong to somebody else: nobody is led to them unasked.
pub(super) fn tell_left_out(all: &[RunDirectory], chosen: Option<&RunDirectory>) {
    let newer = all.iter().rev().take_while(|d| Some(*d) != chosen);
    let names: Vec<String> = newer.filter(|d| !d.is_ours()).map(|d| in_one_line(&d.id())).collect();
    if !names.is_empty() {
        let names = names.join(", ");
        complain(format!("{names}: owned by another user, so not chosen; name it to use it"));
    }
}

/// Why the run cannot be reached, and what can be done.
pub(super) fn why(directory: &RunDirectory, e: &ConnectError) -> String {
    let (p, id) = (program(), directory.id());
    let by = directory.trained_by();
    match (&by, e) {
        (TrainedBy::Here(trainer), _) if trainer.is_stopped() => {
            format!(
                "{id} is being trained by {by}, which is stopped\n  `kill -CONT {}` lets it go on.",
                trainer.pid
            )
        }
        (TrainedBy::Elsewhere(..), _) => format!(
            "{id} is being trained by {by}: it can be shown and steered there\n  `{p} replay {id}` \
             shows what happened so far."
        ),
        (TrainedBy::Here(_) | TrainedBy::Somebody, ConnectError::NotLive(_)) => {
            let end = match &by {
                TrainedBy::Here(trainer) => {
                    format!("`kill -INT {}` ends it in order, ", trainer.pid)
                }
                _ => String::new(),
            };
            format!(
                "{id} is being trained by {by}, which has no socket: it can be neither shown nor \
                 steered\n  {end}`{p} replay {id}` shows what happened so far."
            )
        }
        (TrainedBy::Nobody, ConnectError::NotLive(_)) => {
            format!(
                "{e}\n  `{p} resume {id}` goes on with it, `{p} replay {id}` shows what happened."
            )
        }
        _ => e.to_string(),
    }
}
