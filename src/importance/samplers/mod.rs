//! What the epochs after E draw. A new sampler is a file beside this one that implements
//! [`Sampling`], and a row in the table here.

mod biased;
mod class_balanced;
mod infobatch;
mod rcap;
mod top_share;
mod uniform;
mod uniform_replacement;

use super::{AliasTable, Draw, EpochPlan, Probabilities, Shaping, Weights};
use crate::table::table;
use std::sync::{Arc, OnceLock};

table! {
    /// What the epochs after E draw from.
    pub enum Sampler: &'static dyn Sampling {
        /// With replacement, by importance: the method.
        Biased = "biased" => &biased::Biased,
        /// One shuffle without replacement: vanilla SGD, the baseline.
        Uniform = "uniform" => &uniform::Uniform,
        /// With replacement, uniformly: tells the bias from the replacement.
        UniformReplacement = "uniform-replacement" => &uniform_replacement::UniformReplacement,
        /// With replacement: uniform over the classes, then within.
        ClassBalanced = "class-balanced" => &class_balanced::ClassBalanced,
        /// Half of the samples whose loss is below the mean, and all others.
        Infobatch = "infobatch" => &infobatch::Infobatch,
        /// Classes by their loss, and within them samples by theirs.
        Rcap = "rcap" => &rcap::Rcap,
        /// Of each group of a shuffle the samples with the largest losses.
        TopShare = "top-share" => &top_share::TopShare,
    }
}

/// What is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Population<'a> {
    /// Shape `[n]`, values < `classes`.
    pub labels: &'a [u32],
    pub classes: usize,
    /// Shape `[n]`, and how they become probabilities; there for samplers that need them.
    pub weights: Option<(&'a Weights, &'a Shaping)>,
    /// How draws with replacement by importance are made.
    pub draw: Draw,
    /// The loss of each sample when the model last saw it, in nats; there for samplers that need
    /// it. Shape `[n]`; of samples that were never seen, that of the hardest.
    pub losses: Option<&'a [f32]>,
    /// Share of the samples that an epoch draws, in (0, 1]. What a sampler plans beyond that is
    /// not drawn.
    pub share: f64,
}

/// A way to draw.
pub trait Sampling: Sync {
    /// Whether it favours some samples over others: the epochs are biased, not uniform ones.
    fn is_biased(&self) -> bool;

    /// Whether it draws by importance.
    fn needs_weights(&self) -> bool {
        false
    }

    /// Whether it draws by what the model said last: then the next epoch cannot be planned before
    /// this one is over.
    fn needs_losses(&self) -> bool {
        false
    }

    /// The probability of each sample, shape `[n]`.
    fn probabilities(&self, of: &Population<'_>) -> Probabilities;

    /// The draws of an epoch, counted from 1, by what [`Self::probabilities`] gave. A pure
    /// function of its arguments.
    fn plan(&self, of: &Population<'_>, by: &Shaped, seed: u64, epoch: u64) -> EpochPlan;
}

impl Sampler {
    /// How it draws.
    pub fn sampling(self) -> &'static dyn Sampling {
        self.row()
    }
}

/// Probabilities, and the table for independent draws by them, made when one is first asked for.
#[derive(Clone, Debug)]
pub struct Shaped {
    q: Arc<Probabilities>,
    table: OnceLock<Option<Arc<AliasTable>>>,
}

impl Shaped {
    pub fn new(q: Probabilities) -> Self {
        Self { q: Arc::new(q), table: OnceLock::new() }
    }

    pub fn q(&self) -> &Arc<Probabilities> {
        &self.q
    }

    /// `None` never: `q` sums to 1 and has no negative or non-finite entry.
    fn table(&self) -> Option<Arc<AliasTable>> {
        self.table.get_or_init(|| AliasTable::new(self.q.values()).ok().map(Arc::new)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sampler_draws_as_often_as_it_says() {
        let labels: Vec<u32> = (0..4_000).map(|i| u32::from(i % 5 == 0)).collect();
        let losses: Vec<f32> = (0..4_000).map(|i| (i * 37 % 4_000) as f32 / 1_000.0).collect();
        let scores: Vec<Option<f32>> = (0..4_000).map(|i| Some(i as f32 / 4_000.0)).collect();
        let weights = Weights::from_scores(&scores).expect("finite scores");
        let shaping = Shaping::default();
        for (sampler, draw) in Sampler::ALL
            .iter()
            .flat_map(|s| [Draw::Multinomial, Draw::Systematic].map(|draw| (s.sampling(), draw)))
        {
            let weights = sampler.needs_weights().then_some((&weights, &shaping));
            let losses = sampler.needs_losses().then_some(&losses[..]);
            let of = Population { labels: &labels, classes: 2, weights, draw, losses, share: 0.5 };
            let by = Shaped::new(sampler.probabilities(&of));
            let plan = sampler.plan(&of, &by, 7, 3);
            let draws = plan.len();
            assert!((2_000..=4_000).contains(&draws) && plan.multiplicities().len() == 4_000);
            assert_eq!(plan.at(0..draws), sampler.plan(&of, &by, 7, 3).at(0..draws));
            assert!((by.q().values().iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let share = plan.class_counts(&labels, 2)[1] as f64 / draws as f64;
            let expected = by.q().class_shares(&labels, 2)[1];
            // Four standard deviations of a share of as many independent draws.
            let bound = 4.0 * (expected * (1.0 - expected) / draws as f64).sqrt();
            assert!((share - expected).abs() < bound, "{share}, not {expected}");
        }
    }
}
