//! The runs beside this one: read from their journals, away from the loop that draws, so that
//! nobody who trains is disturbed.

use crate::compare::{Speedup, speedup};
use crate::dashboard::Dashboard;
use crate::protocol::EpochSummary;
use crate::run::{RunDirectory, Tail};
use std::io;

/// What is drawn of all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Figure {
    /// Accuracy in percent on what epochs are measured on.
    #[default]
    Accuracy,
    /// Loss on the same.
    MeasuredLoss,
    /// Mean training loss of each epoch.
    TrainLoss,
    /// Balance index of the draws.
    Balance,
}

impl Figure {
    pub fn next(self) -> Self {
        match self {
            Self::Accuracy => Self::MeasuredLoss,
            Self::MeasuredLoss => Self::TrainLoss,
            Self::TrainLoss => Self::Balance,
            Self::Balance => Self::Accuracy,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MeasuredLoss => "test loss",
            Self::TrainLoss => "train loss",
            Self::Balance => "balance of draws",
        }
    }

    /// Of one epoch.
    pub fn of(self, e: &EpochSummary) -> f64 {
        match self {
            Self::Accuracy => 100.0 * e.measured.accuracy,
            Self::MeasuredLoss => e.measured.loss,
            Self::TrainLoss => e.train_loss,
            Self::Balance => e.balance,
        }
    }
}

/// A run beside this one.
#[derive(Clone, Debug)]
pub struct Other {
    /// Name of its directory.
    pub id: String,
    /// Its figures so far.
    pub dashboard: Dashboard,
    /// Whether it is drawn.
    pub shown: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Others {
    /// The newest first.
    pub list: Vec<Other>,
    /// Name of the one that is the baseline.
    pub baseline: Option<String>,
}

impl Others {
    /// Takes what is new: runs that began, and the figures of those in which something happened.
    pub fn merge(&mut self, news: Vec<(String, Dashboard)>) {
        for (id, dashboard) in news {
            match self.list.iter_mut().find(|o| o.id == id) {
                Some(other) => other.dashboard = dashboard,
                None => self.list.insert(0, Other { id, dashboard, shown: false }),
            }
        }
    }

    /// The run at this place becomes the baseline, or stops being it; gives what to say of it.
    pub fn choose_baseline(&mut self, at: usize) -> String {
        let Some(other) = self.list.get_mut(at) else { return String::new() };
        if self.baseline.as_ref() == Some(&other.id) {
            self.baseline = None;
            return "no baseline".into();
        }
        other.shown = true;
        self.baseline = Some(other.id.clone());
        format!("baseline: {}", other.id)
    }

    /// The baseline, once an epoch of it is over.
    pub fn baseline(&self) -> Option<&Other> {
        self.list
            .iter()
            .find(|o| Some(&o.id) == self.baseline.as_ref())
            .filter(|o| o.dashboard.best.is_some())
    }

    /// Best accuracy of `d` to that of the baseline in percentage points, and the speedup to it;
    /// `None` without one.
    pub fn gain(&self, d: &Dashboard) -> Option<(f64, Option<Speedup>)> {
        let baseline = self.baseline()?;
        let (best, _) = baseline.dashboard.best?;
        let (own, _) = d.best?;
        Some((100.0 * (own - best), speedup(&baseline.dashboard.epochs, &d.epochs)))
    }
}

/// Reads them.
#[derive(Debug)]
pub struct Neighbours {
    own: RunDirectory,
    known: Vec<(String, Dashboard, Tail)>,
}

impl Neighbours {
    /// Of the run in `own`.
    pub fn of(own: RunDirectory) -> Self {
        Self { own, known: Vec::new() }
    }

    /// Whether the run is an arm of a comparison, and not its baseline: that is its neighbour
    /// `uniform` then.
    pub fn has_baseline(&self) -> bool {
        let above = self.own.path().parent().and_then(|seed| seed.parent());
        let compared = above
            .is_some_and(|directory| crate::compare::is_comparison(&RunDirectory::open(directory)));
        compared && self.own.id() != "uniform"
    }

    /// Those in which something happened since the last time.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn refresh(&mut self) -> io::Result<Vec<(String, Dashboard)>> {
        let Some(parent) = self.own.path().parent() else { return Ok(Vec::new()) };
        for directory in
            RunDirectory::all(parent).into_iter().filter(|d| d.path() != self.own.path())
        {
            let id = directory.id();
            if self.known.iter().all(|(known, ..)| *known != id) {
                self.known.push((
                    id,
                    Dashboard::default(),
                    Tail::new(directory.file("journal.jsonl")),
                ));
            }
        }
        let mut news = Vec::new();
        for (id, dashboard, tail) in &mut self.known {
            let records = match tail.poll()? {
                Some(records) if records.is_empty() => continue,
                Some(records) => records,
                None => {
                    *dashboard = Dashboard::default(); // another journal: it is read the next time
                    continue;
                }
            };
            records.into_iter().for_each(|record| dashboard.fold(record));
            news.push((id.clone(), dashboard.clone()));
        }
        Ok(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Record};
    use crate::run::Journal;

    #[test]
    fn the_runs_beside_one_are_followed_and_what_a_person_chose_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let run = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).expect("made");
            std::fs::write(path.join("config.toml"), "").expect("written");
            Journal::open(&path.join("journal.jsonl")).expect("a journal")
        };
        let (_own, mut beside) = (run("own-001"), run("beside-001"));
        let note =
            |seq| Record { seq, t: 1.0, event: Event::Note { text: format!("remark {seq}") } };
        let mut neighbours = Neighbours::of(RunDirectory::open(&dir.path().join("own-001")));
        let mut others = Others::default();
        beside.append(&note(1)).expect("appended");
        beside.settle().expect("settled");
        others.merge(neighbours.refresh().expect("read"));
        assert_eq!((others.list.len(), others.list[0].id.as_str()), (1, "beside-001"));
        others.list[0].shown = true;
        assert!(neighbours.refresh().expect("read").is_empty(), "nothing happened");
        beside.append(&note(2)).expect("appended");
        beside.settle().expect("settled");
        others.merge(neighbours.refresh().expect("read"));
        assert!(others.list[0].shown && others.list[0].dashboard.messages.len() == 2);
    }
}
