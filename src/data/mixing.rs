//! Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019), decided per batch: how much of each
//! pixel is the image's own, the rest being that of the image at the same place from the batch's
//! end. A pure function of (seed, epoch, step). Knows nothing of pixels.

use crate::stream::{Purpose, stream};
use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution};

/// What batches are mixed by. Where both are on, each batch is mixed by one of them, by chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixing {
    /// alpha of mixup; 0 = off.
    pub mixup: f64,
    /// alpha of CutMix; 0 = off.
    pub cutmix: f64,
}

/// How a batch is mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Share of each pixel that is the image's own, `[h, w]`, in [0, 1].
    pub own: Vec<f32>,
    /// Its mean, which is the label's share of the loss.
    pub share: f64,
}

impl Mixing {
    /// By these alphas; `None` where both are off.
    pub fn of(mixup: f64, cutmix: f64) -> Option<Self> {
        (mixup > 0.0 || cutmix > 0.0).then_some(Self { mixup, cutmix })
    }

    /// That of batch `step` of `epoch`, of images of so many rows and columns.
    pub fn mixture(self, (seed, epoch): (u64, u64), step: usize, size: [usize; 2]) -> Mixture {
        // Of 32 bits: far more than a batch takes, whose count varies.
        const WORDS: u128 = 1 << 16;
        let mut rng = stream(seed, Purpose::Mixing, epoch);
        rng.set_word_pos(step as u128 * WORDS);
        let cuts = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (true, true) => rng.random::<bool>(),
            (_, cuts) => cuts,
        };
        let alpha = if cuts { self.cutmix } else { self.mixup };
        // Every alpha of a config is a shape of a beta distribution.
        let lambda = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(&mut rng));
        if cuts { cut(&mut rng, lambda, size) } else { even(lambda, size) }
    }
}

fn even(lambda: f64, [h, w]: [usize; 2]) -> Mixture {
    let own = vec![lambda as f32; h * w];
    Mixture { own, share: lambda }
}

/// A box of `1 - lambda` of the area about a place that may be anywhere: what of it lies outside
/// is lost.
fn cut(rng: &mut impl Rng, lambda: f64, [h, w]: [usize; 2]) -> Mixture {
    let side = (1.0 - lambda).sqrt();
    let mut span = |n: usize| {
        let (half, middle) = ((n as f64 * side) as usize / 2, rng.random_range(0..n));
        middle.saturating_sub(half)..(middle + half).min(n)
    };
    let (rows, columns) = (span(h), span(w));
    let mut own = vec![1.0; h * w];
    for row in rows.clone() {
        own[row * w + columns.start..row * w + columns.end].fill(0.0);
    }
    let share = 1.0 - (rows.len() * columns.len()) as f64 / (h * w) as f64;
    Mixture { own, share }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixtures(mixup: f64, cutmix: f64) -> Vec<Mixture> {
        let mixing = Mixing { mixup, cutmix };
        (0..2_000).map(|step| mixing.mixture((1, 2), step, [16, 24])).collect()
    }

    #[test]
    fn the_share_of_the_label_is_that_of_the_pixels() {
        for (mixup, cutmix) in [(0.2, 0.0), (0.0, 1.0), (0.8, 1.0)] {
            for mixture in mixtures(mixup, cutmix) {
                let mean = mixture.own.iter().map(|v| f64::from(*v)).sum::<f64>() / 384.0;
                assert!((mean - mixture.share).abs() < 1e-6, "{mean} {}", mixture.share);
                assert!(mixture.own.iter().all(|v| (0.0..=1.0).contains(v)));
            }
        }
    }

    #[test]
    fn shares_of_mixup_are_those_of_a_beta_distribution() {
        let shares: Vec<f64> = mixtures(0.4, 0.0).iter().map(|m| m.share).collect();
        let mean = shares.iter().sum::<f64>() / 2_000.0;
        let variance = shares.iter().map(|s| (s - 0.5).powi(2)).sum::<f64>() / 2_000.0;
        assert!((mean - 0.5).abs() < 0.04, "{mean}");
        assert!((variance - 0.25 / 1.8).abs() < 0.01, "{variance}"); // 1 / (4 (2 alpha + 1))
    }

    #[test]
    fn one_of_both_is_taken_each_time_and_steps_differ() {
        let all = mixtures(0.4, 1.0);
        let is_cut = |m: &&Mixture| m.own.contains(&1.0);
        assert!(all.iter().filter(is_cut).count().abs_diff(1_000) < 150);
        assert_ne!(all[0], all[1]);
        assert_eq!(Mixing { mixup: 0.4, cutmix: 1.0 }.mixture((1, 2), 7, [16, 24]), all[7]);
        assert_eq!(Mixing::of(0.0, 0.0), None);
    }
}
