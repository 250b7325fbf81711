//! Batches of images that are read where they lie, by workers that are some batches ahead of
//! training, and given in the order in which training asks for them. A batch is a pure function of
//! its pass and number, so that any number of workers give the same ones, and a pass can be begun
//! at any batch. Knows nothing of devices.

use super::panics::panic_text;
use crate::data::{Decoder, Draw, ReadError, Stored, Viewer, Views};
use crate::importance::EpochPlan;
use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Bytes of batches that are ready or being made, at most; two batches in any case.
const MOST_AHEAD: usize = 1 << 30;

/// Images of a split, and what is shown of them.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) stored: Stored,
    pub(super) views: Views,
}

/// Which batches are made.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) split: Arc<Streamed>,
    pub(super) kind: PassKind,
}

/// What a pass goes over.
#[derive(Clone, Debug)]
pub(super) enum PassKind {
    /// The draws of an epoch, shown as training shows them.
    Epoch {
        plan: Arc<EpochPlan>,
        batch_size: usize,
        /// Count of batches.
        steps: usize,
        /// Of the crops.
        seed: u64,
        /// Number of the epoch, counted from 1.
        epoch: usize,
    },
    /// All samples in their order, as they are evaluated.
    Samples { batch_size: usize },
}

impl PartialEq for Pass {
    fn eq(&self, other: &Self) -> bool {
        use PassKind::{Epoch, Samples};
        let is_same_kind = match (&self.kind, &other.kind) {
            (
                Epoch { plan: a, batch_size: b, steps: c, seed: d, epoch: e },
                Epoch { plan: v, batch_size: w, steps: x, seed: y, epoch: z },
            ) => Arc::ptr_eq(a, v) && (b, c, d, e) == (w, x, y, z),
            (Samples { batch_size: a }, Samples { batch_size: b }) => a == b,
            (Epoch { .. }, Samples { .. }) | (Samples { .. }, Epoch { .. }) => false,
        };
        is_same_kind && Arc::ptr_eq(&self.split, &other.split)
    }
}

impl Pass {
    /// Count of batches.
    fn batches(&self) -> usize {
        match &self.kind {
            PassKind::Epoch { steps, .. } => *steps,
            PassKind::Samples { batch_size } => {
                self.split.stored.numbers.len().div_ceil(*batch_size)
            }
        }
    }

    /// Which images batch `number` has, each with the draw that it is for.
    fn batch(&self, number: usize) -> Vec<(usize, Option<Draw>)> {
        match &self.kind {
            PassKind::Epoch { plan, batch_size, steps, seed, epoch } => {
                let places = places(plan, *batch_size, *steps, number);
                let drawn = plan.at(places.clone());
                let draw = |position| Some((*seed, *epoch as u64, position));
                drawn.iter().zip(places).map(|(i, at)| (*i as usize, draw(at))).collect()
            }
            PassKind::Samples { batch_size } => {
                let from = number * batch_size;
                let to = (from + batch_size).min(self.split.stored.numbers.len());
                (from..to).map(|i| (i, None)).collect()
            }
        }
    }

    /// How many bytes batch `number` has.
    fn bytes(&self, number: usize) -> usize {
        let size = self.split.views.size;
        self.batch(number).len() * 3 * size * size
    }

    /// The bytes of batch `number`, shape `[b, size, size, 3]`.
    fn make(
        &self,
        number: usize,
        viewer: &mut Viewer,
        decoder: &Decoder,
    ) -> Result<Vec<u8>, ReadError> {
        let Streamed { stored, views } = &*self.split;
        let mut bytes = Vec::new();
        for (i, draw) in self.batch(number) {
            let show = || viewer.show((stored, i), views, draw, decoder, &mut bytes);
            // A worker that is gone would be waited for.
            catch_unwind(AssertUnwindSafe(show))
                .unwrap_or_else(|panic| Err(stored.broke_off(i, panic_text(&*panic))))?;
        }
        Ok(bytes)
    }
}

/// The workers, and what they have ready.
#[derive(Debug)]
pub(super) struct Loader {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do, or an end to it.
    work: Condvar,
    /// A batch is ready.
    ready: Condvar,
    decoder: Decoder,
}

#[derive(Debug, Default)]
struct State {
    pass: Option<Arc<Pass>>,
    /// Rises whenever what was begun is not wanted any more.
    turn: u64,
    /// The batch that the next free worker makes.
    next: usize,
    /// The batch that training takes next.
    wanted: usize,
    /// Batches that may be ready.
    ahead: usize,
    made: HashMap<usize, Result<Vec<u8>, ReadError>>,
    is_over: bool,
}

impl State {
    /// The next batch to be made, where one is due.
    fn due(&mut self) -> Option<(Arc<Pass>, usize, u64)> {
        let pass = self.pass.clone()?;
        let number = self.next;
        let is_due = number < pass.batches() && number < self.wanted + self.ahead;
        is_due.then(|| {
            self.next += 1;
            (pass, number, self.turn)
        })
    }

    /// Begins `pass` at batch `number`, and forgets what was made before.
    fn begin(&mut self, pass: Option<Arc<Pass>>, number: usize) {
        self.turn += 1;
        (self.pass, self.next, self.wanted) = (pass, number, number);
        self.made.clear();
    }
}

impl Loader {
    /// With so many workers, which wait for the first pass. With none, whoever asks for a batch
    /// makes it.
    pub(super) fn new(workers: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |k: usize| {
            let shared = shared.clone();
            let named = std::thread::Builder::new().name(format!("data {k}"));
            named.spawn(move || shared.work())
        };
        // Fewer threads than asked for are slower, not wrong.
        let workers: Vec<_> = (0..workers).filter_map(|k| start(k).ok()).collect();
        Self { shared, workers }
    }

    /// Waits until batch `number` of `pass` is ready, or cannot be read; those behind it are made
    /// meanwhile.
    pub(super) fn wait(&self, pass: &Pass, number: usize) {
        if !self.workers.is_empty() {
            drop(self.ready(pass, number));
        }
    }

    /// Batch `number` of `pass`: at once where it is ready.
    ///
    /// # Errors
    /// The first image of it that cannot be read. Asked for again, it is read again.
    pub(super) fn take(&self, pass: &Pass, number: usize) -> Result<Vec<u8>, ReadError> {
        if self.workers.is_empty() {
            return pass.make(number, &mut Viewer::default(), &self.shared.decoder);
        }
        let mut state = self.ready(pass, number);
        let made = state.made.remove(&number);
        let made = made.unwrap_or_else(|| panic!("batch {number} is behind the end of its pass"));
        match &made {
            Ok(bytes) => {
                debug_assert_eq!(bytes.len(), pass.bytes(number));
                state.wanted = number + 1;
            }
            Err(_) => state.begin(None, number),
        }
        self.shared.work.notify_all();
        made
    }

    /// The state with batch `number` of `pass` in it.
    fn ready(&self, pass: &Pass, number: usize) -> MutexGuard<'_, State> {
        let mut state = self.shared.lock();
        if state.wanted != number || state.pass.as_deref() != Some(pass) {
            state.begin(Some(Arc::new(pass.clone())), number);
            let most = (MOST_AHEAD / pass.bytes(number).max(1)).max(2);
            state.ahead = (self.workers.len() + 2).min(most);
            self.shared.work.notify_all();
        }
        // Behind the last one there is none to wait for.
        while number < pass.batches() && !state.made.contains_key(&number) {
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.work.notify_all();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life.
    fn work(&self) {
        let mut viewer = Viewer::default();
        let mut state = self.lock();
        while !state.is_over {
            let Some((pass, number, turn)) = state.due() else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let made = pass.make(number, &mut viewer, &self.decoder);
            state = self.lock();
            if state.turn == turn {
                state.made.insert(number, made);
                self.ready.notify_all();
            }
        }
    }
}

/// Bytes of some images of `split` as evaluation shows them, shape `[m, size, size, 3]`; black
/// where one cannot be read.
pub(super) fn pictures(split: &Streamed, drawn: &[u32]) -> Vec<u8> {
    use rayon::prelude::*;
    let Streamed { stored, views } = split;
    let (image, decoder) = (3 * views.size * views.size, Decoder::default());
    let show = |viewer: &mut Viewer, i: &u32| {
        let mut bytes = Vec::with_capacity(image);
        let shown = viewer.show((stored, *i as usize), views, None, &decoder, &mut bytes);
        if shown.is_ok() { bytes } else { vec![0; image] }
    };
    drawn.par_iter().map_init(Viewer::default, show).collect::<Vec<_>>().concat()
}

/// The places in `plan` of batch `step` of so many, counted from 0.
pub(super) fn places(
    plan: &EpochPlan,
    batch_size: usize,
    steps: usize,
    step: usize,
) -> Range<usize> {
    let from = step * batch_size;
    let to = if step + 1 == steps { plan.len() } else { from + batch_size };
    from..to
}
