//! Colour jitter decided per draw: factors of brightness, contrast and saturation. A pure function
//! of (seed, epoch, position in the epoch). Knows nothing of pixels.

use crate::stream::{Purpose, stream};
use rand::Rng;
use std::ops::Range;

/// How far factors may be from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorJitter {
    /// s, in (0, 1).
    pub strength: f64,
}

impl ColorJitter {
    /// Brightness, contrast and saturation of the draws at `positions` of `epoch`, each uniform in
    /// `1 - s..1 + s`. Any position can be asked for alone.
    pub fn factors(self, seed: u64, epoch: u64, positions: Range<usize>) -> Vec<[f32; 3]> {
        const WORDS: u128 = 3; // of 32 bits: one a factor
        let mut rng = stream(seed, Purpose::Color, epoch);
        rng.set_word_pos(positions.start as u128 * WORDS);
        let mut factor = || {
            let share = f64::from(rng.next_u32()) / f64::from(u32::MAX);
            (1.0 + self.strength * (2.0 * share - 1.0)) as f32
        };
        positions.map(|_| std::array::from_fn(|_| factor())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_uniform_about_one_and_any_part_can_be_asked_for_alone() {
        let jitter = ColorJitter { strength: 0.4 };
        let whole = jitter.factors(3, 2, 0..20_000);
        assert_eq!(jitter.factors(3, 2, 37..61), whole[37..61]);
        assert_ne!(jitter.factors(3, 3, 0..20_000), whole);
        for k in 0..3 {
            let all: Vec<f64> = whole.iter().map(|f| f64::from(f[k])).collect();
            assert!(all.iter().all(|f| (0.6..=1.4).contains(f)));
            let mean = all.iter().sum::<f64>() / 20_000.0;
            let square = all.iter().map(|f| (f - 1.0).powi(2)).sum::<f64>() / 20_000.0;
            assert!((mean - 1.0).abs() < 0.008, "{mean}");
            assert!((square - 0.4 * 0.4 / 3.0).abs() < 0.003, "{square}");
        }
    }
}
