//! Draws with replacement by importance: the method.

use super::{Population, Sampling, Shaped};
use crate::importance::{Draw, EpochPlan, Probabilities};

pub(super) struct Biased;

impl Sampling for Biased {
    fn is_biased(&self) -> bool {
        true
    }

    fn needs_weights(&self) -> bool {
        true
    }

    fn probabilities(&self, of: &Population<'_>) -> Probabilities {
        match of.weights {
            Some((weights, shaping)) => {
                Probabilities::shape(weights, of.labels, of.classes, shaping)
            }
            None => Probabilities::uniform(of.labels.len()),
        }
    }

    fn plan(&self, of: &Population<'_>, by: &Shaped, seed: u64, epoch: u64) -> EpochPlan {
        let table = match of.draw {
            Draw::Multinomial => by.table(),
            Draw::Systematic => None,
        };
        match table {
            Some(table) => EpochPlan::multinomial(table, seed, epoch),
            None => EpochPlan::systematic(by.q(), seed, epoch),
        }
    }
}
