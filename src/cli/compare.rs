//! `earlybird compare`: the comparison is settled on the plain terminal; then a process of its own
//! trains it and a screen opens on it, or this process trains it and prints a line an epoch.

use super::data::ProgressLine;
use super::headless;
use super::{CompareArgs, Outcome, complain, failed, program, say, usage, watch};
use crate::compare::{self, CompareError, Comparison, Race, Said, Stopper};
use crate::config;
use crate::host::{self, StartError, StartUp};
use crate::model::device::DeviceName;
use crate::model::threads_for;
use crate::protocol::Event;
use crate::run::{RunDirectory, TrainedBy};
use crate::tui::{self, Left, Setup};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// `earlybird compare`
pub(super) fn run(args: &CompareArgs) -> Outcome {
    try_run(args).unwrap_or_else(|outcome| outcome)
}

fn try_run(args: &CompareArgs) -> Result<Outcome, Outcome> {
    if args.detached {
        // No terminal can take it along. Fails where this process leads a group already, which is
        // as good.
        let _ = rustix::process::setsid();
    }
    let workers = workers(args)?;
    // Nothing is read of what only a screen needs where none is opened.
    let prints = args.headless || args.json || watch::no_screen().is_some();
    let setup = if prints { None } else { Some(args.screen.setup()?) };
    let comparison = match &args.resume {
        Some(name) => {
            let directory = find(&args.place.runs_dir, name).ok_or_else(|| {
                usage(format!("{name} is no comparison in {}", args.place.runs_dir.display()))
            })?;
            Comparison::open(directory).map_err(failed)?
        }
        None => begin(args)?,
    };
    let Some(setup) = setup else { return train(&comparison, &workers, args) };
    let directory = comparison.directory().clone();
    drop(comparison); // the process that trains it takes the lock
    if let Err(e) = start(&directory, args) {
        let discarded =
            args.resume.is_none() && Comparison::open(directory.clone()).is_ok_and(|c| c.discard());
        let kept = format!(
            "\n  What was trained is kept; {} compare --resume {} goes on.",
            program(),
            directory.id()
        );
        return Err(failed(format!("{e}{}", if discarded { "" } else { &kept })));
    }
    Ok(watch(&directory, &setup))
}

/// A worker on each of these devices.
fn workers(args: &CompareArgs) -> Result<Vec<DeviceName>, Outcome> {
    let named: Vec<DeviceName> = match args.devices.as_slice() {
        [] => vec![args.compute.device(None)?],
        names => names.iter().map(|n| n.parse()).collect::<Result<_, _>>().map_err(usage)?,
    };
    let jobs = args.jobs.map_or(named.len(), usize::from);
    Ok((0..jobs).map(|k| named[k % named.len()]).collect())
}

/// The comparison that a name or a path names.
pub(super) fn find(runs: &Path, name: &str) -> Option<RunDirectory> {
    [name.into(), runs.join(name)]
        .iter()
        .map(|p| RunDirectory::open(p))
        .find(compare::is_comparison)
}

fn begin(args: &CompareArgs) -> Result<Comparison, Outcome> {
    let mut set = args.set.clone();
    if let Some(seed) = args.seed {
        set.push(format!("seed={seed}"));
    }
    let (config, text, file) = match &args.config {
        None => (config::demo(&set), config::DEMO.to_owned(), "the built-in demo".to_owned()),
        Some(path) => (
            config::load(path, &set),
            config::text(path).map_err(usage)?,
            path.display().to_string(),
        ),
    };
    let config = config.map_err(usage)?;
    let own = config::arms(&text, &file).map_err(usage)?;
    let arms = compare::choose(&args.arms, &own, &config).map_err(usage)?;
    let name = args.name.clone().unwrap_or_else(|| format!("{}-compare", config.name));
    Comparison::create(&args.place.runs_dir, &name, config, &arms, args.seeds).map_err(usage)
}

/// Trains it in this process, with a line an epoch, and puts the arms side by side.
fn train(
    comparison: &Comparison,
    workers: &[DeviceName],
    args: &CompareArgs,
) -> Result<Outcome, Outcome> {
    let directory = comparison.directory();
    let id = directory.id();
    let pieces = comparison.design().pieces().len();
    let at_once = if workers.len() > 1 {
        format!("{} at once", workers.len())
    } else {
        "one after another".to_owned()
    };
    complain_to_json(args.json, &format!("{id}: {pieces} runs, {at_once}"));
    let stopper = Stopper::default();
    let signalled = host::mind_signals(|words| complain(words));
    let signalled = signalled.map_err(|e| failed(format!("signals cannot be handled: {e}")))?;
    signalled.stop_with({
        let stopper = stopper.clone();
        move |signal| {
            complain(format!("{signal}: stopping after this step (once more: at once)"));
            stopper.stop();
        }
    });
    // Side by side on one processor they share its cores.
    let cpu = workers.iter().filter(|d| !d.is_gpu()).count();
    let threads = args
        .compute
        .threads()
        .or_else(|| (cpu > 1).then(|| (threads_for(None).count / cpu).max(1)));
    let mut shown = ProgressLine::default();
    let mut parent = Parent { listens: args.detached };
    let trained = comparison.train(workers, threads, &stopper, &mut |said| {
        parent.hear(&said);
        tell(said, args.json, &mut shown);
    });
    if let Err(e) = &trained {
        parent.say(&StartUp::Failed(e.to_string()));
    }
    let Some(outcome) = trained.map_err(|e| broken_off(comparison, &e, args.resume.is_none()))?
    else {
        complain(format!("stopped; {} compare --resume {id} goes on", program()));
        return Ok(Outcome::Interrupted(signalled.exit_code().unwrap_or(130)));
    };
    if args.json {
        say(serde_json::json!({
            "comparison": id,
            "finding": outcome.finding().sentences(),
            "rows": outcome.rows(),
            "cautions": outcome.cautions(),
        }));
    } else {
        say(format!("\n{}\nkept in {}", outcome.text(), directory.path().display()));
    }
    Ok(Outcome::Done)
}

/// Says why a comparison did not come to its end. A start that failed leaves nothing behind; a
/// resume leaves what was begun.
fn broken_off(comparison: &Comparison, e: &CompareError, is_new: bool) -> Outcome {
    if is_new && comparison.discard() {
        return failed(e);
    }
    failed(format!(
        "{e}\n  What was trained is kept; {} compare --resume {} goes on.",
        program(),
        comparison.directory().id()
    ))
}

fn complain_to_json(json: bool, text: &str) {
    if json { complain(text) } else { say(text) }
}

fn tell(said: Said, json: bool, shown: &mut ProgressLine) {
    let (piece, record) = match said {
        Said::StartUp(word) => return watch::report(shown, word),
        Said::Note(piece, text) => {
            shown.end();
            return complain(format!("{piece}: {text}"));
        }
        Said::Record(piece, record) => (piece, record),
    };
    if is_trouble(&record.event) {
        shown.end();
        if let (false, Some(text)) = (json, headless::line_of(&record)) {
            return complain(format!("{piece}: {}", text.trim_start()));
        }
        return say(serde_json::json!({ "seed": piece.seed, "arm": piece.arm, "record": record }));
    }
    let Event::EpochEnd(e) = &record.event else { return };
    shown.end();
    if json {
        return say(serde_json::json!({ "seed": piece.seed, "arm": piece.arm, "record": record }));
    }
    say(format!(
        "seed {:<3} {:<20} epoch {:>3}  {} accuracy {:.2}%  balance {:.3}  {:.1} s",
        piece.seed,
        piece.arm,
        e.epoch,
        e.measured.on.word(),
        100.0 * e.measured.accuracy,
        e.balance,
        e.seconds
    ));
}

/// Whether somebody should know of it at once: a run that waits for its disk, say, and its going
/// on.
fn is_trouble(event: &Event) -> bool {
    matches!(
        event,
        Event::Warning { .. } | Event::Paused { .. } | Event::Resumed { .. } | Event::Failed { .. }
    )
}

/// The process that started this one to train a comparison: it waits until the first run trains.
struct Parent {
    listens: bool,
}

impl Parent {
    fn hear(&mut self, said: &Said) {
        match said {
            Said::StartUp(word) => self.say(word),
            Said::Note(piece, text) => self.say(&StartUp::Note(format!("{piece}: {text}"))),
            Said::Record(..) => {}
        }
    }

    fn say(&mut self, word: &StartUp) {
        if !self.listens {
            return;
        }
        // Nothing can be done about one that is gone.
        let _ = serde_json::to_string(word).map(|line| writeln!(std::io::stdout(), "{line}"));
        if *word == StartUp::Ready {
            self.listens = false;
            // It sees the end of its pipe; whatever is printed from here on goes to the log.
            let _ = rustix::stdio::dup2_stdout(std::io::stderr());
        }
    }
}

/// Starts a process that trains the comparison, whatever becomes of this one, and waits until its
/// first run trains.
fn start(directory: &RunDirectory, args: &CompareArgs) -> Result<(), StartError> {
    let file = directory.file("compare.log");
    let log = OpenOptions::new().create(true).append(true).open(&file)?;
    let before = log.metadata()?.len();
    let mut command = host::this_program()?;
    command.args(["compare", "--headless", "--detached", "--resume"]).arg(directory.path());
    command.arg("--runs-dir").arg(&args.place.runs_dir);
    if let Some(device) = &args.compute.device {
        command.args(["--device", device]);
    }
    if let Some(threads) = args.compute.threads() {
        command.args(["--threads", &threads.to_string()]);
    }
    if let Some(jobs) = args.jobs {
        command.args(["--jobs", &jobs.to_string()]);
    }
    if !args.devices.is_empty() {
        command.args(["--devices", &args.devices.join(",")]);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
    let mut shown = ProgressLine::default();
    let begun =
        host::until_ready(&mut child, &file, before, &mut |word| watch::report(&mut shown, word));
    shown.end();
    match begun {
        // Nothing was left to train.
        Err(StartError::Died { .. }) if child.wait().is_ok_and(|status| status.success()) => Ok(()),
        begun => begun,
    }
}

/// Opens the screen on a comparison, whoever trains it.
pub(super) fn watch(directory: &RunDirectory, setup: &Setup) -> Outcome {
    let (p, id) = (program(), directory.id());
    let race = match Race::open(directory) {
        Ok(race) => race,
        Err(e) => return failed(format!("{}: {e}", directory.path().display())),
    };
    match tui::watch(race, directory, setup) {
        Err(e) => failed(format!("the terminal: {e}\n  The comparison goes on: {p} attach {id}")),
        Ok((_, Left::Stop)) => stop(directory),
        Ok((race, _)) if race.done() == race.of() => {
            say(format!(
                "{}\nkept in {}; as a page: {p} report {id}",
                race.outcome().text(),
                directory.path().display()
            ));
            Outcome::Done
        }
        Ok(_) if directory.trained_by().is_somebody() => {
            say(format!(
                "{id} trains on. See it again: {p} attach {id}; end it: {p} send {id} stop"
            ));
            Outcome::Done
        }
        Ok((race, _)) => {
            say(format!(
                "{id}: {} of {} runs are trained; go on: {p} compare --resume {id}",
                race.done(),
                race.of()
            ));
            Outcome::Interrupted(130)
        }
    }
}

/// Has the process that trains a comparison end in order: a comparison has no socket, so a signal
/// asks, of that very process.
pub(super) fn stop(directory: &RunDirectory) -> Outcome {
    let id = directory.id();
    let asked = match directory.trained_by() {
        TrainedBy::Nobody => return failed(format!("{id} is not being trained")),
        TrainedBy::Here(trainer) => trainer.terminate(),
        TrainedBy::Somebody => {
            return failed(format!(
                "{id} is being trained by a process that does not say which one it is: \
                 nothing is signalled\n  `ps` and `squeue` may show it."
            ));
        }
        by => {
            return failed(format!(
                "{id} is being trained by {by}, which cannot be asked from here\n  There, `{} send \
                 {id} stop` ends it.",
                program()
            ));
        }
    };
    match asked {
        Ok(()) => {
            say(format!(
                "{id} stops after the step in progress; go on: {} compare --resume {id}",
                program()
            ));
            Outcome::Done
        }
        Err(e) => failed(format!("{id}: {e}")),
    }
}
