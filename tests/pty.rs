//! One real run in a real terminal: it draws, pauses, takes a new E, survives a resize and a stray write, and gives the
//! terminal back.

use portable_pty::{CommandBuilder, NativePtySystem, PtySize, PtySystem};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for a screen; a slow machine needs seconds, a hang needs an end.
const PATIENCE: Duration = Duration::from_secs(120);

struct Screen {
    parser: vt100::Parser,
    bytes: Receiver<Vec<u8>>,
    raw: Vec<u8>,
}

impl Screen {
    /// Reads until the screen satisfies `done`.
    fn wait(&mut self, what: &str, done: impl Fn(&str) -> bool) -> String {
        loop {
            let text = self.parser.screen().contents();
            if done(&text) {
                return text;
            }
            match self.bytes.recv_timeout(PATIENCE) {
                Ok(bytes) => {
                    self.parser.process(&bytes);
                    self.raw.extend(bytes);
                }
                Err(e) => panic!("{what}: {e}; the screen is\n{text}"),
            }
        }
    }
}

#[test]
fn a_real_terminal_run() {
    let dir = tempfile::tempdir().unwrap();
    let size = |cols, rows| PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
    let pty = NativePtySystem::default().openpty(size(80, 24)).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_earlybird"));
    command.args(["train", "--set", "train.epochs=500", "--set", "data.train_limit=500", "--set", "data.test_limit=100"]);
    command.args(["--runs-dir", dir.path().to_str().unwrap()]);
    command.cwd(env!("CARGO_MANIFEST_DIR"));
    command.env("TERM", "xterm-256color");
    command.env("LANG", "C.UTF-8");
    let mut child = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().unwrap();
    let mut keys = pty.master.take_writer().unwrap();
    let (send, bytes) = channel();
    std::thread::spawn(move || {
        let mut block = [0; 1 << 14];
        while let Ok(n @ 1..) = reader.read(&mut block) {
            if send.send(block[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut screen = Screen { parser: vt100::Parser::new(24, 80, 0), bytes, raw: Vec::new() };

    screen.wait("training", |s| s.contains("TRAINING") && s.contains("images/s") && s.contains("class frequencies"));
    keys.write_all(b" ").unwrap();
    screen.wait("pause", |s| s.contains("PAUSED") && s.contains("go on"));
    keys.write_all(b"e").unwrap();
    screen.wait("prompt", |s| s.contains("pretraining epochs E"));
    keys.write_all(b"777").unwrap();
    screen.wait("a bad E", |s| s.contains("is beyond train.epochs"));
    keys.write_all(b"\x7f\x7f\r").unwrap();
    screen.wait("a new E", |s| s.contains("E: 3 -> 7"));
    // A child of the program inherits its fd 2: what it writes there is a stray write.
    let pid = child.process_id().unwrap();
    std::fs::OpenOptions::new()
        .append(true)
        .open(format!("/proc/{pid}/fd/2"))
        .unwrap()
        .write_all(b"STRAY NATIVE WARNING\n")
        .unwrap();
    keys.write_all(b" ").unwrap();
    screen.wait("going on", |s| s.contains("resumed"));
    pty.master.resize(size(120, 36)).unwrap();
    screen.parser.screen_mut().set_size(36, 120);
    let text = screen.wait("resize", |s| s.lines().count() == 36 && s.lines().last().is_some_and(|l| l.contains("exponent")));
    assert!(!text.contains("STRAY"), "{text}");
    keys.write_all(b"q").unwrap();
    screen.wait("the question", |s| s.contains("Stop the run?"));
    keys.write_all(b"s").unwrap();
    screen.wait("the end", |s| s.contains("Kept in"));
    assert_eq!(child.wait().unwrap().exit_code(), 130);
    assert!(!screen.parser.screen().alternate_screen() && !screen.parser.screen().hide_cursor());
    let raw = String::from_utf8_lossy(&screen.raw).into_owned();
    let count = |part: &str| raw.matches(part).count();
    assert!(count("\x1b[?2026h") > 3 && count("\x1b[?2026h") == count("\x1b[?2026l"), "frames are synchronized updates");
    let log = std::fs::read_to_string(dir.path().join("demo-001/host.log")).unwrap();
    assert!(log.contains("STRAY NATIVE WARNING"), "{log}");
}
