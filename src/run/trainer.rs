//! Which process trains a run: it says so in the run's directory, for whoever looks from wherever.
//! Knows nothing of how it is locked.

use super::durable::{create_anew, with_suffix};
use crate::printable::in_one_line;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The file that says so.
pub(super) const FILE: &str = "trainer.json";
/// The file that is locked as long as a process trains the run.
pub(super) const LOCK: &str = "run.lock";
/// A trainer that was not heard from for this long counts as gone.
const STALE: Duration = Duration::from_secs(60);
/// Longest file that is read.
const LONGEST: u64 = 4096;
/// Where batch systems tell the number of the job.
const JOBS: [&str; 5] = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "FLUX_JOB_ID"];

/// A process that trains, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trainer {
    /// Name of its machine.
    pub host: String,
    /// Number that the machine gave itself when it started; empty where it has none.
    boot: String,
    /// Number of the container: processes are numbered anew in each one.
    #[serde(default)]
    container: String,
    /// Its process.
    pub pid: u32,
    /// When the process began, in ticks since the machine did: numbers of processes are used again.
    began: u64,
    /// Inode of the run's directory: a copy of it is not trained.
    inode: u64,
    /// Device and inode of the file that it has locked.
    #[serde(default)]
    lock: (u64, u64),
    /// Whether somebody else wrote this: then it is told, and nothing is done with it.
    #[serde(skip)]
    foreign: bool,
    /// Job of the batch system, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// Who trains a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainedBy {
    /// No process.
    Nobody,
    /// One of this machine.
    Here(Trainer),
    /// One of another machine, heard of so long ago.
    Elsewhere(Trainer, Duration),
    /// One that has the lock and does not say more.
    Somebody,
}

impl Trainer {
    /// This process, as the trainer of the run in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be looked at.
    pub(super) fn this_process(directory: &Path) -> io::Result<Self> {
        let job =
            JOBS.iter().find_map(|name| std::env::var(name).ok()).filter(|job| !job.is_empty());
        let pid = std::process::id();
        let inode = fs::metadata(directory)?.ino();
        let began = began(pid).map_or(0, |(began, _)| began);
        let (host, boot, container, lock) = (host(), boot(), container(), (0, 0));
        Ok(Self { host, boot, container, pid, began, inode, lock, foreign: false, job })
    }

    /// Notes which file the process has locked.
    pub(super) fn has_locked(&mut self, file: &File) {
        self.lock = file.metadata().map_or((0, 0), |m| (m.dev(), m.ino()));
    }

    /// What stands in the directory of a run; `None`: nothing, or of another directory.
    pub(super) fn read(directory: &Path) -> Option<Self> {
        // A pipe of that name would be waited for.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(directory.join(FILE));
        let (file, meta) =
            opened.and_then(|file| Ok((file.metadata()?, file))).map(|(m, f)| (f, m)).ok()?;
        let owner = meta.is_file().then(|| meta.uid())?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, LONGEST), &mut bytes).ok()?;
        let mut said: Self = serde_json::from_slice(&bytes).ok()?;
        said.foreign = owner != us();
        (said.inode == fs::metadata(directory).ok()?.ino()).then_some(said)
    }

    /// Says in `directory` that it trains that run, in a file that is whole or not there.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(super) fn begin(&self, directory: &Path) -> io::Result<()> {
        let file = directory.join(FILE);
        let half = with_suffix(&file, &format!(".{}.tmp", self.pid));
        let text = self.text()?;
        let write = || {
            create_anew(&half)?.write_all(&text)?;
            fs::rename(&half, &file)
        };
        let written = write();
        written.inspect_err(|_| drop(fs::remove_file(&half)))
    }

    /// Gives a sign of life. The same is written in its place, which a full disk takes, so that the
    /// file's time is by the clock of its file system.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(super) fn beat(&self, directory: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(directory.join(FILE))?;
        let text = self.text()?;
        let written = file.write_all(&text).and_then(|()| file.set_len(text.len() as u64));
        written.or_else(|_| file.set_modified(SystemTime::now()))
    }

    /// Removes the file if it names this process.
    pub(super) fn end(&self, directory: &Path) {
        if Self::read(directory).is_some_and(|named| named.is_same(self)) {
            let _ = fs::remove_file(directory.join(FILE));
        }
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Whether both name the same process.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let id = |t: &Self| (t.host.clone(), t.boot.clone(), t.container.clone(), t.pid, t.began);
        id(self) == id(other)
    }

    /// Whether one kernel has its locks and ours.
    fn is_of_this_kernel(&self) -> bool {
        if self.boot.is_empty() { self.host == host() } else { self.boot == boot() }
    }

    /// Whether it is a process of this machine (and container), since that was started last.
    pub(super) fn is_of_this_machine(&self) -> bool {
        self.is_of_this_kernel() && self.container == container()
    }

    /// Whether it would have the lock in `directory`, had it not ended: the kernel says who has it.
    fn had_the_lock(&self, directory: &Path) -> bool {
        let there = fs::metadata(directory.join(LOCK)).map(|m| (m.dev(), m.ino())).ok();
        self.is_of_this_kernel() && there == Some(self.lock)
    }

    /// Whether the process lives, if it is one of this machine.
    pub(super) fn is_alive(&self) -> bool {
        began(self.pid).is_some_and(|(began, state)| began == self.began && !"ZX".contains(state))
    }

    /// Whether the process is stopped, so that it answers nothing, if it is one of this machine.
    pub fn is_stopped(&self) -> bool {
        self.is_of_this_machine()
            && began(self.pid).is_some_and(|(began, state)| began == self.began && state == 'T')
    }

    /// Ends it in order: sends TERM to this very process, and to no other that has its number by
    /// now.
    ///
    /// # Errors
    /// When it is not of this machine, has ended, or may not be signalled.
    pub fn terminate(&self) -> io::Result<()> {
        let refused = |why: String| Err(io::Error::other(why));
        if self.foreign {
            return refused(format!("another user says that {self} trains it: nothing is done"));
        }
        if !self.is_of_this_machine() {
            return refused(format!("{self} is on another machine: end it there"));
        }
        let pid = i32::try_from(self.pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw);
        let Some(pid) = pid else { return refused(format!("{} is no process", self.pid)) };
        let process = Process::open(pid)?;
        if !self.is_alive() || !is_this_program(self.pid) {
            return refused(format!("{self} has ended"));
        }
        process.terminate()
    }
}

impl fmt::Display for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, in_one_line(&self.host))?;
        match &self.job {
            Some(job) => write!(f, " (job {})", in_one_line(job)),
            None => Ok(()),
        }
    }
}

impl TrainedBy {
    /// Who trains the run in `directory`, where `locked` tells whether a process has its lock.
    pub(super) fn of(directory: &Path, locked: bool) -> Self {
        match Trainer::read(directory) {
            Some(t) if t.is_of_this_machine() && t.is_alive() => Self::Here(t),
            Some(t) if !t.is_of_this_machine() && (locked || !t.had_the_lock(directory)) => {
                let seen = seen(directory);
                let fresh = locked || seen.is_some_and(|seen| seen < STALE);
                if fresh { Self::Elsewhere(t, seen.unwrap_or_default()) } else { Self::Nobody }
            }
            _ if locked => Self::Somebody,
            _ => Self::Nobody,
        }
    }

    /// Whether there is one.
    pub fn is_somebody(&self) -> bool {
        *self != Self::Nobody
    }
}

impl fmt::Display for TrainedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("no process"),
            Self::Somebody => f.write_str("another process"),
            Self::Here(trainer) => trainer.fmt(f),
            Self::Elsewhere(trainer, seen) => write!(f, "{trainer}, seen {} s ago", seen.as_secs()),
        }
    }
}

/// A process that stays the one it was when it was opened, where the system can tell.
struct Process {
    #[cfg(target_os = "linux")]
    fd: std::os::fd::OwnedFd,
    #[cfg(not(target_os = "linux"))]
    pid: Pid,
}

#[cfg(target_os = "linux")]
impl Process {
    fn open(pid: Pid) -> io::Result<Self> {
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        Ok(Self { fd })
    }

    fn terminate(&self) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(&self.fd, Signal::TERM)?)
    }
}

#[cfg(not(target_os = "linux"))]
impl Process {
    fn open(pid: Pid) -> io::Result<Self> {
        Ok(Self { pid })
    }

    fn terminate(&self) -> io::Result<()> {
        Ok(rustix::process::kill_process(self.pid, Signal::TERM)?)
    }
}

/// How long ago the trainer gave a sign of life. `None`: there is none, or its time is far ahead.
fn seen(directory: &Path) -> Option<Duration> {
    let written = fs::metadata(directory.join(FILE)).and_then(|m| m.modified()).ok()?;
    match now_in(directory).duration_since(written) {
        Ok(age) => Some(age),
        Err(ahead) => (ahead.duration() < STALE).then_some(Duration::ZERO),
    }
}

/// The time by the clock of the directory's file system, where this user may write: the clocks of
/// two machines differ.
fn now_in(directory: &Path) -> SystemTime {
    let is_ours = fs::metadata(directory).is_ok_and(|m| m.uid() == us());
    let probe = directory.join(format!(".clock-{}", std::process::id()));
    let made = if is_ours { File::create_new(&probe).ok() } else { None };
    let now = made.and_then(|made| made.metadata().and_then(|m| m.modified()).ok());
    if now.is_some() {
        let _ = fs::remove_file(&probe);
    }
    now.unwrap_or_else(SystemTime::now)
}

/// This user.
fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn host() -> String {
    sysinfo::System::host_name().unwrap_or_default()
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn container() -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    namespace.to_string_lossy().into_owned()
}

/// When a process began (field 22 of its `stat`), and its state; `None` where it is gone, or
/// nothing tells.
fn began(pid: u32) -> Option<(u64, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

/// Whether a process runs this program, or one that took its place on the disk since.
fn is_this_program(pid: u32) -> bool {
    let program = |pid: &str| {
        let link = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = link.file_name()?.to_string_lossy().into_owned();
        Some(name.trim_end_matches(" (deleted)").to_owned())
    };
    program(&pid.to_string()).is_some_and(|theirs| Some(theirs) == program("self"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_more_than_its_number() {
        let directory = tempfile::tempdir().expect("a directory");
        let ours = Trainer::this_process(directory.path()).expect("a trainer");
        assert!(ours.is_of_this_machine() && ours.is_alive() && !ours.is_stopped());
        let another = Trainer { began: ours.began + 1, ..ours.clone() };
        assert!(!another.is_alive() && another.terminate().is_err());
        for pid in [0, 1, u32::MAX, (-1_i32) as u32, ours.pid] {
            let elsewhere = Trainer { pid, boot: "another".into(), ..ours.clone() };
            let why = elsewhere.terminate().expect_err("refused").to_string();
            assert!(why.contains("another machine"), "{why}");
            if pid != ours.pid {
                assert!(Trainer { pid, ..ours.clone() }.terminate().is_err(), "{pid}");
            }
        }
    }

    #[test]
    fn a_forged_name_of_a_machine_is_one_short_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let ours = Trainer::this_process(directory.path()).expect("a trainer");
        let host = format!("node7\n\u{1b}[2JAll is well.{}", "x".repeat(5_000));
        let said = Trainer { host: host.clone(), job: Some(host), ..ours }.to_string();
        assert!(said.chars().count() < 300 && !said.contains(['\n', '\u{1b}']), "{said}");
    }

    #[test]
    fn who_ends_takes_no_other_ones_name_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let ours = Trainer::this_process(directory.path()).expect("a trainer");
        let another = Trainer { began: 1, ..ours.clone() };
        another.begin(directory.path()).expect("written");
        ours.end(directory.path());
        assert_eq!(Trainer::read(directory.path()), Some(another.clone()));
        another.end(directory.path());
        assert_eq!(Trainer::read(directory.path()), None);
    }

    #[test]
    fn who_trains_a_run_is_told_by_lock_machine_and_heartbeat() {
        let directory = tempfile::tempdir().expect("a directory");
        let by = |locked| TrainedBy::of(directory.path(), locked);
        assert_eq!((by(false), by(true)), (TrainedBy::Nobody, TrainedBy::Somebody));
        let ours = Trainer::this_process(directory.path()).expect("a trainer");
        let write = |trainer: &Trainer| {
            let text = serde_json::to_vec(trainer).expect("JSON");
            fs::write(directory.path().join(FILE), text).expect("written");
        };
        write(&ours);
        assert_eq!(by(false), TrainedBy::Here(ours.clone()));
        write(&Trainer { began: 1, ..ours.clone() });
        assert_eq!((by(false), by(true)), (TrainedBy::Nobody, TrainedBy::Somebody));
        write(&Trainer { inode: 1, ..ours.clone() });
        assert_eq!(by(false), TrainedBy::Nobody, "that of the directory it was copied from");
        let (boot, job) = ("another".to_owned(), Some("42".to_owned()));
        let elsewhere = Trainer { host: "node7".into(), boot, job, ..ours.clone() };
        write(&elsewhere);
        assert!(matches!(by(false), TrainedBy::Elsewhere(..)));
        assert!(by(false).to_string().contains("on node7 (job 42), seen 0 s ago"), "{}", by(false));
        let file = fs::File::options().write(true).open(directory.path().join(FILE)).expect("open");
        file.set_modified(SystemTime::now() - 2 * STALE).expect("set");
        assert_eq!(by(false), TrainedBy::Nobody, "not heard of for too long");
        assert!(by(true).is_somebody(), "but for the lock");
        fs::write(directory.path().join(FILE), "{\"host\":").expect("written");
        assert_eq!(by(false), TrainedBy::Nobody, "nonsense");
        let lock = fs::File::create(directory.path().join(LOCK)).expect("a file");
        let mut contained = Trainer { container: "another".into(), ..ours };
        write(&contained);
        assert!(matches!(by(false), TrainedBy::Elsewhere(..)), "it locked another file");
        contained.has_locked(&lock);
        write(&contained);
        assert_eq!(by(false), TrainedBy::Nobody, "its lock is gone, and so is it");
        assert!(by(true).is_somebody());
        fs::remove_file(directory.path().join(FILE)).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(directory.path().join(FILE)).status();
        assert!(made.is_ok_and(|s| s.success()));
        assert_eq!(by(false), TrainedBy::Nobody, "a pipe is not waited for");
    }
}
