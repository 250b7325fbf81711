//! How LibTorch's threads wait for each other. libgomp reads that from the environment when it is
//! loaded, before this program's first line: what computes is therefore started with it.

use super::this_program;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Threads look for work 4,000 times, then sleep: as fast alone as libgomp's own 300,000 times,
/// which beside busy neighbours cost most of the speed. `docs/speed.md` has the figures.
const PASSIVE: [(&str, &str); 2] = [("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "4000")];

/// With these a user decides.
const DECIDING: [&str; 3] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"];

/// Whether the user's environment says how threads wait.
pub fn user_decides_waiting() -> bool {
    DECIDING.iter().any(|name| std::env::var_os(name).is_some())
}

/// Has the threads of the process that `command` starts wait passively, unless the user decided.
pub fn wait_passively(command: &mut Command) -> &mut Command {
    if user_decides_waiting() { command } else { command.envs(PASSIVE) }
}

/// Starts this process anew, in place, if its threads would not wait passively and the user has not
/// decided. Nothing may have been done before. Returns when that is not needed, or does not work:
/// then they go on spinning, and the System tab says so.
pub fn begin_with_passive_threads() {
    if user_decides_waiting() {
        return;
    }
    let begin = || -> io::Result<()> {
        let mut command = this_program()?;
        Err(command.args(std::env::args_os().skip(1)).envs(PASSIVE).exec())
    };
    let _ = begin(); // it is as fast alone; only neighbours suffer
}
