//! Random streams: each one a pure function of (seed, purpose, epoch), so that no draw depends on
//! what else happened. Knows nothing of what is drawn.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is for. Two purposes never share numbers, so adding a consumer changes nothing for
/// the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial parameters of the model (epoch 0).
    Init,
    /// Which samples a long-tailed subset keeps (epoch 0).
    Subset,
    /// Order of an epoch without replacement.
    Shuffle,
    /// Draws of an epoch with replacement, and the order of a systematic one.
    Draw,
    /// Crop offsets and flips, per draw.
    Augment,
    /// Seeds of the forks of a run.
    Fork,
    /// Which samples are held out for validation (epoch 0).
    Validation,
    /// Which labels are flipped, and to what (epoch 0).
    Noise,
    /// Which samples tell how settled the importance is (epoch 0).
    Settled,
    /// Factors of colour jitter, per draw.
    Color,
    /// Pieces that are erased, per draw.
    Erasing,
    /// How batches are mixed.
    Mixing,
}

impl Purpose {
    /// The name that goes into the stream's key; changing one changes every run with that seed.
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Init => b"init",
            Self::Subset => b"subset",
            Self::Shuffle => b"shuffle",
            Self::Draw => b"draw",
            Self::Augment => b"augment",
            Self::Fork => b"fork",
            Self::Validation => b"validation",
            Self::Noise => b"noise",
            Self::Settled => b"settled",
            Self::Color => b"color",
            Self::Erasing => b"erasing",
            Self::Mixing => b"mixing",
        }
    }
}

/// The stream of `purpose` in `epoch` (counted from 1; 0 for what happens once a run) under `seed`.
///
/// The 256-bit ChaCha8 key is the three values side by side: distinct inputs give distinct keys.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    let tag = purpose.tag();
    key[16..16 + tag.len()].copy_from_slice(tag);
    ChaCha8Rng::from_seed(key)
}

/// The seed of a fork's draws: `seed` itself for fork 0, so that it does what the run would have
/// done; for any other number one that shares no stream with it.
pub fn fork_seed(seed: u64, fork: u32) -> u64 {
    if fork == 0 { seed } else { stream(seed, Purpose::Fork, u64::from(fork)).next_u64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fork_zero_is_the_run_itself_and_others_differ() {
        assert_eq!(fork_seed(7, 0), 7);
        let seeds: std::collections::HashSet<u64> =
            (0..1_000).map(|fork| fork_seed(7, fork)).collect();
        assert_eq!(seeds.len(), 1_000);
        assert_ne!(fork_seed(7, 1), fork_seed(8, 1));
    }

    #[test]
    fn streams_differ_in_every_coordinate_and_repeat_themselves() {
        let first = |seed, purpose, epoch| stream(seed, purpose, epoch).next_u64();
        let base = first(1, Purpose::Draw, 1);
        assert_eq!(base, first(1, Purpose::Draw, 1));
        assert_ne!(base, first(2, Purpose::Draw, 1));
        assert_ne!(base, first(1, Purpose::Shuffle, 1));
        assert_ne!(base, first(1, Purpose::Draw, 2));
    }
}
