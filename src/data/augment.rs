//! Augmentation decided per draw, not per sample: a sample drawn twice in an epoch is cropped and
//! flipped twice. A pure function of (seed, epoch, position in the epoch). Knows nothing of pixels.

use super::{DataConfig, TrainCrop};
use crate::stream::{Purpose, stream};
use rand::Rng;
use std::ops::Range;

/// What may be done to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Augment {
    /// Zero padding on each side before a crop of the old size, in pixels.
    pub padding: usize,
    /// Horizontal flip with probability 1/2.
    pub flip: bool,
}

/// What is done to one draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Rows that the window is moved down, in `-padding..=padding`.
    pub down: i64,
    /// Columns that it is moved right, in `-padding..=padding`.
    pub right: i64,
    /// Whether it is mirrored.
    pub flip: bool,
}

impl Augment {
    /// What the config asks for; `None` when nothing. Random resized crops are mirrored where they
    /// are cut out.
    pub fn from_config(config: &DataConfig) -> Option<Self> {
        let is_shifted = config.train_crop == TrainCrop::Shift;
        (is_shifted && (config.crop_padding > 0 || config.flip))
            .then_some(Self { padding: config.crop_padding, flip: config.flip })
    }

    /// The crops of the draws at `positions` of `epoch`. Two 64-bit numbers a draw, so any position
    /// can be asked for alone.
    pub fn crops(&self, seed: u64, epoch: u64, positions: Range<usize>) -> Vec<Crop> {
        const WORDS: u128 = 4; // of 32 bits: two 64-bit numbers
        let mut rng = stream(seed, Purpose::Augment, epoch);
        rng.set_word_pos(positions.start as u128 * WORDS);
        let span = 2 * self.padding as u64 + 1;
        // The high half of a product is uniform up to 2^-32 * span: the bias is beyond notice for
        // spans below 2^8.
        let offset = |r: u32| ((u64::from(r) * span) >> 32) as i64 - self.padding as i64;
        let crop = |_| {
            let (a, b) = (rng.next_u64(), rng.next_u64());
            Crop {
                down: offset(a as u32),
                right: offset((a >> 32) as u32),
                flip: self.flip && b & 1 == 1,
            }
        };
        positions.map(crop).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_an_epoch_can_be_asked_for_alone() {
        let a = Augment { padding: 4, flip: true };
        let whole = a.crops(3, 2, 0..100);
        assert_eq!(a.crops(3, 2, 37..61), whole[37..61]);
        assert_ne!(a.crops(3, 3, 0..100), whole);
    }

    #[test]
    fn offsets_and_flips_are_uniform() {
        let crops = Augment { padding: 2, flip: true }.crops(1, 1, 0..50_000);
        for offset in -2..=2 {
            // 10000 expected, standard deviation 89
            for count in [
                crops.iter().filter(|c| c.down == offset).count(),
                crops.iter().filter(|c| c.right == offset).count(),
            ] {
                assert!(count.abs_diff(10_000) < 540, "{offset}: {count}");
            }
        }
        assert!(crops.iter().filter(|c| c.flip).count().abs_diff(25_000) < 700);
        assert!(crops.iter().all(|c| c.down.abs() <= 2 && c.right.abs() <= 2));
        assert!(Augment { padding: 2, flip: false }.crops(1, 1, 0..100).iter().all(|c| !c.flip));
    }
}
