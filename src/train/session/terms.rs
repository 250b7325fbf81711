//! What the loss of an epoch does beside taking the cross entropy, settled when the epoch begins:
//! logits corrected for class shares, margins, weights of classes and of samples. Knows nothing of
//! models or draws.

use crate::config::RunConfig;
use crate::importance::{Adjust, Probabilities, log_prior, margins, shares_of};
use crate::model::kernels;
use crate::protocol::Phase;
use crate::train::checkpoint::{Array, Checkpoint, EpochState, RestoreError};
use crate::train::step::LossTerms;
use burn::tensor::{Device, Tensor};

/// The terms of one epoch. All by class, shape `[C]`, or empty where there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Terms {
    /// Added to every logit: `tau ln(C pi)`.
    pub(super) prior: Vec<f32>,
    /// Taken from the logit of the true class.
    margins: Vec<f32>,
    /// What the losses of a class are multiplied by.
    class_weights: Vec<f32>,
    /// k: losses are multiplied by `(1 / (n q))^k`.
    pub(super) reweight: f64,
    /// tau of the correction of logits when the epoch is measured.
    pub(super) posthoc: f64,
}

impl Terms {
    /// Those of `epoch`, counted from 1, which is of `phase` and draws `draws` times by `q`.
    /// `labels` `[n]` are values < C = `sizes.len()`, `sizes` how many there are of each.
    pub(super) fn of(
        config: &RunConfig,
        (epoch, phase): (usize, Phase),
        (q, draws): (&Probabilities, usize),
        (labels, sizes): (&[u32], &[usize]),
    ) -> Self {
        let c = &config.importance;
        let has_begun = !config.is_deferred(epoch);
        let prior = match c.adjust {
            _ if !config.corrects_logits(epoch) => Vec::new(),
            Adjust::None => Vec::new(),
            Adjust::Data => log_prior(&shares_of(sizes), labels.len(), c.adjust_tau),
            Adjust::Drawn => log_prior(&q.class_shares(labels, sizes.len()), draws, c.adjust_tau),
        };
        let has_margins = c.margin > 0.0 && phase != Phase::Pretrain;
        Self {
            prior,
            margins: if has_margins { margins(sizes, c.margin) } else { Vec::new() },
            class_weights: if has_begun { c.class_weights.factors(sizes) } else { Vec::new() },
            reweight: if phase == Phase::Biased { c.reweight } else { 0.0 },
            posthoc: c.adjust_posthoc,
        }
    }

    /// What is added to logits for the loss, on the device; `None` when that is nothing.
    pub(super) fn shifts(&self, device: &Device) -> Option<Tensor<2>> {
        let classes = self.prior.len().max(self.margins.len());
        if classes == 0 {
            return None;
        }
        let at = |values: &[f32], c: usize| values.get(c).copied().unwrap_or(0.0);
        let all = (0..classes).map(|c| at(&self.prior, c));
        let of_truth = (0..classes).map(|c| -at(&self.margins, c));
        let values: Vec<f32> = all.chain(of_truth).collect();
        Some(kernels::numbers(&values, [2, classes], device))
    }

    /// Factors on the losses of the `drawn` samples, `[b]`, of mean 1; `None` when all are 1.
    pub(super) fn factors(
        &self,
        drawn: &[u32],
        labels: &[u32],
        q: &Probabilities,
    ) -> Option<Vec<f32>> {
        if self.class_weights.is_empty() {
            return (self.reweight > 0.0).then(|| q.loss_factors(drawn, self.reweight));
        }
        let of_class = |i: &u32| self.class_weights[labels[*i as usize] as usize];
        let by_q = q.loss_factors(drawn, self.reweight);
        let raw: Vec<f32> = drawn.iter().zip(by_q).map(|(i, f)| of_class(i) * f).collect();
        let mean = raw.iter().sum::<f32>() / raw.len().max(1) as f32;
        Some(raw.iter().map(|f| f / mean).collect())
    }

    /// What the loss of a step of `b` samples is made of, besides its logits and labels. Where
    /// images are mixed, `share` of it is by their own labels.
    pub(super) fn of_step(
        (b, factors): (usize, Option<Vec<f32>>),
        share: Option<f64>,
        shifts: Option<&Tensor<2>>,
        smoothing: f64,
        device: &Device,
    ) -> LossTerms {
        let numbers = |f: Vec<f32>| kernels::numbers(&f, [f.len()], device);
        let Some(share) = share.map(|share| share as f32) else {
            let (factors, mixed) = (factors.map(numbers), None);
            return LossTerms { smoothing, factors, mixed, shifts: shifts.cloned() };
        };
        let all = factors.unwrap_or_else(|| vec![1.0; b]);
        let own = all.iter().map(|f| f * share).collect();
        let others = all.iter().rev().map(|f| f * (1.0 - share)).collect();
        let (factors, mixed) = (Some(numbers(own)), Some(numbers(others)));
        LossTerms { smoothing, factors, mixed, shifts: shifts.cloned() }
    }

    /// For a checkpoint.
    pub(super) fn arrays(&self) -> Vec<Array> {
        let of = |name: &str, values: &[f32]| {
            let shape = vec![values.len()];
            (!values.is_empty()).then(|| Array::f32(name, shape, values.to_vec()))
        };
        let arrays = [
            of("epoch.prior", &self.prior),
            of("epoch.margins", &self.margins),
            of("epoch.class_weights", &self.class_weights),
        ];
        arrays.into_iter().flatten().collect()
    }

    /// Those of a checkpoint, of `classes` classes.
    ///
    /// # Errors
    /// The first array that has another shape, or holds what is impossible.
    pub(super) fn restored(
        checkpoint: &Checkpoint,
        e: EpochState,
        classes: usize,
    ) -> Result<Self, RestoreError> {
        // Checkpoints of before they were settled when an epoch begins have them in the config.
        let c = &checkpoint.state.config.importance;
        let reweight = if e.phase == Phase::Biased { c.reweight } else { 0.0 };
        let read = |name: &str| {
            let values = checkpoint.f32s_if_any(name, classes)?.unwrap_or_default();
            super::samples::all(name, values, |v| v.is_finite())?;
            Ok(values.to_vec())
        };
        Ok(Self {
            prior: read("epoch.prior")?,
            margins: read("epoch.margins")?,
            class_weights: read("epoch.class_weights")?,
            reweight: e.reweight.unwrap_or(reweight),
            posthoc: e.posthoc.unwrap_or(c.adjust_posthoc),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::importance::{AdjustFrom, ClassWeights, Sampler};

    const LABELS: [u32; 4] = [0, 0, 0, 1];
    const SIZES: [usize; 2] = [3, 1];

    fn terms(config: &RunConfig, epoch: usize, q: &[f64]) -> Terms {
        let q = Probabilities::restored(q.to_vec()).expect("probabilities");
        let phase = super::super::samples::phase_of(config, epoch);
        Terms::of(config, (epoch, phase), (&q, 4), (&LABELS, &SIZES))
    }

    fn config(adjust: Adjust) -> RunConfig {
        let mut config = RunConfig::default();
        config.train.epochs = 10;
        config.importance.pretrain_epochs = 3.into();
        config.importance.adjust = adjust;
        config
    }

    #[test]
    fn logits_are_corrected_for_what_is_drawn_or_for_the_data_from_when_it_says() {
        let q = [0.1, 0.1, 0.05, 0.75];
        let (data, drawn) = (config(Adjust::Data), config(Adjust::Drawn));
        assert_eq!(terms(&config(Adjust::None), 4, &q), Terms::default());
        assert!(terms(&drawn, 3, &q).prior.is_empty());
        assert_eq!(terms(&drawn, 4, &q).prior, log_prior(&[0.25, 0.75], 4, 1.0));
        assert_eq!(terms(&data, 4, &q).prior, log_prior(&[0.75, 0.25], 4, 1.0));
        let mut later = drawn.clone();
        later.importance.defer = 0.8;
        assert!(terms(&later, 8, &q).prior.is_empty());
        assert_eq!(terms(&later, 9, &q), terms(&drawn, 9, &q));
        let mut first = later.clone();
        first.importance.adjust_from = AdjustFrom::Start;
        assert_eq!(terms(&first, 1, &q), terms(&drawn, 9, &q));
        let mut none = drawn;
        none.importance.adjust_tau = 0.0;
        assert_eq!(terms(&none, 4, &q), Terms::default());
    }

    #[test]
    fn margins_begin_at_e_and_class_weights_when_the_sampler_does() {
        let mut config = config(Adjust::None);
        config.importance.sampler = Sampler::Uniform;
        config.importance.margin = 2.0;
        config.importance.class_weights = ClassWeights::EffectiveNumber;
        config.importance.defer = 0.8;
        let q = [0.25; 4];
        assert_eq!(terms(&config, 3, &q), Terms::default());
        let early = terms(&config, 8, &q);
        assert_eq!((early.margins.len(), early.class_weights.len()), (2, 0));
        let late = terms(&config, 9, &q);
        let q = Probabilities::uniform(4);
        let factors = late.factors(&[0, 3], &LABELS, &q).expect("class weights");
        assert!((factors[0] + factors[1] - 2.0).abs() < 1e-6 && factors[1] > 2.0 * factors[0]);
        assert_eq!(early.factors(&[0, 3], &LABELS, &q), None);
    }
}
