//! One real run in a real terminal: it draws, pauses, takes a new E, survives a resize and a stray
//! write, and gives the terminal back.

use crate::support::Runs;
use crate::terminal::Terminal;
use crossterm::event::KeyCode;
use earlybird::tui::{Action, Key, Keymap, Tab, tab_keys};
use std::io::Write;

const LONG: [&str; 6] = [
    "--set",
    "train.epochs=100000",
    "--set",
    "data.train_limit=500",
    "--set",
    "data.test_limit=100",
];

#[test]
fn a_real_terminal_run() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &[&["train", "--inline"][..], &LONG].concat());
    t.wait("training", |s| {
        s.contains("TRAINING") && s.contains("images/s") && s.contains("class frequencies")
    });
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
    std::fs::OpenOptions::new()
        .append(true)
        .open(stderr)
        .unwrap()
        .write_all(b"STRAY NATIVE WARNING\n")
        .unwrap();
    t.press(" ");
    t.wait("going on", |s| s.contains("resumed"));
    t.resize(120, 36);
    let text = t.wait("resize", |s| {
        s.lines().count() == 36 && s.lines().last().is_some_and(|l| l.contains("b bias"))
    });
    assert!(!text.contains("STRAY"), "{text}");
    t.press("q");
    t.wait("the question", |s| s.contains("Stop the run?"));
    t.press("s");
    t.wait("the end", |s| s.contains("Kept in"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 130);
    assert!(t.is_given_back());
    let raw = String::from_utf8_lossy(&t.raw).into_owned();
    let count = |part: &str| raw.matches(part).count();
    assert!(
        count("\x1b[?2026h") > 3 && count("\x1b[?2026h") == count("\x1b[?2026l"),
        "frames are synchronized updates"
    );
    let log = std::fs::read_to_string(runs.path().join("demo-001/host.log")).unwrap();
    assert!(log.contains("STRAY NATIVE WARNING"), "{log}");
}

/// What a terminal sends for a key.
fn sent(key: Key) -> String {
    let named = |code: KeyCode, modifier: &str| match code {
        KeyCode::Up => format!("\x1b[{modifier}A"),
        KeyCode::Down => format!("\x1b[{modifier}B"),
        KeyCode::Right => format!("\x1b[{modifier}C"),
        KeyCode::Left => format!("\x1b[{modifier}D"),
        KeyCode::Home => "\x1b[H".into(),
        KeyCode::End => "\x1b[F".into(),
        KeyCode::PageUp => "\x1b[5~".into(),
        KeyCode::PageDown => "\x1b[6~".into(),
        KeyCode::Enter => "\r".into(),
        KeyCode::Tab => "\t".into(),
        KeyCode::BackTab => "\x1b[Z".into(),
        KeyCode::Esc => ESCAPE.into(),
        other => panic!("a terminal's bytes for {other:?} are not known here"),
    };
    match key {
        Key::Char(c) => c.to_string(),
        Key::Ctrl(c) => char::from(c as u8 & 0x1f).to_string(),
        Key::Named(code) => named(code, ""),
        Key::Shift(code) => named(code, "1;2"),
    }
}

/// Two escapes are one key, whatever comes after them.
const ESCAPE: &str = "\x1b\x1b";

#[test]
fn every_key_of_the_table_on_every_tab_leaves_a_cockpit_that_answers() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &[&["train", "--inline"][..], &LONG].concat());
    t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
    t.resize(120, 36);
    for (k, tab) in Tab::ALL.into_iter().enumerate() {
        for (binding, _) in Keymap::new(&tab_keys()).rows() {
            if matches!(binding.run, Action::Quit | Action::Suspend | Action::Play(_)) {
                continue; // they are pressed elsewhere
            }
            for key in binding.on {
                t.press(&format!("{}{}{ESCAPE}", k + 1, sent(*key)));
            }
        }
        // A message would soon give way to the next one; a filter stays.
        t.press(&format!("{}:filter tab {k}\r", k + 1));
        t.wait("an answer", |s| s.contains(&format!("only: tab {k}")) && s.contains(tab.name()));
    }
    t.press("qs");
    t.wait("the end", |s| s.contains("Kept in"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 130);
    assert!(t.is_given_back());
    let log = std::fs::read_to_string(runs.path().join("demo-001/host.log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_light_terminal_gets_the_light_theme_and_what_it_answers_is_no_key() {
    let runs = Runs::new();
    let mut t = Terminal::start_asked(runs.path(), &[&["train", "--inline"][..], &LONG].concat());
    t.wait_for_bytes(b"\x1b]11;?");
    t.press("\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;22c");
    t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
    t.press("t");
    t.wait("the theme after light", |s| s.contains("theme high-contrast"));
    t.press("qs");
    t.wait("the end", |s| s.contains("Kept in"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 130);
}

#[test]
fn a_wrong_keymap_is_told_with_both_names_before_the_screen_and_on_it_and_the_usual_keys_hold() {
    let runs = Runs::new();
    let config = runs.path().join("config/earlybird");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("cockpit.toml"), "[keys]\ntheme = [\"e\"]\n").unwrap();
    let mut t = Terminal::start(runs.path(), &[&["train", "--inline"][..], &LONG].concat());
    t.wait("the reason on the screen", |s| s.contains("TRAINING") && s.contains("cockpit.toml"));
    let before = String::from_utf8_lossy(&t.raw).split("\x1b[?1049h").next().unwrap().to_owned();
    for part in ["set-e", "theme", "cockpit.toml", "give one of them another key"] {
        assert!(before.contains(part), "{before}");
    }
    t.press("e");
    t.wait("the usual key", |s| s.contains("pretraining epochs E"));
    t.press("\x03qs");
    assert_eq!(t.end(), 130);
}

#[test]
fn the_end_is_summed_up_on_the_screen_rung_and_said_again_on_the_normal_screen() {
    let runs = Runs::new();
    let small = [
        "--set",
        "train.epochs=1",
        "--set",
        "importance.pretrain_epochs=1",
        "--set",
        "data.train_limit=300",
    ];
    let mut t = Terminal::start(
        runs.path(),
        &[&["train", "--inline", "--notify", "desktop"][..], &small].concat(),
    );
    t.wait("the summary", |s| {
        s.contains("any other key looks on") && s.contains("earlybird report demo-001")
    });
    t.press("q");
    let text = t.wait("the last words", |s| s.contains("Kept in"));
    assert!(text.contains("finished after 1 epochs") && text.contains("report demo-001"), "{text}");
    assert!(t.child.wait().unwrap().success() && t.is_given_back());
    let raw = String::from_utf8_lossy(&t.raw).into_owned();
    assert!(raw.contains("\x1b]9;earlybird: demo-001 is over: best"), "a notification");
}
