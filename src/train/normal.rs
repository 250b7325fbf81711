//! What bytes are normalised by. Knows nothing of where they come from.

use burn::tensor::{Device, Tensor, TensorData};

/// Factor and shift per channel that turn bytes into normalised values, `[c]`.
#[derive(Debug)]
pub(super) struct Normal {
    scale: Tensor<1>,
    shift: Tensor<1>,
}

impl Normal {
    pub(super) fn new((mean, std): &(Vec<f32>, Vec<f32>), device: &Device) -> Self {
        let channels = |values: Vec<f32>| {
            let c = values.len();
            Tensor::from_data(TensorData::new(values, [c]), device)
        };
        Self {
            scale: channels(std.iter().map(|s| 1.0 / (255.0 * s)).collect()),
            shift: channels(mean.iter().zip(std).map(|(m, s)| -m / s).collect()),
        }
    }

    pub(super) fn both(&self) -> [&Tensor<1>; 2] {
        [&self.scale, &self.shift]
    }

    /// Factor and shift, `[1, c, 1, 1]`.
    pub(super) fn by_channel(&self) -> [Tensor<4>; 2] {
        self.both().map(|t| t.clone().reshape([1, t.dims()[0], 1, 1]))
    }
}
