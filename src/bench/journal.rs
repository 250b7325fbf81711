//! The journal: what a record costs.

use crate::protocol::{Event, Record};
use crate::run::{Journal, read_journal};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Instant;

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JournalFigures {
    /// Step records a second, on their way to the disk in batches.
    pub step_records_per_s: f64,
    /// Events a second, each on the disk before the next.
    pub durable_events_per_s: f64,
    /// Records a second, read back.
    pub records_read_per_s: f64,
}

/// Writes and reads a journal in a temporary directory.
///
/// # Errors
/// Whatever the file system says.
pub fn journal(records: usize) -> io::Result<JournalFigures> {
    let directory = std::env::temp_dir().join(format!("earlybird-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let measured = measure(&directory.join("journal.jsonl"), records);
    std::fs::remove_dir_all(&directory)?;
    measured
}

fn measure(path: &std::path::Path, records: usize) -> io::Result<JournalFigures> {
    let mut journal = Journal::open(path)?;
    let rate = |count: usize, began: Instant| count as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    for i in 0..records {
        let event = Event::Step {
            epoch: 1,
            step: i,
            steps: records,
            loss: 1.25,
            lr: 0.05,
            images_per_s: 1e4,
            grad_norm: None,
        };
        // A second apart: none is thinned out.
        journal.append(&Record { seq: i as u64 + 1, t: i as f64, event })?;
    }
    journal.settle()?;
    let step_records_per_s = rate(records, began);
    let durable = (records / 100).max(10);
    let began = Instant::now();
    for i in 0..durable {
        journal.append(&Record {
            seq: (records + i) as u64 + 1,
            t: records as f64,
            event: Event::Note { text: "a note".into() },
        })?;
    }
    let durable_events_per_s = rate(durable, began);
    let began = Instant::now();
    let read = read_journal(path)?;
    Ok(JournalFigures {
        step_records_per_s,
        durable_events_per_s,
        records_read_per_s: rate(read.records.len(), began),
    })
}
