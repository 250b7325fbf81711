//! What is known of samples to a checkpoint, and back. Knows nothing of the other parts of one.

use super::{Importance, Samples};
use crate::importance::{Ledger, METRICS, Recorder, Weights};
use crate::train::checkpoint::{Array, Checkpoint, RestoreError, SessionState};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a checkpoint knows of samples, checked.
#[derive(Debug)]
pub(in super::super) struct Known {
    recorder: Recorder,
    ledger: Ledger,
    importance: Option<Arc<Importance>>,
}

impl Samples {
    /// What was recorded, and the weights.
    pub(in super::super) fn recorded_arrays(&self) -> Vec<Array> {
        let (count, sum, last) = self.recorder.parts();
        let mut arrays = vec![
            Array::u32("recorder.count", count.to_vec()),
            Array::metrics("recorder.sum", sum),
            Array::metrics("recorder.last", last),
        ];
        if let Some(i) = &self.importance {
            let (n, weights) = (self.labels.len(), i.weights.values().to_vec());
            arrays.push(Array::f32("importance.weights", vec![n], weights));
            arrays.push(Array::f32("importance.p", vec![n], i.p.clone()));
            arrays.push(Array::flags("importance.suspect", &i.suspect));
        }
        arrays
    }

    /// What became of each sample.
    pub(in super::super) fn ledger_arrays(&self) -> Vec<Array> {
        let n = self.labels.len();
        let (drawn, p, predicted, confidence) = self.ledger.parts();
        vec![
            Array::u32("ledger.drawn", drawn.to_vec()),
            Array::f32("ledger.p", vec![n], p.to_vec()),
            Array::u32("ledger.predicted", predicted.to_vec()),
            Array::f32("ledger.confidence", vec![n], confidence.to_vec()),
        ]
    }

    /// Reads what a checkpoint knows of these samples.
    ///
    /// # Errors
    /// The first array that is missing, has another shape, or holds what is impossible.
    pub(in super::super) fn read(&self, checkpoint: &Checkpoint) -> Result<Known, RestoreError> {
        let (s, n, classes) = (&checkpoint.state, self.labels.len(), self.classes);
        let importance = s.unseen.map(|unseen| importance(checkpoint, n, unseen)).transpose()?;
        let predicted = checkpoint.u32s("ledger.predicted", n)?;
        all("ledger.predicted", predicted, |class| (*class as usize) < classes)?;
        let recorder = Recorder::from_parts(
            classes,
            checkpoint.counts("recorder.count", n)?,
            rows(checkpoint.f32s("recorder.sum", n * METRICS.len())?),
            rows(checkpoint.f32s("recorder.last", n * METRICS.len())?),
            s.recorded_epochs,
        );
        let ledger = Ledger::from_parts(
            checkpoint.counts("ledger.drawn", n)?,
            checkpoint.f32s("ledger.p", n)?.to_vec(),
            checkpoint.counts("ledger.predicted", n)?,
            checkpoint.f32s("ledger.confidence", n)?.to_vec(),
        );
        Ok(Known { recorder, ledger, importance: importance.map(Arc::new) })
    }

    /// Takes on what a checkpoint with this state knew.
    pub(in super::super) fn adopt(&mut self, known: Known, state: &SessionState) {
        let Known { recorder, ledger, importance } = known;
        (self.recorder, self.ledger, self.importance) = (recorder, ledger, importance);
        (self.weighed_at, self.rescore) = (state.weighed_at, state.rescore);
        // Who died may not have written the last one.
        self.sheet_is_due = self.importance.is_some();
    }

    /// SHA-256 of the labels.
    pub(in super::super) fn labels_sha256(&self) -> String {
        let mut hasher = Sha256::new();
        self.labels.iter().for_each(|l| hasher.update(l.to_le_bytes()));
        hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

fn importance(
    checkpoint: &Checkpoint,
    n: usize,
    unseen: usize,
) -> Result<Importance, RestoreError> {
    let p = checkpoint.f32s("importance.p", n)?;
    all("importance.p", p, |p| p.is_nan() || (0.0..=1.0).contains(p))?;
    let weights = Weights::restored(checkpoint.f32s("importance.weights", n)?.to_vec(), unseen)
        .map_err(|_| RestoreError::Array("importance.weights".into()))?;
    let suspect = checkpoint.u32s("importance.suspect", n)?;
    let suspect = suspect.iter().map(|v| *v != 0).collect();
    Ok(Importance { weights, p: p.to_vec(), suspect })
}

/// Whether all values of an array are possible.
pub(in super::super) fn all<T>(
    name: &str,
    values: &[T],
    is_possible: impl Fn(&T) -> bool,
) -> Result<(), RestoreError> {
    let fits = values.iter().all(is_possible);
    if fits { Ok(()) } else { Err(RestoreError::Array(name.to_owned())) }
}

fn rows(flat: &[f32]) -> Vec<[f32; METRICS.len()]> {
    flat.as_chunks::<{ METRICS.len() }>().0.to_vec()
}
