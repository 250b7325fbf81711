//! Draws with replacement that are uniform over the classes, then within one.

use super::{Population, Sampling, Shaped};
use crate::importance::{EpochPlan, Probabilities};

pub(super) struct ClassBalanced;

impl Sampling for ClassBalanced {
    fn is_biased(&self) -> bool {
        true
    }

    fn probabilities(&self, of: &Population<'_>) -> Probabilities {
        Probabilities::class_balanced(of.labels, of.classes)
    }

    fn plan(&self, of: &Population<'_>, _: &Shaped, seed: u64, epoch: u64) -> EpochPlan {
        EpochPlan::class_balanced(of.labels, of.classes, seed, epoch)
    }
}
