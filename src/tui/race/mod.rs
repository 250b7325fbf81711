//! The screen of a comparison: which arm and seed are looked at, what keys mean, and the loop
//! around. It reads journals, so it disturbs nobody.

mod draw;
mod forest;
#[cfg(test)]
mod tests;

use super::Setup;
use super::chart::classes::ClassOrder;
use super::input::keymap::{Action, Keymap, Where};
use super::input::{ASK_BACKGROUND, ASK_KIND, Heard};
use super::look::appearance::Appearance;
use super::screen::{Signals, ask, draw_with};
use super::terminal::frames::{Frames, until};
use super::terminal::watchdog::Watchdog;
use super::terminal::{self, Guard, Screen};
use crate::compare::Race;
use crate::run::RunDirectory;
use crossterm::event::{Event as TermEvent, KeyCode, KeyEventKind};
use std::io;
use std::time::{Duration, Instant};

/// How often journals are looked at.
const GLANCE: Duration = Duration::from_millis(500);

/// What lies over the panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Nothing,
    Help,
    Quit,
}

/// How the screen was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The comparison is nobody's business any more, or trains on.
    Alone,
    /// Somebody wants it stopped.
    Stop,
}

/// What the loop around has to do after a key.
enum Turn {
    Stay,
    Leave(Left),
    Suspend,
    Redraw,
}

/// What fills the screen above the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The curves of all arms, and the classes of the one looked at.
    Curves,
    /// The forest plot.
    Differences,
}

/// The screen's own state.
#[derive(Debug)]
pub struct RaceApp {
    pub race: Race,
    pub appearance: Appearance,
    pub keymap: Keymap,
    /// Whether a process trains it.
    pub is_live: bool,
    pub over: Over,
    /// The arm that is looked at.
    pub arm: usize,
    /// The seed that is looked at; `None`: the mean of all.
    pub seed: Option<usize>,
    /// Order of the classes.
    pub order: ClassOrder,
    pub view: View,
}

impl RaceApp {
    pub fn new(race: Race, setup: &Setup, is_live: bool) -> Self {
        let (appearance, keymap) = (setup.look.clone(), setup.preferences.keymap.clone());
        // The method is what people came for; the baseline and the null arm come first.
        let arm = race.arms().len().min(3) - 1;
        Self {
            race,
            appearance,
            keymap,
            is_live,
            over: Over::Nothing,
            arm,
            seed: None,
            order: ClassOrder::default(),
            view: View::Curves,
        }
    }

    /// Takes a key.
    fn handle(&mut self, event: &TermEvent) -> Turn {
        let TermEvent::Key(key) = event else { return Turn::Stay };
        if key.kind == KeyEventKind::Release {
            return Turn::Stay;
        }
        match std::mem::replace(&mut self.over, Over::Nothing) {
            Over::Help => return Turn::Stay, // any key leaves it
            Over::Quit => {
                return match key.code {
                    KeyCode::Enter | KeyCode::Char('d') => Turn::Leave(Left::Alone),
                    KeyCode::Char('s') => Turn::Leave(Left::Stop),
                    _ => Turn::Stay,
                };
            }
            Over::Nothing => {}
        }
        let (arms, seeds) = (self.race.arms().len() as i64, self.race.design().seeds.len() as i64);
        let Some(action) = self.keymap.action(key, Where::Comparison) else { return Turn::Stay };
        match action {
            Action::Help => self.over = Over::Help,
            Action::Quit if !self.is_live => return Turn::Leave(Left::Alone),
            Action::Quit => self.over = Over::Quit,
            Action::Suspend => return Turn::Suspend,
            Action::Redraw => return Turn::Redraw,
            Action::SortClasses => self.order = self.order.next(),
            Action::NextView => {
                self.view = match self.view {
                    View::Curves => View::Differences,
                    View::Differences => View::Curves,
                };
            }
            Action::NextTheme => self.appearance.next_theme(),
            Action::Arm(by) => self.arm = (self.arm as i64 + by).rem_euclid(arms) as usize,
            // The mean comes before the first seed.
            Action::Seed(by) => {
                let at = (self.seed.map_or(0, |s| s as i64 + 1) + by).rem_euclid(seeds + 1);
                self.seed = usize::try_from(at - 1).ok();
            }
            _ => {}
        }
        Turn::Stay
    }
}

/// Shows a comparison until somebody leaves.
///
/// # Errors
/// Whatever the terminal says, or the disk of the journals. The terminal is given back in any case.
pub fn watch(race: Race, directory: &RunDirectory, setup: &Setup) -> io::Result<(Race, Left)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut app = RaceApp::new(race, setup, directory.trained_by().is_somebody());
    let _watchdog = Watchdog::start()?;
    let outcome =
        Guard::take(&directory.file("cockpit.log"), None).and_then(|(mut guard, mut screen)| {
            runtime.block_on(drive(&mut app, directory, &mut guard, &mut screen))
        });
    match outcome {
        Err(e) if terminal::is_gone(&e) => Ok((app.race, Left::Alone)),
        outcome => outcome.map(|left| (app.race, left)),
    }
}

async fn drive(
    app: &mut RaceApp,
    directory: &RunDirectory,
    guard: &mut Guard,
    screen: &mut Screen,
) -> io::Result<Left> {
    let mut signals = Signals::new()?;
    let mut frames = Frames::new(app.appearance.frame);
    let questions = if app.appearance.asks_background {
        [ASK_BACKGROUND, ASK_KIND].concat()
    } else {
        String::new()
    };
    let mut input = ask(screen, &questions, &mut frames)?;
    let mut glance = tokio::time::interval(GLANCE);
    glance.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = frames.due(Instant::now());
        tokio::select! {
            biased;
            _ = signals.ending.next() => return Ok(Left::Alone),
            () = until(due) => {
                frames.drawn(Instant::now());
                draw_with(screen, |frame| draw::draw(frame, app))?;
            }
            heard = input.next() => {
                let event = match heard? {
                    None => return Ok(Left::Alone),
                    Some(Heard::Answer(answer)) => {
                        let changed = app.appearance.learn(answer);
                        frames.answered(answer.is_last(), changed);
                        continue;
                    }
                    Some(Heard::Event(event)) => event,
                };
                frames.mark();
                match app.handle(&event) {
                    Turn::Stay => {}
                    Turn::Leave(left) => return Ok(left),
                    Turn::Suspend => *screen = guard.suspend(true)?,
                    Turn::Redraw => *screen = guard.take_again()?,
                }
            }
            _ = glance.tick() => {
                let live = directory.trained_by().is_somebody();
                if app.race.refresh()? || live != app.is_live {
                    app.is_live = live;
                    frames.mark();
                }
            }
            _ = signals.stop.recv() => {
                *screen = guard.suspend(false)?;
                frames.mark();
            }
            _ = signals.go_on.recv() => {
                *screen = guard.take_again()?;
                frames.mark();
            }
        }
    }
}
