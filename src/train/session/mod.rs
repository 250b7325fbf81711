//! The state machine of a run: `Pretrain -> Weigh -> Biased -> Done`, with pause laid over any of
//! them. One [`Session::advance`] is one training step, one batch of an evaluation, or one boundary
//! between epochs; commands are applied in between. Knows no thread, no channel and no file.
//!
//! A session is put together from parts, none of which knows of the others: what is learned, what
//! is known of the samples, what is measured. Its stage says where it stands.

mod auto_e;
mod boundary;
mod commands;
mod epoch;
mod evaluating;
mod evaluator;
mod learned;
mod meter;
mod parts;
mod patience;
mod restore;
mod samples;
mod start;
mod step;
mod terms;
mod training;

use self::boundary::Scoring;
use self::epoch::Epoch;
use self::evaluator::Evaluation;
use self::parts::Parts;
pub use self::samples::{Pictures, SampleSheet};
pub use self::start::TrainError;
use crate::config::RunConfig;
use crate::data::ReadError;
use crate::model::{NamedTensor, kernels};
use crate::protocol::{Cause, Command, End, Event, StepTimes, Stop, TestedModel};

/// What one [`Session::advance`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A training step.
    Step,
    /// Training went back to where its losses were last finite.
    WentBack,
    /// A batch of an evaluation or of a scoring pass.
    Evaluated,
    /// The last batch of an evaluation: an epoch is over.
    EpochEnd,
    /// A boundary was passed: weights, plan, phase.
    Boundary,
    /// Nothing: the session waits for `resume`.
    Paused,
    /// Nothing: the session is over.
    Finished,
}

/// A run in progress.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    parts: Parts,
}

/// Where a session stands.
#[derive(Debug)]
enum Stage {
    /// Between two epochs.
    Boundary,
    /// A pass over the training set that records what the model says now.
    Scoring(Scoring),
    /// In an epoch.
    Epoch(Box<Epoch>, Work),
    /// The last epoch is over; the test set that was kept back is read.
    Testing(TestedModel, Box<Evaluation>),
    /// It is over.
    Done,
}

/// What is done in an epoch.
#[derive(Debug)]
enum Work {
    Training,
    /// Its last step left what is not finite.
    GoingBack,
    Evaluating(Box<Evaluation>),
}

impl Session {
    /// Does the next piece of work.
    pub fn advance(&mut self) -> Progress {
        if self.is_finished() {
            return Progress::Finished;
        }
        if self.is_stopping_now() {
            let end = if self.is_complete() { End::Complete } else { End::Stopped };
            self.parts.finish(end);
            self.stage = Stage::Done;
            return Progress::Finished;
        }
        if self.parts.paused.is_some() {
            return Progress::Paused;
        }
        let parts = &mut self.parts;
        // Nothing is taken out of the stage: what panics leaves it where it stands.
        let (progress, next) = match &mut self.stage {
            Stage::Boundary => parts.pass_boundary(),
            Stage::Scoring(scoring) => parts.score(scoring),
            Stage::Epoch(epoch, work @ Work::Training) => {
                let (progress, next) = parts.train(epoch);
                *work = next;
                (progress, None)
            }
            Stage::Epoch(epoch, work @ Work::GoingBack) => {
                parts.go_back(epoch);
                *work = Work::Training;
                (Progress::WentBack, None)
            }
            Stage::Epoch(epoch, Work::Evaluating(evaluation)) => parts.evaluate(epoch, evaluation),
            Stage::Testing(model, evaluation) => parts.test(*model, evaluation),
            Stage::Done => (Progress::Finished, None),
        };
        if let Some(next) = next {
            self.stage = next;
        }
        progress
    }

    /// Everything that happened since this was last called.
    pub fn take_events(&mut self) -> Vec<Event> {
        let warning = |text| Event::Warning { code: "kernels".into(), text };
        self.parts.outbox.extend(kernels::take_warnings().into_iter().map(warning));
        std::mem::take(&mut self.parts.outbox)
    }

    /// Where training is: reads the loss from the device, so ask for it at most ten times a second.
    /// `None` when there is nothing new, or a loss is not finite: the next
    /// [`advance`](Self::advance) sees to that.
    pub fn step_event(&mut self) -> Option<Event> {
        match &mut self.stage {
            Stage::Epoch(_, Work::Evaluating(evaluation)) => Some(Event::Evaluating {
                epoch: self.parts.completed + 1,
                done: evaluation.done(),
                of: self.parts.evaluator.set.images.len(),
            }),
            Stage::Epoch(epoch, _) => self.parts.step_event(epoch),
            _ => None,
        }
    }

    /// What became of every sample, when there is news of that: with the weights, and at the end of
    /// each epoch after.
    pub fn take_samples(&mut self) -> Option<SampleSheet> {
        let Parts { samples, config, feed, .. } = &mut self.parts;
        samples.take_sheet(&config.importance.shaping(), feed)
    }

    /// Where the time of the steps since the last call went, in seconds.
    pub fn take_step_times(&mut self) -> StepTimes {
        self.parts.meter.take_times()
    }

    /// Whether it waits for `resume`.
    pub fn is_paused(&self) -> bool {
        let Parts { paused, stop, .. } = &self.parts;
        paused.is_some() && *stop != Some(Stop::Now) && !self.is_finished()
    }

    /// Goes on where it waits for an image that can be read by now; whether it does.
    pub fn retry_data(&mut self) -> bool {
        let is_mended = self.parts.unread.as_ref().is_some_and(ReadError::is_mended);
        if is_mended && self.parts.paused == Some(Cause::Data) {
            self.apply(Command::Resume);
        }
        is_mended
    }

    /// What it waits for, while it is paused.
    pub fn paused_by(&self) -> Option<Cause> {
        self.parts.paused.filter(|_| self.is_paused())
    }

    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// The config as it is now, live changes included.
    pub fn config(&self) -> &RunConfig {
        &self.parts.config
    }

    /// Completed epochs.
    pub fn completed(&self) -> usize {
        self.parts.completed
    }

    /// Steps done in the epoch in progress; 0 between epochs.
    pub fn step_in_epoch(&self) -> usize {
        self.position().1
    }

    /// Whether it ends before the next step because somebody said so.
    pub fn is_stopping_now(&self) -> bool {
        self.parts.stop == Some(Stop::Now) && !self.is_finished()
    }

    /// Whether everything is done that the config asks for: N epochs, and the test set read where
    /// it was kept back.
    pub fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Boundary) && self.parts.is_all_done()
    }

    /// Whether the next [`advance`](Self::advance) ends it.
    pub fn is_ending(&self) -> bool {
        let at_boundary = matches!(self.stage, Stage::Boundary) && self.parts.paused.is_none();
        let due = || self.parts.is_all_done() || self.parts.is_stop_due();
        self.is_stopping_now() || at_boundary && due()
    }

    /// Parameters and running statistics by name.
    pub fn state(&self) -> Vec<NamedTensor> {
        self.parts.learned.state()
    }

    fn in_epoch(&self) -> bool {
        matches!(self.stage, Stage::Epoch(..))
    }

    /// The epoch in progress and its steps that are done, or the completed epochs and 0.
    fn position(&self) -> (usize, usize) {
        match &self.stage {
            Stage::Epoch(epoch, _) => self.parts.position_in(epoch),
            _ => (self.parts.completed, 0),
        }
    }

    /// Pauses, and says why.
    pub fn pause(&mut self, cause: Cause, reason: Option<String>) {
        let at = self.position();
        self.parts.pause(at, cause, reason);
    }

    /// Tells the epoch in progress how long nothing was done.
    pub fn waited(&mut self, seconds: f64) {
        if let Stage::Epoch(epoch, _) = &mut self.stage {
            epoch.waited += seconds;
        }
    }
}
