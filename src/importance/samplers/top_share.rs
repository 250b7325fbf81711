//! Of each group of a shuffle the samples with the largest losses: `importance.draws` of them. With
//! a half this is what airbench's recipe for 96% on CIFAR-10 does (512 of each 1,024), but for the
//! losses: theirs are a smaller model's, made anew; these are the model's own when it last saw the
//! sample, and cost nothing.

use super::{Population, Sampling, Shaped};
use crate::importance::{EpochPlan, Probabilities};

pub(super) struct TopShare;

/// Samples in a group.
const GROUP: usize = 1024;

impl Sampling for TopShare {
    fn is_biased(&self) -> bool {
        true
    }

    fn needs_losses(&self) -> bool {
        true
    }

    /// As if all samples were one group: those of the largest losses, each alike.
    fn probabilities(&self, of: &Population<'_>) -> Probabilities {
        let all: Vec<u32> = (0..of.labels.len() as u32).collect();
        let mut mass = vec![0.0; of.labels.len()];
        for i in top(of, all) {
            mass[i as usize] = 1.0;
        }
        Probabilities::proportional(&mass)
    }

    fn plan(&self, of: &Population<'_>, _: &Shaped, seed: u64, epoch: u64) -> EpochPlan {
        let shuffled = EpochPlan::shuffle(of.labels.len(), seed, epoch);
        let all = shuffled.at(0..shuffled.len());
        let chosen = all.chunks(GROUP).flat_map(|group| top(of, group.to_vec())).collect();
        EpochPlan::of(chosen, of.labels.len(), seed, epoch)
    }
}

/// The samples of a group with the largest losses; ties go to those that come first.
fn top(of: &Population<'_>, mut group: Vec<u32>) -> Vec<u32> {
    let count = ((of.share * group.len() as f64).round() as usize).max(2);
    if let Some(losses) = of.losses {
        group.sort_by(|a, b| losses[*b as usize].total_cmp(&losses[*a as usize]));
    }
    group.truncate(count);
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::importance::Draw;

    #[test]
    fn the_harder_half_is_drawn_once_each() {
        let (labels, losses) = ([0; 100], (0..100).map(|i| i as f32).collect::<Vec<_>>());
        let (draw, losses) = (Draw::Multinomial, Some(&losses[..]));
        let of =
            Population { labels: &labels, classes: 1, weights: None, draw, losses, share: 0.5 };
        let q = TopShare.probabilities(&of);
        assert_eq!((q.values()[49], q.values()[50]), (0.0, 0.02));
        let plan = TopShare.plan(&of, &Shaped::new(q), 1, 1);
        let times = plan.multiplicities();
        assert!(times[..50].iter().all(|t| *t == 0) && times[50..].iter().all(|t| *t == 1));
        assert_ne!(plan.at(0..50).to_vec(), (50..100).rev().collect::<Vec<u32>>());
    }
}
