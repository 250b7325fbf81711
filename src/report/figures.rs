//! The figures of a report, as SVG. Colours are told apart by colour-blind readers (Okabe and Ito 2008), and each curve has a
//! mark of its own, so that grey prints will do; every axis has its unit.

use super::{ArmFigures, ReportError, Subject};
use crate::compare::{Speedup, speedup};
use crate::protocol::EpochSummary;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;

/// Pixels; a page scales them.
const SIZE: (u32, u32) = (760, 400);
/// Type of labels, and of what an axis is called.
const LABELS: (&str, u32) = ("sans-serif", 14);
const AXES: (&str, u32) = ("sans-serif", 15);
/// Lines that are no data: E, targets, changes.
const GREY: RGBColor = RGBColor(120, 120, 120);
/// Classes that a figure shows at most; more are in the table.
const CLASSES: usize = 40;

/// A drawn figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// Name of its file.
    pub name: &'static str,
    /// What it shows, one sentence.
    pub caption: String,
    /// The drawing.
    pub svg: String,
}

/// Okabe and Ito's colours without yellow, which white paper swallows.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// All figures that the subject has figures for.
pub(super) fn all(subject: &Subject) -> Result<Vec<Figure>, ReportError> {
    let seeds = subject.arms.iter().map(|a| a.seeds.len()).max().unwrap_or(1);
    let band = if seeds > 1 { format!("; mean of {seeds} seeds, bands from lowest to highest") } else { String::new() };
    let mut out = vec![
        figure(
            "accuracy",
            format!("Test accuracy over epochs{band}. Vertical: E. Dashed: the highest mean of {}.", subject.arms[0].name),
            SIZE,
            |a| accuracy(a, subject),
        )?,
        figure(
            "loss",
            format!(
                "Training loss (marks) and test loss (lines only) over epochs{band}. After E the training loss of biased arms is measured on harder draws."
            ),
            SIZE,
            |a| losses(a, subject),
        )?,
        figure("balance", "Balance index of the draws, H(f) / ln C: 1 = all classes drawn alike.".into(), SIZE, |a| {
            balance(a, subject)
        })?,
    ];
    if subject.outcome.is_some() {
        let caption = "Speedup to the baseline's highest accuracy, a mark a seed, in epochs; below 1: later. Seeds that did not reach it have their mark at the left edge, hollow.";
        out.push(figure("speedup", caption.into(), (SIZE.0, 120 + 40 * subject.arms.len() as u32), |a| speedups(a, subject))?);
    }
    let weighed: Vec<&ArmFigures> = subject.arms.iter().filter(|a| a.seeds[0].weights.is_some()).collect();
    if let Some(arm) = shown(&weighed) {
        let caption = format!("Importance weights of {} at E (seed {}); dashed: quartiles.", arm.name, arm.seeds[0].seed);
        out.push(figure("weights", caption, SIZE, |a| weights(a, arm))?);
    }
    let all: Vec<&ArmFigures> = subject.arms.iter().collect();
    if let Some(arm) = shown(&all) {
        let classes = subject.data.classes.len().min(CLASSES);
        let height = 90 + 24 * classes as u32;
        let last = arm.seeds[0].epochs.last().map_or(0, |e| e.epoch);
        let of = format!("of {} (seed {})", arm.name, arm.seeds[0].seed);
        out.push(figure(
            "classes",
            format!("Each class's share of the training set, expected share and share of the draws in epoch {last} {of}."),
            (SIZE.0, height),
            |a| shares(a, subject, arm),
        )?);
        out.push(figure("draws", format!("Share of the draws by class and epoch {of}."), (SIZE.0, height), |a| {
            heatmap(a, subject, arm, |e, c| e.drawn.get(c).map_or(0.0, |d| *d as f64 / e.drawn.iter().sum::<u64>().max(1) as f64))
        })?);
        out.push(figure("recall", format!("Test recall by class and epoch {of}."), (SIZE.0, height), |a| {
            heatmap(a, subject, arm, |e, c| e.recall.get(c).copied().unwrap_or(0.0))
        })?);
    }
    Ok(out)
}

/// The arm that figures of one arm show: the method, if it is among them.
fn shown<'a>(arms: &[&'a ArmFigures]) -> Option<&'a ArmFigures> {
    arms.iter().find(|a| a.name.starts_with("biased")).or_else(|| arms.last()).copied()
}

fn figure(
    name: &'static str,
    caption: String,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Figure, ReportError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let drawn =
            area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area)).and_then(|()| area.present().map_err(Into::into));
        drawn.map_err(|e| ReportError::Figure { name, why: e.to_string() })?;
    }
    Ok(Figure { name, caption, svg })
}

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
        let values: Vec<f64> = arm.seeds.iter().filter_map(|s| s.epochs.get(i)).map(&y).filter(|v| v.is_finite()).collect();
        let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (!values.is_empty()).then_some(Point { epoch: (i + 1) as f64, low, mean, high })
    };
    (0..longest).filter_map(at).collect()
}

/// A little more than the values span.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
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
fn curves(area: &Area<'_>, subject: &Subject, c: &Curves<'_>, sets: &[Vec<Curve>], target: Option<f64>) -> Drawn {
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
        chart.draw_series(DashedLineSeries::new([(0.5, target), (longest + 0.5, target)], 6, 5, GREY.stroke_width(1)))?;
    }
    for (at, text) in subject.arms.iter().flat_map(|a| a.seeds.iter().flat_map(|s| s.changes.iter())) {
        let x = *at as f64;
        chart.draw_series(DashedLineSeries::new([(x, c.y.start), (x, c.y.end)], 2, 4, GREY.stroke_width(1)))?;
        chart.draw_series([Text::new(text.clone(), (x, c.y.end - 0.03 * (c.y.end - c.y.start)), ("sans-serif", 12))])?;
    }
    for (set, curves) in sets.iter().enumerate() {
        for (i, (arm, points)) in subject.arms.iter().zip(curves).enumerate() {
            let color = COLORS[i % COLORS.len()];
            if arm.seeds.len() > 1 {
                let outline: Vec<(f64, f64)> =
                    points.iter().map(|p| (p.epoch, p.low)).chain(points.iter().rev().map(|p| (p.epoch, p.high))).collect();
                chart.draw_series([Polygon::new(outline, color.mix(0.12))])?;
            }
            let line: Vec<(f64, f64)> = points.iter().map(|p| (p.epoch, p.mean)).collect();
            let drawn = chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(2)))?;
            if set == 0 {
                drawn
                    .label(arm.name.clone())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
                // A mark of its own for each arm: three shapes, full or hollow, in turn.
                let style = if i % 6 < 3 { color.filled() } else { color.stroke_width(1) };
                match i % 3 {
                    0 => chart.draw_series(line.iter().map(|at| Circle::new(*at, 3, style)))?,
                    1 => chart.draw_series(line.iter().map(|at| TriangleMarker::new(*at, 4, style)))?,
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

fn accuracy(area: &Area<'_>, subject: &Subject) -> Drawn {
    let set: Vec<_> = subject.arms.iter().map(|a| over_seeds(a, |e| 100.0 * e.test_accuracy)).collect();
    let target = set[0].iter().map(|p| p.mean).fold(f64::NEG_INFINITY, f64::max);
    let y = range(set.iter().flatten().flat_map(|p| [p.low, p.high]));
    let c = Curves { y_label: "test accuracy in %", y, format: |v| format!("{v:.0}"), legend: SeriesLabelPosition::LowerRight };
    curves(area, subject, &c, &[set], Some(target).filter(|t| t.is_finite()))
}

fn losses(area: &Area<'_>, subject: &Subject) -> Drawn {
    let train: Vec<_> = subject.arms.iter().map(|a| over_seeds(a, |e| e.train_loss)).collect();
    let test: Vec<_> = subject.arms.iter().map(|a| over_seeds(a, |e| e.test_loss)).collect();
    let y = range(train.iter().chain(&test).flatten().flat_map(|p| [p.low, p.high]));
    let c =
        Curves { y_label: "cross entropy in nats", y, format: |v| format!("{v:.2}"), legend: SeriesLabelPosition::UpperRight };
    curves(area, subject, &c, &[train, test], None)
}

fn balance(area: &Area<'_>, subject: &Subject) -> Drawn {
    let set: Vec<_> = subject.arms.iter().map(|a| over_seeds(a, |e| e.balance)).collect();
    let y = range(set.iter().flatten().flat_map(|p| [p.low, p.high]).chain([1.0]));
    curves(
        area,
        subject,
        &Curves { y_label: "balance index", y, format: |v| format!("{v:.3}"), legend: SeriesLabelPosition::MiddleRight },
        &[set],
        None,
    )
}

fn speedups(area: &Area<'_>, subject: &Subject) -> Drawn {
    let baseline = &subject.arms[0];
    let each = |arm: &ArmFigures| -> Vec<Option<f64>> {
        let pairs = arm.seeds.iter().filter_map(|s| Some((s, baseline.seeds.iter().find(|b| b.seed == s.seed)?)));
        let one = pairs.filter_map(|(s, b)| speedup(&b.epochs, &s.epochs));
        one.map(|s| if let Speedup::Reached { epochs, .. } = s { Some(epochs) } else { None }).collect()
    };
    let arms: Vec<(&ArmFigures, Vec<Option<f64>>)> = subject.arms[1..].iter().map(|a| (a, each(a))).collect();
    let x = range(arms.iter().flat_map(|(_, s)| s.iter().flatten().copied()).chain([0.5, 1.5]));
    let rows = arms.len();
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(150)
        .build_cartesian_2d(x.clone(), -0.5..rows as f64 - 0.5)?;
    chart
        .configure_mesh()
        .x_desc("speedup in epochs (1 = as the baseline)")
        .x_label_formatter(&|v| format!("{v:.2}"))
        .y_labels(0)
        .disable_y_mesh()
        .light_line_style(WHITE)
        .label_style(LABELS)
        .axis_desc_style(AXES)
        .draw()?;
    chart.draw_series(LineSeries::new([(1.0, -0.5), (1.0, rows as f64 - 0.5)], GREY.stroke_width(1)))?;
    for (row, (arm, speedups)) in arms.iter().enumerate() {
        let y = (rows - 1 - row) as f64;
        let color = COLORS[(row + 1) % COLORS.len()];
        let (left, top) = chart.backend_coord(&(x.start, y));
        area.draw(&Text::new(arm.name.clone(), (left - 145, top - 8), LABELS))?;
        for (k, s) in speedups.iter().enumerate() {
            let y = y + 0.16 * (k as f64 - (speedups.len() as f64 - 1.0) / 2.0);
            match s {
                Some(s) => chart.draw_series([Circle::new((*s, y), 4, color.filled())])?,
                None => chart.draw_series([Circle::new((x.start + 0.01 * (x.end - x.start), y), 4, color.stroke_width(1))])?,
            };
        }
    }
    Ok(())
}

fn weights(area: &Area<'_>, arm: &ArmFigures) -> Drawn {
    let Some(w) = &arm.seeds[0].weights else { return Ok(()) };
    let highest = w.counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..1.0, 0.0..highest * 1.05)?;
    chart
        .configure_mesh()
        .x_desc("importance weight (0 easy, 1 hard)")
        .y_desc("samples")
        .y_label_formatter(&|v| format!("{v:.0}"))
        .light_line_style(WHITE)
        .label_style(LABELS)
        .axis_desc_style(AXES)
        .draw()?;
    let bars = w.edges.windows(2).zip(&w.counts);
    chart.draw_series(bars.map(|(edges, count)| {
        Rectangle::new([(f64::from(edges[0]), 0.0), (f64::from(edges[1]), *count as f64)], COLORS[1].mix(0.8).filled())
    }))?;
    for quartile in w.spread.quartiles {
        let x = f64::from(quartile);
        chart.draw_series(DashedLineSeries::new([(x, 0.0), (x, highest * 1.05)], 6, 5, BLACK.stroke_width(1)))?;
    }
    Ok(())
}

/// A row per class: the name at the left, the plot at its right.
fn by_class<'a>(
    area: &Area<'a>,
    subject: &Subject,
    x: Range<f64>,
    x_label: &str,
    percent: bool,
) -> Result<
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>>,
    Box<dyn std::error::Error>,
> {
    let rows = subject.data.classes.len().min(CLASSES);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(130)
        .build_cartesian_2d(x.clone(), -0.5..rows as f64 - 0.5)?;
    chart
        .configure_mesh()
        .x_desc(x_label)
        .x_label_formatter(&|v| if percent { format!("{:.0}", 100.0 * v) } else { format!("{v:.0}") })
        .y_labels(0)
        .disable_y_mesh()
        .light_line_style(WHITE)
        .label_style(LABELS)
        .axis_desc_style(AXES)
        .draw()?;
    for (c, name) in subject.data.classes.iter().take(rows).enumerate() {
        let (left, top) = chart.backend_coord(&(x.start, (rows - 1 - c) as f64));
        let short: String = name.chars().take(17).collect();
        area.draw(&Text::new(short, (left - 128, top - 7), ("sans-serif", 13)))?;
    }
    Ok(chart)
}

fn shares(area: &Area<'_>, subject: &Subject, arm: &ArmFigures) -> Drawn {
    let Some(e) = arm.seeds[0].epochs.last() else { return Ok(()) };
    let (n, drawn) = (subject.data.train.max(1) as f64, e.drawn.iter().sum::<u64>().max(1) as f64);
    let rows = subject.data.classes.len().min(CLASSES);
    let share = |c: usize| {
        let part = |v: Option<f64>| v.unwrap_or(0.0);
        let train = part(subject.data.counts.get(c).map(|k| *k as f64)) / n;
        [train, part(e.expected.get(c).copied()) / drawn, part(e.drawn.get(c).map(|d| *d as f64)) / drawn]
    };
    let highest = (0..rows).flat_map(share).fold(0.01, f64::max);
    let mut chart =
        by_class(area, subject, 0.0..highest * 1.08, "share in %: bar = draws, line = training set, circle = expected", true)?;
    for c in 0..rows {
        let [train, expected, drawn] = share(c);
        let y = (rows - 1 - c) as f64;
        chart.draw_series([Rectangle::new([(0.0, y - 0.3), (drawn, y + 0.3)], COLORS[6].filled())])?;
        chart.draw_series([PathElement::new([(train, y - 0.42), (train, y + 0.42)], BLACK.stroke_width(2))])?;
        chart.draw_series([Circle::new((expected, y), 4, COLORS[2].stroke_width(2))])?;
    }
    Ok(())
}

fn heatmap(area: &Area<'_>, subject: &Subject, arm: &ArmFigures, value: impl Fn(&EpochSummary, usize) -> f64) -> Drawn {
    let epochs = &arm.seeds[0].epochs;
    let rows = subject.data.classes.len().min(CLASSES);
    let values: Vec<Vec<f64>> = epochs.iter().map(|e| (0..rows).map(|c| value(e, c)).collect()).collect();
    let (low, high) = values.iter().flatten().fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(*v), h.max(*v)));
    let label = format!("epoch (white {:.1}%, dark {:.1}%)", 100.0 * low, 100.0 * high);
    let mut chart = by_class(area, subject, 0.5..epochs.len() as f64 + 0.5, &label, false)?;
    let shade = |v: f64| {
        let t = ((v - low) / (high - low).max(1e-9)).clamp(0.0, 1.0);
        let mix = |from: f64, to: f64| (from + (to - from) * t) as u8;
        RGBColor(mix(247.0, 8.0), mix(251.0, 48.0), mix(255.0, 107.0))
    };
    for (i, column) in values.iter().enumerate() {
        let x = epochs[i].epoch as f64;
        let cells = column.iter().enumerate().map(|(c, v)| {
            let y = (rows - 1 - c) as f64;
            Rectangle::new([(x - 0.5, y - 0.5), (x + 0.5, y + 0.5)], shade(*v).filled())
        });
        chart.draw_series(cells)?;
    }
    Ok(())
}
