//! Trains the arms of a comparison, one after another, each as a run of its own; what was trained is not trained again.

use super::arms::{Arm, ArmError, BASELINE};
use super::outcome::{ArmOutcome, Outcome, SeedOutcome};
use crate::config::RunConfig;
use crate::dashboard::{Dashboard, RunState};
use crate::host::{self, Beginning, HostError, Plan, StartUp};
use crate::importance::Sampler;
use crate::link::{Backlog, Delivery};
use crate::model::device::DeviceName;
use crate::protocol::{Command, Event, Record, Request, Stop};
use crate::run::{self, RunDirectory, RunError, RunLock};
use crate::train::TrainerReport;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use tokio::sync::mpsc::WeakSender;

/// What is compared, as it stands in `comparison.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Design {
    /// The run whose arms these are.
    config: RunConfig,
    /// Name and config of each arm, the baseline first.
    arms: Vec<(String, RunConfig)>,
    seeds: Vec<u64>,
}

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
    /// A run of it cannot begin.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A run of it failed.
    #[error("{piece}: {reason}\n  What was trained is kept; earlybird compare --resume {name} goes on.")]
    Failed {
        /// Which run.
        piece: String,
        /// Why.
        reason: String,
        /// The comparison.
        name: String,
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

/// A run of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its seed.
    pub seed: u64,
    /// Its arm; `pretrain` for what all arms of the seed share.
    pub arm: String,
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, {}", self.seed, self.arm)
    }
}

/// Who is told what happens, and who may stop it.
pub trait Hooks {
    /// A run begins, and takes commands here.
    fn begins(&mut self, piece: &Piece, requests: WeakSender<Request>);
    /// A record of a run.
    fn record(&mut self, piece: &Piece, record: &Record);
    /// A host says something before it trains.
    fn start_up(&mut self, said: StartUp);
    /// Whether somebody wants all of it to stop.
    fn is_stopped(&self) -> bool;
}

const PRETRAIN: &str = "pretrain";

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
        let directory = RunDirectory::create(runs, name)?;
        let lock = directory.lock()?;
        let design = Design { seeds: (config.seed..config.seed.saturating_add(seeds)).collect(), config, arms };
        let text = serde_json::to_string_pretty(&design).map_err(|e| at(&directory, "comparison.json")(e.into()))?;
        directory.write("comparison.json", &text)?;
        Ok(Self { directory, design, _lock: lock })
    }

    /// One that was begun.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn open(directory: RunDirectory) -> Result<Self, CompareError> {
        let lock = directory.lock()?;
        let text = std::fs::read(directory.file("comparison.json")).map_err(at(&directory, "comparison.json"))?;
        let design = serde_json::from_slice(&text).map_err(|e| at(&directory, "comparison.json")(e.into()))?;
        Ok(Self { directory, design, _lock: lock })
    }

    /// Where it is kept.
    pub fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    /// Runs in all: for each seed the pretraining and the arms.
    pub fn pieces(&self) -> usize {
        self.design.seeds.len() * (1 + self.design.arms.len())
    }

    /// Trains what is not trained yet; `None` when it was stopped before the end.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn train(
        &self,
        device: DeviceName,
        threads: Option<usize>,
        hooks: &mut dyn Hooks,
    ) -> Result<Option<Outcome>, CompareError> {
        for &seed in &self.design.seeds {
            let pretrained = self.pretrain(seed, device, threads, hooks)?;
            for (arm, config) in &self.design.arms {
                if hooks.is_stopped() {
                    return Ok(None);
                }
                let directory = self.directory.part(&[&format!("seed-{seed}"), arm]);
                if finished(&directory) {
                    continue;
                }
                let piece = Piece { seed, arm: arm.clone() };
                if !directory.path().exists() {
                    fork(&pretrained, &directory, RunConfig { seed, name: arm.clone(), ..config.clone() })?;
                }
                let plan = Plan { directory, device, threads, beginning: Beginning::Resume, commands: Vec::new() };
                self.run(&piece, plan, hooks)?;
            }
        }
        if hooks.is_stopped() { Ok(None) } else { self.outcome().map(Some) }
    }

    /// The epochs up to E of a seed, which its arms share.
    fn pretrain(
        &self,
        seed: u64,
        device: DeviceName,
        threads: Option<usize>,
        hooks: &mut dyn Hooks,
    ) -> Result<RunDirectory, CompareError> {
        let directory = self.directory.part(&[&format!("seed-{seed}"), PRETRAIN]);
        let e = self.design.config.importance.pretrain_epochs;
        let reached = directory.checkpoints().newest_state().map(|s| s.completed);
        if reached == Some(e) || hooks.is_stopped() {
            return Ok(directory);
        }
        let beginning = if reached.is_some() {
            Beginning::Resume
        } else {
            // Killed before its first checkpoint: from the beginning.
            if directory.path().exists() {
                std::fs::remove_dir_all(directory.path()).map_err(at(&directory, ""))?;
            }
            std::fs::create_dir_all(directory.path()).map_err(at(&directory, ""))?;
            let mut config = RunConfig { seed, ..self.design.config.clone() };
            config.importance.sampler = Sampler::Uniform;
            Beginning::New(Box::new(config))
        };
        let piece = Piece { seed, arm: PRETRAIN.into() };
        let commands = vec![Command::Stop { stop: Stop::AtEpoch(e) }];
        let plan = Plan { directory: directory.clone(), device, threads, beginning, commands };
        self.run(&piece, plan, hooks)?;
        Ok(directory)
    }

    /// Trains one run to its end.
    fn run(&self, piece: &Piece, plan: Plan, hooks: &mut dyn Hooks) -> Result<(), CompareError> {
        let begun = host::begin(plan, Some(Backlog::Whole), &mut |said| hooks.start_up(said))?;
        let (host, Some(mut link)) = begun else { return Ok(()) };
        hooks.begins(piece, host.requests().downgrade());
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(at(&self.directory, ""))?;
        let ending = std::thread::spawn(move || host.finish());
        runtime.block_on(async {
            while let Some(delivery) = link.next().await {
                let Delivery::Record(record) = delivery else { continue };
                hooks.record(piece, &record);
                if let Event::Paused { reason: Some(_), cause: crate::protocol::Cause::NotFinite, .. } = record.event {
                    link.send(Command::Stop { stop: Stop::Now }); // nobody is here to decide
                }
            }
        });
        let failed = |reason: String| Err(CompareError::Failed { piece: piece.to_string(), reason, name: self.directory.id() });
        match ending.join().unwrap_or_else(|_| TrainerReport::Failed("the host panicked".into())) {
            TrainerReport::Failed(reason) => failed(reason),
            TrainerReport::Stopped if piece.arm != PRETRAIN && !hooks.is_stopped() => failed("it was stopped".into()),
            _ => Ok(()),
        }
    }

    /// What the finished arms reached, by the journals of their runs.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn outcome(&self) -> Result<Outcome, CompareError> {
        let mut arms = Vec::new();
        for (arm, config) in &self.design.arms {
            let mut seeds = Vec::new();
            for &seed in &self.design.seeds {
                let directory = self.directory.part(&[&format!("seed-{seed}"), arm]);
                if finished(&directory) {
                    seeds.push(reached(&directory, seed)?);
                }
            }
            arms.push(ArmOutcome { arm: arm.clone(), config: config.clone(), seeds });
        }
        Ok(Outcome { name: self.directory.id(), config: self.design.config.clone(), baseline: BASELINE.into(), arms })
    }
}

fn at<'a>(directory: &'a RunDirectory, file: &'a str) -> impl FnOnce(io::Error) -> CompareError + 'a {
    move |source| CompareError::Io { path: directory.file(file).display().to_string(), source }
}

fn dashboard_of(directory: &RunDirectory) -> io::Result<(Dashboard, Option<String>)> {
    let mut dashboard = Dashboard::default();
    let mut hash = None;
    for record in run::read_without_steps(&directory.file("journal.jsonl"))? {
        if let Event::Finished { parameters_sha256, .. } = &record.event {
            hash = Some(parameters_sha256.clone());
        }
        dashboard.fold(record);
    }
    Ok((dashboard, hash))
}

fn finished(directory: &RunDirectory) -> bool {
    dashboard_of(directory).is_ok_and(|(d, _)| d.state == RunState::Finished { stopped: false })
}

fn reached(directory: &RunDirectory, seed: u64) -> Result<SeedOutcome, CompareError> {
    let (dashboard, hash) = dashboard_of(directory).map_err(at(directory, "journal.jsonl"))?;
    Ok(SeedOutcome { seed, epochs: dashboard.epochs, parameters_sha256: hash.unwrap_or_default() })
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
