//! The alias table: O(n) to build, O(1) per draw (Walker 1977).
//! Knows nothing of samples, classes or epochs: it draws indices from weights.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
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
    cells: Vec<Cell>,
}

/// One number, so that a draw reads one line of memory. High half: the share of cell `i` that
/// belongs to `i` itself, in units of 2^-32; low half: to whom the rest belongs.
type Cell = u64;

/// Share and alias of a cell.
fn cell(share: f64, alias: usize) -> Cell {
    let threshold = (share * 4_294_967_296.0) as u32; // saturates at 0 and u32::MAX
    Cell::from(threshold) << 32 | alias as Cell
}

fn parts(cell: Cell) -> (u32, u32) {
    ((cell >> 32) as u32, cell as u32)
}

/// Weights or draws that one task takes: fixed, so that results do not depend on how many threads
/// there are.
const BLOCK: usize = 1 << 16;
/// Numbers that are made at once.
const AT_ONCE: usize = 256;
/// Weights that a finger looks at once.
const AHEAD: usize = 512;

impl AliasTable {
    /// Builds the table from any non-negative finite `weights`; they need not sum to 1.
    ///
    /// Two fingers sweep over the weights, one over those below the mean and one over those above,
    /// so that nothing but the table itself takes memory; blocks of weights are swept side by side,
    /// since sums tell where a sweep stands when it comes to a block (Huebschle-Schneider and
    /// Sanders 2022).
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
        // Divided by the largest first: neither a sum of huge weights nor one of subnormals leaves
        // the range of f64.
        let sums: Vec<f64> = weights
            .par_chunks(BLOCK)
            .map(|b| b.iter().map(|w| (*w).into() / largest).sum())
            .collect();
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
    /// One 64-bit number does: the high half of `r * n` picks the cell, what is left of it decides
    /// within the cell.
    pub fn draw(&self, rng: &mut impl Rng) -> u32 {
        self.pick(self.split(rng.next_u64()))
    }

    /// The cell and the coin that a number gives.
    fn split(&self, number: u64) -> (u32, u32) {
        let product = u128::from(number) * self.cells.len() as u128;
        ((product >> 64) as u32, ((product as u64) >> 32) as u32)
    }

    fn pick(&self, (at, coin): (u32, u32)) -> u32 {
        let (threshold, alias) = parts(self.cells[at as usize]);
        // Without a branch: half of them would be foretold wrongly, and the memory would be waited
        // for one after the other.
        let own = u32::from(coin < threshold).wrapping_neg();
        (at & own) | (alias & !own)
    }

    /// Draws as many as `out` has room for: those that [`draw`](Self::draw) on `stream` would give
    /// one after the other, the first `skipped` left out. One number of the stream is one draw, so
    /// that any part of them can be drawn, and parts side by side.
    pub fn fill(&self, stream: &ChaCha8Rng, skipped: usize, out: &mut [u32]) {
        let one_block = |(block, out): (usize, &mut [u32])| {
            self.fill_block(stream, skipped + block * BLOCK, out)
        };
        if out.len() <= BLOCK {
            one_block((0, out)); // nobody else is woken for a batch
        } else {
            out.par_chunks_mut(BLOCK).enumerate().for_each(one_block);
        }
    }

    fn fill_block(&self, stream: &ChaCha8Rng, skipped: usize, out: &mut [u32]) {
        const WORDS: u128 = 2; // 32-bit words of a number
        let mut rng = stream.clone();
        rng.set_word_pos(stream.get_word_pos() + WORDS * skipped as u128);
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

/// Indices on one side of the mean, in their order; found by the hundred, without a branch for
/// each.
struct Scan<F> {
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

impl<F: Fn(usize) -> f64> Scan<F> {
    fn new(mass: F, heavy: bool, range: Range<usize>) -> Self {
        Self {
            mass,
            heavy,
            found: Box::new([0; AHEAD]),
            count: 0,
            given: 0,
            next: range.start,
            end: range.end,
        }
    }
}

impl<F: Fn(usize) -> f64> Iterator for Scan<F> {
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

/// The heavy one in hand when the sweep comes to a block's first light one, and what is left of it;
/// `None` when all are used up.
type InHand = Option<(usize, f64)>;

/// Makes the cells; `mass(i)` is what index `i` has of them, all add up to `n`.
fn sweep(n: usize, mass: impl Fn(usize) -> f64 + Copy + Sync) -> Vec<Cell> {
    // Every index has its cell for itself, until a sweep comes by. Atomic, since a block's sweep
    // writes heavy cells of others; never the same one as another block's.
    let cells: Vec<AtomicU64> =
        (0..n).into_par_iter().map(|i| AtomicU64::new(cell(1.0, i))).collect();
    let blocks = n.div_ceil(BLOCK);
    let block = |b: usize| b * BLOCK..((b + 1) * BLOCK).min(n);
    // An index of some weight: it stands in for one of none that nobody is left for.
    let some = (0..n).find(|i| mass(*i) > 0.0).unwrap_or(0);

    let in_hand = in_hand(blocks, block, mass);
    (0..blocks).into_par_iter().for_each(|b| {
        let until = in_hand.get(b + 1).copied().flatten().map(|(heavy, _)| heavy);
        let mut lights = Scan::new(mass, false, block(b));
        let mut light = lights.next();
        if let Some((mut heavy, mut left)) = in_hand[b] {
            let mut heavies = Scan::new(mass, true, heavy + 1..n);
            loop {
                // The next block goes on with the heavy one that it was foretold, whatever the
                // rounding was here.
                let is_last = until == Some(heavy);
                match light {
                    Some(l) if left >= 1.0 || is_last => {
                        let own = mass(l);
                        cells[l].store(cell(own, heavy), Relaxed);
                        left -= 1.0 - own;
                        light = lights.next();
                    }
                    // No light one is left: the heavy ones that are left are 1 up to rounding, or
                    // other blocks'.
                    None if left >= 1.0 && until.is_none() || is_last => break,
                    _ => {
                        // The heavy one has become light: the next heavy one fills its cell.
                        let Some(following) = heavies.next() else { break };
                        cells[heavy].store(cell(left, following), Relaxed);
                        left = mass(following) - (1.0 - left);
                        heavy = following;
                    }
                }
            }
        }
        // Light ones that are left over are 1 up to rounding, except a weight of zero: it must
        // never be drawn.
        for l in light.into_iter().chain(lights) {
            if mass(l) == 0.0 {
                cells[l].store(cell(0.0, some), Relaxed);
            }
        }
    });
    cells.into_iter().map(AtomicU64::into_inner).collect()
}

/// Where the sweep stands at the beginning of each block.
fn in_hand(
    blocks: usize,
    block: impl Fn(usize) -> Range<usize> + Sync,
    mass: impl Fn(usize) -> f64 + Copy + Sync,
) -> Vec<InHand> {
    // What the light ones of each block lack to 1, and what its heavy ones have beyond: sums over
    // the blocks before.
    let sums_of = |b: usize| {
        block(b).fold([0.0; 2], |[lack, excess], i| {
            let beyond = mass(i) - 1.0;
            [lack + (-beyond).max(0.0), excess + beyond.max(0.0)]
        })
    };
    let of_blocks: Vec<[f64; 2]> = (0..blocks).into_par_iter().map(sums_of).collect();
    let mut before = vec![[0.0; 2]];
    for [lack, excess] in of_blocks {
        let [lacks, excesses] = before[before.len() - 1];
        before.push([lacks + lack, excesses + excess]);
    }
    let at = |b: usize| {
        let lack = before[b][0];
        // The first heavy one with which all excess makes up for it lies in the first block of
        // which that is true.
        let from = before[1..].partition_point(|[_, excess]| *excess < lack);
        if from == blocks {
            return None;
        }
        let mut owed = lack - before[from][1];
        for heavy in Scan::new(mass, true, block(from).start..block(blocks - 1).end) {
            let left = mass(heavy) - owed;
            if left >= 1.0 {
                return Some((heavy, left));
            }
            owed = 1.0 - left;
        }
        None
    };
    let mut in_hand: Vec<InHand> = (0..blocks).into_par_iter().map(at).collect();
    // No rounding lets a block go back behind the one before it.
    for b in 1..blocks {
        in_hand[b] = in_hand[b - 1]
            .zip(in_hand[b])
            .map(|(before, here)| if here.0 < before.0 { before } else { here });
    }
    in_hand
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
        // Bound: p > 1e-4 with fixed seeds; a table with one wrong cell in ten fails by hundreds of
        // orders.
        for (n, draws) in [(10_usize, 1_000_000_u64), (1_000, 2_000_000), (1_000_000, 10_000_000)] {
            let weights: Vec<f64> = (0..n)
                .map(|i| f64::from((i as u32).wrapping_mul(2_654_435_761) >> 20) + 1.0)
                .collect();
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
            table.fill(&one_by_one, 0, &mut filled);
            let mut part = vec![0; n / 3];
            table.fill(&one_by_one, n / 2, &mut part);
            let expected: Vec<u32> = (0..n).map(|_| table.draw(&mut one_by_one)).collect();
            assert!(filled == expected, "{n}");
            assert!(part == expected[n / 2..n / 2 + n / 3], "{n}, a part of them");
        }
    }

    #[test]
    fn more_than_2_to_the_24_weights_work() {
        // PyTorch's multinomial stops at 2^24 categories. All weight is on the last five: none else
        // may appear.
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
        assert_eq!(
            AliasTable::new(&[1.0, -0.5]).err(),
            Some(AliasError::Invalid { index: 1, value: -0.5 })
        );
        assert!(matches!(
            AliasTable::new(&[1.0, 1.0, f64::NAN]),
            Err(AliasError::Invalid { index: 2, .. })
        ));
        assert!(matches!(
            AliasTable::new(&[f64::INFINITY]),
            Err(AliasError::Invalid { index: 0, .. })
        ));
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

    /// What each index has of all cells.
    fn masses(table: &AliasTable) -> Vec<f64> {
        let mut mass = vec![0.0; table.len()];
        for (i, cell) in table.cells.iter().enumerate() {
            let (threshold, alias) = parts(*cell);
            let own =
                if alias as usize == i { 1.0 } else { f64::from(threshold) / 4_294_967_296.0 };
            mass[i] += own;
            mass[alias as usize] += 1.0 - own;
        }
        mass
    }

    #[test]
    fn blocks_that_are_swept_side_by_side_fit_together() {
        let n = 5 * BLOCK + 77;
        let mut rng = stream(3, Purpose::Draw, 1);
        let noise: Vec<f64> = (0..n).map(|_| f64::from(rng.next_u32()) / 4e9).collect();
        let rising = (0..n).map(|i| i as f64).collect::<Vec<_>>();
        let falling = rising.iter().rev().copied().collect();
        let of = |f: &dyn Fn(usize) -> f64| (0..n).map(f).collect::<Vec<f64>>();
        for (name, weights) in [
            ("noise", noise.clone()),
            ("rising", rising),
            ("falling", falling),
            ("equal", vec![0.3; n]),
            ("one in ten thousand", of(&|i| f64::from(u8::from(i % 10_000 == 17)))),
            ("all of the last", of(&|i| f64::from(u8::from(i + 1 == n)))),
            ("all of the first", of(&|i| f64::from(u8::from(i == 0)))),
            ("one block of them", of(&|i| if i / BLOCK == 2 { 1.0 + noise[i] } else { 1e-9 })),
            ("equal up to rounding", of(&|i| 0.1 + 1e-17 * noise[i])),
            ("long tail", of(&|i| 1.0 / (1.0 + i as f64))),
        ] {
            let table = AliasTable::new(&weights).expect("valid weights");
            let sum: f64 = weights.iter().sum();
            for (i, (mass, weight)) in masses(&table).into_iter().zip(&weights).enumerate() {
                let expected = weight / sum * n as f64;
                assert!(
                    (mass - expected).abs() < 1e-6 * expected.max(1.0),
                    "{name}, {i}: {mass}, expected {expected}"
                );
                assert!(*weight > 0.0 || mass == 0.0, "{name}, {i}: {mass} of a weight of zero");
            }
        }
    }

    proptest! {
        #[test]
        fn the_cells_add_up_to_the_weights(
            weights in proptest::collection::vec(0.0_f64..1e6, 1..200),
        ) {
            prop_assume!(weights.iter().any(|w| *w > 0.0));
            let table = AliasTable::new(&weights).expect("valid weights");
            let (sum, n) = (weights.iter().sum::<f64>(), weights.len() as f64);
            for (i, mass) in masses(&table).into_iter().enumerate() {
                prop_assert!(
                    (mass - weights[i] / sum * n).abs() < 1e-6 * n,
                    "{i}: {mass} {}",
                    weights[i],
                );
            }
        }
    }
}
