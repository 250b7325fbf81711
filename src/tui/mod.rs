//! The cockpit: shows a run and steers it. `dashboard` folds records into figures, `app` decides what keys mean, `views`
//! draw, and the loop here moves bytes. Knows no tensors: all it has is a link.

mod app;
mod appearance;
mod dashboard;
mod frames;
mod glyphs;
mod keymap;
mod series;
mod terminal;
mod theme;
mod views;
mod widgets;

pub use app::{App, Effect};
pub use appearance::{Appearance, Terminal};
pub use dashboard::{Dashboard, RunState};
pub use glyphs::{ASCII, Glyphs, UNICODE};
pub use keymap::{Action, BINDINGS, Binding, Key};
pub use theme::{Role, Theme, ThemeError};
pub use views::draw;

use crate::link::CockpitEnd;
use crossterm::event::EventStream;
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use frames::Frames;
use futures_util::StreamExt;
use std::io;
use std::path::Path;
use std::time::Instant;
use terminal::{Guard, Screen};
use tokio::signal::unix::{SignalKind, signal};

/// How the cockpit was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run came to its N.
    Finished {
        /// One line about it.
        summary: String,
    },
    /// Somebody stopped it, or it broke off.
    Stopped {
        /// One line about it.
        summary: String,
    },
}

/// Shows the run at the other end of `link` until somebody leaves. What is written to fd 2 meanwhile goes to `log`.
/// `trainer` is the name of the trainer's thread, if it is in this process: its panic is an event, not the screen's end.
///
/// # Errors
/// Whatever the terminal says. It is given back in any case.
pub fn run(link: CockpitEnd, appearance: Appearance, log: &Path, trainer: &'static str) -> io::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut app = App::new(appearance);
    let (guard, mut screen) = Guard::take(log, trainer)?;
    let outcome = runtime.block_on(drive(&mut app, link, &mut screen));
    drop(guard);
    outcome?;
    let summary = app.dashboard.summary.clone().unwrap_or_else(|| "The run was left before its end".into());
    Ok(match app.dashboard.state {
        RunState::Finished { stopped: false } => Ended::Finished { summary },
        _ => Ended::Stopped { summary },
    })
}

async fn drive(app: &mut App, mut link: CockpitEnd, screen: &mut Screen) -> io::Result<()> {
    let mut keys = EventStream::new();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut frames = Frames::new(app.appearance.frame);
    let mut connected = true;
    loop {
        let due = frames.due(Instant::now());
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                frames.drawn(Instant::now());
                draw_frame(app, screen)?;
            }
            event = keys.next() => {
                let Some(event) = event.transpose()? else { return Ok(()) };
                frames.mark();
                match app.handle(&event) {
                    Effect::None => {}
                    Effect::Leave => return Ok(()),
                    Effect::Send(command) => {
                        if !link.send(command) {
                            app.dashboard.say(dashboard::Tone::Bad, "the trainer does not answer".into());
                        }
                    }
                }
            }
            record = link.next(), if connected => match record {
                Some(record) => {
                    frames.mark();
                    if app.hear(record) {
                        return Ok(());
                    }
                }
                None => connected = false,
            },
            _ = hangup.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
    }
}

/// One frame inside a synchronized update (DEC 2026), so that no terminal shows half of it.
fn draw_frame(app: &App, screen: &mut Screen) -> io::Result<()> {
    queue!(screen.backend_mut(), BeginSynchronizedUpdate)?;
    screen.draw(|frame| draw(frame, app))?;
    queue!(screen.backend_mut(), EndSynchronizedUpdate)?;
    io::Write::flush(screen.backend_mut())
}
