//! A curve that never loses a spike: points merge in pairs when they become too many, keeping the
//! smallest and the largest. Knows nothing of what is drawn.

use serde::{Deserialize, Serialize};

/// Points kept at most; more than any screen has columns.
const MOST: usize = 4096;

/// One or more merged points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    x: f64,
    min: f64,
    max: f64,
    mean: f64,
    count: u32,
}

/// A curve over ascending x.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    buckets: Vec<Bucket>,
    /// Points per whole bucket.
    merged: u32,
}

impl Series {
    /// Appends a point; one that is not finite is left out, so that it never enters an axis.
    pub fn push(&mut self, x: f64, y: f64) {
        if !x.is_finite() || !y.is_finite() {
            return;
        }
        let capacity = self.merged.max(1);
        match self.buckets.last_mut().filter(|b| b.count < capacity) {
            Some(b) => {
                b.mean += (y - b.mean) / f64::from(b.count + 1);
                b.count += 1;
                (b.x, b.min, b.max) = (x, b.min.min(y), b.max.max(y));
            }
            None => self.buckets.push(Bucket { x, min: y, max: y, mean: y, count: 1 }),
        }
        if self.buckets.len() > MOST {
            self.merged = capacity * 2;
            self.buckets = self.buckets.chunks(2).map(merge).collect();
        }
    }

    /// Forgets everything after `x`: training went back to there.
    pub fn cut_after(&mut self, x: f64) {
        self.buckets.retain(|b| b.x <= x);
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Smallest and largest value.
    pub fn range(&self) -> Option<(f64, f64)> {
        let first = self.buckets.first()?;
        Some(
            self.buckets
                .iter()
                .fold((first.min, first.max), |(a, b), p| (a.min(p.min), b.max(p.max))),
        )
    }

    /// The last point's y (a mean where points are merged).
    pub fn last(&self) -> Option<f64> {
        self.buckets.last().map(|b| b.mean)
    }

    /// Mean curve.
    pub fn means(&self) -> Vec<(f64, f64)> {
        self.buckets.iter().map(|b| (b.x, b.mean)).collect()
    }

    /// Exponential moving mean: each point keeps `weight` (0 to below 1) of the one before it.
    /// Merged points count as many.
    pub fn smoothed(&self, weight: f64) -> Vec<(f64, f64)> {
        let mut smooth: Option<f64> = None;
        let step = |b: &Bucket| {
            let keep = weight.powi(b.count as i32);
            let next = smooth.map_or(b.mean, |s| keep * s + (1.0 - keep) * b.mean);
            smooth = Some(next);
            (b.x, next)
        };
        self.buckets.iter().map(step).collect()
    }

    /// Smallest, mean and largest value at `x`: of the last points not after it, else of the first.
    pub fn at(&self, x: f64) -> Option<[f64; 3]> {
        let after = self.buckets.partition_point(|b| b.x <= x);
        self.buckets.get(after.saturating_sub(1)).map(|b| [b.min, b.mean, b.max])
    }

    /// Both extremes of every bucket.
    pub fn extremes(&self) -> Vec<(f64, f64)> {
        self.buckets.iter().flat_map(|b| [(b.x, b.min), (b.x, b.max)]).collect()
    }
}

fn merge(pair: &[Bucket]) -> Bucket {
    let mut out = pair[0];
    for b in &pair[1..] {
        let count = out.count + b.count;
        out.mean =
            (out.mean * f64::from(out.count) + b.mean * f64::from(b.count)) / f64::from(count);
        (out.x, out.min, out.max, out.count) = (b.x, out.min.min(b.min), out.max.max(b.max), count);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_after_a_cut_is_gone() {
        let mut s = Series::default();
        (0..10).for_each(|i| s.push(f64::from(i), 1.0));
        s.cut_after(4.5);
        assert_eq!(s.means().last(), Some(&(4.0, 1.0)));
        s.push(4.6, 2.0);
        assert_eq!(s.last(), Some(2.0));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_pushed_the_extremes_and_the_mean_survive(
            values in proptest::collection::vec(-1e6_f64..1e6, 1..20_000),
        ) {
            let mut s = Series::default();
            values.iter().enumerate().for_each(|(i, v)| s.push(i as f64, *v));
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            proptest::prop_assert_eq!(s.range(), Some((low, high)));
            proptest::prop_assert!(s.buckets.len() <= MOST);
            let extremes = s.extremes();
            proptest::prop_assert!(
                extremes.iter().any(|(_, y)| *y == low) && extremes.iter().any(|(_, y)| *y == high),
            );
            proptest::prop_assert!(s.means().windows(2).all(|w| w[0].0 < w[1].0));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let summed = s.buckets.iter().map(|b| b.mean * f64::from(b.count)).sum::<f64>();
            let kept = summed / values.len() as f64;
            proptest::prop_assert!((mean - kept).abs() < 1e-6 * (1.0 + low.abs().max(high.abs())));
            // Smoothing stays within what there is, and none at all is the curve itself.
            proptest::prop_assert!(
                s.smoothed(0.9).iter().all(|(_, y)| (low - 1e-6..=high + 1e-6).contains(y)),
            );
            proptest::prop_assert_eq!(s.smoothed(0.0), s.means());
            let [min, mean, max] = s.at(values.len() as f64 / 2.0).expect("points");
            proptest::prop_assert!(min <= mean + 1e-6 && mean <= max + 1e-6);
        }
    }

    #[test]
    fn a_million_points_stay_few_and_keep_their_spike() {
        let mut s = Series::default();
        for i in 0..1_000_000 {
            s.push(f64::from(i), if i == 123_456 { 99.0 } else { 1.0 });
        }
        s.push(1e6, f64::NAN);
        assert!(s.means().len() <= MOST, "{}", s.means().len());
        assert_eq!(s.range(), Some((1.0, 99.0)));
        assert!(s.extremes().iter().any(|(x, y)| *y == 99.0 && (x - 123_456.0).abs() < 1_000.0));
        assert!(s.means().windows(2).all(|w| w[0].0 < w[1].0));
        let total: f64 = s.buckets.iter().map(|b| b.mean * f64::from(b.count)).sum();
        assert!((total - 1_000_098.0).abs() < 1e-3, "{total}");
    }
}
