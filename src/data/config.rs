//! Table `data` of a config.

use super::{Exif, Normalize, Resident, Source, TrainCrop, Untested, Wanted};
use serde::{Deserialize, Serialize};

/// Table `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Kind of source.
    pub source: Source,
    /// Directory or archive; empty: where the source usually is (cache, system), downloaded if it
    /// is nowhere.
    pub path: String,
    /// Keep at most so many training samples, chosen by seed with the classes' shares kept; 0 =
    /// all.
    pub train_limit: usize,
    /// The same for test samples.
    pub test_limit: usize,
    /// Long tail: class c keeps `n_max * r^(-c/(C-1))` samples; 1 = as it is.
    pub imbalance: f64,
    /// Training samples per class, instead of `imbalance`; empty = as it is.
    pub class_counts: Vec<usize>,
    /// Side in pixels to which an image folder's images are scaled (short side, then centre crop).
    pub image_size: usize,
    /// Turn images as the orientation in their files says, instead of ignoring it.
    pub exif_orientation: bool,
    /// Where images are while they are trained on.
    pub resident: Resident,
    /// Threads that read images which are streamed; 0 = by the machine.
    pub workers: usize,
    /// What part of an image a draw shows in training.
    pub train_crop: TrainCrop,
    /// Least share of an image's area that a random resized crop shows, in (0, 1].
    pub crop_scale: f64,
    /// Largest width over height of one, at least 1; the least is its inverse.
    pub crop_ratio: f64,
    /// Short side in pixels to which streamed images are scaled in evaluation before their middle
    /// is cut out; 0 = `image_size`.
    pub eval_resize: usize,
    /// What bytes are normalised by.
    pub normalize: Normalize,
    /// Random crop after padding by so many pixels on each side; 0 = off.
    pub crop_padding: usize,
    /// Random horizontal flip with probability 1/2.
    pub flip: bool,
    /// s: brightness, contrast and saturation are each multiplied by a factor in `1 - s..=1 + s`;
    /// 0 = off.
    pub color_jitter: f64,
    /// Probability that a piece of an image is erased (Zhong et al. 2020); 0 = off.
    pub random_erasing: f64,
    /// Share of the training labels that is flipped to another class, chosen by seed: for
    /// experiments.
    pub label_noise: f64,
    /// Share of each class's training samples that is held out: epochs are measured on them, and
    /// the test set is read once, at the end; 0 = epochs are measured on the test set. Where an
    /// image folder has no test images, they are the test set.
    pub validation: f64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: Source::Embedded,
            path: String::new(),
            train_limit: 0,
            test_limit: 0,
            imbalance: 1.0,
            class_counts: Vec::new(),
            image_size: 64,
            exif_orientation: false,
            resident: Resident::Auto,
            workers: 0,
            train_crop: TrainCrop::Shift,
            crop_scale: 0.08,
            crop_ratio: 4.0 / 3.0,
            eval_resize: 0,
            normalize: Normalize::Data,
            crop_padding: 0,
            flip: false,
            color_jitter: 0.0,
            random_erasing: 0.0,
            label_noise: 0.0,
            validation: 0.0,
        }
    }
}

impl DataConfig {
    /// What is wanted of a source's images.
    pub(super) fn wanted(&self) -> Wanted {
        let is_cropped = self.train_crop == TrainCrop::RandomResized;
        let exif = if self.exif_orientation { Exif::Applied } else { Exif::Ignored };
        let untested = if self.validation > 0.0 { Untested::HeldOut } else { Untested::Refused };
        let (image_size, resident) = (self.image_size, self.resident);
        Wanted { image_size, resident, is_cropped, exif, untested }
    }
}
