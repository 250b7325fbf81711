//! Where a session's batches come from: an epoch's in the order of its plan, a pass's in the order
//! of the samples. Knows nothing of models, losses or commands.

use super::batches::{DeviceSplit, Draws};
use crate::data::Augment;
use crate::importance::EpochPlan;
use burn::tensor::{Int, Tensor};
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

/// Draws that are sent to a device at once: all of most epochs, 32 MiB of it at most.
const DRAWS_SENT: usize = 1 << 20;

/// Draws of an epoch that the device has.
#[derive(Debug)]
pub(super) struct Sent {
    /// Places in the plan.
    places: Range<usize>,
    /// What their crops were made by.
    augment: Option<Augment>,
    draws: Draws,
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

    /// Images `[b, c, h, w]` and labels `[b]` of draws.
    pub(super) fn batch_of(&self, draws: Draws) -> (Tensor<4>, Tensor<1, Int>) {
        match self {
            Self::Resident(split) => split.batch_of(draws),
        }
    }

    /// The draws of batch `step` of an epoch, counted from 0, on the device. `sent` are draws of
    /// the epoch that it may have already, which are brought up to date.
    pub(super) fn draws(&self, order: &Order<'_>, step: usize, sent: &mut Option<Sent>) -> Draws {
        let places = order.places(step);
        let Self::Resident(split) = self;
        let send = |places: Range<usize>| {
            let crops =
                order.augment.map(|a| a.crops(order.seed, order.epoch as u64, places.clone()));
            split.draws(&order.plan.at(places), crops.as_deref())
        };
        if !split.takes_many_draws() {
            return send(places);
        }
        let has = |s: &Sent| {
            s.places.start <= places.start
                && places.end <= s.places.end
                && s.augment == order.augment
        };
        let Sent { places: have, draws, .. } = match sent.take().filter(has) {
            Some(there) => sent.insert(there),
            None => {
                let most = places.end.max(order.plan.len().min(places.start + DRAWS_SENT));
                let ahead = places.start..most;
                let draws = send(ahead.clone());
                sent.insert(Sent { places: ahead, augment: order.augment, draws })
            }
        };
        draws.slice(places.start - have.start..places.end - have.start)
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
    use crate::model::kernels::with_device_path;

    /// `n` images of 8x8; every pixel of an image has its number as value, and so has its label.
    fn feed(n: usize) -> Feed {
        let split = Split {
            pixels: (0..n).flat_map(|i| [i as u8; 64]).collect(),
            labels: (0..n as u32).collect(),
        };
        let classes = (0..n).map(|i| i.to_string()).collect();
        let data = Dataset::new("test", [1, 8, 8], classes, split.clone(), split);
        let unit = (vec![0.0], vec![1.0 / 255.0]); // normalised value = byte value
        let device = DeviceName::tested().open().expect("device");
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
            let (mut seen, mut counts, mut sent) = (Vec::new(), Vec::new(), None);
            for step in 0..sizes.len() {
                let drawn = plan.at(order.places(step));
                counts.push(drawn.len());
                let (images, labels) = feed.batch_of(feed.draws(&order, step, &mut sent));
                assert_eq!(numbers(images), &*drawn);
                let labels: Vec<u32> = labels.into_data().iter::<i64>().map(|l| l as u32).collect();
                assert_eq!(labels, &*drawn);
                seen.extend_from_slice(&drawn);
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
            feed.batch_of(feed.draws(&order, step, &mut None)).0.into_data().iter::<f32>().collect()
        };
        let forwards: Vec<_> = (0..3).map(values).collect();
        let backwards: Vec<_> = (0..3).rev().map(values).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        let of_another_epoch = Order { epoch: 2, ..order };
        let other = feed.batch_of(feed.draws(&of_another_epoch, 0, &mut None)).0;
        assert_ne!(other.into_data().iter::<f32>().collect::<Vec<_>>(), forwards[0]);
    }

    #[test]
    fn a_range_has_the_samples_in_their_order_as_they_are() {
        let (images, labels) = feed(6).range(2..5);
        assert_eq!(numbers(images), [2, 3, 4]);
        assert_eq!(labels.into_data().iter::<i64>().collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn draws_that_were_sent_ahead_make_the_same_batches() {
        let (feed, plan) = (feed(10), EpochPlan::uniform_with_replacement(10, 5, 1));
        let plain = order(&plan, 4, 3);
        let moved = Order { augment: Some(Augment { padding: 2, flip: true }), ..plain };
        let values = |order: &Order<'_>, step: usize, sent: &mut Option<Sent>| -> Vec<f32> {
            feed.batch_of(feed.draws(order, step, sent)).0.into_data().iter::<f32>().collect()
        };
        // From the middle, back, and with other crops from one step to the next.
        for (order, step) in [(plain, 1), (plain, 2), (plain, 0), (moved, 1), (moved, 2)] {
            let one_by_one = with_device_path(false, || values(&order, step, &mut None));
            let mut sent = None;
            with_device_path(true, || {
                assert_eq!(values(&order, 1, &mut sent), values(&order, 1, &mut None));
                let before = sent.as_ref().map(|s| s.places.clone());
                assert_eq!(before, Some(4..10), "all that is left of the epoch");
                let ahead = values(&order, step, &mut sent);
                let near = ahead.iter().zip(&one_by_one).all(|(a, b)| (a - b).abs() < 1e-4);
                assert!(near && ahead.len() == one_by_one.len(), "step {step}");
                let after = sent.as_ref().map(|s| s.places.start);
                assert_eq!(after, Some(if step == 0 { 0 } else { 4 }));
            });
        }
    }
}
