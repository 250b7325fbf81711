//! Training: a session is a state machine that does one step at a time; the thread around it is a
//! loop. Knows nothing of terminals, sockets or files.

mod augmented;
mod batches;
mod checkpoint;
mod confusion;
mod evaluate;
mod feed;
mod loader;
mod normal;
mod optimizer;
mod out_of_memory;
mod panics;
mod schedule;
mod session;
mod step;
mod sums;
mod thread;

pub use batches::DeviceSplit;
pub use checkpoint::{
    Array, Checkpoint, EpochState, LeavingCheckpoint, RestoreError, SessionState, Values,
};
pub use confusion::Confusion;
pub use evaluate::{EvaluateError, Evaluated, evaluate};
pub use optimizer::{Optimizer, Settings};
pub use out_of_memory::{During, explained, first_line};
pub use schedule::Schedule;
pub use session::{Pictures, Progress, SampleSheet, Session, TrainError};
pub use step::{Forward, LossTerms, forward_loss};
pub use thread::{
    Kept, NoCheckpoint, Outlet, PrepareError, Prepared, THREAD_NAME as TRAINER_THREAD, Trainer,
    TrainerReport, Trouble, prepare,
};

use crate::config::RunConfig;
use crate::model::{Init, Model};
use burn::tensor::Device;

/// The model that `config` asks for, with its initial parameters.
pub fn new_model(config: &RunConfig, channels: usize, classes: usize, device: &Device) -> Model {
    let mut init = Init::new(config.seed, config.train.precision, device);
    Model::new(config.model.name, channels, classes, &mut init)
}
