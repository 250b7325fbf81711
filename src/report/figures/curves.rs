//! Figures over epochs, images and seconds: one curve an arm, the mean over its seeds.

use super::lines::{Chart, Line, draw};
use super::palette::Look;
use super::plot::{Axis, Unit, around};
use crate::compare::not_far_out;
use crate::protocol::EpochSummary;
use crate::report::{ArmFigures, Subject};
use std::ops::Range;

/// A figure of an epoch.
type Figure = fn(&EpochSummary) -> f64;

/// How each arm is drawn: those in `bold` are what the eye shall find first.
pub(super) fn looks(subject: &Subject, bold: &[String]) -> Vec<Look> {
    let look = |(k, arm): (usize, &ArmFigures)| match subject.outcome {
        Some(_) => Look::of_arm(k, bold.contains(&arm.name)),
        None => Look::of_run(k),
    };
    subject.arms.iter().enumerate().map(look).collect()
}

/// For every epoch the means over the seeds that have it of what stands at x and at y. `x` is
/// given the epochs up to and with this one.
fn means(
    arm: &ArmFigures,
    x: impl Fn(&[EpochSummary]) -> f64,
    y: impl Fn(&EpochSummary) -> f64,
) -> Vec<(f64, f64)> {
    let longest = arm.seeds.iter().map(|s| s.epochs.len()).max().unwrap_or(0);
    let at = |i: usize| {
        let there = arm.seeds.iter().filter(|s| s.epochs.len() > i);
        let values: Vec<(f64, f64)> = there
            .map(|s| (x(&s.epochs[..=i]), y(&s.epochs[i])))
            .filter(|(_, y)| y.is_finite())
            .collect();
        let n = values.len() as f64;
        let sum = values.iter().fold((0.0, 0.0), |sum, v| (sum.0 + v.0, sum.1 + v.1));
        (!values.is_empty()).then_some((sum.0 / n, sum.1 / n))
    };
    (0..longest).filter_map(at).collect()
}

fn by_epoch(run: &[EpochSummary]) -> f64 {
    run.last().map_or(0.0, |e| e.epoch as f64)
}

fn by_images(run: &[EpochSummary]) -> f64 {
    run.last().map_or(0.0, |e| e.samples as f64)
}

fn by_seconds(run: &[EpochSummary]) -> f64 {
    run.iter().map(|e| e.seconds).sum()
}

fn percent(e: &EpochSummary) -> f64 {
    100.0 * e.measured.accuracy
}

/// What the baseline's seeds span, by epoch: lowest and highest; nothing for one seed.
fn band(arm: &ArmFigures, y: Figure) -> Vec<(f64, f64, f64)> {
    if arm.seeds.len() < 2 {
        return Vec::new();
    }
    let shortest = arm.seeds.iter().map(|s| s.epochs.len()).min().unwrap_or(0);
    let at = |i: usize| {
        let values = arm.seeds.iter().map(|s| y(&s.epochs[i]));
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        ((i + 1) as f64, low, high)
    };
    (0..shortest).map(at).filter(|(_, low, high)| low.is_finite() && high.is_finite()).collect()
}

/// Epochs of the longest run.
fn longest(subject: &Subject) -> usize {
    let runs = subject.arms.iter().flat_map(|a| &a.seeds);
    runs.map(|s| s.epochs.len()).max().unwrap_or(1).max(1)
}

fn epochs_axis(range: Range<f64>) -> Axis {
    Axis { label: "epoch".into(), unit: Unit::Plain, range }
}

/// E, and what a person changed.
fn happened(subject: &Subject) -> Vec<(f64, String)> {
    let e = subject.arms[0].seeds[0].pretrain_epochs as f64 + 0.5;
    let seeds = subject.arms.iter().flat_map(|a| &a.seeds);
    let changes = seeds.flat_map(|s| &s.changes).map(|(at, words)| (*at as f64, words.clone()));
    std::iter::once((e, "E".to_owned())).chain(changes).collect()
}

fn lines(subject: &Subject, looks: &[Look], y: impl Fn(&EpochSummary) -> f64 + Copy) -> Vec<Line> {
    let one = |(arm, look): (&ArmFigures, &Look)| {
        let points = means(arm, by_epoch, y);
        Line { name: arm.name.clone(), note: String::new(), look: *look, points }
    };
    subject.arms.iter().zip(looks).map(one).collect()
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> + '_ {
    lines.iter().flat_map(|l| &l.points).map(|p| p.1)
}

/// The baseline's best mean accuracy in percent, and what it is called.
fn target(subject: &Subject, lines: &[Line]) -> Option<(f64, String)> {
    let best = lines[0].points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let words = format!("best of {}", subject.arms[0].name);
    (best.is_finite() && subject.arms.len() > 1).then_some((best, words))
}

fn accuracy_axis(subject: &Subject, range: Range<f64>) -> Axis {
    let label = format!("{} accuracy in %", subject.config.measured_on().word());
    Axis { label, unit: Unit::Plain, range }
}

/// Accuracy over all epochs.
pub(super) fn accuracy(subject: &Subject, looks: &[Look]) -> String {
    let lines = lines(subject, looks, percent);
    let y = accuracy_axis(subject, around(values(&lines)));
    let x = epochs_axis(1.0..longest(subject).max(2) as f64);
    let level = target(subject, &lines);
    draw(&Chart { x, y, lines, happened: happened(subject), level, band: Vec::new() })
}

/// The last half of the lines' ends, without those that ended far from all others: what is decided
/// there shall fill the height.
fn last_half(lines: &[Line]) -> Vec<f64> {
    let ends: Vec<f64> = lines.iter().filter_map(|l| Some(l.points.last()?.1)).collect();
    let near = around(not_far_out(&ends));
    let is_near = |l: &&Line| l.points.last().is_some_and(|p| near.contains(&p.1));
    let half = |l: &Line| l.points[l.points.len() / 2..].iter().map(|p| p.1).collect::<Vec<_>>();
    lines.iter().filter(is_near).flat_map(half).collect()
}

/// Accuracy over the last half of the epochs, enlarged, with what the baseline's seeds span.
pub(super) fn late(subject: &Subject, looks: &[Look]) -> String {
    let mut lines = lines(subject, looks, percent);
    let half = (longest(subject) / 2) as f64 + 1.0;
    let band: Vec<_> =
        band(&subject.arms[0], percent).into_iter().filter(|(x, ..)| *x >= half).collect();
    let spans = band.iter().flat_map(|(_, low, high)| [*low, *high]);
    let y = accuracy_axis(subject, around(last_half(&lines).into_iter().chain(spans)));
    let level = target(subject, &lines);
    for line in &mut lines {
        line.note = line.points.last().map_or_else(String::new, |p| format!("{:.1}", p.1));
        line.points.retain(|p| p.0 >= half);
    }
    let x = epochs_axis(half..longest(subject) as f64);
    draw(&Chart { x, y, lines, happened: happened(subject), level, band })
}

/// Accuracy against something that was spent: images or seconds. Below the last half's heights
/// nothing is shown.
fn against(subject: &Subject, looks: &[Look], x: fn(&[EpochSummary]) -> f64, axis: Axis) -> String {
    let one = |(arm, look): (&ArmFigures, &Look)| {
        let points = means(arm, x, percent);
        Line { name: arm.name.clone(), note: String::new(), look: *look, points }
    };
    let lines: Vec<Line> = subject.arms.iter().zip(looks).map(one).collect();
    let Range { start, end } = around(last_half(&lines));
    let y = accuracy_axis(subject, start - 0.5 * (end - start)..end);
    let most = lines.iter().flat_map(|l| &l.points).map(|p| p.0).fold(1e-9, f64::max);
    let x = Axis { range: 0.0..most, ..axis };
    let level = target(subject, &lines);
    draw(&Chart { x, y, lines, happened: Vec::new(), level, band: Vec::new() })
}

/// Accuracy against images drawn.
pub(super) fn images(subject: &Subject, looks: &[Look]) -> String {
    let axis = Axis { label: "images drawn".into(), unit: Unit::Count, range: 0.0..1.0 };
    against(subject, looks, by_images, axis)
}

/// Accuracy against seconds.
pub(super) fn seconds(subject: &Subject, looks: &[Look]) -> String {
    let axis = Axis { label: "time of the run".into(), unit: Unit::Seconds, range: 0.0..1.0 };
    against(subject, looks, by_seconds, axis)
}

/// A chart over all epochs.
fn over_epochs(subject: &Subject, lines: Vec<Line>, y: Axis) -> Chart {
    let x = epochs_axis(1.0..longest(subject).max(2) as f64);
    Chart { x, y, lines, happened: happened(subject), level: None, band: Vec::new() }
}

/// Losses of all arms: measured, or of the training.
pub(super) fn loss(subject: &Subject, looks: &[Look], of: Figure) -> String {
    let lines = lines(subject, looks, of);
    let range = around(values(&lines));
    let y = Axis { label: "cross entropy in nats".into(), unit: Unit::Plain, range };
    draw(&over_epochs(subject, lines, y))
}

/// Losses of one arm, in training and measured, in one chart.
pub(super) fn both_losses(subject: &Subject) -> String {
    let on = subject.config.measured_on().word();
    let both: [(&str, Figure, usize); 2] =
        [("training", |e| e.train_loss, 1), (on, |e| e.measured.loss, 0)];
    let one = |(name, figure, place): (&str, Figure, usize)| {
        let points = means(&subject.arms[0], by_epoch, figure);
        Line { name: name.to_owned(), note: String::new(), look: Look::of_run(place), points }
    };
    let lines: Vec<Line> = both.into_iter().map(one).collect();
    let range = around(values(&lines));
    let y = Axis { label: "cross entropy in nats".into(), unit: Unit::Plain, range };
    draw(&over_epochs(subject, lines, y))
}

/// How evenly draws are spread over classes.
pub(super) fn balance(subject: &Subject, looks: &[Look]) -> String {
    let lines = lines(subject, looks, |e| e.balance);
    let range = around(values(&lines).chain([1.0]));
    let y = Axis { label: "balance index".into(), unit: Unit::Plain, range };
    draw(&over_epochs(subject, lines, y))
}

/// Where the draws go that teach a wrong label.
pub(super) fn flipped(subject: &Subject, looks: &[Look]) -> String {
    let lines = lines(subject, looks, |e| 100.0 * e.flipped_share.unwrap_or(f64::NAN));
    let base = 100.0 * subject.config.data.label_noise;
    let range = around(values(&lines).chain([0.0, base]));
    let y = Axis { label: "draws to flipped labels in %".into(), unit: Unit::Plain, range };
    let mut chart = over_epochs(subject, lines, y);
    chart.level = Some((base, "their share of all".into()));
    draw(&chart)
}
