//! One publisher, any number of subscribers, none of which it ever waits for. Each has a queue of
//! bounded length in which step figures coalesce (the newest wins); whoever lets it overflow gets a
//! snapshot of the dashboard instead of what was missed.

use super::Delivery;
use crate::dashboard::Dashboard;
use crate::protocol::{Event, Record};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Records that a subscriber may be behind before it gets a snapshot instead.
const BEHIND: usize = 2048;

/// How much a subscriber may be behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// A little; then a snapshot comes instead. The first delivery is one, too.
    Bounded,
    /// Anything: every record comes, from now on, and no snapshot. For what is written down.
    Whole,
}

/// The publisher's end; clones publish to the same subscribers.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    dashboard: Dashboard,
    inboxes: Vec<Arc<Inbox>>,
    closed: bool,
}

#[derive(Debug)]
struct Inbox {
    backlog: Backlog,
    queue: Mutex<Queue>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<Record>,
    /// The newest step figure, after all of `records`.
    step: Option<Record>,
    /// Whether a snapshot is due instead.
    behind: bool,
    closed: bool,
}

/// A subscriber's end.
#[derive(Debug)]
pub struct Subscription {
    feed: Feed,
    inbox: Arc<Inbox>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    /// A feed that begins with the past that `dashboard` shows.
    pub fn new(dashboard: Dashboard) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { dashboard, ..Inner::default() })) }
    }

    /// Hands a record to everybody. Waits for nobody.
    pub fn publish(&self, record: Record) {
        let mut inner = locked(&self.inner);
        inner.dashboard.fold(record.clone());
        for inbox in &inner.inboxes {
            inbox.put(&record);
        }
    }

    /// Looks at everything so far.
    pub fn look<T>(&self, f: impl FnOnce(&Dashboard) -> T) -> T {
        f(&locked(&self.inner).dashboard)
    }

    /// Subscribers at the moment.
    pub fn subscribers(&self) -> usize {
        locked(&self.inner).inboxes.len()
    }

    /// A new subscriber.
    pub fn subscribe(&self, backlog: Backlog) -> Subscription {
        let mut inner = locked(&self.inner);
        let queue =
            Queue { behind: backlog == Backlog::Bounded, closed: inner.closed, ..Queue::default() };
        let inbox = Arc::new(Inbox { backlog, queue: Mutex::new(queue), bell: Notify::new() });
        inner.inboxes.push(inbox.clone());
        Subscription { feed: self.clone(), inbox }
    }

    /// Nothing more will come.
    pub fn close(&self) {
        let mut inner = locked(&self.inner);
        inner.closed = true;
        for inbox in &inner.inboxes {
            locked(&inbox.queue).closed = true;
            inbox.bell.notify_one();
        }
    }
}

impl Inbox {
    fn put(&self, record: &Record) {
        let mut queue = locked(&self.queue);
        if queue.behind {
            return; // the snapshot will have it
        }
        if matches!(record.event, Event::Step { .. } | Event::Evaluating { .. }) {
            queue.step = Some(record.clone());
        } else {
            let step = queue.step.take();
            queue.records.extend(step);
            queue.records.push_back(record.clone());
            if self.backlog == Backlog::Bounded && queue.records.len() > BEHIND {
                *queue = Queue { behind: true, ..Queue::default() };
            }
        }
        self.bell.notify_one();
    }

    /// What is next, if anything is: a record, or that a snapshot is due, or the end.
    fn take(&self) -> Option<Next> {
        let mut queue = locked(&self.queue);
        if queue.behind {
            return Some(Next::Snapshot);
        }
        let record = queue.records.pop_front().or_else(|| queue.step.take());
        record.map(|r| Next::Record(Box::new(r))).or_else(|| queue.closed.then_some(Next::End))
    }
}

/// What a subscriber is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Published {
    /// See [`Delivery::Snapshot`].
    Snapshot(Box<Dashboard>),
    /// See [`Delivery::Record`].
    Record(Box<Record>),
}

impl From<Published> for Delivery {
    fn from(published: Published) -> Self {
        match published {
            Published::Snapshot(dashboard) => Self::Snapshot(dashboard),
            Published::Record(record) => Self::Record(*record),
        }
    }
}

enum Next {
    Record(Box<Record>),
    Snapshot,
    End,
}

impl Subscription {
    /// The next delivery; `None` when the feed is closed and everything was delivered.
    pub async fn next(&mut self) -> Option<Published> {
        loop {
            match self.inbox.take() {
                Some(Next::Record(record)) => return Some(Published::Record(record)),
                Some(Next::Snapshot) => {
                    return Some(Published::Snapshot(Box::new(self.snapshot())));
                }
                Some(Next::End) => return None,
                None => self.inbox.bell.notified().await,
            }
        }
    }

    /// The dashboard as of now; what comes after it comes as records.
    fn snapshot(&self) -> Dashboard {
        let inner = locked(&self.feed.inner);
        let mut queue = locked(&self.inbox.queue);
        *queue = Queue { closed: inner.closed, ..Queue::default() };
        inner.dashboard.clone()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        locked(&self.feed.inner).inboxes.retain(|inbox| !Arc::ptr_eq(inbox, &self.inbox));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(seq: u64) -> Record {
        Record { seq, t: 0.0, event: Event::Note { text: seq.to_string() } }
    }

    fn step(seq: u64) -> Record {
        let event = Event::Step {
            epoch: 1,
            step: seq as usize,
            steps: 10,
            loss: 1.0,
            lr: 0.1,
            images_per_s: 1.0,
            grad_norm: None,
        };
        Record { seq, t: 0.0, event }
    }

    async fn all(mut subscription: Subscription) -> Vec<Delivery> {
        let mut out = Vec::new();
        while let Some(delivery) = subscription.next().await {
            out.push(delivery.into());
        }
        out
    }

    fn seqs(deliveries: &[Delivery]) -> Vec<u64> {
        deliveries
            .iter()
            .filter_map(|d| if let Delivery::Record(r) = d { Some(r.seq) } else { None })
            .collect()
    }

    #[tokio::test]
    async fn steps_coalesce_in_their_place_and_nothing_else_is_lost() {
        let feed = Feed::default();
        let subscription = feed.subscribe(Backlog::Whole);
        for i in 0..1_000 {
            feed.publish(step(10 * i));
            feed.publish(step(10 * i + 1));
            feed.publish(note(10 * i + 2));
        }
        feed.publish(step(99_999));
        feed.close();
        let expected: Vec<u64> =
            (0..1_000).flat_map(|i| [10 * i + 1, 10 * i + 2]).chain([99_999]).collect();
        assert_eq!(seqs(&all(subscription).await), expected);
    }

    #[tokio::test]
    async fn who_comes_late_gets_a_snapshot_and_then_what_follows() {
        let feed = Feed::default();
        (1..=5).for_each(|i| feed.publish(note(i)));
        let mut late = feed.subscribe(Backlog::Bounded);
        let Some(Published::Snapshot(dashboard)) = late.next().await else { panic!("no snapshot") };
        assert_eq!(dashboard.messages.len(), 5);
        feed.publish(note(6));
        feed.close();
        assert_eq!(seqs(&all(late).await), [6]);
    }

    #[tokio::test]
    async fn who_sleeps_keeps_little_and_wakes_to_a_snapshot() {
        let feed = Feed::default();
        let mut sleeper = feed.subscribe(Backlog::Bounded);
        assert!(matches!(sleeper.next().await, Some(Published::Snapshot(_))));
        for i in 0..100_000 {
            feed.publish(note(i));
            let queue = locked(&sleeper.inbox.queue);
            assert!(queue.records.len() <= BEHIND);
        }
        feed.close();
        let woken = all(sleeper).await;
        assert!(matches!(
            &woken[0],
            Delivery::Snapshot(d) if d.messages.last().is_some_and(|m| m.text == "99999")
        ));
    }

    #[tokio::test]
    async fn a_subscriber_that_leaves_is_forgotten() {
        let feed = Feed::default();
        let first = feed.subscribe(Backlog::Bounded);
        let second = feed.subscribe(Backlog::Whole);
        assert_eq!(feed.subscribers(), 2);
        drop(first);
        feed.publish(note(1));
        assert_eq!(feed.subscribers(), 1);
        drop(second);
        assert_eq!(feed.subscribers(), 0);
    }
}
