//! What a comparison found, in sentences, and how sure that is. Pure; knows no page and no screen.

use super::arms::NULL;
use super::outcome::Outcome;
use super::statistics::{Difference, holm, not_far_out, points};

/// Chance of error that is put up with.
const LEVEL: f64 = 0.05;
/// Names that a sentence lists at most.
const LISTED: usize = 4;

/// How sure it is that an arm beats the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No arm shares a finished seed with the baseline.
    Nothing,
    /// One seed: there is no interval.
    OneSeed,
    /// No interval lies above zero.
    Undecided,
    /// An interval lies above zero, but among so many arms one does by chance.
    Tentative,
    /// An arm is better even with all arms counted.
    Decided,
}

/// On which side of the baseline an arm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Its interval lies above zero.
    Better,
    /// Its interval lies below zero.
    Worse,
    /// Its interval includes zero, or there is none.
    Open,
}

/// Where an arm stands beside the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its name.
    pub arm: String,
    /// Final accuracy minus the baseline's, paired by seed.
    pub gain: Difference,
    /// p-value with all arms counted (Holm); `None` for one seed and for the null arm, which is
    /// not tried out.
    pub p_of_all: Option<f64>,
    /// Whether this is the null arm.
    pub is_null: bool,
}

impl Standing {
    /// By its own interval, as if no other arm had been tried.
    pub fn side(&self) -> Side {
        match self.gain.interval {
            Some((low, _)) if low > 0.0 => Side::Better,
            Some((_, high)) if high < 0.0 => Side::Worse,
            _ => Side::Open,
        }
    }

    /// Whether its side is decided even with all arms counted.
    pub fn holds(&self) -> bool {
        self.p_of_all.is_some_and(|p| p <= LEVEL)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The arm that the others are measured against.
    pub baseline: String,
    /// How sure it is that an arm beats the baseline.
    pub verdict: Verdict,
    /// All arms but the baseline that share a finished seed with it, the highest mean first.
    pub standings: Vec<Standing>,
    /// The arm that the verdict is about, by its place in `standings`: of those that are as sure
    /// the one with the highest mean. `None` if no arm but the null arm can be compared.
    pub best: Option<usize>,
    /// The highest mean among the others, and the best one's final accuracy minus its.
    pub next: Option<(String, Difference)>,
}

impl Outcome {
    /// What was found.
    pub fn finding(&self) -> Finding {
        let others = self.arms.iter().filter(|a| a.arm != self.baseline);
        let mut standings: Vec<Standing> = others
            .filter_map(|a| {
                let gain = self.difference(&a.arm, &self.baseline)?;
                let (arm, is_null) = (a.arm.clone(), a.arm == NULL);
                Some(Standing { arm, gain, p_of_all: None, is_null })
            })
            .collect();
        standings.sort_by(|a, b| b.gain.mean.total_cmp(&a.gain.mean));
        count_all(&mut standings);
        let (verdict, best) = verdict(&standings);
        let next = best.and_then(|best| {
            let next = standings.iter().enumerate().find(|(k, s)| *k != best && !s.is_null)?.1;
            Some((next.arm.clone(), self.difference(&standings[best].arm, &next.arm)?))
        });
        Finding { baseline: self.baseline.clone(), verdict, standings, best, next }
    }
}

fn count_all(standings: &mut [Standing]) {
    let tried = || (0..standings.len()).filter(|k| !standings[*k].is_null);
    // One that cannot be judged yet counts as tried.
    let at: Vec<usize> = tried().collect();
    let p: Vec<f64> = at.iter().map(|k| standings[*k].gain.p.unwrap_or(1.0)).collect();
    for (k, p) in at.into_iter().zip(holm(&p)) {
        standings[k].p_of_all = standings[k].gain.p.map(|_| p);
    }
}

fn verdict(standings: &[Standing]) -> (Verdict, Option<usize>) {
    let first = |is: &dyn Fn(&Standing) -> bool| standings.iter().position(|s| !s.is_null && is(s));
    let is_better = |s: &Standing| s.side() == Side::Better;
    if let Some(best) = first(&|s| is_better(s) && s.holds()) {
        return (Verdict::Decided, Some(best));
    }
    if let Some(best) = first(&is_better) {
        return (Verdict::Tentative, Some(best));
    }
    match first(&|_| true) {
        None => (Verdict::Nothing, None),
        Some(best) if standings[best].gain.interval.is_none() => (Verdict::OneSeed, Some(best)),
        best => (Verdict::Undecided, best),
    }
}

/// `+1.49 points`.
fn gained(d: &Difference) -> String {
    format!("{} points", points(100.0 * d.mean))
}

/// `95% interval +0.40 to +2.57`.
fn interval(d: &Difference) -> String {
    let of =
        |(low, high)| format!("95% interval {} to {}", points(100.0 * low), points(100.0 * high));
    d.interval.map_or_else(|| "one seed, no interval".to_owned(), of)
}

fn seeds(d: &Difference) -> String {
    if d.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", d.seeds) }
}

/// `p = 0.012`; what would round to zero is `p < 0.001`.
fn p_value(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}

impl Finding {
    /// Arms that were tried: neither the baseline nor the null arm.
    pub fn tried(&self) -> usize {
        self.standings.iter().filter(|s| !s.is_null).count()
    }

    /// Names of the tried arms on this side, each by its own interval.
    fn tried_on(&self, side: Side) -> Vec<&str> {
        let tried = self.standings.iter().filter(|s| !s.is_null);
        tried.filter(|s| s.side() == side).map(|s| s.arm.as_str()).collect()
    }

    /// What an axis of the differences spans, zero included: an arm that failed, and an interval
    /// far wider than the others, go on beyond it.
    pub fn span(&self) -> (f64, f64) {
        let means: Vec<f64> = self.standings.iter().map(|s| s.gain.mean).collect();
        let intervals = self.standings.iter().filter_map(|s| s.gain.interval);
        let ends: Vec<f64> = intervals.flat_map(|(low, high)| [low, high]).collect();
        let near = not_far_out(&means).into_iter().chain(not_far_out(&ends));
        near.fold((0.0, 0.0), |(low, high): (f64, f64), v| (low.min(v), high.max(v)))
    }

    /// What was found, and how sure it is, the most important sentence first.
    pub fn sentences(&self) -> Vec<String> {
        let Some(best) = self.best.map(|k| &self.standings[k]) else {
            return vec![format!(
                "Nothing can be compared yet: no arm has finished a seed that {} has, too.",
                self.baseline
            )];
        };
        let rest = [self.sureness(best), self.beside_next(best), self.sides(), self.chance()];
        std::iter::once(self.headline(best)).chain(rest.into_iter().flatten()).collect()
    }

    fn headline(&self, best: &Standing) -> String {
        let (arm, baseline, d) = (&best.arm, &self.baseline, &best.gain);
        let by = format!("{} of final test accuracy ({}, {})", gained(d), interval(d), seeds(d));
        match self.verdict {
            Verdict::Decided => format!("{arm} beats {baseline}: {by}."),
            Verdict::Tentative => format!("{arm} may beat {baseline}, not surely: {by}."),
            Verdict::OneSeed => format!(
                "Nothing is decided by one seed. The highest is {arm}: {} of final test accuracy \
                 to {baseline}.",
                gained(d)
            ),
            _ if self.tried_on(Side::Worse).len() == self.tried() => {
                format!("All are worse than {baseline}. The nearest is {arm}: {by}.")
            }
            _ if d.mean > 0.0 => {
                format!("No arm surely beats {baseline}. The highest is {arm}: {by}.")
            }
            _ => format!("No arm is ahead of {baseline}. The nearest is {arm}: {by}."),
        }
    }

    /// What picking the best of several arms does to the verdict.
    fn sureness(&self, best: &Standing) -> Option<String> {
        let tried = self.tried();
        let p = best.p_of_all.filter(|_| tried > 1)?;
        let p = p_value(p);
        match self.verdict {
            Verdict::Decided => Some(format!(
                "That holds with all {tried} arms counted (Holm, {p}). The best of several looks \
                 better than it is: with new seeds expect less."
            )),
            Verdict::Tentative => Some(format!(
                "Of {tried} arms one comes out so high by chance too easily: with all counted \
                 (Holm) {p}. Repeat it with new seeds."
            )),
            _ => None,
        }
    }

    fn beside_next(&self, best: &Standing) -> Option<String> {
        let (next, d) = self.next.as_ref()?;
        let (low, _) = d.interval?;
        let by = format!("{} ({})", gained(d), interval(d));
        let arm = &best.arm;
        Some(if d.mean < 0.0 {
            let s = self.standings.iter().find(|s| s.arm == *next)?;
            format!(
                "{next} has a higher mean, {} ({}), but is not as sure.",
                gained(&s.gain),
                interval(&s.gain)
            )
        } else if low > 0.0 {
            format!("{arm} is ahead of the next, {next}, by {by}.")
        } else {
            format!("Which of {arm} and {next} is better is not decided: {by}.")
        })
    }

    /// Who is better, who is worse, and of how many that is open; each by its own interval.
    fn sides(&self) -> Option<String> {
        if self.tried() < 2 || self.verdict == Verdict::OneSeed {
            return None;
        }
        let list = |names: &[&str]| match names.len() {
            0 => "none".to_owned(),
            n if n <= LISTED => names.join(", "),
            n => format!("{} and {} more", names[..LISTED].join(", "), n - LISTED),
        };
        Some(format!(
            "Each by its own interval, better: {}; worse: {}; not decided: {} of {}.",
            list(&self.tried_on(Side::Better)),
            list(&self.tried_on(Side::Worse)),
            self.tried_on(Side::Open).len(),
            self.tried()
        ))
    }

    /// What the null arm did, and who is no further off than that.
    fn chance(&self) -> Option<String> {
        let null = self.standings.iter().find(|s| s.is_null)?;
        let by = format!("{} ({})", gained(&null.gain), interval(&null.gain));
        if null.side() != Side::Open {
            return Some(format!(
                "{NULL}, which differs by chance alone, is at {by}: an interval without zero. Take \
                 every other difference of that size for chance, too."
            ));
        }
        Some(format!("{NULL}, which differs by chance alone, is at {by}."))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{outcome, thirteen};
    use super::*;

    const BASE: &[f64] = &[0.800, 0.805, 0.795, 0.802, 0.798];

    /// The baseline and arms that are so many points ahead of it, seed by seed.
    fn ahead(arms: &[(&str, [f64; 5])]) -> Finding {
        let lasts: Vec<Vec<f64>> = arms
            .iter()
            .map(|(_, gains)| BASE.iter().zip(gains).map(|(b, g)| b + g / 100.0).collect())
            .collect();
        let named = arms.iter().zip(&lasts).map(|((name, _), l)| (*name, l.as_slice()));
        let all: Vec<(&str, &[f64])> = std::iter::once(("uniform", BASE)).chain(named).collect();
        outcome(&all).finding()
    }

    const SURE: [f64; 5] = [1.0, 1.1, 0.9, 1.05, 0.95];
    const OPEN: [f64; 5] = [1.0, -0.5, 2.0, 1.5, -0.8];
    /// Decided alone (p = 0.02), not among five (p = 0.10).
    const ALONE: [f64; 5] = [1.0, 0.3, 0.9, 1.6, 0.4];

    #[test]
    fn an_arm_that_is_surely_better_is_said_to_beat_the_baseline() {
        let found = ahead(&[("biased", SURE), ("el2n", OPEN)]);
        assert_eq!((found.verdict, found.best), (Verdict::Decided, Some(0)));
        let said = found.sentences();
        assert_eq!(
            said[0],
            "biased beats uniform: +1.00 points of final test accuracy (95% interval +0.90 to \
             +1.10, 5 seeds)."
        );
        assert!(said[1].starts_with("That holds with all 2 arms counted (Holm, p < 0.001)"));
        assert!(said[2].starts_with("Which of biased and el2n is better is not decided: +0.36"));
        assert!(said[3].contains("better: biased; worse: none; not decided: 1 of 2"), "{said:?}");
    }

    #[test]
    fn the_best_of_many_arms_has_to_be_surer_than_the_only_one() {
        let alone = ahead(&[("biased", ALONE)]);
        assert_eq!(alone.verdict, Verdict::Decided);
        let more = [("b", OPEN), ("c", OPEN), ("d", OPEN), ("e", OPEN)];
        let among = ahead(&[&[("biased", ALONE)][..], &more].concat());
        assert_eq!(among.verdict, Verdict::Tentative);
        let said = among.sentences().join(" ");
        assert!(said.starts_with("biased may beat uniform, not surely: +0.84 points"), "{said}");
        assert!(said.contains("Of 5 arms one comes out so high by chance too easily"), "{said}");
    }

    #[test]
    fn the_null_arm_is_not_tried_and_never_wins() {
        let found = ahead(&[("uniform-null", SURE), ("biased", OPEN)]);
        assert_eq!((found.verdict, found.tried()), (Verdict::Undecided, 1));
        assert_eq!(found.standings[found.best.expect("an arm")].arm, "biased");
        let said = found.sentences();
        assert!(said[0].starts_with("No arm surely beats uniform. The highest is biased"));
        assert!(
            said[1].contains("Take every other difference of that size for chance"),
            "{said:?}"
        );
    }

    #[test]
    fn a_sure_arm_comes_before_a_higher_one_that_is_not() {
        let higher = OPEN.map(|gain| 2.0 * gain);
        let found = ahead(&[("wild", higher), ("biased", SURE)]);
        assert_eq!(found.standings[found.best.expect("an arm")].arm, "biased");
        let said = found.sentences().join(" ");
        assert!(said.contains("wild has a higher mean, +1.28 points"), "{said}");
    }

    #[test]
    fn what_is_worse_what_is_one_seed_and_what_is_nothing_are_said() {
        let worse = ahead(&[("biased", SURE.map(|gain| -gain))]).sentences();
        assert!(worse[0].starts_with("All are worse than uniform. The nearest is biased: -1.00"));
        let behind = ahead(&[("a", SURE.map(|gain| -gain)), ("b", OPEN.map(|g| g - 2.0))]);
        let said = behind.sentences();
        assert!(said[0].starts_with("No arm is ahead of uniform. The nearest is a: -1.00"));
        let one = outcome(&[("uniform", &[0.8]), ("biased", &[0.9])]).finding();
        assert_eq!(one.verdict, Verdict::OneSeed);
        assert_eq!(
            one.sentences(),
            ["Nothing is decided by one seed. The highest is biased: +10.00 points of final test \
              accuracy to uniform."]
        );
        let none = outcome(&[("uniform", &[0.8]), ("biased", &[])]).finding();
        assert_eq!((none.verdict, none.best), (Verdict::Nothing, None));
        assert!(none.sentences()[0].starts_with("Nothing can be compared yet"));
    }

    #[test]
    fn thirteen_arms_are_ranked_by_their_mean() {
        let found = thirteen().finding();
        let means: Vec<f64> = found.standings.iter().map(|s| s.gain.mean).collect();
        assert!(means.len() == 12 && means.is_sorted_by(|a, b| a >= b), "{means:?}");
        assert_eq!((found.tried(), found.verdict), (11, Verdict::Decided));
        let (low, high) = found.span();
        assert!(means[11] < -0.1 && low > -0.04 && high < 0.04, "one failed: {low} to {high}");
    }
}
