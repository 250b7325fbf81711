//! Figures over epochs: one curve an arm. And the speedups that they give.

use super::classes::by_name;
use super::{AXES, Area, COLORS, Drawn, GREY, LABELS};
use crate::compare::{Speedup, speedup};
use crate::protocol::EpochSummary;
use crate::report::{ArmFigures, Subject};
use plotters::prelude::*;
use std::ops::Range;

/// An epoch of a curve: lowest, mean and highest over the seeds that have it.
struct Point {
    epoch: f64,
    low: f64,
    mean: f64,
    high: f64,
}

/// A curve over epochs.
type Curve = Vec<Point>;

fn over_seeds(arm: &ArmFigures, y: impl Fn(&EpochSummary) -> f64) -> Curve {
    let longest = arm.seeds.iter().map(|s| s.epochs.len()).max().unwrap_or(0);
    let at = |i: usize| {
        let values: Vec<f64> = arm
            .seeds
            .iter()
            .filter_map(|s| s.epochs.get(i))
            .map(&y)
            .filter(|v| v.is_finite())
            .collect();
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (!values.is_empty()).then_some(Point { epoch: (i + 1) as f64, low, mean, high })
    };
    (0..longest).filter_map(at).collect()
}

/// A little more than the values span.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.05).max(1e-3);
    low - room..high + room
}

struct Curves<'a> {
    y_label: &'a str,
    y: Range<f64>,
    format: fn(f64) -> String,
    legend: SeriesLabelPosition,
}

/// Draws one curve an arm, with a band where there are several seeds.
fn curves(
    area: &Area<'_>,
    subject: &Subject,
    c: &Curves<'_>,
    sets: &[Vec<Curve>],
    target: Option<f64>,
) -> Drawn {
    let longest = sets.iter().flatten().flatten().map(|p| p.epoch).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.5..longest + 0.5, c.y.clone())?;
    let format = c.format;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .y_desc(c.y_label)
        .x_label_formatter(&|v| format!("{v:.0}"))
        .y_label_formatter(&|v| format(*v))
        .light_line_style(WHITE)
        .label_style(LABELS)
        .axis_desc_style(AXES)
        .draw()?;
    let e = subject.arms[0].seeds[0].pretrain_epochs as f64 + 0.5;
    chart.draw_series(LineSeries::new([(e, c.y.start), (e, c.y.end)], GREY.stroke_width(1)))?;
    if let Some(target) = target {
        chart.draw_series(DashedLineSeries::new(
            [(0.5, target), (longest + 0.5, target)],
            6,
            5,
            GREY.stroke_width(1),
        ))?;
    }
    for (at, text) in
        subject.arms.iter().flat_map(|a| a.seeds.iter().flat_map(|s| s.changes.iter()))
    {
        let x = *at as f64;
        chart.draw_series(DashedLineSeries::new(
            [(x, c.y.start), (x, c.y.end)],
            2,
            4,
            GREY.stroke_width(1),
        ))?;
        chart.draw_series([Text::new(
            text.clone(),
            (x, c.y.end - 0.03 * (c.y.end - c.y.start)),
            ("sans-serif", 12),
        )])?;
    }
    for (set, curves) in sets.iter().enumerate() {
        for (i, (arm, points)) in subject.arms.iter().zip(curves).enumerate() {
            let color = COLORS[i % COLORS.len()];
            if arm.seeds.len() > 1 {
                let outline: Vec<(f64, f64)> = points
                    .iter()
                    .map(|p| (p.epoch, p.low))
                    .chain(points.iter().rev().map(|p| (p.epoch, p.high)))
                    .collect();
                chart.draw_series([Polygon::new(outline, color.mix(0.12))])?;
            }
            let line: Vec<(f64, f64)> = points.iter().map(|p| (p.epoch, p.mean)).collect();
            let drawn =
                chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(2)))?;
            if set == 0 {
                drawn.label(arm.name.clone()).legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
                // A mark of its own for each arm: three shapes, full or hollow, in turn.
                let style = if i % 6 < 3 { color.filled() } else { color.stroke_width(1) };
                match i % 3 {
                    0 => chart.draw_series(line.iter().map(|at| Circle::new(*at, 3, style)))?,
                    1 => chart
                        .draw_series(line.iter().map(|at| TriangleMarker::new(*at, 4, style)))?,
                    _ => chart.draw_series(line.iter().map(|at| Cross::new(*at, 3, style)))?,
                };
            }
        }
    }
    chart
        .configure_series_labels()
        .position(c.legend.clone())
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(LABELS)
        .draw()?;
    Ok(())
}

pub(super) fn accuracy(area: &Area<'_>, subject: &Subject) -> Drawn {
    let set: Vec<_> =
        subject.arms.iter().map(|a| over_seeds(a, |e| 100.0 * e.measured.accuracy)).collect();
    let target = set[0].iter().map(|p| p.mean).fold(f64::NEG_INFINITY, f64::max);
    let y = range(set.iter().flatten().flat_map(|p| [p.low, p.high]));
    let y_label = format!("{} accuracy in %", subject.config.measured_on().word());
    let c = Curves {
        y_label: &y_label,
        y,
        format: |v| format!("{v:.0}"),
        legend: SeriesLabelPosition::LowerRight,
    };
    curves(area, subject, &c, &[set], Some(target).filter(|t| t.is_finite()))
}

pub(super) fn losses(area: &Area<'_>, subject: &Subject) -> Drawn {
    let train: Vec<_> = subject.arms.iter().map(|a| over_seeds(a, |e| e.train_loss)).collect();
    let test: Vec<_> = subject.arms.iter().map(|a| over_seeds(a, |e| e.measured.loss)).collect();
    let y = range(train.iter().chain(&test).flatten().flat_map(|p| [p.low, p.high]));
    let c = Curves {
        y_label: "cross entropy in nats",
        y,
        format: |v| format!("{v:.2}"),
        legend: SeriesLabelPosition::UpperRight,
    };
    curves(area, subject, &c, &[train, test], None)
}

pub(super) fn balance(area: &Area<'_>, subject: &Subject) -> Drawn {
    let set: Vec<_> = subject.arms.iter().map(|a| over_seeds(a, |e| e.balance)).collect();
    let y = range(set.iter().flatten().flat_map(|p| [p.low, p.high]).chain([1.0]));
    curves(
        area,
        subject,
        &Curves {
            y_label: "balance index",
            y,
            format: |v| format!("{v:.3}"),
            legend: SeriesLabelPosition::MiddleRight,
        },
        &[set],
        None,
    )
}

/// Where the draws go that teach a wrong label.
pub(super) fn flipped(area: &Area<'_>, subject: &Subject) -> Drawn {
    let set: Vec<_> = subject
        .arms
        .iter()
        .map(|a| over_seeds(a, |e| 100.0 * e.flipped_share.unwrap_or(f64::NAN)))
        .collect();
    let base = 100.0 * subject.config.data.label_noise;
    let y = range(set.iter().flatten().flat_map(|p| [p.low, p.high]).chain([0.0, base]));
    let c = Curves {
        y_label: "draws to flipped labels in %",
        y,
        format: |v| format!("{v:.0}"),
        legend: SeriesLabelPosition::UpperRight,
    };
    curves(area, subject, &c, &[set], Some(base))
}

pub(super) fn speedups(area: &Area<'_>, subject: &Subject) -> Drawn {
    let baseline = &subject.arms[0];
    let each = |arm: &ArmFigures| -> Vec<Option<f64>> {
        let pairs = arm
            .seeds
            .iter()
            .filter_map(|s| Some((s, baseline.seeds.iter().find(|b| b.seed == s.seed)?)));
        let one = pairs.filter_map(|(s, b)| speedup(&b.epochs, &s.epochs));
        one.map(|s| if let Speedup::Reached { epochs, .. } = s { Some(epochs) } else { None })
            .collect()
    };
    let arms: Vec<(&ArmFigures, Vec<Option<f64>>)> =
        subject.arms[1..].iter().map(|a| (a, each(a))).collect();
    let x = range(arms.iter().flat_map(|(_, s)| s.iter().flatten().copied()).chain([0.5, 1.5]));
    let rows = arms.len();
    let names: Vec<&str> = arms.iter().map(|(arm, _)| arm.name.as_str()).collect();
    let mut chart =
        by_name(area, &names, x.clone(), "speedup in epochs (1 = as the baseline)", |v| {
            format!("{v:.2}")
        })?;
    chart.draw_series(LineSeries::new(
        [(1.0, -0.5), (1.0, rows as f64 - 0.5)],
        GREY.stroke_width(1),
    ))?;
    for (row, (_, speedups)) in arms.iter().enumerate() {
        let y = (rows - 1 - row) as f64;
        let color = COLORS[(row + 1) % COLORS.len()];
        for (k, s) in speedups.iter().enumerate() {
            let y = y + 0.16 * (k as f64 - (speedups.len() as f64 - 1.0) / 2.0);
            match s {
                Some(s) => chart.draw_series([Circle::new((*s, y), 4, color.filled())])?,
                None => chart.draw_series([Circle::new(
                    (x.start + 0.01 * (x.end - x.start), y),
                    4,
                    color.stroke_width(1),
                )])?,
            };
        }
    }
    Ok(())
}
