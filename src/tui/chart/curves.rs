//! Curves over an axis of steps.

use super::axis::{log_ticks, ticks};
use crate::tui::look::glyphs::Glyphs;
use crate::tui::look::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::widgets::Widget;
use ratatui::widgets::canvas::{Canvas, Line, Points};
use unicode_width::UnicodeWidthStr;

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Ascending in x, in what the axis counts.
    pub points: Vec<(f64, f64)>,
    /// How it looks.
    pub role: Role,
    /// What joins the points.
    pub kind: CurveKind,
}

/// What joins the points of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurveKind {
    /// A line through them.
    Line,
    /// Nothing.
    Points,
    /// A straight line that marks a place, set apart from curves where colours cannot.
    Mark,
}

impl Curve {
    /// A vertical line at `x`.
    pub fn upright(x: f64, role: Role) -> Self {
        Self {
            points: vec![(x, f64::NEG_INFINITY), (x, f64::INFINITY)],
            role,
            kind: CurveKind::Mark,
        }
    }

    /// A horizontal line at `y`.
    pub fn level(y: f64, role: Role) -> Self {
        Self {
            points: vec![(f64::NEG_INFINITY, y), (f64::INFINITY, y)],
            role,
            kind: CurveKind::Mark,
        }
    }
}

/// Curves with axes.
#[derive(Debug)]
pub struct CurveChart<'a> {
    /// Drawn in this order, the last on top.
    pub curves: Vec<Curve>,
    /// Ends of the step axis.
    pub x: (f64, f64),
    /// What stands below it, and where.
    pub ticks: Vec<(f64, String)>,
    /// Ends of the value axis.
    pub y: (f64, f64),
    /// Whether that is logarithmic; both ends are above 0 then.
    pub log: bool,
    /// What stands behind values, e.g. `%`.
    pub unit: &'static str,
    pub glyphs: &'a Glyphs,
    pub theme: &'a Theme,
}

/// Rows of labels at most.
const LABELS: usize = 6;

/// As many labels as stand apart on so many rows.
pub(super) fn labels_on(rows: usize) -> usize {
    rows.div_ceil(2).clamp(rows.min(2), LABELS)
}

/// The cell of `cells` at which a canvas with so many dots a cell draws a share of its length.
fn cell(share: f64, cells: u16, dots: u16) -> u16 {
    (share * f64::from((cells * dots).saturating_sub(1))).round() as u16 / dots
}

impl CurveChart<'_> {
    /// Where on `area` the curves are drawn: right of the labels, above the axis.
    pub fn plot_area(&self, area: Rect) -> Rect {
        let height = area.height - 2.min(area.height);
        let widest = self.labels(height).iter().map(|l| l.1.width()).max().unwrap_or(0) as u16;
        let left = (widest + 1).min(area.width);
        Rect { x: area.x + left, y: area.y, width: area.width - left, height }
    }

    /// What stands beside `rows` rows, and at which values.
    fn labels(&self, rows: u16) -> Vec<(f64, String)> {
        let make = if self.log { log_ticks } else { ticks };
        let mut labels = make(self.y, labels_on(usize::from(rows)));
        labels.iter_mut().for_each(|(_, text)| text.push_str(self.unit));
        labels
    }

    /// Dots that a cell of curves has, across and down.
    fn dots(&self) -> (u16, u16) {
        match self.glyphs.curve {
            Marker::Braille => (2, 4),
            Marker::HalfBlock => (1, 2),
            _ => (1, 1),
        }
    }
}

impl Widget for CurveChart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let up = |v: f64| if self.log { v.max(f64::MIN_POSITIVE).log10() } else { v };
        let plot = self.plot_area(area);
        if plot.width < 2 || plot.height < 1 || self.x.1 <= self.x.0 {
            return;
        }
        let y = (up(self.y.0), up(self.y.1));
        self.axes(area, plot, y, buf);
        for curve in &self.curves {
            let points = visible(&curve.points, self.x);
            // Marks reach from end to end.
            let end = |v: f64, ends: (f64, f64)| {
                if v.is_infinite() { v.clamp(ends.0, ends.1) } else { v }
            };
            let value = |v: f64| if v.is_infinite() { end(v, y) } else { up(v) };
            let points: Vec<(f64, f64)> =
                points.iter().map(|(x, v)| (end(*x, self.x), value(*v))).collect();
            let color = self.theme.style(curve.role).fg.unwrap_or_default();
            let marker = match (curve.kind, points.len()) {
                (CurveKind::Line, 2..) => self.glyphs.curve,
                (CurveKind::Line, _) => self.glyphs.point,
                (CurveKind::Mark, _) => self.glyphs.mark,
                (CurveKind::Points, _) => self.glyphs.cloud,
            };
            let lined = curve.kind != CurveKind::Points;
            Canvas::default()
                .marker(marker)
                .x_bounds([self.x.0, self.x.1])
                .y_bounds([y.0, y.1])
                .paint(|ctx| {
                    ctx.draw(&Points { coords: &points, color });
                    for pair in points.windows(2).filter(|_| lined) {
                        ctx.draw(&Line {
                            x1: pair[0].0,
                            y1: pair[0].1,
                            x2: pair[1].0,
                            y2: pair[1].1,
                            color,
                        });
                    }
                })
                .render(plot, buf);
        }
    }
}

impl CurveChart<'_> {
    fn axes(&self, area: Rect, plot: Rect, y: (f64, f64), buf: &mut Buffer) {
        let (dim, border) = (self.theme.style(Role::Dim), self.theme.style(Role::Border));
        let g = self.glyphs;
        let base = plot.bottom();
        for row in plot.top()..plot.bottom() {
            buf.set_string(plot.x - 1, row, g.axis_v, border);
        }
        if base < area.bottom() {
            buf.set_string(plot.x - 1, base, g.axis_corner, border);
            buf.set_string(plot.x, base, g.axis_h.repeat(usize::from(plot.width)), border);
        }
        let (across, down) = self.dots();
        let mut lowest = base; // rows from here on are taken
        for (value, text) in self.labels(plot.height) {
            let value = if self.log { value.log10() } else { value };
            let row = plot.y + cell((y.1 - value) / (y.1 - y.0), plot.height, down);
            if row >= lowest {
                continue;
            }
            lowest = row;
            let room = usize::from(plot.x - 1 - area.x);
            let text: String = text.chars().take(room).collect();
            buf.set_string(plot.x - 1 - text.width() as u16, row, text, dim);
        }
        if base + 1 >= area.bottom() {
            return;
        }
        let mut free = area.x;
        for (at, text) in &self.ticks {
            let share = (at - self.x.0) / (self.x.1 - self.x.0);
            let column = plot.x + cell(share, plot.width, across);
            let from = column.saturating_sub(text.width() as u16 / 2).max(area.x);
            if from < free || from + text.width() as u16 > area.right() {
                continue;
            }
            buf.set_string(from, base + 1, text, dim);
            buf.set_string(column, base, g.axis_tick, border);
            free = from + text.width() as u16 + 1;
        }
    }
}

/// The points within `x`, and one on each side, where a line comes from or goes to.
fn visible(points: &[(f64, f64)], x: (f64, f64)) -> &[(f64, f64)] {
    let from = points.partition_point(|p| p.0 < x.0).saturating_sub(1);
    let to = (points.partition_point(|p| p.0 <= x.1) + 1).min(points.len());
    &points[from.min(to)..to]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::look::theme::Themes;
    use termprofile::TermProfile;

    #[test]
    fn a_line_that_leaves_the_window_is_drawn_up_to_its_edge() {
        let points: Vec<(f64, f64)> = (0..10).map(|i| (f64::from(i), 0.0)).collect();
        let xs = |x| visible(&points, x).iter().map(|p| p.0).collect::<Vec<_>>();
        assert_eq!(xs((3.5, 5.5)), [3.0, 4.0, 5.0, 6.0]);
        assert_eq!(xs((-1.0, 20.0)).len(), 10);
        assert_eq!(xs((20.0, 30.0)), [9.0]);
        assert!(visible(&[], (0.0, 1.0)).is_empty());
    }

    #[test]
    fn labels_stand_on_the_row_of_a_curve_of_their_value() {
        use crate::tui::look::glyphs::{ASCII, UNICODE};
        let theme = Themes::default().get("dark", TermProfile::TrueColor).expect("there");
        for (glyphs, log) in [(UNICODE, false), (UNICODE, true), (ASCII, false)] {
            for height in 4..40 {
                let area = Rect::new(0, 0, 40, height);
                let chart = |value| CurveChart {
                    curves: vec![Curve::level(value, Role::Loss)],
                    x: (0.0, 10.0),
                    ticks: Vec::new(),
                    y: (0.31, 87.4),
                    log,
                    unit: "%",
                    glyphs: &glyphs,
                    theme: &theme,
                };
                let labels = chart(1.0).labels(height - 2);
                assert!(labels.len() >= 2, "{labels:?}");
                for (value, text) in labels {
                    let mut buf = Buffer::empty(area);
                    chart(value).render(area, &mut buf);
                    let row = |y| (0..40).map(|x| buf[(x, y)].symbol()).collect::<String>();
                    let plot = chart(value).plot_area(area);
                    let drawn = (0..height - 2).find(|y| buf[(plot.x + 5, *y)].symbol() != " ");
                    let row = row(drawn.expect("a line"));
                    assert!(row.trim_start().starts_with(&text), "{text} {height}: {row}");
                }
            }
        }
    }
}
