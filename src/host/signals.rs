//! Signals to a process that trains. Every one that would kill it ends the run in order, with a
//! checkpoint, and a second one at once: batch systems give warning with USR1, USR2 or XCPU, timers
//! with ALRM, people with INT, QUIT or TERM. HUP (the terminal went) is no reason to end.

use crate::protocol::{Command, Request, Stop};
use crate::signals::{Caught, Ending};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::WeakSender;

/// How long an end in order may take before the process ends all the same; the last checkpoint
/// stands. Who sends these kills after ten seconds or more.
const URGENT: Duration = Duration::from_secs(9);
/// The same for a warning, which batch systems give a minute before, or as long as they are told.
const WARNING: Duration = Duration::from_secs(55);

/// Ends the run when a signal comes, whose name it is given.
type StopRun = Box<dyn Fn(&str) + Send>;

/// Which signal came, if any did, and what it stops.
#[derive(Clone, Default)]
pub struct Signalled(Arc<Shared>);

#[derive(Default)]
struct Shared {
    code: AtomicU8,
    stop: Mutex<Option<StopRun>>,
}

impl fmt::Debug for Signalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signalled").field(&self.exit_code()).finish()
    }
}

impl Signalled {
    /// The exit code that says so: 128 and the signal's number, so 130 for INT, 143 for TERM, 138
    /// for USR1.
    pub fn exit_code(&self) -> Option<u8> {
        Some(self.0.code.load(Ordering::Relaxed)).filter(|code| *code != 0)
    }

    /// From here on there is something to stop: `stop` is told the name (`SIGINT`, say) of the
    /// first signal, and has a while to bring the process to its end.
    pub fn stop_with(&self, stop: impl Fn(&str) + Send + 'static) {
        *self.0.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stop));
    }

    /// Stops what there is to stop; whether there is something.
    fn stop(&self, signal: Caught) -> bool {
        self.0.code.store(signal.exit_code(), Ordering::Relaxed);
        let stop = self.0.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.as_ref().inspect(|stop| stop(&signal.name())).is_some()
    }
}

/// Asks a run to end, and notes why.
pub(super) fn stop_with_note(requests: &WeakSender<Request>, why: String) {
    if let Some(requests) = requests.upgrade() {
        let _ = requests.try_send(Command::Note { text: why }.into());
        let _ = requests.try_send(Command::Stop { stop: Stop::Now }.into());
    }
}

/// Handles signals from here on, on a thread of its own, as long as the process lives. One that
/// comes while there is nothing to stop yet ends the process, with its exit code. `last_words` are
/// said before the process ends at once.
///
/// # Errors
/// When the system gives no handler.
pub fn mind(last_words: impl Fn(&str) + Send + 'static) -> io::Result<Signalled> {
    let signalled = Signalled::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut ending = {
        let _inside = runtime.enter();
        Ending::new()?
    };
    let shared = signalled.clone();
    let watch = async move {
        let first = next(&mut ending, Caught::HANGUP).await;
        let (last, how) = if shared.stop(first) {
            let patience = if first.is_urgent() { URGENT } else { WARNING };
            // Once the time on the processor is used up, the kernel says so every second: that is
            // nobody's impatience.
            match tokio::time::timeout(patience, next(&mut ending, Caught::PROCESSOR_TIME)).await {
                Ok(second) => (second, "ended at once; the last checkpoint stands"),
                Err(_) => (first, "ended, since it took too long; the last checkpoint stands"),
            }
        } else {
            (first, "ended before it trained")
        };
        last_words(&format!("{}: {how}", last.name()));
        // Exit handlers would run under a computing trainer.
        signal_hook::low_level::exit(last.exit_code().into())
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(watch))?;
    Ok(signalled)
}

/// The next signal but HUP and `ignored`.
async fn next(ending: &mut Ending, ignored: Caught) -> Caught {
    loop {
        let caught = ending.next().await;
        if caught != Caught::HANGUP && caught != ignored {
            return caught;
        }
    }
}
