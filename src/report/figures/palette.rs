//! The colours and dashes of figures. Colours are told apart by colour-blind readers (after Okabe
//! and Ito 2008, dark enough for text on white), and each of the first arms has a dash pattern of
//! its own, so that grey prints will do. Every colour has a second one for dark pages.

use std::fmt::Write;

/// A colour by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Paint {
    /// Text, axes, the baseline.
    Ink,
    /// What is said in passing, and the null arm.
    Dim,
    /// Lines behind the data.
    Rule,
    /// What figures are drawn on.
    Paper,
    /// Surely better than the baseline, or simply much.
    Better,
    /// Surely worse than the baseline.
    Worse,
    /// One of the arms' colours, in turn.
    Hue(usize),
}

/// A colour's name in style sheets, and its value on white and on black.
type Tone = (&'static str, &'static str, &'static str);

const INK: Tone = ("ink", "#1b1b1b", "#ececec");
const DIM: Tone = ("dim", "#666666", "#a3a3a3");
const RULE: Tone = ("rule", "#dddddd", "#3a3a3a");
const PAPER: Tone = ("paper", "#ffffff", "#161616");
const BETTER: Tone = ("better", "#0068a8", "#5cb8ff");
const WORSE: Tone = ("worse", "#c24e00", "#ff9a57");
const HUES: [Tone; 6] = [
    ("h0", "#0068a8", "#5cb8ff"),
    ("h1", "#c24e00", "#ff9a57"),
    ("h2", "#007f5f", "#3fd0a4"),
    ("h3", "#b0408a", "#f08cc8"),
    ("h4", "#856700", "#e3c04a"),
    ("h5", "#6b50c8", "#b5a3ff"),
];

impl Paint {
    fn tone(self) -> Tone {
        match self {
            Self::Ink => INK,
            Self::Dim => DIM,
            Self::Rule => RULE,
            Self::Paper => PAPER,
            Self::Better => BETTER,
            Self::Worse => WORSE,
            Self::Hue(k) => HUES[k % HUES.len()],
        }
    }

    /// Attributes that fill with it, `opacity` in [0, 1]. The class is for pages, the value for
    /// whatever reads no style sheet.
    pub(super) fn fill(self, opacity: f64) -> String {
        let (name, light, _) = self.tone();
        let opacity =
            if opacity < 1.0 { format!(" fill-opacity=\"{opacity:.2}\"") } else { String::new() };
        format!("class=\"f-{name}\" fill=\"{light}\"{opacity}")
    }

    /// Attributes that draw a line with it.
    pub(super) fn stroke(self, width: f64) -> String {
        let (name, light, _) = self.tone();
        format!("class=\"s-{name}\" stroke=\"{light}\" fill=\"none\" stroke-width=\"{width}\"")
    }

    /// Attributes of something hollow: paper inside, this around.
    pub(super) fn hollow(self, width: f64) -> String {
        let ((name, light, _), (_, paper, _)) = (self.tone(), PAPER);
        format!(
            "class=\"f-paper s-{name}\" fill=\"{paper}\" stroke=\"{light}\" \
             stroke-width=\"{width}\""
        )
    }
}

/// The rules of a style sheet that make figures those of a dark page.
pub(in crate::report) fn dark_rules() -> String {
    let mut out = String::new();
    for (name, _, dark) in [INK, DIM, RULE, PAPER, BETTER, WORSE].iter().chain(&HUES) {
        // Writing to a String does not fail.
        let _ = writeln!(out, ".f-{name}{{fill:{dark}}}.s-{name}{{stroke:{dark}}}");
    }
    out
}

/// Dash patterns: the baseline's, the null arm's, then the others'.
pub(super) const DASHES: [&str; 14] = [
    "",
    "1.5 3",
    "16 2",
    "6 3",
    "3 2",
    "10 3 2 3",
    "2 4",
    "6 2 2 2 2 2",
    "9 6",
    "4 6",
    "14 3 5 3",
    "5 2 1 2",
    "1 1.5",
    "14 3 1.5 3 1.5 3",
];

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    pub paint: Paint,
    pub dash: &'static str,
    /// Width of the line; wider for what the eye shall find first.
    pub width: f64,
}

impl Look {
    /// That of the arm at this place: the baseline first, the null arm second.
    pub(super) fn of_arm(place: usize, is_bold: bool) -> Self {
        let paint = match place {
            0 => Paint::Ink,
            1 => Paint::Dim,
            k => Paint::Hue(k - 2),
        };
        let dash = DASHES[if place < DASHES.len() { place } else { 2 + place % 12 }];
        Self { paint, dash, width: if is_bold { 2.4 } else { 1.3 } }
    }

    /// That of one of few runs side by side: none is a null arm.
    pub(super) fn of_run(place: usize) -> Self {
        let paint = if place == 0 { Paint::Ink } else { Paint::Hue(place - 1) };
        let place = if place == 0 { 0 } else { 2 + (place - 1) % 12 };
        Self { paint, dash: DASHES[place], width: 2.0 }
    }

    /// Attributes of a line that looks so.
    pub(super) fn stroke(&self) -> String {
        let dash = match self.dash {
            "" => String::new(),
            dash => format!(" stroke-dasharray=\"{dash}\""),
        };
        format!("{}{dash} stroke-linejoin=\"round\"", self.paint.stroke(self.width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn fourteen_arms_have_a_dash_pattern_each_and_many_more_no_two_looks_alike() {
        let dashes: HashSet<&str> = (0..14).map(|k| Look::of_arm(k, false).dash).collect();
        assert_eq!(dashes.len(), 14);
        let looks: HashSet<String> = (0..14).map(|k| Look::of_arm(k, false).stroke()).collect();
        assert_eq!(looks.len(), 14);
    }

    #[test]
    fn text_in_every_colour_can_be_read_on_light_and_on_dark_paper() {
        let part = |hex: &str, at: usize| {
            let v = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")) / 255.0;
            if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        let bright =
            |hex: &str| 0.2126 * part(hex, 1) + 0.7152 * part(hex, 3) + 0.0722 * part(hex, 5);
        let contrast = |a: &str, b: &str| {
            let (a, b) = (bright(a) + 0.05, bright(b) + 0.05);
            a.max(b) / a.min(b)
        };
        for (name, light, dark) in [INK, DIM, BETTER, WORSE].iter().chain(&HUES) {
            let (on_light, on_dark) = (contrast(light, PAPER.1), contrast(dark, PAPER.2));
            assert!(on_light >= 4.5 && on_dark >= 4.5, "{name}: {on_light:.1} {on_dark:.1}");
        }
    }
}
