//! The alias table: O(n) to build, O(1) per draw (Walker 1977).
//! Knows nothing of samples, classes or epochs: it draws indices from weights.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
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
    /// One beside the other, so that a draw reads one line of memory.
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Share of cell `i` that belongs to `i` itself, in units of 2^-32.
    threshold: u32,
    /// To whom the rest of the cell belongs.
    alias: u32,
}

/// Weights whose sum or draws one task takes: fixed, so that results do not depend on how many threads there are.
const BLOCK: usize = 1 << 16;
/// Numbers that are made at once.
const AT_ONCE: usize = 256;
/// Weights that a finger looks at once.
const AHEAD: usize = 512;

impl AliasTable {
    /// Builds the table from any non-negative finite `weights`; they need not sum to 1.
    ///
    /// Two fingers sweep over the weights, one over those below the mean and one over those above, so that nothing but the table
    /// itself takes memory (Huebschle-Schneider and Sanders 2022).
    ///
    /// # Errors
    /// [`AliasError`] names the first unusable weight.
    pub fn new<W: Copy + Into<f64> + Sync>(weights: &[W]) -> Result<Self, AliasError> {
        let n = weights.len();
        if n == 0 {
            return Err(AliasError::Empty);
        }
        if u32::try_from(n).is_err() {
            return Err(AliasError::TooMany(n));
        }
        let largest = largest(weights)?;
        if largest == 0.0 {
            return Err(AliasError::AllZero(n));
        }
        // Divided by the largest first: neither a sum of huge weights nor one of subnormals leaves the range of f64.
        let sums: Vec<f64> = weights.par_chunks(BLOCK).map(|b| b.iter().map(|w| (*w).into() / largest).sum()).collect();
        let sum: f64 = sums.into_iter().sum();
        // In cells: what is below 1 is light and takes the rest of its cell from a heavy one.
        let scale = n as f64 / sum / largest;
        let cells = if scale.is_normal() {
            sweep(n, |i| weights[i].into() * scale)
        } else {
            sweep(n, |i| weights[i].into() / largest / sum * n as f64)
        };
        Ok(Self { cells })
    }

    /// Count of indices, `n`.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Always false: a table holds at least one index.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Draws one index in `0..len()`.
    ///
    /// One 64-bit number does: the high half of `r * n` picks the cell, what is left of it decides within the cell.
    pub fn draw(&self, rng: &mut impl Rng) -> u32 {
        self.pick(self.split(rng.next_u64()))
    }

    /// The cell and the coin that a number gives.
    fn split(&self, number: u64) -> (u32, u32) {
        let product = u128::from(number) * self.cells.len() as u128;
        ((product >> 64) as u32, ((product as u64) >> 32) as u32)
    }

    fn pick(&self, (at, coin): (u32, u32)) -> u32 {
        let cell = self.cells[at as usize];
        // Without a branch: half of them would be foretold wrongly, and the memory would be waited for one after the other.
        let own = u32::from(coin < cell.threshold).wrapping_neg();
        (at & own) | (cell.alias & !own)
    }

    /// Draws as many as `out` has room for, as [`draw`](Self::draw) on `stream` would one after the other: one number of the
    /// stream is one draw, so that its parts are drawn side by side.
    pub fn fill(&self, stream: &ChaCha8Rng, out: &mut [u32]) {
        const WORDS: u128 = 2; // 32-bit words of a number
        let begin = stream.get_word_pos();
        out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| {
            let mut rng = stream.clone();
            rng.set_word_pos(begin + WORDS * (block * BLOCK) as u128);
            let (mut bytes, mut places) = ([0_u8; 8 * AT_ONCE], [(0, 0); AT_ONCE]);
            for out in out.chunks_mut(AT_ONCE) {
                let bytes = &mut bytes[..8 * out.len()];
                rng.fill_bytes(bytes);
                for (place, number) in places.iter_mut().zip(bytes.as_chunks().0) {
                    *place = self.split(u64::from_le_bytes(*number));
                }
                // Nothing but reads of the table: many of them are under way at the same time.
                for (out, place) in out.iter_mut().zip(&places) {
                    *out = self.pick(*place);
                }
            }
        });
    }
}

/// The largest weight.
fn largest<W: Copy + Into<f64> + Sync>(weights: &[W]) -> Result<f64, AliasError> {
    let of_block = |block: &[W]| {
        let (mut largest, mut usable) = (0.0_f64, true);
        for w in block {
            let w: f64 = (*w).into();
            usable &= (0.0..f64::INFINITY).contains(&w);
            largest = if w > largest { w } else { largest };
        }
        usable.then_some(largest)
    };
    let largest = weights.par_chunks(BLOCK).map(of_block).try_reduce(|| 0.0, |a, b| Some(a.max(b)));
    largest.ok_or_else(|| {
        let unusable = |w: &W| !(0.0..f64::INFINITY).contains(&(*w).into());
        let index = weights.iter().position(unusable).unwrap_or(0);
        AliasError::Invalid { index, value: weights[index].into() }
    })
}

/// Indices on one side of the mean, in their order; found by blocks, without a branch for each.
struct Finger<F> {
    mass: F,
    heavy: bool,
    /// Indices found, and how many of them were given.
    found: Box<[u32; AHEAD]>,
    count: usize,
    given: usize,
    /// Where to look next, and the end.
    next: usize,
    end: usize,
}

impl<F: Fn(usize) -> f64> Finger<F> {
    fn new(mass: F, heavy: bool, end: usize) -> Self {
        Self { mass, heavy, found: Box::new([0; AHEAD]), count: 0, given: 0, next: 0, end }
    }
}

impl<F: Fn(usize) -> f64> Iterator for Finger<F> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.given == self.count {
            if self.next == self.end {
                return None;
            }
            let to = (self.next + AHEAD).min(self.end);
            (self.count, self.given) = (0, 0);
            for i in self.next..to {
                self.found[self.count] = i as u32;
                self.count += usize::from(((self.mass)(i) >= 1.0) == self.heavy);
            }
            self.next = to;
        }
        self.given += 1;
        Some(self.found[self.given - 1] as usize)
    }
}

/// Fills the cells; `mass(i)` is what index `i` has of them, all add up to `n`.
fn sweep(n: usize, mass: impl Fn(usize) -> f64 + Copy) -> Vec<Cell> {
    let mut cells: Vec<Cell> = (0..n as u32).into_par_iter().map(|alias| Cell { threshold: u32::MAX, alias }).collect();
    let share = |mass: f64| (mass * 4_294_967_296.0) as u32; // saturates at u32::MAX
    let (mut lights, mut heavies) = (Finger::new(mass, false, n), Finger::new(mass, true, n));
    let mut light = lights.next();
    let mut heavy = heavies.next();
    // What is left of the heavy one in hand.
    let mut left = heavy.map_or(0.0, mass);
    while let Some(h) = heavy {
        match light {
            Some(l) if left >= 1.0 => {
                let own = mass(l);
                cells[l] = Cell { threshold: share(own), alias: h as u32 };
                left -= 1.0 - own;
                light = lights.next();
            }
            // No light one is left: the others are 1 up to rounding.
            None if left >= 1.0 => break,
            _ => {
                // The heavy one has become light: the next heavy one fills its cell.
                heavy = heavies.next();
                let Some(following) = heavy else { break };
                cells[h] = Cell { threshold: share(left), alias: following as u32 };
                left = mass(following) - (1.0 - left);
            }
        }
    }
    // Light ones that are left over are 1 up to rounding, except a weight of zero: it must never be drawn.
    let fallback = (0..n).find(|i| mass(*i) > 0.0).unwrap_or(0) as u32;
    for l in light.into_iter().chain(lights) {
        if mass(l) == 0.0 {
            cells[l] = Cell { threshold: 0, alias: fallback };
        }
    }
    cells
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
    fn draws_that_are_made_side_by_side_are_those_made_one_after_the_other() {
        let weights: Vec<f32> = (0..1_000).map(|i| (i % 37) as f32).collect();
        let table = AliasTable::new(&weights).expect("valid weights");
        for n in [0, 1, 255, 256, 257, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 77] {
            let mut one_by_one = stream(7, Purpose::Draw, 3);
            one_by_one.next_u64(); // wherever the stream stands
            let mut filled = vec![0; n];
            table.fill(&one_by_one, &mut filled);
            let expected: Vec<u32> = (0..n).map(|_| table.draw(&mut one_by_one)).collect();
            assert!(filled == expected, "{n}");
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
                let Cell { threshold, alias } = table.cells[i];
                let own = if alias as usize == i { 1.0 } else { f64::from(threshold) / 4_294_967_296.0 };
                mass[i] += own;
                mass[alias as usize] += 1.0 - own;
            }
            let sum: f64 = weights.iter().sum();
            for i in 0..n {
                prop_assert!((mass[i] - weights[i] / sum * n as f64).abs() < 1e-6 * n as f64, "{i}: {} {}", mass[i], weights[i]);
            }
        }
    }
}
