//! The thread around a session: commands in, events out, one step after another.
//! What it does with events is the caller's; it never waits for anybody but a paused session's next command.

use super::session::{Progress, Session};
use crate::protocol::{Command, Event, Stop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, error::TryRecvError};

/// Where training is gets told at most this often.
const STEP_EVENTS: Duration = Duration::from_millis(100);

/// Why a session's state should be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// An epoch is over.
    EpochEnd,
    /// Somebody asked.
    Asked,
    /// It is about to be stopped before its end.
    Stopped,
    /// It is over: the model.
    Final,
}

impl Keep {
    /// As a word for journals.
    pub fn word(self) -> &'static str {
        match self {
            Self::EpochEnd => "epoch",
            Self::Asked => "asked",
            Self::Stopped => "stopped",
            Self::Final => "final",
        }
    }
}

/// How a trainer thread ended.
#[derive(Debug)]
pub enum TrainerReport {
    /// The session came to its end.
    Finished,
    /// It panicked; the message (the report is in the log).
    Panicked(String),
}

/// A running trainer thread.
#[derive(Debug)]
pub struct Trainer {
    handle: JoinHandle<TrainerReport>,
}

impl Trainer {
    /// Waits for the end.
    pub fn join(self) -> TrainerReport {
        self.handle.join().unwrap_or_else(|_| TrainerReport::Panicked("the trainer thread died".into()))
    }
}

/// Name of the trainer's thread: the panic hook knows it by this.
pub const THREAD_NAME: &str = "trainer";

/// Starts the thread. `build` makes the session on it (loading a model to a device takes time); `emit` gets every event in
/// order; `keep` is called whenever the session's state should go to the disk, and gives the event that tells of it.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn<B, E, K>(build: B, mut commands: mpsc::Receiver<Command>, mut emit: E, keep: K) -> std::io::Result<Trainer>
where
    B: FnOnce() -> Result<Session, String> + Send + 'static,
    E: FnMut(Event) + Send + 'static,
    K: FnMut(&mut Session, Keep) -> Event + Send + 'static,
{
    let handle = std::thread::Builder::new().name(THREAD_NAME.into()).spawn(move || {
        let work = catch_unwind(AssertUnwindSafe(|| match build() {
            Ok(session) => {
                run(session, &mut commands, &mut emit, keep);
                Ok(())
            }
            Err(reason) => Err(reason),
        }));
        let reason = match work {
            Ok(Ok(())) => return TrainerReport::Finished,
            Ok(Err(reason)) => reason,
            Err(panic) => format!("the trainer panicked: {}", panic_text(&*panic)),
        };
        emit(Event::Failed { reason: reason.clone() });
        TrainerReport::Panicked(reason)
    })?;
    Ok(Trainer { handle })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown reason")
}

fn run(
    mut session: Session,
    commands: &mut mpsc::Receiver<Command>,
    emit: &mut impl FnMut(Event),
    mut keep: impl FnMut(&mut Session, Keep) -> Event,
) {
    let mut told = Instant::now();
    let mut listening = true;
    loop {
        loop {
            match commands.try_recv() {
                Ok(Command::Checkpoint) => emit(keep(&mut session, Keep::Asked)),
                Ok(command) => session.apply(command),
                Err(TryRecvError::Disconnected) if listening => {
                    listening = false;
                    session.apply(Command::Stop { stop: Stop::Now });
                }
                Err(_) => break,
            }
        }
        if session.is_paused() && listening {
            session.take_events().into_iter().for_each(&mut *emit);
            let since = Instant::now();
            match commands.blocking_recv() {
                Some(Command::Checkpoint) => emit(keep(&mut session, Keep::Asked)),
                Some(command) => session.apply(command),
                // Nobody is left who could resume it.
                None => session.apply(Command::Stop { stop: Stop::Now }),
            }
            session.waited(since.elapsed().as_secs_f64());
        }
        if session.is_stopping_now() {
            session.take_events().into_iter().for_each(&mut *emit);
            emit(keep(&mut session, Keep::Stopped));
        }
        let progress = session.advance();
        if progress == Progress::Finished {
            emit(keep(&mut session, Keep::Final));
            return session.take_events().into_iter().for_each(emit);
        }
        session.take_events().into_iter().for_each(&mut *emit);
        if progress == Progress::EpochEnd {
            emit(keep(&mut session, Keep::EpochEnd));
        }
        if told.elapsed() >= STEP_EVENTS {
            told = Instant::now();
            if let Some(event) = session.step_event() {
                emit(event);
            }
            session.take_events().into_iter().for_each(&mut *emit);
        }
    }
}
