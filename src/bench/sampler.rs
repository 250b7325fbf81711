//! The alias table and an epoch's draws, at any size.

use super::{BenchError, peak_memory_mib};
use crate::importance::{AliasTable, EpochPlan};
use crate::stream::{Purpose, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SamplerFigures {
    /// Weights, and draws.
    pub samples: usize,
    /// Seconds to build the table.
    pub build_s: f64,
    /// Seconds to draw as many as there are samples.
    pub draw_s: f64,
    /// Draws a second, the table's building included: what a peer's one call does.
    pub draws_per_s: f64,
    /// Largest memory of the process, in MiB.
    pub peak_mib: f64,
}

/// Builds a table of `samples` random weights and draws an epoch from it.
///
/// # Errors
/// When there are no samples, or more than a table holds.
pub fn sampler(samples: usize) -> Result<SamplerFigures, BenchError> {
    let mut rng = stream(1, Purpose::Init, 0);
    let weights: Vec<f64> = (0..samples).map(|_| rng.random()).collect();
    let began = Instant::now();
    let table = AliasTable::new(&weights)?;
    let build_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let plan = EpochPlan::multinomial(Arc::new(table), 1, 1);
    for draws in plan.blocks() {
        std::hint::black_box(draws.last());
    }
    let draw_s = began.elapsed().as_secs_f64();
    Ok(SamplerFigures {
        samples,
        build_s,
        draw_s,
        draws_per_s: samples as f64 / (build_s + draw_s),
        peak_mib: peak_memory_mib(),
    })
}
