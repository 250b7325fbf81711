//! Random erasing (Zhong et al. 2020) decided per draw, with torchvision's distribution: which
//! piece of an image is erased, if any. A pure function of (seed, epoch, position in the epoch).
//! Knows nothing of pixels.

use crate::stream::{Purpose, stream};
use rand::{Rng, RngExt};
use std::ops::Range;

/// How often a piece is erased.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Erasing {
    /// In (0, 1].
    pub probability: f64,
}

/// A piece of an image, in pixels; empty where nothing is erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// From the top.
    pub rows: Range<usize>,
    /// From the left.
    pub columns: Range<usize>,
}

impl Erasing {
    /// Shares of an image's area that are erased.
    const AREA: Range<f64> = 0.02..0.33;
    /// Height over width of what is erased; logarithms are uniform.
    const RATIO: Range<f64> = 0.3..3.3;
    /// So often a piece is drawn that does not fit the image before there is none.
    const TRIES: usize = 10;

    /// Pieces of the draws at `positions` of `epoch`, of images of so many rows and columns. Any
    /// position can be asked for alone.
    pub fn pieces(
        self,
        (seed, epoch): (u64, u64),
        positions: Range<usize>,
        size: [usize; 2],
    ) -> Vec<Piece> {
        // Of 32 bits: more than all tries of one draw take.
        const WORDS: u128 = 128;
        let mut rng = stream(seed, Purpose::Erasing, epoch);
        let mut piece = |position: usize| {
            rng.set_word_pos(position as u128 * WORDS);
            if rng.random::<f64>() < self.probability { drawn(&mut rng, size) } else { None }
        };
        positions.map(|position| piece(position).unwrap_or_default()).collect()
    }
}

fn drawn(rng: &mut impl Rng, [h, w]: [usize; 2]) -> Option<Piece> {
    let logarithms = Erasing::RATIO.start.ln()..Erasing::RATIO.end.ln();
    (0..Erasing::TRIES).find_map(|_| {
        let area = (h * w) as f64 * rng.random_range(Erasing::AREA);
        let ratio = rng.random_range(logarithms.clone()).exp();
        let sides = [(area * ratio).sqrt(), (area / ratio).sqrt()].map(|v| v.round() as usize);
        let [rows, columns] = sides;
        if rows >= h || columns >= w {
            return None;
        }
        let (top, left) = (rng.random_range(0..=h - rows), rng.random_range(0..=w - columns));
        Some(Piece { rows: top..top + rows, columns: left..left + columns })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_torchvisions_areas_and_any_part_can_be_asked_for_alone() {
        let erasing = Erasing { probability: 0.25 };
        let whole = erasing.pieces((3, 2), 0..20_000, [32, 48]);
        assert_eq!(erasing.pieces((3, 2), 37..61, [32, 48]), whole[37..61]);
        assert_ne!(erasing.pieces((3, 3), 0..20_000, [32, 48]), whole);
        let erased: Vec<&Piece> = whole.iter().filter(|p| !p.rows.is_empty()).collect();
        // 5,000 expected, standard deviation 61.
        assert!(erased.len().abs_diff(5_000) < 250, "{}", erased.len());
        let area = |p: &Piece| (p.rows.len() * p.columns.len()) as f64 / (32.0 * 48.0);
        assert!(erased.iter().all(|p| p.rows.end <= 32 && p.columns.end <= 48));
        assert!(erased.iter().all(|p| (0.01..0.36).contains(&area(p))));
        let mean = erased.iter().map(|p| area(p)).sum::<f64>() / erased.len() as f64;
        assert!((mean - 0.17).abs() < 0.015, "{mean}");
    }
}
