//! What several promises need: small sessions, drawn events, data written in true formats.

use crate::environment::program;
use earlybird::config::{self, RunConfig};
use earlybird::dashboard::Dashboard;
use earlybird::data;
use earlybird::link::{self, Delivery};
use earlybird::model::device::{CudaMath, DeviceName};
use earlybird::protocol::Record;
use earlybird::protocol::{Command, EpochSummary, Event, WeightsSummary};
use earlybird::run::RunDirectory;
use earlybird::train::{Progress, Session};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::process::{Child, ChildStdout, Command as ProcessCommand, Stdio};

/// The demo's data cut to a few hundred images, so that an epoch takes a fraction of a second.
pub fn small_config(set: &[&str]) -> RunConfig {
    let base = [
        "data.train_limit=300",
        "data.test_limit=200",
        "train.epochs=4",
        "train.lr=0.02",
        "importance.pretrain_epochs=2",
        // The paper's method; the demo adds to it.
        "importance.adjust=none",
    ];
    let set: Vec<String> = base.iter().chain(set).map(|s| (*s).to_owned()).collect();
    config::demo(&set).unwrap()
}

pub fn session_on(config: RunConfig, device: DeviceName) -> Session {
    let dataset = data::load(&config.data, config.seed, &mut |_| {}).unwrap();
    Session::new(
        config,
        dataset,
        &[],
        &device.open_with(CudaMath::default()).unwrap(),
        &device.to_string(),
    )
    .unwrap()
}

pub fn session(set: &[&str]) -> Session {
    session_on(small_config(set), DeviceName::LibtorchCpu)
}

/// Advances until `stop` says so; gives all events, those of the last advance included.
pub fn advance_until(
    session: &mut Session,
    mut stop: impl FnMut(&Session, &[Event], Progress) -> bool,
) -> Vec<Event> {
    let mut events = session.take_events();
    loop {
        let progress = session.advance();
        events.extend(session.take_events());
        if stop(session, &events, progress) || progress == Progress::Finished {
            return events;
        }
        assert_ne!(progress, Progress::Paused, "paused: {:?}", events.last());
    }
}

pub fn finish(session: &mut Session) -> Vec<Event> {
    advance_until(session, |_, _, _| false)
}

/// Advances until `steps` training steps of `epoch` are done.
pub fn advance_to(session: &mut Session, epoch: usize, steps: usize) -> Vec<Event> {
    let (mut at, mut done) = (0, 0);
    advance_until(session, |_, events, progress| {
        let begun = events
            .iter()
            .rev()
            .find_map(|e| if let Event::Phase { epoch, .. } = e { Some(*epoch) } else { None });
        if let Some(begun) = begun.filter(|b| *b != at) {
            (at, done) = (begun, 0);
        }
        done += usize::from(progress == Progress::Step);
        at == epoch && done >= steps
    })
}

pub fn apply(session: &mut Session, command: Command) -> Vec<Event> {
    session.take_events();
    session.apply(command);
    session.take_events()
}

pub fn set(session: &mut Session, key: &str, value: impl Into<serde_json::Value>) -> Vec<Event> {
    apply(session, Command::Set { key: key.into(), value: value.into() })
}

pub fn epochs(events: &[Event]) -> Vec<&EpochSummary> {
    events.iter().filter_map(|e| if let Event::EpochEnd(e) = e { Some(e) } else { None }).collect()
}

pub fn weights(events: &[Event]) -> Vec<&WeightsSummary> {
    events.iter().filter_map(|e| if let Event::Weights(w) = e { Some(w) } else { None }).collect()
}

pub fn hash(events: &[Event]) -> String {
    let found = events.iter().find_map(|e| {
        if let Event::Finished { parameters_sha256, .. } = e {
            Some(parameters_sha256)
        } else {
            None
        }
    });
    found.expect("the run finished").clone()
}

/// Deterministic bytes that look like nothing.
pub fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .collect()
}

/// The four IDX files of `n` training and `n / 2` test images of `side` x `side` pixels.
pub fn write_idx(dir: &Path, n: usize, side: usize, gzip: bool) {
    for (stem, n) in [("train", n), ("t10k", n / 2)] {
        let mut images = vec![0, 0, 8, 3];
        [n, side, side].iter().for_each(|d| images.extend((*d as u32).to_be_bytes()));
        images.extend(noise(n * side * side, n as u64));
        let mut labels = vec![0, 0, 8, 1];
        labels.extend((n as u32).to_be_bytes());
        labels.extend((0..n).map(|i| (i % 10) as u8));
        for (name, bytes) in [
            (format!("{stem}-images-idx3-ubyte"), images),
            (format!("{stem}-labels-idx1-ubyte"), labels),
        ] {
            if gzip {
                std::fs::write(dir.join(format!("{name}.gz")), gz(&bytes)).unwrap();
            } else {
                std::fs::write(dir.join(name), bytes).unwrap();
            }
        }
    }
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Records of CIFAR's binary version: `label_bytes` label bytes (the last is the class), then 3072
/// pixels.
pub fn cifar_records(n: usize, classes: usize, label_bytes: usize) -> Vec<u8> {
    (0..n)
        .flat_map(|i| {
            let mut record = vec![0; label_bytes - 1];
            record.push((i % classes) as u8);
            record.extend(noise(3072, i as u64 + 1));
            record
        })
        .collect()
}

/// A directory for runs; whatever still trains in it is killed at the end.
pub struct Runs(tempfile::TempDir);

/// What makes a run small: five epochs of ten steps.
const SMALL: [&str; 5] = [
    "data.train_limit=300",
    "data.test_limit=100",
    "train.epochs=5",
    "importance.pretrain_epochs=2",
    "train.lr=0.02",
];

/// `args` for a small run; what `args` sets wins.
pub fn small_args<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![args[0]];
    all.extend(SMALL.iter().flat_map(|set| ["--set", set]));
    all.extend(&args[1..]);
    all
}

impl Runs {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn directory(&self, run: &str) -> RunDirectory {
        RunDirectory::open(&self.path().join(run))
    }

    /// The process that trains `run`.
    pub fn host(&self, run: &str) -> Option<Pid> {
        let stream = std::os::unix::net::UnixStream::connect(self.directory(run).socket()).ok()?;
        // Some tests listen there themselves, and say all sorts of things.
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).ok()?;
        let mut line = String::new();
        BufReader::new(stream.take(1 << 16)).read_line(&mut line).ok()?;
        let welcome: serde_json::Value = serde_json::from_str(&line).ok()?;
        Pid::from_raw(welcome["welcome"]["pid"].as_i64()? as i32)
    }

    /// A small run, headless, its events as JSON.
    pub fn headless(&self, command: &str, more: &[&str]) -> Headless {
        let mut args = vec![command, "--json"];
        args.extend(more);
        let args = if command == "train" { small_args(&args) } else { args };
        let mut process = program();
        process.args(args).arg("--runs-dir").arg(self.path());
        Headless::start(process)
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        for run in RunDirectory::all(self.path()) {
            if let Some(pid) = self
                .host(&run.id())
                .filter(|pid| pid.as_raw_nonzero().get() as u32 != std::process::id())
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Sends a signal to a child. STOP is waited for: threads stop one after the other, and until the
/// last has, the process may still write.
pub fn send_signal(child: Pid, signal: Signal) {
    kill_process(child, signal).unwrap();
    if signal == Signal::STOP {
        let (_, status) = waitpid(Some(child), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }
}

/// A run without a terminal.
pub struct Headless {
    child: RefCell<Child>,
    lines: RefCell<std::io::Lines<BufReader<ChildStdout>>>,
    events: RefCell<Vec<Event>>,
    /// What it writes to standard error.
    errors: File,
}

impl Headless {
    pub fn start(mut process: ProcessCommand) -> Self {
        let errors = tempfile::tempfile().unwrap();
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors.try_clone().unwrap());
        let mut child = process.spawn().unwrap();
        let lines = RefCell::new(BufReader::new(child.stdout.take().unwrap()).lines());
        Self { child: RefCell::new(child), lines, events: RefCell::default(), errors }
    }

    pub fn next(&self) -> Option<Event> {
        let event =
            Record::from_line(&self.lines.borrow_mut().next()?.unwrap()).expect("a record").event;
        self.events.borrow_mut().push(event.clone());
        Some(event)
    }

    /// Waits for an event.
    pub fn until(&self, done: impl Fn(&Event) -> bool) -> Event {
        loop {
            let Some(event) = self.next() else {
                panic!("it ended: {:?}, {}", self.events.borrow().last(), self.errors());
            };
            if done(&event) {
                return event;
            }
        }
    }

    fn errors(&self) -> String {
        let (mut file, mut text) = (&self.errors, String::new());
        file.rewind().and_then(|()| file.read_to_string(&mut text)).unwrap();
        text
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child.borrow())
    }

    /// Sends a signal. After KILL it is gone, after STOP each of its threads has stopped.
    pub fn kill(&self, signal: Signal) {
        send_signal(self.pid(), signal);
        if signal == Signal::KILL {
            self.child.borrow_mut().wait().unwrap();
        }
    }

    /// Waits for the end: exit code and all events.
    pub fn end(self) -> (i32, Vec<Event>) {
        while self.next().is_some() {}
        let code = self.child.borrow_mut().wait().unwrap().code().unwrap_or(-1);
        (code, self.events.take())
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        let _ = self.child.borrow_mut().kill();
        let _ = self.child.borrow_mut().wait();
    }
}

/// Attaches to a run and follows it to the end: the snapshot, and what came after it.
pub fn followed(socket: &Path) -> (Dashboard, Vec<Delivery>) {
    let mut end = link::connect(socket).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let Some(Delivery::Snapshot(first)) = end.next().await else { panic!("no snapshot") };
        let mut rest = Vec::new();
        while let Some(delivery) = end.next().await {
            rest.push(delivery);
        }
        (*first, rest)
    })
}
