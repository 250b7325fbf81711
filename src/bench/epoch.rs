//! What the method and everything around it cost: whole epochs of a headless run (recording, plans,
//! weights, ledger, histogram, checkpoints, sample sheets, journal on the disk) against a bare loop
//! of the same steps.

use super::BenchError;
use super::step::{StepBench, config_of, dataset};
use crate::importance::EpochPlan;
use crate::model::kernels::{Numbers, StepNumbers};
use crate::model::{Mode, Model, device};
use crate::protocol::{Answer, CheckpointKind, Event};
use crate::run::{Hub, HubOutlet, Journal, Keeper, RunDirectory};
use crate::train::{
    Checkpoint, DeviceSplit, Kept, LossTerms, NoCheckpoint, Optimizer, Outlet, Session, Trouble,
    forward_loss, new_model, prepare,
};
use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

/// Epochs of a run, and pretraining epochs among them.
const EPOCHS: usize = 4;
const PRETRAIN: usize = 2;

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpochFigures {
    /// Seconds an epoch of the bare loop, each time.
    pub bare_s: Vec<f64>,
    /// Seconds an epoch of the run, evaluations left out, each time.
    pub run_s: Vec<f64>,
    /// Median over the rounds of what the run took longer, as a share of the bare loop.
    pub overhead: f64,
    /// Share of the run's time, evaluations left out, that was not spent in the parts of steps that
    /// a bare loop has too: keeping losses and observations, plans, weights, the ledger, figures,
    /// checkpoints, each time. Told by the run's own clock: what else the machine does meanwhile
    /// slows both.
    pub around_steps: Vec<f64>,
}

/// Times both in turn, `rounds` times.
///
/// # Errors
/// When the device is not there, or the disk takes nothing.
pub fn epoch(b: &StepBench, rounds: usize) -> Result<EpochFigures, BenchError> {
    let (mut bare_s, mut run_s, mut around_steps) = (Vec::new(), Vec::new(), Vec::new());
    let mut whole = || {
        let (seconds, around) = whole_run(b)?;
        around_steps.push(around);
        Ok::<f64, BenchError>(seconds)
    };
    for round in 0..rounds {
        // Who goes first changes: neither always has the warm processor.
        if round.is_multiple_of(2) {
            bare_s.push(bare_on_a_thread(b)?);
            run_s.push(whole()?);
        } else {
            run_s.push(whole()?);
            bare_s.push(bare_on_a_thread(b)?);
        }
    }
    let mut shares: Vec<f64> =
        bare_s.iter().zip(&run_s).map(|(bare, run)| run / bare - 1.0).collect();
    shares.sort_by(f64::total_cmp);
    let overhead = shares.get(shares.len() / 2).copied().unwrap_or(f64::NAN);
    Ok(EpochFigures { bare_s, run_s, overhead, around_steps })
}

/// The bare loop on a thread of its own, as a trainer's: LibTorch keeps threads for each thread
/// that computes, and those of one that has not ended would spin beside the other's.
fn bare_on_a_thread(b: &StepBench) -> Result<f64, BenchError> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| bare(b))
            .join()
            .unwrap_or_else(|_| Err(BenchError::Failed("the bare loop panicked".into())))
    })
}

/// Nothing but steps.
fn bare(b: &StepBench) -> Result<f64, BenchError> {
    let (config, data) = (config_of(b), dataset(b));
    let device = b.device.open_with(b.math)?;
    let mut model = new_model(&config, b.shape[0], b.classes, &device);
    let mut optimizer = Optimizer::new(&config.train);
    let split = DeviceSplit::new(&data, &data.train, &data.mean_std(), &device);
    let plan = EpochPlan::shuffle(b.samples, 1, 1);
    let mut last = None;
    let mut pass = |epochs: usize, model: &mut Option<Model>| {
        for _ in 0..epochs {
            for drawn in plan.at(0..b.samples).chunks(b.batch) {
                let Some(current) = model.take() else { return };
                let (images, labels) = split.batch(drawn, None);
                let out = forward_loss(
                    current.forward(images, Mode::Train),
                    labels,
                    LossTerms::default(),
                );
                let gradients = GradientsParams::from_grads(out.loss.backward(), &current);
                let lr = config.train.lr;
                let numbers = StepNumbers::Now(Numbers { lr, head_lr: lr, step: 1, pull: 0.0 });
                *model = Some(optimizer.step(numbers, current, gradients).0);
                last = Some(out.loss.without_autodiff());
            }
        }
    };
    let mut held = Some(model);
    pass(1, &mut held);
    device::wait_for(&device);
    let began = Instant::now();
    pass(EPOCHS, &mut held);
    let _ = last.map(|loss| loss.into_scalar::<f32>());
    device::wait_for(&device);
    let seconds = began.elapsed().as_secs_f64() / EPOCHS as f64;
    model = held.ok_or_else(|| BenchError::Failed("the bare loop lost its model".into()))?;
    drop(model);
    Ok(seconds)
}

/// A run as `train --headless` makes it, in a temporary directory: seconds an epoch, and the share
/// around its steps.
fn whole_run(b: &StepBench) -> Result<(f64, f64), BenchError> {
    let path = std::env::temp_dir().join(format!("earlybird-bench-run-{}", std::process::id()));
    let made = std::fs::create_dir_all(&path);
    made.map_err(|source| BenchError::Disk { path: path.clone(), source })?;
    let measured = run_in(&RunDirectory::open(&path), b);
    let _ = std::fs::remove_dir_all(&path);
    measured
}

/// A hub's outlet that tells when the second epoch begins, by the trainer's own clock: its record
/// comes only after the first epoch's checkpoint is on the disk, steps later.
struct Clocked {
    hub: HubOutlet,
    begun: Sender<Instant>,
}

impl Outlet for Clocked {
    fn emit(&mut self, event: Event, answer: Option<Answer>) {
        if matches!(event, Event::Phase { epoch: 2, .. }) {
            let _ = self.begun.send(Instant::now());
        }
        self.hub.emit(event, answer);
    }

    fn keep(&mut self, state: Kept, why: CheckpointKind, answer: Option<Answer>) {
        self.hub.keep(state, why, answer);
    }

    fn trouble(&self) -> Option<Trouble> {
        self.hub.trouble()
    }

    fn settle(&mut self) -> Option<Trouble> {
        self.hub.settle()
    }

    fn newest(&mut self) -> Result<Checkpoint, NoCheckpoint> {
        self.hub.newest()
    }
}

fn run_in(directory: &RunDirectory, b: &StepBench) -> Result<(f64, f64), BenchError> {
    let mut config = config_of(b);
    // One epoch more than is measured: the first is not.
    (config.train.epochs, config.importance.pretrain_epochs) = (1 + EPOCHS, (1 + PRETRAIN).into());
    let steps = config.train.steps_per_epoch(b.samples) as f64;
    let (data, device) = (dataset(b), b.device.open_with(b.math)?);
    let (requests, received) = crate::link::requests();
    let (heard, hear) = channel();
    let path = directory.file("journal.jsonl");
    let journal = Journal::open(&path).map_err(|source| BenchError::Disk { path, source })?;
    let lock = directory.lock()?;
    let hub = Hub {
        ownership: lock.ownership(),
        journal,
        keeper: Keeper::new(directory.clone()),
        tensorboard: None,
        last: (0, 0.0),
        requests: requests.downgrade(),
        forward: move |record| drop(heard.send(record)),
    };
    let (outlet, hub) = hub.start().map_err(BenchError::Thread)?;
    let (second_epoch, begun) = channel();
    let outlet = Clocked { hub: outlet, begun: second_epoch };
    let build = move || Session::new(config, data, &[], &device, "bench");
    let trainer = prepare(build, received)?.train(outlet);
    let (mut evaluated, mut ended, mut in_steps) = (0.0, None, 0.0);
    for record in hear {
        match record.event {
            Event::EpochEnd(e) if e.epoch > 1 => {
                evaluated += e.eval_seconds;
                in_steps +=
                    e.step_ms.map_or(0.0, |t| t.data + t.forward + t.backward + t.optimizer)
                        * steps
                        / 1e3;
            }
            Event::Finished { .. } => ended = Some(Instant::now()),
            Event::Failed { reason } => return Err(BenchError::Failed(reason)),
            _ => {}
        }
    }
    trainer.join();
    let _ = hub.join();
    let (begun, ended) = begun
        .recv()
        .ok()
        .zip(ended)
        .ok_or_else(|| BenchError::Failed("the run ended early".into()))?;
    let seconds = ended.duration_since(begun).as_secs_f64() - evaluated;
    Ok((seconds / EPOCHS as f64, 1.0 - in_steps / seconds))
}
