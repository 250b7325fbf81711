//! What a run left so far, read without changing anything of it.

use super::HostError;
use crate::advice::about;
use crate::config::RunConfig;
use crate::dashboard::Dashboard;
use crate::run::{self, Found, ReadJournal, RunDirectory};
use crate::train::Checkpoint;

/// See above; that of a new run is empty.
#[derive(Default)]
pub(super) struct Past {
    journal: ReadJournal,
    /// Where it goes on from.
    pub(super) checkpoint: Option<Checkpoint>,
    /// What was found of checkpoints besides.
    pub(super) found: Found,
    /// Number of the last record, and seconds of the run so far.
    pub(super) last: (u64, f64),
    /// What its journal should tell of how it goes on.
    pub(super) notes: Vec<String>,
    /// Where its data was, if that is elsewhere now.
    data_was: Option<String>,
}

impl Past {
    /// That of a run which is to go on.
    pub(super) fn of(directory: &RunDirectory) -> Result<Self, HostError> {
        let mut found = directory.checkpoints().newest().map_err(HostError::from)?;
        let Some((checkpoint, _)) = found.checkpoint.take() else {
            let mut text = format!("{} has no whole checkpoint", directory.id());
            found.damaged.iter().for_each(|d| text += &format!("\n  damaged: {d}"));
            text += &format!(
                "\n  Its config is kept, so it can begin anew: earlybird train {}",
                directory.file("config.toml").display()
            );
            return Err(HostError::from(text));
        };
        let path = directory.file("journal.jsonl");
        let journal = run::read_journal(&path).map_err(|e| HostError::from(about(path.display(), &e)))?;
        let mut notes = Vec::new();
        if checkpoint.state.data.is_none() {
            notes.push("an older version kept no checksum of the images: from here on they are checked".to_owned());
        }
        let last = (0, checkpoint.state.seconds);
        Ok(Self { journal, checkpoint: Some(checkpoint), found, last, notes, data_was: None })
    }

    /// The config that it goes on with; its data may be at another place now.
    pub(super) fn config(&mut self, data: Option<String>) -> RunConfig {
        let Some(checkpoint) = &mut self.checkpoint else { return RunConfig::default() };
        let path = &mut checkpoint.state.config.data.path;
        if let Some(now) = data.filter(|now| now != path) {
            self.data_was = Some(std::mem::replace(path, now));
        }
        checkpoint.state.config.clone()
    }

    /// What was found damaged, as warnings: code and text.
    pub(super) fn damaged(&self) -> Vec<(&'static str, String)> {
        let checkpoints = self.found.damaged.iter().map(|d| format!("damaged, so the checkpoint before it is used: {d}"));
        let lines = match self.journal.damaged {
            0 => None,
            n => Some(format!("{n} damaged lines of the journal were left out: curves and messages have gaps")),
        };
        checkpoints.chain(lines).map(|text| ("damaged", text)).collect()
    }

    /// What its journal tells, folded; the records are let go.
    pub(super) fn dashboard(&mut self) -> Dashboard {
        let mut dashboard = Dashboard::default();
        for record in std::mem::take(&mut self.journal.records) {
            self.last = (record.seq, record.t);
            dashboard.fold(record);
        }
        dashboard
    }

    /// Has the run's config say where its data is now. `evaluate` reads it there; who cannot write it is told by the journal.
    pub(super) fn note(&mut self, directory: &RunDirectory, now: &str) {
        let Some(was) = self.data_was.take() else { return };
        self.notes.push(format!("the data, which is the same, is read from {now} (before: {was})"));
        if let Err(e) = directory.set_data_path(now) {
            self.notes.push(about("config.toml still names the old place", &e));
        }
    }
}
