//! What training said about each sample while it was pretrained: sums per metric, over the window
//! and of the last epoch. Knows nothing of weights: it answers with means.

use super::metric::{METRICS, Metric, Observation};
use serde::{Deserialize, Serialize};

/// Which recorded epochs count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// The mean over all recorded epochs.
    Mean,
    /// The last recorded epoch only.
    Last,
    /// One evaluation pass over the training set at E, counted as cost.
    Fresh,
}

/// Per-sample sums of every metric. Shapes: `n` samples, five metrics; 44 bytes a sample.
#[derive(Clone, Debug)]
pub struct Recorder {
    classes: usize,
    count: Vec<u32>,
    sum: Vec<[f32; METRICS.len()]>,
    last: Vec<[f32; METRICS.len()]>,
    epochs: usize,
}

impl Recorder {
    /// Nothing recorded yet for `samples` samples of `classes` classes.
    pub fn new(samples: usize, classes: usize) -> Self {
        Self {
            classes,
            count: vec![0; samples],
            sum: vec![[0.0; METRICS.len()]; samples],
            last: vec![[f32::NAN; METRICS.len()]; samples],
            epochs: 0,
        }
    }

    /// Counts `[n]`, sums and last values `[n, 5]`, as [`from_parts`](Self::from_parts) takes them.
    pub fn parts(&self) -> (&[u32], &[[f32; METRICS.len()]], &[[f32; METRICS.len()]]) {
        (&self.count, &self.sum, &self.last)
    }

    /// A recorder as it was; the three have the same length.
    pub fn from_parts(
        classes: usize,
        count: Vec<u32>,
        sum: Vec<[f32; METRICS.len()]>,
        last: Vec<[f32; METRICS.len()]>,
        epochs: usize,
    ) -> Self {
        assert!(count.len() == sum.len() && sum.len() == last.len(), "one entry per sample");
        Self { classes, count, sum, last, epochs }
    }

    /// Forgets everything: recording begins anew.
    pub fn clear(&mut self) {
        *self = Self::new(self.count.len(), self.classes);
    }

    /// Count of epochs recorded since the last [`clear`](Self::clear).
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// Count of samples, n.
    pub fn samples(&self) -> usize {
        self.count.len()
    }

    /// Count of samples observed at least once.
    pub fn observed(&self) -> usize {
        self.count.iter().filter(|c| **c > 0).count()
    }

    /// Takes a part of an epoch: `observations[k]` is what the forward pass said of sample
    /// `draws[k]`. Both have the same length.
    pub fn record(&mut self, draws: &[u32], observations: &[Observation]) {
        assert_eq!(draws.len(), observations.len(), "one observation per draw");
        for (&i, o) in draws.iter().zip(observations) {
            let i = i as usize;
            for (k, metric) in METRICS.iter().enumerate() {
                let value = metric.of(o, self.classes);
                self.sum[i][k] += value;
                self.last[i][k] = value;
            }
            self.count[i] += 1;
        }
    }

    /// Counts an epoch whose parts were all recorded.
    pub fn end_epoch(&mut self) {
        self.epochs += 1;
    }

    /// The metric of every sample over the window, shape `[n]`; `None` where it was never observed.
    /// A value is NaN where a forward pass was not finite. `Window::Fresh` reads like `Mean`: its
    /// one pass is what was recorded.
    pub fn scores(&self, metric: Metric, window: Window) -> Vec<Option<f32>> {
        let k = METRICS.iter().position(|m| *m == metric).unwrap_or(0);
        let score = |i: usize| match window {
            Window::Mean | Window::Fresh => self.sum[i][k] / self.count[i] as f32,
            Window::Last => self.last[i][k],
        };
        (0..self.count.len()).map(|i| (self.count[i] > 0).then(|| score(i))).collect()
    }

    /// The metric of these samples as a mean over all epochs but the last one, and in that one.
    /// Both have the shape of `samples`; NaN where a sample was not observed in both.
    pub fn apart(&self, samples: &[u32], metric: Metric) -> (Vec<f32>, Vec<f32>) {
        let k = METRICS.iter().position(|m| *m == metric).unwrap_or(0);
        let of_sample = |&i: &u32| {
            let i = i as usize;
            let (sum, last) = (self.sum[i][k], self.last[i][k]);
            match self.count[i] {
                0 | 1 => (f32::NAN, f32::NAN),
                count => ((sum - last) / (count - 1) as f32, last),
            }
        };
        samples.iter().map(of_sample).unzip()
    }

    /// Mean probability of the true class, `p_i`, over the window; `None` where never observed.
    /// Shape `[n]`.
    pub fn p_true(&self, window: Window) -> Vec<Option<f32>> {
        self.scores(Metric::PCorrect, window).into_iter().map(|s| s.map(|s| 1.0 - s)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(p: f32) -> Observation {
        Observation {
            p_true: p,
            p_other: 1.0 - p,
            other: 0.0,
            sum_squares: p * p + (1.0 - p) * (1.0 - p),
            entropy: 0.0,
        }
    }

    #[test]
    fn the_window_is_a_mean_over_epochs_or_the_last_one() {
        let mut r = Recorder::new(3, 2);
        r.record(&[0, 1], &[seen(0.2), seen(0.8)]);
        r.end_epoch();
        r.record(&[1, 0], &[seen(0.4), seen(0.6)]);
        r.end_epoch();
        let close = |a: &[Option<f32>], b: &[Option<f32>]| {
            a.iter().zip(b).all(|(a, b)| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-6,
                (None, None) => true,
                _ => false,
            })
        };
        assert!(close(&r.p_true(Window::Mean), &[Some(0.4), Some(0.6), None]));
        assert!(close(&r.scores(Metric::PCorrect, Window::Last), &[Some(0.4), Some(0.6), None]));
        assert_eq!((r.epochs(), r.observed()), (2, 2));
        r.record(&[0, 2], &[seen(0.3), seen(0.1)]);
        r.end_epoch();
        let (earlier, last) = r.apart(&[0, 2, 1], Metric::PCorrect);
        assert!((earlier[0] - 0.6).abs() < 1e-6 && (last[0] - 0.7).abs() < 1e-6);
        assert!(earlier[1].is_nan() && last[1].is_nan(), "observed once");
        assert!((earlier[2] - 0.2).abs() < 1e-6 && (last[2] - 0.6).abs() < 1e-6);
        r.clear();
        assert_eq!((r.epochs(), r.observed(), r.samples()), (0, 0, 3));
    }

    #[test]
    fn one_broken_observation_stays_visible_in_the_mean() {
        let mut r = Recorder::new(2, 2);
        r.record(&[0, 1], &[seen(f32::NAN), seen(0.5)]);
        r.end_epoch();
        r.record(&[0, 1], &[seen(0.5), seen(0.5)]);
        r.end_epoch();
        let scores = r.scores(Metric::PCorrect, Window::Mean);
        assert!(scores[0].is_some_and(f32::is_nan));
        assert_eq!(scores[1], Some(0.5));
    }
}
