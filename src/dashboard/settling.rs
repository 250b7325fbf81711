//! How settled the importance is, and which E comes of it: the one that is being found, or the one
//! that would be. Knows nothing of how either is shown.

use super::Dashboard;
use crate::config::PRETRAIN_EPOCHS;
use crate::importance::Window;
use crate::protocol::{ByItself, Phase};

/// What the last epochs of pretraining said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settling {
    /// How settled the importance was after the last of them, in [0, 1].
    pub settled: f64,
    /// How settled it has to be.
    pub threshold: f64,
    /// The E that is or would be found.
    pub e: FoundE,
}

/// An E that is or would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundE {
    /// This one: it is behind.
    Is(usize),
    /// Probably this one.
    About(usize),
    /// This one at most: nothing tells when the importance will be settled.
    AtMost(usize),
}

impl FoundE {
    /// As a number.
    pub fn epochs(self) -> usize {
        let (Self::Is(epochs) | Self::About(epochs) | Self::AtMost(epochs)) = self;
        epochs
    }

    /// In two words: `about 5`.
    pub fn words(self) -> String {
        match self {
            Self::Is(epochs) => epochs.to_string(),
            Self::About(epochs) => format!("about {epochs}"),
            Self::AtMost(epochs) => format!("at most {epochs}"),
        }
    }
}

impl Dashboard {
    /// What the last epochs that were recorded say of E; `None` before the second of them.
    pub fn settling(&self) -> Option<Settling> {
        let auto = self.config.auto();
        let after = self.epochs.iter().rposition(|e| e.phase == Phase::Pretrain)? + 1;
        let other = self.epochs[..after].iter().rposition(|e| e.phase != Phase::Pretrain);
        let recorded = &self.epochs[other.map_or(0, |other| other + 1)..after];
        let last = recorded.last()?;
        let settled = last.settled?;
        let ended = recorded.iter().find(|e| auto.ends(e.epoch, e.settled).is_some());
        let e = match ended.map(|e| e.epoch) {
            _ if self.found_e().is_some() => FoundE::Is(self.config.pretrain_epochs()),
            // It has been set only since: the epoch in progress is the next that can end it.
            Some(epoch) if !self.config.finds_e() => FoundE::Is(epoch),
            _ if self.config.importance.window == Window::Mean || settled >= auto.threshold => {
                FoundE::About(auto.forecast(last.epoch, recorded.len(), settled))
            }
            _ => FoundE::AtMost(auto.most), // one epoch more settles nothing by itself
        };
        Some(Settling { settled, threshold: auto.threshold, e })
    }

    /// Pretraining epochs, E; while that is to be found, the one that will probably be.
    pub fn pretrain_epochs(&self) -> usize {
        let most = self.config.pretrain_epochs();
        let found = self.settling().filter(|_| self.config.finds_e());
        found.map_or(most, |found| found.e.epochs())
    }

    /// E in words, for a line of facts: `3`, or while it is to be found `auto, about 5`.
    pub fn pretrain_words(&self) -> String {
        match (self.config.finds_e(), self.settling()) {
            (false, _) => self.config.pretrain_epochs().to_string(),
            (true, Some(found)) => format!("auto, {}", found.e.words()),
            (true, None) => format!("auto, at most {}", self.config.pretrain_epochs()),
        }
    }

    /// Why E was set by itself; `None` where it is to be found yet, or somebody set it.
    pub fn found_e(&self) -> Option<ByItself> {
        let is_e = |key: &str| key == PRETRAIN_EPOCHS;
        let why = self.changes.iter().rev().find(|c| is_e(c.key.as_str()))?.by_itself;
        why.filter(|why| *why != ByItself::NoBetter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pretrain, RunConfig};
    use crate::protocol::{EpochSummary, Event, Record};
    use serde_json::json;

    /// Epochs with these phases, each that pretrains with how settled it left the importance.
    fn run(told: &[(Phase, Option<f64>)]) -> Dashboard {
        let epoch = |(k, (phase, settled)): (usize, &(Phase, Option<f64>))| {
            let figures = json!({
                "epoch": k + 1, "phase": phase, "settled": settled, "train_loss": 1.0,
                "test_loss": 1.0, "test_accuracy": 0.5, "recall": [], "drawn": [], "expected": [],
                "coverage": 1.0, "expected_coverage": 1.0, "max_multiplicity": 1,
                "never_drawn": 0, "hard_share": null, "suspect_share": null,
                "flipped_share": null, "balance": 1.0, "ess": 1.0, "seconds": 1.0,
                "eval_seconds": 0.1, "samples": 10,
            });
            serde_json::from_value::<EpochSummary>(figures).expect("an epoch")
        };
        let mut config = RunConfig::default(); // N = 20
        config.importance.pretrain_epochs = Pretrain::Auto;
        config.importance.auto_threshold = 0.9;
        let epochs = told.iter().enumerate().map(epoch).collect();
        Dashboard { config, epochs, ..Dashboard::default() }
    }

    const FIRST: (Phase, Option<f64>) = (Phase::Pretrain, None);
    const BIASED: (Phase, Option<f64>) = (Phase::Biased, None);

    fn pretrained(settled: f64) -> (Phase, Option<f64>) {
        (Phase::Pretrain, Some(settled))
    }

    #[test]
    fn which_e_comes_is_foreseen_and_then_known() {
        let said = |told: &[_]| {
            let d = run(told);
            (d.settling().map(|f| f.e), d.pretrain_epochs(), d.pretrain_words())
        };
        let at_most = |words: &str| (None, 10, format!("auto, at most {words}"));
        assert_eq!((said(&[]), said(&[FIRST])), (at_most("10"), at_most("10")));
        let about = |e| (Some(FoundE::About(e)), e, format!("auto, about {e}"));
        // The odds are 3 after two epochs, and 9 are wanted.
        assert_eq!(said(&[FIRST, pretrained(0.75)]), about(6));
        assert_eq!(said(&[FIRST, pretrained(0.01)]), about(10));
        // E is to be found since it has been settled: the next epoch ends it.
        let settled = [FIRST, pretrained(0.8), pretrained(0.91)];
        assert_eq!(said(&settled), about(4));
        // Where E is a number, what would be found stays, whatever comes after it.
        let more = [&settled[..], &[pretrained(0.89), BIASED]].concat();
        let mut number = run(&more);
        number.config.importance.pretrain_epochs = Pretrain::Epochs(4);
        assert_eq!(number.settling().map(|f| f.e), Some(FoundE::Is(3)));
        assert_eq!(number.pretrain_words(), "4");
        // After going back to pretraining only what was recorded since counts.
        let anew = [&more[..], &[FIRST, pretrained(0.75)]].concat();
        assert_eq!(said(&anew).0, Some(FoundE::About(10)));
        assert_eq!(said(&[&more[..], &[FIRST]].concat()).0, None);
        let mut last = run(&[FIRST, pretrained(0.75)]);
        last.config.importance.window = Window::Last;
        assert_eq!(last.settling().map(|f| f.e), Some(FoundE::AtMost(10)));
    }

    #[test]
    fn an_e_that_was_found_is_no_change_that_waits() {
        let mut d = run(&[FIRST, pretrained(0.95)]);
        assert_eq!(d.found_e(), None);
        let changed = |old: &str, by_itself| Event::Changed {
            epoch: 2,
            step: 5,
            key: PRETRAIN_EPOCHS.into(),
            old: old.into(),
            new: 2.into(),
            effective: crate::protocol::Effective::WeightsAfter(2),
            by_itself,
        };
        let mut fold = |event| d.fold(Record { seq: 1, t: 1.0, event });
        fold(changed("auto", Some(ByItself::Settled)));
        assert_eq!((d.found_e(), d.pretrain_words()), (Some(ByItself::Settled), "2".to_owned()));
        assert_eq!(d.settling().map(|f| f.e), Some(FoundE::Is(2)));
        assert!(d.pending.is_empty());
        let said = &d.messages.last().expect("a message").text;
        assert_eq!(said, "E: auto -> 2 (the importance is settled), weights after epoch 2");
        d.fold(Record { seq: 2, t: 1.0, event: changed("3", None) });
        assert_eq!((d.found_e(), d.pending.len()), (None, 1));
    }
}
