//! What a loss is corrected for: the prior that the draws give the classes, and the classes' sizes.
//! Plain numbers by class. Knows nothing of tensors, epochs or phases.

use crate::table::table;
use serde::{Deserialize, Serialize};

/// Which class shares the logits are corrected for while training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjust {
    /// None: the loss is that of the logits as they are.
    None,
    /// Those of the training set (Menon et al. 2021).
    Data,
    /// Those of the epoch's draws, `sum_{i in c} q_i`.
    Drawn,
}

/// Since when the logits are corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdjustFrom {
    /// Since the first epoch that draws by the sampler.
    Bias,
    /// Since the first epoch.
    Start,
}

table! {
    /// What the losses of a class are multiplied by.
    pub enum ClassWeights: fn(&[usize]) -> Vec<f32> {
        /// 1.
        None = "none" => |_| Vec::new(),
        /// One over the effective number of samples (Cui et al. 2019).
        EffectiveNumber = "effective-number" => effective_number,
    }
}

impl ClassWeights {
    /// The factor of each class of `sizes` `[C]` training samples; empty where all are 1.
    pub fn factors(self, sizes: &[usize]) -> Vec<f32> {
        self.row()(sizes)
    }
}

/// `tau ln(C pi_c)`, shape `[C]`: what is added to the logits that the loss is taken of. Menon et
/// al. (*Long-Tail Learning via Logit Adjustment*, ICLR 2021) have `tau ln pi_c`; the constant
/// makes no difference to a softmax, and with it equal shares need no correction.
///
/// `shares` `[C]` sum to 1; one of 0 counts as half of one of `draws` draws.
pub fn log_prior(shares: &[f64], draws: usize, tau: f64) -> Vec<f32> {
    let (classes, least) = (shares.len() as f64, 0.5 / draws.max(1) as f64);
    shares.iter().map(|pi| (tau * (classes * pi.max(least)).ln()) as f32).collect()
}

/// Shares `[C]` of classes with so many samples each.
pub fn shares_of(sizes: &[usize]) -> Vec<f64> {
    let n = sizes.iter().sum::<usize>().max(1) as f64;
    sizes.iter().map(|size| *size as f64 / n).collect()
}

/// `(1 - b) / (1 - b^n_c)` with b = 0.9999, divided by the mean over the classes that have samples;
/// 0 for the others. Cui et al., *Class-Balanced Loss Based on Effective Number of Samples*, CVPR
/// 2019.
fn effective_number(sizes: &[usize]) -> Vec<f32> {
    const B: f64 = 0.9999;
    let raw = |n: &usize| if *n == 0 { 0.0 } else { (1.0 - B) / (1.0 - B.powf(*n as f64)) };
    let filled = sizes.iter().filter(|n| **n > 0).count().max(1) as f64;
    let mean = sizes.iter().map(raw).sum::<f64>() / filled;
    sizes.iter().map(|n| (raw(n) / mean) as f32).collect()
}

/// What is taken from the logit of the true class, shape `[C]`: `largest` for the smallest class
/// that has samples and for those without, for others `largest (n_min / n_c)^(1/4)`. Cao et al.,
/// *Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss*, NeurIPS 2019. Theirs
/// are margins of cosines, scaled by 30; these are of the logits themselves.
pub fn margins(sizes: &[usize], largest: f64) -> Vec<f32> {
    let least = sizes.iter().copied().filter(|n| *n > 0).min().unwrap_or(1) as f64;
    let margin = |n: &usize| (largest * (least / (*n as f64).max(least)).powf(0.25)) as f32;
    sizes.iter().map(margin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn the_prior_is_that_of_the_formula_and_equal_shares_need_no_correction() {
        let (half, eighth) = (1.5_f32.ln(), 0.375_f32.ln());
        assert!(close(&log_prior(&[0.5, 0.375, 0.125], 100, 1.0), &[half, 1.125_f32.ln(), eighth]));
        assert!(close(&log_prior(&[0.5, 0.375, 0.125], 100, 2.0)[..1], &[2.0 * half]));
        assert!(close(&log_prior(&[0.25; 4], 100, 1.0), &[0.0; 4]));
        assert_eq!(log_prior(&[0.9, 0.1], 100, 0.0), [0.0, 0.0]);
    }

    #[test]
    fn a_class_without_draws_has_a_finite_prior() {
        assert!(close(&log_prior(&[1.0, 0.0], 100, 1.0), &[2.0_f32.ln(), 0.01_f32.ln()]));
    }

    #[test]
    fn class_weights_are_one_over_the_effective_number_and_one_on_average() {
        assert!(ClassWeights::None.factors(&[10, 20]).is_empty());
        let w = ClassWeights::EffectiveNumber.factors(&[5_000, 50, 0]);
        // (1 - 0.9999^5000) / (1 - 0.9999^50) = 0.393484 / 0.004988
        assert!((w[1] / w[0] - 78.89).abs() < 0.05, "{w:?}");
        assert!((w[0] + w[1] - 2.0).abs() < 1e-5 && w[2] == 0.0, "{w:?}");
    }

    #[test]
    fn the_smallest_class_has_the_largest_margin() {
        assert!(close(&margins(&[16, 1, 0], 2.0), &[1.0, 2.0, 2.0]));
    }
}
