//! When the next frame may be drawn: only if something changed, never sooner than the cap allows.

use std::time::{Duration, Instant};

/// Coalesces changes into frames.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    shortest: Duration,
    last: Option<Instant>,
    dirty: bool,
    /// Nothing is drawn before.
    held: Option<Instant>,
}

impl Frames {
    /// Frames at least `shortest` apart. The first one is due at once.
    pub fn new(shortest: Duration) -> Self {
        Self { shortest, last: None, dirty: true, held: None }
    }

    /// Something changed.
    pub fn mark(&mut self) {
        self.dirty = true;
    }

    /// Nothing is drawn before `until`, unless it is [`Self::answered`] what that waits for.
    pub fn hold(&mut self, until: Option<Instant>) {
        self.held = until;
    }

    /// The terminal answered: its last answer, or one that changed something.
    pub fn answered(&mut self, last: bool, changed: bool) {
        if last {
            self.held = None;
        }
        self.dirty |= changed;
    }

    /// When to draw; `None` while nothing changed.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let soonest = self.last.map(|last| last + self.shortest).max(self.held);
        self.dirty.then(|| soonest.map_or(now, |soonest| soonest.max(now)))
    }

    /// A frame was drawn.
    pub fn drawn(&mut self, now: Instant) {
        (self.last, self.dirty, self.held) = (Some(now), false, None);
    }
}

/// Waits until `due`, or for ever where nothing is due.
pub async fn until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_coalesce_and_an_idle_screen_is_not_redrawn() {
        let (start, gap) = (Instant::now(), Duration::from_millis(100));
        let mut frames = Frames::new(gap);
        assert_eq!(frames.due(start), Some(start));
        frames.drawn(start);
        assert_eq!(frames.due(start + gap * 50), None);
        for _ in 0..1_000 {
            frames.mark();
        }
        assert_eq!(frames.due(start + gap / 4), Some(start + gap));
        assert_eq!(frames.due(start + gap * 3), Some(start + gap * 3));
    }

    #[test]
    fn the_first_frame_waits_for_the_terminals_last_answer_and_not_longer_than_it_is_held() {
        let (start, held) = (Instant::now(), Duration::from_millis(80));
        let mut frames = Frames::new(Duration::from_millis(100));
        frames.hold(Some(start + held));
        assert_eq!(frames.due(start), Some(start + held));
        frames.answered(false, true);
        assert_eq!(frames.due(start), Some(start + held), "there is more to come");
        let mut answered = frames;
        answered.answered(true, false);
        assert_eq!(answered.due(start), Some(start));
        frames.drawn(start + held);
        assert_eq!(frames.due(start + held * 9), None);
        frames.answered(false, true);
        assert_eq!(frames.due(start + held * 9), Some(start + held * 9), "a late answer is drawn");
    }
}
