//! Makes small data of every kind. Images are 16 x 16 pixels of noise, four of a class to train on
//! and two to test.

use crate::support::{cifar_records, gz, noise};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageFormat, RgbImage};
use std::ffi::OsStr;
use std::io::Cursor;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What this crate's encoder cannot write.
pub const PROGRESSIVE: &[u8] = include_bytes!("progressive.jpg");
pub const CMYK: &[u8] = include_bytes!("cmyk.jpg");

pub fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn rgb(w: u32, h: u32) -> DynamicImage {
    RgbImage::from_raw(w, h, noise((w * h * 3) as usize, u64::from(w))).unwrap().into()
}

pub fn png(w: u32, h: u32) -> Vec<u8> {
    encoded(&rgb(w, h), ImageFormat::Png)
}

pub fn grey(side: u32) -> Vec<u8> {
    encoded(&DynamicImage::new_luma8(side, side), ImageFormat::Png)
}

pub fn jpeg(side: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = noise((side * side * 3) as usize, 3);
    JpegEncoder::new_with_quality(&mut bytes, 90)
        .encode(&pixels, side, side, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// An image in the format of this extension; of AVIF, which is not read, the beginning.
fn other(extension: &str) -> Vec<u8> {
    let format = match extension {
        "webp" => ImageFormat::WebP,
        "bmp" => ImageFormat::Bmp,
        "tif" => ImageFormat::Tiff,
        "gif" => ImageFormat::Gif,
        "ppm" => ImageFormat::Pnm,
        _ => return b"\0\0\0\x20ftypavif\0\0\0\0".to_vec(),
    };
    encoded(&rgb(16, 16), format)
}

/// A file of this format that ends in the middle.
pub fn halved(root: &Path, extension: &str) {
    let bytes = other(extension);
    Folder::at(root).file(format!("train/dog/2.{extension}"), &bytes[..bytes.len() / 2]);
}

/// An image folder.
pub struct Folder(PathBuf);

impl Folder {
    /// `cat` and `dog` in `train` and `test`.
    pub fn at(root: &Path) -> Self {
        Self::with(root, &["cat", "dog"], "test", "")
    }

    /// These classes, the second split under this name, the images in a folder `sub` of their
    /// class.
    pub fn with(root: &Path, classes: &[&str], test: &str, sub: &str) -> Self {
        let folder = Self(root.to_owned());
        for (split, count) in [("train", 4), (test, 2)] {
            for class in classes {
                (0..count).for_each(|i| {
                    folder.png(Path::new(split).join(class).join(sub).join(format!("{i}.png")))
                });
            }
        }
        folder
    }

    pub fn path(&self, at: impl AsRef<Path>) -> PathBuf {
        let path = self.0.join(at);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn file(&self, at: impl AsRef<Path>, bytes: &[u8]) {
        std::fs::write(self.path(at), bytes).unwrap();
    }

    pub fn png(&self, at: impl AsRef<Path>) {
        self.file(at, &png(16, 16));
    }

    pub fn directory(&self, at: &str) {
        std::fs::create_dir_all(self.0.join(at)).unwrap();
    }

    pub fn remove(&self, at: &str) {
        let path = self.0.join(at);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
            .unwrap();
    }

    pub fn empty(&self, at: &str) {
        self.remove(at);
        self.directory(at);
    }

    pub fn rename(self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Self {
        std::fs::rename(self.0.join(from), self.path(to)).unwrap();
        self
    }

    pub fn end(self) {}

    pub fn link(&self, target: impl AsRef<Path>, at: &str) {
        symlink(target, self.path(at)).unwrap();
    }

    pub fn pipe(&self, at: &str) {
        let path = self.path(at);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    /// Leaves only what is in `at`.
    pub fn lift(self, at: &str) {
        let aside = self.0.with_extension("aside");
        std::fs::rename(self.0.join(at), &aside).unwrap();
        std::fs::remove_dir_all(&self.0).unwrap();
        std::fs::rename(aside, self.0).unwrap();
    }

    /// The images of `train/dog` under another extension.
    fn convert(&self, which: Range<usize>, extension: &str, bytes: &[u8]) {
        for i in which {
            self.remove(&format!("train/dog/{i}.png"));
            self.file(format!("train/dog/{i}.{extension}"), bytes);
        }
    }
}

pub fn eadir(root: &Path) {
    let folder = Folder::at(root);
    folder.directory("train/@eaDir");
    folder.directory("train/__MACOSX");
}

pub fn appledouble(root: &Path) {
    let folder = Folder::at(root);
    folder.file("train/cat/._000.png", b"\0\x05\x16\x07\0\x02\0\0Mac OS X");
    for name in ["train/.DS_Store", "train/cat/.DS_Store", "train/cat/Thumbs.db"] {
        folder.file(name, b"x");
    }
}

pub fn only(root: &Path, extension: &str) {
    let folder = Folder(root.to_owned());
    for (split, count) in [("train", 4), ("test", 2)] {
        for class in ["cat", "dog"] {
            (0..count).for_each(|i| {
                folder.file(format!("{split}/{class}/{i}.{extension}"), &other(extension))
            });
        }
    }
}

/// Some of the images of `train/dog` in another format.
pub fn some(root: &Path, which: Range<usize>, extension: &str) {
    Folder::at(root).convert(which, extension, &other(extension));
}

pub fn named(root: &Path, format: &str, name: &str) {
    Folder::at(root).file(Path::new("train/dog").join(name), &other(format));
}

pub fn tiny_flatval(root: &Path) {
    let folder = Folder::with(root, &["cat", "dog"], "test", "images");
    folder.remove("test");
    (0..5).for_each(|i| folder.file(format!("val/images/val_{i}.JPEG"), &jpeg(16)));
}

pub fn nested_one(root: &Path) {
    let folder = Folder::at(root);
    folder.rename("train/dog", "aside").rename("aside", "train/dog/sub").end();
}

pub fn imagenet(root: &Path) {
    let folder = Folder::with(root, &["cat", "dog"], "val", "");
    (0..6).for_each(|i| folder.file(format!("test/ILSVRC2012_test_{i:08}.JPEG"), &jpeg(16)));
}

pub fn kaggle_test(root: &Path) {
    let folder = Folder::with(root, &["cat", "dog"], "val", "");
    (0..6).for_each(|i| folder.file(format!("test/unknown/{i}.jpg"), &jpeg(16)));
}

pub fn flat(root: &Path) {
    let folder = Folder::at(root).rename("train/cat", "cat").rename("train/dog", "dog");
    folder.remove("train");
    folder.remove("test");
}

pub fn empty_both(root: &Path) {
    let folder = Folder::with(root, &["cat", "dog", "fox"], "test", "");
    folder.empty("train/fox");
    folder.empty("test/fox");
}

pub fn numeric(root: &Path) {
    let classes: Vec<String> = (0..12).map(|i| i.to_string()).collect();
    Folder::with(root, &classes.iter().map(String::as_str).collect::<Vec<_>>(), "test", "").end();
}

/// A class of this name, instead of that one, in both splits.
fn renamed(folder: Folder, from: &str, to: &[u8]) -> Folder {
    let to = OsStr::from_bytes(to);
    ["train", "test"].iter().fold(folder, |folder, split| {
        let split = Path::new(split);
        folder.rename(split.join(from), split.join(to))
    })
}

pub fn latin1(root: &Path) {
    renamed(Folder::at(root), "dog", b"caf\xe9").end();
}

pub fn latin1_three(root: &Path) {
    renamed(Folder::with(root, &["cat", "dog", "fox"], "test", ""), "fox", b"caf\xe9").end();
}

pub fn latin1_file(root: &Path) {
    let name = Path::new("train/dog").join(OsStr::from_bytes(b"\xe9.png"));
    Folder::at(root).rename("train/dog/0.png", name).end();
}

pub fn odd_names(root: &Path) {
    let folder = Folder::with(root, &["a", "b", "c", "dog"], "test", "");
    let folder = renamed(renamed(folder, "b", b"caf\xe8"), "c", b"caf\xe9");
    renamed(folder, "a", b"a\x1b[2Jb").end();
}

pub fn nfd(root: &Path) {
    Folder::at(root)
        .rename("train/cat", "train/cafe\u{301}")
        .rename("test/cat", "test/caf\u{e9}")
        .end();
}

pub fn twins(root: &Path) {
    let folder = Folder::with(root, &["cafe\u{301}", "caf\u{e9}", "dog"], "test", "");
    folder.remove("test/dog");
    folder.rename("test/cafe\u{301}", "test/dog").end();
}

pub fn symlinks(root: &Path) {
    let folder = Folder::at(root).rename("train/dog", "../elsewhere");
    folder.link(root.parent().unwrap().join("elsewhere"), "train/dog");
    folder.link("/nonexistent.png", "train/cat/broken.png");
    folder.link(root.join("train/cat/0.png"), "train/cat/link.png");
}

pub fn broken_links(root: &Path) {
    let folder = Folder::at(root);
    for i in 0..4 {
        folder.remove(&format!("train/dog/{i}.png"));
        folder.link(format!("/gone/{i}.png"), &format!("train/dog/{i}.png"));
    }
}

pub fn lfs(root: &Path) {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n";
    Folder::at(root).file("train/dog/0.png", pointer);
}

pub fn three_broken(root: &Path) {
    let folder = Folder::at(root);
    folder.file("train/cat/1.jpg", b"");
    folder.file("train/dog/2.jpg", &part(jpeg(16), 5, 1));
    folder.file("test/dog/1.jpg", b"<html>404</html>");
}

/// A third of a file.
pub fn cut(root: &Path, extension: &str, bytes: Vec<u8>) {
    Folder::at(root).file(format!("train/dog/2.{extension}"), &bytes[..bytes.len() / 3]);
}

/// The second half of a file is zeros.
pub fn zeroed(root: &Path, mut bytes: Vec<u8>) {
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    Folder::at(root).file("train/dog/2.jpg", &bytes);
}

pub fn all_cut(root: &Path) {
    let folder = Folder::at(root);
    let cut = part(jpeg(16), 5, 1);
    (0..50).for_each(|i| folder.file(format!("train/a/{i}.jpg"), &cut));
}

pub fn crc_png(root: &Path) {
    let mut bytes = png(16, 16);
    let at = bytes.len() - 30;
    bytes[at] ^= 0xff;
    Folder::at(root).file("train/dog/2.png", &bytes);
}

pub fn trailing_jpeg(root: &Path) {
    let folder = Folder::at(root);
    folder.remove("train/dog/2.png");
    folder.file("train/dog/2.jpg", &[&jpeg(16)[..], &[0; 500], b"trailing garbage"].concat());
}

pub fn modes(root: &Path) {
    let folder = Folder::at(root);
    let add = |name: &str, image: DynamicImage, format| {
        folder.file(format!("train/cat/{name}"), &encoded(&image, format))
    };
    add("g16.png", DynamicImage::ImageLuma16(rgb(16, 16).to_luma16()), ImageFormat::Png);
    add("la.png", DynamicImage::ImageLumaA8(rgb(16, 16).to_luma_alpha8()), ImageFormat::Png);
    add("transparent.png", DynamicImage::new_rgba8(16, 16), ImageFormat::Png);
    add("rgb16.png", DynamicImage::ImageRgb16(rgb(16, 16).to_rgb16()), ImageFormat::Png);
    add("l.jpg", DynamicImage::ImageLuma8(rgb(16, 16).to_luma8()), ImageFormat::Jpeg);
    add("UP.PNG", rgb(16, 16), ImageFormat::Png);
    for name in ["UP.JPEG", "x.jfif"] {
        add(name, rgb(16, 16), ImageFormat::Jpeg);
    }
    folder.file("train/cat/prog.jpe", PROGRESSIVE);
}

pub fn constant(root: &Path, classes: &[(&str, u8)]) {
    let folder = Folder(root.to_owned());
    for (class, value) in classes {
        let image = encoded(
            &RgbImage::from_pixel(16, 16, image::Rgb([*value; 3])).into(),
            ImageFormat::Png,
        );
        for (split, count) in [("train", 4), ("test", 2)] {
            (0..count).for_each(|i| folder.file(format!("{split}/{class}/{i}.png"), &image));
        }
    }
}

pub fn unsorted(root: &Path) {
    let folder = Folder::at(root);
    folder.remove("train");
    (0..4).for_each(|i| folder.png(format!("train/cat.{i}.png")));
}

/// IDX files of 60 and 20 images of `[h, w]` pixels, packed `gzip` times.
pub fn idx(
    directory: &Path,
    train: &str,
    test: &str,
    label: fn(usize) -> usize,
    [h, w]: [usize; 2],
    gzip: usize,
) {
    std::fs::create_dir_all(directory).unwrap();
    for (stem, n) in [(train, 60), (test, 20)] {
        idx_split(directory, stem, &(0..n).map(label).collect::<Vec<_>>(), [h, w], gzip);
    }
}

fn idx_split(directory: &Path, stem: &str, labels: &[usize], [h, w]: [usize; 2], gzip: usize) {
    let dims =
        |dims: &[usize]| dims.iter().flat_map(|d| (*d as u32).to_be_bytes()).collect::<Vec<u8>>();
    let n = labels.len();
    let images = [&[0, 0, 8, 3][..], &dims(&[n, h, w]), &noise(n * h * w, 5)].concat();
    let labels =
        [&[0, 0, 8, 1][..], &dims(&[n]), &labels.iter().map(|l| *l as u8).collect::<Vec<_>>()]
            .concat();
    for (kind, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
        let bytes = (0..gzip).fold(bytes, |bytes, _| gz(&bytes));
        let ending = if gzip > 0 { ".gz" } else { "" };
        std::fs::write(directory.join(format!("{stem}-{kind}-ubyte{ending}")), bytes).unwrap();
    }
}

pub fn emnist_named(root: &Path) {
    idx(root, "emnist-letters-train", "emnist-letters-test", |i| 1 + i % 20, [28, 28], 0);
}

pub fn idx_256(root: &Path) {
    std::fs::create_dir_all(root).unwrap();
    let labels: Vec<usize> = (0..256).collect();
    ["train", "t10k"].iter().for_each(|stem| idx_split(root, stem, &labels, [28, 28], 0));
}

pub fn idx_dtype(root: &Path) {
    idx(root, "train", "t10k", |i| i % 10, [28, 28], 0);
    let images = root.join("train-images-idx3-ubyte");
    let mut bytes = std::fs::read(&images).unwrap();
    bytes[2] = 0x0d;
    std::fs::write(images, bytes).unwrap();
}

pub fn alien_test_label(root: &Path) {
    idx(root, "train", "t10k", |i| i % 10, [28, 28], 0);
    idx_split(root, "t10k", &[0, 1, 200], [28, 28], 0);
}

/// CIFAR-10's files with 20 records each, but for these batches.
pub fn cifar(directory: &Path, missing: &[usize]) {
    std::fs::create_dir_all(directory).unwrap();
    for (name, bytes) in cifar_files(missing) {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
}

fn cifar_files(missing: &[usize]) -> Vec<(String, Vec<u8>)> {
    let batches = (1..=5).filter(|k| !missing.contains(k)).map(|k| format!("data_batch_{k}.bin"));
    batches.chain(["test_batch.bin".into()]).map(|name| (name, cifar_records(20, 10, 1))).collect()
}

fn tar(path: &Path, files: &[(String, Vec<u8>)], change: fn(Vec<u8>) -> Vec<u8>) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let packed = path.extension().is_some_and(|e| e == "gz");
    std::fs::write(path, change(if packed { gz(&bytes) } else { bytes })).unwrap();
}

/// The files below `folder`, without these batches, as an archive that is then changed.
pub fn archive(path: &Path, folder: &str, missing: &[usize], change: fn(Vec<u8>) -> Vec<u8>) {
    let files: Vec<_> = cifar_files(missing)
        .into_iter()
        .map(|(name, bytes)| (format!("{folder}/{name}"), bytes))
        .collect();
    tar(path, &files, change);
}

/// Tenths of some bytes, cut at a multiple of `block`.
pub fn part(mut bytes: Vec<u8>, tenths: usize, block: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() * tenths / 10 / block * block);
    bytes
}

pub fn duplicate(path: &Path) {
    let mut files = cifar_files(&[]);
    files.push(files[0].clone());
    tar(path, &files, |b| b);
}

/// Paths that do not fit a header.
pub fn long_names(path: &Path) {
    let folder = ["a-folder-with-a-long-name"; 12].join("/");
    archive(path, &folder, &[], |b| b);
}

const PYTHON: [&str; 3] = ["data_batch_1", "test_batch", "batches.meta"];

pub fn cifar_py(root: &Path) {
    let directory = root.join("cifar-10-batches-py");
    std::fs::create_dir_all(&directory).unwrap();
    PYTHON.iter().for_each(|name| std::fs::write(directory.join(name), b"\x80\x04pickle").unwrap());
}

pub fn cifar_python_archive(path: &Path) {
    let files =
        PYTHON.map(|name| (format!("cifar-10-batches-py/{name}"), b"\x80\x04pickle".to_vec()));
    tar(path, &files, |b| b);
}
