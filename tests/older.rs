//! What older versions wrote is read on.

use crate::environment::program;
use earlybird::dashboard::Dashboard;
use earlybird::protocol::{CheckpointKind, Effective, End, Event, Topic, Verb};
use earlybird::run::read_journal;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A run of the version at commit 253751d, to which every kind of command was sent.
fn kept() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/journals/253751d.jsonl"))
}

/// Whether `now` says everything that `then` said.
fn says_all_of(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => then.iter().all(|(key, then)| {
            key == "crc" || now.get(key).is_some_and(|now| says_all_of(now, then))
        }),
        (now, then) => now == then,
    }
}

#[test]
fn a_journal_of_an_older_version_is_read_whole_and_means_what_it_meant() {
    let text = fs::read_to_string(kept()).unwrap();
    let records = read_journal(kept()).unwrap().records;
    assert_eq!(records.len(), text.lines().count());
    for (record, line) in records.iter().zip(text.lines()) {
        let then: Value = serde_json::from_str(line).unwrap();
        let now: Value = serde_json::from_str(&record.to_line()).unwrap();
        assert!(says_all_of(&now, &then), "{then}\n{now}");
    }
    let changes: Vec<(String, &Effective)> = records
        .iter()
        .filter_map(|r| match &r.event {
            Event::Changed { key, effective, .. } => Some((key.to_string(), effective)),
            _ => None,
        })
        .collect();
    let back = Effective::BackToPretraining { after: 22, weights_after: 30 };
    let wanted = [
        ("importance.uniform_mix", &Effective::NextEpoch),
        ("train.lr_scale", &Effective::NextStep),
        ("importance.metric", &Effective::WithTheWeights),
        ("rescore", &Effective::NextEpoch),
        ("importance.pretrain_epochs", &back),
        ("train.epochs", &Effective::NextEpoch),
        ("stop", &Effective::Now),
    ];
    assert_eq!(changes, wanted.map(|(key, effective)| (key.to_owned(), effective)));
    let has = |wanted: &dyn Fn(&Event) -> bool| records.iter().any(|r| wanted(&r.event));
    assert!(has(&|e| matches!(e, Event::Refused { key, .. } if *key == Topic::Verb(Verb::Bias))));
    for kind in [CheckpointKind::Epoch, CheckpointKind::Asked, CheckpointKind::Stopped] {
        assert!(has(&|e| matches!(e, Event::Checkpoint { kind: k, .. } if *k == kind)), "{kind:?}");
    }
    assert!(matches!(
        records.last().map(|r| &r.event),
        Some(Event::Finished { epochs: 26, end: End::Stopped, .. })
    ));
    let mut dashboard = Dashboard::default();
    records.into_iter().for_each(|record| dashboard.fold(record));
    assert_eq!(dashboard.changes.len(), 7);
    assert_eq!((dashboard.config.train.epochs, dashboard.epochs.len()), (35, 26));
}

#[test]
fn the_run_of_an_older_version_is_played_again() {
    let runs = tempfile::tempdir().unwrap();
    let run = runs.path().join("kept-001");
    fs::create_dir(&run).unwrap();
    fs::copy(kept(), run.join("journal.jsonl")).unwrap();
    let output = program()
        .args(["replay", "kept-001", "--headless", "--runs-dir"])
        .arg(runs.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let back = "back to pretraining after epoch 22, weights anew after epoch 30";
    assert!(said.contains(&format!("changed importance.pretrain_epochs: 3 -> 30, {back}")));
    assert!(said.contains("refused bias = \"on\": the bias is on already"), "{said}");
}
