//! IDX files (LeCun's MNIST format), plain or gzip: what Fashion-MNIST comes in.
//! Layout: two zero bytes, a type byte (8 = u8), the count of dimensions, each dimension as a big-endian u32, the values.

use super::read::{DataError, Stream, open};
use super::{Dataset, Split};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Class names of Fashion-MNIST, in the order of its labels.
pub(super) const FASHION: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// No data set of this format is larger: 2^34 bytes of pixels.
const MOST_BYTES: u64 = 1 << 34;

/// Whether the four files are in this directory.
pub(super) fn is_here(directory: &Path) -> bool {
    STEMS.iter().all(|stem| find(directory, stem).is_some())
}

const STEMS: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

fn find(directory: &Path, stem: &str) -> Option<PathBuf> {
    let dotted = stem.replacen("-idx", ".idx", 1); // as some mirrors name them
    [stem.to_owned(), format!("{stem}.gz"), dotted.clone(), format!("{dotted}.gz")]
        .into_iter()
        .map(|name| directory.join(name))
        .find(|path| path.is_file())
}

/// Reads the four files of a directory.
pub(super) fn load(directory: &Path) -> Result<Dataset, DataError> {
    let file = |stem: &str| {
        find(directory, stem).ok_or_else(|| DataError::Missing {
            what: format!("{} has no {stem} (nor {stem}.gz)", directory.display()),
            help: "Set data.path to the directory with the four IDX files.".into(),
        })
    };
    let split = |images: &str, labels: &str| -> Result<_, DataError> {
        let (images, labels) = (file(images)?, file(labels)?);
        read_split((open(&images)?, &images.display().to_string()), (open(&labels)?, &labels.display().to_string()))
    };
    let (train, side) = split(STEMS[0], STEMS[1])?;
    let (test, test_side) = split(STEMS[2], STEMS[3])?;
    assemble("fashion-mnist", (train, side), (test, test_side))
}

/// A data set of two splits that must agree in size.
pub(super) fn assemble(name: &str, train: (Split, [usize; 2]), test: (Split, [usize; 2])) -> Result<Dataset, DataError> {
    let ((train, [h, w]), (test, test_side)) = (train, test);
    if test_side != [h, w] {
        return Err(DataError::Missing {
            what: format!("{name}: training images have {h}x{w} pixels, test images {}x{}", test_side[0], test_side[1]),
            help: "Both splits must come from the same data set.".into(),
        });
    }
    let top = train.labels.iter().chain(&test.labels).max().map_or(0, |m| *m as usize + 1);
    let classes =
        if top <= FASHION.len() { FASHION.map(String::from).to_vec() } else { (0..top).map(|c| format!("class {c}")).collect() };
    Ok(Dataset::new(name, [1, h, w], classes, train, test))
}

/// Images and labels of one split, and height and width.
pub(super) fn read_split(images: (impl Read, &str), labels: (impl Read, &str)) -> Result<(Split, [usize; 2]), DataError> {
    let mut stream = Stream::new(images.0, images.1);
    let [n, h, w] = header::<3>(&mut stream)?;
    let pixels = u64::from(n).checked_mul(u64::from(h)).and_then(|v| v.checked_mul(u64::from(w)));
    let pixels = match pixels {
        Some(bytes) if (1..=MOST_BYTES).contains(&bytes) => stream.bytes(bytes)?,
        _ => return Err(stream.corrupt(4, format!("the header claims {n} images of {h}x{w} pixels"))),
    };
    stream.end()?;

    let mut stream = Stream::new(labels.0, labels.1);
    let [count] = header::<1>(&mut stream)?;
    if count != n {
        return Err(stream.corrupt(4, format!("{count} labels for {n} images ({})", images.1)));
    }
    let labels = stream.bytes(u64::from(count))?;
    stream.end()?;
    let labels: Vec<u32> = labels.into_iter().map(u32::from).collect();
    Ok((Split { pixels, labels }, [h as usize, w as usize]))
}

fn header<const D: usize>(stream: &mut Stream<impl Read>) -> Result<[u32; D], DataError> {
    let magic = stream.array::<4>()?;
    if magic != [0, 0, 8, D as u8] {
        let kind = if D == 3 { "images" } else { "labels" };
        return Err(stream.corrupt(0, format!("magic number {magic:02x?} where IDX {kind} have [00, 00, 08, 0{D}]")));
    }
    let mut dims = [0; D];
    for d in &mut dims {
        *d = u32::from_be_bytes(stream.array::<4>()?);
    }
    Ok(dims)
}
