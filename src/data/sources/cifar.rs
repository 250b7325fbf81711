//! CIFAR-10 and CIFAR-100 in their *binary version*, from a directory or straight from the
//! `.tar.gz`. A record is one label byte (CIFAR-100: coarse, then fine) and 3072 bytes: 32x32 red,
//! then green, then blue.

use crate::data::fetch::Remote;
use crate::data::names::shown;
use crate::data::origin::{DataSource, Origin};
use crate::data::read::{DataError, Stream, open};
use crate::data::{Dataset, Progress, Split, Wanted, tar};
use std::io::Read;
use std::path::{Path, PathBuf};

const URL: &str = "https://www.cs.toronto.edu/~kriz";
const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// Most bytes of a file with class names.
const MOST_NAMES: u64 = 1 << 16;

const TEN: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ten,
    Hundred,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Ten => "cifar10",
            Self::Hundred => "cifar100",
        }
    }

    fn classes(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// The published archive and its MD5 (the CIFAR page).
    fn archive(self) -> (&'static str, &'static str) {
        match self {
            Self::Ten => ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
            Self::Hundred => ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
        }
    }

    /// Bytes before the pixels; the last of them is the label.
    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn train_files(self) -> &'static [&'static str] {
        match self {
            Self::Ten => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            Self::Hundred => &["train.bin"],
        }
    }

    fn test_file(self) -> &'static str {
        match self {
            Self::Ten => "test_batch.bin",
            Self::Hundred => "test.bin",
        }
    }

    fn names_file(self) -> &'static str {
        match self {
            Self::Ten => "batches.meta.txt",
            Self::Hundred => "fine_label_names.txt",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Ten => "cifar-10-batches-bin",
            Self::Hundred => "cifar-100-binary",
        }
    }

    /// Files with records: the training files, then the test file.
    fn record_files(self) -> impl Iterator<Item = &'static str> {
        self.train_files().iter().copied().chain([self.test_file()])
    }

    fn wants(self, file: &str) -> bool {
        self.record_files().any(|f| f == file) || file == self.names_file()
    }

    fn record(self) -> usize {
        self.label_bytes() + 3 * PLANE
    }

    /// Most bytes of a file: 10,000 records, or 50,000 in CIFAR-100's one training file.
    fn most_bytes(self, file: &str) -> u64 {
        let records = match file {
            "train.bin" => 50_000,
            f if f == self.names_file() => return MOST_NAMES,
            _ => 10_000,
        };
        records * self.record() as u64
    }
}

impl DataSource for Kind {
    fn about(&self) -> &'static str {
        match self {
            Self::Ten => "50,000 + 10,000 colour 32x32, 10 classes (170 MB)",
            Self::Hundred => "50,000 + 10,000 colour 32x32, 100 classes (169 MB)",
        }
    }

    fn origin(&self) -> Origin {
        let (file, md5) = self.archive();
        Origin::Published(vec![Remote {
            url: format!("{URL}/{file}"),
            file: format!("{}/{file}", self.name()),
            md5: md5.into(),
        }])
    }

    fn places(&self, cache: &Path) -> Vec<PathBuf> {
        let directory = cache.join(self.name());
        vec![directory.clone(), directory.join(self.archive().0)]
    }

    /// By file names.
    fn is_at(&self, path: &Path) -> bool {
        if path.is_dir() {
            return self.record_files().any(|file| {
                path.join(file).is_file() || path.join(self.folder()).join(file).is_file()
            });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hundred = name.contains("100");
        path.is_file()
            && name.contains("cifar")
            && (name.ends_with(".gz") || name.ends_with(".tgz") || name.ends_with(".tar"))
            && hundred == (*self == Self::Hundred)
    }

    fn hint(&self, path: &Path) -> Option<String> {
        hint(path)
    }

    fn load(
        &self,
        path: &Path,
        _wanted: &Wanted,
        _progress: &mut dyn FnMut(Progress),
    ) -> Result<Dataset, DataError> {
        load(*self, path)
    }
}

/// What to do where another version of the set lies.
fn hint(path: &Path) -> Option<String> {
    let python = ["data_batch_1", "cifar-10-batches-py/data_batch_1", "cifar-100-python/train"];
    python.iter().any(|file| path.join(file).is_file()).then(|| {
        "This is CIFAR's Python version; the binary version is read: `earlybird data fetch \
         cifar10` (or cifar100) fetches it."
            .into()
    })
}

/// Reads the set at `path`: a directory with the files, its parent, or the archive. Every file must
/// be there, once.
fn load(kind: Kind, path: &Path) -> Result<Dataset, DataError> {
    let mut parts = Parts { kind, splits: Vec::new(), names: None };
    if path.is_dir() {
        parts.add_directory(path)?
    } else {
        parts.add_archive(path)?
    };
    let has = |file: &str| parts.splits.iter().any(|(f, _)| *f == file);
    let missing: Vec<&str> = kind.record_files().filter(|file| !has(file)).collect();
    if !missing.is_empty() {
        return Err(DataError::Missing {
            what: format!("{} has no {}", shown(path), missing.join(", ")),
            help: format!(
                "All files of the binary version of {} are needed (not the Python or Matlab one).",
                kind.name()
            ),
        });
    }
    parts.splits.sort_by_key(|(file, _)| kind.record_files().position(|f| f == *file));
    let test = parts.splits.pop().map(|(_, split)| split).unwrap_or_default();
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (_, split) in parts.splits {
        pixels.extend_from_slice(split.pixels());
        labels.extend(split.labels);
    }
    let train = Split::new(pixels, labels);
    let named = parts.names.unwrap_or_default();
    let classes = match (named.len() == kind.classes(), kind) {
        (true, _) => named,
        (false, Kind::Ten) => TEN.map(String::from).to_vec(),
        (false, Kind::Hundred) => (0..100).map(|c| format!("class {c}")).collect(),
    };
    Ok(Dataset::new(kind.name(), [3, SIDE, SIDE], classes, train, test))
}

struct Parts {
    kind: Kind,
    /// By file name.
    splits: Vec<(&'static str, Split)>,
    names: Option<Vec<String>>,
}

impl Parts {
    fn add_directory(&mut self, path: &Path) -> Result<(), DataError> {
        let inner = path.join(self.kind.folder());
        let directory = if inner.is_dir() { inner } else { path.to_owned() };
        for file in self.kind.record_files().chain([self.kind.names_file()]) {
            let full = directory.join(file);
            if full.is_file() {
                self.add(file, shown(&full), None, open(&full)?)?;
            }
        }
        Ok(())
    }

    fn add_archive(&mut self, path: &Path) -> Result<(), DataError> {
        let kind = self.kind;
        tar::each_file(path, |file, size, contents| {
            if !kind.wants(file) {
                return Ok(());
            }
            self.add(file, format!("{file} in {}", shown(path)), Some(size), contents)
        })
    }

    /// Reads a file that is wanted; `size` is what its archive claims.
    fn add(
        &mut self,
        file: &str,
        shown: String,
        size: Option<u64>,
        reader: impl Read,
    ) -> Result<(), DataError> {
        let kind = self.kind;
        let mut stream = Stream::new(reader, shown);
        let most = kind.most_bytes(file);
        if let Some(size) = size.filter(|size| *size > most) {
            return Err(stream.corrupt(
                0,
                format!("the archive claims {size} bytes for it, which has {most} at most"),
            ));
        }
        let Some(name) = kind.record_files().find(|f| *f == file) else {
            let text = String::from_utf8_lossy(&stream.rest(most)?).into_owned();
            let printable = |name: &str| crate::data::printable_name(name.as_ref());
            self.names = Some(
                text.lines().map(str::trim).filter(|l| !l.is_empty()).map(printable).collect(),
            );
            return Ok(());
        };
        if self.splits.iter().any(|(f, _)| *f == name) {
            return Err(stream.corrupt(
                0,
                "this file is in the archive more than once: its images would count more than once",
            ));
        }
        let bytes = match size {
            Some(size) if size > 0 => stream.bytes(size)?,
            _ => stream.rest(most)?,
        };
        self.splits.push((name, records(kind, &bytes, &stream)?));
        Ok(())
    }
}

fn records(kind: Kind, bytes: &[u8], stream: &Stream<impl Read>) -> Result<Split, DataError> {
    let head = kind.label_bytes();
    let record = kind.record();
    if bytes.is_empty() {
        return Err(stream.corrupt(0, "the file is empty"));
    }
    if !bytes.len().is_multiple_of(record) {
        let whole = bytes.len() / record * record;
        return Err(stream.corrupt(
            whole as u64,
            format!(
                "{} bytes are no whole number of {record}-byte records; the last one is cut here",
                bytes.len()
            ),
        ));
    }
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (k, r) in bytes.chunks_exact(record).enumerate() {
        let label = r[head - 1];
        if usize::from(label) >= kind.classes() {
            let byte = (k * record + head - 1) as u64;
            return Err(stream.corrupt(
                byte,
                format!(
                    "label {label} where {} has classes 0 to {}",
                    kind.name(),
                    kind.classes() - 1
                ),
            ));
        }
        labels.push(u32::from(label));
        let planes = &r[head..];
        pixels
            .extend((0..PLANE).flat_map(|p| [planes[p], planes[PLANE + p], planes[2 * PLANE + p]]));
    }
    Ok(Split::new(pixels, labels))
}
