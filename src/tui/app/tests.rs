//! What keys make of the cockpit, without a terminal.

use super::*;
use crate::config;
use crate::dashboard::RunState;
use crate::link::Delivery;
use crate::protocol::{Cause, Effective, End, Event, Record, Reply, Stop};
use crate::tui::Themes;
use crate::tui::scene::Hit;
use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::backend::TestBackend;
use termprofile::TermProfile;

fn app() -> App {
    let mut app = App::new(
        Appearance::new("dark", TermProfile::TrueColor, false, Themes::default())
            .expect("appearance"),
        Watching::Run,
    );
    app.dashboard.config = config::demo(&[]).expect("demo");
    app.dashboard.state = RunState::Training;
    app
}

fn set(key: &str, value: serde_json::Value) -> Command {
    Command::Set { key: key.to_owned(), value }
}

/// The panel with the mark of the focus.
fn focused(app: &mut App) -> usize {
    let mut terminal = ratatui::Terminal::new(TestBackend::new(80, 24)).expect("a screen");
    terminal.draw(|frame| draw(frame, app)).expect("drawn");
    let marked = |area: &Rect| {
        terminal.backend().buffer()[(area.x + 1, area.y)].symbol() == app.appearance.glyphs.pointer
    };
    let mut panels = app.picture.hits.iter().filter_map(|(area, hit)| match hit {
        Hit::Panel(panel) => marked(area).then_some(*panel),
        _ => None,
    });
    panels.next_back().expect("one has the focus")
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
    let objection = prompt.objection(&app.scene()).expect("99 is beyond N");
    assert!(objection.contains("beyond train.epochs"), "{objection}");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
    assert!(matches!(app.overlay, Overlay::Prompt(_)), "a bad value stays open");
    press(&mut app, KeyCode::Backspace);
    press(&mut app, KeyCode::Backspace);
    typed(&mut app, "5");
    assert_eq!(
        press(&mut app, KeyCode::Enter),
        Effect::Send(set("importance.pretrain_epochs", 5.into()))
    );
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
        end: End::Stopped,
    }
}

#[test]
fn quitting_asks_and_training_on_without_the_cockpit_is_the_default() {
    let mut app = app();
    assert_eq!(press(&mut app, KeyCode::Char('q')), Effect::None);
    assert!(matches!(app.overlay, Overlay::Quit(_)));
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
    app.connection.watching = Watching::InlineRun;
    typed(&mut app, "q");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
    assert!(matches!(app.overlay, Overlay::None));
    typed(&mut app, "q");
    assert_eq!(typed(&mut app, "d"), Effect::None);
    assert!(matches!(app.overlay, Overlay::Quit(_)), "nothing to detach from");
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
    assert!(app.connection.again);
}

#[test]
fn a_process_that_is_gone_is_told_and_the_run_can_be_resumed() {
    let mut app = app();
    assert!(!app.hear(Delivery::Closed("demo-001 is not being trained".into())));
    assert!(app.connection.lost.is_some());
    assert_eq!(typed(&mut app, "r"), Effect::Leave);
    assert!(app.connection.again);
}

#[test]
fn a_host_that_hangs_up_is_not_taken_for_gone_and_can_be_attached_to_again() {
    let mut app = app();
    app.hear(Delivery::Parted("a frame is longer than 65536 bytes".into()));
    assert!(app.connection.is_parted(&app.dashboard) && app.is_over());
    let said =
        |app: &App| app.dashboard.messages.last().map(|m| m.text.clone()).unwrap_or_default();
    assert!(
        said(&app).contains("longer than 65536 bytes") && said(&app).contains("r attaches again"),
        "{}",
        said(&app)
    );
    press(&mut app, KeyCode::Char(' '));
    assert!(said(&app).contains("cut off"), "{}", said(&app));
    assert_eq!(typed(&mut app, "r"), Effect::Leave);
    assert!(app.connection.again && app.connection.is_parted(&app.dashboard));
}

#[test]
fn a_book_that_comes_as_keys_is_cut_and_a_cut_command_is_not_carried_out_unseen() {
    let mut app = app();
    let book = "x".repeat(100_000);
    for open in [":", "/", "n"] {
        typed(&mut app, open);
        typed(&mut app, &book);
        let length = match &app.overlay {
            Overlay::Command(asking) => asking.field.value().len(),
            Overlay::Filter(filter) => filter.field.value().len(),
            Overlay::Prompt(prompt) => prompt.field.value().len(),
            other => panic!("{open}: {other:?}"),
        };
        assert_eq!(length, 1000, "{open}");
        press(&mut app, KeyCode::Esc);
    }
    for pasted in [false, true] {
        typed(&mut app, ":");
        if pasted {
            app.handle(&TermEvent::Paste(format!("note {book}")));
        } else {
            typed(&mut app, &format!("note {book}"));
        }
        assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
        let Overlay::Command(asking) = &app.overlay else { panic!("{:?}", app.overlay) };
        assert!(
            asking.objection.as_ref().is_some_and(|o| o.contains("1000 characters")),
            "{asking:?}"
        );
        let text = "x".repeat(1000 - "note ".len());
        assert_eq!(press(&mut app, KeyCode::Enter), Effect::Send(Command::Note { text }));
    }
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

fn changed(key: &str, old: serde_json::Value, new: serde_json::Value) -> Event {
    let effective = Effective::NextEpoch;
    let by_itself = None;
    Event::Changed { epoch: 2, step: 5, key: key.into(), old, new, effective, by_itself }
}

/// The trainer's record, and the answer to request `id` of this cockpit.
fn answered(app: &mut App, id: u64, event: Event) {
    hear(app, event.clone());
    let record = Some(Record { seq: 1, t: 1.0, event });
    app.hear(Delivery::Reply(Reply { id, record }));
}

/// Sends what the keys ask for under this number.
fn sent(app: &mut App, keys: &str, id: u64) -> Command {
    let Effect::Send(command) = typed(app, keys) else { panic!("{keys} sends nothing") };
    app.has_sent(&command, Some(id));
    command
}

#[test]
fn undo_takes_changes_back_one_after_the_other() {
    let mut app = app();
    assert_eq!(typed(&mut app, "u"), Effect::None, "nothing to undo");
    answered(&mut app, 1, changed("train.lr_scale", 1.0.into(), 0.5.into()));
    answered(&mut app, 2, changed("importance.uniform_mix", 0.0.into(), 0.3.into()));
    assert_eq!(sent(&mut app, "u", 3), set("importance.uniform_mix", 0.0.into()));
    answered(&mut app, 3, changed("importance.uniform_mix", 0.3.into(), 0.0.into()));
    let undone = sent(&mut app, "u", 4);
    assert_eq!(undone, set("train.lr_scale", 1.0.into()), "the undoing is no change to undo");
    let refused = Event::Refused {
        key: "train.lr_scale".into(),
        value: 1.0.into(),
        reason: "because".into(),
    };
    answered(&mut app, 4, refused);
    assert_eq!(typed(&mut app, "u"), Effect::None, "what was refused is not asked for ever again");
}

#[test]
fn undo_takes_nothing_back_that_another_cockpit_changed() {
    let mut app = app();
    hear(&mut app, changed("train.lr_scale", 1.0.into(), 0.5.into()));
    assert_eq!(typed(&mut app, "u"), Effect::None, "it was changed elsewhere");
    answered(&mut app, 1, changed("importance.exponent", 1.0.into(), 2.0.into()));
    answered(&mut app, 2, changed("importance.uniform_mix", 0.0.into(), 0.3.into()));
    hear(&mut app, changed("importance.uniform_mix", 0.3.into(), 0.6.into()));
    assert_eq!(sent(&mut app, "u", 3), set("importance.exponent", 1.0.into()), "0.6 stays");
    hear(&mut app, changed("train.lr_scale", 0.5.into(), 0.1.into()));
    assert_eq!(app.connection.requests.words().count(), 1, "another's change answers nothing");
    app.hear(Delivery::Reply(Reply { id: 3, record: None }));
    let again = sent(&mut app, "u", 4);
    assert_eq!(again, set("importance.exponent", 1.0.into()), "it was not carried out");
}

#[test]
fn an_undo_that_is_answered_after_a_snapshot_is_still_no_change_to_undo() {
    let mut app = app();
    answered(&mut app, 1, changed("importance.exponent", 1.0.into(), 2.0.into()));
    sent(&mut app, "u", 2);
    app.hear(Delivery::Snapshot(Box::new(app.dashboard.clone())));
    assert_eq!(app.connection.requests.words().count(), 1, "its answer comes");
    answered(&mut app, 2, changed("importance.exponent", 2.0.into(), 1.0.into()));
    assert_eq!(app.connection.requests.words().count(), 0);
    assert_eq!(typed(&mut app, "u"), Effect::None);
}

#[test]
fn what_is_asked_is_known_until_it_is_answered() {
    let mut app = app();
    sent(&mut app, "+", 7);
    let asked: Vec<&str> = app.connection.requests.words().collect();
    assert_eq!(asked, ["importance.pretrain_epochs = 4"]);
    let effective = Effective::WeightsAfter(4);
    let (key, old, new) = ("importance.pretrain_epochs".into(), 3.into(), 4.into());
    let by_itself = None;
    let event = Event::Changed { epoch: 2, step: 5, key, old, new, effective, by_itself };
    answered(&mut app, 7, event);
    assert_eq!(app.connection.requests.words().count(), 0);
    assert_eq!(app.dashboard.pending.len(), 1, "it waits for the weights");
}

#[test]
fn the_command_line_completes_complains_and_remembers() {
    let mut app = app();
    typed(&mut app, ":set samp");
    press(&mut app, KeyCode::Tab);
    typed(&mut app, "uniform");
    let uniform = set("importance.sampler", "uniform".into());
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::Send(uniform.clone()));
    typed(&mut app, ":chekpoint");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
    let Overlay::Command(asking) = &app.overlay else { panic!("it stays open") };
    assert!(
        asking.objection.as_ref().is_some_and(|o| o.contains("did you mean checkpoint")),
        "{asking:?}"
    );
    press(&mut app, KeyCode::Up);
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::Send(uniform), "the last line again");
    assert_eq!(app.history.len(), 1, "a line is kept once");
}

#[test]
fn stopping_from_the_command_line_asks_first() {
    let mut app = app();
    typed(&mut app, ":stop now");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
    assert!(matches!(app.overlay, Overlay::Confirm(_)));
    assert_eq!(typed(&mut app, "n"), Effect::None);
    typed(&mut app, ":stop epoch");
    press(&mut app, KeyCode::Enter);
    assert_eq!(typed(&mut app, "y"), Effect::Send(Command::Stop { stop: Stop::AfterEpoch }));
}

#[test]
fn the_settings_begin_with_what_can_be_changed_and_take_a_value_in_place() {
    let mut app = app();
    typed(&mut app, "S");
    press(&mut app, KeyCode::Enter);
    typed(&mut app, "1");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::None, "N = 1 is below E = 3");
    press(&mut app, KeyCode::Backspace);
    typed(&mut app, "40");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::Send(set("train.epochs", 40.into())));
    assert!(matches!(app.overlay, Overlay::Settings(_)), "the list stays");
    typed(&mut app, "G");
    assert_eq!(
        press(&mut app, KeyCode::Enter),
        Effect::None,
        "the last ones are fixed for the run"
    );
    let Overlay::Settings(list) = &app.overlay else { panic!("the list stays") };
    assert!(list.edit.is_none());
}

#[test]
fn a_replay_takes_no_commands() {
    let mut app = app();
    app.connection.watching = Watching::Replay { playing: true, speed: 1.0, at: 0.0, of: 1.0 };
    typed(&mut app, ":E 5");
    assert_eq!(press(&mut app, KeyCode::Enter), Effect::None);
    assert!(app.dashboard.messages.last().is_some_and(|m| m.text.contains("replay")));
    typed(&mut app, "S");
    press(&mut app, KeyCode::Enter);
    let Overlay::Settings(list) = &app.overlay else { panic!("they can be read") };
    assert!(list.edit.is_none());
}

#[test]
fn a_mouse_opens_tabs_focuses_panels_and_reads_values() {
    use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
    let mut app = app();
    let classes = Tab::named("Classes").expect("there");
    let step = Event::Step {
        epoch: 4,
        step: 10,
        steps: 20,
        loss: 1.0,
        lr: 0.1,
        images_per_s: 9.0,
        grad_norm: None,
    };
    hear(&mut app, step);
    let area = |x, y, width, height| Rect { x, y, width, height };
    app.picture.hits = vec![
        (area(0, 3, 10, 1), Hit::Tab(classes)),
        (area(0, 4, 40, 10), Hit::Panel(1)),
        (area(4, 5, 31, 8), Hit::Plot),
    ];
    let click = |column, row| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        TermEvent::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
    };
    app.handle(&click(14, 6));
    assert_eq!(app.shared.axis.cursor, Some(3.5), "a third of 12 epochs is 4, and 3.5 are there");
    app.handle(&click(5, 3));
    assert_eq!(app.tab(), classes);
    app.show(Tab::default());
    assert_eq!(focused(&mut app), 1);
}

#[test]
fn the_end_is_summed_up_and_told_to_somebody_who_does_not_look() {
    let mut app = app();
    hear(&mut app, stopped());
    assert!(matches!(app.overlay, Overlay::Summary(_)));
    assert!(
        app.take_notice().is_some_and(|text| text.contains("is over"))
            && app.take_notice().is_none()
    );
    assert_eq!(typed(&mut app, "x"), Effect::None);
    assert!(matches!(app.overlay, Overlay::None), "any other key looks on");
}
