//! What one forward pass says about one sample, and the metrics of importance made from it.
//! Knows nothing of epochs: a value in, a value in [0, 1] out.

use serde::{Deserialize, Serialize};

/// Figures of the softmax output that every [`Metric`] can be computed from, and what the model
/// takes the sample for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Probability of the true class, `p`, in [0, 1].
    pub p_true: f32,
    /// Largest probability of any other class, in [0, 1].
    pub p_other: f32,
    /// That class; exact in an f32 up to 2^24 classes.
    pub other: f32,
    /// Sum of the squared probabilities, in [1/C, 1].
    pub sum_squares: f32,
    /// Entropy `-sum p ln p` in nats, in [0, ln C].
    pub entropy: f32,
}

impl Observation {
    /// Figures per sample in a row of `[n, 5]`, in the order of the fields.
    pub const WIDTH: usize = 5;

    /// Reads one row of `[n, 5]`.
    pub fn from_row(row: &[f32; Self::WIDTH]) -> Self {
        Self {
            p_true: row[0],
            p_other: row[1],
            other: row[2],
            sum_squares: row[3],
            entropy: row[4],
        }
    }

    /// The figures in the order that [`from_row`](Self::from_row) reads.
    pub fn row(&self) -> [f32; Self::WIDTH] {
        [self.p_true, self.p_other, self.other, self.sum_squares, self.entropy]
    }

    /// The most probable class of a sample of class `truth`, and its probability.
    pub fn prediction(&self, truth: u32) -> (u32, f32) {
        if self.p_true >= self.p_other {
            (truth, self.p_true)
        } else {
            (self.other as u32, self.p_other)
        }
    }

    /// Whether all figures are finite: the model's output was.
    pub fn is_finite(&self) -> bool {
        self.p_true.is_finite()
            && self.p_other.is_finite()
            && self.sum_squares.is_finite()
            && self.entropy.is_finite()
    }
}

/// How hard a sample is, from its [`Observation`]; all scaled to [0, 1], 1 = hardest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// `1 - p`: the paper's.
    PCorrect,
    /// `||softmax - onehot||_2 / sqrt(2)` (EL2N, Paul et al. 2021).
    El2n,
    /// `-ln p`, clipped at `-ln 1e-4` and divided by it.
    Loss,
    /// `(1 - (p - p_other)) / 2`.
    Margin,
    /// Entropy over `ln C`.
    Entropy,
}

/// All metrics, in the order in which a recorder keeps them.
pub const METRICS: [Metric; 5] =
    [Metric::PCorrect, Metric::El2n, Metric::Loss, Metric::Margin, Metric::Entropy];

/// Probabilities below this count as this in [`Metric::Loss`]: beyond it a sample is as hard as can
/// be.
const SMALLEST_P: f32 = 1e-4;

impl Metric {
    /// The metric of one observation, in [0, 1]; NaN when the observation is not finite. `classes`
    /// is C >= 2.
    pub fn of(self, o: &Observation, classes: usize) -> f32 {
        if !o.is_finite() {
            return f32::NAN;
        }
        let value = match self {
            Self::PCorrect => 1.0 - o.p_true,
            // sum_j (p_j - y_j)^2 = sum p^2 - 2 p + 1; the largest possible value is 2.
            Self::El2n => ((o.sum_squares - 2.0 * o.p_true + 1.0).max(0.0) / 2.0).sqrt(),
            Self::Loss => o.p_true.max(SMALLEST_P).ln() / SMALLEST_P.ln(),
            Self::Margin => (1.0 - (o.p_true - o.p_other)) / 2.0,
            Self::Entropy => o.entropy / (classes.max(2) as f32).ln(),
        };
        value.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The observation of a softmax output, the long way.
    fn observe(p: &[f32], truth: usize) -> Observation {
        let others = p.iter().enumerate().filter(|(i, _)| *i != truth);
        let (other, p_other) =
            others.fold((0, 0.0), |best, (i, p)| if *p > best.1 { (i, *p) } else { best });
        let entropy = p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        Observation {
            p_true: p[truth],
            p_other,
            other: other as f32,
            sum_squares: p.iter().map(|p| p * p).sum(),
            entropy,
        }
    }

    #[test]
    fn a_sure_and_right_sample_scores_zero_and_a_sure_and_wrong_one_scores_one() {
        let right = observe(&[1.0, 0.0, 0.0], 0);
        let wrong = observe(&[0.0, 1.0, 0.0], 0);
        for metric in [Metric::PCorrect, Metric::El2n, Metric::Loss, Metric::Margin] {
            assert_eq!(metric.of(&right, 3), 0.0, "{metric:?}");
            assert_eq!(metric.of(&wrong, 3), 1.0, "{metric:?}");
        }
        let third = 1.0 / 3.0;
        assert!((Metric::Entropy.of(&observe(&[third; 3], 0), 3) - 1.0).abs() < 1e-6);
        assert_eq!(Metric::Entropy.of(&right, 3), 0.0);
    }

    #[test]
    fn the_figures_of_a_worked_example() {
        let o = observe(&[0.5, 0.3, 0.2], 1);
        assert_eq!(o.prediction(1), (0, 0.5));
        assert_eq!(Observation::from_row(&o.row()), o);
        assert_eq!(observe(&[0.5, 0.3, 0.2], 0).prediction(0), (0, 0.5));
        assert!((Metric::PCorrect.of(&o, 3) - 0.7).abs() < 1e-6);
        // ||(0.5, -0.7, 0.2)|| = sqrt(0.78)
        assert!((Metric::El2n.of(&o, 3) - (0.78_f32 / 2.0).sqrt()).abs() < 1e-6);
        assert!((Metric::Loss.of(&o, 3) - 0.3_f32.ln() / 1e-4_f32.ln()).abs() < 1e-6);
        assert!((Metric::Margin.of(&o, 3) - 0.6).abs() < 1e-6);
    }

    #[test]
    fn a_broken_forward_pass_gives_nan_and_not_a_weight() {
        let o = Observation {
            p_true: 0.2,
            p_other: f32::NAN,
            other: 0.0,
            sum_squares: 0.5,
            entropy: 0.1,
        };
        for metric in METRICS {
            assert!(metric.of(&o, 3).is_nan(), "{metric:?}");
        }
    }

    proptest! {
        #[test]
        fn every_metric_stays_in_the_unit_interval(
            raw in proptest::collection::vec(0.0_f32..1.0, 2..20),
            truth in 0_usize..20,
        ) {
            let sum: f32 = raw.iter().sum::<f32>().max(1e-3);
            let p: Vec<f32> = raw.iter().map(|v| v / sum).collect();
            let o = observe(&p, truth % p.len());
            for metric in METRICS {
                let value = metric.of(&o, p.len());
                prop_assert!((0.0..=1.0).contains(&value), "{metric:?} {value}");
            }
        }
    }
}
