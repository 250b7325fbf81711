//! The alias table: O(n) to build, O(1) per draw (Walker 1977).
//! Knows nothing of samples, classes or epochs: it draws indices from weights.

use rand::Rng;
use thiserror::Error;

/// Why weights cannot be drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum AliasError {
    /// There is nothing to draw.
    #[error("no weights to draw from")]
    Empty,
    /// A weight is NaN, infinite or negative.
    #[error("weight {value} at index {index} is not a finite number >= 0")]
    Invalid {
        /// Position of the first such weight.
        index: usize,
        /// The weight itself.
        value: f64,
    },
    /// Every weight is zero, so no index has a share.
    #[error("all {0} weights are zero")]
    AllZero(usize),
    /// Indices are stored in 32 bits.
    #[error("{0} weights are more than the 2^32 - 1 that a table can hold")]
    TooMany(usize),
}

/// Draws index `i` with probability `weights[i] / sum(weights)`. Eight bytes a weight.
#[derive(Clone, Debug)]
pub struct AliasTable {
    /// Share of cell `i` that belongs to `i` itself, in units of 2^-32.
    threshold: Vec<u32>,
    /// To whom the rest of the cell belongs.
    alias: Vec<u32>,
}

impl AliasTable {
    /// Builds the table from any non-negative finite `weights`; they need not sum to 1.
    ///
    /// Two fingers sweep over the weights, one over those below the mean and one over those above, so that nothing but the table
    /// itself takes memory (Huebschle-Schneider and Sanders 2022).
    ///
    /// # Errors
    /// [`AliasError`] names the first unusable weight.
    pub fn new<W: Copy + Into<f64>>(weights: &[W]) -> Result<Self, AliasError> {
        let n = weights.len();
        if n == 0 {
            return Err(AliasError::Empty);
        }
        if u32::try_from(n).is_err() {
            return Err(AliasError::TooMany(n));
        }
        let all = || weights.iter().map(|w| (*w).into());
        if let Some(index) = all().position(|w: f64| !w.is_finite() || w < 0.0) {
            return Err(AliasError::Invalid { index, value: weights[index].into() });
        }
        // Scaled by the largest first: neither a sum of huge weights nor one of subnormals leaves the range of f64.
        let largest = all().fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(AliasError::AllZero(n));
        }
        let sum: f64 = all().map(|w| w / largest).sum();
        // In cells: what is below 1 is light and takes the rest of its cell from a heavy one.
        let cells = |i: usize| weights[i].into() / largest / sum * n as f64;
        let next = |from: usize, heavy: bool| (from..n).find(|&i| (cells(i) >= 1.0) == heavy);

        let mut threshold = vec![u32::MAX; n];
        let mut alias: Vec<u32> = (0..n as u32).collect();
        let (mut light, mut heavy) = (next(0, false), next(0, true));
        // What is left of the heavy one in hand.
        let mut left = heavy.map_or(0.0, cells);
        while let Some(h) = heavy {
            let (cell, mass) = match light {
                Some(l) if left >= 1.0 => {
                    light = next(l + 1, false);
                    left -= 1.0 - cells(l);
                    alias[l] = h as u32;
                    (l, cells(l))
                }
                // No light one is left: the others are 1 up to rounding.
                None if left >= 1.0 => break,
                _ => {
                    // The heavy one has become light: the next heavy one fills its cell.
                    heavy = next(h + 1, true);
                    let Some(following) = heavy else { break };
                    let mass = left;
                    left = cells(following) - (1.0 - left);
                    alias[h] = following as u32;
                    (h, mass)
                }
            };
            threshold[cell] = (mass * 4_294_967_296.0) as u32; // saturates at u32::MAX
        }
        // Light ones that are left over are 1 up to rounding, except a weight of zero: it must never be drawn.
        let fallback = all().position(|w| w > 0.0).unwrap_or(0) as u32;
        let mut rest = light;
        while let Some(l) = rest {
            if weights[l].into() == 0.0 {
                threshold[l] = 0;
                alias[l] = fallback;
            }
            rest = next(l + 1, false);
        }
        Ok(Self { threshold, alias })
    }

    /// Count of indices, `n`.
    pub fn len(&self) -> usize {
        self.alias.len()
    }

    /// Always false: a table holds at least one index.
    pub fn is_empty(&self) -> bool {
        self.alias.is_empty()
    }

    /// Draws one index in `0..len()`.
    ///
    /// One 64-bit number does: the high half of `r * n` picks the cell, what is left of it decides within the cell.
    pub fn draw(&self, rng: &mut impl Rng) -> u32 {
        let product = u128::from(rng.next_u64()) * self.alias.len() as u128;
        let cell = (product >> 64) as usize;
        let coin = ((product as u64) >> 32) as u32;
        if coin < self.threshold[cell] { cell as u32 } else { self.alias[cell] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Purpose, stream};
    use proptest::prelude::*;
    use statrs::distribution::{ChiSquared, ContinuousCDF};

    /// p-value of `counts` against `weights` (cells of expectation under 5 are pooled).
    fn chi_square(counts: &[u64], weights: &[f64]) -> f64 {
        let (draws, sum) = (counts.iter().sum::<u64>() as f64, weights.iter().sum::<f64>());
        let (mut statistic, mut cells) = (0.0, 0_u32);
        let (mut seen, mut expected) = (0.0, 0.0);
        for (count, weight) in counts.iter().zip(weights) {
            seen += *count as f64;
            expected += weight / sum * draws;
            if expected >= 5.0 {
                statistic += (seen - expected) * (seen - expected) / expected;
                cells += 1;
                (seen, expected) = (0.0, 0.0);
            }
        }
        1.0 - ChiSquared::new(f64::from(cells - 1)).expect("degrees of freedom").cdf(statistic)
    }

    #[test]
    fn draws_follow_the_weights_from_ten_to_a_million() {
        // Bound: p > 1e-4 with fixed seeds; a table with one wrong cell in ten fails by hundreds of orders.
        for (n, draws) in [(10_usize, 1_000_000_u64), (1_000, 2_000_000), (1_000_000, 10_000_000)] {
            let weights: Vec<f64> = (0..n).map(|i| f64::from((i as u32).wrapping_mul(2_654_435_761) >> 20) + 1.0).collect();
            let table = AliasTable::new(&weights).expect("valid weights");
            let mut rng = stream(7, Purpose::Draw, n as u64);
            let mut counts = vec![0_u64; n];
            for _ in 0..draws {
                counts[table.draw(&mut rng) as usize] += 1;
            }
            let p = chi_square(&counts, &weights);
            assert!(p > 1e-4, "n = {n}: p = {p}");
        }
    }

    #[test]
    fn more_than_2_to_the_24_weights_work() {
        // PyTorch's multinomial stops at 2^24 categories. All weight is on the last five: none else may appear.
        let n = (1 << 24) + 5;
        let mut weights = vec![0.0; n];
        weights[n - 5..].copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 10.0]);
        let table = AliasTable::new(&weights).expect("valid weights");
        let mut rng = stream(7, Purpose::Draw, 1);
        let mut counts = [0_u64; 5];
        for _ in 0..20_000 {
            let i = table.draw(&mut rng) as usize;
            assert!(i >= n - 5, "drew {i}, whose weight is zero");
            counts[i - (n - 5)] += 1;
        }
        assert!(chi_square(&counts, &[1.0, 2.0, 3.0, 4.0, 10.0]) > 1e-4, "{counts:?}");
    }

    #[test]
    fn unusable_weights_are_refused_by_name() {
        assert_eq!(AliasTable::new::<f64>(&[]).err(), Some(AliasError::Empty));
        assert_eq!(AliasTable::new(&[0.0, 0.0]).err(), Some(AliasError::AllZero(2)));
        assert_eq!(AliasTable::new(&[1.0, -0.5]).err(), Some(AliasError::Invalid { index: 1, value: -0.5 }));
        assert!(matches!(AliasTable::new(&[1.0, 1.0, f64::NAN]), Err(AliasError::Invalid { index: 2, .. })));
        assert!(matches!(AliasTable::new(&[f64::INFINITY]), Err(AliasError::Invalid { index: 0, .. })));
    }

    #[test]
    fn extreme_magnitudes_neither_overflow_nor_vanish() {
        let table = AliasTable::new(&[f64::MAX, f64::MAX, 0.0]).expect("huge weights");
        let mut rng = stream(1, Purpose::Draw, 1);
        let ones = (0..10_000).filter(|_| table.draw(&mut rng) == 1).count();
        assert!((4_700..5_300).contains(&ones), "{ones} of 10000"); // 6 standard deviations
        let table = AliasTable::new(&[5e-324, 0.0]).expect("subnormal weights");
        assert!((0..1_000).all(|_| table.draw(&mut rng) == 0));
    }

    proptest! {
        #[test]
        fn the_cells_add_up_to_the_weights(weights in proptest::collection::vec(0.0_f64..1e6, 1..200)) {
            prop_assume!(weights.iter().any(|w| *w > 0.0));
            let table = AliasTable::new(&weights).expect("valid weights");
            let n = weights.len();
            let mut mass = vec![0.0; n];
            for i in 0..n {
                let own = if table.alias[i] as usize == i { 1.0 } else { f64::from(table.threshold[i]) / 4_294_967_296.0 };
                mass[i] += own;
                mass[table.alias[i] as usize] += 1.0 - own;
            }
            let sum: f64 = weights.iter().sum();
            for i in 0..n {
                prop_assert!((mass[i] - weights[i] / sum * n as f64).abs() < 1e-6 * n as f64, "{i}: {} {}", mass[i], weights[i]);
            }
        }
    }
}
