//! One real run in a real terminal: it draws, pauses, takes a new E, survives a resize and a stray write, and gives the
//! terminal back.

use crate::support::Runs;
use crate::terminal::Terminal;
use std::io::Write;

const LONG: [&str; 6] = ["--set", "train.epochs=100000", "--set", "data.train_limit=500", "--set", "data.test_limit=100"];

#[test]
fn a_real_terminal_run() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &[&["train", "--inline"][..], &LONG].concat());
    t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s") && s.contains("class frequencies"));
    t.press(" ");
    t.wait("pause", |s| s.contains("PAUSED") && s.contains("go on"));
    t.press("e");
    t.wait("prompt", |s| s.contains("pretraining epochs E"));
    t.press("777777");
    t.wait("a bad E", |s| s.contains("is not allowed") || s.contains("expected a whole number"));
    t.press("\x7f\x7f\x7f\x7f\x7f\r");
    t.wait("a new E", |s| s.contains("E: 3 -> 7"));
    // Whatever native code writes to the program's fd 2 is a stray write.
    let stderr = format!("/proc/{}/fd/2", t.child.process_id().unwrap());
    std::fs::OpenOptions::new().append(true).open(stderr).unwrap().write_all(b"STRAY NATIVE WARNING\n").unwrap();
    t.press(" ");
    t.wait("going on", |s| s.contains("resumed"));
    t.resize(120, 36);
    let text = t.wait("resize", |s| s.lines().count() == 36 && s.lines().last().is_some_and(|l| l.contains("exponent")));
    assert!(!text.contains("STRAY"), "{text}");
    t.press("q");
    t.wait("the question", |s| s.contains("Stop the run?"));
    t.press("s");
    t.wait("the end", |s| s.contains("Kept in"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 130);
    assert!(t.is_given_back());
    let raw = String::from_utf8_lossy(&t.raw).into_owned();
    let count = |part: &str| raw.matches(part).count();
    assert!(count("\x1b[?2026h") > 3 && count("\x1b[?2026h") == count("\x1b[?2026l"), "frames are synchronized updates");
    let log = std::fs::read_to_string(runs.path().join("demo-001/host.log")).unwrap();
    assert!(log.contains("STRAY NATIVE WARNING"), "{log}");
}
