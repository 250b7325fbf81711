//! What a run tells of single samples, what it holds back of its test set, and what it starts from.

use crate::environment::ran;
use crate::support::{Runs, epochs};
use earlybird::importance::Pick;
use earlybird::protocol::{Event, MeasuredOn};
use earlybird::run::read_samples;

#[test]
fn every_sample_has_a_row_and_the_rows_add_up() {
    let runs = Runs::new();
    let (_, events) = runs
        .headless(
            "train",
            &["--set", "checkpoint.tensorboard=true", "--set", "data.label_noise=0.1"],
        )
        .end();
    let sheet = read_samples(&runs.directory("demo-001")).unwrap().unwrap();
    let samples = &sheet.samples;
    assert_eq!((samples.len(), samples[299].index), (300, 299));
    let sum: f64 = samples.iter().map(|s| s.probability).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    for s in samples {
        assert!((1.0 - s.p.unwrap() - s.weight).abs() < 1e-6, "w = 1 - p: {s:?}");
        assert!(s.predicted.unwrap() < 10 && (0.0..=1.0).contains(&s.confidence.unwrap()), "{s:?}");
    }
    // Three biased epochs of 300 draws; those never drawn are as many as the last epoch says.
    assert_eq!(samples.iter().map(|s| s.drawn).sum::<u32>(), 3 * 300);
    let last = *epochs(&events).last().unwrap();
    assert_eq!(samples.iter().filter(|s| s.drawn == 0).count(), last.never_drawn);
    assert_eq!(samples.iter().filter(|s| s.flipped == Some(true)).count(), 30);
    // The hardest and the easiest of each class are there as pictures.
    for class in 0..10 {
        for pick in [Pick::Hardest, Pick::Easiest] {
            let of_class = samples.iter().filter(|s| s.class == class);
            assert!(
                pick.of(of_class, 5)
                    .iter()
                    .all(|s| sheet.pictures.of(s.index).is_some_and(|image| image.len() == 784))
            );
        }
    }
    let files = std::fs::read_dir(runs.path().join("demo-001")).unwrap();
    let names: Vec<String> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|n| n.starts_with("events.out.tfevents.")), "{names:?}");
}

#[test]
fn with_a_validation_split_the_test_set_is_read_once_at_the_end() {
    let runs = Runs::new();
    let (_, events) = runs.headless("train", &["--set", "data.validation=0.2"]).end();
    let epochs = epochs(&events);
    assert!(epochs.iter().all(|e| e.measured.on == MeasuredOn::Validation), "{epochs:?}");
    let trained: u64 = epochs[0].drawn.iter().sum();
    assert!((235..=245).contains(&trained), "a fifth of 300 is held out: {trained} are trained on");
    let tested: Vec<_> = events
        .iter()
        .filter_map(|e| {
            if let Event::Tested { epoch, model, accuracy, .. } = e {
                Some((*epoch, bool::from(*model), *accuracy))
            } else {
                None
            }
        })
        .collect();
    let best = epochs.iter().map(|e| e.measured.accuracy).fold(0.0, f64::max);
    let first = epochs.iter().find(|e| e.measured.accuracy == best).unwrap().epoch;
    assert_eq!(
        (tested.len(), tested[0].0, tested[0].1, tested[1].0, tested[1].1),
        (2, first, true, 5, false)
    );
    // What `evaluate` finds of the final model.
    let output = ran(runs.path(), &["evaluate", "demo-001", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["accuracy"].as_f64(), Some(tested[1].2));
    // In JSON no validation figure is called a test figure.
    let text = std::fs::read_to_string(runs.path().join("demo-001/journal.jsonl")).unwrap();
    assert!(text.contains("\"validation_accuracy\"") && !text.contains("\"test_accuracy\""));
}

#[test]
fn a_run_starts_from_the_values_of_a_file_or_says_why_not() {
    let runs = Runs::new();
    let (_, events) = runs.headless("train", &[]).end();
    let last = *epochs(&events).last().unwrap();
    let file = runs.path().join("demo-001/model.safetensors");
    let init = format!("model.init={}", file.display());
    // With next to no learning rate the first epoch ends where that run ended (running statistics
    // move a little).
    let (_, events) =
        runs.headless("train", &["--set", &init, "--set", "train.lr=0.00000001"]).end();
    let first = epochs(&events)[0];
    assert!(
        (first.measured.accuracy - last.measured.accuracy).abs() < 0.15 && first.train_loss < 2.0,
        "{first:?}"
    );
    for (set, part) in [
        (init.as_str(), "lacks layer1.0.conv1.weight [64, 64, 3, 3]"),
        ("model.init=/no/such.safetensors", "/no/such.safetensors"),
        (
            concat!("model.init=", env!("CARGO_MANIFEST_DIR"), "/tests/torch_files/model.pth"),
            "whole model",
        ),
    ] {
        let output = ran(
            runs.path(),
            &["train", "--headless", "--set", set, "--set", "model.name=resnet18"],
        );
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(part), "{set}: {said}");
    }
}
