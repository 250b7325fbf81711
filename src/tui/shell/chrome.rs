//! What all tabs have around them: the run's name and state, where training is, the tabs, the last
//! message, the keys.

use crate::dashboard::{Dashboard, RunState, Tone};
use crate::protocol::{Cause, End, Phase};
use crate::tui::chart::Timeline;
use crate::tui::connection::Watching;
use crate::tui::input::keymap::{Action, Place, Tab};
use crate::tui::look::panel::keys_line;
use crate::tui::look::text::{clip, clock, thousands, wrap};
use crate::tui::look::theme::{Role, role_of};
use crate::tui::scene::{Hit, Hits, Scene};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

/// Lines that a message may take where somebody has to act on it.
const MESSAGE_LINES: u16 = 4;

/// Draws all of it; gives what is left for the tab, and where the names of tabs are.
pub fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>) -> (Rect, Hits) {
    let words = message_lines(scene, frame.area().width);
    let one = Constraint::Length(1);
    let below = Constraint::Length(words.len() as u16);
    let [head, facts, timeline, tabs, body, message, footer] =
        Layout::vertical([one, one, one, one, Constraint::Fill(1), below, one]).areas(frame.area());
    let d = scene.run;
    header(frame, scene, head);
    frame.render_widget(Paragraph::new(facts_line(scene, facts.width)), facts);
    let found = d.settling().map(|found| found.e.epochs());
    frame.render_widget(
        Timeline {
            epochs: d.config.train.epochs,
            switch: d.pretrain_epochs(),
            label: &e_label(d, found),
            found: found.filter(|_| !d.config.finds_e() && d.weights.is_none()),
            position: d.position(),
            phases: &d.phases,
            glyphs: &scene.look.glyphs,
            theme: &scene.look.theme,
        },
        timeline,
    );
    let hits = tab_line(frame, scene, tabs);
    frame.render_widget(Paragraph::new(words), message);
    frame.render_widget(Paragraph::new(footer_line(scene, footer.width)), footer);
    (body, hits)
}

/// E on the timeline: a number, or with a question mark what it will probably be.
fn e_label(d: &Dashboard, found: Option<usize>) -> String {
    match (d.config.finds_e(), found) {
        (false, _) => format!("E={}", d.pretrain_epochs()),
        (true, Some(e)) => format!("E={e}?"),
        (true, None) => "E=auto".to_owned(),
    }
}

/// State of the run as a word, and how it is meant.
pub fn state_word(scene: &Scene<'_>) -> (String, Role) {
    if let Watching::Replay { playing, speed, at, of } = scene.connection.watching {
        let place = format!("{} of {}", clock(at), clock(of));
        return match playing {
            true => (format!("REPLAY {}x {place}", (speed * 100.0).round() / 100.0), Role::Best),
            false => (format!("REPLAY {place}, stopped"), Role::Warning),
        };
    }
    let (word, role) = match scene.run.state {
        _ if scene.connection.is_parted(scene.run) => ("CUT OFF", Role::Warning),
        _ if scene.connection.lost.is_some() => ("GONE", Role::Bad),
        RunState::Starting => ("STARTING", Role::Dim),
        RunState::Training => ("TRAINING", Role::Good),
        RunState::Evaluating => ("EVALUATING", Role::Good),
        RunState::Paused(Cause::Asked) => ("PAUSED", Role::Warning),
        RunState::Paused(Cause::NotFinite) => ("PAUSED: LOSS", Role::Bad),
        RunState::Paused(Cause::Disk) => ("PAUSED: DISK", Role::Bad),
        RunState::Paused(Cause::Data) => ("PAUSED: DATA", Role::Bad),
        RunState::Finished { end: End::Complete } => ("FINISHED", Role::Best),
        RunState::Finished { end: End::Stopped } => ("STOPPED", Role::Warning),
        RunState::Failed => ("FAILED", Role::Bad),
    };
    (word.to_owned(), role)
}

fn header(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let d = scene.run;
    let (word, role) = state_word(scene);
    let dot = format!(" {} ", scene.look.glyphs.dot);
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
    let cut = scene.look.glyphs.cut;
    let name = clip(&d.run, usize::from(area.width).saturating_sub(word.width() + 3), cut);
    let room = usize::from(area.width).saturating_sub(1 + name.width() + word.width() + 2);
    let facts = clip(&facts, room, cut);
    let gap = room - facts.width() + 1;
    frame.render_widget(
        Paragraph::new(Line::from(vec![
            Span::raw(" "),
            scene.span(name, Role::Title),
            scene.span(facts, Role::Dim),
            Span::raw(" ".repeat(gap)),
            scene.span(word, role),
        ])),
        area,
    );
}

/// Facts of the moment; on a narrow screen the least wanted ones are left out.
fn facts_line(scene: &Scene<'_>, width: u16) -> Line<'static> {
    let d = scene.run;
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
            spans.push(scene.span(format!(" {} ", scene.look.glyphs.dot), Role::Dim));
        }
        if !name.is_empty() {
            spans.push(scene.span(format!("{name} "), Role::Dim));
        }
        spans.push(scene.span(value, role));
    }
    Line::from(spans)
}

/// The tabs, and what waits: for an answer, or for a boundary.
fn tab_line(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) -> Hits {
    let width = usize::from(area.width);
    let full: usize = Tab::ALL.iter().map(|t| t.name().len() + 4).sum();
    let (mut spans, mut hits) = (Vec::new(), Hits::new());
    let mut x = area.x;
    for tab in Tab::ALL {
        let key = scene.keymap.key_of(Action::Show(tab));
        let is_here = tab == scene.tab;
        let name =
            if full <= width || is_here { format!("{} ", tab.name()) } else { String::new() };
        let text = format!(" {key} {name}");
        let taken = text.width() as u16;
        hits.push((
            Rect { x, y: area.y, width: taken.min(area.right().saturating_sub(x)), height: 1 },
            Hit::Tab(tab),
        ));
        x += taken;
        if is_here {
            spans.push(scene.span(text, Role::Selected));
        } else {
            spans.push(scene.span(format!(" {key} "), Role::Key));
            spans.push(scene.span(name, Role::Dim));
        }
    }
    let d = scene.run;
    let mut waiting: Vec<(String, Role)> = Vec::new();
    if !scene.shared.filter.is_empty() {
        waiting.push((format!("only: {}", scene.shared.filter), Role::Key));
    }
    waiting
        .extend(scene.connection.requests.words().map(|a| (format!("asked: {a}"), Role::Warning)));
    waiting.extend(d.pending.iter().map(|p| (format!("pending: {}", p.words()), Role::Change)));
    let mut room = usize::from(area.right().saturating_sub(x)).saturating_sub(2);
    for (k, (words, role)) in waiting.into_iter().enumerate() {
        let lead = if k == 0 { "  " } else { "; " };
        let text = clip(&format!("{lead}{words}"), room, scene.look.glyphs.cut);
        room = room.saturating_sub(text.width());
        spans.push(scene.span(text, role));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
    hits
}

/// The last message in one line; before that what was wrong at the beginning.
pub fn message_line(scene: &Scene<'_>, width: u16) -> Line<'static> {
    if !scene.warnings.is_empty() {
        let text = clip(
            &scene.warnings.join("; "),
            usize::from(width).saturating_sub(2),
            scene.look.glyphs.cut,
        );
        return Line::from(vec![Span::raw(" "), scene.span(text, Role::Warning)]);
    }
    let Some(message) = scene.run.messages.last() else { return Line::default() };
    let time = format!(" {} ", clock(message.t));
    let text = clip(
        &message.text,
        usize::from(width).saturating_sub(time.width() + 1),
        scene.look.glyphs.cut,
    );
    Line::from(vec![scene.span(time, Role::Dim), scene.span(text, role_of(message.tone))])
}

/// The last message: whole, where somebody has to act on it.
fn message_lines(scene: &Scene<'_>, width: u16) -> Vec<Line<'static>> {
    let message = scene.run.messages.last();
    let Some(message) = message.filter(|m| m.tone == Tone::Bad) else {
        return vec![message_line(scene, width)];
    };
    let time = format!(" {} ", clock(message.t));
    let mut parts = wrap(&message.text, usize::from(width).saturating_sub(time.width() + 1));
    parts.truncate(usize::from(MESSAGE_LINES));
    let mut lines = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        let lead = if i == 0 { time.clone() } else { " ".repeat(time.width()) };
        lines.push(Line::from(vec![
            scene.span(lead, Role::Dim),
            scene.span(part, role_of(message.tone)),
        ]));
    }
    lines
}

/// The keys that fit: what is offered after a fault, those of the tab, the others in the order of
/// the table.
pub fn footer_line(scene: &Scene<'_>, width: u16) -> Line<'static> {
    let d = scene.run;
    let over = scene.is_over() && !scene.connection.is_replay();
    let offer = match d.state {
        RunState::Paused(Cause::NotFinite) => Some("back to the checkpoint, half the rate"),
        RunState::Failed => Some("resume"),
        _ if scene.connection.is_parted(scene.run) => Some("attach"),
        _ if scene.connection.lost.is_some() => Some("resume"),
        _ => None,
    };
    let mut wanted: Vec<_> = scene
        .keymap
        .here(scene.here())
        .filter(|(b, _)| !over || !b.run.asks_the_trainer())
        .collect();
    wanted.sort_by_key(|(b, _)| match b.run {
        Action::GoBack if offer.is_some() => 0,
        Action::Help | Action::Quit => 1,
        Action::PauseResume | Action::Play(_) => 2,
        _ if scene.tab != Tab::default()
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
        scene.look,
        wanted.into_iter().map(|(b, keys)| (b, keys, short(b.run, b.short))),
        width,
    )
}
