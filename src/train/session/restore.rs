//! A session to a checkpoint, and back.

use super::{Best, Epoch, Importance, Meter, Session, Stage, TrainError};
use crate::data::Dataset;
use crate::importance::{EpochPlan, METRICS, Observation, Probabilities, Recorder, Weights};
use crate::protocol::Event;
use crate::train::checkpoint::{Array, Checkpoint, EpochState, RestoreError, SessionState};
use crate::train::step::{observation_rows, read_observations};
use burn::tensor::Device;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

impl Session {
    /// Everything that decides this session's future. An evaluation or a scoring pass in progress begins anew after a restore:
    /// neither has changed anything yet.
    pub fn checkpoint(&mut self) -> Checkpoint {
        self.read_meter();
        let mut arrays: Vec<Array> = self.model.state().into_iter().map(|t| Array::tensor("model.", t)).collect();
        arrays.extend(self.optimizer.state(&self.model).into_iter().map(|t| Array::tensor("velocity.", t)));
        let (count, sum, last) = self.recorder.parts();
        arrays.push(Array::u32("recorder.count", count.to_vec()));
        arrays.push(Array::metrics("recorder.sum", sum));
        arrays.push(Array::metrics("recorder.last", last));
        if let Some(i) = &self.importance {
            arrays.push(Array::f32("importance.weights", vec![self.train.len()], i.weights.values().to_vec()));
            arrays.push(Array::flags("importance.hard", &i.hard));
            arrays.push(Array::flags("importance.drawn_since", &i.drawn_since));
        }
        let epoch = match &self.stage {
            Stage::Training(e) | Stage::Evaluating(e, _) => {
                arrays.push(Array::u32("epoch.draws", e.plan.draws().to_vec()));
                arrays.push(Array::f64("epoch.q", e.q.values()));
                arrays.push(Array::observations("epoch.observations", &read_observations(e.observations.clone())));
                Some(EpochState { phase: e.phase, step: e.step, steps: e.steps, loss: e.loss })
            }
            _ => None,
        };
        let state = SessionState {
            config: self.config.clone(),
            labels_sha256: labels_sha256(&self.labels),
            completed: self.completed,
            samples_drawn: self.samples_drawn,
            weighed_at: self.weighed_at,
            unseen: self.importance.as_ref().map(|i| i.weights.unseen()),
            preferred: self.preferred,
            rescore: self.rescore || matches!(self.stage, Stage::Scoring { .. }) && self.importance.is_some(),
            not_finite_accepted: self.not_finite_accepted,
            best_accuracy: self.best.accuracy,
            best_epoch: self.best.epoch,
            last_accuracy: self.best.last,
            recorded_epochs: self.recorder.epochs(),
            epoch,
            seconds: self.seconds(),
        };
        Checkpoint { state, arrays }
    }

    /// Goes on from a checkpoint, on the same data. Its first event is `run_started`, with the config as it was then.
    ///
    /// # Errors
    /// [`TrainError::Restore`] when the checkpoint does not fit the data or itself.
    pub fn restore(checkpoint: &Checkpoint, data: Dataset, device: &Device, device_name: &str) -> Result<Self, TrainError> {
        let s = &checkpoint.state;
        let mut session = Self::new(s.config.clone(), data, device, device_name)?;
        if labels_sha256(&session.labels) != s.labels_sha256 {
            return Err(RestoreError::Data.into());
        }
        let n = session.train.len();
        session.model = session.model.with_state(&checkpoint.tensors("model."), device).map_err(RestoreError::Array)?;
        session.optimizer.load(&session.model, &checkpoint.tensors("velocity."), device);
        session.recorder = Recorder::from_parts(
            session.classes,
            checkpoint.u32s("recorder.count", n)?.to_vec(),
            rows(checkpoint.f32s("recorder.sum", n * METRICS.len())?),
            rows(checkpoint.f32s("recorder.last", n * METRICS.len())?),
            s.recorded_epochs,
        );
        if let Some(unseen) = s.unseen {
            let broken = |_| RestoreError::Array("importance.weights".into());
            let weights = Weights::restored(checkpoint.f32s("importance.weights", n)?.to_vec(), unseen).map_err(broken)?;
            let flags =
                |name| -> Result<Vec<bool>, RestoreError> { Ok(checkpoint.u32s(name, n)?.iter().map(|v| *v != 0).collect()) };
            session.importance =
                Some(Importance { weights, hard: flags("importance.hard")?, drawn_since: flags("importance.drawn_since")? });
        }
        (session.completed, session.samples_drawn, session.weighed_at) = (s.completed, s.samples_drawn, s.weighed_at);
        (session.preferred, session.rescore) = (s.preferred, s.rescore);
        session.not_finite_accepted = s.not_finite_accepted;
        session.best = Best { accuracy: s.best_accuracy, epoch: s.best_epoch, last: s.last_accuracy };
        session.meter = Meter::default();
        session.earlier = Duration::try_from_secs_f64(s.seconds).unwrap_or_default();
        if let Some(e) = s.epoch {
            let plan = EpochPlan::restored(checkpoint.u32s("epoch.draws", n)?.to_vec(), n)
                .ok_or_else(|| RestoreError::Array("epoch.draws".into()))?;
            let q = Probabilities::restored(checkpoint.f64s("epoch.q", n)?.to_vec())
                .ok_or_else(|| RestoreError::Array("epoch.q".into()))?;
            let seen = (e.step * s.config.train.batch_size).min(n);
            let seen = if e.step == e.steps { n } else { seen };
            let flat = checkpoint.f32s("epoch.observations", seen * Observation::WIDTH)?;
            let epoch = Box::new(Epoch {
                phase: e.phase,
                plan,
                q,
                step: e.step,
                steps: e.steps,
                observations: observation_rows(flat, device),
                loss: e.loss,
                began: Instant::now(),
                waited: 0.0,
            });
            session.outbox.push(Event::Phase { epoch: s.completed + 1, phase: e.phase });
            session.stage = if e.step < e.steps { Stage::Training(epoch) } else { session.evaluation_of(epoch) };
        }
        Ok(session)
    }
}

fn rows(flat: &[f32]) -> Vec<[f32; METRICS.len()]> {
    flat.as_chunks::<{ METRICS.len() }>().0.to_vec()
}

fn labels_sha256(labels: &[u32]) -> String {
    let mut hasher = Sha256::new();
    labels.iter().for_each(|l| hasher.update(l.to_le_bytes()));
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
