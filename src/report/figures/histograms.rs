//! How weights and probabilities are spread over the samples, and where among them the flipped
//! labels are.

use super::lines::{Chart, Line, draw};
use super::palette::{Look, Paint};
use super::plot::{Axis, Plot, Unit};
use super::svg::{Svg, WIDTH};
use crate::importance::Sample;
use crate::report::ArmFigures;

/// Samples by importance weight.
pub(super) fn weights(arm: &ArmFigures) -> Option<String> {
    let w = arm.seeds[0].weights.as_ref()?;
    let marks: Vec<f64> = w.spread.quartiles.iter().map(|q| f64::from(*q)).collect();
    Some(bars("importance weight (0 easy, 1 hard)", &w.edges, &w.counts, &marks))
}

/// Samples by expected draws an epoch.
pub(super) fn probabilities(arm: &ArmFigures) -> Option<String> {
    let w = arm.seeds[0].weights.as_ref().filter(|w| w.draw_edges.len() > 1)?;
    let label = "expected draws of a sample in an epoch";
    Some(bars(label, &w.draw_edges, &w.draw_counts, &[1.0]))
}

fn bars(x_label: &str, edges: &[f32], counts: &[u64], marks: &[f64]) -> String {
    let highest = counts.iter().copied().max().unwrap_or(1).max(1) as f64 * 1.05;
    let end = edges.last().map_or(1.0, |e| f64::from(*e)).max(1e-6);
    let plot = Plot {
        left: 46.0,
        top: 24.0,
        width: WIDTH - 46.0 - 14.0,
        height: 190.0,
        x: 0.0..end,
        y: 0.0..highest,
    };
    let mut svg = Svg::new(24.0 + 190.0 + 38.0);
    let axis = |label: &str, unit| Axis { label: label.to_owned(), unit, range: 0.0..1.0 };
    plot.y_axis(&mut svg, &axis("samples", Unit::Count));
    for (edges, count) in edges.windows(2).zip(counts) {
        let (left, right) = (plot.x(f64::from(edges[0])), plot.x(f64::from(edges[1])));
        let top = plot.y(*count as f64);
        let size = (right - left - 0.4, plot.bottom() - top);
        svg.rect((left, top), size, &Paint::Better.fill(0.8));
    }
    for x in marks.iter().map(|x| plot.x(*x)) {
        let dashed = format!("{} stroke-dasharray=\"4 3\"", Paint::Ink.stroke(1.2));
        svg.line((x, plot.top), (x, plot.bottom()), &dashed);
    }
    plot.x_axis(&mut svg, &axis(x_label, Unit::Plain));
    svg.finish()
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
pub(super) fn flips(samples: &[Sample]) -> String {
    let points = among_hardest(samples);
    let base = points.last().map_or(0.0, |(_, rate)| *rate);
    let highest = points.iter().map(|(_, rate)| *rate).fold(base, f64::max) * 1.05 + 0.1;
    let axis = |label: &str, range| Axis { label: label.to_owned(), unit: Unit::Plain, range };
    let look = Look { paint: Paint::Worse, dash: "", width: 2.0 };
    draw(&Chart {
        x: axis("hardest samples, in % of all", 0.0..100.0),
        y: axis("flipped labels among them in %", 0.0..highest),
        lines: vec![Line { name: "flipped".into(), note: String::new(), look, points }],
        happened: Vec::new(),
        level: Some((base, "their share of all".into())),
        band: Vec::new(),
    })
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
