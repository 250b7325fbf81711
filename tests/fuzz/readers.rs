//! One target for each kind of file: a small true one, changed in every way, and read.

use super::fuzz;
use super::mutate::{mutated, mutated_json};
use crate::film::{app, hear, records, screen};
use crate::support::{advance_to, cifar_records, gz, noise, session, write_idx};
use crate::torch_files;
use earlybird::compare::{Design, Race};
use earlybird::config::{self, RunConfig, Source};
use earlybird::dashboard::Dashboard;
use earlybird::importance::Sample;
use earlybird::link::{Delivery, FromHost, ToHost};
use earlybird::model::from_bytes;
use earlybird::protocol::{CheckpointKind, Effective, End, Event, Record, TestedModel};
use earlybird::run::{Checkpoints, Keeper, RunDirectory, read_journal, read_samples};
use earlybird::train::{Checkpoint, Kept, Pictures, SampleSheet, SessionState};
use earlybird::tui::{Sheet, Tab};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One in so many of what could be read is used further, too.
const USED: u32 = 40;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Either bytes or values of `json` are changed.
fn bytes_or_values(rng: &mut ChaCha8Rng, json: &[Value]) -> Vec<u8> {
    let text: Vec<Vec<u8>> = json.iter().map(|j| j.to_string().into_bytes()).collect();
    if rng.random_bool(0.3) {
        return mutated(rng, &text);
    }
    let one = rng.random_range(0..json.len());
    mutated_json(rng, &json[one]).to_string().into_bytes()
}

/// A config as a checkpoint or a comparison gives it back.
fn again(config: &RunConfig) -> Result<RunConfig, String> {
    serde_json::from_value(serde_json::to_value(config).unwrap()).map_err(|e| e.to_string())
}

#[test]
fn configs() {
    let mut corpus: Vec<Vec<u8>> =
        fs::read_dir("configs").unwrap().map(|e| fs::read(e.unwrap().path()).unwrap()).collect();
    corpus.push(toml::to_string(&config::demo(&[]).unwrap()).unwrap().into_bytes());
    corpus.push(
        b"[arms.mine]\nimportance.exponent = 0.5\n[data]\nclass_counts = [1, 2, 3]\n".to_vec(),
    );
    corpus.push([&b"a = "[..], &[b'['; 20_000]].concat());
    fuzz(
        "config",
        |rng| mutated(rng, &corpus),
        |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let arms = config::arms(text, "fuzz.toml");
            if let Ok(config) = config::from_str(text, "fuzz.toml", &[]) {
                assert!(arms.is_ok());
                assert_eq!(again(&config), Ok(config), "what a file may say is read back");
            }
        },
    );
}

/// A checkpoint in the middle of a biased epoch, with its small arrays only.
fn small_checkpoint() -> Checkpoint {
    let mut session = session(&[
        "data.train_limit=40",
        "train.batch_size=8",
        "train.epochs=3",
        "importance.pretrain_epochs=1",
    ]);
    advance_to(&mut session, 2, 2);
    let mut checkpoint = session.checkpoint();
    checkpoint.arrays.retain(|a| a.shape.iter().product::<usize>() < 100);
    checkpoint
}

/// The manifest of a written checkpoint with this state and these arrays, signed.
fn signed(manifest: &[u8], state: &str, arrays: &[u8]) -> Vec<u8> {
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    format!(
        "{{\"format\":{},\"version\":{},\"arrays_sha256\":\"{}\",\
         \"state_sha256\":\"{}\",\"state\":{state}}}",
        manifest["format"],
        manifest["version"],
        sha256(arrays),
        sha256(state.as_bytes())
    )
    .into_bytes()
}

#[test]
fn manifests_of_checkpoints_whatever_they_are_signed_with() {
    let dir = directory();
    let checkpoints = Checkpoints::new(dir.path().to_owned());
    let checkpoint = small_checkpoint();
    let arrays_file = checkpoints.write(&checkpoint).unwrap();
    let manifest_file = arrays_file.with_extension("json");
    let (manifest, arrays) = (fs::read(&manifest_file).unwrap(), fs::read(&arrays_file).unwrap());
    let state = serde_json::to_value(&checkpoint.state).unwrap();
    let make = |rng: &mut ChaCha8Rng| match rng.random_bool(0.2) {
        true => mutated(rng, std::slice::from_ref(&manifest)),
        false => signed(&manifest, &mutated_json(rng, &state).to_string(), &arrays),
    };
    fuzz("manifest", make, |bytes| {
        fs::write(&manifest_file, bytes).unwrap();
        let newest = checkpoints.newest_state();
        if let Some((read, _)) = checkpoints.newest().ok().and_then(|found| found.checkpoint) {
            assert_eq!(read.state.objection(), None);
            assert!(again(&read.state.config).is_ok());
            assert_eq!(newest.map(|s| s.completed), Some(read.state.completed));
        }
    });
    // Its arrays, too.
    fuzz(
        "arrays",
        |rng| mutated(rng, std::slice::from_ref(&arrays)),
        |bytes| {
            fs::write(&arrays_file, bytes).unwrap();
            let text = serde_json::to_string(&checkpoint.state).unwrap();
            fs::write(&manifest_file, signed(&manifest, &text, bytes)).unwrap();
            let _ = checkpoints.newest();
        },
    );
}

#[test]
fn states_of_sessions() {
    let options = [
        "data.train_limit=40",
        "data.test_limit=20",
        "train.batch_size=8",
        "train.epochs=3",
        "importance.pretrain_epochs=1",
    ];
    let mut session = session(&options);
    advance_to(&mut session, 2, 2);
    let checkpoint = session.checkpoint();
    let state = serde_json::to_value(&checkpoint.state).unwrap();
    let mut tried = 0_u32;
    let make = |rng: &mut ChaCha8Rng| mutated_json(rng, &state).to_string().into_bytes();
    fuzz("state", make, |bytes| {
        let Ok(state) = serde_json::from_slice::<SessionState>(bytes) else { return };
        tried += 1;
        if !tried.is_multiple_of(USED) {
            return;
        }
        if session.rewind(&Checkpoint { state, arrays: checkpoint.arrays.clone() }, 1.0).is_ok() {
            (0..3).for_each(|_| _ = session.advance());
            session.checkpoint();
        }
        session.take_events();
    });
}

/// Records of a whole run, each as JSON.
fn journal() -> Vec<Value> {
    let mut events = records(6);
    events.retain(|e| !matches!(e, Event::Step { step, .. } if step % 64 > 0));
    events.extend([
        Event::Continued { epoch: 2, step: 3, steps: 128, parameters_sha256: "ab".into() },
        Event::Changed {
            epoch: 3,
            step: 5,
            key: "train.lr".into(),
            old: 0.1.into(),
            new: 0.2.into(),
            effective: Effective::NextStep,
            by_itself: None,
        },
        Event::Paused {
            epoch: 3,
            step: 6,
            reason: Some("a reason".into()),
            cause: earlybird::protocol::Cause::Disk,
        },
        Event::Checkpoint {
            epoch: 3,
            step: 6,
            file: "checkpoints/x".into(),
            kind: CheckpointKind::Asked,
            sha256: None,
        },
        Event::Tested {
            epoch: 3,
            model: TestedModel::Best,
            loss: 0.5,
            accuracy: 0.8,
            recall: vec![0.5; 10],
        },
        Event::Finished {
            epochs: 3,
            best_accuracy: 0.8,
            best_epoch: 2,
            final_accuracy: 0.7,
            seconds: 5.0,
            parameters_sha256: "cd".into(),
            end: End::Complete,
        },
    ]);
    let record = |(k, event)| Record { seq: k as u64 + 1, t: k as f64, event };
    events.into_iter().enumerate().map(record).map(|r| serde_json::to_value(r).unwrap()).collect()
}

/// A journal, one or two of its lines changed.
fn changed_journal(rng: &mut ChaCha8Rng, lines: &[Value]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = lines.iter().map(|l| l.to_string().into_bytes()).collect();
    for _ in 0..=rng.random_range(0..2) {
        let at = rng.random_range(0..lines.len());
        let changed = match serde_json::from_slice(&lines[at]) {
            Ok(json) if rng.random_bool(0.8) => mutated_json(rng, &json).to_string().into_bytes(),
            _ => mutated(rng, &lines),
        };
        lines[at] = changed;
        let (a, b) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
        if rng.random_bool(0.2) {
            lines.swap(a, b);
        }
    }
    lines.join(&b'\n')
}

/// What was read of a journal, on the tabs of the cockpit.
fn draw(read: Vec<Record>, n: u32) {
    let mut app = app(false);
    read.into_iter().for_each(|record| _ = app.hear(Delivery::Record(record)));
    app.show(Tab::ALL[n as usize % Tab::ALL.len()]);
    screen(&mut app, [40, 80, 160][n as usize % 3], [10, 24, 50][n as usize / 3 % 3]);
}

#[test]
fn journals() {
    let dir = directory();
    let (path, lines) = (dir.path().join("journal.jsonl"), journal());
    let mut n = 0;
    fuzz(
        "journal",
        |rng| changed_journal(rng, &lines),
        |bytes| {
            fs::write(&path, [bytes, b"\n"].concat()).unwrap();
            let read = read_journal(&path).unwrap();
            n += 1;
            if n % USED == 0 {
                draw(read.records.clone(), n / USED);
            }
            let mut dashboard = Dashboard::default();
            read.records.into_iter().for_each(|record| dashboard.fold(record));
            let _ = (dashboard.position(), dashboard.seconds_left());
        },
    );
}

#[test]
fn frames_of_the_socket() {
    let mut dashboard = Dashboard::default();
    let lines: Vec<Value> = journal();
    lines.iter().for_each(|l| dashboard.fold(serde_json::from_value(l.clone()).unwrap()));
    let mut corpus = vec![serde_json::to_value(FromHost::Snapshot(Box::new(dashboard))).unwrap()];
    corpus.extend(lines.iter().map(|l| serde_json::json!({ "record": l })));
    let command = serde_json::json!({"command": "set", "key": "train.lr", "value": 0.1});
    corpus.push(serde_json::json!({"request": {"id": 1, "command": command}}));
    corpus.push(serde_json::json!({"welcome": {
        "protocol": 1, "version": "0.1.0", "run": "x", "pid": 1, "client": 2, "paused": true
    }}));
    let mut n = 0;
    fuzz(
        "frame",
        |rng| bytes_or_values(rng, &corpus),
        |bytes| {
            let _ = serde_json::from_slice::<ToHost>(bytes);
            let Ok(frame) = serde_json::from_slice::<FromHost>(bytes) else { return };
            n += 1;
            if n % USED > 0 {
                return;
            }
            let mut app = app(false);
            hear(&mut app, records(2));
            match frame {
                FromHost::Snapshot(dashboard) => _ = app.hear(Delivery::Snapshot(dashboard)),
                FromHost::Record(record) => _ = app.hear(Delivery::Record(record)),
                _ => return,
            }
            app.show(Tab::ALL[(n / USED) as usize % Tab::ALL.len()]);
            screen(&mut app, 80, 24);
        },
    );
}

#[test]
fn comparisons() {
    let dir = directory();
    let config = config::demo(&[]).unwrap();
    let arms =
        ["uniform", "uniform-null", "biased"].map(|arm| (arm.to_owned(), config.clone())).to_vec();
    let design = serde_json::to_value(Design { config, arms, seeds: vec![1, 2] }).unwrap();
    let comparison = RunDirectory::open(dir.path());
    fuzz(
        "comparison",
        |rng| bytes_or_values(rng, std::slice::from_ref(&design)),
        |bytes| {
            fs::write(dir.path().join("comparison.json"), bytes).unwrap();
            if let Ok(race) = Race::open(&comparison) {
                assert!(again(&race.design().config).is_ok());
                let _ = (race.under_way(), race.outcome());
            }
        },
    );
}

fn sheet() -> SampleSheet {
    let sample = |i: u32| Sample {
        index: i,
        class: i % 3,
        p: (i > 0).then_some(0.5),
        weight: 0.25,
        probability: 0.1,
        drawn: i,
        predicted: Some(1),
        confidence: Some(0.5),
        flipped: (i == 4).then_some(true),
    };
    let pictures = Pictures { index: vec![1, 4, 7], pixels: noise(3 * 4 * 4, 1), shape: [1, 4, 4] };
    SampleSheet { samples: (0..10).map(sample).collect(), pictures }
}

#[test]
fn sheets_of_samples() {
    let dir = directory();
    let run = RunDirectory::open(dir.path());
    Keeper::new(run.clone())
        .keep(&Kept::Samples(Box::new(sheet())), CheckpointKind::Epoch)
        .unwrap();
    for name in ["importance.csv", "samples.safetensors"] {
        let file = run.file(name);
        let whole = fs::read(&file).unwrap();
        fuzz(
            name,
            |rng| mutated(rng, std::slice::from_ref(&whole)),
            |bytes| {
                fs::write(&file, bytes).unwrap();
                if let Ok(Some(sheet)) = read_samples(&run) {
                    (0..12).for_each(|i| _ = sheet.pictures.of(i).map(<[u8]>::len));
                    Sheet::of(&sheet.samples, sheet.pictures, 3);
                }
            },
        );
        fs::write(&file, whole).unwrap();
    }
}

#[test]
fn safetensors_of_others() {
    let tensors: Vec<_> = session(&["data.train_limit=40"])
        .state()
        .into_iter()
        .filter(|t| t.values.len() < 100)
        .collect();
    let corpus = [earlybird::model::to_safetensors(&tensors).unwrap()];
    fuzz(
        "safetensors",
        |rng| mutated(rng, &corpus),
        |bytes| {
            for tensor in from_bytes(bytes).unwrap_or_default() {
                assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len());
            }
        },
    );
}

/// An archive that PyTorch wrote without checksums, as it can: changes reach what is behind them.
fn without_checksums(mut archive: Vec<u8>) -> Vec<u8> {
    let entry = |at: &usize| archive[*at..].starts_with(b"PK\x01\x02");
    let entries: Vec<usize> = (0..archive.len().saturating_sub(20)).filter(entry).collect();
    entries.into_iter().for_each(|at| archive[at + 16..at + 20].fill(0));
    archive
}

#[test]
fn files_of_torch_save() {
    let corpus: Vec<Vec<u8>> = torch_files::all().into_iter().map(without_checksums).collect();
    fuzz(
        "pytorch",
        |rng| mutated(rng, &corpus),
        |bytes| {
            for tensor in from_bytes(bytes).unwrap_or_default() {
                assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len());
            }
        },
    );
}

/// Changes one file of one of some data sets at a time, and loads that.
fn data_files(name: &str, source: Source, sets: &[(PathBuf, Vec<PathBuf>)]) {
    let read = |files: &Vec<PathBuf>| files.iter().map(|f| fs::read(f).unwrap()).collect();
    let whole: Vec<Vec<Vec<u8>>> = sets.iter().map(|(_, files)| read(files)).collect();
    let mut config = config::demo(&[]).unwrap().data;
    (config.source, config.imbalance) = (source, 1.0);
    let make = |rng: &mut ChaCha8Rng| {
        let set = rng.random_range(0..sets.len());
        let one = rng.random_range(0..whole[set].len());
        [vec![set as u8, one as u8], mutated(rng, &whole[set][one..=one])].concat()
    };
    fuzz(name, make, |bytes| {
        let (set, one) = (usize::from(bytes[0]), usize::from(bytes[1]));
        let (root, files) = &sets[set];
        config.path = root.display().to_string();
        fs::write(&files[one], &bytes[2..]).unwrap();
        if let Ok(data) = earlybird::data::load(&config, 1, &mut |_| {}) {
            let image: usize = data.shape.iter().product();
            for split in [&data.train, &data.test] {
                assert_eq!(split.pixels().len(), split.labels.len() * image);
                assert!(split.labels.iter().all(|l| (*l as usize) < data.classes.len()));
            }
        }
        fs::write(&files[one], &whole[set][one]).unwrap();
    });
}

fn files_in(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn idx_files() {
    let directories = [directory(), directory()];
    let sets = [false, true].map(|gzip| {
        let root = directories[usize::from(gzip)].path();
        write_idx(root, 20, 8, gzip);
        (root.to_owned(), files_in(root))
    });
    data_files("idx", Source::FashionMnist, &sets);
}

#[test]
fn cifar_files() {
    let (dir, packed) = (directory(), directory());
    let root = dir.path();
    (1..=5).for_each(|k| {
        fs::write(root.join(format!("data_batch_{k}.bin")), cifar_records(2, 10, 1)).unwrap()
    });
    fs::write(root.join("test_batch.bin"), cifar_records(2, 10, 1)).unwrap();
    fs::write(root.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("cifar-10-batches-bin", root).unwrap();
    let file = packed.path().join("cifar-10-binary.tar.gz");
    fs::write(&file, gz(&archive.into_inner().unwrap())).unwrap();
    data_files(
        "cifar",
        Source::Cifar10,
        &[(root.to_owned(), files_in(root)), (file.clone(), vec![file])],
    );
}

/// A name for a file: no separator, not empty, at most 255 bytes.
fn name(bytes: &[u8]) -> Option<&std::ffi::OsStr> {
    let name = &bytes[..bytes.len().min(255)];
    let is_one = !name.is_empty()
        && name != b"."
        && name != b".."
        && !name.iter().any(|b| [b'/', 0].contains(b));
    is_one.then(|| std::ffi::OsStr::from_bytes(name))
}

#[test]
fn names_of_folders() {
    let dir = directory();
    let (train, test) = (dir.path().join("train"), dir.path().join("test"));
    let image = |root: &Path| {
        fs::create_dir_all(root).unwrap();
        image::GrayImage::from_raw(8, 8, noise(64, 3)).unwrap().save(root.join("1.png")).unwrap();
    };
    ["cat", "dog"]
        .iter()
        .for_each(|class| [&train, &test].iter().for_each(|split| image(&split.join(class))));
    let mut config = config::demo(&[]).unwrap().data;
    (config.source, config.path, config.imbalance) =
        (Source::Folder, dir.path().display().to_string(), 1.0);
    config.image_size = 8;
    let corpus =
        ["cat", "Katze \u{e9}", "e\u{301}", "\u{202e}dog", "n02085620-Chihuahua", &"x".repeat(255)]
            .map(|n| n.as_bytes().to_vec());
    fuzz(
        "folder",
        |rng| mutated(rng, &corpus),
        |bytes| {
            let Some(name) = name(bytes) else { return };
            let made = [&train, &test]
                .map(|split| fs::rename(split.join("cat"), split.join(name)).is_ok());
            let found = earlybird::data::load(&config, 1, &mut |_| {});
            for (split, _) in [&train, &test].iter().zip(made).filter(|(_, made)| *made) {
                fs::rename(split.join(name), split.join("cat")).unwrap();
            }
            if let Ok(data) = found {
                assert!(
                    data.classes.iter().all(|c| !c.chars().any(char::is_control)),
                    "{:?}",
                    data.classes
                );
            }
        },
    );
}

/// Either any byte of a packed file is changed, or its index, which then has the right checksum: a
/// file that somebody made.
#[test]
fn packed_files() {
    let dir = directory();
    let file = dir.path().join("images.tar");
    for (split, class) in [("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")] {
        let root = dir.path().join("photos").join(split).join(class);
        fs::create_dir_all(&root).unwrap();
        for k in 0..2 {
            let image = image::GrayImage::from_raw(8, 8, noise(64, k)).unwrap();
            image.save(root.join(format!("{k}.png"))).unwrap();
        }
    }
    let packing = earlybird::data::Packing::default();
    earlybird::data::pack(&dir.path().join("photos"), &file, packing, &mut |_| {}).unwrap();
    let whole = fs::read(&file).unwrap();
    let place = String::from_utf8(whole[whole.len() - 1_536..][..80].to_vec()).unwrap();
    let numbers: Vec<usize> =
        place.split(' ').filter_map(|w| w.trim_end_matches(',').parse().ok()).collect();
    let (images, index) = (&whole[..numbers[0]], &whole[numbers[0]..][..numbers[1]]);
    let made = |index: &[u8]| {
        let crc32 = crc32fast::hash(index);
        let place =
            format!("index at byte {}, {} bytes, crc32 {crc32:08x}\n", images.len(), index.len());
        let mut end = place.into_bytes();
        end.resize(512 + 1_024, 0);
        [images, index, &end].concat()
    };
    let mut config = config::demo(&[]).unwrap().data;
    (config.source, config.path, config.imbalance) =
        (Source::Packed, file.display().to_string(), 1.0);
    config.image_size = 8;
    fuzz(
        "packed",
        |rng| {
            if rng.random_bool(0.3) {
                return mutated(rng, std::slice::from_ref(&whole));
            }
            made(&mutated(rng, &[index.to_vec()]))
        },
        |bytes| {
            fs::write(&file, bytes).unwrap();
            if let Ok(data) = earlybird::data::load(&config, 1, &mut |_| {}) {
                assert_eq!(data.train.pixels().len(), data.train.len() * 3 * 64);
                assert!(data.train.labels.iter().all(|l| (*l as usize) < data.classes.len()));
            }
        },
    );
}

#[test]
fn names_of_runs() {
    let runs = directory();
    let corpus =
        ["demo-001", "demo-4294967295", "demo-99999999999", "demo-007x", "demo-", "other-3"]
            .map(|n| n.as_bytes().to_vec());
    fuzz(
        "run",
        |rng| mutated(rng, &corpus),
        |bytes| {
            let Some(name) = name(bytes) else { return };
            let there = runs.path().join(name);
            fs::create_dir(&there).unwrap();
            if bytes.len() % 2 == 0 {
                fs::write(there.join("journal.jsonl"), "").unwrap();
            }
            let made = RunDirectory::create(runs.path(), "demo").unwrap();
            let _ = (RunDirectory::all(runs.path()).len(), RunDirectory::others(runs.path()).len());
            let _ = RunDirectory::find(runs.path(), Some(&String::from_utf8_lossy(bytes)));
            fs::remove_dir(made.path()).unwrap();
            fs::remove_dir_all(&there).unwrap();
        },
    );
}
