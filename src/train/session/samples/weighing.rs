//! The weights: computed from what was recorded once they are due, and told. Knows nothing of
//! steps, losses or commands.

use super::{Importance, Samples};
use crate::config::{ImportanceConfig, Pretrain, RunConfig};
use crate::importance::{Metric, Probabilities, Weights, WeightsError, Window, settled};
use crate::protocol::{Event, Phase, WeightsSummary};
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

impl Samples {
    /// Computes the weights from what was recorded, after `completed` epochs; the events that tell
    /// of them.
    ///
    /// # Errors
    /// Why there can be none: then all samples weigh the same.
    pub(in super::super) fn weigh(
        &mut self,
        config: &ImportanceConfig,
        completed: usize,
    ) -> Result<Vec<Event>, WeightsError> {
        let weights =
            match Weights::from_scores(&self.recorder.scores(config.metric, config.window)) {
                Ok(weights) => weights,
                Err(e) => {
                    self.weigh_equally();
                    return Err(e);
                }
            };
        let p = self.recorder.p_true(config.window);
        let p = p.into_iter().map(|p| p.unwrap_or(f32::NAN)).collect();
        let margin = self.recorder.scores(Metric::Margin, Window::Last);
        let suspect = margin.iter().map(|m| m.is_some_and(|m| m > SUSPECT)).collect();
        let importance = Importance { weights, p, suspect };
        let told = self.told_of(&importance, config, completed);
        self.importance = Some(Arc::new(importance));
        self.weighed_at = completed;
        self.ledger.count_anew();
        self.sheet_is_due = true;
        Ok(told)
    }

    /// Equal weights, by which biased draws are uniform.
    fn weigh_equally(&mut self) {
        let n = self.labels.len();
        if let Ok(weights) = Weights::from_scores(&vec![Some(1.0); n]) {
            let (p, suspect) = (vec![f32::NAN; n], vec![false; n]);
            self.importance = Some(Arc::new(Importance { weights, p, suspect }));
        }
    }

    /// What the weights would be if E were now, after `completed` epochs, while that lies ahead.
    pub(in super::super) fn preview(&self, config: &RunConfig, completed: usize) -> Option<Event> {
        // A fresh window is a pass of its own: there is nothing to look at before it. And weights
        // that are still there are those of the epoch that ended.
        let is_pretraining = completed < config.pretrain_epochs() && self.importance.is_none();
        let config = &config.importance;
        if !is_pretraining || config.window == Window::Fresh {
            return None;
        }
        let scores = self.recorder.scores(config.metric, config.window);
        let weights = Weights::from_scores(&scores).ok()?;
        let q = Probabilities::shape(&weights, &self.labels, self.classes, &config.shaping());
        Some(Event::WeightsPreview(self.summary_of(&weights, &q, completed)))
    }

    /// How settled the importance is after an epoch of this phase, in [0, 1]; `None` where it was
    /// not recorded, or for the first time.
    pub(in super::super) fn settled(&self, config: &RunConfig, phase: Phase) -> Option<f64> {
        let c = &config.importance;
        let recorded = (phase == Phase::Pretrain).then_some(&self.recorder)?;
        settled(recorded, c.metric, c.window, config.seed)
    }

    fn summary_of(&self, weights: &Weights, q: &Probabilities, completed: usize) -> WeightsSummary {
        let (histogram, draws) = (weights.histogram(BINS), q.histogram(BINS));
        WeightsSummary {
            epoch: completed,
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

    /// The weights' summary, and warnings where there is something odd about them.
    fn told_of(
        &self,
        importance: &Importance,
        config: &ImportanceConfig,
        completed: usize,
    ) -> Vec<Event> {
        let Importance { weights, suspect, .. } = importance;
        let q = importance.probabilities(&self.labels, self.classes, &config.shaping());
        let mut told = vec![Event::Weights(self.summary_of(weights, &q, completed))];
        if q.fell_back() {
            let why = if config.pretrain_epochs == Pretrain::Epochs(0) {
                "E = 0: nothing was recorded"
            } else {
                "all weights are equal"
            };
            told.push(warning(
                "uniform-weights",
                format!("{why}, so biased draws are uniform draws with replacement"),
            ));
        } else if weights.unseen() > 0 {
            told.push(warning(
                "unseen",
                format!(
                    "{} samples were never observed before E: their weight is 1",
                    weights.unseen()
                ),
            ));
        }
        let to_suspects: f64 =
            q.values().iter().zip(suspect).filter(|(_, s)| **s).map(|(q, _)| q).sum();
        if to_suspects > SUSPECT_DRAWS && config.sampler.sampling().needs_weights() {
            let count = suspect.iter().filter(|s| **s).count();
            told.push(warning(
                "label-noise",
                format!(
                    "{count} samples are confidently called another class and would get {:.0}% of \
                     the draws: wrong labels? Look at them, or \
                     leave the hardest out (importance.drop_hardest)",
                    100.0 * to_suspects
                ),
            ));
        }
        told
    }
}

fn warning(code: &str, text: String) -> Event {
    Event::Warning { code: code.into(), text }
}
