//! Sampling probabilities: how importance weights are shaped into `q`, which sums to 1.
//! Knows nothing of drawing.

use super::Weights;
use super::balance;
use super::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// Whether single samples are biased towards, or only their classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// `q_i` follows the sample's own weight (the paper).
    Sample,
    /// Each class keeps the total that its samples' weights give it, drawn uniformly within the
    /// class.
    Class,
}

/// Everything that turns weights into probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shaping {
    /// Exponent `a` > 0 on the weights; the paper has 1.
    pub exponent: f64,
    /// Share `u` in [0, 1] of the draws that is uniform; the paper has 0.
    pub uniform_mix: f64,
    /// Share `d` in [0, 1) of the samples, the hardest, that is never drawn.
    pub drop_hardest: f64,
    /// Sample or class level.
    pub level: Level,
}

impl Default for Shaping {
    fn default() -> Self {
        Self { exponent: 1.0, uniform_mix: 0.0, drop_hardest: 0.0, level: Level::Sample }
    }
}

/// `q`, shape `[n]`: non-negative, sums to 1 within 1e-9.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities {
    q: Vec<f64>,
    fell_back: bool,
}

impl Probabilities {
    /// `1 / n` for each of `n` >= 1 samples.
    pub fn uniform(n: usize) -> Self {
        Self { q: vec![1.0 / n as f64; n], fell_back: false }
    }

    /// `1 / C'` for each of the C' classes that have samples, uniform within. `labels` has shape
    /// `[n]`, values < `classes`.
    pub fn class_balanced(labels: &[u32], classes: usize) -> Self {
        let sizes = class_sizes(labels.iter().copied(), classes);
        let filled = sizes.iter().filter(|s| **s > 0).count() as f64;
        Self {
            q: labels.iter().map(|&c| 1.0 / (filled * sizes[c as usize] as f64)).collect(),
            fell_back: false,
        }
    }

    /// `q_i = (1 - u) w_i^a / sum_j w_j^a + u / n` over the samples that `drop_hardest` keeps (n
    /// counts those); dropped ones get 0, ties among the hardest are dropped from the highest index
    /// down.
    ///
    /// Weights that are all equal or all zero give the uniform distribution (over the kept ones)
    /// and [`fell_back`](Self::fell_back). `labels` has the weights' shape, values < `classes`.
    pub fn shape(weights: &Weights, labels: &[u32], classes: usize, shaping: &Shaping) -> Self {
        let w = weights.values();
        let kept = keep(w, shaping.drop_hardest);
        let n = kept.iter().filter(|k| **k).count() as f64;
        let largest = w.iter().zip(&kept).filter(|(_, k)| **k).map(|(w, _)| *w).fold(0.0, f32::max);
        // Divided by the largest before the power: a large exponent cannot make all of them vanish.
        let power = |w: f32| {
            if largest > 0.0 { f64::from(w / largest).powf(shaping.exponent) } else { 0.0 }
        };
        let mass = |(w, k): (&f32, &bool)| if *k { power(*w) } else { 0.0 };
        let sum: f64 = w.iter().zip(&kept).map(mass).sum();
        let equal = weights.are_equal() || sum == 0.0;
        let u = if equal { 1.0 } else { shaping.uniform_mix };
        let biased = |pair| if sum > 0.0 { (1.0 - u) * mass(pair) / sum } else { 0.0 };
        let mut q: Vec<f64> = w
            .iter()
            .zip(&kept)
            .map(|(w, k)| biased((w, k)) + if *k { u / n } else { 0.0 })
            .collect();
        if shaping.level == Level::Class {
            let sizes = class_sizes(
                labels.iter().zip(&kept).filter(|(_, k)| **k).map(|(c, _)| *c),
                classes,
            );
            let shares = class_shares(&q, labels, classes);
            for ((q, &c), kept) in q.iter_mut().zip(labels).zip(&kept) {
                let c = c as usize;
                *q = if *kept { shares[c] / sizes[c] as f64 } else { 0.0 };
            }
        }
        Self { q, fell_back: equal }
    }

    /// Probabilities as they were; `None` unless they are non-negative and sum to 1 within 1e-6.
    pub fn restored(q: Vec<f64>) -> Option<Self> {
        let sum: f64 = q.iter().sum();
        (q.iter().all(|q| *q >= 0.0) && (sum - 1.0).abs() < 1e-6)
            .then_some(Self { q, fell_back: false })
    }

    /// The probabilities, shape `[n]`.
    pub fn values(&self) -> &[f64] {
        &self.q
    }

    /// Whether equal weights made this the uniform distribution: a person should be told.
    pub fn fell_back(&self) -> bool {
        self.fell_back
    }

    /// Expected share of draws per class, `sum_{i in c} q_i`, shape `[C]`.
    pub fn class_shares(&self, labels: &[u32], classes: usize) -> Vec<f64> {
        class_shares(&self.q, labels, classes)
    }

    /// Histogram of `n q_i`, the draws that an epoch of n is expected to give each sample, over
    /// `bins` equal bins from 0 to the largest.
    pub fn histogram(&self, bins: usize) -> Histogram {
        let n = self.q.len() as f64;
        let expected: Vec<f32> = self.q.iter().map(|q| (n * q) as f32).collect();
        let largest = expected.iter().copied().fold(0.0, f32::max);
        Histogram::over(&expected, 0.0, largest, bins)
    }

    /// See [`balance::effective_sample_size`].
    pub fn effective_sample_size(&self) -> f64 {
        balance::effective_sample_size(&self.q)
    }

    /// Factors `(1 / (n q_i))^k` on the losses of one batch, divided by their mean. `k` in [0, 1]:
    /// 0 keeps the bias, 1 is unbiased importance sampling. `drawn` are indices that were drawn, so
    /// `q_i > 0`.
    pub fn loss_factors(&self, drawn: &[u32], k: f64) -> Vec<f32> {
        let n = self.q.len() as f64;
        let raw: Vec<f64> = drawn
            .iter()
            .map(|&i| (n * self.q[i as usize]).max(f64::MIN_POSITIVE).powf(-k))
            .collect();
        let mean = raw.iter().sum::<f64>() / raw.len().max(1) as f64;
        raw.iter().map(|f| (f / mean) as f32).collect()
    }
}

/// Which samples stay when the hardest share is left out; at least one does.
fn keep(weights: &[f32], drop_hardest: f64) -> Vec<bool> {
    let n = weights.len();
    let dropped = ((drop_hardest * n as f64).floor() as usize).min(n - 1);
    let mut kept = vec![true; n];
    if dropped > 0 {
        let mut order: Vec<u32> = (0..n as u32).collect();
        let hardest_first =
            |a: &u32, b: &u32| weights[*b as usize].total_cmp(&weights[*a as usize]).then(b.cmp(a));
        order.select_nth_unstable_by(dropped - 1, hardest_first);
        for &i in &order[..dropped] {
            kept[i as usize] = false;
        }
    }
    kept
}

fn class_sizes(labels: impl Iterator<Item = u32>, classes: usize) -> Vec<usize> {
    let mut sizes = vec![0; classes];
    for c in labels {
        sizes[c as usize] += 1;
    }
    sizes
}

fn class_shares(q: &[f64], labels: &[u32], classes: usize) -> Vec<f64> {
    let mut shares = vec![0.0; classes];
    for (q, &c) in q.iter().zip(labels) {
        shares[c as usize] += q;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights(values: &[f32]) -> Weights {
        Weights::from_scores(&values.iter().map(|v| Some(*v)).collect::<Vec<_>>())
            .expect("valid weights")
    }

    fn shape(values: &[f32], shaping: Shaping) -> Vec<f64> {
        Probabilities::shape(&weights(values), &[0, 0, 1, 1], 2, &shaping).values().to_vec()
    }

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    #[test]
    fn the_formula_of_the_paper_and_each_of_its_options() {
        let w = [0.1, 0.2, 0.3, 0.4];
        let s = Shaping::default();
        assert!(close(&shape(&w, s), &[0.1, 0.2, 0.3, 0.4]));
        assert!(close(
            &shape(&w, Shaping { exponent: 2.0, ..s }),
            &[1.0 / 30.0, 4.0 / 30.0, 9.0 / 30.0, 16.0 / 30.0]
        ));
        assert!(close(
            &shape(&w, Shaping { uniform_mix: 0.5, ..s }),
            &[0.175, 0.225, 0.275, 0.325]
        ));
        assert!(close(&shape(&w, Shaping { uniform_mix: 1.0, ..s }), &[0.25; 4]));
        assert!(close(
            &shape(&w, Shaping { drop_hardest: 0.25, ..s }),
            &[1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0, 0.0]
        ));
        assert!(close(&shape(&w, Shaping { level: Level::Class, ..s }), &[0.15, 0.15, 0.35, 0.35]));
    }

    #[test]
    fn equal_or_zero_weights_are_uniform_and_say_so() {
        for w in [[0.0; 4], [0.7; 4]] {
            let p = Probabilities::shape(&weights(&w), &[0, 0, 1, 1], 2, &Shaping::default());
            assert!(p.fell_back() && close(p.values(), &[0.25; 4]), "{p:?}");
        }
        // Only the kept ones are zero.
        let s = Shaping { drop_hardest: 0.5, ..Shaping::default() };
        let p = Probabilities::shape(&weights(&[0.0, 0.0, 0.5, 0.6]), &[0, 0, 1, 1], 2, &s);
        assert!(p.fell_back() && close(p.values(), &[0.5, 0.5, 0.0, 0.0]), "{p:?}");
    }

    #[test]
    fn class_balanced_gives_each_class_that_has_samples_the_same_share() {
        let p = Probabilities::class_balanced(&[0, 0, 0, 2], 3);
        assert!(close(&p.class_shares(&[0, 0, 0, 2], 3), &[0.5, 0.0, 0.5]));
    }

    #[test]
    fn full_reweighting_undoes_the_bias() {
        let p = Probabilities::shape(
            &weights(&[0.1, 0.2, 0.3, 0.4]),
            &[0, 0, 1, 1],
            2,
            &Shaping::default(),
        );
        let f = p.loss_factors(&[0, 3], 1.0);
        assert!((f[0] / f[1] - 4.0).abs() < 1e-5 && (f[0] + f[1] - 2.0).abs() < 1e-6, "{f:?}");
        assert_eq!(p.loss_factors(&[0, 3], 0.0), [1.0, 1.0]);
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_one_whatever_the_options(
            raw in proptest::collection::vec(0.0_f32..=1.0, 2..200),
            exponent in 0.05_f64..20.0,
            uniform_mix in 0.0_f64..=1.0,
            drop_hardest in 0.0_f64..0.99,
            class_level: bool,
        ) {
            let labels: Vec<u32> = (0..raw.len() as u32).map(|i| i % 5).collect();
            let level = if class_level { Level::Class } else { Level::Sample };
            let shaping = Shaping { exponent, uniform_mix, drop_hardest, level };
            let p = Probabilities::shape(&weights(&raw), &labels, 5, &shaping);
            prop_assert!((p.values().iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(p.values().iter().all(|q| q.is_finite() && *q >= 0.0));
            let dropped = p.values().iter().filter(|q| **q == 0.0).count();
            prop_assert!(dropped >= (drop_hardest * raw.len() as f64).floor() as usize);
        }

        #[test]
        fn a_harder_sample_is_never_less_probable(
            raw in proptest::collection::vec(0.0_f32..=1.0, 2..100),
            exponent in 0.1_f64..5.0,
        ) {
            let labels = vec![0; raw.len()];
            let shaping = Shaping { exponent, ..Shaping::default() };
            let p = Probabilities::shape(&weights(&raw), &labels, 1, &shaping);
            for i in 0..raw.len() {
                for j in 0..raw.len() {
                    prop_assert!(raw[i] <= raw[j] || p.values()[i] >= p.values()[j]);
                }
            }
        }
    }
}
