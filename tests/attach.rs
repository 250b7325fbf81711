//! A run outlives its terminal: cockpits come, go, are stopped and cut off, and the run does not
//! notice.

use crate::environment::program;
use crate::support::{Runs, followed, small_args};
use crate::terminal::Terminal;
use earlybird::link::{self, Delivery};
use earlybird::protocol::{CheckpointKind, Command, End, Event};
use rustix::process::{Signal, WaitOptions, waitpid};
use std::process::Stdio;

const ENDLESS: &str = "train.epochs=100000";

#[test]
fn a_terminal_that_is_hung_up_takes_nothing_along_and_whoever_attaches_sees_the_whole_history() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &small_args(&["train", "--set", "train.epochs=60"]));
    t.wait("the first epochs", |s| s.contains("test accuracy") && s.contains("best"));
    t.hang_up();
    assert!(
        !t.child.wait().unwrap().success() || t.raw.len() > 100,
        "the cockpit went with its terminal"
    );
    let (snapshot, rest) = followed(&runs.directory("demo-001").socket());
    let told: Vec<usize> = snapshot.epochs.iter().map(|e| e.epoch).collect();
    assert_eq!(told, (1..=told.len()).collect::<Vec<_>>(), "from the first epoch on");
    assert!(!told.is_empty() && snapshot.loss.range().is_some());
    assert!(matches!(rest.last(), Some(Delivery::Closed(_))), "{:?}", rest.last());
    let last = rest
        .iter()
        .rev()
        .find_map(|d| if let Delivery::Record(r) = d { Some(&r.event) } else { None });
    assert!(
        matches!(last, Some(Event::Finished { epochs: 60, end: End::Complete, .. })),
        "{last:?}"
    );
}

#[test]
fn who_leaves_the_cockpit_leaves_the_run_alone_and_can_come_back() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &small_args(&["train", "--set", ENDLESS]));
    t.wait("training", |s| s.contains("images/s"));
    t.press("q");
    t.wait("the question", |s| s.contains("Leave the cockpit?"));
    t.press("\r");
    t.wait("the last words", |s| s.contains("trains on"));
    assert!(t.child.wait().unwrap().success() && t.is_given_back());
    // A later login: no name is needed, one run is live.
    let mut t = Terminal::start(runs.path(), &["attach"]);
    t.wait("the run again", |s| s.contains("demo-001") && s.contains("images/s"));
    t.press("qs");
    t.wait("the end", |s| s.contains("Kept in") && s.contains("resume demo-001"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 130);
    assert!(!runs.path().join("demo-001/control.sock").exists());
}

#[test]
fn two_cockpits_see_each_others_changes_and_a_stopped_one_stops_nobody() {
    let runs = Runs::new();
    let mut one = Terminal::start(
        runs.path(),
        &small_args(&["train", "--set", ENDLESS, "--set", "importance.pretrain_epochs=50000"]),
    );
    one.wait("training", |s| s.contains("images/s"));
    let mut two = Terminal::start(runs.path(), &["attach", "demo-001"]);
    two.wait("training", |s| s.contains("images/s"));
    two.press("e77\r");
    one.wait("the other's change", |s| s.contains("E: 50000 -> 77"));
    two.wait("its own change", |s| s.contains("E: 50000 -> 77"));
    one.kill(Signal::STOP);
    two.press(" ");
    two.wait("pause", |s| s.contains("PAUSED"));
    two.press(" n4321\r");
    two.wait("a change meanwhile", |s| s.contains("N: 100000 -> 4321"));
    one.kill(Signal::CONT);
    one.wait("what was missed", |s| s.contains("N: 100000 -> 4321"));
    one.press("qs");
    one.wait("the end", |s| s.contains("Kept in"));
    two.wait("the end", |s| s.contains("STOPPED"));
}

#[test]
fn undo_in_one_cockpit_takes_back_what_was_changed_there_and_nothing_else() {
    let runs = Runs::new();
    let pretrain = "importance.pretrain_epochs=50000";
    let mut one =
        Terminal::start(runs.path(), &small_args(&["train", "--set", ENDLESS, "--set", pretrain]));
    one.wait("training", |s| s.contains("images/s"));
    let mut two = Terminal::start(runs.path(), &["attach", "demo-001"]);
    two.wait("training", |s| s.contains("images/s"));
    one.press("e777\r");
    two.wait("the other's change", |s| s.contains("E: 50000 -> 777"));
    two.press("n90000\r");
    one.wait("the other's change", |s| s.contains("N: 100000 -> 90000"));
    one.press("u");
    two.wait("the first one's change taken back", |s| s.contains("E: 777 -> 50000"));
    one.press("u");
    one.wait("nothing of its own is left", |s| s.contains("nothing to undo"));
    two.press("u");
    one.wait("the second one's change taken back", |s| s.contains("N: 90000 -> 100000"));
    two.press("u");
    two.wait("nothing of its own is left", |s| s.contains("nothing to undo"));
    one.press("qs");
    one.wait("the end", |s| s.contains("Kept in"));
}

#[test]
fn every_answer_goes_to_the_cockpit_that_asked_and_names_its_request() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", ENDLESS]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    let socket = runs.directory("demo-001").socket();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut cockpits = [link::connect(&socket).unwrap(), link::connect(&socket).unwrap()];
    // Both ask at once, the same key in turn; what the one asks is refused, of the other it is not.
    let wanted =
        |cockpit: usize, i: usize| if cockpit == 0 { 0.001 * (i + 1) as f64 } else { -1.0 };
    const ASKED: usize = 40;
    for i in 0..ASKED {
        for (at, cockpit) in cockpits.iter().enumerate() {
            let value = wanted(at, i).into();
            let id = cockpit.send(Command::Set { key: "train.lr".into(), value });
            assert_eq!(id, Some(1 + i as u64));
        }
    }
    for (at, cockpit) in cockpits.iter_mut().enumerate() {
        let mut answered = Vec::new();
        while answered.len() < ASKED {
            let Some(delivery) = runtime.block_on(cockpit.next()) else { panic!("cut off") };
            let Delivery::Reply(reply) = delivery else { continue };
            let (i, record) = (reply.id as usize - 1, reply.record.expect("a record"));
            match record.event {
                Event::Changed { new, .. } => assert_eq!((at, new), (0, wanted(0, i).into())),
                Event::Refused { value, .. } => assert_eq!((at, value), (1, wanted(1, i).into())),
                other => panic!("{other:?}"),
            }
            answered.push(i);
        }
        assert_eq!(answered, (0..ASKED).collect::<Vec<_>>());
    }
}

#[test]
fn a_suspended_cockpit_gives_the_terminal_to_the_shell_and_training_goes_on() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &small_args(&["train", "--set", ENDLESS]));
    t.wait("training", |s| s.contains("images/s"));
    t.kill(Signal::TSTP);
    let (_, status) = waitpid(Some(t.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped());
    t.wait_for("the terminal is back", |s| !s.alternate_screen() && !s.hide_cursor());
    let epoch = || link_epoch(&runs);
    let (before, mut now) = (epoch(), epoch());
    while now < before + 2 {
        now = epoch(); // training goes on; a hang ends with the test runner's patience
    }
    t.kill(Signal::CONT);
    t.wait_for("the screen is back", |s| s.alternate_screen() && s.contents().contains("images/s"));
    t.press("qs");
    t.wait("the end", |s| s.contains("Kept in"));
}

/// The epoch in progress, as the screen has it.
fn epoch_on(screen: &str) -> usize {
    let number = screen.split("epoch ").nth(1).and_then(|s| s.split('/').next());
    number.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Completed epochs, as a client that attaches is told.
fn link_epoch(runs: &Runs) -> usize {
    let mut end = link::connect(&runs.directory("demo-001").socket()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(end.next()) {
        Some(Delivery::Snapshot(d)) => d.epochs.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trainer_that_is_killed_is_told_and_resumed_from_the_cockpit() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &small_args(&["train", "--set", ENDLESS]));
    // The checkpoint of an epoch is on the disk before the end of the next one is shown.
    t.wait("some epochs", |s| epoch_on(s) >= 3);
    rustix::process::kill_process(runs.host("demo-001").unwrap(), Signal::KILL).unwrap();
    t.wait("the news", |s| s.contains("GONE") && s.contains("r resume"));
    t.press("r");
    t.wait("on it goes", |s| s.contains("TRAINING") && s.contains("demo-001"));
    t.press("qs");
    t.wait("the end", |s| s.contains("Kept in"));
}

fn send(runs: &Runs, words: &[&str]) -> (i32, String) {
    let output = program()
        .args(["send", "demo-001"])
        .args(words)
        .args(["--runs-dir", runs.path().to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

fn rows(runs: &Runs) -> Vec<serde_json::Value> {
    let output = program()
        .args(["runs", "--json", "--runs-dir", runs.path().to_str().unwrap()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn scripts_steer_a_run_and_are_answered() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", ENDLESS]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    assert_eq!(rows(&runs)[0]["state"], "live");
    for (words, code, part) in [
        (&["pause"][..], 0, "paused"),
        (&["pause"], 1, "it is paused already"),
        (&["set", "train.lr_scale", "0.5"], 0, "changed train.lr_scale: 1.0 -> 0.5"),
        (&["set", "importance.pretrain_epochs", "100001"], 2, "not allowed"),
        (&["set", "train.batch_size", "64"], 1, "fixed for the run"),
        (&["set", "train.epoch", "64"], 2, "Did you mean train.epochs?"),
        (&["bias", "off"], 0, "importance.sampler"),
        (&["bias", "off"], 1, "uniform already"),
        (&["rewind", "--lr-factor", "0"], 1, "must be a number above 0"),
        (&["rewind", "--lr-factor", "1e308"], 1, "train.lr_scale"),
        (&["rewind", "--lr-factor", "1e-300"], 1, "train.lr_scale"),
        (&["note", "looks good"], 0, "looks good"),
        (&["checkpoint"], 0, "checkpoints/epoch-"),
        (&["rewind"], 0, "goes on"),
        (&["pause"], 0, "paused"),
        (&["fly"], 2, "unexpected argument"),
    ] {
        let (got, text) = send(&runs, words);
        assert!(got == code && text.contains(part), "send {words:?}: {got}, {text}");
    }
    assert_eq!(rows(&runs)[0]["state"], "paused");
    assert_eq!(send(&runs, &["stop"]).0, 0);
    assert_eq!(child.end().0, 130);
    let row = &rows(&runs)[0];
    assert!(
        row["state"] == "interrupted"
            && row["epoch"].as_u64() >= Some(1)
            && row["bytes"].as_u64() > Some(1000),
        "{row}"
    );
    let (code, text) = send(&runs, &["pause"]);
    assert!(
        code == 1 && text.contains("is not being trained") && text.contains("resume demo-001"),
        "{code} {text}"
    );
}

#[test]
fn the_table_of_runs_knows_how_each_one_is() {
    let runs = Runs::new();
    runs.headless("train", &[]).end();
    runs.headless("train", &[]).end();
    let journal = runs.path().join("demo-002/journal.jsonl");
    let failed = "{\"seq\":1000000,\"t\":9.5,\"event\":\"failed\",\"reason\":\"out of memory\"}\n";
    std::fs::write(&journal, std::fs::read_to_string(&journal).unwrap() + failed).unwrap();
    let killed = runs.headless("train", &["--set", ENDLESS]);
    killed.until(|e| matches!(e, Event::EpochEnd(_)));
    killed.kill(Signal::KILL);
    let states: Vec<_> =
        rows(&runs).iter().map(|r| (r["run"].clone(), r["state"].clone())).collect();
    assert_eq!(
        states,
        [("demo-001", "finished"), ("demo-002", "failed"), ("demo-003", "interrupted")]
            .map(|(a, b)| (a.into(), b.into()))
    );
}

#[test]
fn signals_end_a_run_in_order_with_their_codes() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let runs = Runs::new();
        let child = runs.headless("train", &["--set", ENDLESS]);
        child.until(|e| matches!(e, Event::EpochEnd(_)));
        child.kill(Signal::HUP); // does not matter
        child.until(|e| matches!(e, Event::EpochEnd(_)));
        child.kill(signal);
        let (got, events) = child.end();
        assert_eq!(got, code);
        assert!(
            events
                .iter()
                .any(|e| matches!(e, Event::Checkpoint { kind: CheckpointKind::Stopped, .. })),
            "{events:?}"
        );
        assert!(matches!(events.last(), Some(Event::Finished { end: End::Stopped, .. })));
    }
}

#[test]
fn a_host_process_ends_in_order_when_it_is_terminated() {
    let runs = Runs::new();
    let mut t = Terminal::start(runs.path(), &small_args(&["train", "--set", ENDLESS]));
    t.wait("some epochs", |s| s.contains("best"));
    rustix::process::kill_process(runs.host("demo-001").unwrap(), Signal::TERM).unwrap();
    t.wait("the end", |s| s.contains("STOPPED"));
    let journal =
        earlybird::run::read_journal(&runs.path().join("demo-001/journal.jsonl")).unwrap().records;
    assert!(
        journal
            .iter()
            .any(|r| matches!(&r.event, Event::Note { text } if text.contains("SIGTERM")))
    );
    assert!(
        journal
            .iter()
            .any(|r| matches!(&r.event, Event::Checkpoint { kind: CheckpointKind::Stopped, .. }))
    );
}

#[test]
fn a_host_that_cannot_train_says_why_on_the_plain_terminal() {
    let runs = Runs::new();
    let mut t = Terminal::start(
        runs.path(),
        &["train", "--set", "data.source=folder", "--set", "data.path=/no/such"],
    );
    t.wait("the reason", |s| s.contains("/no/such"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 1);
    let mut t = Terminal::start(runs.path(), &["attach"]);
    t.wait("the reason", |s| s.contains("is being trained") && s.contains("begins one"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 1);
    assert!(!t.raw.windows(8).any(|w| w == b"\x1b[?1049h"), "no cockpit was opened");
}

#[test]
fn a_journal_is_replayed_on_the_screen_and_as_lines() {
    let runs = Runs::new();
    runs.headless("train", &[]).end();
    let mut t = Terminal::start(runs.path(), &["replay", "--speed", "0.01"]);
    t.wait("the beginning", |s| s.contains("REPLAY"));
    t.press("\x1b[F");
    t.wait("the end", |s| s.contains("finished after 5 epochs"));
    t.press("[[");
    t.wait("an epoch back", |s| s.contains("epoch 4/5"));
    t.press("\x1b[H");
    t.wait("the beginning", |s| s.contains("REPLAY 0:00") || s.contains("x 0:00"));
    t.press(">");
    t.wait("twice as fast", |s| s.contains("REPLAY 0.02x"));
    t.press("q");
    assert!(t.child.wait().unwrap().success());
    let output = program()
        .args(["replay", "demo-001", "--headless", "--runs-dir", runs.path().to_str().unwrap()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|l| l.contains("  epoch ")).count(), 5, "{text}");
}

#[test]
fn a_resumed_run_stays_on_its_device() {
    let runs = Runs::new();
    let child = runs.headless(
        "train",
        &["--device", "flex", "--set", "data.train_limit=40", "--set", "data.test_limit=20"],
    );
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 1, .. }));
    child.kill(Signal::KILL);
    let (code, events) = runs.headless("resume", &[]).end();
    let devices: Vec<&str> = events
        .iter()
        .filter_map(|e| {
            if let Event::RunStarted { device, .. } = e { Some(device.as_str()) } else { None }
        })
        .collect();
    assert_eq!((code, devices), (0, vec!["flex"]));
}
