//! The settings: every value of the config, what it may be, when a change takes effect; one of them
//! being typed.

use super::field::Field;
use super::grammar::{range, set_to};
use super::{Layer, Outcome, Press};
use crate::config::{self, KEYS, Key, Live, value_text};
use crate::tui::look::list::first_shown;
use crate::tui::look::panel::middle;
use crate::tui::look::text::{clip, fit};
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// The settings being looked at.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which of [`settings`].
    selected: usize,
    /// Its value being typed.
    pub edit: Option<Field>,
}

/// Every key of the config: first those that people have a name for, then the others that can be
/// changed.
fn settings() -> Vec<&'static Key> {
    let mut all: Vec<&Key> = KEYS.iter().collect();
    all.sort_by_key(|k| (k.live == Live::No, !k.has_name())); // stable
    all
}

impl Settings {
    /// The selected key.
    fn key(&self) -> &'static Key {
        let all = settings();
        all[self.selected.min(all.len() - 1)]
    }

    fn press_typing(&mut self, press: &Press<'_>, scene: &Scene<'_>) -> Outcome {
        let path = self.key().path;
        let Some(field) = &mut self.edit else { return Outcome::Stay };
        match press.key.code {
            _ if press.leaves() => self.edit = None,
            KeyCode::Enter => {
                if let Ok(command) = set_to(path, field.value(), &scene.run.config) {
                    self.edit = None;
                    return Outcome::SendAndStay(command);
                }
            }
            _ => drop(field.press(press)),
        }
        Outcome::Stay
    }

    /// What the selected key is, what it may be, and what is wrong with what is typed.
    fn about_lines(&self, scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
        let key: &Key = self.key();
        let cut = scene.look.glyphs.cut;
        let allowed = match key.live {
            Live::No => config::FIXED.to_owned(),
            _ => format!("{}; takes effect: {}", range(key, &scene.run.config), key.live.words()),
        };
        let objection = self
            .edit
            .as_ref()
            .filter(|i| !i.value().is_empty())
            .and_then(|i| set_to(key.path, i.value(), &scene.run.config).err())
            .map(|e| e.to_string());
        let asked = scene.connection.requests.words().next().map(|a| format!("asked: {a}"));
        let last = match (objection, asked) {
            (Some(why), _) => (why, Role::Bad),
            (None, Some(asked)) => (asked, Role::Warning),
            _ => {
                (scene.run.messages.last().map_or_else(String::new, |m| m.text.clone()), Role::Dim)
            }
        };
        let line =
            |text: &str, role| Line::from(scene.span(clip(&format!(" {text}"), width, cut), role));
        vec![line(key.about, Role::Title), line(&allowed, Role::Text), line(&last.0, last.1)]
    }
}

impl Layer for Settings {
    fn press(&mut self, press: &Press<'_>, scene: &Scene<'_>) -> Outcome {
        let can_change = !scene.is_over() && !scene.connection.is_replay();
        match (press.lines(), press.key.code) {
            _ if self.edit.is_some() => return self.press_typing(press, scene),
            _ if press.leaves() => return Outcome::Close,
            (Some(by), _) => self.scroll(by),
            (None, KeyCode::Enter) => {
                if self.key().live != Live::No && can_change {
                    self.edit = Some(Field::default());
                }
            }
            _ => return Outcome::Close, // any other key leaves it
        }
        Outcome::Stay
    }

    fn paste(&mut self, text: &str) -> Option<Outcome> {
        self.edit.as_mut()?.paste(text);
        Some(Outcome::Stay)
    }

    fn scroll(&mut self, by: i64) {
        self.selected = (self.selected as i64 + by).clamp(0, KEYS.len() as i64 - 1) as usize;
    }

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        let screen = frame.area();
        let size = (screen.width.saturating_sub(4).clamp(36, 130), screen.height.saturating_sub(2));
        let hint = if scene.is_over() || scene.connection.is_replay() {
            "nothing can be changed here; any key leaves"
        } else {
            "enter changes, esc leaves"
        };
        let inner = middle(frame, scene.look, "settings", hint, size);
        let width = usize::from(inner.width);
        let below = 3.min(inner.height); // what the selected one is
        let height = usize::from(inner.height - below);
        let keys = settings();
        let names = keys.iter().map(|k| k.path.len()).max().unwrap_or(0).min(width / 2);
        let values = (width.saturating_sub(names + 24)).clamp(8, 40);
        let first = first_shown(self.selected, keys.len(), height);
        let config = &scene.run.config;
        let mut lines = Vec::new();
        for (k, key) in keys.iter().enumerate().skip(first).take(height) {
            let selected = k == self.selected;
            let pending = scene.run.pending.iter().find(|p| p.key.key() == Some(key));
            let (name, value) = match (selected, key.live) {
                (true, _) => (Role::Title, Role::Key),
                (_, Live::No) => (Role::Dim, Role::Dim),
                _ => (Role::Text, Role::Text),
            };
            let typed =
                self.edit.as_ref().filter(|_| selected).map(|field| field.value().to_owned());
            let shown = typed.unwrap_or_else(|| value_text(config, key.path));
            let when = pending
                .map_or_else(|| key.live.words().to_owned(), |p| format!("pending: {}", p.words()));
            let pointer = if selected { scene.look.glyphs.pointer } else { " " };
            lines.push(Line::from(vec![
                scene.span(format!("{pointer} "), Role::Key),
                scene.span(fit(key.path, names, scene.look.glyphs.cut), name),
                scene.span(format!("  {}  ", fit(&shown, values, scene.look.glyphs.cut)), value),
                scene.span(when, if pending.is_some() { Role::Change } else { Role::Dim }),
            ]));
        }
        frame.render_widget(Paragraph::new(lines), Rect { height: height as u16, ..inner });
        let about = Rect { y: inner.bottom() - below, height: below, ..inner };
        frame.render_widget(Paragraph::new(self.about_lines(scene, width)), about);
        if let Some(field) = &self.edit {
            let x = inner.x + 2 + (names + 2) as u16 + field.cursor().min(values) as u16;
            let y = inner.y + (self.selected - first) as u16;
            frame.set_cursor_position(Position { x: x.min(inner.right().saturating_sub(1)), y });
        }
    }
}
