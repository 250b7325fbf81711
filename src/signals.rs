//! The signals that would end a process at once, minded all together: what each is called, and the
//! exit code that says which one it was. What becomes of a process that gets one is its own
//! business. SEGV, BUS, ILL, FPE, ABRT, SYS and TRAP tell of a broken program, and stay as they
//! are; PIPE is ignored by Rust's runtime.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that have a name of their own.
const NAMED: &[(i32, &str)] = &[
    (libc::SIGHUP, "HUP"),
    (libc::SIGINT, "INT"),
    (libc::SIGQUIT, "QUIT"),
    (libc::SIGTERM, "TERM"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGALRM, "ALRM"),
    (libc::SIGVTALRM, "VTALRM"),
    (libc::SIGPROF, "PROF"),
    (libc::SIGXCPU, "XCPU"),
    (libc::SIGIO, "IO"),
    #[cfg(target_os = "linux")]
    (libc::SIGPWR, "PWR"),
    #[cfg(all(
        target_os = "linux",
        not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
    ))]
    (libc::SIGSTKFLT, "STKFLT"),
];

/// The real-time signals that are free for use.
fn real_time() -> std::ops::RangeInclusive<i32> {
    #[cfg(target_os = "linux")]
    return libc::SIGRTMIN()..=libc::SIGRTMAX();
    #[cfg(not(target_os = "linux"))]
    return 1..=0;
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caught(i32);

impl Caught {
    /// The terminal, or the line to it, is gone.
    pub(crate) const HANGUP: Self = Self(libc::SIGHUP);
    /// The time on the processor is used up: the kernel says so again every second.
    pub(crate) const PROCESSOR_TIME: Self = Self(libc::SIGXCPU);

    /// Its name, e.g. `SIGUSR1`.
    pub(crate) fn name(self) -> String {
        match NAMED.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => format!("SIG{name}"),
            None => format!("SIGRTMIN+{}", self.0 - real_time().start()),
        }
    }

    /// The exit code of a process that it ended: 128 and its number, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(u8::MAX)
    }

    /// Whether a person, or a system that shuts down, wants it at once: there is little time.
    pub(crate) fn is_urgent(self) -> bool {
        matches!(self.0, libc::SIGINT | libc::SIGQUIT | libc::SIGTERM)
    }
}

/// All of them, from when it is made on; none of them ends the process by itself any more, as long
/// as that lives.
#[derive(Debug)]
pub(crate) struct Ending(Vec<(Caught, Signal)>);

impl Ending {
    /// Inside a runtime only.
    ///
    /// # Errors
    /// When the system gives no handler.
    pub(crate) fn new() -> io::Result<Self> {
        let listen = |number: i32| {
            signal(SignalKind::from_raw(number)).map(|signal| (Caught(number), signal))
        };
        let named: io::Result<Vec<_>> = NAMED.iter().map(|(number, _)| listen(*number)).collect();
        let mut all = named?;
        // Not every libc has all of these to give.
        all.extend(real_time().filter_map(|number| listen(number).ok()));
        Ok(Self(all))
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Caught {
        poll_fn(|context| {
            for (caught, signal) in &mut self.0 {
                if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                    return Poll::Ready(*caught);
                }
            }
            Poll::Pending
        })
        .await
    }
}
