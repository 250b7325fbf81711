//! What is known of single samples: read from the run's directory, away from the loop that draws.

use crate::importance::{Histogram, Sample};
use crate::run::{RunDirectory, read_samples};
use crate::train::Pictures;
use std::io;

/// Bins of the histograms by class, as many as those of all samples.
const BINS: usize = 40;

/// The samples that there are pictures of, and the histograms of each class.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// Samples with pictures.
    pub samples: Vec<Sample>,
    /// Their pictures.
    pub pictures: Pictures,
    /// Counts of weights over [0, 1], of each class.
    pub weights: Vec<Vec<u64>>,
    /// Counts of expected draws over 0 to the most that a sample expects, of each class.
    pub draws: Vec<Vec<u64>>,
}

impl Sheet {
    /// As the run in `directory` has it now; `None` before there were weights.
    ///
    /// # Errors
    /// When a file cannot be read, or is not what was written.
    pub fn load(directory: &RunDirectory, classes: usize) -> io::Result<Option<Self>> {
        Ok(read_samples(directory)?.map(|sheet| Self::of(&sheet.samples, sheet.pictures, classes)))
    }

    /// Of all samples and the pictures of some.
    pub fn of(all: &[Sample], pictures: Pictures, classes: usize) -> Self {
        let n = all.len() as f64;
        let expected = |s: &Sample| (n * s.probability) as f32;
        let most_drawn = all.iter().map(expected).fold(0.0, f32::max);
        let mut weights = vec![Vec::new(); classes];
        let mut draws = vec![Vec::new(); classes];
        for sample in all.iter().filter(|s| (s.class as usize) < classes) {
            weights[sample.class as usize].push(sample.weight);
            draws[sample.class as usize].push(expected(sample));
        }
        let counts = |values: Vec<Vec<f32>>, high: f32| -> Vec<Vec<u64>> {
            values.iter().map(|v| Histogram::over(v, 0.0, high, BINS).counts).collect()
        };
        let samples = all.iter().filter(|s| pictures.of(s.index).is_some()).cloned().collect();
        Self { samples, pictures, weights: counts(weights, 1.0), draws: counts(draws, most_drawn) }
    }
}
