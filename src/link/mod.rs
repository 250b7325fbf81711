//! The ways to reach a trainer: in its own process, or over its run's unix socket. Commands go in,
//! deliveries come out, and whoever looks or steers does not see which way they took. Knows nothing
//! of what either means.

mod client;
mod feed;
mod server;
mod wire;

pub use client::{Answered, ConnectError, ask, connect, is_served, probe, probe_all};
pub use feed::{Backlog, Feed, Subscription};
pub use server::{Server, ServerError, serve};
pub use wire::{FromHost, Greeting, Hello, PROTOCOL, Purpose, ToHost, refusal};

use crate::dashboard::Dashboard;
use crate::protocol::{Command, Record, Request};
use tokio::sync::mpsc;

/// Commands that may wait for the trainer; a person types slower than it takes them.
const REQUESTS: usize = 256;

/// What reaches a cockpit.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are records")]
pub enum Delivery {
    /// Everything so far, instead of what was delivered before: at the beginning, and when too much
    /// was missed.
    Snapshot(Box<Dashboard>),
    /// What happened next.
    Record(Record),
    /// The link itself has something to say.
    Notice(String),
    /// Nothing more will come: the run is over, or its process is gone. Why.
    Closed(String),
    /// Nothing more will come over this line, though the run goes on. Why.
    Parted(String),
}

/// Both ends of the channel for what is asked of a trainer.
pub fn requests() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    mpsc::channel(REQUESTS)
}

/// A cockpit's end of a link.
#[derive(Debug)]
pub struct CockpitEnd(Way);

#[derive(Debug)]
enum Way {
    Here(mpsc::Sender<Request>, Subscription),
    Socket(client::Connection),
}

impl CockpitEnd {
    /// The end in the trainer's own process.
    pub fn here(requests: mpsc::Sender<Request>, subscription: Subscription) -> Self {
        Self(Way::Here(requests, subscription))
    }

    /// Sends a command; false when the trainer is gone or has too many waiting.
    pub fn send(&self, command: Command) -> bool {
        match &self.0 {
            Way::Here(requests, _) => requests.try_send(command.into()).is_ok(),
            Way::Socket(connection) => connection.send(command),
        }
    }

    /// The process that trains.
    pub fn trainer(&self) -> u32 {
        match &self.0 {
            Way::Here(..) => std::process::id(),
            Way::Socket(connection) => connection.pid,
        }
    }

    /// The next delivery; `None` after the last.
    pub async fn next(&mut self) -> Option<Delivery> {
        match &mut self.0 {
            Way::Here(_, subscription) => subscription.next().await,
            Way::Socket(connection) => connection.next().await,
        }
    }
}
