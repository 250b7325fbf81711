//! The cockpit on a run, wherever that is trained: what `attach`, `train` and `resume` open, and
//! `earlybird replay`.

use super::data::ProgressLine;
use super::{Outcome, ReplayArgs, complain, failed, headless, program, reach, say, usage};
use crate::dashboard::{Dashboard, RunState};
use crate::host::{self, Host, Signalled, StartError, StartUp};
use crate::link::{self, CockpitEnd, ConnectError};
use crate::model::device::DeviceName;
use crate::protocol::{Command, End, Event, Record, Stop};
use crate::run::{self, RunDirectory};
use crate::train::{TRAINER_THREAD, TrainerReport};
use crate::tui::{self, Ended, Player, Setup, Source};
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How long it usually takes.
const A_MOMENT: Duration = Duration::from_secs(2);
/// How long a process may take to write its last words after its last event.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether there is a terminal to read from and to write to.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

/// Why no screen can be drawn, if so.
pub(super) fn no_screen() -> Option<&'static str> {
    match (is_terminal(), tui::can_draw()) {
        (false, _) => Some("this is not a terminal"),
        (true, false) => Some("this terminal can only print (TERM is dumb, or not set)"),
        (true, true) => None,
    }
}

/// The device that a run was trained on last, as its journal has it.
pub(super) fn device_of(directory: &RunDirectory) -> Option<DeviceName> {
    let records = run::read_without_steps(&directory.file("journal.jsonl")).ok()?;
    let device = |r: &Record| {
        if let Event::RunStarted { device, .. } = &r.event { device.parse().ok() } else { None }
    };
    records.iter().rev().find_map(device)
}

/// Opens the cockpit on a run in another process. Should that be resumed from here, it is on
/// `device`.
pub(super) fn attached(
    directory: &RunDirectory,
    setup: &Setup,
    device: DeviceName,
    threads: Option<usize>,
) -> Outcome {
    let id = directory.id();
    loop {
        let link = match link::connect(&directory.socket()) {
            Ok(link) => link,
            Err(e) => return unreachable(directory, &e),
        };
        match tui::run(Source::Run(link), setup, directory, "cockpit.log") {
            Err(e) => {
                return failed(format!(
                    "the terminal: {e}\n  The run goes on: {} attach {id}",
                    program()
                ));
            }
            Ok(Ended::Again) => {
                // The process that trained it writes its last words after its last event.
                let by = directory.trained_by();
                if directory.wait_until_free(A_MOMENT).is_err() {
                    if link::probe(&directory.socket()).is_some() {
                        continue; // it is there, and listens
                    }
                    say(format!(
                        "{by} has to end first: waiting for up to {} s",
                        PATIENCE.as_secs()
                    ));
                }
                let gone = directory.wait_until_free(PATIENCE).map_err(failed);
                say(format!("{} resume {id}", program()));
                if let Err(outcome) =
                    gone.and_then(|()| start(directory, device, threads, Some(&[])).map_err(failed))
                {
                    return outcome;
                }
            }
            Ok(Ended::Reattach) => {}
            Ok(Ended::Left) => {
                say(format!(
                    "{id} trains on. See it again: {p} attach {id}; end it: {p} send {id} stop",
                    p = program()
                ));
                return Outcome::Done;
            }
            Ok(ended) => return after(ended, directory),
        }
    }
}

/// Starts a process for the run, new or (`resume`) continued with these changes, and shows how it
/// gets on until it trains.
pub(super) fn start(
    directory: &RunDirectory,
    device: DeviceName,
    threads: Option<usize>,
    resume: Option<&[String]>,
) -> Result<(), StartError> {
    let mut shown = ProgressLine::default();
    let started = host::start(directory, device, threads, resume, &mut |s| report(&mut shown, s));
    shown.end();
    started
}

/// Shows what a host says before it trains.
pub(super) fn report(shown: &mut ProgressLine, s: StartUp) {
    match s {
        StartUp::Progress(progress) => shown.show(&progress),
        StartUp::Note(text) => {
            shown.end();
            complain(text);
        }
        StartUp::Ready | StartUp::Failed(_) | StartUp::Unreachable(_) => {}
    }
}

fn unreachable(directory: &RunDirectory, e: &ConnectError) -> Outcome {
    let mut dashboard = Dashboard::default();
    if let (ConnectError::NotLive(_), Ok(records)) =
        (e, run::read_without_steps(&directory.file("journal.jsonl")))
    {
        records.into_iter().for_each(|record| dashboard.fold(record));
    }
    match (e, dashboard.state, dashboard.summary) {
        // It was over before anybody could look.
        (_, RunState::Finished { end: End::Complete }, Some(summary)) => {
            after(Ended::Finished(summary), directory)
        }
        (_, RunState::Failed, Some(summary)) => after(Ended::Failed(summary), directory),
        _ => failed(reach::why(directory, e)),
    }
}

/// Opens the cockpit in the process that trains. A signal stops the run as it does without a
/// screen; a terminal that goes away takes the screen along, and nothing else.
pub(super) fn inline(
    host: Host,
    link: CockpitEnd,
    signalled: &Signalled,
    setup: &Setup,
) -> Outcome {
    let directory = host.directory().clone();
    let requests = host.requests().clone();
    signalled.stop_with(host.stopper(|_| {}));
    let ending = std::thread::spawn(move || host.finish());
    let source = Source::InlineRun(link, TRAINER_THREAD);
    let ended = catch_unwind(AssertUnwindSafe(|| tui::run(source, setup, &directory, "host.log")));
    match (&ended, signalled.exit_code()) {
        (Ok(Ok(Ended::Left)), None) => {}
        (Ok(Ok(Ended::Left)), Some(_)) => complain("stopping after this step (once more: at once)"),
        // Whatever ended the cockpit: a trainer that is still at work stops, and writes what it
        // has.
        _ => drop(requests.try_send(Command::Stop { stop: Stop::Now }.into())),
    }
    drop(requests);
    let report =
        ending.join().unwrap_or_else(|_| TrainerReport::Failed("the host panicked".into()));
    match (ended, report) {
        (Err(_), _) => failed(format!(
            "the cockpit panicked (the report is above, and in {})",
            directory.file("host.log").display()
        )),
        (Ok(Err(e)), _) => failed(format!("the terminal: {e}")),
        (_, TrainerReport::Failed(reason)) => after(Ended::Failed(reason), &directory),
        (Ok(Ok(Ended::Left)), TrainerReport::Finished) => Outcome::Done,
        (Ok(Ok(Ended::Left)), TrainerReport::Stopped) => stopped(
            after(Ended::Stopped(format!("Run {} was stopped", directory.id())), &directory),
            signalled,
        ),
        (Ok(Ok(ended)), _) => stopped(after(ended, &directory), signalled),
    }
}

/// The exit code says which signal stopped a run, if one did.
fn stopped(outcome: Outcome, signalled: &Signalled) -> Outcome {
    match (outcome, signalled.exit_code()) {
        (Outcome::Interrupted(_), Some(code)) => Outcome::Interrupted(code),
        (outcome, _) => outcome,
    }
}

/// The last words on the normal screen.
fn after(ended: Ended, directory: &RunDirectory) -> Outcome {
    let (p, id, path) = (program(), directory.id(), directory.path().display());
    match ended {
        Ended::Finished(summary) => {
            say(format!("{summary}\nKept in {path}; as a page: {p} report {id}"));
            Outcome::Done
        }
        Ended::Stopped(summary) => {
            say(format!("{summary}\nKept in {path}; go on: {p} resume {id}"));
            Outcome::Interrupted(130)
        }
        Ended::Failed(reason) => {
            complain(reason);
            say(format!(
                "What native code said is in {}; go on from the last checkpoint: {p} resume {id}",
                directory.file("host.log").display()
            ));
            Outcome::Failed
        }
        Ended::Lost(why) => {
            failed(format!("{why}\n  Go on from the last checkpoint: {p} resume {id}"))
        }
        Ended::Parted(why) => failed(format!("{why}\n  The run goes on: {p} attach {id}")),
        Ended::Left | Ended::Again | Ended::Reattach => Outcome::Done,
    }
}

/// `earlybird replay`
pub(super) fn replay(args: &ReplayArgs) -> Outcome {
    let directory = match reach::find(&args.place.runs_dir, args.run.as_deref()) {
        Ok(directory) => directory,
        Err(e) => return usage(e),
    };
    let journal = match run::read_journal(&directory.file("journal.jsonl")) {
        Ok(journal) => journal,
        Err(e) => return failed(format!("{}: {e}", directory.file("journal.jsonl").display())),
    };
    if journal.damaged > 0 {
        complain(format!("{} damaged lines of the journal are left out", journal.damaged));
    }
    if args.headless || args.json || no_screen().is_some() {
        headless::story(&journal.records, args.json);
        return Outcome::Done;
    }
    let setup = match args.screen.setup() {
        Ok(setup) => setup,
        Err(outcome) => return outcome,
    };
    let player = Player::new(journal.records, args.speed);
    match tui::run(Source::Replay(player), &setup, &directory, "cockpit.log") {
        Ok(_) => Outcome::Done,
        Err(e) => failed(format!("the terminal: {e}")),
    }
}
