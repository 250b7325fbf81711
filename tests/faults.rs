//! Killed, cut, filled, flipped and fed garbage: nothing is lost, and it says what happened.

use crate::environment::{EARLYBIRD, plain, program, skipped};
use crate::support::{
    Headless, Runs, advance_to, apply, epochs, finish, hash, noise, session, small_args,
};
use earlybird::dashboard::Dashboard;
use earlybird::link::{ClientKind, Greeting, Hello, PROTOCOL, ToHost};
use earlybird::protocol::{Cause, CheckpointKind, Command, EpochSummary, Event};
use earlybird::run::{RunDirectory, read_journal};
use earlybird::train::Checkpoint;
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command as ProcessCommand, Stdio};
use std::time::Duration;

/// Random numbers of this file: fixed, so that a failure can be seen again.
struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(noise(100_000, seed).into_iter())
    }

    fn below(&mut self, n: usize) -> usize {
        let word = (0..4).fold(0_usize, |w, _| w << 8 | usize::from(self.0.next().unwrap()));
        word % n.max(1)
    }
}

/// The epochs of a run as its journal tells them, each once.
fn told(directory: &RunDirectory) -> Vec<EpochSummary> {
    let mut dashboard = Dashboard::default();
    read_journal(&directory.file("journal.jsonl"))
        .unwrap()
        .records
        .into_iter()
        .for_each(|r| dashboard.fold(r));
    dashboard.epochs
}

fn assert_same_epochs(a: &[EpochSummary], b: &[EpochSummary]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(
            (a.epoch, a.phase, &a.drawn, &a.recall, a.never_drawn, a.measured.accuracy, a.samples),
            (b.epoch, b.phase, &b.drawn, &b.recall, b.never_drawn, b.measured.accuracy, b.samples)
        );
        assert!(
            (a.train_loss - b.train_loss).abs() < 1e-5 && a.measured.loss == b.measured.loss,
            "{a:?} {b:?}"
        );
    }
}

/// A checkpoint with nearly every step: the kill falls into writing one as often as not.
const OFTEN: [&str; 2] = ["--set", "checkpoint.every_minutes=0.0001"];

#[test]
fn a_run_killed_at_twenty_random_moments_ends_as_one_never_killed() {
    let straight = Runs::new();
    let (_, events) = straight.headless("train", &[]).end();
    let (expected, epochs) = (hash(&events), told(&straight.directory("demo-001")));
    let mut dice = Dice::new(20);
    for round in 0..20 {
        let runs = Runs::new();
        let directory = runs.directory("demo-001");
        let child = runs.headless("train", &OFTEN);
        child.until(|e| matches!(e, Event::Checkpoint { .. }));
        // A random moment, not a state that is waited for: up to the whole length of such a run.
        std::thread::sleep(Duration::from_micros(dice.below(1_200_000) as u64));
        child.kill(Signal::KILL);
        let output = program()
            .args(["resume", "--json", "--runs-dir", runs.path().to_str().unwrap()])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "round {round}: {output:?}");
        assert_same_epochs(&told(&directory), &epochs);
        let journal = read_journal(&directory.file("journal.jsonl")).unwrap();
        let finished: Vec<Event> = journal.records.into_iter().map(|r| r.event).collect();
        if text.contains("is finished (5 of 5 epochs)") {
            // the kill came after the last epoch's checkpoint; its model is that of the checkpoint
            continue;
        }
        assert_eq!(hash(&finished), expected, "round {round}");
        assert_eq!(journal.damaged, 0);
    }
}

#[test]
fn flipped_bits_and_truncations_never_pass_for_a_whole_file() {
    let runs = Runs::new();
    runs.headless("train", &[]).end();
    let directory = runs.directory("demo-001");
    let checkpoints = directory.checkpoints();
    // Arrays are read in any order.
    let sorted = |mut c: Checkpoint| {
        c.arrays.sort_by(|a, b| a.name.cmp(&b.name));
        c
    };
    let (newest, file) = checkpoints.newest().unwrap().checkpoint.unwrap();
    let newest = sorted(newest);
    let manifest = file.with_extension("json");
    let journal = directory.file("journal.jsonl");
    let whole = read_journal(&journal).unwrap().records;
    let mut dice = Dice::new(7);
    let (mut damaged_checkpoints, mut damaged_lines) = (0, 0);
    for round in 0..240 {
        let path = [&file, &manifest, &journal][round % 3];
        let bytes = std::fs::read(path).unwrap();
        let mut broken = bytes.clone();
        let at = dice.below(bytes.len());
        if dice.below(4) == 0 {
            broken.truncate(at);
        } else {
            broken[at] ^= 1 << dice.below(8);
        }
        std::fs::write(path, &broken).unwrap();
        let found = checkpoints.newest().unwrap();
        match found.checkpoint {
            Some((c, used)) if used == file => {
                assert!(sorted(c) == newest, "round {round}: another checkpoint under its name")
            }
            Some((c, _)) => {
                assert_eq!(
                    c.state.completed,
                    newest.state.completed - 1,
                    "round {round}: the one before it"
                );
                assert!(found.damaged.len() == 1, "{:?}", found.damaged);
                damaged_checkpoints += 1;
            }
            None => panic!("round {round}: {:?}", found.damaged),
        }
        let read = read_journal(&journal).unwrap();
        assert!(
            read.records.iter().all(|r| whole.contains(r)),
            "round {round}: a record that was never written"
        );
        damaged_lines += read.damaged;
        std::fs::write(path, &bytes).unwrap();
    }
    // A flip in the JSON's white space or key order may leave it what it was; nearly all do not.
    assert!(
        damaged_checkpoints > 120 && damaged_lines > 40,
        "{damaged_checkpoints} {damaged_lines}"
    );
}

#[test]
fn a_resume_from_damaged_files_says_so_in_the_journal() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=100000"]);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 3, .. }));
    child.kill(Signal::KILL);
    let directory = runs.directory("demo-001");
    let (_, file) = directory.checkpoints().newest().unwrap().checkpoint.unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(1_000);
    std::fs::write(&file, bytes).unwrap();
    let text = std::fs::read_to_string(directory.file("journal.jsonl")).unwrap();
    std::fs::write(
        directory.file("journal.jsonl"),
        text.replacen("\"test_loss\":", "\"test_loss\":1", 1),
    )
    .unwrap();
    let child = runs.headless("resume", &["demo-001"]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    child.kill(Signal::TERM);
    let (_, events) = child.end();
    let warnings: Vec<&str> = events
        .iter()
        .filter_map(
            |e| if let Event::Warning { text, .. } = e { Some(text.as_str()) } else { None },
        )
        .collect();
    assert!(warnings.iter().any(|w| w.contains("do not have their checksum")), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("1 damaged lines of the journal")), "{warnings:?}");
}

/// A file system of 20 MB, if this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = ProcessCommand::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=20m", "tmpfs"])
            .arg(dir.path())
            .stderr(Stdio::null());
        mount.status().ok().filter(|s| s.success()).map(|_| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = ProcessCommand::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Writes until nothing more goes.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 16, 1 << 10, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_pauses_the_run_and_space_lets_it_go_on() {
    let Some(disk) = SmallDisk::mount() else {
        skipped("mounting a file system needs a right that this process lacks");
        return;
    };
    let straight = Runs::new();
    let expected = hash(&straight.headless("train", &["--set", "train.epochs=12"]).end().1);
    let mut process = program();
    process
        .args(small_args(&["train", "--json", "--set", "train.epochs=12", "--runs-dir"]))
        .arg(disk.0.path().join("runs"));
    let child = Headless::start(process);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 2, .. }));
    let filler = disk.0.path().join("filler");
    fill(&filler);
    let warning = child.until(|e| matches!(e, Event::Warning { code, .. } if code == "disk"));
    assert!(
        matches!(&warning, Event::Warning { text, .. } if text.contains("No space left")),
        "{warning:?}"
    );
    let paused = child.until(|e| matches!(e, Event::Paused { .. }));
    assert!(
        matches!(
            &paused,
            Event::Paused { cause: Cause::Disk, reason: Some(r), .. }
                if r.contains("No space left")
        ),
        "{paused:?}"
    );
    let directory = RunDirectory::open(&disk.0.path().join("runs/demo-001"));
    let found = directory.checkpoints().newest().unwrap();
    assert!(
        found.damaged.is_empty() && found.checkpoint.is_some_and(|(c, _)| c.state.completed >= 2),
        "the last good one stands"
    );
    std::fs::remove_file(&filler).unwrap();
    let (code, events) = child.end();
    assert_eq!((code, hash(&events)), (0, expected));
    let journal = read_journal(&directory.file("journal.jsonl")).unwrap();
    assert_eq!((journal.damaged, told(&directory).len()), (0, 12));
    assert!(
        journal
            .records
            .iter()
            .any(|r| matches!(&r.event, Event::Warning { code, .. } if code == "disk")),
        "told there, too"
    );
    assert!(
        journal.records.iter().any(
            |r| matches!(&r.event, Event::Note { text } if text.contains("takes writes again"))
        )
    );
    assert!(journal.records.windows(2).all(|w| w[0].seq < w[1].seq));
}

#[test]
fn a_run_that_shall_not_wait_for_its_disk_goes_on() {
    let Some(disk) = SmallDisk::mount() else {
        skipped("mounting a file system needs a right that this process lacks");
        return;
    };
    let mut process = program();
    let args = [
        "train",
        "--json",
        "--set",
        "train.epochs=12",
        "--set",
        "checkpoint.on_disk_error=continue",
        "--runs-dir",
    ];
    process.args(small_args(&args)).arg(disk.0.path().join("runs"));
    let child = Headless::start(process);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 2, .. }));
    fill(&disk.0.path().join("filler"));
    let (code, events) = child.end();
    assert_eq!((code, epochs(&events).len()), (1, 12));
    assert!(!events.iter().any(|e| matches!(e, Event::Paused { .. })));
    let Some(Event::Failed { reason }) = events.last() else { panic!("{:?}", events.last()) };
    assert!(reason.contains("the end of the run is not on the disk"), "{reason}");
}

#[test]
fn data_that_vanishes_does_not_matter() {
    let runs = Runs::new();
    let data = tempfile::tempdir().unwrap();
    crate::support::write_idx(data.path(), 300, 28, false);
    let path = format!("data.path={}", data.path().display());
    let child = runs.headless("train", &["--set", "data.source=fashion-mnist", "--set", &path]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    data.close().unwrap();
    assert_eq!(child.end().0, 0);
}

#[test]
fn a_device_out_of_memory_is_told_with_the_batch_size_and_a_checkpoint_kept() {
    let runs = Runs::new();
    let args = small_args(&[
        "train",
        "--json",
        "--set",
        "data.train_limit=4000",
        "--set",
        "train.batch_size=4000",
    ]);
    let mut process = plain(ProcessCommand::new("sh"));
    // 800 MB of address space: enough to start, too little for the activations of 4,000 images.
    let script = "ulimit -v 800000; exec \"$@\"";
    process.args(["-c", script, "sh", EARLYBIRD]).args(args).arg("--runs-dir").arg(runs.path());
    process.env("OMP_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1");
    let (code, events) = Headless::start(process).end();
    assert_eq!(code, 1);
    let kept =
        events.iter().any(|e| matches!(e, Event::Checkpoint { kind: CheckpointKind::Stopped, .. }));
    assert!(kept, "{events:?}");
    let Some(Event::Failed { reason }) = events.last() else { panic!("{:?}", events.last()) };
    assert!(
        reason.contains("out of memory") && reason.contains("train.batch_size = 4000"),
        "{reason}"
    );
    // With the memory that it needs, it goes on from there, on the device that it was on.
    let (code, events) = runs.headless("resume", &[]).end();
    assert_eq!((code, epochs(&events).len()), (0, 5));
}

#[test]
fn a_loss_that_is_not_finite_can_be_gone_back_from() {
    let mut good = session(&[]);
    advance_to(&mut good, 2, 3);
    let checkpoint = good.checkpoint();
    let after = good.state();
    let mut s = session(&[
        "train.lr=100.0",
        "train.schedule=constant",
        "train.warmup=0.0",
        "train.weight_decay=1.0",
    ]);
    let other = s.checkpoint();
    let mut paused = false;
    for _ in 0..2_000 {
        s.advance();
        s.step_event();
        paused |= s
            .take_events()
            .iter()
            .any(|e| matches!(e, Event::Paused { cause: Cause::NotFinite, .. }));
        if paused {
            break;
        }
    }
    assert!(paused && s.is_paused());
    s.rewind(&checkpoint, 0.5).unwrap();
    let events = s.take_events();
    assert!(!s.is_paused() && s.state() == after, "the parameters are the checkpoint's");
    assert!(
        events.iter().any(|e| matches!(e, Event::Continued { epoch: 1, step: 3, .. })),
        "{events:?}"
    );
    assert!(events.iter().any(|e| matches!(
        e,
        Event::Changed { key, new, .. }
            if key.as_str() == "train.lr_scale" && new == &serde_json::json!(0.5)
    )));
    assert_eq!(epochs(&finish(&mut s)).last().unwrap().epoch, 4);
    // A checkpoint that does not fit changes nothing.
    let mut fresh = session(&[]);
    let mut wrong = other;
    wrong.state.labels_sha256 = "no".into();
    let before = fresh.state();
    assert!(fresh.rewind(&wrong, 0.5).is_err() && fresh.state() == before);
}

#[test]
fn going_on_with_a_loss_that_is_not_finite_is_the_persons_to_say() {
    let mut s = session(&[
        "train.lr=100.0",
        "train.schedule=constant",
        "train.warmup=0.0",
        "train.weight_decay=1.0",
    ]);
    let at = |s: &mut earlybird::train::Session| loop {
        s.advance();
        s.step_event();
        if let Some(Event::Paused { step, .. }) =
            s.take_events().into_iter().find(|e| matches!(e, Event::Paused { .. }))
        {
            return step;
        }
    };
    let step = at(&mut s);
    apply(&mut s, Command::Resume);
    s.advance();
    assert_eq!(s.step_in_epoch(), step + 1, "the step is made after all");
}

fn hello() -> String {
    let hello = ToHost::Hello(Hello {
        greeting: Greeting::ours(),
        purpose: ClientKind::Cockpit,
        was: None,
    });
    serde_json::to_string(&hello).unwrap() + "\n"
}

fn descriptors(pid: rustix::process::Pid) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap().count()
}

/// Reads what the host says until it hangs up.
fn last_line(stream: UnixStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    BufReader::new(stream).lines().map_while(Result::ok).last().unwrap_or_default()
}

#[test]
fn garbage_and_rude_clients_disturb_nobody() {
    let straight = Runs::new();
    let expected = hash(&straight.headless("train", &["--set", "train.epochs=60"]).end().1);
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=60"]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    child.kill(Signal::STOP); // so that all of it comes while it trains, however fast that is
    let socket = runs.directory("demo-001").socket();
    let before = descriptors(child.pid());
    child.kill(Signal::CONT);
    let mut dice = Dice::new(99);
    let good = hello();
    for round in 0..1_000 {
        let Ok(mut stream) = UnixStream::connect(&socket) else {
            panic!("round {round}: nobody answers")
        };
        let mut frame: Vec<u8> = match round % 5 {
            0 => noise(1 + dice.below(2_000), round as u64 + 1),
            1 => good.as_bytes()[..dice.below(good.len() - 1)].to_vec(),
            2 => b"{\"hello\":{\"protocol\":1}}".to_vec(),
            3 => (good.clone() + "{\"request\":{\"id\":-1,\"command\":{\"command\":\"fly\"}}}")
                .into_bytes(),
            _ => b"[".repeat(70_000),
        };
        frame.push(b'\n');
        let _ = stream.write_all(&frame);
        if round % 50 == 3 {
            let last = last_line(stream);
            assert!(
                last.contains("not understood") || last.contains("attached already"),
                "round {round}: {last}"
            );
        }
    }
    for round in 0..200 {
        let mut stream = UnixStream::connect(&socket).unwrap();
        if round % 2 == 0 {
            stream.write_all(good.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 64]);
        }
    }
    // Descriptors of clients that have left are closed when the host has noticed.
    let mut probe = descriptors(child.pid());
    for _ in 0..2_000 {
        if probe <= before + 2 {
            break;
        }
        let _ = last_line(
            UnixStream::connect(&socket)
                .unwrap_or_else(|e| panic!("{e}; {probe} descriptors, {before} before"))
                .tap_rude(),
        );
        probe = descriptors(child.pid());
    }
    assert!(probe <= before + 2, "{probe} descriptors, {before} before");
    let (code, events) = child.end();
    assert_eq!((code, hash(&events)), (0, expected));
}

trait TapRude {
    fn tap_rude(self) -> Self;
}

impl TapRude for UnixStream {
    /// Says something that ends the conversation.
    fn tap_rude(mut self) -> Self {
        let _ = self.write_all(b"nonsense\n");
        self
    }
}

#[test]
fn another_version_is_told_which_side_to_update() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=100000"]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    for (protocol, side) in
        [(PROTOCOL + 1, "update the process that trains demo-001"), (0, "update this program")]
    {
        let mut stream = UnixStream::connect(runs.directory("demo-001").socket()).unwrap();
        writeln!(
            stream,
            "{{\"hello\":{{\"protocol\":{protocol},\"version\":\"9.9.9\",\
             \"shape\":\"unheard of\"}}}}"
        )
        .unwrap();
        let last = last_line(stream);
        assert!(last.contains(side), "{last}");
    }
}

#[test]
fn another_user_cannot_connect() {
    if !rustix::process::geteuid().is_root() {
        skipped("becoming another user needs a right that this process lacks");
        return;
    }
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=100000"]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    let socket = runs.directory("demo-001").socket();
    let directory = runs.path().join("demo-001");
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&socket)), (0o700, 0o600));
    let open = |p: &Path, mode| {
        std::fs::set_permissions(p, std::fs::Permissions::from_mode(mode)).unwrap()
    };
    open(runs.path(), 0o755);
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(60)\ntry:\n \
                  s.connect(sys.argv[1])\n print('read', len(s.recv(99)))\nexcept OSError as e: \
                  print(type(e).__name__)";
    let as_nobody = || {
        use std::os::unix::process::CommandExt;
        let output = ProcessCommand::new("python3")
            .args(["-c", script])
            .arg(&socket)
            .uid(65_534)
            .gid(65_534)
            .current_dir("/")
            .output();
        output.ok().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
    };
    let Some(said) = as_nobody().filter(|s| !s.is_empty()) else {
        skipped("another user has no Python here");
        return;
    };
    assert_eq!(said, "PermissionError");
    // Somebody opens the directory and the socket: the peer's uid is looked at all the same.
    open(&directory, 0o755);
    open(&socket, 0o666);
    let said = as_nobody().unwrap();
    assert!(said == "read 0" || said == "ConnectionResetError", "{said}");
}

#[test]
fn two_runs_in_one_place_do_not_disturb_one_another() {
    let straight = Runs::new();
    let expected = hash(&straight.headless("train", &[]).end().1);
    let runs = Runs::new();
    let (one, two) = (runs.headless("train", &[]), runs.headless("train", &[]));
    assert_eq!((hash(&one.end().1), hash(&two.end().1)), (expected.clone(), expected));
    assert!(runs.path().join("demo-002/model.safetensors").exists());
}

#[test]
fn a_socket_whose_path_is_longer_than_an_address_is_reached_all_the_same() {
    let runs = Runs::new();
    let deep = runs.path().join("a".repeat(60)).join("b".repeat(60));
    let mut process = program();
    process
        .args(small_args(&["train", "--json", "--set", "train.epochs=100000", "--runs-dir"]))
        .arg(&deep);
    let child = Headless::start(process);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    let output =
        program().args(["send", "latest", "stop", "--runs-dir"]).arg(&deep).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(child.end().0, 130);
}
