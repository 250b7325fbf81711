//! Between a trainer and everybody who listens: numbers events, journals them, keeps states, then
//! hands records on. On a thread of its own and in the trainer's order: the trainer never waits for
//! a disk, and a checkpoint never comes before what led to it.

use super::journal::Displaced;
use super::{Journal, Keeper, Ownership, TensorBoard};
use crate::advice;
use crate::model::kernels::Lost;
use crate::protocol::{Answer, Cause, CheckpointKind, Command, Event, Record, Request};
use crate::train::{Checkpoint, Kept, NoCheckpoint, Outlet, Trouble};
use std::io;
use std::mem::discriminant;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::WeakSender;

/// How long step figures wait for company, and how soon a disk that took nothing is tried again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Jobs that wait for the disk at most. Each checkpoint among them is a copy of the run's state: a
/// trainer that is so far ahead of its disk waits.
const AHEAD: usize = 256;
/// States that wait for the disk at most: checkpoints and sheets of samples.
const STATES_AHEAD: usize = 4;

enum Job {
    Emit(Box<Event>, Option<Answer>),
    Keep(Kept, CheckpointKind, Option<Answer>),
    Settle(SyncSender<Option<Trouble>>),
}

/// The trainer's end of a hub.
#[derive(Debug)]
pub struct HubOutlet {
    jobs: SyncSender<Job>,
    /// Has room for as many states as may wait.
    states: SyncSender<()>,
    trouble: Arc<Mutex<Option<Trouble>>>,
    keeper: Keeper,
}

/// What a hub begins with.
pub struct Hub<F> {
    /// Tells whether the run is still this process's.
    pub ownership: Ownership,
    /// Where records go for good.
    pub journal: Journal,
    /// Where states go.
    pub keeper: Keeper,
    /// Where TensorBoard reads, if it is to.
    pub tensorboard: Option<TensorBoard>,
    /// Sequence number of the last record before, and its time.
    pub last: (u64, f64),
    /// Asks the trainer to go on when the disk takes writes again.
    pub requests: WeakSender<Request>,
    /// Gets every record.
    pub forward: F,
}

impl<F> std::fmt::Debug for Hub<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("last", &self.last).finish_non_exhaustive()
    }
}

impl<F: FnMut(Record) + Send + 'static> Hub<F> {
    /// Starts the hub's thread, which ends when the outlet is dropped and everything is written.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> io::Result<(HubOutlet, JoinHandle<()>)> {
        let (jobs, received) = sync_channel(AHEAD);
        let (states, kept) = sync_channel(STATES_AHEAD);
        let trouble = Arc::new(Mutex::new(None));
        let outlet =
            HubOutlet { jobs, states, trouble: trouble.clone(), keeper: self.keeper.clone() };
        let worker = Worker {
            seq: self.last.0,
            earlier: self.last.1,
            began: Instant::now(),
            ownership: self.ownership,
            journal: self.journal,
            keeper: self.keeper,
            tensorboard: self.tensorboard,
            unkept: Vec::new(),
            trouble,
            waits_for_disk: false,
            tried: Instant::now(),
            requests: self.requests,
            forward: self.forward,
        };
        let handle = std::thread::Builder::new()
            .name("hub".into())
            .spawn(move || worker.run(&received, &kept))?;
        Ok((outlet, handle))
    }
}

impl Outlet for HubOutlet {
    fn emit(&mut self, event: Event, answer: Option<Answer>) {
        if matches!(event, Event::Step { .. } | Event::Evaluating { .. }) {
            // Where training is can be told the next time; a disk that takes long is no reason to
            // wait.
            let _ = self.jobs.try_send(Job::Emit(Box::new(event), answer));
            return;
        }
        // An error: the hub's thread panicked. Training goes on; the panic's report is in the log.
        let _ = self.jobs.send(Job::Emit(Box::new(event), answer));
    }

    fn keep(&mut self, state: Kept, why: CheckpointKind, answer: Option<Answer>) {
        let _ = self.states.send(());
        let _ = self.jobs.send(Job::Keep(state, why, answer));
    }

    fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn settle(&mut self) -> Option<Trouble> {
        let (tell, told) = sync_channel(1);
        let _ = self.jobs.send(Job::Settle(tell));
        told.recv().unwrap_or_else(|_| {
            let why = "the thread that writes the run died; host.log says why.".into();
            Some(Trouble { why, may_pass: false })
        })
    }

    fn newest(&mut self) -> Result<Checkpoint, NoCheckpoint> {
        let found = self.keeper.checkpoints().newest()?;
        let damaged = found.damaged;
        let Some((checkpoint, _)) = found.checkpoint else {
            return Err(match damaged.is_empty() {
                true => NoCheckpoint::NotYet,
                false => NoCheckpoint::Damaged(damaged),
            });
        };
        for what in damaged {
            let text = format!("damaged, so the checkpoint before it is used: {what}");
            self.emit(Event::Warning { code: "damaged".into(), text }, None);
        }
        Ok(checkpoint)
    }
}

struct Worker<F> {
    seq: u64,
    /// Seconds of the run before `began`.
    earlier: f64,
    began: Instant,
    ownership: Ownership,
    journal: Journal,
    keeper: Keeper,
    tensorboard: Option<TensorBoard>,
    /// The newest states, one of a kind, that the disk did not take.
    unkept: Vec<(Kept, CheckpointKind)>,
    trouble: Arc<Mutex<Option<Trouble>>>,
    /// Whether the run is paused because of that.
    waits_for_disk: bool,
    tried: Instant,
    requests: WeakSender<Request>,
    forward: F,
}

impl<F: FnMut(Record)> Worker<F> {
    fn run(mut self, jobs: &Receiver<Job>, kept: &Receiver<()>) {
        loop {
            match jobs.recv_timeout(PATIENCE) {
                Ok(Job::Emit(event, answer)) => self.emit(*event, answer),
                Ok(Job::Keep(state, why, answer)) => {
                    self.keep(state, why, answer);
                    let _ = kept.try_recv(); // room for one more
                }
                Ok(Job::Settle(tell)) => {
                    self.try_again();
                    let trouble =
                        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    self.waits_for_disk |= trouble.is_some();
                    let _ = tell.send(trouble); // who asked waits for it
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.tried.elapsed() >= PATIENCE {
                self.try_again();
            }
        }
        self.try_again();
    }

    /// Records an event, and hands it on once it is on the disk (or the disk is known not to take
    /// it).
    fn emit(&mut self, event: Event, answer: Option<Answer>) {
        match &event {
            Event::Paused { cause, .. } => self.waits_for_disk = *cause == Cause::Disk,
            Event::Resumed { .. } | Event::Continued { .. } => self.waits_for_disk = false,
            _ => {}
        }
        self.seq = self.seq.saturating_add(1);
        let record =
            Record { seq: self.seq, t: self.earlier + self.began.elapsed().as_secs_f64(), event };
        let written = self.ownership.check().and_then(|()| self.journal.append(&record));
        (self.forward)(record.clone());
        let drawn = self.tensorboard.as_mut().map_or(Ok(()), |t| t.record(&record));
        if let Some(answer) = answer {
            answer.give(record);
        }
        if let Err(e) = written {
            self.note_trouble("the journal cannot be written", &e);
        }
        self.without_tensorboard_if(drawn);
    }

    /// TensorBoard's files are for looking at: what cannot be written of them is said once, and
    /// then left.
    fn without_tensorboard_if(&mut self, drawn: io::Result<()>) {
        if let Err(e) = drawn {
            self.tensorboard = None;
            let text = format!("TensorBoard's files cannot be written, so they end here: {e}");
            self.emit(Event::Warning { code: "tensorboard".into(), text }, None);
        }
    }

    fn keep(&mut self, state: Kept, why: CheckpointKind, answer: Option<Answer>) {
        let kept = self.is_in_place().and_then(|()| self.keeper.keep(&state, why));
        match kept {
            Ok(event) => {
                self.forget(&state);
                if let Kept::Samples(sheet) = &state {
                    let drawn = self.tensorboard.as_mut().map_or(Ok(()), |t| t.pictures(sheet));
                    self.without_tensorboard_if(drawn);
                }
                if let Some(event) = event {
                    self.emit(event, answer);
                }
            }
            Err(e) => {
                // Its directory may have gone in that moment.
                let e = self.is_in_place().err().unwrap_or(e);
                self.forget(&state);
                self.unkept.push((state, why));
                let what = "the run's state cannot be written";
                if let Some(answer) = answer {
                    let reason = trouble_of(what, &e).why;
                    self.emit(
                        Event::Refused {
                            key: "checkpoint".into(),
                            value: serde_json::Value::Null,
                            reason,
                        },
                        Some(answer),
                    );
                }
                self.note_trouble(what, &e);
            }
        }
    }

    /// Whether what is written now is the run's: it is where it was, and this process's.
    fn is_in_place(&self) -> io::Result<()> {
        self.ownership.check()?;
        self.journal.is_in_place()
    }

    /// Drops what waits of the same kind: there is something newer.
    fn forget(&mut self, newer: &Kept) {
        self.unkept.retain(|(older, _)| discriminant(older) != discriminant(newer));
    }

    /// Says once what is wrong with the disk.
    fn note_trouble(&mut self, what: &str, error: &io::Error) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let what = trouble_of(what, error);
        if trouble.as_ref().is_some_and(|known| known.may_pass == what.may_pass) {
            return;
        }
        let text = if what.may_pass {
            let kept = "Nothing that was kept before is lost.";
            format!("{} {kept} It is tried again every few seconds", what.why)
        } else {
            what.why.clone()
        };
        *trouble = Some(what);
        drop(trouble);
        self.tried = Instant::now();
        self.emit(Event::Warning { code: "disk".into(), text }, None);
    }

    /// Writes what waits; when all of it went, a run that waited for the disk goes on.
    fn try_again(&mut self) {
        self.tried = Instant::now();
        if let Err(e) = self.is_in_place().and_then(|()| self.journal.settle()) {
            return self.note_trouble("the journal cannot be written", &e);
        }
        while let Some((state, why)) = self.unkept.first() {
            let Ok(event) = self.keeper.keep(state, *why) else { return };
            self.unkept.remove(0);
            if let Some(event) = event {
                self.emit(event, None);
            }
        }
        let recovered =
            self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
        if recovered {
            self.emit(
                Event::Note {
                    text: "the disk takes writes again; everything that waited is written".into(),
                },
                None,
            );
        }
        if self.waits_for_disk
            && let Some(requests) = self.requests.upgrade()
        {
            self.waits_for_disk = false;
            let _ = requests.try_send(Command::Resume.into());
        }
    }
}

/// What keeps the disk from taking writes, and what to do about that, in sentences.
fn trouble_of(what: &str, error: &io::Error) -> Trouble {
    if let Some(lost) = error.get_ref().and_then(|e| e.downcast_ref::<Lost>()) {
        return Trouble { why: format!("{what}: {lost}."), may_pass: false };
    }
    match error.get_ref().and_then(|e| e.downcast_ref::<Displaced>()) {
        Some(displaced) => Trouble {
            why: format!("{what}: {displaced}."),
            may_pass: matches!(displaced, Displaced::Moved { .. }),
        },
        None => Trouble { why: format!("{what}: {error}. {}", advice::on(error)), may_pass: true },
    }
}
