//! A run's host: the one process that trains it. Trainer thread, hub, feed and socket are put together here, whether the
//! process is one of its own (`start`, `process`) or also has the cockpit or the lines of a headless run.
//! Knows nothing of screens.

mod process;
mod program;
mod signals;
mod start;

pub use process::{Arguments, run as run_process};
pub use program::{take_its_name, this_program, where_it_is};
pub use signals::{Signalled, mind as mind_signals};
pub use start::{StartError, TiedHost, TiedSays, start};

use self::signals::stop_with_note;

use crate::config::RunConfig;
use crate::dashboard::Dashboard;
use crate::data::{self, Dataset, Progress};
use crate::link::{self, Backlog, CockpitEnd, Feed, Server};
use crate::model::device::{self, DeviceName};
use crate::model::{NamedTensor, from_safetensors};
use crate::protocol::{Command, Event, Record, Request};
use crate::run::{self, Hub, Journal, Keeper, ReadJournal, RunDirectory, RunLock, TensorBoard};
use crate::train::{Checkpoint, Outlet, Session, Trainer, TrainerReport};
use burn::tensor::Device;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// What is trained, and how it begins.
#[derive(Debug)]
pub struct Plan {
    /// Where the run is kept.
    pub directory: RunDirectory,
    /// Where it is computed.
    pub device: DeviceName,
    /// LibTorch's threads; `None`: what it chooses.
    pub threads: Option<usize>,
    /// New, or continued.
    pub beginning: Beginning,
    /// What is asked of it before its first step.
    pub commands: Vec<Command>,
}

/// How a run begins.
#[derive(Debug)]
pub enum Beginning {
    /// With its first epoch, as this config says.
    New(Box<RunConfig>),
    /// From its newest whole checkpoint.
    Resume,
}

/// What a host says before it trains.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartUp {
    /// How far a download is.
    Progress(Progress),
    /// Something to know.
    Note(String),
    /// It trains, and its socket answers.
    Ready,
    /// It cannot train.
    Failed(String),
}

/// Why a run does not begin.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HostError(String);

impl HostError {
    fn from(e: impl std::fmt::Display) -> Self {
        Self(e.to_string())
    }
}

/// A run being trained by this process.
#[derive(Debug)]
pub struct Host {
    directory: RunDirectory,
    feed: Feed,
    requests: mpsc::Sender<Request>,
    trainer: Trainer,
    hub: JoinHandle<()>,
    server: Option<Server>,
    _lock: RunLock,
}

/// Everything that a session is made of.
struct Materials {
    config: RunConfig,
    /// Where it goes on from, if not from the beginning.
    checkpoint: Option<Checkpoint>,
    dataset: Dataset,
    /// Values that the model starts from; none: by the seed.
    initial: Vec<NamedTensor>,
    device: Device,
    device_name: String,
}

impl Materials {
    fn build(self) -> Result<Session, String> {
        let session = match &self.checkpoint {
            None => Session::new(self.config, self.dataset, &self.initial, &self.device, &self.device_name),
            Some(checkpoint) => Session::restore(checkpoint, self.dataset, &self.device, &self.device_name),
        };
        session.map_err(|e| e.to_string())
    }
}

/// What a run left so far.
struct Past {
    journal: ReadJournal,
    checkpoint: Option<Checkpoint>,
    /// What was found damaged, for people.
    damaged: Vec<String>,
}

impl Past {
    fn of(directory: &RunDirectory) -> Result<Self, HostError> {
        let found = directory.checkpoints().tidy().map_err(HostError::from)?;
        let Some((checkpoint, _)) = found.checkpoint else {
            let mut text = format!("{} has no whole checkpoint", directory.id());
            found.damaged.iter().for_each(|d| text += &format!("\n  damaged: {d}"));
            text += &format!(
                "\n  Its config is kept, so it can begin anew: earlybird train {}",
                directory.file("config.toml").display()
            );
            return Err(HostError(text));
        };
        let journal = run::read_journal(&directory.file("journal.jsonl")).map_err(HostError::from)?;
        let mut damaged: Vec<String> =
            found.damaged.iter().map(|d| format!("damaged, so the checkpoint before it is used: {d}")).collect();
        if journal.damaged > 0 {
            damaged
                .push(format!("{} damaged lines of the journal were left out: curves and messages have gaps", journal.damaged));
        }
        Ok(Self { journal, checkpoint: Some(checkpoint), damaged })
    }
}

/// Brings a run to its first step. `report` is told what happens on the way. With `own`, this process has a cockpit (or prints
/// lines) itself, whose end misses nothing.
///
/// # Errors
/// Whatever keeps it from beginning, for people. What happened after the journal was open stands there, too.
pub fn begin(plan: Plan, own: Option<Backlog>, report: &mut dyn FnMut(StartUp)) -> Result<(Host, Option<CockpitEnd>), HostError> {
    let directory = plan.directory;
    let lock = directory.lock().map_err(HostError::from)?;
    let past = match &plan.beginning {
        Beginning::New(_) => Past { journal: ReadJournal::default(), checkpoint: None, damaged: Vec::new() },
        Beginning::Resume => Past::of(&directory)?,
    };
    past.damaged.iter().for_each(|d| report(StartUp::Note(d.clone())));
    let (mut dashboard, mut last) = (Dashboard::default(), (0, past.checkpoint.as_ref().map_or(0.0, |c| c.state.seconds)));
    for record in past.journal.records {
        last = (record.seq, record.t);
        dashboard.fold(record);
    }
    let feed = Feed::new(dashboard);
    let (requests, received) = link::requests();
    let own = own.map(|backlog| CockpitEnd::here(requests.clone(), feed.subscribe(backlog)));
    let server = link::serve(&directory.socket(), directory.id(), feed.clone(), &requests);
    let server = match server {
        Ok(server) => Some(server),
        Err(e) => {
            report(StartUp::Note(format!("nobody can attach: {e}")));
            None
        }
    };
    let forward = {
        let feed = feed.clone();
        move |record: Record| feed.publish(record)
    };
    let config = match (plan.beginning, &past.checkpoint) {
        (Beginning::New(config), _) => *config,
        (Beginning::Resume, checkpoint) => checkpoint.as_ref().map(|c| c.state.config.clone()).unwrap_or_default(),
    };
    let journal = Journal::open(&directory.file("journal.jsonl")).map_err(HostError::from)?;
    let tensorboard = (config.checkpoint.tensorboard).then(|| TensorBoard::new(directory.clone()));
    let hub = Hub { journal, keeper: Keeper::new(directory.clone()), tensorboard, last, requests: requests.downgrade(), forward };
    let (mut outlet, hub) = hub.start().map_err(HostError::from)?;
    for text in past.damaged {
        outlet.emit(Event::Warning { code: "damaged".into(), text }, None);
    }
    let materials = provide(&directory, config, past.checkpoint, plan.device, plan.threads, report);
    let materials = materials.inspect_err(|e| outlet.emit(Event::Failed { reason: e.0.clone() }, None))?;
    for command in plan.commands {
        requests.try_send(command.into()).map_err(HostError::from)?;
    }
    let trainer = crate::train::spawn(move || materials.build(), received, outlet).map_err(HostError::from)?;
    Ok((Host { directory, feed, requests, trainer, hub, server, _lock: lock }, own))
}

/// The values in a safetensors file.
fn model_of(file: &str) -> Result<Vec<NamedTensor>, HostError> {
    let read =
        std::fs::read(file).map_err(|e| e.to_string()).and_then(|bytes| from_safetensors(&bytes).map_err(|e| e.to_string()));
    read.map_err(|why| {
        HostError(format!("model.init = \"{file}\": {why}\n  `earlybird export RUN --to FILE` makes such a file."))
    })
}

/// Data and device.
fn provide(
    directory: &RunDirectory,
    mut config: RunConfig,
    checkpoint: Option<Checkpoint>,
    device_name: DeviceName,
    threads: Option<usize>,
    report: &mut dyn FnMut(StartUp),
) -> Result<Materials, HostError> {
    if let Some(threads) = threads {
        device::set_threads(threads);
    }
    let device = device_name.open().map_err(HostError::from)?;
    let dataset =
        data::load(&config.data, config.seed, &mut |p| report(StartUp::Progress(p.clone()))).map_err(HostError::from)?;
    let initial = match (&checkpoint, config.model.init.as_str()) {
        (None, file) if !file.is_empty() => model_of(file)?,
        _ => Vec::new(),
    };
    config.name = directory.id();
    Ok(Materials { config, checkpoint, dataset, initial, device, device_name: device_name.to_string() })
}

impl Host {
    /// What ends this run when a signal comes; `say` tells a person.
    pub fn stopper(&self, say: impl Fn(&str) + Send + 'static) -> impl Fn(&str) + Send + 'static {
        let requests = self.requests.downgrade();
        move |signal| {
            say("stopping after this step (once more: at once)");
            stop_with_note(&requests, format!("stopped by SIG{signal}"));
        }
    }

    /// Where the run is kept.
    pub fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    /// Where commands go.
    pub fn requests(&self) -> &mpsc::Sender<Request> {
        &self.requests
    }

    /// Waits until the trainer has ended and all is written, then closes the socket.
    pub fn finish(self) -> TrainerReport {
        let report = self.trainer.join();
        let _ = self.hub.join(); // a panic's report is in the log
        self.feed.close();
        drop(self.server);
        report
    }
}
