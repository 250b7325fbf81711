//! The settings: every value of the config, what it may be, when a change takes effect; one of them
//! being typed.

use super::super::app::{App, SettingsList, settings};
use super::super::classes::first_shown;
use super::super::command::range;
use super::super::text::{clip, fit};
use super::super::theme::Role;
use super::middle;
use crate::config::{self, Key, Live, value_text};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, list: &SettingsList) {
    let screen = frame.area();
    let size = (screen.width.saturating_sub(4).clamp(36, 130), screen.height.saturating_sub(2));
    let hint = if app.is_over() || app.is_replay() {
        "nothing can be changed here; any key leaves"
    } else {
        "enter changes, esc leaves"
    };
    let inner = middle(frame, &app.appearance, "settings", hint, size);
    let width = usize::from(inner.width);
    let below = 3.min(inner.height); // what the selected one is
    let height = usize::from(inner.height - below);
    let keys = settings();
    let names = keys.iter().map(|k| k.path.len()).max().unwrap_or(0).min(width / 2);
    let values = (width.saturating_sub(names + 24)).clamp(8, 40);
    let first = first_shown(list.selected, keys.len(), height);
    let config = &app.dashboard.config;
    let mut lines = Vec::new();
    for (k, key) in keys.iter().enumerate().skip(first).take(height) {
        let selected = k == list.selected;
        let pending = app.dashboard.pending.iter().find(|p| p.key.key() == Some(key));
        let (name, value) = match (selected, key.live) {
            (true, _) => (Role::Title, Role::Key),
            (_, Live::No) => (Role::Dim, Role::Dim),
            _ => (Role::Text, Role::Text),
        };
        let typed = list.edit.as_ref().filter(|_| selected).map(|input| input.value().to_owned());
        let shown = typed.unwrap_or_else(|| value_text(config, key.path));
        let when = pending
            .map_or_else(|| key.live.words().to_owned(), |p| format!("pending: {}", p.words()));
        let pointer = if selected { app.appearance.glyphs.pointer } else { " " };
        lines.push(Line::from(vec![
            app.span(format!("{pointer} "), Role::Key),
            app.span(fit(key.path, names, app.appearance.glyphs.cut), name),
            app.span(format!("  {}  ", fit(&shown, values, app.appearance.glyphs.cut)), value),
            app.span(when, if pending.is_some() { Role::Change } else { Role::Dim }),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), Rect { height: height as u16, ..inner });
    let about = Rect { y: inner.bottom() - below, height: below, ..inner };
    frame.render_widget(Paragraph::new(about_lines(app, list, width)), about);
    if let Some(input) = &list.edit {
        let x = inner.x + 2 + (names + 2) as u16 + input.visual_cursor().min(values) as u16;
        let y = inner.y + (list.selected - first) as u16;
        frame.set_cursor_position(Position { x: x.min(inner.right().saturating_sub(1)), y });
    }
}

/// What the selected key is, what it may be, and what is wrong with what is typed.
fn about_lines(app: &App, list: &SettingsList, width: usize) -> Vec<Line<'static>> {
    let key: &Key = list.key();
    let cut = app.appearance.glyphs.cut;
    let allowed = match key.live {
        Live::No => config::FIXED.to_owned(),
        _ => format!("{}; takes effect: {}", range(key, &app.dashboard.config), key.live.words()),
    };
    let objection = list
        .edit
        .as_ref()
        .filter(|i| !i.value().is_empty())
        .and_then(|i| app.value_of(key.path, i.value()).err());
    let asked = app.requests.words().next().map(|a| format!("asked: {a}"));
    let last = match (objection, asked) {
        (Some(why), _) => (why, Role::Bad),
        (None, Some(asked)) => (asked, Role::Warning),
        _ => {
            (app.dashboard.messages.last().map_or_else(String::new, |m| m.text.clone()), Role::Dim)
        }
    };
    let line = |text: &str, role| Line::from(app.span(clip(&format!(" {text}"), width, cut), role));
    vec![line(key.about, Role::Title), line(&allowed, Role::Text), line(&last.0, last.1)]
}
