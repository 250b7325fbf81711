//! What no run can have written: refused with the file and the key, whatever checksums it has; and
//! the model that is a run's.

use crate::environment::ran;
use crate::support::{Runs, advance_to, session};
use earlybird::protocol::{CheckpointKind, Event};
use earlybird::run::read_journal;
use earlybird::train::{Array, Checkpoint, RestoreError, Values};
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// What a command that fails says.
fn refused(runs: &Path, args: &[&str]) -> String {
    let output = ran(runs, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn evaluated(runs: &Path, run: &str) -> (Value, String) {
    let output = ran(runs, &["evaluate", run, "--json"]);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    (json, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// JSON files of a run's checkpoints, the newest last.
fn manifests(run: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|f| f.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files
}

/// Changes a value of a checkpoint's state, and signs it.
fn forge(manifest: &Path, pointer: &str, value: Value) {
    let mut whole: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let mut state = whole["state"].take();
    *state.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    let text = state.to_string();
    whole["state_sha256"] = sha256(text.as_bytes()).into();
    whole["state"] = state;
    fs::write(manifest, whole.to_string()).unwrap();
}

fn flip_a_bit(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let last = bytes.len() - 5;
    bytes[last] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

/// All files of a run elsewhere, with the times of files in the other order.
fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("checkpoints")).unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in [from.to_owned(), from.join("checkpoints")] {
        files.extend(
            fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).filter(|f| f.is_file()),
        );
    }
    files.sort();
    for (k, file) in files.iter().enumerate() {
        let new = to.join(file.strip_prefix(from).unwrap());
        fs::copy(file, &new).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 - k as u64);
        fs::File::options().write(true).open(&new).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn a_copied_run_has_the_same_model_whatever_the_times_of_its_files() {
    let runs = Runs::new();
    runs.headless("train", &[]).end();
    copied(&runs.path().join("demo-001"), &runs.path().join("demo-002"));
    let (first, second) =
        (evaluated(runs.path(), "demo-001").0, evaluated(runs.path(), "demo-002").0);
    assert!(second["model"].as_str().unwrap().ends_with("demo-002/model.safetensors"), "{second}");
    assert_eq!((&first["accuracy"], &first["loss"]), (&second["accuracy"], &second["loss"]));
    assert_eq!(second["warnings"], json!([]));
    // Stopped, and continued until it was killed: its newest checkpoint is newer than its model.
    let child = runs.headless("train", &["--set", "train.epochs=1000"]);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 1, .. }));
    child.kill(Signal::TERM);
    child.end();
    let child = runs.headless("resume", &["demo-003"]);
    child.until(|e| matches!(e, Event::Continued { .. }));
    let kept = child.until(|e| matches!(e, Event::Checkpoint { kind: CheckpointKind::Epoch, .. }));
    child.kill(Signal::KILL);
    let Event::Checkpoint { epoch, .. } = kept else { panic!("{kept:?}") };
    assert!(runs.path().join("demo-003/model.safetensors").exists());
    copied(&runs.path().join("demo-003"), &runs.path().join("demo-004"));
    for run in ["demo-003", "demo-004"] {
        let (json, _) = evaluated(runs.path(), run);
        let model = json["model"].as_str().unwrap();
        let of: usize =
            model.split("epoch-").nth(1).unwrap_or_else(|| panic!("{model}"))[..5].parse().unwrap();
        assert!(
            of >= epoch && model.contains(&format!("{run}/checkpoints/")),
            "{model}, after epoch {epoch}"
        );
    }
}

#[test]
fn a_damaged_model_is_never_evaluated_nor_exported_and_no_other_one_without_a_word() {
    let runs = Runs::new();
    runs.headless("train", &[]).end();
    let run = runs.path().join("demo-001");
    let (model, out) = (run.join("model.safetensors"), runs.path().join("out.safetensors"));
    let export = ["export", "demo-001", "--to", out.to_str().unwrap()];
    flip_a_bit(&model);
    for args in [&["evaluate", "demo-001"][..], &export] {
        let text = refused(runs.path(), args);
        assert!(
            text.contains("model.safetensors")
                && text.contains("checksum")
                && text.contains("move the damaged"),
            "{text}"
        );
        assert!(text.contains("`earlybird resume demo-001` writes it again"), "{text}");
    }
    assert!(!out.exists());
    // As it says: moved away, the checkpoint of the same epoch is used, and that is told.
    fs::rename(&model, run.join("aside")).unwrap();
    let (json, words) = evaluated(runs.path(), "demo-001");
    assert!(json["model"].as_str().unwrap().contains("checkpoints/epoch-00005"), "{json}");
    let told = json["warnings"][0].as_str().unwrap();
    assert!(told.contains("model.safetensors") && words.contains(told), "{told} {words}");
    assert!(ran(runs.path(), &export).status.success());
    // That one damaged as well: the one before it is another model, and not used for it.
    let newest = manifests(&run).pop().unwrap();
    flip_a_bit(&newest.with_extension("safetensors"));
    let text = refused(runs.path(), &["evaluate", "demo-001"]);
    assert!(
        text.contains("epoch-00005") && text.contains("epoch-00004") && text.contains("is whole"),
        "{text}"
    );
}

#[test]
fn a_forged_state_with_true_checksums_is_refused_with_file_and_key() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=1000"]);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 1, .. }));
    child.kill(Signal::TERM); // stopped in the middle of an epoch, mostly
    child.end();
    let run = runs.path().join("demo-001");
    let newest = manifests(&run).pop().unwrap();
    let (whole, name) =
        (fs::read(&newest).unwrap(), newest.file_stem().unwrap().to_str().unwrap().to_owned());
    for (pointer, value, key) in [
        ("/config/train/eval_batch_size", json!(0), "train.eval_batch_size = 0"),
        ("/config/train/batch_size", json!(0), "train.batch_size = 0"),
        ("/config/train/epochs", json!(1_u64 << 62), "train.epochs = 4611686018427387904"),
        ("/config/importance/pretrain_epochs", json!(u64::MAX), "too large"),
        ("/config/importance/pretrain_epochs", json!(2_000), "importance.pretrain_epochs = 2000"),
        ("/config/train/lr", json!(-0.1), "train.lr = -0.1"),
        ("/config/train/lr", json!(1e308), "train.lr = "),
        ("/config/train/lr_scale", json!(0), "train.lr_scale = 0"),
        ("/completed", json!(5_000), "completed = 5000"),
        ("/best_epoch", json!(900), "best_epoch = 900"),
        ("/weighed_at", json!(900), "weighed_at = 900"),
        ("/recorded_epochs", json!(1_u64 << 62), "recorded_epochs = "),
        ("/best_accuracy", json!(1.5), "best_accuracy = 1.5"),
        ("/last_accuracy", json!(-1), "last_accuracy = -1"),
        ("/samples_drawn", json!(u64::MAX), "samples_drawn = "),
        ("/seconds", json!(-1), "seconds = -1"),
        ("/seconds", json!(1e300), "seconds = 1"),
    ] {
        forge(&newest, pointer, value);
        for command in [["resume", "demo-001"], ["evaluate", "demo-001"]] {
            // Its model is there and whole: a run that was stopped is evaluated to that.
            let _ = fs::remove_file(run.join("model.safetensors"));
            let text = refused(runs.path(), &command);
            assert!(text.contains(key) && text.contains(&name), "{pointer}, {command:?}: {text}");
            assert!(!text.contains("panicked") && !text.contains("column"), "{text}");
        }
        fs::write(&newest, &whole).unwrap();
    }
}

#[test]
fn a_model_is_told_with_its_place_and_checked_by_whatever_name_it_is_called() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=1000"]);
    child.until(|e| matches!(e, Event::Step { epoch: 2, .. }));
    child.kill(Signal::TERM);
    let (_, events) = child.end();
    let places: Vec<(usize, usize)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Checkpoint {
                epoch,
                step,
                kind: CheckpointKind::Stopped | CheckpointKind::Final,
                ..
            } => Some((*epoch, *step)),
            _ => None,
        })
        .collect();
    assert!(places.len() == 2 && places[0] == places[1], "{places:?}");
    let model = runs.path().join("demo-001/model.safetensors");
    flip_a_bit(&model);
    let name = model.to_str().unwrap();
    for what in ["demo-001", name] {
        let text = refused(runs.path(), &["evaluate", what]);
        assert!(text.contains("checksum"), "{what}: {text}");
    }
}

#[test]
fn figures_that_cannot_be_are_told_as_damage() {
    let runs = Runs::new();
    runs.headless("train", &[]).end();
    let journal = runs.path().join("demo-001/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let whole = read_journal(&journal).unwrap();
    let forged: Vec<String> = text
        .lines()
        .map(|line| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            if record["event"] == "epoch_end" {
                record["coverage"] = json!(5.0);
                record.as_object_mut().unwrap().remove("crc");
            }
            record.to_string()
        })
        .collect();
    let newer = "{\"seq\":900000,\"t\":1.0,\"event\":\"of_a_newer_version\"}";
    fs::write(&journal, forged.join("\n") + "\n" + newer + "\n").unwrap();
    let read = read_journal(&journal).unwrap();
    assert_eq!((whole.damaged, read.damaged), (0, 5));
}

/// A session in a biased epoch, and its checkpoint.
fn in_a_biased_epoch() -> (earlybird::train::Session, Checkpoint) {
    let mut session =
        session(&["data.train_limit=60", "train.batch_size=8", "importance.pretrain_epochs=1"]);
    advance_to(&mut session, 2, 2);
    let checkpoint = session.checkpoint();
    (session, checkpoint)
}

#[test]
fn arrays_and_figures_that_do_not_fit_the_data_change_nothing() {
    let (mut session, whole) = in_a_biased_epoch();
    let array = |c: &mut Checkpoint, name: &str, change: &dyn Fn(&mut Array)| {
        change(c.arrays.iter_mut().find(|a| a.name == name).unwrap_or_else(|| panic!("no {name}")));
    };
    let first = |a: &mut Array, v: f64| match &mut a.values {
        Values::F32(values) => values[0] = v as f32,
        Values::F64(values) => values[0] = v,
        Values::U32(values) => values[0] = v as u32,
    };
    type Forge<'a> = (&'a str, Box<dyn Fn(&mut Checkpoint) + 'a>);
    let forged: Vec<Forge> = vec![
        ("epoch.draws", Box::new(|c| array(c, "epoch.draws", &|a| first(a, 60.0)))),
        ("epoch.q", Box::new(|c| array(c, "epoch.q", &|a| first(a, -1.0)))),
        ("epoch.q", Box::new(|c| array(c, "epoch.q", &|a| first(a, f64::NAN)))),
        ("ledger.predicted", Box::new(|c| array(c, "ledger.predicted", &|a| first(a, 10.0)))),
        ("importance.weights", Box::new(|c| array(c, "importance.weights", &|a| first(a, 7.0)))),
        ("importance.p", Box::new(|c| array(c, "importance.p", &|a| first(a, 2.0)))),
        (
            "epoch.observations",
            Box::new(|c| {
                array(c, "epoch.observations", &|a| {
                    let Values::F32(values) = &mut a.values else { return };
                    values[2] = 1e9;
                })
            }),
        ),
        (
            "velocity.fc.weight",
            Box::new(|c| {
                array(c, "velocity.fc.weight", &|a| a.shape = vec![a.shape[0], 2, a.shape[1] / 2])
            }),
        ),
        ("recorder.count", Box::new(|c| c.arrays.retain(|a| a.name != "recorder.count"))),
        ("epoch.steps", Box::new(|c| c.state.epoch.iter_mut().for_each(|e| e.steps = 1 << 62))),
        (
            "epoch.steps",
            Box::new(|c| c.state.epoch.iter_mut().for_each(|e| (e.step, e.steps) = (0, 0))),
        ),
        ("epoch.step", Box::new(|c| c.state.epoch.iter_mut().for_each(|e| e.step = 1 << 62))),
        ("unseen", Box::new(|c| c.state.unseen = Some(61))),
        ("completed", Box::new(|c| c.state.completed = usize::MAX)),
    ];
    for (key, forge) in forged {
        let mut checkpoint = whole.clone();
        forge(&mut checkpoint);
        let error = session.rewind(&checkpoint, 1.0).expect_err(key).to_string();
        assert!(error.contains(key), "{key}: {error}");
        let mut now = session.checkpoint();
        now.state.seconds = whole.state.seconds;
        // Not a number is not equal to itself.
        assert_eq!(format!("{:?}", now.state), format!("{:?}", whole.state), "{key}");
    }
}

#[test]
fn a_rewind_whose_learning_rate_cannot_be_is_refused_before_anything_changes() {
    let (mut session, checkpoint) = in_a_biased_epoch();
    session.advance();
    let before = session.state();
    for factor in [1e308, 1e-300, f64::INFINITY, f64::NAN, -1.0, 0.0, 1e4] {
        let error = session.rewind(&checkpoint, factor);
        assert!(matches!(error, Err(RestoreError::State(_))), "{factor}: {error:?}");
        assert_eq!(session.state(), before, "{factor}");
    }
    session.take_events();
    session.rewind(&checkpoint, 0.5).unwrap();
    assert_eq!(session.config().train.lr_scale, 0.5);
}

#[test]
fn a_run_begins_beside_whatever_is_called_like_one() {
    let runs = Runs::new();
    for name in ["demo-4294967295", "demo-99999999999", "demo-18446744073709551615", "demo-007x"] {
        fs::create_dir(runs.path().join(name)).unwrap();
    }
    let (code, _) = runs
        .headless("train", &["--set", "train.epochs=1", "--set", "importance.pretrain_epochs=1"])
        .end();
    assert_eq!(code, 0);
    assert!(runs.path().join("demo-001/model.safetensors").exists());
}
