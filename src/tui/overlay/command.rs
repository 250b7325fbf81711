//! The command line: what is typed, and the lines before it.

use super::field::{Field, LONGEST};
use super::{Layer, Outcome, Press, grammar};
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use crossterm::event::KeyCode;
use ratatui::Frame;

/// The line being typed.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    pub field: Field,
    /// What was wrong with it when it was entered.
    pub objection: Option<String>,
    /// Whether more was typed or pasted than a line has room for: it is not carried out unseen.
    is_cut: bool,
    /// Lines entered before, oldest first.
    history: Vec<String>,
    /// How far back among them.
    back: usize,
    /// What was typed before somebody went back.
    typed: String,
}

impl CommandLine {
    /// An empty one after these lines.
    pub fn after(history: &[String]) -> Self {
        Self { history: history.to_vec(), ..Self::default() }
    }

    fn mark_cut(&mut self) {
        self.is_cut = true;
        self.objection = Some(format!("cut at {LONGEST} characters; enter takes what is shown"));
    }

    fn enter(&mut self, scene: &Scene<'_>) -> Outcome {
        if self.is_cut {
            self.mark_cut();
            self.is_cut = false; // whoever enters it again has seen it
            return Outcome::Stay;
        }
        let text = self.field.value().trim().to_owned();
        match grammar::parse(&text, &scene.run.config) {
            Ok(line) => Outcome::Enter(text, line),
            Err(_) if text.is_empty() => Outcome::Close,
            Err(why) => {
                self.objection = Some(why.to_string());
                Outcome::Stay
            }
        }
    }

    fn complete(&mut self, scene: &Scene<'_>) {
        let all = grammar::complete(self.field.value(), &scene.look.themes.names());
        let longer = grammar::common_start(&all);
        if longer.len() > self.field.value().len() || all.len() == 1 {
            self.field = longer.as_str().into();
        }
    }

    /// To an earlier line (1), or a later one (-1).
    fn go_back(&mut self, by: i64) {
        if self.back == 0 {
            self.typed = self.field.value().to_owned();
        }
        self.back = (self.back as i64 + by).clamp(0, self.history.len() as i64) as usize;
        let line = self.history.len().checked_sub(self.back).and_then(|at| self.history.get(at));
        self.field = line.unwrap_or(&self.typed).as_str().into();
        (self.objection, self.is_cut) = (None, false);
    }
}

impl Layer for CommandLine {
    fn press(&mut self, press: &Press<'_>, scene: &Scene<'_>) -> Outcome {
        match press.key.code {
            _ if press.leaves() => return Outcome::Close,
            KeyCode::Enter => return self.enter(scene),
            KeyCode::Tab => self.complete(scene),
            KeyCode::Up => self.go_back(1),
            KeyCode::Down => self.go_back(-1),
            KeyCode::Backspace if self.field.value().is_empty() => return Outcome::Close,
            _ if self.field.press(press) => (self.objection, self.is_cut) = (None, false),
            _ => self.mark_cut(),
        }
        Outcome::Stay
    }

    fn paste(&mut self, text: &str) -> Option<Outcome> {
        self.objection = None;
        if !self.field.paste(text) {
            self.mark_cut();
        }
        Some(Outcome::Stay)
    }

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        let text = self.field.value();
        let candidates = grammar::complete(text, &scene.look.themes.names());
        let last =
            |line: &String| line.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        let (hint, role) = match &self.objection {
            Some(why) => (why.clone(), Role::Bad),
            None if candidates.len() > 1 => {
                (candidates.iter().map(last).collect::<Vec<_>>().join(" "), Role::Dim)
            }
            None => (grammar::about(text, &scene.run.config), Role::Dim),
        };
        self.field.draw(frame, scene, " :", (&hint, role));
    }
}
