//! The terminal while the cockpit has it: raw mode and the alternate screen, given back whatever
//! happens, and fd 2 turned into a log so that nothing native code says lands on the screen.

pub mod canvas;
pub mod frames;
pub mod watchdog;

use canvas::Canvas;
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::Terminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;

/// What the cockpit draws on. A frame is written in one piece.
pub type Screen = Terminal<Canvas>;

/// Columns and rows of a terminal that does not know how large it is.
const USUAL: (u16, u16) = (80, 24);
/// A terminal that takes nothing for so long is not waited for when it is given back.
const STALLED: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Presses and the wheel are told, not every move: that would be much on a slow line.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";
/// The alternate screen, empty, without a cursor; pasted text is told apart from keys.
/// `Terminal::clear` would ask the terminal where its cursor is, and some never answer.
const TAKE: &str = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?2004h";
const GIVE_BACK: &str = "\x1b[?2004l\x1b[?1049l\x1b[?25h";

/// The real stderr while fd 2 is the log; `Some` exactly while the cockpit has the terminal.
static TAKEN: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Has the terminal; gives it back when dropped.
#[derive(Debug)]
pub struct Guard {
    log: File,
    mouse: bool,
}

impl Guard {
    /// Takes the terminal. From here on fd 2 is `log`. A panic of the thread called `spared` leaves
    /// the screen as it is.
    pub fn take(log: &Path, spared: Option<&'static str>) -> io::Result<(Self, Screen)> {
        // A disk that takes nothing is no reason not to look at a run.
        let log = OpenOptions::new().create(true).append(true).open(log);
        let log = log.or_else(|_| OpenOptions::new().append(true).open("/dev/null"))?;
        install_panic_hook(spared);
        let mut guard = Self { log, mouse: false };
        let screen = guard.take_again()?;
        Ok((guard, screen))
    }

    /// Takes the terminal, whatever state it is in. The screen is empty and to be drawn as a whole.
    pub fn take_again(&mut self) -> io::Result<Screen> {
        enable_raw_mode()?;
        let mut taken = lock();
        if taken.is_none() {
            *taken = Some(rustix::io::dup(rustix::stdio::stderr())?);
        }
        drop(taken); // from here on whatever fails gives everything back
        rustix::stdio::dup2_stderr(&self.log)?;
        let mut canvas = Canvas::new();
        canvas.write_all(TAKE.as_bytes())?;
        if self.mouse {
            canvas.write_all(MOUSE_ON.as_bytes())?;
        }
        canvas.flush()?;
        Terminal::new(canvas)
    }

    /// Listens to the mouse, or leaves it to the terminal.
    pub fn listen_to_mouse(&mut self, screen: &mut Screen, on: bool) -> io::Result<()> {
        self.mouse = on;
        say(screen, if on { MOUSE_ON } else { MOUSE_OFF })
    }

    /// Gives the terminal back, stops this process (and, like the terminal's own ctrl-z, those
    /// started with it), and takes the terminal again when it goes on.
    pub fn suspend(&mut self, whole_group: bool) -> io::Result<Screen> {
        use rustix::process::{Signal, getpid, kill_current_process_group, kill_process};
        give_back();
        let stop = Signal::STOP;
        if whole_group { kill_current_process_group(stop) } else { kill_process(getpid(), stop) }?;
        self.take_again()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

/// Writes this to the terminal, now.
pub fn say(screen: &mut Screen, text: &str) -> io::Result<()> {
    let canvas = screen.backend_mut();
    canvas.write_all(text.as_bytes())?;
    canvas.flush()
}

/// Columns and rows of the terminal; those of the usual one where it does not know them.
pub fn size() -> (u16, u16) {
    let known = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let or = |told: Option<u16>, usual| told.filter(|n| *n > 0).unwrap_or(usual);
    (or(known.map(|s| s.ws_col), USUAL.0), or(known.map(|s| s.ws_row), USUAL.1))
}

/// Width and height of a character in pixels, where the system knows them.
pub fn cell() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    let cell = (size.ws_xpixel.checked_div(size.ws_col)?, size.ws_ypixel.checked_div(size.ws_row)?);
    (cell.0 > 0 && cell.1 > 0).then_some(cell)
}

/// Whether this error says that nobody is at the other end of the terminal any more.
pub fn is_gone(e: &io::Error) -> bool {
    let gone = [Errno::IO, Errno::NXIO, Errno::PIPE, Errno::NODEV];
    e.raw_os_error().is_some_and(|code| gone.iter().any(|errno| errno.raw_os_error() == code))
}

/// Gives the terminal and stderr back, once; harmless when called again, and from any thread.
/// Neither a terminal that is gone nor one that takes nothing keeps it.
pub fn give_back() {
    let Some(stderr) = lock().take() else { return };
    let _ = disable_raw_mode();
    let mut rest = [MOUSE_OFF, GIVE_BACK].concat().into_bytes();
    while !rest.is_empty() && takes_bytes() {
        match rustix::io::write(rustix::stdio::stdout(), &rest) {
            Ok(n) => drop(rest.drain(..n)),
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    let _ = rustix::stdio::dup2_stderr(&stderr);
}

fn takes_bytes() -> bool {
    let stdout = rustix::stdio::stdout();
    poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], Some(&STALLED)).is_ok_and(|n| n > 0)
}

fn lock() -> std::sync::MutexGuard<'static, Option<OwnedFd>> {
    TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A panic anywhere leaves its report in the log, gives the terminal back, and prints the report
/// there too. That of the spared thread is only logged: whoever watches it tells of it on the
/// screen.
fn install_panic_hook(spared: Option<&'static str>) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            let taken = lock().is_some();
            if taken && (spared.is_none() || std::thread::current().name() != spared) {
                give_back();
                report(panic);
            }
        }));
    });
}
