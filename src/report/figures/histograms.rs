//! How weights and probabilities are spread over the samples, and where among them the flipped
//! labels are.

use super::{AXES, Area, COLORS, Drawn, GREY, LABELS};
use crate::importance::Sample;
use crate::report::ArmFigures;
use plotters::prelude::*;

/// Samples by importance weight.
pub(super) fn weights(area: &Area<'_>, arm: &ArmFigures) -> Drawn {
    let Some(w) = &arm.seeds[0].weights else { return Ok(()) };
    let marks: Vec<f64> = w.spread.quartiles.iter().map(|q| f64::from(*q)).collect();
    bars(area, "importance weight (0 easy, 1 hard)", &w.edges, &w.counts, &marks)
}

/// Samples by expected draws an epoch.
pub(super) fn probabilities(area: &Area<'_>, arm: &ArmFigures) -> Drawn {
    let Some(w) = arm.seeds[0].weights.as_ref().filter(|w| w.draw_edges.len() > 1) else {
        return Ok(());
    };
    bars(area, "expected draws of a sample in an epoch", &w.draw_edges, &w.draw_counts, &[1.0])
}

fn bars(area: &Area<'_>, x_label: &str, edges: &[f32], counts: &[u64], marks: &[f64]) -> Drawn {
    let highest = counts.iter().copied().max().unwrap_or(1).max(1) as f64 * 1.05;
    let end = edges.last().map_or(1.0, |e| f64::from(*e)).max(1e-6);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, 0.0..highest)?;
    chart
        .configure_mesh()
        .x_desc(x_label)
        .y_desc("samples")
        .y_label_formatter(&|v| format!("{v:.0}"))
        .light_line_style(WHITE)
        .label_style(LABELS)
        .axis_desc_style(AXES)
        .draw()?;
    chart.draw_series(edges.windows(2).zip(counts).map(|(edges, count)| {
        Rectangle::new(
            [(f64::from(edges[0]), 0.0), (f64::from(edges[1]), *count as f64)],
            COLORS[1].mix(0.8).filled(),
        )
    }))?;
    for &x in marks {
        chart.draw_series(DashedLineSeries::new(
            [(x, 0.0), (x, highest)],
            6,
            5,
            BLACK.stroke_width(1),
        ))?;
    }
    Ok(())
}

/// Share of flipped labels, in percent, among the hardest samples: for each of these shares of all
/// samples, in percent.
fn among_hardest(samples: &[Sample]) -> Vec<(f64, f64)> {
    let mut order: Vec<&Sample> = samples.iter().collect();
    order.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.index.cmp(&b.index)));
    let mut flipped = 0;
    let mut at = Vec::new();
    for (k, s) in order.iter().enumerate() {
        flipped += usize::from(s.flipped == Some(true));
        at.push((
            100.0 * (k + 1) as f64 / order.len() as f64,
            100.0 * flipped as f64 / (k + 1) as f64,
        ));
    }
    // From half a percent on: the first few samples alone say little.
    let stride = (at.len() / 400).max(1);
    at.into_iter().step_by(stride).filter(|(share, _)| *share >= 0.5).collect()
}

/// Share of flipped labels over the hardest samples.
pub(super) fn flips(area: &Area<'_>, samples: &[Sample]) -> Drawn {
    let curve = among_hardest(samples);
    let base = curve.last().map_or(0.0, |(_, rate)| *rate);
    let highest = curve.iter().map(|(_, rate)| *rate).fold(base, f64::max) * 1.05 + 0.1;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..100.0, 0.0..highest)?;
    chart
        .configure_mesh()
        .x_desc("hardest samples, in % of all")
        .y_desc("flipped labels among them in %")
        .light_line_style(WHITE)
        .label_style(LABELS)
        .axis_desc_style(AXES)
        .draw()?;
    chart.draw_series(DashedLineSeries::new(
        [(0.0, base), (100.0, base)],
        6,
        5,
        GREY.stroke_width(1),
    ))?;
    chart.draw_series(LineSeries::new(curve, COLORS[2].stroke_width(2)))?;
    Ok(())
}

/// `Among the hardest 1% 62.0% are flipped, 6.2 times their share of all.`
pub(super) fn flips_in_words(samples: &[Sample]) -> String {
    let rate = |samples: &[&Sample]| {
        samples.iter().filter(|s| s.flipped == Some(true)).count() as f64
            / samples.len().max(1) as f64
    };
    let hardest = crate::importance::Pick::Hardest.of(samples, (samples.len() / 100).max(1));
    let (among, base) = (rate(&hardest), rate(&samples.iter().collect::<Vec<_>>()));
    format!(
        "Among the hardest 1% {:.1}% are flipped, {:.1} times their share of all.",
        100.0 * among,
        among / base.max(f64::MIN_POSITIVE)
    )
}
