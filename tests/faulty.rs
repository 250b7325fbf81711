//! A process whose calls of the C library fail as a file system or a sandbox would:
//! `native/fault.c`, compiled here and loaded before the program.

use crate::environment::skipped;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The compiled library; `None` where there is no C compiler, or another system than Linux.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = LIBRARY.get_or_init(|| {
        let out =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fault-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/native/fault.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&out).arg(source).arg("-ldl");
        let made = cfg!(target_os = "linux") && cc.status().is_ok_and(|s| s.success());
        made.then_some(out)
    });
    made.as_deref()
}

/// Whether faults can be made here; says how many cases are skipped if not.
pub fn can_be_made(cases: usize) -> bool {
    let can = library().is_some();
    if !can {
        skipped(&format!("{cases} cases, which need Linux and a C compiler"));
    }
    can
}

/// Calls that fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// `fsync`, `fdatasync`, `flock`, `bind`, `rename`, `mkdir`, `open` or `write`.
    pub call: &'static str,
    pub errno: Errno,
    /// Part of the path (with a `$` behind it: its end); that of a directory ends with a slash.
    pub path: &'static str,
    /// The first call that fails, from 1.
    pub from: usize,
    /// The last one; 0: all after it.
    pub to: usize,
}

impl Fault {
    pub fn always(call: &'static str, errno: Errno, path: &'static str) -> Self {
        Self { call, errno, path, from: 1, to: 0 }
    }

    fn rule(&self) -> String {
        format!(
            "{} {} {} {} {}",
            self.call,
            self.errno.raw_os_error(),
            self.path,
            self.from,
            self.to
        )
    }
}

/// The variables of the environment that make these faults.
pub fn variables(faults: &[Fault]) -> Vec<(&'static str, String)> {
    let rules: Vec<String> = faults.iter().map(Fault::rule).collect();
    let library = library().unwrap().display().to_string();
    vec![("LD_PRELOAD", library), ("FAULT", rules.join(";"))]
}
