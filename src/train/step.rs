//! One forward pass: the loss that is trained on, and what it says about each sample, from the same
//! logits.

use crate::importance::Observation;
use crate::model::kernels;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// What a forward pass gives.
#[derive(Debug)]
pub struct Forward {
    /// Mean (weighted) loss of the batch, `[1]`; carries the gradient.
    pub loss: Tensor<1>,
    /// An [`Observation`] per sample, `[b, 5]`, without gradient.
    pub observations: Tensor<2>,
}

/// What a loss does beside taking the cross entropy.
#[derive(Clone, Debug, Default)]
pub struct LossTerms {
    /// Share of the target spread over all classes, s.
    pub smoothing: f64,
    /// Factors on the samples' losses, `[b]`, of mean 1; `None`: all are 1.
    pub factors: Option<Tensor<1>>,
    /// Of mixed images: factors on the losses by the labels of the images that are mixed in, `[b]`;
    /// `None`: none are.
    pub mixed: Option<Tensor<1>>,
    /// Added to the logits that the loss is taken of, `[2, C]`: the first row to each, the second
    /// to that of the true class.
    pub shifts: Option<Tensor<2>>,
}

/// Cross entropy of `logits` `[b, C]` against `labels` `[b]` with label smoothing s:
/// `(1-s) * -ln p_y + s * mean_c(-ln p_c)` (PyTorch's definition), p by the shifted logits. What is
/// observed is by the logits as they are. Where images are mixed, the loss is the sum of that by
/// each one's own label and of that by the label of the image at the same place from the end.
pub fn forward_loss(logits: Tensor<2>, labels: Tensor<1, Int>, terms: LossTerms) -> Forward {
    let LossTerms { smoothing, factors, mixed, shifts } = terms;
    let [b, _] = logits.dims();
    let factors = factors.unwrap_or_else(|| Tensor::ones([b], &labels.device()));
    let mixed = mixed.map(|factors| {
        let (logits, labels) = (logits.clone(), labels.clone().flip([0]));
        kernels::cross_entropy(logits, labels, factors, shifts.clone(), smoothing).0
    });
    let (loss, figures) = kernels::cross_entropy(logits, labels, factors, shifts, smoothing);
    let loss = match mixed {
        Some(mixed) => loss + mixed,
        None => loss,
    };
    Forward { loss, observations: figures.without_autodiff() }
}

/// Rows of `[n, 5]` from the device.
pub(super) fn read_observations(rows: Vec<Tensor<2>>) -> Vec<Observation> {
    if rows.is_empty() {
        return Vec::new();
    }
    let values: Vec<f32> = Tensor::cat(rows, 0).into_data().iter::<f32>().collect();
    values.as_chunks::<{ Observation::WIDTH }>().0.iter().map(Observation::from_row).collect()
}

/// Rows `[n, 5]` on the device again, from their values.
pub(super) fn observation_rows(flat: &[f32], device: &Device) -> Vec<Tensor<2>> {
    let n = flat.len() / Observation::WIDTH;
    if n == 0 {
        Vec::new()
    } else {
        vec![Tensor::from_data(TensorData::new(flat.to_vec(), [n, Observation::WIDTH]), device)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;

    #[test]
    fn the_observation_is_that_of_the_softmax() {
        for device in [DeviceName::tested(), DeviceName::Flex] {
            let device = device.open().expect("device");
            let p: [f32; 3] = [0.5, 0.3, 0.2];
            let logits =
                Tensor::<2>::from_data(TensorData::new(p.map(f32::ln).to_vec(), [1, 3]), &device);
            let labels = Tensor::<1, Int>::from_data(TensorData::new(vec![1_i64], [1]), &device);
            let out = forward_loss(logits.clone(), labels.clone(), LossTerms::default());
            let o = read_observations(vec![out.observations])[0];
            assert!(
                (o.p_true - 0.3).abs() < 1e-6
                    && (o.p_other - 0.5).abs() < 1e-6
                    && o.other == 0.0
                    && (o.sum_squares - 0.38).abs() < 1e-6
            );
            assert!((o.entropy - 1.029_653).abs() < 1e-5, "{}", o.entropy);
            assert!((out.loss.into_scalar::<f32>() + 0.3_f32.ln()).abs() < 1e-6);
            let terms = LossTerms { smoothing: 0.1, ..LossTerms::default() };
            let smooth = forward_loss(logits, labels, terms).loss.into_scalar::<f32>();
            let by_hand =
                -(0.9 * 0.3_f32.ln() + 0.1 / 3.0 * (0.5_f32.ln() + 0.3_f32.ln() + 0.2_f32.ln()));
            assert!((smooth - by_hand).abs() < 1e-6, "{smooth} {by_hand}");
        }
    }
}
