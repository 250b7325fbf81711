//! Where a session's batches come from: an epoch's in the order of its plan, a pass's in the order
//! of the samples. Knows nothing of models, losses or commands.

use super::batches::DeviceSplit;
use crate::data::Augment;
use crate::importance::EpochPlan;
use burn::tensor::{Int, Tensor};
use std::borrow::Cow;
use std::ops::Range;

/// Which batches an epoch has. A batch is a pure function of this and its number, so an epoch can
/// be gone on with, or back in, at any step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    /// All draws of the epoch.
    pub(super) plan: &'a EpochPlan,
    pub(super) batch_size: usize,
    /// Count of batches.
    pub(super) steps: usize,
    pub(super) augment: Option<Augment>,
    /// Seed of the crops.
    pub(super) seed: u64,
    /// Number of the epoch, counted from 1.
    pub(super) epoch: usize,
}

impl Order<'_> {
    /// The places in the plan of batch `step`, counted from 0. The last batch has all that is left,
    /// which may be fewer than `batch_size`, or one more.
    pub(super) fn places(&self, step: usize) -> Range<usize> {
        let from = step * self.batch_size;
        let to = if step + 1 == self.steps { self.plan.len() } else { from + self.batch_size };
        from..to
    }
}

/// One batch on the device.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// Numbers of its samples, shape `[b]`.
    pub(super) drawn: Cow<'a, [u32]>,
    /// Shape `[b, c, h, w]`.
    pub(super) images: Tensor<4>,
    /// Shape `[b]`.
    pub(super) labels: Tensor<1, Int>,
}

/// A split that gives batches.
#[derive(Debug)]
pub(super) enum Feed {
    /// All of it lies on the device.
    Resident(DeviceSplit),
}

impl Feed {
    /// Count of samples.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Resident(split) => split.len(),
        }
    }

    /// Channels, height, width.
    pub(super) fn shape(&self) -> [usize; 3] {
        match self {
            Self::Resident(split) => split.shape(),
        }
    }

    /// Batch `step` of an epoch, counted from 0.
    pub(super) fn batch<'a>(&self, order: &Order<'a>, step: usize) -> Batch<'a> {
        let places = order.places(step);
        let drawn = order.plan.at(places.clone());
        let crops = order.augment.map(|a| a.crops(order.seed, order.epoch as u64, places));
        let (images, labels) = match self {
            Self::Resident(split) => split.batch(&drawn, crops.as_deref()),
        };
        Batch { drawn, images, labels }
    }

    /// The samples with these numbers as they are: images `[b, c, h, w]` and labels `[b]`.
    pub(super) fn range(&self, samples: Range<usize>) -> (Tensor<4>, Tensor<1, Int>) {
        let drawn: Vec<u32> = (samples.start as u32..samples.end as u32).collect();
        match self {
            Self::Resident(split) => split.batch(&drawn, None),
        }
    }

    /// Bytes of some images on the host, shape `[m, h, w, c]`.
    pub(super) fn pixels(&self, drawn: &[u32]) -> Vec<u8> {
        match self {
            Self::Resident(split) => split.pixels(drawn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Split};
    use crate::model::device::DeviceName;

    /// `n` images of 8x8; every pixel of an image has its number as value, and so has its label.
    fn feed(n: usize) -> Feed {
        let split = Split {
            pixels: (0..n).flat_map(|i| [i as u8; 64]).collect(),
            labels: (0..n as u32).collect(),
        };
        let classes = (0..n).map(|i| i.to_string()).collect();
        let data = Dataset::new("test", [1, 8, 8], classes, split.clone(), split);
        let unit = (vec![0.0], vec![1.0 / 255.0]); // normalised value = byte value
        let device = DeviceName::LibtorchCpu.open().expect("device");
        Feed::Resident(DeviceSplit::new(&data, &data.train, &unit, &device))
    }

    fn order(plan: &EpochPlan, batch_size: usize, steps: usize) -> Order<'_> {
        Order { plan, batch_size, steps, augment: None, seed: 1, epoch: 1 }
    }

    fn numbers(images: Tensor<4>) -> Vec<u32> {
        let values: Vec<f32> = images.into_data().iter::<f32>().collect();
        values.chunks(64).map(|image| image[0].round() as u32).collect()
    }

    #[test]
    fn the_batches_of_an_epoch_are_its_plan_with_a_smaller_or_larger_last_one() {
        // 10 = 4 + 4 + 2; 9 = 4 + 5, since a batch of one cannot be trained on.
        for (n, sizes) in [(10, vec![4, 4, 2]), (9, vec![4, 5]), (3, vec![3])] {
            let (feed, plan) = (feed(n), EpochPlan::shuffle(n, 5, 1));
            let order = order(&plan, 4, sizes.len());
            let (mut seen, mut counts) = (Vec::new(), Vec::new());
            for step in 0..sizes.len() {
                let batch = feed.batch(&order, step);
                counts.push(batch.drawn.len());
                assert_eq!(numbers(batch.images), &*batch.drawn);
                let labels: Vec<u32> =
                    batch.labels.into_data().iter::<i64>().map(|l| l as u32).collect();
                assert_eq!(labels, &*batch.drawn);
                seen.extend_from_slice(&batch.drawn);
            }
            assert_eq!(counts, sizes);
            assert_eq!(seen, &*plan.at(0..n));
        }
    }

    #[test]
    fn a_batch_is_the_same_whichever_came_before_it() {
        let (feed, plan) = (feed(10), EpochPlan::uniform_with_replacement(10, 5, 1));
        let augment = Some(Augment { padding: 2, flip: true });
        let order = Order { augment, ..order(&plan, 4, 3) };
        let values = |step: usize| -> Vec<f32> {
            feed.batch(&order, step).images.into_data().iter::<f32>().collect()
        };
        let forwards: Vec<_> = (0..3).map(values).collect();
        let backwards: Vec<_> = (0..3).rev().map(values).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        let of_another_epoch = Order { epoch: 2, ..order };
        let other = feed.batch(&of_another_epoch, 0).images;
        assert_ne!(other.into_data().iter::<f32>().collect::<Vec<_>>(), forwards[0]);
    }

    #[test]
    fn a_range_has_the_samples_in_their_order_as_they_are() {
        let (images, labels) = feed(6).range(2..5);
        assert_eq!(numbers(images), [2, 3, 4]);
        assert_eq!(labels.into_data().iter::<i64>().collect::<Vec<_>>(), [2, 3, 4]);
    }
}
