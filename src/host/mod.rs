//! A run's host: the one process that trains it. Trainer thread, hub, feed and socket are put
//! together here, whether the process is one of its own (`start`, `process`) or also has the
//! cockpit or the lines of a headless run. Knows nothing of screens.

mod changes;
mod past;
mod process;
mod program;
mod signals;
mod start;
mod waiting;

pub use changes::{Changes, ChangesError, DATA_PATH};
pub use process::{Arguments, run as run_process};
pub use program::{take_its_name, this_program, where_it_is};
pub use signals::{Signalled, mind as mind_signals};
pub use start::{StartError, TiedHost, TiedSays, start, until_ready};
pub use waiting::{begin_with_passive_threads, user_decides_waiting, wait_passively};

use self::past::Past;
use self::signals::stop_with_note;

use crate::advice::about;
use crate::config::RunConfig;
use crate::data::{self, Dataset, Progress};
use crate::link::{self, Backlog, CockpitEnd, Feed, Server, ServerError};
use crate::model::device::DeviceName;
use crate::model::{NamedTensor, from_bytes, use_threads};
use crate::protocol::{Command, Event, Record, Request, Stop};
use crate::run::{Hub, Journal, Keeper, RunDirectory, RunLock, TensorBoard, TrainedBy};
use crate::train::{Checkpoint, Outlet, Session, TrainError, Trainer, TrainerReport};
use burn::tensor::Device;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Why a run ends that another process trains all the same.
const TAKEN: &str = "another process has taken the run's lock and trains it: this one stops";

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
    Resume {
        /// Where its data is now; `None`: where it was.
        data: Option<String>,
    },
}

/// What a host says before it trains.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartUp {
    /// How far the data is.
    Progress(Progress),
    /// Something to know.
    Note(String),
    /// It trains, and its socket answers.
    Ready,
    /// It cannot train.
    Failed(String),
    /// It could train, but nobody could look at it or steer it: there can be no socket.
    Unreachable(String),
}

/// Why a run does not begin. Nothing of it is changed then.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It cannot be trained.
    #[error("{0}")]
    Impossible(String),
    /// There can be no socket, and nobody would see it without one.
    #[error(transparent)]
    Unreachable(ServerError),
}

impl HostError {
    fn from(e: impl std::fmt::Display) -> Self {
        Self::Impossible(e.to_string())
    }
}

/// A run being trained by this process.
#[derive(Debug)]
pub struct Host {
    directory: RunDirectory,
    feed: Feed,
    requests: mpsc::Sender<Request>,
    /// `None` once its end was waited for.
    threads: Option<(Trainer, JoinHandle<()>)>,
    server: Option<Server>,
    _lock: RunLock,
}

/// Everything that a session is made of.
struct Inputs {
    config: RunConfig,
    /// Where it goes on from, if not from the beginning.
    checkpoint: Option<Checkpoint>,
    /// Whether it begins once more.
    anew: bool,
    dataset: Dataset,
    /// Values that the model starts from; none: by the seed.
    initial: Vec<NamedTensor>,
    device: Device,
    device_name: String,
}

impl Inputs {
    fn build(self) -> Result<Session, TrainError> {
        let session = match &self.checkpoint {
            None => Session::new(
                self.config,
                self.dataset,
                &self.initial,
                &self.device,
                &self.device_name,
            ),
            Some(checkpoint) => {
                Session::restore(checkpoint, self.dataset, &self.device, &self.device_name)
            }
        };
        let mut session = session?;
        if self.anew {
            session.tell_where_it_goes_on();
        }
        Ok(session)
    }
}

/// Brings a run to its first step. `report` is told what happens on the way. With `own`, this
/// process has a cockpit (or prints lines) itself, whose end misses nothing. Nothing of the run
/// changes before everything that it needs is there.
///
/// # Errors
/// Whatever keeps it from beginning, for people.
pub fn begin(
    plan: Plan,
    own: Option<Backlog>,
    report: &mut dyn FnMut(StartUp),
) -> Result<(Host, Option<CockpitEnd>), HostError> {
    let directory = plan.directory;
    let lock = directory.lock().map_err(HostError::from)?;
    if link::is_served(&directory.socket()) {
        // Somebody removed both files that name it.
        return Err(HostError::from(directory.busy(TrainedBy::Somebody)));
    }
    let (config, mut past) = match plan.beginning {
        Beginning::New(config) => (*config, Past::default()),
        Beginning::Resume { data } => {
            let mut past = Past::of(&directory)?;
            (past.config(data), past)
        }
    };
    let mut warnings = past.damaged();
    let feed = Feed::new(past.dashboard());
    let (requests, received) = link::requests();
    lock.when_lost({
        let requests = requests.downgrade();
        move || stop_with_note(&requests, TAKEN.into())
    });
    let own = own.map(|backlog| CockpitEnd::here(requests.clone(), feed.subscribe(backlog)));
    let server = match link::serve(&directory.socket(), directory.id(), feed.clone(), &requests) {
        Ok(server) => Some(server),
        Err(e) if own.is_none() => return Err(HostError::Unreachable(e)),
        Err(e) => {
            warnings.push(("socket", format!("nobody can attach: {e}")));
            None
        }
    };
    let (tensorboard, data_path) = (config.checkpoint.tensorboard, config.data.path.clone());
    let resumed = past.checkpoint.is_some().then(|| directory.id());
    let checkpoint = past.checkpoint.take();
    let inputs = provide(&directory, config, checkpoint, plan.device, plan.threads, report);
    let mut inputs = inputs.map_err(|e| moved(e, &data_path, resumed.as_deref()))?;
    inputs.anew = past.begins_anew();
    warnings.extend(inputs.dataset.findings.iter().map(|f| ("data", f.text().to_owned())));
    let prepared =
        crate::train::prepare(move || inputs.build(), received).map_err(HostError::from)?;

    // From here on the run is another one than before.
    let journal = directory.file("journal.jsonl");
    let journal =
        Journal::open(&journal).map_err(|e| HostError::from(about(journal.display(), &e)))?;
    directory.checkpoints().tidy(&past.found);
    past.note(&directory, &data_path);
    warnings.extend(undurable(&directory));
    let forward = {
        let feed = feed.clone();
        move |record: Record| feed.publish(record)
    };
    let tensorboard = tensorboard.then(|| TensorBoard::new(directory.clone()));
    let keeper = Keeper::new(directory.clone());
    let ownership = lock.ownership();
    let hub = Hub {
        ownership,
        journal,
        keeper,
        tensorboard,
        last: past.last,
        requests: requests.downgrade(),
        forward,
    };
    let (mut outlet, hub) = hub.start().map_err(HostError::from)?;
    for (code, text) in warnings {
        report(StartUp::Note(text.clone()));
        outlet.emit(Event::Warning { code: code.into(), text }, None);
    }
    past.notes.into_iter().for_each(|text| outlet.emit(Event::Note { text }, None));
    for command in plan.commands {
        requests.try_send(command.into()).map_err(HostError::from)?;
    }
    let threads = Some((prepared.train(outlet), hub));
    Ok((Host { directory, feed, requests, threads, server, _lock: lock }, own))
}

/// What to know of a file system that cannot force what it is given to its disk.
fn undurable(directory: &RunDirectory) -> Option<(&'static str, String)> {
    let text = "this file system cannot force files to its disk (or does not say so): a power cut \
                may take the newest checkpoints along";
    matches!(directory.is_durable(), Ok(false)).then(|| ("sync", text.to_owned()))
}

/// An error of data that is not where it was, with what to do about that.
fn moved(e: HostError, path: &str, resumed: Option<&str>) -> HostError {
    match (e, resumed) {
        (HostError::Impossible(text), Some(run)) if !path.is_empty() && text.contains(path) => {
            HostError::Impossible(format!(
                "{text}\n  Data that has moved is found with: earlybird resume {run} --set \
                 {DATA_PATH}=..."
            ))
        }
        (e, _) => e,
    }
}

/// The values in a file of safetensors or `torch.save`.
fn model_of(file: &str) -> Result<Vec<NamedTensor>, HostError> {
    let read = std::fs::read(file)
        .map_err(|e| e.to_string())
        .and_then(|bytes| from_bytes(&bytes).map_err(|e| e.to_string()));
    read.map_err(|why| {
        HostError::Impossible(format!(
            "model.init = \"{file}\": {why}\n  It takes what `earlybird export RUN --to FILE` \
             writes, and state dicts of PyTorch."
        ))
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
) -> Result<Inputs, HostError> {
    use_threads(threads);
    let device = device_name.open_with(config.train.cuda_math()).map_err(HostError::from)?;
    let mut wanted = config.data.clone();
    if let Some(was) = checkpoint.as_ref().and_then(|c| c.state.data.as_ref()) {
        // A run, and what is forked from it, goes on as it began, whatever memory is free now.
        wanted.resident = was.resident(wanted.resident);
    }
    let dataset = data::load(&wanted, config.seed, &mut |p| report(StartUp::Progress(p.clone())))
        .map_err(HostError::from)?;
    let initial = match (&checkpoint, config.model.init.as_str()) {
        (None, file) if !file.is_empty() => model_of(file)?,
        _ => Vec::new(),
    };
    config.name = directory.id();
    let anew = false;
    Ok(Inputs {
        config,
        checkpoint,
        anew,
        dataset,
        initial,
        device,
        device_name: device_name.to_string(),
    })
}

impl Host {
    /// What ends this run when a signal comes; `say` tells a person.
    pub fn stopper(&self, say: impl Fn(&str) + Send + 'static) -> impl Fn(&str) + Send + 'static {
        let requests = self.requests.downgrade();
        move |signal| {
            say(&format!("{signal}: stopping after this step (once more: at once)"));
            stop_with_note(&requests, format!("stopped by {signal}"));
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
    pub fn finish(mut self) -> TrainerReport {
        self.wait().unwrap_or(TrainerReport::Stopped)
    }

    fn wait(&mut self) -> Option<TrainerReport> {
        let (trainer, hub) = self.threads.take()?;
        let report = trainer.join();
        let _ = hub.join(); // a panic's report is in the log
        self.feed.close();
        self.server = None;
        Some(report)
    }
}

impl Drop for Host {
    /// Whoever cannot go on with a host leaves in order: a process that ends while its trainer
    /// computes would crash.
    fn drop(&mut self) {
        if self.threads.is_some() {
            let _ = self.requests.try_send(Command::Stop { stop: Stop::Now }.into());
            self.wait();
        }
    }
}
