//! Where images come from. Every source ends in one [`Dataset`]; training knows no other.
//! Knows nothing of models, devices or terminals.

mod augment;
mod cifar;
mod embedded;
mod fetch;
mod folder;
mod identity;
mod idx;
mod picture;
mod progress;
mod read;
mod subset;

pub use augment::{Augment, Crop};
pub use fetch::{Download, PATIENCE, Remote, cache_dir, download, remotes};
pub use fetch::{Download, Progress, Remote, cache_dir, download, remotes};
pub use identity::Identity;
pub use picture::strip;
pub use progress::Progress;
pub use read::DataError;

use crate::config::{DataConfig, Source};
use std::path::{Path, PathBuf};

/// The images and labels of one split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Bytes, shape `[n, h, w, c]`: channels last, as convolutions on LibTorch like them best.
    pub pixels: Vec<u8>,
    /// Classes, shape `[n]`, values < C.
    pub labels: Vec<u32>,
}

impl Split {
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

/// A data set in memory. Holds: both splits have samples, at least two classes, every label < C, pixel counts fit the shape.
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
    /// What was taken out of the training set to measure epochs on; empty where the test set is used for that.
    pub validation: Split,
    /// Which training labels were flipped on purpose, shape `[n]`; empty where none were.
    pub flipped: Vec<bool>,
}

impl Dataset {
    /// Images of `shape` (channels, height, width) as a source has them: nothing held out, no label flipped.
    pub fn new(name: impl Into<String>, shape: [usize; 3], classes: Vec<String>, train: Split, test: Split) -> Self {
        Self { name: name.into(), shape, classes, train, test, validation: Split::default(), flipped: Vec::new() }
    }

    /// Mean and standard deviation per channel of the training images, in units of the byte range scaled to [0, 1].
    /// Both have shape `[c]`; a constant channel gets deviation 1.
    pub fn mean_std(&self) -> (Vec<f32>, Vec<f32>) {
        let c = self.shape[0];
        let n = (self.train.pixels.len() / c).max(1) as f64;
        let (mut sum, mut squares) = (vec![0_u64; c], vec![0_u64; c]);
        for pixel in self.train.pixels.chunks_exact(c) {
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
}

/// Loads what the config asks for: source, then long tail, limits, validation split and flipped labels (of what is trained on), all by
/// `seed`.
/// Sources that are not on this machine are downloaded into the cache; `progress` hears of it.
///
/// # Errors
/// [`DataError`] says which file and byte, or what to do.
pub fn load(config: &DataConfig, seed: u64, progress: &mut dyn FnMut(Progress)) -> Result<Dataset, DataError> {
    let path = (!config.path.is_empty()).then(|| PathBuf::from(&config.path));
    let mut data = match config.source {
        Source::Embedded => embedded::load()?,
        Source::FashionMnist => idx::load(&located(Source::FashionMnist, path, progress)?)?,
        Source::Cifar10 => cifar::load(cifar::Kind::Ten, &located(Source::Cifar10, path, progress)?)?,
        Source::Cifar100 => cifar::load(cifar::Kind::Hundred, &located(Source::Cifar100, path, progress)?)?,
        Source::Folder => folder::load(&path.unwrap_or_default(), config.image_size)?,
    };
    let classes = data.classes.len();
    let sizes = subset::long_tail(&data.train, classes, config.imbalance, &config.class_counts)?;
    if let Some(sizes) = sizes {
        data.train = subset::take(&data.train, data.shape, &sizes, seed);
    }
    if config.train_limit > 0 {
        data.train = subset::take(&data.train, data.shape, &subset::quotas(&data.train, classes, config.train_limit), seed);
    }
    if config.validation > 0.0 {
        (data.train, data.validation) = subset::hold_out(&data.train, data.shape, classes, config.validation, seed);
    }
    if config.label_noise > 0.0 {
        data.flipped = subset::flip_labels(&mut data.train, classes, config.label_noise, seed);
    }
    if config.test_limit > 0 {
        data.test = subset::take(&data.test, data.shape, &subset::quotas(&data.test, classes, config.test_limit), seed);
    }
    checked(data, config.validation)
}

/// Reads whatever lies at `path` (IDX directory, CIFAR directory or archive, image folder) from end to end.
///
/// # Errors
/// What is wrong with it, or that it is none of these.
pub fn check(path: &Path) -> Result<Dataset, DataError> {
    if !path.exists() {
        return Err(DataError::Missing { what: format!("{} does not exist", path.display()), help: "Check the path.".into() });
    }
    let data = if idx::is_here(path) {
        idx::load(path)
    } else if let Some(kind) = cifar::kind_here(path) {
        cifar::load(kind, path)
    } else if path.join("train").is_dir() {
        folder::load(path, DataConfig::default().image_size)
    } else {
        Err(DataError::Missing {
            what: format!("{} holds no data that is known", path.display()),
            help: "Known are: IDX files (train-images-idx3-ubyte, plain or .gz), CIFAR's binary files or their .tar.gz, \
                   and image folders (train/<class>/*.png|jpg with test/<class>/...)."
                .into(),
        })
    };
    checked(data?, 0.0)
}

/// Where a source's files are on this machine, if they are.
pub fn locate(source: Source) -> Option<PathBuf> {
    let cache = cache_dir();
    let candidates: Vec<PathBuf> = match source {
        Source::Embedded | Source::Folder => Vec::new(),
        Source::FashionMnist => vec![cache.join("fashion-mnist"), PathBuf::from("/usr/share/datasets/fashion-mnist")],
        Source::Cifar10 => vec![cache.join("cifar10"), cache.join("cifar10/cifar-10-binary.tar.gz")],
        Source::Cifar100 => vec![cache.join("cifar100"), cache.join("cifar100/cifar-100-binary.tar.gz")],
    };
    candidates.into_iter().find(|path| match source {
        Source::FashionMnist => idx::is_here(path),
        Source::Cifar10 => cifar::kind_here(path) == Some(cifar::Kind::Ten),
        Source::Cifar100 => cifar::kind_here(path) == Some(cifar::Kind::Hundred),
        Source::Embedded | Source::Folder => false,
    })
}

fn located(source: Source, path: Option<PathBuf>, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, DataError> {
    if let Some(path) = path.or_else(|| locate(source)) {
        return Ok(path);
    }
    for remote in remotes(source) {
        download(&remote, &cache_dir(), PATIENCE, progress)?;
    }
    locate(source).ok_or_else(|| DataError::Missing {
        what: format!("the downloaded files are not where they belong in {}", cache_dir().display()),
        help: "Remove that directory and try again, or set data.path.".into(),
    })
}

/// The promises of [`Dataset`], checked once for every source; `validation` is the share that was to be held out.
fn checked(data: Dataset, validation: f64) -> Result<Dataset, DataError> {
    let empty = |what: &str, help: &str| Err(DataError::Missing { what: format!("{}: {what}", data.name), help: help.into() });
    if data.classes.len() < 2 {
        return empty("fewer than two classes", "Classification needs at least two.");
    }
    if data.train.is_empty() {
        return empty("no training samples are left", "Raise data.train_limit or data.class_counts.");
    }
    if validation > 0.0 && data.validation.is_empty() {
        return empty("the validation split has no samples", "Raise data.validation or data.train_limit.");
    }
    if data.test.is_empty() {
        return empty("no test samples", "Accuracy is measured on them: raise data.test_limit, or add a test directory.");
    }
    if data.shape[1] < 8 || data.shape[2] < 8 {
        return empty(
            &format!("images of {}x{} pixels are too small", data.shape[1], data.shape[2]),
            "The models need at least 8x8.",
        );
    }
    Ok(data)
}
