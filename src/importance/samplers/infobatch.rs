//! InfoBatch (Qin et al., ICLR 2024, arXiv 2303.04947): each sample whose loss is below the mean is
//! left out with probability 1/2. With `importance.reweight = 1` the losses of those that are drawn
//! count for the ones that are not, and `importance.uniform_tail` gives the last epochs all samples
//! again. Theirs are scaled by 2; here a batch's factors are divided by their mean.

use super::{Population, Sampling, Shaped};
use crate::importance::{EpochPlan, Probabilities};
use crate::stream::{Purpose, stream};
use rand::RngExt;

pub(super) struct Infobatch;

/// Probability that a sample with a loss below the mean is drawn.
const KEPT: f64 = 0.5;

impl Sampling for Infobatch {
    fn is_biased(&self) -> bool {
        true
    }

    fn needs_losses(&self) -> bool {
        true
    }

    fn probabilities(&self, of: &Population<'_>) -> Probabilities {
        Probabilities::proportional(&inclusion(of))
    }

    fn plan(&self, of: &Population<'_>, _: &Shaped, seed: u64, epoch: u64) -> EpochPlan {
        let mut rng = stream(seed, Purpose::Draw, epoch);
        let kept = inclusion(of).into_iter().map(|p| rng.random_range(0.0..1.0) < p);
        let chosen: Vec<u32> = (0..).zip(kept).filter(|(_, kept)| *kept).map(|(i, _)| i).collect();
        EpochPlan::of(chosen, of.labels.len(), seed, epoch)
    }
}

/// Probability that each sample is drawn, shape `[n]`.
fn inclusion(of: &Population<'_>) -> Vec<f64> {
    let Some(losses) = of.losses else { return vec![1.0; of.labels.len()] };
    let mean = losses.iter().map(|l| f64::from(*l)).sum::<f64>() / losses.len() as f64;
    losses.iter().map(|l| if f64::from(*l) < mean { KEPT } else { 1.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::importance::Draw;

    #[test]
    fn easy_samples_are_halved_and_hard_ones_kept() {
        let (labels, losses) = ([0; 1_000], [[0.1_f32; 800].to_vec(), vec![2.0; 200]].concat());
        let (draw, losses) = (Draw::Multinomial, Some(&losses[..]));
        let of =
            Population { labels: &labels, classes: 1, weights: None, draw, losses, share: 1.0 };
        let q = Infobatch.probabilities(&of);
        assert!((q.values()[999] / q.values()[0] - 2.0).abs() < 1e-9);
        let times = Infobatch.plan(&of, &Shaped::new(q), 1, 1).multiplicities();
        let easy: u32 = times[..800].iter().sum();
        assert!(easy.abs_diff(400) < 60, "{easy}"); // four standard deviations of 14
        assert!(times[800..].iter().all(|t| *t == 1) && times.iter().all(|t| *t <= 1));
    }
}
