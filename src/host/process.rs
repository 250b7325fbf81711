//! The host as a process of its own, in its own session: no terminal can take it along. It tells
//! its parent on stdout how it starts, then is alone; what it and native code say goes to
//! `host.log`.

use super::{Beginning, Changes, ChangesError, HostError, Plan, StartUp};
use crate::config::{self, ConfigError};
use crate::link::{Backlog, CockpitEnd, Delivery};
use crate::model::device::{DeviceError, DeviceName};
use crate::protocol::{Command, Request, Stop};
use crate::run::RunDirectory;
use crate::train::TrainerReport;
use std::io::Write;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tokio::sync::mpsc::WeakSender;

/// Arguments of a host process.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The run's directory.
    pub directory: PathBuf,
    /// Where to train.
    #[arg(long)]
    pub device: String,
    /// LibTorch's threads.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Go on from the newest checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Stop when this epoch has been evaluated.
    #[arg(long, value_name = "EPOCH")]
    pub until: Option<usize>,
    /// Tell every record on stdout, and stop when stdin ends.
    #[arg(long)]
    pub tied: bool,
    /// Values to change before the first step.
    #[arg(long = "set")]
    pub set: Vec<String>,
}

/// Trains the run; gives the exit code.
pub fn run(arguments: &Arguments) -> u8 {
    // A terminal that goes while the data is loaded does not matter; an interrupt there ends this,
    // too, until it trains.
    let directory = RunDirectory::open(&arguments.directory);
    let signalled = super::mind_signals(move |words| {
        complain(words);
        directory.discard(); // which leaves what has begun
    });
    let signalled = signalled
        .inspect_err(|e| complain(&format!("signals cannot be handled: {e}")))
        .unwrap_or_default();
    let mut tell = |s: StartUp| {
        if let StartUp::Failed(text) | StartUp::Note(text) = &s {
            complain(text);
        }
        // A parent that has gone does not listen; that is no reason not to train.
        let _ = serde_json::to_string(&s).map(|line| writeln!(std::io::stdout(), "{line}"));
    };
    let own = arguments.tied.then_some(Backlog::Whole);
    let begun = plan(arguments)
        .map_err(|e| HostError::Impossible(e.to_string()))
        .and_then(|plan| super::begin(plan, own, &mut tell));
    let (host, link) = match begun {
        Ok(begun) => begun,
        Err(e) => {
            tell(match e {
                HostError::Impossible(why) => StartUp::Failed(why),
                HostError::Unreachable(e) => StartUp::Unreachable(e.to_string()),
            });
            return 1;
        }
    };
    signalled.stop_with(host.stopper(complain));
    // Fails when this process leads a group already: somebody started it by hand, and may keep it.
    let _ = rustix::process::setsid();
    tell(StartUp::Ready);
    if !arguments.tied {
        // The parent sees the end of its pipe; whatever is printed from here on goes to the log.
        let _ = rustix::stdio::dup2_stdout(std::io::stderr());
    }
    let tied = link.map(|link| tell_until_it_ends(host.requests().downgrade(), link));
    let report = host.finish();
    if let Some(told) = tied {
        let _ = told.join(); // a panic's report is in the log
    }
    match report {
        TrainerReport::Finished => 0,
        TrainerReport::Stopped => signalled.exit_code().unwrap_or(130),
        TrainerReport::Failed(reason) => {
            complain(&reason);
            1
        }
    }
}

/// Tells every record on stdout until the run is over; when stdin ends, the run is stopped.
fn tell_until_it_ends(requests: WeakSender<Request>, mut link: CockpitEnd) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        super::stop_with_note(&requests, "stopped with the comparison that it belongs to".into());
    });
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
        runtime.block_on(async {
            while let Some(delivery) = link.next().await {
                if let Delivery::Record(record) = delivery {
                    let _ = writeln!(std::io::stdout(), "{}", record.to_line());
                }
            }
        });
    })
}

/// Why the arguments make no plan.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Changes(#[from] ChangesError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

fn plan(arguments: &Arguments) -> Result<Plan, PlanError> {
    let directory = RunDirectory::open(&arguments.directory);
    let device: DeviceName = arguments.device.parse()?;
    let mut commands = Vec::new();
    let beginning = if arguments.resume {
        let changes = Changes::of(&arguments.set)?;
        commands = changes.commands;
        Beginning::Resume { data: changes.data }
    } else {
        let file = directory.file("config.toml");
        Beginning::New(Box::new(config::load(&file, &arguments.set)?))
    };
    commands.extend(arguments.until.map(|epoch| Command::Stop { stop: Stop::AtEpoch(epoch) }));
    Ok(Plan { directory, device, threads: arguments.threads, beginning, commands })
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "earlybird: {text}");
}
