//! Whatever becomes of a comparison's files, it ends with the table of one that nobody disturbed,
//! or says why it does not; and it touches nothing that is not its own.

use crate::environment::program;
use crate::faulty::{Fault, can_be_made, variables};
use crate::support::{Runs, small_args};
use earlybird::compare::{Outcome, Race};
use earlybird::config;
use earlybird::run::RunDirectory;
use rustix::io::Errno;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const NAME: &str = "demo-compare-001";
const AT_E: &str = "epoch-00002-step-0000000";

fn compare(runs: &Path, more: &[&str]) -> Command {
    let mut command = program();
    let all = [&["compare", "--headless", "--arms", "biased", "--seeds", "1"], more].concat();
    command.args(small_args(&all)).arg("--runs-dir").arg(runs);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ask(runs: &Path, args: &[&str]) -> Output {
    program().args(args).arg("--runs-dir").arg(runs).output().unwrap()
}

fn resume(runs: &Path) -> Output {
    ask(runs, &["compare", "--headless", "--json", "--resume", NAME])
}

fn words(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// What was reached, without what depends on the clock.
fn figures(runs: &Path) -> Vec<String> {
    let text = fs::read(runs.join(NAME).join("outcome.json")).unwrap();
    let outcome: Outcome = serde_json::from_slice(&text).unwrap();
    let seeds = outcome.arms.iter().flat_map(|a| a.seeds.iter().map(move |s| (a, s)));
    let epochs = |s: &earlybird::compare::SeedOutcome| -> Vec<String> {
        let one = |e: &earlybird::protocol::EpochSummary| {
            format!("{} {} {:?}", e.epoch, e.measured.accuracy, e.drawn)
        };
        s.epochs.iter().map(one).collect()
    };
    let line = |(a, s): (&earlybird::compare::ArmOutcome, &earlybird::compare::SeedOutcome)| {
        format!("{} {} {} {:?}", a.arm, s.seed, s.parameters_sha256, epochs(s))
    };
    seeds.map(line).collect()
}

/// A comparison that came to its end.
fn finished() -> Runs {
    let runs = Runs::new();
    let output = compare(runs.path(), &["--json"]).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    runs
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

/// All files below, by path; those that say who trains, and logs, are left out.
fn files(below: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !["run.lock", "trainer.json"].contains(&name.as_str()) && !name.ends_with(".log")
        {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

fn each(directory: &Path, extension: &str, change: impl Fn(&Path)) {
    let paths = fs::read_dir(directory.join("checkpoints")).unwrap().map(|e| e.unwrap().path());
    let fit = paths.filter(|p| p.extension().is_some_and(|e| e == extension));
    let count = fit.inspect(|path| change(path)).count();
    assert!(count > 0, "nothing to change in {}", directory.display());
}

/// Takes the last word of a journal away, so that its run is not finished.
fn unfinish(run: &Path) {
    let file = run.join("journal.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("\"finished\"")).collect();
    assert!(kept.len() < text.lines().count());
    fs::write(&file, kept.join("\n") + "\n").unwrap();
}

fn unfinish_if_finished(run: &Path) {
    if fs::read_to_string(run.join("journal.jsonl")).unwrap().contains("\"finished\"") {
        unfinish(run);
    }
}

/// Makes a pretraining, and its comparison, what a kill before the first checkpoint leaves.
fn killed_early(run: &Path) {
    let file = run.join("journal.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let until = text.lines().position(|line| line.contains("\"checkpoint\"")).unwrap();
    let begun: Vec<&str> = text.lines().take(until).collect();
    fs::write(&file, begun.join("\n") + "\n").unwrap();
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    fs::remove_dir_all(run.with_file_name("biased")).unwrap();
}

/// What becomes of the comparison: the directory of its seed is given.
type Harm = fn(&Path);

const HARMS: [(&str, Harm); 19] = [
    ("arrays at E, a bit", |seed| {
        flip(&seed.join("pretrain/checkpoints").join(AT_E).with_extension("safetensors"));
        fs::remove_dir_all(seed.join("biased")).unwrap();
    }),
    ("state at E, a bit", |seed| {
        flip(&seed.join("pretrain/checkpoints").join(AT_E).with_extension("json"));
        fs::remove_dir_all(seed.join("biased")).unwrap();
    }),
    ("arrays at E, gone", |seed| {
        fs::remove_file(seed.join("pretrain/checkpoints").join(AT_E).with_extension("safetensors"))
            .unwrap();
        fs::remove_dir_all(seed.join("biased")).unwrap();
    }),
    ("arrays of the pretraining, all", |seed| {
        each(&seed.join("pretrain"), "safetensors", flip);
        fs::remove_dir_all(seed.join("biased")).unwrap();
    }),
    ("states of the pretraining, unreadable, beside a file of somebody", |seed| {
        each(&seed.join("pretrain"), "json", |file| fs::write(file, "{").unwrap());
        fs::write(seed.join("pretrain/notes.txt"), "mine").unwrap();
        fs::remove_dir_all(seed.join("biased")).unwrap();
    }),
    ("checkpoints of the pretraining, gone", |seed| {
        fs::remove_dir_all(seed.join("pretrain/checkpoints")).unwrap();
        fs::remove_dir_all(seed.join("biased")).unwrap();
    }),
    ("journal of the pretraining, gone", |seed| {
        fs::remove_file(seed.join("pretrain/journal.jsonl")).unwrap();
        fs::remove_dir_all(seed.join("biased")).unwrap();
    }),
    ("the pretraining, empty but for a file of somebody", |seed| {
        fs::remove_dir_all(seed.join("pretrain")).unwrap();
        fs::create_dir(seed.join("pretrain")).unwrap();
        fs::write(seed.join("pretrain/notes.txt"), "mine").unwrap();
    }),
    ("the pretraining, gone", |seed| fs::remove_dir_all(seed.join("pretrain")).unwrap()),
    ("arrays of an arm, all", |seed| {
        unfinish(&seed.join("biased"));
        each(&seed.join("biased"), "safetensors", flip);
    }),
    ("checkpoints of an arm, gone", |seed| {
        unfinish(&seed.join("biased"));
        fs::remove_dir_all(seed.join("biased/checkpoints")).unwrap();
    }),
    ("journal of an arm, gone", |seed| fs::remove_file(seed.join("biased/journal.jsonl")).unwrap()),
    ("an arm, empty", |seed| {
        fs::remove_dir_all(seed.join("biased")).unwrap();
        fs::create_dir(seed.join("biased")).unwrap();
    }),
    ("an arm that was forked before E", |seed| {
        let arm = seed.join("biased");
        unfinish(&arm);
        fs::remove_dir_all(arm.join("checkpoints")).unwrap();
        copy(&seed.join("pretrain/checkpoints"), &arm.join("checkpoints"));
        for extension in ["json", "safetensors"] {
            fs::remove_file(arm.join("checkpoints").join(AT_E).with_extension(extension)).unwrap();
        }
    }),
    ("an arm in the place of another", |seed| {
        fs::remove_dir_all(seed.join("biased")).unwrap();
        copy(&seed.join("uniform-null"), &seed.join("biased"));
        unfinish(&seed.join("biased"));
    }),
    ("the pretraining, gone but for the beginning of its journal, with another config", |seed| {
        killed_early(&seed.join("pretrain"));
        let file = seed.join("pretrain/config.toml");
        let text = fs::read_to_string(&file).unwrap();
        let line = text.lines().find(|line| line.starts_with("lr = ")).unwrap();
        fs::write(&file, text.replace(line, "lr = 0.01")).unwrap();
    }),
    ("the pretraining, gone but for the beginning of its journal", |seed| {
        killed_early(&seed.join("pretrain"));
        fs::remove_file(seed.join("pretrain/config.toml")).unwrap();
    }),
    ("the pretraining of a comparison with another batch size", |seed| {
        let other = Runs::new();
        let output = compare(other.path(), &["--set", "train.batch_size=25"]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        for piece in ["pretrain", "biased"] {
            fs::remove_dir_all(seed.join(piece)).unwrap();
            copy(&other.path().join(NAME).join("seed-1").join(piece), &seed.join(piece));
            unfinish_if_finished(&seed.join(piece));
        }
    }),
    ("half of a fork, beside a file of somebody", |seed| {
        fs::rename(seed.join("biased"), seed.join("biased.half")).unwrap();
        fs::write(seed.join("biased.half/notes.txt"), "mine").unwrap();
    }),
];

#[test]
fn whatever_is_damaged_a_comparison_ends_with_the_same_table_and_says_what_it_did() {
    let whole = finished();
    let expected = figures(whole.path());
    assert_eq!(expected.len(), 3);
    let mut wrong = Vec::new();
    for (what, harm) in HARMS {
        let runs = Runs::new();
        copy(&whole.path().join(NAME), &runs.path().join(NAME));
        fs::remove_file(runs.path().join(NAME).join("outcome.json")).unwrap();
        let seed = runs.path().join(NAME).join("seed-1");
        harm(&seed);
        let mine = |files: &[(PathBuf, Vec<u8>)]| files.iter().filter(|f| f.1 == b"mine").count();
        let before = mine(&files(&seed));
        let output = resume(runs.path());
        let said = words(&output);
        if !output.status.success() {
            wrong.push(format!("{what}: exit {:?}: {said}", output.status.code()));
        } else if figures(runs.path()) != expected {
            wrong.push(format!("{what}: other figures: {said}"));
        } else if mine(&files(&seed)) != before {
            wrong.push(format!("{what}: a file of somebody is gone"));
        }
        let is_plain = ["gone", "empty", "half"].iter().any(|word| what.contains(word));
        if !is_plain && !String::from_utf8_lossy(&output.stderr).contains("seed 1, ") {
            wrong.push(format!("{what}: without a word"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_done_to_what_a_link_in_a_comparison_leads_to() {
    let whole = finished();
    for (name, is_refused) in
        [("biased.half", false), ("biased", true), ("pretrain", false), ("", true)]
    {
        let runs = Runs::new();
        copy(&whole.path().join(NAME), &runs.path().join(NAME));
        fs::remove_file(runs.path().join(NAME).join("outcome.json")).unwrap();
        let (seed, outside) = (runs.path().join(NAME).join("seed-1"), runs.path().join("outside"));
        unfinish(&seed.join("biased"));
        let linked = if name.is_empty() { seed.clone() } else { seed.join(name) };
        let was = if name == "biased.half" { seed.join("biased") } else { linked.clone() };
        fs::rename(was, &outside).unwrap();
        std::os::unix::fs::symlink(&outside, &linked).unwrap();
        let before = files(&outside);
        let output = resume(runs.path());
        let said = words(&output);
        assert_eq!(output.status.code(), Some(i32::from(is_refused)), "{name}: {said}");
        assert!(!is_refused || said.contains("is a link"), "{name}: {said}");
        assert!(files(&outside) == before, "{name}: something was done outside: {said}");
    }
}

#[test]
fn a_pretraining_that_somebody_went_on_with_is_forked_at_e_all_the_same() {
    let runs = finished();
    let expected = figures(runs.path());
    let seed = runs.path().join(NAME).join("seed-1");
    let pretrain = seed.join("pretrain");
    let on = ask(runs.path(), &["resume", &pretrain.display().to_string(), "--json"]);
    assert!(on.status.success(), "{}", words(&on));
    fs::remove_dir_all(seed.join("biased")).unwrap();
    let output = resume(runs.path());
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(figures(runs.path()), expected, "{}", words(&output));
}

#[test]
fn what_another_version_wrote_is_refused_and_left_as_it_is() {
    let whole = finished();
    for part in ["pretrain", "biased"] {
        let runs = Runs::new();
        copy(&whole.path().join(NAME), &runs.path().join(NAME));
        let seed = runs.path().join(NAME).join("seed-1");
        if part == "biased" {
            unfinish(&seed.join(part));
        }
        each(&seed.join(part), "json", |file| {
            let mut manifest: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            manifest["format"] = json!(99);
            fs::write(file, manifest.to_string()).unwrap();
        });
        let before = files(&seed);
        let output = resume(runs.path());
        assert_eq!(output.status.code(), Some(1), "{part}: {}", words(&output));
        assert!(words(&output).contains("format 99"), "{part}: {}", words(&output));
        assert!(files(&seed) == before, "{part}: something was changed");
    }
}

#[test]
fn names_that_a_comparison_uses_itself_are_no_arms() {
    let long = "a".repeat(65);
    for name in
        ["pretrain", "\"a/b\"", "\"..\"", "\".x\"", "\"pretrain.half\"", "\"\"", "\"a b\"", &long]
    {
        let text = format!("name = \"demo\"\n[arms.{name}]\nimportance.exponent = 0.5\n");
        let why = config::from_str(&text, "mine.toml", &[]).expect_err(name).to_string();
        assert!(why.starts_with("mine.toml:"), "{name}: {why}");
    }
    for name in ["pre-train", "pretrained", "a_b-1", "outcome", &long[..64]] {
        let text = format!("[arms.{name}]\nimportance.exponent = 0.5\n");
        assert_eq!(config::arms(&text, "mine.toml").unwrap()[0].0, name);
    }
}

/// Comparisons as nobody made them, by what is changed of a good one.
fn crafted(good: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut design = good.clone();
        change(&mut design);
        design.to_string().into_bytes()
    };
    let named = |name: &str| changed(&|d| d["arms"][2][0] = json!(name));
    let arm = |table: &str, key: &str, value: Value| {
        changed(&|d| d["arms"][2][1][table][key] = value.clone())
    };
    vec![
        ("no arms", changed(&|d| d["arms"] = json!([]))),
        ("no baseline", changed(&|d| drop(d["arms"].as_array_mut().unwrap().remove(0)))),
        ("the baseline not first", changed(&|d| d["arms"].as_array_mut().unwrap().swap(0, 1))),
        ("an arm twice", named("uniform-null")),
        ("no seeds", changed(&|d| d["seeds"] = json!([]))),
        ("a seed twice", changed(&|d| d["seeds"] = json!([1, 1]))),
        ("a seed that is no number", changed(&|d| d["seeds"] = json!(["../../outside"]))),
        ("a negative seed", changed(&|d| d["seeds"] = json!([-1]))),
        ("a seed that no config takes", changed(&|d| d["seeds"] = json!([u64::MAX]))),
        ("an arm outside", named("../../../outside/x")),
        ("an arm from the root", named("/tmp/earlybird-outside")),
        ("an arm in an arm", named("uniform/checkpoints")),
        ("the pretraining as an arm", named("pretrain")),
        ("half an arm", named("biased.half")),
        ("the seed itself as an arm", named(".")),
        ("an arm without a name", named("")),
        ("an arm that clears the screen", named("\u{1b}[2J")),
        ("an arm with a NUL", named("a\0b")),
        ("E = 0", changed(&|d| d["config"]["importance"]["pretrain_epochs"] = json!(0))),
        ("E = N", changed(&|d| d["config"]["importance"]["pretrain_epochs"] = json!(5))),
        (
            "E beyond all",
            changed(&|d| d["config"]["importance"]["pretrain_epochs"] = json!(u64::MAX)),
        ),
        ("an arm with another E", arm("importance", "pretrain_epochs", json!(1))),
        ("an arm with another N", arm("train", "epochs", json!(6))),
        ("an arm with another budget", arm("train", "batch_size", json!(7))),
        ("an arm with batches of nothing", arm("train", "batch_size", json!(0))),
        ("an arm with other data", arm("data", "imbalance", json!(50.0))),
        ("an arm with another model", arm("model", "name", json!("resnet18"))),
        ("an arm with an odd value", arm("importance", "exponent", json!(-3.0))),
        ("an arm of words", changed(&|d| d["arms"][2] = json!("biased"))),
        ("no object", b"[]".to_vec()),
        ("nothing", Vec::new()),
        ("half of it", good.to_string().into_bytes()[..200].to_vec()),
        ("no text", vec![0xff; 64]),
    ]
}

#[test]
fn a_crafted_comparison_is_refused_and_nothing_outside_is_touched() {
    let whole = finished();
    let good: Value =
        serde_json::from_slice(&fs::read(whole.path().join(NAME).join("comparison.json")).unwrap())
            .unwrap();
    let place = Runs::new();
    let (runs, outside) = (place.path().join("runs"), place.path().join("outside"));
    copy(&whole.path().join(NAME), &runs.join(NAME));
    copy(&whole.path().join(NAME).join("seed-1/biased"), &outside.join("x"));
    unfinish(&outside.join("x"));
    let directory = RunDirectory::open(&runs.join(NAME));
    assert!(Race::open(&directory).is_ok());
    let before = files(&outside);
    let seeds = files(&runs.join(NAME).join("seed-1"));
    let mut wrong = Vec::new();
    for (what, bytes) in crafted(&good) {
        fs::write(directory.file("comparison.json"), bytes).unwrap();
        if Race::open(&directory).is_ok() {
            wrong.push(format!("{what}: can be watched"));
            continue; // what would it train?
        }
        let (output, stop) = (resume(&runs), ask(&runs, &["send", NAME, "stop"]));
        for (command, output) in [("compare --resume", &output), ("send stop", &stop)] {
            let code = output.status.code();
            if !matches!(code, Some(1 | 2)) || words(output).contains('\u{1b}') {
                wrong.push(format!("{what}: {command}: {code:?} {:?}", words(output)));
            }
        }
        if !ask(&runs, &["runs"]).status.success() {
            wrong.push(format!("{what}: runs"));
        }
        assert!(files(&outside) == before, "{what}: wrote outside");
        assert!(files(&runs.join(NAME).join("seed-1")) == seeds, "{what}: changed runs");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_report_reads_no_runs_outside_of_its_comparison() {
    let runs = finished();
    let file = runs.path().join(NAME).join("outcome.json");
    let good: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for (key, value) in [
        ("arm", json!("../../../outside/x")),
        ("arm", json!("pretrain")),
        ("arm", json!("mine")),
        ("seeds", json!([good["arms"][2]["seeds"][0], good["arms"][2]["seeds"][0]])),
    ] {
        let mut outcome = good.clone();
        outcome["arms"][2][key] = value.clone();
        fs::write(&file, outcome.to_string()).unwrap();
        let output = ask(runs.path(), &["report", NAME]);
        let said = words(&output);
        assert!(
            output.status.code() == Some(1) && said.contains("outcome.json"),
            "{value}: {said}"
        );
    }
}

/// A file that is there as long as the disk is full.
fn full_disk(runs: &Runs, command: &mut Command, faults: &[Fault]) -> PathBuf {
    let full = runs.path().join("full");
    fs::write(&full, "").unwrap();
    command.envs(variables(faults)).env("FAULT_WHILE", &full);
    full
}

#[test]
fn a_comparison_that_waits_for_its_disk_says_so_in_lines_and_as_json() {
    if !can_be_made(2) {
        return;
    }
    let expected = figures(finished().path());
    let fault = Fault::always("write", Errno::NOSPC, "tensors.tmp$");
    for json in [false, true] {
        let runs = Runs::new();
        let mut command = compare(runs.path(), if json { &["--json"] } else { &[] });
        let full = full_disk(&runs, &mut command, &[fault]);
        // Whichever of the two it says it on.
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        let word = if json { "\"cause\":\"disk\"" } else { "paused: " };
        let said = lines.find(|line| line.contains(word));
        fs::remove_file(&full).unwrap();
        let rest: Vec<String> = lines.collect();
        let status = child.wait().unwrap();
        let said = said.unwrap_or_else(|| panic!("json {json}: never told: {rest:?}"));
        assert!(said.contains("pretrain"), "which run: {said}");
        assert!(rest.iter().any(|line| line.contains("resumed")), "json {json}: {rest:?}");
        assert!(status.success(), "json {json}: {rest:?}");
        assert_eq!(figures(runs.path()), expected);
    }
}

#[test]
fn a_fork_that_cannot_be_written_is_no_fork_and_is_made_later() {
    let faults = [
        Fault::always("write", Errno::NOSPC, "biased.half"),
        Fault::always("mkdir", Errno::NOSPC, "biased.half"),
        Fault::always("open", Errno::NOSPC, "biased.half"),
        Fault::always("rename", Errno::DQUOT, "biased$"),
    ];
    if !can_be_made(faults.len()) {
        return;
    }
    let whole = finished();
    let expected = figures(whole.path());
    for fault in faults {
        let runs = Runs::new();
        copy(&whole.path().join(NAME), &runs.path().join(NAME));
        let arm = runs.path().join(NAME).join("seed-1/biased");
        fs::remove_dir_all(&arm).unwrap();
        fs::remove_file(runs.path().join(NAME).join("outcome.json")).unwrap();
        let mut command = program();
        command
            .args(["compare", "--headless", "--json", "--resume", NAME, "--runs-dir"])
            .arg(runs.path());
        command.envs(variables(&[fault]));
        let output = command.output().unwrap();
        let said = words(&output);
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {said}");
        assert!(said.contains("biased") && said.contains("--resume"), "{fault:?}: {said}");
        assert!(!arm.exists(), "{fault:?}: half a fork");
        let output = resume(runs.path());
        assert!(output.status.success(), "{fault:?}: {}", words(&output));
        assert_eq!(figures(runs.path()), expected, "{fault:?}");
    }
}

/// A process that has nothing to do with it.
struct Bystander(std::process::Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn stop_signals_no_process_that_a_file_names() {
    let runs = finished();
    let directory = runs.directory(NAME);
    let mut sleep = Command::new("sleep");
    let mut bystander = Bystander(sleep.arg("600").process_group(0).spawn().unwrap());
    let pid = bystander.0.id();
    let of = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (host, boot) = (of("/proc/sys/kernel/hostname"), of("/proc/sys/kernel/random/boot_id"));
    let stat = of(&format!("/proc/{pid}/stat"));
    let began = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(19)?.parse::<u64>().ok());
    let inode = fs::metadata(directory.path()).unwrap().ino();
    let container = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    // Somebody has the lock, as while it is trained.
    let _lock = directory.lock().unwrap();
    for pid in [json!(pid), json!(-i64::from(pid)), json!(0), json!(-1), json!(1)] {
        for began in [began.unwrap_or(0), 0] {
            let said = json!({
                "host": host, "boot": boot, "container": container, "pid": pid, "began": began,
                "inode": inode,
            });
            fs::write(directory.file("pid"), pid.to_string()).unwrap();
            fs::write(directory.file("trainer.json"), said.to_string()).unwrap();
            let output = ask(runs.path(), &["send", NAME, "stop"]);
            let told = words(&output);
            assert_ne!(output.status.code(), Some(0), "{said}: {told}");
            if said["began"] != 0 && said["pid"] == bystander.0.id() {
                assert!(told.contains("has ended"), "its program was looked at: {told}");
            }
            assert!(bystander.0.try_wait().unwrap().is_none(), "{said}: somebody else was ended");
        }
    }
}
