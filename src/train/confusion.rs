//! How predictions fall on labels: accuracy, recall and precision out of one table. Pure.

use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::collections::BTreeMap;

/// Counts by true class (row) and predicted class (column), shape `[C, C]`. Only pairs that occur
/// take memory: a table of tens of thousands of classes would have gigabytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// By label and prediction.
    pairs: BTreeMap<(u32, u32), u64>,
}

impl Confusion {
    /// Of predictions and labels, both of shape `[n]` and below `classes`.
    pub fn of(predictions: &[u32], labels: &[u32], classes: usize) -> Self {
        let mut pairs = BTreeMap::new();
        for (p, l) in predictions.iter().zip(labels) {
            *pairs.entry((*l, *p)).or_default() += 1;
        }
        Self { classes, pairs }
    }

    /// Count of the predictions.
    pub fn total(&self) -> u64 {
        self.pairs.values().sum()
    }

    /// Counts of the predictions for one true class, shape `[C]`.
    pub fn row(&self, label: usize) -> Vec<u64> {
        let mut row = vec![0; self.classes];
        let label = label as u32;
        for ((_, p), count) in self.pairs.range((label, 0)..=(label, u32::MAX)) {
            row[*p as usize] = *count;
        }
        row
    }

    /// Share of the samples that are predicted right; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        share(self.right().iter().sum(), self.total())
    }

    /// Share of each class that is predicted right, shape `[C]`; 0 for a class without samples.
    pub fn recall(&self) -> Vec<f64> {
        self.shares(|(label, _)| label)
    }

    /// Share of each class's predictions that are right, shape `[C]`; 0 for a class that is never
    /// predicted.
    pub fn precision(&self) -> Vec<f64> {
        self.shares(|(_, prediction)| prediction)
    }

    /// Right predictions by class, shape `[C]`.
    fn right(&self) -> Vec<u64> {
        self.sums(|(label, prediction)| (label == prediction).then_some(label))
    }

    /// Right predictions of each class, as a share of all that `of` puts there.
    fn shares(&self, of: impl Fn((u32, u32)) -> u32) -> Vec<f64> {
        let all = self.sums(|pair| Some(of(pair)));
        self.right().into_iter().zip(all).map(|(right, all)| share(right, all)).collect()
    }

    fn sums(&self, of: impl Fn((u32, u32)) -> Option<u32>) -> Vec<u64> {
        let mut sums = vec![0; self.classes];
        for (pair, count) in &self.pairs {
            if let Some(class) = of(*pair) {
                sums[class as usize] += count;
            }
        }
        sums
    }
}

impl Serialize for Confusion {
    /// All of it, a row per true class.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.classes))?;
        (0..self.classes).try_for_each(|label| rows.serialize_element(&self.row(label)))?;
        rows.end()
    }
}

fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_per_class_precision_per_prediction_and_accuracy_over_all() {
        let c = Confusion::of(&[0, 0, 1, 2], &[0, 1, 1, 2], 4);
        assert_eq!(c.recall(), [1.0, 0.5, 1.0, 0.0]);
        assert_eq!(c.precision(), [0.5, 1.0, 1.0, 0.0]);
        assert_eq!(c.accuracy(), 0.75);
        assert_eq!((c.row(1), c.total()), (vec![1, 1, 0, 0], 4));
        let rows = serde_json::to_string(&c).expect("serialized");
        assert_eq!(rows, "[[1,0,0,0],[1,1,0,0],[0,0,1,0],[0,0,0,0]]");
        assert_eq!(Confusion::of(&[], &[], 2).accuracy(), 0.0);
        // As a table this would have 29 GB.
        assert_eq!(Confusion::of(&[59_999, 1], &[59_999, 2], 60_000).accuracy(), 0.5);
    }
}
