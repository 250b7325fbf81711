//! The state machine of a run: `Pretrain -> Weigh -> Biased -> Done`, with pause laid over any of them.
//! One [`Session::advance`] is one training step, one batch of an evaluation, or one boundary between epochs;
//! commands are applied in between. Knows no thread, no channel and no file.

mod bias;
mod commands;
mod evaluation;
mod finite;
mod restore;

use self::evaluation::Evaluation;
use self::finite::Footings;
use super::batches::DeviceSplit;
use super::checkpoint::RestoreError;
use super::optimizer::Sgd;
use super::schedule::Schedule;
use super::step::forward_loss;
use crate::config::RunConfig;
use crate::data::{Augment, Dataset};
use crate::importance::{EpochPlan, Probabilities, Recorder, Sampler, Weights, Window};
use crate::model::{Mode, Model, NamedTensor, device, sha256};
use crate::protocol::{Cause, DataSummary, Event, ModelSummary, Phase, Stop};
use crate::stream::fork_seed;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a session cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data has fewer samples than a batch needs.
    #[error(
        "{samples} training samples are too few: batch norm needs at least 2 in every batch\n  Raise data.train_limit or data.class_counts."
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
    model: Model,
    optimizer: Sgd,
    train: DeviceSplit,
    test: DeviceSplit,
    labels: Vec<u32>,
    /// Labels that were flipped on purpose, shape `[n]`, or empty.
    flipped: Vec<bool>,
    test_labels: Vec<u32>,
    classes: usize,
    recorder: Recorder,
    /// What the biased epochs draw by; `None` until E.
    importance: Option<Importance>,
    /// Epoch whose end `importance` was computed at.
    weighed_at: usize,
    /// Sampler to go back to with `bias on`.
    preferred: Sampler,
    rescore: bool,
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
struct Importance {
    weights: Weights,
    /// Samples with `p < 0.1` when the weights were computed.
    hard: Vec<bool>,
    /// Samples that the model confidently called another class: maybe wrong labels.
    suspect: Vec<bool>,
    /// Samples drawn since then.
    drawn_since: Vec<bool>,
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
    loss: f64,
    began: Instant,
    waited: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Best {
    accuracy: f64,
    epoch: usize,
    last: f64,
}

/// Losses on the device and the time since they were read.
#[derive(Debug, Default)]
struct Meter {
    loss: Option<Tensor<1>>,
    images: usize,
    seconds: f64,
    lr: f64,
}

impl Session {
    /// A session at its beginning; its first event is `run_started`. `device_name` is what a person calls the device.
    ///
    /// # Errors
    /// [`TrainError`] when the data cannot be trained on.
    pub fn new(config: RunConfig, data: Dataset, device: &Device, device_name: &str) -> Result<Self, TrainError> {
        let n = data.train.len();
        if n < 2 {
            return Err(TrainError::TooFewSamples { samples: n });
        }
        if u32::try_from(n).is_err() {
            return Err(TrainError::TooManySamples { samples: n });
        }
        let classes = data.classes.len();
        let model = Model::new(config.model.name, data.shape[0], classes, config.seed, device);
        let mean_std = data.mean_std();
        let train = DeviceSplit::new(&data, &data.train, &mean_std, device);
        let test = DeviceSplit::new(&data, &data.test, &mean_std, device);
        let started = Event::RunStarted {
            run: config.name.clone(),
            config: Box::new(config.clone()),
            data: DataSummary {
                name: data.name.clone(),
                train: n,
                test: data.test.len(),
                classes: data.classes.clone(),
                counts: data.train.class_counts(classes),
                shape: data.shape,
            },
            model: ModelSummary { name: model.name().into(), parameters: model.parameters() },
            device: device_name.to_owned(),
            versions: device::versions(),
        };
        let preferred = match config.importance.sampler {
            Sampler::Uniform => Sampler::Biased,
            other => other,
        };
        Ok(Self {
            optimizer: Sgd::new(&config.train),
            recorder: Recorder::new(n, classes),
            device: device.clone(),
            model,
            train,
            test,
            labels: data.train.labels,
            flipped: data.flipped,
            test_labels: data.test.labels,
            classes,
            importance: None,
            weighed_at: 0,
            preferred,
            rescore: false,
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
            self.finish(true);
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
            Stage::Evaluating(_, e) => Some(Event::Evaluating { epoch: self.completed + 1, done: e.at, of: self.test.len() }),
            Stage::Training(epoch) => {
                let (step, steps) = (epoch.step, epoch.steps);
                let (loss, images_per_s) = self.read_meter()?;
                Some(Event::Step { epoch: self.completed + 1, step, steps, loss, lr: self.meter.lr, images_per_s })
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

    /// Parameters and running statistics by name.
    pub fn state(&self) -> Vec<NamedTensor> {
        self.model.state()
    }

    /// Weights where they are due, the end where it is, else the plan of the next epoch.
    fn pass_boundary(&mut self) -> Progress {
        let epoch = self.completed + 1;
        let enough = match self.stop {
            Some(Stop::AtEpoch(epoch)) => self.completed >= epoch,
            stop => stop == Some(Stop::AfterEpoch),
        };
        if self.completed >= self.config.train.epochs || enough {
            let early = self.completed < self.config.train.epochs;
            self.finish(early);
            return Progress::Finished;
        }
        let c = &self.config.importance;
        let pretraining = self.completed < c.pretrain_epochs;
        if !pretraining {
            let every = c.rescore_every;
            let due = every > 0
                && self.importance.is_some()
                && self.completed > self.weighed_at
                && (self.completed - self.weighed_at).is_multiple_of(every);
            let rescore = self.rescore || due;
            if rescore || (self.importance.is_none() && c.window == Window::Fresh && c.pretrain_epochs > 0) {
                self.rescore = false;
                self.recorder.clear();
                self.stage = Stage::Scoring { at: 0, observations: Vec::new() };
                return Progress::Boundary;
            }
            if self.importance.is_none() && !self.weigh() {
                return Progress::Boundary; // paused, with the reason
            }
        }
        let phase = self.phase_of(epoch);
        let (plan, q) = self.plan(epoch, phase);
        self.outbox.push(Event::Phase { epoch, phase });
        let steps = self.train.len().div_ceil(self.config.train.batch_size);
        let epoch = Box::new(Epoch {
            phase,
            plan: Arc::new(plan),
            q: Arc::new(q),
            step: 0,
            steps: self.whole_steps(steps),
            observations: Vec::new(),
            loss: 0.0,
            began: Instant::now(),
            waited: 0.0,
        });
        self.careful_until = 0;
        self.stand_on(&epoch);
        self.stage = Stage::Training(epoch);
        Progress::Boundary
    }

    /// Seed of what an epoch draws: a fork's own.
    fn draw_seed(&self) -> u64 {
        fork_seed(self.config.seed, self.config.fork)
    }

    /// Steps of an epoch: a last batch of one sample (batch norm cannot train on it) joins the one before.
    fn whole_steps(&self, steps: usize) -> usize {
        let rest = self.train.len() % self.config.train.batch_size;
        if rest == 1 && steps > 1 { steps - 1 } else { steps }
    }

    fn train_step(&mut self, mut epoch: Box<Epoch>) -> Progress {
        let began = Instant::now();
        let batch_size = self.config.train.batch_size;
        let from = epoch.step * batch_size;
        let to = if epoch.step + 1 == epoch.steps { self.train.len() } else { from + batch_size };
        let number = self.completed + 1;
        let drawn = &epoch.plan.draws()[from..to];
        let crops = Augment::from_config(&self.config.data).map(|a| a.crops(self.draw_seed(), number as u64, from..to));
        let (images, labels) = self.train.batch(drawn, crops.as_deref());
        let factors = self.factors(&epoch, drawn);

        let logits = self.model.forward(images, Mode::Train);
        let out = forward_loss(logits, labels, self.config.train.label_smoothing, factors);
        let gradients = GradientsParams::from_grads(out.loss.backward(), &self.model);
        let lr = Schedule::new(&self.config.train, epoch.steps).at(self.completed * epoch.steps + epoch.step);
        self.model = self.optimizer.step(lr, self.model.clone(), gradients);

        let b = to - from;
        let loss = out.loss.without_autodiff();
        let careful = epoch.step < self.careful_until;
        if careful {
            let loss = loss.into_scalar::<f32>();
            if let Some(what) = self.fault_of_step(loss) {
                self.refuse_step(&what, epoch.step);
                return Progress::Step;
            }
            epoch.loss += f64::from(loss) * b as f64;
        } else {
            let loss = loss * b as f64;
            self.meter.loss = Some(match self.meter.loss.take() {
                Some(sum) => sum + loss,
                None => loss,
            });
            self.meter.images += b;
        }
        self.meter.lr = lr;
        self.meter.seconds += began.elapsed().as_secs_f64();
        epoch.observations.push(out.observations);
        epoch.step += 1;
        self.samples_drawn += b as u64;
        if careful {
            self.stand_on(&epoch);
        }
        if epoch.step < epoch.steps {
            self.stage = Stage::Training(epoch);
            return Progress::Step;
        }
        self.stage = Stage::Training(epoch);
        if let Some(event) = self.step_event() {
            self.outbox.push(event);
        }
        if self.epoch_is_sound()
            && let Stage::Training(epoch) = std::mem::replace(&mut self.stage, Stage::Boundary)
        {
            self.stage = self.evaluation_of(epoch);
        }
        Progress::Step
    }

    fn finish(&mut self, stopped: bool) {
        self.stage = Stage::Done;
        self.paused = None;
        self.outbox.push(Event::Finished {
            epochs: self.completed,
            best_accuracy: self.best.accuracy,
            best_epoch: self.best.epoch,
            final_accuracy: self.best.last,
            seconds: self.seconds(),
            parameters_sha256: sha256(&self.state()),
            stopped,
        });
    }

    /// Mean loss and throughput since the last reading; `None` when no step was made since, or when training went back because
    /// the loss is not finite.
    fn read_meter(&mut self) -> Option<(f64, f64)> {
        let sum = f64::from(self.meter.loss.take()?.into_scalar::<f32>());
        let (images, seconds) = (self.meter.images as f64, self.meter.seconds.max(1e-9));
        (self.meter.images, self.meter.seconds) = (0, 0.0);
        if !sum.is_finite() && self.go_back() {
            return None;
        }
        if let Stage::Training(mut epoch) = std::mem::replace(&mut self.stage, Stage::Boundary) {
            epoch.loss += sum;
            self.stand_on(&epoch);
            self.stage = Stage::Training(epoch);
        }
        Some((sum / images, images / seconds))
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

    fn changed(&mut self, key: &str, old: Value, new: Value, effective: &str) {
        let (epoch, step) = self.position();
        self.outbox.push(Event::Changed { epoch, step, key: key.into(), old, new, effective: effective.into() });
    }

    fn refuse(&mut self, key: &str, value: Value, reason: &str) {
        self.outbox.push(Event::Refused { key: key.into(), value, reason: reason.into() });
    }

    fn warn(&mut self, code: &str, text: String) {
        self.outbox.push(Event::Warning { code: code.into(), text });
    }
}
