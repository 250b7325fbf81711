//! The end of an epoch: it is measured batch by batch, then its figures and those of its draws are
//! told. And the end of a run that kept its test set back: the best and the last model on it.

use super::epoch::Epoch;
use super::evaluator::{Evaluation, Figures};
use super::meter::slow_feed;
use super::parts::Parts;
use super::{Progress, Stage};
use crate::protocol::{Averaged, Cause, EpochSummary, Event, Measured, TestedModel};

impl Parts {
    /// One batch of the evaluation of `epoch`: of the model, and then of its average where there is
    /// one; the last one ends the epoch.
    pub(super) fn evaluate(
        &mut self,
        epoch: &Epoch,
        evaluation: &mut Evaluation,
    ) -> (Progress, Option<Stage>) {
        let set = &self.evaluator.set;
        match evaluation.advance(set, self.config.train.eval_batch_size) {
            Ok(true) => {}
            Ok(false) => return (Progress::Evaluated, None),
            Err(unread) => {
                self.wait_for_data(self.position_in(epoch), unread);
                return (Progress::Paused, None);
            }
        }
        let figures = evaluation.figures(set, self.samples.classes());
        match (evaluation.before.take(), self.learned.average()) {
            (None, Some(average)) => {
                *evaluation = *self.evaluation(average, epoch.terms.posthoc);
                evaluation.before = Some(figures);
                return (Progress::Evaluated, None);
            }
            (None, None) => self.end_epoch(epoch, &figures, None),
            (Some(raw), _) => self.end_epoch(epoch, &raw, Some(&figures)),
        }
        (Progress::EpochEnd, Some(Stage::Boundary))
    }

    /// Begins to read the test set that was kept back, the best model first; `None` when there is
    /// none, or it was read.
    pub(super) fn begin_test(&mut self) -> Option<Stage> {
        if self.evaluator.is_tested(self.completed) {
            return None;
        }
        let model = self.evaluator.best_model().unwrap_or_else(|| self.learned.model());
        Some(Stage::Testing(
            TestedModel::Best,
            self.evaluation(model, self.config.importance.adjust_posthoc),
        ))
    }

    /// One batch of the test set.
    pub(super) fn test(
        &mut self,
        model: TestedModel,
        evaluation: &mut Evaluation,
    ) -> (Progress, Option<Stage>) {
        let Some(held) = &self.evaluator.held_back else {
            return (Progress::Boundary, Some(Stage::Boundary));
        };
        match evaluation.advance(&held.set, self.config.train.eval_batch_size) {
            Ok(true) => {}
            Ok(false) => return (Progress::Evaluated, None),
            Err(unread) => {
                self.wait_for_data((self.completed, 0), unread);
                return (Progress::Paused, None);
            }
        }
        let Figures { loss, confusion, .. } = evaluation.figures(&held.set, self.samples.classes());
        let epoch = match model {
            TestedModel::Best => self.evaluator.best.epoch,
            TestedModel::Last => self.completed,
        };
        let told = |model| Event::Tested {
            epoch,
            model,
            loss,
            accuracy: confusion.accuracy(),
            recall: confusion.recall(),
        };
        self.outbox.push(told(model));
        if model == TestedModel::Best {
            if epoch != self.completed {
                let tau = self.config.importance.adjust_posthoc;
                let last = self.evaluation(self.learned.model(), tau);
                return (Progress::Evaluated, Some(Stage::Testing(TestedModel::Last, last)));
            }
            self.outbox.push(told(TestedModel::Last)); // the same model
        }
        if let Some(held) = &mut self.evaluator.held_back {
            held.tested_at = Some(self.completed);
        }
        (Progress::Boundary, Some(Stage::Boundary))
    }

    fn end_epoch(&mut self, epoch: &Epoch, figures: &Figures, average: Option<&Figures>) {
        let observations = epoch.observations();
        self.completed += 1;
        let Figures { loss, confusion, began } = figures;
        let accuracy = confusion.accuracy();
        self.evaluator.take(self.completed, accuracy, || self.learned.model());
        let broken =
            self.samples.record_epoch(epoch.phase, &epoch.plan, &observations, epoch.is_mixed);
        let draws = self.samples.draws(&epoch.plan, &epoch.q);
        let settled = self.samples.settled(&self.config, epoch.phase);
        let step_ms = self.meter.take_epoch_times().per(epoch.steps);
        if let Some(text) = slow_feed(step_ms).filter(|_| !self.slow_feed_told) {
            self.slow_feed_told = true;
            self.outbox.push(Event::Warning { code: "loading".into(), text });
        }
        let summary = EpochSummary {
            epoch: self.completed,
            phase: epoch.phase,
            train_loss: epoch.mean_loss(),
            measured: Measured { on: self.config.measured_on(), loss: *loss, accuracy },
            average: average.map(|figures| Averaged {
                loss: figures.loss,
                accuracy: figures.confusion.accuracy(),
            }),
            grad_norm: epoch.mean_norm(),
            recall: confusion.recall(),
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
            settled,
            seconds: epoch.began.elapsed().as_secs_f64() - epoch.waited,
            eval_seconds: began.elapsed().as_secs_f64(),
            samples: self.learned.trained().samples,
            step_ms: Some(step_ms),
            correction: epoch.terms.prior.iter().map(|v| f64::from(*v)).collect(),
        };
        self.outbox.push(Event::EpochEnd(summary));
        self.find_e(settled, epoch.steps);
        self.end_early(epoch.steps);
        self.outbox.extend(self.samples.preview(&self.config, self.completed));
        if let Some(sample) = broken.filter(|_| !self.not_finite_accepted) {
            let reason = format!(
                "the model's output for training sample {sample} in epoch {} is not a finite \
                 number. \
                 Resuming goes on; a smaller train.lr usually prevents this.",
                self.completed
            );
            self.pause((self.completed, 0), Cause::NotFinite, Some(reason));
        }
    }
}
