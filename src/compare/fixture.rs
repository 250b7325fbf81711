//! Comparisons that are made up for tests: what they reached is chosen, nothing is trained.

use super::arms::{BASELINE, NULL};
use super::design::{Design, FILE, Piece};
use super::outcome::{ArmOutcome, Outcome, SeedOutcome};
use crate::config::RunConfig;
use crate::importance::Sampler;
use crate::protocol::{End, EpochSummary, Event, Measured, MeasuredOn, Phase, Record};
use crate::run::{Journal, RunDirectory};

/// Epochs of a run, and of its pretraining.
pub const EPOCHS: usize = 20;
pub const E: usize = 3;
/// Classes.
pub const CLASSES: usize = 10;

/// Thirteen arms: name, points ahead of the baseline, share of the images that it draws after E.
const THIRTEEN: [(&str, f64, f64); 13] = [
    (BASELINE, 0.0, 1.0),
    (NULL, 0.05, 1.0),
    ("biased", 1.1, 1.0),
    ("biased-class-level", 0.35, 1.0),
    ("biased-systematic", 1.25, 1.0),
    ("el2n", -0.9, 1.0),
    ("class-balanced", 0.6, 1.0),
    ("uniform-replacement", -0.15, 1.0),
    ("half", 0.75, 1.0),
    ("mixed", 0.2, 1.0),
    ("drop-hardest", -0.3, 1.0),
    ("saving-70", -0.1, 0.7),
    ("hardest-only", -11.0, 0.5),
];

/// The same number in [-1, 1] for the same place.
fn noise(place: [usize; 3]) -> f64 {
    let sum = place.iter().fold(17.0, |sum, k| 3.7 * sum + *k as f64);
    2.0 * ((12.989 * sum).sin() * 43_758.547).fract().abs() - 1.0
}

/// An epoch that reached `accuracy`, after so many images.
pub fn epoch(epoch: usize, accuracy: f64, samples: u64) -> EpochSummary {
    let recall = |class: usize| {
        let tilt = 0.02 * (class as f64 - 4.5) + 0.01 * noise([class, epoch, samples as usize]);
        (accuracy + tilt).clamp(0.0, 1.0)
    };
    EpochSummary {
        epoch,
        phase: if epoch <= E { Phase::Pretrain } else { Phase::Biased },
        train_loss: 2.0 * (1.0 - accuracy),
        measured: Measured { on: MeasuredOn::Test, loss: 2.2 * (1.0 - accuracy), accuracy },
        average: None,
        grad_norm: None,
        recall: (0..CLASSES).map(recall).collect(),
        drawn: vec![60; CLASSES],
        expected: vec![60.0; CLASSES],
        coverage: 0.7,
        expected_coverage: 0.7,
        max_multiplicity: 4,
        never_drawn: 12,
        hard_share: None,
        suspect_share: None,
        flipped_share: None,
        balance: 0.9 + 0.1 * accuracy,
        ess: 0.6,
        seconds: 2.0,
        eval_seconds: 0.3,
        samples,
        step_ms: None,
        correction: Vec::new(),
        settled: None,
    }
}

/// The epochs of a run that ends with `last`, whose place is that of its arm and its seed.
fn epochs(last: f64, share: f64, (arm, seed): (usize, usize)) -> Vec<EpochSummary> {
    let mut samples = 0.0;
    let one = |k: usize| {
        let began = k <= E;
        samples += 600.0 * if began { 1.0 } else { share };
        let rise = 1.0 - 0.9 * (-(k as f64) / 2.5).exp();
        let wobble = if k == EPOCHS { 0.0 } else { 0.002 * noise([arm, seed, k]) };
        let end = if began { 0.81 } else { last };
        epoch(k, end * rise / (1.0 - 0.9 * (-(EPOCHS as f64) / 2.5).exp()) + wobble, samples as u64)
    };
    (1..=EPOCHS).map(one).collect()
}

fn arm(place: usize, name: &str, lasts: &[f64], share: f64) -> ArmOutcome {
    let seed = |(k, last): (usize, &f64)| SeedOutcome {
        seed: k as u64 + 1,
        epochs: epochs(*last, share, (place, k)),
        parameters_sha256: String::new(),
        tested: None,
    };
    let seeds = lasts.iter().enumerate().map(seed).collect();
    let mut config = config();
    if [BASELINE, NULL].contains(&name) {
        config.importance.sampler = Sampler::Uniform;
    }
    ArmOutcome { arm: name.to_owned(), config, seeds }
}

fn config() -> RunConfig {
    let mut config = RunConfig::default();
    config.train.epochs = EPOCHS;
    config.importance.pretrain_epochs = E.into();
    config
}

fn of(arms: Vec<ArmOutcome>) -> Outcome {
    let (name, baseline) = ("demo-compare-001".into(), BASELINE.into());
    Outcome { name, config: config(), baseline, arms }
}

/// Arms with what each seed reached in the end; the first is the baseline.
pub fn outcome(arms: &[(&str, &[f64])]) -> Outcome {
    of(arms.iter().enumerate().map(|(k, (name, lasts))| arm(k, name, lasts, 1.0)).collect())
}

/// Thirteen arms and five seeds: some are decided, some are not, one is far behind, one draws less.
pub fn thirteen() -> Outcome {
    let last = |k: usize, seed: usize, gain: f64| {
        0.82 + 0.008 * noise([0, seed, 0]) + 0.01 * gain + 0.0035 * noise([k, seed, 1])
    };
    let arms = THIRTEEN.iter().enumerate().map(|(k, (name, gain, share))| {
        let lasts: Vec<f64> = (0..5).map(|seed| last(k, seed, *gain)).collect();
        arm(k, name, &lasts, *share)
    });
    of(arms.collect())
}

/// Writes what a comparison with this outcome leaves on the disk: its design, and a journal of
/// each run.
pub fn write(outcome: &Outcome, directory: &RunDirectory) {
    let design = Design {
        config: outcome.config.clone(),
        arms: outcome.arms.iter().map(|a| (a.arm.clone(), a.config.clone())).collect(),
        seeds: outcome.arms[0].seeds.iter().map(|s| s.seed).collect(),
    };
    std::fs::create_dir_all(directory.path()).expect("made");
    let text = serde_json::to_string(&design).expect("a design");
    std::fs::write(directory.file(FILE), text).expect("written");
    for (arm, s) in outcome.arms.iter().flat_map(|a| a.seeds.iter().map(move |s| (a, s))) {
        let run = Piece { seed: s.seed, arm: arm.arm.clone() }.directory(directory);
        std::fs::create_dir_all(run.path()).expect("made");
        let mut journal = Journal::open(&run.file("journal.jsonl")).expect("a journal");
        let events = s.epochs.iter().cloned().map(Event::EpochEnd).chain([finished(s)]);
        for (k, event) in events.enumerate() {
            let record = Record { seq: k as u64 + 1, t: k as f64, event };
            journal.append(&record).expect("written");
        }
    }
}

fn finished(s: &SeedOutcome) -> Event {
    Event::Finished {
        epochs: s.epochs.len(),
        best_accuracy: s.best(),
        best_epoch: s.epochs.len(),
        final_accuracy: s.last(),
        seconds: 40.0,
        parameters_sha256: String::new(),
        end: End::Complete,
    }
}
