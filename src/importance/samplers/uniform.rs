//! One shuffle without replacement: vanilla SGD, the baseline.

use super::{Population, Sampling, Shaped};
use crate::importance::{EpochPlan, Probabilities};

pub(super) struct Uniform;

impl Sampling for Uniform {
    fn is_biased(&self) -> bool {
        false
    }

    fn probabilities(&self, of: &Population<'_>) -> Probabilities {
        Probabilities::uniform(of.labels.len())
    }

    fn plan(&self, of: &Population<'_>, _: &Shaped, seed: u64, epoch: u64) -> EpochPlan {
        EpochPlan::shuffle(of.labels.len(), seed, epoch)
    }
}
