//! Curves over an axis of steps.

use super::super::glyphs::Glyphs;
use super::super::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
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
    /// How values are written.
    pub label: fn(f64) -> String,
    /// Characters.
    pub glyphs: &'a Glyphs,
    /// Colours.
    pub theme: &'a Theme,
}

/// Where a chart of `area` draws its curves: right of the labels, above the axis.
pub fn plot_area(area: Rect, y: (f64, f64), label: fn(f64) -> String) -> Rect {
    let widest = label(y.0).width().max(label(y.1).width()) as u16;
    let left = (widest + 1).min(area.width);
    let below = 2.min(area.height);
    Rect { x: area.x + left, y: area.y, width: area.width - left, height: area.height - below }
}

impl Widget for CurveChart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let up = |v: f64| if self.log { v.max(f64::MIN_POSITIVE).log10() } else { v };
        let plot = plot_area(area, self.y, self.label);
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
        let labels = if plot.height >= 10 { 5 } else { 3.min(plot.height) };
        for k in 0..labels {
            let row = if labels == 1 { 0 } else { (plot.height - 1) * k / (labels - 1) };
            let share = f64::from(plot.height - 1 - row) / f64::from((plot.height - 1).max(1));
            let value = y.0 + (y.1 - y.0) * share;
            let text = (self.label)(if self.log { 10_f64.powf(value) } else { value });
            let room = usize::from(plot.x - 1 - area.x);
            let text: String = text.chars().take(room).collect();
            buf.set_string(plot.x - 1 - text.width() as u16, plot.y + row, text, dim);
        }
        if base + 1 >= area.bottom() {
            return;
        }
        let mut free = area.x;
        for (at, text) in &self.ticks {
            let share = (at - self.x.0) / (self.x.1 - self.x.0);
            let column = plot.x + (share * f64::from(plot.width - 1)).round() as u16;
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

    #[test]
    fn a_line_that_leaves_the_window_is_drawn_up_to_its_edge() {
        let points: Vec<(f64, f64)> = (0..10).map(|i| (f64::from(i), 0.0)).collect();
        let xs = |x| visible(&points, x).iter().map(|p| p.0).collect::<Vec<_>>();
        assert_eq!(xs((3.5, 5.5)), [3.0, 4.0, 5.0, 6.0]);
        assert_eq!(xs((-1.0, 20.0)).len(), 10);
        assert_eq!(xs((20.0, 30.0)), [9.0]);
        assert!(visible(&[], (0.0, 1.0)).is_empty());
    }
}
