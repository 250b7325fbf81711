//! Which samples the tab Samples shows, and which of them is selected. Pure.

use super::sheet::Sheet;
use crate::importance::{PICKS, Pick, Sample};
use crate::protocol::DataSummary;
use ratatui::layout::Rect;

/// Pictures that are listed at most: several screens full.
const MOST: usize = 600;

/// What a person wants to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gallery {
    pick: usize,
    /// Of this class only.
    pub class: Option<usize>,
    /// Which of those that are listed.
    pub selected: usize,
    /// Whether that one is shown by itself.
    pub enlarged: bool,
}

impl Gallery {
    /// Which samples.
    pub fn pick(&self) -> Pick {
        PICKS[self.pick % PICKS.len()]
    }

    /// The next kind.
    pub fn next(&mut self) {
        (self.pick, self.selected) = ((self.pick + 1) % PICKS.len(), 0);
    }

    /// The samples that are listed, in their order: of one class, or of those for which `wanted`
    /// holds.
    pub fn list<'a>(&self, sheet: &'a Sheet, wanted: impl Fn(usize) -> bool) -> Vec<&'a Sample> {
        let of_class = |s: &&Sample| match self.class {
            Some(class) => s.class as usize == class,
            None => wanted(s.class as usize),
        };
        self.pick().of(sheet.samples.iter().filter(of_class), MOST)
    }
}

/// In words, for a title.
pub fn words(pick: Pick) -> &'static str {
    match pick {
        Pick::Hardest => "hardest",
        Pick::Easiest => "easiest",
        Pick::MostDrawn => "most drawn",
        Pick::NeverDrawn => "never drawn",
        Pick::Suspect => "suspect: hard, and confidently called another class",
    }
}

/// How pictures are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Columns and rows of a picture.
    pub picture: (u16, u16),
    /// Pictures across, and rows of them.
    pub across: u16,
    /// Rows of pictures.
    pub down: u16,
}

/// Lines of text below a picture.
pub const WORDS: u16 = 3;
/// Columns between pictures.
pub const GAP: u16 = 2;

impl Grid {
    /// On an area, for images of the data's shape: a cell is twice as high as it is wide.
    pub fn on(area: Rect, data: &DataSummary) -> Self {
        let [_, h, w] = data.shape.map(|v| v.max(1) as f64);
        // Wide enough for the words, never larger than the pixels need, as large as two rows allow.
        let rows = ((f64::from(area.height) / 2.0).floor() - f64::from(WORDS))
            .clamp(4.0, 16.0)
            .min((h / 2.0).ceil());
        let columns = (2.0 * rows * w / h).round().clamp(14.0, 40.0);
        let across = ((area.width + GAP) / (columns as u16 + GAP)).max(1);
        let down = (area.height / (rows as u16 + WORDS)).max(1);
        Self { picture: (columns as u16, rows as u16), across, down }
    }
}
