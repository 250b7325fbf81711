//! What a run left so far, read without changing anything of it.

use super::HostError;
use crate::advice::about;
use crate::config::{self, RunConfig};
use crate::dashboard::Dashboard;
use crate::protocol::{Event, Record};
use crate::run::{self, Found, ReadJournal, RunDirectory};
use crate::train::Checkpoint;

/// Of a checkpoint that has no checksum of the images.
const UNCHECKED: &str =
    "an older version kept no checksum of the images: from here on they are checked";

/// See above; that of a new run is empty.
#[derive(Default)]
pub(super) struct Past {
    journal: ReadJournal,
    /// Where it goes on from.
    pub(super) checkpoint: Option<Checkpoint>,
    /// What it begins with once more, where it never came to a checkpoint.
    anew: Option<RunConfig>,
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
        let path = directory.file("journal.jsonl");
        let journal =
            run::read_journal(&path).map_err(|e| HostError::from(about(path.display(), &e)))?;
        let (mut anew, mut notes, mut seconds) = (None, Vec::new(), 0.0);
        let checkpoint = found.checkpoint.take().map(|(checkpoint, _)| checkpoint);
        match &checkpoint {
            Some(checkpoint) => {
                seconds = checkpoint.state.seconds;
                if checkpoint.state.data.is_none() {
                    notes.push(UNCHECKED.to_owned());
                }
            }
            // No state was kept yet: it begins with what was changed since.
            None if found.damaged.is_empty() && !run::had_a_checkpoint(&journal.records) => {
                let file = directory.file("config.toml");
                let config = config::load(&file, &[]).map_err(HostError::from)?;
                notes.push("there was no checkpoint yet: it begins anew".to_owned());
                anew = Some(changed(config, &journal.records, &mut notes));
            }
            None => return Err(nothing_whole(directory, &found)),
        }
        Ok(Self { journal, checkpoint, anew, found, last: (0, seconds), notes, data_was: None })
    }

    /// The config that it goes on with; its data may be at another place now.
    pub(super) fn config(&mut self, data: Option<String>) -> RunConfig {
        let kept = self.checkpoint.as_mut().map(|checkpoint| &mut checkpoint.state.config);
        let Some(config) = kept.or(self.anew.as_mut()) else { return RunConfig::default() };
        if let Some(now) = data.filter(|now| *now != config.data.path) {
            self.data_was = Some(std::mem::replace(&mut config.data.path, now));
        }
        config.clone()
    }

    /// What was found damaged, as warnings: code and text.
    pub(super) fn damaged(&self) -> Vec<(&'static str, String)> {
        let checkpoints = self
            .found
            .damaged
            .iter()
            .map(|d| format!("damaged, so the checkpoint before it is used: {d}"));
        let lines = match self.journal.damaged {
            0 => None,
            n => Some(format!(
                "{n} damaged lines of the journal were left out: curves and messages have gaps"
            )),
        };
        checkpoints.chain(lines).map(|text| ("damaged", text)).collect()
    }

    /// Whether it begins once more, with what its journal tells behind it.
    pub(super) fn begins_anew(&self) -> bool {
        self.anew.is_some()
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

    /// Has the run's config say where its data is now. `evaluate` reads it there; who cannot write
    /// it is told by the journal.
    pub(super) fn note(&mut self, directory: &RunDirectory, now: &str) {
        let Some(was) = self.data_was.take() else { return };
        self.notes.push(format!("the data, which is the same, is read from {now} (before: {was})"));
        if let Err(e) = directory.set_data_path(now) {
            self.notes.push(about("config.toml still names the old place", &e));
        }
    }
}

/// Why a run cannot go on whose checkpoints are all damaged.
fn nothing_whole(directory: &RunDirectory, found: &Found) -> HostError {
    let mut text = format!("{} has no whole checkpoint", directory.id());
    found.damaged.iter().for_each(|d| text += &format!("\n  damaged: {d}"));
    let config = directory.file("config.toml");
    text += &format!(
        "\n  Its config is kept, so it can begin anew: earlybird train {}",
        config.display()
    );
    HostError::from(text)
}

/// The config with what was changed while the run trained. What cannot be applied is noted.
fn changed(mut config: RunConfig, records: &[Record], notes: &mut Vec<String>) -> RunConfig {
    for record in records {
        // What changed by itself does so again.
        let Event::Changed { key, new, by_itself: None, .. } = &record.event else { continue };
        let value = toml::Value::try_from(new).map_err(|e| e.to_string());
        let applied = value.and_then(|value| {
            config::from_value(&config, key.as_str(), &value).map_err(|problem| problem.what)
        });
        match applied {
            Ok(applied) => {
                notes.push(format!("it begins with {key} = {new}, as it was changed before"));
                config = applied;
            }
            Err(why) => {
                notes.push(format!("{key} = {new}, which was changed before, is left: {why}"))
            }
        }
    }
    config
}
