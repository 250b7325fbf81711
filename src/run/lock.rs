//! The lock of a run: one process trains it, and its directory says which. The kernel's lock goes
//! with the process, however that ends. Where it does not reach (another machine, a lock file that
//! somebody removed), what the trainer wrote of itself tells, and a heartbeat.

use super::trainer::{TrainedBy, Trainer};
use super::{RunDirectory, RunError};
use crate::advice;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(super) const LOCK: &str = "run.lock";
/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Whoever asks whether a run is locked holds the lock for a moment, too.
const TRIES: usize = 10;
const BETWEEN: Duration = Duration::from_millis(10);

/// Held as long as a process trains a run. From its first moment on the directory names this
/// process.
#[derive(Debug)]
pub struct RunLock {
    loss: Arc<Mutex<Loss>>,
    stop: Option<Sender<()>>,
    /// Has the lock, and lets it go.
    heart: Option<JoinHandle<()>>,
}

/// Whether another process has the run in spite of the lock.
enum Loss {
    /// None has; what to do should one.
    NotYet(Option<Box<dyn FnOnce() + Send>>),
    Happened,
}

impl std::fmt::Debug for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Happened) { "Happened" } else { "NotYet" })
    }
}

/// What the heartbeat keeps.
struct Held {
    directory: PathBuf,
    file: File,
    /// As this process names itself.
    own: Trainer,
}

impl RunLock {
    fn of(held: Held) -> io::Result<Self> {
        let (loss, (stop, stopped)) = (Arc::new(Mutex::new(Loss::NotYet(None))), channel::<()>());
        // Where that cannot be written (a full disk), each beat tries again, and the lock tells.
        let _ = held.own.begin(&held.directory);
        let (mut held, lost) = (held, loss.clone());
        let work = move || {
            while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                if !held.beat() {
                    lose(&lost);
                }
            }
            held.own.end(&held.directory); // before the lock goes
        };
        let heart = std::thread::Builder::new().name("heartbeat".into()).spawn(work)?;
        Ok(Self { loss, stop: Some(stop), heart: Some(heart) })
    }

    /// What to do, once, should another process take the run all the same: somebody removed both
    /// files that keep it out, or locks do not reach that one's machine.
    pub fn when_lost(&self, act: impl FnOnce() + Send + 'static) {
        let mut loss = self.loss.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *loss {
            Loss::NotYet(then) => *then = Some(Box::new(act)),
            Loss::Happened => act(),
        }
    }

    /// Whether another process has taken the run all the same.
    pub fn is_lost(&self) -> bool {
        matches!(*self.loss.lock().unwrap_or_else(PoisonError::into_inner), Loss::Happened)
    }
}

fn lose(loss: &Mutex<Loss>) {
    let mut loss = loss.lock().unwrap_or_else(PoisonError::into_inner);
    if let Loss::NotYet(Some(act)) = std::mem::replace(&mut *loss, Loss::Happened) {
        act();
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(heart) = self.heart.take() {
            let _ = heart.join(); // a panic's report is in the log
        }
    }
}

impl Held {
    /// A sign of life. False: another process has the run.
    fn beat(&mut self) -> bool {
        let path = self.directory.join(LOCK);
        if !is_at(&self.file, &path) {
            // Removed, or another in its place: nobody would be locked out any more.
            match open(&path).and_then(|file| Ok((try_lock(&file)?, file))) {
                Ok((true, file)) => {
                    self.own.has_locked(&file);
                    self.file = file;
                }
                // A file system may number a file anew each time: then the lock is our own.
                Ok((false, _)) if is_removed(&self.file) => return false,
                Ok((false, _)) | Err(_) => {}
            }
        }
        match Trainer::read(&self.directory) {
            Some(named) if named.is_same(&self.own) => {
                let _ = self.own.beat(&self.directory);
                true
            }
            // Both began at once where locks do not reach: who wrote last has it.
            Some(_) => {
                let another = TrainedBy::of(&self.directory, false);
                if another == TrainedBy::Nobody {
                    let _ = self.own.begin(&self.directory);
                }
                another == TrainedBy::Nobody
            }
            None => {
                let _ = self.own.begin(&self.directory);
                true
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Whether this process has the lock now; false when another one keeps it.
fn try_lock(file: &File) -> io::Result<bool> {
    let attempt = || match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(e),
    };
    for _ in 0..TRIES {
        if advice::uninterrupted(attempt)? {
            return Ok(true);
        }
        std::thread::sleep(BETWEEN);
    }
    advice::uninterrupted(attempt)
}

/// Whether the open file is the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    there.is_some() && file.metadata().map(|m| (m.dev(), m.ino())).ok() == there
}

/// Whether the open file has no name any more.
fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|m| m.nlink() == 0)
}

impl RunDirectory {
    /// Locks the run for this process, and names it as the run's trainer.
    ///
    /// # Errors
    /// [`RunError::Busy`] when another process trains it, [`RunError::Unlockable`] where there are
    /// no locks.
    pub fn lock(&self) -> Result<RunLock, RunError> {
        let path = self.file(LOCK);
        let unlockable = |source| RunError::Unlockable { path: path.clone(), source };
        for _ in 0..TRIES {
            let opened = open(&path);
            let file = opened.map_err(|source| RunError::Unwritable { path: path.clone(), source })?;
            if !try_lock(&file).map_err(unlockable)? {
                return Err(self.busy(TrainedBy::of(self.path(), true)));
            }
            // Removed between the two calls: nobody else would see this lock.
            if is_at(&file, &path) {
                return self.locked(file);
            }
        }
        Err(self.busy(TrainedBy::Somebody))
    }

    /// The lock's file is ours; somebody may train the run all the same.
    fn locked(&self, file: File) -> Result<RunLock, RunError> {
        match TrainedBy::of(self.path(), false) {
            TrainedBy::Here(t) if t.pid == std::process::id() => {}
            TrainedBy::Nobody => {}
            by => return Err(self.busy(by)),
        }
        let directory = self.path().to_owned();
        let unlockable = |source| RunError::Unlockable { path: self.file(LOCK), source };
        let mut own = Trainer::this_process(&directory).map_err(unlockable)?;
        own.has_locked(&file);
        RunLock::of(Held { directory, file, own }).map_err(unlockable)
    }

    /// The error that another process trains it.
    pub fn busy(&self, by: TrainedBy) -> RunError {
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
