//! Importance weights: computed once at E from what was recorded, checked once, then only read.
//! Knows nothing of how they are drawn from.

use super::histogram::{Histogram, Quartiles};
use thiserror::Error;

/// Why recorded scores give no weights.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum WeightsError {
    /// A score is NaN or infinite: the model's output for that sample was.
    #[error(
        "the recorded score of training sample {index} is not a finite number ({value}): the \
         model's output was not"
    )]
    NotFinite {
        /// The sample.
        index: usize,
        /// Its score.
        value: f32,
    },
    /// A score lies outside [0, 1].
    #[error("weight {value} of training sample {index} is outside 0..=1")]
    OutOfRange {
        /// The sample.
        index: usize,
        /// Its weight.
        value: f32,
    },
    /// There are no samples.
    #[error("no samples, so no weights")]
    Empty,
}

/// One weight per training sample, each finite and in [0, 1]. Shape `[n]`, n >= 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    values: Vec<f32>,
    unseen: usize,
}

impl Weights {
    /// From scores in [0, 1] (1 = hardest). A sample that was never observed (`None`) gets weight
    /// 1.
    ///
    /// # Errors
    /// The first score that is not finite or not in [0, 1]: such a sample is never drawn from.
    pub fn from_scores(scores: &[Option<f32>]) -> Result<Self, WeightsError> {
        if scores.is_empty() {
            return Err(WeightsError::Empty);
        }
        let mut values = Vec::with_capacity(scores.len());
        for (index, score) in scores.iter().enumerate() {
            let value = score.unwrap_or(1.0);
            if !value.is_finite() {
                return Err(WeightsError::NotFinite { index, value });
            }
            if !(0.0..=1.0).contains(&value) {
                return Err(WeightsError::OutOfRange { index, value });
            }
            values.push(value);
        }
        Ok(Self { values, unseen: scores.iter().filter(|s| s.is_none()).count() })
    }

    /// Weights as they were, `unseen` of them without an observation.
    ///
    /// # Errors
    /// As [`from_scores`](Self::from_scores).
    pub fn restored(values: Vec<f32>, unseen: usize) -> Result<Self, WeightsError> {
        let scores: Vec<Option<f32>> = values.into_iter().map(Some).collect();
        Ok(Self { unseen, ..Self::from_scores(&scores)? })
    }

    /// The weights, shape `[n]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Count of samples that were never observed.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// Whether all weights are equal (all zero included): drawing by them is drawing uniformly.
    pub fn are_equal(&self) -> bool {
        self.values.iter().all(|w| *w == self.values[0])
    }

    /// Min, quartiles and max of the weights.
    pub fn quartiles(&self) -> Quartiles {
        Quartiles::of(&self.values)
    }

    /// Histogram over [0, 1] in `bins` bins.
    pub fn histogram(&self, bins: usize) -> Histogram {
        Histogram::over(&self.values, 0.0, 1.0, bins)
    }

    /// Mean weight of each class, shape `[C]`; NaN never: an empty class has mean 0. `labels` has
    /// shape `[n]`, values < `classes`.
    pub fn class_means(&self, labels: &[u32], classes: usize) -> Vec<f64> {
        let (mut sum, mut count) = (vec![0.0; classes], vec![0_usize; classes]);
        for (w, &c) in self.values.iter().zip(labels) {
            sum[c as usize] += f64::from(*w);
            count[c as usize] += 1;
        }
        sum.iter().zip(count).map(|(s, n)| s / n.max(1) as f64).collect()
    }

    /// Mean weight.
    pub fn mean(&self) -> f64 {
        self.values.iter().map(|w| f64::from(*w)).sum::<f64>() / self.values.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseen_samples_weigh_one_and_are_counted() {
        let w = Weights::from_scores(&[Some(0.25), None, Some(0.0)]).expect("valid scores");
        assert_eq!(w.values(), [0.25, 1.0, 0.0]);
        assert_eq!(w.unseen(), 1);
        assert_eq!(w.class_means(&[0, 0, 2], 3), [0.625, 0.0, 0.0]);
    }

    #[test]
    fn a_score_that_is_not_finite_is_refused_with_its_sample() {
        assert!(matches!(
            Weights::from_scores(&[Some(0.1), Some(f32::NAN)]),
            Err(WeightsError::NotFinite { index: 1, .. })
        ));
        assert!(matches!(
            Weights::from_scores(&[Some(f32::INFINITY)]),
            Err(WeightsError::NotFinite { index: 0, .. })
        ));
        assert_eq!(
            Weights::from_scores(&[Some(1.5)]),
            Err(WeightsError::OutOfRange { index: 0, value: 1.5 })
        );
        assert_eq!(Weights::from_scores(&[]), Err(WeightsError::Empty));
    }

    #[test]
    fn equal_weights_are_noticed() {
        assert!(Weights::from_scores(&[Some(0.0); 4]).expect("zeros").are_equal());
        assert!(Weights::from_scores(&[Some(0.3); 4]).expect("equal").are_equal());
        assert!(!Weights::from_scores(&[Some(0.3), Some(0.4)]).expect("different").are_equal());
    }
}
