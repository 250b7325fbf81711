//! Where a session's batches come from: an epoch's in the order of its plan, a pass's in the order
//! of the samples. Knows nothing of models, losses or commands.

use super::batches::{DeviceSplit, Draws, StreamedSplit};
use super::loader::{Loader, Pass, PassKind, Streamed, places};
use crate::data::{Augment, DataConfig, Dataset, Images, ReadError, Split, Views};
use crate::importance::EpochPlan;
use crate::model::kernels;
use burn::tensor::{Device, Int, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// Which batches an epoch has. A batch is a pure function of this and its number, so an epoch can
/// be gone on with, or back in, at any step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    /// All draws of the epoch.
    pub(super) plan: &'a Arc<EpochPlan>,
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
        places(self.plan, self.batch_size, self.steps, step)
    }

    /// The same draws as a pass over streamed images.
    fn pass(&self, split: &StreamedSplit) -> Pass {
        let &Self { plan, batch_size, steps, seed, epoch, .. } = self;
        let kind = PassKind::Epoch { plan: plan.clone(), batch_size, steps, seed, epoch };
        Pass { split: split.images(), kind }
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

/// Makes the feeds of a data set's splits, which have their workers in common.
#[derive(Debug)]
pub(super) struct Feeds<'a> {
    data: &'a Dataset,
    views: Views,
    mean_std: (Vec<f32>, Vec<f32>),
    loader: Arc<Loader>,
    device: &'a Device,
}

impl<'a> Feeds<'a> {
    pub(super) fn new(data: &'a Dataset, config: &DataConfig, device: &'a Device) -> Self {
        let mean_std = data.mean_std();
        let is_streamed = matches!(data.train.images, Images::Stored(_));
        let workers = if is_streamed { workers(config, device) } else { 0 };
        let loader = Arc::new(Loader::new(workers));
        Self { data, views: Views::from_config(config), mean_std, loader, device }
    }

    /// That of a split of the data.
    pub(super) fn of(&self, split: &Split) -> Feed {
        let Self { data, views, mean_std, loader, device } = self;
        match &split.images {
            Images::Bytes(_) => {
                let split = DeviceSplit::new(data, split, mean_std, device);
                Feed::Resident(Box::new(split))
            }
            Images::Stored(stored) => {
                let images = Streamed { stored: stored.clone(), views: *views };
                let labels = split.labels.clone();
                let split = StreamedSplit::new(images, labels, loader, mean_std, device);
                Feed::Streamed(Box::new(split))
            }
        }
    }
}

/// Threads that read streamed images: those that the processor has beside the ones that a GPU
/// keeps busy, or one where the processor trains.
fn workers(config: &DataConfig, device: &Device) -> usize {
    const MOST: usize = 16;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match config.workers {
        0 if kernels::is_launched(device) => cores.saturating_sub(2).clamp(1, MOST),
        0 => 1,
        workers => workers,
    }
}

/// A split that gives batches.
#[derive(Debug)]
pub(super) enum Feed {
    /// All of it lies on the device.
    Resident(Box<DeviceSplit>),
    /// Its images are read when they are needed.
    Streamed(Box<StreamedSplit>),
}

impl Feed {
    /// Count of samples.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Resident(split) => split.len(),
            Self::Streamed(split) => split.len(),
        }
    }

    /// Channels, height, width.
    pub(super) fn shape(&self) -> [usize; 3] {
        match self {
            Self::Resident(split) => split.shape(),
            Self::Streamed(split) => split.shape(),
        }
    }

    /// Images `[b, c, h, w]`, changed as they say, and labels `[b]` of draws.
    pub(super) fn batch_of(&self, draws: Draws) -> (Tensor<4>, Tensor<1, Int>) {
        let changes = draws.changes.clone();
        let ((images, labels), normal) = match self {
            Self::Resident(split) => (split.batch_of(draws), split.normal()),
            Self::Streamed(split) => (split.batch_of(draws), split.normal()),
        };
        (changes.apply(images, normal), labels)
    }

    /// Waits until the images of batch `step` of an epoch are there, or cannot be read.
    pub(super) fn wait(&self, order: &Order<'_>, step: usize) {
        if let Self::Streamed(split) = self {
            split.wait(&order.pass(split), step);
        }
    }

    /// The draws of batch `step` of an epoch, counted from 0, on the device. `sent` are draws of
    /// the epoch that it may have already, which are brought up to date.
    ///
    /// # Errors
    /// An image that cannot be read. Nothing else came of it: asked for again, it is read again.
    pub(super) fn draws(
        &self,
        order: &Order<'_>,
        step: usize,
        sent: &mut Option<Sent>,
    ) -> Result<Draws, ReadError> {
        let places = order.places(step);
        let crops = |places: Range<usize>| {
            order.augment.map(|a| a.crops(order.seed, order.epoch as u64, places))
        };
        let split = match self {
            Self::Resident(split) => split,
            Self::Streamed(split) => {
                let drawn = order.plan.at(places.clone());
                return split.draws(&order.pass(split), step, &drawn, crops(places).as_deref());
            }
        };
        let send = |places: Range<usize>| {
            split.draws(&order.plan.at(places.clone()), crops(places).as_deref())
        };
        if !split.takes_many_draws() {
            return Ok(send(places));
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
        Ok(draws.slice(places.start - have.start..places.end - have.start))
    }

    /// The samples from number `from` on, at most `batch_size` of them, as they are: images
    /// `[b, c, h, w]` and labels `[b]`. A pass over all of them asks for one batch after another.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub(super) fn samples(
        &self,
        from: usize,
        batch_size: usize,
    ) -> Result<(Tensor<4>, Tensor<1, Int>), ReadError> {
        let to = (from + batch_size).min(self.len());
        let drawn: Vec<u32> = (from as u32..to as u32).collect();
        match self {
            Self::Resident(split) => Ok(split.batch(&drawn, None)),
            Self::Streamed(split) => {
                let pass = Pass { split: split.images(), kind: PassKind::Samples { batch_size } };
                let draws = split.draws(&pass, from / batch_size, &drawn, None)?;
                Ok(split.batch_of(draws))
            }
        }
    }

    /// Bytes of some images on the host, shape `[m, h, w, c]`; black where one cannot be read.
    pub(super) fn pixels(&self, drawn: &[u32]) -> Vec<u8> {
        match self {
            Self::Resident(split) => split.pixels(drawn),
            Self::Streamed(split) => split.pixels(drawn),
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
        let split =
            Split::new((0..n).flat_map(|i| [i as u8; 64]).collect(), (0..n as u32).collect());
        let classes = (0..n).map(|i| i.to_string()).collect();
        let data = Dataset::new("test", [1, 8, 8], classes, split.clone(), split);
        let unit = (vec![0.0], vec![1.0 / 255.0]); // normalised value = byte value
        let device = DeviceName::tested().open().expect("device");
        Feed::Resident(Box::new(DeviceSplit::new(&data, &data.train, &unit, &device)))
    }

    fn order(plan: &Arc<EpochPlan>, batch_size: usize, steps: usize) -> Order<'_> {
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
            let (feed, plan) = (feed(n), Arc::new(EpochPlan::shuffle(n, 5, 1)));
            let order = order(&plan, 4, sizes.len());
            let (mut seen, mut counts, mut sent) = (Vec::new(), Vec::new(), None);
            for step in 0..sizes.len() {
                let drawn = plan.at(order.places(step));
                counts.push(drawn.len());
                let (images, labels) =
                    feed.batch_of(feed.draws(&order, step, &mut sent).expect("read"));
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
        let (feed, plan) = (feed(10), Arc::new(EpochPlan::uniform_with_replacement(10, 5, 1)));
        let augment = Some(Augment { padding: 2, flip: true });
        let order = Order { augment, ..order(&plan, 4, 3) };
        let values = |step: usize| -> Vec<f32> {
            feed.batch_of(feed.draws(&order, step, &mut None).expect("read"))
                .0
                .into_data()
                .iter::<f32>()
                .collect()
        };
        let forwards: Vec<_> = (0..3).map(values).collect();
        let backwards: Vec<_> = (0..3).rev().map(values).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        let of_another_epoch = Order { epoch: 2, ..order };
        let other = feed.batch_of(feed.draws(&of_another_epoch, 0, &mut None).expect("read")).0;
        assert_ne!(other.into_data().iter::<f32>().collect::<Vec<_>>(), forwards[0]);
    }

    #[test]
    fn a_range_has_the_samples_in_their_order_as_they_are() {
        let (images, labels) = feed(6).samples(3, 3).expect("read");
        assert_eq!(numbers(images), [3, 4, 5]);
        assert_eq!(labels.into_data().iter::<i64>().collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[test]
    fn draws_that_were_sent_ahead_make_the_same_batches() {
        let (feed, plan) = (feed(10), Arc::new(EpochPlan::uniform_with_replacement(10, 5, 1)));
        let plain = order(&plan, 4, 3);
        let moved = Order { augment: Some(Augment { padding: 2, flip: true }), ..plain };
        let values = |order: &Order<'_>, step: usize, sent: &mut Option<Sent>| -> Vec<f32> {
            feed.batch_of(feed.draws(order, step, sent).expect("read"))
                .0
                .into_data()
                .iter::<f32>()
                .collect()
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
