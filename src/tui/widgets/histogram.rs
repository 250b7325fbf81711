//! Columns over bins, with marks below.

use super::super::glyphs::Glyphs;
use super::super::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

/// A histogram.
#[derive(Debug)]
pub struct Columns<'a> {
    /// Counts of equal bins.
    pub counts: &'a [u64],
    /// Counts of a part, over the same bins; on a scale of its own. Empty: none.
    pub part: &'a [u64],
    /// Positions marked on the axis, in [0, 1].
    pub marks: &'a [f32],
    /// Whether heights go by the logarithm of counts.
    pub log: bool,
    /// What stands below: at the left end, in the middle, at the right end.
    pub ends: [String; 3],
    /// Characters.
    pub glyphs: &'a Glyphs,
    /// Colours.
    pub theme: &'a Theme,
}

/// Mean of `counts` under each of `width` columns: columns and bins need not match.
fn densities(counts: &[u64], width: usize, log: bool) -> Vec<f64> {
    let bins = counts.len() as f64;
    let density = |x: usize| {
        let (from, to) = (x as f64 / width as f64 * bins, (x + 1) as f64 / width as f64 * bins);
        let first = from as usize;
        let last = (to.ceil() as usize).min(counts.len());
        let covered = |b: usize| (to.min(b as f64 + 1.0) - from.max(b as f64)).max(0.0);
        let sum: f64 = (first..last).map(|b| counts[b] as f64 * covered(b)).sum();
        let mean = sum / (to - from);
        if log { mean.ln_1p() } else { mean }
    };
    (0..width).map(density).collect()
}

/// Eighths of a column of `bars` rows for each density. Anything that is there shows.
fn eighths(densities: &[f64], bars: usize) -> Vec<usize> {
    let tallest = densities.iter().copied().fold(0.0, f64::max).max(1e-9);
    let height =
        |d: &f64| (d / tallest * (bars * 8) as f64).round().max(if *d > 0.0 { 1.0 } else { 0.0 });
    densities.iter().map(|d| height(d) as usize).collect()
}

impl Widget for Columns<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        if width < 4 || height < 3 || self.counts.is_empty() {
            return;
        }
        let bars = height - 2; // one line for the axis, one for its labels
        let all = eighths(&densities(self.counts, width, self.log), bars);
        let part = if self.part.is_empty() {
            vec![0; width]
        } else {
            eighths(&densities(self.part, width, self.log), bars)
        };
        for (x, (whole, part)) in all.iter().zip(&part).enumerate() {
            for row in 0..bars {
                let below = (bars - 1 - row) * 8;
                let (filled, of_part) =
                    (whole.saturating_sub(below).min(8), part.saturating_sub(below).min(8));
                let at = (area.x + x as u16, area.y + row as u16);
                if of_part >= 4 {
                    buf.set_string(
                        at.0,
                        at.1,
                        self.glyphs.shades[2],
                        self.theme.style(Role::Drawn),
                    );
                } else {
                    let glyph = if self.glyphs.ascii && filled == 1 {
                        "."
                    } else {
                        self.glyphs.column(filled)
                    };
                    buf.set_string(at.0, at.1, glyph, self.theme.style(Role::Weights));
                }
            }
        }
        let axis = area.y + bars as u16;
        buf.set_string(
            area.x,
            axis,
            self.glyphs.axis_h.repeat(width),
            self.theme.style(Role::Border),
        );
        for mark in self.marks {
            let x = (mark.clamp(0.0, 1.0) * (width - 1) as f32).round() as u16;
            buf.set_string(
                area.x + x,
                axis,
                self.glyphs.quartile,
                self.theme.style(Role::Quartile),
            );
        }
        let dim = self.theme.style(Role::Dim);
        let [left, middle, right] = &self.ends;
        buf.set_stringn(area.x, axis + 1, left, width, dim);
        if width >= 30 {
            buf.set_string(
                area.x + (width / 2 - middle.width().min(width) / 2) as u16,
                axis + 1,
                middle,
                dim,
            );
        }
        if width > left.width() + right.width() {
            buf.set_string(area.right() - right.width() as u16, axis + 1, right, dim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn columns_hold_what_bins_hold(
            counts in proptest::collection::vec(0_u64..1_000, 1..80),
            width in 4_usize..200,
        ) {
            let columns = densities(&counts, width, false);
            let mean = columns.iter().sum::<f64>() / width as f64;
            let of_bins = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
            proptest::prop_assert!(
                (mean - of_bins).abs() < 1e-6 * (1.0 + of_bins),
                "{mean} {of_bins}",
            );
            let heights = eighths(&columns, 5);
            proptest::prop_assert!(
                heights.iter().zip(&columns).all(|(h, d)| *h <= 40 && ((*h > 0) == (*d > 0.0))),
            );
        }
    }
}
