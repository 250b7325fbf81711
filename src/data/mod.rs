//! Where images come from. Every source ends in one [`Dataset`]; training knows no other.
//! Knows nothing of models, devices or terminals.

mod augment;
mod color;
mod config;
mod decode;
mod erasing;
mod fetch;
mod findings;
mod identity;
mod mixing;
mod names;
mod origin;
mod pack;
mod picture;
mod progress;
mod read;
mod resident;
mod sources;
mod store;
mod subset;
mod tar;
mod view;
mod wanted;

pub use augment::{Augment, Crop};
pub use color::ColorJitter;
pub use config::DataConfig;
pub use decode::{DecodeError, Decoder, Exif};
pub use erasing::{Erasing, Piece};
pub use fetch::{Download, PATIENCE, Remote, download};
pub use findings::{Finding, counted};
pub use identity::Identity;
pub use mixing::{Mixing, Mixture};
pub use names::printable_name;
pub use origin::Origin;
pub use pack::{IndexError, MemberError, PackError, Packed};
pub use picture::strip;
pub use progress::Progress;
pub use read::DataError;
pub use resident::{Draw, Viewer, Views};
pub use sources::{Pack, Packing, Source, pack};
pub use store::{Looked, ReadError, Store, Stored};
pub use view::{Picture, RandomResized, Scaler, Window, centre};
pub use wanted::{Normalize, Resident, TrainCrop, Untested, Wanted};

use names::shown;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The images of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Images {
    /// Bytes, shape `[n, h, w, c]`: channels last, as convolutions on LibTorch like them best.
    Bytes(Vec<u8>),
    /// They are read when they are needed.
    Stored(Stored),
}

impl Default for Images {
    fn default() -> Self {
        Self::Bytes(Vec::new())
    }
}

/// The images and labels of one split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Shape `[n]`.
    pub images: Images,
    /// Classes, shape `[n]`, values < C.
    pub labels: Vec<u32>,
}

impl Split {
    /// Images in memory, bytes of shape `[n, h, w, c]`, and their labels `[n]`.
    pub fn new(pixels: Vec<u8>, labels: Vec<u32>) -> Self {
        Self { images: Images::Bytes(pixels), labels }
    }

    /// Images `numbers` of a store, and their labels `[n]`.
    pub(in crate::data) fn stored(
        store: &Arc<Store>,
        numbers: Range<u32>,
        labels: Vec<u32>,
    ) -> Self {
        let stored = Stored { store: store.clone(), numbers: numbers.collect() };
        Self { images: Images::Stored(stored), labels }
    }

    /// Bytes of the images, shape `[n, h, w, c]`; none of images that are not in memory.
    pub fn pixels(&self) -> &[u8] {
        match &self.images {
            Images::Bytes(pixels) => pixels,
            Images::Stored(_) => &[],
        }
    }

    /// Count of samples, n.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Samples per class, shape `[C]`.
    pub fn class_counts(&self, classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        for &c in &self.labels {
            counts[c as usize] += 1;
        }
        counts
    }
}

/// A data set in memory. Holds: both splits have samples, at least two classes, every label < C,
/// pixel counts fit the shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// For people.
    pub name: String,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Class names, shape `[C]`.
    pub classes: Vec<String>,
    /// What is trained on.
    pub train: Split,
    /// What is evaluated on.
    pub test: Split,
    /// What was taken out of the training set to measure epochs on; empty where the test set is
    /// used for that.
    pub validation: Split,
    /// Which training labels were flipped on purpose, shape `[n]`; empty where none were.
    pub flipped: Vec<bool>,
    /// Mean and deviation that its images are normalised by, where these are not simply those of
    /// the training images in memory.
    pub normal: Option<(Vec<f32>, Vec<f32>)>,
    /// What people should know of it: images that count for nothing, say.
    pub findings: Vec<Finding>,
}

impl Dataset {
    /// Images of `shape` (channels, height, width) as a source has them: nothing held out, no label
    /// flipped.
    pub fn new(
        name: impl Into<String>,
        shape: [usize; 3],
        classes: Vec<String>,
        train: Split,
        test: Split,
    ) -> Self {
        let (validation, flipped, findings) = (Split::default(), Vec::new(), Vec::new());
        let (name, normal) = (name.into(), None);
        Self { name, shape, classes, train, test, validation, flipped, normal, findings }
    }

    /// Mean and standard deviation per channel that images are normalised by, in units of the byte
    /// range scaled to [0, 1]: those of the training images, unless others were settled when they
    /// were loaded. Both have shape `[c]`; a constant channel gets deviation 1.
    pub fn mean_std(&self) -> (Vec<f32>, Vec<f32>) {
        let own = || mean_std(self.train.pixels(), self.shape[0]);
        self.normal.clone().unwrap_or_else(own)
    }
}

/// Mean and standard deviation of bytes of `c` channels, as above.
fn mean_std(pixels: &[u8], c: usize) -> (Vec<f32>, Vec<f32>) {
    let n = (pixels.len() / c).max(1) as f64;
    let (mut sum, mut squares) = (vec![0_u64; c], vec![0_u64; c]);
    for pixel in pixels.chunks_exact(c) {
        for (k, v) in pixel.iter().enumerate() {
            sum[k] += u64::from(*v);
            squares[k] += u64::from(*v) * u64::from(*v);
        }
    }
    let mean: Vec<f64> = sum.iter().map(|s| *s as f64 / n).collect();
    let std = squares.iter().zip(&mean).map(|(s, m)| (*s as f64 / n - m * m).max(0.0).sqrt());
    let std = std.map(|s| if s > 0.0 { (s / 255.0) as f32 } else { 1.0 }).collect();
    (mean.iter().map(|m| (m / 255.0) as f32).collect(), std)
}

/// Loads what the config asks for: source, then long tail, limits, validation split and flipped
/// labels (of what is trained on), all by `seed`. Sources that are not on this machine are
/// downloaded into the cache; `progress` hears of it.
///
/// # Errors
/// [`DataError`] says which file and byte, or what to do.
pub fn load(
    config: &DataConfig,
    seed: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dataset, DataError> {
    resident::check(config)?;
    let path = (!config.path.is_empty()).then(|| Path::new(&config.path));
    let mut data = config.source.load(path, &config.wanted(), progress)?;
    whole(&mut data)?;
    let classes = data.classes.len();
    let sizes = subset::long_tail(&data.train, classes, config.imbalance, &config.class_counts)?;
    if let Some(sizes) = sizes {
        data.train = subset::take(&data.train, data.shape, &sizes, seed);
    }
    if config.train_limit > 0 {
        data.train = subset::take(
            &data.train,
            data.shape,
            &subset::quotas(&data.train, classes, config.train_limit),
            seed,
        );
    }
    if config.validation > 0.0 {
        hold_out(&mut data, config.validation, seed)?;
    }
    if config.label_noise > 0.0 {
        data.flipped = subset::flip_labels(&mut data.train, classes, config.label_noise, seed);
    }
    if config.test_limit > 0 {
        data.test = subset::take(
            &data.test,
            data.shape,
            &subset::quotas(&data.test, classes, config.test_limit),
            seed,
        );
    }
    resident::settle(&mut data, config, progress)?;
    checked(data, config)
}

/// Holds out a share of the training images: to measure epochs on, or as the test set where there
/// is none.
fn hold_out(data: &mut Dataset, share: f64, seed: u64) -> Result<(), DataError> {
    let (rest, held) = subset::hold_out(&data.train, data.shape, data.classes.len(), share, seed);
    if held.is_empty() && !rest.is_empty() {
        return Err(DataError::Missing {
            what: format!("{}: the validation split has no samples", data.name),
            help: "Raise data.validation or data.train_limit.".into(),
        });
    }
    data.train = rest;
    if data.test.is_empty() {
        data.findings.push(Finding::Note(format!(
            "there are no test images: epochs are measured on {} held out of the training images, \
             and there is no other test",
            counted(held.len() as u64, "image")
        )));
        data.test = held;
    } else {
        data.validation = held;
    }
    Ok(())
}

/// Reads whatever lies at `path` (IDX directory, CIFAR directory or archive, image folder) from end
/// to end.
///
/// # Errors
/// What is wrong with it, or that it is none of these.
pub fn check(
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Dataset, Source), DataError> {
    let is_own = |source: &Source| matches!(source.origin(), Origin::Own(_));
    let (own, published): (Vec<Source>, Vec<Source>) = Source::ALL.iter().partition(|s| is_own(s));
    let at = |sources: &[Source]| sources.iter().copied().find(|source| source.is_at(path));
    let hint = || published.iter().find_map(|source| source.hint(path));
    let source = match (at(&published), hint()) {
        (Some(source), _) => source,
        (None, Some(help)) => {
            return Err(DataError::Missing {
                what: format!("{} holds no data that is known", shown(path)),
                help,
            });
        }
        // Anything with directories may be an image folder, so it is asked last.
        (None, None) => at(&own).ok_or_else(|| unknown(path))?,
    };
    // All of it is read, so that all of it is known to be readable. What is meant for the disk need
    // not fit into memory.
    let resident = if source == Source::Packed { Resident::Stream } else { Resident::Device };
    let path_text = path.to_string_lossy().into_owned();
    let config = DataConfig { resident, path: path_text, ..DataConfig::default() };
    let mut data = source.load(Some(path), &config.wanted(), progress)?;
    whole(&mut data)?;
    read_through(&data, path, progress)?;
    resident::settle(&mut data, &config, progress)?;
    Ok((checked(data, &config)?, source))
}

/// An error where images that stay on the disk cannot be read.
fn read_through(
    data: &Dataset,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DataError> {
    let (from, of) = (shown(path), data.train.len() + data.test.len());
    let mut wrong = resident::read_through(&data.train, (&from, 0, of), progress);
    wrong.extend(resident::read_through(&data.test, (&from, data.train.len(), of), progress));
    if wrong.is_empty() {
        return Ok(());
    }
    let count = counted(wrong.len() as u64, "image");
    let lines = findings::bounded(wrong, |more| format!("and {more} more"));
    Err(DataError::Missing {
        what: format!("{from}: {count} of {of} cannot be read\n  {}", lines.join("\n  ")),
        help: "Pack the images again: earlybird data pack DIR --to FILE.tar".into(),
    })
}

fn unknown(path: &Path) -> DataError {
    let (what, help) = if path.exists() {
        let help = "Known are: IDX files (train-images-idx3-ubyte, plain or .gz), CIFAR's binary \
                    files or their .tar.gz, files that earlybird data pack made, and image \
                    folders (train/<class>/*.jpg, png, webp, ... with test/<class>/...).";
        ("holds no data that is known", help)
    } else {
        ("does not exist", "Check the path.")
    };
    DataError::Missing { what: format!("{} {what}", shown(path)), help: help.into() }
}

/// What must hold of a data set as its files are, before anything is taken out of it; classes
/// without samples are told.
fn whole(data: &mut Dataset) -> Result<(), DataError> {
    let wrong = |what: &str, help: &str| {
        Err(DataError::Missing { what: format!("{}: {what}", data.name), help: help.into() })
    };
    if data.classes.len() < 2 {
        return wrong("fewer than two classes", "Classification needs at least two.");
    }
    let lacking = |split: &Split| -> Vec<String> {
        let counts = split.class_counts(data.classes.len()).into_iter().zip(&data.classes);
        let names = counts.filter(|(n, _)| *n == 0).map(|(_, class)| class.clone()).collect();
        findings::bounded(names, |more| format!("{more} more"))
    };
    let (train, test) = (lacking(&data.train), lacking(&data.test));
    if !train.is_empty() {
        data.findings.push(Finding::Lost(format!("no training samples of: {}", train.join(", "))));
    }
    if !test.is_empty() && !data.test.is_empty() {
        data.findings.push(Finding::Note(format!(
            "no test samples, so that their recall is not known: {}",
            test.join(", ")
        )));
    }
    Ok(())
}

/// The promises of [`Dataset`], checked once for every source.
fn checked(data: Dataset, config: &DataConfig) -> Result<Dataset, DataError> {
    let empty = |what: &str, help: &str| {
        Err(DataError::Missing { what: format!("{}: {what}", data.name), help: help.into() })
    };
    if data.train.is_empty() {
        let cut =
            config.train_limit > 0 || !config.class_counts.is_empty() || config.validation > 0.0;
        return if cut {
            empty(
                "no training samples are left",
                "Raise data.train_limit or data.class_counts, or lower data.validation.",
            )
        } else {
            empty("no training samples", "The training files hold none.")
        };
    }
    if data.test.is_empty() {
        return empty("no test samples", "Accuracy is measured on them: the test files hold none.");
    }
    if data.shape[1] < 8 || data.shape[2] < 8 {
        return empty(
            &format!("images of {}x{} pixels are too small", data.shape[1], data.shape[2]),
            "The models need at least 8x8.",
        );
    }
    Ok(data)
}
