//! When the next frame may be drawn: only if something changed, never sooner than the cap allows. Pure.

use std::time::{Duration, Instant};

/// Coalesces changes into frames.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    shortest: Duration,
    last: Option<Instant>,
    dirty: bool,
}

impl Frames {
    /// Frames at least `shortest` apart. The first one is due at once.
    pub fn new(shortest: Duration) -> Self {
        Self { shortest, last: None, dirty: true }
    }

    /// Something changed.
    pub fn mark(&mut self) {
        self.dirty = true;
    }

    /// When to draw; `None` while nothing changed.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.dirty.then(|| self.last.map_or(now, |last| (last + self.shortest).max(now)))
    }

    /// A frame was drawn.
    pub fn drawn(&mut self, now: Instant) {
        (self.last, self.dirty) = (Some(now), false);
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
}
