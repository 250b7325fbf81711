//! Every table of a report as CSV.

use super::Subject;
use crate::compare::{Difference, Speedup, Spread, Standing};
use crate::printable::printable;
use std::borrow::Cow;

/// File names and contents.
pub(super) fn all(subject: &Subject) -> Vec<(&'static str, Vec<u8>)> {
    let mut out = vec![("epochs.csv", epochs(subject)), ("classes.csv", classes(subject))];
    if subject.outcome.is_some() {
        out.push(("arms.csv", arms(subject)));
    }
    out
}

fn csv(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail, and every row is as long as the header.
    let _ = writer.write_record(header);
    rows.for_each(|row| drop(writer.write_record(row.iter().map(|cell| inert(cell).into_owned()))));
    writer.into_inner().unwrap_or_default()
}

/// A cell that spreadsheets show as it is: text that begins as their formulas do gets an apostrophe
/// before it.
fn inert(cell: &str) -> Cow<'_, str> {
    let is_formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    if is_formula { format!("'{}", printable(cell)).into() } else { printable(cell) }
}

fn epochs(subject: &Subject) -> Vec<u8> {
    let header = [
        "arm",
        "seed",
        "epoch",
        "phase",
        "train_loss",
        "measured_on",
        "loss",
        "accuracy",
        "balance",
        "coverage",
        "never_drawn",
        "max_multiplicity",
        "effective_sample_size",
        "seconds",
        "samples",
        "hard_share",
        "suspect_share",
        "flipped_share",
        "settled",
    ];
    let rows = subject.arms.iter().flat_map(|arm| {
        arm.seeds.iter().flat_map(move |s| {
            s.epochs.iter().map(move |e| {
                let mut row = vec![
                    arm.name.clone(),
                    s.seed.to_string(),
                    e.epoch.to_string(),
                    e.phase.word().to_owned(),
                ];
                row.extend([e.train_loss.to_string(), e.measured.on.word().to_owned()]);
                row.extend(
                    [e.measured.loss, e.measured.accuracy, e.balance, e.coverage]
                        .map(|v| v.to_string()),
                );
                row.extend([e.never_drawn.to_string(), e.max_multiplicity.to_string()]);
                row.extend([e.ess.to_string(), e.seconds.to_string(), e.samples.to_string()]);
                row.extend(
                    [e.hard_share, e.suspect_share, e.flipped_share, e.settled]
                        .map(|v| v.map_or_else(String::new, |v| v.to_string())),
                );
                row
            })
        })
    });
    csv(&header, rows)
}

fn classes(subject: &Subject) -> Vec<u8> {
    let header =
        ["arm", "seed", "epoch", "class", "train_samples", "expected_draws", "draws", "recall"];
    let data = &subject.data;
    let rows = subject.arms.iter().flat_map(|arm| {
        arm.seeds.iter().flat_map(move |s| {
            s.epochs.iter().flat_map(move |e| {
                data.classes.iter().enumerate().map(move |(c, class)| {
                    let figure = |v: Option<String>| v.unwrap_or_default();
                    vec![
                        arm.name.clone(),
                        s.seed.to_string(),
                        e.epoch.to_string(),
                        class.clone(),
                        figure(data.counts.get(c).map(u64::to_string)),
                        figure(e.expected.get(c).map(f64::to_string)),
                        figure(e.drawn.get(c).map(u64::to_string)),
                        figure(e.recall.get(c).map(f64::to_string)),
                    ]
                })
            })
        })
    });
    csv(&header, rows)
}

fn arms(subject: &Subject) -> Vec<u8> {
    let header = [
        "arm",
        "final_mean",
        "final_sd",
        "final_gain",
        "final_gain_low",
        "final_gain_high",
        "best_mean",
        "best_sd",
        "best_gain",
        "best_gain_low",
        "best_gain_high",
        "reached",
        "of_seeds",
        "speedups_epochs",
        "speedups_samples",
        "speedups_seconds",
        "lowest_recall_mean",
        "balance_mean",
        "seconds_mean",
        "images_mean",
        "final_gain_p",
        "final_gain_p_of_all",
    ];
    let spread = |s: Spread| [s.mean.to_string(), s.sd.map_or_else(String::new, |v| v.to_string())];
    let difference = |d: Option<Difference>| {
        let (low, high) = d.and_then(|d| d.interval).unzip();
        [d.map(|d| d.mean), low, high].map(|v| v.map_or_else(String::new, |v| v.to_string()))
    };
    let standings: Vec<Standing> =
        subject.outcome.iter().flat_map(|o| o.finding().standings).collect();
    let rows = subject.outcome.iter().flat_map(|o| o.rows()).map(|row| {
        let list = |pick: fn(f64, f64, f64) -> f64| {
            let each = row.speedups.iter().map(|s| match s {
                Speedup::Reached { epochs, samples, seconds } => {
                    format!("{:.4}", pick(*epochs, *samples, *seconds))
                }
                Speedup::NotReached => "not reached".to_owned(),
            });
            each.collect::<Vec<_>>().join(" ")
        };
        let mut out = vec![row.arm.clone()];
        out.extend(spread(row.last));
        out.extend(difference(row.last_gain));
        out.extend(spread(row.best));
        out.extend(difference(row.best_gain));
        out.extend([row.reached().to_string(), row.speedups.len().to_string()]);
        out.extend([list(|e, _, _| e), list(|_, s, _| s), list(|_, _, t| t)]);
        out.extend(
            [row.lowest_recall, row.balance, row.seconds, row.images].map(|v| v.mean.to_string()),
        );
        let standing = standings.iter().find(|s| s.arm == row.arm);
        let p = standing.map_or([None, None], |s| [s.gain.p, s.p_of_all]);
        out.extend(p.map(|p| p.map_or_else(String::new, |p| p.to_string())));
        out
    });
    csv(&header, rows)
}
