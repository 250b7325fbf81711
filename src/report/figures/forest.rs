//! The forest plot: for each arm the difference to the baseline with its interval, the highest
//! first.

use super::palette::Paint;
use super::plot::{Axis, Plot, Unit, around};
use super::svg::{Anchor, LETTERS, SMALL, Svg, Type, WIDTH, shortened, wide};
use crate::compare::{Difference, Finding, Side, Standing};

/// Height of a row, and of what stands above and below the rows.
const ROW: f64 = 23.0;
const ABOVE: f64 = 24.0;
const BELOW: f64 = 40.0;
/// Characters of a name at most.
const NAME: usize = 19;
/// Radius of the mark at the mean.
const MARK: f64 = 4.6;

pub(super) fn draw(finding: &Finding) -> String {
    let standings = &finding.standings;
    let rows = standings.len().max(1) as f64;
    let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
    let names = &mut standings.iter().map(|s| wide(&shortened(&s.arm, NAME), LETTERS));
    let left = 8.0 + widest(names);
    let values = &mut standings.iter().map(|s| wide(&s.gain.points(), SMALL - 0.5));
    let right = 8.0 + widest(values);
    let (low, high) = finding.span();
    let x = around([100.0 * low, 100.0 * high]);
    let plot = Plot {
        left: left + 6.0,
        top: ABOVE,
        width: WIDTH - left - right - 12.0,
        height: ROW * rows,
        x: x.clone(),
        y: 0.0..rows,
    };
    let mut svg = Svg::new(ABOVE + plot.height + BELOW);
    behind(&mut svg, &plot, finding);
    for (row, standing) in standings.iter().enumerate() {
        let y = ABOVE + ROW * (row as f64 + 0.5);
        one(&mut svg, &plot, y, standing);
    }
    let label = format!("points of final test accuracy, 0 = {}", shortened(&finding.baseline, 20));
    plot.x_axis(&mut svg, &Axis { label, unit: Unit::Plain, range: x });
    svg.finish()
}

/// What lies behind the rows: what chance does, lines between rows, the line of no difference.
fn behind(svg: &mut Svg, plot: &Plot, finding: &Finding) {
    let null = finding.standings.iter().find(|s| s.is_null).and_then(|s| s.gain.interval);
    if let Some((low, high)) = null {
        let end = |v: f64| plot.x((100.0 * v).clamp(plot.x.start, plot.x.end));
        let (from, to) = (end(low), end(high));
        svg.rect((from, plot.top), (to - from, plot.height), &Paint::Dim.fill(0.16));
    }
    for row in 1..finding.standings.len() {
        let y = plot.top + ROW * row as f64;
        svg.line((2.0, y), (WIDTH - 2.0, y), &Paint::Rule.stroke(0.6));
    }
    let zero = plot.x(0.0);
    svg.line((zero, plot.top - 6.0), (zero, plot.bottom()), &Paint::Ink.stroke(1.2));
    let words = |anchor| Type::new(Paint::Dim, SMALL, anchor);
    svg.text((zero - 6.0, plot.top - 8.0), words(Anchor::End), "worse");
    svg.text((zero + 6.0, plot.top - 8.0), words(Anchor::Start), "better");
    svg.text((WIDTH - 4.0, plot.top - 8.0), words(Anchor::End), "mean [95%]");
}

fn one(svg: &mut Svg, plot: &Plot, y: f64, standing: &Standing) {
    let paint = match standing.side() {
        _ if standing.is_null => Paint::Dim,
        Side::Better => Paint::Better,
        Side::Worse => Paint::Worse,
        Side::Open => Paint::Ink,
    };
    let name = shortened(&standing.arm, NAME);
    let bold = standing.holds();
    let ink = if standing.is_null { Paint::Dim } else { Paint::Ink };
    svg.text((4.0, y + 4.0), Type::new(ink, LETTERS, Anchor::Start).bold(bold), &name);
    let value = Type::new(paint, SMALL - 0.5, Anchor::End).bold(bold);
    svg.text((WIDTH - 4.0, y + 3.6), value, &standing.gain.points());
    interval(svg, plot, y, &standing.gain, paint);
    mark(svg, plot, y, standing, paint);
}

/// The interval as a line with feet; an arrow where it goes on beyond the axis.
fn interval(svg: &mut Svg, plot: &Plot, y: f64, gain: &Difference, paint: Paint) {
    let Some((low, high)) = gain.interval.map(|(l, h)| (100.0 * l, 100.0 * h)) else { return };
    let (start, end) = (plot.x.start, plot.x.end);
    let at = |v: f64| plot.x(v.clamp(start, end));
    svg.line((at(low), y), (at(high), y), &paint.stroke(1.8));
    for (value, beyond, way) in [(low, low < start, -1.0), (high, high > end, 1.0)] {
        let x = at(value);
        if beyond {
            arrow(svg, (x, y), way, paint);
        } else if (start..=end).contains(&value) {
            svg.line((x, y - 3.5), (x, y + 3.5), &paint.stroke(1.8));
        }
    }
}

fn arrow(svg: &mut Svg, (x, y): (f64, f64), way: f64, paint: Paint) {
    let tip = (x + way * 4.0, y);
    let back = x - way * 3.0;
    svg.polygon(&[tip, (back, y - 4.5), (back, y + 4.5)], &paint.fill(1.0));
}

/// The mean: full where it is decided, hollow where not, a diamond for the null arm.
fn mark(svg: &mut Svg, plot: &Plot, y: f64, standing: &Standing, paint: Paint) {
    let mean = 100.0 * standing.gain.mean;
    if !(plot.x.start..=plot.x.end).contains(&mean) {
        // Its interval, if there is one, ends in an arrow already.
        let (x, way) = if mean < plot.x.start { (plot.left, -1.0) } else { (plot.right(), 1.0) };
        return arrow(svg, (x, y), way, paint);
    }
    let x = plot.x(mean);
    let r = MARK + 1.0;
    if standing.is_null {
        let corners = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)];
        svg.polygon(&corners, &paint.hollow(1.6));
    } else if standing.side() == Side::Open {
        svg.circle((x, y), MARK, &paint.hollow(1.6));
    } else {
        svg.circle((x, y), MARK, &paint.fill(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::fixture::{outcome, thirteen};

    #[test]
    fn arms_come_in_the_order_of_their_difference_each_with_its_name_and_value() {
        let finding = thirteen().finding();
        let svg = draw(&finding);
        let mut after = 0;
        for s in &finding.standings {
            let at = svg[after..].find(&format!(">{}<", s.arm)).expect(&s.arm);
            after += at;
            assert!(svg[after..].contains(&format!(">{}<", s.gain.points())), "{}", s.arm);
        }
        let sides = |side| finding.standings.iter().filter(move |s| !s.is_null && s.side() == side);
        let (better, open) = (sides(Side::Better).count(), sides(Side::Open).count());
        assert!(better > 0 && open > 0, "{better} {open}");
        let marks = |class: &str| svg.matches(&format!("r=\"4.6\" class=\"{class}\"")).count();
        assert_eq!((marks("f-better"), marks("f-paper s-ink")), (better, open));
    }

    #[test]
    fn an_arm_that_failed_is_an_arrow_and_does_not_squeeze_the_others() {
        let svg = draw(&thirteen().finding());
        assert_eq!(svg.matches("<polygon").count(), 2 + 1, "its arrow and interval, the null mark");
    }

    #[test]
    fn one_seed_gives_means_without_intervals() {
        let svg = draw(&outcome(&[("uniform", &[0.8]), ("biased", &[0.9])]).finding());
        assert!(svg.contains(">+10.00<") && !svg.contains("NaN"), "{svg}");
    }
}
