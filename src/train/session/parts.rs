//! What the stages of a session work on: the parts that it is put together from, and what is asked
//! of it. Knows nothing of where it stands.

use super::epoch::Epoch;
use super::evaluator::{Evaluation, Evaluator};
use super::learned::Learned;
use super::meter::Meter;
use super::samples::Samples;
use super::step::Repeatable;
use crate::config::RunConfig;
use crate::data::{Identity, ReadError};
use crate::importance::Sampler;
use crate::model::Model;
use crate::protocol::{Cause, Event, Stop};
use crate::train::evaluate::posthoc_shift;
use crate::train::feed::Feed;
use burn::tensor::Device;
use std::time::{Duration, Instant};

/// Everything of a session but where it stands: what its stages work on.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) config: RunConfig,
    pub(super) device: Device,
    /// What all of the data is.
    pub(super) data: Identity,
    /// The training images.
    pub(super) feed: Feed,
    pub(super) learned: Learned,
    /// Whether steps are made on memory that stays.
    pub(super) repeats: bool,
    /// That memory; none before the first such step.
    pub(super) repeatable: Option<Repeatable>,
    pub(super) samples: Samples,
    pub(super) evaluator: Evaluator,
    pub(super) meter: Meter,
    /// Completed epochs, c.
    pub(super) completed: usize,
    /// Sampler to go back to with `bias on`.
    pub(super) preferred: Sampler,
    /// What it waits for, while it is paused.
    pub(super) paused: Option<Cause>,
    /// The image that it waits for, while that is why.
    pub(super) unread: Option<ReadError>,
    /// A person was told of a loss that is not finite and resumed all the same.
    pub(super) not_finite_accepted: bool,
    /// A person was told that training waits for images.
    pub(super) slow_feed_told: bool,
    pub(super) stop: Option<Stop>,
    pub(super) outbox: Vec<Event>,
    pub(super) started: Instant,
    /// Time of the run before this session, when it goes on from a checkpoint.
    pub(super) earlier: Duration,
}

impl Parts {
    /// Whether, between two epochs, everything is done that the config asks for.
    pub(super) fn is_all_done(&self) -> bool {
        self.completed >= self.config.train.epochs && self.evaluator.is_tested(self.completed)
    }

    /// Whether, between two epochs, a stop that waited for the end of one is due, before N.
    pub(super) fn is_stop_due(&self) -> bool {
        let due = match self.stop {
            Some(Stop::AtEpoch(epoch)) => self.completed >= epoch,
            Some(Stop::AfterEpoch) => true,
            Some(Stop::Now) | None => false,
        };
        due && self.completed < self.config.train.epochs
    }

    pub(super) fn position_in(&self, epoch: &Epoch) -> (usize, usize) {
        (self.completed + 1, epoch.step())
    }

    pub(super) fn pause(
        &mut self,
        (epoch, step): (usize, usize),
        cause: Cause,
        reason: Option<String>,
    ) {
        self.paused = Some(cause);
        self.outbox.push(Event::Paused { epoch, step, reason, cause });
    }

    /// Pauses until an image can be read that is due.
    pub(super) fn wait_for_data(&mut self, at: (usize, usize), unread: ReadError) {
        let reason = format!("{unread} Training goes on by itself as soon as it can be read");
        self.pause(at, Cause::Data, Some(reason));
        self.unread = Some(unread);
    }

    /// An evaluation of `model`, which has no gradients, at its beginning; its logits are corrected
    /// for the data's class shares, times `tau`.
    pub(super) fn evaluation(&self, model: Model, tau: f64) -> Box<Evaluation> {
        let sizes = self.samples.class_sizes();
        Box::new(Evaluation::new(model, posthoc_shift(&sizes, tau, &self.device)))
    }

    /// Seconds that the run has taken, those before a checkpoint included.
    pub(super) fn seconds(&self) -> f64 {
        (self.earlier + self.started.elapsed()).as_secs_f64()
    }
}
