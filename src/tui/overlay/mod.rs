//! What lies over the panels: questions, the command line, the settings, help, how to leave. Each
//! is one file: what is typed or selected, what its keys mean, and its picture.

mod command;
mod confirm;
mod field;
mod filter;
pub mod grammar;
mod help;
pub mod history;
mod prompt;
mod quit;
mod settings;
mod summary;

pub use command::CommandLine;
pub use confirm::Confirm;
pub use filter::Filter;
pub use help::{Help, draw_keys};
pub use prompt::Prompt;
pub use quit::Quit;
pub use settings::Settings;
pub use summary::{Summary, text as summary_text};

use super::scene::Scene;
use crate::protocol::{Command, Stop};
use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent, KeyModifiers};
use grammar::Line;
use ratatui::Frame;

/// What lies over the panels.
#[derive(Clone, Debug, Default)]
pub enum Overlay {
    #[default]
    None,
    /// The keys.
    Help(Help),
    /// A question for a config key's value.
    Prompt(Prompt),
    Command(CommandLine),
    /// What the names of what is listed contain.
    Filter(Filter),
    /// Every value of the config.
    Settings(Settings),
    /// Whether this should really be done.
    Confirm(Confirm),
    /// How to leave.
    Quit(Quit),
    /// What the run reached.
    Summary(Summary),
}

/// What becomes of an overlay after a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Stay,
    Close,
    /// It is left, and the trainer is asked for this.
    Send(Command),
    /// It stays, and the trainer is asked for this.
    SendAndStay(Command),
    /// It is left, and this line is carried out, which was typed so.
    Enter(String, Line),
    /// It stays, and only what has this in its name is listed.
    Narrow(String),
    /// It is left, and everything is listed.
    ShowAll,
    /// The cockpit is left.
    Leave,
    /// The cockpit is left when the run has ended.
    LeaveAfter(Stop),
}

/// A key that was pressed.
#[derive(Clone, Copy, Debug)]
pub struct Press<'a> {
    pub key: &'a KeyEvent,
    /// The same as an editor of lines takes it.
    pub event: &'a TermEvent,
}

impl Press<'_> {
    fn is_control_c(&self) -> bool {
        self.key.code == KeyCode::Char('c') && self.key.modifiers.contains(KeyModifiers::CONTROL)
    }

    /// Whether it leaves whatever is asked.
    fn leaves(&self) -> bool {
        self.key.code == KeyCode::Esc || self.is_control_c()
    }

    /// Lines by which it scrolls a list.
    fn lines(&self) -> Option<i64> {
        Some(match self.key.code {
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::PageDown => 10,
            KeyCode::PageUp => -10,
            KeyCode::Home | KeyCode::Char('g') => -1_000_000,
            KeyCode::End | KeyCode::Char('G') => 1_000_000,
            _ => return None,
        })
    }
}

/// One of the things that lie over the panels.
trait Layer {
    /// What a key means here.
    fn press(&mut self, press: &Press<'_>, scene: &Scene<'_>) -> Outcome;

    /// Takes pasted text; `None` where nothing is typed.
    fn paste(&mut self, _: &str) -> Option<Outcome> {
        None
    }

    /// Scrolls by so many lines.
    fn scroll(&mut self, _: i64) {}

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>);
}

impl Overlay {
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    fn layer(&self) -> Option<&dyn Layer> {
        Some(match self {
            Self::None => return None,
            Self::Help(layer) => layer,
            Self::Prompt(layer) => layer,
            Self::Command(layer) => layer,
            Self::Filter(layer) => layer,
            Self::Settings(layer) => layer,
            Self::Confirm(layer) => layer,
            Self::Quit(layer) => layer,
            Self::Summary(layer) => layer,
        })
    }

    fn layer_mut(&mut self) -> Option<&mut dyn Layer> {
        Some(match self {
            Self::None => return None,
            Self::Help(layer) => layer,
            Self::Prompt(layer) => layer,
            Self::Command(layer) => layer,
            Self::Filter(layer) => layer,
            Self::Settings(layer) => layer,
            Self::Confirm(layer) => layer,
            Self::Quit(layer) => layer,
            Self::Summary(layer) => layer,
        })
    }

    /// Takes a key; `None` where nothing lies over the panels.
    pub fn press(&mut self, press: &Press<'_>, scene: &Scene<'_>) -> Option<Outcome> {
        Some(self.layer_mut()?.press(press, scene))
    }

    /// Takes pasted text, if there is something that is being typed.
    pub fn paste(&mut self, text: &str) -> Option<Outcome> {
        self.layer_mut()?.paste(text)
    }

    pub fn scroll(&mut self, by: i64) {
        if let Some(layer) = self.layer_mut() {
            layer.scroll(by);
        }
    }

    pub fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        if let Some(layer) = self.layer() {
            layer.draw(frame, scene);
        }
    }
}
