//! What is damaged, forged or half there in a comparison: never other figures without a word, and
//! nothing removed that may be somebody's.

use crate::environment::program;
use crate::support::{Runs, small_args};
use earlybird::compare::{Design, Outcome, Race};
use earlybird::run::RunDirectory;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

const SMALL: [&str; 8] =
    ["compare", "--headless", "--json", "--arms", "biased", "--seeds", "1", "--seed=5"];

fn finished() -> (Runs, PathBuf, Vec<String>) {
    let runs = Runs::new();
    let mut command = program();
    command.args(small_args(&SMALL)).arg("--runs-dir").arg(runs.path());
    assert!(command.output().unwrap().status.success());
    let directory = runs.path().join("demo-compare-001");
    let hashes = hashes(&directory);
    (runs, directory, hashes)
}

/// Final parameters of every arm.
fn hashes(directory: &Path) -> Vec<String> {
    let bytes = std::fs::read(directory.join("outcome.json")).unwrap();
    let outcome: Outcome = serde_json::from_slice(&bytes).unwrap();
    let seeds = outcome.arms.iter().flat_map(|arm| &arm.seeds);
    seeds.map(|seed| seed.parameters_sha256.clone()).collect()
}

fn resume(directory: &Path) -> (Output, String) {
    let mut command = program();
    command.args(["compare", "--headless", "--json", "--resume"]).arg(directory);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output, said)
}

fn checkpoints(run: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join("checkpoints")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == extension));
    files.sort();
    files
}

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_damaged_checkpoint_at_e_is_trained_again_before_anything_is_forked_from_it() {
    let (_runs, directory, expected) = finished();
    let pretraining = directory.join("seed-5/pretrain");
    for how_many in [1, 2] {
        let arrays = checkpoints(&pretraining, "safetensors");
        arrays.iter().rev().take(how_many).for_each(|file| flip(file));
        std::fs::remove_dir_all(directory.join("seed-5/biased")).unwrap();
        let (output, said) = resume(&directory);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("do not have their checksum"), "{said}");
        assert_eq!(hashes(&directory), expected, "{how_many} damaged");
    }
}

#[test]
fn an_arm_without_a_whole_checkpoint_is_forked_again_and_set_aside() {
    let (_runs, directory, expected) = finished();
    let arm = directory.join("seed-5/biased");
    let journal = std::fs::read_to_string(arm.join("journal.jsonl")).unwrap();
    let unfinished: Vec<&str> =
        journal.lines().filter(|line| !line.contains("\"event\":\"finished\"")).collect();
    std::fs::write(arm.join("journal.jsonl"), unfinished.join("\n") + "\n").unwrap();
    std::fs::write(arm.join("notes.txt"), "mine").unwrap();
    checkpoints(&arm, "safetensors").iter().for_each(|file| flip(file));
    let (output, said) = resume(&directory);
    assert!(output.status.success() && said.contains("aside-1"), "{said}");
    assert_eq!(hashes(&directory), expected);
    let kept = directory.join("seed-5/biased.aside-1/notes.txt");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "mine");
}

#[test]
fn what_another_version_wrote_is_left_as_it_is() {
    let (_runs, directory, _) = finished();
    let pretraining = directory.join("seed-5/pretrain");
    for file in checkpoints(&pretraining, "json") {
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("\"format\":2", "\"format\":9", 1)).unwrap();
    }
    std::fs::write(pretraining.join("notes.txt"), "mine").unwrap();
    let before = checkpoints(&pretraining, "json");
    let (output, said) = resume(&directory);
    assert!(!output.status.success() && said.contains("another version"), "{said}");
    assert_eq!(checkpoints(&pretraining, "json"), before);
    assert!(pretraining.join("notes.txt").exists());
}

#[test]
fn a_forged_design_is_refused_by_every_command_and_nothing_is_written_outside() {
    let (runs, directory, _) = finished();
    let file = directory.join("comparison.json");
    let design = std::fs::read_to_string(&file).unwrap();
    let good: serde_json::Value = serde_json::from_str(&design).unwrap();
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut design = good.clone();
        change(&mut design);
        design.to_string()
    };
    let cases = [
        changed(&|d| d["arms"] = serde_json::json!([])),
        changed(&|d| d["seeds"] = serde_json::json!([])),
        changed(&|d| d["seeds"] = serde_json::json!([5, 5])),
        changed(&|d| d["arms"][2][0] = "pretrain".into()),
        changed(&|d| d["arms"][2][0] = "../../../outside/x".into()),
        changed(&|d| d["arms"][2][0] = "uniform".into()),
        changed(&|d| d["arms"][2][1]["train"]["epochs"] = 50.into()),
        changed(&|d| d["config"]["train"]["batch_size"] = 0.into()),
        changed(&|d| d["config"]["importance"]["pretrain_epochs"] = 0.into()),
        design[..design.len() / 2].to_owned(),
    ];
    for (k, text) in cases.iter().enumerate() {
        std::fs::write(&file, text).unwrap();
        let comparison = RunDirectory::open(&directory);
        assert!(Design::of(&comparison).is_err() && Race::open(&comparison).is_err(), "case {k}");
        let (output, said) = resume(&directory);
        assert_eq!(output.status.code(), Some(1), "case {k}: {said}");
        let listed = program().args(["runs", "--runs-dir"]).arg(runs.path()).output().unwrap();
        let said = String::from_utf8(listed.stderr).unwrap();
        assert!(listed.status.success() && said.contains("cannot be read"), "case {k}: {said}");
    }
    assert!(!runs.path().parent().unwrap().join("outside").exists());
}

#[test]
fn an_arm_cannot_have_the_name_of_what_all_share() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("mine.toml");
    for name in ["pretrain", "\"a.b\"", "\"../x\""] {
        std::fs::write(&config, format!("[arms.{name}]\nimportance.exponent = 0.5\n")).unwrap();
        let mut command = program();
        command.arg("compare").arg(&config).args(["--arms", "uniform", "--headless"]);
        let output = command.arg("--runs-dir").arg(place.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains("mine.toml:"), "{said}");
    }
}

#[test]
fn stop_ends_the_process_that_compares_in_order() {
    let runs = Runs::new();
    let mut command = program();
    command.args(small_args(&[&SMALL[..], &["--set", "train.epochs=500"]].concat()));
    command.arg("--runs-dir").arg(runs.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().expect("an epoch").unwrap();
    let mut command = program();
    command.args(["send", "demo-compare-001", "stop", "--runs-dir"]).arg(runs.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(!runs.path().join("demo-compare-001/trainer.json").exists());
}
