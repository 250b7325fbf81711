//! What became of each sample: how often it was drawn, and what the model said of it when it was
//! last seen. Knows nothing of weights.

use super::metric::Observation;

/// Per-sample figures, all of shape `[n]`; 16 bytes a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    drawn: Vec<u32>,
    p: Vec<f32>,
    predicted: Vec<u32>,
    confidence: Vec<f32>,
}

/// What the model said of a sample when it was last drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LastSeen {
    /// Probability of its true class.
    pub p: f32,
    /// The most probable class.
    pub predicted: u32,
    /// That one's probability.
    pub confidence: f32,
}

impl Ledger {
    /// Of `samples` samples, none drawn yet.
    pub fn new(samples: usize) -> Self {
        Self {
            drawn: vec![0; samples],
            p: vec![f32::NAN; samples],
            predicted: vec![0; samples],
            confidence: vec![f32::NAN; samples],
        }
    }

    /// A ledger as [`parts`](Self::parts) gave it; the four have the same length.
    pub fn from_parts(
        drawn: Vec<u32>,
        p: Vec<f32>,
        predicted: Vec<u32>,
        confidence: Vec<f32>,
    ) -> Self {
        assert!(
            [p.len(), predicted.len(), confidence.len()] == [drawn.len(); 3],
            "one entry per sample"
        );
        Self { drawn, p, predicted, confidence }
    }

    /// Times drawn, and what was last seen: probability of the true class, prediction, its
    /// probability.
    pub fn parts(&self) -> (&[u32], &[f32], &[u32], &[f32]) {
        (&self.drawn, &self.p, &self.predicted, &self.confidence)
    }

    /// Takes a part of an epoch: `observations[k]` is what the forward pass said of sample
    /// `draws[k]`. `labels` has shape `[n]`.
    pub fn record(&mut self, draws: &[u32], observations: &[Observation], labels: &[u32]) {
        assert_eq!(draws.len(), observations.len(), "one observation per draw");
        for (&i, o) in draws.iter().zip(observations) {
            let i = i as usize;
            self.drawn[i] += 1;
            self.p[i] = o.p_true;
            (self.predicted[i], self.confidence[i]) = o.prediction(labels[i]);
        }
    }

    /// Takes a part of an epoch of which the model said nothing of single samples.
    pub fn count(&mut self, draws: &[u32]) {
        draws.iter().for_each(|i| self.drawn[*i as usize] += 1);
    }

    /// Counts draws from here on; what was last seen stays.
    pub fn count_anew(&mut self) {
        self.drawn.fill(0);
    }

    /// Times each sample was drawn since the last [`count_anew`](Self::count_anew), shape `[n]`.
    pub fn drawn(&self) -> &[u32] {
        &self.drawn
    }

    /// Count of samples that were not drawn since then.
    pub fn never_drawn(&self) -> usize {
        self.drawn.iter().filter(|d| **d == 0).count()
    }

    /// The loss of each sample when the model last saw it, `-ln p` in nats, shape `[n]`; of samples
    /// that it never saw, or of which it said nothing finite, that of p = 1e-4.
    pub fn losses(&self) -> Vec<f32> {
        const LEAST: f32 = 1e-4;
        let loss = |p: &f32| -(if p.is_nan() { LEAST } else { p.max(LEAST) }).ln();
        self.p.iter().map(loss).collect()
    }

    /// What the model last said of sample `i`; `None` when it was never drawn, or the output was
    /// not finite.
    pub fn last_seen(&self, i: usize) -> Option<LastSeen> {
        let seen =
            LastSeen { p: self.p[i], predicted: self.predicted[i], confidence: self.confidence[i] };
        seen.p.is_finite().then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_counted_anew_and_what_was_seen_last_stays() {
        let mut ledger = Ledger::new(3);
        let sure =
            Observation { p_true: 0.9, p_other: 0.1, other: 0.0, sum_squares: 0.82, entropy: 0.3 };
        let wrong =
            Observation { p_true: 0.2, p_other: 0.7, other: 2.0, sum_squares: 0.54, entropy: 0.8 };
        ledger.record(&[0, 1, 1], &[sure, sure, wrong], &[1, 1, 0]);
        assert_eq!((ledger.drawn(), ledger.never_drawn()), (&[1, 2, 0][..], 1));
        assert_eq!(ledger.last_seen(0), Some(LastSeen { p: 0.9, predicted: 1, confidence: 0.9 }));
        assert_eq!(ledger.last_seen(1), Some(LastSeen { p: 0.2, predicted: 2, confidence: 0.7 }));
        assert_eq!(ledger.last_seen(2), None);
        let losses = ledger.losses();
        assert!((losses[0] - -0.9_f32.ln()).abs() < 1e-6 && losses[2] == -1e-4_f32.ln());
        ledger.count_anew();
        assert_eq!(ledger.never_drawn(), 3);
        assert!(ledger.last_seen(1).is_some());
    }
}
