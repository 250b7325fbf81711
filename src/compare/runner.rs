//! Trains the runs of a comparison, each in a process of its own, as many at once as there are workers; what was trained is
//! not trained again.

use super::arms::{Arm, ArmError};
use super::design::{Design, FILE, OUTCOME, PRETRAIN, Piece};
use super::outcome::Outcome;
use crate::config::RunConfig;
use crate::host::{StartError, StartUp, TiedHost, TiedSays};
use crate::importance::Sampler;
use crate::model::device::DeviceName;
use crate::protocol::{Cause, Event, Record};
use crate::run::{RunDirectory, RunError, RunLock};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::process::ChildStdin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A comparison on the disk, held by this process.
#[derive(Debug)]
pub struct Comparison {
    directory: RunDirectory,
    design: Design,
    _lock: RunLock,
}

/// Why a comparison does not go on.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Its directory cannot be made, found or locked.
    #[error(transparent)]
    Directory(#[from] RunError),
    /// An arm is not possible.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// A run of it failed.
    #[error("{piece}: {reason}")]
    Failed {
        /// Which run.
        piece: Piece,
        /// Why.
        reason: String,
    },
    /// There is nothing to fork at.
    #[error("importance.pretrain_epochs = {0} leaves nothing to compare\n  Arms are forked at E: it must lie in 1..N.")]
    NoFork(usize),
    /// The disk says no.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// What is told while a comparison is trained.
#[derive(Debug)]
pub enum Said {
    /// How a run's process starts.
    StartUp(StartUp),
    /// Something happened in a run.
    Record(Piece, Box<Record>),
}

/// Stops a comparison, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<Mutex<Stopping>>);

#[derive(Debug, Default)]
struct Stopping {
    asked: bool,
    /// A run trains as long as its input is open.
    inputs: Vec<(Piece, ChildStdin)>,
}

impl Stopper {
    /// Has every run write a checkpoint and end, and none begin any more.
    pub fn stop(&self) {
        let mut stopping = lock(&self.0);
        stopping.asked = true;
        stopping.inputs.clear();
    }

    fn is_asked(&self) -> bool {
        lock(&self.0).asked
    }

    fn add(&self, piece: &Piece, input: ChildStdin) {
        let mut stopping = lock(&self.0);
        if !stopping.asked {
            stopping.inputs.push((piece.clone(), input));
        }
    }

    fn stop_one(&self, piece: &Piece) {
        lock(&self.0).inputs.retain(|(p, _)| p != piece);
    }
}

/// What is still to be trained.
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

struct QueueState {
    todo: Vec<Piece>,
    /// Seeds whose arms may begin.
    pretrained: HashSet<u64>,
    error: Option<CompareError>,
}

impl Queue {
    /// The next piece that may begin; waits for one while others are still pretraining.
    fn next(&self, stopper: &Stopper) -> Option<Piece> {
        let mut state = lock(&self.state);
        loop {
            if stopper.is_asked() || state.error.is_some() {
                return None;
            }
            let ready = state.todo.iter().position(|p| p.arm == PRETRAIN || state.pretrained.contains(&p.seed));
            match ready {
                Some(at) => return Some(state.todo.remove(at)),
                None if state.todo.is_empty() => return None,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn ended(&self, piece: &Piece, outcome: Result<(), CompareError>, stopper: &Stopper) {
        let mut state = lock(&self.state);
        match outcome {
            Ok(()) if piece.arm == PRETRAIN => drop(state.pretrained.insert(piece.seed)),
            Ok(()) => {}
            Err(e) => {
                state.error.get_or_insert(e);
                stopper.stop();
            }
        }
        self.changed.notify_all();
    }
}

impl Comparison {
    /// A new one under `runs`: `arms` (the baseline first) of the run `config` with seeds `config.seed` and those after it.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn create(runs: &Path, name: &str, config: RunConfig, arms: &[Arm], seeds: u64) -> Result<Self, CompareError> {
        let (e, n) = (config.importance.pretrain_epochs, config.train.epochs);
        if e == 0 || e >= n {
            return Err(CompareError::NoFork(e));
        }
        let arms = arms.iter().map(|arm| Ok((arm.name.clone(), arm.config(&config)?)));
        let arms = arms.collect::<Result<_, ArmError>>()?;
        let design = Design { seeds: (config.seed..config.seed.saturating_add(seeds)).collect(), config, arms };
        let directory = RunDirectory::create(runs, name)?;
        let text = serde_json::to_string_pretty(&design).map_err(|e| at(&directory, FILE)(e.into()))?;
        let locked = directory.lock().and_then(|lock| directory.write(FILE, &text).map(|()| lock));
        let lock = locked.inspect_err(|_| {
            let _ = std::fs::remove_file(directory.file(FILE));
            directory.discard();
        })?;
        Ok(Self { directory, design, _lock: lock })
    }

    /// One that was begun.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn open(directory: RunDirectory) -> Result<Self, CompareError> {
        let lock = directory.lock()?;
        let design = Design::of(&directory).map_err(at(&directory, FILE))?;
        Ok(Self { directory, design, _lock: lock })
    }

    /// Removes a comparison of which nothing was trained; any other is left. Whether it is gone.
    pub fn discard(&self) -> bool {
        let mut seeds = Vec::new();
        for piece in self.design.pieces() {
            let directory = piece.directory(&self.directory);
            directory.discard();
            seeds.extend(directory.path().parent().map(Path::to_owned));
        }
        seeds.iter().for_each(|seed| drop(std::fs::remove_dir(seed)));
        if !self.design.pieces().iter().any(|piece| piece.directory(&self.directory).path().exists()) {
            [FILE, "pid", "compare.log"].iter().for_each(|name| drop(std::fs::remove_file(self.directory.file(name))));
            self.directory.discard();
        }
        !self.directory.path().exists()
    }

    /// Where it is kept.
    pub fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    /// What is compared.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// Trains what is not trained yet, a worker on each of `devices`; keeps and gives what was found, `None` when it was
    /// stopped before the end.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn train(
        &self,
        devices: &[DeviceName],
        threads: Option<usize>,
        stopper: &Stopper,
        hear: &mut dyn FnMut(Said),
    ) -> Result<Option<Outcome>, CompareError> {
        let (mut todo, mut pretrained) = (Vec::new(), HashSet::new());
        for piece in self.design.pieces() {
            // A process of an earlier try may still be writing its last checkpoint.
            let directory = piece.directory(&self.directory);
            if directory.file("run.lock").exists() {
                directory.wait_for_lock()?;
            }
            if !self.design.is_done(&piece, &self.directory) {
                todo.push(piece);
            } else if piece.arm == PRETRAIN {
                pretrained.insert(piece.seed);
            }
        }
        let queue = Queue { state: Mutex::new(QueueState { todo, pretrained, error: None }), changed: Condvar::new() };
        let (tell, told) = channel();
        std::thread::scope(|scope| {
            for &device in devices {
                let (tell, queue) = (tell.clone(), &queue);
                scope.spawn(move || {
                    while let Some(piece) = queue.next(stopper) {
                        let outcome = self.train_piece(&piece, device, threads, stopper, &tell);
                        queue.ended(&piece, outcome, stopper);
                    }
                });
            }
            drop(tell);
            told.iter().for_each(&mut *hear);
        });
        if let Some(error) = queue.state.into_inner().unwrap_or_else(PoisonError::into_inner).error {
            return Err(error);
        }
        if stopper.is_asked() {
            return Ok(None);
        }
        let outcome = self.design.outcome(&self.directory).map_err(at(&self.directory, ""))?;
        let text = serde_json::to_string(&outcome).map_err(|e| at(&self.directory, OUTCOME)(e.into()))?;
        self.directory.write(OUTCOME, &text)?;
        self.directory.write("table.txt", &outcome.text())?;
        Ok(Some(outcome))
    }

    /// Trains one run as far as it is to be.
    fn train_piece(
        &self,
        piece: &Piece,
        device: DeviceName,
        threads: Option<usize>,
        stopper: &Stopper,
        tell: &Sender<Said>,
    ) -> Result<(), CompareError> {
        let directory = piece.directory(&self.directory);
        let pretrains = piece.arm == PRETRAIN;
        let resume = if pretrains { self.prepare_pretraining(piece, &directory)? } else { self.prepare_arm(piece, &directory)? };
        let until = pretrains.then_some(self.design.config.importance.pretrain_epochs);
        let failed = |reason: String| CompareError::Failed { piece: piece.clone(), reason };
        let broken = |e: StartError| failed(e.to_string());
        let (mut host, input) = TiedHost::start(&directory, device, threads, resume, until).map_err(broken)?;
        stopper.add(piece, input);
        let mut reason = None;
        while let Some(said) = host.hear() {
            match said {
                TiedSays::StartUp(StartUp::Failed(why)) => reason = Some(why),
                TiedSays::StartUp(word) => drop(tell.send(Said::StartUp(word))),
                TiedSays::Record(record) => {
                    match &record.event {
                        Event::Failed { reason: why } => reason = Some(why.clone()),
                        Event::Paused { reason: Some(why), cause: Cause::NotFinite, .. } => {
                            reason = Some(why.clone());
                            stopper.stop_one(piece); // nobody is here to decide
                        }
                        _ => {}
                    }
                    let _ = tell.send(Said::Record(piece.clone(), record));
                }
            }
        }
        stopper.stop_one(piece);
        let code = host.end().map_err(broken)?;
        if stopper.is_asked() || self.design.is_done(piece, &self.directory) {
            return Ok(());
        }
        Err(failed(reason.unwrap_or_else(|| format!("it ended with exit code {code} before its end"))))
    }

    /// Makes the directory of a seed's pretraining what a host begins with; whether it goes on from a checkpoint.
    fn prepare_pretraining(&self, piece: &Piece, directory: &RunDirectory) -> Result<bool, CompareError> {
        if directory.checkpoints().newest_state().is_some() {
            return Ok(true);
        }
        // Killed before its first checkpoint: from the beginning.
        if directory.path().exists() {
            std::fs::remove_dir_all(directory.path()).map_err(at(directory, ""))?;
        }
        std::fs::create_dir_all(directory.path()).map_err(at(directory, ""))?;
        let mut config = RunConfig { seed: piece.seed, ..self.design.config.clone() };
        config.importance.sampler = Sampler::Uniform;
        let text = toml::to_string(&config).map_err(|e| at(directory, "config.toml")(io::Error::other(e)))?;
        directory.write("config.toml", &text)?;
        Ok(false)
    }

    /// Forks an arm that is not there yet.
    fn prepare_arm(&self, piece: &Piece, directory: &RunDirectory) -> Result<bool, CompareError> {
        if !directory.path().exists() {
            let from = Piece { seed: piece.seed, arm: PRETRAIN.into() }.directory(&self.directory);
            let config = self.design.arms.iter().find(|(name, _)| *name == piece.arm).map(|(_, config)| config.clone());
            let config = RunConfig { seed: piece.seed, name: piece.arm.clone(), ..config.unwrap_or_default() };
            fork(&from, directory, config)?;
        }
        Ok(true)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at<'a>(directory: &'a RunDirectory, file: &'a str) -> impl FnOnce(io::Error) -> CompareError + 'a {
    move |source| CompareError::Io { path: directory.file(file).display().to_string(), source }
}

/// Makes `to` a run that goes on from where `from` stopped, with another config. It has its name only when it is whole.
fn fork(from: &RunDirectory, to: &RunDirectory, config: RunConfig) -> Result<(), CompareError> {
    let found = from.checkpoints().newest().map_err(at(from, "checkpoints"))?;
    let Some((mut checkpoint, _)) = found.checkpoint else {
        let source = io::Error::new(io::ErrorKind::NotFound, "no whole checkpoint to fork from");
        return Err(at(from, "checkpoints")(source));
    };
    if config.importance.sampler != Sampler::Uniform {
        checkpoint.state.preferred = config.importance.sampler;
    }
    checkpoint.state.config = config;
    let half = RunDirectory::open(&to.path().with_extension("half"));
    let make = || -> io::Result<()> {
        if half.path().exists() {
            std::fs::remove_dir_all(half.path())?;
        }
        std::fs::create_dir_all(half.path())?;
        std::fs::copy(from.file("journal.jsonl"), half.file("journal.jsonl"))?;
        let text = toml::to_string(&checkpoint.state.config).map_err(io::Error::other)?;
        std::fs::write(half.file("config.toml"), text)?;
        half.checkpoints().write(&checkpoint)?;
        std::fs::rename(half.path(), to.path())
    };
    make().map_err(at(to, ""))
}
