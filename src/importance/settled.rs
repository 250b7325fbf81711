//! How settled the importance is: whether the samples would be ranked the same if they were
//! recorded once more. And when that ends pretraining by itself. Knows nothing of configs, runs or
//! files: what was recorded in, a figure out.

use super::metric::Metric;
use super::recorder::{Recorder, Window};
use crate::stream::{Purpose, stream};
use rand::RngExt;

/// Samples that are looked at, at most: the standard error of a correlation is below 0.004 then.
const MOST: usize = 100_000;

/// How settled the ranking of the samples by `metric` is, in [0, 1]: the rank correlation to be
/// expected between their means over `window` and those of as many other epochs (reliability).
/// `None` before the second recorded epoch, and where all ranks are ties.
///
/// The mean of the earlier epochs is correlated with the last epoch alone, so that nothing is
/// compared with itself. By Spearman (1910) and Brown (1910) that gives the correlation `r` of two
/// single epochs, and the reliability of a mean of `k` of them: `k r / (1 + (k - 1) r)`.
/// Of more than 100,000 samples that many are looked at, the same in all epochs, chosen by `seed`.
pub fn settled(recorder: &Recorder, metric: Metric, window: Window, seed: u64) -> Option<f64> {
    let epochs = recorder.epochs();
    if epochs < 2 {
        return None;
    }
    let samples = looked_at(recorder.samples(), seed);
    let (earlier, last) = recorder.apart(&samples, metric);
    let of_one = of_one_epoch(rank_correlation(&earlier, &last)?, epochs - 1);
    Some(match window {
        Window::Mean => of_mean(of_one, epochs),
        Window::Last | Window::Fresh => of_one,
    })
}

/// The correlation of two single epochs where the mean of `k >= 1` of them has correlation `c` with
/// another one: `c = r sqrt(k / (1 + (k - 1) r))`, solved for `r`. In [0, 1]; 0 for a negative `c`.
fn of_one_epoch(c: f64, k: usize) -> f64 {
    let (square, k) = (c.clamp(0.0, 1.0).powi(2), k as f64);
    let linear = square * (k - 1.0);
    ((linear + (linear * linear + 4.0 * k * square).sqrt()) / (2.0 * k)).clamp(0.0, 1.0)
}

/// The reliability of the mean of `k` epochs, where two single ones have correlation `r`.
fn of_mean(r: f64, k: usize) -> f64 {
    let k = k as f64;
    (k * r / (1.0 + (k - 1.0) * r)).clamp(0.0, 1.0)
}

/// Numbers of the samples that are looked at, ascending: all of up to 100,000, else one out of each
/// 100,000th part of `n`. The same for the same `n` and `seed`.
fn looked_at(n: usize, seed: u64) -> Vec<u32> {
    if n <= MOST {
        return (0..n as u32).collect();
    }
    let mut rng = stream(seed, Purpose::Settled, 0);
    let start = |part: usize| (part as u64 * n as u64 / MOST as u64) as u32;
    (0..MOST).map(|part| rng.random_range(start(part)..start(part + 1))).collect()
}

/// Spearman's rank correlation of two columns of the same length, in [-1, 1] (Spearman 1904): the
/// correlation of their ranks, ties at the mean of theirs. Pairs with a NaN are left out; `None`
/// where a column has no two different values.
pub fn rank_correlation(a: &[f32], b: &[f32]) -> Option<f64> {
    let pairs = a.iter().zip(b).filter(|(a, b)| !a.is_nan() && !b.is_nan());
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.map(|(a, b)| (*a, *b)).unzip();
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in ranks(&a).into_iter().zip(ranks(&b)) {
        let (a, b) = (a - mean, b - mean);
        both += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    let scale = (of_a * of_b).sqrt();
    (scale > 0.0).then(|| (both / scale).clamp(-1.0, 1.0))
}

/// Ranks from 0 in ascending order, ties at the mean of theirs. No value is NaN.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_unstable_by(|i, j| values[*i as usize].total_cmp(&values[*j as usize]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for ties in order.chunk_by(|i, j| values[*i as usize] == values[*j as usize]) {
        let rank = before as f64 + (ties.len() as f64 - 1.0) / 2.0;
        ties.iter().for_each(|i| ranks[*i as usize] = rank);
        before += ties.len();
    }
    ranks
}

/// When pretraining ends by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auto {
    /// How settled the ranking has to be, in [0, 1].
    pub threshold: f64,
    /// The fewest epochs, however settled it is.
    pub least: usize,
    /// The most, whether or not it is settled; at least `least`.
    pub most: usize,
}

/// Why pretraining ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The ranking is settled.
    Settled,
    /// It may not take longer.
    AtMost,
}

impl Auto {
    /// Why pretraining ends after `completed` epochs, which left the ranking this settled; `None`
    /// where it goes on.
    pub fn ends(&self, completed: usize, settled: Option<f64>) -> Option<Ended> {
        let is_settled = settled.is_some_and(|s| s >= self.threshold);
        if is_settled && completed >= self.least {
            return Some(Ended::Settled);
        }
        (completed >= self.most).then_some(Ended::AtMost)
    }

    /// After how many epochs it will probably end, if each goes on as the `recorded` ones did, the
    /// last of them number `completed`: the odds `s / (1 - s)` grow with the count of epochs.
    pub fn forecast(&self, completed: usize, recorded: usize, settled: f64) -> usize {
        let odds = |s: f64| s / (1.0 - s);
        let needed = recorded as f64 * odds(self.threshold) / odds(settled);
        // Rounding is no epoch of its own; where either odds are infinite, casts saturate.
        let more = (needed - recorded as f64 - 1e-9).ceil().max(1.0) as usize;
        completed.saturating_add(more).max(self.least).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::importance::Observation;
    use proptest::prelude::*;

    /// A model of `epochs` epochs: each sample has a difficulty of its own, and in each epoch
    /// something random on top, `noise` times as large.
    fn recorded(samples: usize, epochs: usize, noise: f32) -> Recorder {
        let mut recorder = Recorder::new(samples, 2);
        let all: Vec<u32> = (0..samples as u32).collect();
        for epoch in 0..epochs {
            let mut rng = stream(7, Purpose::Shuffle, epoch as u64);
            let seen = |i: &u32| {
                let own = (*i as f32 + 0.5) / samples as f32;
                let p_true = (own + noise * rng.random_range(0.0..1.0)) / (1.0 + noise);
                let (p_other, other) = (1.0 - p_true, 0.0);
                Observation { p_true, p_other, other, sum_squares: 0.5, entropy: 0.5 }
            };
            let observations: Vec<Observation> = all.iter().map(seen).collect();
            recorder.record(&all, &observations);
            recorder.end_epoch();
        }
        recorder
    }

    fn of_window(recorder: &Recorder, window: Window) -> Option<f64> {
        settled(recorder, Metric::PCorrect, window, 1)
    }

    #[test]
    fn the_rank_correlation_is_that_of_the_textbook() {
        let iq = [106.0, 100.0, 86.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0];
        let hours = [7.0, 27.0, 2.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0];
        let rho = rank_correlation(&iq, &hours).expect("ranks");
        assert!((rho + 29.0 / 165.0).abs() < 1e-12, "{rho}");
        // With ties, by scipy.stats.spearmanr.
        let tied = rank_correlation(&[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0]);
        assert!((tied.expect("ranks") - 0.820_782_681_668_123_3).abs() < 1e-12, "{tied:?}");
        assert_eq!(ranks(&[0.5, 0.1, 0.5, 0.9, 0.5]), [2.0, 0.0, 2.0, 4.0, 2.0]);
        let gap = rank_correlation(&[1.0, f32::NAN, 2.0, 3.0], &[3.0, 1.0, 2.0, 1.0]);
        assert_eq!(gap, Some(-1.0), "a pair with no number is left out");
        assert_eq!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]), None, "all ties");
        assert_eq!(rank_correlation(&[], &[]), None);
    }

    #[test]
    fn the_reliability_of_a_mean_is_spearman_and_brown_s() {
        assert!((of_mean(0.5, 2) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((of_mean(0.3, 1), of_mean(0.0, 9), of_mean(1.0, 9)), (0.3, 0.0, 1.0));
        assert_eq!((of_one_epoch(-0.2, 3), of_one_epoch(1.0, 4)), (0.0, 1.0));
        assert!((of_one_epoch(0.6, 1) - 0.6).abs() < 1e-12);
    }

    #[test]
    fn it_tells_what_recording_once_more_would_give() {
        assert_eq!(of_window(&recorded(500, 1, 0.5), Window::Mean), None);
        for (epochs, noise) in [(2, 1.0), (3, 1.0), (6, 2.0)] {
            let whole = recorded(5_000, 2 * epochs, noise);
            let half = recorded(5_000, epochs, noise); // the first epochs of the whole
            let (all, one): (Vec<u32>, _) = ((0..5_000).collect(), half.parts().1);
            let rest: Vec<f32> =
                all.iter().map(|&i| whole.parts().1[i as usize][0] - one[i as usize][0]).collect();
            let first: Vec<f32> = one.iter().map(|sums| sums[0]).collect();
            let again = rank_correlation(&first, &rest).expect("ranks");
            let told = of_window(&half, Window::Mean).expect("two epochs");
            assert!((told - again).abs() < 0.03, "{epochs} epochs: told {told}, found {again}");
            let last = of_window(&half, Window::Last).expect("two epochs");
            assert!(last < told, "one epoch alone says less");
        }
    }

    #[test]
    fn noise_is_never_settled_and_what_stays_the_same_is() {
        let noise = of_window(&recorded(5_000, 12, 1e6), Window::Mean).expect("epochs");
        assert!(noise < 0.3, "{noise}");
        let same = of_window(&recorded(5_000, 3, 0.0), Window::Mean).expect("epochs");
        assert!(same > 0.9999, "{same}");
        let mut course = (2..8).map(|e| of_window(&recorded(5_000, e, 1.5), Window::Mean));
        assert!(course.by_ref().map_while(|s| s).is_sorted(), "it rises");
    }

    #[test]
    fn the_samples_that_are_looked_at_are_fixed_by_seed_and_count() {
        assert_eq!(looked_at(5, 1), [0, 1, 2, 3, 4]);
        for n in [MOST + 1, 250_000, u32::MAX as usize] {
            let chosen = looked_at(n, 3);
            assert_eq!((chosen.len(), &chosen), (MOST, &looked_at(n, 3)));
            assert!(
                chosen.windows(2).all(|pair| pair[0] < pair[1]) && (chosen[MOST - 1] as usize) < n
            );
        }
        assert_ne!(looked_at(250_000, 3), looked_at(250_000, 4));
    }

    #[test]
    fn pretraining_ends_once_it_is_settled_within_its_bounds() {
        let auto = Auto { threshold: 0.9, least: 2, most: 5 };
        let ends = |completed, settled| auto.ends(completed, settled);
        assert_eq!(ends(1, Some(0.95)), None, "too early");
        assert_eq!((ends(2, Some(0.9)), ends(4, Some(0.89))), (Some(Ended::Settled), None));
        assert_eq!((ends(4, None), ends(5, None)), (None, Some(Ended::AtMost)));
        assert_eq!(ends(5, Some(0.95)), Some(Ended::Settled));
        // After three epochs the odds are 4, and 9 are wanted.
        assert_eq!(Auto { most: 20, ..auto }.forecast(3, 3, 0.8), 7);
        assert_eq!(Auto { most: 20, ..auto }.forecast(13, 3, 0.8), 17, "recorded anew");
        assert_eq!((auto.forecast(3, 3, 0.8), auto.forecast(2, 2, 0.0)), (5, 5), "at most");
        assert_eq!(Auto { threshold: 1.0, ..auto }.forecast(2, 2, 1.0), 3, "the next one");
    }

    proptest! {
        #[test]
        fn ranks_are_those_of_counting(
            pairs in proptest::collection::vec((0_u8..12, 0_u8..12), 2..60),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) =
                pairs.iter().map(|(a, b)| (f32::from(*a), f32::from(*b))).unzip();
            let counted = |v: &[f32]| -> Vec<f64> {
                let below = |x: f32| v.iter().filter(|y| **y < x).count() as f64;
                let ties = |x: f32| v.iter().filter(|y| **y == x).count() as f64;
                v.iter().map(|x| below(*x) + (ties(*x) - 1.0) / 2.0).collect()
            };
            prop_assert_eq!(ranks(&a), counted(&a));
            let (x, y, n) = (counted(&a), counted(&b), a.len() as f64);
            let sum = |f: &dyn Fn(usize) -> f64| (0..a.len()).map(f).sum::<f64>();
            let (sx, sy) = (sum(&|i| x[i]), sum(&|i| y[i]));
            let both = n * sum(&|i| x[i] * y[i]) - sx * sy;
            let spread = |v: &[f64], s: f64| n * sum(&|i| v[i] * v[i]) - s * s;
            let scale = (spread(&x, sx) * spread(&y, sy)).sqrt();
            match rank_correlation(&a, &b) {
                Some(rho) => prop_assert!((rho - both / scale).abs() < 1e-9),
                None => prop_assert!(scale == 0.0),
            }
        }

        #[test]
        fn the_correlation_of_two_epochs_is_found_again(r in 0.0_f64..=1.0, k in 1_usize..50) {
            let c = r * (k as f64 / (1.0 + (k as f64 - 1.0) * r)).sqrt();
            prop_assert!((of_one_epoch(c, k) - r).abs() < 1e-9);
        }
    }
}
