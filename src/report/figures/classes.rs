//! Figures by class.

use super::CLASSES;
use super::palette::Paint;
use super::plot::{Axis, Unit};
use super::rows::{Cell, by_name, grid, heatmap, row};
use crate::protocol::EpochSummary;
use crate::report::{ArmFigures, Subject};

/// Names of the classes that a figure shows.
fn names(subject: &Subject) -> Vec<&str> {
    subject.data.classes.iter().take(CLASSES).map(String::as_str).collect()
}

/// Of each class its share of the training set, of what is expected, and of the draws.
pub(super) fn shares(subject: &Subject, arm: &ArmFigures) -> String {
    let last = arm.seeds[0].epochs.last();
    let n = subject.data.train.max(1) as f64;
    let drawn = last.map_or(1, |e| e.drawn.iter().sum::<u64>().max(1)) as f64;
    let share = |c: usize| {
        let part = |v: Option<f64>| v.unwrap_or(0.0);
        [
            part(subject.data.counts.get(c).map(|k| *k as f64)) / n,
            part(last.and_then(|e| e.expected.get(c).copied())) / drawn,
            part(last.and_then(|e| e.drawn.get(c).map(|d| *d as f64))) / drawn,
        ]
    };
    let names = names(subject);
    let highest = (0..names.len()).flat_map(share).fold(0.01, f64::max);
    let label = "share in %".into();
    let axis = Axis { label, unit: Unit::Percent, range: 0.0..highest * 1.08 };
    let (mut svg, plot) = by_name(&names, 20.0, &axis);
    for c in 0..names.len() {
        let [train, expected, drawn] = share(c);
        let y = row(&plot, c);
        let bar = (plot.x(drawn) - plot.left, 12.0);
        svg.rect((plot.left, y - 6.0), bar, &Paint::Better.fill(0.35));
        let x = plot.x(train);
        svg.line((x, y - 8.5), (x, y + 8.5), &Paint::Ink.stroke(2.0));
        svg.circle((plot.x(expected), y), 3.6, &Paint::Worse.stroke(2.0));
    }
    svg.finish()
}

/// Values in [0, 1] by class and epoch, and the lowest and highest of them: these are paper and
/// dark.
pub(super) fn by_epoch(
    subject: &Subject,
    arm: &ArmFigures,
    value: impl Fn(&EpochSummary, usize) -> f64,
) -> (String, f64, f64) {
    let names = names(subject);
    let epochs = &arm.seeds[0].epochs;
    let all = || epochs.iter().flat_map(|e| (0..names.len()).map(|c| value(e, c)));
    let (low, high) = all().fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let first = epochs.first().map_or(1, |e| e.epoch);
    let range = first as f64 - 0.5..(first + epochs.len()) as f64 - 0.5;
    let axis = Axis { label: "epoch".into(), unit: Unit::Plain, range };
    let svg = heatmap(&names, &axis, |c, epoch| {
        let value = epochs.get(epoch - first).map_or(0.0, |e| value(e, c));
        (value - low) / (high - low).max(1e-9)
    });
    (svg, low, high)
}

/// Recall by class and arm at the end, mean over seeds; `None` where there is none.
fn recall(subject: &Subject, arm: &str, class: usize) -> Option<f64> {
    let arm = subject.outcome.as_ref()?.arms.iter().find(|a| a.arm == arm)?;
    let recalls = arm.seeds.iter().filter_map(|s| s.recall()?.get(class).copied());
    let recalls: Vec<f64> = recalls.collect();
    (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
}

/// Recall by class and arm, arms in the order of `arms`: the numbers are percent, the colours the
/// difference to `baseline`. With the largest of these differences, which is dark.
pub(super) fn by_arm(subject: &Subject, baseline: &str, arms: &[&str]) -> (String, f64) {
    let names = names(subject);
    let gain = |arm: &str, class: usize| {
        Some(recall(subject, arm, class)? - recall(subject, baseline, class)?)
    };
    let gains = || arms.iter().flat_map(|arm| (0..names.len()).filter_map(|c| gain(arm, c)));
    // An arm that failed loses everything: the others shall be told apart.
    let near = crate::compare::not_far_out(&gains().collect::<Vec<_>>());
    let most = near.iter().fold(0.005_f64, |most, v| most.max(v.abs()));
    let cell = |arm: usize, class: usize| {
        let recall = recall(subject, arms[arm], class)?;
        let shade = gain(arms[arm], class).unwrap_or(0.0) / most;
        Some(Cell { shade, words: format!("{:.0}", 100.0 * recall) })
    };
    // Few classes stand upright above the arms, many lie below each other.
    let svg = if names.len() <= 16 {
        grid(arms, &names, cell)
    } else {
        grid(&names, arms, |class, arm| cell(arm, class))
    };
    (svg, most)
}
