//! CIFAR-10 and CIFAR-100 in their *binary version*, from a directory or straight from the `.tar.gz`.
//! A record is one label byte (CIFAR-100: coarse, then fine) and 3072 bytes: 32x32 red, then green, then blue.

use super::read::{DataError, Stream, open};
use super::{Dataset, Split};
use std::io::Read;
use std::path::Path;

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// No single file of either set is larger than this.
const MOST_BYTES: u64 = 1 << 30;

const TEN: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

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

    /// Bytes before the pixels; the last of them is the label.
    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn train_files(self) -> &'static [&'static str] {
        match self {
            Self::Ten => &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
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

    fn wants(self, file: &str) -> bool {
        self.train_files().contains(&file) || file == self.test_file() || file == self.names_file()
    }
}

/// Which of the two lies at `path`, by file names.
pub(super) fn kind_here(path: &Path) -> Option<Kind> {
    [Kind::Ten, Kind::Hundred].into_iter().find(|kind| {
        if path.is_dir() {
            [path.join(kind.test_file()), path.join(kind.folder()).join(kind.test_file())].iter().any(|p| p.is_file())
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let hundred = name.contains("100");
            path.is_file()
                && name.contains("cifar")
                && (name.ends_with(".gz") || name.ends_with(".tgz") || name.ends_with(".tar"))
                && hundred == (*kind == Kind::Hundred)
        }
    })
}

/// Reads the set at `path`: a directory with the files, its parent, or the archive.
pub(super) fn load(kind: Kind, path: &Path) -> Result<Dataset, DataError> {
    let mut parts = if path.is_dir() { from_directory(kind, path)? } else { from_archive(kind, path)? };
    parts.train.sort_by_key(|(file, _)| kind.train_files().iter().position(|f| f == file));
    let mut train = Split::default();
    for (_, split) in parts.train {
        train.pixels.extend(split.pixels);
        train.labels.extend(split.labels);
    }
    let missing = |file: &str| DataError::Missing {
        what: format!("{} has no {file}", path.display()),
        help: format!("The binary version of {} is needed (not the Python or Matlab one).", kind.name()),
    };
    let test = parts.test.ok_or_else(|| missing(kind.test_file()))?;
    if train.is_empty() {
        return Err(missing(kind.train_files()[0]));
    }
    let named = parts.names.unwrap_or_default();
    let classes = match (named.len() == kind.classes(), kind) {
        (true, _) => named,
        (false, Kind::Ten) => TEN.map(String::from).to_vec(),
        (false, Kind::Hundred) => (0..100).map(|c| format!("class {c}")).collect(),
    };
    Ok(Dataset::new(kind.name(), [3, SIDE, SIDE], classes, train, test))
}

#[derive(Default)]
struct Parts {
    train: Vec<(String, Split)>,
    test: Option<Split>,
    names: Option<Vec<String>>,
}

impl Parts {
    fn add(&mut self, kind: Kind, file: &str, shown: &str, reader: impl Read) -> Result<(), DataError> {
        let mut stream = Stream::new(reader, shown);
        let bytes = stream.rest(MOST_BYTES)?;
        if file == kind.names_file() {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            self.names = Some(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect());
            return Ok(());
        }
        let split = records(kind, &bytes, &stream)?;
        if file == kind.test_file() {
            self.test = Some(split);
        } else {
            self.train.push((file.to_owned(), split));
        }
        Ok(())
    }
}

fn from_directory(kind: Kind, path: &Path) -> Result<Parts, DataError> {
    let inner = path.join(kind.folder());
    let directory = if inner.is_dir() { inner } else { path.to_owned() };
    let mut parts = Parts::default();
    let files = kind.train_files().iter().copied().chain([kind.test_file(), kind.names_file()]);
    for file in files.filter(|f| directory.join(f).is_file()) {
        let full = directory.join(file);
        parts.add(kind, file, &full.display().to_string(), open(&full)?)?;
    }
    Ok(parts)
}

/// Entries are read in memory; nothing of an archive is ever written, so no path in it can lead anywhere.
fn from_archive(kind: Kind, path: &Path) -> Result<Parts, DataError> {
    let broken = |e: std::io::Error| DataError::Corrupt {
        file: path.display().to_string(),
        byte: 0,
        what: format!("not a readable tar archive: {e}"),
    };
    let mut parts = Parts::default();
    let mut archive = tar::Archive::new(open(path)?);
    for entry in archive.entries().map_err(broken)?.take(10_000) {
        let entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.file_name().map(|n| n.to_string_lossy().into_owned());
        if let Some(file) = name.filter(|f| kind.wants(f)) {
            let shown = format!("{} in {}", file, path.display());
            let size = entry.header().size().map_err(broken)?;
            let at = Stream::new(std::io::empty(), shown.clone());
            if size > MOST_BYTES {
                return Err(at.corrupt(0, format!("the archive claims {size} bytes for it")));
            }
            parts.add(kind, &file, &shown, entry)?;
        }
    }
    Ok(parts)
}

fn records(kind: Kind, bytes: &[u8], stream: &Stream<impl Read>) -> Result<Split, DataError> {
    let head = kind.label_bytes();
    let record = head + 3 * PLANE;
    if bytes.is_empty() {
        return Err(stream.corrupt(0, "the file is empty"));
    }
    if !bytes.len().is_multiple_of(record) {
        let whole = bytes.len() / record * record;
        return Err(stream.corrupt(
            whole as u64,
            format!("{} bytes are no whole number of {record}-byte records; the last one is cut here", bytes.len()),
        ));
    }
    let mut split = Split::default();
    for (k, r) in bytes.chunks_exact(record).enumerate() {
        let label = r[head - 1];
        if usize::from(label) >= kind.classes() {
            let byte = (k * record + head - 1) as u64;
            return Err(
                stream.corrupt(byte, format!("label {label} where {} has classes 0 to {}", kind.name(), kind.classes() - 1))
            );
        }
        split.labels.push(u32::from(label));
        let planes = &r[head..];
        split.pixels.extend((0..PLANE).flat_map(|p| [planes[p], planes[PLANE + p], planes[2 * PLANE + p]]));
    }
    Ok(split)
}
