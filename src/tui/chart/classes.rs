//! The classes as a screen lists them: which, in which order. Pure.

use crate::dashboard::Dashboard;
use crate::tui::look::list::matches;

/// Order of the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassOrder {
    /// As the data has them.
    #[default]
    Given,
    /// Largest training share first.
    Share,
    /// Most drawn first.
    Drawn,
    /// Those that are drawn more than they are there, first.
    Gain,
    /// Lowest recall first.
    Recall,
}

impl ClassOrder {
    pub fn next(self) -> Self {
        match self {
            Self::Given => Self::Share,
            Self::Share => Self::Drawn,
            Self::Drawn => Self::Gain,
            Self::Gain => Self::Recall,
            Self::Recall => Self::Given,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Given => "as given",
            Self::Share => "by train share",
            Self::Drawn => "by draws",
            Self::Gain => "by gain",
            Self::Recall => "by recall",
        }
    }
}

/// The figures of one class; shares in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct ClassRow {
    pub class: usize,
    pub name: String,
    /// Share of the training set.
    pub share: f64,
    /// Expected share of the draws, once there were draws.
    pub expected: Option<f64>,
    /// Share of the last epoch's draws.
    pub drawn: Option<f64>,
    /// What was added to the class's logit for the loss; `None` where logits were not corrected.
    pub correction: Option<f64>,
    /// Recall on what epochs are measured on.
    pub recall: Option<f64>,
}

impl ClassRow {
    /// Times that it is drawn more often than it would be without bias.
    pub fn gain(&self) -> Option<f64> {
        self.drawn.filter(|_| self.share > 0.0).map(|drawn| drawn / self.share)
    }
}

/// One row for each class with `filter` in its name, in this order; ties as the data has them.
pub fn rows(d: &Dashboard, order: ClassOrder, filter: &str) -> Vec<ClassRow> {
    let Some(data) = &d.data else { return Vec::new() };
    let n = data.train.max(1) as f64;
    let last = d.epochs.last();
    let draws = last.map_or(1.0, |e| e.drawn.iter().sum::<u64>().max(1) as f64);
    let row = |class: usize| ClassRow {
        class,
        name: data.classes[class].clone(),
        share: data.counts.get(class).map_or(0.0, |k| *k as f64 / n),
        expected: last.and_then(|e| e.expected.get(class)).map(|v| v / draws),
        drawn: last.and_then(|e| e.drawn.get(class)).map(|v| *v as f64 / draws),
        correction: last.and_then(|e| e.correction.get(class)).copied(),
        recall: last.and_then(|e| e.recall.get(class)).copied(),
    };
    let mut rows: Vec<ClassRow> =
        (0..data.classes.len()).filter(|c| matches(&data.classes[*c], filter)).map(row).collect();
    let known = |v: Option<f64>| v.filter(|v| v.is_finite()).unwrap_or(0.0);
    match order {
        ClassOrder::Given => {}
        ClassOrder::Share => rows.sort_by(|a, b| b.share.total_cmp(&a.share)),
        ClassOrder::Drawn => rows.sort_by(|a, b| known(b.drawn).total_cmp(&known(a.drawn))),
        ClassOrder::Gain => rows.sort_by(|a, b| known(b.gain()).total_cmp(&known(a.gain()))),
        ClassOrder::Recall => rows.sort_by(|a, b| known(a.recall).total_cmp(&known(b.recall))),
    }
    rows
}
