//! The figures that events carry. Knows nothing of when they are told.

use crate::config::MeasuredOn;
use crate::importance::Quartiles;
use serde::{Deserialize, Serialize};

/// What an epoch is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Vanilla SGD up to E, recording.
    Pretrain,
    /// Drawn by weight (importance or class).
    Biased,
    /// Drawn uniformly after E.
    Uniform,
}

impl Phase {
    /// As a word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Biased => "biased",
            Self::Uniform => "uniform",
        }
    }
}

/// The data of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct DataSummary {
    /// Name of the data set.
    pub name: String,
    /// Training samples, n.
    pub train: usize,
    /// Test samples.
    pub test: usize,
    /// Samples taken out of the training set to measure epochs on; 0 = the test set is used for
    /// that.
    #[serde(default)]
    pub validation: usize,
    /// Class names, shape `[C]`.
    pub classes: Vec<String>,
    /// Training samples per class, shape `[C]`.
    pub counts: Vec<u64>,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// SHA-256 of names, labels and pixels; empty in journals of before it was kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
}

/// The model of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// Its name.
    pub name: String,
    /// Trainable parameters.
    pub parameters: usize,
}

/// The weights as they were computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct WeightsSummary {
    /// Epoch after which they were computed.
    pub epoch: usize,
    /// Samples.
    pub n: usize,
    /// Samples never observed (their weight is 1).
    pub unseen: usize,
    /// Smallest, quartiles, largest.
    #[serde(flatten)]
    pub spread: Quartiles,
    /// Mean weight.
    pub mean: f64,
    /// Effective sample size of the probabilities made from them, share of n.
    pub ess: f64,
    /// Bin edges of the histogram.
    pub edges: Vec<f32>,
    /// Bin counts of the histogram.
    pub counts: Vec<u64>,
    /// Bin edges of the histogram of `n q_i`, the draws that an epoch is expected to give each
    /// sample.
    #[serde(default)]
    pub draw_edges: Vec<f32>,
    /// Bin counts of that histogram.
    #[serde(default)]
    pub draw_counts: Vec<u64>,
    /// Mean weight per class, shape `[C]`.
    pub class_mean: Vec<f64>,
}

/// JSON has no NaN: what is not finite is written as null, and read as NaN again.
pub(crate) fn nan_if_null<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Mean loss and accuracy on images that are not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "MeasuredFields", into = "MeasuredFields")]
pub struct Measured {
    /// Which images.
    pub on: MeasuredOn,
    /// Mean cross entropy in nats; NaN where the model's output was.
    pub loss: f64,
    /// Share predicted right, in [0, 1].
    pub accuracy: f64,
}

/// The same of parameters averaged over the steps of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Averaged {
    /// Mean cross entropy in nats; NaN where the model's output was.
    #[serde(deserialize_with = "nan_if_null")]
    pub loss: f64,
    /// Share predicted right, in [0, 1].
    pub accuracy: f64,
}

/// How [`Measured`] stands in JSON: no figure has the name of another.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum MeasuredFields {
    Test { test_loss: Option<f64>, test_accuracy: f64 },
    Validation { validation_loss: Option<f64>, validation_accuracy: f64 },
}

impl From<MeasuredFields> for Measured {
    fn from(fields: MeasuredFields) -> Self {
        let (on, loss, accuracy) = match fields {
            MeasuredFields::Test { test_loss, test_accuracy } => {
                (MeasuredOn::Test, test_loss, test_accuracy)
            }
            MeasuredFields::Validation { validation_loss, validation_accuracy } => {
                (MeasuredOn::Validation, validation_loss, validation_accuracy)
            }
        };
        Self { on, loss: loss.unwrap_or(f64::NAN), accuracy }
    }
}

impl From<Measured> for MeasuredFields {
    fn from(m: Measured) -> Self {
        let loss = Some(m.loss).filter(|l| l.is_finite());
        match m.on {
            MeasuredOn::Test => Self::Test { test_loss: loss, test_accuracy: m.accuracy },
            MeasuredOn::Validation => {
                Self::Validation { validation_loss: loss, validation_accuracy: m.accuracy }
            }
        }
    }
}

/// Seconds, or milliseconds a step, by what they were spent on. On a device that works by itself
/// the first four are the times to ask for the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepTimes {
    /// Draws, gathering, augmentation.
    pub data: f64,
    /// Forward pass, loss, what is recorded of each sample.
    pub forward: f64,
    /// Backward pass.
    pub backward: f64,
    /// The optimizer's update.
    pub optimizer: f64,
    /// Keeping losses and observations.
    pub bookkeeping: f64,
    /// Until the device had done what it was asked for, when its loss was read.
    #[serde(default)]
    pub waiting: f64,
    /// Until streamed images were there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub loading: f64,
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

impl std::ops::AddAssign for StepTimes {
    fn add_assign(&mut self, other: Self) {
        self.data += other.data;
        self.forward += other.forward;
        self.backward += other.backward;
        self.optimizer += other.optimizer;
        self.bookkeeping += other.bookkeeping;
        self.waiting += other.waiting;
        self.loading += other.loading;
    }
}

impl StepTimes {
    /// All parts together.
    pub fn whole(self) -> f64 {
        let Self { data, forward, backward, optimizer, bookkeeping, waiting, loading } = self;
        loading + data + forward + backward + optimizer + bookkeeping + waiting
    }

    /// Milliseconds a step.
    pub fn per(self, steps: usize) -> Self {
        let ms = |s: f64| 1e3 * s / steps.max(1) as f64;
        Self {
            data: ms(self.data),
            forward: ms(self.forward),
            backward: ms(self.backward),
            optimizer: ms(self.optimizer),
            bookkeeping: ms(self.bookkeeping),
            waiting: ms(self.waiting),
            loading: ms(self.loading),
        }
    }
}

/// The figures of a finished epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct EpochSummary {
    /// Epoch, from 1.
    pub epoch: usize,
    /// What it was drawn from.
    pub phase: Phase,
    /// Mean training loss.
    #[serde(deserialize_with = "nan_if_null")]
    pub train_loss: f64,
    /// Loss and accuracy after it; in JSON `test_loss` and `test_accuracy`, or `validation_loss`
    /// and `validation_accuracy`.
    #[serde(flatten)]
    pub measured: Measured,
    /// Loss and accuracy of the averaged parameters on the same images, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Averaged>,
    /// Mean norm of the gradients, where they are clipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grad_norm: Option<f64>,
    /// Recall per class on the same images, shape `[C]`.
    pub recall: Vec<f64>,
    /// Draws per class, shape `[C]`; their sum is the count of draws, usually n.
    pub drawn: Vec<u64>,
    /// Expected draws per class, shape `[C]`, of the same sum.
    pub expected: Vec<f64>,
    /// Share of distinct samples drawn.
    pub coverage: f64,
    /// Expected share of distinct samples.
    pub expected_coverage: f64,
    /// Most draws of one sample.
    pub max_multiplicity: u32,
    /// Samples never drawn since E.
    pub never_drawn: usize,
    /// Share of the draws that went to samples with `p < 0.1` (null before E).
    pub hard_share: Option<f64>,
    /// Share of the draws that went to samples that the model confidently called another class
    /// (null before E).
    pub suspect_share: Option<f64>,
    /// Share of the draws that went to labels that were flipped on purpose (null where none were).
    pub flipped_share: Option<f64>,
    /// `H(f) / ln C` of the draws.
    pub balance: f64,
    /// Effective sample size of the probabilities, share of n.
    pub ess: f64,
    /// How settled the importance is, in [0, 1] (null after E, after the first epoch that was
    /// recorded, and in journals of older versions).
    #[serde(default)]
    pub settled: Option<f64>,
    /// Seconds of the epoch, evaluation included.
    pub seconds: f64,
    /// Seconds of its evaluation.
    pub eval_seconds: f64,
    /// Samples drawn since the run began.
    pub samples: u64,
    /// Where the time of a step went, milliseconds, mean over the epoch (none in journals of older
    /// versions).
    #[serde(default)]
    pub step_ms: Option<StepTimes>,
    /// What was added to the logits for the loss, `tau ln(C pi_c)`, shape `[C]`; empty where they
    /// were not corrected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub correction: Vec<f64>,
}
