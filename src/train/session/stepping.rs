//! One step of training: images, forward pass, loss, backward pass, update; and the losses that are
//! read now and then.

use super::samples::draw_seed;
use super::{Epoch, Progress, Session, Stage};
use crate::data::Augment;
use crate::model::{Mode, kernels};
use crate::protocol::{Phase, StepTimes};
use crate::train::feed::{Batch, Order};
use crate::train::schedule::Schedule;
use crate::train::step::forward_loss;
use crate::train::sums::{Sum, Sums};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use std::time::Instant;

/// Tells how long it is since it was last asked.
struct Lap(Instant);

impl Lap {
    fn seconds(&mut self) -> f64 {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.0, now)).as_secs_f64()
    }
}

/// Losses on the device and the time since they were read.
#[derive(Debug, Default)]
pub(super) struct Meter {
    losses: Sums,
    seconds: f64,
    pub(super) lr: f64,
    times: StepTimes,
    /// Of the epoch in progress.
    epoch_times: StepTimes,
}

impl Session {
    /// Where the time of the steps since the last call went, in seconds.
    pub fn take_step_times(&mut self) -> StepTimes {
        std::mem::take(&mut self.meter.times)
    }

    /// The same of the steps of this epoch; the next one begins with zeros.
    pub(super) fn take_epoch_times(&mut self) -> StepTimes {
        std::mem::take(&mut self.meter.epoch_times)
    }

    pub(super) fn train_step(&mut self, mut epoch: Box<Epoch>) -> Progress {
        let began = Instant::now();
        let (mut lap, mut times) = (Lap(began), StepTimes::default());
        let order = Order {
            plan: &epoch.plan,
            batch_size: self.config.train.batch_size,
            steps: epoch.steps,
            augment: Augment::from_config(&self.config.data),
            seed: draw_seed(&self.config),
            epoch: self.completed + 1,
        };
        let Batch { drawn, images, labels } = self.train.batch(&order, epoch.step);
        let (b, factors) = (drawn.len(), self.factors(&epoch, &drawn));
        times.data = lap.seconds();

        let logits = self.model().forward(images, Mode::Train);
        let out = forward_loss(logits, labels, self.config.train.label_smoothing, factors);
        times.forward = lap.seconds();
        let gradients = GradientsParams::from_grads(out.loss.backward(), self.model());
        times.backward = lap.seconds();
        let lr = Schedule::new(&self.config.train, epoch.steps)
            .at(self.completed * epoch.steps + epoch.step);
        // Moved, not cloned: parameters that nobody else holds are updated in place.
        self.model = self.model.take().map(|model| self.optimizer.step(lr, model, gradients));
        times.optimizer = lap.seconds();

        let loss = out.loss.without_autodiff();
        let careful = epoch.step < self.careful_until;
        if careful {
            let loss = loss.into_scalar::<f32>();
            if let Some(what) = self.fault_of_step(loss) {
                self.refuse_step(&what, epoch.step);
                return Progress::Step;
            }
            epoch.total += Sum::of(loss, b);
        } else {
            self.meter.losses.add(loss, b);
        }
        self.meter.lr = lr;
        epoch.observations.push(out.observations);
        times.bookkeeping = lap.seconds();
        self.meter.times += times;
        self.meter.epoch_times += times;
        self.meter.seconds += began.elapsed().as_secs_f64();
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

    /// Factors on the losses of the drawn samples, shape `[b]`; `None` when all are 1.
    fn factors(&self, epoch: &Epoch, drawn: &[u32]) -> Option<Tensor<1>> {
        let k = self.config.importance.reweight;
        (k > 0.0 && epoch.phase == Phase::Biased).then(|| {
            let factors = epoch.q.loss_factors(drawn, k);
            kernels::numbers(&factors, [factors.len()], &self.device)
        })
    }

    /// Mean loss and throughput since the last reading; `None` when no step was made since, or when
    /// training went back because the loss is not finite.
    pub(super) fn read_meter(&mut self) -> Option<(f64, f64)> {
        let asked = Instant::now();
        let sum = self.meter.losses.read()?;
        // What the device still had to do belongs to the steps that asked for it.
        let waited = StepTimes { waiting: asked.elapsed().as_secs_f64(), ..StepTimes::default() };
        self.meter.times += waited;
        self.meter.epoch_times += waited;
        self.meter.seconds += waited.waiting;
        let rate = sum.samples as f64 / self.meter.seconds.max(1e-9);
        self.meter.seconds = 0.0;
        if !sum.is_finite() && self.go_back() {
            return None;
        }
        if let Stage::Training(mut epoch) = std::mem::replace(&mut self.stage, Stage::Boundary) {
            epoch.total += sum;
            self.stand_on(&epoch);
            self.stage = Stage::Training(epoch);
        }
        Some((sum.mean(), rate))
    }
}
