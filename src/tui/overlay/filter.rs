//! What the names of what is listed contain.

use super::field::Field;
use super::{Layer, Outcome, Press};
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use crossterm::event::KeyCode;
use ratatui::Frame;

/// The filter being typed.
#[derive(Clone, Debug)]
pub struct Filter {
    pub field: Field,
}

impl Filter {
    /// From what it is now.
    pub fn of(text: &str) -> Self {
        Self { field: text.into() }
    }

    fn narrowed(&self) -> Outcome {
        Outcome::Narrow(self.field.value().to_owned())
    }
}

impl Layer for Filter {
    fn press(&mut self, press: &Press<'_>, _: &Scene<'_>) -> Outcome {
        if press.leaves() {
            return Outcome::ShowAll;
        }
        if press.key.code == KeyCode::Enter {
            return Outcome::Close;
        }
        self.field.press(press);
        self.narrowed()
    }

    fn paste(&mut self, text: &str) -> Option<Outcome> {
        self.field.paste(text);
        Some(self.narrowed())
    }

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        let hint = "only what has this in its name is listed; enter keeps it, esc shows all";
        self.field.draw(frame, scene, " / ", (hint, Role::Dim));
    }
}
