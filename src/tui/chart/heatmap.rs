//! Rows by epochs as shades.

use super::axis::whole_ticks;
use crate::tui::look::glyphs::Glyphs;
use crate::tui::look::text::fit;
use crate::tui::look::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

/// A row: its name, whether it is selected, and a value in [0, 1] for each epoch.
#[derive(Clone, Debug)]
pub struct HeatRow {
    pub name: String,
    /// Whether it is selected.
    pub selected: bool,
    /// A value for each epoch.
    pub values: Vec<f64>,
    /// What stands behind it.
    pub end: String,
}

/// The rows.
#[derive(Debug)]
pub struct Heatmap<'a> {
    /// From top to bottom; those that do not fit are left out.
    pub rows: &'a [HeatRow],
    /// Epochs that there is room for on the whole axis.
    pub epochs: usize,
    /// E, where it is to be marked.
    pub switch: usize,
    /// How it looks.
    pub role: Role,
    /// Columns of a name.
    pub names: usize,
    pub glyphs: &'a Glyphs,
    pub theme: &'a Theme,
}

/// Columns from one label to the next, at least.
const APART: usize = 8;

/// Which epochs (from 0) column `x` of `width` shows: one or more.
fn epochs_of(x: usize, width: usize, epochs: usize) -> std::ops::Range<usize> {
    let from = x * epochs / width;
    from..((x + 1) * epochs / width).max(from + 1)
}

impl Widget for Heatmap<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let end = self.rows.iter().map(|r| r.end.len()).max().unwrap_or(0);
        let Some(width) =
            usize::from(area.width).checked_sub(self.names + end + 4).filter(|w| *w >= 4)
        else {
            return;
        };
        let left = area.x + self.names as u16 + 3;
        let dim = self.theme.style(Role::Dim);
        let epochs = self.epochs.max(1);
        for (row, y) in self.rows.iter().zip(area.top()..area.bottom().saturating_sub(1)) {
            let (mark, style) =
                if row.selected { (self.glyphs.pointer, Role::Key) } else { (" ", Role::Text) };
            buf.set_string(area.x, y, mark, self.theme.style(Role::Key));
            buf.set_string(
                area.x + 2,
                y,
                fit(&row.name, self.names, self.glyphs.cut),
                self.theme.style(style),
            );
            for x in 0..width {
                let shown = row.values.get(epochs_of(x, width, epochs).start..);
                let count = epochs_of(x, width, epochs).len();
                let values = &shown.unwrap_or_default()[..count.min(shown.map_or(0, <[f64]>::len))];
                if values.is_empty() {
                    continue;
                }
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                buf.set_string(
                    left + x as u16,
                    y,
                    self.glyphs.shade(mean),
                    self.theme.style(self.role),
                );
            }
            buf.set_string(left + width as u16 + 1, y, &row.end, dim);
        }
        self.epoch_axis(
            Rect { x: left, y: area.bottom() - 1, width: width as u16, height: 1 },
            buf,
        );
    }
}

impl Heatmap<'_> {
    /// Round epochs below their columns, and E between two.
    fn epoch_axis(&self, area: Rect, buf: &mut Buffer) {
        let (width, epochs) = (usize::from(area.width), self.epochs.max(1));
        let dim = self.theme.style(Role::Dim);
        let mut taken = area.right()..area.right();
        if self.switch > 0 && self.switch < epochs {
            let label = format!("{}E={}", self.glyphs.switch, self.switch);
            let length = label.width();
            let at = (self.switch * width / epochs).min(width.saturating_sub(length)).max(2);
            taken = area.x + at as u16..area.x + (at + length) as u16;
            buf.set_string(taken.start, area.y, label, dim);
        }
        // Epochs count from 1.
        let mut places = vec![(1.0, "1".to_owned())];
        places.extend(whole_ticks((2.0, epochs as f64), (width / APART).max(1)));
        let mut free = area.x;
        for (epoch, text) in places {
            let length = text.width() as u16;
            let middle = area.x + ((epoch - 0.5) * width as f64 / epochs as f64) as u16;
            let from = if epoch == 1.0 { area.x } else { middle.saturating_sub(length / 2) };
            let meets_e = from <= taken.end && from + length >= taken.start;
            if from >= free && from + length <= area.right() && !meets_e {
                buf.set_string(from, area.y, text, dim);
                free = from + length + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_epoch_is_in_some_column(width in 4_usize..200, epochs in 1_usize..3_000) {
            let mut seen = vec![false; epochs];
            for x in 0..width {
                let range = epochs_of(x, width, epochs);
                proptest::prop_assert!(!range.is_empty() && range.end <= epochs);
                seen[range].fill(true);
            }
            proptest::prop_assert!(seen.iter().all(|s| *s));
        }
    }
}
