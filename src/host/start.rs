//! Starts a host process for a run: one that goes on by itself, followed until it trains, or one
//! that is tied to this process.

use super::{StartUp, this_program, wait_passively};
use crate::model::device::DeviceName;
use crate::protocol::Record;
use crate::run::RunDirectory;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Lines, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Bytes of the log that are shown when a host dies without a word.
const LAST_WORDS: u64 = 2048;

/// Why no host trains the run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process cannot be started.
    #[error("no process can be started for the run: {0}\n  --inline trains in this one.")]
    Spawn(#[from] io::Error),
    /// It says why it cannot train.
    #[error("{0}")]
    Refused(String),
    /// It could train, but nobody could look at it.
    #[error("{0}")]
    Unreachable(String),
    /// It died without a word.
    #[error("the process that trained the run died; the end of {log}:\n{words}")]
    Died {
        /// Its log.
        log: String,
        /// The end of that.
        words: String,
    },
}

/// Starts a host for the run in `directory`, new or (`resume`) continued with the changes `set`,
/// and waits until its socket answers. `report` is told what happens on the way.
///
/// # Errors
/// [`StartError`].
pub fn start(
    directory: &RunDirectory,
    device: DeviceName,
    threads: Option<usize>,
    resume: Option<&[String]>,
    report: &mut dyn FnMut(StartUp),
) -> Result<(), StartError> {
    let (mut command, log, before) = host(directory, device, threads)?;
    if let Some(set) = resume {
        command.arg("--resume");
        command.args(set.iter().flat_map(|item| ["--set", item]));
    }
    let mut child = command.stdin(Stdio::null()).spawn()?;
    until_ready(&mut child, &log, before, report)
}

/// Follows what a process says on its way, until it trains. What it prints goes to `log`, from byte
/// `before` on.
///
/// # Errors
/// [`StartError`]; the process has ended then.
pub fn until_ready(
    child: &mut Child,
    log: &Path,
    before: u64,
    report: &mut dyn FnMut(StartUp),
) -> Result<(), StartError> {
    let lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    for line in lines.map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(StartUp::Ready) => return Ok(()),
            Ok(StartUp::Failed(why)) => {
                let _ = child.wait();
                return Err(StartError::Refused(why));
            }
            Ok(StartUp::Unreachable(why)) => {
                let _ = child.wait();
                return Err(StartError::Unreachable(why));
            }
            Ok(word) => report(word),
            Err(_) => {} // native code has something to say
        }
    }
    let _ = child.wait();
    Err(StartError::Died {
        log: log.display().to_string(),
        words: last_words(log, before).unwrap_or_default(),
    })
}

/// The command that hosts a run, its log, and how long that is already.
fn host(
    directory: &RunDirectory,
    device: DeviceName,
    threads: Option<usize>,
) -> io::Result<(Command, PathBuf, u64)> {
    let log = directory.file("host.log");
    let file = OpenOptions::new().create(true).append(true).open(&log)?;
    let before = file.metadata()?.len();
    let mut command = this_program()?;
    wait_passively(&mut command);
    command.arg("host").arg(directory.path()).args(["--device", &device.to_string()]);
    if let Some(threads) = threads {
        command.args(["--threads", &threads.to_string()]);
    }
    command.stdout(Stdio::piped()).stderr(file);
    Ok((command, log, before))
}

/// A host that ends with whoever started it, and tells them everything.
#[derive(Debug)]
pub struct TiedHost {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    before: u64,
}

/// What a tied host says.
#[derive(Debug)]
pub enum TiedSays {
    /// How it starts.
    StartUp(StartUp),
    /// What happens.
    Record(Box<Record>),
}

impl TiedHost {
    /// Starts a host for the run in `directory`, new (by the `config.toml` there) or continued, to
    /// its end or to the end of epoch `until`. It trains as long as the second part, its standard
    /// input, is open.
    ///
    /// # Errors
    /// [`StartError::Spawn`].
    pub fn start(
        directory: &RunDirectory,
        device: DeviceName,
        threads: Option<usize>,
        resume: bool,
        until: Option<usize>,
    ) -> Result<(Self, ChildStdin), StartError> {
        let (mut command, log, before) = host(directory, device, threads)?;
        command.arg("--tied");
        if resume {
            command.arg("--resume");
        }
        if let Some(epoch) = until {
            command.args(["--until", &epoch.to_string()]);
        }
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        match (child.stdout.take(), child.stdin.take()) {
            (Some(out), Some(input)) => {
                Ok((Self { child, lines: BufReader::new(out).lines(), log, before }, input))
            }
            _ => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
        }
    }

    /// What it says next; `None` when it has ended.
    pub fn hear(&mut self) -> Option<TiedSays> {
        loop {
            let line = self.lines.next()?.ok()?;
            if let Some(record) = Record::from_line(&line) {
                return Some(TiedSays::Record(Box::new(record)));
            }
            if let Ok(word) = serde_json::from_str(&line) {
                return Some(TiedSays::StartUp(word));
            } // else native code has something to say
        }
    }

    /// Waits for its end; gives its exit code.
    ///
    /// # Errors
    /// [`StartError::Died`] when a signal ended it.
    pub fn end(mut self) -> Result<i32, StartError> {
        let status = self.child.wait()?;
        status.code().ok_or_else(|| StartError::Died {
            log: self.log.display().to_string(),
            words: last_words(&self.log, self.before).unwrap_or_default(),
        })
    }
}

fn last_words(log: &Path, before: u64) -> io::Result<String> {
    let mut file = std::fs::File::open(log)?;
    let from = before.max(file.metadata()?.len().saturating_sub(LAST_WORDS));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
