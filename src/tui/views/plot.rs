//! Curves of a run in a panel: over the shared step axis, with E, what a person changed, and the
//! cursor.

use super::super::app::{App, Hit};
use super::super::axis::Scale;
use super::super::theme::Role;
use super::super::widgets::{Curve, CurveChart, CurveKind};
use crate::dashboard::Dashboard;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

/// How values are drawn.
pub(super) struct Values {
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

/// Draws `curves` (x in epochs of the run shown) on `area`, which belongs to panel `number`.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    app: &App,
    area: Rect,
    number: usize,
    curves: Vec<Curve>,
    values: &Values,
) {
    let d = &app.dashboard;
    let scale = Scale::of(d, app.axis.unit);
    let curves = curves.into_iter().map(|c| mapped(c, &scale, app.axis.window(d))).collect();
    draw_mapped(frame, app, area, number, curves, values);
}

/// The curve in what the axis counts, of the run that `scale` is of; a point more on each side of
/// the window.
pub(super) fn mapped(mut curve: Curve, scale: &Scale, window: (f64, f64)) -> Curve {
    let from = curve.points.partition_point(|p| p.0 < window.0).saturating_sub(1);
    let to = (curve.points.partition_point(|p| p.0 <= window.1) + 1).min(curve.points.len());
    curve.points.truncate(to);
    curve.points.drain(..from.min(to));
    curve.points.iter_mut().filter(|p| p.0.is_finite()).for_each(|p| p.0 = scale.at(p.0));
    curve
}

/// The same of curves that are in what the axis counts already.
pub(super) fn draw_mapped(
    frame: &mut Frame<'_>,
    app: &App,
    area: Rect,
    number: usize,
    curves: Vec<Curve>,
    values: &Values,
) {
    let (d, look) = (&app.dashboard, &app.appearance);
    let scale = Scale::of(d, app.axis.unit);
    let window = app.axis.window(d);
    let x = (scale.at(window.0), scale.at(window.1));
    let log = values.may_be_log && app.axis.log;
    let shown = curves
        .iter()
        .filter(|c| c.kind != CurveKind::Mark)
        .flat_map(|c| &c.points)
        .filter(|p| p.0 >= x.0 && p.0 <= x.1 && p.1.is_finite() && (!log || p.1 > 0.0));
    let (low, high) =
        shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.1), h.max(p.1)));
    let y = ends((low, high), log, values);
    let mut all = vec![Curve::upright(scale.at(d.pretrain_epochs() as f64), Role::Mark)];
    all.extend(d.changes.iter().map(|c| Curve::upright(scale.at(c.at), Role::Change)));
    all.extend(app.axis.cursor.map(|c| Curve::upright(scale.at(c), Role::Key)));
    all.retain(|mark| mark.points[0].0 >= x.0 && mark.points[0].0 <= x.1);
    all.extend(curves);
    let chart = CurveChart {
        curves: all,
        x,
        ticks: scale.ticks(x, usize::from(area.width) / 9),
        y,
        log,
        unit: values.unit,
        glyphs: &look.glyphs,
        theme: &look.theme,
    };
    app.at(chart.plot_area(area), Hit::Plot(number));
    frame.render_widget(chart, area);
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

/// Where the cursor is, in words, for the title of a panel.
pub(super) fn cursor_words(
    app: &App,
    value: impl Fn(f64) -> Option<String>,
) -> Option<Vec<Span<'static>>> {
    let at = app.axis.cursor?;
    let words = value(at)?;
    Some(vec![
        app.span(format!("{} ", place(app, at)), Role::Key),
        app.span(format!("{words} "), Role::Text),
    ])
}

/// A place on the axis in its unit: `epoch 4.31`, `12,345 samples`.
fn place(app: &App, at: f64) -> String {
    use super::super::axis::Unit;
    use super::super::text::{clock, thousands};
    let v = Scale::of(&app.dashboard, app.axis.unit).at(at);
    match app.axis.unit {
        Unit::Epochs => format!("epoch {at:.2}:"),
        Unit::Steps => format!("step {}:", thousands(v as usize)),
        Unit::Samples => format!("{} samples:", thousands(v as usize)),
        Unit::Time => format!("{}:", clock(v)),
    }
}

/// The epoch that was over at `at`.
pub(super) fn epoch_at(d: &Dashboard, at: f64) -> Option<&crate::protocol::EpochSummary> {
    d.epochs.iter().rev().find(|e| e.epoch as f64 <= at + 1e-9)
}

/// What stands below the axes: its unit, and what is not as usual.
pub(super) fn axis_words(app: &App) -> String {
    let mut words = Vec::new();
    if app.axis.unit != super::super::axis::Unit::Epochs {
        words.push(app.axis.unit.word().to_owned());
    }
    if app.axis.log {
        words.push("log".into());
    }
    if app.axis.is_zoomed() {
        words.push("part of the axis (0: all)".into());
    }
    words.join(", ")
}
