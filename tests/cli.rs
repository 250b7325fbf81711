//! The program from outside: exit codes, lines, JSON, signals.

use crate::environment::program;
use earlybird::protocol::{Event, Phase, Record};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn earlybird(runs: &Path, args: &[&str]) -> Command {
    let mut command = program();
    command
        .args(args)
        .env("XDG_CACHE_HOME", runs.join("cache"))
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    if args.first() == Some(&"train") {
        command.args(["--runs-dir", &runs.display().to_string()]);
    }
    command
}

fn run(args: &[&str]) -> (Output, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let output = earlybird(dir.path(), args).output().unwrap();
    (output, dir)
}

fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--headless"];
    for set in [
        "data.train_limit=300",
        "data.test_limit=100",
        "train.epochs=3",
        "importance.pretrain_epochs=1",
        "train.lr=0.02",
    ] {
        args.extend(["--set", set]);
    }
    args.extend(more);
    args
}

fn records(output: &Output) -> Vec<Record> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|l| Record::from_line(l).unwrap_or_else(|| panic!("no record: {l}"))).collect()
}

#[test]
fn the_demo_config_reaches_its_promises() {
    let args = [
        "train",
        "configs/demo.toml",
        "--headless",
        "--json",
        "--set",
        "train.epochs=6",
        "--set",
        "importance.pretrain_epochs=2",
    ];
    let (output, dir) = run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let records = records(&output);
    assert!(records.windows(2).all(|w| w[0].seq < w[1].seq && w[0].t <= w[1].t));
    let ends: Vec<_> = records
        .iter()
        .filter_map(|r| if let Event::EpochEnd(e) = &r.event { Some(e) } else { None })
        .collect();
    let phases: Vec<Phase> = ends.iter().map(|e| e.phase).collect();
    assert_eq!(
        phases,
        [
            Phase::Pretrain,
            Phase::Pretrain,
            Phase::Biased,
            Phase::Biased,
            Phase::Biased,
            Phase::Biased
        ]
    );
    assert!(ends[5].measured.accuracy > 0.80, "{}", ends[5].measured.accuracy);
    for e in &ends {
        let n: u64 = e.drawn.iter().sum();
        assert_eq!(n, 4_085);
        for (drawn, expected) in e.drawn.iter().zip(&e.expected) {
            let sd = (expected * (1.0 - expected / n as f64)).sqrt();
            assert!(
                (*drawn as f64 - expected).abs() <= 4.0 * sd,
                "epoch {}: {drawn} drawn, {expected} expected",
                e.epoch
            );
        }
    }
    assert_eq!(records.iter().filter(|r| matches!(r.event, Event::Weights(_))).count(), 1);
    let run = dir.path().join("demo-001");
    let journal = earlybird::run::read_journal(&run.join("journal.jsonl")).unwrap().records;
    let kept = |r: &&Record| !matches!(r.event, Event::Step { .. } | Event::Evaluating { .. });
    let (shown, written): (Vec<_>, Vec<_>) =
        (records.iter().filter(kept).collect(), journal.iter().filter(kept).collect());
    assert_eq!(shown, written, "the journal has what was shown");
    let bytes = std::fs::read(run.join("model.safetensors")).unwrap();
    let model = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(model.tensor("conv3.weight").unwrap().shape(), [128, 64, 3, 3]);
}

#[test]
fn headless_prints_a_line_per_epoch_and_event_of_note() {
    let (output, _dir) = run(&small(&[]));
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|l| l.contains("  epoch ")).count(), 3, "{text}");
    for part in [
        "run demo-001: fashion-mnist-mini",
        "weights after epoch 1",
        "finished after 3 epochs",
        "kept in ",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn exit_codes_tell_usage_from_failure() {
    let code = |args: &[&str]| run(args).0.status.code();
    assert_eq!(code(&["train", "--set", "train.epoch=1"]), Some(2));
    assert_eq!(code(&["train", "no-such.toml"]), Some(2));
    assert_eq!(code(&["train", "--device", "tpu"]), Some(2));
    assert_eq!(
        code(&[&small(&[])[..], &["--theme", "neon"]].concat()),
        Some(0),
        "no screen, no theme"
    );
    assert_eq!(code(&["fly"]), Some(2));
    assert_eq!(code(&["data", "fetch", "imagenet"]), Some(2));
    assert_eq!(code(&["data", "check", "/no/such"]), Some(1));
    assert_eq!(code(&["train", "--headless", "--device", "cuda:99"]), Some(1));
    assert_eq!(
        code(&small(&["--set", "data.source=folder", "--set", "data.path=/no/such"])),
        Some(1)
    );
    assert_eq!(code(&small(&["--runs-dir", "/proc/no"])), Some(2), "given twice");
    assert_eq!(code(&["--help"]), Some(0));
}

#[test]
fn a_runs_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let args: Vec<String> = small(&[]).iter().map(|s| (*s).to_owned()).collect();
    let output = program()
        .args(args)
        .args(["--runs-dir", &dir.path().join("file/runs").display().to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("file/runs") && text.contains("--runs-dir"), "{text}");
}

#[test]
fn the_printed_config_is_complete_and_reads_back() {
    let (output, dir) = run(&["train", "configs/long-tail.toml", "--print-config", "--seed", "7"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let file = dir.path().join("printed.toml");
    std::fs::write(&file, &text).unwrap();
    let (again, _dir) = run(&["train", file.to_str().unwrap(), "--print-config"]);
    assert_eq!(text, String::from_utf8(again.stdout).unwrap());
    assert!(
        text.contains("seed = 7")
            && text.contains("imbalance = 50.0")
            && text.contains("rescore_every = 0"),
        "{text}"
    );
}

#[test]
fn an_interrupt_ends_the_run_with_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = earlybird(dir.path(), &small(&["--json", "--set", "train.epochs=1000"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        || Record::from_line(&lines.next().expect("the run goes on").unwrap()).unwrap().event;
    while !matches!(next(), Event::EpochEnd(_)) {}
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let last = loop {
        if let Event::Finished { epochs, end, .. } = next() {
            break (epochs >= 1, end.into());
        }
    };
    assert_eq!(last, (true, true));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(dir.path().join("demo-001/model.safetensors").exists());
}

#[test]
fn doctor_and_data_list_say_what_is_there() {
    let (output, dir) = run(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for part in [
        "libtorch   2.9",
        "device     cpu",
        "threads",
        "terminal",
        "data       embedded",
        &dir.path().join("cache").display().to_string(),
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    // Every warning says what to do.
    let lines: Vec<&str> = text.lines().collect();
    for (k, line) in lines.iter().enumerate() {
        assert!(!line.starts_with("warning") || lines[k + 1].contains("-> "), "{line}");
    }
    let list = String::from_utf8(run(&["data", "list"]).0.stdout).unwrap();
    for part in ["embedded", "fashion-mnist", "cifar10", "cifar100", "folder"] {
        assert!(list.contains(part), "{list}");
    }
}

#[test]
fn data_check_tells_what_is_in_a_directory_or_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    crate::support::write_idx(dir.path(), 40, 28, true);
    let path = dir.path().to_str().unwrap();
    let (output, _) = run(&["data", "check", path]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("40 training and 20 test images, 28x28, 1 channel(s), 10 classes"),
        "{text}"
    );
    std::fs::write(dir.path().join("t10k-labels-idx1-ubyte.gz"), "nonsense").unwrap();
    let (output, _) = run(&["data", "check", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("t10k-labels-idx1-ubyte.gz, byte 0: magic number"),
        "{output:?}"
    );
}

#[test]
fn the_table_of_keys_is_printed_with_a_persons_own() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("earlybird");
    std::fs::create_dir(&config).unwrap();
    std::fs::write(config.join("cockpit.toml"), "[keys]\ntheme = [\"T\", \"f2\"]\n").unwrap();
    let output =
        earlybird(dir.path(), &["keys"]).env("XDG_CONFIG_HOME", dir.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("| `T`, `f2` | next theme |  | theme |"),
        "{text}"
    );
    assert!(text.contains("cockpit.toml"), "{text}");
    std::fs::write(config.join("cockpit.toml"), "[keys]\ntheme = [\"e\"]\n").unwrap();
    let output =
        earlybird(dir.path(), &["keys"]).env("XDG_CONFIG_HOME", dir.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && text.contains("set-e") && text.contains("theme"),
        "{text}"
    );
}
