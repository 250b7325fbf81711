//! The thread around a session: requests in, events and states out, one step after another. What
//! becomes of those is the [`Outlet`]'s; the thread waits for nobody but a paused session's next
//! request.

use super::checkpoint::{Checkpoint, LeavingCheckpoint, RestoreError};
use super::out_of_memory::{During, explained};
use super::panics::panic_text;
use super::session::{Progress, SampleSheet, Session};
use crate::config::OnDiskError;
use crate::model::NamedTensor;
use crate::protocol::{Answer, Cause, CheckpointKind, Command, Event, Request, Stop, Verb};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Where training is gets told at most this often.
const STEP_EVENTS: Duration = Duration::from_millis(100);

/// How often an image that could not be read is tried again.
const DATA_RETRIES: Duration = Duration::from_secs(2);
/// How often a session that waits for one looks for requests.
const LOOKS: Duration = Duration::from_millis(20);

/// A state to be kept, which no later step changes.
#[derive(Debug)]
pub enum Kept {
    /// Everything that decides the run's future.
    Checkpoint(Box<LeavingCheckpoint>),
    /// Parameters and running statistics at the end, and the completed epochs.
    Model {
        /// Parameters and running statistics.
        tensors: Vec<NamedTensor>,
        /// Completed epochs.
        completed: usize,
        /// Steps done in the epoch in progress.
        step: usize,
    },
    /// What became of every sample so far.
    Samples(Box<SampleSheet>),
}

/// Why the disk does not take what it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In sentences, with what to do.
    pub why: String,
    /// Whether waiting may help.
    pub may_pass: bool,
}

/// Why there is no checkpoint to go back to.
#[derive(Debug, thiserror::Error)]
pub enum NoCheckpoint {
    /// Their directory cannot be read.
    #[error("the checkpoints cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// None was written.
    #[error("there is no checkpoint yet: the first one comes with the end of an epoch")]
    NotYet,
    /// What is wrong with each.
    #[error("no checkpoint is whole: {}", .0.join("; "))]
    Damaged(Vec<String>),
}

/// Why training does not go back.
#[derive(Debug, thiserror::Error)]
enum RewindError {
    #[error("the factor on the learning rate must be a number above 0")]
    Factor,
    #[error(transparent)]
    NoCheckpoint(#[from] NoCheckpoint),
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Why there is no trainer thread with a session.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError<E: std::error::Error> {
    /// There can be no such session.
    #[error(transparent)]
    Build(E),
    /// Building it panicked: the panic's message, or what it means.
    #[error("{0}")]
    Panicked(String),
    /// The system gives no thread.
    #[error(transparent)]
    Thread(io::Error),
    /// The thread ended without a word.
    #[error("the trainer thread died")]
    Died,
}

/// Where a trainer's words and states go. But for [`settle`](Self::settle), nothing makes it wait.
pub trait Outlet: Send + 'static {
    /// Takes an event; `answer` waits for its record.
    fn emit(&mut self, event: Event, answer: Option<Answer>);
    /// Takes a state; an event tells when it is kept, and answers `answer`.
    fn keep(&mut self, state: Kept, why: CheckpointKind, answer: Option<Answer>);
    /// What keeps the disk from taking what it was given, as far as that is known yet.
    fn trouble(&self) -> Option<Trouble>;
    /// Waits until the disk has been given everything, and what waits was tried once more; what is
    /// not there by then, and why. When it can be written, somebody asks the trainer to go on.
    fn settle(&mut self) -> Option<Trouble>;
    /// The newest checkpoint of this run that is whole.
    ///
    /// # Errors
    /// Why there is none.
    fn newest(&mut self) -> Result<Checkpoint, NoCheckpoint>;
}

/// How a trainer thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainerReport {
    /// The session came to its N.
    Finished,
    /// Somebody stopped it before.
    Stopped,
    /// It could not go on; why (a panic's report is in the log).
    Failed(String),
}

/// A running trainer thread.
#[derive(Debug)]
pub struct Trainer {
    /// `None` never: see [`Prepared::train`].
    handle: Option<JoinHandle<TrainerReport>>,
}

impl Trainer {
    /// Waits for the end.
    pub fn join(self) -> TrainerReport {
        let report = self.handle.and_then(|handle| handle.join().ok());
        report.unwrap_or_else(|| TrainerReport::Failed("the trainer thread died".into()))
    }
}

/// Name of the trainer's thread: the panic hook knows it by this.
pub const THREAD_NAME: &str = "trainer";

/// A trainer whose session is built and waits for where its words go. Dropped, it never trained.
#[derive(Debug)]
pub struct Prepared<O> {
    /// `None` once it trains.
    parts: Option<(mpsc::UnboundedSender<O>, JoinHandle<TrainerReport>)>,
}

impl<O> Drop for Prepared<O> {
    /// Waits until the thread has freed what it holds: a process that ends meanwhile would crash.
    fn drop(&mut self) {
        if let Some((outlet, handle)) = self.parts.take() {
            drop(outlet);
            let _ = handle.join();
        }
    }
}

/// Starts the thread, and waits until `build` has made the session on it: bringing data and model
/// to a device takes time, and may fail.
///
/// # Errors
/// [`PrepareError`].
pub fn prepare<B, E, O>(
    build: B,
    requests: mpsc::Receiver<Request>,
) -> Result<Prepared<O>, PrepareError<E>>
where
    B: FnOnce() -> Result<Session, E> + Send + 'static,
    E: std::error::Error + Send + 'static,
    O: Outlet,
{
    let (outlet, mut given) = mpsc::unbounded_channel();
    let (tell, built) = std::sync::mpsc::channel();
    let work = move || {
        let why = match catch_unwind(AssertUnwindSafe(build)) {
            Ok(Ok(mut session)) => {
                let _ = tell.send(None);
                let Some(outlet) = given.blocking_recv() else { return TrainerReport::Stopped };
                return train(&mut session, requests, outlet);
            }
            Ok(Err(e)) => PrepareError::Build(e),
            Err(panic) => {
                let text = panic_text(&*panic);
                let told = explained(text, During::Start);
                PrepareError::Panicked(told.map_or_else(|| text.to_owned(), |t| t.to_string()))
            }
        };
        let _ = tell.send(Some(why));
        TrainerReport::Failed("there is no session".into())
    };
    let handle = std::thread::Builder::new()
        .name(THREAD_NAME.into())
        .spawn(work)
        .map_err(PrepareError::Thread)?;
    match built.recv() {
        Ok(None) => Ok(Prepared { parts: Some((outlet, handle)) }),
        Ok(Some(why)) => {
            let _ = handle.join(); // what it held is freed
            Err(why)
        }
        Err(_) => Err(PrepareError::Died),
    }
}

impl<O> Prepared<O> {
    /// Trains from here on.
    pub fn train(mut self, outlet: O) -> Trainer {
        let (given, handle) = self.parts.take().unzip();
        if let Some(given) = given {
            let _ = given.send(outlet); // the thread waits for it
        }
        Trainer { handle }
    }
}

/// Trains to the end, or to a panic.
fn train<O: Outlet>(
    session: &mut Session,
    requests: mpsc::Receiver<Request>,
    outlet: O,
) -> TrainerReport {
    let (told, kept) = (Instant::now(), Instant::now());
    let mut work = Work { requests, outlet, told, kept, waited: false };
    match catch_unwind(AssertUnwindSafe(|| work.run(session))) {
        Ok(report) => report,
        Err(panic) => {
            let reason = work.salvage(session, &*panic);
            work.fail(reason)
        }
    }
}

struct Work<O> {
    requests: mpsc::Receiver<Request>,
    outlet: O,
    /// When step figures were last told.
    told: Instant,
    /// When the state was last kept.
    kept: Instant,
    /// Whether it has waited for the disk at its end.
    waited: bool,
}

/// What comes next for a session that is paused.
enum Next {
    Request(Request),
    /// What it waited for has come.
    GoesOn,
    /// There is nobody left who could ask for something.
    Nobody,
}

/// Why a run that is about to end does not.
enum Unkept {
    /// The session is paused until the disk takes writes again.
    Waits,
    /// Nobody waits for the disk; why it takes nothing.
    Lost(String),
}

impl<O: Outlet> Work<O> {
    fn run(&mut self, session: &mut Session) -> TrainerReport {
        loop {
            while let Ok(request) = self.requests.try_recv() {
                self.carry_out(session, request);
            }
            self.tell(session);
            if session.is_paused() {
                let since = Instant::now();
                match self.next_request(session) {
                    Next::Request(request) => self.carry_out(session, request),
                    Next::GoesOn => {}
                    // Nobody is left who could resume it.
                    Next::Nobody => session.apply(Command::Stop { stop: Stop::Now }),
                }
                session.waited(since.elapsed().as_secs_f64());
                continue;
            }
            if session.is_ending() {
                match self.keep_its_end(session) {
                    Ok(()) => return self.end(session),
                    Err(Unkept::Waits) => continue,
                    Err(Unkept::Lost(why)) => return self.fail(why),
                }
            }
            match session.advance() {
                Progress::Finished => return self.end(session),
                Progress::EpochEnd => {
                    self.tell(session);
                    self.keep(session, CheckpointKind::Epoch, None);
                    self.waited = false;
                    if let Err(Unkept::Lost(why)) = self.mind_the_disk(session) {
                        return self.fail(why);
                    }
                }
                _ => {}
            }
            self.keep_samples(session);
            if self.told.elapsed() >= STEP_EVENTS {
                self.told = Instant::now();
                let step = session.step_event();
                self.tell(session);
                step.into_iter().for_each(|event| self.outlet.emit(event, None));
            }
            let minutes = session.config().checkpoint.every_minutes;
            if minutes > 0.0 && self.kept.elapsed().as_secs_f64() >= 60.0 * minutes {
                self.keep(session, CheckpointKind::Time, None);
            }
        }
    }

    /// What comes next for a session that is paused: a request, or the end of what it waits for.
    fn next_request(&mut self, session: &mut Session) -> Next {
        use mpsc::error::TryRecvError::{Disconnected, Empty};
        if session.paused_by() != Some(Cause::Data) {
            return self.requests.blocking_recv().map_or(Next::Nobody, Next::Request);
        }
        let mut tried = Instant::now();
        loop {
            match self.requests.try_recv() {
                Ok(request) => return Next::Request(request),
                Err(Disconnected) => return Next::Nobody,
                Err(Empty) => {}
            }
            std::thread::sleep(LOOKS);
            if tried.elapsed() >= DATA_RETRIES {
                if session.retry_data() {
                    return Next::GoesOn;
                }
                tried = Instant::now();
            }
        }
    }

    /// Hands on what happened.
    fn tell(&mut self, session: &mut Session) {
        session.take_events().into_iter().for_each(|event| self.outlet.emit(event, None));
    }

    fn keep(&mut self, session: &mut Session, why: CheckpointKind, answer: Option<Answer>) {
        self.kept = Instant::now();
        let checkpoint = session.leave();
        self.tell(session); // reading the losses may have found one that is not finite
        self.outlet.keep(Kept::Checkpoint(Box::new(checkpoint)), why, answer);
    }

    fn rewind(&mut self, session: &mut Session, lr_factor: f64) -> Result<(), RewindError> {
        if !(lr_factor.is_finite() && lr_factor > 0.0) {
            return Err(RewindError::Factor);
        }
        Ok(session.rewind(&self.outlet.newest()?, lr_factor)?)
    }

    /// Carries out one request. Its answer is the first event that it causes; of a rewind, that
    /// training goes on.
    fn carry_out(&mut self, session: &mut Session, request: Request) {
        self.tell(session);
        let rewinds = matches!(request.command, Command::Rewind { .. });
        match request.command {
            Command::Checkpoint if !session.is_finished() => {
                return self.keep(session, CheckpointKind::Asked, request.answer);
            }
            Command::Rewind { lr_factor } if !session.is_finished() => {
                let asked = serde_json::json!(lr_factor);
                if let Err(e) = self.rewind(session, lr_factor) {
                    let (key, reason) = (Verb::Rewind.into(), e.to_string());
                    let refused = Event::Refused { key, value: asked, reason };
                    return self.outlet.emit(refused, request.answer);
                }
            }
            command => session.apply(command),
        }
        let mut answer = request.answer;
        let events = session.take_events();
        for event in events {
            let answers =
                !rewinds || matches!(event, Event::Continued { .. } | Event::Refused { .. });
            self.outlet.emit(event, if answers { answer.take() } else { None });
        }
    }

    fn keep_samples(&mut self, session: &mut Session) {
        if let Some(samples) = session.take_samples() {
            self.outlet.keep(Kept::Samples(Box::new(samples)), CheckpointKind::Epoch, None);
        }
    }

    /// A run whose states nobody keeps is not worth going on with, unless the config says so.
    fn mind_the_disk(&mut self, session: &mut Session) -> Result<(), Unkept> {
        let waits = session.config().checkpoint.on_disk_error == OnDiskError::Pause;
        match self.outlet.trouble() {
            Some(trouble) if waits && !trouble.may_pass => Err(Unkept::Lost(trouble.why)),
            Some(trouble) if waits && !session.is_paused() => {
                wait_for_disk(session, &trouble, "Training goes on");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Brings to the disk what a session that is about to end has reached, so that nobody is told
    /// of an end that is not there.
    fn keep_its_end(&mut self, session: &mut Session) -> Result<(), Unkept> {
        if session.is_stopping_now() {
            self.keep(session, CheckpointKind::Stopped, None);
        }
        self.keep_samples(session);
        let (completed, step) = (session.completed(), session.step_in_epoch());
        let model = Kept::Model { tensors: session.state(), completed, step };
        self.outlet.keep(model, CheckpointKind::Final, None);
        let Some(trouble) = self.outlet.settle() else { return Ok(()) };
        let waits = session.config().checkpoint.on_disk_error == OnDiskError::Pause;
        if waits && trouble.may_pass && !self.waited && !session.is_stopping_now() {
            self.waited = true;
            wait_for_disk(session, &trouble, "The run ends");
            return Err(Unkept::Waits);
        }
        let what = if session.is_complete() { "the end of the run" } else { "what was reached" };
        Err(Unkept::Lost(format!("{what} is not on the disk: {}", trouble.why)))
    }

    /// Ends a session all of which is on the disk, and sees to it that its journal says so.
    fn end(&mut self, session: &mut Session) -> TrainerReport {
        let report =
            if session.is_complete() { TrainerReport::Finished } else { TrainerReport::Stopped };
        let waits = session.config().checkpoint.on_disk_error == OnDiskError::Pause;
        session.advance();
        self.tell(session);
        while let Some(trouble) = self.outlet.settle() {
            let worth_it = waits && trouble.may_pass && report == TrainerReport::Finished;
            if !worth_it || !self.is_asked_to_go_on(session) {
                let why = trouble.why;
                return TrainerReport::Failed(format!("the journal does not tell the end: {why}"));
            }
        }
        report
    }

    /// Waits until somebody asks to go on (whoever has the disk, when it takes writes again); false
    /// when somebody stops it, or nobody is left.
    fn is_asked_to_go_on(&mut self, session: &mut Session) -> bool {
        loop {
            match self.requests.blocking_recv() {
                None | Some(Request { command: Command::Stop { .. }, .. }) => return false,
                Some(Request { command: Command::Resume, .. }) => return true,
                Some(request) => self.carry_out(session, request),
            }
        }
    }

    /// Ends a session that cannot go on.
    fn fail(&mut self, reason: String) -> TrainerReport {
        self.outlet.emit(Event::Failed { reason: reason.clone() }, None);
        TrainerReport::Failed(reason)
    }

    /// Keeps what can be kept of a session whose step panicked; gives the reason for people.
    fn salvage(&mut self, session: &mut Session, panic: &(dyn Any + Send)) -> String {
        let text = panic_text(panic);
        let reason = failure(text, During::Training(&session.config().train));
        let kept = catch_unwind(AssertUnwindSafe(|| {
            session.take_events();
            session.undo_broken_step().then(|| session.leave())
        }));
        // A device that failed may have nothing left to give.
        if let Ok(Some(checkpoint)) = kept
            && checkpoint.arrived().is_ok()
        {
            self.outlet.keep(Kept::Checkpoint(Box::new(checkpoint)), CheckpointKind::Stopped, None);
        }
        reason
    }
}

fn wait_for_disk(session: &mut Session, trouble: &Trouble, then: &str) {
    let why = &trouble.why;
    let reason = format!(
        "{why} {then} by itself as soon as it can be written again (resume goes on without waiting)"
    );
    session.pause(Cause::Disk, Some(reason));
}

/// What a panic means for people.
fn failure(text: &str, during: During<'_>) -> String {
    let told = explained(text, during).map(|told| told.to_string());
    told.unwrap_or_else(|| format!("the trainer panicked: {text}"))
}
