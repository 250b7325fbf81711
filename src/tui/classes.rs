//! The classes as a screen lists them: which, in which order. Pure.

use crate::dashboard::Dashboard;

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
    pub(super) fn next(self) -> Self {
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

/// What the tab Classes shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassMap {
    /// A line a class.
    #[default]
    Table,
    /// Draws of every class in every epoch.
    Draws,
    /// Recall of every class after every epoch.
    Recall,
}

impl ClassMap {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Table => Self::Draws,
            Self::Draws => Self::Recall,
            Self::Recall => Self::Table,
        }
    }
}

/// The figures of one class; shares in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct ClassRow {
    /// Its number.
    pub class: usize,
    /// Its name.
    pub name: String,
    /// Share of the training set.
    pub share: f64,
    /// Expected share of the draws, once there were draws.
    pub expected: Option<f64>,
    /// Share of the last epoch's draws.
    pub drawn: Option<f64>,
    /// Recall on what epochs are measured on.
    pub recall: Option<f64>,
}

impl ClassRow {
    /// Times that it is drawn more often than it would be without bias.
    pub fn gain(&self) -> Option<f64> {
        self.drawn.filter(|_| self.share > 0.0).map(|drawn| drawn / self.share)
    }
}

/// Whether `filter` is in `name`, whatever the case.
pub fn matches(name: &str, filter: &str) -> bool {
    filter.is_empty() || name.to_lowercase().contains(&filter.to_lowercase())
}

/// One row for each class with `filter` in its name, in this order; ties as the data has them.
pub fn rows(d: &Dashboard, order: ClassOrder, filter: &str) -> Vec<ClassRow> {
    let Some(data) = &d.data else { return Vec::new() };
    let n = data.train.max(1) as f64;
    let last = d.epochs.last();
    let row = |class: usize| ClassRow {
        class,
        name: data.classes[class].clone(),
        share: data.counts.get(class).map_or(0.0, |k| *k as f64 / n),
        expected: last.and_then(|e| e.expected.get(class)).map(|v| v / n),
        drawn: last.and_then(|e| e.drawn.get(class)).map(|v| *v as f64 / n),
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

/// The first of `count` lines that is shown on `height` lines, so that the selected one is among
/// them.
pub fn first_shown(selected: usize, count: usize, height: usize) -> usize {
    selected.saturating_sub(height / 2).min(count.saturating_sub(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_line_is_always_shown() {
        for (count, height) in [(5, 10), (100, 10), (10, 10), (1, 1), (3, 0)] {
            for selected in 0..count {
                let first = first_shown(selected, count, height);
                assert!(
                    height == 0 || (first..first + height).contains(&selected),
                    "{selected} of {count} on {height}"
                );
                assert!(first == 0 || first + height <= count);
            }
        }
    }

    #[test]
    fn a_filter_does_not_mind_the_case() {
        assert!(
            matches("Ankle boot", "BOOT")
                && matches("ÄPFEL", "äp")
                && matches("x", "")
                && !matches("Bag", "boot")
        );
    }
}
