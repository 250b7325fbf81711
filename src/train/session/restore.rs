//! A session to a checkpoint, and back. What a part keeps is its own; here it is put together.

use super::epoch::{Epoch, Place};
use super::evaluator::Best;
use super::learned::{Learned, Trained};
use super::meter::Meter;
use super::parts::Parts;
use super::{Session, Stage, TrainError, Work};
use crate::config;
use crate::data::Dataset;
use crate::model::{Unread, sha256};
use crate::protocol::Event;
use crate::train::checkpoint::{Checkpoint, LeavingCheckpoint, RestoreError, SessionState};
use crate::train::optimizer::Optimizer;
use burn::tensor::Device;
use std::time::Duration;

impl Session {
    /// Everything that decides this session's future. An evaluation or a scoring pass in progress
    /// begins anew after a restore: neither has changed anything yet. The losses are read first,
    /// and training goes back where one of them is not finite: no checkpoint is made of that.
    ///
    /// # Panics
    /// When the device fails.
    pub fn checkpoint(&mut self) -> Checkpoint {
        self.leave().arrived().unwrap_or_else(|lost| panic!("LibTorch: {lost}"))
    }

    /// The same on its way from the device: later steps do not change it, and it is waited for
    /// where it is read.
    pub fn leave(&mut self) -> LeavingCheckpoint {
        self.settle();
        let Parts { learned, samples, evaluator, .. } = &self.parts;
        let epoch = match &self.stage {
            Stage::Epoch(epoch, _) => Some(epoch),
            _ => None,
        };
        let best = evaluator.held_back.as_ref().and_then(|held| held.best.as_ref());
        let best = best.map_or_else(Unread::default, |best| best.unread().under("best."));
        let arrays = [
            samples.recorded_arrays(),
            samples.ledger_arrays(),
            epoch.map_or_else(Vec::new, |epoch| epoch.arrays()),
        ];
        let is_scoring = matches!(self.stage, Stage::Scoring(_));
        let state = SessionState {
            config: self.parts.config.clone(),
            labels_sha256: samples.labels_sha256(),
            data: Some(self.parts.data.clone()),
            completed: self.parts.completed,
            samples_drawn: learned.trained().samples,
            steps: learned.trained().steps,
            weighed_at: samples.weighed_at(),
            unseen: samples.unseen(),
            preferred: self.parts.preferred,
            rescore: samples.are_asked_anew() || is_scoring && samples.are_weighed(),
            not_finite_accepted: self.parts.not_finite_accepted,
            best_accuracy: evaluator.best.accuracy,
            best_epoch: evaluator.best.epoch,
            last_accuracy: evaluator.best.last,
            recorded_epochs: samples.recorded_epochs(),
            epoch: epoch.map(|epoch| epoch.state()),
            seconds: self.parts.seconds(),
        };
        let (tensors, arrays) = (learned.unread().and(best).leave(), arrays.concat());
        LeavingCheckpoint { state, tensors, arrays }
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
        session.parts.earlier =
            Duration::try_from_secs_f64(checkpoint.state.seconds).unwrap_or_default();
        Ok(session)
    }

    /// Goes back to a checkpoint of this very run, with the learning rate scaled by `lr_factor`
    /// more, and on from there. Nothing changes when the checkpoint does not fit.
    ///
    /// # Errors
    /// What does not fit.
    pub fn rewind(&mut self, checkpoint: &Checkpoint, lr_factor: f64) -> Result<(), RestoreError> {
        const KEY: &str = config::LR_SCALE;
        let wanted = self.parts.config.train.lr_scale * lr_factor;
        let allowed = config::from_value(&self.parts.config, KEY, &toml::Value::Float(wanted));
        allowed.map_err(|problem| RestoreError::State(problem.what))?;
        self.load(checkpoint)?;
        (self.parts.paused, self.parts.not_finite_accepted) = (None, false);
        self.set(KEY, wanted.into());
        Ok(())
    }

    /// Takes on all that a checkpoint holds; nothing when it does not fit.
    fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), RestoreError> {
        let (s, parts) = (&checkpoint.state, &mut self.parts);
        let differences = s.data.as_ref().map_or_else(Vec::new, |was| was.differences(&parts.data));
        if !differences.is_empty() {
            return Err(RestoreError::Data(differences.join("; ")));
        }
        if parts.samples.labels_sha256() != s.labels_sha256 {
            return Err(RestoreError::Data("the training labels differ".into()));
        }
        let (n, classes, device) = (parts.feed.len(), parts.samples.classes(), &parts.device);
        if let Some(why) = s.objection().or_else(|| s.objection_with(n)) {
            return Err(RestoreError::State(why));
        }
        let model = parts
            .learned
            .with_state(&checkpoint.tensors("model."), device)
            .map_err(RestoreError::Model)?;
        let mut optimizer = Optimizer::new(&s.config.train);
        let words = optimizer.settings().rule().kept();
        let has_best = parts.evaluator.held_back.is_some() && s.best_epoch > 0;
        let has_average = s.config.train.ema_decay > 0.0;
        check_shapes(checkpoint, words, [("best.", has_best), ("average.", has_average)])?;
        let average = Some(checkpoint.tensors("average.")).filter(|_| has_average);
        let average = average.map(|average| parts.learned.with_state(&average, device));
        let average = average.transpose().map_err(RestoreError::Model)?;
        let best = Some(checkpoint.tensors("best.")).filter(|best| !best.is_empty());
        let best = best.map(|best| parts.learned.with_state(&best, device));
        let best = best.transpose().map_err(RestoreError::Model)?;
        let known = parts.samples.read(checkpoint)?;
        let epoch = s.epoch.map(|e| Epoch::restored(checkpoint, e, [n, classes], device));
        let epoch = epoch.transpose()?;

        parts.config = s.config.clone();
        optimizer.load(&model, &checkpoint.kept(words), device);
        let place = epoch.as_ref().map_or_else(Place::default, Epoch::place);
        let average = average.map(|average| average.copy());
        let trained = Trained { samples: s.samples_drawn, steps: s.steps };
        parts.learned = Learned::new((model, average), optimizer, trained, place);
        parts.samples.adopt(known, s);
        parts.completed = s.completed;
        parts.preferred = s.preferred;
        parts.not_finite_accepted = s.not_finite_accepted;
        if let Some(held) = &mut parts.evaluator.held_back {
            held.best = best.map(|best| best.copy());
        }
        parts.evaluator.best =
            Best { accuracy: s.best_accuracy, epoch: s.best_epoch, last: s.last_accuracy };
        parts.meter = Meter::default();
        self.stage = match epoch {
            None => Stage::Boundary,
            Some(epoch) => {
                parts.outbox.push(Event::Phase { epoch: s.completed + 1, phase: epoch.phase });
                let work = if epoch.is_done() {
                    Work::Evaluating(parts.evaluation(parts.learned.model(), epoch.terms.posthoc))
                } else {
                    Work::Training
                };
                Stage::Epoch(Box::new(epoch), work)
            }
        };
        self.tell_where_it_goes_on();
        Ok(())
    }

    /// Says where a run goes on that has been trained before: what came later counts no more.
    pub fn tell_where_it_goes_on(&mut self) {
        let (step, steps) = match &self.stage {
            Stage::Epoch(epoch, _) => (epoch.step(), epoch.steps),
            _ => (0, 0),
        };
        let (epoch, parameters_sha256) = (self.parts.completed, sha256(&self.state()));
        self.parts.outbox.push(Event::Continued { epoch, step, steps, parameters_sha256 });
    }
}

/// Whether what the optimizer keeps under `words`, and other models where they are needed, have
/// the shapes of the model, which fits.
fn check_shapes(
    checkpoint: &Checkpoint,
    words: &[&str],
    models: [(&str, bool); 2],
) -> Result<(), RestoreError> {
    let model = checkpoint.shapes("model.");
    let differs =
        |(name, shape): &(&&str, &&[usize])| model.get(**name).is_some_and(|m| m != *shape);
    for word in words {
        let kept = checkpoint.shapes(&format!("{word}."));
        if let Some((name, _)) = kept.iter().find(differs) {
            return Err(RestoreError::Array(format!("{word}.{name}")));
        }
    }
    for (prefix, _) in models.into_iter().filter(|(_, is_needed)| *is_needed) {
        let there = checkpoint.shapes(prefix);
        let misfit = model.iter().find(|(name, shape)| there.get(*name) != Some(shape));
        if let Some((name, _)) = misfit {
            return Err(RestoreError::Array(format!("{prefix}{name}")));
        }
    }
    Ok(())
}
