//! What is told of single samples: a row for each, and pictures of those that a person wants to
//! see. Knows nothing of files or screens.

use super::Samples;
use crate::importance::{Sample, Shaping, pictured, samples};
use crate::train::feed::Feed;

/// Bytes of pictures that are kept at most, and pictures of each kind in each class.
const PICTURES: usize = 16 << 20;
const OF_A_KIND: usize = 8;
/// Kinds of pictures.
const KINDS: usize = crate::importance::PICKS.len();

/// Every training sample with its figures, and some of the images.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleSheet {
    /// A row for each sample.
    pub samples: Vec<Sample>,
    /// The images of some.
    pub pictures: Pictures,
}

/// Images of some samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pictures {
    /// Numbers of the samples, ascending; shape `[m]`.
    pub index: Vec<u32>,
    /// Bytes, shape `[m, h, w, c]`.
    pub pixels: Vec<u8>,
    /// Channels, height, width.
    pub shape: [usize; 3],
}

impl Pictures {
    /// The image of sample `index`, shape `[h, w, c]`; `None` where it is not among these.
    pub fn of(&self, index: u32) -> Option<&[u8]> {
        let at = self.index.binary_search(&index).ok()?;
        let image = self.shape.iter().product();
        self.pixels.get(at.checked_mul(image)?..)?.get(..image)
    }
}

impl Samples {
    /// What became of every sample, when there is news of that: with the weights, and at the end of
    /// each epoch after. `feed` gives the pictures, `shaping` the probabilities.
    pub(in super::super) fn take_sheet(
        &mut self,
        shaping: &Shaping,
        feed: &Feed,
    ) -> Option<SampleSheet> {
        if !std::mem::take(&mut self.sheet_is_due) {
            return None;
        }
        let importance = self.importance.as_ref()?;
        let q = importance.probabilities(&self.labels, self.classes, shaping);
        let samples = samples(
            &self.labels,
            &importance.p,
            importance.weights.values(),
            q.values(),
            &self.ledger,
            &self.flipped,
        );
        let image: usize = feed.shape().iter().product();
        let index = pictured(
            &samples,
            self.classes,
            (PICTURES / (KINDS * self.classes * image)).clamp(1, OF_A_KIND),
        );
        let index = index[..index.len().min(PICTURES / image)].to_vec();
        let pictures = Pictures { pixels: feed.pixels(&index), index, shape: feed.shape() };
        Some(SampleSheet { samples, pictures })
    }
}
