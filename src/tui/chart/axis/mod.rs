//! The step axis that all charts share: which part of it is looked at, in which unit, where the
//! cursor is, and how curves are smoothed. Pure: draws nothing.

mod ticks;

pub use ticks::{log_ticks, ticks, whole_ticks};

use crate::dashboard::Dashboard;
use ticks::clock_ticks;

/// What the axis counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Epochs.
    #[default]
    Epochs,
    /// Steps of the optimizer.
    Steps,
    /// Samples drawn.
    Samples,
    /// Seconds of the run.
    Time,
}

impl Unit {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::Steps => "steps",
            Self::Samples => "samples",
            Self::Time => "time",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Epochs => Self::Steps,
            Self::Steps => Self::Samples,
            Self::Samples => Self::Time,
            Self::Time => Self::Epochs,
        }
    }
}

/// Weights of the past in smoothed curves, from none at all.
pub const SMOOTHING: [f64; 6] = [0.0, 0.5, 0.8, 0.9, 0.97, 0.99];
/// The smallest part of the axis that can be looked at, in epochs.
const NARROWEST: f64 = 0.02;
/// Cursor steps over the part that is looked at.
const CURSOR_STEPS: f64 = 60.0;

/// What a person made of the axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisView {
    /// Epochs that are shown; `None`: all.
    width: Option<f64>,
    /// Where they end; `None`: at the newest.
    end: Option<f64>,
    /// Where the cursor is, in epochs.
    pub cursor: Option<f64>,
    /// Which of [`SMOOTHING`].
    smoothing: usize,
    /// Whether losses, rates and counts are drawn logarithmically.
    pub log: bool,
    /// What the axis counts.
    pub unit: Unit,
}

impl Default for AxisView {
    fn default() -> Self {
        Self {
            width: None,
            end: None,
            cursor: None,
            smoothing: 3,
            log: false,
            unit: Unit::default(),
        }
    }
}

impl AxisView {
    /// The part that is looked at, in epochs.
    pub fn window(&self, d: &Dashboard) -> (f64, f64) {
        let all = whole(d);
        let Some(width) = self.width else { return all };
        let newest = d.position().max(width);
        let end = self.end.unwrap_or(newest);
        ((end - width).max(0.0), end)
    }

    /// Whether a part is looked at, not all.
    pub fn is_zoomed(&self) -> bool {
        self.width.is_some()
    }

    /// Half as much of the axis (1), or twice as much (-1); around the cursor where there is one.
    pub fn scale(&mut self, by: i64, d: &Dashboard) {
        let (low, high) = self.window(d);
        let all = whole(d);
        let width = (high - low) * if by > 0 { 0.5 } else { 2.0 };
        if width >= all.1 - all.0 {
            return self.whole();
        }
        let width = width.max(NARROWEST);
        self.width = Some(width);
        if let Some(cursor) = self.cursor.filter(|c| *c < d.position() - width) {
            self.end = Some((cursor + width / 2.0).max(width));
        }
    }

    /// A quarter of the part to newer (1) or older (-1) ones; at the newest, it follows again.
    pub fn pan(&mut self, by: i64, d: &Dashboard) {
        let Some(width) = self.width else { return };
        let end = self.window(d).1 + 0.25 * width * by as f64;
        self.end = (end < d.position()).then_some(end.max(width));
    }

    /// All of it again, following the newest.
    pub fn whole(&mut self) {
        (self.width, self.end) = (None, None);
    }

    /// Moves the cursor; the first time it appears at the newest.
    pub fn move_cursor(&mut self, by: i64, d: &Dashboard) {
        let (low, high) = self.window(d);
        let newest = d.position().clamp(low, high);
        let from = self.cursor.unwrap_or(newest).clamp(low, high);
        let to = if self.cursor.is_none() {
            from
        } else {
            from + by as f64 * (high - low) / CURSOR_STEPS
        };
        self.cursor = Some(to.clamp(low, newest.max(low)));
    }

    /// Puts the cursor at this share of the part that is looked at.
    pub fn point_at(&mut self, share: f64, d: &Dashboard) {
        let (low, high) = self.window(d);
        self.cursor = Some((low + share * (high - low)).clamp(0.0, d.position()));
    }

    /// Smoother (1) or rougher (-1) curves; gives the new weight of the past.
    pub fn smooth(&mut self, by: i64) -> f64 {
        self.smoothing = (self.smoothing as i64 + by).clamp(0, SMOOTHING.len() as i64 - 1) as usize;
        self.smoothing()
    }

    /// Weight of the past in smoothed curves.
    pub fn smoothing(&self) -> f64 {
        SMOOTHING[self.smoothing]
    }

    /// What stands below an axis: its unit, and what is not as usual.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if self.unit != Unit::Epochs {
            words.push(self.unit.word());
        }
        if self.log {
            words.push("log");
        }
        if self.is_zoomed() {
            words.push("part of the axis (0: all)");
        }
        words.join(", ")
    }

    /// The next unit.
    pub fn next_unit(&mut self) {
        self.unit = self.unit.next();
    }
}

/// The epoch axis: the whole run where it is short, else what lies behind us and a bit.
fn whole(d: &Dashboard) -> (f64, f64) {
    let n = d.config.train.epochs as f64;
    let ahead = (d.position() * 1.3).ceil().max(30.0);
    (0.0, n.min(ahead).max(d.position()).max(1.0))
}

/// From epochs to what the axis counts, for one run.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Places: epochs and what the axis counts there, ascending. At least two.
    knots: Vec<(f64, f64)>,
    unit: Unit,
}

impl Scale {
    /// Of the run that `d` shows.
    pub fn of(d: &Dashboard, unit: Unit) -> Self {
        let samples = d.data.as_ref().map_or(1, |s| s.train);
        let linear = |per_epoch: f64| vec![(0.0, 0.0), (1.0, per_epoch)];
        let knots = match unit {
            Unit::Epochs => linear(1.0),
            Unit::Steps => linear(d.config.train.steps_per_epoch(samples) as f64),
            Unit::Samples => linear(samples as f64),
            Unit::Time => {
                let mut knots = vec![(0.0, 0.0)];
                knots.extend(d.clock.iter().map(|(epoch, t)| (*epoch as f64, *t)));
                knots.push((d.position(), d.t));
                knots.dedup_by(|b, a| b.0 <= a.0 || b.1 < a.1);
                if knots.len() < 2 { linear(1.0) } else { knots }
            }
        };
        Self { knots, unit }
    }

    /// What the axis counts at `epochs`; beyond the last place as before it.
    pub fn at(&self, epochs: f64) -> f64 {
        let i = self.knots.partition_point(|k| k.0 <= epochs).clamp(1, self.knots.len() - 1);
        let ((x0, y0), (x1, y1)) = (self.knots[i - 1], self.knots[i]);
        y0 + (y1 - y0) * (epochs - x0) / (x1 - x0)
    }

    /// Round places between two ends, in what the axis counts, and what stands there; see
    /// [`ticks()`].
    pub fn ticks(&self, ends: (f64, f64), most: usize) -> Vec<(f64, String)> {
        match self.unit {
            Unit::Time => clock_ticks(ends, most),
            Unit::Epochs if ends.1 - ends.0 >= 2.0 => whole_ticks(ends, most),
            Unit::Epochs | Unit::Steps | Unit::Samples => ticks(ends, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Record};

    fn run(epoch: usize, step: usize) -> Dashboard {
        let mut d = Dashboard::default();
        d.config.train.epochs = 20;
        let event = Event::Step {
            epoch,
            step,
            steps: 100,
            loss: 1.0,
            lr: 0.1,
            images_per_s: 1.0,
            grad_norm: None,
        };
        d.fold(Record { seq: 1, t: 50.0, event });
        d
    }

    #[test]
    fn a_zoomed_axis_follows_the_newest_until_somebody_pans() {
        let mut view = AxisView::default();
        assert_eq!(view.window(&run(5, 50)), (0.0, 20.0));
        view.scale(1, &run(5, 50));
        view.scale(1, &run(5, 50));
        assert_eq!(view.window(&run(9, 50)), (3.5, 8.5));
        view.pan(-1, &run(9, 50));
        assert_eq!(view.window(&run(9, 50)), (2.25, 7.25));
        assert_eq!(view.window(&run(15, 0)), (2.25, 7.25), "it stays where it is");
        view.pan(1, &run(9, 50));
        assert_eq!(view.window(&run(15, 0)), (9.0, 14.0), "back at the newest, it follows");
        view.scale(-1, &run(15, 0));
        view.scale(-1, &run(15, 0));
        assert!(!view.is_zoomed());
    }

    #[test]
    fn the_cursor_stays_among_what_there_is() {
        let (mut view, d) = (AxisView::default(), run(5, 50));
        view.move_cursor(-1, &d);
        assert_eq!(view.cursor, Some(4.5), "it appears at the newest");
        (0..100).for_each(|_| view.move_cursor(1, &d));
        assert_eq!(view.cursor, Some(4.5));
        (0..100).for_each(|_| view.move_cursor(-1, &d));
        assert_eq!(view.cursor, Some(0.0));
    }

    #[test]
    fn time_goes_by_the_ends_of_epochs() {
        let mut d = run(3, 50);
        d.clock = vec![(1, 10.0), (2, 30.0)];
        let scale = Scale::of(&d, Unit::Time);
        assert_eq!([0.5, 1.0, 1.5, 2.5, 3.0].map(|e| scale.at(e)), [5.0, 10.0, 20.0, 50.0, 70.0]);
        let labels: Vec<String> = scale.ticks((0.0, 70.0), 5).into_iter().map(|t| t.1).collect();
        assert_eq!(labels, ["0:00", "0:15", "0:30", "0:45", "1:00"]);
    }

    #[test]
    fn ticks_are_round_and_few() {
        let scale = Scale::of(&run(1, 1), Unit::Epochs);
        let labels =
            |ends, most| scale.ticks(ends, most).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(labels((0.0, 12.0), 3), ["0", "5", "10"]);
        assert_eq!(labels((3.5, 8.5), 10), ["4", "5", "6", "7", "8"]);
        assert_eq!(labels((0.0, 0.1), 5), ["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"]);
    }

    proptest::proptest! {
        #[test]
        fn any_sequence_of_keys_leaves_a_window_that_can_be_drawn(
            keys in proptest::collection::vec(0_u8..6, 0..60),
            epoch in 1_usize..20,
        ) {
            let (mut view, d) = (AxisView::default(), run(epoch, 10));
            for key in keys {
                match key {
                    0 => view.scale(1, &d),
                    1 => view.scale(-1, &d),
                    2 => view.pan(1, &d),
                    3 => view.pan(-1, &d),
                    4 => view.move_cursor(1, &d),
                    _ => view.move_cursor(-1, &d),
                }
                let (low, high) = view.window(&d);
                proptest::prop_assert!(
                    low >= 0.0 && high > low && high.is_finite(),
                    "{low} {high}",
                );
            }
        }
    }
}
