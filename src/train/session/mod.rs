//! The state machine of a run: `Pretrain -> Weigh -> Biased -> Done`, with pause laid over any of
//! them. One [`Session::advance`] is one training step, one batch of an evaluation, or one boundary
//! between epochs; commands are applied in between. Knows no thread, no channel and no file.

mod commands;
mod evaluation;
mod finite;
mod restore;
mod samples;
mod stepping;

use self::evaluation::{Evaluation, HeldBack};
use self::finite::Footings;
use self::samples::{Due, Planned, Samples, phase_of};
pub use self::samples::{Pictures, SampleSheet};
use self::stepping::Meter;
use super::batches::DeviceSplit;
use super::checkpoint::RestoreError;
use super::feed::Feed;
use super::optimizer::Sgd;
use super::step::{forward_loss, read_observations};
use super::sums::Sum;
use crate::config::{Precision, RunConfig};
use crate::data::{Dataset, Identity};
use crate::importance::{EpochPlan, Probabilities, Sampler};
use crate::model::{
    Init, Misfits, Mode, Model, NamedTensor, device, kernels, sha256, threads_in_use,
};
use crate::protocol::{
    Cause, DataSummary, Effective, End, Event, ModelSummary, Phase, Stop, Topic,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde_json::Value;
use std::sync::Arc;
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
        "model.init does not fit the model: {0}\n  Its architecture, channels and classes must be \
         the run's."
    )]
    Initial(Misfits),
    /// A checkpoint does not fit.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// What one [`Session::advance`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A training step.
    Step,
    /// A batch of an evaluation or of a scoring pass.
    Evaluated,
    /// The last batch of an evaluation: an epoch is over.
    EpochEnd,
    /// A boundary was passed: weights, plan, phase.
    Boundary,
    /// Nothing: the session waits for `resume`.
    Paused,
    /// Nothing: the session is over.
    Finished,
}

/// A run in progress.
#[derive(Debug)]
pub struct Session {
    config: RunConfig,
    device: Device,
    /// None only while the optimizer has it.
    model: Option<Model>,
    optimizer: Sgd,
    train: Feed,
    /// What epochs are measured on: the test set, or a validation split.
    measured: Feed,
    measured_labels: Vec<u32>,
    /// The test set, where epochs are measured on a validation split.
    held_back: Option<HeldBack>,
    samples: Samples,
    /// What all of the data is.
    data: Identity,
    /// Sampler to go back to with `bias on`.
    preferred: Sampler,
    stage: Stage,
    /// Completed epochs, c.
    completed: usize,
    samples_drawn: u64,
    /// What it waits for, while it is paused.
    paused: Option<Cause>,
    /// A person was told of a loss that is not finite and resumed all the same.
    not_finite_accepted: bool,
    /// Where the loss was last known to be finite.
    footings: Footings,
    /// Steps of this epoch before this one are made one by one, each looked at before it is kept.
    careful_until: usize,
    stop: Option<Stop>,
    outbox: Vec<Event>,
    best: Best,
    meter: Meter,
    started: Instant,
    /// Time of the run before this session, when it goes on from a checkpoint.
    earlier: Duration,
}

#[derive(Debug)]
enum Stage {
    /// Between two epochs.
    Boundary,
    /// A pass over the training set that records what the model says now.
    Scoring {
        at: usize,
        observations: Vec<Tensor<2>>,
    },
    Training(Box<Epoch>),
    Evaluating(Box<Epoch>, Box<Evaluation>),
    /// The last epoch is over; the test set that was kept back is read.
    Testing(Box<Evaluation>),
    Done,
}

#[derive(Clone, Debug)]
struct Epoch {
    phase: Phase,
    plan: Arc<EpochPlan>,
    q: Arc<Probabilities>,
    step: usize,
    steps: usize,
    observations: Vec<Tensor<2>>,
    /// Of the steps whose losses were read.
    total: Sum,
    began: Instant,
    waited: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Best {
    accuracy: f64,
    epoch: usize,
    last: f64,
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
        kernels::set_cuda_math(device, config.train.tf32, config.train.cudnn_benchmark);
        let identity = Identity::of(&data);
        let classes = data.classes.len();
        let mut init = Init::new(config.seed, config.train.precision, device);
        let model = Model::new(config.model.name, data.shape[0], classes, &mut init);
        let model = if initial.is_empty() {
            model
        } else {
            model.with_state(initial, device).map_err(TrainError::Initial)?
        };
        let mean_std = data.mean_std();
        let feed = |split| Feed::Resident(DeviceSplit::new(&data, split, &mean_std, device));
        let (train, test) = (feed(&data.train), feed(&data.test));
        let held_out = &data.validation;
        let (measured, measured_labels, held_back) = if held_out.is_empty() {
            (test, data.test.labels.clone(), None)
        } else {
            let held_back = HeldBack {
                test,
                labels: data.test.labels.clone(),
                best: Vec::new(),
                best_is_tested: false,
                tested_at: None,
            };
            (feed(held_out), held_out.labels.clone(), Some(held_back))
        };
        let started = Event::RunStarted {
            run: config.name.clone(),
            config: Box::new(config.clone()),
            data: DataSummary {
                name: data.name.clone(),
                train: n,
                test: data.test.len(),
                validation: data.validation.len(),
                classes: data.classes.clone(),
                counts: data.train.class_counts(classes),
                shape: data.shape,
                sha256: identity.sha256(),
            },
            model: ModelSummary { name: model.name().into(), parameters: model.parameters() },
            device: device_name.to_owned(),
            versions: device::versions(),
            threads: threads_in_use().cloned(),
        };
        let preferred = match config.importance.sampler {
            Sampler::Uniform => Sampler::Biased,
            other => other,
        };
        Ok(Self {
            optimizer: Sgd::new(&config.train),
            samples: Samples::new(data.train.labels, classes, data.flipped),
            device: device.clone(),
            model: Some(model),
            train,
            measured,
            measured_labels,
            held_back,
            data: identity,
            preferred,
            stage: Stage::Boundary,
            completed: 0,
            samples_drawn: 0,
            paused: None,
            not_finite_accepted: false,
            footings: Footings::default(),
            careful_until: 0,
            stop: None,
            outbox: vec![started],
            best: Best::default(),
            meter: Meter::default(),
            started: Instant::now(),
            earlier: Duration::ZERO,
            config,
        })
    }

    /// Does the next piece of work.
    pub fn advance(&mut self) -> Progress {
        if matches!(self.stage, Stage::Done) {
            return Progress::Finished;
        }
        if self.stop == Some(Stop::Now) {
            self.finish();
            return Progress::Finished;
        }
        if self.paused.is_some() {
            return Progress::Paused;
        }
        match std::mem::replace(&mut self.stage, Stage::Boundary) {
            Stage::Boundary => self.pass_boundary(),
            Stage::Scoring { at, observations } => self.score(at, observations),
            Stage::Training(epoch) => self.train_step(epoch),
            Stage::Evaluating(epoch, evaluation) => self.evaluate(epoch, evaluation),
            Stage::Testing(evaluation) => self.test(evaluation),
            Stage::Done => Progress::Finished,
        }
    }

    /// Everything that happened since this was last called.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.outbox)
    }

    /// Where training is: reads the loss from the device, so ask for it at most ten times a second.
    pub fn step_event(&mut self) -> Option<Event> {
        match &self.stage {
            Stage::Evaluating(_, e) => Some(Event::Evaluating {
                epoch: self.completed + 1,
                done: e.at,
                of: self.measured.len(),
            }),
            Stage::Training(epoch) => {
                let (step, steps) = (epoch.step, epoch.steps);
                let (loss, images_per_s) = self.read_meter()?;
                Some(Event::Step {
                    epoch: self.completed + 1,
                    step,
                    steps,
                    loss,
                    lr: self.meter.lr,
                    images_per_s,
                })
            }
            _ => None,
        }
    }

    /// Whether it waits for `resume`.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some() && self.stop != Some(Stop::Now) && !self.is_finished()
    }

    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// The config as it is now, live changes included.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Completed epochs.
    pub fn completed(&self) -> usize {
        self.completed
    }

    /// Steps done in the epoch in progress; 0 between epochs.
    pub fn step_in_epoch(&self) -> usize {
        match &self.stage {
            Stage::Training(e) | Stage::Evaluating(e, _) => e.step,
            _ => 0,
        }
    }

    /// Seconds that the run has taken, those before a checkpoint included.
    fn seconds(&self) -> f64 {
        (self.earlier + self.started.elapsed()).as_secs_f64()
    }

    /// Whether it ends before the next step because somebody said so.
    pub fn is_stopping_now(&self) -> bool {
        self.stop == Some(Stop::Now) && !self.is_finished()
    }

    /// Whether everything is done that the config asks for: N epochs, and the test set read where
    /// it was kept back.
    pub fn is_complete(&self) -> bool {
        let tested = self.held_back.as_ref().is_none_or(|h| h.tested_at == Some(self.completed));
        tested && self.is_after(self.config.train.epochs)
    }

    /// Whether the next [`advance`](Self::advance) ends it.
    pub fn is_ending(&self) -> bool {
        let paused = self.paused.is_some();
        self.is_stopping_now() || !paused && (self.is_complete() || self.is_stop_due())
    }

    /// Whether a stop that waited for the end of an epoch is due, before N.
    fn is_stop_due(&self) -> bool {
        let due = match self.stop {
            Some(Stop::AtEpoch(epoch)) => self.is_after(epoch),
            Some(Stop::AfterEpoch) => self.is_after(0),
            Some(Stop::Now) | None => false,
        };
        due && self.completed < self.config.train.epochs
    }

    /// Whether it stands between two epochs, with so many completed or more.
    fn is_after(&self, epochs: usize) -> bool {
        matches!(self.stage, Stage::Boundary) && self.completed >= epochs
    }

    fn model(&self) -> &Model {
        self.model.as_ref().expect("a step that broke off is undone before anything else")
    }

    /// Parameters and running statistics by name.
    pub fn state(&self) -> Vec<NamedTensor> {
        self.model().state()
    }

    /// Weights where they are due, the end where it is, else the plan of the next epoch.
    fn pass_boundary(&mut self) -> Progress {
        let epoch = self.completed + 1;
        if self.completed >= self.config.train.epochs && self.begin_test() {
            return Progress::Boundary;
        }
        if self.is_complete() || self.is_stop_due() {
            self.finish();
            return Progress::Finished;
        }
        match self.samples.due(&self.config.importance, self.completed) {
            Due::Nothing => {}
            Due::Scoring => {
                self.samples.begin_scoring();
                self.stage = Stage::Scoring { at: 0, observations: Vec::new() };
                return Progress::Boundary;
            }
            Due::Weights => {
                if !self.weigh() {
                    return Progress::Boundary; // paused, with the reason
                }
            }
        }
        let phase = phase_of(&self.config, epoch);
        let Planned { plan, q, .. } = self.samples.plan(&self.config, epoch);
        self.outbox.push(Event::Phase { epoch, phase });
        let epoch = Box::new(Epoch {
            phase,
            plan,
            q,
            step: 0,
            steps: self.config.train.steps_per_epoch(self.train.len()),
            observations: Vec::new(),
            total: Sum::default(),
            began: Instant::now(),
            waited: 0.0,
        });
        self.careful_until = 0;
        self.stand_on(&epoch);
        self.stage = Stage::Training(epoch);
        Progress::Boundary
    }

    /// Computes the weights; false when that is impossible and the session waits instead.
    fn weigh(&mut self) -> bool {
        match self.samples.weigh(&self.config.importance, self.completed) {
            Ok(told) => {
                self.outbox.extend(told);
                true
            }
            Err(e) => {
                self.config.importance.sampler = Sampler::Uniform;
                let reason = format!(
                    "no weights can be computed: {e}. Resuming trains on uniformly; a smaller \
                     train.lr usually prevents this."
                );
                self.pause(Cause::NotFinite, Some(reason));
                false
            }
        }
    }

    /// One batch of the scoring pass; the last one gives the weights.
    fn score(&mut self, at: usize, mut observations: Vec<Tensor<2>>) -> Progress {
        let end = (at + self.config.train.eval_batch_size).min(self.train.len());
        let (images, labels) = self.train.range(at..end);
        let logits = self.model().valid().forward(images, Mode::Evaluate);
        observations.push(forward_loss(logits, labels, 0.0, None).observations);
        if end < self.train.len() {
            self.stage = Stage::Scoring { at: end, observations };
            return Progress::Evaluated;
        }
        self.samples.record_scores(&read_observations(observations));
        self.weigh();
        Progress::Evaluated
    }

    /// What became of every sample, when there is news of that: with the weights, and at the end of
    /// each epoch after.
    pub fn take_samples(&mut self) -> Option<SampleSheet> {
        self.samples.take_sheet(&self.config.importance.shaping(), &self.train)
    }

    fn finish(&mut self) {
        let end = if self.is_complete() { End::Complete } else { End::Stopped };
        self.stage = Stage::Done;
        self.paused = None;
        self.outbox.push(Event::Finished {
            epochs: self.completed,
            best_accuracy: self.best.accuracy,
            best_epoch: self.best.epoch,
            final_accuracy: self.best.last,
            seconds: self.seconds(),
            parameters_sha256: sha256(&self.state()),
            end,
        });
    }

    fn in_epoch(&self) -> bool {
        matches!(self.stage, Stage::Training(_) | Stage::Evaluating(..))
    }

    fn position(&self) -> (usize, usize) {
        match &self.stage {
            Stage::Training(e) | Stage::Evaluating(e, _) => (self.completed + 1, e.step),
            _ => (self.completed, 0),
        }
    }

    /// Pauses, and says why.
    pub fn pause(&mut self, cause: Cause, reason: Option<String>) {
        self.paused = Some(cause);
        let (epoch, step) = self.position();
        self.outbox.push(Event::Paused { epoch, step, reason, cause });
    }

    /// Tells the epoch in progress how long nothing was done.
    pub fn waited(&mut self, seconds: f64) {
        if let Stage::Training(e) | Stage::Evaluating(e, _) = &mut self.stage {
            e.waited += seconds;
        }
    }

    fn changed(&mut self, key: impl Into<Topic>, old: Value, new: Value, effective: Effective) {
        let (epoch, step) = self.position();
        self.outbox.push(Event::Changed { epoch, step, key: key.into(), old, new, effective });
    }

    fn refuse(&mut self, key: impl Into<Topic>, value: Value, reason: &str) {
        self.outbox.push(Event::Refused { key: key.into(), value, reason: reason.into() });
    }
}
