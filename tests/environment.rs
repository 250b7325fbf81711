//! The environment that tests start programs in: the same whoever runs them, wherever. A variable
//! that counts in a test is set by it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// The program that is tested.
pub const EARLYBIRD: &str = env!("CARGO_BIN_EXE_earlybird");
/// What programs and libraries are found with, and how threads wait.
const TAKEN_OVER: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "RUST_BACKTRACE", "OMP_WAIT_POLICY"];

/// Every variable of a tested program.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    let taken = TAKEN_OVER.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?)));
    let set = [("TERM", "xterm-256color"), ("LANG", "C.UTF-8")]
        .map(|(name, value)| (name, value.to_owned()));
    taken.chain(set).map(|(name, value)| (name.to_owned(), value))
}

/// `command` in this environment.
pub fn plain(mut command: Command) -> Command {
    command.env_clear().envs(variables());
    command
}

/// The program that is tested, in this environment.
pub fn program() -> Command {
    plain(Command::new(EARLYBIRD))
}

/// The program with these arguments, on the runs in `runs`.
pub fn earlybird(runs: &Path, args: &[&str]) -> Command {
    let mut command = program();
    command.args(args).arg("--runs-dir").arg(runs).stdin(Stdio::null());
    command
}

/// What came of the program with these arguments, on the runs in `runs`.
pub fn ran(runs: &Path, args: &[&str]) -> Output {
    earlybird(runs, args).output().unwrap()
}

/// What could not be tested here, and why.
static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Counts a test, or a part of one, that this machine cannot run. After the summary of the runner,
/// which calls such a test passed, they are listed: it captures whatever is printed before.
pub fn skipped(what: &str) {
    let mut all = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if all.is_empty() {
        // SAFETY: the function is called once, as the process ends, and unwinds nowhere.
        unsafe { libc::atexit(list_skipped) };
    }
    all.push(what.to_owned());
}

extern "C" fn list_skipped() {
    let all = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = format!("skipped on this machine: {}\n", all.len());
    all.iter().for_each(|what| text += &format!("  {what}\n"));
    let _ = std::io::stderr().write_all(text.as_bytes());
}
