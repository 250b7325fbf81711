//! What an epoch draws: its probabilities and its plan, made on a thread of its own while the epoch
//! before it trains. Knows nothing of steps, models or commands.

use super::Importance;
use crate::importance::{Draw, EpochPlan, Population, Probabilities, Sampler, Shaped, Shaping};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Everything that decides an epoch's draws: equal recipes give equal plans.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recipe {
    /// Counted from 1.
    pub(super) epoch: usize,
    pub(super) seed: u64,
    pub(super) source: DrawSource,
}

/// What is drawn from, epoch after epoch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DrawSource {
    pub(super) sampler: Sampler,
    /// There for samplers that need it.
    pub(super) weighting: Option<Weighting>,
    /// There for samplers that need them.
    pub(super) losses: Option<Losses>,
    /// Share of the samples that an epoch draws.
    pub(super) share: f64,
}

/// The loss of each sample when the model last saw it.
#[derive(Clone, Debug)]
pub(super) struct Losses(pub(super) Arc<[f32]>);

impl PartialEq for Losses {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What probabilities are made of, and how draws are made by them.
#[derive(Clone, Debug)]
pub(super) struct Weighting {
    pub(super) importance: Arc<Importance>,
    pub(super) shaping: Shaping,
    pub(super) draw: Draw,
}

impl PartialEq for Weighting {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.importance, &other.importance)
            && self.shaping == other.shaping
            && self.draw == other.draw
    }
}

/// Probabilities; they serve until what they are of changes.
#[derive(Clone, Debug)]
struct Kept {
    source: DrawSource,
    shaped: Shaped,
}

/// A plan and the probabilities that it was drawn by.
#[derive(Clone, Debug)]
pub(in super::super) struct Planned {
    pub(in super::super) plan: Arc<EpochPlan>,
    pub(in super::super) q: Arc<Probabilities>,
    kept: Option<Kept>,
}

impl Planned {
    /// As a checkpoint holds them.
    pub(in super::super) fn restored(plan: EpochPlan, q: Probabilities) -> Self {
        Self { plan: Arc::new(plan), q: Arc::new(q), kept: None }
    }
}

/// Makes plans, and the next one ahead.
#[derive(Debug)]
pub(super) struct Planner {
    labels: Arc<[u32]>,
    classes: usize,
    kept: Option<Kept>,
    ahead: Option<(Recipe, JoinHandle<Planned>)>,
}

impl Planner {
    /// Of samples with `labels` `[n]`, values < `classes`.
    pub(super) fn new(labels: Arc<[u32]>, classes: usize) -> Self {
        Self { labels, classes, kept: None, ahead: None }
    }

    /// The plan of `recipe`: the one made ahead, if that is what came.
    pub(super) fn plan(&mut self, recipe: &Recipe) -> Planned {
        let ahead = self.ahead.take().filter(|(foreseen, _)| foreseen == recipe);
        let made = ahead.and_then(|(_, thread)| thread.join().ok());
        let planned =
            made.unwrap_or_else(|| make(recipe, &self.labels, self.classes, self.kept.take()));
        self.kept.clone_from(&planned.kept);
        planned
    }

    /// Begins to make the plan of `recipe`.
    pub(super) fn foresee(&mut self, recipe: Recipe) {
        let (labels, classes, kept, of) =
            (self.labels.clone(), self.classes, self.kept.clone(), recipe.clone());
        let thread =
            Builder::new().name("plan".into()).spawn(move || make(&of, &labels, classes, kept));
        // Where the system gives no thread, the plan is made when it is due.
        self.ahead = thread.ok().map(|thread| (recipe, thread));
    }
}

/// Probabilities that were kept serve again if they are of the same source.
fn make(recipe: &Recipe, labels: &[u32], classes: usize, kept: Option<Kept>) -> Planned {
    let DrawSource { sampler, weighting, losses, share } = &recipe.source;
    let sampling = sampler.sampling();
    let of = Population {
        labels,
        classes,
        weights: weighting
            .as_ref()
            .map(|weighting| (&weighting.importance.weights, &weighting.shaping)),
        draw: weighting.as_ref().map_or(Draw::Multinomial, |weighting| weighting.draw),
        losses: losses.as_ref().map(|losses| &*losses.0),
        share: *share,
    };
    let kept = kept.filter(|kept| kept.source == recipe.source).unwrap_or_else(|| {
        let shaped = Shaped::new(sampling.probabilities(&of));
        Kept { source: recipe.source.clone(), shaped }
    });
    let plan = sampling.plan(&of, &kept.shaped, recipe.seed, recipe.epoch as u64);
    let plan = plan.first(*share);
    Planned { plan: Arc::new(plan), q: kept.shaped.q().clone(), kept: Some(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::importance::Weights;

    fn importance(n: usize) -> Arc<Importance> {
        let scores: Vec<Option<f32>> = (0..n).map(|i| Some(i as f32 / n as f32)).collect();
        let weights = Weights::from_scores(&scores).expect("valid weights");
        Arc::new(Importance { weights, p: vec![0.5; n], suspect: vec![false; n] })
    }

    fn draws(planned: &Planned) -> Vec<u32> {
        planned.plan.at(0..planned.plan.len()).into_owned()
    }

    #[test]
    fn a_plan_made_ahead_is_the_plan_made_when_it_is_due_and_a_changed_recipe_is_not_taken_for_it()
    {
        let labels: Arc<[u32]> = (0..100).map(|i| i % 3).collect();
        let weighting =
            |shaping| Weighting { importance: importance(100), shaping, draw: Draw::Multinomial };
        let plain = weighting(Shaping::default());
        let steep =
            Weighting { shaping: Shaping { exponent: 2.0, ..Shaping::default() }, ..plain.clone() };
        let without = |sampler| DrawSource { sampler, weighting: None, losses: None, share: 1.0 };
        let by = |weighting| DrawSource { weighting: Some(weighting), ..without(Sampler::Biased) };
        let sources = [
            without(Sampler::Uniform),
            without(Sampler::UniformReplacement),
            without(Sampler::ClassBalanced),
            by(plain.clone()),
            by(Weighting { draw: Draw::Systematic, ..plain }),
            by(steep),
            DrawSource { share: 0.5, ..without(Sampler::Uniform) },
            // other weights, though they are equal
            by(weighting(Shaping::default())),
        ];
        let recipe = |k: usize| Recipe { epoch: 7, seed: 3, source: sources[k].clone() };
        for (due, foreseen) in (0..sources.len())
            .flat_map(|due| (0..sources.len()).map(move |foreseen| (due, foreseen)))
        {
            let fresh = draws(&Planner::new(labels.clone(), 3).plan(&recipe(due)));
            let mut planner = Planner::new(labels.clone(), 3);
            planner.foresee(recipe(foreseen));
            assert_eq!(recipe(due) == recipe(foreseen), due == foreseen);
            assert_eq!(draws(&planner.plan(&recipe(due))), fresh, "{due}, foreseen was {foreseen}");
            assert!(planner.ahead.is_none());
        }
    }

    #[test]
    fn probabilities_serve_until_they_change() {
        let labels: Arc<[u32]> = vec![0; 50].into();
        let (shaping, draw) = (Shaping::default(), Draw::Multinomial);
        let weighting = Weighting { importance: importance(50), shaping, draw };
        let recipe = |epoch, weighting: &Weighting| Recipe {
            epoch,
            seed: 1,
            source: DrawSource {
                sampler: Sampler::Biased,
                weighting: Some(weighting.clone()),
                losses: None,
                share: 1.0,
            },
        };
        let mut planner = Planner::new(labels, 1);
        let first = planner.plan(&recipe(1, &weighting));
        planner.foresee(recipe(2, &weighting));
        let second = planner.plan(&recipe(2, &weighting));
        assert!(Arc::ptr_eq(&first.q, &second.q));
        assert_ne!(draws(&first), draws(&second));
        let mixed =
            Weighting { shaping: Shaping { uniform_mix: 0.5, ..Shaping::default() }, ..weighting };
        assert!(!Arc::ptr_eq(&first.q, &planner.plan(&recipe(3, &mixed)).q));
    }
}
