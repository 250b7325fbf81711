//! The figures of a report, as SVG; one room for each family. Colours are told apart by
//! colour-blind readers (Okabe and Ito 2008), and each curve has a mark of its own, so that grey
//! prints will do; every axis has its unit.

mod classes;
mod curves;
mod gallery;
mod histograms;
mod png;

use super::{ReportError, Subject};
use crate::importance::Pick;
use crate::printable::printable;
use plotters::coord::Shift;
use plotters::prelude::*;

pub(super) use png::Renderer;

/// Pixels; a page scales them.
const SIZE: (u32, u32) = (760, 400);
/// Type of labels, and of what an axis is called.
const LABELS: (&str, u32) = ("sans-serif", 14);
const AXES: (&str, u32) = ("sans-serif", 15);
/// Lines that are no data: E, targets, changes.
const GREY: RGBColor = RGBColor(120, 120, 120);
/// Classes that a figure shows at most; more are in the table.
const CLASSES: usize = 40;

/// A drawn figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// Name of its file.
    pub name: &'static str,
    /// What it shows, one sentence.
    pub caption: String,
    /// The drawing.
    pub svg: String,
}

impl Figure {
    /// Names in a drawing may hold what XML forbids.
    fn new(name: &'static str, caption: String, svg: &str) -> Self {
        Self { name, caption, svg: printable(svg).into_owned() }
    }
}

/// Okabe and Ito's colours without yellow, which white paper swallows.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// All figures that the subject has figures for.
pub(super) fn all(subject: &Subject) -> Result<Vec<Figure>, ReportError> {
    let seeds = subject.arms.iter().map(|a| a.seeds.len()).max().unwrap_or(1);
    let band = if seeds > 1 {
        format!("; mean of {seeds} seeds, bands from lowest to highest")
    } else {
        String::new()
    };
    let on = subject.config.measured_on().word();
    let mut out = vec![
        figure(
            "accuracy",
            format!(
                "{} accuracy over epochs{band}. Vertical: E. Dashed: the highest mean of {}.",
                first_upper(on),
                subject.arms[0].name
            ),
            SIZE,
            |a| curves::accuracy(a, subject),
        )?,
        figure(
            "loss",
            format!(
                "Training loss (marks) and {on} loss (lines only) over epochs{band}. After E the \
                 training loss of biased arms is measured on harder draws."
            ),
            SIZE,
            |a| curves::losses(a, subject),
        )?,
        figure(
            "balance",
            "Balance index of the draws, H(f) / ln C: 1 = all classes drawn alike.".into(),
            SIZE,
            |a| curves::balance(a, subject),
        )?,
    ];
    if subject.outcome.is_some() {
        let caption = "Speedup to the baseline's highest accuracy, a mark a seed, in epochs; below \
                       1: later. Seeds that did not reach it have their mark at the left edge, \
                       hollow.";
        out.push(figure(
            "speedup",
            caption.into(),
            (SIZE.0, 120 + 40 * subject.arms.len() as u32),
            |a| curves::speedups(a, subject),
        )?);
    }
    if subject.arms.iter().any(|a| a.seeds[0].epochs.iter().any(|e| e.flipped_share.is_some())) {
        let caption = format!(
            "Share of the draws that goes to labels that were flipped on purpose{band}. Dashed: \
             their share of the training set, {:.1}%.",
            100.0 * subject.config.data.label_noise
        );
        out.push(figure("flipped", caption, SIZE, |a| curves::flipped(a, subject))?);
    }
    if let Some(arm) = Subject::shown(subject.arms.iter().filter(|a| a.seeds[0].weights.is_some()))
    {
        let of = format!("{} at E (seed {})", arm.name, arm.seeds[0].seed);
        let caption = format!("Importance weights of {of}; dashed: quartiles.");
        out.push(figure("weights", caption, SIZE, |a| histograms::weights(a, arm))?);
        let caption = format!(
            "Draws that an epoch is expected to give each sample, n q, of {of}; dashed: 1, as \
             uniform draws do."
        );
        out.push(figure("probabilities", caption, SIZE, |a| histograms::probabilities(a, arm))?);
    }
    if let Some(arm) = Subject::shown(subject.arms.iter()) {
        let classes = subject.data.classes.len().min(CLASSES);
        let height = 90 + 24 * classes as u32;
        let last = arm.seeds[0].epochs.last().map_or(0, |e| e.epoch);
        let of = format!("of {} (seed {})", arm.name, arm.seeds[0].seed);
        out.push(figure(
            "classes",
            format!(
                "Each class's share of the training set, expected share and share of the draws \
                     in epoch {last} {of}."
            ),
            (SIZE.0, height),
            |a| classes::shares(a, subject, arm),
        )?);
        out.push(figure(
            "draws",
            format!("Share of the draws by class and epoch {of}."),
            (SIZE.0, height),
            |a| {
                classes::heatmap(a, subject, arm, |e, c| {
                    e.drawn
                        .get(c)
                        .map_or(0.0, |d| *d as f64 / e.drawn.iter().sum::<u64>().max(1) as f64)
                })
            },
        )?);
        out.push(figure(
            "recall",
            format!("{} recall by class and epoch {of}.", first_upper(on)),
            (SIZE.0, height),
            |a| classes::heatmap(a, subject, arm, |e, c| e.recall.get(c).copied().unwrap_or(0.0)),
        )?);
    }
    if let Some(told) = &subject.samples {
        let of = format!("of {} (seed {})", told.arm, told.seed);
        if told.sheet.samples.iter().any(|s| s.flipped.is_some()) {
            let caption = format!(
                "Share of flipped labels among the hardest samples {of}, by weight. Dashed: their \
                 share of all. {}",
                histograms::flips_in_words(&told.sheet.samples)
            );
            out.push(figure("flips", caption, SIZE, |a| {
                histograms::flips(a, &told.sheet.samples)
            })?);
        }
        for (name, pick) in
            [("hardest", Pick::Hardest), ("easiest", Pick::Easiest), ("suspects", Pick::Suspect)]
        {
            out.extend(gallery::draw(name, pick, subject, &told.sheet, &of));
        }
    }
    Ok(out)
}

fn first_upper(word: &str) -> String {
    word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect()
}

fn figure(
    name: &'static str,
    caption: String,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Figure, ReportError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let drawn = area
            .fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| draw(&area))
            .and_then(|()| area.present().map_err(Into::into));
        drawn.map_err(|e| ReportError::Figure { name, why: e.to_string() })?;
    }
    Ok(Figure::new(name, caption, &svg))
}
