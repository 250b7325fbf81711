//! Losses summed over batches: the one place where the losses of a pass over data become one
//! figure. Knows nothing of what the losses are used for.

use burn::tensor::Tensor;
use std::ops::AddAssign;

/// A sum on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    /// Sum of the samples' losses.
    pub(super) loss: f64,
    /// Count of the samples.
    pub(super) samples: usize,
}

impl Sum {
    /// Of a batch of `samples` with this mean loss.
    pub(super) fn of(mean_loss: f32, samples: usize) -> Self {
        Self { loss: f64::from(mean_loss) * samples as f64, samples }
    }

    /// Mean loss of a sample; NaN without samples.
    pub(super) fn mean(self) -> f64 {
        self.loss / self.samples as f64
    }

    /// Whether the loss is a finite number.
    pub(super) fn is_finite(self) -> bool {
        self.loss.is_finite()
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.loss += other.loss;
        self.samples += other.samples;
    }
}

/// A sum that stays on the device until it is read: reading waits for the device.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// `[1]`; none before the first batch.
    loss: Option<Tensor<1>>,
    samples: usize,
}

impl Sums {
    /// Adds a batch of `samples` whose mean loss is `mean_loss`, `[1]`, without gradient.
    pub(super) fn add(&mut self, mean_loss: Tensor<1>, samples: usize) {
        let loss = mean_loss * samples as f64;
        self.loss = Some(match self.loss.take() {
            Some(sum) => sum + loss,
            None => loss,
        });
        self.samples += samples;
    }

    /// What was added since this was last called; `None` when that is nothing.
    pub(super) fn read(&mut self) -> Option<Sum> {
        let loss = f64::from(self.loss.take()?.into_scalar::<f32>());
        Some(Sum { loss, samples: std::mem::take(&mut self.samples) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;
    use burn::tensor::TensorData;

    #[test]
    fn sums_are_those_by_hand_and_reading_begins_anew() {
        for device in [DeviceName::tested(), DeviceName::Flex] {
            let device = device.open().expect("device");
            let mean = |v: f32| Tensor::<1>::from_data(TensorData::new(vec![v], [1]), &device);
            let mut sums = Sums::default();
            assert_eq!(sums.read(), None);
            sums.add(mean(0.5), 4);
            sums.add(mean(2.0), 4);
            sums.add(mean(1.5), 2); // a smaller last batch counts for less
            let sum = sums.read().expect("three batches");
            assert_eq!(sum, Sum { loss: 2.0 + 8.0 + 3.0, samples: 10 });
            assert_eq!(sum.mean(), 1.3);
            assert_eq!(sums.read(), None);
            sums.add(mean(0.25), 4);
            let mut total = sum;
            total += sums.read().expect("one batch");
            total += Sum::of(3.0, 2);
            assert_eq!(total, Sum { loss: 13.0 + 1.0 + 6.0, samples: 16 });
        }
    }

    #[test]
    fn one_loss_that_is_not_finite_makes_the_sum_so() {
        let device = DeviceName::tested().open().expect("device");
        let mut sums = Sums::default();
        for v in [1.0, f32::NAN, 1.0] {
            sums.add(Tensor::from_data(TensorData::new(vec![v], [1]), &device), 3);
        }
        assert!(!sums.read().expect("three batches").is_finite());
        assert!(Sum::of(1.0, 3).is_finite() && !Sum::of(f32::INFINITY, 3).is_finite());
    }
}
