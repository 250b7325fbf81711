//! What comes from the terminal, until that is gone. Crossterm would read the end of a terminal that was hung up for ever, as
//! fast as it can: nothing is asked of it any more once the system says so.

use crossterm::event::{Event, EventStream};
use futures_util::Stream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

/// Keys, resizes and the like.
#[derive(Debug)]
pub(super) struct Keys(EventStream);

impl Keys {
    pub(super) fn new() -> Self {
        Self(EventStream::new())
    }

    /// The next event; `None` when the terminal is gone.
    ///
    /// # Errors
    /// Whatever the terminal says.
    pub(super) async fn next(&mut self) -> io::Result<Option<Event>> {
        let next = poll_fn(|context| {
            if is_gone() {
                return Poll::Ready(None);
            }
            Pin::new(&mut self.0).poll_next(context)
        });
        next.await.transpose()
    }
}

/// Whether nobody is at the other end of the terminal any more.
fn is_gone() -> bool {
    let stdin = rustix::stdio::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
}
