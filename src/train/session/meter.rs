//! Where the time of training goes: the parts of steps, and images a second. Knows nothing of
//! losses or models.

use crate::protocol::StepTimes;
use std::time::Instant;

/// Tells how long it is since it was last asked.
#[derive(Debug)]
pub(super) struct Lap(Instant);

impl Lap {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    pub(super) fn seconds(&mut self) -> f64 {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.0, now)).as_secs_f64()
    }
}

/// Times of steps, in seconds.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Since losses were last read.
    seconds: f64,
    /// Learning rate of the last step.
    lr: f64,
    /// Since somebody last took them.
    times: StepTimes,
    /// Of the epoch in progress.
    epoch_times: StepTimes,
}

impl Meter {
    /// Takes a step that was made with learning rate `lr`.
    pub(super) fn take(&mut self, times: StepTimes, seconds: f64, lr: f64) {
        self.times += times;
        self.epoch_times += times;
        self.seconds += seconds;
        self.lr = lr;
    }

    /// Images a second since this was last called, of `images`; the device was waited for
    /// `waited` seconds at the end: what it still had to do belongs to the steps that asked for it.
    pub(super) fn rate(&mut self, images: usize, waited: f64) -> f64 {
        self.take(StepTimes { waiting: waited, ..StepTimes::default() }, waited, self.lr);
        images as f64 / std::mem::take(&mut self.seconds).max(1e-9)
    }

    /// Learning rate of the last step.
    pub(super) fn lr(&self) -> f64 {
        self.lr
    }

    /// Where the time of the steps since the last call went.
    pub(super) fn take_times(&mut self) -> StepTimes {
        std::mem::take(&mut self.times)
    }

    /// The same of the steps of this epoch; the next one begins with zeros.
    pub(super) fn take_epoch_times(&mut self) -> StepTimes {
        std::mem::take(&mut self.epoch_times)
    }
}

/// Share of a step from which waiting for images is worth a word.
const SLOW: f64 = 0.1;

/// What to do where steps of these parts wait for streamed images; `None` where they hardly do.
pub(super) fn slow_feed(step_ms: StepTimes) -> Option<String> {
    let share = step_ms.loading / step_ms.whole();
    (share > SLOW).then(|| {
        format!(
            "training waits for images {:.0}% of the time. More data.workers read more of them at \
             once, where there are processors; `earlybird data pack --short-side` makes images \
             smaller, --raw spares their decoding",
            100.0 * share
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_the_device_belongs_to_the_steps_before_it() {
        let mut meter = Meter::default();
        let step = StepTimes { forward: 1.0, ..StepTimes::default() };
        meter.take(step, 1.5, 0.1);
        meter.take(step, 1.5, 0.2);
        assert_eq!((meter.rate(80, 1.0), meter.lr()), (20.0, 0.2));
        let times = meter.take_times();
        assert_eq!((times.forward, times.waiting), (2.0, 1.0));
        meter.take(step, 2.0, 0.2);
        assert_eq!((meter.rate(10, 0.0), meter.take_times().forward), (5.0, 1.0));
        assert_eq!(meter.take_epoch_times().forward, 3.0);
        assert_eq!(meter.take_epoch_times().forward, 0.0);
    }

    #[test]
    fn a_feed_that_is_waited_for_is_told_with_what_to_do() {
        let step = StepTimes { forward: 60.0, waiting: 30.0, ..StepTimes::default() };
        assert_eq!(slow_feed(step), None);
        assert_eq!(slow_feed(StepTimes { loading: 9.0, ..step }), None);
        let told = slow_feed(StepTimes { loading: 30.0, ..step }).expect("a quarter of the time");
        assert!(told.contains("25%") && told.contains("data.workers"), "{told}");
    }
}
