//! The vocabulary: everything a trainer says ([`Event`]) and everything a person can ask
//! ([`Command`]). Channels, sockets, journals and replays carry these same types. Knows nothing of
//! how either is carried out.

mod answer;
mod figures;
mod possible;
mod words;

pub use answer::{Answer, Reply};
pub use figures::{
    Averaged, DataSummary, EpochSummary, Measured, ModelSummary, Phase, StepTimes, WeightsSummary,
};

pub use crate::model::{Because, Threads, Waiting};
pub use words::{ByItself, CheckpointKind, Effective, End, TestedModel, Topic, Verb};

pub use crate::config::MeasuredOn;
pub(crate) use figures::nan_if_null;
pub(crate) use possible::{LONGEST, MOST_COUNTED};
use serde::{Deserialize, Serialize};

/// An [`Event`] with its place in the run. One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Record {
    /// Sequence number, from 1.
    pub seq: u64,
    /// Seconds since the run began.
    pub t: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// Reads one line of JSON; `None` for an event of a newer version or a torn line: readers skip
    /// those.
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// The line of JSON, without its newline.
    pub fn to_line(&self) -> String {
        // The types hold nothing that JSON cannot: string keys, finite or null numbers.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Everything a trainer says. Epochs count from 1; in JSON the kind stands in `event`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// Name of the run.
        run: String,
        /// The resolved config.
        config: Box<crate::config::RunConfig>,
        /// Its data.
        data: DataSummary,
        /// Its model.
        model: ModelSummary,
        /// The device's name.
        device: String,
        /// Versions of what computes.
        versions: Vec<(String, String)>,
        /// Threads that compute on the CPU; `None` in journals of before they were told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threads: Option<Threads>,
    },
    /// Training goes on from a checkpoint: what was told of anything later is no part of the run
    /// any more.
    Continued {
        /// Completed epochs.
        epoch: usize,
        /// Steps done in the next one.
        step: usize,
        /// Steps it has; 0 when it has not begun.
        steps: usize,
        /// SHA-256 over all parameters and running statistics there.
        #[serde(default)]
        parameters_sha256: String,
    },
    /// An epoch of this phase begins.
    Phase {
        /// The epoch.
        epoch: usize,
        /// Its phase.
        phase: Phase,
    },
    /// Where training is; at most ten a second, the newest wins.
    Step {
        /// Epoch in progress.
        epoch: usize,
        /// Steps done in it.
        step: usize,
        /// Steps it has.
        steps: usize,
        /// Mean loss since the last such event.
        #[serde(deserialize_with = "nan_if_null")]
        loss: f64,
        /// Learning rate.
        lr: f64,
        /// Training throughput since the last such event.
        images_per_s: f64,
        /// Mean norm of the gradients since the last such event, where they are clipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grad_norm: Option<f64>,
    },
    /// An evaluation is under way.
    Evaluating {
        /// Epoch being evaluated.
        epoch: usize,
        /// Images done.
        done: usize,
        /// Images in all.
        of: usize,
    },
    /// The weights were computed.
    Weights(WeightsSummary),
    /// What the weights would be if E were now: at the end of an epoch of pretraining that is not
    /// the last.
    WeightsPreview(WeightsSummary),
    /// An epoch is over.
    EpochEnd(EpochSummary),
    /// The test set was read, once, after an epoch chosen without it: where there is a validation
    /// split.
    Tested {
        /// The epoch whose model was tested.
        epoch: usize,
        /// Which of the run's models that is.
        #[serde(rename = "best")]
        model: TestedModel,
        /// Mean test loss.
        #[serde(deserialize_with = "nan_if_null")]
        loss: f64,
        /// Test accuracy, in [0, 1].
        accuracy: f64,
        /// Test recall per class, shape `[C]`.
        recall: Vec<f64>,
    },
    /// A value changed: by a command, or by itself.
    Changed {
        /// Epoch in progress.
        epoch: usize,
        /// Steps done in it.
        step: usize,
        /// What was changed.
        key: Topic,
        /// Before.
        old: serde_json::Value,
        /// Now.
        new: serde_json::Value,
        /// When it takes effect.
        effective: Effective,
        /// Why it changed where nobody asked for it; `None`: a command did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_itself: Option<ByItself>,
    },
    /// A command was not carried out.
    Refused {
        /// What was to be changed or done.
        key: Topic,
        /// What was asked.
        value: serde_json::Value,
        /// Why not.
        reason: String,
    },
    /// Training waits.
    Paused {
        /// Epoch in progress.
        epoch: usize,
        /// Steps done in it.
        step: usize,
        /// Why, unless a person asked.
        reason: Option<String>,
        /// What it waits for.
        #[serde(default)]
        cause: Cause,
    },
    /// Training goes on.
    Resumed {
        /// Epoch in progress.
        epoch: usize,
        /// Steps done in it.
        step: usize,
    },
    /// A remark of a person, kept with the run.
    Note {
        /// The remark.
        text: String,
    },
    /// A file with the run's state was written.
    Checkpoint {
        /// Completed epochs.
        epoch: usize,
        /// Steps done in the next one.
        step: usize,
        /// Path of the file.
        file: String,
        /// Why it was written.
        kind: CheckpointKind,
        /// Of the model, SHA-256 of the file: a checkpoint has its checksums in itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    /// Something to know.
    Warning {
        /// Short stable name.
        code: String,
        /// For people.
        text: String,
    },
    /// The run cannot go on.
    Failed {
        /// What happened and what to do.
        reason: String,
    },
    /// The run is over.
    Finished {
        /// Completed epochs.
        epochs: usize,
        /// Best accuracy on what epochs are measured on.
        best_accuracy: f64,
        /// First epoch that reached it; 0 when no epoch was completed.
        best_epoch: usize,
        /// Last accuracy on the same.
        final_accuracy: f64,
        /// Seconds of the run.
        seconds: f64,
        /// SHA-256 over all parameters and running statistics.
        parameters_sha256: String,
        /// Whether it came to N.
        #[serde(rename = "stopped")]
        end: End,
    },
}

/// What a paused run waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody who paused it, or who has to decide.
    #[default]
    Asked,
    /// Somebody who says what becomes of a loss that is not finite: go on, go back, stop.
    NotFinite,
    /// A disk that takes writes again; then it goes on by itself.
    Disk,
    /// An image that can be read again; then it goes on by itself.
    Data,
}

/// How `bias` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// E becomes the epoch in progress.
    Now,
    /// Uniform from the next epoch on; the weights are kept.
    Off,
    /// Biased again from the next epoch on.
    On,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// When the epoch in progress has been evaluated.
    AfterEpoch,
    /// Before the next step.
    Now,
    /// When this epoch has been evaluated.
    AtEpoch(usize),
}

/// Everything a person can ask; applied between two steps, each answered by an [`Event`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Wait.
    Pause,
    /// Go on.
    Resume,
    /// Change a config value.
    Set {
        /// The config key.
        key: String,
        /// Its new value.
        value: serde_json::Value,
    },
    /// Change the bias.
    Bias {
        /// How.
        bias: Bias,
    },
    /// Compute the weights anew at the next epoch boundary.
    Rescore,
    /// Write the run's state to the disk now.
    Checkpoint,
    /// Go back to the newest checkpoint, with the learning rate scaled by this much more.
    Rewind {
        /// Factor on `train.lr_scale`, above 0.
        lr_factor: f64,
    },
    /// Keep a remark with the run.
    Note {
        /// The remark.
        text: String,
    },
    /// End the run.
    Stop {
        /// When.
        stop: Stop,
    },
}

/// A command on its way to the trainer.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// Who waits for the answer, if anybody does.
    pub answer: Option<Answer>,
}

impl From<Command> for Request {
    /// A command whose answer is seen by everybody who listens.
    fn from(command: Command) -> Self {
        Self { command, answer: None }
    }
}
