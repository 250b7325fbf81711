//! Limits that a shell or a job's scheduler sets on a process (`ulimit`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;

/// Open files without which LibTorch, signals and sockets fail in ways that have no words: a run
/// has about 18.
const FILES: u64 = 24;

/// What systems usually allow: enough for many cockpits on one run, and for images decoded on many
/// cores.
const USUAL: u64 = 1024;

/// Makes the best of the limits.
///
/// # Errors
/// When this process may open too few files, with what to do.
pub(super) fn settle() -> Result<(), String> {
    // A file that may not grow further is then an error like others, with words, instead of a
    // silent death.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|files| files >= USUAL) {
        return Ok(());
    }
    // What is set is what a process begins with; it may take more, up to the maximum.
    let raised = limit.maximum.is_none_or(|files| files >= FILES)
        && setrlimit(
            Resource::Nofile,
            Rlimit { current: limit.maximum.map_or(Some(USUAL), |m| Some(m.min(USUAL))), ..limit },
        )
        .is_ok();
    if raised || limit.current.is_some_and(|files| files >= FILES) {
        return Ok(());
    }
    let files = limit.maximum.or(limit.current).unwrap_or_default();
    Err(format!(
        "too many open files: this process may open {files} at once, and needs {FILES}\n  Raise \
         the limit (`ulimit -n`)."
    ))
}
