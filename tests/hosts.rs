//! Who trains a run, and what is said when that process is elsewhere, stopped, busy or not ours.

use crate::environment::{program, ran, skipped};
use crate::support::{Headless, Runs, small_args};
use earlybird::link::{ClientKind, FromHost, Greeting, Hello, ToHost};
use earlybird::printable::is_unprintable;
use earlybird::protocol::Event;
use earlybird::run::{RunDirectory, TrainedBy, read_journal};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// What anything is waited for at most.
const PATIENCE: Duration = Duration::from_secs(60);
const LONG: [&str; 4] = ["train", "--json", "--set", "train.epochs=100000"];

/// A run in its second epoch, which does not end by itself.
fn training(runs: &Runs) -> Headless {
    let mut process = program();
    process.args(small_args(&LONG)).arg("--runs-dir").arg(runs.path());
    let child = Headless::start(process);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 1, .. }));
    child
}

fn ask(runs: &Runs, args: &[&str]) -> (Output, String) {
    let output = ran(runs.path(), args);
    let said = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8(said).unwrap())
}

/// The number of the process that trains, if it is one of this machine.
fn trainer_of(directory: &RunDirectory) -> Option<i32> {
    match directory.trained_by() {
        TrainedBy::Here(trainer) => i32::try_from(trainer.pid).ok(),
        _ => None,
    }
}

fn is_locked(directory: &RunDirectory) -> bool {
    let file = File::open(directory.file("run.lock"));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[test]
fn a_run_whose_lock_was_removed_has_one_trainer_who_locks_it_anew() {
    let runs = Runs::new();
    let child = training(&runs);
    let directory = runs.directory("demo-001");
    let pid = child.pid().as_raw_nonzero().get();
    for gone in [&["run.lock"][..], &["run.lock", "trainer.json"]] {
        gone.iter().for_each(|name| fs::remove_file(directory.file(name)).unwrap());
        let (output, said) = ask(&runs, &["resume", "demo-001", "--headless"]);
        assert!(
            !output.status.success() && said.contains("is being trained by"),
            "{gone:?}: {said}"
        );
        assert!(ask(&runs, &["runs", "--json"]).1.contains("\"state\":\"live\""), "{gone:?}");
        // The next sign of life mends it.
        let until = Instant::now() + PATIENCE;
        while !(is_locked(&directory) && trainer_of(&directory) == Some(pid)) {
            assert!(Instant::now() < until, "{gone:?}: {:?}", directory.trained_by());
            child.next();
        }
    }
    child.kill(Signal::TERM);
    assert_eq!(child.end().0, 143);
    assert_eq!(directory.trained_by(), TrainedBy::Nobody);
    let records = read_journal(&directory.file("journal.jsonl")).unwrap().records;
    assert!(records.windows(2).all(|w| w[0].seq < w[1].seq));
}

#[test]
fn a_run_that_another_process_has_taken_ends_and_leaves_it_alone() {
    let runs = Runs::new();
    let first = training(&runs);
    let directory = runs.directory("demo-001");
    first.kill(Signal::STOP);
    for name in ["run.lock", "trainer.json", "control.sock"] {
        fs::remove_file(directory.file(name)).unwrap();
    }
    let second = runs.headless("resume", &["demo-001"]);
    second.until(|e| matches!(e, Event::EpochEnd(_)));
    let checkpoints = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(directory.checkpoints().directory()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    assert_eq!(ask(&runs, &["send", "demo-001", "pause"]).0.status.code(), Some(0));
    let kept = checkpoints();
    first.kill(Signal::CONT);
    let (code, events) = first.end();
    let is_told =
        |e: &Event| matches!(e, Event::Failed { reason } if reason.contains("another process"));
    assert!(code == 1 && events.iter().any(is_told), "{code}: {:?}", events.last());
    assert_eq!(checkpoints(), kept, "what the second one keeps");
    assert_eq!(trainer_of(&directory), Some(second.pid().as_raw_nonzero().get()));
    assert_eq!(ask(&runs, &["send", "demo-001", "resume"]).0.status.code(), Some(0), "its socket");
    second.until(|e| matches!(e, Event::EpochEnd(_)));
    second.kill(Signal::TERM);
    assert_eq!(second.end().0, 143);
    let records = read_journal(&directory.file("journal.jsonl")).unwrap().records;
    assert!(records.windows(2).all(|w| w[0].seq < w[1].seq), "one after the other");
}

#[test]
fn a_table_of_runs_writes_nothing_into_what_is_not_this_users() {
    let runs = Runs::new();
    let (directory, victim) = (runs.directory("demo-001"), runs.path().join("thesis"));
    fs::create_dir(directory.path()).unwrap();
    fs::write(directory.file("journal.jsonl"), "").unwrap();
    fs::write(&victim, "all of it").unwrap();
    let inode = fs::metadata(directory.path()).unwrap().ino();
    let said = serde_json::json!({
        "host": "node7", "boot": "another", "pid": 4711, "began": 1, "inode": inode,
    });
    fs::write(directory.file("trainer.json"), said.to_string()).unwrap();
    // The program's number will be one of the next.
    let next = std::process::id();
    for pid in next..next + 2_000 {
        let clock = directory.file(&format!(".clock-{pid}"));
        std::os::unix::fs::symlink(&victim, clock).unwrap();
    }
    let (_, said) = ask(&runs, &["runs"]);
    assert!(said.contains("node7"), "{said}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "all of it");
}

#[test]
fn a_sign_of_life_from_the_future_is_none() {
    let runs = Runs::new();
    let directory = runs.directory("demo-001");
    fs::create_dir(directory.path()).unwrap();
    let inode = fs::metadata(directory.path()).unwrap().ino();
    let said = serde_json::json!({
        "host": "node7", "boot": "another", "pid": 4711, "began": 1, "inode": inode,
    });
    fs::write(directory.file("trainer.json"), said.to_string()).unwrap();
    let is_elsewhere = || matches!(directory.trained_by(), TrainedBy::Elsewhere(..));
    for (ahead, lives) in [(0, true), (30, true), (30 * 86_400, false)] {
        let file = File::options().write(true).open(directory.file("trainer.json")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(ahead)).unwrap();
        assert_eq!(is_elsewhere(), lives, "{ahead} s ahead");
    }
}

#[test]
fn a_copy_of_a_run_that_is_being_trained_is_not_being_trained() {
    let runs = Runs::new();
    let child = training(&runs);
    let copy = runs.directory("demo-007");
    fs::create_dir(copy.path()).unwrap();
    for name in ["trainer.json", "run.lock", "journal.jsonl", "config.toml"] {
        fs::copy(runs.directory("demo-001").file(name), copy.file(name)).unwrap();
    }
    assert_eq!(copy.trained_by(), TrainedBy::Nobody);
    assert!(copy.lock().is_ok());
    child.kill(Signal::KILL);
    assert_eq!(runs.directory("demo-001").trained_by(), TrainedBy::Nobody, "its process is gone");
}

#[test]
fn a_run_that_another_machine_trains_is_left_to_it_until_it_is_not_heard_of() {
    let runs = Runs::new();
    let child = training(&runs);
    let directory = runs.directory("demo-001");
    let said = fs::read_to_string(directory.file("trainer.json")).unwrap();
    child.kill(Signal::KILL);
    assert_eq!(directory.trained_by(), TrainedBy::Nobody, "its process is gone");
    let mut said: serde_json::Value = serde_json::from_str(&said).unwrap();
    (said["host"], said["job"]) = ("node7\u{1b}[2J\nfake".into(), "42".into());
    said["boot"] = "another".into();
    let file = directory.file("trainer.json");
    fs::write(&file, said.to_string()).unwrap();
    for args in [
        &["resume", "--headless"][..],
        &["send", "demo-001", "pause"],
        &["runs"],
        &["runs", "--json"],
    ] {
        let (_, said) = ask(&runs, args);
        assert!(said.contains("u001b[2J fake") && said.contains("job 42"), "{args:?}: {said}");
        assert!(!said.contains('\u{1b}') && !said.contains("interrupted"), "{args:?}: {said}");
    }
    let long_ago = SystemTime::now() - Duration::from_secs(120);
    fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    let (_, said) = ask(&runs, &["runs"]);
    assert!(said.contains("interrupted") && !said.contains("node7"), "{said}");
    let child = runs.headless("resume", &[]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    assert!(matches!(directory.trained_by(), TrainedBy::Here(t) if t.host != "node7"));
}

#[test]
fn a_stopped_host_keeps_nobody_waiting_and_is_told_of() {
    let runs = Runs::new();
    let child = training(&runs);
    child.kill(Signal::STOP);
    let (_, listed) = ask(&runs, &["runs"]);
    let (output, said) = ask(&runs, &["send", "demo-001", "pause"]);
    child.kill(Signal::CONT);
    assert!(listed.contains("live"), "{listed}");
    let pid = child.pid().as_raw_nonzero();
    assert!(!output.status.success() && said.contains(&format!("kill -CONT {pid}")), "{said}");
}

#[test]
fn what_a_host_does_not_take_is_said_and_the_run_goes_on() {
    let runs = Runs::new();
    let child = training(&runs);
    let note = "x".repeat(66_000);
    let (output, said) = ask(&runs, &["send", "demo-001", "note", &note]);
    assert!(!output.status.success() && said.contains("at most 64 KiB"), "{said}");
    // As many clients as there may be: each has been greeted.
    let socket = runs.directory("demo-001").socket();
    let clients: Vec<BufReader<UnixStream>> = (0..64)
        .map(|_| {
            let mut client = BufReader::new(UnixStream::connect(&socket).unwrap());
            client.read_line(&mut String::new()).unwrap();
            client
        })
        .collect();
    let (output, said) = ask(&runs, &["send", "demo-001", "pause"]);
    assert!(!output.status.success() && said.contains("64 clients are attached"), "{said}");
    drop(clients);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
}

#[test]
fn what_another_program_sends_is_answered_before_the_line_is_cut() {
    let runs = Runs::new();
    let child = training(&runs);
    let mut stream = UnixStream::connect(runs.directory("demo-001").socket()).unwrap();
    let hello = Hello { greeting: Greeting::ours(), purpose: ClientKind::Ask, was: None };
    let hello = serde_json::to_string(&ToHost::Hello(hello)).unwrap() + "\n";
    stream.write_all(hello.as_bytes()).unwrap();
    let _ = stream.write_all(&vec![b'x'; 200_000]);
    let _ = stream.write_all(b"\n");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = BufReader::new(stream).lines().map_while(Result::ok).last();
    assert!(told.as_ref().is_some_and(|t| t.contains("longer than allowed")), "{told:?}");
    child.until(|e| matches!(e, Event::EpochEnd(_)));
}

/// A run at whose socket somebody else listens, and does `act` with each client.
fn with_odd_host(runs: &Runs, act: impl Fn(UnixStream) + Send + 'static) {
    let directory = runs.directory("demo-001");
    fs::create_dir_all(directory.path()).unwrap();
    fs::write(directory.file("journal.jsonl"), "").unwrap();
    let listener = UnixListener::bind(directory.socket()).unwrap();
    // It ends with the tests.
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(act));
}

/// Says all of it, and hangs up in order.
fn say(text: String) -> Box<dyn Fn(UnixStream) + Send> {
    Box::new(move |mut stream: UnixStream| {
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

fn frame(frame: &FromHost) -> String {
    serde_json::to_string(frame).unwrap() + "\n"
}

#[test]
fn what_an_odd_host_says_is_bounded_printable_and_no_answer() {
    let (greeting, run, pid) = (Greeting::ours(), "demo-001".to_owned(), std::process::id());
    let welcome = frame(&FromHost::Welcome { greeting, run, pid, client: 1, paused: false });
    let endless = |first: String| {
        Box::new(move |mut stream: UnixStream| {
            let _ = stream.write_all(first.as_bytes());
            while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
        })
    };
    let owned = frame(&FromHost::Bye("\u{1b}[2Jowned \u{202e}".into()));
    let full = frame(&FromHost::Bye("64 clients are attached already".into()));
    type Act = Box<dyn Fn(UnixStream) + Send>;
    let cases: [(Act, &str); 7] = [
        (endless(String::new()), "longer than allowed"),
        (endless(welcome.clone()), "longer than allowed"),
        (say(welcome.clone() + &owned), "\\u001b[2Jowned \\u202e"),
        (say(owned), "\\u001b[2Jowned \\u202e"),
        (say(full), "64 clients are attached already"),
        (say("\u{1b}[2J\n".into()), "does not answer as it should"),
        (say(String::new()), "it hung up"),
    ];
    for (act, part) in cases {
        let runs = Runs::new();
        with_odd_host(&runs, act);
        let (output, said) = ask(&runs, &["send", "demo-001", "pause"]);
        assert!(output.status.code() == Some(1) && said.contains(part), "{part}: {said}");
        assert!(!said.contains(|c| is_unprintable(c) && c != '\n'), "{said:?}");
        assert!(ask(&runs, &["runs"]).0.status.success());
    }
}

/// The program as the user nobody.
fn as_another(runs: &Runs, args: &[&str]) -> (Output, String) {
    let mut command = program();
    let command = command.args(args).arg("--runs-dir").arg(runs.path()).uid(65534).gid(65534);
    let output = command.output().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8(said).unwrap())
}

#[test]
fn another_users_host_is_not_trusted_and_another_users_run_not_chosen() {
    let runs = Runs::new();
    let can_be_another =
        program().arg("--version").uid(65534).gid(65534).stdout(Stdio::null()).status();
    if !rustix::process::geteuid().is_root() || !can_be_another.is_ok_and(|s| s.success()) {
        skipped("needs root, and a program that others may run");
        return;
    }
    with_odd_host(&runs, say(frame(&FromHost::Bye("owned".into()))));
    let directory = runs.directory("demo-001");
    for (path, mode) in
        [(runs.path(), 0o777), (directory.path(), 0o777), (&directory.socket(), 0o666)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let (output, said) = as_another(&runs, &["send", "demo-001", "pause"]);
    assert!(output.status.code() == Some(1) && said.contains("belongs to another user"), "{said}");
    assert!(!said.contains("owned"), "{said}");
    for command in [&["resume", "--headless"][..], &["replay"], &["evaluate", "latest"]] {
        let (output, said) = as_another(&runs, command);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert!(said.contains("demo-001: owned by another user"), "{command:?}: {said}");
    }
}

#[test]
fn a_name_at_the_end_of_all_numbers_is_no_number() {
    let runs = Runs::new();
    for name in ["demo-4294967295", "demo-99999999999", "demo-007x", "demo--1", "demo-"] {
        fs::create_dir(runs.path().join(name)).unwrap();
    }
    fs::write(runs.path().join("demo-001"), "a file").unwrap();
    let made = RunDirectory::create(runs.path(), "demo").unwrap();
    assert_eq!(made.id(), "demo-002");
}
