//! Figures with a row for each class.

use super::{AXES, Area, CLASSES, COLORS, Drawn, LABELS};
use crate::protocol::EpochSummary;
use crate::report::{ArmFigures, Subject};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::ops::Range;

/// A chart with a row for each name.
pub(super) type Rows<'a> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A row for each of `names`, the first on top: the name at the left, the plot at its right.
pub(super) fn by_name<'a>(
    area: &Area<'a>,
    names: &[&str],
    x: Range<f64>,
    x_label: &str,
    format: impl Fn(f64) -> String,
) -> Result<Rows<'a>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(130)
        .build_cartesian_2d(x.clone(), -0.5..names.len() as f64 - 0.5)?;
    chart
        .configure_mesh()
        .x_desc(x_label)
        .x_label_formatter(&|v| format(*v))
        .y_labels(0)
        .disable_y_mesh()
        .light_line_style(WHITE)
        .label_style(LABELS)
        .axis_desc_style(AXES)
        .draw()?;
    for (row, name) in names.iter().enumerate() {
        let (left, top) = chart.backend_coord(&(x.start, (names.len() - 1 - row) as f64));
        let short: String = name.chars().take(19).collect();
        area.draw(&Text::new(short, (left - 128, top - 7), ("sans-serif", 13)))?;
    }
    Ok(chart)
}

/// A row for each class, as many as a figure shows.
fn by_class<'a>(
    area: &Area<'a>,
    subject: &Subject,
    x: Range<f64>,
    x_label: &str,
    percent: bool,
) -> Result<Rows<'a>, Box<dyn std::error::Error>> {
    let names: Vec<&str> = subject.data.classes.iter().take(CLASSES).map(String::as_str).collect();
    by_name(area, &names, x, x_label, |v| {
        if percent { format!("{:.0}", 100.0 * v) } else { format!("{v:.0}") }
    })
}

pub(super) fn shares(area: &Area<'_>, subject: &Subject, arm: &ArmFigures) -> Drawn {
    let Some(e) = arm.seeds[0].epochs.last() else { return Ok(()) };
    let (n, drawn) = (subject.data.train.max(1) as f64, e.drawn.iter().sum::<u64>().max(1) as f64);
    let rows = subject.data.classes.len().min(CLASSES);
    let share = |c: usize| {
        let part = |v: Option<f64>| v.unwrap_or(0.0);
        let train = part(subject.data.counts.get(c).map(|k| *k as f64)) / n;
        [
            train,
            part(e.expected.get(c).copied()) / drawn,
            part(e.drawn.get(c).map(|d| *d as f64)) / drawn,
        ]
    };
    let highest = (0..rows).flat_map(share).fold(0.01, f64::max);
    let mut chart = by_class(
        area,
        subject,
        0.0..highest * 1.08,
        "share in %: bar = draws, line = training set, circle = expected",
        true,
    )?;
    for c in 0..rows {
        let [train, expected, drawn] = share(c);
        let y = (rows - 1 - c) as f64;
        chart.draw_series([Rectangle::new(
            [(0.0, y - 0.3), (drawn, y + 0.3)],
            COLORS[6].filled(),
        )])?;
        chart.draw_series([PathElement::new(
            [(train, y - 0.42), (train, y + 0.42)],
            BLACK.stroke_width(2),
        )])?;
        chart.draw_series([Circle::new((expected, y), 4, COLORS[2].stroke_width(2))])?;
    }
    Ok(())
}

pub(super) fn heatmap(
    area: &Area<'_>,
    subject: &Subject,
    arm: &ArmFigures,
    value: impl Fn(&EpochSummary, usize) -> f64,
) -> Drawn {
    let epochs = &arm.seeds[0].epochs;
    let rows = subject.data.classes.len().min(CLASSES);
    let values: Vec<Vec<f64>> =
        epochs.iter().map(|e| (0..rows).map(|c| value(e, c)).collect()).collect();
    let (low, high) =
        values.iter().flatten().fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(*v), h.max(*v)));
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
