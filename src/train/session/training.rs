//! One step of training: images, forward pass, loss, backward pass, update. And the way back from
//! losses that are not finite: to where they last were, from there step by step, and a pause before
//! the first step whose loss, or whose update, is not finite. While all is well this costs nothing
//! but a few handles. Knows nothing of what comes between epochs.

use super::epoch::{Checked, Epoch};
use super::meter::{Lap, Meter};
use super::parts::Parts;
use super::samples::draw_seed;
use super::step::{self, Form, Made, Repeatable};
use super::terms::Terms;
use super::{Progress, Session, Stage, Work};
use crate::data::{Augment, ReadError};
use crate::model::kernels::{self, Numbers, StepNumbers};
use crate::protocol::{Cause, Event, StepTimes};
use crate::train::augmented::Changes;
use crate::train::batches::Draws;
use crate::train::feed::Order;
use crate::train::panics::panic_text;
use crate::train::schedule::Schedule;
use crate::train::step::LossTerms;
use crate::train::sums::Sum;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

impl Parts {
    /// The next step of `epoch`, or the way back from one; and what is to be done after it.
    pub(super) fn train(&mut self, epoch: &mut Epoch) -> (Progress, Work) {
        if !self.losses_are_fine(epoch) {
            self.go_back(epoch);
            return (Progress::WentBack, Work::Training);
        }
        if let Err(unread) = self.step(epoch) {
            self.wait_for_data(self.position_in(epoch), unread);
            return (Progress::Paused, Work::Training);
        }
        if !epoch.is_done() {
            return (Progress::Step, Work::Training);
        }
        let told = self.step_event(epoch);
        self.outbox.extend(told);
        let is_sound =
            self.losses_are_fine(epoch) && (self.not_finite_accepted || self.learned.is_finite());
        let next = if is_sound {
            Work::Evaluating(self.evaluation(self.learned.model(), epoch.terms.posthoc))
        } else {
            Work::GoingBack
        };
        (Progress::Step, next)
    }

    fn step(&mut self, epoch: &mut Epoch) -> Result<(), ReadError> {
        let (began, mut lap, mut times) = (Instant::now(), Lap::new(), StepTimes::default());
        let order = Order {
            plan: &epoch.plan,
            batch_size: self.config.train.batch_size,
            steps: epoch.steps,
            augment: Augment::from_config(&self.config.data),
            seed: draw_seed(&self.config),
            epoch: self.completed + 1,
        };
        let step = epoch.step();
        let drawn = epoch.plan.at(order.places(step));
        self.feed.wait(&order, step);
        times.loading = lap.seconds();
        let mut draws = self.feed.draws(&order, step, &mut epoch.sent)?;
        let ([_, h, w], at) = (self.feed.shape(), (order.seed, order.epoch as u64, step));
        let (changes, share) =
            Changes::of(&self.config, at, order.places(step), [h, w], &self.device);
        draws.changes = changes;
        epoch.is_mixed |= share.is_some();
        let b = drawn.len();
        let factors = (b, epoch.terms.factors(&drawn, self.samples.labels(), &epoch.q));
        let (shifts, smoothing) = (epoch.shifts.as_ref(), self.config.train.label_smoothing);
        let terms = Terms::of_step(factors, share, shifts, smoothing, &self.device);
        times.data = lap.seconds();

        let lr = Schedule::new(&self.config.train, epoch.steps)
            .at(self.completed * epoch.steps + epoch.step());
        self.learned.tune(&self.config.train);
        let numbers = self.learned.numbers(&self.config.train, lr);
        // What a device reads in memory of its own is f32: so that all steps there take the same.
        let is_launched = kernels::is_launched(&self.device);
        let numbers = if is_launched { numbers.rounded() } else { numbers };
        let laps = (&mut lap, &mut times);
        let Some(made) = self.make(draws, terms, numbers, laps, epoch.is_careful()) else {
            self.undo(epoch);
            return Ok(());
        };
        let Made { loss, observations, norm } = made;
        self.learned.count(b);
        if let Some(norm) = norm {
            epoch.take_norm(norm);
        }
        if epoch.is_careful() {
            let loss = loss.into_scalar::<f32>();
            if let Some(what) = self.fault_of_step(loss) {
                self.refuse_step(epoch, &what);
                return Ok(());
            }
            epoch.take_read(Sum::of(loss, b), observations);
            epoch.read_norms();
            self.learned.keep(epoch.place());
        } else {
            epoch.take(loss, b, observations);
        }
        times.bookkeeping = lap.seconds();
        self.meter.take(times, began.elapsed().as_secs_f64(), lr);
        Ok(())
    }

    /// Makes a step, on the memory of the one before it where that may save launches. `None` where
    /// the step could not be captured, which must be undone; later ones are not.
    fn make(
        &mut self,
        draws: Draws,
        terms: LossTerms,
        numbers: Numbers,
        laps: (&mut Lap, &mut StepTimes),
        is_careful: bool,
    ) -> Option<Made> {
        let (learned, feed) = (&mut self.learned, &self.feed);
        // A step that may be undone is not worth a graph, nor is a batch of another size.
        let is_usual = draws.index.dims()[0] == self.config.train.batch_size && !is_careful;
        if !is_usual || !self.repeats {
            return Some(step::make(learned, feed, draws, terms, StepNumbers::Now(numbers), laps));
        }
        let form = Form::of(learned, &draws, &terms);
        let repeatable = match self.repeatable.take().filter(|r| r.form == form) {
            Some(repeatable) => self.repeatable.insert(repeatable),
            None => {
                let new = Repeatable::new(form, &draws, &terms, &self.device);
                self.repeatable.insert(new)
            }
        };
        if !repeatable.is_about_to_capture() {
            return Some(repeatable.make(learned, feed, (&draws, &terms), numbers, laps));
        }
        let capture = || repeatable.make(learned, feed, (&draws, &terms), numbers, laps);
        match catch_unwind(AssertUnwindSafe(capture)) {
            Ok(made) => Some(made),
            Err(panic) => {
                (self.repeats, self.repeatable) = (false, None);
                let text = format!(
                    "no CUDA graph could be captured ({}): training goes on without one. \
                     train.cuda_graph = \"off\" prevents the attempt.",
                    panic_text(&*panic).lines().next().unwrap_or_default()
                );
                self.outbox.push(Event::Warning { code: "cuda_graph".into(), text });
                None
            }
        }
    }

    /// Mean loss and throughput since the last reading; `None` when no step was made since, or when
    /// the loss is not finite.
    pub(super) fn step_event(&mut self, epoch: &mut Epoch) -> Option<Event> {
        let asked = Instant::now();
        let (sum, grad_norm) = (epoch.read_losses()?, epoch.read_norms());
        let images_per_s = self.meter.rate(sum.samples, asked.elapsed().as_secs_f64());
        (sum.is_finite() || self.not_finite_accepted).then(|| Event::Step {
            epoch: self.completed + 1,
            step: epoch.step(),
            steps: epoch.steps,
            loss: sum.mean(),
            lr: self.meter.lr(),
            images_per_s,
            grad_norm,
        })
    }

    /// Whether the losses that were read since this was last called are finite, or a person said
    /// that they need not be. Where some were read, this is a place to go back to.
    fn losses_are_fine(&mut self, epoch: &mut Epoch) -> bool {
        match epoch.check(self.not_finite_accepted) {
            Checked::Nothing => true,
            Checked::Fine => {
                self.learned.keep(epoch.place());
                true
            }
            Checked::NotFinite => false,
        }
    }

    /// Goes back to the last place with finite parameters, and on from there with care.
    pub(super) fn go_back(&mut self, epoch: &mut Epoch) {
        let place = self.learned.go_back();
        self.repeatable = None; // it works on memory that nobody trains any more
        epoch.go_back(place);
        self.meter = Meter::default();
    }

    /// Goes back to the last place to go back to, whatever happened since.
    fn undo(&mut self, epoch: &mut Epoch) {
        let place = self.learned.undo();
        self.repeatable = None;
        epoch.undo(place);
        self.meter = Meter::default();
    }

    /// What is wrong with the step that was just made, whose mean loss is `loss`; `None` when it
    /// can be kept.
    fn fault_of_step(&self, loss: f32) -> Option<String> {
        if !loss.is_finite() {
            return Some(format!("the training loss is not a finite number ({loss})"));
        }
        (!self.learned.is_finite())
            .then(|| format!("parameters or running statistics are not finite (loss {loss:.4})"))
    }

    /// Undoes the step that was just made and pauses before it.
    fn refuse_step(&mut self, epoch: &mut Epoch, what: &str) {
        self.undo(epoch);
        let (number, step) = self.position_in(epoch);
        let reason = format!(
            "{what} at step {} of epoch {number}; nothing of that step was kept. Go back to the \
             last checkpoint with a smaller \
             learning rate (rewind), go on all the same (resume), or stop. A smaller train.lr \
             usually prevents this.",
            step + 1,
        );
        self.pause((number, step), Cause::NotFinite, Some(reason));
    }
}

impl Session {
    /// Reads the losses that are not known yet, and goes back where one of them is not finite.
    pub(super) fn settle(&mut self) {
        let Stage::Epoch(epoch, work @ (Work::Training | Work::GoingBack)) = &mut self.stage else {
            return;
        };
        self.parts.step_event(epoch);
        if matches!(work, Work::GoingBack) || !self.parts.losses_are_fine(epoch) {
            self.parts.go_back(epoch);
            *work = Work::Training;
        }
    }

    /// Undoes a step that broke off in the middle: nothing else may be done before. Gives whether
    /// there is anything to be kept.
    pub fn undo_broken_step(&mut self) -> bool {
        match &mut self.stage {
            Stage::Epoch(epoch, work @ (Work::Training | Work::GoingBack)) => {
                self.parts.undo(epoch);
                *work = Work::Training;
                true
            }
            Stage::Done => false,
            _ => self.in_epoch() || self.parts.completed > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CudaGraph, OptimizerName, RunConfig, ScheduleName};
    use crate::data::{Dataset, Split};
    use crate::importance::{Adjust, Window};
    use crate::model::NamedTensor;
    use crate::model::device::DeviceName;
    use crate::model::kernels::{with_device_path, with_failing_captures};

    /// Of 64 samples in 8 steps an epoch, none of them evaluated yet.
    fn session(lr: f64) -> Session {
        with(|config| config.train.lr = lr)
    }

    fn with(change: impl FnOnce(&mut RunConfig)) -> Session {
        let split = Split::new(
            (0..64 * 64).map(|i| (i * 37 % 251) as u8).collect(),
            (0..64).map(|i| i % 3).collect(),
        );
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        let data = Dataset::new("test", [1, 8, 8], classes, split.clone(), split);
        let mut config = RunConfig::default();
        config.train.batch_size = 8;
        config.train.schedule = ScheduleName::Constant;
        config.train.warmup = 0.0;
        change(&mut config);
        let device = DeviceName::tested().open().expect("device");
        Session::new(config, data, &[], &device, "test").expect("a session")
    }

    fn finite(state: &[NamedTensor]) -> bool {
        state.iter().flat_map(|t| &t.values).all(|v| v.is_finite())
    }

    /// Nobody asks until five steps are made, the last of them of broken parameters.
    fn broken() -> (Session, Vec<Vec<NamedTensor>>) {
        let mut session = session(1e30);
        assert_eq!(session.advance(), Progress::Boundary);
        let mut states = vec![session.state()];
        for _ in 0..5 {
            assert_eq!(session.advance(), Progress::Step);
            states.push(session.state());
        }
        assert!(finite(&states[0]) && !finite(&states[4]));
        session.take_events();
        (session, states)
    }

    #[test]
    fn asking_where_training_is_changes_nothing_and_the_next_piece_of_work_goes_back() {
        let (mut session, states) = broken();
        assert!(session.step_event().is_none() && session.step_event().is_none());
        assert_eq!(session.step_in_epoch(), 5);
        assert!(!finite(&session.state()) && session.take_events().is_empty());
        assert_eq!(session.advance(), Progress::WentBack);
        assert_eq!((session.step_in_epoch(), session.state() == states[0]), (0, true));
        // From there step by step, to the first one that spoils something.
        let spoilt = states.iter().position(|s| !finite(s)).expect("a broken state");
        for step in 1..spoilt {
            assert_eq!((session.advance(), session.step_in_epoch()), (Progress::Step, step));
        }
        assert!(session.take_events().is_empty());
        session.advance();
        assert!(session.is_paused() && session.state() == states[spoilt - 1]);
        assert!(matches!(
            &session.take_events()[..],
            [Event::Paused { epoch: 1, step, cause: Cause::NotFinite, .. }] if *step == spoilt - 1
        ));
        assert_eq!(session.advance(), Progress::Paused);
    }

    #[test]
    fn no_checkpoint_is_made_of_parameters_that_are_not_finite() {
        let (mut session, states) = broken();
        let checkpoint = session.checkpoint();
        assert_eq!(checkpoint.model().len(), states[0].len());
        assert!(finite(&checkpoint.model()) && session.state() == states[0]);
        assert_eq!(checkpoint.state.epoch.map(|e| (e.step, e.loss)), Some((0, 0.0)));
    }

    #[test]
    fn the_end_of_an_epoch_goes_back_before_it_is_evaluated() {
        let (mut session, states) = broken();
        let worked: Vec<Progress> = (0..4).map(|_| session.advance()).collect();
        assert_eq!(worked[..3], [Progress::Step; 3], "the epoch has eight steps");
        assert_eq!((worked[3], session.state() == states[0]), (Progress::WentBack, true));
        assert!(session.take_events().is_empty());
    }

    #[test]
    fn a_step_that_broke_off_leaves_what_was_before_it() {
        let mut session = session(0.01);
        assert!(!session.undo_broken_step(), "nothing was trained yet");
        for _ in 0..4 {
            session.advance();
        }
        session.step_event().expect("three steps were made");
        session.advance(); // the fourth: three are kept
        let (after, checkpoint) = (session.state(), {
            assert!(session.undo_broken_step());
            session.checkpoint()
        });
        assert_eq!(checkpoint.state.epoch.map(|e| e.step), Some(3));
        session.advance();
        assert!(session.state() == after, "the same step once more");
    }

    /// What decides the rest of a run, after two epochs and a half.
    fn trained(cuda_graph: CudaGraph, change: impl Fn(&mut RunConfig)) -> Vec<NamedTensor> {
        let mut session = with(|config| {
            config.train.cuda_graph = cuda_graph;
            config.train.batch_size = 12; // 64 = 5 of 12 and one of 4
            config.importance.pretrain_epochs = 1.into();
            config.importance.reweight = 0.5;
            change(config);
        });
        while session.completed() < 2 || session.step_in_epoch() < 4 {
            session.advance();
        }
        session.state()
    }

    #[test]
    fn steps_with_all_of_the_recipe_on_memory_that_stays_are_the_same_bit_for_bit() {
        let change = |optimizer: OptimizerName, cuda_graph: CudaGraph| {
            move |config: &mut RunConfig| {
                let train = &mut config.train;
                train.cuda_graph = cuda_graph;
                train.freeze = vec!["conv1".into(), "bn1".into()];
                (train.optimizer, train.clip_norm, train.ema_decay) = (optimizer, 0.5, 0.9);
                train.lr = if optimizer == OptimizerName::Sgd { 0.1 } else { 0.002 };
                (train.head_lr, train.decay_norms) = (2.0 * train.lr, false);
                (train.mixup, train.cutmix) = (0.2, 1.0);
                config.importance.window = Window::Fresh;
                (config.data.color_jitter, config.data.random_erasing) = (0.3, 0.3);
            }
        };
        // What may be switched while it trains, and back.
        let switches = [
            ("train.clip_norm", 0.0, 0.7),
            ("train.head_lr", 0.0, 0.01),
            ("train.weight_decay", 0.0, 1e-3),
            ("train.mixup", 0.0, 0.4),
            ("data.random_erasing", 0.0, 0.5),
        ];
        // Everything that a checkpoint has of it: parameters, their average, what is kept of them.
        let learned = |optimizer: OptimizerName, cuda_graph: CudaGraph| {
            let mut session = with(change(optimizer, cuda_graph));
            let step = |session: &mut Session| while session.advance() != Progress::Step {};
            for (key, off, on) in switches {
                for value in [off, on] {
                    (0..6).for_each(|_| step(&mut session));
                    session.set(key, value.into());
                }
            }
            (0..6).for_each(|_| step(&mut session));
            let refused = session.take_events().into_iter();
            let refused = refused.filter(|e| matches!(e, Event::Refused { .. }));
            assert_eq!(refused.count(), 0);
            session.parts.learned.unread().read()
        };
        for optimizer in [OptimizerName::Sgd, OptimizerName::Adamw] {
            let plain = learned(optimizer, CudaGraph::Auto);
            with_device_path(true, || {
                let anew = learned(optimizer, CudaGraph::Off);
                let again = learned(optimizer, CudaGraph::Auto);
                assert!(anew == again);
                let names = |state: &[NamedTensor]| {
                    state.iter().map(|t| t.name.clone()).collect::<Vec<_>>()
                };
                assert_eq!(names(&anew), names(&plain));
                assert!(anew.iter().any(|t| t.name.starts_with("average.")));
            });
        }
    }

    #[test]
    fn steps_on_memory_that_stays_are_the_same_bit_for_bit() {
        let change = |with_more: bool| {
            move |config: &mut RunConfig| {
                config.data.crop_padding = if with_more { 2 } else { 0 };
                config.data.flip = with_more;
                config.train.momentum = if with_more { 0.9 } else { 0.0 };
                config.train.label_smoothing = if with_more { 0.1 } else { 0.0 };
                config.importance.adjust = if with_more { Adjust::Drawn } else { Adjust::None };
            }
        };
        for with_more in [false, true] {
            let plain = trained(CudaGraph::Auto, change(with_more));
            with_device_path(true, || {
                let anew = trained(CudaGraph::Off, change(with_more));
                let again = trained(CudaGraph::Auto, change(with_more));
                assert!(anew == again);
                let pairs =
                    anew.iter().zip(&plain).flat_map(|(a, b)| a.values.iter().zip(&b.values));
                assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-3);
            });
        }
    }

    #[test]
    fn parameters_and_velocities_and_statistics_stay_where_they_are_in_memory() {
        for is_forced in [false, true] {
            with_device_path(is_forced, || {
                let mut session = session(0.01);
                let step = |session: &mut Session| {
                    while session.advance() != Progress::Step {}
                    session.step_event(); // and a place to go back to at the next step
                    session.parts.learned.places()
                };
                step(&mut session);
                let places = step(&mut session);
                assert_eq!(places.len(), 11 + 6 + 11, "parameters, statistics, velocities");
                // Over the end of an epoch, its evaluation and a checkpoint.
                for _ in 0..12 {
                    assert_eq!(step(&mut session), places);
                }
                session.checkpoint();
                assert_eq!(step(&mut session), places);
            });
        }
    }

    #[test]
    fn where_no_graph_can_be_captured_training_goes_on_without_one() {
        let anew = with_device_path(true, || trained(CudaGraph::Off, |_| {}));
        with_failing_captures(|| {
            let mut warnings = 0;
            let mut session = with(|config| {
                config.train.batch_size = 12;
                config.importance.pretrain_epochs = 1.into();
                config.importance.reweight = 0.5;
            });
            while session.completed() < 2 || session.step_in_epoch() < 4 {
                session.advance();
                let told = session.take_events().into_iter();
                let is_warning =
                    |e: &Event| matches!(e, Event::Warning { code, .. } if code == "cuda_graph");
                warnings += told.filter(is_warning).count();
            }
            assert_eq!((warnings, session.state() == anew), (1, true));
        });
    }
}
