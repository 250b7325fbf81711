//! The end of an epoch: the validation or test set batch by batch, then the figures of the epoch
//! and of its draws. And the end of a run that kept its test set back: the best and the last model
//! on it.

use super::{Epoch, Progress, Session, Stage};
use crate::model::{Mode, Model, NamedTensor};
use crate::protocol::{Cause, EpochSummary, Event, Measured, TestedModel};
use crate::train::confusion::Confusion;
use crate::train::feed::Feed;
use crate::train::step::{forward_loss, read_observations};
use crate::train::sums::Sums;
use burn::module::Module;
use burn::tensor::{Int, Tensor};
use std::time::Instant;

/// An evaluation under way.
#[derive(Debug)]
pub(super) struct Evaluation {
    model: Box<Model>,
    pub(super) at: usize,
    losses: Sums,
    predictions: Vec<Tensor<1, Int>>,
    began: Instant,
}

impl Evaluation {
    fn new(model: Model) -> Self {
        Self {
            model: Box::new(model),
            at: 0,
            losses: Sums::default(),
            predictions: Vec::new(),
            began: Instant::now(),
        }
    }

    /// One batch of `images`; whether it was the last.
    fn advance(&mut self, images: &Feed, batch_size: usize) -> bool {
        let end = (self.at + batch_size).min(images.len());
        let (batch, labels) = images.range(self.at..end);
        let count = end - self.at;
        let logits = self.model.forward(batch, Mode::Evaluate);
        self.predictions.push(logits.clone().argmax(1).reshape([count]));
        self.losses.add(forward_loss(logits, labels, 0.0, None).loss, count);
        self.at = end;
        end == images.len()
    }

    /// Mean loss and predictions, once it is over.
    fn figures(mut self, labels: &[u32], classes: usize) -> (f64, Confusion) {
        let predictions: Vec<u32> =
            Tensor::cat(self.predictions, 0).into_data().iter::<i64>().map(|v| v as u32).collect();
        let loss = self.losses.read().unwrap_or_default().mean();
        (loss, Confusion::of(&predictions, labels, classes))
    }
}

/// A test set that is read once, at the end, and the model that it is kept for.
#[derive(Debug)]
pub(super) struct HeldBack {
    pub(super) test: Feed,
    pub(super) labels: Vec<u32>,
    /// Parameters and running statistics after the best epoch.
    pub(super) best: Vec<NamedTensor>,
    /// Whether the best model was tested.
    pub(super) best_is_tested: bool,
    /// Completed epochs when the test set was read.
    pub(super) tested_at: Option<usize>,
}

impl Session {
    /// The evaluation that ends `epoch`, at its beginning.
    pub(super) fn evaluation_of(&self, epoch: Box<Epoch>) -> Stage {
        Stage::Evaluating(epoch, Box::new(Evaluation::new(self.model().valid())))
    }

    /// One batch of an evaluation; the last one ends the epoch.
    pub(super) fn evaluate(
        &mut self,
        epoch: Box<Epoch>,
        mut evaluation: Box<Evaluation>,
    ) -> Progress {
        if !evaluation.advance(&self.measured, self.config.train.eval_batch_size) {
            self.stage = Stage::Evaluating(epoch, evaluation);
            return Progress::Evaluated;
        }
        self.end_epoch(*epoch, *evaluation);
        Progress::EpochEnd
    }

    /// Begins to read the test set that was kept back, the best model first; false when there is
    /// none, or it was read.
    pub(super) fn begin_test(&mut self) -> bool {
        let last = self.model().valid();
        let Some(held) = self.held_back.as_mut().filter(|h| h.tested_at != Some(self.completed))
        else {
            return false;
        };
        held.best_is_tested = false;
        // A state that this very model gave fits it.
        let best = last.clone().train().with_state(&held.best, &self.device);
        let model = best.map_or(last, |m| m.valid());
        self.stage = Stage::Testing(Box::new(Evaluation::new(model)));
        true
    }

    /// One batch of the test set.
    pub(super) fn test(&mut self, mut evaluation: Box<Evaluation>) -> Progress {
        let Some(held) = &mut self.held_back else { return Progress::Boundary };
        if !evaluation.advance(&held.test, self.config.train.eval_batch_size) {
            self.stage = Stage::Testing(evaluation);
            return Progress::Evaluated;
        }
        let (loss, confusion) = evaluation.figures(&held.labels, self.samples.classes());
        let (tested, epoch) = match held.best_is_tested {
            false => (TestedModel::Best, self.best.epoch),
            true => (TestedModel::Last, self.completed),
        };
        let told = |model| Event::Tested {
            epoch,
            model,
            loss,
            accuracy: confusion.accuracy(),
            recall: confusion.recall(),
        };
        self.outbox.push(told(tested));
        if tested == TestedModel::Best && epoch == self.completed {
            self.outbox.push(told(TestedModel::Last)); // the same model
        } else if tested == TestedModel::Best {
            held.best_is_tested = true;
            self.stage = Stage::Testing(Box::new(Evaluation::new(self.model().valid())));
            return Progress::Evaluated;
        }
        held.tested_at = Some(self.completed);
        Progress::Boundary
    }

    fn end_epoch(&mut self, epoch: Epoch, evaluation: Evaluation) {
        self.completed += 1;
        let eval_began = evaluation.began;
        let (loss, confusion) = evaluation.figures(&self.measured_labels, self.samples.classes());
        let (recall, accuracy) = (confusion.recall(), confusion.accuracy());
        self.best.last = accuracy;
        if self.best.epoch == 0 || accuracy > self.best.accuracy {
            (self.best.accuracy, self.best.epoch) = (accuracy, self.completed);
            let best = self.held_back.is_some().then(|| self.model().state());
            if let (Some(held), Some(best)) = (&mut self.held_back, best) {
                held.best = best;
            }
        }

        let observations = read_observations(epoch.observations);
        let broken = self.samples.record_epoch(epoch.phase, &epoch.plan, &observations);
        let draws = self.samples.draws(&epoch.plan, &epoch.q);
        let summary = EpochSummary {
            epoch: self.completed,
            phase: epoch.phase,
            train_loss: epoch.total.mean(),
            measured: Measured { on: self.config.measured_on(), loss, accuracy },
            recall,
            drawn: draws.drawn,
            expected: draws.expected,
            coverage: draws.coverage,
            expected_coverage: draws.expected_coverage,
            max_multiplicity: draws.max_multiplicity,
            never_drawn: draws.never_drawn,
            hard_share: draws.hard_share,
            suspect_share: draws.suspect_share,
            flipped_share: draws.flipped_share,
            balance: draws.balance,
            ess: draws.ess,
            seconds: epoch.began.elapsed().as_secs_f64() - epoch.waited,
            eval_seconds: eval_began.elapsed().as_secs_f64(),
            samples: self.samples_drawn,
            step_ms: Some(self.take_epoch_times().per(epoch.steps)),
        };
        self.outbox.push(Event::EpochEnd(summary));
        self.outbox.extend(self.samples.preview(&self.config.importance, self.completed));
        if let Some(sample) = broken.filter(|_| !self.not_finite_accepted) {
            let reason = format!(
                "the model's output for training sample {sample} in epoch {} is not a finite \
                 number. \
                 Resuming goes on; a smaller train.lr usually prevents this.",
                self.completed
            );
            self.pause(Cause::NotFinite, Some(reason));
        }
    }
}
