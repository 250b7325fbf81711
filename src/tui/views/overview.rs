//! Overview: accuracy, loss, importance weights, class frequencies.

use super::super::app::App;
use super::super::appearance::Appearance;
use super::super::classes::{ClassOrder, rows};
use super::super::text::clock;
use super::super::theme::Role;
use super::super::widgets::{ClassBars, Columns, Curve, CurveKind};
use super::plot::{self, Values, axis_words, cursor_words, epoch_at};
use super::title;
use crate::importance::balance;
use crate::protocol::{Phase, WeightsSummary};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

/// Rows of the body from which four panels fit.
const FOUR: u16 = 16;
const ACCURACY: usize = 0;
const LOSS: usize = 1;
const WEIGHTS: usize = 2;
const CLASSES: usize = 3;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, body: Rect) {
    if app.zoomed {
        return panel(frame, app, body, app.focused());
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
    if body.height < FOUR {
        // Two of the four: those that say most, or the focused one in the place of its neighbour.
        panel(frame, app, left, if app.focused() == LOSS { LOSS } else { ACCURACY });
        return panel(frame, app, right, if app.focused() == WEIGHTS { WEIGHTS } else { CLASSES });
    }
    let [above, below] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(left);
    let classes = app.classes().len().max(4);
    // All classes if they leave the histogram a third, the head of the table included where there
    // is room.
    let wanted =
        (classes + 3).min(usize::from(right.height) * 2 / 3).max(usize::from(right.height).min(12));
    let [weights, bars] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(wanted as u16)]).areas(right);
    for (area, number) in [(above, ACCURACY), (below, LOSS), (weights, WEIGHTS), (bars, CLASSES)] {
        panel(frame, app, area, number);
    }
}

fn panel(frame: &mut Frame<'_>, app: &App, area: Rect, number: usize) {
    match number {
        ACCURACY => accuracy(frame, app, area),
        LOSS => loss(frame, app, area),
        WEIGHTS => weights(frame, app, area),
        _ => classes(frame, app, area),
    }
}

fn loss(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let smooth = d.loss.smoothed(app.axis.smoothing());
    let measured: Vec<(f64, f64)> =
        d.epochs.iter().map(|e| (e.epoch as f64, e.measured.loss)).collect();
    let on = d.config.measured_on().word();
    let now = || {
        let value = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
        let mut rest =
            vec![app.span(format!("{} ", value(smooth.last().map(|p| p.1))), Role::Loss)];
        rest.extend(
            d.epochs
                .last()
                .map(|e| app.span(format!("{on} {:.4} ", e.measured.loss), Role::Accuracy)),
        );
        rest
    };
    let there = cursor_words(app, |at| {
        let [low, mean, high] = d.loss.at(at)?;
        Some(if high > low {
            format!("{mean:.4} ({low:.3} to {high:.3})")
        } else {
            format!("{mean:.4}")
        })
    });
    let biased = d.epochs.iter().any(|e| e.phase == Phase::Biased);
    let legend = match axis_words(app) {
        words if !words.is_empty() => words,
        _ if biased => "harder draws after E: jump expected".to_owned(),
        _ => format!("train smoothed over raw, {on} by epoch"),
    };
    let bottom = Line::from(app.span(format!(" {legend} "), Role::Dim));
    let inner = app.panel(
        frame,
        area,
        LOSS,
        title(&app.appearance, "train loss", there.unwrap_or_else(now)),
        Some(bottom),
    );
    if d.loss.is_empty() {
        return frame.render_widget(
            Paragraph::new(app.span("the first steps are under way", Role::Dim)),
            inner,
        );
    }
    let kind = if app.appearance.is_colorless() { CurveKind::Points } else { CurveKind::Line };
    let curves = vec![
        Curve { points: d.loss.extremes(), role: Role::LossRaw, kind: CurveKind::Points },
        Curve { points: measured, role: Role::Accuracy, kind },
        Curve { points: smooth, role: Role::Loss, kind: CurveKind::Line },
    ];
    let values = Values {
        from_zero: true,
        within: (0.0, f64::INFINITY),
        margin: 0.0,
        may_be_log: true,
        unit: "",
    };
    plot::draw(frame, app, inner, LOSS, curves, &values);
}

fn accuracy(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let baseline =
        app.others.baseline().and_then(|b| b.dashboard.best).map(|(best, _)| 100.0 * best);
    let now = || {
        let mut rest = Vec::new();
        if let (Some(last), Some((best, epoch))) = (d.epochs.last(), d.best) {
            rest.push(app.span(format!("{:.2}% ", 100.0 * last.measured.accuracy), Role::Accuracy));
            rest.push(app.span(format!("best {:.2}% @{epoch} ", 100.0 * best), Role::Best));
        }
        rest.extend(baseline.map(|b| app.span(format!("baseline {b:.2}% "), Role::Uniform)));
        rest
    };
    let there = cursor_words(app, |at| {
        epoch_at(d, at).map(|e| format!("{:.2}%", 100.0 * e.measured.accuracy))
    });
    let name = format!("{} accuracy", d.config.measured_on().word());
    let inner = app.panel(
        frame,
        area,
        ACCURACY,
        title(&app.appearance, &name, there.unwrap_or_else(now)),
        None,
    );
    if d.accuracy.is_empty() {
        return frame.render_widget(
            Paragraph::new(app.span("comes at the end of the first epoch", Role::Dim)),
            inner,
        );
    }
    let mut curves = Vec::new();
    curves.extend(baseline.map(|b| Curve::level(b, Role::Uniform)));
    curves.extend(d.best.map(|(best, _)| Curve::level(100.0 * best, Role::Best)));
    // A baseline beyond the axis would be drawn on its edge.
    let points: Vec<(f64, f64)> = baseline.map(|b| (d.position(), b)).into_iter().collect();
    curves.push(Curve { points, role: Role::Uniform, kind: CurveKind::Points });
    curves.push(Curve { points: d.accuracy.means(), role: Role::Accuracy, kind: CurveKind::Line });
    plot::draw(frame, app, inner, ACCURACY, curves, &PERCENT);
}

/// Percent of something, never outside 0 to 100.
pub(super) const PERCENT: Values =
    Values { from_zero: false, within: (0.0, 100.0), margin: 2.0, may_be_log: false, unit: "%" };

/// What the smallest and the largest weight mean.
pub(super) const EASY_TO_HARD: [&str; 2] = ["easy", "hard"];

fn weights(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let look = &app.appearance;
    let Some((w, when)) = known_weights(app) else {
        let top = title(look, "importance weights", vec![app.span("not yet ", Role::Dim)]);
        let inner = app.panel(frame, area, WEIGHTS, top, None);
        return frame
            .render_widget(Paragraph::new(recording_words(app)).wrap(Wrap { trim: true }), inner);
    };
    let [q1, median, q3] = w.spread.quartiles;
    let ess = d.epochs.last().filter(|e| e.phase == Phase::Biased).map_or(w.ess, |e| e.ess);
    let bottom = Line::from(vec![
        app.span(format!(" {} {q1:.2} {median:.2} {q3:.2} ", look.glyphs.quartile), Role::Quartile),
        app.span(format!("{} ESS {:.0}% of n ", look.glyphs.dot, 100.0 * ess), Role::Dim),
    ]);
    let inner = app.panel(
        frame,
        area,
        WEIGHTS,
        title(look, "importance weights", vec![when]),
        Some(bottom),
    );
    frame.render_widget(
        Columns {
            counts: &w.counts,
            part: &[],
            marks: &w.spread.quartiles,
            log: app.axis.log,
            x: (0.0, 1.0),
            ends: EASY_TO_HARD,
            glyphs: &look.glyphs,
            theme: &look.theme,
        },
        inner,
    );
}

/// The weights, or while there are none what they would be if E were now; and which of both, in
/// words.
pub(super) fn known_weights(app: &App) -> Option<(&WeightsSummary, Span<'static>)> {
    let d = &app.dashboard;
    let computed =
        d.weights.as_ref().map(|w| (w, app.span(format!("after epoch {} ", w.epoch), Role::Dim)));
    computed.or_else(|| {
        d.preview.as_ref().map(|w| (w, app.span(format!("if E were {} ", w.epoch), Role::Pretrain)))
    })
}

/// Before E: what is being recorded, and when the weights come.
pub(super) fn recording_words(app: &App) -> Vec<Line<'static>> {
    let d = &app.dashboard;
    let (e, n) = (d.pretrain_epochs(), d.config.train.epochs);
    let per_epoch = d.epochs.last().map(|e| e.seconds);
    let eta = per_epoch
        .map(|s| (e as f64 - d.position()).max(0.0) * s)
        .map_or_else(String::new, |s| format!(", in about {}", clock(s)));
    let when = match e {
        _ if e == n => {
            "E = N: uniform to the end, no weights are needed (the baseline).".to_owned()
        }
        0 => "E = 0: biased from the start, with uniform weights.".to_owned(),
        _ => format!("The weights come after epoch {e}{eta}."),
    };
    let recording = format!(
        "Recording p, the probability of the true class, of every sample as it trains: epoch {} of \
         {e}.",
        d.epoch.min(e)
    );
    let mut lines = Vec::new();
    if d.epoch > 0 && e > 0 && d.epoch <= e {
        lines.push(Line::from(app.span(recording, Role::Text)));
    }
    lines.push(Line::from(app.span(when, Role::Pretrain)));
    lines
}

fn classes(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let rows = rows(d, app.order, &app.filter);
    let mut rest = Vec::new();
    if let (Some(e), Some(data)) = (d.epochs.last(), &d.data) {
        let counts: Vec<f64> = data.counts.iter().map(|c| *c as f64).collect();
        let drawn: Vec<f64> = e.drawn.iter().map(|c| *c as f64).collect();
        let arrow = app.appearance.glyphs.arrow;
        let ratio = |v: &[f64]| match balance::max_min_ratio(v) {
            r if r.is_finite() => format!("{r:.1}"),
            _ => "inf".into(),
        };
        rest.push(
            app.span(format!("max/min {} {arrow} {} ", ratio(&counts), ratio(&drawn)), Role::Text),
        );
        if area.width >= 66 {
            rest.push(app.span(
                format!("balance {:.3} {arrow} {:.3} ", balance::balance_index(&counts), e.balance),
                Role::Dim,
            ));
        }
    }
    let legend = classes_legend(&app.appearance, app.order);
    let name = if area.width < 34 { "classes" } else { "class frequencies" };
    let inner = app.panel(frame, area, CLASSES, title(&app.appearance, name, rest), Some(legend));
    let (glyphs, theme) = (&app.appearance.glyphs, &app.appearance.theme);
    frame.render_widget(ClassBars { rows: &rows, selected: app.selected(), glyphs, theme }, inner);
}

/// What the bars of a class are, and their order if it is not the data's.
pub(super) fn classes_legend(look: &Appearance, order: ClassOrder) -> Line<'static> {
    let g = &look.glyphs;
    let mut spans = vec![
        Span::raw(" "),
        look.span(format!("{} train ", g.share), Role::Share),
        look.span(format!("{} expected ", g.expected), Role::Expected),
        look.span(format!("{} drawn ", g.row(8)), Role::Drawn),
    ];
    if order != ClassOrder::Given {
        spans.push(look.span(format!("{} ", order.words()), Role::Dim));
    }
    Line::from(spans)
}
