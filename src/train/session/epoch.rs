//! An epoch in progress: what it draws, how far it has come, and the sums so far. Knows nothing of
//! models, commands or events.

use super::samples::{Planned, all};
use super::terms::Terms;
use crate::importance::{EpochPlan, Observation, Probabilities};
use crate::protocol::Phase;
use crate::train::checkpoint::{Array, Checkpoint, EpochState, Norms, RestoreError};
use crate::train::feed::Sent;
use crate::train::step::{observation_rows, read_observations};
use crate::train::sums::{Sum, Sums};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;
use std::time::Instant;

/// How far an epoch has come: small, so that every snapshot of training holds one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Place {
    /// Steps that are done.
    pub(super) step: usize,
    /// Losses of these steps.
    pub(super) total: Sum,
    /// Norms of their gradients, each a sample.
    pub(super) norms: Sum,
    /// Parts of the observations of these steps.
    pub(super) parts: usize,
}

/// An epoch in progress.
#[derive(Debug)]
pub(super) struct Epoch {
    pub(super) phase: Phase,
    pub(super) plan: Arc<EpochPlan>,
    /// What the plan was drawn by.
    pub(super) q: Arc<Probabilities>,
    /// What its losses do beside taking the cross entropy.
    pub(super) terms: Terms,
    /// What of that is added to logits, on the device.
    pub(super) shifts: Option<Tensor<2>>,
    /// Draws that the device has already.
    pub(super) sent: Option<Sent>,
    /// Whether images were mixed in any of its steps.
    pub(super) is_mixed: bool,
    /// Steps that are done.
    step: usize,
    /// Steps that it has.
    pub(super) steps: usize,
    /// Observations of the samples drawn so far, `[b, 5]`, in the order of the plan; those of the
    /// steps before a checkpoint are one part.
    observations: Vec<Tensor<2>>,
    /// Of the steps whose losses were found finite, or were accepted.
    total: Sum,
    /// Of the steps since, on the device.
    unread: Sums,
    /// Norms of the gradients of steps that were read, each a sample; none where nothing is
    /// clipped.
    norms: Sum,
    /// Those that were not.
    unread_norms: Sums,
    /// Of the steps since, once they were read.
    unchecked: Option<Sum>,
    /// Steps before this one are made one by one, each looked at before it is kept.
    careful_until: usize,
    pub(super) began: Instant,
    /// Seconds in which nothing was done.
    pub(super) waited: f64,
}

impl Epoch {
    /// An epoch of `steps` steps at its beginning.
    pub(super) fn new(
        phase: Phase,
        planned: Planned,
        terms: Terms,
        steps: usize,
        device: &Device,
    ) -> Self {
        Self {
            phase,
            plan: planned.plan,
            q: planned.q,
            shifts: terms.shifts(device),
            terms,
            sent: None,
            is_mixed: false,
            step: 0,
            steps,
            observations: Vec::new(),
            total: Sum::default(),
            unread: Sums::default(),
            norms: Sum::default(),
            unread_norms: Sums::default(),
            unchecked: None,
            careful_until: 0,
            began: Instant::now(),
            waited: 0.0,
        }
    }

    /// Steps that are done.
    pub(super) fn step(&self) -> usize {
        self.step
    }

    /// Whether all steps are done.
    pub(super) fn is_done(&self) -> bool {
        self.step == self.steps
    }

    /// Mean loss of the samples whose losses were read.
    pub(super) fn mean_loss(&self) -> f64 {
        self.total.mean()
    }

    /// Mean norm of the gradients of the steps whose norms were read; `None` where nothing is
    /// clipped.
    pub(super) fn mean_norm(&self) -> Option<f64> {
        (self.norms.samples > 0).then(|| self.norms.mean())
    }

    /// All observations so far, one per draw: waits for the device.
    pub(super) fn observations(&self) -> Vec<Observation> {
        read_observations(self.observations.clone())
    }

    /// Whether the next step's loss must be looked at before the step is kept.
    pub(super) fn is_careful(&self) -> bool {
        self.step < self.careful_until
    }

    /// Takes the worst as accepted: steps are made without care again.
    pub(super) fn trust(&mut self) {
        self.careful_until = 0;
    }

    /// Takes a step of `samples` whose mean loss stays on the device, `[1]`.
    pub(super) fn take(&mut self, loss: Tensor<1>, samples: usize, observations: Tensor<2>) {
        self.unread.add(loss, samples);
        self.observations.push(observations);
        self.step += 1;
    }

    /// Takes a step whose loss was looked at.
    pub(super) fn take_read(&mut self, loss: Sum, observations: Tensor<2>) {
        self.total += loss;
        self.observations.push(observations);
        self.step += 1;
    }

    /// Takes the norm of a step's gradients, which stays on the device, `[1]`.
    pub(super) fn take_norm(&mut self, norm: Tensor<1>) {
        self.unread_norms.add(norm, 1);
    }

    /// Reads the norms since this was last called, and gives their mean: waits for the device.
    pub(super) fn read_norms(&mut self) -> Option<f64> {
        let read = self.unread_norms.read()?;
        self.norms += read;
        Some(read.mean())
    }

    /// Reads the losses since this was last called: waits for the device. `None` when no step was
    /// made since whose loss is unknown. Nothing follows from them until they are
    /// [checked](Self::check).
    pub(super) fn read_losses(&mut self) -> Option<Sum> {
        let read = self.unread.read();
        if let Some(sum) = read {
            *self.unchecked.get_or_insert_default() += sum;
        }
        read
    }

    /// Adds the losses that were read to the total, unless they are not finite and that is not
    /// `accepted`.
    pub(super) fn check(&mut self, accepted: bool) -> Checked {
        match self.unchecked.take() {
            None => Checked::Nothing,
            Some(sum) if sum.is_finite() || accepted => {
                self.total += sum;
                Checked::Fine
            }
            Some(_) => Checked::NotFinite,
        }
    }

    /// How far it has come; the losses of all steps were checked.
    pub(super) fn place(&self) -> Place {
        let parts = self.observations.len();
        Place { step: self.step, total: self.total, norms: self.norms, parts }
    }

    /// Goes back to `place`, and on from there with care to where it is now.
    pub(super) fn go_back(&mut self, place: Place) {
        self.careful_until = self.step;
        self.undo(place);
    }

    /// Goes back to `place`.
    pub(super) fn undo(&mut self, place: Place) {
        (self.step, self.total, self.norms) = (place.step, place.total, place.norms);
        self.observations.truncate(place.parts);
        (self.unread, self.unchecked) = (Sums::default(), None);
        self.unread_norms = Sums::default();
    }
}

/// What became of losses that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// None were read.
    Nothing,
    /// They count.
    Fine,
    /// One is not finite.
    NotFinite,
}

impl Epoch {
    /// For a checkpoint: how far it has come. The losses of all steps were checked.
    pub(super) fn state(&self) -> EpochState {
        let Self { phase, step, steps, .. } = *self;
        let Terms { reweight, posthoc, .. } = self.terms;
        let (loss, reweight, posthoc) = (self.total.loss, Some(reweight), Some(posthoc));
        let Sum { loss: sum, samples: steps_of_norms } = self.norms;
        let norms = (steps_of_norms > 0).then_some(Norms { sum, steps: steps_of_norms });
        let is_mixed = self.is_mixed;
        EpochState { phase, step, steps, loss, norms, is_mixed, reweight, posthoc }
    }

    /// For a checkpoint: what it draws, and what was observed.
    pub(super) fn arrays(&self) -> Vec<Array> {
        let mut arrays = self.terms.arrays();
        arrays.extend([
            Array::u32("epoch.draws", self.plan.at(0..self.plan.len()).into_owned()),
            Array::f64("epoch.q", self.q.values()),
            Array::observations("epoch.observations", &self.observations()),
        ]);
        arrays
    }

    /// The epoch in progress of a checkpoint, of `n` samples of `classes` classes.
    ///
    /// # Errors
    /// The first array that is missing, has another shape, or holds what is impossible.
    pub(super) fn restored(
        checkpoint: &Checkpoint,
        e: EpochState,
        [n, classes]: [usize; 2],
        device: &Device,
    ) -> Result<Self, RestoreError> {
        let lacks = |name: &str| RestoreError::Array(name.to_owned());
        let plan = EpochPlan::restored(checkpoint.all_u32s("epoch.draws")?.to_vec(), n)
            .ok_or_else(|| lacks("epoch.draws"))?;
        let c = &checkpoint.state.config;
        let (draws, steps) = (plan.len(), c.train.steps_per_epoch(plan.len()));
        if e.steps != steps {
            let why = format!("epoch.steps = {}, where {draws} draws are {steps}", e.steps);
            return Err(RestoreError::State(why));
        }
        let q = Probabilities::restored(checkpoint.f64s("epoch.q", n)?.to_vec())
            .ok_or_else(|| lacks("epoch.q"))?;
        let at_most = e.step.saturating_mul(c.train.batch_size).min(draws);
        let seen = if e.step == e.steps { draws } else { at_most };
        let flat = checkpoint.f32s("epoch.observations", seen * Observation::WIDTH)?;
        // No number where the model's output was none.
        let is_class = |class: f32| class.is_nan() || (0.0..classes as f32).contains(&class);
        let is_possible =
            |row: &[f32; Observation::WIDTH]| is_class(Observation::from_row(row).other);
        all("epoch.observations", flat.as_chunks().0, is_possible)?;
        let terms = Terms::restored(checkpoint, e, classes)?;
        let planned = Planned::restored(plan, q);
        Ok(Self {
            step: e.step,
            total: Sum { loss: e.loss, samples: seen },
            norms: e
                .norms
                .map_or_else(Sum::default, |norms| Sum { loss: norms.sum, samples: norms.steps }),
            is_mixed: e.is_mixed,
            observations: observation_rows(flat, device),
            ..Self::new(e.phase, planned, terms, e.steps, device)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;
    use burn::tensor::TensorData;

    struct Steps {
        epoch: Epoch,
        device: Device,
    }

    impl Steps {
        /// An epoch of ten samples in five steps.
        fn new() -> Self {
            let planned =
                Planned::restored(EpochPlan::shuffle(10, 1, 1), Probabilities::uniform(10));
            let device = DeviceName::tested().open().expect("device");
            let epoch = Epoch::new(Phase::Pretrain, planned, Terms::default(), 5, &device);
            Self { epoch, device }
        }

        fn rows(&self) -> Tensor<2> {
            let seen = vec![self.epoch.step as f32; 2 * Observation::WIDTH];
            Tensor::from_data(TensorData::new(seen, [2, Observation::WIDTH]), &self.device)
        }

        /// A step of two samples with this mean loss.
        fn step(&mut self, loss: f32) {
            let loss = Tensor::from_data(TensorData::new(vec![loss], [1]), &self.device);
            let rows = self.rows();
            self.epoch.take(loss, 2, rows);
        }

        fn seen(&self) -> Vec<f32> {
            self.epoch.observations().iter().map(|o| o.p_true).collect()
        }
    }

    #[test]
    fn reading_losses_counts_them_only_once_they_are_checked() {
        let mut s = Steps::new();
        s.step(1.0);
        s.step(3.0);
        assert_eq!(s.epoch.check(false), Checked::Nothing);
        let before = s.epoch.place();
        assert_eq!(s.epoch.read_losses(), Some(Sum { loss: 8.0, samples: 4 }));
        assert_eq!((s.epoch.read_losses(), s.epoch.place()), (None, before));
        assert_eq!(s.epoch.check(false), Checked::Fine);
        let rows = s.rows();
        s.epoch.take_read(Sum::of(5.0, 2), rows);
        assert_eq!((s.epoch.mean_loss(), s.epoch.step()), (3.0, 3));
        assert_eq!(s.seen(), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn it_goes_back_to_a_place_and_makes_the_steps_since_with_care() {
        let mut s = Steps::new();
        s.step(1.0);
        s.epoch.read_losses();
        s.epoch.check(false);
        let place = s.epoch.place();
        s.step(f32::NAN);
        s.step(1.0);
        s.epoch.read_losses();
        assert_eq!(s.epoch.check(false), Checked::NotFinite);
        s.step(1.0); // not read when it goes back
        s.epoch.go_back(place);
        assert_eq!((s.epoch.place(), s.epoch.read_losses()), (place, None));
        assert_eq!((s.epoch.mean_loss(), s.seen()), (1.0, vec![0.0, 0.0]));
        for step in 1..5 {
            assert_eq!((s.epoch.step(), s.epoch.is_careful()), (step, step < 4));
            let rows = s.rows();
            s.epoch.take_read(Sum::of(1.0, 2), rows);
        }
        assert!(s.epoch.is_done());
    }

    #[test]
    fn a_loss_that_is_not_finite_counts_where_that_is_accepted() {
        let mut s = Steps::new();
        s.step(f32::NAN);
        s.epoch.read_losses();
        assert_eq!(s.epoch.check(true), Checked::Fine);
        assert!(s.epoch.mean_loss().is_nan());
    }
}
