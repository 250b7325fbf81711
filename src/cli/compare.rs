//! `earlybird compare`: trains the arms of a comparison, printing a line an epoch, and puts them side by side.

use super::data::ProgressLine;
use super::{CompareArgs, Outcome, complain, failed, program, say, usage, watch};
use crate::compare::{self, Comparison, Hooks, Piece};
use crate::config;
use crate::host::{self, Signalled, StartUp};
use crate::protocol::{Event, Record, Request};
use crate::run::RunDirectory;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::WeakSender;

/// `earlybird compare`
pub(super) fn run(args: &CompareArgs) -> Outcome {
    try_run(args).unwrap_or_else(|outcome| outcome)
}

fn try_run(args: &CompareArgs) -> Result<Outcome, Outcome> {
    let device = args.compute.device(None)?;
    let comparison = match &args.resume {
        Some(name) => {
            let path = [name.into(), args.place.runs_dir.join(name)].into_iter().find(|p| p.join("comparison.json").is_file());
            let path = path.ok_or_else(|| usage(format!("{name} is no comparison in {}", args.place.runs_dir.display())))?;
            Comparison::open(RunDirectory::open(&path)).map_err(failed)?
        }
        None => begin(args)?,
    };
    let id = comparison.directory().id();
    complain_to_json(args.json, &format!("{id}: {} runs, one after another", comparison.pieces()));
    let current = Current::default();
    let signalled = host::mind_signals({
        let current = current.clone();
        move |signal| current.stop(signal)
    });
    let signalled = signalled.map_err(|e| failed(format!("signals cannot be handled: {e}")))?;
    let mut lines = Lines { json: args.json, shown: ProgressLine::default(), current, signalled: signalled.clone() };
    let trained = comparison.train(device, args.compute.threads(), &mut lines);
    let Some(outcome) = trained.map_err(failed)? else {
        complain(format!("stopped; {} compare --resume {id} goes on", program()));
        return Ok(Outcome::Interrupted(signalled.exit_code().unwrap_or(130)));
    };
    let text = serde_json::to_string(&outcome).map_err(failed)?;
    comparison.directory().write("outcome.json", &text).map_err(failed)?;
    if args.json {
        let rows = serde_json::json!({ "comparison": id, "rows": outcome.rows(), "cautions": outcome.cautions() });
        say(rows);
    } else {
        comparison.directory().write("table.txt", &outcome.text()).map_err(failed)?;
        say(format!("\n{}\nkept in {}", outcome.text(), comparison.directory().path().display()));
    }
    Ok(Outcome::Done)
}

fn begin(args: &CompareArgs) -> Result<Comparison, Outcome> {
    let mut set = args.set.clone();
    if let Some(seed) = args.seed {
        set.push(format!("seed={seed}"));
    }
    let (text, file) = match &args.config {
        None => (config::DEMO.to_owned(), "the built-in demo".to_owned()),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| usage(format!("{}: {e}", path.display())))?;
            (text, path.display().to_string())
        }
    };
    let config = config::from_str(&text, &file, &set).map_err(usage)?;
    let own = config::arms(&text, &file).map_err(usage)?;
    let arms = compare::choose(&args.arms, &own).map_err(usage)?;
    let name = args.name.clone().unwrap_or_else(|| format!("{}-compare", config.name));
    Comparison::create(&args.place.runs_dir, &name, config, &arms, args.seeds).map_err(usage)
}

fn complain_to_json(json: bool, text: &str) {
    if json { complain(text) } else { say(text) }
}

/// The run in progress, for whoever wants to stop it.
#[derive(Clone, Debug, Default)]
struct Current(Arc<Mutex<Option<WeakSender<Request>>>>);

impl Current {
    fn set(&self, requests: WeakSender<Request>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(requests);
    }

    fn stop(&self, signal: &str) {
        complain("stopping after this step (once more: at once)");
        if let Some(requests) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            host::stop_by_signal(requests, signal);
        }
    }
}

struct Lines {
    json: bool,
    shown: ProgressLine,
    current: Current,
    signalled: Signalled,
}

impl Hooks for Lines {
    fn begins(&mut self, _: &Piece, requests: WeakSender<Request>) {
        self.shown.end();
        self.current.set(requests);
    }

    fn record(&mut self, piece: &Piece, record: &Record) {
        let Event::EpochEnd(e) = &record.event else { return };
        if self.json {
            say(serde_json::json!({ "seed": piece.seed, "arm": piece.arm, "record": record }));
        } else {
            say(format!(
                "seed {:<3} {:<20} epoch {:>3}  test accuracy {:.2}%  balance {:.3}  {:.1} s",
                piece.seed,
                piece.arm,
                e.epoch,
                100.0 * e.test_accuracy,
                e.balance,
                e.seconds
            ));
        }
    }

    fn start_up(&mut self, said: StartUp) {
        watch::report(&mut self.shown, said);
    }

    fn is_stopped(&self) -> bool {
        self.signalled.exit_code().is_some()
    }
}
