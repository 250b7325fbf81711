//! A comparison: several arms of one run, paired by seed. Each seed pretrains once; every arm is forked from that checkpoint
//! into a run of its own, which is trained, kept and resumed like any other. What they reached is put side by side honestly.
//! Knows nothing of screens.

mod arms;
mod outcome;
mod runner;
mod statistics;

pub use arms::{Arm, ArmError, BASELINE, NULL, choose};
pub use outcome::{ArmOutcome, Outcome, Row, SeedOutcome};
pub use runner::{CompareError, Comparison, Hooks, Piece};
pub use statistics::{Difference, Speedup, Spread, speedup};
