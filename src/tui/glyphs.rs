//! Every glyph that the cockpit draws, and its ASCII twin.

use ratatui::symbols::{Marker, border};

/// One set of glyphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Whether this is the ASCII set.
    pub ascii: bool,
    /// Panel borders.
    pub border: border::Set<'static>,
    /// Vertical bars by eighths, from empty to full.
    pub columns: [&'static str; 9],
    /// Horizontal bars by eighths, from empty to full.
    pub rows: [&'static str; 9],
    /// Lines of charts.
    pub curve: Marker,
    /// Single points of charts.
    pub point: Marker,
    /// Many points of charts.
    pub cloud: Marker,
    /// Straight lines that mark a place in charts.
    pub mark: Marker,
    /// Timeline behind us, pretraining.
    pub pretrain: &'static str,
    /// Timeline behind us, biased.
    pub biased: &'static str,
    /// Timeline behind us, uniform.
    pub uniform: &'static str,
    /// Timeline ahead.
    pub ahead: &'static str,
    /// Where E lies.
    pub switch: &'static str,
    /// Where we are.
    pub here: &'static str,
    /// Training share of a class.
    pub share: &'static str,
    /// Expected share of a class.
    pub expected: &'static str,
    /// Quartiles below the histogram.
    pub quartile: &'static str,
    /// Between two facts.
    pub dot: &'static str,
    /// From old to new.
    pub arrow: &'static str,
    /// Cut text.
    pub cut: &'static str,
}

/// The usual set.
pub const UNICODE: Glyphs = Glyphs {
    ascii: false,
    border: border::ROUNDED,
    columns: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    rows: [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
    curve: Marker::Braille,
    point: Marker::Dot,
    cloud: Marker::Braille,
    mark: Marker::Braille,
    pretrain: "━",
    biased: "═",
    uniform: "─",
    ahead: "┄",
    switch: "┃",
    here: "●",
    share: "│",
    expected: "◆",
    quartile: "▲",
    dot: "·",
    arrow: "→",
    cut: "…",
};

/// For terminals and locales without Unicode.
pub const ASCII: Glyphs = Glyphs {
    ascii: true,
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
    columns: [" ", " ", ".", ".", ":", ":", "|", "|", "#"],
    rows: [" ", " ", " ", " ", "=", "=", "=", "=", "="],
    curve: Marker::Custom('*'),
    point: Marker::Custom('o'),
    cloud: Marker::Custom('.'),
    mark: Marker::Custom(':'),
    pretrain: "-",
    biased: "=",
    uniform: "~",
    ahead: ".",
    switch: "|",
    here: "@",
    share: "|",
    expected: "x",
    quartile: "^",
    dot: "-",
    arrow: "->",
    cut: "~",
};

impl Glyphs {
    /// A vertical bar of `eighths` (0 to 8).
    pub fn column(&self, eighths: usize) -> &'static str {
        self.columns[eighths.min(8)]
    }

    /// A horizontal bar of `eighths` (0 to 8).
    pub fn row(&self, eighths: usize) -> &'static str {
        self.rows[eighths.min(8)]
    }
}
