//! Columns over bins, with quartile marks below.

use super::super::glyphs::Glyphs;
use super::super::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

/// A histogram over [0, 1].
#[derive(Debug)]
pub struct Columns<'a> {
    /// Counts of equal bins.
    pub counts: &'a [u64],
    /// Positions marked on the axis, in [0, 1].
    pub marks: &'a [f32],
    /// Characters.
    pub glyphs: &'a Glyphs,
    /// Colours.
    pub theme: &'a Theme,
}

impl Widget for Columns<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        if width < 4 || height < 3 || self.counts.is_empty() {
            return;
        }
        let bars = height - 2; // one line for the axis, one for its labels
        let bins = self.counts.len() as f64;
        // Mean density under each column: columns and bins need not match.
        let density = |x: usize| {
            let (from, to) = (x as f64 / width as f64 * bins, (x + 1) as f64 / width as f64 * bins);
            let covered = |b: usize| (to.min(b as f64 + 1.0) - from.max(b as f64)).max(0.0);
            let sum: f64 = self.counts.iter().enumerate().map(|(b, c)| *c as f64 * covered(b)).sum();
            sum / (to - from)
        };
        let heights: Vec<f64> = (0..width).map(density).collect();
        let tallest = heights.iter().copied().fold(0.0, f64::max).max(1e-9);
        for (x, h) in heights.iter().enumerate() {
            // Anything that is there shows.
            let eighths = (h / tallest * (bars * 8) as f64).round().max(if *h > 0.0 { 1.0 } else { 0.0 }) as usize;
            for row in 0..bars {
                let filled = eighths.saturating_sub((bars - 1 - row) * 8).min(8);
                let glyph = if self.glyphs.ascii && filled == 1 { "." } else { self.glyphs.column(filled) };
                buf.set_string(area.x + x as u16, area.y + row as u16, glyph, self.theme.style(Role::Weights));
            }
        }
        let axis = area.y + bars as u16;
        let line = if self.glyphs.ascii { "-" } else { "─" };
        buf.set_string(area.x, axis, line.repeat(width), self.theme.style(Role::Border));
        for mark in self.marks {
            let x = (mark.clamp(0.0, 1.0) * (width - 1) as f32).round() as u16;
            buf.set_string(area.x + x, axis, self.glyphs.quartile, self.theme.style(Role::Quartile));
        }
        let dim = self.theme.style(Role::Dim);
        buf.set_string(area.x, axis + 1, "0 easy", dim);
        if width >= 30 {
            buf.set_string(area.x + width as u16 / 2 - 1, axis + 1, "0.5", dim);
        }
        buf.set_string(area.x + width.saturating_sub(6) as u16, axis + 1, "hard 1", dim);
    }
}
