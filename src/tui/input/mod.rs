//! What comes from the terminal: keys, the mouse, pasted text, resizes, and answers to what it was
//! asked. Bytes are read here, not by crossterm, which takes an answer that it does not know, or
//! half of one, for keys.

mod action;
mod answers;
mod bindings;
mod decode;
pub mod key;
pub mod keymap;
mod scanner;
#[cfg(test)]
mod tests;

pub use answers::{ASK_BACKGROUND, ASK_KIND, Answer};
pub use bindings::row;

use crate::tui::terminal;
use crate::tui::terminal::frames::until;
use crossterm::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use scanner::{Scanner, Token};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The first frame waits so long for what was asked: one that changes its colours at once would
/// flicker.
const FIRST_FRAME: Duration = Duration::from_millis(60);
// A terminal that says nothing is not to be noticed.
const _: () = assert!(FIRST_FRAME.as_millis() <= 100);
/// A terminal that has not answered by then is taken for one that does not. (What it says later
/// counts all the same.)
const SILENT: Duration = Duration::from_secs(10);

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Something that a person did.
    Event(Event),
    /// What the terminal says of itself.
    Answer(Answer),
}

/// The terminal's side of the conversation.
#[derive(Debug)]
pub struct Input {
    terminal: AsyncFd<OwnedFd>,
    resized: Signal,
    scanner: Scanner,
    /// Since when an answer is owed.
    asked: Option<Instant>,
    heard: VecDeque<Heard>,
}

impl Input {
    /// Listens to standard input, which is a terminal in raw mode; `asked`: it was asked something
    /// just now.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn new(asked: bool) -> io::Result<Self> {
        let terminal = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        // SAFETY: the descriptor is owned, and is neither replaced nor closed while this lives.
        let terminal = unsafe { AsyncFd::register_with_interest(terminal, Interest::READABLE) }?;
        let mut scanner = Scanner::default();
        scanner.expect(asked);
        Ok(Self {
            terminal,
            resized: signal(SignalKind::window_change())?,
            scanner,
            asked: asked.then(Instant::now),
            heard: VecDeque::new(),
        })
    }

    /// Until when a first frame should wait; `None`: not at all.
    pub fn first_frame(&self) -> Option<Instant> {
        self.asked.map(|asked| asked + FIRST_FRAME)
    }

    /// What is heard next; `None` when the terminal is gone. Nothing is lost when it is not waited
    /// for.
    ///
    /// # Errors
    /// Whatever the terminal says.
    pub async fn next(&mut self) -> io::Result<Option<Heard>> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(Some(heard));
            }
            let silent = self.asked.map(|asked| asked + SILENT);
            let deadline = [self.scanner.deadline(), silent].into_iter().flatten().min();
            tokio::select! {
                biased;
                _ = self.resized.recv() => {
                    let (columns, rows) = terminal::size();
                    return Ok(Some(Heard::Event(Event::Resize(columns, rows))));
                }
                bytes = read(&self.terminal) => match bytes? {
                    Some(bytes) => {
                        let tokens = self.scanner.feed(&bytes, Instant::now());
                        self.understand(&tokens);
                    }
                    None => return Ok(None),
                },
                () = until(deadline) => {
                    let now = Instant::now();
                    if silent.is_some_and(|silent| silent <= now) {
                        self.owes_nothing();
                    }
                    let tokens = self.scanner.pass(now);
                    self.understand(&tokens);
                }
            }
        }
    }

    fn understand(&mut self, tokens: &[Token]) {
        for token in tokens {
            if let Some(answer) = answers::answer(token) {
                if answer.is_last() {
                    self.owes_nothing();
                }
                self.heard.push_back(Heard::Answer(answer));
            } else {
                self.heard.extend(decode::event(token).map(Heard::Event));
            }
        }
    }

    fn owes_nothing(&mut self) {
        self.asked = None;
        self.scanner.expect(false);
    }
}

impl Drop for Input {
    /// An answer that is there, but was not read, is nothing for the shell.
    fn drop(&mut self) {
        if self.asked.is_some() {
            let _ = rustix::termios::tcflush(
                self.terminal.as_fd(),
                rustix::termios::QueueSelector::IFlush,
            );
        }
    }
}

/// Some bytes; `None` when the terminal is gone.
async fn read(terminal: &AsyncFd<OwnedFd>) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut guard = terminal.readable().await?;
        // Other programs share the terminal, so it is not made non-blocking.
        match guard.try_io(|terminal| {
            if has_bytes(terminal) {
                read_now(terminal)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }) {
            Ok(bytes) => return bytes,
            Err(_nothing_yet) => {}
        }
    }
}

fn read_now(terminal: &AsyncFd<OwnedFd>) -> io::Result<Option<Vec<u8>>> {
    let mut block = [0; 4096];
    loop {
        match rustix::io::read(terminal.get_ref(), &mut block) {
            Ok(0) | Err(rustix::io::Errno::IO | rustix::io::Errno::NXIO) => return Ok(None),
            Ok(n) => return Ok(Some(block[..n].to_vec())),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Whether a read would not wait: there are bytes, or nobody is at the other end any more.
fn has_bytes(terminal: &AsyncFd<OwnedFd>) -> bool {
    let fd = terminal.as_fd();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0)
}
