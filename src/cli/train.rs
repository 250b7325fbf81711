//! `earlybird train`: config, data and device are settled on the plain terminal; then the cockpit opens, or lines are printed.

use super::{Outcome, TrainArgs, complain, headless, say};
use crate::config::{self, RunConfig};
use crate::data::{self, Dataset};
use crate::link::{self, CockpitEnd};
use crate::model::device::{self, DeviceName};
use crate::model::write_safetensors;
use crate::protocol::Event;
use crate::run::{Hub, Journal, RunDirectory};
use crate::train::{Session, TRAINER_THREAD, Trainer, TrainerReport};
use crate::tui;
use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs it.
pub(super) fn run(args: TrainArgs) -> Outcome {
    let config = match resolve(&args) {
        Ok(config) => config,
        Err(e) => {
            complain(e);
            return Outcome::Usage;
        }
    };
    if args.print_config {
        return match toml::to_string(&config) {
            Ok(text) => {
                say(text.trim_end());
                Outcome::Done
            }
            Err(e) => failed(e),
        };
    }
    let device_name = match args.device.as_deref().map_or_else(|| Ok(DeviceName::best()), str::parse) {
        Ok(name) => name,
        Err(e) => {
            complain(e);
            return Outcome::Usage;
        }
    };
    if let Some(threads) = args.threads {
        device::set_threads(usize::from(threads));
    }
    let device = match device_name.open() {
        Ok(device) => device,
        Err(e) => return failed(e),
    };
    let screen = match tui::Appearance::find(args.screen.theme.as_deref(), args.screen.ascii, args.screen.fps) {
        Ok(screen) => screen,
        Err(e) => {
            complain(e);
            return Outcome::Usage;
        }
    };
    let dataset = match load_data(&config) {
        Ok(dataset) => dataset,
        Err(e) => return failed(e),
    };
    let directory = match RunDirectory::create(&args.runs_dir, &config.name) {
        Ok(directory) => directory,
        Err(e) => return failed(e),
    };
    let plain = args.headless || args.json || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal();
    if !args.headless && plain && !args.json {
        complain("this is not a terminal: printing lines instead of opening the cockpit (--headless)");
    }
    let (trainer, cockpit) = match start(config, dataset, device_name, device, &directory) {
        Ok(started) => started,
        Err(e) => return failed(e),
    };
    if plain { headless::run(cockpit, trainer, args.json, &directory) } else { in_cockpit(cockpit, trainer, screen, &directory) }
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
            say(format!("{summary}\nKept in {}", directory.path().display()));
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

/// Starts the trainer thread with its hub and journal.
fn start(
    config: RunConfig,
    dataset: Dataset,
    device_name: DeviceName,
    device: burn::tensor::Device,
    directory: &RunDirectory,
) -> Result<(Trainer, CockpitEnd), Box<dyn std::error::Error>> {
    directory.write("config.toml", &toml::to_string(&config)?)?;
    let journal = Journal::open(&directory.file("journal.jsonl"))?;
    let (trainer_end, commands, cockpit_end) = link::in_process();
    let mut hub = Hub::new(Some(journal), move |record| trainer_end.publish(record));
    let mut config = config;
    config.name = directory.id();
    let model_file = directory.file("model.safetensors");
    let build = move || Session::new(config, dataset, &device, &device_name.to_string()).map_err(|e| e.to_string());
    let trainer = crate::train::spawn(
        build,
        commands,
        move |event| hub.emit(event),
        move |session| {
            let state = session.state();
            match write_safetensors(&state, &model_file) {
                Ok(_) => Event::Checkpoint {
                    epoch: session.completed(),
                    step: 0,
                    file: model_file.display().to_string(),
                    kind: "final".into(),
                },
                Err(e) => {
                    Event::Warning { code: "final".into(), text: format!("{} cannot be written: {e}", model_file.display()) }
                }
            }
        },
    )?;
    Ok((trainer, cockpit_end))
}

fn failed(e: impl std::fmt::Display) -> Outcome {
    let _ = std::io::stdout().flush();
    complain(e);
    Outcome::Failed
}
