//! A run is tied to its data, not to a path: it goes on from anywhere with the same images, and
//! with no others; a resume or a start that does not come about changes nothing.

use crate::environment;
use crate::support::{Headless, Runs, hash, noise};
use earlybird::protocol::Event;
use earlybird::run::read_journal;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of two classes, twenty training and ten test images each.
fn write_folder(root: &Path) {
    for (class, name) in ["cat", "dog"].into_iter().enumerate() {
        for (split, n) in [("train", 20), ("test", 10)] {
            let directory = root.join(split).join(name);
            std::fs::create_dir_all(&directory).unwrap();
            for i in 0..n {
                write_image(&directory.join(format!("{i:02}.png")), (class * 100 + i + n) as u64);
            }
        }
    }
}

fn write_image(file: &Path, seed: u64) {
    image::RgbImage::from_raw(16, 16, noise(16 * 16 * 3, seed)).unwrap().save(file).unwrap();
}

fn earlybird(runs: &Runs, from: &Path, args: &[&str]) -> Command {
    let mut command = environment::earlybird(runs.path(), args);
    command.current_dir(from);
    command
}

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--json"];
    let small = [
        "data.source=folder",
        "data.imbalance=1.0",
        "data.image_size=16",
        "train.batch_size=8",
        "importance.pretrain_epochs=1",
        "train.lr=0.02",
    ];
    args.extend(small.iter().flat_map(|set| ["--set", set]));
    args.extend(more);
    args
}

/// A run on the folder `images` (a relative path) in `place`, stopped after its first epoch of
/// many; gives the epochs that it made.
fn stopped(runs: &Runs, place: &Path) -> usize {
    write_folder(&place.join("images"));
    let args = train(&["--set", "data.path=images", "--set", "train.epochs=100000"]);
    let child = Headless::start(earlybird(runs, place, &args));
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    child.kill(Signal::INT);
    assert_eq!(child.end().0, 130);
    runs.directory("demo-001").checkpoints().newest_state().unwrap().completed
}

/// The files below a directory and what is in them.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_run_is_resumed_and_evaluated_from_any_directory() {
    let (runs, place) = (Runs::new(), tempfile::tempdir().unwrap());
    write_folder(&place.path().join("images"));
    let args = train(&["--set", "data.path=images", "--set", "train.epochs=2"]);
    assert!(earlybird(&runs, place.path(), &args).output().unwrap().status.success());
    let output = earlybird(&runs, Path::new("/"), &["resume", "--json", "--set", "train.epochs=3"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = earlybird(&runs, Path::new("/"), &["evaluate", "demo-001"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_comparison_is_resumed_from_any_directory() {
    let (runs, place) = (Runs::new(), tempfile::tempdir().unwrap());
    write_folder(&place.path().join("images"));
    let args = train(&["--set", "data.path=images", "--set", "train.epochs=2"]);
    let args = [&["compare", "--json", "--seeds", "1"], &args[2..]].concat();
    let output = earlybird(&runs, place.path(), &args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let arm = runs.path().join("demo-compare-001/seed-1/uniform-null");
    std::fs::remove_dir_all(&arm).unwrap();
    let output =
        earlybird(&runs, Path::new("/"), &["compare", "--json", "--resume", "demo-compare-001"])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(arm.join("model.safetensors").exists());
}

#[test]
fn data_that_has_moved_is_named_and_the_run_goes_on_with_it_as_if_it_had_not() {
    let (runs, place) = (Runs::new(), tempfile::tempdir().unwrap());
    let done = stopped(&runs, place.path());
    let more = |n: usize| format!("train.epochs={}", done + n);
    let (old, new) = (place.path().join("images"), place.path().join("elsewhere"));
    std::fs::rename(&old, &new).unwrap();
    let before = contents(&runs.path().join("demo-001"));
    let output =
        earlybird(&runs, place.path(), &["resume", "--json", "--set", &more(1)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("--set data.path="), "{}", said(&output));
    assert!(before == contents(&runs.path().join("demo-001")), "a resume that never began");
    let args = ["resume", "--json", "--set", "data.path=elsewhere", "--set", &more(1)];
    let output = earlybird(&runs, place.path(), &args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let journal = read_journal(&runs.directory("demo-001").file("journal.jsonl")).unwrap().records;
    let names_both = |text: &str| {
        text.contains(&new.display().to_string()) && text.contains(&old.display().to_string())
    };
    assert!(journal.iter().any(|r| matches!(&r.event, Event::Note { text } if names_both(text))));
    // It stays so: for the next resume, and for `evaluate`.
    for args in [["resume", "--json", "--set", &more(2)].as_slice(), &["evaluate", "demo-001"]] {
        let output = earlybird(&runs, Path::new("/"), args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?} {}", said(&output));
    }
}

#[test]
fn other_data_under_the_same_path_is_refused_by_what_differs_and_changes_nothing() {
    type Change = fn(&Path);
    let changes: [(&str, Change, &str); 6] = [
        (
            "classes exchanged",
            |at| exchange(&at.join("train/cat"), &at.join("train/dog")),
            "training images have other pixels",
        ),
        (
            "one image replaced",
            |at| write_image(&at.join("train/cat/07.png"), 999),
            "training images have other pixels",
        ),
        (
            "a test image replaced",
            |at| write_image(&at.join("test/dog/03.png"), 999),
            "test images have other pixels",
        ),
        (
            "an image less",
            |at| std::fs::remove_file(at.join("train/dog/19.png")).unwrap(),
            "39 training images instead of 40",
        ),
        (
            "a class renamed",
            |at| rename_class(at, "dog", "wolf"),
            "class \"wolf\" instead of \"dog\"",
        ),
        ("a class more", |at| add_class(at, "emu"), "3 classes instead of 2"),
    ];
    let (runs, place) = (Runs::new(), tempfile::tempdir().unwrap());
    let done = stopped(&runs, place.path());
    let more = |n: usize| format!("train.epochs={}", done + n);
    let (images, kept) = (place.path().join("images"), place.path().join("kept"));
    std::fs::rename(&images, &kept).unwrap();
    let before = contents(&runs.path().join("demo-001"));
    for (what, change, part) in changes {
        write_folder(&images);
        change(&images);
        let output = earlybird(&runs, place.path(), &["resume", "--json", "--set", &more(1)])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{what}");
        assert!(
            said(&output).contains("not what this run trained on") && said(&output).contains(part),
            "{what}: {}",
            said(&output)
        );
        assert!(
            before == contents(&runs.path().join("demo-001")),
            "{what}: a resume that never began"
        );
        std::fs::remove_dir_all(&images).unwrap();
    }
    let listed = earlybird(&runs, place.path(), &["runs", "--json"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("\"state\":\"interrupted\""),
        "{listed:?}"
    );
    // The same images, written anew, are the same data.
    write_folder(&images);
    let args = ["resume", "--json", "--set", &more(1)];
    assert_eq!(earlybird(&runs, place.path(), &args).output().unwrap().status.code(), Some(0));
}

fn exchange(a: &Path, b: &Path) {
    let between = a.with_extension("between");
    std::fs::rename(a, &between).unwrap();
    std::fs::rename(b, a).unwrap();
    std::fs::rename(between, b).unwrap();
}

fn rename_class(at: &Path, from: &str, to: &str) {
    ["train", "test"].iter().for_each(|split| {
        std::fs::rename(at.join(split).join(from), at.join(split).join(to)).unwrap()
    });
}

fn add_class(at: &Path, name: &str) {
    for split in ["train", "test"] {
        std::fs::create_dir(at.join(split).join(name)).unwrap();
        write_image(&at.join(split).join(name).join("0.png"), 5);
    }
}

#[test]
fn a_finished_run_whose_data_is_gone_is_still_finished() {
    let (runs, place) = (Runs::new(), tempfile::tempdir().unwrap());
    write_folder(&place.path().join("images"));
    let args = train(&["--set", "data.path=images", "--set", "train.epochs=2"]);
    assert!(earlybird(&runs, place.path(), &args).output().unwrap().status.success());
    std::fs::remove_dir_all(place.path().join("images")).unwrap();
    let before = contents(&runs.path().join("demo-001"));
    let output = earlybird(&runs, place.path(), &["resume", "--json", "--set", "train.epochs=9"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(before == contents(&runs.path().join("demo-001")));
    let listed = earlybird(&runs, place.path(), &["runs", "--json"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("\"state\":\"finished\""),
        "{listed:?}"
    );
}

#[test]
fn a_checkpoint_of_before_the_data_was_kept_goes_on_and_says_so() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=100000"]);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 2, .. }));
    child.kill(Signal::INT);
    child.end();
    let checkpoints = runs.directory("demo-001").checkpoints();
    let (mut old, _) = checkpoints.newest().unwrap().checkpoint.unwrap();
    let epochs = format!("train.epochs={}", old.state.completed + 1);
    assert!(old.state.data.take().is_some());
    checkpoints.write(&old).unwrap();
    let (code, events) = runs.headless("resume", &["--set", &epochs]).end();
    assert_eq!(code, 0);
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Note { text } if text.contains("kept no checksum"))),
        "{events:?}"
    );
    assert!(checkpoints.newest().unwrap().checkpoint.unwrap().0.state.data.is_some());
}

#[test]
fn a_start_that_fails_leaves_no_run_behind() {
    let nowhere = ["--set", "data.path=/nowhere"];
    let too_few = ["--set", "data.source=embedded", "--set", "data.train_limit=1"];
    let no_model = ["--set", "data.source=embedded", "--set", "model.init=/nowhere.safetensors"];
    for (more, part) in [
        (nowhere.as_slice(), "/nowhere"),
        (&too_few, "training samples"),
        (&no_model, "model.init"),
    ] {
        let (runs, place) = (Runs::new(), tempfile::tempdir().unwrap());
        let output = earlybird(&runs, place.path(), &train(more)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        assert!(said(&output).contains(part), "{more:?}: {}", said(&output));
        let compare = [&["compare", "--json", "--seeds", "1"], &train(more)[2..]].concat();
        let output = earlybird(&runs, place.path(), &compare).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{more:?}: {}", said(&output));
        let left = contents(runs.path());
        assert!(
            left.is_empty() && std::fs::read_dir(runs.path()).unwrap().count() == 0,
            "{more:?}: {:?}",
            left.keys()
        );
    }
}

#[test]
fn a_cockpit_whose_run_cannot_start_leaves_no_run_behind() {
    let runs = Runs::new();
    let args = ["train", "--set", "data.source=folder", "--set", "data.path=/nowhere"];
    let mut t = crate::terminal::Terminal::start(runs.path(), &args);
    t.wait("the reason", |s| s.contains("/nowhere"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 1);
    let left: Vec<_> =
        std::fs::read_dir(runs.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name != "demo-001"), "{left:?}");
}

#[test]
fn a_comparison_that_cannot_start_says_why_and_leaves_nothing_behind() {
    for more in [&[][..], &["--headless"]] {
        let runs = Runs::new();
        let args =
            [&["compare", "--set", "data.source=folder", "--set", "data.path=/nowhere"], more]
                .concat();
        let mut t = crate::terminal::Terminal::start(runs.path(), &args);
        t.wait("the reason", |s| s.contains("/nowhere"));
        assert_eq!(t.child.wait().unwrap().exit_code(), 1, "{more:?}");
        assert_eq!(std::fs::read_dir(runs.path()).unwrap().count(), 0, "{more:?}");
    }
}

#[test]
fn what_a_person_types_is_the_same_training_wherever_it_is_typed() {
    let place = tempfile::tempdir().unwrap();
    write_folder(&place.path().join("images"));
    let hashes =
        [("images", place.path()), (place.path().join("images").to_str().unwrap(), Path::new("/"))]
            .map(|(path, from)| {
                let (runs, path) = (Runs::new(), format!("data.path={path}"));
                let child = Headless::start(earlybird(
                    &runs,
                    from,
                    &train(&["--set", &path, "--set", "train.epochs=2"]),
                ));
                hash(&child.end().1)
            });
    assert_eq!(hashes[0], hashes[1]);
}
