//! Signals to a process that trains: INT and TERM end the run in order, a second one at once, HUP (the terminal went) not at all.

use crate::protocol::{Command, Request, Stop};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::WeakSender;

/// How long an end in order may take before the process ends all the same; the last checkpoint stands.
const IN_ORDER: Duration = Duration::from_secs(9);

/// Exit codes of shells for processes that a signal ended.
const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// Which signal came, if any did.
#[derive(Clone, Debug, Default)]
pub struct Signalled(Arc<AtomicI32>);

impl Signalled {
    /// The exit code that says so: 130 for INT, 143 for TERM.
    pub fn exit_code(&self) -> Option<u8> {
        u8::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|code| *code != 0)
    }
}

/// Asks a run to end, and notes why.
pub(super) fn stop_with_note(requests: &WeakSender<Request>, why: String) {
    if let Some(requests) = requests.upgrade() {
        let _ = requests.try_send(Command::Note { text: why }.into());
        let _ = requests.try_send(Command::Stop { stop: Stop::Now }.into());
    }
}

/// Handles signals from here on, on a thread of its own, as long as the process lives. `stop` is told the first one's name
/// (`INT`, say), and has a while to bring the process to its end.
///
/// # Errors
/// When the system gives no handler.
pub fn mind(stop: impl Fn(&str) + Send + 'static) -> io::Result<Signalled> {
    let signalled = Signalled::default();
    let code = signalled.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let watch = async move {
        let mut next = async || loop {
            tokio::select! {
                _ = interrupt.recv() => return (INTERRUPTED, "INT"),
                _ = terminate.recv() => return (TERMINATED, "TERM"),
                _ = hangup.recv() => {}
            }
        };
        let (first, name) = next().await;
        code.0.store(first, Ordering::Relaxed);
        stop(name);
        let last = tokio::time::timeout(IN_ORDER, next()).await.map_or(first, |(code, _)| code);
        // Exit handlers would run under a computing trainer.
        signal_hook::low_level::exit(last)
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(watch))?;
    Ok(signalled)
}
