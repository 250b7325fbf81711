//! How predictions fall on labels: accuracy, recall and precision out of one table. Pure.

use serde::Serialize;

/// Counts by true class (row) and predicted class (column), shape `[C, C]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Of predictions and labels, both of shape `[n]` and below `classes`.
    pub fn of(predictions: &[u32], labels: &[u32], classes: usize) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        for (p, l) in predictions.iter().zip(labels) {
            counts[*l as usize][*p as usize] += 1;
        }
        Self { counts }
    }

    /// The counts, a row per true class.
    pub fn rows(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// Share of the samples that are predicted right; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.counts.len()).map(|c| self.counts[c][c]).sum();
        share(right, self.counts.iter().flatten().sum())
    }

    /// Share of each class that is predicted right, shape `[C]`; 0 for a class without samples.
    pub fn recall(&self) -> Vec<f64> {
        self.counts.iter().enumerate().map(|(c, row)| share(row[c], row.iter().sum())).collect()
    }

    /// Share of each class's predictions that are right, shape `[C]`; 0 for a class that is never predicted.
    pub fn precision(&self) -> Vec<f64> {
        let classes = 0..self.counts.len();
        classes.map(|c| share(self.counts[c][c], self.counts.iter().map(|row| row[c]).sum())).collect()
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
        assert_eq!(c.rows()[1], [1, 1, 0, 0]);
        assert_eq!(Confusion::of(&[], &[], 2).accuracy(), 0.0);
    }
}
