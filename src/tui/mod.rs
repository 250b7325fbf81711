//! The cockpit: shows a run and steers it. `app` decides what keys mean, `views` draw the figures of its dashboard, and the
//! loop here moves bytes. Knows no tensors: all it has is a link, or a journal.

mod app;
mod appearance;
mod frames;
mod glyphs;
mod keymap;
mod keys;
mod player;
mod race;
mod terminal;
mod theme;
mod views;
mod widgets;

pub use app::{App, Effect, Watching};
pub use appearance::{Appearance, Terminal};
pub use glyphs::{ASCII, Glyphs, UNICODE};
pub use keymap::{Action, BINDINGS, Binding, Key, Place, Playback};
pub use player::Player;
pub use race::{Left, watch};
pub use theme::{Role, Theme, ThemeError};
pub use views::draw;

use crate::dashboard::{RunState, Tone};
use crate::link::{CockpitEnd, Delivery};
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use frames::Frames;
use keys::Keys;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};
use terminal::{Guard, Screen};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Where a cockpit's figures come from.
#[derive(Debug)]
pub enum Source {
    /// A run in a process of its own.
    Run(CockpitEnd),
    /// A run in this process, trained by the thread of this name: its panic is an event, not the screen's end.
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
    /// It goes on (or it was a replay).
    Left,
    /// It broke off, and should be resumed.
    Again,
}

/// Shows what comes from `source` until somebody leaves. What is written to fd 2 meanwhile goes to `log`.
///
/// # Errors
/// Whatever the terminal says. It is given back in any case.
pub fn run(source: Source, appearance: Appearance, log: &Path) -> io::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (watching, spared) = match &source {
        Source::Run(_) => (Watching::Run, None),
        Source::InlineRun(_, trainer) => (Watching::InlineRun, Some(*trainer)),
        Source::Replay(player) => (watching(player), None),
    };
    let mut app = App::new(appearance, watching);
    let (mut guard, mut screen) = Guard::take(log, spared)?;
    let outcome = runtime.block_on(drive(&mut app, source.into(), &mut guard, &mut screen));
    drop(guard);
    outcome?;
    let d = &app.dashboard;
    let summary = d.summary.clone().unwrap_or_else(|| format!("Run {} was left before its end", d.run));
    Ok(match d.state {
        _ if app.again => Ended::Again,
        _ if app.place() == Place::Replay => Ended::Left,
        RunState::Finished { stopped: false } => Ended::Finished(summary),
        RunState::Finished { stopped: true } => Ended::Stopped(summary),
        RunState::Failed => Ended::Failed(summary),
        _ => app.lost.take().map_or(Ended::Left, Ended::Lost),
    })
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
                tokio::time::sleep(Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX).max(Duration::from_millis(20)))
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
    hangup: Signal,
    terminate: Signal,
    stop: Signal,
    go_on: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let from_raw = |s: rustix::process::Signal| signal(SignalKind::from_raw(s.as_raw()));
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            stop: from_raw(rustix::process::Signal::TSTP)?,
            go_on: from_raw(rustix::process::Signal::CONT)?,
        })
    }
}

async fn drive(app: &mut App, mut stream: Stream, guard: &mut Guard, screen: &mut Screen) -> io::Result<()> {
    let mut keys = Keys::new();
    let mut signals = Signals::new()?;
    let mut frames = Frames::new(app.appearance.frame);
    loop {
        let due = frames.due(Instant::now());
        tokio::select! {
            biased;
            _ = signals.hangup.recv() => return Ok(()),
            _ = signals.terminate.recv() => return Ok(()),
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                frames.drawn(Instant::now());
                draw_with(screen, |frame| draw(frame, app))?;
            }
            event = keys.next() => {
                let Some(event) = event? else { return Ok(()) };
                frames.mark();
                match app.handle(&event) {
                    Effect::None => {}
                    Effect::Leave => return Ok(()),
                    Effect::Suspend => *screen = guard.suspend(true)?,
                    Effect::Play(playback) => {
                        if let Some(delivery) = stream.play(playback) {
                            app.hear(delivery);
                        }
                    }
                    Effect::Send(command) => {
                        let sent = matches!(&stream, Stream::Link(link) if link.send(command));
                        if !sent {
                            app.dashboard.say(Tone::Bad, "the trainer does not answer".into());
                        }
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
            }
            _ = signals.stop.recv() => {
                *screen = guard.suspend(false)?;
                frames.mark();
            }
            _ = signals.go_on.recv() => {
                *screen = guard.take_again()?; // whoever stopped this process may have changed the terminal
                frames.mark();
            }
        }
        if let Stream::Player(player, _) = &stream {
            app.watching = watching(player);
        }
    }
}

/// One frame inside a synchronized update (DEC 2026), so that no terminal shows half of it.
fn draw_with(screen: &mut Screen, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
    queue!(screen.backend_mut(), BeginSynchronizedUpdate)?;
    screen.draw(draw)?;
    queue!(screen.backend_mut(), EndSynchronizedUpdate)?;
    io::Write::flush(screen.backend_mut())
}
