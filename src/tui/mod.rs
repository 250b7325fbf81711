//! The cockpit: shows a run and steers it. The loop here moves bytes; `app` decides what they mean;
//! `tabs`, `overlay` and `shell` are what there is to see, each with its keys and its picture.
//! Knows no tensors: all it has is a link, or a journal.
//!
//! ```text
//! app -> overlay, shell, tabs -> scene -> feeds, requests, chart -> look -> input -> terminal
//! ```

mod app;
mod chart;
mod connection;
mod feeds;
mod input;
mod look;
mod near;
mod overlay;
mod player;
mod race;
mod requests;
mod scene;
mod screen;
mod shell;
mod tabs;
mod terminal;

pub use app::{App, Effect, draw};
pub use chart::axis::AxisView;
pub use connection::{Connection, Lost, Watching};
pub use feeds::{
    Costs, GpuFigures, Gpus, MachineFigures, Other, Others, ProcessFigures, Sheet, own_gpus,
};
pub use input::Answer;
pub use input::key::Key;
pub use input::keymap::{Action, Binding, Keymap, Place, Playback, Tab, TabKeys};
pub use look::appearance::{Appearance, Terminal, can_draw};
pub use look::glyphs::{ASCII, Braille, Glyphs, UNICODE};
pub use look::preferences::{
    Asked, ColorLevel, ImageStyle, Notify, Preferences, Wrong, directory as config_directory,
};
pub use look::theme::{Role, Theme, ThemeError, Themes};
pub use player::Player;
pub use race::{Left, watch};
pub use scene::Shared;
pub use tabs::keys as tab_keys;
pub use terminal::give_back;

use crate::dashboard::RunState;
use crate::link::{CockpitEnd, Delivery};
use crate::protocol::End;
use crate::run::RunDirectory;
use feeds::Background;
use input::Heard;
use screen::{Signals, ask, draw_with, tell};
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};
use terminal::frames::{Frames, until};
use terminal::watchdog::Watchdog;
use terminal::{Guard, Screen};

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
        let (mut preferences, wrong) = Preferences::load(asked, &tabs::keys());
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
    app.history = overlay::history::read();
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
        overlay::history::write(&app.history);
    }
    let d = &app.dashboard;
    let summary = overlay::summary_text(d, &app.shared.others)
        .unwrap_or_else(|| format!("Run {} was left before its end", d.run));
    Ok(match d.state {
        _ if app.connection.again && app.connection.is_parted(d) => Ended::Reattach,
        _ if app.connection.again => Ended::Again,
        _ if app.connection.is_replay() => Ended::Left,
        RunState::Finished { end: End::Complete } => Ended::Finished(summary),
        RunState::Finished { end: End::Stopped } => Ended::Stopped(summary),
        RunState::Failed => Ended::Failed(summary),
        _ => match app.connection.lost.take() {
            None => Ended::Left,
            Some(Lost::Gone(why)) => Ended::Lost(why),
            Some(Lost::Parted(why)) => Ended::Parted(why),
        },
    })
}

/// The table of keys in Markdown: docs/keys.md, and what `earlybird keys` prints.
pub fn keys_table(keymap: &Keymap) -> String {
    let mut out = String::from("| keys | what they do | where | name |\n|---|---|---|---|\n");
    for (b, keys) in keymap.rows() {
        let keys = keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            out,
            "| {keys} | {} | {} | {} |",
            b.description,
            keymap.words(b.place),
            b.name
        );
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
                let tab = app.tab();
                let effect = app.handle(&event);
                if app.tab() != tab {
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
            found = background.next(app.needs(), app.classes()) => {
                if app.take(found) {
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
            app.connection.watching = watching(player);
        }
    }
}
