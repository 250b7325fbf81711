//! The environment that tests start programs in: the same whoever runs them, wherever. A variable
//! that counts in a test is set by it.

use std::process::Command;

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
