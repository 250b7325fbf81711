//! A rectangle with two axes, round numbers at their ticks, and room around. Knows nothing of what
//! is drawn in it.

use super::palette::Paint;
use super::svg::{Anchor, SMALL, Svg, Type};
use std::ops::Range;

/// What stands at the ticks of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// The number.
    Plain,
    /// A share as percent.
    Percent,
    /// A count: `15k`, `3M`.
    Count,
    /// Seconds: `40 s`, `12 min`, `3 h`.
    Seconds,
}

impl Unit {
    /// Values are shown, and ticks are round, in this many of the axis's own units.
    fn size(self, widest: f64) -> (f64, &'static str) {
        match self {
            Self::Plain => (1.0, ""),
            Self::Percent => (0.01, ""),
            Self::Count if widest >= 2e6 => (1e6, "M"),
            Self::Count if widest >= 2e3 => (1e3, "k"),
            Self::Count => (1.0, ""),
            Self::Seconds if widest >= 7200.0 => (3600.0, " h"),
            Self::Seconds if widest >= 180.0 => (60.0, " min"),
            Self::Seconds => (1.0, " s"),
        }
    }

    /// Where ticks are, at most one more than `most` of them, and what stands there.
    pub(super) fn ticks(self, range: &Range<f64>, most: usize) -> Vec<(f64, String)> {
        let (size, word) = self.size(range.start.abs().max(range.end.abs()));
        let (low, high) = (range.start / size, range.end / size);
        let rough = (high - low) / most.max(1) as f64;
        // Not above zero: no number, or no range.
        if rough.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) || !rough.is_finite() {
            return Vec::new();
        }
        let power = 10.0_f64.powf(rough.log10().floor());
        let within =
            |step: f64| ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        // The finest that leaves room for its words.
        let step = [1.0, 2.0, 5.0].map(|k| k * power).into_iter().find(|step| {
            let (first, last) = within(*step);
            last.saturating_sub(first) <= most as i64
        });
        let step = step.unwrap_or(10.0 * power);
        let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
        let (first, last) = within(step);
        (first..=last)
            .map(|k| {
                let value = k as f64 * step;
                let word = if k == 0 { "" } else { word };
                (value * size, format!("{value:.decimals$}{word}"))
            })
            .collect()
    }
}

/// An axis: what it measures, in which unit, from where to where.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub label: String,
    pub unit: Unit,
    pub range: Range<f64>,
}

/// Where data lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plot {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    pub x: Range<f64>,
    pub y: Range<f64>,
}

impl Plot {
    /// Where a value of the x axis is.
    pub(super) fn x(&self, value: f64) -> f64 {
        self.left + self.width * share(&self.x, value)
    }

    /// Where a value of the y axis is.
    pub(super) fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - share(&self.y, value))
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The x axis below: ticks with their words, and what is measured.
    pub(super) fn x_axis(&self, svg: &mut Svg, axis: &Axis) {
        let ticks = axis.unit.ticks(&self.x, (self.width / 38.0).round() as usize);
        let bottom = self.bottom();
        for (value, words) in ticks {
            let x = self.x(value);
            svg.line((x, bottom), (x, bottom + 4.0), &Paint::Dim.stroke(1.0));
            svg.text((x, bottom + 15.0), Type::new(Paint::Dim, SMALL, Anchor::Middle), &words);
        }
        let at = (self.left + self.width / 2.0, bottom + 29.0);
        svg.text(at, Type::new(Paint::Dim, SMALL, Anchor::Middle), &axis.label);
        svg.line((self.left, bottom), (self.right(), bottom), &Paint::Dim.stroke(1.0));
    }

    /// The y axis at the left, with lines across; what is measured stands above.
    pub(super) fn y_axis(&self, svg: &mut Svg, axis: &Axis) {
        for (value, words) in axis.unit.ticks(&self.y, (self.height / 32.0) as usize) {
            let y = self.y(value);
            svg.line((self.left, y), (self.right(), y), &Paint::Rule.stroke(1.0));
            let at = (self.left - 5.0, y + 3.5);
            svg.text(at, Type::new(Paint::Dim, SMALL, Anchor::End), &words);
        }
        svg.text((4.0, 12.0), Type::new(Paint::Dim, SMALL, Anchor::Start), &axis.label);
    }

    /// The parts of a line that are within the plot's height, where they enter and leave it
    /// included; in places of the drawing.
    pub(super) fn within(&self, line: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
        let (low, high) = (self.y.start, self.y.end);
        let mut parts: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut open: Vec<(f64, f64)> = Vec::new();
        for pair in line.windows(2) {
            match cut(pair[0], pair[1], low, high) {
                None => parts.extend(Some(std::mem::take(&mut open))),
                Some((from, to)) => {
                    if open.last() != Some(&from) {
                        parts.extend(Some(std::mem::replace(&mut open, vec![from])));
                    }
                    if from != to {
                        open.push(to);
                    }
                }
            }
        }
        parts.push(open);
        parts.retain(|part| part.len() > 1);
        let place = |p: &(f64, f64)| (self.x(p.0), self.y(p.1));
        parts.iter().map(|part| part.iter().map(place).collect()).collect()
    }
}

/// How far along a range a value is.
fn share(range: &Range<f64>, value: f64) -> f64 {
    (value - range.start) / (range.end - range.start).max(f64::MIN_POSITIVE)
}

/// The part of a segment that lies between two heights.
fn cut(a: (f64, f64), b: (f64, f64), low: f64, high: f64) -> Option<((f64, f64), (f64, f64))> {
    if (a.1 < low && b.1 < low) || (a.1 > high && b.1 > high) {
        return None;
    }
    let at = |from: (f64, f64), to: (f64, f64)| {
        let level = from.1.clamp(low, high);
        if level == from.1 {
            return from;
        }
        (from.0 + (to.0 - from.0) * (level - from.1) / (to.1 - from.1), level)
    };
    Some((at(a, b), at(b, a)))
}

/// A little more than the values span; 0 to 1 without values.
pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Range<f64> {
    let (low, high) = values
        .into_iter()
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.05).max(1e-6 * high.abs()).max(1e-9);
    low - room..high + room
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(unit: Unit, range: Range<f64>, most: usize) -> Vec<String> {
        unit.ticks(&range, most).into_iter().map(|(_, words)| words).collect()
    }

    #[test]
    fn ticks_are_round_in_the_unit_that_is_read() {
        assert_eq!(words(Unit::Plain, 79.3..83.1, 5), ["80", "81", "82", "83"]);
        assert_eq!(words(Unit::Plain, -0.7..1.3, 5), ["-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(words(Unit::Plain, -33.0..48.0, 4), ["-20", "0", "20", "40"]);
        assert_eq!(words(Unit::Percent, 0.0..0.25, 3), ["0", "10", "20"]);
        assert_eq!(words(Unit::Count, 0.0..30_000.0, 3), ["0", "10k", "20k", "30k"]);
        assert_eq!(words(Unit::Seconds, 0.0..1_260.0, 3), ["0", "10 min", "20 min"]);
        assert_eq!(words(Unit::Plain, 1.0..1.0, 5), Vec::<String>::new());
        assert_eq!(words(Unit::Plain, f64::NAN..1.0, 5), Vec::<String>::new());
    }

    #[test]
    fn a_line_is_cut_where_it_leaves_the_plot() {
        let plot =
            Plot { left: 0.0, top: 0.0, width: 10.0, height: 10.0, x: 0.0..10.0, y: 0.0..10.0 };
        let parts = plot.within(&[(0.0, -10.0), (2.0, 10.0), (4.0, 10.0), (6.0, 20.0), (8.0, 0.0)]);
        assert_eq!(
            parts,
            [vec![(1.0, 10.0), (2.0, 0.0), (4.0, 0.0)], vec![(7.0, 0.0), (8.0, 10.0)]]
        );
    }
}
