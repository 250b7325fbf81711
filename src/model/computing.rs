//! Threads that compute on the CPU, as a run tells of them. Knows nothing of how they are chosen.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Threads that compute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threads {
    /// How many, at least 1.
    pub count: usize,
    /// What decided that.
    pub because: Because,
    /// How they wait for each other between two operations.
    pub waiting: Waiting,
}

/// What decides how many threads compute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The command line.
    CommandLine,
    /// A variable of the environment, set by the user or by a batch system.
    Variable(String),
    /// The processor's physical cores.
    Cores,
    /// The affinity mask: the process may not run on the other processors.
    Affinity,
    /// The control group's share of processor time.
    Quota,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommandLine => "--threads",
            Self::Variable(name) => name,
            Self::Cores => "physical cores",
            Self::Affinity => "affinity mask",
            Self::Quota => "cgroup quota",
        })
    }
}

/// How threads wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// They look for a fraction of a millisecond, then sleep: what else runs here gets the
    /// processor.
    Passive,
    /// They look for milliseconds: right where nothing else runs.
    Spinning,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passive => "asleep while they wait",
            Self::Spinning => "spinning while they wait",
        })
    }
}
