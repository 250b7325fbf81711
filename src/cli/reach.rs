//! What to say of a run that cannot be reached: a process may train it all the same, where there can
//! be no sockets, or on another machine.

use super::program;
use crate::link::ConnectError;
use crate::run::{RunDirectory, TrainedBy};

/// Why the run cannot be reached, and what can be done.
pub(super) fn why(directory: &RunDirectory, e: &ConnectError) -> String {
    let (p, id) = (program(), directory.id());
    let by = directory.trained_by();
    match (&by, e) {
        (TrainedBy::Here(trainer), _) if trainer.is_stopped() => {
            format!("{id} is being trained by {by}, which is stopped\n  `kill -CONT {}` lets it go on.", trainer.pid)
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
            format!("{e}\n  `{p} resume {id}` goes on with it, `{p} replay {id}` shows what happened.")
        }
        _ => e.to_string(),
    }
}
