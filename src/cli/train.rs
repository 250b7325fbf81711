//! `earlybird train` and `earlybird resume`: config, data and device are settled on the plain terminal; then the cockpit opens,
//! or lines are printed.

use super::{HowArgs, Outcome, ResumeArgs, TrainArgs, complain, headless, say};
use crate::config::{self, Live, RunConfig};
use crate::data::{self, Dataset};
use crate::link::{self, CockpitEnd};
use crate::model::device::{self, DeviceName};
use crate::protocol::{Command, Event, Record};
use crate::run::{self, Hub, Journal, Keeper, RunDirectory, RunLock};
use crate::train::{Session, TRAINER_THREAD, TrainError, Trainer, TrainerReport};
use crate::tui;
use burn::tensor::Device;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What is settled before a run begins: where it is computed, how it is shown.
struct How {
    device_name: DeviceName,
    device: Device,
    screen: tui::Appearance,
    plain: bool,
    json: bool,
}

impl How {
    fn settle(args: &HowArgs) -> Result<Self, Outcome> {
        let usage = |e: &dyn Display| {
            complain(e);
            Outcome::Usage
        };
        let name = args.device.as_deref().map_or_else(|| Ok(DeviceName::best()), str::parse);
        let device_name: DeviceName = name.map_err(|e| usage(&e))?;
        if let Some(threads) = args.threads {
            device::set_threads(usize::from(threads));
        }
        let device = device_name.open().map_err(failed)?;
        let look = &args.screen;
        let screen = tui::Appearance::find(look.theme.as_deref(), look.ascii, look.fps).map_err(|e| usage(&e))?;
        let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        if !terminal && !args.headless && !args.json {
            complain("this is not a terminal: printing lines instead of opening the cockpit (--headless)");
        }
        Ok(Self { device_name, device, screen, plain: args.headless || args.json || !terminal, json: args.json })
    }
}

/// A run that can begin.
struct Beginning {
    directory: RunDirectory,
    /// Held to the end.
    lock: RunLock,
    /// Records that the cockpit is shown first, and the last record of the journal.
    past: Vec<Record>,
    last: (u64, f64),
    /// Commands that come before the first step.
    commands: Vec<Command>,
    build: Box<dyn FnOnce() -> Result<Session, TrainError> + Send>,
}

/// `earlybird train`
pub(super) fn run(args: TrainArgs) -> Outcome {
    finish_with(try_run(&args))
}

/// `earlybird resume`
pub(super) fn resume(args: ResumeArgs) -> Outcome {
    finish_with(try_resume(&args))
}

fn finish_with(outcome: Result<Outcome, Outcome>) -> Outcome {
    outcome.unwrap_or_else(|outcome| outcome)
}

fn try_run(args: &TrainArgs) -> Result<Outcome, Outcome> {
    let mut config = resolve(args).map_err(|e| {
        complain(e);
        Outcome::Usage
    })?;
    if args.print_config {
        say(toml::to_string(&config).map_err(failed)?.trim_end());
        return Ok(Outcome::Done);
    }
    let how = How::settle(&args.how)?;
    let dataset = load_data(&config).map_err(failed)?;
    let directory = RunDirectory::create(&args.how.runs_dir, &config.name).map_err(failed)?;
    let lock = directory.lock().map_err(failed)?;
    directory.write("config.toml", &toml::to_string(&config).map_err(failed)?).map_err(failed)?;
    config.name = directory.id();
    let (device, name) = (how.device.clone(), how.device_name.to_string());
    let build = Box::new(move || Session::new(config, dataset, &device, &name));
    begin(Beginning { directory, lock, past: Vec::new(), last: (0, 0.0), commands: Vec::new(), build }, how)
}

fn try_resume(args: &ResumeArgs) -> Result<Outcome, Outcome> {
    let usage = |text: String| {
        complain(text);
        Outcome::Usage
    };
    let directory = RunDirectory::find(&args.how.runs_dir, args.run.as_deref()).map_err(|e| usage(e.to_string()))?;
    let lock = directory.lock().map_err(failed)?;
    let found = directory.checkpoints().newest().map_err(failed)?;
    for damaged in &found.damaged {
        complain(format!("damaged, the one before is used: {damaged}"));
    }
    let (checkpoint, file) = found.checkpoint.ok_or_else(|| {
        failed(format!(
            "{} has no whole checkpoint\n  Its config is kept: earlybird train {}",
            directory.id(),
            directory.file("config.toml").display()
        ))
    })?;
    let config = checkpoint.state.config.clone();
    let mut commands = Vec::new();
    let mut changed = config.clone();
    for item in &args.set {
        let (key, value) = config::parse_set(item).map_err(|p| usage(p.to_string()))?;
        if key.live == Live::No {
            return Err(usage(format!("{} is fixed for the run: start a new one to change it", key.path)));
        }
        changed = config::from_value(&changed, key.path, &value).map_err(|p| usage(p.to_string()))?;
        commands.push(Command::Set { key: key.path.into(), value: serde_json::to_value(value).map_err(failed)? });
    }
    if checkpoint.state.completed >= changed.train.epochs {
        let n = config.train.epochs;
        say(format!("{} is finished ({n} of {n} epochs). To train on: --set train.epochs={}", directory.id(), n + 10));
        return Ok(Outcome::Done);
    }
    let how = How::settle(&args.how)?;
    let dataset = load_data(&config).map_err(failed)?;
    let journal = run::read_journal(&directory.file("journal.jsonl")).map_err(failed)?;
    let last = journal.last().map_or((0, checkpoint.state.seconds), |r| (r.seq, r.t));
    let past = up_to(journal, &file);
    let (device, name) = (how.device.clone(), how.device_name.to_string());
    let build = Box::new(move || Session::restore(&checkpoint, dataset, &device, &name));
    begin(Beginning { directory, lock, past, last, commands, build }, how)
}

/// The records of a journal up to the one that tells of this checkpoint, without those of an end.
fn up_to(mut journal: Vec<Record>, file: &Path) -> Vec<Record> {
    let is_it =
        |r: &Record| matches!(&r.event, Event::Checkpoint { file: f, .. } if Path::new(f).file_name() == file.file_name());
    if let Some(at) = journal.iter().rposition(is_it) {
        journal.truncate(at + 1);
    }
    journal.retain(|r| !matches!(r.event, Event::Finished { .. } | Event::Failed { .. } | Event::Paused { .. }));
    journal
}

/// Starts the trainer thread with its hub, journal and keeper, and shows it until the end.
fn begin(b: Beginning, how: How) -> Result<Outcome, Outcome> {
    let journal = Journal::open(&b.directory.file("journal.jsonl")).map_err(failed)?;
    let (trainer_end, received, cockpit) = link::in_process();
    if !how.plain {
        b.past.into_iter().for_each(|record| trainer_end.replay(record));
    }
    for command in b.commands {
        cockpit.send(command);
    }
    let mut hub = Hub::after(b.last.0, b.last.1, Some(journal), move |record| trainer_end.publish(record));
    let keeper = Keeper::new(b.directory.clone());
    let build = b.build;
    let build = move || build().map_err(|e| e.to_string());
    let trainer = crate::train::spawn(build, received, move |event| hub.emit(event), move |s, why| keeper.keep(s, why));
    let trainer = trainer.map_err(failed)?;
    let outcome = if how.plain {
        headless::run(cockpit, trainer, how.json, &b.directory)
    } else {
        in_cockpit(cockpit, trainer, how.screen, &b.directory)
    };
    drop(b.lock);
    Ok(outcome)
}

fn in_cockpit(cockpit: CockpitEnd, trainer: Trainer, screen: tui::Appearance, directory: &RunDirectory) -> Outcome {
    let log = directory.file("host.log");
    let ended = catch_unwind(AssertUnwindSafe(|| tui::run(cockpit, screen, &log, TRAINER_THREAD)));
    // The cockpit has dropped its end, whatever ended it: a trainer that is still at work stops, and writes what it has.
    let report = trainer.join();
    let Ok(ended) = ended else {
        return failed(format!("the cockpit panicked (the report is above, and in {})", log.display()));
    };
    match (ended, report) {
        (Err(e), _) => failed(format!("the terminal: {e}")),
        (_, TrainerReport::Panicked(reason)) => {
            complain(reason);
            say(format!("What native code said is in {}", log.display()));
            Outcome::Failed
        }
        (Ok(tui::Ended::Finished { summary }), TrainerReport::Finished) => {
            say(format!("{summary}\nKept in {}", directory.path().display()));
            Outcome::Done
        }
        (Ok(tui::Ended::Stopped { summary }), TrainerReport::Finished) => {
            say(format!("{summary}\nKept in {}; go on: earlybird resume {}", directory.path().display(), directory.id()));
            Outcome::Interrupted
        }
    }
}

fn resolve(args: &TrainArgs) -> Result<RunConfig, config::ConfigError> {
    let mut set = args.set.clone();
    if let Some(seed) = args.seed {
        set.push(format!("seed={seed}"));
    }
    match &args.config {
        Some(file) => config::load(file, &set),
        None => config::demo(&set),
    }
}

fn load_data(config: &RunConfig) -> Result<Dataset, data::DataError> {
    let mut shown = super::data::ProgressLine::default();
    let loaded = data::load(&config.data, config.seed, &mut |p| shown.show(&p));
    shown.end();
    loaded
}

fn failed(e: impl std::fmt::Display) -> Outcome {
    let _ = std::io::stdout().flush();
    complain(e);
    Outcome::Failed
}
