//! What an epoch draws: its probabilities and its plan, made on a thread of its own while the epoch
//! before it trains. Knows nothing of steps, models or commands.

use super::Importance;
use crate::importance::{AliasTable, Draw, EpochPlan, Probabilities, Shaping};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Everything that decides an epoch's draws: equal recipes give equal plans.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recipe {
    /// Counted from 1.
    pub(super) epoch: usize,
    pub(super) seed: u64,
    pub(super) source: Source,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// Every sample once.
    Shuffle,
    UniformReplacement,
    ClassBalanced,
    Biased(Bias, Draw),
}

/// What probabilities are made of.
#[derive(Clone, Debug)]
pub(super) struct Bias {
    pub(super) importance: Arc<Importance>,
    pub(super) shaping: Shaping,
}

impl PartialEq for Bias {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.importance, &other.importance) && self.shaping == other.shaping
    }
}

/// Probabilities by importance; they serve until the weights or their shaping change.
#[derive(Clone, Debug)]
struct Shaped {
    bias: Bias,
    q: Arc<Probabilities>,
    /// None where nothing was drawn independently yet.
    table: Option<Arc<AliasTable>>,
}

/// A plan and the probabilities that it was drawn by.
#[derive(Clone, Debug)]
pub(in super::super) struct Planned {
    pub(in super::super) plan: Arc<EpochPlan>,
    pub(in super::super) q: Arc<Probabilities>,
    shaped: Option<Shaped>,
}

impl Planned {
    /// As a checkpoint holds them.
    pub(in super::super) fn restored(plan: EpochPlan, q: Probabilities) -> Self {
        Self { plan: Arc::new(plan), q: Arc::new(q), shaped: None }
    }
}

/// Makes plans, and the next one ahead.
#[derive(Debug)]
pub(super) struct Planner {
    labels: Arc<[u32]>,
    classes: usize,
    shaped: Option<Shaped>,
    ahead: Option<(Recipe, JoinHandle<Planned>)>,
}

impl Planner {
    /// Of samples with `labels` `[n]`, values < `classes`.
    pub(super) fn new(labels: Arc<[u32]>, classes: usize) -> Self {
        Self { labels, classes, shaped: None, ahead: None }
    }

    /// The plan of `recipe`: the one made ahead, if that is what came.
    pub(super) fn plan(&mut self, recipe: &Recipe) -> Planned {
        let ahead = self.ahead.take().filter(|(foreseen, _)| foreseen == recipe);
        let made = ahead.and_then(|(_, thread)| thread.join().ok());
        let planned =
            made.unwrap_or_else(|| make(recipe, &self.labels, self.classes, self.shaped.take()));
        self.shaped.clone_from(&planned.shaped);
        planned
    }

    /// Begins to make the plan of `recipe`.
    pub(super) fn foresee(&mut self, recipe: Recipe) {
        let (labels, classes, shaped, of) =
            (self.labels.clone(), self.classes, self.shaped.clone(), recipe.clone());
        let thread =
            Builder::new().name("plan".into()).spawn(move || make(&of, &labels, classes, shaped));
        // Where the system gives no thread, the plan is made when it is due.
        self.ahead = thread.ok().map(|thread| (recipe, thread));
    }
}

fn make(recipe: &Recipe, labels: &[u32], classes: usize, shaped: Option<Shaped>) -> Planned {
    let (n, seed, epoch) = (labels.len(), recipe.seed, recipe.epoch as u64);
    let (plan, q) = match &recipe.source {
        Source::Biased(bias, draw) => {
            return biased(bias, *draw, (labels, classes), (seed, epoch), shaped);
        }
        Source::Shuffle => (EpochPlan::shuffle(n, seed, epoch), Probabilities::uniform(n)),
        Source::UniformReplacement => {
            (EpochPlan::uniform_with_replacement(n, seed, epoch), Probabilities::uniform(n))
        }
        Source::ClassBalanced => (
            EpochPlan::class_balanced(labels, classes, seed, epoch),
            Probabilities::class_balanced(labels, classes),
        ),
    };
    Planned { plan: Arc::new(plan), q: Arc::new(q), shaped }
}

/// By importance; what was shaped before serves again if it is of the same bias.
fn biased(
    bias: &Bias,
    draw: Draw,
    (labels, classes): (&[u32], usize),
    (seed, epoch): (u64, u64),
    shaped: Option<Shaped>,
) -> Planned {
    let mut shaped = shaped.filter(|s| s.bias == *bias).unwrap_or_else(|| {
        let q = bias.importance.probabilities(labels, classes, &bias.shaping);
        Shaped { bias: bias.clone(), q: Arc::new(q), table: None }
    });
    if draw == Draw::Multinomial && shaped.table.is_none() {
        // `q` sums to 1 and has no negative or non-finite entry, so there is a table.
        shaped.table = AliasTable::new(shaped.q.values()).ok().map(Arc::new);
    }
    let plan = match (draw, &shaped.table) {
        (Draw::Multinomial, Some(table)) => EpochPlan::multinomial(table.clone(), seed, epoch),
        _ => EpochPlan::systematic(&shaped.q, seed, epoch),
    };
    Planned { plan: Arc::new(plan), q: shaped.q.clone(), shaped: Some(shaped) }
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
        let bias = |shaping| Bias { importance: importance(100), shaping };
        let plain = bias(Shaping::default());
        let steep =
            Bias { shaping: Shaping { exponent: 2.0, ..Shaping::default() }, ..plain.clone() };
        let sources = [
            Source::Shuffle,
            Source::UniformReplacement,
            Source::ClassBalanced,
            Source::Biased(plain.clone(), Draw::Multinomial),
            Source::Biased(plain, Draw::Systematic),
            Source::Biased(steep, Draw::Multinomial),
            // other weights, though they are equal
            Source::Biased(bias(Shaping::default()), Draw::Multinomial),
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
        let bias = Bias { importance: importance(50), shaping: Shaping::default() };
        let recipe = |epoch, bias: &Bias| Recipe {
            epoch,
            seed: 1,
            source: Source::Biased(bias.clone(), Draw::Multinomial),
        };
        let mut planner = Planner::new(labels, 1);
        let first = planner.plan(&recipe(1, &bias));
        planner.foresee(recipe(2, &bias));
        let second = planner.plan(&recipe(2, &bias));
        assert!(Arc::ptr_eq(&first.q, &second.q));
        assert_ne!(draws(&first), draws(&second));
        let mixed = Bias { shaping: Shaping { uniform_mix: 0.5, ..Shaping::default() }, ..bias };
        assert!(!Arc::ptr_eq(&first.q, &planner.plan(&recipe(3, &mixed)).q));
    }
}
