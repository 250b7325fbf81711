//! Data: every source trains, and every way a file can be broken is named with its place.

use crate::support::{cifar_records, epochs, finish, gz, noise, session_on, write_idx};
use earlybird::config::{self, DataConfig, Source};
use earlybird::data::{self, Dataset};
use earlybird::model::device::DeviceName;
use std::path::Path;

fn load(source: Source, path: &Path) -> Result<Dataset, String> {
    let config = DataConfig { source, path: path.display().to_string(), image_size: 16, ..DataConfig::default() };
    data::load(&config, 1, &mut |_| {}).map_err(|e| e.to_string())
}

fn trains(source: &str, path: &Path, set: &[&str]) {
    let mut all = vec![format!("data.source={source}"), format!("data.path={}", path.display()), "data.imbalance=1.0".into()];
    all.extend(["train.epochs=2", "importance.pretrain_epochs=1", "train.batch_size=16"].map(String::from));
    all.extend(set.iter().map(|s| (*s).to_owned()));
    let config = config::demo(&all).unwrap();
    let events = finish(&mut session_on(config, DeviceName::LibtorchCpu));
    assert_eq!(epochs(&events).len(), 2, "{source}");
}

#[test]
fn idx_files_train_plain_and_gzipped() {
    for gzip in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        write_idx(dir.path(), 40, 28, gzip);
        let data = load(Source::FashionMnist, dir.path()).unwrap();
        assert_eq!((data.shape, data.train.len(), data.test.len()), ([1, 28, 28], 40, 20));
        trains("fashion-mnist", dir.path(), &[]);
    }
}

#[test]
fn cifar10_trains_from_a_directory_and_from_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("cifar-10-batches-bin");
    std::fs::create_dir(&inner).unwrap();
    for k in 1..=5 {
        std::fs::write(inner.join(format!("data_batch_{k}.bin")), cifar_records(20, 10, 1)).unwrap();
    }
    std::fs::write(inner.join("test_batch.bin"), cifar_records(20, 10, 1)).unwrap();
    std::fs::write(inner.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
    let data = load(Source::Cifar10, dir.path()).unwrap();
    assert_eq!((data.shape, data.train.len(), data.test.len(), data.classes[9].as_str()), ([3, 32, 32], 100, 20, "j"));
    // Planes become pixels: red, green, blue of the first one.
    let raw = cifar_records(1, 10, 1);
    assert_eq!(data.train.pixels[..3], [raw[1], raw[1 + 1024], raw[1 + 2048]]);
    trains("cifar10", dir.path(), &["data.crop_padding=4", "data.flip=true"]);

    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all("cifar-10-batches-bin", &inner).unwrap();
    let archive = dir.path().join("cifar-10-binary.tar.gz");
    std::fs::write(&archive, gz(&builder.into_inner().unwrap())).unwrap();
    assert_eq!(load(Source::Cifar10, &archive).unwrap(), data);
}

#[test]
fn cifar100_trains_on_its_fine_labels() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("train.bin"), cifar_records(200, 100, 2)).unwrap();
    std::fs::write(dir.path().join("test.bin"), cifar_records(100, 100, 2)).unwrap();
    let data = load(Source::Cifar100, dir.path()).unwrap();
    assert_eq!((data.classes.len(), data.train.labels[57]), (100, 57));
    trains("cifar100", dir.path(), &[]);
}

#[test]
fn an_archive_cannot_write_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes()); // `set_path` would refuse what an attacker writes
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    };
    add("../../evil.txt", b"x");
    add("/tmp/earlybird-evil.txt", b"x");
    add("../data_batch_1.bin", &cifar_records(4, 10, 1));
    add("x/test_batch.bin", &cifar_records(4, 10, 1));
    let archive = dir.path().join("cifar-10-binary.tar.gz");
    std::fs::write(&archive, gz(&builder.into_inner().unwrap())).unwrap();
    assert_eq!(load(Source::Cifar10, &archive).unwrap().train.len(), 4);
    assert!(!Path::new("/tmp/earlybird-evil.txt").exists());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the archive is there");
}

fn write_folder(root: &Path) {
    for (split, count) in [("train", 8), ("test", 4)] {
        for class in ["cat", "dog"] {
            let dir = root.join(split).join(class);
            std::fs::create_dir_all(&dir).unwrap();
            for i in 0..count {
                let image = image::RgbImage::from_raw(20, 30, noise(1800, i + class.len() as u64 * 7)).unwrap();
                image.save(dir.join(format!("{i}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn an_image_folder_trains() {
    let dir = tempfile::tempdir().unwrap();
    write_folder(dir.path());
    let data = load(Source::Folder, dir.path()).unwrap();
    assert_eq!((data.shape, data.train.len(), data.test.len()), ([3, 16, 16], 16, 8));
    assert_eq!(data.classes, ["cat", "dog"]);
    trains("folder", dir.path(), &["data.image_size=16", "train.batch_size=8"]);
}

#[test]
fn the_embedded_set_is_balanced_and_whole() {
    let data = data::load(&DataConfig::default(), 1, &mut |_| {}).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.shape), (10_000, 5_000, [1, 28, 28]));
    assert!(data.train.class_counts(10).iter().all(|c| *c == 1_000));
    let (mean, std) = data.mean_std();
    assert!((mean[0] - 0.286).abs() < 0.01 && (std[0] - 0.353).abs() < 0.01, "{mean:?} {std:?}");
}

/// Breaks one thing in a whole set and gives the message.
fn broken(source: Source, make: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    match source {
        Source::FashionMnist => write_idx(dir.path(), 40, 28, false),
        Source::Cifar10 => {
            std::fs::write(dir.path().join("data_batch_1.bin"), cifar_records(4, 10, 1)).unwrap();
            std::fs::write(dir.path().join("test_batch.bin"), cifar_records(4, 10, 1)).unwrap();
        }
        _ => write_folder(dir.path()),
    }
    make(dir.path());
    let error = load(source, dir.path()).expect_err("broken data");
    error.replace(&dir.path().display().to_string(), "DIR")
}

fn edit(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).unwrap();
    change(&mut bytes);
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn broken_files_are_named_with_their_byte() {
    use Source::{Cifar10, FashionMnist, Folder};
    let images = "train-images-idx3-ubyte";
    let labels = "train-labels-idx1-ubyte";
    let cases: Vec<(&str, String)> = vec![
        ("cut images", broken(FashionMnist, |d| edit(&d.join(images), |b| b.truncate(5_000)))),
        ("cut header", broken(FashionMnist, |d| edit(&d.join(images), |b| b.truncate(9)))),
        ("empty", broken(FashionMnist, |d| edit(&d.join(images), Vec::clear))),
        ("wrong magic", broken(FashionMnist, |d| edit(&d.join(images), |b| b[2] = 13))),
        ("labels for images", broken(FashionMnist, |d| assert!(std::fs::copy(d.join(labels), d.join(images)).is_ok()))),
        ("too many bytes", broken(FashionMnist, |d| edit(&d.join(images), |b| b.push(0)))),
        ("a header that lies", broken(FashionMnist, |d| edit(&d.join(images), |b| b[4..16].fill(0xff)))),
        ("a header that lies a little", broken(FashionMnist, |d| edit(&d.join(images), |b| b[4] = 0x7f))),
        (
            "another count of labels",
            broken(FashionMnist, |d| {
                edit(&d.join(labels), |b| {
                    b[7] -= 1;
                    b.pop();
                })
            }),
        ),
        (
            "broken gzip",
            broken(FashionMnist, |d| {
                edit(&d.join(images), |b| {
                    *b = gz(b);
                    b.truncate(200);
                })
            }),
        ),
        ("missing file", broken(FashionMnist, |d| std::fs::remove_file(d.join(labels)).unwrap())),
        ("cut record", broken(Cifar10, |d| edit(&d.join("data_batch_1.bin"), |b| b.truncate(3_100)))),
        ("label out of range", broken(Cifar10, |d| edit(&d.join("data_batch_1.bin"), |b| b[3_073] = 10))),
        ("empty batch", broken(Cifar10, |d| edit(&d.join("test_batch.bin"), Vec::clear))),
        ("no training file", broken(Cifar10, |d| std::fs::remove_file(d.join("data_batch_1.bin")).unwrap())),
        ("no image", broken(Folder, |d| std::fs::write(d.join("train/cat/0.png"), "this is text").unwrap())),
        ("cut image", broken(Folder, |d| edit(&d.join("train/cat/0.png"), |b| b.truncate(60)))),
        ("unknown class", broken(Folder, |d| std::fs::create_dir(d.join("test/bird")).unwrap())),
        ("no test split", broken(Folder, |d| std::fs::remove_dir_all(d.join("test")).unwrap())),
    ];
    let text: Vec<String> = cases.into_iter().map(|(name, message)| format!("# {name}\n{message}\n")).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn a_lying_archive_header_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("data_batch_1.bin").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    let archive = dir.path().join("cifar-10-binary.tar.gz");
    std::fs::write(&archive, gz(header.as_bytes())).unwrap();
    let error = load(Source::Cifar10, &archive).expect_err("lying header");
    assert!(error.contains("claims 1099511627776 bytes"), "{error}");
}

#[test]
fn limits_and_long_tails_leave_the_test_set_alone() {
    let config = DataConfig { imbalance: 50.0, test_limit: 100, ..DataConfig::default() };
    let data = data::load(&config, 1, &mut |_| {}).unwrap();
    let counts = data.train.class_counts(10);
    assert_eq!((counts[0], counts[9]), (1_000, 20));
    assert_eq!(data.test.class_counts(10), [10; 10]);
    let other = data::load(&config, 2, &mut |_| {}).unwrap();
    assert_ne!(data.train.pixels, other.train.pixels, "chosen by seed");
}
