//! The journal: one record a line, appended, never rewritten, each line with a checksum of its own.
//! What a person may have acted on is on the disk before it is shown; step figures are thinned and
//! written in batches.

use super::durable::forced;
use crate::protocol::{Event, Record};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Seconds between two step records.
const STEP_SECONDS: f64 = 1.0;
/// Bytes of step records that wait for company at most.
const BATCH: usize = 16 << 10;
/// Bytes that wait for a disk that takes nothing at most: a few thousand epochs.
const WAITING: usize = 32 << 20;
/// `,"crc":"01234567"}` ends a line.
const CHECKSUM: usize = 18;

/// Why a journal that is open is not where it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum Displaced {
    /// Nobody can read it any more.
    #[error("the run's directory was removed while it trained, so nothing can be kept of it")]
    Removed,
    /// The same, though its directory is there.
    #[error(
        "journal.jsonl was removed or replaced while the run trained, so nothing more can be \
         kept of it"
    )]
    Replaced,
    /// Another process has the run by now.
    #[error(
        "another process has taken the run's lock and trains it, so this one keeps nothing more of \
         it"
    )]
    Taken,
    /// It is elsewhere.
    #[error(
        "the run's directory was renamed while it trained{}: give it back its name, {}",
        now.as_ref().map_or_else(String::new, |now| format!(", to {}", now.display())),
        was.display()
    )]
    Moved {
        /// Where it was.
        was: PathBuf,
        /// Where it is, where the system says so.
        now: Option<PathBuf>,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of the file that are whole lines.
    whole: u64,
    /// Lines that are not in the file yet.
    waiting: Vec<u8>,
    /// Whether the file's end may be torn, or not on the disk.
    unsettled: bool,
    last_step: f64,
}

impl Journal {
    /// Opens the journal at `path` for appending, making it if need be. A torn last line (the
    /// process died in it) is cut.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let whole = end_of_last_line(&file)?;
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        let path = path.to_owned();
        Ok(Self {
            path,
            file,
            whole,
            waiting: Vec::new(),
            unsettled: false,
            last_step: f64::NEG_INFINITY,
        })
    }

    /// Appends a record. Records other than step figures are on the disk when this returns well;
    /// else they wait, and [`settle`](Self::settle) tries again.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let is_step = matches!(record.event, Event::Step { .. });
        match record.event {
            Event::Evaluating { .. } => return Ok(()),
            // While the disk takes nothing, what is thinned anyway goes first.
            Event::Step { .. } if self.unsettled || record.t - self.last_step < STEP_SECONDS => {
                return Ok(());
            }
            Event::Step { .. } => self.last_step = record.t,
            _ => {}
        }
        if self.waiting.len() < WAITING {
            self.waiting.extend(line_of(record).as_bytes());
        }
        if is_step && self.waiting.len() < BATCH { Ok(()) } else { self.settle() }
    }

    /// Whether what is appended can be read under the journal's path: what is written to a file
    /// that was removed is lost without an error.
    ///
    /// # Errors
    /// `Displaced` when it was removed or renamed, or its directory was.
    pub fn is_in_place(&self) -> io::Result<()> {
        let ours = self.file.metadata()?;
        if ours.nlink() == 0 {
            let is_there = self.path.parent().is_some_and(Path::exists);
            let why = if is_there { Displaced::Replaced } else { Displaced::Removed };
            return Err(io::Error::other(why));
        }
        match std::fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(()),
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => {
                let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let now = std::fs::read_link(link).ok();
                let directory = |path: &Path| path.parent().map(Path::to_owned);
                let now = now.and_then(|now| directory(&now));
                let was = directory(&self.path).unwrap_or_default();
                Err(io::Error::other(Displaced::Moved { was, now }))
            }
        }
    }

    /// Brings everything that waits to the disk.
    ///
    /// # Errors
    /// Whatever the file system says; nothing is lost, it waits on.
    pub fn settle(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() && !self.unsettled {
            return Ok(());
        }
        if self.unsettled {
            self.file.set_len(self.whole)?; // half a line of the last try
        }
        self.unsettled = true;
        self.file.write_all(&self.waiting)?;
        forced(self.file.sync_data())?;
        self.whole += self.waiting.len() as u64;
        self.waiting.clear();
        self.unsettled = false;
        Ok(())
    }
}

/// Offset behind the last newline, looked for from the end.
fn end_of_last_line(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut end = file.metadata()?.len();
    let mut block = [0; 1 << 16];
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - from) as usize];
        file.read_exact_at(part, from)?;
        if let Some(newline) = part.iter().rposition(|b| *b == b'\n') {
            return Ok(from + newline as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// The record as a line with its newline: the checksum (CRC-32 of what stands before it) is the
/// last member.
fn line_of(record: &Record) -> String {
    let mut line = record.to_line();
    line.pop(); // the closing brace
    let sum = crc32fast::hash(line.as_bytes());
    line + &format!(",\"crc\":\"{sum:08x}\"}}\n")
}

/// Whether a line is as it was written. Lines without a checksum (written by hand) pass.
fn is_whole(line: &[u8]) -> bool {
    let Some((text, tail)) = line.len().checked_sub(CHECKSUM).map(|at| line.split_at(at)) else {
        return true;
    };
    let Some(sum) = tail.strip_prefix(b",\"crc\":\"").and_then(|t| t.strip_suffix(b"\"}")) else {
        return true;
    };
    std::str::from_utf8(sum).ok().and_then(|s| u32::from_str_radix(s, 16).ok())
        == Some(crc32fast::hash(text))
}

/// What was read of a journal.
#[derive(Debug, Default)]
pub struct Read {
    /// Its whole records, in order.
    pub records: Vec<Record>,
    /// Lines that are not as they were written.
    pub damaged: usize,
}

/// Reads a journal from byte `from` on, calling `each` with the record of every line that `wanted`
/// wants; gives the count of damaged lines, and the byte behind the last whole one.
fn lines(
    path: &Path,
    from: u64,
    mut wanted: impl FnMut(&[u8]) -> bool,
    mut each: impl FnMut(Record),
) -> io::Result<(usize, u64)> {
    let mut reader = BufReader::with_capacity(1 << 18, File::open(path)?);
    reader.seek(SeekFrom::Start(from))?;
    let (mut line, mut damaged, mut at) = (Vec::new(), 0, from);
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            return Ok((damaged, at)); // the end, or a torn last line: not there yet
        }
        at += bytes as u64;
        if !wanted(&line) {
            continue;
        }
        if !is_whole(&line) {
            damaged += 1;
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(record) => each(record),
            Err(e) if e.to_string().starts_with("unknown variant") => {} // of a newer version
            Err(_) => damaged += 1,
        }
    }
}

/// All whole records of a journal, in order. A torn last line is not there yet, events of a newer
/// version are skipped; those of ours with figures that no trainer can have told are damaged.
///
/// # Errors
/// Whatever the file system says.
pub fn read(path: &Path) -> io::Result<Read> {
    let mut records = Vec::new();
    let (damaged, _) = lines(path, 0, |_| true, |record| records.push(record))?;
    Ok(Read { records, damaged })
}

/// The same without step figures, whose lines are not even parsed: for tables of runs.
///
/// # Errors
/// Whatever the file system says.
pub fn read_without_steps(path: &Path) -> io::Result<Vec<Record>> {
    const STEP: &[u8] = b",\"event\":\"step\",";
    let mut records = Vec::new();
    // `seq` and `t`, which come before, are short.
    let wanted = |line: &[u8]| !line[..line.len().min(96)].windows(STEP.len()).any(|w| w == STEP);
    lines(path, 0, wanted, |record| records.push(record))?;
    Ok(records)
}

/// Follows a journal that another process writes.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    at: u64,
}

impl Tail {
    /// Of the journal at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, at: 0 }
    }

    /// What was written since the last time; `None` when the journal is another one, shorter: it is
    /// to be read anew.
    ///
    /// # Errors
    /// Whatever the file system says; no journal is no error.
    pub fn poll(&mut self) -> io::Result<Option<Vec<Record>>> {
        let length = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
        let mut records = Vec::new();
        if length < self.at {
            self.at = 0;
            return Ok(None);
        }
        if length > self.at {
            (_, self.at) = lines(&self.path, self.at, |_| true, |record| records.push(record))?;
        }
        Ok(Some(records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(seq: u64, text: &str) -> Record {
        Record { seq, t: 0.5, event: Event::Note { text: text.into() } }
    }

    fn step(i: u64) -> Record {
        let event = Event::Step {
            epoch: 1,
            step: i as usize,
            steps: 100,
            loss: 1.0,
            lr: 0.1,
            images_per_s: 9.0,
            grad_norm: None,
        };
        Record { seq: i + 1, t: i as f64 / 10.0, event }
    }

    fn journal() -> (tempfile::TempDir, std::path::PathBuf, Journal) {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::open(&path).expect("open");
        (dir, path, journal)
    }

    #[test]
    fn a_torn_last_line_and_an_unknown_event_are_skipped() {
        let (_dir, path, mut journal) = journal();
        journal.append(&note(1, "first")).expect("append");
        journal.append(&note(2, "second")).expect("append");
        let mut file = OpenOptions::new().append(true).open(&path).expect("open");
        let foreign = r#"{"seq":3,"t":1.0,"event":"from_the_future","x":1}"#;
        let torn = r#"{"seq":4,"t":1.0,"ev"#;
        write!(file, "{foreign}\n{torn}").expect("write");
        let read = read(&path).expect("read");
        assert_eq!((read.records, read.damaged), (vec![note(1, "first"), note(2, "second")], 0));
    }

    #[test]
    fn a_tail_gives_each_whole_line_once_and_notices_another_journal() {
        let (_dir, path, mut journal) = journal();
        let mut tail = Tail::new(path.clone());
        journal.append(&note(1, "first")).expect("append");
        assert_eq!(tail.poll().expect("read"), Some(vec![note(1, "first")]));
        let mut file = OpenOptions::new().append(true).open(&path).expect("open");
        let line = line_of(&note(2, "second"));
        file.write_all(&line.as_bytes()[..20]).expect("write");
        assert_eq!(tail.poll().expect("read"), Some(Vec::new()), "half a line");
        file.write_all(&line.as_bytes()[20..]).expect("write");
        assert_eq!(tail.poll().expect("read"), Some(vec![note(2, "second")]));
        std::fs::write(&path, line_of(&note(1, "anew"))).expect("write");
        assert_eq!(tail.poll().expect("read"), None);
        assert_eq!(tail.poll().expect("read"), Some(vec![note(1, "anew")]));
    }

    #[test]
    fn a_torn_last_line_is_cut_when_the_run_goes_on() {
        let (_dir, path, mut journal) = journal();
        journal.append(&note(1, "whole")).expect("append");
        OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("open")
            .write_all(b"{\"seq\":2,\"t\":1.0,\"ev")
            .expect("write");
        Journal::open(&path).expect("open").append(&note(2, "whole")).expect("append");
        assert_eq!(read(&path).expect("read").records, [note(1, "whole"), note(2, "whole")]);
    }

    #[test]
    fn a_changed_digit_is_noticed_and_its_line_left_out() {
        let (_dir, path, mut journal) = journal();
        for i in 1..=3 {
            journal.append(&note(i, "accuracy 0.8617")).expect("append");
        }
        let text =
            std::fs::read_to_string(&path).expect("read").replacen("\"seq\":2", "\"seq\":7", 1);
        std::fs::write(&path, text).expect("write");
        let read = read(&path).expect("read");
        assert_eq!(
            (read.records, read.damaged),
            (vec![note(1, "accuracy 0.8617"), note(3, "accuracy 0.8617")], 1)
        );
    }

    #[test]
    fn step_records_are_thinned_to_one_a_second_and_written_with_the_next_event() {
        let (_dir, path, mut journal) = journal();
        for i in 0..100 {
            journal.append(&step(i)).expect("append");
        }
        assert!(read(&path).expect("read").records.is_empty(), "they wait for company");
        journal.append(&note(101, "an event")).expect("append");
        assert_eq!(read(&path).expect("read").records.len(), 11);
        assert_eq!(read_without_steps(&path).expect("read"), [note(101, "an event")]);
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_written_later() {
        let (_dir, path, mut journal) = journal();
        journal.append(&note(1, "before")).expect("append");
        // A disk that is full: writes to /dev/full say so.
        let disk = std::mem::replace(
            &mut journal.file,
            OpenOptions::new().append(true).open("/dev/full").expect("open"),
        );
        assert!(
            journal.append(&note(2, "meanwhile")).is_err()
                && journal.append(&note(3, "meanwhile")).is_err()
        );
        journal.append(&step(40)).expect("a step figure is let go");
        journal.file = disk;
        journal.append(&note(4, "after")).expect("append");
        let seqs: Vec<u64> = read(&path).expect("read").records.iter().map(|r| r.seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4]);
    }
}
