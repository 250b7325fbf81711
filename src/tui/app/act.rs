//! What actions and lines of the command line mean where no tab takes them.

use super::{App, Effect};
use crate::config::PRETRAIN_EPOCHS;
use crate::dashboard::{Dashboard, RunState, Tone};
use crate::importance::Sampler;
use crate::protocol::{Bias, Cause, Command, End, Phase, Stop};
use crate::tui::connection::Watching;
use crate::tui::input::keymap::Action;
use crate::tui::overlay::grammar::Line;
use crate::tui::overlay::{CommandLine, Confirm, Filter, Help, Overlay, Prompt, Quit, Settings};
use crate::tui::tabs::Reply;

/// Factor on the learning rate when training goes back because a loss is not finite.
const LR_AFTER_FAULT: f64 = 0.5;

impl App {
    /// Carries an action out.
    pub(super) fn act(&mut self, action: Action) -> Effect {
        if action.asks_the_trainer() && self.is_over() {
            let why = self.connection.why_not(&self.dashboard);
            self.say(Tone::Warning, why);
            return Effect::None;
        }
        match action {
            Action::PauseResume if self.dashboard.is_paused() => {
                return Effect::Send(Command::Resume);
            }
            Action::PauseResume => return Effect::Send(Command::Pause),
            Action::Checkpoint => return Effect::Send(Command::Checkpoint),
            Action::MoveE(by) => {
                let e = self.dashboard.pretrain_epochs() as i64 + by;
                let key = PRETRAIN_EPOCHS.to_owned();
                return Effect::Send(Command::Set { key, value: e.into() });
            }
            Action::Bias => match next_bias(&self.dashboard) {
                // An epoch that was trained with the bias cannot be trained again without it.
                bias @ Bias::Now => self.confirm(Command::Bias { bias }),
                bias @ (Bias::On | Bias::Off) => return Effect::Send(Command::Bias { bias }),
            },
            Action::Undo => return self.undo(),
            Action::GoBack => return self.go_back(),
            Action::Ask(key) => self.overlay = Overlay::Prompt(Prompt::of(key)),
            Action::CommandLine => {
                self.overlay = Overlay::Command(CommandLine::after(&self.history));
            }
            Action::Filter => self.overlay = Overlay::Filter(Filter::of(&self.shared.filter)),
            Action::Settings => self.overlay = Overlay::Settings(Settings::default()),
            Action::Help => self.overlay = Overlay::Help(Help::default()),
            Action::Quit if self.is_over() || self.connection.is_replay() => return Effect::Leave,
            Action::Quit => self.overlay = Overlay::Quit(Quit),
            Action::Suspend => return Effect::Suspend,
            Action::Redraw => return Effect::Redraw,
            Action::Mouse => return self.toggle_mouse(),
            Action::NextTheme => {
                self.appearance.next_theme();
                self.say(Tone::Note, format!("theme {}", self.appearance.theme.name()));
            }
            Action::Show(tab) => self.show(tab),
            Action::NextTab(by) => self.show(self.tab().next(by)),
            Action::Play(playback) => return Effect::Play(playback),
            action => self.act_on_tab(action),
        }
        Effect::None
    }

    fn act_on_tab(&mut self, action: Action) {
        let (tabs, mut desk) = self.desk();
        match tabs.press(action, &mut desk) {
            Reply::Pass => self.act_on_axis(action),
            Reply::Done => {}
            Reply::Say(words) => self.say(Tone::Note, words),
        }
    }

    /// What an action means where the tab does not take it.
    fn act_on_axis(&mut self, action: Action) {
        let (axis, run) = (&mut self.shared.axis, &self.dashboard);
        match action {
            Action::Right(by) => axis.move_cursor(by, run),
            Action::Scale(by) => axis.scale(by, run),
            Action::Pan(by) => axis.pan(by, run),
            Action::Whole => axis.whole(),
            Action::Log => axis.log = !axis.log,
            Action::NextUnit => axis.next_unit(),
            Action::Smooth(by) => {
                let weight = axis.smooth(by);
                self.say(Tone::Note, format!("curves keep {weight} of the past"));
            }
            Action::Escape if axis.cursor.is_some() => axis.cursor = None,
            Action::Escape => self.shared.filter.clear(),
            _ => {} // of other tabs, or of a comparison
        }
    }

    fn confirm(&mut self, command: Command) {
        self.overlay = Overlay::Confirm(Confirm { command });
    }

    fn toggle_mouse(&mut self) -> Effect {
        self.mouse = !self.mouse;
        let words = if self.mouse { "mouse on" } else { "mouse off: the terminal selects text" };
        self.say(Tone::Note, words);
        Effect::Mouse(self.mouse)
    }

    /// Back to the last checkpoint, where that is offered.
    fn go_back(&mut self) -> Effect {
        let words = match (self.dashboard.state, &self.connection.lost) {
            (RunState::Paused(Cause::NotFinite), None) => {
                return Effect::Send(Command::Rewind { lr_factor: LR_AFTER_FAULT });
            }
            (RunState::Finished { end: End::Complete }, _) => {
                "the run is at its N; to train on: earlybird resume --set train.epochs=..."
            }
            (RunState::Failed | RunState::Finished { .. }, _) | (_, Some(_))
                if self.connection.watching == Watching::InlineRun =>
            {
                "leave (q), then: earlybird resume"
            }
            (RunState::Failed | RunState::Finished { .. }, _) | (_, Some(_)) => {
                self.connection.again = true;
                return Effect::Leave;
            }
            _ => "r goes back after a failure, or when the loss is not finite",
        };
        self.say(Tone::Note, words);
        Effect::None
    }

    /// Takes the last change back.
    fn undo(&mut self) -> Effect {
        match self.connection.requests.undo(&self.dashboard.config) {
            Ok(command) => Effect::Send(command),
            Err(why) => {
                self.say(Tone::Note, why.to_string());
                Effect::None
            }
        }
    }

    /// A command was sent, with this number, or the trainer takes none.
    pub fn has_sent(&mut self, command: &Command, id: Option<u64>) {
        self.connection.requests.sent(command, id);
        if id.is_none() {
            self.say(Tone::Bad, "the trainer does not answer");
        }
    }

    /// Carries a line of the command line out.
    pub(super) fn carry_out(&mut self, line: Line) -> Effect {
        match line {
            Line::Ask(_) if self.is_over() || self.connection.is_replay() => {
                let why = self.connection.why_not(&self.dashboard);
                self.say(Tone::Warning, why);
            }
            // It cannot be taken back.
            Line::Ask(command @ Command::Stop { .. }) => self.confirm(command),
            Line::Ask(command) => return Effect::Send(command),
            Line::Theme(name) => match self.appearance.themes.get(&name, self.appearance.level) {
                Ok(theme) => self.appearance.choose(theme),
                Err(e) => self.say(Tone::Warning, e.to_string().replace('\n', ";")),
            },
            Line::Show(tab) => self.show(tab),
            Line::Filter(text) => self.shared.filter = text,
            Line::Help => return self.act(Action::Help),
            Line::Settings => return self.act(Action::Settings),
            Line::Quit => return self.act(Action::Quit),
        }
        Effect::None
    }

    pub(super) fn leave_after(&mut self, stop: Stop) -> Effect {
        self.connection.leaving = true;
        if self.is_over() { Effect::Leave } else { Effect::Send(Command::Stop { stop }) }
    }
}

/// What the key for the bias means now.
fn next_bias(d: &Dashboard) -> Bias {
    match (d.phase, d.config.importance.sampler) {
        (_, Sampler::Uniform) => Bias::On,
        (Phase::Pretrain, _) => Bias::Now,
        _ => Bias::Off,
    }
}
