//! What is learned: the model, its optimizer, and the last states to go back to when losses turn
//! out not to be finite. Knows nothing of where batches come from, of events or of commands.

use super::epoch::Place;
use crate::model::kernels::Held;
use crate::model::{Misfits, Mode, Model, NamedTensor, Unread};
use crate::train::optimizer::{LearningRate, Sgd};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use std::sync::atomic::{AtomicU64, Ordering};

/// A state that training can go back to, in memory of its own, which no later step touches.
#[derive(Debug)]
struct Snapshot {
    /// Without autodiff.
    model: Model,
    optimizer: Sgd,
    samples: u64,
    place: Place,
}

impl Snapshot {
    fn new(model: &Model, optimizer: &Sgd, samples: u64, place: Place) -> Self {
        Self { model: model.copy(), optimizer: optimizer.copy(), samples, place }
    }

    /// The same in the memory of `former`, where it fits: one operation instead of one a tensor.
    fn over(former: Self, model: &Model, optimizer: &Sgd, samples: u64, place: Place) -> Self {
        let now = held(model, optimizer);
        let mut then = held(&former.model, &former.optimizer);
        if now.is_empty() || then.len() != now.len() {
            return Self::new(model, optimizer, samples, place);
        }
        then.assign(&now);
        Self { samples, place, ..former }
    }
}

/// A model and everything that its training changes.
#[derive(Debug)]
pub(super) struct Learned {
    model: Model,
    optimizer: Sgd,
    /// Samples that it was trained on, each as often as it was drawn.
    samples: u64,
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
    /// A model with its optimizer that was trained on so many samples. Now is the first snapshot:
    /// the epoch in progress stands at `place`.
    pub(super) fn new(model: Model, optimizer: Sgd, samples: u64, place: Place) -> Self {
        let newer = Snapshot::new(&model, &optimizer, samples, place);
        Self {
            model,
            optimizer,
            samples,
            newer,
            older: None,
            spare: None,
            memory: another_memory(),
        }
    }

    /// Samples that it was trained on.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Parameters and running statistics by name.
    pub(super) fn state(&self) -> Vec<NamedTensor> {
        self.model.state()
    }

    /// Parameters and running statistics under `model.`, and the optimizer's velocities, of which
    /// there are none before the first step, under `velocity.`; not read yet.
    pub(super) fn unread(&self) -> Unread {
        let velocities = self.optimizer.unread(&self.model);
        self.model.unread().under("model.").and(velocities.under("velocity."))
    }

    /// The model as it is now, without gradients: later steps do not change it.
    pub(super) fn model(&self) -> Model {
        self.model.copy()
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
        self.model.forward(images, Mode::Train)
    }

    /// Gradients of a loss `[1]` that came from [`forward`](Self::forward).
    pub(super) fn gradients(&self, loss: &Tensor<1>) -> GradientsParams {
        GradientsParams::from_grads(loss.backward(), &self.model)
    }

    /// One step of the optimizer.
    pub(super) fn update(&mut self, lr: LearningRate<'_>, gradients: GradientsParams) {
        // The optimizer gets the model itself, not a clone: parameters that nobody else holds are
        // updated in place. Meanwhile the snapshot's handles stand in, so that there is a model
        // whatever happens to the step.
        let model = std::mem::replace(&mut self.model, self.newer.model.clone());
        self.model = self.optimizer.step(lr, model, gradients);
    }

    /// Where everything that steps change lies in memory.
    #[cfg(test)]
    pub(super) fn places(&self) -> Vec<usize> {
        held(&self.model, &self.optimizer).places()
    }

    /// Counts a batch of `samples` that it was trained on.
    pub(super) fn count(&mut self, samples: usize) {
        self.samples += samples as u64;
    }

    /// The optimizer's constants, and a number that is another one for other memory of parameters
    /// or velocities.
    pub(super) fn form(&self) -> ((f64, bool, f64), u64) {
        (self.optimizer.constants(), self.memory)
    }

    /// Whether all parameters and running statistics are finite: waits for the device.
    pub(super) fn is_finite(&self) -> bool {
        is_finite(&self.model)
    }

    /// Makes now a state to go back to: the epoch in progress stands at `place`.
    pub(super) fn keep(&mut self, place: Place) {
        let (model, optimizer, samples) = (&self.model, &self.optimizer, self.samples);
        let snapshot = match self.older.take().or_else(|| self.spare.take()) {
            Some(unneeded) => Snapshot::over(unneeded, model, optimizer, samples, place),
            None => Snapshot::new(model, optimizer, samples, place),
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
            && !is_finite(&self.newer.model)
        {
            self.spare = Some(std::mem::replace(&mut self.newer, older));
        }
        self.undo()
    }

    /// Goes back to the newest snapshot, whatever happened since (a step that broke off in the
    /// middle, too); where the epoch stood then.
    pub(super) fn undo(&mut self) -> Place {
        self.model = self.newer.model.copy().train();
        self.optimizer = self.newer.optimizer.copy();
        self.memory = another_memory();
        self.samples = self.newer.samples;
        self.newer.place
    }
}

/// Everything that a step changes, where that happens in place.
fn held(model: &Model, optimizer: &Sgd) -> Held {
    let mut held = model.held();
    optimizer.hold(model, &mut held);
    held
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
        Learned::new(new_model(&config, 1, 3, device), Sgd::new(&config.train), 0, at(0))
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
        learned.update(LearningRate::Now(0.1), gradients);
        learned.count(4);
    }

    fn at(step: usize) -> Place {
        Place { step, ..Place::default() }
    }

    /// Everything that decides what comes next.
    fn whole(learned: &Learned) -> (Vec<NamedTensor>, u64) {
        (learned.unread().read(), learned.samples())
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
        let mut velocities = learned.optimizer.state(&learned.model);
        velocities.retain(|v| v.name == "fc.weight");
        velocities[0].shape.reverse();
        learned.optimizer.load(&learned.model, &velocities, &device);
        let broken = catch_unwind(AssertUnwindSafe(|| step(&mut learned, 1.0, &device)));
        assert!(broken.is_err());
        assert_eq!((learned.undo(), whole(&learned)), (at(1), before));
        step(&mut learned, 1.0, &device);
        assert!(learned.is_finite() && learned.samples() == 8);
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
