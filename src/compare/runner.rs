//! Trains the runs of a comparison, each in a process of its own, as many at once as there are
//! workers; what was trained is not trained again.

use super::arms::{Arm, ArmError};
use super::design::{Design, FILE, OUTCOME, PRETRAIN, Piece, has_journal};
use super::outcome::Outcome;
use crate::config::RunConfig;
use crate::host::{StartError, StartUp, TiedHost, TiedSays};
use crate::importance::{Adjust, Sampler};
use crate::model::device::DeviceName;
use crate::protocol::{Cause, Event, Record};
use crate::run::{self, RunDirectory, RunError, RunLock, TrainedBy, with_suffix};
use crate::train::Checkpoint;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a process of an earlier try may take to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take before that is told, and the time between two looks.
const A_MOMENT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(100);

/// A comparison on the disk, held by this process.
#[derive(Debug)]
pub struct Comparison {
    directory: RunDirectory,
    design: Design,
    lock: RunLock,
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
    /// Nothing can be compared so.
    #[error("{0}")]
    Impossible(String),
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
    /// What was found of a run before it began or went on.
    Note(Piece, String),
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
            let ready = state
                .todo
                .iter()
                .position(|p| p.arm == PRETRAIN || state.pretrained.contains(&p.seed));
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
    /// A new one under `runs`: `arms` (the baseline first) of the run `config` with seeds
    /// `config.seed` and those after it.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn create(
        runs: &Path,
        name: &str,
        config: RunConfig,
        arms: &[Arm],
        seeds: u64,
    ) -> Result<Self, CompareError> {
        let arms = arms.iter().map(|arm| Ok((arm.name.clone(), arm.config(&config)?)));
        let arms = arms.collect::<Result<_, ArmError>>()?;
        let design = Design {
            seeds: (config.seed..config.seed.saturating_add(seeds)).collect(),
            config,
            arms,
        };
        if let Some(why) = design.objection() {
            return Err(CompareError::Impossible(why));
        }
        let directory = RunDirectory::create(runs, name)?;
        let text =
            serde_json::to_string_pretty(&design).map_err(|e| at(&directory, FILE)(e.into()))?;
        let locked = directory.lock().and_then(|lock| directory.write(FILE, &text).map(|()| lock));
        let lock = locked.inspect_err(|_| {
            let _ = std::fs::remove_file(directory.file(FILE));
            directory.discard();
        })?;
        Ok(Self { directory, design, lock })
    }

    /// One that was begun.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn open(directory: RunDirectory) -> Result<Self, CompareError> {
        let lock = directory.lock()?;
        let design = Design::of(&directory).map_err(at(&directory, FILE))?;
        Ok(Self { directory, design, lock })
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
        if !self
            .design
            .pieces()
            .iter()
            .any(|piece| piece.directory(&self.directory).path().exists())
        {
            [FILE, "compare.log"]
                .iter()
                .for_each(|name| drop(std::fs::remove_file(self.directory.file(name))));
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

    /// Trains what is not trained yet, a worker on each of `devices`; keeps and gives what was
    /// found, `None` when it was stopped before the end.
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
        self.lock.when_lost({
            let stopper = stopper.clone();
            move || stopper.stop()
        });
        let (mut todo, mut pretrained) = (Vec::new(), HashSet::new());
        for piece in self.design.pieces() {
            // A process of an earlier try may still be writing its last checkpoint.
            self.wait_until_free(&piece, stopper, hear)?;
            if stopper.is_asked() {
                return Ok(None);
            }
            if !self.is_trained(&piece)? {
                todo.push(piece);
            } else if piece.arm == PRETRAIN {
                pretrained.insert(piece.seed);
            }
        }
        let queue = Queue {
            state: Mutex::new(QueueState { todo, pretrained, error: None }),
            changed: Condvar::new(),
        };
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
        if let Some(error) = queue.state.into_inner().unwrap_or_else(PoisonError::into_inner).error
        {
            return Err(error);
        }
        if self.lock.is_lost() {
            let by = self.directory.trained_by();
            return Err(self.directory.busy(by).into());
        }
        if stopper.is_asked() {
            return Ok(None);
        }
        let outcome = self.design.outcome(&self.directory).map_err(at(&self.directory, ""))?;
        let text =
            serde_json::to_string(&outcome).map_err(|e| at(&self.directory, OUTCOME)(e.into()))?;
        self.directory.write(OUTCOME, &text)?;
        self.directory.write("table.txt", &outcome.text())?;
        Ok(Some(outcome))
    }

    /// Waits until no process trains a piece, says so, and gives up when it is stopped.
    fn wait_until_free(
        &self,
        piece: &Piece,
        stopper: &Stopper,
        hear: &mut dyn FnMut(Said),
    ) -> Result<(), CompareError> {
        let directory = piece.directory(&self.directory);
        let began = Instant::now();
        let mut is_told = false;
        while !stopper.is_asked() {
            let by = match directory.trained_by() {
                TrainedBy::Nobody => return Ok(()),
                by if began.elapsed() >= PATIENCE => return Err(directory.busy(by).into()),
                by => by,
            };
            if !is_told && began.elapsed() >= A_MOMENT {
                hear(Said::Note(piece.clone(), format!("waits until {by} ends")));
                is_told = true;
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
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
        if let Some(link) = directory.path().ancestors().take(2).find(|path| is_link(path)) {
            let reason = format!(
                "{} is a link, and a comparison trains inside its own directory only: move it away",
                link.display()
            );
            return Err(CompareError::Failed { piece: piece.clone(), reason });
        }
        let pretrains = piece.arm == PRETRAIN;
        let note = |text: String| drop(tell.send(Said::Note(piece.clone(), text)));
        let resume = if pretrains {
            self.prepare_pretraining(piece, &directory, &note)?
        } else {
            self.prepare_arm(piece, &directory, &note)?
        };
        let until = pretrains.then_some(self.design.config.pretrain_epochs());
        let failed = |reason: String| CompareError::Failed { piece: piece.clone(), reason };
        let broken = |e: StartError| failed(e.to_string());
        let (mut host, input) =
            TiedHost::start(&directory, device, threads, resume, until).map_err(broken)?;
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
        if stopper.is_asked() || self.is_trained(piece)? {
            return Ok(());
        }
        Err(failed(
            reason.unwrap_or_else(|| format!("it ended with exit code {code} before its end")),
        ))
    }

    /// Whether a piece is trained as far as it is to be; of a pretraining, whether its checkpoint
    /// at E is whole, since all arms go on from that.
    fn is_trained(&self, piece: &Piece) -> Result<bool, CompareError> {
        let directory = piece.directory(&self.directory);
        if piece.arm == PRETRAIN {
            return self
                .design
                .can_fork(piece.seed, &directory)
                .map_err(at(&directory, "checkpoints"));
        }
        Ok(self.design.is_done(piece, &self.directory))
    }

    /// Makes the directory of a seed's pretraining what a host begins with; whether it goes on from
    /// what is there. What cannot be gone on from is set aside.
    fn prepare_pretraining(
        &self,
        piece: &Piece,
        directory: &RunDirectory,
        note: &dyn Fn(String),
    ) -> Result<bool, CompareError> {
        let found = directory.checkpoints().newest().map_err(at(directory, "checkpoints"))?;
        let e = self.design.config.pretrain_epochs();
        match &found.checkpoint {
            Some(_) if !has_journal(directory) => {
                set_aside(directory, "its journal is gone", note)?
            }
            Some((checkpoint, _)) if let Some(why) = self.design.is_another(checkpoint, piece) => {
                set_aside(directory, &why, note)?;
            }
            Some((checkpoint, _)) if checkpoint.state.completed < e => {
                for damage in &found.damaged {
                    note(format!("trained again from before it: {damage}"));
                }
                return Ok(true);
            }
            // Its config was kept with E; a later epoch is none that arms share.
            Some(_) => set_aside(directory, "it does not end at E", note)?,
            None if !found.damaged.is_empty() => {
                set_aside(directory, &found.damaged.join("; "), note)?;
            }
            None if directory.checkpoints().directory().exists() || had_a_checkpoint(directory) => {
                set_aside(directory, "it has no whole checkpoint", note)?;
            }
            None => {}
        }
        // One that was killed before its first checkpoint begins anew in its place.
        let begins_anew = has_journal(directory);
        std::fs::create_dir_all(directory.path()).map_err(at(directory, ""))?;
        let mut config = RunConfig { seed: piece.seed, ..self.design.config.clone() };
        let c = &mut config.importance;
        (c.sampler, c.adjust, c.adjust_posthoc) = (Sampler::Uniform, Adjust::None, 0.0);
        let text = toml::to_string(&config)
            .map_err(|e| at(directory, "config.toml")(io::Error::other(e)))?;
        directory.write("config.toml", &text)?;
        Ok(begins_anew)
    }

    /// Forks an arm that is not there yet, or has nothing to go on from.
    fn prepare_arm(
        &self,
        piece: &Piece,
        directory: &RunDirectory,
        note: &dyn Fn(String),
    ) -> Result<bool, CompareError> {
        let config = self.design.arms.iter().find(|(name, _)| *name == piece.arm);
        let config = config.map(|(_, config)| config.clone()).unwrap_or_default();
        let config = RunConfig { seed: piece.seed, name: piece.arm.clone(), ..config };
        if directory.path().exists() {
            let found = directory.checkpoints().newest().map_err(at(directory, "checkpoints"))?;
            let why = match &found.checkpoint {
                Some((checkpoint, _)) => self.is_no_arm(checkpoint, &config, directory),
                None if found.damaged.is_empty() => Some("it has no checkpoint".to_owned()),
                None => Some(found.damaged.join("; ")),
            };
            let Some(why) = why else { return Ok(true) };
            set_aside(directory, &why, note)?;
        }
        let from = Piece { seed: piece.seed, arm: PRETRAIN.into() }.directory(&self.directory);
        let checkpoint =
            self.design.fork_point(piece.seed, &from).map_err(at(&from, "checkpoints"))?;
        let Some(checkpoint) = checkpoint else {
            let reason =
                "the pretraining has no whole checkpoint at E: compare --resume makes one".into();
            return Err(CompareError::Failed { piece: piece.clone(), reason });
        };
        fork(checkpoint, &from, directory, config)?;
        Ok(true)
    }

    /// Why the run in `directory`, whose newest checkpoint is given, is not the arm with this
    /// config, or `None`.
    fn is_no_arm(
        &self,
        checkpoint: &Checkpoint,
        config: &RunConfig,
        directory: &RunDirectory,
    ) -> Option<String> {
        let (state, e) = (&checkpoint.state, self.design.config.pretrain_epochs());
        let reached = state.completed;
        if state.config.fork != config.fork {
            return Some("it is another arm".into());
        }
        let piece = Piece { seed: config.seed, arm: config.name.clone() };
        if let Some(why) = self.design.is_another(checkpoint, &piece) {
            return Some(why);
        }
        if reached < e {
            return Some(format!("it was forked at epoch {reached}, before E = {e}"));
        }
        (!has_journal(directory)).then(|| "its journal is gone".into())
    }
}

/// Gives a run's directory another name: nothing is removed that may be of use, or somebody else's.
fn set_aside(
    directory: &RunDirectory,
    why: &str,
    note: &dyn Fn(String),
) -> Result<(), CompareError> {
    let aside = give_another_name(directory).map_err(at(directory, ""))?;
    note(format!("starting over, since {why}; the old files are in {}", aside.display()));
    Ok(())
}

fn give_another_name(directory: &RunDirectory) -> io::Result<PathBuf> {
    let mut number = 1;
    let aside = loop {
        let aside = with_suffix(directory.path(), &format!(".aside-{number}"));
        // A link that leads nowhere is there, too.
        if aside.symlink_metadata().is_err() {
            break aside;
        }
        number += 1;
    };
    std::fs::rename(directory.path(), &aside)?;
    Ok(aside)
}

/// Whether the journal of the run ever told of a checkpoint.
fn had_a_checkpoint(directory: &RunDirectory) -> bool {
    let records = run::read_without_steps(&directory.file("journal.jsonl")).unwrap_or_default();
    run::had_a_checkpoint(&records)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at<'a>(
    directory: &'a RunDirectory,
    file: &'a str,
) -> impl FnOnce(io::Error) -> CompareError + 'a {
    move |source| CompareError::Io { path: directory.file(file).display().to_string(), source }
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_symlink())
}

/// Makes `to` a run that goes on from the `checkpoint` of `from`, with another config. It has its
/// name only when it is whole.
fn fork(
    mut checkpoint: Checkpoint,
    from: &RunDirectory,
    to: &RunDirectory,
    config: RunConfig,
) -> Result<(), CompareError> {
    if config.importance.sampler != Sampler::Uniform {
        checkpoint.state.preferred = config.importance.sampler;
    }
    checkpoint.state.config = config;
    let half = RunDirectory::open(&with_suffix(to.path(), ".half"));
    let make = || -> io::Result<()> {
        clear(&half)?;
        std::fs::create_dir_all(half.path())?;
        std::fs::copy(from.file("journal.jsonl"), half.file("journal.jsonl"))?;
        let text = toml::to_string(&checkpoint.state.config).map_err(io::Error::other)?;
        std::fs::write(half.file("config.toml"), text)?;
        half.checkpoints().write(&checkpoint)?;
        // What all figures of the arm rest on is looked at as it is on the disk.
        let written = half.checkpoints().newest()?;
        let reached = written.checkpoint.map(|(c, _)| c.state.completed);
        if !written.damaged.is_empty() || reached != Some(checkpoint.state.completed) {
            return Err(io::Error::other("what was written cannot be read back"));
        }
        std::fs::rename(half.path(), to.path())
    };
    make().map_err(|e| {
        let _ = clear(&half); // gives back its space; the first error counts
        at(to, "")(e)
    })
}

/// Takes away the half of a fork that was broken off: what a fork consists of, and nothing else. If
/// something is left, it gets another name.
fn clear(half: &RunDirectory) -> io::Result<()> {
    if half.path().symlink_metadata().is_err() {
        return Ok(());
    }
    let checkpoints = half.checkpoints();
    if is_link(half.path()) || is_link(checkpoints.directory()) {
        return give_another_name(half).map(drop); // what it leads to is somebody else's
    }
    let inside = std::fs::read_dir(checkpoints.directory()).into_iter().flatten();
    for path in inside.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("epoch-")) {
            std::fs::remove_file(path)?;
        }
    }
    for file in ["journal.jsonl", "config.toml"] {
        let _ = std::fs::remove_file(half.file(file));
    }
    let _ = std::fs::remove_dir(checkpoints.directory());
    match std::fs::remove_dir(half.path()) {
        Ok(()) => Ok(()),
        Err(_) => give_another_name(half).map(drop),
    }
}
