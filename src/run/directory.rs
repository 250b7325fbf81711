//! `runs/<name>-<number>/`: one directory per run, which no two runs ever share.

use super::Checkpoints;
use super::durable;
use super::trainer::{self, TrainedBy};
use crate::advice;
use crate::config::RunConfig;
use crate::printable::in_one_line;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What lies in a run's directory before its first step.
const BEFORE_THE_FIRST_STEP: [&str; 6] =
    ["config.toml", "journal.jsonl", "host.log", "control.sock", trainer::FILE, trainer::LOCK];

/// More than are ever made under one name.
const MOST_RUNS: u32 = 1_000_000;

/// Why a run has no directory.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be made or written.
    #[error(
        "cannot write the run's directory {}: {source}\n  {} (--runs-dir names another place.)",
        path.display(),
        advice::on(source)
    )]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be locked, so that two processes could train it at once.
    #[error(
        "cannot lock {}: {source}\n  {} (--runs-dir names another place.)",
        path.display(),
        advice::on(source)
    )]
    Unlockable {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such run.
    #[error("{name} is not in {}\n  There are: {known}. --runs-dir names another \
             place.", runs.display())]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where.
        runs: PathBuf,
        /// What there is.
        known: String,
    },
    /// Another process trains it.
    #[error("{run} is being trained by {by}\n  {}", remedy(run, by))]
    Busy {
        /// Which run.
        run: String,
        /// By whom.
        by: Box<TrainedBy>,
    },
}

/// The directory of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes `<runs>/<name>-<number>` with the next free number. Making a directory is atomic, so
    /// two runs that begin at once get two.
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
        // Nobody gets there by counting: what has such a number was called so.
        let counted = numbers.filter(|number| *number < MOST_RUNS);
        let mut number = counted.max().unwrap_or(0) + 1;
        loop {
            let path = runs.join(format!("{name}-{number:03}"));
            // Only its owner may look into a run, and reach its control socket.
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(unwritable(&path)(e)),
            }
        }
    }

    /// The newest of the runs that [`create`](Self::create) made under `runs` for this name.
    pub fn newest_named(runs: &Path, name: &str) -> Option<Self> {
        let is_of_name = |run: &Self| {
            let id = run.id();
            let number = id.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        };
        Self::all(runs).into_iter().rfind(|run| run.is_ours() && is_of_name(run))
    }

    /// The run whose directory is `path`.
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The run in a directory below this one.
    pub fn part(&self, names: &[&str]) -> Self {
        Self { path: names.iter().fold(self.path.clone(), |path, name| path.join(name)) }
    }

    /// All runs under `runs`, the one that began last at the end; none where there is no such
    /// directory.
    pub fn all(runs: &Path) -> Vec<Self> {
        let begun =
            |path: &Path| fs::metadata(path.join("config.toml")).and_then(|m| m.modified()).ok();
        let mut known: Vec<PathBuf> =
            fs::read_dir(runs).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        known.retain(|p| is_run(p));
        known.sort_by_cached_key(|p| (begun(p), p.clone()));
        known.into_iter().map(|path| Self { path }).collect()
    }

    /// Directories under `runs` that are no runs themselves, by name.
    pub fn others(runs: &Path) -> Vec<Self> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(runs).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        paths.retain(|p| p.is_dir() && !is_run(p));
        paths.sort();
        paths.into_iter().map(|path| Self { path }).collect()
    }

    /// The run that `name` names: a path to its directory, or its last part under `runs`; `None` or
    /// `latest`: the newest one there.
    ///
    /// # Errors
    /// [`RunError::Unknown`] says what there is.
    pub fn find(runs: &Path, name: Option<&str>) -> Result<Self, RunError> {
        let name = name.filter(|n| *n != "latest");
        let found = match name {
            // Another user's is never meant.
            None => Self::all(runs).into_iter().rfind(Self::is_ours),
            Some(name) => [PathBuf::from(name), runs.join(name)]
                .into_iter()
                .find(|p| is_run(p))
                .map(|path| Self { path }),
        };
        found.ok_or_else(|| {
            let known: Vec<String> = Self::all(runs).iter().map(Self::id).collect();
            RunError::Unknown {
                name: name.map_or_else(|| "the newest run".into(), |n| format!("run \"{n}\"")),
                runs: runs.to_owned(),
                known: if known.is_empty() { "no runs".into() } else { known.join(", ") },
            }
        })
    }

    /// Whether it belongs to this user.
    pub fn is_ours(&self) -> bool {
        let owner = fs::metadata(&self.path).map(|m| m.uid()).ok();
        owner == Some(rustix::process::geteuid().as_raw())
    }

    /// Removes a run that never began. One that has a journal or checkpoints is left, and so is
    /// whatever else lies there.
    pub fn discard(&self) {
        if self.has_journal() || self.checkpoints().directory().exists() {
            return;
        }
        for name in BEFORE_THE_FIRST_STEP {
            let _ = fs::remove_file(self.file(name));
        }
        let _ = fs::remove_dir(&self.path);
    }

    fn has_journal(&self) -> bool {
        fs::metadata(self.file("journal.jsonl")).is_ok_and(|m| m.len() > 0)
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        let sizes = |dir: &Path| -> u64 {
            let files = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
            files.filter_map(|e| e.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
        };
        sizes(&self.path) + sizes(&self.file("checkpoints"))
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.file("checkpoints"))
    }

    /// Whether its file system can force names to the disk; if not, a power cut may take the newest
    /// files along.
    ///
    /// # Errors
    /// When it can, and fails.
    pub fn is_durable(&self) -> io::Result<bool> {
        durable::force_names(&self.path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket over which the process that trains it is reached.
    pub fn socket(&self) -> PathBuf {
        self.file("control.sock")
    }

    /// Its last part, as `demo-003`.
    pub fn id(&self) -> String {
        self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Has its `config.toml` name another place for the data. When it began, which that file's time
    /// tells, stays the same.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is no config.
    pub fn set_data_path(&self, path: &str) -> io::Result<()> {
        let file = self.file("config.toml");
        let mut config: RunConfig =
            toml::from_str(&fs::read_to_string(&file)?).map_err(io::Error::other)?;
        config.data.path = path.to_owned();
        let began = fs::metadata(&file)?.modified()?;
        durable::write(&file, toml::to_string(&config).map_err(io::Error::other)?.as_bytes())?;
        File::options().write(true).open(&file)?.set_modified(began)
    }

    /// Writes a text file into it, which is whole or not there.
    ///
    /// # Errors
    /// [`RunError::Unwritable`].
    pub fn write(&self, name: &str, text: &str) -> Result<(), RunError> {
        let path = self.file(name);
        let written = durable::write(&path, text.as_bytes());
        written.map_err(|source| RunError::Unwritable { path, source })
    }
}

/// What can be done about a run that another process trains.
fn remedy(run: &str, by: &TrainedBy) -> String {
    match by {
        TrainedBy::Elsewhere(trainer, _) => {
            let host = in_one_line(&trainer.host);
            format!(
                "There, on {host}, `earlybird attach {run}` shows it, `earlybird send {run} stop` \
                 ends it. If {host} is down, wait a minute."
            )
        }
        TrainedBy::Here(trainer) if trainer.is_stopped() => {
            format!("It is stopped: `kill -CONT {}` lets it go on.", trainer.pid)
        }
        _ => format!("`earlybird attach {run}` shows it, `earlybird send {run} stop` ends it."),
    }
}

fn is_run(path: &Path) -> bool {
    path.join("journal.jsonl").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_share_a_directory() {
        let runs = tempfile::tempdir().expect("tempdir");
        let made: Vec<String> = std::thread::scope(|s| {
            let make = || {
                (0..20)
                    .map(|_| RunDirectory::create(runs.path(), "demo").expect("created").id())
                    .collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| s.spawn(make)).collect();
            threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
        });
        let distinct: std::collections::HashSet<_> = made.iter().collect();
        assert_eq!((made.len(), distinct.len()), (80, 80));
        assert!(
            distinct.contains(&"demo-001".to_owned()) && distinct.contains(&"demo-080".to_owned())
        );
    }
}
