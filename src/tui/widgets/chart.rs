//! Curves over the epoch axis.

use super::super::glyphs::Glyphs;
use super::super::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

/// Points that belong together.
#[derive(Debug)]
pub struct Curve {
    /// Ascending in x.
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

/// Curves with axes.
#[derive(Debug)]
pub struct CurveChart<'a> {
    /// Drawn in this order, the last on top.
    pub curves: Vec<Curve>,
    /// Ends of the epoch axis.
    pub x: (f64, f64),
    /// Ends of the value axis.
    pub y: (f64, f64),
    /// How values are written.
    pub label: fn(f64) -> String,
    /// Characters.
    pub glyphs: &'a Glyphs,
    /// Colours.
    pub theme: &'a Theme,
}

impl Widget for CurveChart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let dim = self.theme.style(Role::Dim);
        let datasets = self.curves.iter().map(|curve| {
            let (marker, graph) = match (curve.kind, curve.points.len()) {
                (CurveKind::Line, 2..) => (self.glyphs.curve, GraphType::Line),
                (CurveKind::Line, _) => (self.glyphs.point, GraphType::Scatter),
                (CurveKind::Mark, _) => (self.glyphs.mark, GraphType::Line),
                (CurveKind::Points, _) => (self.glyphs.cloud, GraphType::Scatter),
            };
            Dataset::default().marker(marker).graph_type(graph).style(self.theme.style(curve.role)).data(&curve.points)
        });
        let ticks = |(low, high): (f64, f64), count: usize, label: &dyn Fn(f64) -> String| -> Vec<String> {
            (0..count).map(|k| label(low + (high - low) * k as f64 / (count - 1) as f64)).collect()
        };
        let rows = if area.height >= 12 { 5 } else { 3 };
        let chart = Chart::new(datasets.collect())
            .x_axis(Axis::default().bounds([self.x.0, self.x.1]).labels(x_labels(self.x, area.width)).style(dim))
            .y_axis(Axis::default().bounds([self.y.0, self.y.1]).labels(ticks(self.y, rows, &self.label)).style(dim));
        if !self.glyphs.ascii {
            return chart.render(area, buf);
        }
        // The widget draws its axes with box characters; in ASCII they are replaced.
        chart.render(area, buf);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                let cell = &mut buf[(x, y)];
                let twin = match cell.symbol() {
                    "│" => "|",
                    "─" => "-",
                    "└" => "+",
                    _ => continue,
                };
                cell.set_symbol(twin);
            }
        }
    }
}

/// Whole epochs at even distances, so that every label is exact.
fn x_labels(x: (f64, f64), width: u16) -> Vec<String> {
    let span = (x.1 - x.0).round().max(1.0) as usize;
    let most = (usize::from(width) / 12).clamp(1, 10);
    let parts = (1..=most.min(span)).rev().find(|p| span.is_multiple_of(*p)).unwrap_or(1);
    (0..=parts).map(|k| format!("{}", x.0 as usize + span * k / parts)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_labels_are_whole_and_evenly_spaced() {
        assert_eq!(x_labels((0.0, 12.0), 40), ["0", "4", "8", "12"]);
        assert_eq!(x_labels((0.0, 7.0), 40), ["0", "7"]);
        assert_eq!(x_labels((0.0, 1.0), 200), ["0", "1"]);
    }
}
