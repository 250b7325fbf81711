//! What to say of a run that cannot be reached: a process may train it all the same, where there can be no sockets.

use super::program;
use crate::link::ConnectError;
use crate::run::RunDirectory;

/// Why the run cannot be reached, and what can be done.
pub(super) fn why(directory: &RunDirectory, e: &ConnectError) -> String {
    let (p, id) = (program(), directory.id());
    match e {
        _ if directory.is_locked() && !directory.socket().exists() => {
            let (process, end) = match directory.trainer() {
                Some(pid) => (format!(" by process {pid}"), format!("`kill -INT {pid}` ends it in order, ")),
                None => Default::default(),
            };
            format!(
                "{id} is being trained{process}, which has no socket: it can be neither shown nor steered\n  {end}`{p} replay {id}` \
                 shows what happened so far."
            )
        }
        ConnectError::NotLive(_) => {
            format!("{e}\n  `{p} resume {id}` goes on with it, `{p} replay {id}` shows what happened.")
        }
        _ => e.to_string(),
    }
}
