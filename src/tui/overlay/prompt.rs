//! A question for a config key's value.

use super::field::Field;
use super::grammar::set_to;
use super::{Layer, Outcome, Press};
use crate::config;
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use crossterm::event::KeyCode;
use ratatui::Frame;

/// A value being typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    key: &'static str,
    pub field: Field,
}

impl Prompt {
    /// For the value of this config key.
    pub fn of(key: &'static str) -> Self {
        Self { key, field: Field::default() }
    }

    /// What is wrong with what is typed, if something is.
    pub fn objection(&self, scene: &Scene<'_>) -> Option<String> {
        set_to(self.key, self.field.value(), &scene.run.config).err().map(|e| e.to_string())
    }
}

impl Layer for Prompt {
    fn press(&mut self, press: &Press<'_>, scene: &Scene<'_>) -> Outcome {
        if press.leaves() {
            return Outcome::Close;
        }
        if press.key.code != KeyCode::Enter {
            self.field.press(press);
            return Outcome::Stay;
        }
        let command = set_to(self.key, self.field.value(), &scene.run.config);
        command.map_or(Outcome::Stay, Outcome::Send)
    }

    fn paste(&mut self, text: &str) -> Option<Outcome> {
        self.field.paste(text);
        Some(Outcome::Stay)
    }

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        let about = config::find(self.key).map_or("", |k| k.about);
        let now = config::value_text(&scene.run.config, self.key);
        let label = format!(" {about} (now {now}): ");
        let (hint, role) = match self.objection(scene) {
            None => ("enter applies, esc leaves".to_owned(), Role::Dim),
            Some(what) if self.field.value().is_empty() => {
                (format!("{what}; esc leaves"), Role::Dim)
            }
            Some(what) => (what, Role::Bad),
        };
        self.field.draw(frame, scene, &label, (&hint, role));
    }
}
