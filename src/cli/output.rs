//! What a command prints on stdout, which is its result: what could not be written is no success.

use super::{Outcome, complain};
use crate::advice;
use crate::printable::printable;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// What kept the first line that was not written from being so.
static UNWRITTEN: Mutex<Option<String>> = Mutex::new(None);

/// Prints a line to stdout. What cannot be written is remembered, see [`settle`].
pub(super) fn say(text: impl Display) {
    let _ = try_to_say(text);
}

/// The same, for whoever has more to say only as long as it is written.
///
/// # Errors
/// What keeps it from being written.
pub(super) fn try_to_say(text: impl Display) -> io::Result<()> {
    let written = writeln!(io::stdout(), "{}", printable(&text.to_string()))
        .and_then(|()| io::stdout().flush());
    written.inspect_err(remember)
}

/// A reader that has seen enough (`| head`) and a terminal that was closed are no failures.
fn remember(e: &io::Error) {
    if e.kind() != ErrorKind::BrokenPipe && !is_closed_terminal(e) {
        let why = format!("the output could not be written: {e}\n  {}", advice::on(e));
        UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }
}

/// Writing to a terminal that was closed gives EIO; a disk may give that, too, but is no character
/// device.
fn is_closed_terminal(e: &io::Error) -> bool {
    let is_device = || {
        let status = rustix::fs::fstat(io::stdout()).ok();
        status.is_some_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode).is_char_device())
    };
    e.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) && is_device()
}

/// How a command ends: well only if all that it printed was written.
pub(super) fn settle(outcome: Outcome) -> Outcome {
    match UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        None => outcome,
        Some(why) => {
            complain(why);
            if outcome == Outcome::Done { Outcome::Failed } else { outcome }
        }
    }
}

/// Prints what clap has to say to a command line: help or the version as a result, or what is wrong
/// with it.
pub(super) fn explain(e: &clap::Error) -> Outcome {
    let _ = e.print().and_then(|()| io::stdout().flush()).inspect_err(remember);
    settle(Outcome::from(u8::try_from(e.exit_code()).unwrap_or(2)))
}
