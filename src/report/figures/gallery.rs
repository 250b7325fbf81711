//! Samples as pictures, each with its figures below. A line of text and an image each: written as
//! SVG directly.

use super::Figure;
use crate::data;
use crate::importance::{Pick, Sample};
use crate::printable::in_markup;
use crate::report::Subject;
use crate::train::SampleSheet;
use base64::prelude::{BASE64_STANDARD, Engine};
use std::fmt::Write;

/// Pictures in a row, and rows at most.
const ACROSS: usize = 8;
const ROWS: usize = 40;
/// Pixels: of a picture, of its cell, and of what stands left of a row.
const PICTURE: usize = 64;
const CELL: (usize, usize) = (84, 118);
const MARGIN: usize = 100;

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
    let (width, height) = (MARGIN + ACROSS * CELL.0 + 8, rows.len() * CELL.1 + 8);
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" \
         fill=\"#fff\"/>\n"
    );
    for (row, (class, samples)) in rows.iter().enumerate() {
        let top = 8 + row * CELL.1;
        let short: String = class.chars().take(14).collect();
        let _ = writeln!(
            svg,
            "<text x=\"4\" y=\"{}\" font-size=\"13\">{}</text>",
            top + PICTURE / 2,
            in_markup(&short)
        );
        for (k, sample) in samples.iter().enumerate() {
            cell(&mut svg, (MARGIN + k * CELL.0, top), sample, subject, sheet);
        }
    }
    svg += "</svg>\n";
    let what = match pick {
        Pick::Hardest => "The hardest samples of each class",
        Pick::Easiest => "The easiest samples of each class",
        Pick::Suspect => {
            "Samples of each class that the model took for another one, the most confident first"
        }
        Pick::MostDrawn => "The samples of each class that were drawn most",
        Pick::NeverDrawn => "The hardest samples of each class that were never drawn",
    };
    let mut caption = format!(
        "{what}, {of}: number, mean probability p of the labelled class up to E, times drawn \
         since, and what the model took it for \
         when it was last drawn, with the probability of that."
    );
    let known: Vec<bool> = shown.iter().filter_map(|s| s.flipped).collect();
    if !known.is_empty() {
        let rate = known.iter().filter(|f| **f).count() as f64 / known.len() as f64;
        let base = sheet.samples.iter().filter(|s| s.flipped == Some(true)).count() as f64
            / sheet.samples.len() as f64;
        let _ = write!(
            caption,
            " Framed: the label was flipped on purpose: {:.1}% of these pictures, {:.1}% of all \
             samples ({:.1} times as many).",
            100.0 * rate,
            100.0 * base,
            rate / base.max(f64::MIN_POSITIVE)
        );
    }
    Some(Figure::new(name, caption, &svg))
}

fn cell(
    svg: &mut String,
    (x, y): (usize, usize),
    s: &Sample,
    subject: &Subject,
    sheet: &SampleSheet,
) {
    let png = sheet
        .pictures
        .of(s.index)
        .and_then(|image| data::strip(&[image], sheet.pictures.shape, 0).ok());
    let Some(png) = png else { return };
    let _ = write!(
        svg,
        "<image x=\"{x}\" y=\"{y}\" width=\"{PICTURE}\" height=\"{PICTURE}\" \
         style=\"image-rendering:pixelated\" \
         href=\"data:image/png;base64,{}\"/>",
        BASE64_STANDARD.encode(png)
    );
    if s.flipped == Some(true) {
        let _ = write!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{side}\" height=\"{side}\" fill=\"none\" \
             stroke=\"#d55e00\" stroke-width=\"3\"/>",
            x - 2,
            y - 2,
            side = PICTURE + 4
        );
    }
    let seen = s.predicted.zip(s.confidence).map(|(class, p)| {
        let name = subject.data.classes.get(class as usize).map_or("?", String::as_str);
        let right = if class == s.class { "as labelled" } else { name };
        (right.chars().take(12).collect::<String>(), p)
    });
    let p = s.p.map_or_else(|| "p unknown".to_owned(), |p| format!("p {p:.3}"));
    let lines = [
        format!("#{} {p}", s.index),
        format!("drawn {}", s.drawn),
        seen.map_or_else(String::new, |(name, p)| format!("{name} {p:.2}")),
    ];
    for (k, line) in lines.iter().enumerate() {
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\">{}</text>",
            x - 2,
            y + PICTURE + 14 + 12 * k,
            in_markup(line)
        );
    }
    svg.push('\n');
}
