//! The ways to reach a trainer: in its own process, or over its run's unix socket. Commands go in,
//! deliveries come out, and whoever looks or steers does not see which way they took. Knows nothing
//! of what either means.

mod client;
mod feed;
mod server;
mod wire;

pub use client::{Answered, ConnectError, ask, connect, is_served, probe, probe_all};
pub use feed::{Backlog, Feed, Published, Subscription};
pub use server::{Server, ServerError, serve};
pub use wire::{ClientKind, FromHost, Greeting, Hello, PROTOCOL, ToHost, refusal};

use crate::dashboard::Dashboard;
use crate::protocol::{Answer, Command, Record, Reply, Request};
use std::cell::Cell;
use tokio::sync::mpsc;

/// Commands that may wait for the trainer; a person types slower than it takes them.
const REQUESTS: usize = 256;

/// What reaches a cockpit.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// Everything so far, instead of what was delivered before: at the beginning, and when too much
    /// was missed.
    Snapshot(Box<Dashboard>),
    /// What happened next.
    Record(Record),
    /// What became of something that this cockpit asked for; nobody else is told. The record itself
    /// is delivered to everybody.
    Reply(Reply),
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
pub struct CockpitEnd {
    transport: Transport,
    /// Number of the last request.
    last: Cell<u64>,
}

#[derive(Debug)]
enum Transport {
    Here(Here),
    Socket(client::Connection),
}

/// The end in the trainer's own process.
#[derive(Debug)]
struct Here {
    requests: mpsc::Sender<Request>,
    subscription: Subscription,
    replies: mpsc::UnboundedReceiver<Reply>,
    /// Its other end, for the answers.
    to: mpsc::UnboundedSender<Reply>,
}

impl CockpitEnd {
    fn new(transport: Transport) -> Self {
        Self { transport, last: Cell::new(0) }
    }

    /// The end in the trainer's own process.
    pub fn here(requests: mpsc::Sender<Request>, subscription: Subscription) -> Self {
        let (to, replies) = mpsc::unbounded_channel();
        Self::new(Transport::Here(Here { requests, subscription, replies, to }))
    }

    /// Sends a command, and gives the number under which its [`Delivery::Reply`] comes; `None` when
    /// the trainer is gone or has too many waiting.
    pub fn send(&self, command: Command) -> Option<u64> {
        let id = self.last.get() + 1;
        let is_sent = match &self.transport {
            Transport::Here(here) => {
                let answer = Some(Answer::new(id, &here.to));
                here.requests.try_send(Request { command, answer }).is_ok()
            }
            Transport::Socket(connection) => connection.send(id, command),
        };
        self.last.set(id);
        is_sent.then_some(id)
    }

    /// The process that trains.
    pub fn trainer(&self) -> u32 {
        match &self.transport {
            Transport::Here(_) => std::process::id(),
            Transport::Socket(connection) => connection.pid,
        }
    }

    /// The next delivery; `None` after the last.
    pub async fn next(&mut self) -> Option<Delivery> {
        match &mut self.transport {
            Transport::Here(here) => tokio::select! {
                biased; // the record itself comes first
                published = here.subscription.next() => match published {
                    Some(published) => Some(published.into()),
                    None => here.replies.try_recv().ok().map(Delivery::Reply),
                },
                Some(reply) = here.replies.recv() => Some(Delivery::Reply(reply)),
            },
            Transport::Socket(connection) => connection.next().await,
        }
    }
}
