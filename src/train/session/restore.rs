//! A session to a checkpoint, and back.

use super::finite::Footings;
use super::samples::all;
use super::{Best, Epoch, Meter, Session, Stage, TrainError};
use crate::config;
use crate::data::Dataset;
use crate::importance::{EpochPlan, Observation, Probabilities};
use crate::model::sha256;
use crate::protocol::Event;
use crate::train::checkpoint::{Array, Checkpoint, EpochState, RestoreError, SessionState};
use crate::train::optimizer::Sgd;
use crate::train::step::{observation_rows, read_observations};
use crate::train::sums::Sum;
use burn::module::Module;
use burn::tensor::Device;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Session {
    /// Everything that decides this session's future. An evaluation or a scoring pass in progress
    /// begins anew after a restore: neither has changed anything yet.
    pub fn checkpoint(&mut self) -> Checkpoint {
        self.read_meter();
        let mut arrays: Vec<Array> =
            self.model().state().into_iter().map(|t| Array::tensor("model.", t)).collect();
        arrays.extend(
            self.optimizer.state(self.model()).into_iter().map(|t| Array::tensor("velocity.", t)),
        );
        arrays.extend(self.samples.recorded_arrays());
        if let Some(held) = &self.held_back {
            arrays.extend(held.best.iter().cloned().map(|t| Array::tensor("best.", t)));
        }
        arrays.extend(self.samples.ledger_arrays());
        let epoch = match &self.stage {
            Stage::Training(e) | Stage::Evaluating(e, _) => {
                arrays.push(Array::u32("epoch.draws", e.plan.at(0..e.plan.len()).into_owned()));
                arrays.push(Array::f64("epoch.q", e.q.values()));
                arrays.push(Array::observations(
                    "epoch.observations",
                    &read_observations(e.observations.clone()),
                ));
                Some(EpochState {
                    phase: e.phase,
                    step: e.step,
                    steps: e.steps,
                    loss: e.total.loss,
                })
            }
            _ => None,
        };
        let state = SessionState {
            config: self.config.clone(),
            labels_sha256: self.samples.labels_sha256(),
            data: Some(self.data.clone()),
            completed: self.completed,
            samples_drawn: self.samples_drawn,
            weighed_at: self.samples.weighed_at(),
            unseen: self.samples.unseen(),
            preferred: self.preferred,
            rescore: self.samples.are_asked_anew()
                || matches!(self.stage, Stage::Scoring { .. }) && self.samples.are_weighed(),
            not_finite_accepted: self.not_finite_accepted,
            best_accuracy: self.best.accuracy,
            best_epoch: self.best.epoch,
            last_accuracy: self.best.last,
            recorded_epochs: self.samples.recorded_epochs(),
            epoch,
            seconds: self.seconds(),
        };
        Checkpoint { state, arrays }
    }

    /// Goes on from a checkpoint, on the same data. Its first events are `run_started`, with the
    /// config as it was then, and `continued`.
    ///
    /// # Errors
    /// [`TrainError::Restore`] when the checkpoint does not fit the data or itself.
    pub fn restore(
        checkpoint: &Checkpoint,
        data: Dataset,
        device: &Device,
        device_name: &str,
    ) -> Result<Self, TrainError> {
        let mut session =
            Self::new(checkpoint.state.config.clone(), data, &[], device, device_name)?;
        session.load(checkpoint)?;
        session.earlier = Duration::try_from_secs_f64(checkpoint.state.seconds).unwrap_or_default();
        Ok(session)
    }

    /// Goes back to a checkpoint of this very run, with the learning rate scaled by `lr_factor`
    /// more, and on from there. Nothing changes when the checkpoint does not fit.
    ///
    /// # Errors
    /// What does not fit.
    pub fn rewind(&mut self, checkpoint: &Checkpoint, lr_factor: f64) -> Result<(), RestoreError> {
        const KEY: &str = config::LR_SCALE;
        let wanted = self.config.train.lr_scale * lr_factor;
        let allowed = config::from_value(&self.config, KEY, &toml::Value::Float(wanted));
        allowed.map_err(|problem| RestoreError::State(problem.what))?;
        self.load(checkpoint)?;
        (self.paused, self.not_finite_accepted) = (None, false);
        self.set(KEY, wanted.into());
        Ok(())
    }

    /// Takes on all that a checkpoint holds; nothing when it does not fit.
    fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), RestoreError> {
        let s = &checkpoint.state;
        let differences = s.data.as_ref().map_or_else(Vec::new, |was| was.differences(&self.data));
        if !differences.is_empty() {
            return Err(RestoreError::Data(differences.join("; ")));
        }
        if self.samples.labels_sha256() != s.labels_sha256 {
            return Err(RestoreError::Data("the training labels differ".into()));
        }
        let (n, device) = (self.train.len(), self.device.clone());
        if let Some(why) = s.objection().or_else(|| s.objection_with(n)) {
            return Err(RestoreError::State(why));
        }
        let model = self
            .model()
            .valid()
            .train()
            .with_state(&checkpoint.tensors("model."), &device)
            .map_err(RestoreError::Model)?;
        check_shapes(checkpoint, self.held_back.is_some() && s.best_epoch > 0)?;
        let known = self.samples.read(checkpoint)?;
        let classes = self.samples.classes();
        let epoch = s.epoch.map(|e| epoch_of(checkpoint, e, [n, classes], &device)).transpose()?;

        self.config = s.config.clone();
        self.optimizer = Sgd::new(&self.config.train);
        self.optimizer.load(&model, &checkpoint.tensors("velocity."), &device);
        self.model = Some(model);
        self.samples.adopt(known, s);
        (self.completed, self.samples_drawn) = (s.completed, s.samples_drawn);
        self.preferred = s.preferred;
        self.not_finite_accepted = s.not_finite_accepted;
        if let Some(held) = &mut self.held_back {
            held.best = checkpoint.tensors("best.");
        }
        self.best = Best { accuracy: s.best_accuracy, epoch: s.best_epoch, last: s.last_accuracy };
        (self.meter, self.footings, self.careful_until) =
            (Meter::default(), Footings::default(), 0);
        self.stage = match epoch {
            None => Stage::Boundary,
            Some(epoch) => {
                self.outbox.push(Event::Phase { epoch: s.completed + 1, phase: epoch.phase });
                if epoch.step < epoch.steps {
                    self.stand_on(&epoch);
                    Stage::Training(epoch)
                } else {
                    self.evaluation_of(epoch)
                }
            }
        };
        self.tell_where_it_goes_on();
        Ok(())
    }

    /// Says where a run goes on that has been trained before: what came later counts no more.
    pub fn tell_where_it_goes_on(&mut self) {
        let (step, steps) = match &self.stage {
            Stage::Training(e) | Stage::Evaluating(e, _) => (e.step, e.steps),
            _ => (0, 0),
        };
        let (epoch, parameters_sha256) = (self.completed, sha256(&self.state()));
        self.outbox.push(Event::Continued { epoch, step, steps, parameters_sha256 });
    }
}

/// The epoch in progress, of `n` samples of `classes` classes.
fn epoch_of(
    checkpoint: &Checkpoint,
    e: EpochState,
    [n, classes]: [usize; 2],
    device: &Device,
) -> Result<Box<Epoch>, RestoreError> {
    let lacks = |name: &str| RestoreError::Array(name.to_owned());
    let plan = EpochPlan::restored(checkpoint.u32s("epoch.draws", n)?.to_vec(), n)
        .ok_or_else(|| lacks("epoch.draws"))?;
    let q = Probabilities::restored(checkpoint.f64s("epoch.q", n)?.to_vec())
        .ok_or_else(|| lacks("epoch.q"))?;
    let flat =
        checkpoint.f32s("epoch.observations", seen(checkpoint, e, n) * Observation::WIDTH)?;
    // No number where the model's output was none.
    let is_class = |class: f32| class.is_nan() || (0.0..classes as f32).contains(&class);
    let is_possible = |row: &[f32; Observation::WIDTH]| is_class(Observation::from_row(row).other);
    all("epoch.observations", flat.as_chunks().0, is_possible)?;
    Ok(Box::new(Epoch {
        phase: e.phase,
        plan: Arc::new(plan),
        q: Arc::new(q),
        step: e.step,
        steps: e.steps,
        observations: observation_rows(flat, device),
        total: Sum { loss: e.loss, samples: seen(checkpoint, e, n) },
        began: Instant::now(),
        waited: 0.0,
    }))
}

/// Draws of the epoch in progress that were trained on.
fn seen(checkpoint: &Checkpoint, e: EpochState, n: usize) -> usize {
    let batch_size = checkpoint.state.config.train.batch_size;
    if e.step == e.steps { n } else { e.step.saturating_mul(batch_size).min(n) }
}

/// Whether the optimizer's velocities, and the best model where there is one, have the shapes of
/// the model, which fits.
fn check_shapes(checkpoint: &Checkpoint, has_best: bool) -> Result<(), RestoreError> {
    let shapes = |prefix| checkpoint.shapes(prefix);
    let (model, velocity, best) = (shapes("model."), shapes("velocity."), shapes("best."));
    let differs =
        |(name, shape): &(&&str, &&[usize])| model.get(**name).is_some_and(|m| m != *shape);
    if let Some((name, _)) = velocity.iter().find(differs) {
        return Err(RestoreError::Array(format!("velocity.{name}")));
    }
    match model.iter().find(|(name, shape)| has_best && best.get(*name) != Some(shape)) {
        Some((name, _)) => Err(RestoreError::Array(format!("best.{name}"))),
        None => Ok(()),
    }
}
