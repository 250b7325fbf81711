//! The screens, as snapshots, from records of a made-up run.

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent, KeyModifiers};
use earlybird::config;
use earlybird::importance::Quartiles;
use earlybird::link::Delivery;
use earlybird::protocol::{
    Cause, DataSummary, EpochSummary, Event, Measured, MeasuredOn, ModelSummary, Phase, Record, WeightsSummary,
};
use earlybird::tui::{ASCII, App, Appearance, UNICODE, Watching, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn app(ascii: bool) -> App {
    let mut appearance = Appearance::find(Some("dark"), ascii, None).unwrap();
    appearance.glyphs = if ascii { ASCII } else { UNICODE };
    App::new(appearance, Watching::Run)
}

const NAMES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];
const COUNTS: [u64; 10] = [1000, 774, 599, 464, 359, 278, 215, 167, 129, 100];
const BIASED: [u64; 10] = [805, 367, 670, 544, 584, 205, 405, 196, 164, 145];

/// The records of the demo up to the middle of epoch `until`.
fn records(until: usize) -> Vec<Event> {
    let mut events = vec![Event::RunStarted {
        run: "demo-007".into(),
        config: Box::new(config::demo(&[]).unwrap()),
        data: DataSummary {
            name: "fashion-mnist-mini".into(),
            train: 4085,
            test: 5000,
            validation: 0,
            classes: NAMES.map(String::from).to_vec(),
            counts: COUNTS.to_vec(),
            shape: [1, 28, 28],
        },
        model: ModelSummary { name: "convnet".into(), parameters: 94_186 },
        device: "libtorch:cpu".into(),
        versions: vec![],
    }];
    for epoch in 1..=until {
        let phase = if epoch <= 3 { Phase::Pretrain } else { Phase::Biased };
        events.push(Event::Phase { epoch, phase });
        let steps = if epoch == until { 64 } else { 128 };
        for step in (8..=steps).step_by(8) {
            let x = epoch as f64 - 1.0 + step as f64 / 128.0;
            let loss = 0.3 + 2.0 * (-x).exp() + if phase == Phase::Biased { 0.15 } else { 0.0 } + 0.05 * (7.0 * x).sin();
            events.push(Event::Step { epoch, step, steps: 128, loss, lr: 0.0731, images_per_s: 1_733.0 });
        }
        if epoch == until {
            break;
        }
        let drawn = if phase == Phase::Biased { BIASED } else { COUNTS };
        let accuracy = 0.9 - 0.5 / epoch as f64;
        events.push(Event::EpochEnd(EpochSummary {
            epoch,
            phase,
            train_loss: 0.5,
            measured: Measured { on: MeasuredOn::Test, loss: 0.6123, accuracy },
            recall: (0..10).map(|c| accuracy - 0.02 * f64::from(c)).collect(),
            drawn: drawn.to_vec(),
            expected: drawn.iter().map(|d| *d as f64 + 3.0).collect(),
            coverage: 0.57,
            expected_coverage: 0.571,
            max_multiplicity: 7,
            never_drawn: 400,
            hard_share: Some(0.2),
            suspect_share: Some(0.01),
            flipped_share: None,
            balance: 0.944,
            ess: 0.75,
            seconds: 3.1,
            eval_seconds: 0.6,
            samples: 4085 * epoch as u64,
        }));
        if epoch == 3 {
            events.push(Event::Weights(WeightsSummary {
                epoch,
                n: 4085,
                unseen: 0,
                spread: Quartiles { min: 0.002, quartiles: [0.25, 0.43, 0.66], max: 0.999 },
                mean: 0.46,
                ess: 0.75,
                edges: (0..=40).map(|i| i as f32 / 40.0).collect(),
                counts: (0..40_u64).map(|i| 20 + (i * (40 - i)) % 300).collect(),
                draw_edges: (0..=40).map(|i| i as f32 / 16.0).collect(),
                draw_counts: (0..40_u64).map(|i| 20 + (i * (40 - i)) % 300).collect(),
                class_mean: vec![0.4; 10],
            }));
        }
    }
    events
}

fn hear(app: &mut App, events: Vec<Event>) {
    let count = events.len() as f64;
    for (k, event) in events.into_iter().enumerate() {
        app.hear(Delivery::Record(Record { seq: k as u64 + 1, t: 23.0 * k as f64 / count, event }));
    }
}

fn screen(app: &App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|f| draw(f, app)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    (0..height)
        .map(|y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>().trim_end().to_owned() + "\n")
        .collect()
}

fn press(app: &mut App, code: KeyCode) {
    app.handle(&TermEvent::Key(KeyEvent::new(code, KeyModifiers::NONE)));
}

#[test]
fn pretraining_at_80x24_says_when_the_weights_come() {
    let mut app = app(false);
    hear(&mut app, records(2));
    insta::assert_snapshot!(screen(&app, 80, 24));
}

#[test]
fn biased_at_three_sizes() {
    let mut app = app(false);
    hear(&mut app, records(8));
    insta::assert_snapshot!("biased_80x24", screen(&app, 80, 24));
    insta::assert_snapshot!("biased_120x36", screen(&app, 120, 36));
    insta::assert_snapshot!("biased_200x60", screen(&app, 200, 60));
}

#[test]
fn ascii_draws_ascii_only() {
    let mut app = app(true);
    hear(&mut app, records(8));
    for (width, height) in [(80, 24), (120, 36), (60, 10)] {
        let text = screen(&app, width, height);
        let strange: String = text.chars().filter(|c| !c.is_ascii()).collect();
        assert!(strange.is_empty(), "{strange}\n{text}");
    }
    insta::assert_snapshot!(screen(&app, 80, 24));
}

#[test]
fn small_screens_get_the_short_form_and_no_size_panics() {
    let mut app = app(false);
    hear(&mut app, records(8));
    insta::assert_snapshot!(screen(&app, 60, 16));
    for overlay in ['e', '?', 'q'] {
        for width in (1..=130).step_by(3) {
            for height in 1..=40 {
                press(&mut app, KeyCode::Char(overlay));
                screen(&app, width, height);
                press(&mut app, KeyCode::Esc);
            }
        }
    }
    screen(&app, 500, 200);
}

#[test]
fn a_screen_before_the_first_record_and_with_a_hundred_classes() {
    let mut app = app(false);
    assert!(screen(&app, 80, 24).contains("STARTING"));
    let mut events = records(5);
    for event in &mut events {
        match event {
            Event::RunStarted { data, .. } => {
                (data.classes, data.counts) = ((0..100).map(|c| format!("class {c}")).collect(), vec![40; 100]);
            }
            Event::EpochEnd(e) => (e.drawn, e.expected, e.recall) = (vec![40; 100], vec![40.0; 100], vec![0.5; 100]),
            _ => {}
        }
    }
    hear(&mut app, events);
    let text = screen(&app, 80, 24);
    assert!(text.contains("more"), "{text}");
}

#[test]
fn prompts_and_questions_say_what_to_press() {
    let mut app = app(false);
    hear(&mut app, records(2));
    let last = |app: &App| {
        screen(app, 80, 24).lines().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    };
    press(&mut app, KeyCode::Char('e'));
    let mut out = last(&app);
    press(&mut app, KeyCode::Char('9'));
    press(&mut app, KeyCode::Char('9'));
    out += &format!("\n\n{}", last(&app));
    press(&mut app, KeyCode::Backspace);
    out += &format!("\n\n{}", last(&app));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('q'));
    out += &format!("\n\n{}", last(&app));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('?'));
    out += &format!("\n\n{}", screen(&app, 80, 24));
    insta::assert_snapshot!(out);
}

/// What went wrong, in the words of the session and the hub.
fn faults() -> [(&'static str, Delivery); 5] {
    let record = |event| Delivery::Record(Record { seq: 999, t: 24.0, event });
    let paused = |cause, reason: &str| record(Event::Paused { epoch: 8, step: 64, reason: Some(reason.into()), cause });
    [
        (
            "the loss",
            paused(
                Cause::NotFinite,
                "the training loss is not a finite number (NaN) at step 65 of epoch 8; nothing of that step was kept. Go back to \
                 the last checkpoint with a smaller learning rate (rewind), go on all the same (resume), or stop. A smaller \
                 train.lr usually prevents this.",
            ),
        ),
        (
            "the disk",
            paused(
                Cause::Disk,
                "the run's state cannot be written: No space left on device (os error 28); training goes on by itself when the \
                 disk takes writes again (resume: without waiting)",
            ),
        ),
        ("the trainer", record(Event::Failed { reason: "the trainer panicked: index out of bounds".into() })),
        ("the process", Delivery::Closed("demo-007 is not being trained: no process answers at its socket".into())),
        ("the line", Delivery::Notice("this cockpit read nothing for 30 s and was dropped; here is everything again".into())),
    ]
}

#[test]
fn what_went_wrong_is_said_in_full_with_what_to_press() {
    let mut out = String::new();
    for (what, fault) in faults() {
        let mut app = app(false);
        hear(&mut app, records(8));
        app.hear(fault);
        let text = screen(&app, 80, 24);
        let lines: Vec<&str> = text.lines().collect();
        let edge = lines.iter().rposition(|l| l.starts_with('╰')).unwrap();
        out += &format!("{what}: {}\n{}\n\n", lines[0].trim_end().rsplit("  ").next().unwrap(), lines[edge + 1..].join("\n"));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn a_replay_and_an_inline_run_say_what_they_are() {
    let mut app = app(false);
    hear(&mut app, records(8));
    let ends = |app: &App| {
        let text = screen(app, 80, 24);
        let lines: Vec<&str> = text.lines().collect();
        format!("{}\n{}\n\n", lines[0], lines[22..].join("\n"))
    };
    app.watching = Watching::Replay { playing: true, speed: 12.0, at: 185.0, of: 1_200.0 };
    let mut out = ends(&app);
    app.watching = Watching::Replay { playing: false, speed: 12.0, at: 185.0, of: 1_200.0 };
    out += &ends(&app);
    app.watching = Watching::InlineRun;
    press(&mut app, KeyCode::Char('q'));
    out += &ends(&app);
    insta::assert_snapshot!(out);
}

#[test]
fn every_theme_draws_every_screen() {
    for theme in earlybird::tui::Theme::names() {
        let mut app = App::new(Appearance::find(Some(theme), false, None).unwrap(), Watching::Run);
        app.appearance.glyphs = UNICODE;
        hear(&mut app, records(8));
        assert!(screen(&app, 80, 24).contains("class frequencies"), "{theme}");
    }
}
