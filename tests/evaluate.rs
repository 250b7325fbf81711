//! A trained model outside its run: evaluated to the very figures of its last epoch, exported, and
//! refused where it does not fit.

use crate::environment::{program, ran};
use crate::support::{Runs, epochs};
use earlybird::protocol::Event;
use std::process::Output;

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

#[test]
fn a_run_is_evaluated_to_the_figures_of_its_last_epoch() {
    let runs = Runs::new();
    let (_, events) = runs.headless("train", &[]).end();
    let last = events
        .iter()
        .rev()
        .find_map(|e| if let Event::EpochEnd(e) = e { Some(e) } else { None })
        .unwrap();
    // The run's config.toml is the resolved one: the same data, the same split.
    let logits = runs.path().join("logits.safetensors");
    let found = json(&ran(
        runs.path(),
        &["evaluate", "demo-001", "--json", "--logits", logits.to_str().unwrap()],
    ));
    assert_eq!(found["accuracy"].as_f64(), Some(last.measured.accuracy));
    assert!((found["loss"].as_f64().unwrap() - last.measured.loss).abs() < 1e-5);
    let recall: Vec<f64> =
        found["recall"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(recall, last.recall);
    let all: u64 = found["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| r.as_array().unwrap())
        .map(|v| v.as_u64().unwrap())
        .sum();
    assert_eq!(all, 100);
    let bytes = std::fs::read(&logits).unwrap();
    assert_eq!(
        safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor("logits").unwrap().shape(),
        [100, 10]
    );

    // As a file of its own, with a config that says what it is.
    let file = runs.path().join("model.safetensors");
    assert!(
        ran(runs.path(), &["export", "demo-001", "--to", file.to_str().unwrap()]).status.success()
    );
    let config = runs.path().join("demo-001/config.toml");
    let args = ["evaluate", file.to_str().unwrap(), "--data", config.to_str().unwrap(), "--json"];
    assert_eq!(json(&ran(runs.path(), &args))["accuracy"], found["accuracy"]);
    let text = String::from_utf8(ran(runs.path(), &["evaluate", "demo-001"]).stdout).unwrap();
    assert!(text.contains("Ankle boot") && text.contains("test accuracy"), "{text}");
}

#[test]
fn a_run_in_progress_gives_its_newest_checkpoint() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=100000"]);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 2, .. }));
    let found = json(&ran(runs.path(), &["evaluate", "demo-001", "--json"]));
    assert!(found["model"].as_str().unwrap().contains("checkpoints/epoch-"), "{found}");
}

#[test]
fn what_does_not_fit_is_told() {
    let runs = Runs::new();
    runs.headless("train", &[]).end();
    let garbage = runs.path().join("garbage.safetensors");
    std::fs::write(&garbage, b"nonsense").unwrap();
    let text = |args: &[&str], code| {
        let output = ran(runs.path(), args);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(text(&["evaluate", garbage.to_str().unwrap()], 1).contains("not a safetensors file"));
    let misfits = text(&["evaluate", "demo-001", "--set", "model.name=resnet18"], 1);
    let conv1 = "conv1.weight has shape [32, 1, 3, 3], the model's has [64, 1, 3, 3]";
    assert!(
        misfits.contains(conv1)
            && misfits.contains("it lacks layer1.0.conv1.weight [64, 64, 3, 3]")
            && misfits.contains("more\n"),
        "{misfits}"
    );
    assert!(text(&["evaluate", "demo-009"], 2).contains("There are: demo-001"));
    assert!(text(&["export", "demo-001", "--to", "/no/such/place"], 1).contains("/no/such/place"));
}

#[test]
fn a_run_gives_its_last_model_its_best_one_and_its_average() {
    let runs = Runs::new();
    let set = ["--set", "train.ema_decay=0.9", "--set", "train.lr=0.3"];
    let (code, events) = runs.headless("train", &set).end();
    assert_eq!(code, 0);
    let accuracy = |which: &str| {
        let args = ["evaluate", "demo-001", "--which", which, "--json"];
        let output = program().args(args).arg("--runs-dir").arg(runs.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        told["accuracy"].as_f64().unwrap()
    };
    let all = epochs(&events);
    let last = all.last().unwrap();
    let best = all.iter().map(|e| e.measured.accuracy).fold(0.0, f64::max);
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    assert!(near(accuracy("last"), last.measured.accuracy));
    assert!(near(accuracy("best"), best));
    assert!(near(accuracy("average"), last.average.unwrap().accuracy));
    // One without an average says so.
    let (_, _) = runs.headless("train", &[]).end();
    let args = ["export", "demo-002", "--which", "average", "--to", "/dev/null"];
    let output = program().args(args).arg("--runs-dir").arg(runs.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("train.ema_decay"), "{said}");
}
