//! The terminal while the cockpit has it: raw mode and the alternate screen, given back whatever happens, and fd 2 turned
//! into a log so that nothing native code says lands on the screen.

use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Stdout, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;

/// What the cockpit draws on. A frame is written in one piece.
pub(super) type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// The real stderr while fd 2 is the log; `Some` exactly while the cockpit has the terminal.
static TAKEN: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Has the terminal; gives it back when dropped.
#[derive(Debug)]
pub(super) struct Guard(());

impl Guard {
    /// Takes the terminal. From here on fd 2 is `log`. A panic of the thread called `spared` leaves the screen as it is.
    pub(super) fn take(log: &Path, spared: &'static str) -> io::Result<(Self, Screen)> {
        let stderr = rustix::io::dup(rustix::stdio::stderr())?;
        let log: File = OpenOptions::new().create(true).append(true).open(log)?;
        enable_raw_mode()?;
        *lock() = Some(stderr);
        let guard = Self(()); // from here on whatever fails gives everything back
        rustix::stdio::dup2_stderr(&log)?;
        install_panic_hook(spared);
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout());
        execute!(out, EnterAlternateScreen, cursor::Hide)?;
        // The alternate screen begins empty; `clear` would ask the terminal where its cursor is, and some never answer.
        Ok((guard, Terminal::new(CrosstermBackend::new(out))?))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal and stderr back, once; harmless when called again.
fn give_back() {
    let Some(stderr) = lock().take() else { return };
    let mut out = io::stdout();
    // Nothing sensible can be done about a terminal that is gone.
    let _ = execute!(out, LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
    let _ = out.flush();
    let _ = rustix::stdio::dup2_stderr(&stderr);
}

fn lock() -> std::sync::MutexGuard<'static, Option<OwnedFd>> {
    TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A panic anywhere leaves its report in the log, gives the terminal back, and prints the report there too. That of the spared
/// thread is only logged: whoever watches it tells of it on the screen.
fn install_panic_hook(spared: &'static str) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            let taken = lock().is_some();
            if taken && std::thread::current().name() != Some(spared) {
                give_back();
                report(panic);
            }
        }));
    });
}
