//! Histograms and quartiles of figures in a known range.
//! Knows nothing of what the figures mean.

use serde::{Deserialize, Serialize};

/// Counts over equal bins; `edges` has one more entry than `counts`, the last bin includes its
/// right edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Bin edges, ascending.
    pub edges: Vec<f32>,
    /// Count per bin.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// `bins` (at least 1) equal bins over `low..=high`; values outside go into the first or last
    /// bin, NaN is left out.
    pub fn over(values: &[f32], low: f32, high: f32, bins: usize) -> Self {
        let bins = bins.max(1);
        let width = (high - low) / bins as f32;
        let mut counts = vec![0; bins];
        for v in values.iter().filter(|v| !v.is_nan()) {
            let bin = if width > 0.0 {
                ((v - low) / width).clamp(0.0, (bins - 1) as f32) as usize
            } else {
                0
            };
            counts[bin] += 1;
        }
        Self { edges: (0..=bins).map(|b| low + width * b as f32).collect(), counts }
    }
}

/// Five-number summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quartiles {
    /// Smallest value.
    pub min: f32,
    /// First quartile, median and third quartile.
    pub quartiles: [f32; 3],
    /// Largest value.
    pub max: f32,
}

impl Quartiles {
    /// Of finite `values`, with linear interpolation between ranks (NumPy's default); zeros for
    /// none.
    pub fn of(values: &[f32]) -> Self {
        let mut v = values.to_vec();
        v.sort_unstable_by(f32::total_cmp);
        let (Some(&min), Some(&max)) = (v.first(), v.last()) else { return Self::default() };
        let at = |share: f64| {
            let rank = share * (v.len() - 1) as f64;
            let (low, high) = (v[rank.floor() as usize], v[rank.ceil() as usize]);
            low + (high - low) * rank.fract() as f32
        };
        Self { min, quartiles: [at(0.25), at(0.5), at(0.75)], max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_belong_to_the_bin_on_their_right_except_the_last() {
        let h = Histogram::over(&[0.0, 0.25, 0.5, 0.75, 1.0, f32::NAN], 0.0, 1.0, 4);
        assert_eq!(h.counts, [1, 1, 1, 2]);
        assert_eq!(h.edges, [0.0, 0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn quartiles_interpolate_as_numpy_does() {
        let q = Quartiles::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!((q.min, q.quartiles, q.max), (1.0, [1.75, 2.5, 3.25], 4.0));
        assert_eq!(Quartiles::of(&[]), Quartiles::default());
        assert_eq!(Quartiles::of(&[0.5]).quartiles, [0.5; 3]);
    }

    proptest! {
        #[test]
        fn every_value_is_counted_once(
            values in proptest::collection::vec(-0.5_f32..1.5, 0..500),
            bins in 1_usize..50,
        ) {
            let h = Histogram::over(&values, 0.0, 1.0, bins);
            prop_assert_eq!(h.counts.iter().sum::<u64>(), values.len() as u64);
            prop_assert_eq!(h.counts.len(), bins);
        }
    }
}
