//! The cockpit's own state: what is asked, which overlay is open, what a key makes of it.
//! Decides; never draws, and talks to no terminal.

use super::appearance::Appearance;
use super::dashboard::{Dashboard, Tone};
use super::keymap::{self, Action};
use crate::config;
use crate::protocol::{Bias, Command, Phase, Record, Stop};
use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent, KeyEventKind};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

/// What lies over the panels.
#[derive(Clone, Debug, Default)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The keys.
    Help,
    /// A question for a config key's value.
    Prompt(Prompt),
    /// How to leave.
    Quit,
}

/// A value being typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The config key.
    pub key: &'static str,
    /// What is typed.
    pub input: Input,
}

/// Order of the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassOrder {
    /// As the data has them.
    #[default]
    Given,
    /// Largest training share first.
    Share,
    /// Most drawn first.
    Drawn,
    /// Lowest recall first.
    Recall,
}

impl ClassOrder {
    fn next(self) -> Self {
        match self {
            Self::Given => Self::Share,
            Self::Share => Self::Drawn,
            Self::Drawn => Self::Recall,
            Self::Recall => Self::Given,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Given => "as given",
            Self::Share => "by train share",
            Self::Drawn => "by draws",
            Self::Recall => "by recall",
        }
    }
}

/// What the loop around has to do after a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Send this.
    Send(Command),
    /// Leave now.
    Leave,
}

/// The cockpit.
#[derive(Debug)]
pub struct App {
    /// The figures.
    pub dashboard: Dashboard,
    /// How it looks.
    pub appearance: Appearance,
    /// What lies over the panels.
    pub overlay: Overlay,
    /// Order of the classes.
    pub order: ClassOrder,
    /// Whether the cockpit leaves as soon as the run is over.
    leaving: bool,
}

impl App {
    /// A cockpit that has heard nothing yet.
    pub fn new(appearance: Appearance) -> Self {
        Self { dashboard: Dashboard::default(), appearance, overlay: Overlay::None, order: ClassOrder::default(), leaving: false }
    }

    /// Takes a record; true when the cockpit should leave.
    pub fn hear(&mut self, record: Record) -> bool {
        self.dashboard.fold(record);
        self.leaving && self.dashboard.is_over()
    }

    /// Takes a terminal event.
    pub fn handle(&mut self, event: &TermEvent) -> Effect {
        let TermEvent::Key(key) = event else { return Effect::None };
        if key.kind == KeyEventKind::Release {
            return Effect::None;
        }
        match std::mem::take(&mut self.overlay) {
            Overlay::Prompt(prompt) => self.type_into(prompt, key, event),
            Overlay::Quit => self.answer_quit(key),
            Overlay::Help => Effect::None, // any key leaves it
            Overlay::None => keymap::action(key).map_or(Effect::None, |action| self.act(action)),
        }
    }

    fn act(&mut self, action: Action) -> Effect {
        let over = self.dashboard.is_over();
        let d = &mut self.dashboard;
        if over && !action.outlives_the_run() {
            d.say(Tone::Warning, "the run is over: q leaves".into());
            return Effect::None;
        }
        match action {
            Action::Help => self.overlay = Overlay::Help,
            Action::Quit if over => return Effect::Leave,
            Action::Quit => self.overlay = Overlay::Quit,
            Action::SortClasses => {
                self.order = self.order.next();
                d.say(Tone::Note, format!("classes {}", self.order.words()));
            }
            Action::NextTheme => {
                self.appearance.theme = self.appearance.theme.next(self.appearance.level);
                d.say(Tone::Note, format!("theme {}", self.appearance.theme.name()));
            }
            Action::PauseResume => {
                let paused = d.state == super::dashboard::RunState::Paused;
                return Effect::Send(if paused { Command::Resume } else { Command::Pause });
            }
            Action::MoveE(by) => return set("importance.pretrain_epochs", (d.pretrain_epochs() as i64 + by).into()),
            Action::Bias => return Effect::Send(Command::Bias { bias: next_bias(d) }),
            Action::Ask(key) => self.overlay = Overlay::Prompt(Prompt { key, input: Input::default() }),
        }
        Effect::None
    }

    fn type_into(&mut self, mut prompt: Prompt, key: &KeyEvent, event: &TermEvent) -> Effect {
        match key.code {
            KeyCode::Esc => return Effect::None,
            KeyCode::Char('c') if key.modifiers.contains(crossterm::event::KeyModifiers::CONTROL) => return Effect::None,
            KeyCode::Enter => {
                if let Ok(value) = self.check(&prompt)
                    && let Ok(value) = serde_json::to_value(value)
                {
                    return set(prompt.key, value);
                }
            }
            _ => drop(prompt.input.handle_event(event)),
        }
        self.overlay = Overlay::Prompt(prompt);
        Effect::None
    }

    /// The typed value, or what is wrong with it: the same rules as for a config file.
    pub fn check(&self, prompt: &Prompt) -> Result<toml::Value, String> {
        let text = prompt.input.value().trim();
        if text.is_empty() {
            return Err(self.range(prompt.key));
        }
        let value = toml::from_str::<toml::Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
        let value = value.unwrap_or_else(|| toml::Value::String(text.to_owned()));
        config::from_value(&self.dashboard.config, prompt.key, &value).map(|_| value).map_err(|problem| {
            // A value outside its range: the range says it; two values that contradict each other: the problem does.
            if problem.help.starts_with(prompt.key) { format!("expected {}", self.range(prompt.key)) } else { problem.what }
        })
    }

    /// The allowed values in words, as narrow as the run makes them.
    fn range(&self, key: &str) -> String {
        let d = &self.dashboard;
        match key {
            "importance.pretrain_epochs" => format!("a whole number in 0..={}", d.config.train.epochs),
            "train.epochs" => format!("a whole number from {} on", d.epoch.max(d.pretrain_epochs())),
            _ => config::find(key).map_or_else(String::new, |k| k.rule.describe()),
        }
    }

    fn answer_quit(&mut self, key: &KeyEvent) -> Effect {
        match key.code {
            KeyCode::Char('s') => self.leave_after(Stop::Now),
            KeyCode::Char('c') if key.modifiers.contains(crossterm::event::KeyModifiers::CONTROL) => self.leave_after(Stop::Now),
            KeyCode::Char('a') => {
                self.leaving = true;
                Effect::Send(Command::Stop { stop: Stop::AfterEpoch })
            }
            KeyCode::Esc | KeyCode::Char('g' | 'n' | 'q') | KeyCode::Enter => Effect::None,
            _ => {
                self.overlay = Overlay::Quit;
                Effect::None
            }
        }
    }

    fn leave_after(&mut self, stop: Stop) -> Effect {
        self.leaving = true;
        if self.dashboard.is_over() { Effect::Leave } else { Effect::Send(Command::Stop { stop }) }
    }
}

fn set(key: &str, value: serde_json::Value) -> Effect {
    Effect::Send(Command::Set { key: key.to_owned(), value })
}

/// What `b` means now.
fn next_bias(d: &Dashboard) -> Bias {
    use crate::importance::Sampler;
    match (d.phase, d.config.importance.sampler) {
        (_, Sampler::Uniform) => Bias::On,
        (Phase::Pretrain, _) => Bias::Now,
        _ => Bias::Off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Event;
    use crossterm::event::KeyModifiers;

    fn app() -> App {
        let mut app = App::new(Appearance::find(Some("dark"), false, None).expect("appearance"));
        app.dashboard.config = config::demo(&[]).expect("demo");
        app.dashboard.state = super::super::dashboard::RunState::Training;
        app
    }

    fn press(app: &mut App, code: KeyCode) -> Effect {
        app.handle(&TermEvent::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn typed(app: &mut App, text: &str) -> Effect {
        text.chars().fold(Effect::None, |_, c| press(app, KeyCode::Char(c)))
    }

    #[test]
    fn e_asks_checks_while_typing_and_sends_on_enter() {
        let mut app = app();
        typed(&mut app, "e99");
        let Overlay::Prompt(prompt) = &app.overlay else { panic!("no prompt") };
        let objection = app.check(prompt).expect_err("99 is beyond N");
        assert!(objection.contains("beyond train.epochs"), "{objection}");
        assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
        assert!(matches!(app.overlay, Overlay::Prompt(_)), "a bad value stays open");
        press(&mut app, KeyCode::Backspace);
        press(&mut app, KeyCode::Backspace);
        typed(&mut app, "5");
        assert_eq!(press(&mut app, KeyCode::Enter), set("importance.pretrain_epochs", 5.into()));
        assert!(matches!(app.overlay, Overlay::None));
    }

    #[test]
    fn escape_leaves_a_prompt_and_changes_nothing() {
        let mut app = app();
        typed(&mut app, "e5");
        assert_eq!(press(&mut app, KeyCode::Esc), Effect::None);
        assert!(matches!(app.overlay, Overlay::None));
    }

    #[test]
    fn quitting_asks_and_going_on_is_the_default() {
        let mut app = app();
        assert_eq!(press(&mut app, KeyCode::Char('q')), Effect::None);
        assert!(matches!(app.overlay, Overlay::Quit));
        assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
        typed(&mut app, "q");
        assert_eq!(typed(&mut app, "s"), Effect::Send(Command::Stop { stop: Stop::Now }));
        let event = Event::Finished {
            epochs: 1,
            best_accuracy: 0.5,
            best_epoch: 1,
            final_accuracy: 0.5,
            seconds: 1.0,
            parameters_sha256: String::new(),
            stopped: true,
        };
        assert!(app.hear(Record { seq: 1, t: 1.0, event }), "leaves when the trainer has stopped");
    }

    #[test]
    fn space_pauses_and_goes_on() {
        let mut app = app();
        assert_eq!(press(&mut app, KeyCode::Char(' ')), Effect::Send(Command::Pause));
        app.hear(Record { seq: 1, t: 1.0, event: Event::Paused { epoch: 1, step: 1, reason: None } });
        assert_eq!(press(&mut app, KeyCode::Char(' ')), Effect::Send(Command::Resume));
    }
}
