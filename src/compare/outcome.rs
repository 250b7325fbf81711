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

    /// Lowest recall of a class after the last epoch.
    fn lowest_recall(&self) -> f64 {
        let recall = self
            .tested
            .as_ref()
            .map(|t| &t.recall)
            .or_else(|| self.epochs.last().map(|e| &e.recall));
        recall.map_or(0.0, |r| r.iter().copied().fold(1.0, f64::min))
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
}

/// Columns of the table.
const COLUMNS: usize = 8;

impl Row {
    /// What stands over the cells.
    pub const HEADER: [&'static str; COLUMNS] = [
        "arm",
        "final accuracy",
        "to the baseline [95%]",
        "best accuracy",
        "to the baseline [95%]",
        "speedup to baseline's best",
        "lowest recall",
        "balance",
    ];

    /// The row as people read it: percent, percentage points, words.
    pub fn cells(&self) -> [String; COLUMNS] {
        let points = |d: Option<Difference>| d.map_or_else(|| "-".to_owned(), |d| d.points());
        [
            self.arm.clone(),
            self.last.percent(),
            points(self.last_gain),
            self.best.percent(),
            points(self.best_gain),
            self.speedups_in_words(),
            self.lowest_recall.percent(),
            format!("{:.3}", self.balance.mean),
        ]
    }

    /// `1.20x 0.95x, not reached`, in epochs, by seed; `-` for the baseline.
    pub fn speedups_in_words(&self) -> String {
        let (mut reached, mut not) = (Vec::new(), 0);
        for s in &self.speedups {
            match s {
                Speedup::Reached { epochs, .. } => reached.push(format!("{epochs:.2}x")),
                Speedup::NotReached => not += 1,
            }
        }
        let missed = match not {
            0 => None,
            1 => Some("not reached".to_owned()),
            n => Some(format!("not reached ({n} times)")),
        };
        let reached = (!reached.is_empty()).then(|| reached.join(" "));
        let parts: Vec<String> = [reached, missed].into_iter().flatten().collect();
        if parts.is_empty() { "-".into() } else { parts.join(", ") }
    }
}

impl ArmOutcome {
    fn spread(&self, figure: impl Fn(&SeedOutcome) -> f64) -> Option<Spread> {
        Spread::of(&self.seeds.iter().map(figure).collect::<Vec<_>>())
    }
}

impl Outcome {
    /// A row for each arm that has a finished seed.
    pub fn rows(&self) -> Vec<Row> {
        self.arms.iter().filter_map(|arm| self.row(arm)).collect()
    }

    fn row(&self, arm: &ArmOutcome) -> Option<Row> {
        let baseline = self.arms.iter().find(|a| a.arm == self.baseline)?;
        // Only seeds that both have are paired.
        let pairs: Vec<(&SeedOutcome, &SeedOutcome)> = arm
            .seeds
            .iter()
            .filter_map(|s| Some((s, baseline.seeds.iter().find(|b| b.seed == s.seed)?)))
            .collect();
        let gain = |figure: &dyn Fn(&SeedOutcome) -> f64| {
            let differences: Vec<f64> = pairs.iter().map(|(s, b)| figure(s) - figure(b)).collect();
            Difference::of(&differences).filter(|_| arm.arm != self.baseline)
        };
        let speedups = pairs.iter().filter_map(|(s, b)| speedup(&b.epochs, &s.epochs));
        Some(Row {
            arm: arm.arm.clone(),
            last: arm.spread(SeedOutcome::last)?,
            last_gain: gain(&SeedOutcome::last),
            best: arm.spread(SeedOutcome::best)?,
            best_gain: gain(&SeedOutcome::best),
            speedups: if arm.arm == self.baseline { Vec::new() } else { speedups.collect() },
            lowest_recall: arm.spread(SeedOutcome::lowest_recall)?,
            balance: arm.spread(|s| s.epochs.last().map_or(0.0, |e| e.balance))?,
            seconds: arm.spread(|s| s.epochs.iter().map(|e| e.seconds).sum())?,
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
        if seeds < FEW_SEEDS {
            out.push(format!(
                "Only {seeds} seed(s): a difference means little. Use --seeds 3 or more."
            ));
        }
        let null = rows.iter().find(|r| r.arm == NULL);
        if let Some(null) = null {
            let reached =
                null.speedups.iter().filter(|s| matches!(s, Speedup::Reached { .. })).count();
            out.push(format!(
                "By chance alone ({NULL}) the baseline's maximum was reached in {reached} of {} \
                 seeds; a speedup beside that means nothing.",
                null.speedups.len()
            ));
        }
        for row in rows.iter().filter(|r| r.arm != NULL) {
            if row.last_gain.is_some_and(|g| !g.is_decided()) {
                out.push(format!(
                    "{}: its final accuracy differs from the baseline's by no more than seeds do.",
                    row.arm
                ));
            }
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

    /// The table as text, and the cautions.
    pub fn text(&self) -> String {
        let mut table: Vec<[String; COLUMNS]> = vec![Row::HEADER.map(str::to_owned)];
        table.extend(self.rows().iter().map(Row::cells));
        let mut out = String::new();
        for row in &table {
            let width = |column: usize| table.iter().map(|r| r[column].len()).max().unwrap_or(0);
            let line: String =
                row.iter().enumerate().map(|(k, cell)| format!("{cell:<0$}  ", width(k))).collect();
            out += line.trim_end();
            out += "\n";
        }
        out + "\n" + &self.cautions().iter().map(|c| format!("- {c}\n")).collect::<String>()
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
    fn the_table_says_not_reached_in_words() {
        // Its lines are wide: no width of code is asked of what stands there.
        insta::with_settings!({ snapshot_path => "../../tests/snapshots" }, {
            insta::assert_snapshot!(outcome().text());
        });
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
        for part in [
            "Only 1 seed(s)",
            "biased: effective sample size 5% of n",
            "biased: an epoch sees 30%",
            "biased: its final accuracy",
        ] {
            assert!(cautions.contains(part), "{part}: {cautions}");
        }
    }
}
