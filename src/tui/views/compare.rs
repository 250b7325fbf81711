//! Compare: the runs beside this one, and the curves of those that somebody chose.

use super::super::app::{App, Hit};
use super::super::axis::Scale;
use super::super::classes::first_shown;
use super::super::keymap::Action;
use super::super::others::{Figure, Other};
use super::super::text::{clip, fit};
use super::super::theme::{ARMS, Role};
use super::super::widgets::{Curve, CurveKind};
use super::overview::PERCENT;
use super::plot::{self, Values, axis_words};
use super::title;
use crate::compare::{Speedup, points as points_in_words};
use crate::dashboard::{Dashboard, RunState};
use crate::protocol::End;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

const LIST: usize = 0;
const CHART: usize = 1;
/// Columns from which the list has room beside the chart.
const SIDE_BY_SIDE: u16 = 100;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, body: Rect) {
    if app.zoomed {
        return if app.focused() == LIST {
            list(frame, app, body)
        } else {
            chart(frame, app, body)
        };
    }
    let [runs, curves] = if body.width < SIDE_BY_SIDE {
        let height = (app.listed_runs().len() as u16 + 5).min(body.height / 2);
        Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(body)
    } else {
        let width = (body.width * 2 / 5).clamp(44, 64);
        Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(body)
    };
    list(frame, app, runs);
    chart(frame, app, curves);
}

/// The look of a run that is drawn: this one, then the others in the order of the list.
fn role_of(app: &App, at: usize) -> Role {
    let before = app.others.list[..at].iter().filter(|o| o.shown).count();
    ARMS[1 + before % (ARMS.len() - 1)]
}

fn state(d: &Dashboard) -> &'static str {
    match d.state {
        RunState::Finished { end: End::Complete } => "done",
        RunState::Finished { end: End::Stopped } => "stopped",
        RunState::Failed => "failed",
        RunState::Paused(_) => "paused",
        RunState::Starting => "begins",
        RunState::Training | RunState::Evaluating => "",
    }
}

fn list(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let g = &app.appearance.glyphs;
    let listed = app.listed_runs();
    let rest = vec![app.span(format!("{} ", listed.len() + 1), Role::Dim)];
    let inner =
        app.panel(frame, area, LIST, title(&app.appearance, "runs", rest), Some(gain_words(app)));
    let names = usize::from(inner.width).saturating_sub(27);
    let best = |d: &Dashboard| {
        d.best.map_or_else(|| "-".to_owned(), |(best, _)| format!("{:.2}%", 100.0 * best))
    };
    let row = |pointer: &str, on: &str, role: Role, name: &str, d: &Dashboard, after: &str| {
        let epochs = format!("{}/{}", d.epochs.len(), d.config.train.epochs);
        Line::from(vec![
            app.span(pointer.to_owned(), Role::Key),
            app.span(format!("{on} "), role),
            app.span(fit(name, names, g.cut), role),
            app.span(format!(" {:>7} {epochs:>7} ", best(d)), Role::Text),
            app.span(after.to_owned(), Role::Dim),
        ])
    };
    let mut lines = vec![Line::from(
        app.span(format!("   {} {:>7} {:>7}", fit("run", names, ""), "best", "epochs"), Role::Dim),
    )];
    lines.push(row(" ", g.on, ARMS[0], &app.dashboard.run, &app.dashboard, "this"));
    let height = usize::from(inner.height).saturating_sub(2);
    let first = first_shown(app.selected(), listed.len(), height);
    for (k, at) in listed.iter().enumerate().skip(first).take(height) {
        let other: &Other = &app.others.list[*at];
        let is_baseline = app.others.baseline.as_ref() == Some(&other.id);
        let role = if other.shown { role_of(app, *at) } else { Role::Dim };
        let pointer = if k == app.selected() { g.pointer } else { " " };
        let after = if is_baseline { "base" } else { state(&other.dashboard) };
        lines.push(row(
            pointer,
            if other.shown { g.on } else { g.off },
            role,
            &other.id,
            &other.dashboard,
            after,
        ));
        app.at(Rect { y: inner.y + 2 + (k - first) as u16, height: 1, ..inner }, Hit::Row(k));
    }
    if listed.is_empty() {
        let words = if app.filter.is_empty() {
            " There is no other run here."
        } else {
            " No run has that in its name."
        };
        lines.push(Line::from(app.span(words, Role::Dim)));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// What this run gains on the baseline.
fn gain_words(app: &App) -> Line<'static> {
    let keys = &app.keymap;
    let (enter, equals) = (keys.key_of(Action::Enter), keys.key_of(Action::Baseline));
    let words = match app.others.gain(&app.dashboard) {
        None => format!(" {enter} draws a run, {equals} makes it the baseline "),
        Some((points, speedup)) => {
            let speedup = match speedup {
                Some(Speedup::Reached { epochs, .. }) => format!("{epochs:.2}x"),
                _ if app.dashboard.is_over() => "not reached".into(),
                _ => "not reached yet".into(),
            };
            format!(" best {} points to the baseline, speedup {speedup} ", points_in_words(points))
        }
    };
    Line::from(app.span(words, Role::Dim))
}

fn chart(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let look = &app.appearance;
    let figure = app.figure;
    let shown: Vec<usize> =
        (0..app.others.list.len()).filter(|i| app.others.list[*i].shown).collect();
    let words = axis_words(app);
    let hint = if words.is_empty() {
        "one seed says little: earlybird compare has seeds and a null arm".to_owned()
    } else {
        words
    };
    let mut rest = vec![
        app.span(format!("{} ", look.glyphs.on), ARMS[0]),
        app.span(format!("{} ", app.dashboard.run), Role::Dim),
    ];
    for at in &shown {
        rest.push(app.span(format!("{} ", look.glyphs.on), role_of(app, *at)));
        rest.push(
            app.span(
                format!("{} ", clip(&app.others.list[*at].id, 24, look.glyphs.cut)),
                Role::Dim,
            ),
        );
    }
    let bottom = Line::from(app.span(format!(" {hint} "), Role::Dim));
    let inner = app.panel(frame, area, CHART, title(look, figure.words(), rest), Some(bottom));
    let points = |d: &Dashboard| -> Vec<(f64, f64)> {
        d.epochs.iter().map(|e| (e.epoch as f64, figure.of(e))).collect()
    };
    let everything = |d: &Dashboard| (0.0, d.epochs.len() as f64 + 1.0);
    let mut curves = Vec::new();
    if let (Figure::Accuracy, Some((best, _))) =
        (figure, app.others.baseline().and_then(|b| b.dashboard.best))
    {
        curves.push(Curve::level(100.0 * best, Role::Best));
    }
    for at in shown {
        let other = &app.others.list[at];
        let kind = if look.is_colorless() { CurveKind::Points } else { CurveKind::Line };
        let curve = Curve { points: points(&other.dashboard), role: role_of(app, at), kind };
        let scale = Scale::of(&other.dashboard, app.axis.unit);
        curves.push(plot::mapped(curve, &scale, everything(&other.dashboard)));
    }
    let own = Curve { points: points(&app.dashboard), role: ARMS[0], kind: CurveKind::Line };
    curves.push(plot::mapped(
        own,
        &Scale::of(&app.dashboard, app.axis.unit),
        everything(&app.dashboard),
    ));
    if curves.iter().all(|c| c.points.is_empty() || c.kind == CurveKind::Mark) {
        let words = "Curves come with the first epoch.";
        return frame.render_widget(
            Paragraph::new(app.span(words, Role::Dim)).wrap(Wrap { trim: true }),
            inner,
        );
    }
    let values = match figure {
        Figure::Accuracy => PERCENT,
        Figure::Balance => Values {
            from_zero: false,
            within: (0.0, 1.0),
            margin: 0.02,
            may_be_log: false,
            unit: "",
        },
        Figure::MeasuredLoss | Figure::TrainLoss => Values {
            from_zero: false,
            within: (0.0, f64::INFINITY),
            margin: 0.05,
            may_be_log: true,
            unit: "",
        },
    };
    plot::draw_mapped(frame, app, inner, CHART, curves, &values);
}
