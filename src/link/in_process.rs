//! Trainer and cockpit in one process, over tokio channels. The trainer never waits: where training is goes through a
//! `watch` (the newest wins), everything else through a queue that drops nothing and grows by a few records an epoch.

use crate::protocol::{Command, Event, Record};
use tokio::sync::{mpsc, watch};

/// Commands that may wait for the trainer; a person types slower than it takes them.
const COMMANDS: usize = 256;

/// The trainer's end, of which the command receiver goes to its thread.
#[derive(Debug, Clone)]
pub struct TrainerEnd {
    records: mpsc::UnboundedSender<Record>,
    newest: watch::Sender<Option<Record>>,
}

/// The cockpit's end.
#[derive(Debug)]
pub struct CockpitEnd {
    commands: mpsc::Sender<Command>,
    records: mpsc::UnboundedReceiver<Record>,
    newest: watch::Receiver<Option<Record>>,
}

/// Both ends, and the commands as the trainer gets them.
pub fn in_process() -> (TrainerEnd, mpsc::Receiver<Command>, CockpitEnd) {
    let (commands, received) = mpsc::channel(COMMANDS);
    let (sender, records) = mpsc::unbounded_channel();
    let (newest_sender, newest) = watch::channel(None);
    (TrainerEnd { records: sender, newest: newest_sender }, received, CockpitEnd { commands, records, newest })
}

impl TrainerEnd {
    /// Hands a record over. Never waits, and does not mind when nobody is there.
    pub fn publish(&self, record: Record) {
        if matches!(record.event, Event::Step { .. } | Event::Evaluating { .. }) {
            self.newest.send_replace(Some(record));
        } else {
            // An error means that the cockpit is gone; the journal has the record.
            let _ = self.records.send(record);
        }
    }
}

impl TrainerEnd {
    /// Hands a record of the past over: none of those is coalesced.
    pub fn replay(&self, record: Record) {
        let _ = self.records.send(record);
    }
}

impl CockpitEnd {
    /// Sends a command; false when the trainer is gone or has too many waiting.
    pub fn send(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// The next record; `None` when the trainer is gone and all its records were taken.
    pub async fn next(&mut self) -> Option<Record> {
        loop {
            tokio::select! {
                biased;
                record = self.records.recv() => return record,
                changed = self.newest.changed() => match changed {
                    Ok(()) => {
                        let newest = self.newest.borrow_and_update().clone();
                        if let Some(record) = newest {
                            return Some(record);
                        }
                    }
                    Err(_) => return self.records.recv().await,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, event: Event) -> Record {
        Record { seq, t: 0.0, event }
    }

    fn step(step: usize) -> Event {
        Event::Step { epoch: 1, step, steps: 10, loss: 1.0, lr: 0.1, images_per_s: 1.0 }
    }

    #[tokio::test]
    async fn steps_coalesce_and_nothing_else_is_lost() {
        let (trainer, _commands, mut cockpit) = in_process();
        for i in 0..1_000_u64 {
            trainer.publish(record(2 * i, step(i as usize)));
            trainer.publish(record(2 * i + 1, Event::Note { text: i.to_string() }));
        }
        drop(trainer);
        let (mut notes, mut steps) = (Vec::new(), Vec::new());
        while let Some(r) = cockpit.next().await {
            match r.event {
                Event::Note { text } => notes.push(text),
                Event::Step { step, .. } => steps.push(step),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(notes, (0..1_000).map(|i| i.to_string()).collect::<Vec<_>>());
        assert!(steps.is_empty() || steps == [999], "{steps:?}");
    }

    #[tokio::test]
    async fn a_trainer_without_a_cockpit_goes_on() {
        let (trainer, mut commands, cockpit) = in_process();
        assert!(cockpit.send(Command::Pause));
        drop(cockpit);
        trainer.publish(record(1, step(1)));
        trainer.publish(record(2, Event::Note { text: "alone".into() }));
        assert_eq!(commands.recv().await, Some(Command::Pause));
        assert_eq!(commands.recv().await, None);
    }
}
