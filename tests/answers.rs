//! What a terminal sends besides keys: answers that come late and in pieces, and pasted text. And
//! terminals that say nothing, have no size, or only print.

use crate::environment::program;
use crate::support::{Runs, small_args};
use crate::terminal::Terminal;
use earlybird::protocol::{CheckpointKind, Event, Topic, Verb};
use std::time::Duration;

/// A run in its first of 200 epochs of pretraining, with all the time there is.
const LONG: [&str; 9] = [
    "train",
    "--inline",
    "--set",
    "train.epochs=100000",
    "--set",
    "importance.pretrain_epochs=50000",
    "--set",
    "data.train_limit=500",
    "--seed=1",
];

/// Commands that the trainer was given, but for the stop at the end.
fn commands(runs: &Runs) -> Vec<Event> {
    let journal =
        earlybird::run::read_journal(&runs.path().join("demo-001/journal.jsonl")).unwrap().records;
    let asked = |e: &Event| match e {
        Event::Changed { key, .. } => *key != Topic::Verb(Verb::Stop),
        Event::Checkpoint { kind, .. } => *kind == CheckpointKind::Asked,
        e => matches!(e, Event::Refused { .. } | Event::Paused { .. } | Event::Note { .. }),
    };
    journal.into_iter().map(|r| r.event).filter(asked).collect()
}

fn stop(t: &mut Terminal) {
    t.press("qs");
    assert_eq!(t.end(), 130);
    assert!(t.is_given_back());
}

#[test]
fn answers_that_come_late_and_in_pieces_are_no_keys_and_still_count() {
    let runs = Runs::new();
    let mut t = Terminal::start_asked(runs.path(), &LONG);
    t.wait("training before any answer", |s| s.contains("TRAINING") && s.contains("images/s"));
    let answers = [
        "\x1b]11;rgb:ffff/ffff/ffff\x1b\\",
        "\x1b[?62;22c",
        "\x1bP>|XTerm(388)\x1b\\",
        "\x1b_Gi=31;OK\x1b\\",
        "\x1b[24;80R",
        "\x1b]11;rgb:bbbb/cccc/bbbb\x07",
    ];
    for answer in answers {
        for cut in [1, 2, 6.min(answer.len() - 1), answer.len() - 1, answer.len()] {
            t.press(&answer[..cut]);
            std::thread::sleep(Duration::from_millis(150)); // the line's pause
            t.press(&answer[cut..]);
        }
    }
    t.press("t");
    t.wait("the theme after light", |s| {
        s.contains("theme high-contrast") && s.contains("TRAINING")
    });
    stop(&mut t);
    assert_eq!(commands(&runs), []);
}

#[test]
fn a_terminal_that_says_nothing_is_drawn_on_and_the_samples_wait_for_no_answer() {
    for variable in [("KITTY_WINDOW_ID", "1"), ("TERM_PROGRAM", "ghostty"), ("TERM", "foot")] {
        let runs = Runs::new();
        let mut t = Terminal::start_with(runs.path(), &LONG, &[variable]);
        t.wait_for_bytes(b"\x1b_Gi=31");
        t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
        stop(&mut t);
    }
}

#[test]
fn a_terminal_that_answers_late_that_it_shows_images_gets_them() {
    let runs = Runs::new();
    let args =
        [&LONG[..], &["--set", "importance.pretrain_epochs=1", "--set", "data.test_limit=100"]]
            .concat();
    let mut t = Terminal::start_with(
        runs.path(),
        &args,
        &[("KITTY_WINDOW_ID", "1"), ("COLORFGBG", "15;0")],
    );
    t.wait_for_bytes(b"\x1b_Gi=31");
    t.press("4");
    t.wait("the samples in half blocks", |s| s.matches('▀').count() > 20);
    t.press("\x1b_Gi=31;OK\x1b\\\x1b[?62;22c\x1b[6;20;10t\x1b[0n");
    t.wait_for_bytes(b"\x1b_Gq=2");
    stop(&mut t);
}

#[test]
fn pasted_text_is_never_keys_and_goes_into_the_line_being_typed() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &LONG);
    t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
    assert!(t.raw.windows(8).any(|w| w == b"\x1b[?2004h"));
    t.press("\x1b[200~b+c :stop now\r\x1b[201~");
    t.wait("a word", |s| s.contains("pasted text is left out"));
    t.press(&format!("\x1b[200~{}\x1b[201~", "bqs ".repeat(25_000)));
    t.press(":");
    t.press("\x1b[200~note two\nlines\x07\x1b[201~");
    t.wait("the line", |s| s.contains(":note two lines"));
    t.press("\r");
    t.wait("the note", |s| s.contains("two lines") && !s.contains(":note"));
    stop(&mut t);
    let [Event::Note { text }] = &commands(&runs)[..] else { panic!("{:?}", commands(&runs)) };
    assert_eq!(text, "two lines");
}

#[test]
fn bias_now_asks_first() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &LONG);
    t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
    t.press("b");
    t.wait("the question", |s| s.contains("Bias now?") && s.contains("yes"));
    t.press("b");
    t.press("n");
    t.wait("no question", |s| !s.contains("Bias now?"));
    t.press("b");
    t.wait("the question", |s| s.contains("Bias now?"));
    t.press("y");
    t.wait("the bias", |s| s.contains("E: 50000 ->"));
    stop(&mut t);
    assert_eq!(commands(&runs).len(), 1);
}

#[test]
fn a_terminal_that_does_not_know_its_size_is_drawn_on_and_followed_when_it_does() {
    let runs = Runs::new();
    let mut t = Terminal::start_without_size(runs.path(), &LONG);
    t.wait("training", |s| s.contains("TRAINING") && s.contains("class frequencies"));
    t.resize(120, 36);
    t.wait("the size", |s| {
        s.lines().count() == 36 && s.lines().last().is_some_and(|l| l.contains("b bias"))
    });
    stop(&mut t);
}

#[test]
fn a_terminal_that_only_prints_gets_lines() {
    let runs = Runs::new();
    for term in ["dumb", ""] {
        let variables = [("TERM", term)];
        let mut t = Terminal::start_with(runs.path(), &small_args(&["train"]), &variables);
        assert_eq!(t.end(), 0);
        let mut replayed = Terminal::start_with(runs.path(), &["replay"], &variables);
        assert_eq!(replayed.end(), 0);
        for raw in [&t.raw, &replayed.raw] {
            let text = String::from_utf8_lossy(raw);
            assert!(
                text.contains("finished after 5 epochs") && !text.contains('\x1b'),
                "TERM={term}: {text}"
            );
        }
    }
    let live = runs.headless("train", &["--set", "train.epochs=100000"]);
    live.until(|e| matches!(e, Event::EpochEnd(_)));
    let mut t = Terminal::start_with(runs.path(), &["attach"], &[("TERM", "dumb")]);
    t.wait("lines", |s| s.contains("epochs so far") && s.contains("accuracy"));
    live.kill(rustix::process::Signal::TERM);
    live.end();
    assert_eq!(t.end(), 130, "as a cockpit on a run that was stopped");
    assert!(!t.raw.contains(&0x1b));
}

#[test]
fn what_only_a_screen_needs_is_nothing_to_a_run_without_one_and_a_warning_to_a_screen() {
    let runs = Runs::new();
    let config = runs.path().join("broken/earlybird");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("cockpit.toml"), "theme = ").unwrap();
    let places = ["/dev/null".to_owned(), config.parent().unwrap().display().to_string()];
    for (k, place) in places.iter().enumerate() {
        for lines in ["--headless", "--json"] {
            for command in [
                &["train", "--theme", "neon", "--set", "train.epochs=3"][..],
                &["resume", "--theme", "neon", "--set", "train.epochs=6"],
            ] {
                let args =
                    if command[0] == "train" { small_args(command) } else { command.to_vec() };
                let output = program()
                    .args(args)
                    .arg(lines)
                    .args(["--runs-dir", runs.path().join(format!("{k}{lines}")).to_str().unwrap()])
                    .env("XDG_CONFIG_HOME", place)
                    .output()
                    .unwrap();
                let told = String::from_utf8_lossy(&output.stderr);
                assert!(
                    output.status.success() && told.is_empty(),
                    "{place} {lines} {command:?}: {told}"
                );
            }
        }
    }
    for place in &places {
        let runs = Runs::new();
        let args = [&LONG[..], &["--theme", "neon"]].concat();
        let variables = [("XDG_CONFIG_HOME", place.as_str()), ("COLORFGBG", "15;0")];
        let mut t = Terminal::start_with(runs.path(), &args, &variables);
        t.wait("training, and a word", |s| s.contains("TRAINING") && s.contains("cockpit.toml"));
        let before =
            String::from_utf8_lossy(&t.raw).split("\x1b[?1049h").next().unwrap().to_owned();
        assert!(
            before.contains("cockpit.toml") && before.contains("unknown theme \"neon\""),
            "{before}"
        );
        stop(&mut t);
    }
    let keys = program().arg("keys").env("XDG_CONFIG_HOME", "/dev/null").output().unwrap();
    assert!(keys.status.success() && !keys.stderr.is_empty());
}
