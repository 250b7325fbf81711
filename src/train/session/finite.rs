//! A loss that is not finite: training goes back to where it last was, makes the steps since one by
//! one, and pauses before the first one whose loss, or whose update, is not finite. While all is
//! well this costs nothing: a footing is a few handles.

use super::{Epoch, Meter, Session, Stage};
use crate::model::{Model, NamedTensor};
use crate::protocol::Cause;
use crate::train::optimizer::Sgd;
use burn::module::Module;

/// A place that training can go back to: everything that a step changes.
#[derive(Debug)]
pub(super) struct Footing {
    /// Without autodiff: parameters and running statistics of its own, which no later step touches.
    model: Model,
    optimizer: Sgd,
    epoch: Epoch,
    samples_drawn: u64,
}

/// The two newest footings of the epoch in progress. That losses were finite since the older one
/// shows that its parameters are; those of the newer one may have been spoilt by the very last
/// update.
#[derive(Debug, Default)]
pub(super) struct Footings {
    newer: Option<Footing>,
    older: Option<Footing>,
}

impl Session {
    /// Makes the beginning of the next step, in `epoch`, the place to go back to.
    pub(super) fn stand_on(&mut self, epoch: &Epoch) {
        let footing = Footing {
            model: self.model().valid(),
            optimizer: self.optimizer.clone(),
            epoch: epoch.clone(),
            samples_drawn: self.samples_drawn,
        };
        // Nothing goes back over the end of an epoch.
        self.footings.older = self.footings.newer.take().filter(|_| epoch.step > 0);
        self.footings.newer = Some(footing);
    }

    /// Goes back to the last footing with finite parameters and on from there with care, unless a
    /// person said that losses need not be finite; whether it did.
    pub(super) fn go_back(&mut self) -> bool {
        let Stage::Training(now) = &self.stage else { return false };
        let reached = now.step;
        if self.not_finite_accepted {
            return false;
        }
        if let Some(older) = self.footings.older.take()
            && !self.footings.newer.as_ref().is_some_and(|f| all_finite(&f.model.state()))
        {
            self.footings.newer = Some(older);
        }
        self.careful_until = reached;
        self.stand_again()
    }

    /// Back to the last footing, whatever happened since (a step that broke off in the middle,
    /// too); whether there is one.
    pub fn stand_again(&mut self) -> bool {
        let Some(footing) = &self.footings.newer else { return false };
        self.model = Some(footing.model.clone().train());
        self.optimizer = footing.optimizer.clone();
        self.samples_drawn = footing.samples_drawn;
        self.stage = Stage::Training(Box::new(footing.epoch.clone()));
        self.meter = Meter::default();
        true
    }

    /// What is wrong with the step that was just made, whose mean loss is `loss`; `None` when it
    /// can be kept.
    pub(super) fn fault_of_step(&self, loss: f32) -> Option<String> {
        if !loss.is_finite() {
            return Some(format!("the training loss is not a finite number ({loss})"));
        }
        let broken = !all_finite(&self.model().state());
        broken.then(|| format!("parameters or running statistics are not finite (loss {loss:.4})"))
    }

    /// Undoes the step that was just made and pauses before it.
    pub(super) fn refuse_step(&mut self, what: &str, step: usize) {
        self.stand_again();
        let reason = format!(
            "{what} at step {} of epoch {}; nothing of that step was kept. Go back to the last \
             checkpoint with a smaller \
             learning rate (rewind), go on all the same (resume), or stop. A smaller train.lr \
             usually prevents this.",
            step + 1,
            self.completed + 1
        );
        self.pause(Cause::NotFinite, Some(reason));
    }

    /// Whether the last step of an epoch is done and left finite parameters; training has gone back
    /// if not.
    pub(super) fn epoch_is_sound(&mut self) -> bool {
        let done = matches!(&self.stage, Stage::Training(e) if e.step == e.steps);
        done && (self.not_finite_accepted || all_finite(&self.model().state()) || !self.go_back())
    }
}

fn all_finite(state: &[NamedTensor]) -> bool {
    state.iter().all(|t| t.values.iter().all(|v| v.is_finite()))
}
