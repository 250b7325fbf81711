//! Who trains a run, and what is said when that process is elsewhere, stopped, busy or not ours.

use crate::environment::program;
use crate::support::{Headless, Runs, small_args};
use earlybird::protocol::Event;
use earlybird::run::{RunDirectory, TrainedBy, read_journal};
use rustix::process::{Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::time::{Duration, SystemTime};

const LONG: [&str; 4] = ["train", "--json", "--set", "train.epochs=100000"];

/// A run in its second epoch, which does not end by itself.
fn training(runs: &Runs) -> Headless {
    let mut process = program();
    process.args(small_args(&LONG)).arg("--runs-dir").arg(runs.path());
    let child = Headless::start(process);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 1, .. }));
    child
}

fn ask(runs: &Runs, args: &[&str]) -> (Output, String) {
    let output = program().args(args).arg("--runs-dir").arg(runs.path()).output().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8(said).unwrap())
}

#[test]
fn a_run_whose_lock_was_removed_has_one_trainer() {
    let runs = Runs::new();
    let child = training(&runs);
    let directory = runs.directory("demo-001");
    std::fs::remove_file(directory.file("run.lock")).unwrap();
    let (output, said) = ask(&runs, &["resume", "--headless"]);
    assert!(!output.status.success() && said.contains("is being trained by process"), "{said}");
    child.kill(Signal::TERM);
    assert_eq!(child.end().0, 143);
    assert_eq!(directory.trained_by(), TrainedBy::Nobody);
    let records = read_journal(&directory.file("journal.jsonl")).unwrap().records;
    assert!(records.windows(2).all(|w| w[0].seq < w[1].seq));
}

#[test]
fn a_run_that_another_machine_trains_is_left_to_it_until_it_is_not_heard_of() {
    let runs = Runs::new();
    let child = training(&runs);
    let directory = runs.directory("demo-001");
    let said = std::fs::read_to_string(directory.file("trainer.json")).unwrap();
    child.kill(Signal::KILL);
    assert_eq!(directory.trained_by(), TrainedBy::Nobody, "its process is gone");
    let mut said: serde_json::Value = serde_json::from_str(&said).unwrap();
    (said["host"], said["job"]) = ("node7\u{1b}[2J".into(), "42".into());
    let file = directory.file("trainer.json");
    std::fs::write(&file, said.to_string()).unwrap();
    for args in [&["resume", "--headless"][..], &["send", "demo-001", "pause"], &["runs"], &["runs", "--json"]] {
        let (_, said) = ask(&runs, args);
        assert!(said.contains("node7\\") && said.contains("job 42"), "{args:?}: {said}");
        assert!(!said.contains('\u{1b}') && !said.contains("interrupted"), "{args:?}: {said}");
    }
    let long_ago = SystemTime::now() - Duration::from_secs(120);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    let (_, said) = ask(&runs, &["runs"]);
    assert!(said.contains("interrupted") && !said.contains("node7"), "{said}");
    let child = runs.headless("resume", &[]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    assert!(matches!(directory.trained_by(), TrainedBy::Here(t) if t.host != "node7"));
}

#[test]
fn a_stopped_host_keeps_nobody_waiting_and_is_told_of() {
    let runs = Runs::new();
    let child = training(&runs);
    kill_process(child.pid(), Signal::STOP).unwrap();
    let (_, listed) = ask(&runs, &["runs"]);
    let (output, said) = ask(&runs, &["send", "demo-001", "pause"]);
    kill_process(child.pid(), Signal::CONT).unwrap();
    assert!(listed.contains("live"), "{listed}");
    let pid = child.pid().as_raw_nonzero();
    assert!(!output.status.success() && said.contains(&format!("kill -CONT {pid}")), "{said}");
}

#[test]
fn what_a_host_does_not_take_is_said_and_the_run_goes_on() {
    let runs = Runs::new();
    let child = training(&runs);
    let note = "x".repeat(66_000);
    let (output, said) = ask(&runs, &["send", "demo-001", "note", &note]);
    assert!(!output.status.success() && said.contains("at most 64 KiB"), "{said}");
    // As many clients as there may be: each has been greeted.
    let socket = runs.directory("demo-001").socket();
    let clients: Vec<BufReader<UnixStream>> = (0..64)
        .map(|_| {
            let mut client = BufReader::new(UnixStream::connect(&socket).unwrap());
            client.read_line(&mut String::new()).unwrap();
            client
        })
        .collect();
    let (output, said) = ask(&runs, &["send", "demo-001", "pause"]);
    assert!(!output.status.success() && said.contains("64 clients are attached"), "{said}");
    drop(clients);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
}

#[test]
fn a_name_at_the_end_of_all_numbers_is_no_number() {
    let runs = Runs::new();
    for name in ["demo-4294967295", "demo-99999999999", "demo-007x", "demo--1", "demo-"] {
        std::fs::create_dir(runs.path().join(name)).unwrap();
    }
    std::fs::write(runs.path().join("demo-001"), "a file").unwrap();
    let made = RunDirectory::create(runs.path(), "demo").unwrap();
    assert_eq!(made.id(), "demo-002");
}
