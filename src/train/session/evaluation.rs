//! The end of an epoch: the test set batch by batch, then the figures of the epoch and of its draws.

use super::{Epoch, Progress, Session, Stage};
use crate::importance::balance;
use crate::model::{Mode, Model};
use crate::protocol::{Cause, EpochSummary, Event, Phase};
use crate::train::confusion::Confusion;
use crate::train::step::{forward_loss, read_observations};
use burn::module::Module;
use burn::tensor::{Int, Tensor};
use std::time::Instant;

/// An evaluation under way.
#[derive(Debug)]
pub(super) struct Evaluation {
    pub(super) model: Box<Model>,
    pub(super) at: usize,
    loss: Tensor<1>,
    predictions: Vec<Tensor<1, Int>>,
    began: Instant,
}

impl Session {
    /// The evaluation that ends `epoch`, at its beginning.
    pub(super) fn evaluation_of(&self, epoch: Box<Epoch>) -> Stage {
        let evaluation = Evaluation {
            model: Box::new(self.model.valid()),
            at: 0,
            loss: Tensor::zeros([1], &self.device),
            predictions: Vec::new(),
            began: Instant::now(),
        };
        Stage::Evaluating(epoch, Box::new(evaluation))
    }

    /// One batch of an evaluation; the last one ends the epoch.
    pub(super) fn evaluate(&mut self, epoch: Box<Epoch>, mut evaluation: Box<Evaluation>) -> Progress {
        let n = self.test.len();
        let end = (evaluation.at + self.config.train.eval_batch_size).min(n);
        let drawn: Vec<u32> = (evaluation.at as u32..end as u32).collect();
        let (images, labels) = self.test.batch(&drawn, None);
        let logits = evaluation.model.forward(images, Mode::Evaluate);
        evaluation.predictions.push(logits.clone().argmax(1).reshape([drawn.len()]));
        evaluation.loss = evaluation.loss + forward_loss(logits, labels, 0.0, None).loss * drawn.len() as f64;
        evaluation.at = end;
        if end < n {
            self.stage = Stage::Evaluating(epoch, evaluation);
            return Progress::Evaluated;
        }
        self.end_epoch(*epoch, *evaluation);
        Progress::EpochEnd
    }

    fn end_epoch(&mut self, epoch: Epoch, evaluation: Evaluation) {
        self.completed += 1;
        let n = self.train.len() as f64;
        let predictions: Vec<u32> = Tensor::cat(evaluation.predictions, 0).into_data().iter::<i64>().map(|v| v as u32).collect();
        let confusion = Confusion::of(&predictions, &self.test_labels, self.classes);
        let (recall, accuracy) = (confusion.recall(), confusion.accuracy());
        let test_loss = f64::from(evaluation.loss.into_scalar::<f32>()) / self.test_labels.len() as f64;
        self.best.last = accuracy;
        if self.best.epoch == 0 || accuracy > self.best.accuracy {
            (self.best.accuracy, self.best.epoch) = (accuracy, self.completed);
        }

        let observations = read_observations(epoch.observations);
        let broken = observations.iter().position(|o| !o.is_finite());
        if epoch.phase == Phase::Pretrain {
            self.recorder.record_epoch(epoch.plan.draws(), &observations);
        }
        let times = epoch.plan.multiplicities();
        let drawn = epoch.plan.class_counts(&self.labels, self.classes);
        let share_of = |marked: &[bool]| {
            let draws: u32 = times.iter().zip(marked).filter(|(_, m)| **m).map(|(t, _)| t).sum();
            f64::from(draws) / n
        };
        let (mut never_drawn, mut hard_share, mut suspect_share) = (0, None, None);
        if let Some(importance) = &mut self.importance {
            for (seen, times) in importance.drawn_since.iter_mut().zip(&times) {
                *seen |= *times > 0;
            }
            never_drawn = importance.drawn_since.iter().filter(|s| !**s).count();
            hard_share = Some(share_of(&importance.hard));
            suspect_share = Some(share_of(&importance.suspect));
        }
        let shuffled = times.iter().all(|t| *t == 1);
        let summary = EpochSummary {
            epoch: self.completed,
            phase: epoch.phase,
            train_loss: epoch.loss / n,
            test_loss,
            test_accuracy: accuracy,
            recall,
            expected: epoch.q.class_shares(&self.labels, self.classes).iter().map(|s| s * n).collect(),
            coverage: times.iter().filter(|t| **t > 0).count() as f64 / n,
            expected_coverage: if shuffled { 1.0 } else { balance::expected_coverage(epoch.q.values(), times.len()) },
            max_multiplicity: times.iter().copied().max().unwrap_or(0),
            never_drawn,
            hard_share,
            suspect_share,
            flipped_share: (!self.flipped.is_empty()).then(|| share_of(&self.flipped)),
            balance: balance::balance_index(&drawn.iter().map(|d| *d as f64).collect::<Vec<_>>()),
            ess: epoch.q.effective_sample_size(),
            drawn,
            seconds: epoch.began.elapsed().as_secs_f64() - epoch.waited,
            eval_seconds: evaluation.began.elapsed().as_secs_f64(),
            samples: self.samples_drawn,
        };
        self.outbox.push(Event::EpochEnd(summary));
        if let Some(k) = broken.filter(|_| !self.not_finite_accepted) {
            let sample = epoch.plan.draws()[k];
            let reason = format!(
                "the model's output for training sample {sample} in epoch {} is not a finite number. \
                 Resuming goes on; a smaller train.lr usually prevents this.",
                self.completed
            );
            self.pause(Cause::NotFinite, Some(reason));
        }
    }
}
