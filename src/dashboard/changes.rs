//! What was changed, by a person or by itself: what was before, and what waits for a boundary.
//! Knows nothing of how a change is asked for.

use crate::config::Live;
use crate::protocol::{ByItself, Effective, Topic, Verb};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value that was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where, on the epoch axis.
    pub at: f64,
    /// What was changed.
    pub key: Topic,
    /// Before.
    pub old: Value,
    /// Since.
    pub new: Value,
    /// Why, where nobody asked for it.
    #[serde(default)]
    pub by_itself: Option<ByItself>,
}

impl Change {
    /// In a few words: `E 3 -> 8`.
    pub fn words(&self) -> String {
        match &self.old {
            Value::Null => format!("{} {}", self.key.short(), plain(&self.new)),
            old => format!("{} {} -> {}", self.key.short(), plain(old), plain(&self.new)),
        }
    }
}

/// A change that has not taken effect yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// What was changed.
    pub key: Topic,
    /// What it becomes.
    pub new: Value,
    /// When.
    pub effective: Effective,
    /// Epoch in which it was asked for.
    asked_in: usize,
}

impl Pending {
    /// What waits after this change, if anything does.
    pub(super) fn of(
        key: &Topic,
        new: &Value,
        effective: &Effective,
        epoch: usize,
    ) -> Option<Self> {
        let waits = match effective {
            Effective::NextStep => false,
            // Another version's words: the key tells.
            Effective::Other(_) => {
                key.key().is_some_and(|key| !matches!(key.live, Live::No | Live::NextStep))
            }
            Effective::Now
            | Effective::NextEpoch
            | Effective::AfterThisEpoch
            | Effective::AfterThatEpoch
            | Effective::WithTheWeights
            | Effective::WhenSettled
            | Effective::WeightsAfter(_)
            | Effective::BackToPretraining { .. } => true,
        };
        waits.then(|| Self {
            key: key.clone(),
            new: new.clone(),
            effective: effective.clone(),
            asked_in: epoch,
        })
    }

    /// Whether the beginning of `epoch` brings it.
    pub(super) fn comes_with_epoch(&self, epoch: usize) -> bool {
        !self.comes_with_weights() && epoch > self.asked_in
    }

    /// Whether new weights bring it.
    pub(super) fn comes_with_weights(&self) -> bool {
        match self.effective {
            Effective::WithTheWeights
            | Effective::WhenSettled
            | Effective::WeightsAfter(_)
            | Effective::BackToPretraining { .. } => true,
            Effective::Other(_) => {
                let live = self.key.key().map(|key| key.live);
                matches!(live, Some(Live::AtScoring | Live::MovesE))
            }
            Effective::Now
            | Effective::NextStep
            | Effective::NextEpoch
            | Effective::AfterThisEpoch
            | Effective::AfterThatEpoch => false,
        }
    }

    /// In a few words: `E 8: weights after epoch 8`.
    pub fn words(&self) -> String {
        match self.key {
            Topic::Verb(Verb::Stop | Verb::Rescore) => format!("{} {}", self.key, self.effective),
            _ => format!("{} {} {}", self.key.short(), plain(&self.new), self.effective),
        }
    }
}

/// A value as people write it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_waits_for_a_boundary_goes_when_that_comes() {
        let pending =
            |key: &str, new: Value, effective| Pending::of(&key.into(), &new, &effective, 5);
        let mix = pending("importance.uniform_mix", json!(0.3), Effective::NextEpoch);
        let mix = mix.expect("waits");
        assert!(!mix.comes_with_epoch(5) && mix.comes_with_epoch(6) && !mix.comes_with_weights());
        let e = pending("importance.pretrain_epochs", json!(8), Effective::WeightsAfter(8));
        let e = e.expect("waits");
        assert!(!e.comes_with_epoch(6) && e.comes_with_weights());
        assert_eq!(e.words(), "E 8 weights after epoch 8");
        assert_eq!(pending("train.lr_scale", json!(0.5), Effective::NextStep), None);
    }
}
