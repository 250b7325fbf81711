//! E found while the run trains: at the end of each epoch of pretraining it is seen whether the
//! importance is settled. Knows nothing of how that is measured.

use super::parts::Parts;
use crate::config::{PRETRAIN_EPOCHS, Pretrain};
use crate::protocol::{Effective, Event};
use serde_json::json;

impl Parts {
    /// Sets E where it is to be found and the epoch that is over, of `steps` steps, ends
    /// pretraining: it left the importance this settled.
    pub(super) fn find_e(&mut self, settled: Option<f64>, steps: usize) {
        let ended = self.config.auto().ends(self.completed, settled);
        let Some(ended) = ended.filter(|_| self.config.finds_e()) else { return };
        let old = self.config.importance.pretrain_epochs;
        let new = Pretrain::Epochs(self.completed);
        self.config.importance.pretrain_epochs = new;
        self.outbox.push(Event::Changed {
            epoch: self.completed,
            step: steps,
            key: PRETRAIN_EPOCHS.into(),
            old: json!(old),
            new: json!(new),
            effective: Effective::WeightsAfter(self.completed),
            by_itself: Some(ended.into()),
        });
    }
}
