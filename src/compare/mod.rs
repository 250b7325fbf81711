//! A comparison: several arms of one run, paired by seed. Each seed pretrains once; every arm is
//! forked from that checkpoint into a run of its own, which is trained, kept and resumed like any
//! other. What they reached is put side by side honestly. Knows nothing of screens.

mod arms;
mod design;
mod outcome;
mod race;
mod runner;
mod statistics;

pub use arms::{Arm, ArmError, BASELINE, NULL, choose};
pub use design::{Design, OUTCOME, PRETRAIN, Piece, is_comparison};
pub use outcome::{ArmOutcome, Outcome, Row, SeedOutcome, Tested};
pub use race::{ArmProgress, Entry, Race};
pub use runner::{CompareError, Comparison, Said, Stopper};
pub use statistics::{Difference, Speedup, Spread, points, speedup};
