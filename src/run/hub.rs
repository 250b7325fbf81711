//! Between a trainer and everybody who listens: numbers events, journals them, then hands them on.

use super::journal::Journal;
use crate::protocol::{Event, Record};
use std::time::Instant;

/// Numbers, journals and forwards the events of one run.
pub struct Hub<F> {
    began: Instant,
    /// Seconds of the run before `began`.
    earlier: f64,
    seq: u64,
    journal: Option<Journal>,
    forward: F,
}

impl<F> std::fmt::Debug for Hub<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("seq", &self.seq).finish_non_exhaustive()
    }
}

impl<F: FnMut(Record)> Hub<F> {
    /// A hub whose time begins now.
    pub fn new(journal: Option<Journal>, forward: F) -> Self {
        Self::after(0, 0.0, journal, forward)
    }

    /// A hub that goes on after the record `seq` at `t` seconds.
    pub fn after(seq: u64, t: f64, journal: Option<Journal>, forward: F) -> Self {
        Self { began: Instant::now(), earlier: t, seq, journal, forward }
    }

    /// Takes one event. A journal that cannot be written is given up with a warning; training goes on.
    pub fn emit(&mut self, event: Event) {
        let record = self.record(event);
        if let Some(journal) = &mut self.journal
            && let Err(e) = journal.append(&record)
        {
            self.journal = None;
            let text =
                format!("the journal cannot be written ({e}): training goes on, but this run cannot be replayed from here on");
            let warning = self.record(Event::Warning { code: "journal".into(), text });
            (self.forward)(warning);
        }
        (self.forward)(record);
    }

    fn record(&mut self, event: Event) -> Record {
        self.seq += 1;
        Record { seq: self.seq, t: self.earlier + self.began.elapsed().as_secs_f64(), event }
    }
}
