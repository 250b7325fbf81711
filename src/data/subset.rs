//! Which samples of a split stay: long tails and limits, chosen by seed.
//! Knows nothing of where the samples came from.

use super::read::DataError;
use super::{Images, Split, Stored};
use crate::stream::{Purpose, stream};
use rand::RngExt;
use rand::seq::SliceRandom;

/// Sizes per class of a long tail, shape `[C]`; `None` when the split stays as it is.
///
/// `imbalance` r keeps `n_c = n_max r^(-c/(C-1))` samples of class c, at least 1 (Cui et al. 2019);
/// `class_counts` says the sizes itself.
pub(super) fn long_tail(
    split: &Split,
    classes: usize,
    imbalance: f64,
    class_counts: &[usize],
) -> Result<Option<Vec<usize>>, DataError> {
    let have = split.class_counts(classes);
    if !class_counts.is_empty() {
        let fail = |what: String| {
            Err(DataError::Missing {
                what,
                help: format!("The classes have {have:?} training samples."),
            })
        };
        if class_counts.len() != classes {
            return fail(format!(
                "data.class_counts has {} entries, the data has {classes} classes",
                class_counts.len()
            ));
        }
        if let Some(c) = (0..classes).find(|&c| class_counts[c] as u64 > have[c]) {
            return fail(format!(
                "data.class_counts asks for {} samples of class {c}, which has {}",
                class_counts[c], have[c]
            ));
        }
        return Ok(Some(class_counts.to_vec()));
    }
    if imbalance <= 1.0 {
        return Ok(None);
    }
    let largest = have.iter().copied().max().unwrap_or(0) as f64;
    let size = |c: usize| {
        (largest * imbalance.powf(-(c as f64) / (classes - 1) as f64)).round().max(1.0) as u64
    };
    Ok(Some((0..classes).map(|c| size(c).min(have[c]) as usize).collect()))
}

/// Sizes per class of a subset of `limit` samples that keeps the classes' shares (largest
/// remainders), shape `[C]`.
pub(super) fn quotas(split: &Split, classes: usize, limit: usize) -> Vec<usize> {
    let have = split.class_counts(classes);
    let n = split.len();
    if limit >= n {
        return have.into_iter().map(|c| c as usize).collect();
    }
    let exact: Vec<f64> = have.iter().map(|c| *c as f64 * limit as f64 / n as f64).collect();
    let mut sizes: Vec<usize> = exact.iter().map(|e| e.floor() as usize).collect();
    let mut by_remainder: Vec<usize> = (0..classes).collect();
    by_remainder.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()).then(a.cmp(b)));
    let short = limit - sizes.iter().sum::<usize>();
    for &c in by_remainder.iter().take(short) {
        sizes[c] += 1;
    }
    sizes
}

/// The split with `sizes[c]` samples of class c, chosen by `seed`, in their old order.
pub(super) fn take(split: &Split, shape: [usize; 3], sizes: &[usize], seed: u64) -> Split {
    only(split, shape, &chosen(split, sizes, stream(seed, Purpose::Subset, 0)))
}

/// The split without `share` of each class (rounded; a class keeps at least one sample), and those,
/// chosen by `seed`.
pub(super) fn hold_out(
    split: &Split,
    shape: [usize; 3],
    classes: usize,
    share: f64,
    seed: u64,
) -> (Split, Split) {
    let sizes: Vec<usize> = split
        .class_counts(classes)
        .iter()
        .map(|&c| ((c as f64 * share).round() as usize).min(c.saturating_sub(1) as usize))
        .collect();
    let held = chosen(split, &sizes, stream(seed, Purpose::Validation, 0));
    let rest: Vec<u32> =
        (0..split.len() as u32).filter(|i| held.binary_search(i).is_err()).collect();
    (only(split, shape, &rest), only(split, shape, &held))
}

/// Numbers of `sizes[c]` samples of class c, ascending.
fn chosen(split: &Split, sizes: &[usize], mut rng: impl rand::Rng) -> Vec<u32> {
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); sizes.len()];
    for (i, &c) in split.labels.iter().enumerate() {
        members[c as usize].push(i as u32);
    }
    let mut kept: Vec<u32> = Vec::new();
    for (class, size) in members.iter_mut().zip(sizes) {
        class.shuffle(&mut rng);
        kept.extend(&class[..*size]);
    }
    kept.sort_unstable();
    kept
}

/// The samples of these numbers.
fn only(split: &Split, shape: [usize; 3], kept: &[u32]) -> Split {
    let image = shape.iter().product::<usize>();
    let kept = || kept.iter().map(|i| *i as usize);
    let images = match &split.images {
        Images::Bytes(pixels) => {
            let rows: Vec<&[u8]> = kept().map(|i| &pixels[i * image..(i + 1) * image]).collect();
            Images::Bytes(rows.concat())
        }
        Images::Stored(Stored { store, numbers }) => Images::Stored(Stored {
            store: store.clone(),
            numbers: kept().map(|i| numbers[i]).collect(),
        }),
    };
    Split { images, labels: kept().map(|i| split.labels[i]).collect() }
}

/// Gives `share` of the labels another class, each other one alike, chosen by `seed`; tells which,
/// shape `[n]`.
pub(super) fn flip_labels(split: &mut Split, classes: usize, share: f64, seed: u64) -> Vec<bool> {
    let mut rng = stream(seed, Purpose::Noise, 0);
    let mut order: Vec<usize> = (0..split.len()).collect();
    order.shuffle(&mut rng);
    let mut flipped = vec![false; split.len()];
    for &i in order.iter().take((share * split.len() as f64).round() as usize) {
        let other = rng.random_range(0..classes as u32 - 1);
        split.labels[i] = other + u32::from(other >= split.labels[i]);
        flipped[i] = true;
    }
    flipped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(counts: &[usize]) -> Split {
        let labels: Vec<u32> =
            counts.iter().enumerate().flat_map(|(c, n)| vec![c as u32; *n]).collect();
        Split::new((0..labels.len()).map(|i| i as u8).collect(), labels)
    }

    #[test]
    fn a_long_tail_follows_the_exponential_profile() {
        let s = split(&[100; 5]);
        assert_eq!(long_tail(&s, 5, 16.0, &[]).expect("fits"), Some(vec![100, 50, 25, 13, 6]));
        assert_eq!(long_tail(&s, 5, 1.0, &[]).expect("fits"), None);
        assert!(long_tail(&s, 5, 1.0, &[100, 101, 1, 1, 1]).is_err());
        assert!(long_tail(&s, 5, 1.0, &[1, 1]).is_err());
    }

    #[test]
    fn flipped_labels_are_as_many_as_asked_all_wrong_and_spread_over_the_classes() {
        let (clean, mut noisy) = (split(&[2_000; 5]), split(&[2_000; 5]));
        let flipped = flip_labels(&mut noisy, 5, 0.1, 3);
        assert_eq!(flipped.iter().filter(|f| **f).count(), 1_000);
        for (i, f) in flipped.iter().enumerate() {
            assert_eq!(*f, clean.labels[i] != noisy.labels[i]);
        }
        let mut to = [0_u32; 5];
        flipped
            .iter()
            .enumerate()
            .filter(|(_, f)| **f)
            .for_each(|(i, _)| to[noisy.labels[i] as usize] += 1);
        // Binomial(1000, 1/5): sd 12.6; four of them.
        assert!(to.iter().all(|n| n.abs_diff(200) <= 51), "{to:?}");
        let mut again = split(&[2_000; 5]);
        assert_eq!(flip_labels(&mut again, 5, 0.1, 3), flipped);
        assert_ne!(flip_labels(&mut split(&[2_000; 5]), 5, 0.1, 4), flipped);
    }

    #[test]
    fn what_is_held_out_has_its_share_of_each_class_and_is_not_trained_on() {
        let s = split(&[60, 40, 1]);
        let (rest, held) = hold_out(&s, [1, 1, 1], 3, 0.1, 1);
        assert_eq!((rest.class_counts(3), held.class_counts(3)), (vec![54, 36, 1], vec![6, 4, 0]));
        let mut all = [rest.pixels(), held.pixels()].concat();
        all.sort_unstable();
        assert_eq!(all, s.pixels(), "each sample is in one of the two");
        assert_ne!(hold_out(&s, [1, 1, 1], 3, 0.1, 2).0, rest);
    }

    #[test]
    fn a_limit_keeps_the_shares_of_the_classes() {
        assert_eq!(quotas(&split(&[60, 30, 10]), 3, 10), [6, 3, 1]);
        assert_eq!(quotas(&split(&[5, 5, 5]), 3, 4), [2, 1, 1]);
        assert_eq!(quotas(&split(&[5, 5]), 2, 100), [5, 5]);
    }

    #[test]
    fn the_chosen_samples_depend_on_the_seed_only_and_keep_their_images() {
        let s = split(&[50, 50]);
        let a = take(&s, [1, 1, 1], &[10, 20], 1);
        assert_eq!(a, take(&s, [1, 1, 1], &[10, 20], 1));
        assert_ne!(a, take(&s, [1, 1, 1], &[10, 20], 2));
        assert_eq!(a.class_counts(2), [10, 20]);
        assert!(a.pixels().iter().zip(&a.labels).all(|(p, l)| s.labels[*p as usize] == *l));
    }
}
