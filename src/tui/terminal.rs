//! The terminal while the cockpit has it: raw mode and the alternate screen, given back whatever happens, and fd 2 turned
//! into a log so that nothing native code says lands on the screen.

use crossterm::style::Print;
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Stdout, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the cockpit draws on. A frame is written in one piece.
pub(super) type Screen = Terminal<CrosstermBackend<BufWriter<Counted>>>;

/// The terminal's output, with a count of what goes there.
#[derive(Debug)]
pub(super) struct Counted(Stdout);

/// Bytes written to the terminal by this process so far.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// See [`WRITTEN`].
pub(super) fn written() -> u64 {
    WRITTEN.load(Ordering::Relaxed)
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.0.write(bytes)?;
        WRITTEN.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Presses and the wheel are told, not every move: that would be much on a slow line.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";

/// The real stderr while fd 2 is the log; `Some` exactly while the cockpit has the terminal.
static TAKEN: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Has the terminal; gives it back when dropped.
#[derive(Debug)]
pub(super) struct Guard {
    log: File,
    mouse: bool,
}

impl Guard {
    /// Takes the terminal. From here on fd 2 is `log`. A panic of the thread called `spared` leaves the screen as it is.
    pub(super) fn take(log: &Path, spared: Option<&'static str>) -> io::Result<(Self, Screen)> {
        // A disk that takes nothing is no reason not to look at a run.
        let log = OpenOptions::new().create(true).append(true).open(log);
        let log = log.or_else(|_| OpenOptions::new().append(true).open("/dev/null"))?;
        install_panic_hook(spared);
        let mut guard = Self { log, mouse: false };
        let screen = guard.take_again()?;
        Ok((guard, screen))
    }

    /// Takes the terminal, whatever state it is in. The screen is empty and to be drawn as a whole.
    pub(super) fn take_again(&mut self) -> io::Result<Screen> {
        enable_raw_mode()?;
        let mut taken = lock();
        if taken.is_none() {
            *taken = Some(rustix::io::dup(rustix::stdio::stderr())?);
        }
        drop(taken); // from here on whatever fails gives everything back
        rustix::stdio::dup2_stderr(&self.log)?;
        let mut out = BufWriter::with_capacity(1 << 16, Counted(io::stdout()));
        // `Terminal::clear` would ask the terminal where its cursor is, and some never answer.
        execute!(out, EnterAlternateScreen, Clear(ClearType::All), cursor::Hide)?;
        if self.mouse {
            execute!(out, Print(MOUSE_ON))?;
        }
        Terminal::new(CrosstermBackend::new(out))
    }

    /// Listens to the mouse, or leaves it to the terminal.
    pub(super) fn listen_to_mouse(&mut self, screen: &mut Screen, on: bool) -> io::Result<()> {
        self.mouse = on;
        execute!(screen.backend_mut(), Print(if on { MOUSE_ON } else { MOUSE_OFF }))
    }

    /// Gives the terminal back, stops this process (and, like the terminal's own ctrl-z, those started with it), and takes the
    /// terminal again when it goes on.
    pub(super) fn suspend(&mut self, whole_group: bool) -> io::Result<Screen> {
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

/// Gives the terminal and stderr back, once; harmless when called again.
fn give_back() {
    let Some(stderr) = lock().take() else { return };
    let mut out = io::stdout();
    // Nothing sensible can be done about a terminal that is gone.
    let _ = execute!(out, Print(MOUSE_OFF), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
    let _ = out.flush();
    let _ = rustix::stdio::dup2_stderr(&stderr);
}

fn lock() -> std::sync::MutexGuard<'static, Option<OwnedFd>> {
    TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A panic anywhere leaves its report in the log, gives the terminal back, and prints the report there too. That of the spared
/// thread is only logged: whoever watches it tells of it on the screen.
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
