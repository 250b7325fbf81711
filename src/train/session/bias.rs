//! The method inside a session: which phase an epoch is of, the weights once they are due, and the
//! scoring pass. Knows nothing of steps, losses or commands.

use super::{Epoch, Importance, Progress, Session, Stage};
use crate::importance::{Metric, Probabilities, Sampler, Weights, Window};
use crate::model::{Mode, kernels};
use crate::protocol::{Cause, Event, Phase, WeightsSummary};
use crate::train::step::{forward_loss, read_observations};
use burn::module::Module;
use burn::tensor::Tensor;
use std::sync::Arc;

/// Bins of the histogram of weights.
const BINS: usize = 40;
/// A sample whose margin metric is above this is confidently called another class: that one's
/// probability is larger by 0.8.
const SUSPECT: f32 = 0.9;
/// Where more of the draws than this go to such samples, wrong labels are likely. Measured on the
/// embedded data, E = 3: 2.3% to 4.2% with clean labels (balanced and long-tailed), 5.4% to 6.9%
/// with a tenth of them flipped.
const SUSPECT_DRAWS: f64 = 0.045;

impl Session {
    pub(super) fn phase_of(&self, epoch: usize) -> Phase {
        let c = &self.config.importance;
        let (e, n) = (c.pretrain_epochs, self.config.train.epochs);
        if epoch <= e {
            return Phase::Pretrain;
        }
        let tail = (c.uniform_tail * (n - e) as f64).round() as usize;
        let uniform =
            matches!(c.sampler, Sampler::Uniform | Sampler::UniformReplacement) || epoch > n - tail;
        if uniform { Phase::Uniform } else { Phase::Biased }
    }

    /// Computes the weights from what was recorded; false when that is impossible and the session
    /// waits instead.
    pub(super) fn weigh(&mut self) -> bool {
        let c = &self.config.importance;
        let (metric, window) = (c.metric, c.window);
        match Weights::from_scores(&self.recorder.scores(metric, window)) {
            Ok(weights) => {
                let p = self
                    .recorder
                    .p_true(window)
                    .into_iter()
                    .map(|p| p.unwrap_or(f32::NAN))
                    .collect();
                let margin = self.recorder.scores(Metric::Margin, Window::Last);
                let suspect = margin.iter().map(|m| m.is_some_and(|m| m > SUSPECT)).collect();
                self.adopt(Importance { weights, p, suspect });
                true
            }
            Err(e) => {
                self.config.importance.sampler = Sampler::Uniform;
                // Equal weights: should somebody turn the bias on, it is uniform.
                if let Ok(equal) = Weights::from_scores(&vec![Some(1.0); self.train.len()]) {
                    self.importance = Some(Arc::new(Importance {
                        weights: equal,
                        p: vec![f32::NAN; self.train.len()],
                        suspect: vec![false; self.train.len()],
                    }));
                }
                let reason = format!(
                    "no weights can be computed: {e}. Resuming trains on uniformly; a smaller \
                     train.lr usually prevents this."
                );
                self.pause(Cause::NotFinite, Some(reason));
                false
            }
        }
    }

    /// Tells what the weights would be if E were now, while that lies ahead.
    pub(super) fn preview(&mut self) {
        let c = &self.config.importance;
        // A fresh window is a pass of its own: there is nothing to look at before it.
        if self.completed >= c.pretrain_epochs || c.window == Window::Fresh {
            return;
        }
        if let Ok(weights) = Weights::from_scores(&self.recorder.scores(c.metric, c.window)) {
            let q = Probabilities::shape(&weights, &self.labels, self.classes, &c.shaping());
            self.outbox.push(Event::WeightsPreview(self.summary_of(&weights, &q)));
        }
    }

    fn summary_of(&self, weights: &Weights, q: &Probabilities) -> WeightsSummary {
        let (histogram, draws) = (weights.histogram(BINS), q.histogram(BINS));
        WeightsSummary {
            epoch: self.completed,
            n: weights.values().len(),
            unseen: weights.unseen(),
            spread: weights.quartiles(),
            mean: weights.mean(),
            ess: q.effective_sample_size(),
            edges: histogram.edges,
            counts: histogram.counts,
            draw_edges: draws.edges,
            draw_counts: draws.counts,
            class_mean: weights.class_means(&self.labels, self.classes),
        }
    }

    fn adopt(&mut self, importance: Importance) {
        let Importance { weights, suspect, .. } = &importance;
        let q =
            importance.probabilities(&self.labels, self.classes, &self.config.importance.shaping());
        self.outbox.push(Event::Weights(self.summary_of(weights, &q)));
        if q.fell_back() {
            let why = if self.config.importance.pretrain_epochs == 0 {
                "E = 0: nothing was recorded"
            } else {
                "all weights are equal"
            };
            self.warn(
                "uniform-weights",
                format!("{why}, so biased draws are uniform draws with replacement"),
            );
        } else if weights.unseen() > 0 {
            self.warn(
                "unseen",
                format!(
                    "{} samples were never observed before E: their weight is 1",
                    weights.unseen()
                ),
            );
        }
        let to_suspects: f64 =
            q.values().iter().zip(suspect).filter(|(_, s)| **s).map(|(q, _)| q).sum();
        if to_suspects > SUSPECT_DRAWS && self.config.importance.sampler == Sampler::Biased {
            let count = suspect.iter().filter(|s| **s).count();
            self.warn(
                "label-noise",
                format!(
                    "{count} samples are confidently called another class and would get {:.0}% of \
                     the draws: wrong labels? Look at them, or \
                     leave the hardest out (importance.drop_hardest)",
                    100.0 * to_suspects
                ),
            );
        }
        self.importance = Some(Arc::new(importance));
        self.weighed_at = self.completed;
        self.ledger.count_anew();
        self.sheet_due = true;
    }

    pub(super) fn score(&mut self, at: usize, mut observations: Vec<Tensor<2>>) -> Progress {
        let n = self.train.len();
        let end = (at + self.config.train.eval_batch_size).min(n);
        let (images, labels) = self.train.range(at..end);
        let logits = self.model().valid().forward(images, Mode::Evaluate);
        observations.push(forward_loss(logits, labels, 0.0, None).observations);
        if end < n {
            self.stage = Stage::Scoring { at: end, observations };
            return Progress::Evaluated;
        }
        let all: Vec<u32> = (0..n as u32).collect();
        self.recorder.record(&all, &read_observations(observations));
        self.recorder.end_epoch();
        self.weigh();
        Progress::Evaluated
    }

    pub(super) fn factors(&self, epoch: &Epoch, drawn: &[u32]) -> Option<Tensor<1>> {
        let k = self.config.importance.reweight;
        (k > 0.0 && epoch.phase == Phase::Biased).then(|| {
            let factors = epoch.q.loss_factors(drawn, k);
            kernels::numbers(&factors, [factors.len()], &self.device)
        })
    }
}
