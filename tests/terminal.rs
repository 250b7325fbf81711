//! A real terminal for tests: a pty with a parser of what is written to it. Waits for screens,
//! never for time.

use crate::environment;
use portable_pty::{Child, CommandBuilder, MasterPty, NativePtySystem, PtySize, PtySystem};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for a screen, in seconds; a slow machine needs some, a hang needs an end.
const PATIENCE: i64 = 120;

/// A program in a terminal of its own.
pub struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    pub child: Box<dyn Child + Send + Sync>,
    parser: vt100::Parser,
    pub raw: Vec<u8>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Drop for Terminal {
    /// Whatever a test that fails leaves running would take the processors from all others.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// Starts `earlybird` with `args` and `--runs-dir runs` in a terminal of 80x24 whose background
    /// is known to be dark.
    pub fn start(runs: &Path, args: &[&str]) -> Self {
        Self::start_with(runs, args, &[("COLORFGBG", "15;0")])
    }

    /// The same in a terminal that is asked for its background.
    pub fn start_asked(runs: &Path, args: &[&str]) -> Self {
        Self::start_with(runs, args, &[])
    }

    /// The same in a terminal with these variables.
    pub fn start_with(runs: &Path, args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_sized(size(80, 24), runs, args, variables)
    }

    /// The same in a terminal that does not know its size, with a dark background.
    pub fn start_without_size(runs: &Path, args: &[&str]) -> Self {
        Self::start_sized(size(0, 0), runs, args, &[("COLORFGBG", "15;0")])
    }

    fn start_sized(size: PtySize, runs: &Path, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let pty = NativePtySystem::default().openpty(size).unwrap();
        let mut command = CommandBuilder::new(environment::EARLYBIRD);
        command.args(args);
        command.args(["--runs-dir", runs.to_str().unwrap()]);
        command.cwd(env!("CARGO_MANIFEST_DIR"));
        command.env_clear();
        environment::variables().for_each(|(name, value)| command.env(name, value));
        command.env("XDG_CONFIG_HOME", runs.join("config"));
        command.env("XDG_STATE_HOME", runs.join("state"));
        variables.iter().for_each(|(name, value)| command.env(name, value));
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let keys = pty.master.take_writer().unwrap();
        let parser = vt100::Parser::new(24, 80, 0);
        Self { master: Some(pty.master), keys: Some(keys), child, parser, raw: Vec::new() }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.master.as_ref().unwrap().resize(size(columns, rows)).unwrap();
        self.parser.screen_mut().set_size(rows, columns);
    }

    /// Reads until the screen satisfies `done`.
    pub fn wait(&mut self, what: &str, done: impl Fn(&str) -> bool) -> String {
        self.wait_for(what, |screen| done(&screen.contents()))
    }

    /// Reads until the parsed screen satisfies `done`; gives its text.
    pub fn wait_for(&mut self, what: &str, done: impl Fn(&vt100::Screen) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(PATIENCE as u64);
        loop {
            let screen = self.parser.screen();
            if done(screen) {
                return screen.contents();
            }
            // A screen that goes on changing is no reason to wait for ever.
            match self.read().filter(|_| Instant::now() < deadline) {
                Some(bytes) => {
                    self.parser.process(&bytes);
                    self.raw.extend(bytes);
                }
                None => panic!(
                    "{what} did not come; the screen is\n{}",
                    self.parser.screen().contents()
                ),
            }
        }
    }

    /// Reads until the program has written these bytes.
    pub fn wait_for_bytes(&mut self, wanted: &[u8]) {
        let deadline = Instant::now() + Duration::from_secs(PATIENCE as u64);
        while !self.raw.windows(wanted.len()).any(|w| w == wanted) {
            let bytes = self.read().filter(|_| Instant::now() < deadline);
            let Some(bytes) = bytes else { panic!("{} did not come", wanted.escape_ascii()) };
            self.parser.process(&bytes);
            self.raw.extend(bytes);
        }
    }

    /// What the program writes next; `None` when it has ended, or nothing comes. No thread reads
    /// meanwhile: that would keep the terminal's end open when it is to be hung up, and a screen
    /// that nobody reads is a slow line.
    fn read(&self) -> Option<Vec<u8>> {
        let master = self.master.as_ref()?.as_raw_fd()?;
        // SAFETY: `self.master` owns the descriptor, and lives through this call.
        let fd = unsafe { BorrowedFd::borrow_raw(master) };
        let patience = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&patience)).ok()? == 0 {
            return None;
        }
        let mut block = [0; 1 << 14];
        let n = rustix::io::read(fd, &mut block).ok().filter(|n| *n > 0)?;
        Some(block[..n].to_vec())
    }

    /// Whether the program gave the terminal back: the screen, the cursor, pasted text, the mouse,
    /// and lines as the shell knows them.
    pub fn is_given_back(&self) -> bool {
        let screen = self.parser.screen();
        let drawn = screen.alternate_screen() || screen.hide_cursor() || screen.bracketed_paste();
        !drawn && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None && self.is_cooked()
    }

    fn is_cooked(&self) -> bool {
        let master = self.master.as_ref().and_then(|m| m.as_raw_fd()).unwrap();
        // SAFETY: `self.master` owns the descriptor, and lives through this call.
        let modes = rustix::termios::tcgetattr(unsafe { BorrowedFd::borrow_raw(master) })
            .unwrap()
            .local_modes;
        modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO)
    }

    /// Reads to the end of the program; gives its exit code.
    pub fn end(&mut self) -> u32 {
        while let Some(bytes) = self.read() {
            self.parser.process(&bytes);
            self.raw.extend(bytes);
        }
        self.child.wait().unwrap().exit_code()
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap()
    }

    pub fn kill(&self, signal: rustix::process::Signal) {
        crate::support::send_signal(self.pid(), signal);
    }

    /// The line is cut: both ends of the terminal's cable are gone, and whoever is on it is hung up
    /// on.
    pub fn hang_up(&mut self) {
        self.keys = None;
        self.master = None;
    }
}
