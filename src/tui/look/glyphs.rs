//! Every glyph that the cockpit draws, and its ASCII twin.

use ratatui::symbols::{Marker, border};

/// Whether curves are drawn in braille.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Braille {
    /// Yes.
    Yes,
    /// No: in half blocks.
    No,
    /// Where the terminal is known to have its characters.
    WhereKnown,
}

impl Braille {
    pub(super) fn is_wanted(self) -> bool {
        const KNOWN: [&str; 13] = [
            "xterm",
            "tmux",
            "screen",
            "alacritty",
            "foot",
            "rxvt",
            "st",
            "vte",
            "wezterm",
            "kitty",
            "ghostty",
            "contour",
            "konsole",
        ];
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::WhereKnown => std::env::var("TERM")
                .is_ok_and(|term| KNOWN.iter().any(|known| term.starts_with(known))),
        }
    }
}

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
    /// Chart axes.
    pub axis_v: &'static str,
    /// Chart axes.
    pub axis_h: &'static str,
    /// Where both meet.
    pub axis_corner: &'static str,
    /// Where a label belongs.
    pub axis_tick: &'static str,
    /// From nothing to full.
    pub shades: [&'static str; 5],
    /// What is selected in a list.
    pub pointer: &'static str,
    /// What is shown, in a list.
    pub on: &'static str,
    /// What is not.
    pub off: &'static str,
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
    axis_v: "│",
    axis_h: "─",
    axis_corner: "└",
    axis_tick: "┴",
    shades: [" ", "░", "▒", "▓", "█"],
    pointer: "▸",
    on: "●",
    off: "○",
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
    axis_v: "|",
    axis_h: "-",
    axis_corner: "+",
    axis_tick: "+",
    shades: [" ", ".", ":", "+", "#"],
    pointer: ">",
    on: "*",
    off: "o",
};

impl Glyphs {
    /// The same with half blocks for braille.
    pub fn without_braille(self) -> Self {
        Self { curve: Marker::HalfBlock, cloud: Marker::Dot, mark: Marker::HalfBlock, ..self }
    }

    /// A shade for a share in [0, 1]; anything above nothing shows.
    pub fn shade(&self, share: f64) -> &'static str {
        let full = (self.shades.len() - 1) as f64;
        let at = (share.clamp(0.0, 1.0) * full).round().max(if share > 0.0 { 1.0 } else { 0.0 });
        self.shades[at as usize]
    }

    /// A vertical bar of `eighths` (0 to 8).
    pub fn column(&self, eighths: usize) -> &'static str {
        self.columns[eighths.min(8)]
    }

    /// A horizontal bar of `eighths` (0 to 8).
    pub fn row(&self, eighths: usize) -> &'static str {
        self.rows[eighths.min(8)]
    }
}
