//! A run stopped at any step and continued from its checkpoint ends with the same parameters as one
//! never stopped.

use crate::environment::program;
use crate::support::{
    Runs, advance_to, apply, epochs, finish, hash, session, set, small_args, small_config,
};
use earlybird::data;
use earlybird::model::device::{CudaMath, DeviceName};
use earlybird::protocol::{Command, Event, Record};
use earlybird::train::{Checkpoint, Session, Values};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command as ProcessCommand, Stdio};

fn restore(checkpoint: &Checkpoint) -> Session {
    try_restore(checkpoint).unwrap()
}

fn try_restore(checkpoint: &Checkpoint) -> Result<Session, String> {
    let config = &checkpoint.state.config;
    let dataset = data::load(&config.data, config.seed, &mut |_| {}).unwrap();
    let device = DeviceName::LibtorchCpu.open_with(CudaMath::default()).unwrap();
    Session::restore(checkpoint, dataset, &device, "libtorch:cpu").map_err(|e| e.to_string())
}

#[test]
fn a_run_continued_from_any_moment_ends_with_the_same_parameters() {
    let usual = ["data.crop_padding=2", "data.flip=true", "importance.reweight=0.5"];
    let corrected = [
        "importance.adjust=drawn",
        "importance.margin=1.0",
        "importance.class_weights=effective-number",
        "importance.draws=0.7",
    ];
    let by_losses = ["importance.sampler=rcap", "importance.draws=0.5"];
    for (options, steps_of_last) in [(&usual[..], 10), (&corrected, 7), (&by_losses, 5)] {
        continues_from_any_moment(options, steps_of_last);
    }
}

fn continues_from_any_moment(options: &[&str], steps_of_last: usize) {
    let straight = finish(&mut session(options));
    // In the middle of pretraining, at the switch, in the middle of a biased epoch, in its
    // evaluation.
    for (epoch, steps, further) in
        [(1, 0, 0), (1, 4, 0), (2, 10, 1), (3, 1, 0), (3, 5, 0), (4, steps_of_last, 1)]
    {
        let mut first = session(options);
        let mut events = advance_to(&mut first, epoch, steps.max(1));
        for _ in 0..further {
            first.advance();
            events.extend(first.take_events());
        }
        let checkpoint = first.checkpoint();
        drop(first);
        let mut second = restore(&checkpoint);
        events.extend(finish(&mut second));
        assert_eq!(hash(&events), hash(&straight), "stopped in epoch {epoch} after {steps} steps");
        let (a, b) = (epochs(&events), epochs(&straight));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert_eq!(
                (a.epoch, &a.drawn, &a.recall, a.never_drawn),
                (b.epoch, &b.drawn, &b.recall, b.never_drawn)
            );
            assert!(
                (a.train_loss - b.train_loss).abs() < 1e-6,
                "{} {}",
                a.train_loss,
                b.train_loss
            );
        }
    }
}

/// Starts the program on a small run of its own.
fn earlybird(runs: &Path, args: &[&str]) -> ProcessCommand {
    let mut command = program();
    command.args(args).args(["--json", "--runs-dir", runs.to_str().unwrap()]);
    if args[0] == "train" {
        for set in [
            "data.train_limit=300",
            "data.test_limit=100",
            "train.epochs=8",
            "importance.pretrain_epochs=2",
            "train.lr=0.02",
        ] {
            command.args(["--set", set]);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn events(stdout: &[u8]) -> Vec<Event> {
    String::from_utf8_lossy(stdout)
        .lines()
        .filter_map(|l| Some(Record::from_line(l)?.event))
        .collect()
}

/// Runs until the first checkpoint and a bit, then kills it as nothing can be caught. Gives the
/// runs' directory.
fn killed() -> tempfile::TempDir {
    let runs = tempfile::tempdir().unwrap();
    let mut child = earlybird(runs.path(), &["train"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        || Record::from_line(&lines.next().expect("the run goes on").unwrap()).unwrap().event;
    while !matches!(next(), Event::Phase { epoch: 3, .. }) {}
    child.kill().unwrap();
    child.wait().unwrap();
    runs
}

#[test]
fn a_killed_run_resumes_to_the_same_parameters() {
    let straight = tempfile::tempdir().unwrap();
    let straight = hash(&events(&earlybird(straight.path(), &["train"]).output().unwrap().stdout));
    let runs = killed();
    let output = earlybird(runs.path(), &["resume"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(hash(&events(&output.stdout)), straight);
    // The journal tells the whole story, in order.
    let journal =
        earlybird::run::read_journal(&runs.path().join("demo-001/journal.jsonl")).unwrap().records;
    assert!(journal.windows(2).all(|w| w[0].seq < w[1].seq && w[0].t <= w[1].t));
    let mut told: Vec<usize> = journal
        .iter()
        .filter_map(|r| if let Event::EpochEnd(e) = &r.event { Some(e.epoch) } else { None })
        .collect();
    told.dedup(); // one that ended just before the kill, without its checkpoint, is told twice
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8]);
    let again = earlybird(runs.path(), &["resume", "demo-001"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("finished (8 of 8 epochs)"),
        "{again:?}"
    );
}

#[test]
fn a_damaged_checkpoint_is_reported_and_the_one_before_used() {
    let runs = killed();
    let directory = runs.path().join("demo-001/checkpoints");
    let newest = |extension: &str| {
        let mut files: Vec<_> =
            std::fs::read_dir(&directory).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == extension));
        files.sort();
        (files.pop().unwrap(), files.len())
    };
    let (file, older) = newest("safetensors");
    assert!(older >= 1);
    // `epoch-00002-step-...`: the kill may have come an epoch later than it was sent.
    let reached: usize = file.file_name().unwrap().to_string_lossy()[6..11].parse().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let output = earlybird(runs.path(), &["resume"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("do not have their checksum")
            && said.contains(&format!("epoch-{reached:05}")),
        "{said}"
    );
    let told: Vec<usize> = events(&output.stdout)
        .iter()
        .filter_map(|e| if let Event::EpochEnd(e) = e { Some(e.epoch) } else { None })
        .collect();
    assert_eq!(told, (reached..=8).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0));
    // Two are kept, and the best one, if it is none of them; the damaged one is set aside.
    let names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.iter().filter(|n| n.ends_with(".damaged")).count(), 2, "{names:?}");
    assert!(names.len() <= 8, "{names:?}");
}

#[test]
fn resume_changes_what_may_change_and_refuses_what_may_not() {
    let runs = killed();
    let refused =
        earlybird(runs.path(), &["resume", "--set", "train.batch_size=8"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("train.batch_size is fixed for the run")
    );
    let output = earlybird(runs.path(), &["resume", "--set", "train.epochs=9"]).output().unwrap();
    assert!(
        matches!(events(&output.stdout).last(), Some(Event::Finished { epochs: 9, .. })),
        "{output:?}"
    );
    let unknown = earlybird(runs.path(), &["resume", "nobody"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("There are: demo-001"),
        "{unknown:?}"
    );
}

#[test]
fn a_run_has_one_trainer() {
    let runs = tempfile::tempdir().unwrap();
    let mut child =
        earlybird(runs.path(), &["train", "--set", "train.epochs=1000"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !matches!(
        Record::from_line(&lines.next().unwrap().unwrap()).unwrap().event,
        Event::EpochEnd(_)
    ) {}
    let second = earlybird(runs.path(), &["resume"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("is being trained by process"),
        "{second:?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn live_changes_survive() {
    let live = |s: &mut Session| {
        set(s, "importance.pretrain_epochs", 3);
        set(s, "train.lr_scale", 0.5);
        set(s, "importance.exponent", 2.0);
    };
    let mut straight = session(&["train.epochs=5"]);
    advance_to(&mut straight, 2, 3);
    live(&mut straight);
    let straight = finish(&mut straight);

    let mut first = session(&["train.epochs=5"]);
    advance_to(&mut first, 2, 3);
    live(&mut first);
    let checkpoint = first.checkpoint();
    let mut second = restore(&checkpoint);
    assert_eq!(second.config(), first.config());
    assert_eq!(hash(&finish(&mut second)), hash(&straight));
}

#[test]
fn a_checkpoint_of_a_paused_run_goes_on_when_continued() {
    let mut first = session(&[]);
    advance_to(&mut first, 1, 2);
    apply(&mut first, Command::Pause);
    let mut second = restore(&first.checkpoint());
    assert!(!second.is_paused());
    assert_eq!(hash(&finish(&mut second)), hash(&finish(&mut session(&[]))));
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused_with_the_reason() {
    let mut first = session(&[]);
    advance_to(&mut first, 3, 2);
    let whole = first.checkpoint();
    let mut other_data = whole.clone();
    other_data.state.config = small_config(&["seed=2"]);
    let error = try_restore(&other_data).err().unwrap();
    assert!(error.contains("not what this run trained on"), "{error}");
    for (name, arrays) in [("model.conv2.weight", 1), ("importance.p", 1), ("epoch.draws", 1)] {
        let mut lacking = whole.clone();
        lacking.arrays.retain(|a| a.name != name);
        assert_eq!(lacking.arrays.len() + arrays, whole.arrays.len());
        let error = try_restore(&lacking).err().unwrap();
        assert!(error.contains(name.trim_start_matches("model.")), "{error}");
    }
    let mut wild = whole.clone();
    for array in &mut wild.arrays {
        if let (Values::U32(draws), "epoch.draws") = (&mut array.values, array.name.as_str()) {
            draws[0] = 1_000_000;
        }
    }
    assert!(try_restore(&wild).err().unwrap().contains("epoch.draws"));
}

#[test]
fn the_first_event_of_a_continued_run_is_its_config_of_then() {
    let mut first = session(&[]);
    advance_to(&mut first, 3, 2);
    set(&mut first, "train.epochs", 6);
    let events = restore(&first.checkpoint()).take_events();
    assert!(
        matches!(&events[0], Event::RunStarted { config, .. } if config.train.epochs == 6),
        "{events:?}"
    );
}

#[test]
fn one_command_begins_a_run_goes_on_with_it_and_leaves_it_when_it_is_finished() {
    let command = |runs: &Runs, more: &[&str]| {
        runs.headless("train", &[&["--resume-if-there", "--threads", "1"], more].concat())
    };
    let runs = Runs::new();
    let (code, straight) = command(&runs, &[]).end();
    assert_eq!(code, 0);

    let runs = Runs::new();
    let first = command(&runs, &[]);
    first.until(|e| matches!(e, Event::EpochEnd(_)));
    first.kill(Signal::USR1);
    let (code, events) = first.end();
    assert_eq!(code, 138, "{:?}", events.last());
    let (code, rest) = command(&runs, &[]).end();
    assert_eq!((code, hash(&rest)), (0, hash(&straight)));
    assert!(!runs.path().join("demo-002").exists());

    let again = |more: &[&str]| {
        let args = [&["train", "--headless", "--resume-if-there"], more].concat();
        let args = small_args(&args);
        program().args(args).arg("--runs-dir").arg(runs.path()).output().unwrap()
    };
    let over = again(&[]);
    let said = String::from_utf8(over.stdout).unwrap();
    assert!(over.status.success() && said.contains("is finished"), "{said}");
    let refused = again(&["--set", "train.lr=0.03"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && said.contains("train.lr"), "{said}");
    // Another name is another run.
    let (code, _) = command(&runs, &["--set", "name=demo-other"]).end();
    assert!(code == 0 && runs.path().join("demo-other-001").exists());
}
