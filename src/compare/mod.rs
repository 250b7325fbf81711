//! A comparison: several arms of one run, paired by seed. Each seed pretrains once; every arm is
//! forked from that checkpoint into a run of its own, which is trained, kept and resumed like any
//! other. What they reached is put side by side honestly. Knows nothing of screens.

mod arms;
mod design;
mod finding;
#[cfg(test)]
pub(crate) mod fixture;
mod outcome;
mod race;
mod runner;
mod statistics;
mod text;

pub use arms::{Arm, ArmError, BASELINE, NULL, choose};
pub use design::{Design, OUTCOME, PRETRAIN, Piece, is_comparison};
pub use finding::{Finding, Side, Standing, Verdict};
pub use outcome::{ArmOutcome, Outcome, Row, SeedOutcome, Tested};
pub use race::{ArmProgress, Entry, Race};
pub use runner::{CompareError, Comparison, Said, Stopper};
pub use statistics::{Difference, Speedup, Spread, holm, not_far_out, points, speedup};
