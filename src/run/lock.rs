//! The lock of a run: one process trains it, and its directory says which. The kernel's lock goes
//! with the process, however that ends. Where it does not reach (another machine, a lock file that
//! somebody removed), what the trainer wrote of itself tells, and a heartbeat.

use super::journal::Displaced;
use super::trainer::{LOCK, TrainedBy, Trainer};
use super::{RunDirectory, RunError};
use crate::advice;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Whoever asks whether a run is locked holds the lock for a moment, too.
const TRIES: usize = 10;
const BETWEEN: Duration = Duration::from_millis(10);

/// Held as long as a process trains a run. From its first moment on the directory names this
/// process.
#[derive(Debug)]
pub struct RunLock {
    ownership: Ownership,
    stop: Option<Sender<()>>,
    /// Gives signs of life.
    heart: Option<JoinHandle<()>>,
}

/// What whoever writes into the run's directory asks before.
#[derive(Clone, Debug)]
pub struct Ownership(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    directory: PathBuf,
    file: File,
    /// As this process names itself.
    own: Trainer,
    loss: Loss,
}

type Act = Box<dyn FnOnce() + Send>;

/// Whether another process has the run in spite of the lock.
enum Loss {
    /// None has; what to do should one.
    NotYet(Option<Act>),
    Happened,
}

impl std::fmt::Debug for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Happened) { "Happened" } else { "NotYet" })
    }
}

impl RunLock {
    fn of(held: Held) -> io::Result<Self> {
        // Where that cannot be written (a full disk), each beat tries again, and the lock tells.
        let _ = held.own.begin(&held.directory);
        let ownership = Ownership(Arc::new(Mutex::new(held)));
        let (beating, (stop, stopped)) = (ownership.clone(), channel::<()>());
        let work = move || {
            while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                beating.beat();
            }
        };
        let heart = std::thread::Builder::new().name("heartbeat".into()).spawn(work)?;
        Ok(Self { ownership, stop: Some(stop), heart: Some(heart) })
    }

    /// What whoever writes asks before.
    pub fn ownership(&self) -> Ownership {
        self.ownership.clone()
    }

    /// What to do, once, should another process take the run all the same: somebody removed both
    /// files that keep it out, or locks do not reach that one's machine.
    pub fn when_lost(&self, act: impl FnOnce() + Send + 'static) {
        let mut held = self.ownership.held();
        match &mut held.loss {
            Loss::NotYet(then) => *then = Some(Box::new(act)),
            Loss::Happened => {
                drop(held);
                act();
            }
        }
    }

    /// Whether another process has taken the run all the same.
    pub fn is_lost(&self) -> bool {
        matches!(self.ownership.held().loss, Loss::Happened)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(heart) = self.heart.take() {
            let _ = heart.join(); // a panic's report is in the log
        }
        let held = self.ownership.held();
        held.own.end(&held.directory); // before the lock goes
    }
}

impl Ownership {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sign of life.
    fn beat(&self) {
        let act = self.held().beat();
        if let Some(act) = act {
            act();
        }
    }

    /// Whether the run is still this process's. A look at one file, as long as it is.
    ///
    /// # Errors
    /// [`Displaced::Taken`], or that the directory is not there.
    pub(super) fn check(&self) -> io::Result<()> {
        let mut held = self.held();
        let path = held.directory.join(LOCK);
        let act = if is_at(&held.file, &path) { None } else { held.beat() };
        let is_lost = matches!(held.loss, Loss::Happened);
        drop(held);
        if let Some(act) = act {
            act();
        }
        if is_lost { Err(io::Error::other(Displaced::Taken)) } else { Ok(()) }
    }
}

impl Held {
    /// A sign of life, or what is to be done since another process has the run.
    fn beat(&mut self) -> Option<Act> {
        if matches!(self.loss, Loss::Happened) || self.is_ours() {
            return None;
        }
        match std::mem::replace(&mut self.loss, Loss::Happened) {
            Loss::NotYet(act) => act,
            Loss::Happened => None,
        }
    }

    fn is_ours(&mut self) -> bool {
        let path = self.directory.join(LOCK);
        if !is_at(&self.file, &path) {
            // Removed, or another in its place: nobody would be locked out any more.
            match open(&path).and_then(|file| Ok((try_lock(&file)?, file))) {
                Ok((true, file)) => {
                    self.own.has_locked(&file);
                    self.file = file;
                }
                Ok((false, _)) => return false,
                Err(_) => {} // the directory is gone, say: that is told when something is written
            }
        }
        match Trainer::read(&self.directory) {
            Some(named) if named.is_same(&self.own) => {
                let _ = self.own.beat(&self.directory);
                true
            }
            // Both began at once where locks do not reach: who wrote last has it.
            Some(_) if TrainedBy::of(&self.directory, false).is_somebody() => false,
            _ => {
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
            let file =
                opened.map_err(|source| RunError::Unwritable { path: path.clone(), source })?;
            if !try_lock(&file).map_err(unlockable)? {
                return Err(self.busy(TrainedBy::of(self.path(), true)));
            }
            // Removed between the two calls: nobody else would see this lock.
            if is_at(&file, &path) {
                return self.locked(file);
            }
        }
        let source = io::Error::other("its file is another one each time it is looked at");
        Err(unlockable(source))
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
        let loss = Loss::NotYet(None);
        RunLock::of(Held { directory, file, own, loss }).map_err(unlockable)
    }

    /// The error that another process trains it.
    pub fn busy(&self, by: TrainedBy) -> RunError {
        RunError::Busy { run: self.id(), by: Box::new(by) }
    }

    /// Who trains it.
    pub fn trained_by(&self) -> TrainedBy {
        let file = File::open(self.file(LOCK));
        let locked =
            file.is_ok_and(|f| matches!(f.try_lock_shared(), Err(TryLockError::WouldBlock)));
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
