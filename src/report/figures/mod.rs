//! The figures of a report, as SVG; one room for each family. All are as wide as a phone, and
//! their colours have names, so that a page can show them light or dark.

mod classes;
mod curves;
mod forest;
mod gallery;
mod histograms;
mod lines;
mod palette;
mod plot;
mod png;
mod rows;
mod speedups;
mod svg;

use super::Subject;
use crate::compare::{Finding, NULL, Outcome, Row};
use crate::importance::Pick;
use crate::printable::printable;
use crate::protocol::EpochSummary;
use palette::Look;

pub(super) use palette::dark_rules;
pub(super) use png::Renderer;

/// Classes that a figure shows at most; more are in the table.
const CLASSES: usize = 40;
/// Arms whose losses, in training and measured, share a chart.
const FEW: usize = 1;

/// A drawn figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// Name of its file.
    pub name: &'static str,
    /// What it shows, a few words.
    pub title: String,
    /// How it is read.
    pub caption: String,
    /// The drawing.
    pub svg: String,
}

impl Figure {
    /// Names in a drawing may hold what XML forbids.
    fn new(name: &'static str, title: String, caption: String, svg: String) -> Self {
        Self { name, title, caption, svg: printable(&svg).into_owned() }
    }
}

/// All figures that the subject has figures for, the most important first.
pub(super) fn all(subject: &Subject) -> Vec<Figure> {
    let finding = subject.outcome.as_ref().map(Outcome::finding);
    let ranked = subject.outcome.as_ref().map(Outcome::ranked);
    let mut out = Vec::new();
    out.extend(finding.as_ref().and_then(differences));
    out.extend(accuracies(subject, &looks(subject, finding.as_ref())));
    if let Some(rows) = &ranked {
        out.extend(by_arm(subject, rows));
    }
    out.extend(over_epochs(subject, &looks(subject, finding.as_ref())));
    out.extend(weights(subject));
    out.extend(of_one_arm(subject));
    out.extend(samples(subject));
    out
}

/// The baseline, the null arm and the best are what the eye shall find first.
fn looks(subject: &Subject, finding: Option<&Finding>) -> Vec<Look> {
    let best = finding.and_then(|f| Some(f.standings[f.best?].arm.clone()));
    let bold: Vec<String> = finding
        .into_iter()
        .flat_map(|f| [f.baseline.clone(), NULL.to_owned()])
        .chain(best)
        .collect();
    curves::looks(subject, &bold)
}

fn differences(finding: &Finding) -> Option<Figure> {
    if finding.standings.is_empty() {
        return None;
    }
    let chance = if finding.standings.iter().any(|s| s.is_null) {
        " Shaded, from the diamond: what chance alone does."
    } else {
        ""
    };
    let caption = format!(
        "Final test accuracy of each arm minus that of {}, paired by seed: mean and 95% interval \
         (Student's t). Full: decided, the interval is on one side of zero. Hollow: not decided. \
         Bold: decided even with all {} arms counted (Holm).{chance}",
        finding.baseline,
        finding.tried()
    );
    let title = format!("Difference to {}", finding.baseline);
    Some(Figure::new("forest", title, caption, forest::draw(finding)))
}

/// `, mean of 5 seeds`, where there are some.
fn over_seeds(subject: &Subject) -> String {
    match subject.arms.iter().map(|a| a.seeds.len()).max() {
        Some(seeds) if seeds > 1 => format!(", mean of {seeds} seeds"),
        _ => String::new(),
    }
}

fn first_upper(word: &str) -> String {
    word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect()
}

fn accuracies(subject: &Subject, looks: &[Look]) -> Vec<Figure> {
    let (on, mean) = (first_upper(subject.config.measured_on().word()), over_seeds(subject));
    let several = subject.arms.len() > 1;
    let mut out = Vec::new();
    if several {
        let band = if subject.arms[0].seeds.len() > 1 {
            format!(" Shaded: from the lowest to the highest seed of {}.", subject.arms[0].name)
        } else {
            String::new()
        };
        let title = format!("{on} accuracy, the last half enlarged");
        let caption = format!(
            "Over epochs{mean}; the number is that of the last epoch.{band} Arrow: an arm beyond \
             the figure."
        );
        out.push(Figure::new("late", title, caption, curves::late(subject, looks)));
    }
    let caption = format!("Over epochs{mean}. E: until there all draws are uniform.");
    let title = format!("{on} accuracy");
    out.push(Figure::new("accuracy", title, caption, curves::accuracy(subject, looks)));
    if several {
        let title = format!("{on} accuracy against images drawn");
        let caption =
            format!("Epoch by epoch{mean}. An arm that leaves samples out draws fewer images.");
        out.push(Figure::new("images", title, caption, curves::images(subject, looks)));
        let title = format!("{on} accuracy against time");
        let caption = format!(
            "Epoch by epoch{mean}, evaluation included. Runs that shared their machine, or had \
             different ones, took longer for that alone."
        );
        out.push(Figure::new("seconds", title, caption, curves::seconds(subject, looks)));
    }
    out
}

/// What is told arm by arm, in the order of the forest plot.
fn by_arm(subject: &Subject, rows: &[Row]) -> Vec<Figure> {
    let arms: Vec<&str> = rows.iter().map(|row| row.arm.as_str()).collect();
    let baseline = subject.outcome.as_ref().map_or("", |o| o.baseline.as_str());
    let (svg, most) = classes::by_arm(subject, baseline, &arms);
    let caption = format!(
        "At the end, in %{}. Coloured by the difference to {baseline}: blue higher, orange lower, \
         strongest at {:.1} points.",
        over_seeds(subject),
        100.0 * most
    );
    let recalls = Figure::new("recalls", "Recall by class and arm".into(), caption, svg);
    if rows.iter().all(|row| row.speedups.is_empty()) {
        return vec![recalls];
    }
    let caption = "To the baseline's highest accuracy, a mark a seed; below 1: later. Hollow, at \
                   the left edge: seeds that did not reach it.";
    let svg = speedups::draw(rows);
    vec![recalls, Figure::new("speedup", "Speedup".into(), caption.into(), svg)]
}

/// Losses, balance, where flipped labels went.
fn over_epochs(subject: &Subject, looks: &[Look]) -> Vec<Figure> {
    let (on, mean) = (subject.config.measured_on().word(), over_seeds(subject));
    let harder = "After E the training loss of biased arms is measured on harder draws.";
    let mut out = Vec::new();
    if subject.arms.len() <= FEW {
        let caption = format!("In training and on the {on} set, over epochs{mean}. {harder}");
        out.push(Figure::new("loss", "Loss".into(), caption, curves::both_losses(subject)));
    } else {
        let title = format!("{} loss", first_upper(on));
        let svg = curves::loss(subject, looks, |e| e.measured.loss);
        out.push(Figure::new("loss", title, format!("Over epochs{mean}."), svg));
        let svg = curves::loss(subject, looks, |e| e.train_loss);
        let caption = format!("Over epochs{mean}. {harder}");
        out.push(Figure::new("training-loss", "Training loss".into(), caption, svg));
    }
    let caption = "Evenness of the draws, H(f) / ln C: 1 = all classes drawn alike.";
    let svg = curves::balance(subject, looks);
    out.push(Figure::new("balance", "Balance index".into(), caption.into(), svg));
    if subject.arms.iter().any(|a| a.seeds[0].epochs.iter().any(|e| e.flipped_share.is_some())) {
        let caption = format!(
            "Share of the draws that goes to labels that were flipped on purpose{mean}. Dashed: \
             their share of the training set, {:.1}%.",
            100.0 * subject.config.data.label_noise
        );
        let title = "Draws of flipped labels".into();
        out.push(Figure::new("flipped", title, caption, curves::flipped(subject, looks)));
    }
    out
}

fn weights(subject: &Subject) -> Vec<Figure> {
    let weighed = subject.arms.iter().filter(|a| a.seeds[0].weights.is_some());
    let Some(arm) = Subject::shown(weighed) else { return Vec::new() };
    let of = format!("{} at E (seed {})", arm.name, arm.seeds[0].seed);
    let caption = format!("Of {of}; dashed: quartiles.");
    let weights = histograms::weights(arm)
        .map(|svg| Figure::new("weights", "Importance weights".into(), caption, svg));
    let caption = format!(
        "Draws that an epoch is expected to give each sample, n q, of {of}; dashed: 1, as uniform \
         draws do."
    );
    let draws = histograms::probabilities(arm)
        .map(|svg| Figure::new("probabilities", "Expected draws".into(), caption, svg));
    weights.into_iter().chain(draws).collect()
}

/// Class by class, of the arm that is shown.
fn of_one_arm(subject: &Subject) -> Vec<Figure> {
    let Some(arm) = Subject::shown(subject.arms.iter()) else { return Vec::new() };
    let of = format!("Of {} (seed {})", arm.name, arm.seeds[0].seed);
    let last = arm.seeds[0].epochs.last().map_or(0, |e| e.epoch);
    let caption = format!(
        "{of}, in epoch {last}. Bar: share of the draws; line: of the training set; circle: \
         expected."
    );
    let svg = classes::shares(subject, arm);
    let shares = Figure::new("classes", "Draws by class".into(), caption, svg);
    let by_epoch = |name, title: String, value: fn(&EpochSummary, usize) -> f64| {
        let (svg, low, high) = classes::by_epoch(subject, arm, value);
        let caption =
            format!("{of}. Faintest: {:.1}%, strongest: {:.1}%.", 100.0 * low, 100.0 * high);
        Figure::new(name, title, caption, svg)
    };
    let on = first_upper(subject.config.measured_on().word());
    let draws = by_epoch("draws", "Share of the draws by class and epoch".into(), drawn);
    let recall = by_epoch("recall", format!("{on} recall by class and epoch"), recall);
    vec![shares, draws, recall]
}

fn drawn(e: &EpochSummary, class: usize) -> f64 {
    let all = e.drawn.iter().sum::<u64>().max(1) as f64;
    e.drawn.get(class).map_or(0.0, |drawn| *drawn as f64 / all)
}

fn recall(e: &EpochSummary, class: usize) -> f64 {
    e.recall.get(class).copied().unwrap_or(0.0)
}

/// Samples of one run: where flipped labels are, and pictures.
fn samples(subject: &Subject) -> Vec<Figure> {
    let Some(told) = &subject.samples else { return Vec::new() };
    let of = format!("{} (seed {})", told.arm, told.seed);
    let mut out = Vec::new();
    if told.sheet.samples.iter().any(|s| s.flipped.is_some()) {
        let caption =
            format!("Of {of}, by weight. {}", histograms::flips_in_words(&told.sheet.samples));
        let title = "Flipped labels among the hardest samples".into();
        out.push(Figure::new("flips", title, caption, histograms::flips(&told.sheet.samples)));
    }
    for (name, pick) in
        [("hardest", Pick::Hardest), ("easiest", Pick::Easiest), ("suspects", Pick::Suspect)]
    {
        out.extend(gallery::draw(name, pick, subject, &told.sheet, &of));
    }
    out
}
