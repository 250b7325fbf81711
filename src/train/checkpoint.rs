//! Everything that decides the future of a session, as plain values: a session stopped at any step
//! and begun again from these ends with the same parameters, bit for bit on the CPU, as one that
//! was never stopped. Knows no files.

use crate::config::RunConfig;
use crate::data::Identity;
use crate::importance::{METRICS, Observation, Sampler};
use crate::model::kernels::Lost;
use crate::model::{LeavingState, Misfits, NamedTensor};
use crate::protocol::{LONGEST, MOST_COUNTED, Phase};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A session as values.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Everything that is small.
    pub state: SessionState,
    /// Everything that is large, by name.
    pub arrays: Vec<Array>,
}

/// A checkpoint the tensors of which may be on their way from the device: training goes on
/// meanwhile.
#[derive(Debug)]
pub struct LeavingCheckpoint {
    /// Everything that is small.
    pub(super) state: SessionState,
    /// Named as arrays are.
    pub(super) tensors: LeavingState,
    /// All other arrays.
    pub(super) arrays: Vec<Array>,
}

impl LeavingCheckpoint {
    /// Waits for the tensors.
    ///
    /// # Errors
    /// When the device failed meanwhile.
    pub fn arrived(&self) -> Result<Checkpoint, Lost> {
        let tensors = self.tensors.arrived()?.into_iter().map(Array::tensor);
        let arrays = tensors.chain(self.arrays.iter().cloned()).collect();
        Ok(Checkpoint { state: self.state.clone(), arrays })
    }
}

/// A named array on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its name, as `model.conv1.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Values,
}

/// Values of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    U32(Vec<u32>),
}

/// The small part of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionState {
    /// The config with every live change.
    pub config: RunConfig,
    /// SHA-256 of the training labels: the data must be the same.
    pub labels_sha256: String,
    /// The data as a whole, which must be the same, too; `None` in checkpoints of before it was
    /// kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Identity>,
    /// Completed epochs.
    pub completed: usize,
    /// Samples drawn since the run began.
    pub samples_drawn: u64,
    /// Steps of the optimizer since the run began; 0 in checkpoints of before they were counted,
    /// when nothing went by them.
    #[serde(default)]
    pub steps: u64,
    /// Epoch after which the weights were computed.
    pub weighed_at: usize,
    /// Samples without an observation when that was; `None` before there are weights.
    pub unseen: Option<usize>,
    /// Sampler to go back to with `bias on`.
    pub preferred: Sampler,
    /// Whether the weights are due anew at the next boundary.
    pub rescore: bool,
    /// Whether a loss that is not finite was accepted.
    pub not_finite_accepted: bool,
    /// Best test accuracy.
    pub best_accuracy: f64,
    /// Epoch that reached it.
    pub best_epoch: usize,
    /// Last test accuracy.
    pub last_accuracy: f64,
    /// Epochs that the recorder holds.
    pub recorded_epochs: usize,
    /// The epoch in progress.
    pub epoch: Option<EpochState>,
    /// Seconds that the run has taken.
    pub seconds: f64,
}

/// The epoch in progress, whose draws, probabilities and observations are arrays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochState {
    /// What it is drawn from.
    pub phase: Phase,
    /// Steps done.
    pub step: usize,
    /// Steps it has.
    pub steps: usize,
    /// Sum of the losses of the images so far.
    #[serde(deserialize_with = "crate::protocol::nan_if_null")]
    pub loss: f64,
    /// Norms of the gradients of those of these steps that clipped them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norms: Option<Norms>,
    /// Whether images were mixed in any of these steps.
    #[serde(default)]
    pub is_mixed: bool,
    /// k, by which its losses are weighted; `None` in checkpoints of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reweight: Option<f64>,
    /// tau, by which logits are corrected when it is measured; `None` as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posthoc: Option<f64>,
}

/// Norms of gradients so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Norms {
    /// Their sum.
    #[serde(deserialize_with = "crate::protocol::nan_if_null")]
    pub sum: f64,
    /// Steps that have one.
    pub steps: usize,
}

/// Why a checkpoint cannot be continued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It lacks an array, or one has another shape.
    #[error("the checkpoint has no fitting array \"{0}\"")]
    Array(String),
    /// Its parameters are not this model's.
    #[error("the checkpoint does not fit the model: {0}")]
    Model(Misfits),
    /// Its state contradicts itself or its data.
    #[error("the checkpoint's state is not possible: {0}")]
    State(String),
    /// The data is not what the run trained on.
    #[error(
        "the data is not what this run trained on: {0}\n  Put the old data back, or say where it \
         is now (resume --set data.path=...). \
         To train the model on other data, `export` it and begin a run with model.init."
    )]
    Data(String),
}

impl SessionState {
    /// What cannot be in any run, or `None`: checksums only tell that nothing was changed since.
    /// The config was checked when it was read.
    pub fn objection(&self) -> Option<String> {
        let (done, of) = (self.completed, self.config.train.epochs);
        let at_most = |what: &str, value: u64, most: u64| {
            (value > most).then(|| format!("{what} = {value}, at most {most}"))
        };
        let share = |what: &str, value: f64| {
            (!(0.0..=1.0).contains(&value)).then(|| format!("{what} = {value}, not in 0..=1"))
        };
        let is_long = !(0.0..=LONGEST).contains(&self.seconds);
        at_most("completed", done as u64, of as u64)
            .or_else(|| at_most("best_epoch", self.best_epoch as u64, done as u64))
            .or_else(|| at_most("weighed_at", self.weighed_at as u64, done as u64))
            .or_else(|| at_most("recorded_epochs", self.recorded_epochs as u64, done as u64 + 1))
            .or_else(|| share("best_accuracy", self.best_accuracy))
            .or_else(|| share("last_accuracy", self.last_accuracy))
            .or_else(|| at_most("samples_drawn", self.samples_drawn, MOST_COUNTED))
            .or_else(|| at_most("steps", self.steps, MOST_COUNTED))
            .or_else(|| is_long.then(|| format!("seconds = {}", self.seconds)))
            .or_else(|| {
                let begun = self.epoch?;
                let has_begun = at_most("epoch.step", begun.step as u64, begun.steps as u64);
                let norms = begun.norms.and_then(|norms| {
                    at_most("epoch.norms.steps", norms.steps as u64, begun.step as u64)
                });
                let k = begun.reweight.and_then(|k| share("epoch.reweight", k));
                let tau = begun.posthoc.filter(|tau| !(0.0..=10.0).contains(tau));
                let tau = tau.map(|tau| format!("epoch.posthoc = {tau}"));
                has_begun
                    .or(norms)
                    .or(k)
                    .or(tau)
                    .or_else(|| at_most("completed, in an epoch,", done as u64 + 1, of as u64))
            })
    }

    /// What cannot be in a run of `n` training samples, beyond that.
    pub(super) fn objection_with(&self, n: usize) -> Option<String> {
        let unseen = self.unseen.filter(|unseen| *unseen > n)?;
        Some(format!("unseen = {unseen} of {n} training images"))
    }
}

impl Checkpoint {
    /// Parameters and running statistics of the model.
    pub fn model(&self) -> Vec<NamedTensor> {
        self.tensors("model.")
    }

    /// The model of the best epoch, where it is kept for the test set; else nothing.
    pub fn best(&self) -> Vec<NamedTensor> {
        self.tensors("best.")
    }

    /// The average of the model over its steps; nothing where none was made.
    pub fn average(&self) -> Vec<NamedTensor> {
        self.tensors("average.")
    }

    /// Those that an optimizer keeps under `words`, the words before their names.
    pub(super) fn kept(&self, words: &[&str]) -> Vec<NamedTensor> {
        let under = |word: &&str| {
            let prefix = format!("{word}.");
            let tensors = self.tensors(&prefix).into_iter();
            tensors.map(move |t| NamedTensor { name: format!("{prefix}{}", t.name), ..t })
        };
        words.iter().flat_map(under).collect()
    }

    /// Values of an f32 array of so many elements.
    pub(super) fn f32s(&self, name: &str, len: usize) -> Result<&[f32], RestoreError> {
        match self.find(name) {
            Some(Values::F32(v)) if v.len() == len => Ok(v),
            _ => Err(RestoreError::Array(name.to_owned())),
        }
    }

    /// The same of one that may not be there.
    pub(super) fn f32s_if_any(
        &self,
        name: &str,
        len: usize,
    ) -> Result<Option<&[f32]>, RestoreError> {
        self.find(name).map(|_| self.f32s(name, len)).transpose()
    }

    /// Values of a u32 array.
    pub(super) fn all_u32s(&self, name: &str) -> Result<&[u32], RestoreError> {
        match self.find(name) {
            Some(Values::U32(v)) => Ok(v),
            _ => Err(RestoreError::Array(name.to_owned())),
        }
    }

    /// Values of an f64 array of so many elements.
    pub(super) fn f64s(&self, name: &str, len: usize) -> Result<&[f64], RestoreError> {
        match self.find(name) {
            Some(Values::F64(v)) if v.len() == len => Ok(v),
            _ => Err(RestoreError::Array(name.to_owned())),
        }
    }

    /// Values of a u32 array of so many elements.
    pub(super) fn u32s(&self, name: &str, len: usize) -> Result<&[u32], RestoreError> {
        match self.find(name) {
            Some(Values::U32(v)) if v.len() == len => Ok(v),
            _ => Err(RestoreError::Array(name.to_owned())),
        }
    }

    /// The same of numbers that are counted on, or are classes: none near the end of its type.
    pub(super) fn counts(&self, name: &str, len: usize) -> Result<Vec<u32>, RestoreError> {
        let counts = self.u32s(name, len)?;
        if counts.iter().any(|count| *count > u32::MAX / 2) {
            return Err(RestoreError::Array(name.to_owned()));
        }
        Ok(counts.to_vec())
    }

    /// All f32 arrays whose name begins with `prefix`, without it.
    pub(super) fn tensors(&self, prefix: &str) -> Vec<NamedTensor> {
        let tensor = |a: &Array| match &a.values {
            Values::F32(values) => {
                let name = a.name.strip_prefix(prefix)?.to_owned();
                Some(NamedTensor {
                    name,
                    shape: a.shape.clone(),
                    values: values.clone(),
                    trainable: true,
                })
            }
            _ => None,
        };
        self.arrays.iter().filter_map(tensor).collect()
    }

    /// Names and shapes of all f32 arrays whose name begins with `prefix`, without it.
    pub(super) fn shapes(&self, prefix: &str) -> HashMap<&str, &[usize]> {
        let is_f32 = |a: &&Array| matches!(a.values, Values::F32(_));
        let arrays = self.arrays.iter().filter(is_f32);
        arrays.filter_map(|a| Some((a.name.strip_prefix(prefix)?, a.shape.as_slice()))).collect()
    }

    fn find(&self, name: &str) -> Option<&Values> {
        self.arrays.iter().find(|a| a.name == name).map(|a| &a.values)
    }
}

impl Array {
    pub(super) fn f32(name: &str, shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { name: name.to_owned(), shape, values: Values::F32(values) }
    }

    pub(super) fn f64(name: &str, values: &[f64]) -> Self {
        Self {
            name: name.to_owned(),
            shape: vec![values.len()],
            values: Values::F64(values.to_vec()),
        }
    }

    pub(super) fn u32(name: &str, values: Vec<u32>) -> Self {
        Self { name: name.to_owned(), shape: vec![values.len()], values: Values::U32(values) }
    }

    pub(super) fn flags(name: &str, values: &[bool]) -> Self {
        Self::u32(name, values.iter().map(|v| u32::from(*v)).collect())
    }

    fn tensor(t: NamedTensor) -> Self {
        Self { name: t.name, shape: t.shape, values: Values::F32(t.values) }
    }

    pub(super) fn observations(name: &str, values: &[Observation]) -> Self {
        let flat = values.iter().flat_map(Observation::row).collect();
        Self::f32(name, vec![values.len(), Observation::WIDTH], flat)
    }

    pub(super) fn metrics(name: &str, values: &[[f32; METRICS.len()]]) -> Self {
        Self::f32(name, vec![values.len(), METRICS.len()], values.as_flattened().to_vec())
    }
}
