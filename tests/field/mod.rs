//! The kinds of data that people bring: each is read whole, or what is wrong with it is told. One
//! table: what is made, what is expected.

mod make;

use self::make::{Folder, cifar, idx};
use crate::environment::program;
use earlybird::data::{self, Finding, printable_name};
use std::path::Path;

/// What a check of the data must say.
enum Expect {
    /// Training and test images and classes, and not a word.
    Clean(usize, usize, usize),
    /// The same, with a word but nothing lost.
    Noted(usize, usize, usize, &'static [&'static str]),
    /// The same, and what is lost.
    Lost(usize, usize, usize, &'static [&'static str]),
    /// An error with these words.
    Refused(&'static [&'static str]),
}

use Expect::{Clean, Lost, Noted, Refused};

/// How a kind of data is made.
type Make = fn(&Path);

/// A kind of data: its name in a folder, how it is made, what is expected.
type Row = (&'static str, Make, Expect);

/// What was got, in the terms of the table.
fn got(path: &Path) -> String {
    match data::check(path, &mut |_| {}) {
        Ok((data, _)) => {
            let kind = match data.findings.iter().any(Finding::is_loss) {
                true => "lost",
                false if data.findings.is_empty() => "clean",
                false => "noted",
            };
            let told: Vec<&str> = data.findings.iter().map(Finding::text).collect();
            format!(
                "{kind} {} {} {}: {}",
                data.train.len(),
                data.test.len(),
                data.classes.len(),
                told.join(" | ")
            )
        }
        Err(e) => format!("refused: {e}"),
    }
}

fn holds(expect: &Expect, got: &str) -> bool {
    let (begin, words) = match expect {
        Clean(train, test, classes) => (format!("clean {train} {test} {classes}: "), &[][..]),
        Noted(train, test, classes, words) => (format!("noted {train} {test} {classes}: "), *words),
        Lost(train, test, classes, words) => (format!("lost {train} {test} {classes}: "), *words),
        Refused(words) => ("refused: ".into(), *words),
    };
    got.starts_with(&begin) && words.iter().all(|w| got.contains(w))
}

fn check_all(rows: &[Row]) {
    let root = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (name, make, expect) in rows {
        let path = root.path().join(name);
        make(&path);
        let got = got(&path).replace(&printable_name(root.path().as_os_str()), "ROOT");
        // No limit was set: none is to blame.
        if !holds(expect, &got) || got.contains("_limit") {
            wrong.push(format!("{name}: {got}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} are not as expected:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

#[test]
fn folders_of_images_are_read_whole_or_told() {
    let rows: Vec<Row> = vec![
        ("ok", |p| drop(Folder::at(p)), Clean(8, 4, 2)),
        (
            "hidden_class",
            |p| Folder::at(p).png("train/.ipynb_checkpoints/1-checkpoint.png"),
            Clean(8, 4, 2),
        ),
        ("hidden_empty", |p| Folder::at(p).directory("train/.ipynb_checkpoints"), Clean(8, 4, 2)),
        ("hidden_test", |p| Folder::at(p).directory("test/.ipynb_checkpoints"), Clean(8, 4, 2)),
        ("eadir", make::eadir, Clean(8, 4, 2)),
        ("appledouble", make::appledouble, Clean(8, 4, 2)),
        ("only_webp", |p| make::only(p, "webp"), Clean(8, 4, 2)),
        ("only_bmp", |p| make::only(p, "bmp"), Clean(8, 4, 2)),
        ("only_tif", |p| make::only(p, "tif"), Clean(8, 4, 2)),
        ("only_gif", |p| make::only(p, "gif"), Clean(8, 4, 2)),
        ("mixed_webp", |p| make::some(p, 0..4, "webp"), Clean(8, 4, 2)),
        ("some_webp", |p| make::some(p, 1..4, "webp"), Clean(8, 4, 2)),
        ("webp_named_jpg", |p| make::named(p, "webp", "x.jpg"), Clean(9, 4, 2)),
        ("gif_named_png", |p| make::named(p, "gif", "x.png"), Clean(9, 4, 2)),
        ("tiny", |p| drop(Folder::with(p, &["cat", "dog"], "val", "images")), Clean(8, 4, 2)),
        (
            "tiny_flatval",
            make::tiny_flatval,
            Refused(&["val/ has no folder of a class in train/", "data.validation = 0.1"]),
        ),
        ("nested_one", make::nested_one, Clean(8, 4, 2)),
        (
            "imagenet",
            make::imagenet,
            Noted(8, 4, 2, &["test/ has no folder of a class in train/ (6 images", "val/ is used"]),
        ),
        (
            "kaggle_test",
            make::kaggle_test,
            Noted(8, 4, 2, &["test/ has no folder of a class in train/", "val/ is used"]),
        ),
        (
            "only_train",
            |p| Folder::at(p).remove("test"),
            Refused(&["neither test/ nor val/: set data.validation = 0.1"]),
        ),
        (
            "flat",
            make::flat,
            Refused(&["it has no train/", "set data.validation = 0.1", "cat, dog"]),
        ),
        (
            "Caps",
            |p| Folder::at(p).rename("train", "Train").rename("test", "Test").end(),
            Clean(8, 4, 2),
        ),
        (
            "training",
            |p| Folder::at(p).rename("train", "training").rename("test", "validation").end(),
            Clean(8, 4, 2),
        ),
        (
            "empty_class",
            |p| Folder::with(p, &["cat", "dog", "fox"], "test", "").empty("train/fox"),
            Refused(&["train/fox has no"]),
        ),
        (
            "test_lacks",
            |p| Folder::with(p, &["cat", "dog", "fox"], "test", "").remove("test/dog"),
            Noted(12, 4, 3, &["dog"]),
        ),
        ("empty_both", make::empty_both, Refused(&["train/fox has no training image"])),
        ("numeric", make::numeric, Clean(48, 24, 12)),
        ("latin1", make::latin1, Clean(8, 4, 2)),
        ("latin1_three", make::latin1_three, Clean(12, 6, 3)),
        ("latin1_file", make::latin1_file, Clean(8, 4, 2)),
        ("nfd", make::nfd, Refused(&["test/caf\\u{e9}", "train/cafe\\u{301}", "look alike"])),
        ("symlinks", make::symlinks, Lost(9, 4, 2, &["1 link in train/cat leads nowhere"])),
        (
            "elsewhere_dog",
            |p| Folder::at(p).lift("train/dog"),
            Refused(&["holds no data that is known"]),
        ),
        (
            "broken_links",
            make::broken_links,
            Refused(&["train/dog has no training image: it has 4 broken links"]),
        ),
        ("lfs", make::lfs, Refused(&["train/dog/0.png: it is a Git LFS pointer"])),
        (
            "three_broken",
            make::three_broken,
            Refused(&["train/cat/1.jpg", "train/dog/2.jpg", "test/dog/1.jpg", "(3 files)"]),
        ),
        (
            "trunc_jpeg",
            |p| make::cut(p, "jpg", make::jpeg(64)),
            Refused(&["train/dog/2.jpg: the JPEG is cut"]),
        ),
        (
            "trunc_prog_jpeg",
            |p| make::cut(p, "jpg", make::PROGRESSIVE.into()),
            Refused(&["train/dog/2.jpg: the JPEG is cut"]),
        ),
        ("trunc_png", |p| make::cut(p, "png", make::png(64, 64)), Refused(&["train/dog/2.png"])),
        ("crc_png", make::crc_png, Refused(&["train/dog/2.png"])),
        ("trailing_jpeg", make::trailing_jpeg, Clean(8, 4, 2)),
        ("modes", make::modes, Clean(17, 4, 2)),
        ("cmyk", |p| Folder::at(p).file("train/cat/cmyk.jpg", make::CMYK), Clean(9, 4, 2)),
        (
            "thin",
            |p| Folder::at(p).file("train/cat/thin.png", &make::png(1, 20_000)),
            Clean(9, 4, 2),
        ),
        ("huge", |p| Folder::at(p).file("train/cat/huge.png", &make::grey(6_000)), Clean(9, 4, 2)),
        ("one_px", |p| Folder::at(p).file("train/cat/px.png", &make::png(1, 1)), Clean(9, 4, 2)),
        ("trivial", |p| make::constant(p, &[("black", 0), ("white", 255)]), Clean(8, 4, 2)),
        ("same", |p| make::constant(p, &[("a", 77), ("b", 77)]), Clean(8, 4, 2)),
    ];
    assert_eq!(rows.len(), 48);
    check_all(&rows);
}

#[test]
fn idx_files_are_read_whole_or_told() {
    let rows: Vec<Row> = vec![
        ("mnist", |p| idx(p, "train", "t10k", |i| i % 10, [28, 28], 0), Clean(60, 20, 10)),
        ("emnist_named", make::emnist_named, Refused(&["emnist-letters-", "has another name"])),
        (
            "emnist_renamed",
            |p| idx(p, "train", "t10k", |i| 1 + i % 20, [28, 28], 0),
            Noted(60, 20, 20, &["from 1 to 20"]),
        ),
        (
            "double_gz",
            |p| idx(p, "train", "t10k", |i| i % 10, [28, 28], 2),
            Refused(&["gzipped twice"]),
        ),
        (
            "rawdir",
            |p| idx(&p.join("MNIST/raw"), "train", "t10k", |i| i % 10, [28, 28], 0),
            Refused(&["rawdir/MNIST/raw: set"]),
        ),
        (
            "tv",
            |p| idx(&p.join("FashionMNIST/raw"), "train", "t10k", |i| i % 10, [28, 28], 0),
            Refused(&["/raw: set data.path"]),
        ),
        ("idx_256", make::idx_256, Clean(256, 256, 256)),
        ("wide", |p| idx(p, "train", "t10k", |i| i % 10, [28, 20], 0), Clean(60, 20, 10)),
        ("idx_dtype", make::idx_dtype, Refused(&["train-images-idx3-ubyte, byte 0: magic number"])),
    ];
    assert_eq!(rows.len(), 9);
    check_all(&rows);
}

#[test]
fn cifar_is_read_with_every_batch_once_or_told() {
    let rows: Vec<Row> = vec![
        ("cifar_full", |p| cifar(&p.join("cifar-10-batches-bin"), &[]), Clean(100, 20, 10)),
        (
            "cifar_missing3",
            |p| cifar(&p.join("cifar-10-batches-bin"), &[3]),
            Refused(&["has no data_batch_3.bin\n"]),
        ),
        (
            "cifar_only1",
            |p| cifar(&p.join("cifar-10-batches-bin"), &[2, 3, 4, 5]),
            Refused(&["data_batch_2.bin, data_batch_3.bin"]),
        ),
        (
            "cifar-10-dot.tar.gz",
            |p| make::archive(p, "./cifar-10-batches-bin", &[], |b| b),
            Clean(100, 20, 10),
        ),
        (
            "cifar-10-full.tar",
            |p| make::archive(p, "cifar-10-batches-bin", &[], |b| b),
            Clean(100, 20, 10),
        ),
        (
            "cifar-10-missing.tar.gz",
            |p| make::archive(p, "x", &[4, 5], |b| b),
            Refused(&["data_batch_4.bin, data_batch_5.bin"]),
        ),
        (
            "cifar-10-trunc.tar",
            |p| make::archive(p, "x", &[], |b| make::part(b, 6, 1)),
            Refused(&["cifar-10-trunc.tar"]),
        ),
        (
            "cifar-10-trunc512.tar",
            |p| make::archive(p, "x", &[], |b| make::part(b, 6, 512)),
            Refused(&["cifar-10-trunc512.tar"]),
        ),
        (
            "cifar-10-trunc.tar.gz",
            |p| make::archive(p, "x", &[], |b| make::part(b, 6, 1)),
            Refused(&["cifar-10-trunc.tar.gz"]),
        ),
        (
            "cifar-10-html.tar.gz",
            |p| std::fs::write(p, "<!DOCTYPE html>".repeat(50)).unwrap(),
            Refused(&["not a readable tar"]),
        ),
        ("cifar_py", make::cifar_py, Refused(&["Python version", "data fetch cifar10"])),
        (
            "cifar-10-python.tar.gz",
            make::cifar_python_archive,
            Refused(&["has no data_batch_1.bin", "not the Python"]),
        ),
    ];
    assert_eq!(rows.len(), 12, "with folders and IDX 69");
    check_all(&rows);
}

#[test]
fn siblings_of_what_the_field_brought_are_read_whole_or_told() {
    let rows: Vec<Row> = vec![
        (
            "only_avif",
            |p| make::only(p, "avif"),
            Refused(&["train/cat has no training image: it has 4 AVIF files", "train/dog"]),
        ),
        (
            "mixed_avif",
            |p| make::some(p, 0..4, "avif"),
            Refused(&["train/dog has no training image: it has 4 AVIF files"]),
        ),
        (
            "some_avif",
            |p| make::some(p, 1..4, "avif"),
            Lost(5, 4, 2, &["3 files in train/dog are AVIF, which is not read: convert to"]),
        ),
        (
            "avif_named_jpg",
            |p| make::named(p, "avif", "x.jpg"),
            Lost(8, 4, 2, &["1 file in train/dog is AVIF, which is not read"]),
        ),
        ("only_ppm", |p| make::only(p, "ppm"), Clean(8, 4, 2)),
        ("cut_webp", |p| make::halved(p, "webp"), Refused(&["train/dog/2.webp: the WebP is cut"])),
        ("cut_gif", |p| make::halved(p, "gif"), Refused(&["train/dog/2.gif: the GIF is cut"])),
        ("cut_bmp", |p| make::halved(p, "bmp"), Refused(&["train/dog/2.bmp"])),
        ("cut_tif", |p| make::halved(p, "tif"), Refused(&["train/dog/2.tif"])),
        (
            "loose",
            |p| Folder::at(p).png("train/a.png"),
            Lost(8, 4, 2, &["1 file in train is beside the class folders"]),
        ),
        (
            "synology",
            |p| Folder::at(p).png("train/cat/@eaDir/0.png/SYNOPHOTO_THUMB.png"),
            Clean(8, 4, 2),
        ),
        ("bin", |p| Folder::at(p).png("test/$RECYCLE.BIN/0.png"), Clean(8, 4, 2)),
        ("no_extension", |p| Folder::at(p).file("train/cat/n01", &make::png(9, 9)), Clean(9, 4, 2)),
        (
            "backup",
            |p| Folder::at(p).file("train/cat/0.png.bak", &make::png(9, 9)),
            Lost(8, 4, 2, &["PNG by content, but not by name"]),
        ),
        (
            "labels",
            |p| Folder::at(p).file("train/cat/labels.txt", b"P5 is what I rode"),
            Clean(8, 4, 2),
        ),
        (
            "heic",
            |p| Folder::at(p).file("test/cat/x.heic", b"\0\0\0\x18ftypheic"),
            Lost(8, 4, 2, &["1 file in test/cat is HEIF"]),
        ),
        (
            "zeroed",
            |p| make::zeroed(p, make::jpeg(64)),
            Refused(&["train/dog/2.jpg: the JPEG is cut"]),
        ),
        (
            "all_cut",
            make::all_cut,
            Refused(&["train/a/0.jpg", "train/a/19.jpg", "and 30 more files", "(50 files)"]),
        ),
        (
            "loop",
            |p| Folder::at(p).link("..", "train/cat/up"),
            Lost(8, 4, 2, &["leads to a folder"]),
        ),
        (
            "loop_to_the_root",
            |p| Folder::at(p).link("../..", "train/cat/up"),
            Lost(8, 4, 2, &["leads to a folder"]),
        ),
        (
            "loop_to_a_sibling",
            |p| Folder::at(p).link("../dog", "train/cat/dogs"),
            Lost(8, 4, 2, &["leads to a folder"]),
        ),
        (
            "pipe",
            |p| Folder::at(p).pipe("train/cat/x.png"),
            Lost(8, 4, 2, &["pipe, socket or device"]),
        ),
        ("twins", make::twins, Noted(12, 4, 3, &["look alike", "two classes"])),
        (
            "two_cases",
            |p| Folder::at(p).rename("train", "Train").directory("TRAIN"),
            Refused(&["Train/", "TRAIN/", "rename"]),
        ),
        ("unsorted", make::unsorted, Refused(&["train has no class folders (4 images"])),
        ("cifar-10-dup.tar", make::duplicate, Refused(&["data_batch_1.bin in", "more than once"])),
        ("cifar-10-long.tar.gz", make::long_names, Clean(100, 20, 10)),
        (
            "gap",
            |p| idx(p, "train", "t10k", |i| if i == 7 { 255 } else { i % 10 }, [28, 28], 0),
            Refused(&["byte 15: label 255"]),
        ),
        (
            "alien",
            make::alien_test_label,
            Refused(&["t10k-labels", "label 200, which no training image has"]),
        ),
    ];
    check_all(&rows);
}

#[test]
fn names_that_are_no_text_or_hold_control_characters_are_classes_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    make::odd_names(root.path());
    let (data, _) = data::check(root.path(), &mut |_| {}).unwrap();
    assert_eq!(data.classes, ["a\\u{1b}[2Jb", "caf\\xe8", "caf\\xe9", "dog"]);
    assert_eq!(data.train.class_counts(4), [4; 4]);
}

#[test]
fn without_test_images_a_share_of_the_training_images_is_held_out_and_told() {
    let root = tempfile::tempdir().unwrap();
    let makers: [(&str, Make); 3] = [
        ("flat", make::flat),
        ("only_train", |p| Folder::at(p).remove("test")),
        ("tiny_flatval", make::tiny_flatval),
    ];
    for (name, make) in makers {
        let path = root.path().join(name);
        make(&path);
        for resident in [data::Resident::Device, data::Resident::Stream] {
            let config = data::DataConfig {
                source: data::Source::Folder,
                path: path.to_str().unwrap().into(),
                image_size: 16,
                validation: 0.25,
                resident,
                ..Default::default()
            };
            let data = data::load(&config, 1, &mut |_| {}).unwrap();
            let sizes = [data.train.len(), data.test.len(), data.validation.len()];
            assert_eq!((sizes, data.test.class_counts(2)), ([6, 2, 0], vec![1, 1]), "{name}");
            let told = |f: &Finding| f.text().contains("2 images held out of the training images");
            assert_eq!(data.findings.iter().filter(|f| told(f)).count(), 1, "{name}");
            let none = data::DataConfig { validation: 0.0, ..config };
            let refused = data::load(&none, 1, &mut |_| {}).unwrap_err().to_string();
            assert!(refused.contains("data.validation = 0.1"), "{refused}");
        }
    }
}

/// The exit code and what is printed, on both.
fn command(path: &Path) -> (Option<i32>, String) {
    let output = program().args(["data", "check"]).arg(path).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_check_fails_where_images_are_lost_and_prints_nothing_that_moves_a_cursor() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    drop(Folder::at(&at("ok")));
    assert_eq!(command(&at("ok")).0, Some(0));
    make::imagenet(&at("noted"));
    let (code, text) = command(&at("noted"));
    assert!(
        code == Some(0) && text.contains("warning: test/ has no folder of a class"),
        "{code:?} {text}"
    );
    make::some(&at("lost"), 1..4, "avif");
    let (code, text) = command(&at("lost"));
    assert!(
        code == Some(1) && text.contains("warning: 3 files in train/dog are AVIF"),
        "{code:?} {text}"
    );
    make::odd_names(&at("od\x1bd"));
    let (code, text) = command(&at("od\x1bd"));
    assert!(
        code == Some(0) && !text.contains('\x1b') && text.contains("od\\u{1b}d"),
        "{code:?} {text}"
    );
}

#[test]
fn what_is_lost_stands_in_the_journal_and_in_the_lines_of_a_run_without_a_screen() {
    let root = tempfile::tempdir().unwrap();
    let images = root.path().join("images");
    make::some(&images, 1..4, "avif");
    let runs = crate::support::Runs::new();
    let set = [
        format!("data.path={}", images.display()),
        "data.source=folder".into(),
        "data.image_size=16".into(),
    ];
    let mut args: Vec<&str> = set.iter().flat_map(|s| ["--set", s.as_str()]).collect();
    args.extend(["--set", "data.imbalance=1.0", "--set", "train.batch_size=4"]);
    let (code, events) = runs.headless("train", &args).end();
    use earlybird::protocol::Event;
    let warned = |e: &Event| match e {
        Event::Warning { text, .. } => text.starts_with("3 files in train/dog are AVIF"),
        _ => false,
    };
    assert_eq!((code, events.iter().filter(|e| warned(e)).count()), (0, 1));
    let run = earlybird::run::RunDirectory::all(runs.path()).pop().unwrap();
    let journal = earlybird::run::read_journal(&run.file("journal.jsonl")).unwrap();
    assert_eq!(journal.records.iter().filter(|r| warned(&r.event)).count(), 1);
}
