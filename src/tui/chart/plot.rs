//! Curves of a run in a panel: over the shared step axis, with E, what a person changed, and the
//! cursor.

use super::axis::{AxisView, Scale, Unit};
use super::{Curve, CurveChart, CurveKind};
use crate::dashboard::Dashboard;
use crate::protocol::EpochSummary;
use crate::tui::look::appearance::Appearance;
use crate::tui::look::text::{clock, thousands};
use crate::tui::look::theme::Role;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

/// How values are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    /// Whether the axis begins at 0.
    pub from_zero: bool,
    /// Ends that values never leave.
    pub within: (f64, f64),
    /// Room above and below, in values.
    pub margin: f64,
    /// Whether a logarithmic axis makes sense.
    pub may_be_log: bool,
    /// What stands behind them, e.g. `%`.
    pub unit: &'static str,
}

/// Percent of something, never outside 0 to 100.
pub const PERCENT: Values =
    Values { from_zero: false, within: (0.0, 100.0), margin: 2.0, may_be_log: false, unit: "%" };

/// A share in [0, 1].
pub const SHARE: Values =
    Values { from_zero: false, within: (0.0, 1.0), margin: 0.02, may_be_log: false, unit: "" };

/// What is never below 0, from 0 on.
pub const AMOUNT: Values = Values {
    from_zero: true,
    within: (0.0, f64::INFINITY),
    margin: 0.0,
    may_be_log: true,
    unit: "",
};

/// Plots of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plot<'a> {
    pub run: &'a Dashboard,
    pub axis: &'a AxisView,
    pub look: &'a Appearance,
}

impl Plot<'_> {
    /// Draws `curves` (x in epochs of the run) on `area`; gives where within it they are.
    pub fn draw(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        curves: Vec<Curve>,
        values: &Values,
    ) -> Rect {
        let scale = Scale::of(self.run, self.axis.unit);
        let window = self.axis.window(self.run);
        let curves = curves.into_iter().map(|c| mapped(c, &scale, window)).collect();
        self.draw_mapped(frame, area, curves, values)
    }

    /// The same of curves that are in what the axis counts already.
    pub fn draw_mapped(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        curves: Vec<Curve>,
        values: &Values,
    ) -> Rect {
        let scale = Scale::of(self.run, self.axis.unit);
        let window = self.axis.window(self.run);
        let x = (scale.at(window.0), scale.at(window.1));
        let log = values.may_be_log && self.axis.log;
        let y = ends(range(&curves, x, log), log, values);
        let mut all = self.marks(&scale, x);
        all.extend(curves);
        let chart = CurveChart {
            curves: all,
            x,
            ticks: scale.ticks(x, usize::from(area.width) / 9),
            y,
            log,
            unit: values.unit,
            glyphs: &self.look.glyphs,
            theme: &self.look.theme,
        };
        let plot = chart.plot_area(area);
        frame.render_widget(chart, area);
        plot
    }

    /// E, what a person changed, and the cursor, as far as they lie on the axis.
    fn marks(&self, scale: &Scale, x: (f64, f64)) -> Vec<Curve> {
        let at = |epochs: f64, role| Curve::upright(scale.at(epochs), role);
        let mut marks = vec![at(self.run.pretrain_epochs() as f64, Role::Mark)];
        marks.extend(self.run.changes.iter().map(|c| at(c.at, Role::Change)));
        marks.extend(self.axis.cursor.map(|cursor| at(cursor, Role::Key)));
        marks.retain(|mark| mark.points[0].0 >= x.0 && mark.points[0].0 <= x.1);
        marks
    }

    /// Where the cursor is, in words, for the title of a panel.
    pub fn cursor_words(
        &self,
        value: impl Fn(f64) -> Option<String>,
    ) -> Option<Vec<Span<'static>>> {
        let at = self.axis.cursor?;
        let words = value(at)?;
        Some(vec![
            self.look.span(format!("{} ", self.place(at)), Role::Key),
            self.look.span(format!("{words} "), Role::Text),
        ])
    }

    /// A place on the axis in its unit: `epoch 4.31:`, `12,345 samples:`.
    fn place(&self, at: f64) -> String {
        let v = Scale::of(self.run, self.axis.unit).at(at);
        match self.axis.unit {
            Unit::Epochs => format!("epoch {at:.2}:"),
            Unit::Steps => format!("step {}:", thousands(v as usize)),
            Unit::Samples => format!("{} samples:", thousands(v as usize)),
            Unit::Time => format!("{}:", clock(v)),
        }
    }
}

/// The curve in what the axis counts, of the run that `scale` is of; a point more on each side of
/// the window.
pub fn mapped(mut curve: Curve, scale: &Scale, window: (f64, f64)) -> Curve {
    let from = curve.points.partition_point(|p| p.0 < window.0).saturating_sub(1);
    let to = (curve.points.partition_point(|p| p.0 <= window.1) + 1).min(curve.points.len());
    curve.points.truncate(to);
    curve.points.drain(..from.min(to));
    curve.points.iter_mut().filter(|p| p.0.is_finite()).for_each(|p| p.0 = scale.at(p.0));
    curve
}

/// Ends of the values that are seen.
fn range(curves: &[Curve], x: (f64, f64), log: bool) -> (f64, f64) {
    let is_seen =
        |p: &&(f64, f64)| p.0 >= x.0 && p.0 <= x.1 && p.1.is_finite() && (!log || p.1 > 0.0);
    let curves = curves.iter().filter(|c| c.kind != CurveKind::Mark);
    curves
        .flat_map(|c| &c.points)
        .filter(is_seen)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.1), h.max(p.1)))
}

fn ends((low, high): (f64, f64), log: bool, values: &Values) -> (f64, f64) {
    if !(low.is_finite() && high.is_finite()) {
        return if values.within.1.is_finite() {
            values.within
        } else {
            (if log { 0.1 } else { 0.0 }, 1.0)
        };
    }
    if log {
        return (low / 1.1, high * 1.1);
    }
    let bottom =
        if values.from_zero { low.min(0.0) } else { (low - values.margin).max(values.within.0) };
    let top = (high + values.margin).min(values.within.1);
    if top > bottom { (bottom, top) } else { (bottom, bottom + 1.0) }
}

/// The epoch that was over at `at`.
pub fn epoch_at(d: &Dashboard, at: f64) -> Option<&EpochSummary> {
    d.epochs.iter().rev().find(|e| e.epoch as f64 <= at + 1e-9)
}
