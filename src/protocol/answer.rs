//! How whoever asks for something is answered, and nobody else.

use super::Record;
use tokio::sync::mpsc::UnboundedSender;

/// Where the record that answers a request goes. One that is dropped says that none will come.
#[derive(Debug)]
pub struct Answer {
    id: u64,
    to: Option<UnboundedSender<Reply>>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The asker's own number for it.
    pub id: u64,
    /// The record that answers it; `None`: the trainer ended, or had too many waiting.
    pub record: Option<Record>,
}

impl Answer {
    /// An answer to request `id` of whoever reads at the other end of `to`.
    pub fn new(id: u64, to: &UnboundedSender<Reply>) -> Self {
        Self { id, to: Some(to.clone()) }
    }

    /// Answers. Whoever asked may have left.
    pub fn give(mut self, record: Record) {
        self.reply(Some(record));
    }

    fn reply(&mut self, record: Option<Record>) {
        if let Some(to) = self.to.take() {
            let _ = to.send(Reply { id: self.id, record });
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.reply(None);
    }
}
