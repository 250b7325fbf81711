//! What is compared, as it stands in a comparison's directory, and what of it is there already.
//! Read-only: whoever looks needs no lock.

use super::arms::{BASELINE, NULL};
use super::outcome::{ArmOutcome, Outcome, SeedOutcome, Tested};
use crate::config::{self, Key, Live, RunConfig};
use crate::dashboard::Dashboard;
use crate::importance::Sampler;
use crate::protocol::{Event, TestedModel};
use crate::run::{self, RunDirectory};
use crate::train::Checkpoint;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io;
use toml::Value;

/// Name of the part that all arms of a seed share.
pub const PRETRAIN: &str = crate::config::SHARED;
/// File that makes a directory a comparison.
pub(super) const FILE: &str = "comparison.json";
/// File with what was found, once everything is trained.
pub const OUTCOME: &str = "outcome.json";

/// More seeds than anybody trains.
const MOST_SEEDS: usize = 10_000;

/// What is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// The run whose arms these are.
    pub config: RunConfig,
    /// Name and config of each arm, the baseline first.
    pub arms: Vec<(String, RunConfig)>,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// A run of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Its seed.
    pub seed: u64,
    /// Its arm; [`PRETRAIN`] for what all arms of the seed share.
    pub arm: String,
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, {}", self.seed, self.arm)
    }
}

impl Piece {
    /// Where it is kept.
    pub fn directory(&self, comparison: &RunDirectory) -> RunDirectory {
        comparison.part(&[&format!("seed-{}", self.seed), &self.arm])
    }
}

impl Design {
    /// That of the comparison in `directory`.
    ///
    /// # Errors
    /// When it is none, or its file is damaged.
    pub fn of(directory: &RunDirectory) -> io::Result<Self> {
        let design: Self = serde_json::from_slice(&std::fs::read(directory.file(FILE))?)?;
        match design.objection() {
            None => Ok(design),
            Some(why) => Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }

    /// Why nothing can be compared so, or `None`; of one that is made and of one that is read.
    pub fn objection(&self) -> Option<String> {
        let (e, n) = (self.config.pretrain_epochs(), self.config.train.epochs);
        if self.config.finds_e() {
            return Some(
                "importance.pretrain_epochs = \"auto\" gives each seed another E\n  Arms are \
                 forked at one E: set a number. `earlybird train` shows which E a run finds."
                    .to_owned(),
            );
        }
        if e == 0 || e >= n {
            return Some(format!(
                "importance.pretrain_epochs = {e} leaves nothing to compare\n  Arms are forked at \
                 E: it must lie in 1..N."
            ));
        }
        if self.config.train.patience > 0 {
            return Some(
                "train.patience may end one arm before another\n  Arms are compared at the same \
                 number of steps: set train.patience = 0."
                    .to_owned(),
            );
        }
        if self.arms.first().is_none_or(|(name, _)| name != BASELINE) {
            return Some(format!("the first arm must be {BASELINE}"));
        }
        if self.seeds.is_empty() || self.seeds.len() > MOST_SEEDS {
            return Some(format!("{} seeds, not 1 to {MOST_SEEDS}", self.seeds.len()));
        }
        let mut seeds = HashSet::new();
        if let Some(twice) = self.seeds.iter().find(|seed| !seeds.insert(**seed)) {
            return Some(format!("seed {twice} is there twice"));
        }
        if let Some(beyond) = self.seeds.iter().find(|seed| i64::try_from(**seed).is_err()) {
            return Some(format!("seed {beyond} is beyond {}, the last one", i64::MAX));
        }
        let mut names = HashSet::new();
        self.arms.iter().find_map(|(name, config)| match config::arm_name_objection(name) {
            Some(help) => Some(format!("an arm cannot be called \"{name}\"\n  {help}")),
            None if !names.insert(name) => Some(format!("arm {name} is there twice")),
            None => {
                if [BASELINE, NULL].contains(&name.as_str())
                    && config.importance.sampler != Sampler::Uniform
                {
                    return Some(format!("arm {name} does not draw uniformly"));
                }
                let key = self.differs_from(config)?;
                Some(format!("arm {name} has another {key} than the comparison"))
            }
        })
    }

    /// Why a checkpoint is not one of the run `piece`, as far as seed and what arms share tell, or
    /// `None`.
    pub(super) fn is_another(&self, checkpoint: &Checkpoint, piece: &Piece) -> Option<String> {
        let config = &checkpoint.state.config;
        if config.seed != piece.seed {
            return Some(format!("its seed is {}", config.seed));
        }
        // What can be changed while a run trains may have been; data moves.
        let moves = ["name", "seed", "fork", "data.path"];
        let is_fixed = |key: &Key| key.live == Live::No && !moves.contains(&key.path);
        let key = self.differs_in(config, is_fixed)?;
        Some(format!("its {key} is not that of the comparison"))
    }

    /// A key of those that all arms share whose value is another one in the config of an arm.
    fn differs_from(&self, arm: &RunConfig) -> Option<&'static str> {
        self.differs_in(arm, |key| key.path != "fork" && !config::is_for_arms(key))
    }

    /// The first of these keys whose value is another one in `theirs`.
    fn differs_in(
        &self,
        theirs: &RunConfig,
        of_these: impl Fn(&Key) -> bool,
    ) -> Option<&'static str> {
        let (Ok(ours), Ok(theirs)) = (Value::try_from(&self.config), Value::try_from(theirs))
        else {
            return Some("config");
        };
        let at = |values: &Value, path: &str| {
            path.split('.').try_fold(values, |value, part| value.get(part)).cloned()
        };
        let mut keys = config::KEYS.iter().filter(|key| of_these(key)).map(|key| key.path);
        keys.find(|path| at(&ours, path) != at(&theirs, path))
    }

    /// All runs, in the order in which one worker would train them.
    pub fn pieces(&self) -> Vec<Piece> {
        let names =
            || std::iter::once(PRETRAIN).chain(self.arms.iter().map(|(name, _)| name.as_str()));
        self.seeds
            .iter()
            .flat_map(|&seed| names().map(move |arm| Piece { seed, arm: arm.to_owned() }))
            .collect()
    }

    /// Whether a piece is trained as far as it is to be.
    pub fn is_done(&self, piece: &Piece, comparison: &RunDirectory) -> bool {
        let directory = piece.directory(comparison);
        if piece.arm == PRETRAIN {
            let reached = directory.checkpoints().newest_state().map(|s| s.completed);
            return reached == Some(self.config.pretrain_epochs());
        }
        directory.ending().is_ok_and(|ending| ending.is_finished())
    }

    /// Whether the arms of a seed can be forked where its pretraining in `directory` ended: the
    /// checkpoint at E is read as a whole.
    ///
    /// # Errors
    /// When it cannot be read, or another version wrote it.
    pub(super) fn can_fork(&self, seed: u64, directory: &RunDirectory) -> io::Result<bool> {
        Ok(self.fork_point(seed, directory)?.is_some())
    }

    /// The checkpoint at the end of epoch E, if it is whole and has its journal, which arms go on
    /// with, too.
    ///
    /// # Errors
    /// As [`can_fork`](Self::can_fork).
    pub(super) fn fork_point(
        &self,
        seed: u64,
        directory: &RunDirectory,
    ) -> io::Result<Option<Checkpoint>> {
        let newest = directory.checkpoints().newest()?.checkpoint;
        let e = self.config.pretrain_epochs();
        let fits = |c: &Checkpoint| {
            let at_e = c.state.completed == e && c.state.epoch.is_none();
            let piece = Piece { seed, arm: PRETRAIN.to_owned() };
            at_e && self.is_another(c, &piece).is_none() && has_journal(directory)
        };
        Ok(newest.map(|(checkpoint, _)| checkpoint).filter(fits))
    }

    /// What the finished arms reached, by the journals of their runs.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn outcome(&self, comparison: &RunDirectory) -> io::Result<Outcome> {
        let mut arms = Vec::new();
        for (arm, config) in &self.arms {
            let mut seeds = Vec::new();
            for &seed in &self.seeds {
                let piece = Piece { seed, arm: arm.clone() };
                if self.is_done(&piece, comparison) {
                    seeds.push(reached(&piece.directory(comparison), seed)?);
                }
            }
            arms.push(ArmOutcome { arm: arm.clone(), config: config.clone(), seeds });
        }
        Ok(Outcome {
            name: comparison.id(),
            config: self.config.clone(),
            baseline: BASELINE.into(),
            arms,
        })
    }
}

/// Whether a run has told anything.
pub(super) fn has_journal(directory: &RunDirectory) -> bool {
    std::fs::metadata(directory.file("journal.jsonl")).is_ok_and(|m| m.is_file() && m.len() > 0)
}

/// Whether `directory` holds a comparison.
pub fn is_comparison(directory: &RunDirectory) -> bool {
    directory.file(FILE).is_file()
}

fn reached(directory: &RunDirectory, seed: u64) -> io::Result<SeedOutcome> {
    let (mut dashboard, mut parameters_sha256, mut tested) =
        (Dashboard::default(), String::new(), None);
    for record in run::read_without_steps(&directory.file("journal.jsonl"))? {
        match &record.event {
            Event::Finished { parameters_sha256: hash, .. } => parameters_sha256.clone_from(hash),
            Event::Tested { model: TestedModel::Best, accuracy, recall, .. } => {
                tested = Some(Tested { last: *accuracy, best: *accuracy, recall: recall.clone() });
            }
            Event::Tested { model: TestedModel::Last, accuracy, recall, .. } => {
                tested = tested.map(|t| Tested { last: *accuracy, recall: recall.clone(), ..t });
            }
            _ => {}
        }
        dashboard.fold(record);
    }
    Ok(SeedOutcome { seed, epochs: dashboard.epochs, parameters_sha256, tested })
}
