//! The overview: header, timeline, four panels, the last message, the keys.

use super::super::app::{App, ClassOrder, Watching};
use super::super::appearance::Appearance;
use super::super::keymap::{Action, Binding, Place, bindings};
use super::super::theme::Role;
use super::super::widgets::{ClassBars, ClassRow, Columns, Curve, CurveChart, CurveKind, Timeline, clip};
use super::{clock, keys_line, panel, thousands, title, wrap};
use crate::dashboard::{Dashboard, RunState, Tone};
use crate::importance::balance;
use crate::protocol::{Cause, Phase};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

/// Lines that a message may take where somebody has to act on it.
const MESSAGE_LINES: u16 = 4;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let words = message_lines(app, frame.area().width);
    let [head, facts, timeline, panels, message, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(words.len() as u16),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let d = &app.dashboard;
    header(frame, app, head);
    frame.render_widget(Paragraph::new(facts_line(app, facts.width)), facts);
    frame.render_widget(
        Timeline {
            epochs: d.config.train.epochs,
            switch: d.pretrain_epochs(),
            position: d.position(),
            phases: &d.phases,
            glyphs: &app.appearance.glyphs,
            theme: &app.appearance.theme,
        },
        timeline,
    );
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(panels);
    let [loss, accuracy] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(left);
    let classes = d.data.as_ref().map_or(10, |d| d.classes.len());
    // All classes if they leave the histogram a third, the head of the table included where there is room.
    let wanted = (classes + 3).min(usize::from(right.height) * 2 / 3).max(usize::from(right.height).min(12));
    let [weights, bars] = Layout::vertical([Constraint::Fill(1), Constraint::Length(wanted as u16)]).areas(right);
    loss_panel(frame, app, loss);
    accuracy_panel(frame, app, accuracy);
    weights_panel(frame, app, weights);
    classes_panel(frame, app, bars);
    frame.render_widget(Paragraph::new(words), message);
    frame.render_widget(Paragraph::new(footer_line(app, footer.width)), footer);
}

/// State of the run as a word, and how it is meant.
pub(super) fn state_word(app: &App) -> (String, Role) {
    if let Watching::Replay { playing, speed, at, of } = app.watching {
        let place = format!("{} of {}", clock(at), clock(of));
        return match playing {
            true => (format!("REPLAY {}x {place}", (speed * 100.0).round() / 100.0), Role::Best),
            false => (format!("REPLAY {place}, stopped"), Role::Warning),
        };
    }
    let (word, role) = match app.dashboard.state {
        _ if app.lost.is_some() => ("GONE", Role::Bad),
        RunState::Starting => ("STARTING", Role::Dim),
        RunState::Training => ("TRAINING", Role::Good),
        RunState::Evaluating => ("EVALUATING", Role::Good),
        RunState::Paused(Cause::Asked) => ("PAUSED", Role::Warning),
        RunState::Paused(Cause::NotFinite) => ("PAUSED: LOSS", Role::Bad),
        RunState::Paused(Cause::Disk) => ("PAUSED: DISK", Role::Bad),
        RunState::Finished { stopped: false } => ("FINISHED", Role::Best),
        RunState::Finished { stopped: true } => ("STOPPED", Role::Warning),
        RunState::Failed => ("FAILED", Role::Bad),
    };
    (word.to_owned(), role)
}

fn header(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let (word, role) = state_word(app);
    let dot = format!(" {} ", app.appearance.glyphs.dot);
    let model = d.model.as_ref().map_or_else(String::new, |m| format!("{dot}{} {} params", m.name, thousands(m.parameters)));
    let data = d.data.as_ref().map_or_else(String::new, |s| format!("{dot}{} {}", s.name, thousands(s.train)));
    let facts = format!("{data}{model}{dot}{}", d.device.split_once(':').map_or(d.device.as_str(), |(_, name)| name));
    let room = usize::from(area.width).saturating_sub(1 + d.run.width() + word.width() + 2);
    let facts = clip(&facts, room, app.appearance.glyphs.cut);
    let gap = room - facts.width() + 1;
    frame.render_widget(
        Paragraph::new(Line::from(vec![
            Span::raw(" "),
            app.span(d.run.as_str(), Role::Title),
            app.span(facts, Role::Dim),
            Span::raw(" ".repeat(gap)),
            app.span(word, role),
        ])),
        area,
    );
}

/// Facts of the moment; on a narrow screen the least wanted ones are left out.
fn facts_line(app: &App, width: u16) -> Line<'static> {
    let d = &app.dashboard;
    let phase = match d.phase {
        Phase::Pretrain => Role::Pretrain,
        Phase::Biased => Role::Biased,
        Phase::Uniform => Role::Uniform,
    };
    // Name, value, role, and how wanted it is (0 always stays).
    let mut facts: Vec<(&str, String, Role, u8)> = vec![
        ("epoch", format!("{}/{}", d.epoch, d.config.train.epochs), Role::Title, 0),
        ("", d.phase.word().to_owned(), phase, 0),
    ];
    facts.push(match d.evaluated {
        Some((done, of)) => ("evaluating", format!("{}/{}", thousands(done), thousands(of)), Role::Text, 2),
        None => ("step", format!("{}/{}", d.step.0, d.step.1), Role::Text, 2),
    });
    facts.extend(d.images_per_s.map(|rate| ("", format!("{} images/s", thousands(rate as usize)), Role::Text, 1)));
    facts.extend(d.lr.map(|lr| ("lr", format!("{lr:.4}"), Role::Text, 3)));
    facts.push(("", clock(d.t), Role::Text, 1));
    facts.extend(d.seconds_left().map(|left| ("left", clock(left), Role::Text, 0)));
    let cost = |facts: &[(&str, String, Role, u8)]| -> usize { facts.iter().map(|f| f.0.len() + f.1.len() + 4).sum() };
    for level in (1..=3).rev() {
        if cost(&facts) > usize::from(width) {
            facts.retain(|f| f.3 < level);
        }
    }
    let mut spans = vec![Span::raw(" ")];
    for (k, (name, value, role, _)) in facts.into_iter().enumerate() {
        if k > 0 {
            spans.push(app.span(format!(" {} ", app.appearance.glyphs.dot), Role::Dim));
        }
        if !name.is_empty() {
            spans.push(app.span(format!("{name} "), Role::Dim));
        }
        spans.push(app.span(value, role));
    }
    Line::from(spans)
}

/// The epoch axis: the whole run where it is short, else what lies behind us and a bit.
fn epoch_axis(d: &Dashboard) -> (f64, f64) {
    let n = d.config.train.epochs as f64;
    let ahead = (d.position() * 1.3).ceil().max(30.0);
    (0.0, n.min(ahead).max(1.0))
}

/// A vertical line where E lies.
fn switch_mark(d: &Dashboard, y: (f64, f64)) -> Curve {
    let e = d.pretrain_epochs() as f64;
    Curve { points: vec![(e, y.0), (e, y.1)], role: Role::Mark, kind: CurveKind::Mark }
}

fn loss_panel(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let value = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
    let mut rest = vec![app.span(format!("{} ", value(d.loss_smooth.last())), Role::Loss)];
    if let Some(e) = d.epochs.last() {
        rest.push(app.span(format!("{} {:.4} ", e.measured.on.word(), e.measured.loss), Role::Dim));
    }
    let legend = if d.epochs.iter().any(|e| e.phase == Phase::Biased) {
        "harder draws after E: jump expected"
    } else {
        "smoothed, over the raw figures"
    };
    let block = panel(
        &app.appearance,
        title(&app.appearance, "train loss", rest),
        Some(Line::from(app.span(format!(" {legend} "), Role::Dim))),
    );
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some((low, high)) = d.loss_raw.range() else {
        return frame.render_widget(Paragraph::new(app.span("the first steps are under way", Role::Dim)), inner);
    };
    let y = (0.0_f64.min(low), if high > low { high * 1.02 } else { high + 1.0 });
    let chart = CurveChart {
        curves: vec![
            Curve { points: d.loss_raw.extremes(), role: Role::LossRaw, kind: CurveKind::Points },
            switch_mark(d, y),
            Curve { points: d.loss_smooth.means(), role: Role::Loss, kind: CurveKind::Line },
        ],
        x: epoch_axis(d),
        y,
        label: |v| format!("{v:.2}"),
        glyphs: &app.appearance.glyphs,
        theme: &app.appearance.theme,
    };
    frame.render_widget(chart, inner);
}

fn accuracy_panel(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let mut rest = Vec::new();
    if let (Some(last), Some((best, epoch))) = (d.epochs.last(), d.best) {
        rest.push(app.span(format!("{:.2}% ", 100.0 * last.measured.accuracy), Role::Accuracy));
        rest.push(app.span(format!("best {:.2}% @{epoch} ", 100.0 * best), Role::Best));
    }
    let block = panel(
        &app.appearance,
        title(&app.appearance, &format!("{} accuracy", app.dashboard.config.measured_on().word()), rest),
        None,
    );
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some((low, high)) = d.accuracy.range() else {
        return frame.render_widget(Paragraph::new(app.span("comes at the end of the first epoch", Role::Dim)), inner);
    };
    let y = ((low - 2.0).max(0.0).floor(), (high + 2.0).min(100.0).ceil());
    let x = epoch_axis(d);
    let best = d.best.map_or(high, |(b, _)| 100.0 * b);
    let chart = CurveChart {
        curves: vec![
            switch_mark(d, y),
            Curve { points: vec![(x.0, best), (x.1, best)], role: Role::Best, kind: CurveKind::Mark },
            Curve { points: d.accuracy.means(), role: Role::Accuracy, kind: CurveKind::Line },
        ],
        x,
        y,
        label: |v| format!("{v:.0}%"),
        glyphs: &app.appearance.glyphs,
        theme: &app.appearance.theme,
    };
    frame.render_widget(chart, inner);
}

fn weights_panel(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let dot = app.appearance.glyphs.dot;
    let Some(w) = &d.weights else {
        let block =
            panel(&app.appearance, title(&app.appearance, "importance weights", vec![app.span("not yet ", Role::Dim)]), None);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        return frame.render_widget(Paragraph::new(recording_words(app)).wrap(Wrap { trim: true }), inner);
    };
    let [q1, median, q3] = w.spread.quartiles;
    let ess = d.epochs.last().filter(|e| e.phase == Phase::Biased).map_or(w.ess, |e| e.ess);
    let top = title(&app.appearance, "importance weights", vec![app.span(format!("after epoch {} ", w.epoch), Role::Dim)]);
    let bottom = Line::from(vec![
        app.span(format!(" {} {q1:.2} {median:.2} {q3:.2} ", app.appearance.glyphs.quartile), Role::Quartile),
        app.span(format!("{dot} ESS {:.0}% of n ", 100.0 * ess), Role::Dim),
    ]);
    let block = panel(&app.appearance, top, Some(bottom));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let columns =
        Columns { counts: &w.counts, marks: &w.spread.quartiles, glyphs: &app.appearance.glyphs, theme: &app.appearance.theme };
    frame.render_widget(columns, inner);
}

/// Before E: what is being recorded, and when the weights come.
fn recording_words(app: &App) -> Vec<Line<'static>> {
    let d = &app.dashboard;
    let (e, n) = (d.pretrain_epochs(), d.config.train.epochs);
    let per_epoch = d.epochs.last().map(|e| e.seconds);
    let eta = per_epoch
        .map(|s| (e as f64 - d.position()).max(0.0) * s)
        .map_or_else(String::new, |s| format!(", in about {}", clock(s)));
    let when = match e {
        _ if e == n => "E = N: uniform to the end, no weights are needed (the baseline).".to_owned(),
        0 => "E = 0: biased from the start, with uniform weights.".to_owned(),
        _ => format!("The weights come after epoch {e}{eta}."),
    };
    let recording =
        format!("Recording p, the probability of the true class, of every sample as it trains: epoch {} of {e}.", d.epoch.min(e));
    let mut lines = Vec::new();
    if d.epoch > 0 && e > 0 && d.epoch <= e {
        lines.push(Line::from(app.span(recording, Role::Text)));
    }
    lines.push(Line::from(app.span(when, Role::Pretrain)));
    lines
}

fn classes_panel(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let rows = class_rows(d, app.order);
    let mut rest = Vec::new();
    if let (Some(e), Some(data)) = (d.epochs.last(), &d.data) {
        let counts: Vec<f64> = data.counts.iter().map(|c| *c as f64).collect();
        let drawn: Vec<f64> = e.drawn.iter().map(|c| *c as f64).collect();
        let arrow = app.appearance.glyphs.arrow;
        let ratio = |v: &[f64]| match balance::max_min_ratio(v) {
            r if r.is_finite() => format!("{r:.1}"),
            _ => "inf".into(),
        };
        rest.push(app.span(format!("max/min {} {arrow} {} ", ratio(&counts), ratio(&drawn)), Role::Text));
        if area.width >= 66 {
            rest.push(app.span(format!("balance {:.3} {arrow} {:.3} ", balance::balance_index(&counts), e.balance), Role::Dim));
        }
    }
    let block = panel(
        &app.appearance,
        title(&app.appearance, "class frequencies", rest),
        Some(classes_legend(&app.appearance, app.order)),
    );
    let inner = block.inner(area);
    frame.render_widget(block, area);
    frame.render_widget(ClassBars { rows: &rows, glyphs: &app.appearance.glyphs, theme: &app.appearance.theme }, inner);
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

/// One row per class, in the order that was asked for.
pub(super) fn class_rows(d: &Dashboard, order: ClassOrder) -> Vec<ClassRow> {
    let Some(data) = &d.data else { return Vec::new() };
    let n = data.train.max(1) as f64;
    let last = d.epochs.last();
    let row = |c: usize| ClassRow {
        name: data.classes[c].clone(),
        share: data.counts.get(c).map_or(0.0, |k| *k as f64 / n),
        expected: last.and_then(|e| e.expected.get(c)).map(|v| v / n),
        drawn: last.and_then(|e| e.drawn.get(c)).map(|v| *v as f64 / n),
        recall: last.and_then(|e| e.recall.get(c)).copied(),
    };
    let mut rows: Vec<ClassRow> = (0..data.classes.len()).map(row).collect();
    match order {
        ClassOrder::Given => {}
        ClassOrder::Share => rows.sort_by(|a, b| b.share.total_cmp(&a.share)),
        ClassOrder::Drawn => rows.sort_by(|a, b| b.drawn.unwrap_or(0.0).total_cmp(&a.drawn.unwrap_or(0.0))),
        ClassOrder::Recall => rows.sort_by(|a, b| a.recall.unwrap_or(0.0).total_cmp(&b.recall.unwrap_or(0.0))),
    }
    rows
}

/// The last message in one line.
pub(super) fn message_line(app: &App, width: u16) -> Line<'static> {
    let Some(message) = app.dashboard.messages.last() else { return Line::default() };
    let time = format!(" {} ", clock(message.t));
    let text = clip(&message.text, usize::from(width).saturating_sub(time.width() + 1), app.appearance.glyphs.cut);
    Line::from(vec![app.span(time, Role::Dim), app.span(text, role_of(message.tone))])
}

/// The last message: whole, where somebody has to act on it.
fn message_lines(app: &App, width: u16) -> Vec<Line<'static>> {
    let message = app.dashboard.messages.last();
    let Some(message) = message.filter(|m| m.tone == Tone::Bad) else { return vec![message_line(app, width)] };
    let time = format!(" {} ", clock(message.t));
    let mut parts = wrap(&message.text, usize::from(width).saturating_sub(time.width() + 1));
    parts.truncate(usize::from(MESSAGE_LINES));
    let mut lines = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        let lead = if i == 0 { time.clone() } else { " ".repeat(time.width()) };
        lines.push(Line::from(vec![app.span(lead, Role::Dim), app.span(part, role_of(message.tone))]));
    }
    lines
}

fn role_of(tone: Tone) -> Role {
    match tone {
        Tone::Note => Role::Dim,
        Tone::Good => Role::Good,
        Tone::Warning => Role::Warning,
        Tone::Bad => Role::Bad,
    }
}

/// The keys that fit, in the order of the table; what is offered after a fault comes first.
pub(super) fn footer_line(app: &App, width: u16) -> Line<'static> {
    let d = &app.dashboard;
    let over = app.is_over() && app.place() == Place::Run;
    let offer = match d.state {
        RunState::Paused(Cause::NotFinite) => Some("back to the checkpoint, half the rate"),
        RunState::Failed => Some("resume"),
        _ if app.lost.is_some() => Some("resume"),
        _ => None,
    };
    let mut wanted: Vec<_> = bindings(app.place()).filter(|b| !over || b.run.outlives_the_run()).collect();
    wanted.sort_by_key(|b| offer.is_none() || b.run != Action::GoBack); // stable
    let short = |binding: &Binding| match (binding.run, offer) {
        (Action::PauseResume, _) if d.is_paused() => "go on",
        (Action::GoBack, Some(words)) => words,
        _ => binding.short,
    };
    keys_line(&app.appearance, wanted.into_iter().map(|b| (b, short(b))), width)
}
