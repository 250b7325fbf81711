//! Every training sample with its figures, and those that a person wants to look at.
//! Knows nothing of pictures or files.

use super::ledger::Ledger;
use serde::{Deserialize, Serialize};

/// One training sample, as it stands in a run's `importance.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its number in the training set, from 0.
    pub index: u32,
    /// Its class, as labelled.
    pub class: u32,
    /// Mean probability of the true class over the window, `p_i`; none where it was never observed.
    pub p: Option<f32>,
    /// Its importance weight, in [0, 1].
    pub weight: f32,
    /// Its sampling probability under the options of the moment; all sum to 1.
    pub probability: f64,
    /// Times drawn since the weights were computed.
    pub drawn: u32,
    /// The class that the model took it for when it was last drawn.
    pub predicted: Option<u32>,
    /// The probability of that class.
    pub confidence: Option<f32>,
    /// Whether its label was flipped on purpose; none where that is not known.
    pub flipped: Option<bool>,
}

/// Which samples somebody wants to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// Largest weights.
    Hardest,
    /// Smallest weights.
    Easiest,
    /// Drawn most often.
    MostDrawn,
    /// Not drawn since the weights were computed, the hardest of them first.
    NeverDrawn,
    /// Taken for another class, the most confident first: the usual sign of a wrong label.
    Suspect,
}

/// All of them.
pub const PICKS: [Pick; 5] =
    [Pick::Hardest, Pick::Easiest, Pick::MostDrawn, Pick::NeverDrawn, Pick::Suspect];

impl Pick {
    /// The first `k` of `samples` in this order, ties by index; fewer where fewer belong here.
    pub fn of<'a>(
        self,
        samples: impl IntoIterator<Item = &'a Sample>,
        k: usize,
    ) -> Vec<&'a Sample> {
        let mut found: Vec<(f64, &Sample)> =
            samples.into_iter().filter_map(|s| Some((self.rank(s)?, s))).collect();
        let order = |a: &(f64, &Sample), b: &(f64, &Sample)| {
            b.0.total_cmp(&a.0).then(a.1.index.cmp(&b.1.index))
        };
        if k < found.len() && k > 0 {
            found.select_nth_unstable_by(k - 1, order);
        }
        found.truncate(k);
        found.sort_unstable_by(order);
        found.into_iter().map(|(_, s)| s).collect()
    }

    /// What comes first has the highest rank; `None` does not belong here.
    fn rank(self, s: &Sample) -> Option<f64> {
        match self {
            Self::Hardest => Some(f64::from(s.weight)),
            Self::Easiest => Some(-f64::from(s.weight)),
            Self::MostDrawn => (s.drawn > 0).then_some(f64::from(s.drawn)),
            Self::NeverDrawn => (s.drawn == 0).then_some(f64::from(s.weight)),
            Self::Suspect => {
                s.confidence.filter(|_| s.predicted.is_some_and(|p| p != s.class)).map(f64::from)
            }
        }
    }
}

/// Numbers of the samples that are kept as pictures: the first `k` of every kind in every class,
/// each once, ascending.
pub fn pictured(samples: &[Sample], classes: usize, k: usize) -> Vec<u32> {
    let mut by_class: Vec<Vec<&Sample>> = vec![Vec::new(); classes];
    samples.iter().for_each(|s| by_class[s.class as usize].push(s));
    let mut out: Vec<u32> = Vec::new();
    for members in &by_class {
        for pick in PICKS {
            out.extend(pick.of(members.iter().copied(), k).iter().map(|s| s.index));
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// Samples from their columns, all of shape `[n]`; `p` is NaN where there was no observation,
/// `flipped` empty where nothing is known.
pub fn samples(
    labels: &[u32],
    p: &[f32],
    weights: &[f32],
    q: &[f64],
    ledger: &Ledger,
    flipped: &[bool],
) -> Vec<Sample> {
    let sample = |i: usize| {
        let seen = ledger.last_seen(i);
        Sample {
            index: i as u32,
            class: labels[i],
            p: Some(p[i]).filter(|p| p.is_finite()),
            weight: weights[i],
            probability: q[i],
            drawn: ledger.drawn()[i],
            predicted: seen.map(|s| s.predicted),
            confidence: seen.map(|s| s.confidence),
            flipped: flipped.get(i).copied(),
        }
    };
    (0..labels.len()).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(
        index: u32,
        class: u32,
        weight: f32,
        drawn: u32,
        predicted: u32,
        confidence: f32,
    ) -> Sample {
        let (predicted, confidence) = (Some(predicted), Some(confidence));
        Sample {
            index,
            class,
            p: Some(1.0 - weight),
            weight,
            probability: 0.25,
            drawn,
            predicted,
            confidence,
            flipped: None,
        }
    }

    #[test]
    fn picks_are_in_their_order_within_the_class() {
        let all = [
            sample(0, 0, 0.9, 0, 1, 0.8),
            sample(1, 0, 0.1, 3, 0, 0.9),
            sample(2, 1, 0.5, 7, 1, 0.6),
            sample(3, 0, 0.9, 2, 2, 0.95),
        ];
        let indices = |pick: Pick, k| pick.of(&all, k).iter().map(|s| s.index).collect::<Vec<_>>();
        assert_eq!(indices(Pick::Hardest, 2), [0, 3]);
        assert_eq!(indices(Pick::Easiest, 1), [1]);
        assert_eq!(indices(Pick::MostDrawn, 9), [2, 1, 3]);
        assert_eq!(indices(Pick::NeverDrawn, 9), [0]);
        assert_eq!(indices(Pick::Suspect, 9), [3, 0]);
        assert_eq!(indices(Pick::Hardest, 0), [0_u32; 0]);
        assert_eq!(
            pictured(&all, 2, 1),
            [0, 1, 2, 3],
            "the first of each kind in each class, each once"
        );
    }
}
