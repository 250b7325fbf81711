//! The cockpit: shows a run and steers it. `app` decides what keys mean, `views` draw the figures
//! of its dashboard, and the loop here moves bytes. Knows no tensors: all it has is a link, or a
//! journal.

mod app;
mod appearance;
mod axis;
mod background;
mod canvas;
mod classes;
mod command;
mod frames;
mod gallery;
mod glyphs;
mod history;
mod images;
mod input;
mod key;
mod keymap;
mod machine;
mod others;
mod player;
mod preferences;
mod race;
mod sheet;
mod tabs;
mod terminal;
mod text;
mod theme;
mod views;
mod watchdog;
mod widgets;

pub use app::{App, Costs, Effect, Lost, Watching};
pub use appearance::{Appearance, Terminal, can_draw};
pub use glyphs::{ASCII, Braille, Glyphs, UNICODE};
pub use input::Answer;
pub use key::Key;
pub use keymap::{Action, BINDINGS, Binding, Keymap, Place, Playback};
pub use machine::{GpuFigures, MachineFigures, ProcessFigures};
pub use others::{Other, Others};
pub use player::Player;
pub use preferences::{
    Asked, ColorLevel, ImageStyle, Notify, Preferences, Wrong, directory as config_directory,
};
pub use race::{Left, watch};
pub use sheet::Sheet;
pub use tabs::Tab;
pub use terminal::give_back;
pub use theme::{Role, Theme, ThemeError, Themes};
pub use views::draw;

use crate::dashboard::RunState;
use crate::link::{CockpitEnd, Delivery};
use crate::protocol::End;
use crate::run::RunDirectory;
use crate::signals::Ending;
use background::Background;
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use frames::{Frames, until};
use input::{Heard, Input};
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};
use terminal::{Guard, Screen};
use tokio::signal::unix::{Signal, SignalKind, signal};
use watchdog::Watchdog;

/// Where a cockpit's figures come from.
#[derive(Debug)]
pub enum Source {
    /// A run in a process of its own.
    Run(CockpitEnd),
    /// A run in this process, trained by the thread of this name: its panic is an event, not the
    /// screen's end.
    InlineRun(CockpitEnd, &'static str),
    /// A journal.
    Replay(Player),
}

/// How the cockpit was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run came to its N. One line about it.
    Finished(String),
    /// Somebody stopped it. One line about it.
    Stopped(String),
    /// It broke off. Why.
    Failed(String),
    /// Its process is gone. Why.
    Lost(String),
    /// Its process is there, but does not talk to this cockpit any more. Why.
    Parted(String),
    /// It goes on (or it was a replay).
    Left,
    /// It broke off, and should be resumed.
    Again,
    /// It goes on, and should be attached to anew.
    Reattach,
}

/// How a cockpit is set up: what a person wants, and the look that follows on this terminal.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What a person wants.
    pub preferences: Preferences,
    /// How it looks.
    pub look: Appearance,
    /// What was wrong with what was asked for, and is left out.
    pub warnings: Vec<String>,
}

impl Setup {
    /// From the config directory, the command line and the terminal. Nothing of that is worth a
    /// run: what is wrong is told, and the usual is taken instead.
    ///
    /// # Errors
    /// When not even the program's own themes can be drawn.
    pub fn find(asked: &Asked) -> Result<Self, ThemeError> {
        let (mut preferences, wrong) = Preferences::load(asked);
        let mut warnings: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        let unknown = preferences
            .theme
            .as_ref()
            .map(|name| preferences.themes.get(name, termprofile::TermProfile::NoColor));
        if let Some(Err(e)) = unknown {
            warnings.push(e.to_string());
            preferences.theme = None;
        }
        let look = Appearance::find(&preferences)?;
        Ok(Self { preferences, look, warnings })
    }
}

/// Shows what comes from `source` until somebody leaves. What is written to fd 2 meanwhile goes to
/// `log` in the run's directory.
///
/// # Errors
/// Whatever the terminal says. It is given back in any case.
pub fn run(
    source: Source,
    setup: &Setup,
    directory: &RunDirectory,
    log: &str,
) -> io::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (watching, spared, trainer) = match &source {
        Source::Run(link) => (Watching::Run, None, Some(link.trainer())),
        Source::InlineRun(link, trainer) => {
            (Watching::InlineRun, Some(*trainer), Some(link.trainer()))
        }
        Source::Replay(player) => (watching(player), None, None),
    };
    let wanted = &setup.preferences;
    let mut app = App::new(setup.look.clone(), watching);
    app.keymap = wanted.keymap.clone();
    app.mouse = wanted.mouse;
    app.history = history::read();
    setup.warnings.iter().for_each(|text| app.warn(text));
    let began_with = app.history.len();
    let mut background = Background::new(directory.clone(), trainer);
    // In the process that trains, signals end the run, and that has its own patience.
    let _watchdog = if watching == Watching::InlineRun { None } else { Some(Watchdog::start()?) };
    let outcome = Guard::take(&directory.file(log), spared).and_then(|(mut guard, mut screen)| {
        runtime.block_on(drive(
            &mut app,
            source.into(),
            &mut background,
            wanted.notify,
            &mut guard,
            &mut screen,
        ))
    });
    runtime.shutdown_background(); // whatever still reads a journal is not waited for
    match outcome {
        Ok(()) => {}
        // The line was cut, and that was noticed before the signal that says so came.
        Err(e) if terminal::is_gone(&e) => return Ok(Ended::Left),
        Err(e) => return Err(e),
    }
    if app.history.len() != began_with {
        history::write(&app.history);
    }
    let d = &app.dashboard;
    let summary = views::summary_text(&app)
        .unwrap_or_else(|| format!("Run {} was left before its end", d.run));
    Ok(match d.state {
        _ if app.again && app.is_parted() => Ended::Reattach,
        _ if app.again => Ended::Again,
        _ if app.is_replay() => Ended::Left,
        RunState::Finished { end: End::Complete } => Ended::Finished(summary),
        RunState::Finished { end: End::Stopped } => Ended::Stopped(summary),
        RunState::Failed => Ended::Failed(summary),
        _ => match app.lost.take() {
            None => Ended::Left,
            Some(Lost::Gone(why)) => Ended::Lost(why),
            Some(Lost::Parted(why)) => Ended::Parted(why),
        },
    })
}

/// The table of keys in Markdown: that of docs/keys.md, and what `earlybird keys` prints.
pub fn keys_table(keymap: &Keymap) -> String {
    let mut out = String::from("| keys | what they do | where | name |\n|---|---|---|---|\n");
    for (b, keys) in keymap.rows() {
        let keys = keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "| {keys} | {} | {} | {} |", b.description, b.place.words(), b.name);
    }
    out
}

fn watching(player: &Player) -> Watching {
    let (playing, speed, at, of) = player.state();
    Watching::Replay { playing, speed, at, of }
}

/// What the loop listens to.
enum Stream {
    Link(CockpitEnd),
    Over,
    Player(Player, Instant),
}

impl From<Source> for Stream {
    fn from(source: Source) -> Self {
        match source {
            Source::Run(link) | Source::InlineRun(link, _) => Self::Link(link),
            Source::Replay(player) => Self::Player(player, Instant::now()),
        }
    }
}

impl Stream {
    /// What comes next; never anything after the end.
    async fn next(&mut self) -> Vec<Delivery> {
        match self {
            Self::Link(link) => match link.next().await {
                Some(delivery) => vec![delivery],
                None => {
                    *self = Self::Over;
                    Vec::new()
                }
            },
            Self::Over => std::future::pending().await,
            Self::Player(player, since) => {
                let Some(due) = player.due() else { return std::future::pending().await };
                // Many records may be due within a frame: they come together.
                tokio::time::sleep(
                    Duration::try_from_secs_f64(due)
                        .unwrap_or(Duration::MAX)
                        .max(Duration::from_millis(20)),
                )
                .await;
                let passed = since.elapsed().as_secs_f64();
                *since = Instant::now();
                player.pass(passed).iter().cloned().map(Delivery::Record).collect()
            }
        }
    }

    /// Moves a replay.
    fn play(&mut self, playback: Playback) -> Option<Delivery> {
        let Self::Player(player, since) = self else { return None };
        // What has passed until now passed at the old speed; it is too little to show.
        *since = Instant::now();
        player.control(playback).map(|d| Delivery::Snapshot(Box::new(d)))
    }
}

/// Signals that concern a terminal.
struct Signals {
    /// Those after which it is given back.
    ending: Ending,
    stop: Signal,
    go_on: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let from_raw = |s: rustix::process::Signal| signal(SignalKind::from_raw(s.as_raw()));
        Ok(Self {
            ending: Ending::new()?,
            stop: from_raw(rustix::process::Signal::TSTP)?,
            go_on: from_raw(rustix::process::Signal::CONT)?,
        })
    }
}

async fn drive(
    app: &mut App,
    mut stream: Stream,
    background: &mut Background,
    notify: Notify,
    guard: &mut Guard,
    screen: &mut Screen,
) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let mut frames = Frames::new(app.appearance.frame);
    let size = screen.size()?;
    app.size = (size.width, size.height);
    guard.listen_to_mouse(screen, app.mouse)?;
    let mut input = ask(screen, &app.questions(), &mut frames)?;
    loop {
        let due = frames.due(Instant::now());
        tokio::select! {
            biased;
            _ = signals.ending.next() => return Ok(()),
            () = until(due) => {
                frames.drawn(Instant::now());
                background.draws();
                draw_with(screen, |frame| draw(frame, app))?;
            }
            heard = input.next() => {
                let event = match heard? {
                    None => return Ok(()),
                    Some(Heard::Answer(answer)) => {
                        let changed = app.learn(answer);
                        frames.answered(answer.is_last(), changed);
                        continue;
                    }
                    Some(Heard::Event(event)) => event,
                };
                frames.mark();
                let tab = app.tab;
                let effect = app.handle(&event);
                if app.tab != tab {
                    background.hurry();
                }
                match effect {
                    Effect::None => {}
                    Effect::Leave => return Ok(()),
                    Effect::Suspend => *screen = guard.suspend(true)?,
                    Effect::Redraw => *screen = guard.take_again()?,
                    Effect::Mouse(on) => guard.listen_to_mouse(screen, on)?,
                    Effect::Play(playback) => {
                        if let Some(delivery) = stream.play(playback) {
                            app.hear(delivery);
                        }
                    }
                    Effect::Send(command) => {
                        let sent = match &stream {
                            Stream::Link(link) => link.send(command.clone()),
                            Stream::Over | Stream::Player(..) => None,
                        };
                        app.has_sent(&command, sent);
                    }
                }
            }
            deliveries = stream.next() => {
                frames.mark();
                for delivery in deliveries {
                    if app.hear(delivery) {
                        return Ok(());
                    }
                }
                if let Some(text) = app.take_notice() {
                    tell(screen, notify, &text)?;
                }
            }
            found = background.next(app.tab, app.classes().len()) => {
                if found.put_into(app, background) {
                    frames.mark();
                }
            }
            _ = signals.stop.recv() => {
                *screen = guard.suspend(false)?;
                frames.mark();
            }
            _ = signals.go_on.recv() => {
                // whoever stopped this process may have changed the terminal
                *screen = guard.take_again()?;
                frames.mark();
            }
        }
        if let Stream::Player(player, _) = &stream {
            app.watching = watching(player);
        }
    }
}

/// Asks the terminal `questions`, if there are any, and listens to it from then on. The first frame
/// waits a moment for answers.
fn ask(screen: &mut Screen, questions: &str, frames: &mut Frames) -> io::Result<Input> {
    let input = Input::new(!questions.is_empty())?;
    terminal::say(screen, questions)?;
    frames.hold(input.first_frame());
    Ok(input)
}

/// Tells somebody who does not look at the screen.
fn tell(screen: &mut Screen, notify: Notify, text: &str) -> io::Result<()> {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    let out = screen.backend_mut();
    match notify {
        Notify::Off => return Ok(()),
        Notify::Bell => io::Write::write_all(out, b"\x07")?,
        Notify::Desktop => {
            io::Write::write_all(out, format!("\x1b]9;earlybird: {plain}\x1b\\\x07").as_bytes())?
        }
    }
    io::Write::flush(out)
}

/// One frame inside a synchronized update (DEC 2026), so that no terminal shows half of it.
fn draw_with(screen: &mut Screen, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
    queue!(screen.backend_mut(), BeginSynchronizedUpdate)?;
    screen.draw(draw)?;
    queue!(screen.backend_mut(), EndSynchronizedUpdate)?;
    io::Write::flush(screen.backend_mut())
}
