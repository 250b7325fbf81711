//! Data: every source trains, and every way a file can be broken is named with its place.

use crate::support::{cifar_records, epochs, finish, gz, noise, session_on, write_idx};
use earlybird::config::{self, DataConfig, Source};
use earlybird::data::{self, Dataset, Progress};
use earlybird::model::device::DeviceName;
use std::path::Path;

fn load(source: Source, path: &Path) -> Result<Dataset, String> {
    let config = DataConfig {
        source,
        path: path.display().to_string(),
        image_size: 16,
        ..DataConfig::default()
    };
    data::load(&config, 1, &mut |_| {}).map_err(|e| e.to_string())
}

fn trains(source: &str, path: &Path, set: &[&str]) {
    let mut all = vec![
        format!("data.source={source}"),
        format!("data.path={}", path.display()),
        "data.imbalance=1.0".into(),
    ];
    all.extend(
        ["train.epochs=2", "importance.pretrain_epochs=1", "train.batch_size=16"].map(String::from),
    );
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
        std::fs::write(inner.join(format!("data_batch_{k}.bin")), cifar_records(20, 10, 1))
            .unwrap();
    }
    std::fs::write(inner.join("test_batch.bin"), cifar_records(20, 10, 1)).unwrap();
    std::fs::write(inner.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
    let data = load(Source::Cifar10, dir.path()).unwrap();
    assert_eq!(
        (data.shape, data.train.len(), data.test.len(), data.classes[9].as_str()),
        ([3, 32, 32], 100, 20, "j")
    );
    // Planes become pixels: red, green, blue of the first one.
    let raw = cifar_records(1, 10, 1);
    assert_eq!(data.train.pixels()[..3], [raw[1], raw[1 + 1024], raw[1 + 2048]]);
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
        // `set_path` would refuse what an attacker writes
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    };
    add("../../evil.txt", b"x");
    add("/tmp/earlybird-evil.txt", b"x");
    (1..=5).for_each(|k| add(&format!("../data_batch_{k}.bin"), &cifar_records(4, 10, 1)));
    add("x/test_batch.bin", &cifar_records(4, 10, 1));
    let archive = dir.path().join("cifar-10-binary.tar.gz");
    std::fs::write(&archive, gz(&builder.into_inner().unwrap())).unwrap();
    assert_eq!(load(Source::Cifar10, &archive).unwrap().train.len(), 20);
    assert!(!Path::new("/tmp/earlybird-evil.txt").exists());
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing but the archive is there"
    );
}

fn write_folder(root: &Path) {
    for (split, count) in [("train", 8), ("test", 4)] {
        for class in ["cat", "dog"] {
            let dir = root.join(split).join(class);
            std::fs::create_dir_all(&dir).unwrap();
            for i in 0..count {
                let image =
                    image::RgbImage::from_raw(20, 30, noise(1800, i + class.len() as u64 * 7))
                        .unwrap();
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
            for file in [
                "data_batch_1",
                "data_batch_2",
                "data_batch_3",
                "data_batch_4",
                "data_batch_5",
                "test_batch",
            ] {
                std::fs::write(
                    dir.path().join(file).with_extension("bin"),
                    cifar_records(4, 10, 1),
                )
                .unwrap();
            }
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
        (
            "labels for images",
            broken(FashionMnist, |d| {
                assert!(std::fs::copy(d.join(labels), d.join(images)).is_ok())
            }),
        ),
        ("too many bytes", broken(FashionMnist, |d| edit(&d.join(images), |b| b.push(0)))),
        (
            "a header that lies",
            broken(FashionMnist, |d| edit(&d.join(images), |b| b[4..16].fill(0xff))),
        ),
        (
            "a header that lies a little",
            broken(FashionMnist, |d| edit(&d.join(images), |b| b[4] = 0x7f)),
        ),
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
        (
            "cut record",
            broken(Cifar10, |d| edit(&d.join("data_batch_1.bin"), |b| b.truncate(3_100))),
        ),
        (
            "label out of range",
            broken(Cifar10, |d| edit(&d.join("data_batch_1.bin"), |b| b[3_073] = 10)),
        ),
        ("empty batch", broken(Cifar10, |d| edit(&d.join("test_batch.bin"), Vec::clear))),
        (
            "no training file",
            broken(Cifar10, |d| std::fs::remove_file(d.join("data_batch_1.bin")).unwrap()),
        ),
        (
            "no image",
            broken(Folder, |d| std::fs::write(d.join("train/cat/0.png"), "this is text").unwrap()),
        ),
        ("cut image", broken(Folder, |d| edit(&d.join("train/cat/0.png"), |b| b.truncate(60)))),
        ("unknown class", broken(Folder, |d| std::fs::create_dir(d.join("test/bird")).unwrap())),
        ("no test split", broken(Folder, |d| std::fs::remove_dir_all(d.join("test")).unwrap())),
    ];
    let text: Vec<String> =
        cases.into_iter().map(|(name, message)| format!("# {name}\n{message}\n")).collect();
    insta::assert_snapshot!(text.join("\n"));
}

/// An archive of one header that claims `size` bytes, and nothing behind it.
fn lying_archive(kind: tar::EntryType, size: u64) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("data_batch_1.bin").unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    let archive = dir.path().join("cifar-10-binary.tar.gz");
    std::fs::write(&archive, gz(header.as_bytes())).unwrap();
    load(Source::Cifar10, &archive).expect_err("lying header")
}

#[test]
fn a_lying_header_is_refused_before_anything_is_read() {
    use tar::EntryType::{GNULongLink, GNULongName, Regular, XGlobalHeader, XHeader};
    for kind in [Regular, GNULongName, GNULongLink, XHeader, XGlobalHeader] {
        for size in [10_u64 << 30, 1 << 40] {
            let error = lying_archive(kind, size);
            assert!(error.contains(&format!("claims {size} bytes")), "{kind:?}: {error}");
        }
    }
    let error = lying_archive(Regular, 10_001 * 3_073);
    assert!(error.contains("claims 30733073 bytes for it, which has 30730000 at most"), "{error}");
    // 12.5 MB of gzip are 12 GB of zeros; what the header claims is enough to know.
    let claims = broken(Source::FashionMnist, |d| {
        edit(&d.join("train-images-idx3-ubyte"), |b| {
            // 32768 of 512 x 512: 8 GiB
            b[4..16].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 2, 0, 0, 0, 2, 0]);
            *b = gz(b);
        });
    });
    assert!(claims.contains("the header claims 32768 images of 512x512 pixels"), "{claims}");
    // Images of one pixel: their labels, as numbers, would take more than the pixels.
    let tiny = broken(Source::FashionMnist, |d| {
        edit(&d.join("train-images-idx3-ubyte"), |b| {
            b[4..16].copy_from_slice(&[0x7f, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1])
        });
    });
    assert!(tiny.contains("2130706432 images of 1x1 pixels, where at least 8x8"), "{tiny}");
}

#[test]
fn only_what_is_fashion_mnist_is_named_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let digits = dir.path().join("digits");
    std::fs::create_dir(&digits).unwrap();
    write_idx(&digits, 40, 28, true);
    let data = load(Source::FashionMnist, &digits).unwrap();
    assert_eq!(
        (data.name.as_str(), data.classes[0].as_str(), data.classes.len()),
        ("digits", "class 0", 10)
    );
    assert_eq!(
        data::load(&DataConfig::default(), 1, &mut |_| {}).unwrap().classes[0],
        "T-shirt/top"
    );
}

#[test]
fn classes_without_samples_are_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("train.bin"), cifar_records(20, 20, 2)).unwrap();
    std::fs::write(dir.path().join("test.bin"), cifar_records(100, 100, 2)).unwrap();
    let findings = load(Source::Cifar100, dir.path()).unwrap().findings;
    let text = findings[0].text();
    assert!(
        text.starts_with("no training samples of: class 20, class 21") && text.ends_with("60 more"),
        "{text}"
    );
    assert!(findings.len() == 1 && findings[0].is_loss(), "{findings:?}");
}

#[test]
fn loading_tells_how_far_it_is_and_gives_the_same_whatever_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    write_folder(dir.path());
    let config = DataConfig {
        source: Source::Folder,
        path: dir.path().display().to_string(),
        ..DataConfig::default()
    };
    let mut told = Vec::new();
    let data = data::load(&config, 1, &mut |p| told.push(p)).unwrap();
    let steps = told.iter().filter_map(|p| {
        if let Progress::Images { done, of, .. } = p { Some((*done, *of)) } else { None }
    });
    let steps: Vec<(u64, u64)> = steps.collect();
    assert_eq!((steps[0], steps.last()), ((0, 24), Some(&(24, 24))));
    assert!(steps.is_sorted(), "{steps:?}");
    for threads in [1, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(
            pool.install(|| data::load(&config, 1, &mut |_| {})).unwrap(),
            data,
            "{threads} threads"
        );
    }
}

#[test]
fn a_strip_of_any_length_loads_at_any_size() {
    let dir = tempfile::tempdir().unwrap();
    write_folder(dir.path());
    image::GrayImage::from_pixel(1, 32_000, image::Luma([9]))
        .save(dir.path().join("train/cat/strip.png"))
        .unwrap();
    image::GrayImage::from_pixel(32_000, 1, image::Luma([9]))
        .save(dir.path().join("train/cat/strop.png"))
        .unwrap();
    for image_size in [16, 512] {
        let path = dir.path().display().to_string();
        let config =
            DataConfig { source: Source::Folder, path, image_size, ..DataConfig::default() };
        let data = data::load(&config, 1, &mut |_| {}).unwrap();
        assert_eq!((data.train.len(), data.findings.len()), (18, 0));
        assert!(data.train.pixels().len() == 18 * 3 * image_size * image_size);
    }
}

#[test]
fn every_class_folder_is_found_among_thousands() {
    let dir = tempfile::tempdir().unwrap();
    let png = dir.path().join("0.png");
    image::GrayImage::from_pixel(8, 8, image::Luma([9])).save(&png).unwrap();
    for class in 0..3_000 {
        for split in ["train", "test"] {
            let folder = dir.path().join(split).join(format!("{class:05}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::hard_link(&png, folder.join("0.png")).unwrap();
        }
    }
    let config = DataConfig {
        source: Source::Folder,
        path: dir.path().display().to_string(),
        image_size: 8,
        ..DataConfig::default()
    };
    let data = data::load(&config, 1, &mut |_| {}).unwrap();
    assert_eq!(
        (data.train.class_counts(3_000), data.classes[2_999].as_str()),
        (vec![1; 3_000], "02999")
    );
}

#[test]
fn limits_and_long_tails_leave_the_test_set_alone() {
    let config = DataConfig { imbalance: 50.0, test_limit: 100, ..DataConfig::default() };
    let data = data::load(&config, 1, &mut |_| {}).unwrap();
    let counts = data.train.class_counts(10);
    assert_eq!((counts[0], counts[9]), (1_000, 20));
    assert_eq!(data.test.class_counts(10), [10; 10]);
    let other = data::load(&config, 2, &mut |_| {}).unwrap();
    assert_ne!(data.train.pixels(), other.train.pixels(), "chosen by seed");
}
