//! A model on a test set, from beginning to end. A session does the same batch by batch.

use super::confusion::Confusion;
use super::feed::Feeds;
use super::new_model;
use super::step::{LossTerms, forward_loss};
use crate::config::RunConfig;
use crate::data::{Dataset, ReadError};
use crate::importance::{log_prior, shares_of};
use crate::model::{Misfits, Mode, NamedTensor, kernels};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// What a model says about a test set.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Predictions by label.
    pub confusion: Confusion,
    /// Mean cross entropy.
    pub loss: f64,
    /// What the softmax is taken of, shape `[n, C]`, row-major.
    pub logits: Vec<f32>,
}

/// Why a model cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The values are another model's.
    #[error(transparent)]
    Misfits(#[from] Misfits),
    /// An image cannot be read.
    #[error(transparent)]
    Unread(#[from] ReadError),
}

/// Evaluates the model that `state` holds (the architecture is the config's) on the test split of
/// `data`. Its logits are corrected for the class shares of the training split, `- tau ln(C pi_c)`
/// (Menon et al. 2021, post hoc), unless `tau` is 0.
///
/// # Errors
/// Every parameter that `state` lacks or has in another shape; an image that cannot be read.
pub fn evaluate(
    config: &RunConfig,
    data: &Dataset,
    state: &[NamedTensor],
    tau: f64,
    device: &Device,
) -> Result<Evaluated, EvaluateError> {
    let classes = data.classes.len();
    let sizes: Vec<usize> =
        data.train.class_counts(classes).iter().map(|count| *count as usize).collect();
    let shift = posthoc_shift(&sizes, tau, device);
    let model =
        new_model(config, data.shape[0], classes, device).with_state(state, device)?.valid();
    let test = Feeds::new(data, &config.data, device).of(&data.test);
    let (n, batch) = (data.test.len(), config.train.eval_batch_size);
    let (mut logits, mut loss): (Vec<f32>, f64) = (Vec::new(), 0.0);
    for from in (0..n).step_by(batch) {
        let count = batch.min(n - from);
        let (images, labels) = test.samples(from, batch)?;
        let out: Tensor<2> = model.forward(images, Mode::Evaluate);
        let out = match &shift {
            None => out,
            Some(shift) => out + shift.clone(),
        };
        let mean =
            forward_loss(out.clone(), labels, LossTerms::default()).loss.into_scalar::<f32>();
        loss += f64::from(mean) * count as f64;
        logits.extend(out.into_data().iter::<f32>());
    }
    let predictions: Vec<u32> = logits.chunks(classes).map(highest).collect();
    Ok(Evaluated {
        confusion: Confusion::of(&predictions, &data.test.labels, classes),
        loss: loss / n.max(1) as f64,
        logits,
    })
}

/// What corrects logits for the shares of classes with so many training samples: `-tau ln(C pi_c)`,
/// `[1, C]`; `None` where `tau` is 0.
pub(super) fn posthoc_shift(sizes: &[usize], tau: f64, device: &Device) -> Option<Tensor<2>> {
    let shift = log_prior(&shares_of(sizes), sizes.iter().sum(), -tau);
    (tau != 0.0).then(|| kernels::numbers(&shift, [1, shift.len()], device))
}

/// Index of the first of the highest values.
fn highest(row: &[f32]) -> u32 {
    let mut best = 0;
    for (i, v) in row.iter().enumerate() {
        if *v > row[best] {
            best = i;
        }
    }
    best as u32
}
