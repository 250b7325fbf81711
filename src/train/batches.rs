//! One split on the device: bytes stay bytes there, batches are gathered, augmented and normalised
//! there.

use super::augmented::Changes;
use super::loader::{Loader, Pass, Streamed, pictures};
use super::normal::Normal;
use crate::data::{Crop, Dataset, ReadError, Split};
use crate::model::kernels;
use burn::tensor::{Device, Int, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// A resident split.
#[derive(Debug)]
pub struct DeviceSplit {
    /// `[n, h w c]`
    bytes: Tensor<2, Int>,
    /// `[n]`
    labels: Tensor<1, Int>,
    normal: Normal,
    shape: [usize; 3],
    n: usize,
    device: Device,
}

impl DeviceSplit {
    /// Copies `split` of `data` to `device`; normalised by the training split's mean and deviation.
    pub fn new(
        data: &Dataset,
        split: &Split,
        mean_std: &(Vec<f32>, Vec<f32>),
        device: &Device,
    ) -> Self {
        let [c, h, w] = data.shape;
        let n = split.len();
        Self {
            bytes: kernels::resident_bytes(split.pixels(), [n, h * w * c], device),
            labels: indices(&split.labels, device),
            normal: Normal::new(mean_std, device),
            shape: data.shape,
            n,
            device: device.clone(),
        }
    }

    /// Count of samples.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// What bytes are normalised by.
    pub(super) fn normal(&self) -> &Normal {
        &self.normal
    }

    /// Bytes of some images on the host, shape `[m, h, w, c]`.
    pub fn pixels(&self, drawn: &[u32]) -> Vec<u8> {
        if drawn.is_empty() {
            return Vec::new();
        }
        let rows = kernels::gather_rows(self.bytes.clone(), indices(drawn, &self.device));
        rows.into_data().iter::<f32>().map(|v| v as u8).collect()
    }

    /// Images `[b, c, h, w]` (stored channels last) and labels `[b]` of `drawn`; cropped as `crops`
    /// says, one for each.
    pub fn batch(&self, drawn: &[u32], crops: Option<&[Crop]>) -> (Tensor<4>, Tensor<1, Int>) {
        self.batch_of(self.draws(drawn, crops))
    }

    /// Draws on the device, each cropped as `crops` says.
    pub(super) fn draws(&self, drawn: &[u32], crops: Option<&[Crop]>) -> Draws {
        let crops = crops.map(|crops| moves(crops, &self.device));
        let changes = Changes::default();
        Draws { index: indices(drawn, &self.device), crops, brought: None, changes }
    }

    /// Images `[b, c, h, w]` (stored channels last) and labels `[b]` of draws.
    pub(super) fn batch_of(&self, draws: Draws) -> (Tensor<4>, Tensor<1, Int>) {
        let Draws { index, crops, .. } = draws;
        let labels = self.labels.clone().select(0, index.clone());
        (kernels::images(&self.bytes, index, crops, self.normal.both(), self.shape), labels)
    }

    /// Whether draws come to the device many at a time: where each copy to it costs a launch.
    pub(super) fn takes_many_draws(&self) -> bool {
        kernels::is_launched(&self.device)
    }
}

/// A split whose images are read when they are needed: a batch at a time comes to the device.
#[derive(Debug)]
pub(super) struct StreamedSplit {
    images: Arc<Streamed>,
    /// Shape `[n]`.
    labels: Vec<u32>,
    loader: Arc<Loader>,
    normal: Normal,
    shape: [usize; 3],
    device: Device,
}

impl StreamedSplit {
    /// `images` with their labels `[n]`, which `loader` reads.
    pub(super) fn new(
        images: Streamed,
        labels: Vec<u32>,
        loader: &Arc<Loader>,
        mean_std: &(Vec<f32>, Vec<f32>),
        device: &Device,
    ) -> Self {
        let size = images.views.size;
        Self {
            images: Arc::new(images),
            labels,
            loader: loader.clone(),
            normal: Normal::new(mean_std, device),
            shape: [3, size, size],
            device: device.clone(),
        }
    }

    /// Count of samples.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Channels, height, width.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// What bytes are normalised by.
    pub(super) fn normal(&self) -> &Normal {
        &self.normal
    }

    /// What passes go over.
    pub(super) fn images(&self) -> Arc<Streamed> {
        self.images.clone()
    }

    /// Waits until batch `number` of `pass` is there, or cannot be read.
    pub(super) fn wait(&self, pass: &Pass, number: usize) {
        self.loader.wait(pass, number);
    }

    /// Batch `number` of `pass`, which are the samples `drawn`, on the device; cropped there as
    /// `crops` says.
    pub(super) fn draws(
        &self,
        pass: &Pass,
        number: usize,
        drawn: &[u32],
        crops: Option<&[Crop]>,
    ) -> Result<Draws, ReadError> {
        let bytes = self.loader.take(pass, number)?;
        let (b, device) = (drawn.len(), &self.device);
        let labels: Vec<u32> = drawn.iter().map(|i| self.labels[*i as usize]).collect();
        let places: Vec<u32> = (0..b as u32).collect();
        let bytes = kernels::bytes(&bytes, [b, self.shape.iter().product()], device);
        Ok(Draws {
            index: indices(&places, device),
            crops: crops.map(|crops| moves(crops, device)),
            brought: Some(Brought { bytes, labels: indices(&labels, device) }),
            changes: Changes::default(),
        })
    }

    /// Images `[b, c, h, w]` (stored channels last) and labels `[b]` of draws of this split.
    ///
    /// # Panics
    /// When they came without images.
    pub(super) fn batch_of(&self, draws: Draws) -> (Tensor<4>, Tensor<1, Int>) {
        let Draws { index, crops, brought, .. } = draws;
        let Brought { bytes, labels } = brought.expect("streamed draws bring their images");
        (kernels::images(&bytes, index, crops, self.normal.both(), self.shape), labels)
    }

    /// Bytes of some images on the host, shape `[m, h, w, c]`; black where one cannot be read.
    pub(super) fn pixels(&self, drawn: &[u32]) -> Vec<u8> {
        pictures(&self.images, drawn)
    }
}

/// Draws on the device.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    /// Rows of the images, `[b]`.
    pub(super) index: Tensor<1, Int>,
    /// Down, right, mirrored: `[b, 3]`.
    pub(super) crops: Option<Tensor<2, Int>>,
    /// Their images, where these do not lie on the device already.
    pub(super) brought: Option<Brought>,
    /// What is done to the images' values.
    pub(super) changes: Changes,
}

/// Images that came with their draws.
#[derive(Clone, Debug)]
pub(super) struct Brought {
    /// `[b, h w c]`
    pub(super) bytes: Tensor<2, Int>,
    /// `[b]`
    pub(super) labels: Tensor<1, Int>,
}

impl Draws {
    /// The same in memory of their own.
    pub(super) fn copied(&self) -> Self {
        let brought = self.brought.as_ref().map(|Brought { bytes, labels }| Brought {
            bytes: kernels::copied_whole(bytes),
            labels: kernels::copied_whole(labels),
        });
        let crops = self.crops.as_ref().map(kernels::copied_whole);
        let (index, changes) = (kernels::copied_whole(&self.index), self.changes.copied());
        Self { index, crops, brought, changes }
    }

    /// Some of them, of images that lie on the device.
    pub(super) fn slice(&self, places: Range<usize>) -> Self {
        let crops = self.crops.clone().map(|crops| crops.slice([places.clone(), 0..3]));
        let index = self.index.clone().slice([places]);
        Self { index, crops, brought: None, changes: Changes::default() }
    }
}

/// Down, right, mirrored: `[b, 3]`.
fn moves(crops: &[Crop], device: &Device) -> Tensor<2, Int> {
    let moves: Vec<i64> = crops.iter().flat_map(|c| [c.down, c.right, i64::from(c.flip)]).collect();
    kernels::whole_numbers(&moves, [crops.len(), 3], device)
}

fn indices(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.iter().map(|v| i64::from(*v)).collect();
    kernels::whole_numbers(&values, [values.len()], device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;

    /// Two 8x8 images of two channels; pixel value = 100 * image + 10 * row + column (+ 1 for
    /// channel 1).
    fn resident(device: DeviceName) -> DeviceSplit {
        let value = |i: usize, y: usize, x: usize, c: usize| (100 * i + 10 * y + x + c) as u8;
        let mut pixels = Vec::new();
        for (i, y) in (0..2).flat_map(|i| (0..8).map(move |y| (i, y))) {
            pixels.extend((0..8).flat_map(|x| [value(i, y, x, 0), value(i, y, x, 1)]));
        }
        let split = Split::new(pixels, vec![0, 1]);
        let classes = vec!["a".into(), "b".into()];
        let data = Dataset::new("test", [2, 8, 8], classes, split.clone(), split);
        let unit = (vec![0.0; 2], vec![1.0 / 255.0; 2]); // normalised value = byte value
        DeviceSplit::new(&data, &data.train, &unit, &device.open().expect("device"))
    }

    fn values(t: Tensor<4>) -> Vec<f32> {
        t.into_data().iter::<f32>().collect()
    }

    #[test]
    fn a_batch_has_the_drawn_images_in_order_on_both_backends() {
        for device in [DeviceName::tested(), DeviceName::Flex] {
            let (images, labels) = resident(device).batch(&[1, 0, 1], None);
            assert_eq!(images.dims(), [3, 2, 8, 8]);
            let v = values(images);
            assert!(
                (v[0] - 100.0).abs() < 1e-3 && (v[64] - 101.0).abs() < 1e-3,
                "{device}: {} {}",
                v[0],
                v[64]
            );
            assert!((v[128] - 0.0).abs() < 1e-3 && (v[128 + 8 * 3 + 5] - 35.0).abs() < 1e-3);
            assert_eq!(labels.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 0, 1]);
        }
    }

    #[test]
    fn a_crop_moves_mirrors_and_pads_with_black() {
        for device in [DeviceName::tested(), DeviceName::Flex] {
            let crops = [
                Crop { down: 2, right: 1, flip: false },
                Crop { down: -1, right: 3, flip: true },
                Crop { down: 0, right: 0, flip: true },
            ];
            let v = values(resident(device).batch(&[0, 0, 1], Some(&crops)).0);
            let at = |k: usize, y: usize, x: usize| v[k * 128 + y * 8 + x];
            for (k, crop) in crops.iter().enumerate() {
                for (y, x) in (0..8).flat_map(|y| (0..8).map(move |x| (y, x))) {
                    let column =
                        if crop.flip { 7 - x as i64 - crop.right } else { x as i64 + crop.right };
                    let row = y as i64 + crop.down;
                    let inside = (0..8).contains(&row) && (0..8).contains(&column);
                    let image = if k == 2 { 100 } else { 0 };
                    let expected = if inside { (image + 10 * row + column) as f32 } else { 0.0 };
                    assert!(
                        (at(k, y, x) - expected).abs() < 1e-3,
                        "{device} draw {k} at {y},{x}: {} {expected}",
                        at(k, y, x)
                    );
                }
            }
        }
    }
}
