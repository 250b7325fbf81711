//! Uniform draws with replacement: they tell the bias from the replacement.

use super::{Population, Sampling, Shaped};
use crate::importance::{EpochPlan, Probabilities};

pub(super) struct UniformReplacement;

impl Sampling for UniformReplacement {
    fn is_biased(&self) -> bool {
        false
    }

    fn probabilities(&self, of: &Population<'_>) -> Probabilities {
        Probabilities::uniform(of.labels.len())
    }

    fn plan(&self, of: &Population<'_>, _: &Shaped, seed: u64, epoch: u64) -> EpochPlan {
        EpochPlan::uniform_with_replacement(of.labels.len(), seed, epoch)
    }
}
