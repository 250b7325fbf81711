//! One epoch of draws: sample indices in the order in which training takes them.
//! A pure function of (seed, epoch, probabilities). Knows nothing of batches, models or phases.

use super::{AliasTable, Probabilities};
use crate::stream::{Purpose, stream};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// How draws with replacement by importance are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// Independently (the paper).
    Multinomial,
    /// Low variance: sample `i` appears floor or ceil of `n q_i` times, in shuffled order.
    Systematic,
}

/// The draws of one epoch, shape `[m]`; usually there are as many as samples.
#[derive(Clone, Debug)]
pub struct EpochPlan {
    /// Count of draws, m.
    len: usize,
    /// Count of samples, n.
    samples: usize,
    draws: Draws,
}

#[derive(Clone, Debug)]
enum Draws {
    /// Four bytes a draw.
    Listed(Vec<u32>),
    /// Made whenever they are asked for: any part of them is a function of its place in the stream.
    Streamed { table: Arc<AliasTable>, stream: Box<ChaCha8Rng> },
}

/// Draws that are made at once where all are gone through: 4 MiB of them.
const BLOCK: usize = 1 << 20;

impl EpochPlan {
    fn listed(draws: Vec<u32>) -> Self {
        Self { len: draws.len(), samples: draws.len(), draws: Draws::Listed(draws) }
    }

    /// `chosen` of `samples` samples, shuffled.
    pub fn of(mut chosen: Vec<u32>, samples: usize, seed: u64, epoch: u64) -> Self {
        chosen.shuffle(&mut stream(seed, Purpose::Shuffle, epoch));
        Self { samples, ..Self::listed(chosen) }
    }

    /// Every one of `n` samples once, shuffled.
    pub fn shuffle(n: usize, seed: u64, epoch: u64) -> Self {
        let mut draws: Vec<u32> = (0..n as u32).collect();
        draws.shuffle(&mut stream(seed, Purpose::Shuffle, epoch));
        Self::listed(draws)
    }

    /// `n` independent uniform draws from `n` samples.
    pub fn uniform_with_replacement(n: usize, seed: u64, epoch: u64) -> Self {
        let mut rng = stream(seed, Purpose::Draw, epoch);
        Self::listed((0..n).map(|_| rng.random_range(0..n as u32)).collect())
    }

    /// As many independent draws from `table` as it has samples. They are never all in memory.
    pub fn multinomial(table: Arc<AliasTable>, seed: u64, epoch: u64) -> Self {
        Self {
            len: table.len(),
            samples: table.len(),
            draws: Draws::Streamed { table, stream: Box::new(stream(seed, Purpose::Draw, epoch)) },
        }
    }

    /// As many draws as there are samples, sample `i` floor or ceil of `n q_i` times: the points
    /// `u, u+1, u+2, ...` for one uniform `u` fall into the running sum of `n q` (systematic
    /// resampling), then the order is shuffled.
    pub fn systematic(q: &Probabilities, seed: u64, epoch: u64) -> Self {
        let mut rng = stream(seed, Purpose::Draw, epoch);
        let q = q.values();
        let n = q.len();
        let offset = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut draws = Vec::with_capacity(n);
        let mut sum = 0.0;
        for (i, q) in q.iter().enumerate() {
            sum += q * n as f64;
            while draws.len() < n && draws.len() as f64 + offset < sum {
                draws.push(i as u32);
            }
        }
        // The running sum ends at n up to rounding: a last point just beyond it belongs to the last
        // sample that has a share.
        let last = q.iter().rposition(|q| *q > 0.0).unwrap_or(0) as u32;
        draws.resize(n, last);
        draws.shuffle(&mut rng);
        Self::listed(draws)
    }

    /// As many draws as labels: a uniform draw among the classes that have samples, then uniform
    /// within it. `labels` has shape `[n]`, values < `classes`.
    pub fn class_balanced(labels: &[u32], classes: usize, seed: u64, epoch: u64) -> Self {
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); classes];
        for (i, &c) in labels.iter().enumerate() {
            members[c as usize].push(i as u32);
        }
        members.retain(|m| !m.is_empty());
        let mut rng = stream(seed, Purpose::Draw, epoch);
        let mut draw = || {
            let class = &members[rng.random_range(0..members.len())];
            class[rng.random_range(0..class.len())]
        };
        Self::listed(labels.iter().map(|_| draw()).collect())
    }

    /// Its first draws, at most as many as `share` in (0, 1] of the samples, and at least two: a
    /// batch of one cannot be trained on.
    pub fn first(self, share: f64) -> Self {
        let wanted = ((share * self.samples as f64).round() as usize).max(2);
        Self { len: wanted.min(self.len), ..self }
    }

    /// A plan of `samples` samples as it was; `None` unless it has 1 to `samples` draws, all of
    /// them below that.
    pub fn restored(draws: Vec<u32>, samples: usize) -> Option<Self> {
        let is_possible =
            (1..=samples).contains(&draws.len()) && draws.iter().all(|i| (*i as usize) < samples);
        is_possible.then(|| Self { samples, ..Self::listed(draws) })
    }

    /// Count of draws.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The indices at `places` of the order in which they are drawn.
    ///
    /// # Panics
    /// When `places` end after `len()`.
    pub fn at(&self, places: Range<usize>) -> Cow<'_, [u32]> {
        match &self.draws {
            Draws::Listed(draws) => Cow::Borrowed(&draws[places]),
            Draws::Streamed { table, stream } => {
                let len = self.len;
                assert!(places.end <= len, "an epoch has {len} draws, not {}", places.end);
                let mut draws = vec![0; places.len()];
                table.fill(stream, places.start, &mut draws);
                Cow::Owned(draws)
            }
        }
    }

    /// All indices in their order, some at a time.
    pub fn blocks(&self) -> impl Iterator<Item = Cow<'_, [u32]>> {
        (0..self.len).step_by(BLOCK).map(|from| self.at(from..(from + BLOCK).min(self.len)))
    }

    /// Draws per class, shape `[C]`. `labels` has shape `[n]`, values < `classes`.
    pub fn class_counts(&self, labels: &[u32], classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        for block in self.blocks() {
            for &i in block.iter() {
                counts[labels[i as usize] as usize] += 1;
            }
        }
        counts
    }

    /// How often each sample is drawn, shape `[n]`.
    pub fn multiplicities(&self) -> Vec<u32> {
        let mut times = vec![0; self.samples];
        for block in self.blocks() {
            for &i in block.iter() {
                times[i as usize] += 1;
            }
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::importance::{Shaping, Weights};
    use proptest::prelude::*;

    fn probabilities(raw: &[f32]) -> Probabilities {
        let weights = Weights::from_scores(&raw.iter().map(|v| Some(*v)).collect::<Vec<_>>())
            .expect("valid weights");
        Probabilities::shape(&weights, &vec![0; raw.len()], 1, &Shaping::default())
    }

    #[test]
    fn a_shuffle_has_every_sample_once_in_an_order_of_its_own() {
        let a = EpochPlan::shuffle(1_000, 3, 1);
        assert!(a.multiplicities().iter().all(|m| *m == 1));
        let all = |plan: &EpochPlan| plan.at(0..1_000).into_owned();
        assert_eq!(all(&a), all(&EpochPlan::shuffle(1_000, 3, 1)));
        assert_ne!(all(&a), all(&EpochPlan::shuffle(1_000, 3, 2)));
        assert_ne!(all(&a), all(&EpochPlan::shuffle(1_000, 4, 1)));
    }

    #[test]
    fn any_part_of_streamed_draws_is_the_part_of_all_of_them() {
        let n = 2 * BLOCK + 100;
        let weights: Vec<f64> = (0..n).map(|i| (i % 5) as f64).collect();
        let table = Arc::new(AliasTable::new(&weights).expect("valid weights"));
        let plan = EpochPlan::multinomial(table, 3, 1);
        let all = plan.at(0..n).into_owned();
        assert_eq!(plan.blocks().flat_map(Cow::into_owned).collect::<Vec<_>>(), all);
        for places in [0..1, 17..145, BLOCK - 1..BLOCK + 1, n - 3..n, n..n] {
            assert_eq!(plan.at(places.clone()), &all[places.clone()], "{places:?}");
        }
        assert_eq!(plan.multiplicities().iter().sum::<u32>() as usize, n);
    }

    #[test]
    fn the_first_share_of_a_plan_is_its_beginning() {
        let table = Arc::new(AliasTable::new(&[1.0, 2.0, 3.0, 4.0]).expect("valid weights"));
        for plan in [EpochPlan::shuffle(4, 1, 1), EpochPlan::multinomial(table, 1, 1)] {
            let half = plan.clone().first(0.5);
            assert_eq!((half.len(), half.multiplicities().len()), (2, 4));
            assert_eq!(half.at(0..2), plan.at(0..2));
            assert_eq!(half.blocks().map(|b| b.len()).sum::<usize>(), 2);
            assert_eq!(plan.clone().first(1.0).len(), 4);
            assert_eq!(plan.first(0.01).len(), 2);
        }
    }

    #[test]
    fn uniform_draws_with_replacement_cover_63_percent() {
        let n = 50_000;
        let distinct = EpochPlan::uniform_with_replacement(n, 1, 1)
            .multiplicities()
            .iter()
            .filter(|m| **m > 0)
            .count();
        let share = distinct as f64 / n as f64;
        assert!((share - 0.632).abs() < 0.01, "{share}"); // standard deviation 0.0014
    }

    #[test]
    fn class_balanced_draws_are_balanced_and_skip_empty_classes() {
        let labels: Vec<u32> = (0..10_000).map(|i| if i < 9_900 { 0 } else { 2 }).collect();
        let counts = EpochPlan::class_balanced(&labels, 3, 1, 1).class_counts(&labels, 3);
        assert_eq!(counts[1], 0);
        assert!(counts[0].abs_diff(5_000) < 300, "{counts:?}"); // 6 standard deviations of 50
    }

    proptest! {
        #[test]
        fn systematic_draws_are_the_floor_or_the_ceiling_of_what_is_expected(
            raw in proptest::collection::vec(0.0_f32..=1.0, 2..300), seed: u64,
        ) {
            let q = probabilities(&raw);
            let plan = EpochPlan::systematic(&q, seed, 1);
            prop_assert_eq!(plan.len(), raw.len());
            for (i, times) in plan.multiplicities().into_iter().enumerate() {
                let expected = q.values()[i] * raw.len() as f64;
                let (low, high) = ((expected - 1e-9).floor(), (expected + 1e-9).ceil());
                prop_assert!(
                    (low..=high).contains(&f64::from(times)),
                    "{i}: {times} times, expected {expected}",
                );
            }
        }

        #[test]
        fn multinomial_draws_never_hit_a_sample_without_weight(
            raw in proptest::collection::vec(0.0_f32..=1.0, 2..100),
            seed: u64,
        ) {
            let mut raw = raw;
            raw[0] = 0.0;
            raw[1] = 1.0;
            let q = probabilities(&raw);
            let table = Arc::new(AliasTable::new(q.values()).expect("valid probabilities"));
            let times = EpochPlan::multinomial(table, seed, 1).multiplicities();
            prop_assert!(times.iter().zip(q.values()).all(|(t, q)| *t == 0 || *q > 0.0));
        }
    }
}
