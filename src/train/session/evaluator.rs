//! What is measured: the images that epochs are measured on, the best epoch so far, and the test
//! set where it is kept back for the end. Knows nothing of training, samples or commands.

use crate::data::ReadError;
use crate::model::{Mode, Model};
use crate::train::confusion::Confusion;
use crate::train::feed::Feed;
use crate::train::step::{LossTerms, forward_loss};
use crate::train::sums::Sums;
use burn::tensor::{Int, Tensor};
use std::time::Instant;

/// An evaluation under way, of a model as it was when it began.
#[derive(Debug)]
pub(super) struct Evaluation {
    model: Model,
    /// Added to the logits before anything is made of them, `[1, C]`.
    shift: Option<Tensor<2>>,
    /// Images that are done.
    done: usize,
    losses: Sums,
    /// Of each batch, `[b]`.
    predictions: Vec<Tensor<1, Int>>,
    began: Instant,
    /// What was found of the model whose average is evaluated now.
    pub(super) before: Option<Figures>,
}

/// What an evaluation found.
#[derive(Debug)]
pub(super) struct Figures {
    /// Mean loss.
    pub(super) loss: f64,
    /// Right and wrong predictions.
    pub(super) confusion: Confusion,
    /// When it began.
    pub(super) began: Instant,
}

impl Evaluation {
    /// At its beginning; `model` has no gradients. `shift` `[1, C]` is added to its logits.
    pub(super) fn new(model: Model, shift: Option<Tensor<2>>) -> Self {
        Self {
            model,
            shift,
            done: 0,
            losses: Sums::default(),
            predictions: Vec::new(),
            began: Instant::now(),
            before: None,
        }
    }

    /// Count of images that are done.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// One batch; whether it was the last.
    ///
    /// # Errors
    /// An image that cannot be read: the same batch is due again.
    pub(super) fn advance(&mut self, set: &TestSet, batch_size: usize) -> Result<bool, ReadError> {
        let end = (self.done + batch_size).min(set.images.len());
        let (images, labels) = set.images.samples(self.done, batch_size)?;
        let (count, logits) = (end - self.done, self.model.forward(images, Mode::Evaluate));
        let logits = match &self.shift {
            None => logits,
            Some(shift) => logits + shift.clone(),
        };
        self.predictions.push(logits.clone().argmax(1).reshape([count]));
        self.losses.add(forward_loss(logits, labels, LossTerms::default()).loss, count);
        self.done = end;
        Ok(end == set.images.len())
    }

    /// What it found, once it is over.
    pub(super) fn figures(&mut self, set: &TestSet, classes: usize) -> Figures {
        let predictions = Tensor::cat(std::mem::take(&mut self.predictions), 0).into_data();
        let predictions: Vec<u32> = predictions.iter::<i64>().map(|v| v as u32).collect();
        let loss = self.losses.read().unwrap_or_default().mean();
        let confusion = Confusion::of(&predictions, &set.labels, classes);
        Figures { loss, confusion, began: self.began }
    }
}

/// Images that models are measured on, with their labels on the host.
#[derive(Debug)]
pub(super) struct TestSet {
    pub(super) images: Feed,
    /// Shape `[n]`.
    pub(super) labels: Vec<u32>,
}

/// A test set that is read once, at the end, and the model that it is kept for.
#[derive(Debug)]
pub(super) struct HeldBack {
    pub(super) set: TestSet,
    /// The model after the best epoch, without gradients; none before the first.
    pub(super) best: Option<Model>,
    /// Completed epochs when it was read.
    pub(super) tested_at: Option<usize>,
}

/// The best epoch, and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Best {
    /// The best accuracy.
    pub(super) accuracy: f64,
    /// The first epoch that reached it; 0 before there is one.
    pub(super) epoch: usize,
    /// The last epoch's accuracy.
    pub(super) last: f64,
}

/// What epochs are measured on and what came of it.
#[derive(Debug)]
pub(super) struct Evaluator {
    /// The test set, or a validation split.
    pub(super) set: TestSet,
    /// The test set, where epochs are measured on a validation split.
    pub(super) held_back: Option<HeldBack>,
    pub(super) best: Best,
}

impl Evaluator {
    /// Epochs are measured on `set`; `held_back` is the test set where that is another.
    pub(super) fn new(set: TestSet, held_back: Option<TestSet>) -> Self {
        let held_back = held_back.map(|set| HeldBack { set, best: None, tested_at: None });
        Self { set, held_back, best: Best::default() }
    }

    /// Takes the accuracy of an epoch that has just been measured. Of the best one the model is
    /// kept, which `model` gives, where a test set waits for it.
    pub(super) fn take(&mut self, epoch: usize, accuracy: f64, model: impl FnOnce() -> Model) {
        self.best.last = accuracy;
        if self.best.epoch == 0 || accuracy > self.best.accuracy {
            (self.best.accuracy, self.best.epoch) = (accuracy, epoch);
            if let Some(held) = &mut self.held_back {
                held.best = Some(model());
            }
        }
    }

    /// Whether nothing is left to be tested after `completed` epochs.
    pub(super) fn is_tested(&self, completed: usize) -> bool {
        self.held_back.as_ref().is_none_or(|held| held.tested_at == Some(completed))
    }

    /// The model of the best epoch, where it is kept.
    pub(super) fn best_model(&self) -> Option<Model> {
        self.held_back.as_ref()?.best.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;
    use crate::data::{Dataset, Split};
    use crate::model::device::DeviceName;
    use crate::train::DeviceSplit;
    use crate::train::new_model;
    use burn::module::Module;
    use burn::tensor::Device;

    fn dataset(n: usize) -> Dataset {
        let split = Split::new(
            (0..n * 64).map(|i| (i * 37 % 251) as u8).collect(),
            (0..n as u32).map(|i| i % 3).collect(),
        );
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        Dataset::new("test", [1, 8, 8], classes, split.clone(), split)
    }

    fn test_set(data: &Dataset, device: &Device) -> TestSet {
        let split = DeviceSplit::new(data, &data.test, &data.mean_std(), device);
        TestSet { images: Feed::Resident(Box::new(split)), labels: data.test.labels.clone() }
    }

    fn model(seed: u64, device: &Device) -> Model {
        new_model(&RunConfig { seed, ..RunConfig::default() }, 1, 3, device).valid()
    }

    #[test]
    fn the_best_epoch_is_the_first_with_the_highest_accuracy() {
        let device = DeviceName::tested().open().expect("device");
        let set = || test_set(&dataset(3), &device);
        let mut evaluator = Evaluator::new(set(), Some(set()));
        for (epoch, accuracy) in [(1, 0.0), (2, 0.5), (3, 0.4), (4, 0.5)] {
            evaluator.take(epoch, accuracy, || model(epoch as u64, &device));
        }
        assert_eq!(evaluator.best, Best { accuracy: 0.5, epoch: 2, last: 0.5 });
        let kept = evaluator.best_model().map(|model| model.state());
        assert_eq!(kept, Some(model(2, &device).state()));
        assert!(!evaluator.is_tested(4));
        // Nobody waits for the model: it is not even asked for.
        let mut alone = Evaluator::new(set(), None);
        alone.take(1, 0.0, || panic!("asked for the model"));
        assert_eq!(alone.best, Best { accuracy: 0.0, epoch: 1, last: 0.0 });
        assert!(alone.is_tested(4));
    }

    #[test]
    fn an_evaluation_is_the_same_in_batches_of_any_size() {
        let device = DeviceName::tested().open().expect("device");
        let set = test_set(&dataset(10), &device);
        let model = new_model(&RunConfig::default(), 1, 3, &device);
        let whole = crate::train::evaluate(
            &RunConfig::default(),
            &dataset(10),
            &model.state(),
            0.0,
            &device,
        )
        .expect("the model fits");
        for (batch_size, batches) in [(4, 3), (5, 2), (10, 1), (99, 1)] {
            let mut evaluation = Evaluation::new(model.valid(), None);
            let mut count = 1;
            while !evaluation.advance(&set, batch_size).expect("read") {
                assert_eq!(evaluation.done(), count * batch_size);
                count += 1;
            }
            assert_eq!(count, batches);
            let figures = evaluation.figures(&set, 3);
            assert_eq!(figures.confusion, whole.confusion);
            assert!((figures.loss - whole.loss).abs() < 1e-6, "{} {}", figures.loss, whole.loss);
        }
    }

    #[test]
    fn the_best_model_is_the_one_that_was_kept() {
        let device = DeviceName::tested().open().expect("device");
        let set = || test_set(&dataset(3), &device);
        let (best, last) = (model(1, &device), model(2, &device));
        let mut evaluator = Evaluator::new(set(), Some(set()));
        assert!(evaluator.best_model().is_none());
        evaluator.take(1, 0.9, || best.clone());
        evaluator.take(2, 0.8, || last);
        assert_eq!(evaluator.best_model().map(|model| model.state()), Some(best.state()));
    }
}
