//! The cockpit itself: who takes a key, what is heard, and what is drawn over what. Talks to no
//! terminal.

mod act;
mod hear;
mod point;
#[cfg(test)]
mod tests;

use super::connection::{Connection, Watching};
use super::feeds::{Feed, Found};
use super::input::keymap::{Keymap, Playback, Tab};
use super::input::{ASK_BACKGROUND, ASK_KIND, Answer};
use super::look::appearance::Appearance;
use super::look::images::Images;
use super::overlay::{Outcome, Overlay, Press, history};
use super::scene::{Hits, Scene, Shared, class_names};
use super::shell::{chrome, small};
use super::tabs::{self, Desk, Tabs};
use crate::dashboard::{Dashboard, Tone};
use crate::protocol::Command;
use crossterm::event::{Event as TermEvent, KeyEvent, KeyEventKind};
use ratatui::Frame;
use ratatui::layout::Rect;

/// Smallest screen with panels; below it there is a fact a line, and below that a message.
const PANELS: (u16, u16) = (60, 16);
const FACTS: (u16, u16) = (40, 8);

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

/// Where things are on the screen since the last frame.
#[derive(Debug)]
struct Picture {
    /// The tab.
    body: Rect,
    hits: Hits,
}

/// The cockpit.
#[derive(Debug)]
pub struct App {
    /// The figures.
    pub dashboard: Dashboard,
    /// How it looks.
    pub appearance: Appearance,
    /// Which keys do what.
    pub keymap: Keymap,
    /// How it stands with the trainer.
    pub connection: Connection,
    /// What tabs have in common.
    pub shared: Shared,
    tabs: Tabs,
    overlay: Overlay,
    /// Lines of the command line, oldest first.
    pub history: Vec<String>,
    picture: Picture,
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// What was wrong before there was a screen, until somebody presses a key.
    warnings: Vec<String>,
    /// What somebody who does not look should be told.
    notice: Option<String>,
}

impl App {
    /// A cockpit that has heard nothing yet.
    pub fn new(appearance: Appearance, watching: Watching) -> Self {
        let images = Images::find(appearance.images, appearance.level);
        Self {
            dashboard: Dashboard::default(),
            appearance,
            keymap: Keymap::new(&tabs::keys()),
            connection: Connection::new(watching),
            shared: Shared { images, ..Shared::default() },
            tabs: Tabs::default(),
            overlay: Overlay::None,
            history: Vec::new(),
            picture: Picture { body: Rect::new(0, 4, 80, 18), hits: Hits::new() },
            mouse: false,
            warnings: Vec::new(),
            notice: None,
        }
    }

    /// Everything that is drawn from.
    fn scene(&self) -> Scene<'_> {
        Scene {
            run: &self.dashboard,
            look: &self.appearance,
            keymap: &self.keymap,
            shared: &self.shared,
            connection: &self.connection,
            tab: self.tabs.shown(),
            warnings: &self.warnings,
        }
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.connection.is_over(&self.dashboard)
    }

    /// The tab that is shown.
    pub fn tab(&self) -> Tab {
        self.tabs.shown()
    }

    /// The tabs, and what they decide by.
    fn desk(&mut self) -> (&mut Tabs, Desk<'_>) {
        let area = self.picture.body;
        (&mut self.tabs, Desk { run: &self.dashboard, shared: &mut self.shared, area })
    }

    /// Shows a tab.
    pub fn show(&mut self, tab: Tab) {
        self.tabs.show(tab);
    }

    /// What is to be read in the background for it.
    pub(super) fn needs(&self) -> &'static [Feed] {
        self.tabs.needs()
    }

    /// How many classes there are.
    pub(super) fn classes(&self) -> usize {
        class_names(&self.dashboard).len()
    }

    fn say(&mut self, tone: Tone, words: impl Into<String>) {
        self.dashboard.say(tone, words.into());
    }

    /// Takes a terminal event.
    pub fn handle(&mut self, event: &TermEvent) -> Effect {
        match event {
            TermEvent::Mouse(mouse) => self.point(mouse),
            TermEvent::Key(key) if key.kind != KeyEventKind::Release => self.press(key, event),
            TermEvent::Paste(text) => self.paste(text),
            _ => Effect::None,
        }
    }

    fn press(&mut self, key: &KeyEvent, event: &TermEvent) -> Effect {
        self.warnings.clear();
        let mut overlay = std::mem::take(&mut self.overlay);
        if let Some(outcome) = overlay.press(&Press { key, event }, &self.scene()) {
            return self.follow(overlay, outcome);
        }
        let here = self.connection.here(self.tab());
        self.keymap.action(key, here).map_or(Effect::None, |action| self.act(action))
    }

    /// Takes pasted text: into the line that is being typed, if there is one. It is never taken for
    /// keys.
    fn paste(&mut self, text: &str) -> Effect {
        let mut overlay = std::mem::take(&mut self.overlay);
        if let Some(outcome) = overlay.paste(text) {
            return self.follow(overlay, outcome);
        }
        self.overlay = overlay;
        self.say(
            Tone::Note,
            "pasted text is left out: it goes where something is typed, after : or / or in a \
             question",
        );
        Effect::None
    }

    /// Carries out what a key meant to `overlay`.
    fn follow(&mut self, overlay: Overlay, outcome: Outcome) -> Effect {
        match outcome {
            Outcome::Stay => self.overlay = overlay,
            Outcome::Close => {}
            Outcome::Send(command) => return Effect::Send(command),
            Outcome::SendAndStay(command) => {
                self.overlay = overlay;
                return Effect::Send(command);
            }
            Outcome::Enter(text, line) => {
                history::add(&mut self.history, text);
                return self.carry_out(line);
            }
            Outcome::Narrow(filter) => {
                (self.overlay, self.shared.filter, self.shared.class) = (overlay, filter, None);
                self.tabs.narrowed();
            }
            Outcome::ShowAll => self.shared.filter.clear(),
            Outcome::Leave => return Effect::Leave,
            Outcome::LeaveAfter(stop) => return self.leave_after(stop),
        }
        Effect::None
    }

    /// What somebody who does not look at the screen should be told, once.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// Takes what was read in the background; whether that changes the screen.
    pub(super) fn take(&mut self, found: Found) -> bool {
        match found {
            Found::Sheet(sheet) => {
                self.shared.images.forget();
                self.shared.sheet = sheet;
            }
            Found::Runs { news, baseline } => {
                let others = &mut self.shared.others;
                others.baseline = others.baseline.take().or(baseline);
                if news.is_empty() {
                    return false;
                }
                others.merge(news);
            }
            Found::Machine(figures, costs) => {
                (self.shared.machine, self.shared.costs) = (Some(*figures), costs);
            }
            Found::Failed(why) => self.say(Tone::Warning, why),
            Found::Nothing => return false,
        }
        true
    }

    /// What the terminal is to be asked when it is taken; empty: nothing.
    pub fn questions(&self) -> String {
        let background = self.appearance.asks_background.then_some(ASK_BACKGROUND);
        match (background, self.shared.images.question()) {
            (None, None) => String::new(),
            (Some(background), None) => [background, ASK_KIND].concat(),
            (background, Some(images)) => background.unwrap_or_default().to_owned() + &images,
        }
    }

    /// Takes what the terminal says of itself; whether it changes the screen.
    pub fn learn(&mut self, answer: Answer) -> bool {
        let look = self.appearance.learn(answer);
        self.shared.images.learn(answer) || look
    }

    fn draw_all(&self, frame: &mut Frame<'_>) -> Picture {
        let scene = self.scene();
        let screen = frame.area();
        let fits = |(width, height)| screen.width >= width && screen.height >= height;
        let mut picture = Picture { body: self.picture.body, hits: Hits::new() };
        if !fits(FACTS) {
            small::too_small(frame, &scene);
        } else if !fits(PANELS) {
            small::draw(frame, &scene);
        } else {
            let (body, hits) = chrome::draw(frame, &scene);
            picture = Picture { body, hits };
            picture.hits.extend(self.tabs.draw(frame, body, &scene));
        }
        self.overlay.draw(frame, &scene);
        picture
    }
}

/// Draws one frame of any size.
pub fn draw(frame: &mut Frame<'_>, app: &mut App) {
    app.picture = app.draw_all(frame);
}
