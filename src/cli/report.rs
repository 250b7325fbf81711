//! `earlybird report`: a page about runs or a comparison.

use super::{Outcome, failed, reach, say, usage};
use crate::report;
use crate::run::RunDirectory;
use std::path::{Path, PathBuf};

/// Writes the page, and says where.
pub(super) fn run(what: &[String], out: Option<PathBuf>, runs: &Path) -> Outcome {
    let mut directories = Vec::new();
    for name in what {
        match find(runs, name) {
            Ok(directory) => directories.push(directory),
            Err(e) => return usage(e),
        }
    }
    let Some(first) = directories.first() else { return usage("name a run or a comparison") };
    let out = out.unwrap_or_else(|| first.file("report"));
    match report::write(&directories, &out) {
        Ok(page) => {
            say(page.display());
            Outcome::Done
        }
        Err(e) => failed(e),
    }
}

/// A run, or a comparison.
fn find(runs: &Path, name: &str) -> Result<RunDirectory, crate::run::RunError> {
    let comparison = [PathBuf::from(name), runs.join(name)]
        .into_iter()
        .find(|p| p.join("comparison.json").is_file());
    comparison.map_or_else(|| reach::find(runs, Some(name)), |path| Ok(RunDirectory::open(&path)))
}
