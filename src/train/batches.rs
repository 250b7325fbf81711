//! One split on the device: bytes stay bytes there, batches are gathered, augmented and normalised there.

use crate::data::{Crop, Dataset, Split};
use crate::model::kernels;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// A resident split.
#[derive(Debug)]
pub struct DeviceSplit {
    /// `[n, h w c]`
    bytes: Tensor<2, Int>,
    /// `[n]`
    labels: Tensor<1, Int>,
    /// Factor and shift per channel that turn bytes into normalised values, `[1, 1, 1, c]`.
    scale: Tensor<4>,
    shift: Tensor<4>,
    shape: [usize; 3],
    n: usize,
    device: Device,
}

impl DeviceSplit {
    /// Copies `split` of `data` to `device`; normalised by the training split's mean and deviation.
    pub fn new(data: &Dataset, split: &Split, mean_std: &(Vec<f32>, Vec<f32>), device: &Device) -> Self {
        let [c, h, w] = data.shape;
        let n = split.len();
        let channels = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [1, 1, 1, c]), device);
        let (mean, std) = mean_std;
        Self {
            bytes: kernels::resident_bytes(&split.pixels, [n, h * w * c], device),
            labels: indices(&split.labels, device),
            scale: channels(std.iter().map(|s| 1.0 / (255.0 * s)).collect()),
            shift: channels(mean.iter().zip(std).map(|(m, s)| -m / s).collect()),
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

    /// Images `[b, c, h, w]` (stored channels last) and labels `[b]` of `drawn`; cropped as `crops` says, one for each.
    pub fn batch(&self, drawn: &[u32], crops: Option<&[Crop]>) -> (Tensor<4>, Tensor<1, Int>) {
        let [c, h, w] = self.shape;
        let b = drawn.len();
        let index = indices(drawn, &self.device);
        let labels = self.labels.clone().select(0, index.clone());
        let pixels = match crops {
            None => kernels::gather_rows(self.bytes.clone(), index).reshape([b, h, w, c]),
            Some(crops) => self.cropped(index, crops),
        };
        let images = pixels * self.scale.clone() + self.shift.clone();
        (images.permute([0, 3, 1, 2]), labels)
    }

    /// Gathers pixel by pixel: row and column of each target pixel in its source, zero where that is outside.
    fn cropped(&self, index: Tensor<1, Int>, crops: &[Crop]) -> Tensor<4> {
        let [c, h, w] = self.shape;
        let b = crops.len();
        let per_draw = |f: &dyn Fn(&Crop) -> i64| -> Tensor<3, Int> {
            let values: Vec<i64> = crops.iter().map(f).collect();
            Tensor::from_data(TensorData::new(values, [b, 1, 1]), &self.device)
        };
        let arange = |n: usize| Tensor::<1, Int>::arange(0..n as i64, &self.device);
        let rows = arange(h).reshape([1, h, 1]) + per_draw(&|c| c.down);
        // Mirrored: column j shows w - 1 - j, that is sign * j + start.
        let columns = arange(w).reshape([1, 1, w]) * per_draw(&|c| if c.flip { -1 } else { 1 })
            + per_draw(&|c| if c.flip { w as i64 - 1 - c.right } else { c.right });
        let inside = |t: &Tensor<3, Int>, n: usize| t.clone().greater_equal_elem(0).bool_and(t.clone().lower_elem(n as i64));
        let visible = inside(&rows, h).expand([b, h, w]).bool_and(inside(&columns, w).expand([b, h, w]));
        let source =
            index.reshape([b, 1, 1]) * (h * w) as i64 + rows.clamp(0, h as i64 - 1) * w as i64 + columns.clamp(0, w as i64 - 1);
        let flat = self.bytes.clone().reshape([self.n * h * w, c]);
        let pixels = kernels::gather_rows(flat, source.reshape([b * h * w])).reshape([b, h, w, c]);
        pixels * visible.float().reshape([b, h, w, 1])
    }
}

fn indices(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.iter().map(|v| i64::from(*v)).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;

    /// Two 8x8 images of two channels; pixel value = 100 * image + 10 * row + column (+ 1 for channel 1).
    fn resident(device: DeviceName) -> DeviceSplit {
        let value = |i: usize, y: usize, x: usize, c: usize| (100 * i + 10 * y + x + c) as u8;
        let mut pixels = Vec::new();
        for (i, y) in (0..2).flat_map(|i| (0..8).map(move |y| (i, y))) {
            pixels.extend((0..8).flat_map(|x| [value(i, y, x, 0), value(i, y, x, 1)]));
        }
        let split = Split { pixels, labels: vec![0, 1] };
        let classes = vec!["a".into(), "b".into()];
        let data =
            Dataset { name: "test".into(), shape: [2, 8, 8], classes, train: split.clone(), test: split, flipped: Vec::new() };
        let unit = (vec![0.0; 2], vec![1.0 / 255.0; 2]); // normalised value = byte value
        DeviceSplit::new(&data, &data.train, &unit, &device.open().expect("device"))
    }

    fn values(t: Tensor<4>) -> Vec<f32> {
        t.into_data().iter::<f32>().collect()
    }

    #[test]
    fn a_batch_has_the_drawn_images_in_order_on_both_backends() {
        for device in [DeviceName::LibtorchCpu, DeviceName::Flex] {
            let (images, labels) = resident(device).batch(&[1, 0, 1], None);
            assert_eq!(images.dims(), [3, 2, 8, 8]);
            let v = values(images);
            assert!((v[0] - 100.0).abs() < 1e-3 && (v[64] - 101.0).abs() < 1e-3, "{device}: {} {}", v[0], v[64]);
            assert!((v[128] - 0.0).abs() < 1e-3 && (v[128 + 8 * 3 + 5] - 35.0).abs() < 1e-3);
            assert_eq!(labels.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 0, 1]);
        }
    }

    #[test]
    fn a_crop_moves_mirrors_and_pads_with_black() {
        for device in [DeviceName::LibtorchCpu, DeviceName::Flex] {
            let crops = [
                Crop { down: 2, right: 1, flip: false },
                Crop { down: -1, right: 3, flip: true },
                Crop { down: 0, right: 0, flip: true },
            ];
            let v = values(resident(device).batch(&[0, 0, 1], Some(&crops)).0);
            let at = |k: usize, y: usize, x: usize| v[k * 128 + y * 8 + x];
            for (k, crop) in crops.iter().enumerate() {
                for (y, x) in (0..8).flat_map(|y| (0..8).map(move |x| (y, x))) {
                    let column = if crop.flip { 7 - x as i64 - crop.right } else { x as i64 + crop.right };
                    let row = y as i64 + crop.down;
                    let inside = (0..8).contains(&row) && (0..8).contains(&column);
                    let image = if k == 2 { 100 } else { 0 };
                    let expected = if inside { (image + 10 * row + column) as f32 } else { 0.0 };
                    assert!((at(k, y, x) - expected).abs() < 1e-3, "{device} draw {k} at {y},{x}: {} {expected}", at(k, y, x));
                }
            }
        }
    }
}
