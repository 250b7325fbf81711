//! What is asked over the panels: values, the command line, a filter, the settings, how to leave;
//! and what answers make of it.

use super::{App, Effect, Watching};
use crate::config::{self, KEYS, Key, Live};
use crate::dashboard::{Dashboard, Tone};
use crate::importance::Sampler;
use crate::protocol::{Bias, Command, Phase, Stop};
use crate::tui::command;
use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent, KeyModifiers};
use tui_input::backend::crossterm::EventHandler;
use tui_input::{Input, InputRequest};

/// Lines of the command line that are kept.
const HISTORY: usize = 500;
/// Characters that a line may have: what is pasted by mistake can be a book, and may come as single
/// keys.
const LONGEST: usize = 1000;

/// What lies over the panels.
#[derive(Clone, Debug, Default)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The keys, from this line on.
    Help(usize),
    /// A question for a config key's value.
    Prompt(Prompt),
    /// The command line.
    Command(Asking),
    /// What the names of what is listed contain.
    Filter(Input),
    /// Every value of the config.
    Settings(SettingsList),
    /// Whether this should really be done.
    Confirm(Command),
    /// How to leave.
    Quit,
    /// What the run reached.
    Summary,
}

/// A value being typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The config key.
    pub key: &'static str,
    /// What is typed.
    pub input: Input,
}

impl Prompt {
    pub(super) fn of(key: &'static str) -> Self {
        Self { key, input: Input::default() }
    }
}

/// The command line being typed.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// What is typed.
    pub input: Input,
    /// What was wrong with it when it was entered.
    pub objection: Option<String>,
    /// Whether more was typed or pasted than a line has room for: it is not carried out unseen.
    cut: bool,
    /// How far back in the history.
    back: usize,
    /// What was typed before somebody went back.
    typed: String,
}

impl Asking {
    fn mark_cut(&mut self) {
        self.cut = true;
        self.objection = Some(format!("cut at {LONGEST} characters; enter takes what is shown"));
    }
}

/// The settings being looked at.
#[derive(Clone, Debug, Default)]
pub struct SettingsList {
    /// Which of [`settings`].
    pub selected: usize,
    /// Its value being typed.
    pub edit: Option<Input>,
}

impl SettingsList {
    /// The selected key.
    pub fn key(&self) -> &'static Key {
        let all = settings();
        all[self.selected.min(all.len() - 1)]
    }
}

/// Every key of the config: those that can be changed first.
pub fn settings() -> Vec<&'static Key> {
    let mut all: Vec<&Key> = KEYS.iter().collect();
    all.sort_by_key(|k| k.live == Live::No); // stable
    all
}

impl App {
    /// What is typed for `prompt` as a value, or what is wrong with it.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self, prompt: &Prompt) -> Result<toml::Value, String> {
        self.value_of(prompt.key, prompt.input.value())
    }

    /// `text` as a value of this key, or what is wrong with it.
    ///
    /// # Errors
    /// In words.
    pub fn value_of(&self, key: &str, text: &str) -> Result<toml::Value, String> {
        let key = config::find(key).ok_or_else(|| format!("there is no key {key}"))?;
        command::value(key, text, &self.dashboard.config)
    }

    /// Takes a key where something is asked; `None` where nothing is.
    pub(super) fn answer(&mut self, key: &KeyEvent, event: &TermEvent) -> Option<Effect> {
        let control_c =
            key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        let leaves = key.code == KeyCode::Esc || control_c;
        Some(match std::mem::take(&mut self.overlay) {
            Overlay::None => return None,
            Overlay::Quit => self.answer_quit(key, control_c),
            Overlay::Prompt(_)
            | Overlay::Command(_)
            | Overlay::Settings(SettingsList { edit: None, .. })
                if leaves =>
            {
                Effect::None
            }
            Overlay::Filter(_) if leaves => {
                self.filter.clear();
                Effect::None
            }
            Overlay::Prompt(prompt) => self.type_value(prompt, key, event),
            Overlay::Command(asking) => self.type_command(asking, key, event),
            Overlay::Filter(input) => self.type_filter(input, key, event),
            Overlay::Settings(list) => self.move_settings(list, key, event, leaves),
            Overlay::Confirm(command) => match key.code {
                KeyCode::Char('y') => Effect::Send(command),
                KeyCode::Char('n' | 'q') => Effect::None,
                _ if leaves => Effect::None,
                _ => {
                    self.overlay = Overlay::Confirm(command);
                    Effect::None
                }
            },
            Overlay::Help(top) => {
                if let Some(by) = lines_of(key) {
                    self.overlay = Overlay::Help((top as i64 + by).max(0) as usize);
                }
                Effect::None // any other key leaves it
            }
            Overlay::Summary if key.code == KeyCode::Char('q') || control_c => Effect::Leave,
            Overlay::Summary => Effect::None, // any other key leaves it
        })
    }

    /// Scrolls what lies over the panels.
    pub(super) fn scroll_overlay(&mut self, by: i64) {
        match &mut self.overlay {
            Overlay::Help(top) => *top = (*top as i64 + by).max(0) as usize,
            Overlay::Settings(list) => {
                list.selected = (list.selected as i64 + by).clamp(0, KEYS.len() as i64 - 1) as usize
            }
            _ => {}
        }
    }

    /// Takes pasted text: into the line that is being typed, if there is one. It is never taken for
    /// keys.
    pub(super) fn paste(&mut self, text: &str) -> Effect {
        let line = match &mut self.overlay {
            Overlay::Prompt(prompt) => Some(&mut prompt.input),
            Overlay::Command(asking) => {
                asking.objection = None;
                Some(&mut asking.input)
            }
            Overlay::Filter(input) => Some(input),
            Overlay::Settings(SettingsList { edit, .. }) => edit.as_mut(),
            _ => None,
        };
        let Some(line) = line else {
            let words = "pasted text is left out: it goes where something is typed, after : or / \
                         or in a question";
            self.dashboard.say(Tone::Note, words.into());
            return Effect::None;
        };
        // A line has one line, and no more than it has room for.
        let spaced = text.trim().chars().map(|c| if c.is_whitespace() { ' ' } else { c });
        let mut pasted = spaced.filter(|c| !c.is_control());
        for c in pasted.by_ref().take(room(line)) {
            line.handle(InputRequest::InsertChar(c));
        }
        let is_cut = pasted.next().is_some();
        if let Overlay::Command(asking) = &mut self.overlay
            && is_cut
        {
            asking.mark_cut();
        }
        if let Overlay::Filter(input) = &self.overlay {
            self.filter = input.value().to_owned();
            (self.gallery.selected, self.gallery.class) = (0, None);
        }
        Effect::None
    }

    fn type_value(&mut self, mut prompt: Prompt, key: &KeyEvent, event: &TermEvent) -> Effect {
        if key.code == KeyCode::Enter {
            if let Some(command) = self.set_to(prompt.key, prompt.input.value()) {
                return Effect::Send(command);
            }
        } else {
            edit(&mut prompt.input, key, event);
        }
        self.overlay = Overlay::Prompt(prompt);
        Effect::None
    }

    fn set_to(&self, key: &str, text: &str) -> Option<Command> {
        let value = serde_json::to_value(self.value_of(key, text).ok()?).ok()?;
        Some(Command::Set { key: key.into(), value })
    }

    fn type_command(&mut self, mut asking: Asking, key: &KeyEvent, event: &TermEvent) -> Effect {
        match key.code {
            KeyCode::Enter if asking.cut => {
                asking.mark_cut();
                asking.cut = false; // whoever enters it again has seen it
            }
            KeyCode::Enter => {
                let text = asking.input.value().trim().to_owned();
                match command::parse(&text, &self.dashboard.config) {
                    Ok(line) => {
                        self.history.retain(|earlier| *earlier != text);
                        self.history.push(text);
                        let surplus = self.history.len().saturating_sub(HISTORY);
                        self.history.drain(..surplus);
                        return self.carry_out(line);
                    }
                    Err(_) if text.is_empty() => return Effect::None,
                    Err(why) => asking.objection = Some(why),
                }
            }
            KeyCode::Tab => {
                let all = command::complete(asking.input.value(), &self.appearance.themes.names());
                let longer = command::common_start(&all);
                if longer.len() > asking.input.value().len() || all.len() == 1 {
                    asking.input = longer.into();
                }
            }
            KeyCode::Up | KeyCode::Down => {
                if asking.back == 0 {
                    asking.typed = asking.input.value().to_owned();
                }
                let by = if key.code == KeyCode::Up { 1 } else { -1 };
                asking.back =
                    (asking.back as i64 + by).clamp(0, self.history.len() as i64) as usize;
                let line =
                    self.history.len().checked_sub(asking.back).and_then(|at| self.history.get(at));
                asking.input = line.unwrap_or(&asking.typed).clone().into();
                (asking.objection, asking.cut) = (None, false);
            }
            KeyCode::Backspace if asking.input.value().is_empty() => return Effect::None,
            _ if edit(&mut asking.input, key, event) => {
                (asking.objection, asking.cut) = (None, false)
            }
            _ => asking.mark_cut(),
        }
        self.overlay = Overlay::Command(asking);
        Effect::None
    }

    fn type_filter(&mut self, mut input: Input, key: &KeyEvent, event: &TermEvent) -> Effect {
        if key.code != KeyCode::Enter {
            edit(&mut input, key, event);
            self.filter = input.value().to_owned();
            (self.gallery.selected, self.gallery.class) = (0, None);
            self.overlay = Overlay::Filter(input);
        }
        Effect::None
    }

    fn move_settings(
        &mut self,
        mut list: SettingsList,
        key: &KeyEvent,
        event: &TermEvent,
        leaves: bool,
    ) -> Effect {
        let path = list.key().path;
        if let Some(input) = &mut list.edit {
            match key.code {
                _ if leaves => list.edit = None,
                KeyCode::Enter => {
                    if let Some(command) = self.set_to(path, input.value()) {
                        list.edit = None;
                        self.overlay = Overlay::Settings(list);
                        return Effect::Send(command);
                    }
                }
                _ => drop(edit(input, key, event)),
            }
        } else if let Some(by) = lines_of(key) {
            list.selected = (list.selected as i64 + by).clamp(0, KEYS.len() as i64 - 1) as usize;
        } else {
            match key.code {
                KeyCode::Enter
                    if list.key().live != Live::No && !self.is_over() && !self.is_replay() =>
                {
                    list.edit = Some(Input::default());
                }
                KeyCode::Enter => {}
                _ => return Effect::None, // any other key leaves it
            }
        }
        self.overlay = Overlay::Settings(list);
        Effect::None
    }

    fn answer_quit(&mut self, key: &KeyEvent, control_c: bool) -> Effect {
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
}

/// Room in a line, in characters.
fn room(line: &Input) -> usize {
    LONGEST.saturating_sub(line.value().chars().count())
}

/// Takes a key into a line; false when it is one more character than the line has room for.
fn edit(line: &mut Input, key: &KeyEvent, event: &TermEvent) -> bool {
    let types = matches!(key.code, KeyCode::Char(_))
        && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    if types && room(line) == 0 {
        return false;
    }
    line.handle_event(event);
    true
}

/// Lines by which a key scrolls a list.
fn lines_of(key: &KeyEvent) -> Option<i64> {
    Some(match key.code {
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::PageDown => 10,
        KeyCode::PageUp => -10,
        KeyCode::Home | KeyCode::Char('g') => -1_000_000,
        KeyCode::End | KeyCode::Char('G') => 1_000_000,
        _ => return None,
    })
}

/// What is asked, in a few words.
pub(super) fn words_of(command: &Command) -> String {
    match command {
        Command::Set { key, value } => format!("{key} = {value}"),
        Command::Bias { bias } => {
            format!("bias {}", serde_json::json!(bias).as_str().unwrap_or_default())
        }
        Command::Stop { stop: Stop::Now } => "stop now".into(),
        Command::Stop { stop: Stop::AfterEpoch } => "stop after this epoch".into(),
        Command::Stop { stop: Stop::AtEpoch(epoch) } => format!("stop after epoch {epoch}"),
        Command::Note { .. } => "note".into(),
        Command::Pause => "pause".into(),
        Command::Resume => "go on".into(),
        Command::Checkpoint => "checkpoint".into(),
        Command::Rescore => "rescore".into(),
        Command::Rewind { .. } => "back to the last checkpoint".into(),
    }
}

/// What `b` means now.
pub(super) fn next_bias(d: &Dashboard) -> Bias {
    match (d.phase, d.config.importance.sampler) {
        (_, Sampler::Uniform) => Bias::On,
        (Phase::Pretrain, _) => Bias::Now,
        _ => Bias::Off,
    }
}
