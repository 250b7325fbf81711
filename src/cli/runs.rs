//! `earlybird runs`: a table of what there is.

use super::{Outcome, complain, failed, say};
use crate::advice;
use crate::compare::{self, Design};
use crate::dashboard::{Dashboard, RunState};
use crate::link;
use crate::run::{self, Ending, RunDirectory, TrainedBy};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Being trained.
    Live,
    /// Being trained, but waiting.
    Paused,
    /// At its N.
    Finished,
    /// Stopped or killed before it: can be resumed.
    Interrupted,
    /// It broke off.
    Failed,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    run: String,
    state: State,
    /// Completed epochs.
    epoch: usize,
    /// N.
    epochs: usize,
    best_accuracy: Option<f64>,
    best_epoch: Option<usize>,
    bytes: u64,
    path: String,
    /// Who trains it, where that is on another machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    trained_by: Option<String>,
}

/// Prints the table, the newest run last.
pub(super) fn run(runs: &Path, json: bool) -> Outcome {
    if let Err(e) = std::fs::read_dir(runs)
        && e.kind() != ErrorKind::NotFound
    {
        return failed(advice::about(runs.display(), &e));
    }
    let directories = RunDirectory::all(runs);
    let sockets: Vec<PathBuf> = directories.iter().map(RunDirectory::socket).collect();
    let rows: Vec<Row> =
        directories.iter().zip(link::probe_all(&sockets)).map(|(d, p)| row(d, p)).collect();
    let comparisons: Vec<ComparisonRow> =
        RunDirectory::others(runs).iter().filter_map(comparison).collect();
    if json {
        rows.iter().for_each(|row| say(serde_json::to_string(row).unwrap_or_default()));
        comparisons.iter().for_each(|row| say(serde_json::to_string(row).unwrap_or_default()));
        return Outcome::Done;
    }
    if rows.is_empty() && comparisons.is_empty() {
        say(format!("no runs in {} (--runs-dir names another place)", runs.display()));
        return Outcome::Done;
    }
    if !comparisons.is_empty() {
        let width = comparisons.iter().map(|r| r.comparison.len()).max().unwrap_or(0).max(10);
        say(format!("{:<width$}  {:<11}  {:>9}  arms", "comparison", "state", "runs"));
        for row in &comparisons {
            let runs = format!("{}/{}", row.done, row.of);
            let by = row.trained_by.as_ref().map_or_else(String::new, |by| format!("  by {by}"));
            let arms = row.arms.join(", ");
            say(format!(
                "{:<width$}  {:<11}  {runs:>9}  {arms}{by}",
                row.comparison,
                word(row.state)
            ));
        }
    }
    if rows.is_empty() {
        return Outcome::Done;
    }
    let width = rows.iter().map(|r| r.run.len()).max().unwrap_or(0).max(3);
    say(format!(
        "{:<width$}  {:<11}  {:>9}  {:>16}  {:>9}",
        "run", "state", "epoch", "best accuracy", "size"
    ));
    for row in &rows {
        let best = row.best_accuracy.zip(row.best_epoch);
        let best = best.map_or_else(
            || "-".to_owned(),
            |(accuracy, epoch)| format!("{:.2}% @{epoch}", 100.0 * accuracy),
        );
        let epoch = format!("{}/{}", row.epoch, row.epochs);
        let size = format!("{:.1} MB", row.bytes as f64 / 1e6);
        let by = row.trained_by.as_ref().map_or_else(String::new, |by| format!("  by {by}"));
        say(format!(
            "{:<width$}  {:<11}  {epoch:>9}  {best:>16}  {size:>9}{by}",
            row.run,
            word(row.state)
        ));
    }
    Outcome::Done
}

/// One line of the table of comparisons.
#[derive(Debug, Serialize)]
struct ComparisonRow {
    comparison: String,
    state: State,
    /// Finished runs.
    done: usize,
    /// Runs in all.
    of: usize,
    arms: Vec<String>,
    path: String,
    /// Who trains it, where that is another machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    trained_by: Option<String>,
}

/// The row of a comparison; `None` for anything else.
fn comparison(directory: &RunDirectory) -> Option<ComparisonRow> {
    let design = match Design::of(directory) {
        Ok(design) => design,
        Err(e) => {
            if compare::is_comparison(directory) {
                complain(format!("{} cannot be read: {e}", directory.path().display()));
            }
            return None;
        }
    };
    let pieces = design.pieces();
    let done = pieces.iter().filter(|p| design.is_done(p, directory)).count();
    let by = directory.trained_by();
    let state = match (by.is_somebody(), done == pieces.len()) {
        (true, _) => State::Live,
        (false, true) => State::Finished,
        (false, false) => State::Interrupted,
    };
    Some(ComparisonRow {
        comparison: directory.id(),
        state,
        done,
        of: pieces.len(),
        arms: design.arms.into_iter().map(|(name, _)| name).collect(),
        path: directory.path().display().to_string(),
        trained_by: elsewhere(&by),
    })
}

fn word(state: State) -> &'static str {
    match state {
        State::Live => "live",
        State::Paused => "paused",
        State::Finished => "finished",
        State::Interrupted => "interrupted",
        State::Failed => "failed",
    }
}

/// The row of a run, which is `paused` or not if a process answers at its socket.
fn row(directory: &RunDirectory, paused: Option<bool>) -> Row {
    let mut dashboard = Dashboard::default();
    // A journal that cannot be read leaves the row empty; the run is there all the same.
    let records = run::read_without_steps(&directory.file("journal.jsonl")).unwrap_or_default();
    let ending = Ending::of(&records);
    records.into_iter().for_each(|record| dashboard.fold(record));
    let by = directory.trained_by();
    let is_paused = matches!(dashboard.state, RunState::Paused(_));
    let state = match (paused, ending) {
        (Some(true), _) => State::Paused,
        (Some(false), _) => State::Live,
        (None, Ending::Finished { .. }) => State::Finished,
        // Where there is no socket, or on another machine. One that is resumed says so in its
        // journal once its data is loaded.
        (None, Ending::Open) if by.is_somebody() && is_paused => State::Paused,
        (None, _) if by.is_somebody() => State::Live,
        (None, Ending::Failed) => State::Failed,
        (None, _) => State::Interrupted,
    };
    Row {
        run: directory.id(),
        state,
        epoch: dashboard.epochs.len(),
        epochs: dashboard.config.train.epochs,
        best_accuracy: dashboard.best.map(|(accuracy, _)| accuracy),
        best_epoch: dashboard.best.map(|(_, epoch)| epoch),
        bytes: directory.bytes(),
        path: directory.path().display().to_string(),
        trained_by: elsewhere(&by),
    }
}

/// Who trains it, where that is another machine.
fn elsewhere(by: &TrainedBy) -> Option<String> {
    matches!(by, TrainedBy::Elsewhere(..)).then(|| by.to_string())
}
