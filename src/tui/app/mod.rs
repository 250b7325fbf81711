//! The cockpit's own state: which tab, what is selected, what is asked, and what a key makes of it.
//! Decides; never draws, and talks to no terminal.

mod ask;
mod events;
mod moving;
mod requests;
#[cfg(test)]
mod tests;

pub use ask::{Asking, Overlay, Prompt, SettingsList, settings};

use super::appearance::Appearance;
use super::axis::AxisView;
use super::classes::{self, ClassMap, ClassOrder};
use super::command::Line;
use super::gallery::Gallery;
use super::images::Images;
use super::keymap::{Action, Keymap, Playback, Where};
use super::machine::MachineFigures;
use super::others::{Figure, Others};
use super::sheet::Sheet;
use super::tabs::Tab;
use crate::config::PRETRAIN_EPOCHS;
use crate::dashboard::{Dashboard, RunState, Tone};
use crate::protocol::{Bias, Cause, Command, End, Stop};
use crossterm::event::{Event as TermEvent, KeyEvent, KeyEventKind};
use ratatui::layout::Rect;
use requests::Requests;
use std::cell::RefCell;

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
    /// Draw everything again.
    Redraw,
    /// Listen to the mouse, or not.
    Mouse(bool),
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

/// Something on the screen that a mouse may point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// A tab's name.
    Tab(Tab),
    /// A panel, by its number on the tab.
    Panel(usize),
    /// The curves of a panel.
    Plot(usize),
    /// A line of the tab's list.
    Row(usize),
    /// A sample of the gallery.
    Sample(usize),
}

/// Why a cockpit hears nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The run's process is gone.
    Gone(String),
    /// The process is there; it or this program ended the conversation.
    Parted(String),
}

/// What the cockpit itself costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// Bytes a second that it wrote, over the last ten seconds.
    pub bytes_per_s: f64,
    /// Frames a second, over the same.
    pub frames_per_s: f64,
    /// Bytes in all.
    pub bytes: u64,
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
    /// Which keys do what.
    pub keymap: Keymap,
    /// What it shows.
    pub watching: Watching,
    /// The tab that is shown.
    pub tab: Tab,
    /// What lies over the panels.
    pub overlay: Overlay,
    /// The focused panel of each tab.
    focus: [usize; Tab::ALL.len()],
    /// The selected line of each tab's list.
    selected: [usize; Tab::ALL.len()],
    /// Whether the focused panel has the whole screen.
    pub zoomed: bool,
    /// Only what has this in its name is listed.
    pub filter: String,
    /// The step axis of all charts.
    pub axis: AxisView,
    /// Order of the classes.
    pub order: ClassOrder,
    /// What the tab Classes shows.
    pub class_map: ClassMap,
    /// Whether Importance shows expected draws, not weights.
    pub shows_draws: bool,
    /// What the tab Samples shows.
    pub gallery: Gallery,
    /// What is drawn on the tab Compare.
    pub figure: Figure,
    /// How pictures are drawn.
    pub images: Images,
    /// Single samples, once they were read.
    pub sheet: Option<Sheet>,
    /// The runs beside this one.
    pub others: Others,
    /// The machine, while somebody looks at it.
    pub machine: Option<MachineFigures>,
    /// What the cockpit itself costs.
    pub costs: Costs,
    /// Why nothing more will come, if so.
    pub lost: Option<Lost>,
    /// What was asked of the trainer here.
    pub requests: Requests,
    /// Whether somebody wants the run resumed from its last checkpoint.
    pub again: bool,
    /// Lines of the command line, oldest first.
    pub history: Vec<String>,
    /// Columns and rows of the screen.
    pub size: (u16, u16),
    /// Where the things were drawn that a mouse may point at.
    pub(super) hits: RefCell<Vec<(Rect, Hit)>>,
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// What was wrong before there was a screen, until somebody presses a key.
    pub warnings: Vec<String>,
    /// What somebody who does not look should be told.
    notice: Option<String>,
    /// Whether the cockpit leaves as soon as the run is over.
    leaving: bool,
}

impl App {
    /// A cockpit that has heard nothing yet.
    pub fn new(appearance: Appearance, watching: Watching) -> Self {
        Self {
            images: Images::find(appearance.images, appearance.level),
            dashboard: Dashboard::default(),
            appearance,
            keymap: Keymap::default(),
            watching,
            tab: Tab::default(),
            overlay: Overlay::None,
            focus: [0; Tab::ALL.len()],
            selected: [0; Tab::ALL.len()],
            zoomed: false,
            filter: String::new(),
            axis: AxisView::default(),
            order: ClassOrder::default(),
            class_map: ClassMap::default(),
            shows_draws: false,
            gallery: Gallery::default(),
            figure: Figure::default(),
            sheet: None,
            others: Others::default(),
            machine: None,
            costs: Costs::default(),
            lost: None,
            requests: Requests::default(),
            again: false,
            history: Vec::new(),
            size: (80, 24),
            hits: RefCell::default(),
            mouse: false,
            warnings: Vec::new(),
            notice: None,
            leaving: false,
        }
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.dashboard.is_over() || self.lost.is_some()
    }

    /// Whether the run's process is there, and does not talk to this cockpit any more.
    pub fn is_parted(&self) -> bool {
        matches!(self.lost, Some(Lost::Parted(_))) && !self.dashboard.is_over()
    }

    /// What to say to somebody who asks for something of which nothing can come any more.
    fn why_not(&self) -> String {
        let words = if self.is_parted() {
            "this cockpit is cut off: r attaches again, q leaves"
        } else {
            "the run is over: q leaves"
        };
        words.into()
    }

    /// Whether a journal is played.
    pub fn is_replay(&self) -> bool {
        matches!(self.watching, Watching::Replay { .. })
    }

    /// Where somebody is, for keys.
    pub fn here(&self) -> Where {
        if self.is_replay() { Where::Replay(self.tab) } else { Where::Run(self.tab) }
    }

    /// The focused panel of this tab.
    pub fn focused(&self) -> usize {
        self.focus[self.tab as usize]
    }

    /// The selected line of this tab's list.
    pub fn selected(&self) -> usize {
        self.selected[self.tab as usize].min(self.lines().saturating_sub(1))
    }

    /// Names of classes, the number of each.
    pub fn classes(&self) -> &[String] {
        self.dashboard.data.as_ref().map_or(&[], |d| &d.classes)
    }

    /// The runs that the tab Compare lists.
    pub fn listed_runs(&self) -> Vec<usize> {
        (0..self.others.list.len())
            .filter(|i| classes::matches(&self.others.list[*i].id, &self.filter))
            .collect()
    }

    /// The messages that the tab System lists, oldest first.
    pub fn listed_messages(&self) -> Vec<&crate::dashboard::Message> {
        self.dashboard.messages.iter().filter(|m| classes::matches(&m.text, &self.filter)).collect()
    }

    /// The samples that the tab Samples lists.
    pub fn listed_samples(&self) -> Vec<&crate::importance::Sample> {
        let wanted = |class: usize| {
            self.classes().get(class).is_some_and(|name| classes::matches(name, &self.filter))
        };
        self.sheet.as_ref().map_or_else(Vec::new, |sheet| self.gallery.list(sheet, wanted))
    }

    /// Lines of this tab's list.
    fn lines(&self) -> usize {
        match self.tab {
            Tab::Overview | Tab::Classes => {
                self.classes().iter().filter(|name| classes::matches(name, &self.filter)).count()
            }
            Tab::Compare => self.listed_runs().len(),
            Tab::System => self.listed_messages().len(),
            Tab::Importance | Tab::Samples => 0,
        }
    }

    /// Takes a terminal event.
    pub fn handle(&mut self, event: &TermEvent) -> Effect {
        match event {
            TermEvent::Resize(width, height) => {
                self.size = (*width, *height);
                Effect::None
            }
            TermEvent::Mouse(mouse) => self.point(mouse),
            TermEvent::Key(key) if key.kind != KeyEventKind::Release => self.press(key, event),
            TermEvent::Paste(text) => self.paste(text),
            _ => Effect::None,
        }
    }

    fn press(&mut self, key: &KeyEvent, event: &TermEvent) -> Effect {
        self.warnings.clear();
        if let Some(effect) = self.answer(key, event) {
            return effect;
        }
        self.keymap.action(key, self.here()).map_or(Effect::None, |action| self.act(action))
    }

    /// Carries an action out.
    pub(super) fn act(&mut self, action: Action) -> Effect {
        if action.asks_the_trainer() && self.is_over() {
            self.dashboard.say(Tone::Warning, self.why_not());
            return Effect::None;
        }
        let tab = self.tab as usize;
        match action {
            Action::PauseResume => {
                return Effect::Send(if self.dashboard.is_paused() {
                    Command::Resume
                } else {
                    Command::Pause
                });
            }
            Action::Checkpoint => return Effect::Send(Command::Checkpoint),
            Action::MoveE(by) => {
                let e = self.dashboard.pretrain_epochs() as i64 + by;
                return Effect::Send(set(PRETRAIN_EPOCHS, e.into()));
            }
            Action::Bias => {
                let command = Command::Bias { bias: ask::next_bias(&self.dashboard) };
                // An epoch that was trained with the bias cannot be trained again without it.
                if command == (Command::Bias { bias: Bias::Now }) {
                    self.overlay = Overlay::Confirm(command);
                } else {
                    return Effect::Send(command);
                }
            }
            Action::Undo => return self.undo(),
            Action::GoBack => return self.go_back(),
            Action::Ask(key) => self.overlay = Overlay::Prompt(Prompt::of(key)),
            Action::CommandLine => self.overlay = Overlay::Command(Asking::default()),
            Action::Filter => self.overlay = Overlay::Filter(self.filter.clone().into()),
            Action::Settings => self.overlay = Overlay::Settings(SettingsList::default()),
            Action::Help => self.overlay = Overlay::Help(0),
            Action::Quit if self.is_over() || self.is_replay() => return Effect::Leave,
            Action::Quit => self.overlay = Overlay::Quit,
            Action::Suspend => return Effect::Suspend,
            Action::Redraw => return Effect::Redraw,
            Action::Mouse => {
                self.mouse = !self.mouse;
                let words =
                    if self.mouse { "mouse on" } else { "mouse off: the terminal selects text" };
                self.dashboard.say(Tone::Note, words.into());
                return Effect::Mouse(self.mouse);
            }
            Action::NextTheme => {
                self.appearance.next_theme();
                self.dashboard.say(Tone::Note, format!("theme {}", self.appearance.theme.name()));
            }
            Action::Show(tab) => self.show(tab),
            Action::NextTab(by) => self.show(self.tab.next(by)),
            Action::Escape => self.escape(),
            Action::Zoom => self.zoomed = !self.zoomed,
            Action::Down(by) => self.down(by),
            Action::Page(by) => self.page(by),
            Action::Edge(by) => self.select(if by > 0 { i64::MAX } else { 0 }),
            Action::Right(by) if self.tab == Tab::Samples => {
                self.select_sample(self.gallery.selected as i64 + by)
            }
            Action::Right(by) => self.axis.move_cursor(by, &self.dashboard),
            Action::Scale(by) => self.axis.scale(by, &self.dashboard),
            Action::Pan(by) => self.axis.pan(by, &self.dashboard),
            Action::Whole => self.axis.whole(),
            Action::Log => self.axis.log = !self.axis.log,
            Action::NextUnit => self.axis.next_unit(),
            Action::Smooth(by) => {
                let weight = self.axis.smooth(by);
                self.dashboard.say(Tone::Note, format!("curves keep {weight} of the past"));
            }
            Action::SortClasses => {
                (self.order, self.selected[tab]) = (self.order.next(), 0);
                self.dashboard.say(Tone::Note, format!("classes {}", self.order.words()));
            }
            Action::NextView => self.next_view(),
            Action::Class(by) => self.choose_class(by),
            Action::Enter if self.tab == Tab::Samples => {
                self.gallery.enlarged = !self.gallery.enlarged
            }
            Action::Enter => {
                if let Some(at) = self.listed_runs().get(self.selected()) {
                    self.others.list[*at].shown ^= true;
                }
            }
            Action::Baseline => self.choose_baseline(),
            Action::Play(playback) => return Effect::Play(playback),
            Action::Arm(_) | Action::Seed(_) => {} // of a comparison's screen
        }
        Effect::None
    }

    /// Back to the last checkpoint, where that is offered.
    fn go_back(&mut self) -> Effect {
        let words = match (self.dashboard.state, &self.lost) {
            (RunState::Paused(Cause::NotFinite), None) => {
                return Effect::Send(Command::Rewind { lr_factor: LR_AFTER_FAULT });
            }
            (RunState::Finished { end: End::Complete }, _) => {
                "the run is at its N; to train on: earlybird resume --set train.epochs=..."
            }
            (RunState::Failed | RunState::Finished { .. }, _) | (_, Some(_))
                if self.watching == Watching::InlineRun =>
            {
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

    /// Takes the last change back.
    fn undo(&mut self) -> Effect {
        let Some(change) = self.requests.undo() else {
            self.dashboard.say(
                Tone::Note,
                "nothing to undo: changes of values can be undone, one after the other".into(),
            );
            return Effect::None;
        };
        Effect::Send(set(&change.key, change.old))
    }

    /// A command was sent, with this number, or the trainer takes none.
    pub fn has_sent(&mut self, command: &Command, id: Option<u64>) {
        self.requests.sent(command, id);
        if id.is_none() {
            self.dashboard.say(Tone::Bad, "the trainer does not answer".into());
        }
    }

    /// Carries a line of the command line out.
    fn carry_out(&mut self, line: Line) -> Effect {
        match line {
            Line::Ask(_) if self.is_over() || self.is_replay() => {
                let why = if self.is_replay() {
                    "this is a replay: it takes no commands".into()
                } else {
                    self.why_not()
                };
                self.dashboard.say(Tone::Warning, why);
            }
            // It cannot be taken back.
            Line::Ask(command @ Command::Stop { .. }) => self.overlay = Overlay::Confirm(command),
            Line::Ask(command) => return Effect::Send(command),
            Line::Theme(name) => match self.appearance.themes.get(&name, self.appearance.level) {
                Ok(theme) => self.appearance.choose(theme),
                Err(e) => self.dashboard.say(Tone::Warning, e.to_string().replace('\n', ";")),
            },
            Line::Show(tab) => self.show(tab),
            Line::Filter(text) => self.filter = text,
            Line::Help => return self.act(Action::Help),
            Line::Settings => return self.act(Action::Settings),
            Line::Quit => return self.act(Action::Quit),
        }
        Effect::None
    }

    fn leave_after(&mut self, stop: Stop) -> Effect {
        self.leaving = true;
        if self.is_over() { Effect::Leave } else { Effect::Send(Command::Stop { stop }) }
    }

    /// What somebody who does not look at the screen should be told, once.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }
}

fn set(key: &str, value: serde_json::Value) -> Command {
    Command::Set { key: key.to_owned(), value }
}
