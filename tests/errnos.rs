//! What a file system or a sandbox may refuse: what can go on goes on, messages fit the error, and
//! what was not written is not called a success.

use crate::environment::{self, EARLYBIRD, plain, skipped};
use crate::faulty::{Fault, can_be_made, variables};
use crate::support::{Headless, Runs, hash, small_args};
use crate::terminal::Terminal;
use earlybird::protocol::{Cause, Event};
use earlybird::run::TrainedBy;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn earlybird(runs: &Path, args: &[&str], faults: &[Fault]) -> Command {
    let mut command = environment::earlybird(runs, args);
    if !faults.is_empty() {
        command.envs(variables(faults));
    }
    command
}

fn train(runs: &Path, faults: &[Fault]) -> Output {
    earlybird(runs, &small_args(&["train", "--json"]), faults).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Events as they were printed.
fn events(output: &Output) -> Vec<Event> {
    text(&output.stdout)
        .lines()
        .filter_map(|l| Some(earlybird::protocol::Record::from_line(l)?.event))
        .collect()
}

fn warnings<'a>(events: &'a [Event], of: &str) -> Vec<&'a str> {
    let text = |e: &'a Event| match e {
        Event::Warning { code, text } if code == of => Some(text.as_str()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn is_paused(events: &[Event]) -> bool {
    events.iter().any(|e| matches!(e, Event::Paused { .. }))
}

#[test]
fn a_file_system_that_cannot_force_files_to_its_disk_does_not_hold_a_run_up() {
    let unsupported = [Errno::INVAL, Errno::NOTSUP, Errno::NOSYS];
    if !can_be_made(unsupported.len() + 2) {
        return;
    }
    let straight = Runs::new();
    let expected = hash(&straight.headless("train", &[]).end().1);
    let all =
        |errno| vec![Fault::always("fsync", errno, "*"), Fault::always("fdatasync", errno, "*")];
    let directories = |errno| {
        vec![
            Fault::always("fsync", errno, "checkpoints/$"),
            Fault::always("fsync", errno, "demo-001/$"),
        ]
    };
    let mut cases: Vec<Vec<Fault>> = unsupported.into_iter().map(all).collect();
    cases.extend([Errno::INVAL, Errno::BADF].map(directories));
    for faults in cases {
        let runs = Runs::new();
        let output = train(runs.path(), &faults);
        let events = events(&output);
        assert_eq!(
            (output.status.code(), hash(&events)),
            (Some(0), expected.clone()),
            "{faults:?} {}",
            text(&output.stderr)
        );
        assert!(warnings(&events, "disk").is_empty() && !is_paused(&events), "{faults:?}");
        if faults.len() == 2 {
            assert_eq!(warnings(&events, "sync").len(), 1, "{faults:?}: told once");
        }
        let found = runs.directory("demo-001").checkpoints().newest().unwrap();
        assert!(
            found.damaged.is_empty()
                && found.checkpoint.is_some_and(|(c, _)| c.state.completed == 5)
        );
    }
}

#[test]
fn whatever_a_disk_refuses_pauses_the_run_with_words_that_fit_until_it_takes_writes_again() {
    let cases = [
        (Fault::always("write", Errno::NOSPC, "checkpoints/"), "free some space"),
        (Fault::always("write", Errno::DQUOT, "checkpoints/"), "quota"),
        (Fault::always("write", Errno::FBIG, "checkpoints/"), "ulimit -f"),
        (Fault::always("open", Errno::ROFS, "checkpoints/epoch"), "read-only"),
        (Fault::always("open", Errno::MFILE, "checkpoints/epoch"), "ulimit -n"),
        (Fault::always("rename", Errno::ACCESS, "checkpoints/"), "permission"),
        (Fault::always("fsync", Errno::IO, "checkpoints/"), "dmesg"),
        (Fault::always("fdatasync", Errno::STALE, "journal.jsonl"), "mounted anew"),
        (Fault::always("write", Errno::IO, "journal.jsonl"), "dmesg"),
    ];
    if !can_be_made(cases.len()) {
        return;
    }
    let set = ["train", "--json", "--set", "train.epochs=8"];
    let straight = Runs::new();
    let expected = hash(&straight.headless("train", &set[2..]).end().1);
    for (fault, part) in cases {
        let runs = Runs::new();
        let switch = runs.path().join("switch");
        let mut command = earlybird(runs.path(), &small_args(&set), &[fault]);
        command.env("FAULT_WHILE", &switch);
        let child = Headless::start(command);
        child.until(|e| matches!(e, Event::Checkpoint { epoch: 2, .. }));
        File::create(&switch).unwrap();
        let warned = child.until(|e| matches!(e, Event::Warning { code, .. } if code == "disk"));
        let Event::Warning { text, .. } = &warned else { panic!("{warned:?}") };
        let space = matches!(fault.errno, Errno::NOSPC | Errno::DQUOT);
        assert!(
            text.contains(part) && text.contains("free some space") == space,
            "{fault:?}: {text}"
        );
        let paused = child.until(|e| matches!(e, Event::Paused { .. }));
        assert!(
            matches!(
                &paused,
                Event::Paused { cause: Cause::Disk, reason: Some(r), .. } if r.contains(part)
            ),
            "{fault:?}: {paused:?}"
        );
        std::fs::remove_file(&switch).unwrap();
        let (code, events) = child.end();
        assert_eq!((code, hash(&events)), (0, expected.clone()), "{fault:?}");
        let journal =
            earlybird::run::read_journal(&runs.directory("demo-001").file("journal.jsonl"))
                .unwrap();
        assert!(
            journal.damaged == 0 && journal.records.windows(2).all(|w| w[0].seq < w[1].seq),
            "{fault:?}"
        );
    }
}

#[test]
fn interrupted_calls_are_made_again() {
    let cases = [
        ("flock", "run.lock"),
        ("rename", "checkpoints/"),
        ("bind", "*"),
        ("fsync", "*"),
        ("fdatasync", "*"),
        ("write", "journal"),
    ];
    if !can_be_made(cases.len()) {
        return;
    }
    let faults = cases.map(|(call, path)| Fault { call, errno: Errno::INTR, path, from: 1, to: 3 });
    let runs = Runs::new();
    let output = train(runs.path(), &faults);
    let events = events(&output);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        events.iter().all(|e| !matches!(e, Event::Warning { .. } | Event::Paused { .. })),
        "{events:?}"
    );
}

#[test]
fn a_start_that_the_system_refuses_says_why_and_leaves_nothing_behind() {
    let cases = [
        (Fault::always("flock", Errno::NOLCK, "run.lock"), "cannot lock", "another file system"),
        (Fault::always("flock", Errno::NOSYS, "run.lock"), "cannot lock", "another file system"),
        (
            Fault::always("flock", Errno::OPNOTSUPP, "run.lock"),
            "cannot lock",
            "another file system",
        ),
        (Fault::always("mkdir", Errno::ROFS, "demo-001"), "cannot write", "read-only"),
        (Fault::always("mkdir", Errno::ACCESS, "demo-001"), "cannot write", "permission"),
        (Fault::always("open", Errno::DQUOT, "config.toml"), "cannot write", "quota"),
        (Fault::always("open", Errno::MFILE, "run.lock"), "cannot write", "ulimit -n"),
        (Fault::always("open", Errno::NOSPC, "journal.jsonl"), "journal.jsonl", "free some space"),
        (Fault::always("open", Errno::IO, "journal.jsonl"), "journal.jsonl", "dmesg"),
    ];
    if !can_be_made(cases.len()) {
        return;
    }
    for (fault, what, help) in cases {
        let runs = Runs::new();
        let output = train(runs.path(), &[fault]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {said}");
        assert!(said.contains(what) && said.contains(help), "{fault:?}: {said}");
        let space = matches!(fault.errno, Errno::NOSPC | Errno::DQUOT);
        assert!(said.contains("free some space") == space, "{fault:?}: {said}");
        let left: Vec<_> =
            std::fs::read_dir(runs.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "{fault:?}: {left:?}");
    }
}

#[test]
fn a_run_without_a_socket_is_told_to_whoever_looks_for_it() {
    let cases = [Errno::PERM, Errno::ACCESS, Errno::OPNOTSUPP];
    if !can_be_made(cases.len()) {
        return;
    }
    for errno in cases {
        let runs = Runs::new();
        let args = small_args(&["train", "--json", "--set", "train.epochs=100000"]);
        let child =
            Headless::start(earlybird(runs.path(), &args, &[Fault::always("bind", errno, "*")]));
        let warned = child.until(|e| matches!(e, Event::Warning { code, .. } if code == "socket"));
        assert!(
            matches!(&warned, Event::Warning { text, .. } if text.contains("nobody can attach")),
            "{warned:?}"
        );
        child.until(|e| matches!(e, Event::EpochEnd(_)));
        let asked = earlybird(runs.path(), &["send", "demo-001", "pause"], &[]).output().unwrap();
        let (said, pid) = (text(&asked.stderr), child.pid().as_raw_nonzero());
        assert_eq!(asked.status.code(), Some(1));
        assert!(
            said.contains("is being trained") && said.contains(&format!("kill -INT {pid}")),
            "{said}"
        );
        let listed = earlybird(runs.path(), &["runs", "--json"], &[]).output().unwrap();
        assert!(text(&listed.stdout).contains("\"state\":\"live\""), "{listed:?}");
        child.kill(Signal::INT);
        assert_eq!(child.end().0, 130);
        let listed = earlybird(runs.path(), &["runs", "--json"], &[]).output().unwrap();
        assert!(text(&listed.stdout).contains("\"state\":\"interrupted\""), "{listed:?}");
    }
}

#[test]
fn a_cockpit_that_no_socket_could_reach_trains_in_its_own_process() {
    if !can_be_made(1) {
        return;
    }
    let runs = Runs::new();
    let faults = variables(&[Fault::always("bind", Errno::PERM, "*")]);
    let mut vars: Vec<(&str, &str)> =
        faults.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.push(("COLORFGBG", "15;0"));
    let mut t = Terminal::start_with(
        runs.path(),
        &small_args(&["train", "--set", "train.epochs=100000"]),
        &vars,
    );
    t.wait("training", |s| s.contains("images/s") && s.contains("TRAINING"));
    let by = runs.directory("demo-001").trained_by();
    let TrainedBy::Here(trainer) = &by else { panic!("{by:?}") };
    assert_eq!(Some(trainer.pid), t.child.process_id(), "nobody else trains it");
    t.press("qs");
    t.wait("the end", |s| s.contains("Kept in"));
    assert_eq!(t.child.wait().unwrap().exit_code(), 130);
    assert_eq!(runs.directory("demo-001").trained_by(), TrainedBy::Nobody);
}

/// Blocks of 512 bytes that a file may have: enough for a journal, too few for a checkpoint.
const BLOCKS: u64 = 400;

#[test]
fn a_limit_on_the_size_of_files_is_told_and_when_it_is_raised_the_run_goes_on() {
    let straight = Runs::new();
    let expected = hash(&straight.headless("train", &[]).end().1);
    let runs = Runs::new();
    let mut command = plain(Command::new("sh"));
    command.args(["-c", &format!("ulimit -S -f {BLOCKS}; exec \"$@\""), "sh", EARLYBIRD]);
    command.args(small_args(&["train", "--json", "--runs-dir"])).arg(runs.path());
    let child = Headless::start(command);
    let paused = child.until(|e| matches!(e, Event::Paused { .. }));
    assert!(
        matches!(
            &paused,
            Event::Paused { cause: Cause::Disk, reason: Some(r), .. } if r.contains("ulimit -f")
        ),
        "{paused:?}"
    );
    prlimit(Some(child.pid()), Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    let (code, events) = child.end();
    assert_eq!((code, hash(&events)), (0, expected));
}

#[test]
fn output_that_could_not_be_written_is_no_success() {
    if !Path::new("/dev/full").exists() {
        skipped("7 commands, which need /dev/full");
        return;
    }
    let runs = Runs::new();
    assert_eq!(runs.headless("train", &[]).end().0, 0);
    let trained = small_args(&["train", "--json"]);
    let commands: [&[&str]; 7] = [
        &["runs", "--json"],
        &["runs"],
        &["evaluate", "demo-001", "--json"],
        &trained,
        &["train", "--print-config"],
        &["replay", "--headless", "--json", "demo-001"],
        &["--help"],
    ];
    for args in commands {
        let mut command = earlybird(runs.path(), args, &[]);
        let output = command
            .stdout(File::create("/dev/full").unwrap())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(
            args == ["--help"] || said.contains("could not be written: No space left"),
            "{args:?}: {said}"
        );
        // A reader that has seen enough is no failure.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = earlybird(runs.path(), args, &[])
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    }
    // The training itself was not disturbed.
    for run in ["demo-002", "demo-003"] {
        assert!(runs.directory(run).file("model.safetensors").exists(), "{run}");
    }
}

#[test]
fn a_process_that_may_open_too_few_files_says_so_and_leaves_nothing() {
    for (limit, codes) in [
        ("-n 8", [1, 127]),
        ("-n 16", [1, 1]),
        ("-n 23", [1, 1]),
        ("-n 24", [0, 0]),
        ("-S -n 16", [0, 0]),
    ] {
        let runs = Runs::new();
        let mut command = plain(Command::new("sh"));
        command.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh", EARLYBIRD]);
        command.args(small_args(&["train", "--json", "--runs-dir"])).arg(runs.path().join("runs"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let (code, said) = (output.status.code(), text(&output.stderr));
        assert!(
            code.is_some_and(|c| codes.contains(&c)),
            "ulimit {limit}: {:?} {said}",
            output.status
        );
        if code == Some(1) {
            assert!(said.contains("ulimit -n"), "ulimit {limit}: {said}");
            assert!(!runs.path().join("runs").exists(), "ulimit {limit}");
        }
    }
}
