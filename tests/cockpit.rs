//! The screens, as snapshots, from records of a made-up run.

use crate::film::{app, app_in, hear, press, records, screen};
use crossterm::event::KeyCode;
use earlybird::link::Delivery;
use earlybird::protocol::{Cause, Event, Record};
use earlybird::tui::{App, Themes, Watching};
use termprofile::TermProfile;

#[test]
fn pretraining_at_80x24_says_when_the_weights_come() {
    let mut app = app(false);
    hear(&mut app, records(2));
    insta::assert_snapshot!(screen(&mut app, 80, 24));
}

#[test]
fn biased_at_three_sizes() {
    let mut app = app(false);
    hear(&mut app, records(8));
    insta::assert_snapshot!("biased_80x24", screen(&mut app, 80, 24));
    insta::assert_snapshot!("biased_120x36", screen(&mut app, 120, 36));
    insta::assert_snapshot!("biased_200x60", screen(&mut app, 200, 60));
}

#[test]
fn ascii_draws_ascii_only() {
    let mut app = app(true);
    hear(&mut app, records(8));
    for (width, height) in [(80, 24), (120, 36), (60, 16), (60, 10)] {
        let text = screen(&mut app, width, height);
        let strange: String = text.chars().filter(|c| !c.is_ascii()).collect();
        assert!(strange.is_empty(), "{strange}\n{text}");
    }
    insta::assert_snapshot!(screen(&mut app, 80, 24));
}

#[test]
fn small_screens_get_the_short_form_and_no_size_panics() {
    let mut app = app(false);
    hear(&mut app, records(8));
    insta::assert_snapshot!("overview_60x16", screen(&mut app, 60, 16));
    insta::assert_snapshot!("overview_40x8", screen(&mut app, 40, 8));
    insta::assert_snapshot!("overview_30x5", screen(&mut app, 30, 5));
    for overlay in ['e', '?', 'q', ':', 'S', '/'] {
        for width in (1..=130).step_by(3) {
            for height in 1..=40 {
                press(&mut app, KeyCode::Char(overlay));
                screen(&mut app, width, height);
                press(&mut app, KeyCode::Esc);
            }
        }
    }
    screen(&mut app, 500, 200);
}

#[test]
fn a_screen_before_the_first_record_and_with_a_hundred_classes() {
    let mut app = app(false);
    assert!(screen(&mut app, 80, 24).contains("STARTING"));
    let mut events = records(5);
    for event in &mut events {
        match event {
            Event::RunStarted { data, .. } => {
                (data.classes, data.counts) =
                    ((0..100).map(|c| format!("class {c}")).collect(), vec![40; 100]);
            }
            Event::EpochEnd(e) => {
                (e.drawn, e.expected, e.recall) = (vec![40; 100], vec![40.0; 100], vec![0.5; 100])
            }
            _ => {}
        }
    }
    hear(&mut app, events);
    let text = screen(&mut app, 80, 24);
    assert!(text.contains("more"), "{text}");
}

#[test]
fn prompts_and_questions_say_what_to_press() {
    let mut app = app(false);
    hear(&mut app, records(2));
    let last = |app: &mut App| {
        screen(app, 80, 24)
            .lines()
            .rev()
            .take(2)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n")
    };
    press(&mut app, KeyCode::Char('e'));
    let mut out = last(&mut app);
    press(&mut app, KeyCode::Char('9'));
    press(&mut app, KeyCode::Char('9'));
    out += &format!("\n\n{}", last(&mut app));
    press(&mut app, KeyCode::Backspace);
    out += &format!("\n\n{}", last(&mut app));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('q'));
    out += &format!("\n\n{}", last(&mut app));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('?'));
    out += &format!("\n\n{}", screen(&mut app, 80, 24));
    insta::assert_snapshot!(out);
}

/// What went wrong, in the words of the session and the hub.
fn faults() -> [(&'static str, Delivery); 5] {
    let record = |event| Delivery::Record(Record { seq: 999, t: 24.0, event });
    let paused = |cause, reason: &str| {
        record(Event::Paused { epoch: 8, step: 64, reason: Some(reason.into()), cause })
    };
    [
        (
            "the loss",
            paused(
                Cause::NotFinite,
                "the training loss is not a finite number (NaN) at step 65 of epoch 8; nothing of \
                 that step was kept. Go back to \
                 the last checkpoint with a smaller learning rate (rewind), go on all the same \
                 (resume), or stop. A smaller \
                 train.lr usually prevents this.",
            ),
        ),
        (
            "the disk",
            paused(
                Cause::Disk,
                "the run's state cannot be written: No space left on device (os error 28); \
                 training goes on by itself when the \
                 disk takes writes again (resume: without waiting)",
            ),
        ),
        (
            "the trainer",
            record(Event::Failed { reason: "the trainer panicked: index out of bounds".into() }),
        ),
        (
            "the process",
            Delivery::Closed(
                "demo-007 is not being trained: no process answers at its socket".into(),
            ),
        ),
        (
            "the line",
            Delivery::Notice(
                "this cockpit read nothing for 30 s and was dropped; here is everything again"
                    .into(),
            ),
        ),
    ]
}

#[test]
fn what_went_wrong_is_said_in_full_with_what_to_press() {
    let mut out = String::new();
    for (what, fault) in faults() {
        let mut app = app(false);
        hear(&mut app, records(8));
        app.hear(fault);
        let text = screen(&mut app, 80, 24);
        let lines: Vec<&str> = text.lines().collect();
        let edge = lines.iter().rposition(|l| l.starts_with('╰')).unwrap();
        out += &format!(
            "{what}: {}\n{}\n\n",
            lines[0].trim_end().rsplit("  ").next().unwrap(),
            lines[edge + 1..].join("\n")
        );
    }
    insta::assert_snapshot!(out);
}

#[test]
fn a_replay_and_an_inline_run_say_what_they_are() {
    let mut app = app(false);
    hear(&mut app, records(8));
    let ends = |app: &mut App| {
        let text = screen(app, 80, 24);
        let lines: Vec<&str> = text.lines().collect();
        format!("{}\n{}\n\n", lines[0], lines[22..].join("\n"))
    };
    app.connection.watching =
        Watching::Replay { playing: true, speed: 12.0, at: 185.0, of: 1_200.0 };
    let mut out = ends(&mut app);
    app.connection.watching =
        Watching::Replay { playing: false, speed: 12.0, at: 185.0, of: 1_200.0 };
    out += &ends(&mut app);
    app.connection.watching = Watching::InlineRun;
    press(&mut app, KeyCode::Char('q'));
    out += &ends(&mut app);
    insta::assert_snapshot!(out);
}

#[test]
fn every_theme_draws_every_screen() {
    for theme in Themes::default().names() {
        let mut app = app_in(&theme, TermProfile::TrueColor, false);
        hear(&mut app, records(8));
        assert!(screen(&mut app, 80, 24).contains("class frequencies"), "{theme}");
    }
}
