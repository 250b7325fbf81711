//! An end that comes by itself: at the end of each epoch it is seen whether none was better for too
//! long. Knows nothing of how epochs are measured.

use super::parts::Parts;
use crate::config::{EPOCHS, PRETRAIN_EPOCHS};
use crate::protocol::{ByItself, Effective, Event};
use serde_json::json;

impl Parts {
    /// Makes the epoch that is over, of `steps` steps, the last one where none was better for too
    /// long. The first epochs after E have their time, however good those before were.
    pub(super) fn end_early(&mut self, steps: usize) {
        let (done, patience) = (self.completed, self.config.train.patience);
        let (n, e) = (self.config.train.epochs, self.config.pretrain_epochs());
        let best = self.evaluator.best.epoch;
        // Where all epochs are pretraining, none come after E.
        let since = if e < n { best.max(e) } else { best };
        if patience == 0 || done >= n || done < since + patience {
            return;
        }
        self.config.train.epochs = done;
        // E is at most N. Weights that nobody will draw by any more are not missed.
        let e = self.config.importance.pretrain_epochs;
        if self.config.pretrain_epochs() > done {
            self.config.importance.pretrain_epochs = done.into();
        }
        let mut changed = |key: &'static str, old, new| {
            self.outbox.push(Event::Changed {
                epoch: done,
                step: steps,
                key: key.into(),
                old,
                new,
                effective: Effective::Now,
                by_itself: Some(ByItself::NoBetter),
            });
        };
        let new_e = self.config.importance.pretrain_epochs;
        if new_e != e {
            changed(PRETRAIN_EPOCHS, json!(e), json!(new_e));
        }
        changed(EPOCHS, json!(n), json!(done));
    }
}
