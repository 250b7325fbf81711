//! A run without a cockpit: one readable line per epoch and per event of note, or every event as
//! JSON.

use super::output::{say, try_to_say};
use super::{Outcome, complain, failed, program, reach};
use crate::host::{Host, Signalled};
use crate::link::{self, CockpitEnd, Delivery};
use crate::protocol::{Cause, Command, End, Event, Phase, Record, Stop};
use crate::run::RunDirectory;
use crate::train::TrainerReport;
use std::io::ErrorKind;

/// Prints until the run is over. A signal stops it (a second one at once); a terminal that goes
/// away does not.
pub(super) fn run(host: Host, mut link: CockpitEnd, signalled: &Signalled, json: bool) -> Outcome {
    signalled.stop_with(host.stopper(|text| complain(text)));
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(e) => return failed(format!("cannot start: {e}")),
    };
    let directory = host.directory().clone();
    let ending = std::thread::spawn(move || host.finish());
    let mut out = Lines { json, open: true };
    let mut gave_up = false;
    runtime.block_on(async {
        while let Some(delivery) = link.next().await {
            let Delivery::Record(record) = delivery else { continue };
            out.print(&record);
            if let Event::Paused { reason: Some(_), cause: Cause::NotFinite, .. } = &record.event {
                // Nobody is here to decide: the reason is printed, the run ends with what it has.
                gave_up = true;
                link.send(Command::Stop { stop: Stop::Now });
            }
        }
    });
    let outcome = match ending.join() {
        Ok(TrainerReport::Finished) => Outcome::Done,
        Ok(TrainerReport::Stopped) if !gave_up => {
            Outcome::Interrupted(signalled.exit_code().unwrap_or(130))
        }
        _ => Outcome::Failed,
    };
    if !json {
        let again = if outcome == Outcome::Done {
            String::new()
        } else {
            format!("; go on: {} resume {}", program(), directory.id())
        };
        // Somebody may have removed it.
        let path = directory.path();
        out.line(&if path.exists() {
            format!("kept in {}{again}", path.display())
        } else {
            format!("{} is not there any more{again}", path.display())
        });
    }
    outcome
}

/// Prints what happens in a run that another process trains, from now on.
pub(super) fn follow(directory: &RunDirectory) -> Outcome {
    let mut link = match link::connect(&directory.socket()) {
        Ok(link) => link,
        Err(e) => return failed(reach::why(directory, &e)),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(e) => return failed(format!("cannot start: {e}")),
    };
    let (p, id) = (program(), directory.id());
    let mut out = Lines { json: false, open: true };
    let mut end = Outcome::Done;
    let lost = runtime.block_on(async {
        let mut is_over = false;
        while let Some(delivery) = link.next().await {
            match delivery {
                Delivery::Snapshot(so_far) => {
                    let (epoch, epochs) = (so_far.epochs.len(), so_far.config.train.epochs);
                    out.line(&format!("run {}: {epoch} of {epochs} epochs so far", so_far.run));
                    is_over = so_far.is_over();
                }
                Delivery::Record(record) => {
                    out.print(&record);
                    is_over |=
                        matches!(record.event, Event::Finished { .. } | Event::Failed { .. });
                    match record.event {
                        Event::Finished { end: End::Stopped, .. } => {
                            end = Outcome::Interrupted(130)
                        }
                        Event::Failed { .. } => end = Outcome::Failed,
                        _ => {}
                    }
                }
                Delivery::Notice(text) => out.line(&text),
                Delivery::Closed(why) if !is_over => {
                    return Some(format!("{why}\n  Go on: {p} resume {id}"));
                }
                Delivery::Parted(why) if !is_over => {
                    return Some(format!("{why}\n  The run goes on: {p} attach {id}"));
                }
                Delivery::Reply(_) | Delivery::Closed(_) | Delivery::Parted(_) => {}
            }
            if !out.open {
                break;
            }
        }
        None
    });
    lost.map_or(end, failed)
}

/// Prints the story of a journal.
pub(super) fn story(records: &[Record], json: bool) {
    let mut out = Lines { json, open: true };
    records.iter().for_each(|record| out.print(record));
}

/// Prints one record as an answer; whether what was asked is done.
pub(super) fn answer(record: &Record, json: bool) -> bool {
    say(if json {
        record.to_line()
    } else {
        line_of(record).unwrap_or_else(|| record.to_line()).trim_start().to_owned()
    });
    !matches!(record.event, Event::Refused { .. } | Event::Warning { .. } | Event::Failed { .. })
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

    /// A closed pipe or a full disk ends the printing, not the training.
    fn line(&mut self, text: &str) {
        if !self.open {
            return;
        }
        if let Err(e) = try_to_say(text) {
            self.open = false;
            match e.kind() {
                ErrorKind::BrokenPipe => complain("nobody reads the output any more"),
                _ => complain(format!("no more lines are printed: {e}")),
            }
        }
    }
}

/// What a person wants to read of a record; `None` for the rest.
pub(super) fn line_of(record: &Record) -> Option<String> {
    let text = match &record.event {
        Event::RunStarted { run, data, model, device, config, .. } => {
            let (e, n) = (config.importance.pretrain_epochs, config.train.epochs);
            format!(
                "run {run}: {} ({} train, {} test, {} classes), {} ({} parameters), {device}, E = \
                 {e} of N = {n}, seed {}",
                data.name,
                data.train,
                data.test,
                data.classes.len(),
                model.name,
                model.parameters,
                config.seed
            )
        }
        Event::Phase { .. }
        | Event::Step { .. }
        | Event::Evaluating { .. }
        | Event::WeightsPreview(_) => return None,
        Event::Continued { epoch, step: 0, .. } => format!("goes on after epoch {epoch}"),
        Event::Continued { epoch, step, .. } => {
            format!("goes on in epoch {}, after step {step}", epoch + 1)
        }
        Event::Checkpoint { kind, .. } if kind.is_routine() => return None,
        Event::Weights(w) => format!(
            "weights after epoch {}: min {:.3}, quartiles {:.3} {:.3} {:.3}, max {:.3}, effective \
             sample size {:.1}% of {}",
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
                _ => {
                    format!(", coverage {:.1}%, never drawn {}", 100.0 * e.coverage, e.never_drawn)
                }
            };
            let settled =
                e.settled.map_or_else(String::new, |s| format!(", importance settled {s:.3}"));
            let average = e.average.map_or_else(String::new, |average| {
                format!(" (averaged parameters {:.2}%)", 100.0 * average.accuracy)
            });
            let norm =
                e.grad_norm.map_or_else(String::new, |norm| format!(", gradient norm {norm:.3}"));
            format!(
                "epoch {:>3} {:<8} train loss {:.4}, {} loss {:.4}, {} accuracy {:.2}%{average}, \
                 balance {:.3}{biased}{settled}{norm}, {:.1} s",
                e.epoch,
                e.phase.word(),
                e.train_loss,
                e.measured.on.word(),
                e.measured.loss,
                e.measured.on.word(),
                100.0 * e.measured.accuracy,
                e.balance,
                e.seconds
            )
        }
        Event::Changed { key, old, new, effective, by_itself, .. } => {
            let why = by_itself.map_or_else(String::new, |why| format!(" ({})", why.words()));
            format!("changed {key}: {old} -> {new}{why}, {effective}")
        }
        Event::Refused { key, value, reason } => format!("refused {key} = {value}: {reason}"),
        Event::Paused { reason, .. } => {
            format!("paused{}", reason.as_ref().map_or_else(String::new, |r| format!(": {r}")))
        }
        Event::Resumed { .. } => "resumed".into(),
        Event::Note { text } => format!("note: {text}"),
        Event::Checkpoint { file, .. } => format!("written {file}"),
        Event::Warning { text, .. } => format!("warning: {text}"),
        Event::Failed { reason } => format!("failed: {reason}"),
        Event::Tested { epoch, model, loss, accuracy, .. } => format!(
            "tested the {} model (epoch {epoch}): test loss {loss:.4}, test accuracy {:.2}%",
            model.word(),
            100.0 * accuracy
        ),
        Event::Finished {
            epochs,
            best_accuracy,
            best_epoch,
            final_accuracy,
            seconds,
            parameters_sha256,
            end,
        } => format!(
            "{} after {epochs} epochs in {seconds:.1} s: accuracy {:.2}%, best {:.2}% (epoch \
             {best_epoch}), parameters {}",
            end.word(),
            100.0 * final_accuracy,
            100.0 * best_accuracy,
            &parameters_sha256[..parameters_sha256.len().min(16)]
        ),
    };
    Some(format!("{:>8.1}s  {text}", record.t))
}
