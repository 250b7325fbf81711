//! What several promises need: small sessions, drawn events, data written in true formats.

use earlybird::config::{self, RunConfig};
use earlybird::data;
use earlybird::model::device::DeviceName;
use earlybird::protocol::{Command, EpochSummary, Event, WeightsSummary};
use earlybird::train::{Progress, Session};
use std::path::Path;

/// The demo's data cut to a few hundred images, so that an epoch takes a fraction of a second.
pub fn small_config(set: &[&str]) -> RunConfig {
    let base = ["data.train_limit=300", "data.test_limit=200", "train.epochs=4", "train.lr=0.02", "importance.pretrain_epochs=2"];
    let set: Vec<String> = base.iter().chain(set).map(|s| (*s).to_owned()).collect();
    config::demo(&set).unwrap()
}

pub fn session_on(config: RunConfig, device: DeviceName) -> Session {
    let dataset = data::load(&config.data, config.seed, &mut |_| {}).unwrap();
    Session::new(config, dataset, &device.open().unwrap(), &device.to_string()).unwrap()
}

pub fn session(set: &[&str]) -> Session {
    session_on(small_config(set), DeviceName::LibtorchCpu)
}

/// Advances until `stop` says so; gives all events, those of the last advance included.
pub fn advance_until(session: &mut Session, mut stop: impl FnMut(&Session, &[Event], Progress) -> bool) -> Vec<Event> {
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
        let begun = events.iter().rev().find_map(|e| if let Event::Phase { epoch, .. } = e { Some(*epoch) } else { None });
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
    let found = events
        .iter()
        .find_map(|e| if let Event::Finished { parameters_sha256, .. } = e { Some(parameters_sha256) } else { None });
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
        for (name, bytes) in [(format!("{stem}-images-idx3-ubyte"), images), (format!("{stem}-labels-idx1-ubyte"), labels)] {
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

/// Records of CIFAR's binary version: `label_bytes` label bytes (the last is the class), then 3072 pixels.
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
