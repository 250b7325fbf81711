//! Figures of balance and concentration.
//! Knows nothing of training: shares and counts in, one number out.

/// `H(f) / ln C`, the evenness of class shares, in [0, 1]; 1 = all classes alike (Pielou 1966).
/// `counts` has shape `[C]` and need not be normalised. One class, or no draws at all, counts as
/// even.
pub fn balance_index(counts: &[f64]) -> f64 {
    let sum: f64 = counts.iter().sum();
    if counts.len() < 2 || sum <= 0.0 {
        return 1.0;
    }
    let entropy: f64 =
        counts.iter().filter(|c| **c > 0.0).map(|c| -(c / sum) * (c / sum).ln()).sum();
    // Rounding leaves [0, 1] by a little, and the sum of one class is -0.
    (entropy / (counts.len() as f64).ln()).clamp(0.0, 1.0) + 0.0
}

/// Largest over smallest class count; infinite when a class has none. `counts` has shape `[C]`.
pub fn max_min_ratio(counts: &[f64]) -> f64 {
    let (min, max) =
        counts.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), c| (a.min(*c), b.max(*c)));
    if max == 0.0 { 1.0 } else { max / min }
}

/// Share of `n` that a weighted draw is worth: `1 / (n * sum q_i^2)`, in (0, 1] (Kish 1965).
/// `q` must sum to 1 within 1e-6.
pub fn effective_sample_size(q: &[f64]) -> f64 {
    1.0 / (q.len() as f64 * q.iter().map(|q| q * q).sum::<f64>())
}

/// Share of distinct samples that `draws` independent draws from `q` are expected to hit:
/// `1 - mean (1 - q_i)^draws`. Uniform `q` with as many draws as samples gives 63.2%.
pub fn expected_coverage(q: &[f64], draws: usize) -> f64 {
    let missed: f64 = q.iter().map(|q| (draws as f64 * (-q).ln_1p()).exp()).sum();
    1.0 - missed / q.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_single_class_has_no_negative_balance() {
        for counts in [&[5.0, 0.0][..], &[0.0, 0.0, 1e-300], &[1e300, 1e-300]] {
            assert!(!format!("{:.3}", balance_index(counts)).starts_with('-'), "{counts:?}");
        }
    }

    #[test]
    fn even_classes_have_index_one_and_a_single_class_zero() {
        assert!((balance_index(&[5.0, 5.0, 5.0]) - 1.0).abs() < 1e-12);
        assert_eq!(balance_index(&[7.0, 0.0, 0.0]), 0.0);
        assert_eq!(balance_index(&[7.0]), 1.0);
        assert_eq!(max_min_ratio(&[10.0, 2.0]), 5.0);
        assert_eq!(max_min_ratio(&[10.0, 0.0]), f64::INFINITY);
    }

    #[test]
    fn a_uniform_draw_with_replacement_covers_63_percent() {
        let n = 100_000;
        let q = vec![1.0 / n as f64; n];
        assert!((expected_coverage(&q, n) - 0.632_12).abs() < 1e-4);
        assert!((effective_sample_size(&q) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn all_mass_on_one_sample_is_worth_one_sample() {
        let q = [1.0, 0.0, 0.0, 0.0];
        assert_eq!(effective_sample_size(&q), 0.25);
        assert_eq!(expected_coverage(&q, 4), 0.25);
    }

    proptest! {
        #[test]
        fn figures_stay_in_their_ranges(raw in proptest::collection::vec(0.001_f64..1.0, 2..100)) {
            let sum: f64 = raw.iter().sum();
            let q: Vec<f64> = raw.iter().map(|v| v / sum).collect();
            let (b, e) = (balance_index(&q), effective_sample_size(&q));
            let c = expected_coverage(&q, q.len());
            prop_assert!(
                (0.0..=1.0 + 1e-9).contains(&b) && e > 0.0 && e <= 1.0 + 1e-9 && c > 0.0 && c < 1.0,
                "{b} {e} {c}",
            );
        }
    }
}
