//! Arms of one run, paired by seed: forked at E from one checkpoint, the same budget for each,
//! resumable, and honest.

use crate::environment::program;
use crate::support::{Runs, hash, small_args};
use earlybird::compare::Outcome;
use earlybird::protocol::Event;
use earlybird::run::{RunDirectory, read_journal};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const ARMS: &str = "biased,class-balanced";

fn compare(runs: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.args(small_args(
        &[&["compare", "--headless", "--json", "--arms", ARMS, "--seeds", "2"], more].concat(),
    ));
    command.arg("--runs-dir").arg(runs);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn outcome(runs: &Path) -> Outcome {
    serde_json::from_slice(&std::fs::read(runs.join("demo-compare-001/outcome.json")).unwrap())
        .unwrap()
}

fn events(directory: &Path) -> Vec<Event> {
    read_journal(&directory.join("journal.jsonl"))
        .unwrap()
        .records
        .into_iter()
        .map(|r| r.event)
        .collect()
}

/// What was reached, as text, without what depends on the clock.
fn figures(outcome: &Outcome) -> Vec<String> {
    let seeds = outcome.arms.iter().flat_map(|a| a.seeds.iter().map(move |s| (a, s)));
    let epochs = |s: &earlybird::compare::SeedOutcome| -> Vec<String> {
        s.epochs
            .iter()
            .map(|e| format!("{} {} {:?}", e.epoch, e.measured.accuracy, e.drawn))
            .collect()
    };
    seeds
        .map(|(a, s)| format!("{} {} {} {:?}", a.arm, s.seed, s.parameters_sha256, epochs(s)))
        .collect()
}

#[test]
fn arms_share_everything_up_to_e_and_the_baseline_is_the_plain_run() {
    let runs = Runs::new();
    let output = compare(runs.path(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let outcome = outcome(runs.path());
    let names: Vec<&str> = outcome.arms.iter().map(|a| a.arm.as_str()).collect();
    assert_eq!(names, ["uniform", "uniform-null", "biased", "class-balanced"]);
    for seed in [1, 2] {
        let mut at_e = Vec::new();
        let mut finals = Vec::new();
        for (arm, name) in outcome.arms.iter().zip(&names) {
            let events = events(&runs.path().join(format!("demo-compare-001/seed-{seed}/{name}")));
            at_e.extend(events.iter().find_map(|e| match e {
                Event::Continued { epoch: 2, step: 0, parameters_sha256, .. } => {
                    Some(parameters_sha256.clone())
                }
                _ => None,
            }));
            let s = arm.seeds.iter().find(|s| s.seed == seed).unwrap();
            assert_eq!(s.epochs.len(), 5);
            assert_eq!(s.epochs[4].samples, 5 * 300, "the same budget");
            finals.push(s.parameters_sha256.clone());
        }
        assert!(at_e.len() == 4 && at_e.iter().all(|h| *h == at_e[0] && h.len() == 64), "{at_e:?}");
        let distinct: std::collections::HashSet<_> = finals.iter().collect();
        assert_eq!(distinct.len(), 4, "each arm has draws of its own");
        let plain = runs.headless(
            "train",
            &[
                &["--seed", &seed.to_string()][..],
                &["--set", "importance.sampler=uniform", "--set", "importance.adjust=none"],
            ]
            .concat(),
        );
        assert_eq!(hash(&plain.end().1), finals[0]);
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["rows"].as_array().unwrap().len(), 4);
    assert!(last["cautions"].to_string().contains("Only 2 seed(s)"), "{last}");
}

#[test]
fn a_comparison_killed_anywhere_ends_with_the_same_table() {
    let straight = Runs::new();
    assert!(compare(straight.path(), &[]).output().unwrap().status.success());
    let expected = figures(&outcome(straight.path()));
    // In a pretraining, in an arm, between the seeds.
    for lines in [1, 6, 14] {
        let runs = Runs::new();
        let mut child = compare(runs.path(), &[]).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        (0..lines).for_each(|_| drop(out.next()));
        child.kill().unwrap();
        child.wait().unwrap();
        let output = program()
            .args(["compare", "--resume", "demo-compare-001", "--json", "--runs-dir"])
            .arg(runs.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8_lossy(&output.stdout).lines().count();
        assert!(
            told <= 2 * (2 + 4 * 3) + 1 - lines + 2,
            "{told} lines after {lines}: finished arms are not trained again"
        );
        assert_eq!(figures(&outcome(runs.path())), expected);
    }
}

#[test]
fn runs_side_by_side_end_with_the_same_table_and_are_listed() {
    let (one, two) = (Runs::new(), Runs::new());
    assert!(compare(one.path(), &["--threads", "1"]).output().unwrap().status.success());
    let args = ["--jobs", "3", "--devices", "cpu,libtorch:cpu", "--threads", "1"];
    let output = compare(two.path(), &args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(figures(&outcome(one.path())), figures(&outcome(two.path())));
    let listed = program().args(["runs", "--json", "--runs-dir"]).arg(two.path()).output().unwrap();
    let row: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(
        (&row["state"], &row["done"], &row["of"]),
        (&"finished".into(), &10.into(), &10.into()),
        "{row}"
    );
}

#[test]
fn an_interrupted_comparison_says_how_it_goes_on() {
    let runs = Runs::new();
    let mut child = compare(runs.path(), &["--set", "train.epochs=100000"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    (0..4).for_each(|_| drop(out.next()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("compare --resume demo-compare-001 goes on"), "{text}");
    let arm = RunDirectory::open(&runs.path().join("demo-compare-001/seed-1/uniform"));
    assert!(arm.checkpoints().newest().unwrap().checkpoint.is_some());
}

#[test]
fn a_comparison_that_makes_no_sense_is_refused() {
    for (args, part) in [
        (&["--arms", "best"][..], "unknown arm \"best\""),
        (&["--set", "importance.pretrain_epochs=0"], "must lie in 1..N"),
        (&["--set", "importance.pretrain_epochs=5"], "must lie in 1..N"),
        (&["--set", "importance.pretrain_epochs=auto"], "set a number"),
        (&["--seeds", "0"], "0 is not in 1..=1000"),
        (&["--name", "../up"], "is not allowed"),
    ] {
        let runs = Runs::new();
        let mut command = program();
        command.args(small_args(&["compare"])).args(args).arg("--runs-dir").arg(runs.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(part), "{args:?}: {text}");
        assert_eq!(
            std::fs::read_dir(runs.path()).unwrap().count(),
            0,
            "{args:?} left something behind"
        );
    }
}

/// A config's own arm trains as it says.
#[test]
fn an_arm_of_a_config_is_trained_as_it_says() {
    let runs = Runs::new();
    let file = runs.path().join("mine.toml");
    let config = std::fs::read_to_string("configs/demo.toml").unwrap()
        + "\n[arms.floor]\nimportance.uniform_mix = 1.0\n";
    std::fs::write(&file, config).unwrap();
    let mut command = program();
    let file = file.display().to_string();
    command
        .args(small_args(&["compare", &file, "--arms", "floor", "--seeds", "1"]))
        .arg("--runs-dir")
        .arg(runs.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("floor") && text.contains("uniform-null"), "{text}");
    let ends = events(&runs.path().join("demo-compare-001/seed-1/floor"));
    // u = 1: every class is expected at its share, whatever the weights are.
    let Some(Event::EpochEnd(last)) = ends.iter().rev().find(|e| matches!(e, Event::EpochEnd(_)))
    else {
        panic!("no epoch")
    };
    let first =
        ends.iter().find_map(|e| if let Event::EpochEnd(e) = e { Some(e) } else { None }).unwrap();
    assert!(
        last.expected.iter().zip(&first.expected).all(|(a, b)| (a - b).abs() < 1e-6),
        "{last:?}"
    );
}
