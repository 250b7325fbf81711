//! What is known of the training samples: what training recorded of each and how often it was
//! drawn, the weights made from that, and what an epoch draws by them. Knows nothing of models,
//! steps or commands.

mod planner;
mod restore;
mod sheet;
mod weighing;

pub(super) use self::planner::Planned;
use self::planner::{DrawSource, Losses, Planner, Recipe, Weighting};
pub(super) use self::restore::all;
pub use self::sheet::{Pictures, SampleSheet};
use crate::config::RunConfig;
use crate::importance::{
    EpochPlan, Ledger, Observation, Probabilities, Recorder, Sampler, Shaping, Weights, Window,
    balance,
};
use crate::protocol::Phase;
use crate::stream::fork_seed;
use std::sync::Arc;

/// A sample with a smaller probability of its true class, when the weights were computed, counts as
/// hard.
const HARD: f32 = 0.1;

/// What biased epochs draw by. All of shape `[n]`.
#[derive(Debug)]
struct Importance {
    weights: Weights,
    /// Mean probability of the true class when the weights were computed, NaN where there was no
    /// observation.
    p: Vec<f32>,
    /// Samples that the model confidently called another class: maybe wrong labels.
    suspect: Vec<bool>,
}

impl Importance {
    fn probabilities(&self, labels: &[u32], classes: usize, shaping: &Shaping) -> Probabilities {
        Probabilities::shape(&self.weights, labels, classes, shaping)
    }
}

/// What is known of the training samples.
#[derive(Debug)]
pub(super) struct Samples {
    /// Shape `[n]`, values < `classes`.
    labels: Arc<[u32]>,
    classes: usize,
    /// Labels that were flipped on purpose, shape `[n]`, or empty.
    flipped: Vec<bool>,
    recorder: Recorder,
    ledger: Ledger,
    /// `None` until E.
    importance: Option<Arc<Importance>>,
    /// Epoch whose end the weights were computed at.
    weighed_at: usize,
    /// Somebody asked for new weights.
    rescore: bool,
    /// Whether there is news of single samples.
    sheet_is_due: bool,
    planner: Planner,
}

/// What must happen before the next epoch can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// A pass over all samples, and then the weights.
    Scoring,
    /// The weights, from what was recorded.
    Weights,
}

/// What an epoch drew. Shares are of the draws, unless they say of what.
#[derive(Debug)]
pub(super) struct Draws {
    /// Draws per class, and how many were to be expected, shape `[C]`.
    pub(super) drawn: Vec<u64>,
    pub(super) expected: Vec<f64>,
    /// Share of the samples that were drawn, and how large it was to be expected.
    pub(super) coverage: f64,
    pub(super) expected_coverage: f64,
    pub(super) max_multiplicity: u32,
    /// Count of samples.
    pub(super) never_drawn: usize,
    pub(super) hard_share: Option<f64>,
    pub(super) suspect_share: Option<f64>,
    pub(super) flipped_share: Option<f64>,
    pub(super) balance: f64,
    pub(super) ess: f64,
}

impl Samples {
    /// Of samples with `labels` `[n]`, values < `classes`, of which nothing is known yet; `flipped`
    /// has shape `[n]` or is empty.
    pub(super) fn new(labels: Vec<u32>, classes: usize, flipped: Vec<bool>) -> Self {
        let labels: Arc<[u32]> = labels.into();
        Self {
            recorder: Recorder::new(labels.len(), classes),
            ledger: Ledger::new(labels.len()),
            planner: Planner::new(labels.clone(), classes),
            labels,
            classes,
            flipped,
            importance: None,
            weighed_at: 0,
            rescore: false,
            sheet_is_due: false,
        }
    }

    /// Count of classes, `C`.
    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// Whether there are weights.
    pub(super) fn are_weighed(&self) -> bool {
        self.importance.is_some()
    }

    /// Samples without an observation when the weights were computed; `None` before.
    pub(super) fn unseen(&self) -> Option<usize> {
        self.importance.as_ref().map(|i| i.weights.unseen())
    }

    /// Epoch whose end the weights were computed at.
    pub(super) fn weighed_at(&self) -> usize {
        self.weighed_at
    }

    /// Epochs that the recorder holds.
    pub(super) fn recorded_epochs(&self) -> usize {
        self.recorder.epochs()
    }

    /// Whether somebody asked for new weights, which are due at the next boundary.
    pub(super) fn are_asked_anew(&self) -> bool {
        self.rescore
    }

    /// Makes new weights due at the next boundary.
    pub(super) fn ask_anew(&mut self) {
        self.rescore = true;
    }

    /// Goes back to pretraining: no weights, nothing recorded.
    pub(super) fn forget(&mut self) {
        self.importance = None;
        self.recorder.clear();
    }

    /// What is due between two epochs, after `completed` of them.
    pub(super) fn due(&self, config: &RunConfig, completed: usize) -> Due {
        let e = config.pretrain_epochs();
        if completed < e {
            return Due::Nothing;
        }
        let (weighed, config) = (self.importance.is_some(), &config.importance);
        let (every, since) = (config.rescore_every, completed.saturating_sub(self.weighed_at));
        let again = every > 0 && weighed && since > 0 && since.is_multiple_of(every);
        let first = !weighed && config.window == Window::Fresh && e > 0;
        if self.rescore || again || first {
            Due::Scoring
        } else if weighed {
            Due::Nothing
        } else {
            Due::Weights
        }
    }

    /// Begins a scoring pass: what was recorded before counts no more.
    pub(super) fn begin_scoring(&mut self) {
        self.rescore = false;
        self.recorder.clear();
    }

    /// Takes what a scoring pass said, one observation per sample.
    pub(super) fn record_scores(&mut self, observations: &[Observation]) {
        let all: Vec<u32> = (0..self.labels.len() as u32).collect();
        self.recorder.record(&all, observations);
        self.recorder.end_epoch();
    }

    /// Takes what the forward passes of an epoch said, one observation per draw. Gives the first
    /// drawn sample whose observation is not finite. Where images were mixed in it, what was said
    /// is of no single sample.
    pub(super) fn record_epoch(
        &mut self,
        phase: Phase,
        plan: &EpochPlan,
        observations: &[Observation],
        is_mixed: bool,
    ) -> Option<u32> {
        let mut seen = observations;
        for drawn in plan.blocks() {
            if is_mixed {
                self.ledger.count(&drawn);
                continue;
            }
            let now = seen.split_off(..drawn.len()).unwrap_or_default();
            if phase == Phase::Pretrain {
                self.recorder.record(&drawn, now);
            }
            self.ledger.record(&drawn, now, &self.labels);
        }
        if phase == Phase::Pretrain && !is_mixed {
            self.recorder.end_epoch();
        }
        self.sheet_is_due |= self.importance.is_some();
        let broken = observations.iter().position(|o| !o.is_finite())?;
        Some(plan.at(broken..broken + 1)[0])
    }

    /// What an epoch of this plan, drawn by `q`, drew: asked for once it is recorded.
    pub(super) fn draws(&self, plan: &EpochPlan, q: &Probabilities) -> Draws {
        let (n, times) = (self.labels.len() as f64, plan.multiplicities());
        let all = plan.len() as f64;
        let drawn = plan.class_counts(&self.labels, self.classes);
        let share_of = |marked: &[bool]| {
            let draws: u32 = times.iter().zip(marked).filter(|(_, m)| **m).map(|(t, _)| t).sum();
            f64::from(draws) / all
        };
        let importance = self.importance.as_deref();
        let hard = |i: &Importance| i.p.iter().map(|p| *p < HARD).collect::<Vec<_>>();
        let is_without_replacement = times.iter().all(|t| *t <= 1);
        let expected_coverage = if is_without_replacement {
            all / n
        } else {
            balance::expected_coverage(q.values(), plan.len())
        };
        let shares = q.class_shares(&self.labels, self.classes);
        Draws {
            expected: shares.iter().map(|s| s * all).collect(),
            coverage: times.iter().filter(|t| **t > 0).count() as f64 / n,
            expected_coverage,
            max_multiplicity: times.iter().copied().max().unwrap_or(0),
            never_drawn: importance.map_or(0, |_| self.ledger.never_drawn()),
            hard_share: importance.map(|i| share_of(&hard(i))),
            suspect_share: importance.map(|i| share_of(&i.suspect)),
            flipped_share: (!self.flipped.is_empty()).then(|| share_of(&self.flipped)),
            balance: balance::balance_index(&drawn.iter().map(|d| *d as f64).collect::<Vec<_>>()),
            ess: q.effective_sample_size(),
            drawn,
        }
    }

    /// What `epoch` draws. The next epoch's plan is begun, as far as it can be foreseen: a change
    /// until then, or weights that are not there yet, and it is made when it is due.
    pub(super) fn plan(&mut self, config: &RunConfig, epoch: usize) -> Planned {
        let planned = self.planner.plan(&self.recipe(config, epoch));
        let next = epoch + 1;
        let needs_what_comes = sampler_of(config, next).sampling().needs_losses();
        if next <= config.train.epochs
            && (self.importance.is_some() || next <= config.pretrain_epochs())
            && !needs_what_comes
        {
            let recipe = self.recipe(config, next);
            self.planner.foresee(recipe);
        }
        planned
    }

    fn recipe(&self, config: &RunConfig, epoch: usize) -> Recipe {
        let (c, sampler) = (&config.importance, sampler_of(config, epoch));
        let sampling = sampler.sampling();
        let is_pretraining = phase_of(config, epoch) == Phase::Pretrain;
        let weighting = self.importance.as_ref().filter(|_| sampling.needs_weights());
        let weighting = weighting.map(|importance| Weighting {
            importance: importance.clone(),
            shaping: c.shaping(),
            draw: c.draw,
        });
        let lacks_weights = sampling.needs_weights() && weighting.is_none();
        let losses = sampling.needs_losses().then(|| Losses(self.ledger.losses().into()));
        let source = DrawSource {
            sampler: if lacks_weights { Sampler::Uniform } else { sampler },
            weighting,
            losses,
            share: if is_pretraining { 1.0 } else { c.draws },
        };
        Recipe { epoch, seed: draw_seed(config), source }
    }

    /// Samples of each class, shape `[C]`.
    pub(super) fn class_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.classes];
        self.labels.iter().for_each(|c| sizes[*c as usize] += 1);
        sizes
    }

    /// Class of each sample, shape `[n]`.
    pub(super) fn labels(&self) -> &[u32] {
        &self.labels
    }
}

/// What `epoch`, counted from 1, draws by.
fn sampler_of(config: &RunConfig, epoch: usize) -> Sampler {
    let sampler = config.importance.sampler;
    match (phase_of(config, epoch), sampler.sampling().is_biased()) {
        (Phase::Pretrain, _) | (Phase::Uniform, true) => Sampler::Uniform,
        (Phase::Biased, _) | (Phase::Uniform, false) if config.is_deferred(epoch) => {
            Sampler::Uniform
        }
        (Phase::Biased, _) | (Phase::Uniform, false) => sampler,
    }
}

/// Which phase `epoch`, counted from 1, is of.
pub(super) fn phase_of(config: &RunConfig, epoch: usize) -> Phase {
    let c = &config.importance;
    let (e, n) = (config.pretrain_epochs(), config.train.epochs);
    if epoch <= e {
        return Phase::Pretrain;
    }
    let tail = (c.uniform_tail * (n - e) as f64).round() as usize;
    let is_biased =
        c.sampler.sampling().is_biased() && !config.is_deferred(epoch) && epoch <= n - tail;
    if is_biased { Phase::Biased } else { Phase::Uniform }
}

/// Seed of what an epoch draws: a fork's own.
pub(super) fn draw_seed(config: &RunConfig) -> u64 {
    fork_seed(config.seed, config.fork)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Event;

    const LABELS: [u32; 4] = [0, 1, 0, 1];

    /// Sure of its true class with probability `p`, of two.
    fn seen(p: f32) -> Observation {
        let (q, other) = (1.0 - p, 0.0);
        Observation { p_true: p, p_other: q, other, sum_squares: p * p + q * q, entropy: 0.5 }
    }

    fn config(pretrain_epochs: usize) -> RunConfig {
        let mut config = RunConfig::default();
        config.train.epochs = 10;
        config.importance.pretrain_epochs = pretrain_epochs.into();
        config
    }

    /// After one pretraining epoch that said `p` of each sample.
    fn pretrained(p: [f32; 4]) -> (Samples, Option<u32>) {
        let mut samples = Samples::new(LABELS.to_vec(), 2, Vec::new());
        let plan = EpochPlan::restored(vec![2, 0, 3, 1], 4).expect("valid draws");
        let observations = [2, 0, 3, 1].map(|i: usize| seen(p[i]));
        let broken = samples.record_epoch(Phase::Pretrain, &plan, &observations, false);
        (samples, broken)
    }

    #[test]
    fn weights_are_due_once_at_e_and_again_when_asked_or_configured() {
        let (mut samples, broken) = pretrained([0.9, 0.2, 0.6, 0.5]);
        let mut c = config(1);
        assert_eq!(broken, None);
        assert_eq!(samples.due(&config(2), 1), Due::Nothing);
        assert_eq!(samples.due(&c, 1), Due::Weights);
        c.importance.window = Window::Fresh;
        assert_eq!(samples.due(&c, 1), Due::Scoring, "a fresh window is a pass of its own");
        c.importance.window = Window::Mean;
        let told = samples.weigh(&c.importance, 1).expect("finite scores");
        assert!(matches!(&told[..], [Event::Weights(w)] if w.epoch == 1 && w.unseen == 0));
        assert_eq!(samples.due(&c, 1), Due::Nothing);
        c.importance.rescore_every = 2;
        let due: Vec<Due> = (1..6).map(|completed| samples.due(&c, completed)).collect();
        let [no, yes] = [Due::Nothing, Due::Scoring];
        assert_eq!(due, [no, no, yes, no, yes]);
        c.importance.rescore_every = 0;
        samples.ask_anew();
        assert_eq!(samples.due(&c, 1), Due::Scoring);
        samples.begin_scoring();
        samples.record_scores(&[seen(0.5); 4]);
        assert_eq!((samples.recorded_epochs(), samples.due(&c, 1)), (1, Due::Nothing));
        samples.forget();
        assert_eq!((samples.recorded_epochs(), samples.are_weighed()), (0, false));
    }

    #[test]
    fn biased_epochs_draw_by_the_weights_and_others_do_not() {
        let (mut samples, _) = pretrained([1.0, 0.5, 1.0, 0.5]);
        let config = config(1);
        let shuffled = samples.plan(&config, 1);
        assert!(shuffled.plan.multiplicities().iter().all(|times| *times == 1));
        samples.weigh(&config.importance, 1).expect("finite scores");
        let biased = samples.plan(&config, 2);
        assert_eq!(biased.q.values(), [0.0, 0.5, 0.0, 0.5]);
        let draws = samples.draws(&biased.plan, &biased.q);
        assert_eq!((draws.drawn, draws.expected), (vec![0, 4], vec![0.0, 4.0]));
        assert_eq!((draws.hard_share, draws.flipped_share), (Some(0.0), None));
        let mut uniform = config.clone();
        uniform.importance.sampler = Sampler::Uniform;
        assert_eq!(phase_of(&uniform, 3), Phase::Uniform);
        assert!(samples.plan(&uniform, 3).plan.multiplicities().iter().all(|times| *times == 1));
    }

    #[test]
    fn an_observation_that_is_not_finite_names_its_sample_and_gives_equal_weights() {
        let (mut samples, broken) = pretrained([0.9, 0.2, 0.6, f32::NAN]);
        assert_eq!(broken, Some(3));
        let config = config(1);
        assert!(samples.weigh(&config.importance, 1).is_err());
        assert!(samples.are_weighed(), "should somebody turn the bias on, it is uniform");
        assert_eq!(samples.plan(&config, 2).q.values(), [0.25; 4]);
    }

    #[test]
    fn draws_are_counted_from_e_on_and_a_sheet_is_due_after_each_epoch() {
        let (mut samples, _) = pretrained([0.9, 0.2, 0.6, 0.5]);
        let plan = EpochPlan::restored(vec![1, 1, 1, 3], 4).expect("valid draws");
        let q = Probabilities::uniform(4);
        assert_eq!(samples.draws(&plan, &q).never_drawn, 0, "there are no weights yet");
        assert!(!samples.sheet_is_due);
        samples.weigh(&config(1).importance, 1).expect("finite scores");
        assert!(std::mem::take(&mut samples.sheet_is_due));
        samples.record_epoch(Phase::Biased, &plan, &[seen(0.5); 4], false);
        assert!(samples.sheet_is_due && samples.recorded_epochs() == 1);
        let draws = samples.draws(&plan, &q);
        assert_eq!((draws.never_drawn, draws.max_multiplicity), (2, 3));
        assert_eq!((draws.coverage, draws.drawn), (0.5, vec![0, 4]));
    }
}
