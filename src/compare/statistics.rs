//! What a comparison may claim: means and deviations over seeds, differences paired by seed with
//! their interval, and the speedup to the baseline's maximum. Pure; knows no runs.

use crate::protocol::EpochSummary;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean and standard deviation (n - 1) of one figure over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation over seeds; `None` for one seed.
    pub sd: Option<f64>,
}

impl Spread {
    /// In percent, as `86.22 +- 0.24`.
    pub fn percent(&self) -> String {
        match self.sd {
            Some(sd) => format!("{:.2} +- {:.2}", 100.0 * self.mean, 100.0 * sd),
            None => format!("{:.2}", 100.0 * self.mean),
        }
    }

    /// Of at least one value.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        (!values.is_empty())
            .then(|| Self { mean, sd: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()) })
    }
}

/// A difference of two arms, paired by seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean over seeds.
    pub mean: f64,
    /// Its 95% interval (Student's t); `None` for one seed.
    pub interval: Option<(f64, f64)>,
    /// Two-sided p-value of no difference (Student's t), in [0, 1]; `None` for one seed.
    #[serde(default)]
    pub p: Option<f64>,
    /// Seeds that both arms have finished.
    #[serde(default)]
    pub seeds: usize,
}

/// Percentage points with their sign, as `+1.49`; what rounds to zero is `+0.00`.
pub fn points(value: f64) -> String {
    let rounded = (100.0 * value).round() / 100.0;
    format!("{:+.2}", rounded + 0.0) // -0 has a sign, the sum does not
}

impl Difference {
    /// Of the paired differences, at least one; without an interval where all are the same.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let Spread { mean, sd } = Spread::of(differences)?;
        let (seeds, n) = (differences.len(), differences.len() as f64);
        // Equal differences on few images tell nothing of how they vary.
        let error = sd.filter(|sd| *sd > 0.0 || mean == 0.0).map(|sd| sd / n.sqrt());
        let student =
            error.and_then(|error| Some((StudentsT::new(0.0, 1.0, n - 1.0).ok()?, error)));
        let interval = student.map(|(t, error)| {
            let half = t.inverse_cdf(0.975) * error;
            (mean - half, mean + half)
        });
        let p = student.map(|(t, error)| match (mean.abs(), error) {
            (0.0, _) => 1.0,
            (size, error) => (2.0 * t.cdf(-size / error)).min(1.0),
        });
        Some(Self { mean, interval, p, seeds })
    }

    /// In percentage points with the interval, as `+1.49 [+0.40, +2.57]`.
    pub fn points(&self) -> String {
        let mean = points(100.0 * self.mean);
        let interval =
            |(low, high)| format!("{mean} [{}, {}]", points(100.0 * low), points(100.0 * high));
        self.interval.map_or(mean.clone(), interval)
    }

    /// Whether the interval lies on one side of zero.
    pub fn is_decided(&self) -> bool {
        self.interval.is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }
}

/// The p-values with all of them counted (Holm 1979): each is decided at 5% if its own is at most
/// 0.05, and then the chance that any of them is wrong is at most 5%. In the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let (mut out, mut highest) = (vec![1.0; p.len()], 0.0_f64);
    for (rank, &at) in order.iter().enumerate() {
        highest = highest.max(p[at] * (p.len() - rank) as f64).min(1.0);
        out[at] = highest;
    }
    out
}

/// The values that do not lie far out (Tukey 1977: more than three times the middle half's width
/// beyond it): one arm that failed must not squeeze all others.
pub fn not_far_out(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    if sorted.len() < 5 {
        return sorted;
    }
    let quartile = |share: f64| sorted[(share * (sorted.len() - 1) as f64).round() as usize];
    let (low, high) = (quartile(0.25), quartile(0.75));
    let fence = 3.0 * (high - low);
    sorted.into_iter().filter(|v| (low - fence..=high + fence).contains(v)).collect()
}

/// How much sooner an arm reaches the baseline's maximum (METHOD: `e*/e'`). Above 1: sooner.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speedup {
    /// It reaches it.
    Reached {
        /// In epochs.
        epochs: f64,
        /// In samples drawn.
        samples: f64,
        /// In seconds of the run, everything included.
        seconds: f64,
    },
    /// It does not, within the budget.
    NotReached,
}

/// The speedup of `arm` to the highest test accuracy of `baseline`; `None` without epochs.
pub fn speedup(baseline: &[EpochSummary], arm: &[EpochSummary]) -> Option<Speedup> {
    let highest = baseline.iter().map(|e| e.measured.accuracy).fold(f64::NEG_INFINITY, f64::max);
    let first = |run: &[EpochSummary]| {
        let at = run.iter().position(|e| e.measured.accuracy >= highest)?;
        let seconds: f64 = run[..=at].iter().map(|e| e.seconds).sum();
        Some((run[at].epoch as f64, run[at].samples as f64, seconds))
    };
    let theirs = first(baseline)?;
    Some(match first(arm) {
        None => Speedup::NotReached,
        Some(ours) => Speedup::Reached {
            epochs: theirs.0 / ours.0,
            samples: theirs.1 / ours.1,
            seconds: theirs.2 / ours.2.max(1e-9),
        },
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::protocol::{Measured, MeasuredOn, Phase};

    pub(in crate::compare) fn run(accuracies: &[f64]) -> Vec<EpochSummary> {
        let epoch = |(i, a): (usize, &f64)| EpochSummary {
            epoch: i + 1,
            phase: Phase::Uniform,
            train_loss: 1.0,
            measured: Measured { on: MeasuredOn::Test, loss: 1.0, accuracy: *a },
            average: None,
            grad_norm: None,
            recall: vec![*a; 2],
            drawn: vec![50, 50],
            expected: vec![50.0; 2],
            coverage: 1.0,
            expected_coverage: 1.0,
            max_multiplicity: 1,
            never_drawn: 0,
            hard_share: None,
            suspect_share: None,
            flipped_share: None,
            balance: 1.0,
            ess: 1.0,
            settled: None,
            seconds: 2.0,
            eval_seconds: 0.5,
            samples: 100 * (i as u64 + 1),
            step_ms: None,
            correction: Vec::new(),
        };
        accuracies.iter().enumerate().map(epoch).collect()
    }

    #[test]
    fn what_rounds_to_zero_has_no_minus_sign() {
        let found = [-0.001, 0.001, -0.0, -0.006, 1.494, -12.3].map(points);
        assert_eq!(found, ["+0.00", "+0.00", "+0.00", "-0.01", "+1.49", "-12.30"]);
    }

    #[test]
    fn spread_and_difference_are_those_of_the_textbook() {
        let s = Spread::of(&[1.0, 2.0, 3.0]).expect("values");
        assert!((s.mean - 2.0).abs() < 1e-12 && (s.sd.expect("three") - 1.0).abs() < 1e-12);
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[5.0]), Some(Spread { mean: 5.0, sd: None }));
        // t(0.975, 2) = 4.302653
        let d = Difference::of(&[1.0, 2.0, 3.0]).expect("values");
        let (low, high) = d.interval.expect("three");
        assert!(
            (low - (2.0 - 4.302_653 / 3.0_f64.sqrt())).abs() < 1e-5
                && (high + low - 4.0).abs() < 1e-9,
            "{low} {high}"
        );
        assert!(!d.is_decided() && Difference::of(&[1.0, 1.1, 0.9]).expect("values").is_decided());
        assert!(!Difference::of(&[1.0]).expect("a value").is_decided(), "one seed decides nothing");
    }

    #[test]
    fn p_values_agree_with_the_intervals_and_holm_counts_them_all() {
        // t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom.
        let d = Difference::of(&[1.0, 2.0, 3.0]).expect("values");
        assert!((d.p.expect("three") - 0.074_18).abs() < 1e-4 && d.seeds == 3, "{d:?}");
        assert_eq!(Difference::of(&[1.0]).expect("a value").p, None);
        assert_eq!(Difference::of(&[0.0, 0.0]).expect("values").p, Some(1.0));
        let same = Difference::of(&[0.5, 0.5]).expect("values");
        assert_eq!((same.p, same.interval), (None, None), "nothing is known of how they vary");
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    #[test]
    fn one_that_failed_is_far_out_and_neighbours_are_not() {
        assert_eq!(not_far_out(&[0.1, 0.2, -11.0, 0.3, 0.0, 0.5]), [0.0, 0.1, 0.2, 0.3, 0.5]);
        assert_eq!(not_far_out(&[1.0, 9.0]), [1.0, 9.0]);
    }

    #[test]
    fn a_speedup_is_the_ratio_of_first_epochs_and_not_reached_is_no_number() {
        let baseline = run(&[0.5, 0.7, 0.9, 0.8]);
        assert_eq!(speedup(&baseline, &run(&[0.5, 0.89, 0.89, 0.89])), Some(Speedup::NotReached));
        let Some(Speedup::Reached { epochs, samples, seconds }) =
            speedup(&baseline, &run(&[0.5, 0.91, 0.6, 0.95]))
        else {
            panic!("reached in epoch 2");
        };
        assert_eq!((epochs, samples, seconds), (1.5, 1.5, 1.5));
        assert_eq!(speedup(&[], &baseline), None);
        let Some(Speedup::Reached { epochs, .. }) = speedup(&baseline, &baseline) else {
            panic!("the baseline reaches itself")
        };
        assert_eq!(epochs, 1.0);
    }
}
