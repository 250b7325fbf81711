//! What is read while somebody looks at a tab that needs it: single samples, other runs, the
//! machine. On threads of their own: the loop that draws never waits for a disk.

use super::app::{App, Costs};
use super::canvas;
use super::machine::{Machine, MachineFigures};
use super::others::Neighbours;
use super::sheet::Sheet;
use super::tabs::Tab;
use crate::dashboard::{Dashboard, Tone};
use crate::run::{RunDirectory, samples_written};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

/// How often a tab's sources are looked at.
const GLANCE: Duration = Duration::from_secs(2);
/// Time over which the cockpit's own costs are counted.
const COSTS: Duration = Duration::from_secs(10);

/// What was read.
pub(super) enum Found {
    Sheet(Result<Option<Sheet>, String>),
    Others(Neighbours, Result<Vec<(String, Dashboard)>, String>),
    Machine(Box<MachineFigures>, Costs),
    /// It was time to look, and nothing is there yet.
    Nothing,
}

impl Found {
    /// Gives it to the cockpit; whether that shows.
    pub(super) fn put_into(self, app: &mut App, background: &mut Background) -> bool {
        match self {
            Self::Sheet(sheet) => {
                background.reads_sheet = false;
                match sheet {
                    Ok(sheet) => {
                        app.images.forget();
                        app.sheet = sheet;
                    }
                    Err(why) => app.dashboard.say(Tone::Warning, why),
                }
            }
            Self::Others(neighbours, news) => {
                if app.others.baseline.is_none() && neighbours.has_baseline() {
                    app.others.baseline = Some("uniform".into());
                }
                background.neighbours = Some(neighbours);
                match news {
                    Ok(news) if news.is_empty() => return false,
                    Ok(news) => app.others.merge(news),
                    Err(why) => app.dashboard.say(Tone::Warning, why),
                }
            }
            Self::Machine(figures, costs) => (app.machine, app.costs) = (Some(*figures), costs),
            Self::Nothing => return false,
        }
        true
    }
}

/// The sources, and what is under way.
pub(super) struct Background {
    directory: RunDirectory,
    sender: mpsc::UnboundedSender<Found>,
    found: mpsc::UnboundedReceiver<Found>,
    /// Made when the loop begins.
    glance: Option<Interval>,
    machine: Machine,
    /// When the samples that are shown were written.
    sheet_of: Option<SystemTime>,
    reads_sheet: bool,
    /// None while they are read.
    neighbours: Option<Neighbours>,
    /// Whether the baseline is to be found without anybody looking at other runs.
    seeks_baseline: bool,
    /// When frames were drawn, and the bytes written before each.
    drawn: VecDeque<(Instant, u64)>,
}

impl Background {
    pub(super) fn new(directory: RunDirectory, trainer: Option<u32>) -> Self {
        let (sender, found) = mpsc::unbounded_channel();
        let neighbours = Neighbours::of(directory.clone());
        Self {
            directory,
            sender,
            found,
            glance: None,
            machine: Machine::new(trainer),
            sheet_of: None,
            reads_sheet: false,
            seeks_baseline: neighbours.has_baseline(),
            neighbours: Some(neighbours),
            drawn: VecDeque::new(),
        }
    }

    /// A frame is about to be drawn.
    pub(super) fn draws(&mut self) {
        let now = Instant::now();
        self.drawn.push_back((now, canvas::written()));
        while self.drawn.front().is_some_and(|(at, _)| now.duration_since(*at) > COSTS) {
            self.drawn.pop_front();
        }
    }

    fn costs(&self) -> Costs {
        let (now, bytes, seconds) = (Instant::now(), canvas::written(), COSTS.as_secs_f64());
        let recent: Vec<_> =
            self.drawn.iter().filter(|(at, _)| now.duration_since(*at) <= COSTS).collect();
        let before = recent.first().map_or(bytes, |(_, before)| *before);
        Costs {
            bytes_per_s: (bytes - before) as f64 / seconds,
            frames_per_s: recent.len() as f64 / seconds,
            bytes,
        }
    }

    /// What was read next, if this tab needs anything. To be given to the cockpit before the next
    /// call.
    pub(super) async fn next(&mut self, tab: Tab, classes: usize) -> Found {
        let idle = !matches!(tab, Tab::Importance | Tab::Samples | Tab::Compare | Tab::System)
            && !self.seeks_baseline;
        let glance = self.glance.get_or_insert_with(|| {
            let mut glance = tokio::time::interval(GLANCE);
            glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
            glance
        });
        tokio::select! {
            biased;
            Some(found) = self.found.recv() => found,
            _ = glance.tick(), if !idle => self.look(tab, classes),
        }
    }

    /// A tab was opened: its sources are looked at now.
    pub(super) fn hurry(&mut self) {
        if let Some(glance) = &mut self.glance {
            glance.reset_immediately();
        }
    }

    fn look(&mut self, tab: Tab, classes: usize) -> Found {
        match tab {
            Tab::Importance | Tab::Samples if !self.reads_sheet => {
                let written = samples_written(&self.directory);
                if written.is_some() && written != self.sheet_of {
                    (self.sheet_of, self.reads_sheet) = (written, true);
                    let (directory, sender) = (self.directory.clone(), self.sender.clone());
                    tokio::task::spawn_blocking(move || {
                        let sheet = Sheet::load(&directory, classes)
                            .map_err(|e| format!("the samples cannot be read: {e}"));
                        let _ = sender.send(Found::Sheet(sheet));
                    });
                }
            }
            Tab::System => return Found::Machine(Box::new(self.machine.look()), self.costs()),
            _ => {}
        }
        if (tab == Tab::Compare || self.seeks_baseline)
            && let Some(mut neighbours) = self.neighbours.take()
        {
            self.seeks_baseline = false;
            let sender = self.sender.clone();
            tokio::task::spawn_blocking(move || {
                let news = neighbours
                    .refresh()
                    .map_err(|e| format!("the runs beside this one cannot be read: {e}"));
                let _ = sender.send(Found::Others(neighbours, news));
            });
        }
        Found::Nothing
    }
}
