//! The journal: one record a line, appended, never rewritten.
//! What a person may have acted on is on the disk before it is shown; step figures are thinned to one a second.

use crate::protocol::{Event, Record};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// Seconds between two step records.
const STEP_SECONDS: f64 = 1.0;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    last_step: f64,
}

impl Journal {
    /// Opens the journal at `path` for appending, making it if need be. A torn last line (the process died in it) is cut.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let whole = std::fs::read(path)?.iter().rposition(|b| *b == b'\n').map_or(0, |p| p as u64 + 1);
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        Ok(Self { file, last_step: f64::NEG_INFINITY })
    }

    /// Appends a record. Records other than step figures are on the disk when this returns.
    ///
    /// # Errors
    /// Whatever the file system says; the line may then be torn, which readers skip.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        match record.event {
            Event::Evaluating { .. } => return Ok(()),
            Event::Step { .. } if record.t - self.last_step < STEP_SECONDS => return Ok(()),
            Event::Step { .. } => self.last_step = record.t,
            _ => {}
        }
        let mut line = record.to_line();
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        if matches!(record.event, Event::Step { .. }) { Ok(()) } else { self.file.sync_data() }
    }
}

/// All whole records of a journal, in order; lines that are torn or of a newer version are skipped.
///
/// # Errors
/// Whatever the file system says.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        records.extend(std::str::from_utf8(&line?).ok().and_then(Record::from_line));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_and_an_unknown_event_are_skipped() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).expect("open");
        let note = |seq, text: &str| Record { seq, t: 0.5, event: Event::Note { text: text.into() } };
        journal.append(&note(1, "first")).expect("append");
        journal.append(&note(2, "second")).expect("append");
        let mut file = OpenOptions::new().append(true).open(&path).expect("open");
        file.write_all(b"{\"seq\":3,\"t\":1.0,\"event\":\"from_the_future\",\"x\":1}\n{\"seq\":4,\"t\":1.0,\"ev").expect("write");
        assert_eq!(read(&path).expect("read"), [note(1, "first"), note(2, "second")]);
    }

    #[test]
    fn a_torn_last_line_is_cut_when_the_run_goes_on() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal.jsonl");
        let note = |seq| Record { seq, t: 0.5, event: Event::Note { text: "whole".into() } };
        Journal::open(&path).expect("open").append(&note(1)).expect("append");
        OpenOptions::new().append(true).open(&path).expect("open").write_all(b"{\"seq\":2,\"t\":1.0,\"ev").expect("write");
        Journal::open(&path).expect("open").append(&note(2)).expect("append");
        assert_eq!(read(&path).expect("read"), [note(1), note(2)]);
    }

    #[test]
    fn step_records_are_thinned_to_one_a_second() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).expect("open");
        for i in 0..100_u64 {
            let event = Event::Step { epoch: 1, step: i as usize, steps: 100, loss: 1.0, lr: 0.1, images_per_s: 9.0 };
            journal.append(&Record { seq: i + 1, t: i as f64 / 10.0, event }).expect("append");
        }
        assert_eq!(read(&path).expect("read").len(), 10);
    }
}
