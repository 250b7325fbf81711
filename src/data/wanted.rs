//! What is wanted of a source's images: their size, and where they are to be. Knows no source.

use super::decode::Exif;
use super::names::shown;
use super::read::DataError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where images are while they are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resident {
    /// On the device, unless that would take more than half of the memory that is free, or each
    /// draw shows another part of the file.
    Auto,
    /// On the device, all of them, at one size.
    Device,
    /// Where they lie: each is read and decoded whenever it is drawn.
    Stream,
}

/// What part of an image a draw shows in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainCrop {
    /// The square in its middle, moved by up to `data.crop_padding` pixels.
    Shift,
    /// A part of random size, shape and place, as ImageNet's recipes have it.
    RandomResized,
}

/// What bytes are normalised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// Mean and standard deviation of the training images.
    Data,
    /// Those of ImageNet, as torchvision has them: for weights that were trained so.
    Imagenet,
}

/// What is wanted of a source's images.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Side of the squares that images of many sizes are scaled to, in pixels.
    pub image_size: usize,
    /// Where they are to be.
    pub resident: Resident,
    /// Whether each draw shows another part of an image.
    pub is_cropped: bool,
    /// What is made of the orientation that a file notes.
    pub exif: Exif,
    /// What becomes of an image folder without test images.
    pub untested: Untested,
}

/// What becomes of an image folder without test images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untested {
    /// It is refused: there is nothing that accuracy could be measured on.
    Refused,
    /// It is taken: a share of the training images is held out.
    HeldOut,
}

impl Wanted {
    /// Whether images that take so many bytes in memory are streamed, where they can be.
    pub(super) fn is_streamed(&self, needed: u64) -> bool {
        match self.resident {
            Resident::Stream => true,
            Resident::Device => false,
            Resident::Auto => {
                self.is_cropped || available().is_some_and(|available| needed > available / 2)
            }
        }
    }
}

/// Refuses images at `path` that would take more bytes than there are, before they are read.
pub(super) fn check_room(needed: u64, path: &str) -> Result<(), DataError> {
    match available() {
        Some(available) if needed > available => Err(no_room(needed, available, path)),
        _ => Ok(()),
    }
}

fn no_room(needed: u64, available: u64, path: &str) -> DataError {
    let gb = |bytes: u64| bytes as f64 / 1e9;
    DataError::Missing {
        what: format!(
            "the images of {} need {:.1} GB of memory, {:.1} GB are free",
            shown(Path::new(path)),
            gb(needed),
            gb(available)
        ),
        help: "data.resident = \"stream\" reads them while it trains; or lower data.image_size."
            .into(),
    }
}

/// Bytes of memory that this process may still take; `None` where the system does not tell.
fn available() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = system.available_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    (free > 0).then(|| free.min(limit))
}
