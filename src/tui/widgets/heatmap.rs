//! Rows by epochs as shades.

use super::super::glyphs::Glyphs;
use super::super::text::fit;
use super::super::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

/// A row: its name, whether it is selected, and a value in [0, 1] for each epoch.
#[derive(Clone, Debug)]
pub struct HeatRow {
    /// Its name.
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
    /// Characters.
    pub glyphs: &'a Glyphs,
    /// Colours.
    pub theme: &'a Theme,
}

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
        let base = area.bottom() - 1;
        let mark = |epoch: usize| left + ((epoch * width) / epochs).min(width - 1) as u16;
        buf.set_string(left, base, "1", dim);
        if self.switch > 0 && self.switch < epochs {
            let label = format!("{}E={}", self.glyphs.switch, self.switch);
            let at = mark(self.switch).min(left + width.saturating_sub(label.len()) as u16);
            buf.set_string(at.max(left + 2), base, label, dim);
        }
        let last = epochs.to_string();
        buf.set_string(left + (width.saturating_sub(last.len())) as u16, base, last, dim);
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
