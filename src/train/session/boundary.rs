//! Between two epochs: the weights where they are due, with the scoring pass that they may need,
//! the end where it is reached, else the beginning of the next epoch. Knows nothing of steps.

use super::epoch::Epoch;
use super::parts::Parts;
use super::samples::{Due, phase_of};
use super::terms::Terms;
use super::{Progress, Stage, Work};
use crate::importance::Sampler;
use crate::model::{Mode, sha256};
use crate::protocol::{Cause, End, Event, Phase};
use crate::train::step::{LossTerms, forward_loss, read_observations};
use burn::tensor::Tensor;

/// A pass over the training set that records what the model says now.
#[derive(Debug, Default)]
pub(super) struct Scoring {
    /// Images that are done.
    done: usize,
    /// Of these, `[b, 5]` each.
    observations: Vec<Tensor<2>>,
}

impl Parts {
    /// Goes on from a boundary.
    pub(super) fn pass_boundary(&mut self) -> (Progress, Option<Stage>) {
        if self.completed >= self.config.train.epochs
            && let Some(test) = self.begin_test()
        {
            return (Progress::Boundary, Some(test));
        }
        if self.is_all_done() || self.is_stop_due() {
            self.finish(if self.is_all_done() { End::Complete } else { End::Stopped });
            return (Progress::Finished, Some(Stage::Done));
        }
        let next = match self.samples.due(&self.config, self.completed) {
            Due::Scoring => {
                self.samples.begin_scoring();
                Some(Stage::Scoring(Scoring::default()))
            }
            Due::Weights if !self.weigh() => None, // paused, with the reason
            Due::Weights | Due::Nothing => Some(self.begin_epoch()),
        };
        (Progress::Boundary, next)
    }

    fn begin_epoch(&mut self) -> Stage {
        let number = self.completed + 1;
        let phase = phase_of(&self.config, number);
        if phase == Phase::Pretrain && self.samples.are_weighed() {
            self.samples.forget(); // E was moved to later; weights come anew
        }
        let planned = self.samples.plan(&self.config, number);
        self.outbox.push(Event::Phase { epoch: number, phase });
        let draws = planned.plan.len();
        let terms = Terms::of(
            &self.config,
            (number, phase),
            (&planned.q, draws),
            (self.samples.labels(), &self.samples.class_sizes()),
        );
        let steps = self.config.train.steps_per_epoch(draws);
        let epoch = Epoch::new(phase, planned, terms, steps, &self.device);
        self.learned.keep(epoch.place());
        Stage::Epoch(Box::new(epoch), Work::Training)
    }

    /// Computes the weights; false when that is impossible and the session waits instead.
    fn weigh(&mut self) -> bool {
        match self.samples.weigh(&self.config.importance, self.completed) {
            Ok(told) => {
                self.outbox.extend(told);
                true
            }
            Err(e) => {
                self.config.importance.sampler = Sampler::Uniform;
                let reason = format!(
                    "no weights can be computed: {e}. Resuming trains on uniformly; a smaller \
                     train.lr usually prevents this."
                );
                self.pause((self.completed, 0), Cause::NotFinite, Some(reason));
                false
            }
        }
    }

    /// One batch of the scoring pass; the last one gives the weights.
    pub(super) fn score(&mut self, scoring: &mut Scoring) -> (Progress, Option<Stage>) {
        let batch_size = self.config.train.eval_batch_size;
        let end = (scoring.done + batch_size).min(self.feed.len());
        let (images, labels) = match self.feed.samples(scoring.done, batch_size) {
            Ok(batch) => batch,
            Err(unread) => {
                self.wait_for_data((self.completed, 0), unread);
                return (Progress::Paused, None);
            }
        };
        let logits = self.learned.model().forward(images, Mode::Evaluate);
        let seen = forward_loss(logits, labels, LossTerms::default()).observations;
        scoring.observations.push(seen);
        scoring.done = end;
        if end < self.feed.len() {
            return (Progress::Evaluated, None);
        }
        let observations = std::mem::take(&mut scoring.observations);
        self.samples.record_scores(&read_observations(observations));
        self.weigh();
        (Progress::Evaluated, Some(Stage::Boundary))
    }

    pub(super) fn finish(&mut self, end: End) {
        self.paused = None;
        let best = self.evaluator.best;
        self.outbox.push(Event::Finished {
            epochs: self.completed,
            best_accuracy: best.accuracy,
            best_epoch: best.epoch,
            final_accuracy: best.last,
            seconds: self.seconds(),
            parameters_sha256: sha256(&self.learned.state()),
            end,
        });
    }
}
