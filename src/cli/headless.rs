//! A run without a cockpit: one readable line per epoch and per event of note, or every event as JSON.

use super::{Outcome, complain};
use crate::link::CockpitEnd;
use crate::protocol::{Command, Event, Phase, Record, Stop};
use crate::run::RunDirectory;
use crate::train::Trainer;
use std::io::Write;
use tokio::signal::unix::{SignalKind, signal};

/// Prints until the run is over. INT and TERM stop it (a second one at once).
pub(super) fn run(mut link: CockpitEnd, trainer: Trainer, json: bool, directory: &RunDirectory) -> Outcome {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            complain(format!("cannot start: {e}"));
            return Outcome::Failed;
        }
    };
    let mut outcome = Outcome::Failed;
    let mut out = Lines { json, open: true };
    let listened = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut asked = false;
        loop {
            tokio::select! {
                record = link.next() => {
                    let Some(record) = record else { return Ok::<_, std::io::Error>(()) };
                    out.print(&record);
                    if let Event::Paused { reason: Some(_), .. } = &record.event {
                        // Nobody is here to look: the reason is printed, the run ends with what it has.
                        link.send(Command::Stop { stop: Stop::Now });
                    }
                    match record.event {
                        Event::Finished { stopped: false, .. } => outcome = Outcome::Done,
                        Event::Finished { stopped: true, .. } if asked => outcome = Outcome::Interrupted,
                        _ => {}
                    }
                }
                _ = interrupt.recv() => if stop(&link, &mut asked) { signal_hook::low_level::exit(130) },
                _ = terminate.recv() => if stop(&link, &mut asked) { signal_hook::low_level::exit(143) },
            }
        }
    });
    if let Err(e) = listened {
        complain(format!("signals cannot be handled: {e}"));
    }
    trainer.join();
    if !json {
        let again =
            if outcome == Outcome::Done { String::new() } else { format!("; go on: earlybird resume {}", directory.id()) };
        out.line(&format!("kept in {}{again}", directory.path().display()));
    }
    outcome
}

/// Asks the trainer to stop; true when that was asked before.
fn stop(link: &CockpitEnd, asked: &mut bool) -> bool {
    if *asked {
        return true;
    }
    *asked = true;
    complain("stopping after this step (once more: at once)");
    link.send(Command::Stop { stop: Stop::Now });
    false
}

struct Lines {
    json: bool,
    open: bool,
}

impl Lines {
    fn print(&mut self, record: &Record) {
        if self.json {
            self.line(&record.to_line());
        } else if let Some(text) = line_of(record) {
            self.line(&text);
        }
    }

    /// A closed pipe ends the printing, not the training.
    fn line(&mut self, text: &str) {
        if self.open && writeln!(std::io::stdout(), "{text}").is_err() {
            self.open = false;
            complain("nobody reads the output any more; training goes on");
        }
    }
}

/// What a person wants to read of a record; `None` for the rest.
fn line_of(record: &Record) -> Option<String> {
    let text = match &record.event {
        Event::RunStarted { run, data, model, device, config, .. } => {
            let (e, n) = (config.importance.pretrain_epochs, config.train.epochs);
            format!(
                "run {run}: {} ({} train, {} test, {} classes), {} ({} parameters), {device}, E = {e} of N = {n}, seed {}",
                data.name,
                data.train,
                data.test,
                data.classes.len(),
                model.name,
                model.parameters,
                config.seed
            )
        }
        Event::Phase { .. } | Event::Step { .. } | Event::Evaluating { .. } => return None,
        Event::Checkpoint { kind, .. } if kind == "epoch" => return None,
        Event::Weights(w) => format!(
            "weights after epoch {}: min {:.3}, quartiles {:.3} {:.3} {:.3}, max {:.3}, effective sample size {:.1}% of {}",
            w.epoch,
            w.spread.min,
            w.spread.quartiles[0],
            w.spread.quartiles[1],
            w.spread.quartiles[2],
            w.spread.max,
            100.0 * w.ess,
            w.n
        ),
        Event::EpochEnd(e) => {
            let biased = match e.phase {
                Phase::Pretrain => String::new(),
                _ => format!(", coverage {:.1}%, never drawn {}", 100.0 * e.coverage, e.never_drawn),
            };
            format!(
                "epoch {:>3} {:<8} train loss {:.4}, test loss {:.4}, test accuracy {:.2}%, balance {:.3}{biased}, {:.1} s",
                e.epoch,
                e.phase.word(),
                e.train_loss,
                e.test_loss,
                100.0 * e.test_accuracy,
                e.balance,
                e.seconds
            )
        }
        Event::Changed { key, old, new, effective, .. } => format!("changed {key}: {old} -> {new}, {effective}"),
        Event::Refused { key, value, reason } => format!("refused {key} = {value}: {reason}"),
        Event::Paused { reason, .. } => format!("paused{}", reason.as_ref().map_or_else(String::new, |r| format!(": {r}"))),
        Event::Resumed { .. } => "resumed".into(),
        Event::Note { text } => format!("note: {text}"),
        Event::Checkpoint { file, .. } => format!("written {file}"),
        Event::Warning { text, .. } => format!("warning: {text}"),
        Event::Failed { reason } => format!("failed: {reason}"),
        Event::Finished { epochs, best_accuracy, best_epoch, final_accuracy, seconds, parameters_sha256, stopped } => format!(
            "{} after {epochs} epochs in {seconds:.1} s: test accuracy {:.2}%, best {:.2}% (epoch {best_epoch}), parameters {}",
            if *stopped { "stopped" } else { "finished" },
            100.0 * final_accuracy,
            100.0 * best_accuracy,
            &parameters_sha256[..parameters_sha256.len().min(16)]
        ),
    };
    Some(format!("{:>8.1}s  {text}", record.t))
}
