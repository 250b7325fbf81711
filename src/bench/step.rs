//! The trainer's own step, as a session makes it: draw, gather, augment, forward, loss and
//! recording, backward, update.

use super::{BenchError, memory_mib, peak_memory_mib};
use crate::config::{ModelName, Precision, RunConfig, ScheduleName};
use crate::data::{Crop, Dataset, Split};
use crate::model::device::{self, CudaMath, DeviceName};
use crate::model::kernels::{self, peak_memory};
use crate::protocol::{Event, StepTimes};
use crate::stream::{Purpose, stream};
use crate::train::{DeviceSplit, Progress, Session};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// What is measured.
#[derive(Clone, Debug)]
pub struct StepBench {
    /// Architecture.
    pub model: ModelName,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// Training samples, of random bytes.
    pub samples: usize,
    /// Images a step.
    pub batch: usize,
    /// Steps that are timed.
    pub steps: usize,
    /// Steps before them.
    pub warmup: usize,
    /// What activations are computed in.
    pub precision: Precision,
    /// Random crop by two pixels and flip.
    pub augment: bool,
    /// Whether the operators of a step are counted, too.
    pub count_ops: bool,
    /// Where.
    pub device: DeviceName,
    /// How, where that is a CUDA device.
    pub math: CudaMath,
}

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepFigures {
    /// Images a second.
    pub images_per_s: f64,
    /// Milliseconds a step, whole and by part.
    pub step_ms: f64,
    /// Where they go.
    pub times: StepTimes,
    /// LibTorch's threads.
    pub threads: usize,
    /// Largest memory of the process, in MiB.
    pub peak_mib: f64,
    /// Memory after a tenth of the steps and at their end, in MiB.
    pub memory_mib: [f64; 2],
    /// Of a CUDA device, in MiB: all tensors when they were most, and what was taken for them
    /// (`torch.cuda.max_memory_allocated` and `max_memory_reserved`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_mib: Option<[f64; 2]>,
    /// What the session warned of, as of a CUDA graph that could not be captured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What a step asks of ATen, where that was to be counted.
    #[serde(flatten)]
    pub operators: Option<StepOperators>,
}

/// Operators of ATen that a step calls, the mean of some steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepOperators {
    /// Those that work on memory: on a device, each is a launch or more. See
    /// [`OperatorCounts`](kernels::OperatorCounts).
    pub ops_per_step: f64,
    /// All calls: views, allocations and operators that are made of others, too.
    pub calls_per_step: f64,
    /// Whether the processor took the bodies of other devices.
    pub device_path: bool,
    /// Those that work on memory, by name.
    pub operators: BTreeMap<String, f64>,
}

/// What the data path alone does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataFigures {
    /// Images a second, as they are.
    pub plain_images_per_s: f64,
    /// Images a second, cropped and flipped.
    pub augmented_images_per_s: f64,
}

fn random(samples: usize, b: &StepBench, seed: u64) -> Split {
    let mut rng = stream(seed, Purpose::Init, 0);
    let bytes = samples * b.shape.iter().product::<usize>();
    Split::new(
        (0..bytes).map(|_| rng.random()).collect(),
        (0..samples).map(|_| rng.random_range(0..b.classes as u32)).collect(),
    )
}

pub(super) fn dataset(b: &StepBench) -> Dataset {
    let classes = (0..b.classes).map(|c| format!("class {c}")).collect();
    Dataset::new("random", b.shape, classes, random(b.samples, b, 1), random(16, b, 2))
}

/// A run of such steps, biased from the start, without end.
pub(super) fn config_of(b: &StepBench) -> RunConfig {
    let mut config = RunConfig::default();
    config.model.name = b.model;
    config.train.batch_size = b.batch;
    config.train.precision = b.precision;
    (config.train.tf32, config.train.cudnn_benchmark) = (b.math.tf32, b.math.cudnn_benchmark);
    config.train.schedule = ScheduleName::Constant;
    config.train.lr = 0.05;
    config.train.epochs = 100_000;
    config.importance.pretrain_epochs = 0.into();
    if b.augment {
        config.data.crop_padding = 2;
        config.data.flip = true;
    }
    config
}

/// Makes `steps` steps; the memory in MiB after a tenth of them. `warnings` takes what the session
/// warns of.
fn advance(session: &mut Session, steps: usize, warnings: &mut Vec<String>) -> f64 {
    let (mut done, mut memory) = (0, 0.0);
    while done < steps {
        if session.advance() == Progress::Step {
            done += 1;
            if done == steps.div_ceil(10) {
                memory = memory_mib();
            }
        }
        warnings.extend(session.take_events().into_iter().filter_map(|event| match event {
            Event::Warning { text, .. } => Some(text),
            _ => None,
        }));
    }
    memory
}

/// Counts the operators of some steps, in the middle of an epoch of `of` steps where it has enough.
fn operators(session: &mut Session, of: usize) -> StepOperators {
    const STEPS: usize = 4;
    advance(session, 1, &mut Vec::new()); // which makes a place to go back to
    while of > STEPS + 2 && !(1..of - STEPS).contains(&session.step_in_epoch()) {
        advance(session, 1, &mut Vec::new());
    }
    let (_, counts) = kernels::count_operators(|| advance(session, STEPS, &mut Vec::new()));
    let per_step = |n: u64| n as f64 / STEPS as f64;
    StepOperators {
        ops_per_step: per_step(counts.in_all()),
        calls_per_step: per_step(counts.calls),
        device_path: kernels::is_device_path_forced(),
        operators: counts.working.into_iter().map(|(name, n)| (name, per_step(n))).collect(),
    }
}

/// Times steps of a session that is past E, on random images.
///
/// # Errors
/// When there is no such device, or it cannot compute so.
pub fn step(b: &StepBench) -> Result<StepFigures, BenchError> {
    let config = config_of(b);
    let device = b.device.open_with(b.math)?;
    let steps_per_epoch = config.train.steps_per_epoch(b.samples);
    let mut session = Session::new(config, dataset(b), &[], &device, "bench")?;
    let mut warnings = Vec::new();
    let mut measure = |steps: usize| {
        let memory = advance(&mut session, steps, &mut warnings);
        session.step_event(); // reads the losses
        device::wait_for(&device); // for the update, too
        (session.take_step_times(), memory)
    };
    measure(b.warmup);
    let began = Instant::now();
    let (times, early) = measure(b.steps);
    let seconds = began.elapsed().as_secs_f64();
    Ok(StepFigures {
        images_per_s: (b.steps * b.batch) as f64 / seconds,
        step_ms: 1e3 * seconds / b.steps as f64,
        times: times.per(b.steps),
        threads: device::threads(),
        peak_mib: peak_memory_mib(),
        memory_mib: [early, memory_mib()],
        warnings,
        operators: b.count_ops.then(|| operators(&mut session, steps_per_epoch)),
        device_mib: peak_memory(&device).map(|m| [m.in_use, m.held].map(mib)),
    })
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Times batches out of resident bytes.
///
/// # Errors
/// When there is no such device.
pub fn data(b: &StepBench) -> Result<DataFigures, BenchError> {
    let data = dataset(b);
    let device = b.device.open_with(b.math)?;
    let split = DeviceSplit::new(&data, &data.train, &data.mean_std(), &device);
    let mut rng = stream(3, Purpose::Draw, 0);
    let mut rate = |augment: bool| {
        let crops: Vec<Crop> = (0..b.batch)
            .map(|k| Crop {
                down: k as i64 % 5 - 2,
                right: k as i64 % 3 - 1,
                flip: k.is_multiple_of(2),
            })
            .collect();
        let mut last = None;
        let began = Instant::now();
        for _ in 0..b.steps {
            let drawn: Vec<u32> =
                (0..b.batch).map(|_| rng.random_range(0..b.samples as u32)).collect();
            last = Some(split.batch(&drawn, augment.then_some(&crops)).0);
        }
        let _ = last.map(|images| images.sum().into_scalar::<f32>()); // waits for the device
        (b.steps * b.batch) as f64 / began.elapsed().as_secs_f64()
    };
    rate(false);
    Ok(DataFigures { plain_images_per_s: rate(false), augmented_images_per_s: rate(true) })
}
