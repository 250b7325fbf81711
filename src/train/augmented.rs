//! What is done to the pixel values of a batch before it is trained on, on its device: colour
//! jitter, erasing, mixing. What is done to which draw is decided in `data`, by position.

use super::normal::Normal;
use crate::config::RunConfig;
use crate::data::{ColorJitter, Erasing, Mixing, Mixture, Piece};
use crate::model::kernels::{self, Held};
use burn::tensor::{Device, Int, Tensor};
use std::ops::Range;

/// Changes of the pixel values of one batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Brightness, contrast, saturation of each draw, `[b, 3]`.
    color: Option<Tensor<2>>,
    /// First row, row behind the last, first column, column behind the last of what is erased of
    /// each draw, `[b, 4]`.
    erased: Option<Tensor<2, Int>>,
    /// Share of each pixel that is the image's own, `[h, w]`.
    own: Option<Tensor<2>>,
}

/// Which changes there are: steps of the same ones do the same work.
pub(super) type Kinds = [bool; 3];

impl Changes {
    /// Those of the draws at `positions`, which are batch `step` of `epoch`, of images of `size`
    /// rows and columns; and the label's share of the loss where images are mixed.
    pub(super) fn of(
        config: &RunConfig,
        (seed, epoch, step): (u64, u64, usize),
        positions: Range<usize>,
        size: [usize; 2],
        device: &Device,
    ) -> (Self, Option<f64>) {
        let (b, data, train) = (positions.len(), &config.data, &config.train);
        let color = (data.color_jitter > 0.0).then(|| {
            let jitter = ColorJitter { strength: data.color_jitter };
            let factors = jitter.factors(seed, epoch, positions.clone());
            kernels::numbers(factors.as_flattened(), [b, 3], device)
        });
        let erased = (data.random_erasing > 0.0).then(|| {
            let erasing = Erasing { probability: data.random_erasing };
            let pieces = erasing.pieces((seed, epoch), positions, size);
            let borders = |p: &Piece| [p.rows.start, p.rows.end, p.columns.start, p.columns.end];
            let borders: Vec<i64> = pieces.iter().flat_map(borders).map(|v| v as i64).collect();
            kernels::whole_numbers(&borders, [b, 4], device)
        });
        let mixture = Mixing::of(train.mixup, train.cutmix)
            .map(|mixing| mixing.mixture((seed, epoch), step, size));
        let share = mixture.as_ref().map(|mixture| mixture.share);
        let own = mixture.map(|Mixture { own, .. }| kernels::numbers(&own, size, device));
        (Self { color, erased, own }, share)
    }

    /// Which ones these are.
    pub(super) fn kinds(&self) -> Kinds {
        [self.color.is_some(), self.erased.is_some(), self.own.is_some()]
    }

    /// The same in memory of their own.
    pub(super) fn copied(&self) -> Self {
        Self {
            color: self.color.as_ref().map(kernels::copied),
            erased: self.erased.as_ref().map(kernels::copied_whole),
            own: self.own.as_ref().map(kernels::copied),
        }
    }

    /// Adds its tensors to `held`.
    pub(super) fn hold(&self, held: &mut Held) {
        let Self { color, erased, own } = self;
        for tensor in [color, own].into_iter().flatten() {
            held.add(tensor.clone());
        }
        if let Some(erased) = erased {
            held.add_whole(erased.clone());
        }
    }

    /// The images `[b, c, h, w]`, which are normalised by `normal`, changed.
    pub(super) fn apply(&self, images: Tensor<4>, normal: &Normal) -> Tensor<4> {
        let images = match &self.color {
            Some(factors) => jittered(images, factors, normal),
            None => images,
        };
        let images = match &self.erased {
            Some(pieces) => erased(images, pieces),
            None => images,
        };
        match &self.own {
            Some(own) => {
                let [h, w] = own.dims();
                let others = images.clone().flip([0]);
                others.clone() + (images - others) * own.clone().reshape([1, 1, h, w])
            }
            None => images,
        }
    }
}

/// Brightness, contrast and saturation in this order, each clipped to what a byte can be, as
/// torchvision's ColorJitter does, which draws the order, too.
fn jittered(images: Tensor<4>, factors: &Tensor<2>, normal: &Normal) -> Tensor<4> {
    let ([b, c, _, _], [scale, shift]) = (images.dims(), normal.by_channel());
    let factor = |k: usize| factors.clone().slice([0..b, k..k + 1]).reshape([b, 1, 1, 1]);
    let bytes = (images - shift.clone()) / scale.clone();
    let bright = (bytes * factor(0)).clamp(0.0, 255.0);
    let mean = gray(bright.clone()).mean_dim(2).mean_dim(3);
    let contrasted = (mean.clone() + (bright - mean) * factor(1)).clamp(0.0, 255.0);
    let saturated = if c == 3 {
        let gray = gray(contrasted.clone());
        (gray.clone() + (contrasted - gray) * factor(2)).clamp(0.0, 255.0)
    } else {
        contrasted
    };
    saturated * scale + shift
}

/// Brightness of each pixel, `[b, 1, h, w]`: torchvision's weights of red, green and blue.
fn gray(bytes: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = bytes.dims();
    if c != 3 {
        return bytes.mean_dim(1);
    }
    let channel = |k: usize| bytes.clone().slice([0..b, k..k + 1, 0..h, 0..w]);
    channel(0) * 0.2989 + channel(1) * 0.587 + channel(2) * 0.114
}

/// Zero, which is the data's mean, in a piece of each image.
fn erased(images: Tensor<4>, pieces: &Tensor<2, Int>) -> Tensor<4> {
    let ([b, c, h, w], device) = (images.dims(), images.device());
    let border = |k: usize| pieces.clone().slice([0..b, k..k + 1]);
    let within = |n: usize, from: usize| {
        let places = Tensor::<1, Int>::arange(0..n as i64, &device).reshape([1, n]);
        let places = places.expand([b, n]);
        let is_behind = places.clone().greater_equal(border(from).expand([b, n]));
        is_behind.bool_and(places.lower(border(from + 1).expand([b, n])))
    };
    let rows = within(h, 0).reshape([b, 1, h, 1]).expand([b, c, h, w]);
    let columns = within(w, 2).reshape([b, 1, 1, w]).expand([b, c, h, w]);
    images.mask_fill(rows.bool_and(columns), 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;
    use burn::tensor::TensorData;

    fn images(device: &Device) -> Tensor<4> {
        let bytes: Vec<f32> = (0..2 * 3 * 4 * 5).map(|i| (i * 37 % 251) as f32).collect();
        Tensor::from_data(TensorData::new(bytes, [2, 3, 4, 5]), device)
    }

    fn host(images: Tensor<4>) -> Vec<f32> {
        images.into_data().iter::<f32>().collect()
    }

    /// Normalised value = byte value.
    fn plain(device: &Device) -> Normal {
        Normal::new(&(vec![0.0; 3], vec![1.0 / 255.0; 3]), device)
    }

    #[test]
    fn a_piece_is_erased_and_nothing_else() {
        for device in [DeviceName::tested(), DeviceName::Flex] {
            let device = &device.open().expect("device");
            let pieces = kernels::whole_numbers(&[1, 3, 2, 4, 0, 0, 0, 0], [2, 4], device);
            let changes = Changes { erased: Some(pieces), ..Changes::default() };
            let before = host(images(device) + 1.0);
            let after = host(changes.apply(images(device) + 1.0, &plain(device)));
            for (i, (before, after)) in before.iter().zip(&after).enumerate() {
                let [image, row, column] = [i / 60, i / 5 % 4, i % 5];
                let is_erased = image == 0 && (1..3).contains(&row) && (2..4).contains(&column);
                let expected = if is_erased { 0.0 } else { *before };
                assert!((after - expected).abs() < 1e-6, "{i}: {after} {expected}");
            }
        }
    }

    #[test]
    fn images_are_mixed_with_those_from_the_end_of_the_batch() {
        for device in [DeviceName::tested(), DeviceName::Flex] {
            let device = &device.open().expect("device");
            let own: Vec<f32> = (0..20).map(|i| if i % 5 < 2 { 1.0 } else { 0.25 }).collect();
            let own = kernels::numbers(&own, [4, 5], device);
            let changes = Changes { own: Some(own), ..Changes::default() };
            let before = host(images(device));
            let after = host(changes.apply(images(device), &plain(device)));
            for (i, after) in after.iter().enumerate() {
                let other = before[(i + 60) % 120];
                let share = if i % 5 < 2 { 1.0 } else { 0.25 };
                let expected = share * before[i] + (1.0 - share) * other;
                assert!((after - expected).abs() < 1e-3, "{i}: {after} {expected}");
            }
        }
    }

    /// One pixel of each kind, by the formulas of torchvision's functional API.
    #[test]
    fn colours_change_as_in_torchvision() {
        for device in [DeviceName::tested(), DeviceName::Flex] {
            let device = &device.open().expect("device");
            let factors = kernels::numbers(&[1.2, 0.8, 1.5, 1.0, 1.0, 1.0], [2, 3], device);
            let changes = Changes { color: Some(factors), ..Changes::default() };
            let normal = Normal::new(&(vec![0.4, 0.5, 0.6], vec![0.2, 0.25, 0.3]), device);
            let [scale, shift] = normal.by_channel();
            let normalised = images(device) * scale.clone() + shift.clone();
            let after = (changes.apply(normalised, &normal) - shift) / scale;
            let (before, after) = (host(images(device)), host(after));
            let gray = |p: [f32; 3]| 0.2989 * p[0] + 0.587 * p[1] + 0.114 * p[2];
            let bright = |i: usize| (before[i] * 1.2).min(255.0);
            let pixel = |i: usize| [bright(i), bright(20 + i), bright(40 + i)];
            let mean = (0..20).map(|i| gray(pixel(i))).sum::<f32>() / 20.0;
            for i in 0..20 {
                let contrasted = pixel(i).map(|v| (mean + (v - mean) * 0.8).clamp(0.0, 255.0));
                let gray = gray(contrasted);
                for (k, v) in contrasted.into_iter().enumerate() {
                    let expected = (gray + (v - gray) * 1.5).clamp(0.0, 255.0);
                    assert!((after[20 * k + i] - expected).abs() < 0.02, "{i} {k}");
                }
            }
            let unchanged = before[60..].iter().zip(&after[60..]);
            assert!(unchanged.clone().all(|(a, b)| (a - b).abs() < 0.02));
        }
    }
}
