//! `earlybird send`: one command to a run, for scripts.

use super::compare;
use super::{BiasWord, Outcome, SendArgs, SendWhat, failed, headless, program, reach, usage};
use crate::config;
use crate::link::{self, Answered};
use crate::protocol::{Bias, Command, Stop};

/// Sends it, and prints the answer.
pub(super) fn run(args: SendArgs) -> Outcome {
    if let Some(comparison) = compare::find(&args.place.runs_dir, &args.run) {
        return match args.what {
            SendWhat::Stop { after_epoch: false } => compare::stop(&comparison),
            _ => usage(format!(
                "{} is a comparison, which takes `stop` only\n  Its runs take everything: {} send \
                 {}/seed-1/uniform pause, say.",
                comparison.id(),
                program(),
                comparison.path().display()
            )),
        };
    }
    let directory = match reach::find(&args.place.runs_dir, Some(&args.run)) {
        Ok(directory) => directory,
        Err(e) => return usage(e),
    };
    let command = match command(args.what) {
        Ok(command) => command,
        Err(why) => return usage(why),
    };
    match link::ask(&directory.socket(), command) {
        Ok(Answered::Record(record)) if headless::answer(&record, args.json) => Outcome::Done,
        Ok(Answered::Record(_)) => Outcome::Failed,
        Ok(Answered::Nothing(Some(why))) => failed(format!("{}: {why}", directory.id())),
        Ok(Answered::Nothing(None)) => {
            failed(format!("{} ended before it answered", directory.id()))
        }
        Err(e) => failed(reach::why(&directory, &e)),
    }
}

fn command(what: SendWhat) -> Result<Command, String> {
    Ok(match what {
        SendWhat::Pause => Command::Pause,
        SendWhat::Resume => Command::Resume,
        SendWhat::Checkpoint => Command::Checkpoint,
        SendWhat::Rescore => Command::Rescore,
        SendWhat::Rewind { lr_factor } => Command::Rewind { lr_factor },
        SendWhat::Note { text } => Command::Note { text },
        SendWhat::Stop { after_epoch: true } => Command::Stop { stop: Stop::AfterEpoch },
        SendWhat::Stop { after_epoch: false } => Command::Stop { stop: Stop::Now },
        SendWhat::Bias { how } => {
            let bias = match how {
                BiasWord::Now => Bias::Now,
                BiasWord::Off => Bias::Off,
                BiasWord::On => Bias::On,
            };
            Command::Bias { bias }
        }
        SendWhat::Set { key, value } => {
            let (key, value) =
                config::parse_set(&format!("{key}={value}")).map_err(|p| p.to_string())?;
            Command::Set {
                key: key.path.into(),
                value: serde_json::to_value(value).map_err(|e| e.to_string())?,
            }
        }
    })
}
