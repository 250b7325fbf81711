//! `earlybird train` and `earlybird resume`: the config is settled on the plain terminal; then a process of its own trains and
//! the cockpit opens on it, or this process does both.

use super::{HowArgs, Outcome, ResumeArgs, TrainArgs, complain, failed, headless, say, usage, watch};
use crate::config::{self, Live, RunConfig};
use crate::host::{self, Beginning, Plan};
use crate::link::Backlog;
use crate::model::device::DeviceName;
use crate::protocol::Command;
use crate::run::RunDirectory;
use crate::tui;

/// Where a run is computed, how it is shown.
struct How {
    device: DeviceName,
    threads: Option<usize>,
    setup: tui::Setup,
    shown: Shown,
}

enum Shown {
    /// As lines, by the process that trains.
    Lines { json: bool },
    /// In the cockpit, by the process that trains.
    Inline,
    /// In the cockpit, by this process, while another one trains.
    Attached,
}

impl How {
    /// `before` is the device that a run to be continued was on.
    fn settle(args: &HowArgs, before: Option<DeviceName>) -> Result<Self, Outcome> {
        let device = args.compute.device(before)?;
        let shown = match (args.headless || args.json, watch::is_terminal(), args.inline) {
            (true, ..) => Shown::Lines { json: args.json },
            (false, false, _) => {
                complain("this is not a terminal: printing lines instead of opening the cockpit (--headless)");
                Shown::Lines { json: false }
            }
            (false, true, true) => Shown::Inline,
            (false, true, false) => Shown::Attached,
        };
        let setup = args.screen.setup(!matches!(shown, Shown::Lines { .. }))?;
        Ok(Self { device, threads: args.compute.threads(), setup, shown })
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
    let text = toml::to_string(&config).map_err(failed)?;
    if args.print_config {
        say(text.trim_end());
        return Ok(Outcome::Done);
    }
    let how = How::settle(&args.how, None)?;
    let directory = RunDirectory::create(&args.how.place.runs_dir, &config.name).map_err(failed)?;
    directory.write("config.toml", &text).map_err(failed)?;
    if let Shown::Attached = how.shown {
        watch::start(&directory, how.device, how.threads, None)?;
        return Ok(watch::attached(&directory, &how.setup, how.device, how.threads));
    }
    in_this_process(directory, Beginning::New(Box::new(config)), Vec::new(), how)
}

fn try_resume(args: &ResumeArgs) -> Result<Outcome, Outcome> {
    let directory = RunDirectory::find(&args.how.place.runs_dir, args.run.as_deref()).map_err(usage)?;
    let mut commands = Vec::new();
    if let Some(state) = directory.checkpoints().newest_state() {
        let mut changed = state.config.clone();
        for item in &args.set {
            let (key, value) = config::parse_set(item).map_err(usage)?;
            if key.live == Live::No {
                return Err(usage(format!("{} is fixed for the run: start a new one to change it", key.path)));
            }
            changed = config::from_value(&changed, key.path, &value).map_err(usage)?;
            commands.push(Command::Set { key: key.path.into(), value: serde_json::to_value(value).map_err(failed)? });
        }
        if state.completed >= changed.train.epochs {
            let n = state.config.train.epochs;
            say(format!("{} is finished ({n} of {n} epochs). To train on: --set train.epochs={}", directory.id(), n + 10));
            return Ok(Outcome::Done);
        }
    }
    let how = How::settle(&args.how, watch::device_of(&directory))?;
    if let Shown::Attached = how.shown {
        watch::start(&directory, how.device, how.threads, Some(&args.set))?;
        return Ok(watch::attached(&directory, &how.setup, how.device, how.threads));
    }
    in_this_process(directory, Beginning::Resume, commands, how)
}

fn in_this_process(directory: RunDirectory, beginning: Beginning, commands: Vec<Command>, how: How) -> Result<Outcome, Outcome> {
    let backlog = if let Shown::Lines { .. } = how.shown { Backlog::Whole } else { Backlog::Bounded };
    let plan = Plan { directory, device: how.device, threads: how.threads, beginning, commands };
    let mut shown = super::data::ProgressLine::default();
    let begun = host::begin(plan, Some(backlog), &mut |s| watch::report(&mut shown, s));
    shown.end();
    let (host, Some(link)) = begun.map_err(failed)? else { return Ok(Outcome::Failed) };
    Ok(match how.shown {
        Shown::Lines { json } => headless::run(host, link, json),
        Shown::Inline | Shown::Attached => watch::inline(host, link, &how.setup),
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
