//! A journal as a film: records by the run's own clock, at any speed, with seeking. Pure: time
//! comes from outside.

use super::input::keymap::Playback;
use crate::dashboard::Dashboard;
use crate::protocol::{Event, Record};

/// A replay takes about a minute, unless asked otherwise.
const SECONDS: f64 = 60.0;
/// Dashboards kept for seeking at most; between two of them records are folded again.
const MARKS: usize = 64;
const BETWEEN: usize = 256;

/// A journal being played.
#[derive(Debug)]
pub struct Player {
    records: Vec<Record>,
    /// Dashboards before record `i * stride`.
    marks: Vec<Dashboard>,
    stride: usize,
    /// The next record.
    at: usize,
    /// Seconds of the run.
    clock: f64,
    speed: f64,
    playing: bool,
}

impl Player {
    /// From the beginning; `speed` as a multiple of the run's own, `None`: so that it takes a
    /// minute, or less.
    pub fn new(records: Vec<Record>, speed: Option<f64>) -> Self {
        let length = records.last().map_or(0.0, |r| r.t);
        let stride = (records.len() / MARKS).max(BETWEEN);
        let (mut marks, mut dashboard) = (Vec::new(), Dashboard::default());
        for (i, record) in records.iter().enumerate() {
            if i.is_multiple_of(stride) {
                marks.push(dashboard.clone());
            }
            dashboard.fold(record.clone());
        }
        let speed = speed.unwrap_or_else(|| (length / SECONDS).max(1.0));
        Self { records, marks, stride, at: 0, clock: 0.0, speed, playing: true }
    }

    /// Lets `seconds` pass; gives the records that are due now.
    pub fn pass(&mut self, seconds: f64) -> &[Record] {
        let from = self.at;
        if self.playing {
            self.clock = (self.clock + seconds * self.speed).min(self.length());
            self.at += self.records[from..].partition_point(|r| r.t <= self.clock);
            self.playing = self.at < self.records.len();
        }
        &self.records[from..self.at]
    }

    /// Seconds until the next record is due; `None` while it stands still.
    pub fn due(&self) -> Option<f64> {
        let next = self.records.get(self.at).filter(|_| self.playing)?;
        Some(((next.t - self.clock) / self.speed).max(0.0))
    }

    /// Carries out what a key asked; a dashboard when that jumps.
    pub fn control(&mut self, playback: Playback) -> Option<Dashboard> {
        match playback {
            Playback::Toggle if self.at >= self.records.len() => {
                self.playing = true;
                return Some(self.jump(0));
            }
            Playback::Toggle => self.playing = !self.playing,
            Playback::Faster => self.speed = (self.speed * 2.0).min(1e6),
            Playback::Slower => self.speed = (self.speed / 2.0).max(1e-2),
            Playback::Beginning => return Some(self.jump(0)),
            Playback::End => return Some(self.jump(self.records.len())),
            Playback::Epochs(by) => return Some(self.jump(self.epoch_end(by))),
        }
        None
    }

    /// Whether it plays, how fast, where, and how long the run was.
    pub fn state(&self) -> (bool, f64, f64, f64) {
        (self.playing, self.speed, self.clock, self.length())
    }

    fn length(&self) -> f64 {
        self.records.last().map_or(0.0, |r| r.t)
    }

    /// Place behind the next (`by` > 0) or the last epoch's end from here.
    fn epoch_end(&self, by: i64) -> usize {
        let is_end = |i: &usize| matches!(self.records[*i].event, Event::EpochEnd(_));
        let found = if by > 0 {
            (self.at..self.records.len()).find(is_end).map(|i| i + 1).unwrap_or(self.records.len())
        } else {
            (0..self.at.saturating_sub(1)).rev().find(is_end).map_or(0, |i| i + 1)
        };
        found.min(self.records.len())
    }

    /// Stands before record `at`; gives the dashboard of everything before it.
    fn jump(&mut self, at: usize) -> Dashboard {
        let mark = (at / self.stride).min(self.marks.len().saturating_sub(1));
        let mut dashboard = self.marks.get(mark).cloned().unwrap_or_default();
        self.records[mark * self.stride..at].iter().for_each(|r| dashboard.fold(r.clone()));
        (self.at, self.clock) = (at, at.checked_sub(1).map_or(0.0, |i| self.records[i].t));
        dashboard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(n: u64) -> Vec<Record> {
        (1..=n)
            .map(|i| Record { seq: i, t: i as f64, event: Event::Note { text: i.to_string() } })
            .collect()
    }

    #[test]
    fn records_come_by_the_runs_clock_times_the_speed() {
        let mut player = Player::new(records(100), Some(10.0));
        assert_eq!(player.pass(0.55).len(), 5);
        assert!((player.due().expect("plays") - 0.05).abs() < 1e-9);
        player.control(Playback::Faster);
        assert_eq!(player.pass(0.5).len(), 10);
        player.control(Playback::Toggle);
        assert_eq!((player.pass(99.0).len(), player.due()), (0, None));
        player.control(Playback::Toggle);
        assert_eq!(player.pass(99.0).len(), 85);
        assert_eq!(player.due(), None, "it stands at the end");
    }

    #[test]
    fn wherever_it_jumps_the_dashboard_is_that_of_all_records_before() {
        let all = records(2_000);
        let mut player = Player::new(all.clone(), None);
        let whole = |n: usize| {
            let mut d = Dashboard::default();
            all[..n].iter().for_each(|r| d.fold(r.clone()));
            d
        };
        for at in [0, 1, 255, 256, 257, 1_000, 1_999, 2_000] {
            assert_eq!(player.jump(at), whole(at), "{at}");
        }
        assert_eq!(player.control(Playback::Beginning), Some(Dashboard::default()));
        assert_eq!(player.control(Playback::End), Some(whole(2_000)));
        assert_eq!(player.control(Playback::Epochs(1)), Some(whole(2_000)), "no epoch ends here");
        assert_eq!(player.control(Playback::Epochs(-1)), Some(Dashboard::default()));
    }

    #[test]
    fn an_empty_journal_plays_to_its_end_at_once() {
        let mut player = Player::new(Vec::new(), None);
        assert!(player.pass(1.0).is_empty() && player.due().is_none());
        assert_eq!(player.control(Playback::Epochs(-1)), Some(Dashboard::default()));
    }
}
