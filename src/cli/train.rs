//! `earlybird train` and `earlybird resume`: the config is settled on the plain terminal; then a
//! process of its own trains and the cockpit opens on it, or this process does both.

use super::{
    HowArgs, Outcome, ResumeArgs, TrainArgs, complain, failed, headless, reach, say, usage, watch,
};
use crate::config::{self, RunConfig};
use crate::host::{self, Beginning, Changes, Plan, StartError};
use crate::link::Backlog;
use crate::model::device::DeviceName;
use crate::protocol::Command;
use crate::run::{Ending, RunDirectory};
use crate::tui;

/// Where a run is computed, how it is shown.
struct How {
    device: DeviceName,
    threads: Option<usize>,
    shown: Shown,
}

enum Shown {
    /// As lines, by the process that trains.
    Lines { json: bool },
    /// In the cockpit, by the process that trains.
    Inline(Box<tui::Setup>),
    /// In the cockpit, by this process, while another one trains.
    Attached(Box<tui::Setup>),
}

/// Whether this process is the one that trains.
pub(super) fn computes_here(args: &HowArgs) -> bool {
    args.headless || args.json || args.inline || watch::no_screen().is_some()
}

impl How {
    /// `before` is the device that a run to be continued was on.
    fn settle(args: &HowArgs, before: Option<DeviceName>) -> Result<Self, Outcome> {
        let device = args.compute.device(before)?;
        // nothing is read of it where no screen is opened
        let setup = || args.screen.setup().map(Box::new);
        let shown = match (args.headless || args.json, watch::no_screen(), args.inline) {
            (true, ..) => Shown::Lines { json: args.json },
            (false, Some(why), _) => {
                complain(format!(
                    "{why}: printing lines instead of opening the cockpit (--headless)"
                ));
                Shown::Lines { json: false }
            }
            (false, None, true) => Shown::Inline(setup()?),
            (false, None, false) => Shown::Attached(setup()?),
        };
        Ok(Self { device, threads: args.compute.threads(), shown })
    }
}

/// `earlybird train`
pub(super) fn run(args: TrainArgs) -> Outcome {
    try_run(&args).unwrap_or_else(|outcome| outcome)
}

/// `earlybird resume`
pub(super) fn resume(args: ResumeArgs) -> Outcome {
    try_resume(&args).unwrap_or_else(|outcome| outcome)
}

fn try_run(args: &TrainArgs) -> Result<Outcome, Outcome> {
    let config = resolve(args).map_err(usage)?;
    if args.print_config {
        say(toml::to_string(&config).map_err(failed)?.trim_end());
        return Ok(Outcome::Done);
    }
    if args.resume_if_there {
        let runs = &args.how.place.runs_dir;
        if let Some(directory) = RunDirectory::newest_named(runs, &config.name) {
            return go_on(args, &config, directory);
        }
    }
    let how = How::settle(&args.how, None)?;
    let text = toml::to_string(&config).map_err(failed)?;
    let directory = RunDirectory::create(&args.how.place.runs_dir, &config.name).map_err(failed)?;
    let written = directory.write("config.toml", &text).map_err(failed);
    let begun =
        written.and_then(|()| begin(directory.clone(), Beginning::New(Box::new(config)), &[], how));
    begun.inspect_err(|_| directory.discard())
}

/// Goes on with a run that the same command began before.
fn go_on(
    args: &TrainArgs,
    config: &RunConfig,
    directory: RunDirectory,
) -> Result<Outcome, Outcome> {
    let begun = config::load(&directory.file("config.toml"), &[]).map_err(failed)?;
    let id = directory.id();
    let differing = config::differing(&begun, config);
    // Where its data lies may have changed: the run itself looks whether it is the same.
    let differing: Vec<&str> = differing.into_iter().filter(|key| *key != "data.path").collect();
    if !differing.is_empty() {
        return Err(usage(format!(
            "{id} was begun with other values of {}\n  Give this one another name \
             (--set name=...), or go on with the old one: earlybird resume {id}",
            differing.join(", ")
        )));
    }
    if is_over(&directory, &[])? {
        return Ok(Outcome::Done);
    }
    complain(format!("going on with {id}"));
    let how = How::settle(&args.how, watch::device_of(&directory))?;
    let moved = begun.data.path != config.data.path;
    let set = moved.then(|| format!("data.path={}", config::value_text(config, "data.path")));
    let set: Vec<String> = set.into_iter().collect();
    let changes = Changes::of(&set).map_err(usage)?;
    begin(directory, Beginning::Resume { data: changes.data }, &set, how)
}

fn try_resume(args: &ResumeArgs) -> Result<Outcome, Outcome> {
    let directory = reach::find(&args.how.place.runs_dir, args.run.as_deref()).map_err(usage)?;
    let changes = Changes::of(&args.set).map_err(usage)?;
    if is_over(&directory, &args.set)? {
        return Ok(Outcome::Done);
    }
    let how = How::settle(&args.how, watch::device_of(&directory))?;
    begin(directory, Beginning::Resume { data: changes.data }, &args.set, how)
}

/// Whether nothing is left to do in a run, with the changes `set`: its journal says that it is
/// finished, the model is there, and no more epochs are asked for. Says so, or what is missing.
fn is_over(directory: &RunDirectory, set: &[String]) -> Result<bool, Outcome> {
    let state = directory.checkpoints().newest_state();
    let mut wanted = state.as_ref().map(|state| state.config.clone());
    for item in set {
        let (key, value) = config::parse_set(item).map_err(usage)?;
        let changed = wanted.map(|c| config::from_value(&c, key.path, &value));
        wanted = changed.transpose().map_err(usage)?;
    }
    let id = directory.id();
    let ending = directory.ending().unwrap_or_default();
    let Ending::Finished { epochs: n, .. } = ending else {
        if state.zip(wanted).is_some_and(|(s, w)| s.completed >= w.train.epochs) {
            complain(format!("all epochs of {id} are trained; finishing what is missing"));
        }
        return Ok(false);
    };
    if wanted.map_or(!set.is_empty(), |wanted| wanted.train.epochs > n) {
        return Ok(false);
    }
    if !directory.has_its_model(&ending) {
        complain(format!(
            "{id} is finished, but model.safetensors is missing or damaged; writing it again"
        ));
        return Ok(false);
    }
    // One that ended early would do so again.
    let patience = wanted_patience(directory);
    say(format!(
        "{id} is finished ({n} of {n} epochs). To train on: --set train.epochs={}{patience}",
        n + 10
    ));
    Ok(true)
}

/// What has to be set for a run with patience to train on.
fn wanted_patience(directory: &RunDirectory) -> &'static str {
    let state = directory.checkpoints().newest_state();
    let has_patience = state.is_some_and(|state| state.config.train.patience > 0);
    if has_patience { " --set train.patience=0" } else { "" }
}

/// Has a process of its own or this one train the run; `set` are the changes to one that goes on.
/// An error: nothing of it has begun.
fn begin(
    directory: RunDirectory,
    beginning: Beginning,
    set: &[String],
    how: How,
) -> Result<Outcome, Outcome> {
    let mut how = how;
    if let Shown::Attached(setup) = how.shown {
        let resume = matches!(beginning, Beginning::Resume { .. }).then_some(set);
        match watch::start(&directory, how.device, how.threads, resume) {
            Ok(()) => return Ok(watch::attached(&directory, &setup, how.device, how.threads)),
            Err(StartError::Unreachable(why)) => {
                complain(format!(
                    "{why}\n  So this process trains (--inline): leaving the cockpit ends the run; \
                     losing the terminal does not."
                ));
                how.shown = Shown::Inline(setup);
            }
            Err(e) => return Err(failed(e)),
        }
    }
    let commands = Changes::of(set).map_err(usage)?.commands;
    in_this_process(directory, beginning, commands, how)
}

fn in_this_process(
    directory: RunDirectory,
    beginning: Beginning,
    commands: Vec<Command>,
    how: How,
) -> Result<Outcome, Outcome> {
    let backlog =
        if let Shown::Lines { .. } = how.shown { Backlog::Whole } else { Backlog::Bounded };
    let plan = Plan { directory, device: how.device, threads: how.threads, beginning, commands };
    let unbegun = plan.directory.clone();
    let signalled = host::mind_signals(move |words| {
        tui::give_back();
        complain(words);
        unbegun.discard(); // which leaves what has begun
    });
    let signalled = signalled.map_err(|e| failed(format!("signals cannot be handled: {e}")))?;
    let mut shown = super::data::ProgressLine::default();
    let begun = host::begin(plan, Some(backlog), &mut |s| watch::report(&mut shown, s));
    shown.end();
    let (host, Some(link)) = begun.map_err(failed)? else { return Ok(Outcome::Failed) };
    Ok(match how.shown {
        Shown::Lines { json } => headless::run(host, link, &signalled, json),
        Shown::Inline(setup) | Shown::Attached(setup) => {
            watch::inline(host, link, &signalled, &setup)
        }
    })
}

fn resolve(args: &TrainArgs) -> Result<RunConfig, config::ConfigError> {
    let mut set = args.set.clone();
    if let Some(seed) = args.seed {
        set.push(format!("seed={seed}"));
    }
    if args.tensorboard {
        set.push("checkpoint.tensorboard=true".into());
    }
    match &args.config {
        Some(file) => config::load(file, &set),
        None => config::demo(&set),
    }
}
