//! Samples as pictures, each with its figures below.

use super::Figure;
use super::palette::Paint;
use super::svg::{Anchor, LETTERS, SMALL, Svg, Type};
use crate::data;
use crate::importance::{Pick, Sample};
use crate::report::Subject;
use crate::train::SampleSheet;
use base64::prelude::{BASE64_STANDARD, Engine};

/// Pictures of a class, and classes at most.
const ACROSS: usize = 5;
const ROWS: usize = 40;
/// Side of a picture, its cell, and the line above a class's pictures.
const PICTURE: f64 = 64.0;
const CELL: (f64, f64) = (87.0, 112.0);
const NAME: f64 = 18.0;
/// Height of a line below a picture.
const LINE: f64 = 12.0;

/// A row of pictures for each class; `None` where there are no pictures.
pub(super) fn draw(
    name: &'static str,
    pick: Pick,
    subject: &Subject,
    sheet: &SampleSheet,
    of: &str,
) -> Option<Figure> {
    let mut rows = Vec::new();
    let mut shown: Vec<&Sample> = Vec::new();
    for (c, class) in subject.data.classes.iter().enumerate().take(ROWS) {
        let members = sheet
            .samples
            .iter()
            .filter(|s| s.class as usize == c && sheet.pictures.of(s.index).is_some());
        let samples = pick.of(members, ACROSS);
        shown.extend(&samples);
        rows.push((class.as_str(), samples));
    }
    if shown.is_empty() {
        return None;
    }
    let height = NAME + CELL.1;
    let mut svg = Svg::new(rows.len() as f64 * height + 4.0);
    for (row, (class, samples)) in rows.iter().enumerate() {
        let top = height * row as f64;
        let look = Type::new(Paint::Ink, LETTERS, Anchor::Start).bold(true);
        svg.text((4.0, top + 13.0), look, &class.chars().take(40).collect::<String>());
        for (k, sample) in samples.iter().enumerate() {
            cell(&mut svg, (4.0 + CELL.0 * k as f64, top + NAME), sample, subject, sheet);
        }
    }
    let title = match pick {
        Pick::Hardest => "The hardest samples of each class",
        Pick::Easiest => "The easiest samples of each class",
        Pick::Suspect => "Samples that the model took for another class",
        Pick::MostDrawn => "The samples of each class that were drawn most",
        Pick::NeverDrawn => "The hardest samples of each class that were never drawn",
    };
    let order = if pick == Pick::Suspect { "; the most confident first" } else { "" };
    let caption = format!(
        "Of {of}{order}: number, mean probability p of the labelled class up to E, times drawn \
         since, and what the model took it for when it was last drawn, with the probability of \
         that.{}",
        flipped(&shown, sheet)
    );
    Some(Figure::new(name, title.to_owned(), caption, svg.finish()))
}

/// How many of the pictures have a flipped label; nothing where none was flipped.
fn flipped(shown: &[&Sample], sheet: &SampleSheet) -> String {
    let known: Vec<bool> = shown.iter().filter_map(|s| s.flipped).collect();
    if known.is_empty() {
        return String::new();
    }
    let rate = known.iter().filter(|f| **f).count() as f64 / known.len() as f64;
    let base = sheet.samples.iter().filter(|s| s.flipped == Some(true)).count() as f64
        / sheet.samples.len() as f64;
    format!(
        " Framed: the label was flipped on purpose: {:.1}% of these pictures, {:.1}% of all \
         samples ({:.1} times as many).",
        100.0 * rate,
        100.0 * base,
        rate / base.max(f64::MIN_POSITIVE)
    )
}

fn cell(svg: &mut Svg, (x, y): (f64, f64), s: &Sample, subject: &Subject, sheet: &SampleSheet) {
    let png = sheet
        .pictures
        .of(s.index)
        .and_then(|image| data::strip(&[image], sheet.pictures.shape, 0).ok());
    let Some(png) = png else { return };
    svg.raw(&format!(
        "<image x=\"{x}\" y=\"{y}\" width=\"{PICTURE}\" height=\"{PICTURE}\" \
         style=\"image-rendering:pixelated\" \
         href=\"data:image/png;base64,{}\"/>\n",
        BASE64_STANDARD.encode(png)
    ));
    if s.flipped == Some(true) {
        let side = PICTURE + 4.0;
        svg.rect((x - 2.0, y - 2.0), (side, side), &Paint::Worse.stroke(3.0));
    }
    let seen = s.predicted.zip(s.confidence).map(|(class, p)| {
        let name = subject.data.classes.get(class as usize).map_or("?", String::as_str);
        let right = if class == s.class { "as labelled" } else { name };
        (right.chars().take(11).collect::<String>(), p)
    });
    let p = s.p.map_or_else(|| "p unknown".to_owned(), |p| format!("p {p:.2}"));
    let lines = [
        format!("#{} {p}", s.index),
        format!("drawn {}", s.drawn),
        seen.map_or_else(String::new, |(name, p)| format!("{name} {p:.2}")),
    ];
    for (k, line) in lines.iter().enumerate() {
        let at = (x, y + PICTURE + LINE * (k as f64 + 1.0));
        svg.text(at, Type::new(Paint::Ink, SMALL - 0.5, Anchor::Start), line);
    }
}
