//! What keys make of the cockpit, without a terminal.

use super::*;
use crate::config;
use crate::link::Delivery;
use crate::protocol::{Event, Record};
use crate::tui::Themes;
use crossterm::event::{KeyCode, KeyModifiers};
use termprofile::TermProfile;

fn app() -> App {
    let mut app =
        App::new(Appearance::new("dark", TermProfile::TrueColor, false, Themes::default()).expect("appearance"), Watching::Run);
    app.dashboard.config = config::demo(&[]).expect("demo");
    app.dashboard.state = RunState::Training;
    app
}

fn press(app: &mut App, code: KeyCode) -> Effect {
    app.handle(&TermEvent::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn typed(app: &mut App, text: &str) -> Effect {
    text.chars().fold(Effect::None, |_, c| press(app, KeyCode::Char(c)))
}

#[test]
fn e_asks_checks_while_typing_and_sends_on_enter() {
    let mut app = app();
    typed(&mut app, "e99");
    let Overlay::Prompt(prompt) = &app.overlay else { panic!("no prompt") };
    let objection = app.check(prompt).expect_err("99 is beyond N");
    assert!(objection.contains("beyond train.epochs"), "{objection}");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
    assert!(matches!(app.overlay, Overlay::Prompt(_)), "a bad value stays open");
    press(&mut app, KeyCode::Backspace);
    press(&mut app, KeyCode::Backspace);
    typed(&mut app, "5");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::Send(set("importance.pretrain_epochs", 5.into())));
    assert!(matches!(app.overlay, Overlay::None));
}

#[test]
fn escape_leaves_a_prompt_and_changes_nothing() {
    let mut app = app();
    typed(&mut app, "e5");
    assert_eq!(press(&mut app, KeyCode::Esc), Effect::None);
    assert!(matches!(app.overlay, Overlay::None));
}

fn hear(app: &mut App, event: Event) -> bool {
    app.hear(Delivery::Record(Record { seq: 1, t: 1.0, event }))
}

fn stopped() -> Event {
    Event::Finished {
        epochs: 1,
        best_accuracy: 0.5,
        best_epoch: 1,
        final_accuracy: 0.5,
        seconds: 1.0,
        parameters_sha256: String::new(),
        stopped: true,
    }
}

#[test]
fn quitting_asks_and_training_on_without_the_cockpit_is_the_default() {
    let mut app = app();
    assert_eq!(press(&mut app, KeyCode::Char('q')), Effect::None);
    assert!(matches!(app.overlay, Overlay::Quit));
    assert_eq!(press(&mut app, KeyCode::Esc), Effect::None, "stays");
    typed(&mut app, "q");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::Leave);
    typed(&mut app, "q");
    assert_eq!(typed(&mut app, "s"), Effect::Send(Command::Stop { stop: Stop::Now }));
    assert!(hear(&mut app, stopped()), "leaves when the trainer has stopped");
}

#[test]
fn a_run_in_this_process_is_not_left_by_accident() {
    let mut app = app();
    app.watching = Watching::InlineRun;
    typed(&mut app, "q");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
    assert!(matches!(app.overlay, Overlay::None));
    typed(&mut app, "q");
    assert_eq!(typed(&mut app, "d"), Effect::None);
    assert!(matches!(app.overlay, Overlay::Quit), "nothing to detach from");
}

#[test]
fn going_back_is_offered_after_a_failure_and_for_a_loss_that_is_not_finite() {
    let mut app = app();
    assert_eq!(typed(&mut app, "r"), Effect::None, "not while all is well");
    let reason = Some("the training loss is not a finite number".into());
    hear(&mut app, Event::Paused { epoch: 2, step: 7, reason, cause: Cause::NotFinite });
    assert_eq!(typed(&mut app, "r"), Effect::Send(Command::Rewind { lr_factor: 0.5 }));
    hear(&mut app, Event::Failed { reason: "out of memory".into() });
    assert_eq!(typed(&mut app, "r"), Effect::Leave);
    assert!(app.again);
}

#[test]
fn a_process_that_is_gone_is_told_and_the_run_can_be_resumed() {
    let mut app = app();
    assert!(!app.hear(Delivery::Closed("demo-001 is not being trained".into())));
    assert!(app.lost.is_some());
    assert_eq!(typed(&mut app, "r"), Effect::Leave);
    assert!(app.again);
}

#[test]
fn a_snapshot_replaces_what_was_known() {
    let mut app = app();
    let fresh = Dashboard { run: "demo-009".into(), ..Dashboard::default() };
    app.hear(Delivery::Snapshot(Box::new(fresh)));
    assert_eq!(app.dashboard.run, "demo-009");
}

#[test]
fn space_pauses_and_goes_on() {
    let mut app = app();
    assert_eq!(press(&mut app, KeyCode::Char(' ')), Effect::Send(Command::Pause));
    hear(&mut app, Event::Paused { epoch: 1, step: 1, reason: None, cause: Cause::Asked });
    assert_eq!(press(&mut app, KeyCode::Char(' ')), Effect::Send(Command::Resume));
}
