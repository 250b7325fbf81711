//! What is compared, as it stands in a comparison's directory, and what of it is there already. Read-only: whoever looks needs
//! no lock.

use super::arms::BASELINE;
use super::outcome::{ArmOutcome, Outcome, SeedOutcome, Tested};
use crate::config::RunConfig;
use crate::dashboard::{Dashboard, RunState};
use crate::protocol::Event;
use crate::run::{self, RunDirectory};
use serde::{Deserialize, Serialize};
use std::io;

/// Name of the part that all arms of a seed share.
pub const PRETRAIN: &str = "pretrain";
/// File that makes a directory a comparison.
pub(super) const FILE: &str = "comparison.json";
/// File with what was found, once everything is trained.
pub const OUTCOME: &str = "outcome.json";

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
        Ok(serde_json::from_slice(&std::fs::read(directory.file(FILE))?)?)
    }

    /// All runs, in the order in which one worker would train them.
    pub fn pieces(&self) -> Vec<Piece> {
        let names = || std::iter::once(PRETRAIN).chain(self.arms.iter().map(|(name, _)| name.as_str()));
        self.seeds.iter().flat_map(|&seed| names().map(move |arm| Piece { seed, arm: arm.to_owned() })).collect()
    }

    /// Whether a piece is trained as far as it is to be.
    pub fn is_done(&self, piece: &Piece, comparison: &RunDirectory) -> bool {
        let directory = piece.directory(comparison);
        if piece.arm == PRETRAIN {
            let reached = directory.checkpoints().newest_state().map(|s| s.completed);
            return reached == Some(self.config.importance.pretrain_epochs);
        }
        let mut dashboard = Dashboard::default();
        run::read_without_steps(&directory.file("journal.jsonl")).is_ok_and(|records| {
            records.into_iter().for_each(|record| dashboard.fold(record));
            dashboard.state == RunState::Finished { stopped: false }
        })
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
        Ok(Outcome { name: comparison.id(), config: self.config.clone(), baseline: BASELINE.into(), arms })
    }
}

/// Whether `directory` holds a comparison.
pub fn is_comparison(directory: &RunDirectory) -> bool {
    directory.file(FILE).is_file()
}

fn reached(directory: &RunDirectory, seed: u64) -> io::Result<SeedOutcome> {
    let (mut dashboard, mut parameters_sha256, mut tested) = (Dashboard::default(), String::new(), None);
    for record in run::read_without_steps(&directory.file("journal.jsonl"))? {
        match &record.event {
            Event::Finished { parameters_sha256: hash, .. } => parameters_sha256.clone_from(hash),
            Event::Tested { best: true, accuracy, recall, .. } => {
                tested = Some(Tested { last: *accuracy, best: *accuracy, recall: recall.clone() });
            }
            Event::Tested { best: false, accuracy, recall, .. } => {
                tested = tested.map(|t| Tested { last: *accuracy, recall: recall.clone(), ..t });
            }
            _ => {}
        }
        dashboard.fold(record);
    }
    Ok(SeedOutcome { seed, epochs: dashboard.epochs, parameters_sha256, tested })
}
