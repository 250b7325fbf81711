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
/// order; `keep` is called with the session at its end, and its event comes before `finished`.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn<B, E, K>(build: B, mut commands: mpsc::Receiver<Command>, mut emit: E, keep: K) -> std::io::Result<Trainer>
where
    B: FnOnce() -> Result<Session, String> + Send + 'static,
    E: FnMut(Event) + Send + 'static,
    K: FnOnce(&Session) -> Event + Send + 'static,
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
    keep: impl FnOnce(&Session) -> Event,
) {
    let mut told = Instant::now();
    let mut listening = true;
    loop {
        loop {
            match commands.try_recv() {
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
                Some(command) => session.apply(command),
                // Nobody is left who could resume it.
                None => session.apply(Command::Stop { stop: Stop::Now }),
            }
            session.waited(since.elapsed().as_secs_f64());
        }
        let progress = session.advance();
        if progress == Progress::Finished {
            emit(keep(&session));
            return session.take_events().into_iter().for_each(emit);
        }
        session.take_events().into_iter().for_each(&mut *emit);
        if told.elapsed() >= STEP_EVENTS {
            told = Instant::now();
            if let Some(event) = session.step_event() {
                emit(event);
            }
            session.take_events().into_iter().for_each(&mut *emit);
        }
    }
}
