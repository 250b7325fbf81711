//! The cockpit's own state: what is asked, which overlay is open, what a key makes of it.
//! Decides; never draws, and talks to no terminal.

use super::appearance::Appearance;
use super::keymap::{self, Action, Place, Playback};
use crate::config;
use crate::dashboard::{Dashboard, RunState, Tone};
use crate::link::Delivery;
use crate::protocol::{Bias, Cause, Command, Phase, Stop};
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
    pub(super) fn next(self) -> Self {
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
    /// Give the terminal to the shell until it is given back.
    Suspend,
    /// Move the replay.
    Play(Playback),
}

/// What the cockpit is a cockpit of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Watching {
    /// A run in a process of its own, which goes on without it.
    Run,
    /// A run in this process, which ends with it.
    InlineRun,
    /// A journal.
    Replay {
        /// Whether it moves.
        playing: bool,
        /// As a multiple of the run's own.
        speed: f64,
        /// Seconds of the run.
        at: f64,
        /// Seconds that the run took.
        of: f64,
    },
}

/// Factor on the learning rate when training goes back because a loss is not finite.
const LR_AFTER_FAULT: f64 = 0.5;

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
    /// What it shows.
    pub watching: Watching,
    /// Whether the run's process is there; why not, if not.
    pub lost: Option<String>,
    /// Whether the cockpit leaves as soon as the run is over.
    leaving: bool,
    /// Whether somebody wants the run resumed from its last checkpoint.
    pub again: bool,
}

impl App {
    /// A cockpit that has heard nothing yet.
    pub fn new(appearance: Appearance, watching: Watching) -> Self {
        Self {
            dashboard: Dashboard::default(),
            appearance,
            overlay: Overlay::None,
            order: ClassOrder::default(),
            watching,
            lost: None,
            leaving: false,
            again: false,
        }
    }

    /// Takes a delivery; true when the cockpit should leave.
    pub fn hear(&mut self, delivery: Delivery) -> bool {
        match delivery {
            Delivery::Record(record) => self.dashboard.fold(record),
            Delivery::Snapshot(dashboard) => self.dashboard = *dashboard,
            Delivery::Notice(text) => self.dashboard.say(Tone::Warning, text),
            Delivery::Closed(why) => {
                if !self.dashboard.is_over() {
                    self.dashboard.say(Tone::Bad, format!("{why}: r resumes from the last checkpoint, q leaves"));
                    self.lost = Some(why);
                }
            }
        }
        self.leaving && self.is_over()
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.dashboard.is_over() || self.lost.is_some()
    }

    /// Where the cockpit is, for its keys.
    pub fn place(&self) -> Place {
        match self.watching {
            Watching::Run | Watching::InlineRun => Place::Run,
            Watching::Replay { .. } => Place::Replay,
        }
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
            Overlay::None => keymap::action(key, self.place()).map_or(Effect::None, |action| self.act(action)),
        }
    }

    fn act(&mut self, action: Action) -> Effect {
        let (over, replay) = (self.is_over(), self.place() == Place::Replay);
        let d = &mut self.dashboard;
        if over && !replay && !action.outlives_the_run() {
            d.say(Tone::Warning, "the run is over: q leaves".into());
            return Effect::None;
        }
        match action {
            Action::Help => self.overlay = Overlay::Help,
            Action::Quit if over || replay => return Effect::Leave,
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
                return Effect::Send(if d.is_paused() { Command::Resume } else { Command::Pause });
            }
            Action::Checkpoint => return Effect::Send(Command::Checkpoint),
            Action::GoBack => return self.go_back(),
            Action::Suspend => return Effect::Suspend,
            Action::Play(playback) => return Effect::Play(playback),
            Action::Arm(_) | Action::Seed(_) => {} // of a comparison's screen
            Action::MoveE(by) => return set("importance.pretrain_epochs", (d.pretrain_epochs() as i64 + by).into()),
            Action::Bias => return Effect::Send(Command::Bias { bias: next_bias(d) }),
            Action::Ask(key) => self.overlay = Overlay::Prompt(Prompt { key, input: Input::default() }),
        }
        Effect::None
    }

    /// Back to the last checkpoint, where that is offered.
    fn go_back(&mut self) -> Effect {
        let words = match (self.dashboard.state, &self.lost) {
            (RunState::Paused(Cause::NotFinite), None) => {
                return Effect::Send(Command::Rewind { lr_factor: LR_AFTER_FAULT });
            }
            (RunState::Finished { stopped: false }, _) => {
                "the run is at its N; to train on: earlybird resume --set train.epochs=..."
            }
            (RunState::Failed | RunState::Finished { .. }, _) | (_, Some(_)) if self.watching == Watching::InlineRun => {
                "leave (q), then: earlybird resume"
            }
            (RunState::Failed | RunState::Finished { .. }, _) | (_, Some(_)) => {
                self.again = true;
                return Effect::Leave;
            }
            _ => "r goes back after a failure, or when the loss is not finite",
        };
        self.dashboard.say(Tone::Note, words.into());
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
        let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(crossterm::event::KeyModifiers::CONTROL);
        match (key.code, self.watching) {
            (KeyCode::Char('s'), _) => self.leave_after(Stop::Now),
            (KeyCode::Char('a'), _) => self.leave_after(Stop::AfterEpoch),
            (KeyCode::Enter | KeyCode::Char('d'), Watching::Run) => Effect::Leave,
            _ if control_c && self.watching == Watching::Run => Effect::Leave,
            _ if control_c => self.leave_after(Stop::Now),
            (KeyCode::Esc | KeyCode::Enter | KeyCode::Char('g' | 'n' | 'q'), _) => Effect::None,
            _ => {
                self.overlay = Overlay::Quit;
                Effect::None
            }
        }
    }

    fn leave_after(&mut self, stop: Stop) -> Effect {
        self.leaving = true;
        if self.is_over() { Effect::Leave } else { Effect::Send(Command::Stop { stop }) }
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
    use crate::protocol::{Event, Record};
    use crossterm::event::KeyModifiers;

    fn app() -> App {
        let mut app = App::new(Appearance::find(Some("dark"), false, None).expect("appearance"), Watching::Run);
        app.dashboard.config = config::demo(&[]).expect("demo");
        app.dashboard.state = RunState::Training;
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

    fn hear(app: &mut App, event: Event) -> bool {
        app.hear(Delivery::Record(Record { seq: 1, t: 1.0, event }))
    }

    fn stopped() -> Event {
        Event::Finished {
            epochs: 1,
            best_accuracy: 0.5,
            best_epoch: 1,
            final_accuracy: 0.5,
            seconds: 1.0,
            parameters_sha256: String::new(),
            stopped: true,
        }
    }

    #[test]
    fn quitting_asks_and_training_on_without_the_cockpit_is_the_default() {
        let mut app = app();
        assert_eq!(press(&mut app, KeyCode::Char('q')), Effect::None);
        assert!(matches!(app.overlay, Overlay::Quit));
        assert_eq!(press(&mut app, KeyCode::Esc), Effect::None, "stays");
        typed(&mut app, "q");
        assert_eq!(press(&mut app, KeyCode::Enter), Effect::Leave);
        typed(&mut app, "q");
        assert_eq!(typed(&mut app, "s"), Effect::Send(Command::Stop { stop: Stop::Now }));
        assert!(hear(&mut app, stopped()), "leaves when the trainer has stopped");
    }

    #[test]
    fn a_run_in_this_process_is_not_left_by_accident() {
        let mut app = app();
        app.watching = Watching::InlineRun;
        typed(&mut app, "q");
        assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
        assert!(matches!(app.overlay, Overlay::None));
        typed(&mut app, "q");
        assert_eq!(typed(&mut app, "d"), Effect::None);
        assert!(matches!(app.overlay, Overlay::Quit), "nothing to detach from");
    }

    #[test]
    fn going_back_is_offered_after_a_failure_and_for_a_loss_that_is_not_finite() {
        let mut app = app();
        assert_eq!(typed(&mut app, "r"), Effect::None, "not while all is well");
        let reason = Some("the training loss is not a finite number".into());
        hear(&mut app, Event::Paused { epoch: 2, step: 7, reason, cause: Cause::NotFinite });
        assert_eq!(typed(&mut app, "r"), Effect::Send(Command::Rewind { lr_factor: 0.5 }));
        hear(&mut app, Event::Failed { reason: "out of memory".into() });
        assert_eq!(typed(&mut app, "r"), Effect::Leave);
        assert!(app.again);
    }

    #[test]
    fn a_process_that_is_gone_is_told_and_the_run_can_be_resumed() {
        let mut app = app();
        assert!(!app.hear(Delivery::Closed("demo-001 is not being trained".into())));
        assert!(app.lost.is_some());
        assert_eq!(typed(&mut app, "r"), Effect::Leave);
        assert!(app.again);
    }

    #[test]
    fn a_snapshot_replaces_what_was_known() {
        let mut app = app();
        let mut fresh = Dashboard::default();
        fresh.run = "demo-009".into();
        app.hear(Delivery::Snapshot(Box::new(fresh)));
        assert_eq!(app.dashboard.run, "demo-009");
    }

    #[test]
    fn space_pauses_and_goes_on() {
        let mut app = app();
        assert_eq!(press(&mut app, KeyCode::Char(' ')), Effect::Send(Command::Pause));
        hear(&mut app, Event::Paused { epoch: 1, step: 1, reason: None, cause: Cause::Asked });
        assert_eq!(press(&mut app, KeyCode::Char(' ')), Effect::Send(Command::Resume));
    }
}
