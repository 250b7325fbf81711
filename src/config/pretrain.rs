//! E: a number of epochs, or found while the run trains. Knows nothing of how that is found.

use super::RunConfig;
use crate::importance::Auto;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The word for an E that is found while the run trains.
pub const AUTO: &str = "auto";

/// `importance.pretrain_epochs`: E, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Pretrain {
    /// So many epochs.
    Epochs(usize),
    /// Until the importance is settled.
    Auto,
}

/// How it stands in TOML and JSON: a number or a word.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Epochs(usize),
    Word(Word),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Auto,
}

impl From<Written> for Pretrain {
    fn from(written: Written) -> Self {
        match written {
            Written::Epochs(epochs) => Self::Epochs(epochs),
            Written::Word(Word::Auto) => Self::Auto,
        }
    }
}

impl From<Pretrain> for Written {
    fn from(pretrain: Pretrain) -> Self {
        match pretrain {
            Pretrain::Epochs(epochs) => Self::Epochs(epochs),
            Pretrain::Auto => Self::Word(Word::Auto),
        }
    }
}

impl From<usize> for Pretrain {
    fn from(epochs: usize) -> Self {
        Self::Epochs(epochs)
    }
}

impl fmt::Display for Pretrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epochs(epochs) => write!(f, "{epochs}"),
            Self::Auto => f.write_str(AUTO),
        }
    }
}

impl RunConfig {
    /// Pretraining epochs, E; while it is to be found, the most that it can become.
    pub fn pretrain_epochs(&self) -> usize {
        match self.importance.pretrain_epochs {
            Pretrain::Epochs(epochs) => epochs,
            Pretrain::Auto => self.auto().most,
        }
    }

    /// Whether E is to be found while the run trains, and is not yet.
    pub fn finds_e(&self) -> bool {
        self.importance.pretrain_epochs == Pretrain::Auto
    }

    /// When pretraining ends where E is found while the run trains.
    pub fn auto(&self) -> Auto {
        let (c, n) = (&self.importance, self.train.epochs);
        let most = if c.auto_most == 0 { most_by_default(n) } else { c.auto_most.min(n) };
        Auto { threshold: c.auto_threshold, least: c.auto_least, most }
    }
}

/// The most pretraining epochs E of N `epochs` where nobody said so: half of them, so that both
/// phases are there; the one epoch of N = 1 is pretraining.
pub(super) fn most_by_default(epochs: usize) -> usize {
    (epochs / 2).max(1)
}
