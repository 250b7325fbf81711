//! This program as a child process.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Where Linux has the very file that a process was started from, even when its path is gone or has
/// become another program.
#[cfg(target_os = "linux")]
const ITSELF: &str = "/proc/self/exe";

/// A command that starts this program again: the same version, even when the file that it was
/// started from was replaced or removed since.
///
/// # Errors
/// When the system does not say what this program is.
pub fn this_program() -> io::Result<Command> {
    let mut command = Command::new(where_it_is()?);
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    Ok(command)
}

/// A path to this very program, good for starting it.
///
/// # Errors
/// When the system does not say what this program is.
pub fn where_it_is() -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    return Ok(ITSELF.into());
    #[cfg(not(target_os = "linux"))]
    return std::env::current_exe();
}

/// Gives a process that was started so the program's name in the tables of `ps` and `top`, which
/// would call it `exe`.
pub fn take_its_name() {
    #[cfg(target_os = "linux")]
    {
        let is_exe =
            std::fs::read_to_string("/proc/self/comm").is_ok_and(|name| name.trim() == "exe");
        if is_exe {
            let _ = std::fs::write("/proc/self/comm", env!("CARGO_PKG_NAME"));
        }
    }
}
