//! After RCAP (Hassan et al., UAI 2025), by its description: of a budget of samples each class gets
//! a part that goes by the sum of its losses, at most all of its samples; within the class samples
//! are chosen without replacement, by their losses. The budget is `importance.draws`.

use super::{Population, Sampling, Shaped};
use crate::importance::{EpochPlan, Probabilities};
use crate::stream::{Purpose, stream};
use rand::RngExt;

pub(super) struct Rcap;

/// Added to every loss: a sample that the model is sure of can still be chosen.
const LEAST: f64 = 1e-6;

impl Sampling for Rcap {
    fn is_biased(&self) -> bool {
        true
    }

    fn needs_losses(&self) -> bool {
        true
    }

    /// By class exactly; within a class by loss, which draws without replacement come near to.
    fn probabilities(&self, of: &Population<'_>) -> Probabilities {
        let losses = losses(of);
        let (mut sums, quotas) = (vec![0.0; of.classes], quotas(of, &losses));
        for (loss, &c) in losses.iter().zip(of.labels) {
            sums[c as usize] += loss;
        }
        let share = |(loss, &c): (&f64, &u32)| quotas[c as usize] as f64 * loss / sums[c as usize];
        let mass: Vec<f64> = losses.iter().zip(of.labels).map(share).collect();
        Probabilities::proportional(&mass)
    }

    fn plan(&self, of: &Population<'_>, _: &Shaped, seed: u64, epoch: u64) -> EpochPlan {
        let (losses, mut rng) = (losses(of), stream(seed, Purpose::Draw, epoch));
        // Efraimidis and Spirakis 2006: the largest u^(1/w) are a weighted draw without
        // replacement. As logarithms, which small losses do not make 0.
        let mut members: Vec<Vec<(f64, u32)>> = vec![Vec::new(); of.classes];
        for (i, (loss, &c)) in (0..).zip(losses.iter().zip(of.labels)) {
            let u: f64 = rng.random_range(f64::MIN_POSITIVE..1.0);
            members[c as usize].push((u.ln() / loss, i));
        }
        let chosen = members.iter_mut().zip(quotas(of, &losses)).flat_map(|(members, quota)| {
            members.sort_by(|a, b| b.0.total_cmp(&a.0));
            members[..quota].iter().map(|(_, i)| *i)
        });
        EpochPlan::of(chosen.collect(), of.labels.len(), seed, epoch)
    }
}

fn losses(of: &Population<'_>) -> Vec<f64> {
    match of.losses {
        Some(losses) => losses.iter().map(|l| f64::from(*l) + LEAST).collect(),
        None => vec![1.0; of.labels.len()],
    }
}

/// Samples of each class that are drawn, shape `[C]`: at least two in all, where there are so many.
fn quotas(of: &Population<'_>, losses: &[f64]) -> Vec<usize> {
    let (mut sizes, mut sums) = (vec![0_usize; of.classes], vec![0.0; of.classes]);
    for (loss, &c) in losses.iter().zip(of.labels) {
        sizes[c as usize] += 1;
        sums[c as usize] += loss;
    }
    let mut left = ((of.share * of.labels.len() as f64).round() as usize).max(2);
    let mut quotas = vec![0; of.classes];
    loop {
        let open: Vec<usize> = (0..of.classes).filter(|c| quotas[*c] < sizes[*c]).collect();
        if left == 0 || open.is_empty() {
            return quotas;
        }
        // What a class has no samples for goes to the others, in the next round.
        let all: f64 = open.iter().map(|c| sums[*c]).sum();
        let parts: Vec<f64> = open.iter().map(|c| left as f64 * sums[*c] / all).collect();
        for (&c, more) in open.iter().zip(rounded(&parts, left)) {
            let more = more.min(sizes[c] - quotas[c]);
            quotas[c] += more;
            left -= more;
        }
    }
}

/// Whole numbers near to `parts`, which sum to `total`: the largest remainders are rounded up.
fn rounded(parts: &[f64], total: usize) -> Vec<usize> {
    let mut whole: Vec<usize> = parts.iter().map(|p| p.floor() as usize).collect();
    let rest = total.saturating_sub(whole.iter().sum());
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| parts[*b].fract().total_cmp(&parts[*a].fract()));
    order.into_iter().take(rest).for_each(|k| whole[k] += 1);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::importance::Draw;

    #[test]
    fn a_class_gets_its_share_of_the_losses_and_at_most_its_samples() {
        // 100 easy samples, 60 hard ones, 4 very hard ones; half of them are drawn.
        let labels: Vec<u32> = [vec![0; 100], vec![1; 60], vec![2; 4]].concat();
        let losses: Vec<f32> = [vec![0.1; 100], vec![1.0; 60], vec![9.0; 4]].concat();
        let (draw, losses) = (Draw::Multinomial, Some(&losses[..]));
        let of =
            Population { labels: &labels, classes: 3, weights: None, draw, losses, share: 0.5 };
        let plan = Rcap.plan(&of, &Shaped::new(Rcap.probabilities(&of)), 1, 1);
        let counts = plan.class_counts(&labels, 3);
        // By losses 8, 46 and 28; the last two have no more than 60 and 4.
        assert_eq!((plan.len(), &counts[..]), (82, &[18, 60, 4][..]));
        assert!(plan.multiplicities().iter().all(|t| *t <= 1));
    }

    #[test]
    fn no_class_goes_without_because_it_comes_last() {
        let labels: Vec<u32> = (0..1_000).map(|i| i % 100).collect();
        let losses = vec![1.0; 1_000];
        let (draw, losses) = (Draw::Multinomial, Some(&losses[..]));
        let of =
            Population { labels: &labels, classes: 100, weights: None, draw, losses, share: 0.55 };
        let quotas = quotas(&of, &super::losses(&of));
        assert_eq!(quotas.iter().sum::<usize>(), 550);
        assert!(quotas.iter().all(|quota| [5, 6].contains(quota)), "{quotas:?}");
    }
}
