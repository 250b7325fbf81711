//! What is learned: the model, an average of it, its optimizer, and the last states to go back to
//! when losses turn out not to be finite. Knows nothing of where batches come from, of events or of
//! commands.

use super::epoch::Place;
use crate::config::TrainConfig;
use crate::model::kernels::{Held, Numbers, StepNumbers};
use crate::model::{Misfits, Mode, Model, NamedTensor, Unread};
use crate::train::optimizer::{Optimizer, Settings};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use std::sync::atomic::{AtomicU64, Ordering};

/// How much a model was trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trained {
    /// Samples, each as often as it was drawn.
    pub(super) samples: u64,
    /// Steps of its optimizer.
    pub(super) steps: u64,
}

/// What every step changes.
#[derive(Debug)]
struct Changed {
    model: Model,
    optimizer: Optimizer,
    /// The average of the model over its steps, without gradients, where there is one.
    average: Option<Model>,
    trained: Trained,
}

impl Changed {
    /// The tensors, where they are changed in place.
    fn held(&self) -> Held {
        let mut held = self.model.held();
        self.optimizer.hold(&self.model, &mut held);
        if let Some(average) = &self.average {
            held.append(average.held());
        }
        held
    }

    /// The same in memory of its own, the model without autodiff.
    fn copy(&self) -> Self {
        let (model, optimizer) = (self.model.copy(), self.optimizer.copy());
        let average = self.average.as_ref().map(Model::copy);
        Self { model, optimizer, average, trained: self.trained }
    }
}

/// A state that training can go back to, in memory of its own, which no later step touches.
#[derive(Debug)]
struct Snapshot {
    /// The model without autodiff.
    state: Changed,
    place: Place,
}

impl Snapshot {
    fn new(now: &Changed, place: Place) -> Self {
        Self { state: now.copy(), place }
    }

    /// The same in the memory of `former`, where it fits: one operation instead of one a tensor.
    fn over(mut former: Self, now: &Changed, place: Place) -> Self {
        let (from, mut to) = (now.held(), former.state.held());
        if from.is_empty() || to.len() != from.len() {
            return Self::new(now, place);
        }
        to.assign(&from);
        former.state.trained = now.trained;
        Self { place, ..former }
    }
}

/// A model and everything that its training changes.
#[derive(Debug)]
pub(super) struct Learned {
    now: Changed,
    /// The newest snapshot. Its parameters may have been spoilt by the very last update before it.
    newer: Snapshot,
    /// The one before it in the same epoch: that losses were finite since shows that its parameters
    /// are.
    older: Option<Snapshot>,
    /// One that is no longer needed: its memory takes the next one.
    spare: Option<Snapshot>,
    /// Another number for each memory that its parameters and velocities get.
    memory: u64,
}

fn another_memory() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl Learned {
    /// A model with its optimizer, trained so much, and the average of it where there is one, in
    /// memory of its own. Now is the first snapshot: the epoch in progress stands at `place`.
    pub(super) fn new(
        (model, average): (Model, Option<Model>),
        optimizer: Optimizer,
        trained: Trained,
        place: Place,
    ) -> Self {
        let now = Changed { model, optimizer, average, trained };
        let newer = Snapshot::new(&now, place);
        Self { now, newer, older: None, spare: None, memory: another_memory() }
    }

    /// How much it was trained.
    pub(super) fn trained(&self) -> Trained {
        self.now.trained
    }

    /// Parameters and running statistics by name.
    pub(super) fn state(&self) -> Vec<NamedTensor> {
        self.now.model.state()
    }

    /// Parameters and running statistics under `model.`, their averages where there are some under
    /// `average.`, and what the optimizer keeps, which is nothing before the first step, under its
    /// words; not read yet.
    pub(super) fn unread(&self) -> Unread {
        let Changed { model, optimizer, average, .. } = &self.now;
        let unread = model.unread().under("model.").and(optimizer.unread(model));
        match average {
            Some(average) => unread.and(average.unread().under("average.")),
            None => unread,
        }
    }

    /// The model as it is now, without gradients: later steps do not change it.
    pub(super) fn model(&self) -> Model {
        self.now.model.copy()
    }

    /// The same of its average, where there is one.
    pub(super) fn average(&self) -> Option<Model> {
        self.now.average.as_ref().map(Model::copy)
    }

    /// A model of this architecture with the values of `state`.
    ///
    /// # Errors
    /// Every parameter that is missing or has another shape.
    pub(super) fn with_state(
        &self,
        state: &[NamedTensor],
        device: &Device,
    ) -> Result<Model, Misfits> {
        self.model().train().with_state(state, device)
    }

    /// Logits `[b, C]` of a batch of images `[b, c, h, w]` that is trained on.
    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.now.model.forward(images, Mode::Train)
    }

    /// Gradients of a loss `[1]` that came from [`forward`](Self::forward).
    pub(super) fn gradients(&self, loss: &Tensor<1>) -> GradientsParams {
        GradientsParams::from_grads(loss.backward(), &self.now.model)
    }

    /// Takes what of the optimizer may change while it trains.
    pub(super) fn tune(&mut self, config: &TrainConfig) {
        self.now.optimizer.tune(config);
    }

    /// The numbers of the next step, at the learning rate `lr`.
    pub(super) fn numbers(&self, config: &TrainConfig, lr: f64) -> Numbers {
        let step = self.now.trained.steps + 1;
        // The first steps count less, since the average begins at what nothing has trained yet
        // (as in TensorFlow's ExponentialMovingAverage).
        let decay = config.ema_decay.min((1.0 + step as f64) / (10.0 + step as f64));
        // What nothing reads stays the same: a device need not be told.
        let settings = self.now.optimizer.settings();
        Numbers {
            lr,
            head_lr: if settings.has_head() { lr * config.head_share() } else { 0.0 },
            step: if settings.goes_by_steps() { step } else { 0 },
            pull: if self.now.average.is_some() { 1.0 - decay } else { 0.0 },
        }
    }

    /// One step of the optimizer, and of the average; the norm of all gradients, `[1]`, where they
    /// are clipped.
    pub(super) fn update(
        &mut self,
        numbers: StepNumbers<'_>,
        gradients: GradientsParams,
    ) -> Option<Tensor<1>> {
        let Changed { model, optimizer, average, .. } = &mut self.now;
        // The optimizer gets the model itself, not a clone: parameters that nobody else holds are
        // updated in place. Meanwhile the snapshot's handles stand in, so that there is a model
        // whatever happens to the step.
        let before = std::mem::replace(model, self.newer.state.model.clone());
        let (after, norm) = optimizer.step(numbers, before, gradients);
        *model = after;
        *average = average.take().map(|average| average.pulled(model, numbers));
        norm
    }

    /// Where everything that steps change lies in memory.
    #[cfg(test)]
    pub(super) fn places(&self) -> Vec<usize> {
        self.now.held().places()
    }

    /// Counts a step on a batch of `samples`.
    pub(super) fn count(&mut self, samples: usize) {
        let Trained { samples: all, steps } = &mut self.now.trained;
        (*all, *steps) = (*all + samples as u64, *steps + 1);
    }

    /// The optimizer's settings, and a number that is another one for other memory of what steps
    /// change.
    pub(super) fn form(&self) -> (Settings, u64) {
        (self.now.optimizer.settings(), self.memory)
    }

    /// Whether all parameters and running statistics are finite: waits for the device.
    pub(super) fn is_finite(&self) -> bool {
        is_finite(&self.now.model)
    }

    /// Makes now a state to go back to: the epoch in progress stands at `place`.
    pub(super) fn keep(&mut self, place: Place) {
        let snapshot = match self.older.take().or_else(|| self.spare.take()) {
            Some(unneeded) => Snapshot::over(unneeded, &self.now, place),
            None => Snapshot::new(&self.now, place),
        };
        let former = std::mem::replace(&mut self.newer, snapshot);
        // Nothing goes back over the beginning of an epoch.
        if place.step > 0 {
            self.older = Some(former);
        } else {
            self.spare = Some(former);
        }
    }

    /// Goes back to the newest snapshot whose parameters are finite; where the epoch stood then.
    pub(super) fn go_back(&mut self) -> Place {
        if let Some(older) = self.older.take()
            && !is_finite(&self.newer.state.model)
        {
            self.spare = Some(std::mem::replace(&mut self.newer, older));
        }
        self.undo()
    }

    /// Goes back to the newest snapshot, whatever happened since (a step that broke off in the
    /// middle, too); where the epoch stood then.
    pub(super) fn undo(&mut self) -> Place {
        let Changed { model, optimizer, average, trained } = self.newer.state.copy();
        self.now = Changed { model: model.train(), optimizer, average, trained };
        self.memory = another_memory();
        self.newer.place
    }
}

fn is_finite(model: &Model) -> bool {
    let held = model.held();
    if !held.is_empty() {
        return held.are_finite();
    }
    model.state().iter().all(|t| t.values.iter().all(|v| v.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;
    use crate::model::device::DeviceName;
    use crate::train::new_model;
    use crate::train::step::{LossTerms, forward_loss};
    use burn::tensor::{Int, TensorData};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn devices() -> [DeviceName; 2] {
        [DeviceName::tested(), DeviceName::Flex]
    }

    fn learned(device: &Device) -> Learned {
        let config = RunConfig::default();
        let model = new_model(&config, 1, 3, device);
        let average = Some(model.copy());
        let optimizer = Optimizer::new(&config.train);
        Learned::new((model, average), optimizer, Trained::default(), at(0))
    }

    /// Gradients of a batch of four, whose pixels `scale` multiplies.
    fn gradients(learned: &Learned, scale: f32, device: &Device) -> GradientsParams {
        let pixels = (0..4 * 64).map(|i| scale * (i % 7) as f32).collect::<Vec<f32>>();
        let images = Tensor::from_data(TensorData::new(pixels, [4, 1, 8, 8]), device);
        let labels = TensorData::new(vec![0_i64, 1, 2, 0], [4]);
        let labels = Tensor::<1, Int>::from_data(labels, device);
        let out = forward_loss(learned.forward(images), labels, LossTerms::default());
        learned.gradients(&out.loss)
    }

    fn step(learned: &mut Learned, scale: f32, device: &Device) {
        let gradients = gradients(learned, scale, device);
        let numbers = Numbers { pull: 0.1, ..learned.numbers(&TrainConfig::default(), 0.1) };
        learned.update(StepNumbers::Now(numbers), gradients);
        learned.count(4);
    }

    fn at(step: usize) -> Place {
        Place { step, ..Place::default() }
    }

    /// Everything that decides what comes next.
    fn whole(learned: &Learned) -> (Vec<NamedTensor>, Trained) {
        (learned.unread().read(), learned.trained())
    }

    #[test]
    fn it_goes_back_to_the_last_finite_state_and_on_from_there_as_if_nothing_had_been() {
        for device in devices() {
            let device = device.open().expect("device");
            let mut learned = learned(&device);
            learned.keep(at(0));
            step(&mut learned, 1.0, &device);
            learned.keep(at(1));
            let finite = whole(&learned);
            step(&mut learned, 2.0, &device);
            let after = whole(&learned);
            assert_ne!(finite, after);
            assert_eq!((learned.go_back(), &whole(&learned)), (at(1), &finite));
            step(&mut learned, 2.0, &device);
            assert_eq!(whole(&learned), after);
        }
    }

    #[test]
    fn a_snapshot_that_is_not_finite_is_passed_over() {
        let device = DeviceName::tested().open().expect("device");
        let mut learned = learned(&device);
        learned.keep(at(0));
        step(&mut learned, 1.0, &device);
        learned.keep(at(1));
        let finite = whole(&learned);
        step(&mut learned, f32::NAN, &device);
        assert!(!learned.is_finite());
        learned.keep(at(2)); // the loss before that update was finite
        assert_eq!((learned.go_back(), whole(&learned)), (at(1), finite.clone()));
        assert!(learned.is_finite());
        // Once more, from the same snapshot.
        step(&mut learned, f32::NAN, &device);
        assert_eq!((learned.go_back(), whole(&learned)), (at(1), finite));
    }

    #[test]
    fn nothing_goes_back_over_the_beginning_of_an_epoch() {
        let device = DeviceName::tested().open().expect("device");
        let mut learned = learned(&device);
        step(&mut learned, 1.0, &device);
        learned.keep(at(1));
        step(&mut learned, 1.0, &device);
        learned.keep(at(0)); // of the next epoch
        let beginning = whole(&learned);
        step(&mut learned, 1.0, &device);
        assert_eq!((learned.go_back(), whole(&learned)), (at(0), beginning));
    }

    #[test]
    fn a_step_that_broke_off_is_undone() {
        let device = DeviceName::Flex.open().expect("device");
        let mut learned = learned(&device);
        step(&mut learned, 1.0, &device);
        learned.keep(at(1));
        let before = whole(&learned);
        // A velocity of another shape: the update of the last parameters panics.
        let Changed { model, optimizer, .. } = &mut learned.now;
        let mut velocities = optimizer.state(model);
        velocities.retain(|v| v.name == "velocity.fc.weight");
        velocities[0].shape.reverse();
        optimizer.load(model, &velocities, &device);
        let broken = catch_unwind(AssertUnwindSafe(|| step(&mut learned, 1.0, &device)));
        assert!(broken.is_err());
        assert_eq!((learned.undo(), whole(&learned)), (at(1), before));
        step(&mut learned, 1.0, &device);
        assert!(learned.is_finite() && learned.trained() == Trained { samples: 8, steps: 2 });
    }

    #[test]
    fn models_and_snapshots_and_what_leaves_stay_as_they_were_while_training_goes_on() {
        for device in devices() {
            let device = device.open().expect("device");
            let mut learned = learned(&device);
            step(&mut learned, 1.0, &device);
            let (model, state) = (learned.model(), learned.state());
            let (leaving, then) = (learned.unread().leave(), learned.unread().read());
            learned.keep(at(1));
            for _ in 0..3 {
                step(&mut learned, 1.0, &device);
            }
            assert_ne!(learned.state(), state);
            assert_eq!(model.state(), state);
            // Read on another thread, as the one that writes checkpoints does.
            let arrived = std::thread::spawn(move || leaving.arrived()).join().expect("no panic");
            assert_eq!(arrived, Ok(then));
            learned.undo();
            assert_eq!(learned.state(), state);
        }
    }
}
