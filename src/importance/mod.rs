//! The method in plain Rust: slices in, slices out.
//! Knows no tensor library, no file, no terminal and no clock.
//!
//! One pretraining epoch after another the [`Recorder`] takes an [`Observation`] per drawn sample;
//! once, at E, its means become [`Weights`] (`w = 1 - p` in the paper); [`Probabilities`] shape
//! them into `q`; an [`AliasTable`] draws from `q`; an [`EpochPlan`] is one epoch of draws.
//! [`Histogram`], [`balance`] and the figures of [`EpochPlan`] are what a person is shown; the
//! [`Ledger`] keeps what became of each [`Sample`]; [`settled`] says whether E has come.

mod alias;
pub mod balance;
mod correction;
mod histogram;
mod ledger;
mod metric;
mod plan;
mod probabilities;
mod recorder;
mod samplers;
mod samples;
mod settled;
mod weights;

pub use alias::{AliasError, AliasTable};
pub use correction::{Adjust, AdjustFrom, ClassWeights, log_prior, margins, shares_of};
pub use histogram::{Histogram, Quartiles};
pub use ledger::{LastSeen, Ledger};
pub use metric::{METRICS, Metric, Observation};
pub use plan::{Draw, EpochPlan};
pub use probabilities::{Level, Probabilities, Shaping};
pub use recorder::{Recorder, Window};
pub use samplers::{Population, Sampler, Sampling, Shaped};
pub use samples::{PICKS, Pick, Sample, pictured, samples};
pub use settled::{Auto, Ended, rank_correlation, settled};
pub use weights::{Weights, WeightsError};
