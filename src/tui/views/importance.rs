//! Importance: the weights or the draws expected of them, of all samples and of one class; how far
//! draws reach; their course.

use super::super::app::App;
use super::super::text::{clip, percent, thousands};
use super::super::theme::Role;
use super::super::widgets::{Columns, Curve, CurveKind};
use super::overview::{EASY_TO_HARD, PERCENT, known_weights, recording_words};
use super::plot::{self, axis_words, cursor_words, epoch_at};
use super::title;
use crate::protocol::EpochSummary;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

const HISTOGRAM: usize = 0;
const FIGURES: usize = 1;
const COURSE: usize = 2;
/// Columns of the figures.
const WIDTH: u16 = 36;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, body: Rect) {
    if app.zoomed {
        return panel(frame, app, body, app.focused());
    }
    let low = body.height < 16;
    let [above, below] =
        Layout::vertical([Constraint::Fill(3), Constraint::Fill(if low { 0 } else { 2 })])
            .areas(body);
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(WIDTH.min(body.width / 2))])
            .areas(above);
    panel(frame, app, left, HISTOGRAM);
    panel(frame, app, right, FIGURES);
    if !low {
        panel(frame, app, below, COURSE);
    }
}

fn panel(frame: &mut Frame<'_>, app: &App, area: Rect, number: usize) {
    match number {
        HISTOGRAM => histogram(frame, app, area),
        FIGURES => figures(frame, app, area),
        _ => course(frame, app, area),
    }
}

fn histogram(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let look = &app.appearance;
    let name = if app.shows_draws { "expected draws per epoch" } else { "importance weights" };
    let Some((w, when)) = known_weights(app) else {
        let inner = app.panel(
            frame,
            area,
            HISTOGRAM,
            title(look, name, vec![app.span("not yet ", Role::Dim)]),
            None,
        );
        return frame
            .render_widget(Paragraph::new(recording_words(app)).wrap(Wrap { trim: true }), inner);
    };
    let mut rest = vec![when];
    let class = app.gallery.class.filter(|c| *c < app.classes().len());
    let part = class.and_then(|c| {
        let sheet = app.sheet.as_ref()?;
        if app.shows_draws { sheet.draws.get(c) } else { sheet.weights.get(c) }
    });
    if let Some(class) = class {
        let name = clip(&app.classes()[class], 24, look.glyphs.cut);
        let words = if part.is_some() { "" } else { " (comes with the weights)" };
        rest.push(app.span(format!("{} {name}{words} ", look.glyphs.shades[2]), Role::Drawn));
    }
    let log = if app.axis.log { ", log count" } else { "" };
    let hint = format!(" {} samples{log} ", thousands(w.n));
    let inner = app.panel(
        frame,
        area,
        HISTOGRAM,
        title(look, name, rest),
        Some(Line::from(app.span(hint, Role::Dim))),
    );
    let most = w.draw_edges.last().copied().unwrap_or(0.0);
    // One draw is what every sample gets without bias.
    let one_draw = [1.0 / most.max(1.0)];
    let columns = if app.shows_draws {
        let (x, ends) = ((0.0, f64::from(most)), ["never", "times"]);
        Columns { counts: &w.draw_counts, marks: &one_draw, x, ends, ..columns(app) }
    } else {
        Columns { counts: &w.counts, marks: &w.spread.quartiles, ..columns(app) }
    };
    frame.render_widget(Columns { part: part.map_or(&[], |p| p), ..columns }, inner);
}

fn columns(app: &App) -> Columns<'_> {
    let (glyphs, theme) = (&app.appearance.glyphs, &app.appearance.theme);
    Columns {
        counts: &[],
        part: &[],
        marks: &[],
        log: app.axis.log,
        x: (0.0, 1.0),
        ends: EASY_TO_HARD,
        glyphs,
        theme,
    }
}

fn figures(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let inner =
        app.panel(frame, area, FIGURES, title(&app.appearance, "figures", Vec::new()), None);
    let fact = |name: &str, value: String, role| {
        Line::from(vec![app.span(format!(" {name:<18} "), Role::Dim), app.span(value, role)])
    };
    let mut lines = Vec::new();
    if let Some((w, _)) = known_weights(app) {
        let [q1, median, q3] = w.spread.quartiles;
        lines.push(fact("quartiles of w", format!("{q1:.2} {median:.2} {q3:.2}"), Role::Quartile));
        lines.push(fact(
            "smallest, largest",
            format!("{:.3} {:.3}", w.spread.min, w.spread.max),
            Role::Text,
        ));
        lines.push(fact("mean", format!("{:.3}", w.mean), Role::Text));
        lines.push(fact("effective samples", format!("{} of n", percent(w.ess)), Role::Weights));
        if let Some(mean) = app.gallery.class.and_then(|c| w.class_mean.get(c)) {
            lines.push(fact("mean of the class", format!("{mean:.3}"), Role::Drawn));
        }
        if w.unseen > 0 {
            lines.push(fact("never observed", thousands(w.unseen), Role::Warning));
        }
    }
    if let Some(e) = d.epochs.last() {
        lines.push(Line::from(
            app.span(format!(" epoch {} ({})", e.epoch, e.phase.word()), Role::Title),
        ));
        lines.push(fact("distinct samples", percent(e.coverage), Role::Text));
        lines.push(fact("  expected", percent(e.expected_coverage), Role::Dim));
        lines.push(fact("most draws of one", e.max_multiplicity.to_string(), Role::Text));
        if e.hard_share.is_some() {
            lines.push(fact("undrawn since E", thousands(e.never_drawn), Role::Text));
        }
        let shares = [
            ("draws with p < 0.1", e.hard_share),
            ("draws of suspects", e.suspect_share),
            ("draws, flipped", e.flipped_share),
        ];
        lines.extend(
            shares
                .into_iter()
                .filter_map(|(name, share)| share.map(|s| fact(name, percent(s), Role::Text))),
        );
    }
    if lines.is_empty() {
        lines.push(Line::from(app.span(" come with the first epoch", Role::Dim)));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn course(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let look = &app.appearance;
    let legend =
        [("distinct", Role::Accuracy), ("effective", Role::Weights), ("p < 0.1", Role::Loss)];
    let now = || {
        legend
            .iter()
            .map(|(name, role)| app.span(format!("{} {name} ", look.glyphs.on), *role))
            .collect()
    };
    let there = cursor_words(app, |at| {
        let e = epoch_at(d, at)?;
        let hard = e.hard_share.map_or_else(String::new, |s| format!(", p < 0.1 {}", percent(s)));
        Some(format!("distinct {}, effective {}{hard}", percent(e.coverage), percent(e.ess)))
    });
    let words = axis_words(app);
    let bottom = (!words.is_empty()).then(|| Line::from(app.span(format!(" {words} "), Role::Dim)));
    let inner = app.panel(
        frame,
        area,
        COURSE,
        title(look, "draws by epoch", there.unwrap_or_else(now)),
        bottom,
    );
    if d.epochs.is_empty() {
        return frame.render_widget(
            Paragraph::new(app.span("comes with the first epoch", Role::Dim)),
            inner,
        );
    }
    let curve = |of: &dyn Fn(&EpochSummary) -> Option<f64>, role, kind| {
        let points =
            d.epochs.iter().filter_map(|e| Some((e.epoch as f64, 100.0 * of(e)?))).collect();
        Curve { points, role, kind }
    };
    let kind = if look.is_colorless() { CurveKind::Points } else { CurveKind::Line };
    let curves = vec![
        curve(&|e| e.hard_share, Role::Loss, kind),
        curve(&|e| Some(e.ess), Role::Weights, kind),
        curve(&|e| Some(e.coverage), Role::Accuracy, CurveKind::Line),
    ];
    plot::draw(frame, app, inner, COURSE, curves, &PERCENT);
}
