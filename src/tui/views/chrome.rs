//! What all tabs have around them: the run's name and state, where training is, the tabs, the last
//! message, the keys.

use super::super::app::{App, Hit, Watching};
use super::super::keymap::{Action, Place};
use super::super::tabs::Tab;
use super::super::text::{clip, clock, thousands, wrap};
use super::super::theme::Role;
use super::super::widgets::Timeline;
use super::keys_line;
use crate::dashboard::{RunState, Tone};
use crate::protocol::{Cause, End, Phase};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

/// Lines that a message may take where somebody has to act on it.
const MESSAGE_LINES: u16 = 4;

/// Draws all of it; gives what is left for the tab.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App) -> Rect {
    let words = message_lines(app, frame.area().width);
    let one = Constraint::Length(1);
    let below = Constraint::Length(words.len() as u16);
    let [head, facts, timeline, tabs, body, message, footer] =
        Layout::vertical([one, one, one, one, Constraint::Fill(1), below, one]).areas(frame.area());
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
    tab_line(frame, app, tabs);
    frame.render_widget(Paragraph::new(words), message);
    frame.render_widget(Paragraph::new(footer_line(app, footer.width)), footer);
    body
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
        _ if app.is_parted() => ("CUT OFF", Role::Warning),
        _ if app.lost.is_some() => ("GONE", Role::Bad),
        RunState::Starting => ("STARTING", Role::Dim),
        RunState::Training => ("TRAINING", Role::Good),
        RunState::Evaluating => ("EVALUATING", Role::Good),
        RunState::Paused(Cause::Asked) => ("PAUSED", Role::Warning),
        RunState::Paused(Cause::NotFinite) => ("PAUSED: LOSS", Role::Bad),
        RunState::Paused(Cause::Disk) => ("PAUSED: DISK", Role::Bad),
        RunState::Finished { end: End::Complete } => ("FINISHED", Role::Best),
        RunState::Finished { end: End::Stopped } => ("STOPPED", Role::Warning),
        RunState::Failed => ("FAILED", Role::Bad),
    };
    (word.to_owned(), role)
}

fn header(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let (word, role) = state_word(app);
    let dot = format!(" {} ", app.appearance.glyphs.dot);
    let model = d.model.as_ref().map_or_else(String::new, |m| {
        format!("{dot}{} {} params", m.name, thousands(m.parameters))
    });
    let data = d
        .data
        .as_ref()
        .map_or_else(String::new, |s| format!("{dot}{} {}", s.name, thousands(s.train)));
    let facts = format!(
        "{data}{model}{dot}{}",
        d.device.split_once(':').map_or(d.device.as_str(), |(_, name)| name)
    );
    let cut = app.appearance.glyphs.cut;
    let name = clip(&d.run, usize::from(area.width).saturating_sub(word.width() + 3), cut);
    let room = usize::from(area.width).saturating_sub(1 + name.width() + word.width() + 2);
    let facts = clip(&facts, room, cut);
    let gap = room - facts.width() + 1;
    frame.render_widget(
        Paragraph::new(Line::from(vec![
            Span::raw(" "),
            app.span(name, Role::Title),
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
    facts.extend(match d.evaluated {
        Some((done, of)) => {
            Some(("evaluating", format!("{}/{}", thousands(done), thousands(of)), Role::Text, 2))
        }
        None => {
            (d.step.1 > 0).then(|| ("step", format!("{}/{}", d.step.0, d.step.1), Role::Text, 2))
        }
    });
    facts
        .extend(d.best.map(|(best, epoch)| {
            ("best", format!("{:.2}% @{epoch}", 100.0 * best), Role::Best, 4)
        }));
    facts.extend(
        d.images_per_s
            .map(|rate| ("", format!("{} images/s", thousands(rate as usize)), Role::Text, 1)),
    );
    facts.extend(d.lr.map(|lr| ("lr", format!("{lr:.4}"), Role::Text, 3)));
    facts.push(("", clock(d.t), Role::Text, 1));
    facts.extend(d.seconds_left().map(|left| ("left", clock(left), Role::Text, 0)));
    let cost = |facts: &[(&str, String, Role, u8)]| -> usize {
        facts.iter().map(|f| f.0.len() + f.1.len() + 4).sum()
    };
    for level in (1..=4).rev() {
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

/// The tabs, and what waits: for an answer, or for a boundary.
fn tab_line(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let width = usize::from(area.width);
    let full: usize = Tab::ALL.iter().map(|t| t.name().len() + 4).sum();
    let mut spans = Vec::new();
    let mut x = area.x;
    for tab in Tab::ALL {
        let key = app.keymap.key_of(Action::Show(tab));
        let is_here = tab == app.tab;
        let name =
            if full <= width || is_here { format!("{} ", tab.name()) } else { String::new() };
        let text = format!(" {key} {name}");
        let taken = text.width() as u16;
        app.at(
            Rect { x, y: area.y, width: taken.min(area.right().saturating_sub(x)), height: 1 },
            Hit::Tab(tab),
        );
        x += taken;
        if is_here {
            spans.push(app.span(text, Role::Selected));
        } else {
            spans.push(app.span(format!(" {key} "), Role::Key));
            spans.push(app.span(name, Role::Dim));
        }
    }
    let d = &app.dashboard;
    let mut waiting: Vec<(String, Role)> = Vec::new();
    if !app.filter.is_empty() {
        waiting.push((format!("only: {}", app.filter), Role::Key));
    }
    waiting.extend(app.requests.words().map(|a| (format!("asked: {a}"), Role::Warning)));
    waiting.extend(d.pending.iter().map(|p| (format!("pending: {}", p.words()), Role::Change)));
    let mut room = usize::from(area.right().saturating_sub(x)).saturating_sub(2);
    for (k, (words, role)) in waiting.into_iter().enumerate() {
        let lead = if k == 0 { "  " } else { "; " };
        let text = clip(&format!("{lead}{words}"), room, app.appearance.glyphs.cut);
        room = room.saturating_sub(text.width());
        spans.push(app.span(text, role));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// The last message in one line; before that what was wrong at the beginning.
pub(super) fn message_line(app: &App, width: u16) -> Line<'static> {
    if !app.warnings.is_empty() {
        let text = clip(
            &app.warnings.join("; "),
            usize::from(width).saturating_sub(2),
            app.appearance.glyphs.cut,
        );
        return Line::from(vec![Span::raw(" "), app.span(text, Role::Warning)]);
    }
    let Some(message) = app.dashboard.messages.last() else { return Line::default() };
    let time = format!(" {} ", clock(message.t));
    let text = clip(
        &message.text,
        usize::from(width).saturating_sub(time.width() + 1),
        app.appearance.glyphs.cut,
    );
    Line::from(vec![app.span(time, Role::Dim), app.span(text, role_of(message.tone))])
}

/// The last message: whole, where somebody has to act on it.
fn message_lines(app: &App, width: u16) -> Vec<Line<'static>> {
    let message = app.dashboard.messages.last();
    let Some(message) = message.filter(|m| m.tone == Tone::Bad) else {
        return vec![message_line(app, width)];
    };
    let time = format!(" {} ", clock(message.t));
    let mut parts = wrap(&message.text, usize::from(width).saturating_sub(time.width() + 1));
    parts.truncate(usize::from(MESSAGE_LINES));
    let mut lines = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        let lead = if i == 0 { time.clone() } else { " ".repeat(time.width()) };
        lines.push(Line::from(vec![
            app.span(lead, Role::Dim),
            app.span(part, role_of(message.tone)),
        ]));
    }
    lines
}

pub(super) fn role_of(tone: Tone) -> Role {
    match tone {
        Tone::Note => Role::Dim,
        Tone::Good => Role::Good,
        Tone::Warning => Role::Warning,
        Tone::Bad => Role::Bad,
    }
}

/// The keys that fit: what is offered after a fault, those of the tab, the others in the order of
/// the table.
pub(super) fn footer_line(app: &App, width: u16) -> Line<'static> {
    let d = &app.dashboard;
    let over = app.is_over() && !app.is_replay();
    let offer = match d.state {
        RunState::Paused(Cause::NotFinite) => Some("back to the checkpoint, half the rate"),
        RunState::Failed => Some("resume"),
        _ if app.is_parted() => Some("attach"),
        _ if app.lost.is_some() => Some("resume"),
        _ => None,
    };
    let mut wanted: Vec<_> =
        app.keymap.here(app.here()).filter(|(b, _)| !over || !b.run.asks_the_trainer()).collect();
    wanted.sort_by_key(|(b, _)| match b.run {
        Action::GoBack if offer.is_some() => 0,
        Action::Help | Action::Quit => 1,
        Action::PauseResume | Action::Play(_) => 2,
        _ if app.tab != Tab::Overview
            && matches!(b.place, Place::On(_) | Place::OneClass | Place::Classes) =>
        {
            3
        }
        _ => 4,
    }); // stable
    // Help and leaving always fit, but come after what is wanted most.
    let rest: Vec<_> = wanted
        .iter()
        .filter(|(b, _)| matches!(b.run, Action::Help | Action::Quit))
        .copied()
        .collect();
    wanted.retain(|(b, _)| !matches!(b.run, Action::Help | Action::Quit));
    wanted.splice(wanted.len().min(2)..wanted.len().min(2), rest);
    let short = |run: Action, usual: &'static str| match (run, offer) {
        (Action::PauseResume, _) if d.is_paused() => "go on",
        (Action::GoBack, Some(words)) => words,
        _ => usual,
    };
    keys_line(
        &app.appearance,
        wanted.into_iter().map(|(b, keys)| (b, keys, short(b.run, b.short))),
        width,
    )
}
