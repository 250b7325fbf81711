//! What a person changed: what was before, and what waits for a boundary.
//! Knows nothing of how a change is asked for.

use crate::config::{self, Live};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value that a command changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where, on the epoch axis.
    pub at: f64,
    /// The config key, or the command.
    pub key: String,
    /// Before.
    pub old: Value,
    /// Since.
    pub new: Value,
}

impl Change {
    /// In a few words: `E 3 -> 8`.
    pub fn words(&self) -> String {
        match &self.old {
            Value::Null => format!("{} {}", short(&self.key), plain(&self.new)),
            old => format!("{} {} -> {}", short(&self.key), plain(old), plain(&self.new)),
        }
    }
}

/// A change that has not taken effect yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// The config key, or the command.
    pub key: String,
    /// What it becomes.
    pub new: Value,
    /// When, in words.
    pub effective: String,
    /// Epoch in which it was asked for.
    asked_in: usize,
    /// Whether it waits for the weights, not for the next epoch.
    for_weights: bool,
}

impl Pending {
    /// What waits after this change, if anything does.
    pub(super) fn of(key: &str, new: &Value, effective: &str, epoch: usize) -> Option<Self> {
        let for_weights =
            key == "importance.pretrain_epochs" || matches!(live(key), Some(Live::AtScoring));
        let waits = for_weights
            || matches!(live(key), Some(Live::NextEpoch))
            || matches!(key, "stop" | "rescore");
        let pending = || Self {
            key: key.into(),
            new: new.clone(),
            effective: effective.into(),
            asked_in: epoch,
            for_weights,
        };
        waits.then(pending)
    }

    /// Whether the beginning of `epoch` brings it.
    pub(super) fn comes_with_epoch(&self, epoch: usize) -> bool {
        !self.for_weights && epoch > self.asked_in
    }

    /// Whether new weights bring it.
    pub(super) fn comes_with_weights(&self) -> bool {
        self.for_weights
    }

    /// In a few words: `E 8: weights after epoch 8`.
    pub fn words(&self) -> String {
        match self.key.as_str() {
            "stop" | "rescore" => format!("{} {}", self.key, self.effective),
            key => format!("{} {} {}", short(key), plain(&self.new), self.effective),
        }
    }
}

fn live(key: &str) -> Option<Live> {
    config::find(key).map(|k| k.live)
}

/// A key as people call it.
pub(super) fn short(key: &str) -> &str {
    match key {
        "importance.pretrain_epochs" => "E",
        "train.epochs" => "N",
        "train.lr_scale" => "learning-rate scale",
        other => other.rsplit('.').next().unwrap_or(other),
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
        let mix = Pending::of("importance.uniform_mix", &json!(0.3), "with the next epoch", 5)
            .expect("waits");
        assert!(!mix.comes_with_epoch(5) && mix.comes_with_epoch(6) && !mix.comes_with_weights());
        let e = Pending::of("importance.pretrain_epochs", &json!(8), "weights after epoch 8", 5)
            .expect("waits");
        assert!(!e.comes_with_epoch(6) && e.comes_with_weights());
        assert_eq!(e.words(), "E 8 weights after epoch 8");
        assert_eq!(Pending::of("train.lr_scale", &json!(0.5), "with the next step", 5), None);
    }
}
