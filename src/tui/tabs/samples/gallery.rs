//! Which samples are listed, and how their pictures are laid out. Pure.

use crate::importance::{Pick, Sample};
use crate::protocol::DataSummary;
use crate::tui::feeds::Sheet;
use ratatui::layout::Rect;

/// Pictures that are listed at most: several screens full.
const MOST: usize = 600;

/// The samples of one kind that are listed, in their order: of one class, or of those for which
/// `wanted` holds.
pub fn list(
    pick: Pick,
    sheet: &Sheet,
    class: Option<usize>,
    wanted: impl Fn(usize) -> bool,
) -> Vec<&Sample> {
    let of_class = |s: &&Sample| match class {
        Some(class) => s.class as usize == class,
        None => wanted(s.class as usize),
    };
    pick.of(sheet.samples.iter().filter(of_class), MOST)
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
