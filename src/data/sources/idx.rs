//! IDX files (LeCun's MNIST format), plain or gzip: what Fashion-MNIST comes in. Layout: two zero
//! bytes, a type byte (8 = u8), the count of dimensions, each dimension as a big-endian u32, the
//! values.

use crate::data::fetch::Remote;
use crate::data::findings::Finding;
use crate::data::names::{printable_name, shown};
use crate::data::origin::{DataSource, Origin};
use crate::data::read::{DataError, Stream, open};
use crate::data::{Dataset, Progress, Split, Wanted};
use md5::{Digest, Md5};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Class names of Fashion-MNIST, in the order of its labels.
pub(super) const FASHION: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// MD5 of Fashion-MNIST's training labels, unpacked: packed they differ from mirror to mirror.
const FASHION_LABELS: &str = "9018921c3c673c538a1fc5bad174d6f9";

/// Most bytes of pixels in a file: four times EMNIST, the largest set of this format that is
/// published as such.
const MOST_BYTES: u64 = 1 << 31;

/// Bytes before the labels.
const LABELS_AT: u64 = 8;

const URL: &str = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";
/// The published files and their MD5 (Fashion-MNIST's README).
const FILES: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
    ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
    ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
];

/// Fashion-MNIST, or other data in files of the same names.
pub(super) struct FashionMnist;

impl DataSource for FashionMnist {
    fn about(&self) -> &'static str {
        "60,000 + 10,000 grey 28x28, 10 classes (30 MB)"
    }

    fn origin(&self) -> Origin {
        let remote = |(file, md5): (&str, &str)| Remote {
            url: format!("{URL}/{file}"),
            file: format!("fashion-mnist/{file}"),
            md5: md5.into(),
        };
        Origin::Published(FILES.map(remote).to_vec())
    }

    fn places(&self, cache: &Path) -> Vec<PathBuf> {
        vec![cache.join("fashion-mnist"), "/usr/share/datasets/fashion-mnist".into()]
    }

    fn is_at(&self, path: &Path) -> bool {
        is_here(path)
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
        load(path)
    }
}

/// Whether the four files are in this directory.
fn is_here(directory: &Path) -> bool {
    STEMS.iter().all(|stem| find(directory, stem).is_some())
}

const STEMS: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn find(directory: &Path, stem: &str) -> Option<PathBuf> {
    let dotted = stem.replacen("-idx", ".idx", 1); // as some mirrors name them
    [stem.to_owned(), format!("{stem}.gz"), dotted.clone(), format!("{dotted}.gz")]
        .into_iter()
        .map(|name| directory.join(name))
        .find(|path| path.is_file())
}

/// What to do where the files are below `directory`, or in it under other names.
fn hint(directory: &Path) -> Option<String> {
    let names = |at: &Path| {
        std::fs::read_dir(at).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>()
    };
    let mut inner = names(directory);
    inner.sort();
    let below =
        inner.iter().flat_map(|path| [path.clone(), path.join("raw")]).find(|path| is_here(path));
    if let Some(below) = below {
        return Some(format!("The four IDX files are in {}: set data.path to it.", shown(&below)));
    }
    let other = |name: &str| {
        name.contains("-images-idx3-ubyte") && !STEMS.iter().any(|stem| name.starts_with(stem))
    };
    let images =
        inner.iter().find(|path| path.file_name().is_some_and(|n| other(&n.to_string_lossy())))?;
    let named = printable_name(images.file_name()?);
    Some(format!(
        "{named} has another name: rename or link the four IDX files to {}.",
        STEMS.join(", ")
    ))
}

/// Reads the four files of a directory.
fn load(directory: &Path) -> Result<Dataset, DataError> {
    let file = |stem: &str| {
        find(directory, stem).ok_or_else(|| DataError::Missing {
            what: format!("{} has no {stem} (nor {stem}.gz)", shown(directory)),
            help: hint(directory).unwrap_or_else(|| {
                "Set data.path to the directory with the four IDX files.".into()
            }),
        })
    };
    let part = |images: &str, labels: &str| -> Result<_, DataError> {
        let (images, labels) = (file(images)?, file(labels)?);
        read_part((open(&images)?, shown(&images)), (open(&labels)?, shown(&labels)))
    };
    let (train, test) = (part(STEMS[0], STEMS[1])?, part(STEMS[2], STEMS[3])?);
    if train.labels_md5() == FASHION_LABELS {
        return assemble("fashion-mnist", train, test, Some(FASHION));
    }
    let name = directory.file_name().map_or_else(|| shown(directory), printable_name);
    assemble(&name, train, test, None)
}

/// Images and labels of one split, as they are in the files.
pub(super) struct Part {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    /// Height and width.
    side: [usize; 2],
    /// The labels' file.
    from: String,
}

impl Part {
    fn labels_md5(&self) -> String {
        let mut hasher = Md5::new();
        hasher.update([0, 0, 8, 1]);
        hasher.update((self.labels.len() as u32).to_be_bytes());
        hasher.update(&self.labels);
        hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    fn wrong(&self, at: usize, what: String) -> DataError {
        DataError::Corrupt { file: self.from.clone(), byte: LABELS_AT + at as u64, what }
    }

    /// With labels counted from 0.
    fn split(self, first: u8) -> Split {
        Split::new(self.pixels, self.labels.into_iter().map(|l| u32::from(l - first)).collect())
    }
}

/// A data set of two splits that must agree in size; without `names` the classes are called by
/// their labels.
pub(super) fn assemble(
    name: &str,
    train: Part,
    test: Part,
    names: Option<[&str; 10]>,
) -> Result<Dataset, DataError> {
    let [h, w] = train.side;
    if test.side != [h, w] {
        return Err(DataError::Missing {
            what: format!(
                "{name}: training images have {h}x{w} pixels, test images {}x{}",
                test.side[0], test.side[1]
            ),
            help: "Both splits must come from the same data set.".into(),
        });
    }
    let (first, last) = labels(&train, &test)?;
    let classes = match names {
        Some(names) if (first, last) == (0, 9) => names.map(String::from).to_vec(),
        _ => (first..=last).map(|label| format!("class {label}")).collect(),
    };
    let mut data = Dataset::new(name, [1, h, w], classes, train.split(first), test.split(first));
    if first > 0 {
        data.findings.push(Finding::Note(format!(
            "labels go from {first} to {last}: the classes are named after them"
        )));
    }
    Ok(data)
}

/// First and last label. They begin at 0, or (as EMNIST's letters) at 1, and each has a training
/// image: what leaves a gap is no label.
fn labels(train: &Part, test: &Part) -> Result<(u8, u8), DataError> {
    let mut place = [None; 256];
    for (at, label) in train.labels.iter().enumerate().rev() {
        place[usize::from(*label)] = Some(at);
    }
    let present: Vec<(u8, usize)> =
        (0..=u8::MAX).zip(place).filter_map(|(label, at)| Some((label, at?))).collect();
    let Some((&(first, at), &(last, _))) = present.first().zip(present.last()) else {
        return Ok((0, 0));
    };
    if first > 1 {
        return Err(train.wrong(
            at,
            format!("label {first}, but no training image has label {}", range(0, first - 1)),
        ));
    }
    for (&(before, _), &(label, at)) in present.iter().zip(&present[1..]) {
        if label > before + 1 {
            let what = format!(
                "label {label}, but no training image has label {}",
                range(before + 1, label - 1)
            );
            return Err(train.wrong(at, what));
        }
    }
    match test.labels.iter().position(|l| !(first..=last).contains(l)) {
        Some(at) => {
            Err(test.wrong(at, format!("label {}, which no training image has", test.labels[at])))
        }
        None => Ok((first, last)),
    }
}

fn range(from: u8, to: u8) -> String {
    if from == to { from.to_string() } else { format!("{from} to {to}") }
}

/// Images and labels of one split, with the names of their files.
pub(super) fn read_part(
    images: (impl Read, String),
    labels: (impl Read, String),
) -> Result<Part, DataError> {
    let mut stream = Stream::new(images.0, images.1.clone());
    let [n, h, w] = header::<3>(&mut stream)?;
    let bytes = u64::from(n).checked_mul(u64::from(h)).and_then(|v| v.checked_mul(u64::from(w)));
    let pixels = match bytes {
        // A sample takes as many bytes as its pixels, and five for its label.
        Some(bytes) if h >= 8 && w >= 8 && (1..=MOST_BYTES).contains(&bytes) => {
            stream.bytes(bytes)?
        }
        _ => {
            let what = format!(
                "the header claims {n} images of {h}x{w} pixels, where at least 8x8 and at most 2 \
                 GiB are read"
            );
            return Err(stream.corrupt(4, what));
        }
    };
    stream.end()?;

    let mut stream = Stream::new(labels.0, labels.1.clone());
    let [count] = header::<1>(&mut stream)?;
    if count != n {
        return Err(stream.corrupt(4, format!("{count} labels for {n} images ({})", images.1)));
    }
    let values = stream.bytes(u64::from(count))?;
    stream.end()?;
    Ok(Part { pixels, labels: values, side: [h as usize, w as usize], from: labels.1 })
}

fn header<const D: usize>(stream: &mut Stream<impl Read>) -> Result<[u32; D], DataError> {
    let magic = stream.array::<4>()?;
    if magic.starts_with(&[0x1f, 0x8b]) {
        return Err(stream.corrupt(0, "the file is gzipped twice: unpack it once"));
    }
    if magic != [0, 0, 8, D as u8] {
        let kind = if D == 3 { "images" } else { "labels" };
        return Err(stream.corrupt(
            0,
            format!("magic number {magic:02x?} where IDX {kind} have [00, 00, 08, 0{D}]"),
        ));
    }
    let mut dims = [0; D];
    for d in &mut dims {
        *d = u32::from_be_bytes(stream.array::<4>()?);
    }
    Ok(dims)
}
