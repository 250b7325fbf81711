//! Sampling probabilities: how importance weights are shaped into `q`, which sums to 1.
//! Knows nothing of drawing.

use super::Weights;
use super::balance;
use super::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// What weights decide: the draws of single samples, of classes, or of samples within classes
/// whose shares are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// `q_i` follows the sample's own weight (the paper).
    Sample,
    /// Each class keeps the total that its samples' weights give it, drawn uniformly within the
    /// class.
    Class,
    /// Each class has the same share; within it, `q_i` follows the weight.
    Balanced,
    /// The share of a class goes by its size, as [`Shaping::class_exponent`] says; within it, `q_i`
    /// follows the weight.
    Within,
}

/// Everything that turns weights into probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shaping {
    /// Exponent `a` >= 0 on the weights; the paper has 1, and 0 makes them equal.
    pub exponent: f64,
    /// Exponent `b` >= 0 on how sure the model is of a sample compared with its class: what is far
    /// harder than its class may have a wrong label, and is drawn less. The paper has 0.
    pub doubt: f64,
    /// Share `u` in [0, 1] of the draws that is uniform; the paper has 0.
    pub uniform_mix: f64,
    /// Share `d` in [0, 1) of the samples, the hardest, that is never drawn.
    pub drop_hardest: f64,
    /// What the weights decide.
    pub level: Level,
    /// Exponent `g` in [0, 1] of [`Level::Within`]: a class of `n_c` samples gets a share
    /// proportional to `n_c^(1 - g)`. 0: its share of the data; 1: the same as every other class.
    pub class_exponent: f64,
}

impl Default for Shaping {
    fn default() -> Self {
        Self {
            exponent: 1.0,
            doubt: 0.0,
            uniform_mix: 0.0,
            drop_hardest: 0.0,
            level: Level::Sample,
            class_exponent: 0.0,
        }
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

    /// Proportional to `mass` `[n]`, non-negative with a positive sum.
    pub fn proportional(mass: &[f64]) -> Self {
        let sum: f64 = mass.iter().sum();
        Self { q: mass.iter().map(|m| m / sum).collect(), fell_back: false }
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

    /// `q_i = (1 - u) b_i + u / n` over the samples that `drop_hardest` keeps (n counts those).
    /// Dropped ones get 0; ties among the hardest are dropped from the highest index down.
    ///
    /// `b_i = m_i / sum_j m_j` at the levels `Sample` and `Class`, where
    /// `m_i = w_i^a min(1, (1 - w_i) / mean_c(1 - w))^b`: for the paper's metric `1 - w` is the
    /// probability that the model gave the true class. At the levels `Within` and `Balanced`
    /// (g = 1) it is proportional to `n_c^-g m_i / mean_c(m)`. `n_c` and `mean_c` are of the kept
    /// samples of the class; a class whose weights are all zero is drawn uniformly.
    ///
    /// At the first two levels, weights that are all equal or all zero give the uniform
    /// distribution (over the kept ones) and [`fell_back`](Self::fell_back). `labels` has the
    /// weights' shape, values < `classes`.
    pub fn shape(weights: &Weights, labels: &[u32], classes: usize, shaping: &Shaping) -> Self {
        let kept = keep(weights.values(), shaping.drop_hardest);
        let sizes =
            class_sizes(labels.iter().zip(&kept).filter(|(_, k)| **k).map(|(c, _)| *c), classes);
        let masses = masses(weights.values(), &kept, (labels, &sizes), shaping);
        let (n, sum) = (sizes.iter().sum::<usize>() as f64, masses.iter().sum::<f64>());
        let by_class = |g| within_classes(&masses, &kept, labels, &sizes, g);
        let (biased, fell_back) = match shaping.level {
            Level::Balanced => (by_class(1.0), false),
            Level::Within => (by_class(shaping.class_exponent), false),
            Level::Sample | Level::Class if weights.are_equal() || sum == 0.0 => {
                (kept.iter().map(|k| if *k { 1.0 / n } else { 0.0 }).collect(), true)
            }
            Level::Sample | Level::Class => (masses.iter().map(|m| m / sum).collect(), false),
        };
        let u = shaping.uniform_mix;
        let mixed = |(b, k): (&f64, &bool)| (1.0 - u) * b + if *k { u / n } else { 0.0 };
        let mut q: Vec<f64> = biased.iter().zip(&kept).map(mixed).collect();
        if shaping.level == Level::Class {
            let shares = class_shares(&q, labels, classes);
            for ((q, &c), kept) in q.iter_mut().zip(labels).zip(&kept) {
                let c = c as usize;
                *q = if *kept { shares[c] / sizes[c] as f64 } else { 0.0 };
            }
        }
        Self { q, fell_back }
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

/// `m_i` of the kept samples, 0 of others; `sizes` of each class are kept. Weights are divided by
/// the largest before the power: a large exponent cannot make all of them vanish.
fn masses(
    w: &[f32],
    kept: &[bool],
    (labels, sizes): (&[u32], &[usize]),
    shaping: &Shaping,
) -> Vec<f64> {
    let samples = || w.iter().zip(labels).zip(kept).filter(|(_, kept)| **kept);
    let largest = samples().map(|((w, _), _)| *w).fold(0.0, f32::max);
    let mut ease = vec![0.0; sizes.len()];
    samples().for_each(|((w, &c), _)| ease[c as usize] += 1.0 - f64::from(*w));
    let mass = |((w, &c), kept): ((&f32, &u32), &bool)| {
        if !kept || largest == 0.0 {
            return 0.0;
        }
        let mean = ease[c as usize] / sizes[c as usize] as f64;
        let relative = if mean > 0.0 { (1.0 - f64::from(*w)) / mean } else { 1.0 };
        f64::from(w / largest).powf(shaping.exponent) * relative.min(1.0).powf(shaping.doubt)
    };
    w.iter().zip(labels).zip(kept).map(mass).collect()
}

/// Shares of the classes proportional to `n_c^(1 - g)`, `sizes` of them kept; within a class by
/// mass, uniformly where it has none.
fn within_classes(
    masses: &[f64],
    kept: &[bool],
    labels: &[u32],
    sizes: &[usize],
    g: f64,
) -> Vec<f64> {
    let totals = class_shares(masses, labels, sizes.len());
    let share = |n: &usize| if *n == 0 { 0.0 } else { (*n as f64).powf(1.0 - g) };
    let all: f64 = sizes.iter().map(share).sum();
    let of_class = |c: usize, mass: f64| {
        let part = if totals[c] > 0.0 { mass / totals[c] } else { 1.0 / sizes[c] as f64 };
        share(&sizes[c]) / all * part
    };
    let samples = masses.iter().zip(kept).zip(labels);
    samples.map(|((m, k), c)| if *k { of_class(*c as usize, *m) } else { 0.0 }).collect()
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

    const LEVELS: [Level; 4] = [Level::Sample, Level::Class, Level::Balanced, Level::Within];

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
        // The harder one of each class: 0.8 of a mean of 0.85, 0.6 of a mean of 0.65.
        let m = [0.1, 0.2 * 0.8 / 0.85, 0.3, 0.4 * 0.6 / 0.65];
        let sum: f64 = m.iter().sum();
        assert!(close(&shape(&w, Shaping { doubt: 1.0, ..s }), &m.map(|m| m / sum)));
        assert!(close(
            &shape(&w, Shaping { drop_hardest: 0.25, ..s }),
            &[1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0, 0.0]
        ));
        assert!(close(&shape(&w, Shaping { level: Level::Class, ..s }), &[0.15, 0.15, 0.35, 0.35]));
    }

    #[test]
    fn classes_get_the_shares_of_their_sizes_and_samples_those_of_their_weights_within() {
        // Three samples of class 0, one of class 1, none of class 2, two of class 3 without weight.
        let (labels, w) = ([0, 0, 0, 1, 3, 3], [0.1, 0.2, 0.3, 0.4, 0.0, 0.0]);
        let q = |level, class_exponent, exponent| {
            let shaping = Shaping { level, class_exponent, exponent, ..Shaping::default() };
            let p = Probabilities::shape(&weights(&w), &labels, 4, &shaping);
            assert!(!p.fell_back());
            p.values().to_vec()
        };
        let third = 1.0 / 3.0;
        let balanced = [third / 6.0, third / 3.0, third / 2.0, third, third / 2.0, third / 2.0];
        assert!(close(&q(Level::Balanced, 0.0, 1.0), &balanced));
        assert!(close(&q(Level::Within, 1.0, 1.0), &balanced));
        let within = [0.5 / 6.0, 0.5 / 3.0, 0.5 / 2.0, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0];
        assert!(close(&q(Level::Within, 0.0, 1.0), &within));
        // Square roots of the sizes, uniform within: square-root sampling.
        let all = 3_f64.sqrt() + 1.0 + 2_f64.sqrt();
        let root = |n: f64| n.sqrt() / all / n;
        let roots = [root(3.0), root(3.0), root(3.0), root(1.0), root(2.0), root(2.0)];
        assert!(close(&q(Level::Within, 0.5, 0.0), &roots));
    }

    #[test]
    fn an_exponent_of_zero_makes_all_samples_alike() {
        let shaping = Shaping { exponent: 0.0, ..Shaping::default() };
        assert!(close(&shape(&[0.0, 0.2, 0.3, 0.4], shaping), &[0.25; 4]));
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
            level in proptest::sample::select(&LEVELS[..]),
            class_exponent in 0.0_f64..=1.0,
            doubt in 0.0_f64..=10.0,
        ) {
            let labels: Vec<u32> = (0..raw.len() as u32).map(|i| i % 5).collect();
            let shaping =
                Shaping { exponent, doubt, uniform_mix, drop_hardest, level, class_exponent };
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
