//! Writes SVG: lines, boxes, text. Every figure is as wide as a phone, so that its letters can be
//! read there; wider pages show several side by side. Knows nothing of what is drawn.

use super::palette::Paint;
use crate::printable::in_markup;
use std::fmt::Write;

/// Width of every figure, in its own units: about pixels of a phone.
pub(super) const WIDTH: f64 = 440.0;
/// Size of most letters, and of those that say something in passing.
pub(super) const LETTERS: f64 = 12.0;
pub(super) const SMALL: f64 = 10.5;

/// Where a text lies beside its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Type {
    pub paint: Paint,
    pub size: f64,
    pub bold: bool,
    pub anchor: Anchor,
}

impl Type {
    pub(super) const fn new(paint: Paint, size: f64, anchor: Anchor) -> Self {
        Self { paint, size, bold: false, anchor }
    }

    pub(super) const fn bold(self, bold: bool) -> Self {
        Self { bold, ..self }
    }
}

/// A drawing that is under way.
#[derive(Debug)]
pub(super) struct Svg {
    body: String,
    height: f64,
}

impl Svg {
    /// An empty drawing, [`WIDTH`] wide.
    pub(super) fn new(height: f64) -> Self {
        Self { body: String::new(), height }
    }

    /// An element with these attributes and nothing in it; one whose place is no number is left
    /// out.
    fn put(&mut self, name: &str, places: &[(&str, f64)], look: &str) {
        if places.iter().any(|(_, v)| !v.is_finite()) {
            return;
        }
        // Writing to a String does not fail.
        let _ = write!(self.body, "<{name}");
        for (attribute, value) in places {
            let _ = write!(self.body, " {attribute}=\"{}\"", rounded(*value));
        }
        let _ = writeln!(self.body, " {look}/>");
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), look: &str) {
        let places = [("x1", from.0), ("y1", from.1), ("x2", to.0), ("y2", to.1)];
        self.put("line", &places, look);
    }

    /// A box from its corner at the top left.
    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), look: &str) {
        let (width, height) = (size.0.max(0.0), size.1.max(0.0));
        self.put("rect", &[("x", at.0), ("y", at.1), ("width", width), ("height", height)], look);
    }

    pub(super) fn circle(&mut self, at: (f64, f64), radius: f64, look: &str) {
        self.put("circle", &[("cx", at.0), ("cy", at.1), ("r", radius)], look);
    }

    /// A line through all points; nothing for fewer than two.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], look: &str) {
        self.points("polyline", points, look);
    }

    /// The area that the points go around.
    pub(super) fn polygon(&mut self, points: &[(f64, f64)], look: &str) {
        self.points("polygon", points, look);
    }

    fn points(&mut self, name: &str, points: &[(f64, f64)], look: &str) {
        if points.len() < 2 || points.iter().any(|p| !p.0.is_finite() || !p.1.is_finite()) {
            return;
        }
        let all: Vec<String> =
            points.iter().map(|p| format!("{},{}", rounded(p.0), rounded(p.1))).collect();
        let _ = writeln!(self.body, "<{name} points=\"{}\" {look}/>", all.join(" "));
    }

    /// A text whose baseline is at `at`.
    pub(super) fn text(&mut self, at: (f64, f64), look: Type, text: &str) {
        self.turned(at, 0.0, look, text);
    }

    /// A text that can be read on lines: paper around its letters.
    pub(super) fn outlined(&mut self, at: (f64, f64), look: Type, text: &str) {
        let around = format!("{} stroke-linejoin=\"round\"", Paint::Paper.hollow(4.0));
        self.write(at, 0.0, look, &around, text);
        self.text(at, look, text);
    }

    /// A text that is turned by so many degrees around its place.
    pub(super) fn turned(&mut self, at: (f64, f64), degrees: f64, look: Type, text: &str) {
        self.write(at, degrees, look, &look.paint.fill(1.0), text);
    }

    fn write(&mut self, at: (f64, f64), degrees: f64, look: Type, paint: &str, text: &str) {
        if !at.0.is_finite() || !at.1.is_finite() {
            return;
        }
        let (x, y) = (rounded(at.0), rounded(at.1));
        let anchor = match look.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let bold = if look.bold { " font-weight=\"bold\"" } else { "" };
        let turn = if degrees == 0.0 {
            String::new()
        } else {
            format!(" transform=\"rotate({degrees} {x} {y})\"")
        };
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"{anchor}{bold}{turn} {}>{}</text>",
            look.size,
            paint,
            in_markup(text)
        );
    }

    /// What is written elsewhere.
    pub(super) fn raw(&mut self, markup: &str) {
        self.body += markup;
    }

    /// The whole drawing.
    pub(super) fn finish(self) -> String {
        let height = rounded(self.height);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" {}/>\n{}</svg>\n",
            Paint::Paper.fill(1.0),
            self.body
        )
    }
}

/// A place to a tenth.
fn rounded(value: f64) -> f64 {
    (10.0 * value).round() / 10.0 + 0.0 // -0 has a sign, the sum does not
}

/// About as wide is a text of this size.
pub(super) fn wide(text: &str, size: f64) -> f64 {
    0.58 * size * text.chars().count() as f64
}

/// The text if it is no longer than `most` characters, else its two ends: names of arms often
/// differ only there.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= most {
        return text.to_owned();
    }
    let head = most.saturating_sub(1).div_ceil(2);
    let tail = most.saturating_sub(1) - head;
    all[..head].iter().chain(&['…']).chain(&all[all.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("biased", 6), "biased");
        assert_eq!(shortened("biased-exponent-0.25", 11), "biase…-0.25");
        assert_eq!(shortened("biased-exponent-0.25", 11).chars().count(), 11);
    }

    #[test]
    fn what_is_no_number_is_not_drawn_and_names_are_no_markup() {
        let mut svg = Svg::new(10.0);
        svg.circle((f64::NAN, 1.0), 1.0, "");
        svg.polyline(&[(0.0, 0.0), (f64::INFINITY, 1.0)], "");
        svg.text((1.0, 2.0), Type::new(Paint::Ink, 12.0, Anchor::End), "<b>");
        let text = svg.finish();
        assert!(!text.contains("circle") && !text.contains("polyline") && !text.contains("NaN"));
        assert!(text.contains("&lt;b&gt;") && text.contains("text-anchor=\"end\""), "{text}");
    }
}
