//! The lock of a run: one process trains it, and its directory says which. The kernel's lock goes
//! with the process, however that ends. Where it does not reach (another machine, a lock file that
//! somebody removed), what the trainer wrote of itself tells, and a heartbeat.

use super::durable::with_suffix;
use super::trainer::{self, TrainedBy, Trainer};
use super::{RunDirectory, RunError};
use crate::advice;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

pub(super) const LOCK: &str = "run.lock";
/// Seconds between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Whoever asks whether a run is locked holds the lock for a moment, too.
const TRIES: usize = 10;
const BETWEEN: Duration = Duration::from_millis(10);

/// Held as long as a process trains a run.
#[derive(Debug)]
pub struct RunLock {
    directory: PathBuf,
    /// `None` before this process has named itself.
    heart: Option<Heart>,
    held: Option<File>,
}

#[derive(Debug)]
struct Heart {
    stop: Sender<()>,
    /// Gives the lock back.
    thread: JoinHandle<Option<File>>,
}

impl RunLock {
    /// Writes which process trains the run, and gives signs of life from here on. Where that cannot
    /// be written, the lock still tells that there is one.
    pub fn name_this_process(&mut self) {
        let Ok(trainer) = Trainer::this_process(&self.directory) else { return };
        let Ok(text) = serde_json::to_vec(&trainer) else { return };
        let directory = self.directory.clone();
        let Some(held) = self.held.take() else { return };
        let (stop, stopped) = channel::<()>();
        let _ = begin(&directory, &text);
        let mut held = Some(held);
        let work = move || {
            while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                let _ = beat(&directory, &text);
                keep(&directory.join(LOCK), &mut held);
            }
            held
        };
        let thread = std::thread::Builder::new().name("heartbeat".into()).spawn(work);
        self.heart = thread.ok().map(|thread| Heart { stop, thread });
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let Some(Heart { stop, thread }) = self.heart.take() else { return };
        drop(stop);
        let held = thread.join();
        let _ = fs::remove_file(self.directory.join(trainer::FILE));
        drop(held); // when nobody is named any more
    }
}

/// Says who trains the run.
fn begin(directory: &Path, text: &[u8]) -> io::Result<()> {
    let file = directory.join(trainer::FILE);
    let half = with_suffix(&file, ".tmp");
    fs::write(&half, text)?;
    fs::rename(&half, &file)
}

/// A sign of life. The same is written in its place, which a full disk takes, so that the file's
/// time is by the clock of its file system.
fn beat(directory: &Path, text: &[u8]) -> io::Result<()> {
    match OpenOptions::new().write(true).open(directory.join(trainer::FILE)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => begin(directory, text),
        Err(e) => Err(e),
        Ok(mut file) => file.write_all(text).or_else(|_| file.set_modified(SystemTime::now())),
    }
}

/// Somebody may have removed the lock's file, or put another in its place: locks that, too.
fn keep(path: &Path, held: &mut Option<File>) {
    if held.as_ref().is_some_and(|file| is_at(file, path)) {
        return;
    }
    if let Ok(file) = open(path)
        && matches!(file.try_lock(), Ok(()))
    {
        *held = Some(file);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    there.is_some() && file.metadata().map(|m| (m.dev(), m.ino())).ok() == there
}

impl RunDirectory {
    /// Locks the run for this process.
    ///
    /// # Errors
    /// [`RunError::Busy`] when another process trains it, [`RunError::Unlockable`] where there are
    /// no locks.
    pub fn lock(&self) -> Result<RunLock, RunError> {
        let path = self.file(LOCK);
        let mut tries = 0;
        loop {
            let opened = open(&path);
            let file = opened.map_err(|source| RunError::Unwritable { path: path.clone(), source })?;
            let attempt = || match file.try_lock() {
                Ok(()) => Ok(true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(e)) => Err(e),
            };
            match advice::uninterrupted(attempt) {
                Err(source) => return Err(RunError::Unlockable { path, source }),
                // Removed between the two calls: nobody else would see this lock.
                Ok(true) if is_at(&file, &path) => return self.locked(file),
                Ok(_) if tries < TRIES => tries += 1,
                Ok(_) => return Err(self.busy(TrainedBy::of(self.path(), true))),
            }
            std::thread::sleep(BETWEEN);
        }
    }

    /// The lock's file is ours; somebody may train the run all the same.
    fn locked(&self, file: File) -> Result<RunLock, RunError> {
        match TrainedBy::of(self.path(), false) {
            TrainedBy::Here(t) if t.pid == std::process::id() => {}
            TrainedBy::Nobody => {}
            by => return Err(self.busy(by)),
        }
        Ok(RunLock { directory: self.path().to_owned(), heart: None, held: Some(file) })
    }

    fn busy(&self, by: TrainedBy) -> RunError {
        RunError::Busy { run: self.id(), by: Box::new(by) }
    }

    /// Who trains it.
    pub fn trained_by(&self) -> TrainedBy {
        let file = File::open(self.file(LOCK));
        let locked = file.is_ok_and(|f| matches!(f.try_lock_shared(), Err(TryLockError::WouldBlock)));
        TrainedBy::of(self.path(), locked)
    }

    /// Waits until no process trains the run, without keeping others from doing so after.
    ///
    /// # Errors
    /// [`RunError::Busy`] when one still does after `patience`.
    pub fn wait_until_free(&self, patience: Duration) -> Result<(), RunError> {
        let began = Instant::now();
        loop {
            match self.trained_by() {
                TrainedBy::Nobody => return Ok(()),
                by if began.elapsed() >= patience => return Err(self.busy(by)),
                _ => std::thread::sleep(BETWEEN),
            }
        }
    }
}
