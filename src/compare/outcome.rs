//! What a comparison found, arm by arm, with what may be said of it and what may not. Pure.

use super::arms::NULL;
use super::statistics::{Difference, Speedup, Spread, speedup};
use crate::config::RunConfig;
use crate::protocol::{EpochSummary, MeasuredOn};
use serde::{Deserialize, Serialize};

/// Below this share of n, few samples make most of the draws.
const LOW_ESS: f64 = 0.2;
/// Below this share of distinct samples an epoch leaves out more than half of what it could see.
const LOW_COVERAGE: f64 = 0.4;
/// Fewer seeds than this say little.
const FEW_SEEDS: usize = 3;

/// Everything that a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the comparison.
    pub name: String,
    /// Config of the run whose arms these are.
    pub config: RunConfig,
    /// The arm that the others are measured against.
    pub baseline: String,
    /// The arms, the baseline first.
    pub arms: Vec<ArmOutcome>,
}

/// What one arm reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmOutcome {
    /// Its name.
    pub arm: String,
    /// Its config.
    pub config: RunConfig,
    /// By seed, those that are finished.
    pub seeds: Vec<SeedOutcome>,
}

/// What one arm reached with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedOutcome {
    /// The seed.
    pub seed: u64,
    /// Its epochs, those of the pretraining included.
    pub epochs: Vec<EpochSummary>,
    /// SHA-256 of the final parameters.
    pub parameters_sha256: String,
    /// What the test set said at the end, where epochs were measured on a validation split.
    #[serde(default)]
    pub tested: Option<Tested>,
}

/// Accuracy and recall on a test set that was read once, at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// Accuracy of the last model.
    pub last: f64,
    /// Accuracy of the model of the best validation epoch.
    pub best: f64,
    /// Recall by class of the last model, shape `[C]`.
    pub recall: Vec<f64>,
}

impl SeedOutcome {
    /// Test accuracy after the last epoch.
    pub fn last(&self) -> f64 {
        if let Some(t) = &self.tested {
            return t.last;
        }
        self.epochs.last().map_or(0.0, |e| e.measured.accuracy)
    }

    /// Highest test accuracy of any epoch; with a validation split, test accuracy of the epoch that
    /// was best on that.
    pub fn best(&self) -> f64 {
        if let Some(t) = &self.tested {
            return t.best;
        }
        self.epochs.iter().map(|e| e.measured.accuracy).fold(0.0, f64::max)
    }

    /// Recall by class after the last epoch, shape `[C]`.
    pub fn recall(&self) -> Option<&[f64]> {
        let tested = self.tested.as_ref().map(|t| t.recall.as_slice());
        tested.or_else(|| self.epochs.last().map(|e| e.recall.as_slice()))
    }

    /// Lowest recall of a class after the last epoch.
    fn lowest_recall(&self) -> f64 {
        self.recall().map_or(0.0, |r| r.iter().copied().fold(1.0, f64::min))
    }
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The arm.
    pub arm: String,
    /// Final test accuracy.
    pub last: Spread,
    /// Final test accuracy minus the baseline's, paired by seed; `None` for the baseline.
    pub last_gain: Option<Difference>,
    /// Best test accuracy.
    pub best: Spread,
    /// Best test accuracy minus the baseline's best, paired by seed; `None` for the baseline.
    pub best_gain: Option<Difference>,
    /// Speedup to the baseline's maximum, by seed; empty for the baseline.
    pub speedups: Vec<Speedup>,
    /// Lowest recall of a class at the end.
    pub lowest_recall: Spread,
    /// `H(f) / ln C` of the last epoch's draws.
    pub balance: Spread,
    /// Seconds of the run.
    pub seconds: Spread,
    /// Images drawn, those of the pretraining included.
    pub images: Spread,
}

/// Columns of the table.
pub(super) const COLUMNS: usize = 8;

impl Row {
    /// What stands over the cells.
    pub const HEADER: [&'static str; COLUMNS] = [
        "arm",
        "final %",
        "to the baseline [95%]",
        "best %",
        "speedup",
        "worst %",
        "images",
        "time",
    ];

    /// The row as people read it: percent, percentage points, words.
    pub fn cells(&self) -> [String; COLUMNS] {
        [
            self.arm.clone(),
            self.last.percent(),
            self.last_gain.map_or_else(|| "-".to_owned(), |d| d.points()),
            format!("{:.2}", 100.0 * self.best.mean),
            self.speedup_in_brief(),
            format!("{:.1}", 100.0 * self.lowest_recall.mean),
            images(self.images.mean),
            clock(self.seconds.mean),
        ]
    }

    /// Seeds that reached the baseline's best accuracy.
    pub fn reached(&self) -> usize {
        self.speedups.iter().filter(|s| matches!(s, Speedup::Reached { .. })).count()
    }

    /// The median over seeds, in epochs, and how many seeds reached it: `1.20x (4/5)`; `no (2/5)`
    /// where the seed in the middle did not; `-` for the baseline.
    fn speedup_in_brief(&self) -> String {
        let mut by_seed: Vec<f64> = self
            .speedups
            .iter()
            .map(|s| if let Speedup::Reached { epochs, .. } = s { *epochs } else { 0.0 })
            .collect();
        by_seed.sort_by(f64::total_cmp);
        let n = by_seed.len();
        if n == 0 {
            return "-".into();
        }
        let (low, high) = (by_seed[(n - 1) / 2], by_seed[n / 2]);
        let median =
            if low > 0.0 { format!("{:.2}x", f64::midpoint(low, high)) } else { "no".to_owned() };
        format!("{median} ({}/{n})", self.reached())
    }
}

/// `640`, `15.0k` or `3.00M`.
fn images(n: f64) -> String {
    match n {
        n if n < 1e4 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.1}k", n / 1e3),
        n => format!("{:.2}M", n / 1e6),
    }
}

/// `41 s`, `12 min` or `3.4 h`.
fn clock(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

impl ArmOutcome {
    fn spread(&self, figure: impl Fn(&SeedOutcome) -> f64) -> Option<Spread> {
        Spread::of(&self.seeds.iter().map(figure).collect::<Vec<_>>())
    }
}

/// The seeds that both have: only these are paired.
fn pairs<'a>(
    arm: &'a ArmOutcome,
    other: &'a ArmOutcome,
) -> Vec<(&'a SeedOutcome, &'a SeedOutcome)> {
    let theirs = |seed: u64| other.seeds.iter().find(|o| o.seed == seed);
    arm.seeds.iter().filter_map(|s| Some((s, theirs(s.seed)?))).collect()
}

fn gains(pairs: &[(&SeedOutcome, &SeedOutcome)], figure: impl Fn(&SeedOutcome) -> f64) -> Vec<f64> {
    pairs.iter().map(|(s, o)| figure(s) - figure(o)).collect()
}

impl Outcome {
    /// A row for each arm that has a finished seed.
    pub fn rows(&self) -> Vec<Row> {
        self.arms.iter().filter_map(|arm| self.row(arm)).collect()
    }

    /// The rows from the highest mean difference to the baseline to the lowest: the baseline
    /// stands where zero is, arms that share no seed with it stand last.
    pub fn ranked(&self) -> Vec<Row> {
        let mut rows = self.rows();
        let gain = |row: &Row| match row.last_gain {
            Some(gain) => gain.mean,
            None if row.arm == self.baseline => 0.0,
            None => f64::NEG_INFINITY,
        };
        rows.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
        rows
    }

    /// Final accuracy of `arm` minus that of `other`, paired by seed; `None` if no seed is finished
    /// in both.
    pub fn difference(&self, arm: &str, other: &str) -> Option<Difference> {
        let of = |name: &str| self.arms.iter().find(|a| a.arm == name);
        Difference::of(&gains(&pairs(of(arm)?, of(other)?), SeedOutcome::last))
    }

    fn row(&self, arm: &ArmOutcome) -> Option<Row> {
        let baseline = self.arms.iter().find(|a| a.arm == self.baseline)?;
        let pairs = pairs(arm, baseline);
        let gain = |figure: fn(&SeedOutcome) -> f64| {
            Difference::of(&gains(&pairs, figure)).filter(|_| arm.arm != self.baseline)
        };
        let speedups = pairs.iter().filter_map(|(s, b)| speedup(&b.epochs, &s.epochs));
        Some(Row {
            arm: arm.arm.clone(),
            last: arm.spread(SeedOutcome::last)?,
            last_gain: gain(SeedOutcome::last),
            best: arm.spread(SeedOutcome::best)?,
            best_gain: gain(SeedOutcome::best),
            speedups: if arm.arm == self.baseline { Vec::new() } else { speedups.collect() },
            lowest_recall: arm.spread(SeedOutcome::lowest_recall)?,
            balance: arm.spread(|s| s.epochs.last().map_or(0.0, |e| e.balance))?,
            seconds: arm.spread(|s| s.epochs.iter().map(|e| e.seconds).sum())?,
            images: arm.spread(|s| s.epochs.last().map_or(0.0, |e| e.samples as f64))?,
        })
    }

    /// What a reader has to know before believing the table.
    pub fn cautions(&self) -> Vec<String> {
        let rows = self.rows();
        let seeds = self.arms.iter().map(|a| a.seeds.len()).min().unwrap_or(0);
        let mut out = vec![match self.config.measured_on() {
            MeasuredOn::Test => {
                "Best epochs and targets were chosen on the test set: best accuracies are a little \
                 too high for every arm \
                 (data.validation = 0.1 chooses them on a tenth of the training set instead)."
            }
            MeasuredOn::Validation => {
                "Best epochs, targets and speedups were chosen on the validation split; accuracies \
                 and recall are those of the test \
                 set, which was read once, at the end."
            }
        }
        .to_owned()];
        let data = &self.config.data;
        if data.validation > 0.0 && (data.imbalance > 1.0 || !data.class_counts.is_empty()) {
            out.push(
                "The validation split has the long tail of the training set, the test set has not: \
                 what is best on one need not be \
                 on the other."
                    .to_owned(),
            );
        }
        if !self.arms.iter().any(|arm| arm.config.importance == self.config.importance) {
            out.push(
                "No arm trains what the config adds to the paper's method; the arm as-configured \
                 does."
                    .to_owned(),
            );
        }
        if seeds < FEW_SEEDS {
            out.push(format!(
                "Only {seeds} seed(s): a difference means little. Use --seeds 3 or more."
            ));
        }
        let null = rows.iter().find(|r| r.arm == NULL);
        if let Some(null) = null {
            out.push(format!(
                "By chance alone ({NULL}) the baseline's maximum was reached in {} of {} seeds; a \
                 speedup beside that means nothing.",
                null.reached(),
                null.speedups.len()
            ));
        }
        let is_open = |r: &&Row| {
            let has_interval = |g: Difference| g.interval.is_some() && !g.is_decided();
            r.arm != NULL && r.last_gain.is_some_and(has_interval)
        };
        let open: Vec<&str> = rows.iter().filter(is_open).map(|r| r.arm.as_str()).collect();
        match open[..] {
            [] => {}
            [arm] => out.push(format!(
                "{arm}: its final accuracy differs from the baseline's by no more than seeds do."
            )),
            _ => out.push(format!(
                "{}: their final accuracies differ from the baseline's by no more than seeds do.",
                open.join(", ")
            )),
        }
        for arm in &self.arms {
            let ends = arm.seeds.iter().filter_map(|s| s.epochs.last());
            if let Some(e) = ends.clone().find(|e| e.ess < LOW_ESS) {
                out.push(format!(
                    "{}: effective sample size {:.0}% of n: few samples make most of the draws.",
                    arm.arm,
                    100.0 * e.ess
                ));
            }
            if let Some(e) = ends.clone().find(|e| e.coverage < LOW_COVERAGE) {
                out.push(format!(
                    "{}: an epoch sees {:.0}% of the samples.",
                    arm.arm,
                    100.0 * e.coverage
                ));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::tests::run;
    use super::*;

    fn arm(name: &str, seeds: &[&[f64]]) -> ArmOutcome {
        let seed = |(i, a): (usize, &&[f64])| SeedOutcome {
            seed: i as u64,
            epochs: run(a),
            parameters_sha256: String::new(),
            tested: None,
        };
        ArmOutcome {
            arm: name.into(),
            config: RunConfig::default(),
            seeds: seeds.iter().enumerate().map(seed).collect(),
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            name: "demo-compare-001".into(),
            config: RunConfig::default(),
            baseline: "uniform".into(),
            arms: vec![
                arm("uniform", &[&[0.5, 0.80, 0.79], &[0.5, 0.81, 0.80], &[0.5, 0.79, 0.78]]),
                arm("uniform-null", &[&[0.5, 0.80, 0.78], &[0.5, 0.80, 0.80], &[0.5, 0.78, 0.79]]),
                arm("biased", &[&[0.5, 0.70, 0.81], &[0.5, 0.70, 0.82], &[0.5, 0.70, 0.81]]),
            ],
        }
    }

    #[test]
    fn gains_are_paired_by_seed_and_shown_beside_what_chance_reached() {
        let rows = outcome().rows();
        assert_eq!(rows[0].last_gain, None);
        let gain = rows[2].last_gain.expect("an arm");
        assert!((gain.mean - 0.07 / 3.0).abs() < 1e-12 && gain.is_decided(), "{gain:?}");
        let sd = rows[2].last.sd.expect("three");
        assert!((sd - 0.005_773_5).abs() < 1e-6, "{sd}");
        assert_eq!(rows[1].speedups.iter().filter(|s| **s == Speedup::NotReached).count(), 1);
        let cautions = outcome().cautions().join("\n");
        assert!(
            cautions.contains("was reached in 2 of 3 seeds")
                && !cautions.contains("biased: its final"),
            "{cautions}"
        );
    }

    #[test]
    fn seeds_that_only_one_arm_has_are_not_paired() {
        let mut o = outcome();
        o.arms[0].seeds.pop();
        assert_eq!(o.rows()[2].speedups.len(), 2);
        o.arms[2].seeds.clear();
        assert_eq!(o.rows().len(), 2);
    }

    #[test]
    fn few_seeds_and_low_effective_sample_sizes_are_said() {
        let mut o = outcome();
        o.arms.iter_mut().for_each(|a| a.seeds.truncate(1));
        o.arms[2].seeds[0].epochs[2].ess = 0.05;
        o.arms[2].seeds[0].epochs[2].coverage = 0.3;
        let cautions = o.cautions().join("\n");
        for part in
            ["Only 1 seed(s)", "biased: effective sample size 5% of n", "biased: an epoch sees 30%"]
        {
            assert!(cautions.contains(part), "{part}: {cautions}");
        }
    }
}
