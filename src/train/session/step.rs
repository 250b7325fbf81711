//! One step of training on one batch, and the same on memory that stays where it is, which a CUDA
//! device can do at one launch. Knows nothing of epochs, or of what becomes of losses.

use super::learned::Learned;
use super::meter::Lap;
use crate::model::kernels::{self, DeviceNumbers, Held, Numbers, Repeated, StepNumbers};
use crate::protocol::StepTimes;
use crate::train::augmented::Kinds;
use crate::train::batches::{Brought, Draws};
use crate::train::feed::Feed;
use crate::train::optimizer::Settings;
use crate::train::step::{LossTerms, forward_loss};
use burn::tensor::{Device, Tensor};

/// What a step gives.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Mean loss, `[1]`.
    pub(super) loss: Tensor<1>,
    /// An observation of each sample, `[b, 5]`.
    pub(super) observations: Tensor<2>,
    /// Norm of all gradients, `[1]`, where they are clipped.
    pub(super) norm: Option<Tensor<1>>,
}

/// Makes a step on `draws`: forward pass, loss, backward pass, update.
pub(super) fn make(
    learned: &mut Learned,
    feed: &Feed,
    draws: Draws,
    terms: LossTerms,
    numbers: StepNumbers<'_>,
    (lap, times): (&mut Lap, &mut StepTimes),
) -> Made {
    let (images, labels) = feed.batch_of(draws);
    times.data += lap.seconds();
    let logits = learned.forward(images);
    let out = forward_loss(logits, labels, terms);
    times.forward += lap.seconds();
    let gradients = learned.gradients(&out.loss);
    times.backward += lap.seconds();
    let norm = learned.update(numbers, gradients);
    times.optimizer += lap.seconds();
    Made { loss: out.loss.without_autodiff(), observations: out.observations, norm }
}

/// What steps must have in common to be made on the same memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    /// Samples.
    batch: usize,
    is_cropped: bool,
    is_shifted: bool,
    changes: Kinds,
    has_factors: bool,
    smoothing: f64,
    /// Settings of the optimizer, and which memory it works on.
    learned: (Settings, u64),
}

impl Form {
    /// That of a step of `learned` on these.
    pub(super) fn of(learned: &Learned, draws: &Draws, terms: &LossTerms) -> Self {
        Self {
            batch: draws.index.dims()[0],
            is_cropped: draws.crops.is_some(),
            is_shifted: terms.shifts.is_some(),
            changes: draws.changes.kinds(),
            has_factors: terms.factors.is_some(),
            smoothing: terms.smoothing,
            learned: learned.form(),
        }
    }
}

/// Steps of one form, made on the same memory.
#[derive(Debug)]
pub(super) struct Repeatable {
    pub(super) form: Form,
    draws: Draws,
    /// Of the loss.
    terms: LossTerms,
    /// All tensors that steps bring anew.
    inputs: Held,
    numbers: DeviceNumbers,
    repeated: Repeated<Made>,
}

impl Repeatable {
    /// For steps like the one on these.
    pub(super) fn new(form: Form, draws: &Draws, terms: &LossTerms, device: &Device) -> Self {
        let (draws, is_constant) = (draws.copied(), terms.factors.is_none());
        let factors = match &terms.factors {
            Some(factors) => kernels::copied(factors),
            None => Tensor::ones([form.batch], device),
        };
        let shifts = terms.shifts.as_ref().map(kernels::copied);
        let (smoothing, mixed) = (terms.smoothing, terms.mixed.as_ref().map(kernels::copied));
        let terms = LossTerms { smoothing, factors: Some(factors), mixed, shifts };
        let inputs = held(&draws, &terms, is_constant);
        let (numbers, repeated) = (DeviceNumbers::new(device), Repeated::new(device));
        Self { form, draws, terms, inputs, numbers, repeated }
    }

    /// Whether the next step is captured: if that panics, nothing of it was done.
    pub(super) fn is_about_to_capture(&self) -> bool {
        self.repeated.is_about_to_capture()
    }

    /// Makes a step on these. What it gives is the caller's own.
    pub(super) fn make(
        &mut self,
        learned: &mut Learned,
        feed: &Feed,
        (draws, terms): (&Draws, &LossTerms),
        numbers: Numbers,
        (lap, times): (&mut Lap, &mut StepTimes),
    ) -> Made {
        self.inputs.assign(&held(draws, terms, !self.form.has_factors));
        self.numbers.set(numbers);
        times.data += lap.seconds();
        let (draws, terms) = (&self.draws, &self.terms);
        let numbers = StepNumbers::OnDevice(&self.numbers);
        let made = self.repeated.run(|| {
            make(learned, feed, draws.clone(), terms.clone(), numbers, (&mut *lap, &mut *times))
        });
        let made = Made {
            loss: kernels::copied(&made.loss),
            observations: kernels::copied(&made.observations),
            norm: made.norm.as_ref().map(kernels::copied),
        };
        times.forward += lap.seconds();
        made
    }
}

/// The tensors that a step brings anew; its factors too, unless they are `is_constant`.
fn held(draws: &Draws, terms: &LossTerms, is_constant: bool) -> Held {
    let mut held = Held::default();
    held.add_whole(draws.index.clone());
    if let Some(crops) = &draws.crops {
        held.add_whole(crops.clone());
    }
    if let Some(Brought { bytes, labels }) = &draws.brought {
        held.add_whole(bytes.clone());
        held.add_whole(labels.clone());
    }
    draws.changes.hold(&mut held);
    if let Some(factors) = terms.factors.as_ref().filter(|_| !is_constant) {
        held.add(factors.clone());
    }
    if let Some(mixed) = &terms.mixed {
        held.add(mixed.clone());
    }
    if let Some(shifts) = &terms.shifts {
        held.add(shifts.clone());
    }
    held
}
