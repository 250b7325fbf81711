//! A session at its beginning: data and model are brought to the device. Knows nothing of
//! checkpoints.

use super::epoch::Place;
use super::evaluator::{Evaluator, TestSet};
use super::learned::{Learned, Trained};
use super::meter::Meter;
use super::parts::Parts;
use super::samples::Samples;
use super::{Session, Stage};
use crate::config::{CudaGraph, Precision, RunConfig};
use crate::data::{Dataset, Identity, Split};
use crate::importance::Sampler;
use crate::model::{FreezeError, Misfits, NamedTensor, device, kernels, threads_in_use};
use crate::protocol::{DataSummary, Event, ModelSummary};
use crate::train::checkpoint::RestoreError;
use crate::train::feed::Feeds;
use crate::train::new_model;
use crate::train::optimizer::Optimizer;
use burn::tensor::Device;
use std::time::{Duration, Instant};

/// Why a session cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data has fewer samples than a batch needs.
    #[error(
        "{samples} training samples are too few: batch norm needs at least 2 in every batch\n  \
         Raise data.train_limit or data.class_counts."
    )]
    TooFewSamples {
        /// How many there are.
        samples: usize,
    },
    /// Samples are numbered in 32 bits.
    #[error("{samples} training samples are more than the 2^32 - 1 that can be numbered")]
    TooManySamples {
        /// How many there are.
        samples: usize,
    },
    /// The device cannot compute so.
    #[error(
        "train.precision = \"bf16\" needs LibTorch (--device cpu or cuda:0): this device computes \
         in fp32 only"
    )]
    Precision,
    /// The values to start from are not this model's.
    #[error(
        "model.init does not fit the model: {0}\n  Its architecture and channels must be the \
         run's; classes may be others."
    )]
    Initial(Misfits),
    /// A part of the model cannot be frozen.
    #[error("train.freeze: {0}")]
    Freeze(#[from] FreezeError),
    /// A checkpoint does not fit.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl Session {
    /// A session at its beginning; its first event is `run_started`. `initial` are the values to
    /// start from (none: by the seed), `device_name` is what a person calls the device.
    ///
    /// # Errors
    /// [`TrainError`] when the data cannot be trained on.
    pub fn new(
        config: RunConfig,
        data: Dataset,
        initial: &[NamedTensor],
        device: &Device,
        device_name: &str,
    ) -> Result<Self, TrainError> {
        let n = data.train.len();
        if n < 2 {
            return Err(TrainError::TooFewSamples { samples: n });
        }
        if u32::try_from(n).is_err() {
            return Err(TrainError::TooManySamples { samples: n });
        }
        if config.train.precision == Precision::Bf16 && !device::computes_bf16(device) {
            return Err(TrainError::Precision);
        }
        let identity = Identity::of(&data);
        let classes = data.classes.len();
        let model = new_model(&config, data.shape[0], classes, device);
        let (model, start) = if initial.is_empty() {
            (model, None)
        } else {
            let started = model.started_from(initial, device).map_err(TrainError::Initial)?;
            (started.0, Some(started.1))
        };
        let model = model.frozen(&config.train.freeze)?;
        let average = (config.train.ema_decay > 0.0).then(|| model.copy());
        let start = start.map(|start| Event::Note { text: format!("model.init: {start}") });
        let feeds = Feeds::new(&data, &config.data, device);
        let feed = |split: &Split| feeds.of(split);
        let test_set =
            |split: &Split| TestSet { images: feed(split), labels: split.labels.clone() };
        let (train, test) = (feed(&data.train), test_set(&data.test));
        let evaluator = if data.validation.is_empty() {
            Evaluator::new(test, None)
        } else {
            Evaluator::new(test_set(&data.validation), Some(test))
        };
        let started = Event::RunStarted {
            run: config.name.clone(),
            config: Box::new(config.clone()),
            data: summary(&data, &identity),
            model: ModelSummary { name: model.name().into(), parameters: model.parameters() },
            device: device_name.to_owned(),
            versions: device::versions(),
            threads: threads_in_use().cloned(),
        };
        // The last bits are other ones than those of the processor's own bodies.
        let forced = kernels::is_device_path_forced().then(|| Event::Warning {
            code: "device_path".into(),
            text: "EARLYBIRD_DEVICE_PATH=1: the processor computes as a GPU is asked to, slower \
                   and with other last bits"
                .into(),
        });
        let preferred = match config.importance.sampler {
            Sampler::Uniform => Sampler::Biased,
            other => other,
        };
        let parts = Parts {
            learned: Learned::new(
                (model, average),
                Optimizer::new(&config.train),
                Trained::default(),
                Place::default(),
            ),
            repeats: config.train.cuda_graph == CudaGraph::Auto && kernels::can_repeat(device),
            repeatable: None,
            feed: train,
            samples: Samples::new(data.train.labels, classes, data.flipped),
            evaluator,
            meter: Meter::default(),
            device: device.clone(),
            data: identity,
            preferred,
            completed: 0,
            paused: None,
            unread: None,
            not_finite_accepted: false,
            slow_feed_told: false,
            stop: None,
            outbox: std::iter::once(started).chain(start).chain(forced).collect(),
            started: Instant::now(),
            earlier: Duration::ZERO,
            config,
        };
        Ok(Self { stage: Stage::Boundary, parts })
    }
}

fn summary(data: &Dataset, identity: &Identity) -> DataSummary {
    DataSummary {
        name: data.name.clone(),
        train: data.train.len(),
        test: data.test.len(),
        validation: data.validation.len(),
        classes: data.classes.clone(),
        counts: data.train.class_counts(data.classes.len()),
        shape: data.shape,
        sha256: identity.sha256(),
    }
}
