//! Curves with their names at their ends. Knows nothing of runs.

use super::palette::{Look, Paint};
use super::plot::{Axis, Plot};
use super::svg::{Anchor, SMALL, Svg, Type, WIDTH, shortened, wide};

/// Room above the plot, below it, and left of it.
const ABOVE: f64 = 24.0;
const BELOW: f64 = 38.0;
const LEFT: f64 = 42.0;
/// Height of the plot, if its names need no more.
const HEIGHT: f64 = 210.0;
/// Height of a name.
const NAME: f64 = 12.5;
/// Characters of a name at most.
const LONGEST: usize = 19;
/// From a curve's end to its name: a line to it, and a sample of how the curve is drawn.
const GAP: f64 = 10.0;
const SAMPLE: f64 = 20.0;

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub name: String,
    /// What stands behind its name.
    pub note: String,
    pub look: Look,
    pub points: Vec<(f64, f64)>,
}

/// What a chart shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chart {
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    /// Places on the x axis that something happened at, and what.
    pub happened: Vec<(f64, String)>,
    /// A height that curves are to reach, and what it is.
    pub level: Option<(f64, String)>,
    /// An area behind the curves: x, low, high.
    pub band: Vec<(f64, f64, f64)>,
}

/// Draws it.
pub(super) fn draw(chart: &Chart) -> String {
    let lines: Vec<&Line> = chart.lines.iter().filter(|l| !l.points.is_empty()).collect();
    let widest = lines.iter().map(|l| wide(&label(l), SMALL)).fold(0.0, f64::max);
    let height = HEIGHT.max(NAME * lines.len() as f64);
    let plot = Plot {
        left: LEFT,
        top: ABOVE,
        width: WIDTH - LEFT - GAP - SAMPLE - 8.0 - widest,
        height,
        x: chart.x.range.clone(),
        y: chart.y.range.clone(),
    };
    let mut svg = Svg::new(ABOVE + height + BELOW);
    plot.y_axis(&mut svg, &chart.y);
    plot.x_axis(&mut svg, &chart.x);
    behind(&mut svg, &plot, chart);
    happened(&mut svg, &plot, chart);
    // What the eye shall find first is drawn last.
    let mut order = lines.clone();
    order.sort_by(|a, b| a.look.width.total_cmp(&b.look.width));
    for line in order {
        for part in plot.within(&line.points) {
            svg.polyline(&part, &line.look.stroke());
        }
    }
    if let Some((level, words)) = &chart.level {
        let at = (plot.left + 4.0, plot.y(*level) - 4.0);
        svg.outlined(at, Type::new(Paint::Dim, SMALL, Anchor::Start), words);
    }
    names(&mut svg, &plot, &lines);
    svg.finish()
}

fn label(line: &Line) -> String {
    let name = shortened(&line.name, LONGEST);
    if line.note.is_empty() { name } else { format!("{name} {}", line.note) }
}

fn behind(svg: &mut Svg, plot: &Plot, chart: &Chart) {
    let at = |x: f64, y: f64| (plot.x(x), plot.y(y.clamp(plot.y.start, plot.y.end)));
    let low = chart.band.iter().map(|(x, low, _)| at(*x, *low));
    let high = chart.band.iter().rev().map(|(x, _, high)| at(*x, *high));
    svg.polygon(&low.chain(high).collect::<Vec<_>>(), &Paint::Dim.fill(0.16));
    if let Some((level, _)) = &chart.level {
        let y = plot.y(*level);
        let dashed = format!("{} stroke-dasharray=\"2 3\"", Paint::Dim.stroke(1.0));
        svg.line((plot.left, y), (plot.right(), y), &dashed);
    }
}

/// Lines upright where something happened: the first's words stand below, where curves seldom are,
/// the others' above, one below the other.
fn happened(svg: &mut Svg, plot: &Plot, chart: &Chart) {
    for (k, (x, words)) in chart.happened.iter().enumerate() {
        if !(plot.x.start..=plot.x.end).contains(x) {
            continue;
        }
        let x = plot.x(*x);
        svg.line((x, plot.top), (x, plot.bottom()), &Paint::Dim.stroke(0.8));
        let is_left = x < plot.left + plot.width / 2.0;
        let (anchor, x) = if is_left { (Anchor::Start, x + 4.0) } else { (Anchor::End, x - 4.0) };
        let above = |k: usize| plot.top + 9.0 + NAME * (k % 6) as f64;
        let y = k.checked_sub(1).map_or(plot.bottom() - 5.0, above);
        svg.text((x, y), Type::new(Paint::Dim, SMALL, anchor), words);
    }
}

/// Each curve's name beside its end, apart from the others; an arrow before one that ends below
/// or above the plot.
fn names(svg: &mut Svg, plot: &Plot, lines: &[&Line]) {
    let mut ends: Vec<(&Line, (f64, f64))> =
        lines.iter().filter_map(|l| Some((*l, *l.points.last()?))).collect();
    ends.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    let wanted: Vec<f64> =
        ends.iter().map(|(_, (_, y))| plot.y(y.clamp(plot.y.start, plot.y.end))).collect();
    let places = apart(&wanted, NAME, plot.top + 2.0, plot.bottom());
    for (((line, (x, y)), wanted), place) in ends.iter().zip(&wanted).zip(&places) {
        let start = plot.right() + GAP;
        let end = plot.x(*x);
        if end < plot.right() - 3.0 && *wanted < plot.bottom() {
            svg.circle((end, *wanted), 2.4, &line.look.paint.fill(1.0));
        }
        let thin = Look { width: 0.7, dash: "", ..line.look };
        let faint = format!("{} stroke-opacity=\"0.6\"", thin.stroke());
        svg.line((end + 1.0, *wanted), (start, *place), &faint);
        svg.line((start, *place), (start + SAMPLE, *place), &line.look.stroke());
        let beyond = match *y {
            y if y < plot.y.start => "\u{2193} ",
            y if y > plot.y.end => "\u{2191} ",
            _ => "",
        };
        let at = (start + SAMPLE + 4.0, place + 3.6);
        let look = Type::new(line.look.paint, SMALL, Anchor::Start).bold(line.look.width > 2.0);
        svg.text(at, look, &format!("{beyond}{}", label(line)));
    }
}

/// Places at least `gap` apart and as near to `wanted`, which rise, as that allows, between `low`
/// and `high` where all fit.
fn apart(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for want in wanted {
        let least = places.last().map_or(low, |last| last + gap);
        places.push(want.max(least));
    }
    let mut most = high;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_apart_and_near_their_curves() {
        assert_eq!(apart(&[10.0, 50.0], 12.0, 0.0, 100.0), [10.0, 50.0]);
        assert_eq!(apart(&[10.0, 11.0, 12.0], 12.0, 0.0, 100.0), [10.0, 22.0, 34.0]);
        assert_eq!(apart(&[95.0, 96.0, 97.0], 12.0, 0.0, 100.0), [76.0, 88.0, 100.0]);
    }
}
