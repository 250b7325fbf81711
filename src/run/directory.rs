//! `runs/<name>-<number>/`: one directory per run, which no two runs ever share.

use super::Checkpoints;
use std::fs::{self, File, OpenOptions, TryLockError};
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
    /// There is no such run.
    #[error("{name} is not in {}\n  There are: {known}. --runs-dir names another place.", runs.display())]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where.
        runs: PathBuf,
        /// What there is.
        known: String,
    },
    /// Another process trains it.
    #[error("{run} is being trained by another process\n  Stop that one first; a run has one trainer.")]
    Busy {
        /// Which run.
        run: String,
    },
}

/// Held as long as a process trains a run.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
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

    /// The run that `name` names: a path to its directory, or its last part under `runs`; `None`: the newest one there.
    ///
    /// # Errors
    /// [`RunError::Unknown`] says what there is.
    pub fn find(runs: &Path, name: Option<&str>) -> Result<Self, RunError> {
        let is_run = |path: &Path| path.join("journal.jsonl").is_file();
        let begun = |path: &Path| fs::metadata(path.join("config.toml")).and_then(|m| m.modified()).ok();
        let mut known: Vec<PathBuf> = fs::read_dir(runs).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        known.retain(|p| is_run(p));
        known.sort_by_key(|p| (begun(p), p.clone()));
        let found = match name {
            None => known.last().cloned(),
            Some(name) => [PathBuf::from(name), runs.join(name)].into_iter().find(|p| is_run(p)),
        };
        let list = || known.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect::<Vec<_>>();
        found.map(|path| Self { path }).ok_or_else(|| RunError::Unknown {
            name: name.map_or_else(|| "the newest run".into(), |n| format!("run \"{n}\"")),
            runs: runs.to_owned(),
            known: if known.is_empty() { "no runs".into() } else { list().join(", ") },
        })
    }

    /// Locks the run for this process. The lock is the kernel's: it goes with the process, however that ends.
    ///
    /// # Errors
    /// [`RunError::Busy`] when another process has it.
    pub fn lock(&self) -> Result<RunLock, RunError> {
        let path = self.file("run.lock");
        let unwritable = |source| RunError::Unwritable { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(RunError::Busy { run: self.id() }),
            Err(TryLockError::Error(source)) => Err(RunError::Unwritable { path, source }),
        }
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.file("checkpoints"))
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
