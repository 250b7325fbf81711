//! What every loop does with the terminal: asks it, hears of it, draws frames, rings.

use super::input::Input;
use super::look::preferences::Notify;
use super::terminal::frames::Frames;
use super::terminal::{self, Screen};
use crate::signals::Ending;
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that concern a terminal.
pub struct Signals {
    /// Those after which it is given back.
    pub ending: Ending,
    pub stop: Signal,
    pub go_on: Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let from_raw = |s: rustix::process::Signal| signal(SignalKind::from_raw(s.as_raw()));
        Ok(Self {
            ending: Ending::new()?,
            stop: from_raw(rustix::process::Signal::TSTP)?,
            go_on: from_raw(rustix::process::Signal::CONT)?,
        })
    }
}

/// Asks the terminal `questions`, if there are any, and listens to it from then on. The first frame
/// waits a moment for answers.
pub fn ask(screen: &mut Screen, questions: &str, frames: &mut Frames) -> io::Result<Input> {
    let input = Input::new(!questions.is_empty())?;
    terminal::say(screen, questions)?;
    frames.hold(input.first_frame());
    Ok(input)
}

/// Tells somebody who does not look at the screen.
pub fn tell(screen: &mut Screen, notify: Notify, text: &str) -> io::Result<()> {
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
pub fn draw_with(
    screen: &mut Screen,
    draw: impl FnOnce(&mut ratatui::Frame<'_>),
) -> io::Result<()> {
    queue!(screen.backend_mut(), BeginSynchronizedUpdate)?;
    screen.draw(draw)?;
    queue!(screen.backend_mut(), EndSynchronizedUpdate)?;
    io::Write::flush(screen.backend_mut())
}
