//! Figures that were read, from a journal, a socket or a comparison: what no trainer can have told
//! is refused there, so that nobody who draws or counts them has to think of it.

use super::{DataSummary, EpochSummary, Event, Record, WeightsSummary};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Epochs of a run at most, as the config has it.
const EPOCHS: usize = 100_000;
/// Samples, and steps of an epoch, at most: samples are numbered in 32 bits.
const SAMPLES: u64 = 1 << 32;
/// The most that is counted: every reader of JSON reads whole numbers up to here exactly.
pub(crate) const MOST_COUNTED: u64 = 1 << 53;
/// The longest that a run can take, in seconds: a century.
pub(crate) const LONGEST: f64 = 3.2e9;
/// Sides of an image, and its bytes, at most.
const BYTES: usize = 1 << 31;

/// Figures that can be impossible.
trait Figures {
    /// What is not possible in them.
    fn objection(&self) -> Option<&'static str>;
}

/// (De)serialises as derived (`remote = "Self"`), and refuses what is not possible.
macro_rules! checked {
    ($($figures:ty),*) => {$(
        impl Serialize for $figures {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $figures {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let figures = Self::deserialize(deserializer)?;
                match figures.objection() {
                    None => Ok(figures),
                    Some(what) => Err(serde::de::Error::custom(what)),
                }
            }
        }
    )*};
}

checked!(Record, DataSummary, WeightsSummary, EpochSummary);

/// The first of these that is wrong.
fn first_wrong<const N: usize>(checks: [(bool, &'static str); N]) -> Option<&'static str> {
    checks.into_iter().find(|(right, _)| !right).map(|(_, what)| what)
}

fn is_few(samples: usize) -> bool {
    samples as u64 <= SAMPLES
}

fn are_shares(values: &[f64]) -> bool {
    values.iter().all(|v| (0.0..=1.0).contains(v))
}

impl Figures for Record {
    fn objection(&self) -> Option<&'static str> {
        let (epoch, steps) = match &self.event {
            Event::Continued { epoch, step, steps, .. }
            | Event::Step { epoch, step, steps, .. } => (*epoch, [*step, *steps]),
            Event::Changed { epoch, step, .. }
            | Event::Paused { epoch, step, .. }
            | Event::Resumed { epoch, step }
            | Event::Checkpoint { epoch, step, .. } => (*epoch, [*step, *step]),
            Event::Evaluating { epoch, done, of } => (*epoch, [*done, *of]),
            Event::Phase { epoch, .. }
            | Event::Tested { epoch, .. }
            | Event::Finished { epochs: epoch, .. } => (*epoch, [0, 0]),
            _ => (0, [0, 0]),
        };
        let shares = match &self.event {
            Event::Tested { accuracy, recall, .. } => {
                (0.0..=1.0).contains(accuracy) && are_shares(recall)
            }
            Event::Finished { best_accuracy, final_accuracy, .. } => {
                are_shares(&[*best_accuracy, *final_accuracy])
            }
            _ => true,
        };
        first_wrong([
            (self.seq <= MOST_COUNTED, "a record's number is too large"),
            ((0.0..=LONGEST).contains(&self.t), "a record's time is out of range"),
            (epoch <= EPOCHS, "an epoch beyond those that a run can have"),
            (steps.into_iter().all(is_few), "more steps than an epoch can have"),
            (steps[0] <= steps[1], "a step after the last one"),
            (shares, "a share that is not in 0..=1"),
        ])
    }
}

impl Figures for DataSummary {
    fn objection(&self) -> Option<&'static str> {
        let bytes = self.shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side));
        first_wrong([
            (
                [self.train, self.test, self.validation].into_iter().all(is_few),
                "more samples than can be numbered",
            ),
            (self.classes.len() == self.counts.len(), "counts of another number of classes"),
            (
                self.counts.iter().all(|c| *c <= SAMPLES),
                "more samples of a class than can be numbered",
            ),
            (bytes.is_some_and(|b| (1..=BYTES).contains(&b)), "images of an impossible size"),
        ])
    }
}

impl Figures for WeightsSummary {
    fn objection(&self) -> Option<&'static str> {
        let is_histogram = |edges: &[f32], counts: &[u64]| {
            let ascending = edges.iter().all(|e| e.is_finite()) && edges.is_sorted();
            let fits = edges.len() == counts.len() + 1 || edges.is_empty() && counts.is_empty();
            ascending && fits && counts.iter().all(|c| *c <= SAMPLES)
        };
        let spread = [
            self.spread.min,
            self.spread.quartiles[0],
            self.spread.quartiles[1],
            self.spread.quartiles[2],
            self.spread.max,
        ];
        first_wrong([
            (self.epoch <= EPOCHS, "an epoch beyond those that a run can have"),
            (is_few(self.n) && self.unseen <= self.n, "more samples than there can be"),
            (spread.iter().all(|v| v.is_finite()), "weights that are not finite"),
            (
                is_histogram(&self.edges, &self.counts),
                "a histogram of weights whose edges and counts do not fit",
            ),
            (
                is_histogram(&self.draw_edges, &self.draw_counts),
                "a histogram of draws whose edges and counts do not fit",
            ),
        ])
    }
}

impl Figures for EpochSummary {
    fn objection(&self) -> Option<&'static str> {
        let classes = self.recall.len();
        let near_share = |v: f64| (-1e-6..=1.0 + 1e-6).contains(&v);
        let seconds = |s: f64| (-1.0..=LONGEST).contains(&s);
        first_wrong([
            (self.epoch <= EPOCHS, "an epoch beyond those that a run can have"),
            (
                self.drawn.len() == classes && self.expected.len() == classes,
                "figures of another number of classes",
            ),
            (
                are_shares(&self.recall) && are_shares(&[self.measured.accuracy]),
                "a share that is not in 0..=1",
            ),
            (
                near_share(self.coverage) && near_share(self.expected_coverage),
                "a share that is not in 0..=1",
            ),
            (self.settled.is_none_or(near_share), "a share that is not in 0..=1"),
            (self.drawn.iter().all(|d| *d <= SAMPLES), "more draws than an epoch can have"),
            (
                self.expected.iter().all(|d| (0.0..=SAMPLES as f64).contains(d)),
                "more draws than an epoch can have",
            ),
            (
                [0, classes].contains(&self.correction.len())
                    && self.correction.iter().all(|c| c.is_finite()),
                "a correction that cannot be",
            ),
            (
                is_few(self.never_drawn) && self.samples <= MOST_COUNTED,
                "more samples than there can be",
            ),
            (
                seconds(self.seconds) && seconds(self.eval_seconds),
                "an epoch of an impossible length",
            ),
        ])
    }
}
