//! One step of training on one batch, and the same on memory that stays where it is, which a CUDA
//! device can do at one launch. Knows nothing of epochs, or of what becomes of losses.

use super::learned::Learned;
use super::meter::Lap;
use crate::model::kernels::{self, Held, Rate, Repeated};
use crate::protocol::StepTimes;
use crate::train::batches::Draws;
use crate::train::feed::Feed;
use crate::train::optimizer::LearningRate;
use crate::train::step::{LossTerms, forward_loss};
use burn::tensor::{Device, Tensor};

/// What a step gives.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Mean loss, `[1]`.
    pub(super) loss: Tensor<1>,
    /// An observation of each sample, `[b, 5]`.
    pub(super) observations: Tensor<2>,
}

/// Makes a step on `draws`: forward pass, loss, backward pass, update.
pub(super) fn make(
    learned: &mut Learned,
    feed: &Feed,
    draws: Draws,
    terms: LossTerms,
    lr: LearningRate<'_>,
    (lap, times): (&mut Lap, &mut StepTimes),
) -> Made {
    let (images, labels) = feed.batch_of(draws);
    times.data += lap.seconds();
    let logits = learned.forward(images);
    let out = forward_loss(logits, labels, terms);
    times.forward += lap.seconds();
    let gradients = learned.gradients(&out.loss);
    times.backward += lap.seconds();
    learned.update(lr, gradients);
    times.optimizer += lap.seconds();
    Made { loss: out.loss.without_autodiff(), observations: out.observations }
}

/// What steps must have in common to be made on the same memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    /// Samples.
    batch: usize,
    is_cropped: bool,
    is_shifted: bool,
    smoothing: f64,
    /// Constants of the optimizer, and which memory it works on.
    learned: ((f64, bool, f64), u64),
}

impl Form {
    /// That of a step of `learned` on these.
    pub(super) fn of(learned: &Learned, draws: &Draws, terms: &LossTerms) -> Self {
        Self {
            batch: draws.index.dims()[0],
            is_cropped: draws.crops.is_some(),
            is_shifted: terms.shifts.is_some(),
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
    factors: Tensor<1>,
    shifts: Option<Tensor<2>>,
    /// All of these.
    inputs: Held,
    rate: Rate,
    repeated: Repeated<Made>,
}

impl Repeatable {
    /// For steps like the one on these.
    pub(super) fn new(form: Form, draws: &Draws, terms: &LossTerms, device: &Device) -> Self {
        let draws = draws.copied();
        let factors = Tensor::ones([form.batch], device);
        let shifts = terms.shifts.as_ref().map(kernels::copied);
        let inputs = held(&draws, &factors, shifts.as_ref());
        let (rate, repeated) = (Rate::new(device), Repeated::new(device));
        Self { form, draws, factors, shifts, inputs, rate, repeated }
    }

    /// Makes a step on these. What it gives is the caller's own.
    pub(super) fn make(
        &mut self,
        learned: &mut Learned,
        feed: &Feed,
        (draws, terms): (&Draws, &LossTerms),
        lr: f64,
        (lap, times): (&mut Lap, &mut StepTimes),
    ) -> Made {
        let ones = || Tensor::ones([self.form.batch], &self.factors.device());
        let factors = terms.factors.clone().unwrap_or_else(ones);
        self.inputs.assign(&held(draws, &factors, terms.shifts.as_ref()));
        self.rate.set(lr);
        times.data += lap.seconds();
        let terms = LossTerms {
            smoothing: terms.smoothing,
            factors: Some(self.factors.clone()),
            shifts: self.shifts.clone(),
        };
        let rate = LearningRate::OnDevice(&self.rate);
        let made = self
            .repeated
            .run(|| make(learned, feed, self.draws.clone(), terms, rate, (&mut *lap, &mut *times)));
        let made = Made {
            loss: kernels::copied(&made.loss),
            observations: kernels::copied(&made.observations),
        };
        times.forward += lap.seconds();
        made
    }
}

fn held(draws: &Draws, factors: &Tensor<1>, shifts: Option<&Tensor<2>>) -> Held {
    let mut held = Held::default();
    held.add_whole(draws.index.clone());
    if let Some(crops) = &draws.crops {
        held.add_whole(crops.clone());
    }
    held.add(factors.clone());
    if let Some(shifts) = shifts {
        held.add(shifts.clone());
    }
    held
}
