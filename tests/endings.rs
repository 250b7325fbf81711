//! However a run ends, and whatever its disk does then: success is only told of what is kept, and
//! `resume` makes up for the rest, with the parameters of a run that nobody disturbed.

use crate::environment::program;
use crate::faulty::{Fault, can_be_made, variables};
use crate::support::{Headless, Runs, epochs, finish, hash, session, small_args};
use earlybird::protocol::{Cause, CheckpointKind, Command, Event, Stop};
use earlybird::run::{Ending, RunDirectory, read_journal};
use rustix::io::Errno;
use rustix::process::Signal;
use std::path::Path;
use std::process::Output;

/// Epochs of the runs here.
const N: usize = 3;
const RUN: [&str; 7] = [
    "train",
    "--json",
    "--set",
    "train.epochs=3",
    "--set",
    "importance.pretrain_epochs=1",
    "--seed=4",
];
const VALIDATION: [&str; 2] = ["--set", "data.validation=0.1"];
/// Writes of journal and checkpoints on a disk that is full.
const FULL: [Fault; 2] = [
    Fault { call: "write", errno: Errno::NOSPC, path: "journal.jsonl", from: 1, to: 0 },
    Fault { call: "write", errno: Errno::NOSPC, path: ".tmp$", from: 1, to: 0 },
];

/// What ends a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Reached,
    Signal(Signal),
    Stop,
    StopAfterEpoch,
}

const ENDS: [End; 7] = [
    End::Reached,
    End::Signal(Signal::TERM),
    End::Signal(Signal::INT),
    End::Signal(Signal::USR1),
    End::Signal(Signal::KILL),
    End::Stop,
    End::StopAfterEpoch,
];

impl End {
    fn bring(self, child: &Headless, runs: &Path) {
        match self {
            Self::Reached => {}
            Self::Signal(signal) => child.kill(signal),
            // It may be over before it can answer.
            Self::Stop => _ = ask(runs, &["send", "demo-001", "stop"]),
            Self::StopAfterEpoch => _ = ask(runs, &["send", "demo-001", "stop", "--after-epoch"]),
        }
    }
}

fn ask(runs: &Path, args: &[&str]) -> Output {
    program().args(args).arg("--runs-dir").arg(runs).output().unwrap()
}

fn run(runs: &Path, more: &[&str]) -> std::process::Command {
    let mut process = program();
    process.args(small_args(&[&RUN[..], more].concat())).arg("--runs-dir").arg(runs);
    process
}

fn undisturbed(more: &[&str]) -> String {
    let runs = Runs::new();
    let (code, events) = Headless::start(run(runs.path(), more)).end();
    assert_eq!(code, 0);
    hash(&events)
}

/// Goes on to the end, and looks whether everything is there.
fn complete(runs: &Runs, expected: &str, more: &[&str], what: &str) {
    let directory = runs.directory("demo-001");
    if !directory.ending().unwrap().is_finished() {
        let (code, _) = runs.headless("resume", &[]).end();
        assert_eq!(code, 0, "{what}: resume");
    }
    let ending = directory.ending().unwrap();
    let Ending::Finished { epochs: reached, parameters_sha256, model_sha256 } = &ending else {
        panic!("{what}: {ending:?}")
    };
    assert_eq!((*reached, parameters_sha256.as_str()), (N, expected), "{what}");
    assert!(model_sha256.is_some() && directory.has_its_model(&ending), "{what}: the model");
    let journal = read_journal(&directory.file("journal.jsonl")).unwrap();
    assert_eq!(journal.damaged, 0, "{what}");
    let events: Vec<Event> = journal.records.into_iter().map(|record| record.event).collect();
    let tested = events.iter().filter(|e| matches!(e, Event::Tested { .. })).count();
    assert_eq!(tested > 1, !more.is_empty(), "{what}");
    let again = ask(runs.path(), &["resume"]);
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && said.contains("is finished"), "{what}: {said}");
    let table = ask(runs.path(), &["runs", "--json"]);
    assert!(String::from_utf8(table.stdout).unwrap().contains("\"finished\""), "{what}");
}

/// Epochs that the journal tells of.
fn told(runs: &Runs) -> usize {
    let journal = read_journal(&runs.directory("demo-001").file("journal.jsonl")).unwrap();
    let events: Vec<Event> = journal.records.into_iter().map(|record| record.event).collect();
    epochs(&events).last().map_or(0, |e| e.epoch)
}

fn is_full(event: &Event) -> bool {
    matches!(event, Event::Paused { cause: Cause::Disk, reason: Some(why), .. }
        if why.contains("No space left"))
}

fn is_completed_whenever_it_ends(more: &[&str]) {
    let expected = undisturbed(more);
    let moments: [fn(&Event) -> bool; 3] = [
        |e| matches!(e, Event::EpochEnd(e) if e.epoch == N),
        |e| matches!(e, Event::Checkpoint { epoch: N, kind: CheckpointKind::Epoch, .. }),
        |e| matches!(e, Event::Tested { .. } | Event::Finished { .. }),
    ];
    for end in ENDS {
        for (k, moment) in moments.iter().enumerate() {
            let what = format!("{end:?} at moment {k}, {more:?}");
            let runs = Runs::new();
            let child = Headless::start(run(runs.path(), more));
            child.until(moment);
            end.bring(&child, runs.path());
            let (code, _) = child.end();
            let ending = runs.directory("demo-001").ending().unwrap();
            if code == 0 {
                assert!(ending.is_finished(), "{what}: {ending:?}");
            }
            complete(&runs, &expected, more, &what);
            assert_eq!(told(&runs), N, "{what}");
        }
    }
}

#[test]
fn a_run_that_is_ended_in_its_last_moments_is_completed_by_resume() {
    is_completed_whenever_it_ends(&[]);
}

#[test]
fn a_run_that_is_ended_in_its_last_moments_is_tested_by_resume() {
    is_completed_whenever_it_ends(&VALIDATION);
}

#[test]
fn no_end_on_a_full_disk_is_a_success_and_nothing_is_lost() {
    let moments: [fn(&Event) -> bool; 2] = [
        |e| matches!(e, Event::Phase { epoch: 1, .. }),
        |e| matches!(e, Event::Checkpoint { epoch, .. } if *epoch == N - 1),
    ];
    if !can_be_made(ENDS.len() * moments.len()) {
        return;
    }
    let expected = undisturbed(&VALIDATION);
    for end in ENDS {
        for (k, moment) in moments.iter().enumerate() {
            let what = format!("{end:?} on a disk that is full from moment {k} on");
            let runs = Runs::new();
            let full = runs.path().join("full");
            let mut process = run(runs.path(), &VALIDATION);
            process.envs(variables(&FULL)).env("FAULT_WHILE", &full);
            let child = Headless::start(process);
            child.until(moment);
            std::fs::write(&full, "").unwrap();
            child.until(is_full);
            end.bring(&child, runs.path());
            let waits = matches!(end, End::Reached | End::StopAfterEpoch);
            if waits {
                std::fs::remove_file(&full).unwrap();
            }
            let (code, events) = child.end();
            let _ = std::fs::remove_file(&full);
            match end {
                End::Reached => assert_eq!(code, 0, "{what}"),
                // The last epoch was over, or there is one to go.
                End::StopAfterEpoch => assert!([0, 130].contains(&code), "{what}: {code}"),
                End::Signal(Signal::KILL) => {}
                _ => {
                    let last = events.last();
                    assert_eq!(code, 1, "{what}");
                    let told = |why: &str| why.contains("not on the disk");
                    let failed = matches!(last, Some(Event::Failed { reason }) if told(reason));
                    assert!(failed, "{what}: {last:?}");
                }
            }
            let has_checkpoint = runs.directory("demo-001").checkpoints().newest_state().is_some();
            assert!(has_checkpoint || k == 0, "{what}: a checkpoint that was written stands");
            complete(&runs, &expected, &VALIDATION, &what);
            assert_eq!(told(&runs), N, "{what}");
        }
    }
}

#[test]
fn a_run_that_shall_not_wait_for_its_disk_fails_at_an_end_that_is_not_kept() {
    if !can_be_made(2) {
        return;
    }
    let expected = undisturbed(&[]);
    for fault in FULL {
        let runs = Runs::new();
        let full = runs.path().join("full");
        let mut process = run(runs.path(), &["--set", "checkpoint.on_disk_error=continue"]);
        process.envs(variables(&[fault])).env("FAULT_WHILE", &full);
        let child = Headless::start(process);
        child.until(|e| matches!(e, Event::Checkpoint { epoch: 1, .. }));
        std::fs::write(&full, "").unwrap();
        let (code, events) = child.end();
        std::fs::remove_file(&full).unwrap();
        assert_eq!((code, epochs(&events).len()), (1, N), "{fault:?}");
        assert!(!events.iter().any(|e| matches!(e, Event::Paused { .. })), "{fault:?}");
        complete(&runs, &expected, &[], &format!("{fault:?}"));
    }
}

#[test]
fn an_end_whose_word_the_journal_does_not_take_waits_for_the_disk() {
    if !can_be_made(1) {
        return;
    }
    let expected = undisturbed(&[]);
    let runs = Runs::new();
    let full = runs.path().join("full");
    let mut process = run(runs.path(), &[]);
    process.envs(variables(&FULL[..1])).env("FAULT_WHILE", &full);
    let child = Headless::start(process);
    // The model is there; then the disk is full, before the journal's last line or after it.
    child.until(|e| matches!(e, Event::Checkpoint { kind: CheckpointKind::Final, .. }));
    std::fs::write(&full, "").unwrap();
    child.until(|e| matches!(e, Event::Finished { .. }));
    std::fs::remove_file(&full).unwrap();
    let (code, _) = child.end();
    assert_eq!(code, 0);
    complete(&runs, &expected, &[], "the journal's last line");
}

#[test]
fn a_model_that_is_not_what_the_run_ended_with_is_written_anew() {
    let runs = Runs::new();
    let (_, events) = Headless::start(run(runs.path(), &[])).end();
    let (expected, file) = (hash(&events), runs.directory("demo-001").file("model.safetensors"));
    let bytes = std::fs::read(&file).unwrap();
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damage in [None, Some(&bytes[..100]), Some(&flipped[..])] {
        std::fs::remove_file(&file).unwrap();
        damage.into_iter().for_each(|d| std::fs::write(&file, d).unwrap());
        let (code, _) = runs.headless("resume", &[]).end();
        assert_eq!((code, std::fs::read(&file).unwrap() == bytes), (0, true));
        complete(&runs, &expected, &[], "the model");
    }
}

#[test]
fn a_run_whose_directory_is_renamed_waits_for_its_name_and_one_that_is_removed_fails() {
    let expected = undisturbed(&[]);
    let runs = Runs::new();
    let child = Headless::start(run(runs.path(), &[]));
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 1, .. }));
    let (was, elsewhere) = (runs.path().join("demo-001"), runs.path().join("kept-safe"));
    std::fs::rename(&was, &elsewhere).unwrap();
    let paused = child.until(|e| matches!(e, Event::Paused { cause: Cause::Disk, .. }));
    let Event::Paused { reason: Some(why), .. } = paused else { panic!("{paused:?}") };
    assert!(why.contains("renamed") && why.contains("kept-safe"), "{why}");
    assert!(!was.exists(), "no other directory is made");
    std::fs::rename(&elsewhere, &was).unwrap();
    assert_eq!(child.end().0, 0);
    complete(&runs, &expected, &[], "renamed and back");

    let runs = Runs::new();
    let child = Headless::start(run(runs.path(), &[]));
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 1, .. }));
    let directory = RunDirectory::open(&runs.path().join("demo-001"));
    // A checkpoint may be written meanwhile.
    while std::fs::remove_dir_all(directory.path()).is_err() {}
    let (code, events) = child.end();
    let last = events.last();
    assert_eq!(code, 1, "{last:?}");
    assert!(
        matches!(last, Some(Event::Failed { reason }) if reason.contains("removed")),
        "{last:?}"
    );
    assert!(!directory.path().exists());
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_begins_anew() {
    let expected = undisturbed(&[]);
    let moments: [fn(&Event) -> bool; 2] =
        [|e| matches!(e, Event::RunStarted { .. }), |e| matches!(e, Event::EpochEnd(_))];
    for moment in moments {
        let runs = Runs::new();
        let full = runs.path().join("full");
        let mut process = run(runs.path(), &[]);
        if can_be_made(1) {
            std::fs::write(&full, "").unwrap();
            let no_checkpoint = Fault::always("write", Errno::NOSPC, "tensors.tmp$");
            process.envs(variables(&[no_checkpoint])).env("FAULT_WHILE", &full);
        }
        let child = Headless::start(process);
        child.until(moment);
        child.kill(Signal::KILL);
        complete(&runs, &expected, &[], "killed early");
        assert_eq!(told(&runs), N);
    }
    // What was changed until then holds.
    let runs = Runs::new();
    let mut process = run(runs.path(), &[]);
    process.args(["--set", "train.epochs=100000", "--set", "data.train_limit=4000"]);
    let child = Headless::start(process);
    child.until(|e| matches!(e, Event::Step { .. }));
    assert!(
        ask(runs.path(), &["send", "demo-001", "set", "train.lr_scale", "0.5"]).status.success()
    );
    assert!(ask(runs.path(), &["send", "demo-001", "set", "train.epochs", "2"]).status.success());
    child.kill(Signal::KILL);
    child.end();
    assert!(!runs.directory("demo-001").checkpoints().directory().exists());
    let output = ask(runs.path(), &["resume", "--headless"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("begins with train.lr_scale = 0.5"), "{said}");
    // One that had a checkpoint is not begun anew for want of it.
    let runs = Runs::new();
    assert_eq!(Headless::start(run(runs.path(), &["--set", "train.epochs=2"])).end().0, 0);
    std::fs::remove_dir_all(runs.directory("demo-001").file("checkpoints")).unwrap();
    let output = ask(runs.path(), &["resume", "--headless", "--set", "train.epochs=3"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("has no whole checkpoint"), "{said}");
}

#[test]
fn a_stop_at_the_end_of_the_last_epoch_is_no_stop() {
    for (stop, wanted) in [(Stop::AtEpoch(1), (1, true)), (Stop::AtEpoch(2), (2, false))] {
        let set = ["train.epochs=2", "importance.pretrain_epochs=1", "data.validation=0.1"];
        let mut session = session(&set);
        session.apply(Command::Stop { stop });
        let events = finish(&mut session);
        let Some(Event::Finished { epochs, end, .. }) = events.last() else { panic!() };
        let stopped = bool::from(*end);
        assert_eq!((*epochs, stopped), wanted);
        assert_eq!(events.iter().any(|e| matches!(e, Event::Tested { .. })), !stopped);
    }
}
