//! What is read while somebody looks at a tab that needs it: single samples, other runs, the
//! machine. On threads of their own: the loop that draws never waits for a disk. Knows no tab.

mod gpus;
mod machine;
mod others;
mod sheet;

pub use gpus::{GpuFigures, Gpus, own_gpus};
pub use machine::{MachineFigures, ProcessFigures};
pub use others::{Figure, Other, Others};
pub use sheet::Sheet;

use crate::dashboard::Dashboard;
use crate::run::{RunDirectory, samples_written};
use crate::tui::terminal::canvas;
use machine::Machine;
use others::Neighbours;
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

/// How often a tab's sources are looked at.
const GLANCE: Duration = Duration::from_secs(2);
/// Time over which the cockpit's own costs are counted.
const COSTS: Duration = Duration::from_secs(10);

/// What is read in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Single samples and their pictures.
    Samples,
    /// The runs beside this one.
    Runs,
    /// Processor, memory, GPUs, and what the cockpit costs.
    Machine,
}

/// What the cockpit itself costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// Bytes a second that it wrote, over the last ten seconds.
    pub bytes_per_s: f64,
    /// Frames a second, over the same.
    pub frames_per_s: f64,
    /// Bytes in all.
    pub bytes: u64,
}

/// What was read.
#[derive(Debug)]
pub enum Found {
    Sheet(Option<Sheet>),
    Runs {
        /// Those in which something happened.
        news: Vec<(String, Dashboard)>,
        /// The run that this one is compared with by its comparison.
        baseline: Option<String>,
    },
    Machine(Box<MachineFigures>, Costs),
    /// It could not be read; why.
    Failed(String),
    /// It was time to look, and nothing is there yet.
    Nothing,
}

/// What a thread comes back with.
enum Read {
    Sheet(io::Result<Option<Sheet>>),
    Runs(Neighbours, io::Result<Vec<(String, Dashboard)>>),
}

/// The sources, and what is under way.
pub struct Background {
    directory: RunDirectory,
    sender: mpsc::UnboundedSender<Read>,
    read: mpsc::UnboundedReceiver<Read>,
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
    pub fn new(directory: RunDirectory, trainer: Option<u32>) -> Self {
        let (sender, read) = mpsc::unbounded_channel();
        let neighbours = Neighbours::of(directory.clone());
        Self {
            directory,
            sender,
            read,
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
    pub fn draws(&mut self) {
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

    /// What was read next, if any of `needs` is to be read.
    pub async fn next(&mut self, needs: &[Feed], classes: usize) -> Found {
        let idle = needs.is_empty() && !self.seeks_baseline;
        let glance = self.glance.get_or_insert_with(|| {
            let mut glance = tokio::time::interval(GLANCE);
            glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
            glance
        });
        tokio::select! {
            biased;
            Some(read) = self.read.recv() => self.take(read),
            _ = glance.tick(), if !idle => self.look(needs, classes),
        }
    }

    /// Another tab is shown: its sources are looked at now.
    pub fn hurry(&mut self) {
        if let Some(glance) = &mut self.glance {
            glance.reset_immediately();
        }
    }

    fn take(&mut self, read: Read) -> Found {
        match read {
            Read::Sheet(sheet) => {
                self.reads_sheet = false;
                let failed = |e| Found::Failed(format!("the samples cannot be read: {e}"));
                sheet.map_or_else(failed, Found::Sheet)
            }
            Read::Runs(neighbours, news) => {
                let baseline = neighbours.has_baseline().then(|| "uniform".to_owned());
                self.neighbours = Some(neighbours);
                let failed =
                    |e| Found::Failed(format!("the runs beside this one cannot be read: {e}"));
                news.map_or_else(failed, |news| Found::Runs { news, baseline })
            }
        }
    }

    fn look(&mut self, needs: &[Feed], classes: usize) -> Found {
        if needs.contains(&Feed::Samples) {
            self.read_samples(classes);
        }
        if needs.contains(&Feed::Runs) || self.seeks_baseline {
            self.read_runs();
        }
        if needs.contains(&Feed::Machine) {
            return Found::Machine(Box::new(self.machine.look()), self.costs());
        }
        Found::Nothing
    }

    /// Reads the samples where others were written since, and nobody reads them.
    fn read_samples(&mut self, classes: usize) {
        let written = samples_written(&self.directory);
        if self.reads_sheet || written.is_none() || written == self.sheet_of {
            return;
        }
        (self.sheet_of, self.reads_sheet) = (written, true);
        let (directory, sender) = (self.directory.clone(), self.sender.clone());
        tokio::task::spawn_blocking(move || {
            let _ = sender.send(Read::Sheet(Sheet::load(&directory, classes)));
        });
    }

    fn read_runs(&mut self) {
        let Some(mut neighbours) = self.neighbours.take() else { return };
        self.seeks_baseline = false;
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let news = neighbours.refresh();
            let _ = sender.send(Read::Runs(neighbours, news));
        });
    }
}
