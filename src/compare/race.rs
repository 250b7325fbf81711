//! A comparison while it is trained, as a fold over the journals of its runs: what a screen shows.
//! Reads only, so that as many as like may look, and nobody disturbs the training.

use super::design::{Design, PRETRAIN, Piece};
use super::outcome::Outcome;
use crate::dashboard::{Dashboard, RunState};
use crate::protocol::{End, EpochSummary};
use crate::run::{RunDirectory, Tail};
use std::io;

/// All arms, side by side.
#[derive(Debug)]
pub struct Race {
    directory: RunDirectory,
    design: Design,
    /// What all arms of a seed share.
    pretraining: Vec<Entry>,
    arms: Vec<ArmProgress>,
    outcome: Outcome,
    /// Runs that were finished when `outcome` was made.
    counted: usize,
}

/// An arm.
#[derive(Debug)]
pub struct ArmProgress {
    /// Its name.
    pub arm: String,
    /// Its runs, one a seed.
    pub entries: Vec<Entry>,
}

/// A run.
#[derive(Debug)]
pub struct Entry {
    /// Its seed.
    pub seed: u64,
    /// Its figures so far.
    pub dashboard: Dashboard,
    tail: Tail,
}

impl Entry {
    fn new(piece: &Piece, comparison: &RunDirectory) -> Self {
        let tail = Tail::new(piece.directory(comparison).file("journal.jsonl"));
        Self { seed: piece.seed, dashboard: Dashboard::default(), tail }
    }

    /// Takes what is new; whether anything was.
    fn refresh(&mut self) -> io::Result<bool> {
        let Some(records) = self.tail.poll()? else {
            self.dashboard = Dashboard::default();
            return Ok(true);
        };
        let news = !records.is_empty();
        records.into_iter().for_each(|record| self.dashboard.fold(record));
        Ok(news)
    }

    /// Whether it came to its end.
    pub fn is_done(&self) -> bool {
        self.dashboard.state == RunState::Finished { end: End::Complete }
    }

    /// Whether a process is at work on it, as far as its journal tells.
    fn is_under_way(&self) -> bool {
        self.dashboard.epoch > 0 && !self.dashboard.is_over()
    }
}

impl Race {
    /// The comparison in `directory`, as it is now.
    ///
    /// # Errors
    /// When it is none, or a journal cannot be read.
    pub fn open(directory: &RunDirectory) -> io::Result<Self> {
        let design = Design::of(directory)?;
        let entries = |arm: &str| -> Vec<Entry> {
            design
                .seeds
                .iter()
                .map(|&seed| Entry::new(&Piece { seed, arm: arm.to_owned() }, directory))
                .collect()
        };
        let arms = design
            .arms
            .iter()
            .map(|(arm, _)| ArmProgress { arm: arm.clone(), entries: entries(arm) })
            .collect();
        let outcome = design.outcome(directory)?;
        let pretraining = entries(PRETRAIN);
        let mut race =
            Self { directory: directory.clone(), design, pretraining, arms, outcome, counted: 0 };
        race.refresh()?;
        Ok(race)
    }

    /// Takes what happened since; whether anything did.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn refresh(&mut self) -> io::Result<bool> {
        let mut news = false;
        for entry in
            self.pretraining.iter_mut().chain(self.arms.iter_mut().flat_map(|l| &mut l.entries))
        {
            news |= entry.refresh()?;
        }
        let done = self.done();
        if done != self.counted {
            self.outcome = self.design.outcome(&self.directory)?;
            self.counted = done;
        }
        Ok(news)
    }

    /// What is compared.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.directory.id()
    }

    /// The arms, the baseline first.
    pub fn arms(&self) -> &[ArmProgress] {
        &self.arms
    }

    /// What the finished runs reached.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Runs that are finished.
    pub fn done(&self) -> usize {
        self.arms.iter().flat_map(|l| &l.entries).filter(|e| e.is_done()).count()
    }

    /// Runs in all, the pretrainings not counted.
    pub fn of(&self) -> usize {
        self.arms.iter().map(|l| l.entries.len()).sum()
    }

    /// The runs that are under way: seed, arm, figures.
    pub fn under_way(&self) -> Vec<(u64, &str, &Dashboard)> {
        let pretraining = self.pretraining.iter().map(|e| (PRETRAIN, e));
        let arms = self.arms.iter().flat_map(|l| l.entries.iter().map(|e| (l.arm.as_str(), e)));
        // A fork has the journal of its pretraining: it is under way once it says so itself.
        let all = pretraining.chain(arms).filter(|(_, e)| e.is_under_way());
        all.map(|(arm, e)| (e.seed, arm, &e.dashboard)).collect()
    }

    /// Epochs of an arm with a seed (by position): its own, else those of the pretraining that it
    /// will be forked from.
    pub fn epochs(&self, arm: usize, seed: usize) -> &[EpochSummary] {
        let own = &self.arms[arm].entries[seed].dashboard.epochs;
        if own.is_empty() { &self.pretraining[seed].dashboard.epochs } else { own }
    }

    /// The figures of an arm with a seed (by position), those of the pretraining before it is
    /// forked.
    pub fn dashboard(&self, arm: usize, seed: usize) -> &Dashboard {
        let own = &self.arms[arm].entries[seed].dashboard;
        if own.epochs.is_empty() { &self.pretraining[seed].dashboard } else { own }
    }
}
