//! `runs/<name>-<number>/`: one directory per run, which no two runs ever share.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why a run has no directory.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be made or written.
    #[error("cannot write the run's directory {}: {source}\n  Choose another place with --runs-dir, or free some space.", path.display())]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The directory of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes `<runs>/<name>-<number>` with the next free number. Making a directory is atomic, so two runs that begin at
    /// once get two.
    ///
    /// # Errors
    /// [`RunError::Unwritable`].
    pub fn create(runs: &Path, name: &str) -> Result<Self, RunError> {
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Unwritable { path, source }
        };
        fs::create_dir_all(runs).map_err(unwritable(runs))?;
        let numbers = fs::read_dir(runs).map_err(unwritable(runs))?.filter_map(|entry| {
            let file = entry.ok()?.file_name().into_string().ok()?;
            file.strip_prefix(name)?.strip_prefix('-')?.parse::<u32>().ok()
        });
        let mut number = numbers.max().unwrap_or(0) + 1;
        loop {
            let path = runs.join(format!("{name}-{number:03}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(unwritable(&path)(e)),
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its last part, as `demo-003`.
    pub fn id(&self) -> String {
        self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a text file into it.
    ///
    /// # Errors
    /// [`RunError::Unwritable`].
    pub fn write(&self, name: &str, text: &str) -> Result<(), RunError> {
        let path = self.file(name);
        fs::write(&path, text).map_err(|source| RunError::Unwritable { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_share_a_directory() {
        let runs = tempfile::tempdir().expect("tempdir");
        let made: Vec<String> = std::thread::scope(|s| {
            let make = || (0..20).map(|_| RunDirectory::create(runs.path(), "demo").expect("created").id()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| s.spawn(make)).collect();
            threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
        });
        let distinct: std::collections::HashSet<_> = made.iter().collect();
        assert_eq!((made.len(), distinct.len()), (80, 80));
        assert!(distinct.contains(&"demo-001".to_owned()) && distinct.contains(&"demo-080".to_owned()));
    }
}
