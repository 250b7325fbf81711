//! Starts a host process for a run and follows it until it trains.

use super::StartUp;
use crate::model::device::DeviceName;
use crate::run::RunDirectory;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};

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
    /// It died without a word.
    #[error("the process that was to train the run died at its start; the end of {log}:\n{words}")]
    Died {
        /// Its log.
        log: String,
        /// The end of that.
        words: String,
    },
}

/// Starts a host for the run in `directory`, new or (`resume`) continued with the changes `set`, and waits until its socket
/// answers. `report` is told what happens on the way.
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
    let log = directory.file("host.log");
    let file = OpenOptions::new().create(true).append(true).open(&log)?;
    let before = file.metadata()?.len();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("host").arg(directory.path()).args(["--device", &device.to_string()]);
    if let Some(threads) = threads {
        command.args(["--threads", &threads.to_string()]);
    }
    if let Some(set) = resume {
        command.arg("--resume");
        command.args(set.iter().flat_map(|item| ["--set", item]));
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn()?;
    let lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    for line in lines.map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(StartUp::Ready) => return Ok(()),
            Ok(StartUp::Failed(why)) => {
                let _ = child.wait();
                return Err(StartError::Refused(why));
            }
            Ok(word) => report(word),
            Err(_) => {} // native code has something to say
        }
    }
    let _ = child.wait();
    Err(StartError::Died { log: log.display().to_string(), words: last_words(&log, before).unwrap_or_default() })
}

fn last_words(log: &Path, before: u64) -> io::Result<String> {
    let mut file = std::fs::File::open(log)?;
    let from = before.max(file.metadata()?.len().saturating_sub(LAST_WORDS));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
