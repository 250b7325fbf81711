//! Columns over bins, with marks below.

use super::axis::{log_ticks, ticks, whole_ticks};
use super::curves::labels_on;
use crate::tui::look::glyphs::Glyphs;
use crate::tui::look::theme::{Role, Theme};
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
    /// Values at the ends of the bins.
    pub x: (f64, f64),
    /// What the smallest and the largest value mean, in a word.
    pub ends: [&'static str; 2],
    pub glyphs: &'a Glyphs,
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

/// Columns from which there is room for counts beside the bars.
const WITH_COUNTS: usize = 24;
/// Columns from one label below the bars to the next, at least.
const APART: usize = 12;

/// Labels of counts beside `rows` rows of bars, each with the height of its count in rows.
fn count_labels(densities: &[f64], rows: usize, log: bool) -> Vec<(f64, String)> {
    let tallest = densities.iter().copied().fold(0.0, f64::max).max(1e-9);
    let most = labels_on(rows);
    let labels = if log {
        let mut labels = log_ticks((1.0, tallest.exp_m1()), most);
        labels.insert(0, (0.0, "0".into()));
        labels
    } else {
        whole_ticks((0.0, tallest), most)
    };
    let height = |count: f64| if log { count.ln_1p() } else { count } / tallest * rows as f64;
    labels.into_iter().map(|(count, text)| (height(count), text)).collect()
}

fn widest(labels: &[(f64, String)]) -> usize {
    labels.iter().map(|l| l.1.width()).max().unwrap_or(0)
}

impl Columns<'_> {
    /// Counts to the left of the bars, on the row that a bar of that count reaches; gives what is
    /// left for bars.
    fn count_axis(&self, area: Rect, buf: &mut Buffer) -> Rect {
        let (width, bars) = (usize::from(area.width), usize::from(area.height) - 2);
        if width < WITH_COUNTS {
            return area;
        }
        // How high the tallest column is depends on how many there are, and that on the labels.
        let room = widest(&count_labels(&densities(self.counts, width, self.log), bars, self.log));
        let left = room as u16 + 1;
        let plot = Rect { x: area.x + left, width: area.width - left, ..area };
        let heights = densities(self.counts, usize::from(plot.width), self.log);
        let base = area.y + bars as u16;
        let (dim, border) = (self.theme.style(Role::Dim), self.theme.style(Role::Border));
        for row in area.y..base {
            buf.set_string(plot.x - 1, row, self.glyphs.axis_v, border);
        }
        buf.set_string(plot.x - 1, base, self.glyphs.axis_corner, border);
        let mut free = base;
        for (height, text) in count_labels(&heights, bars, self.log) {
            let up = (height.round() as usize).max(usize::from(height > 0.0)).min(bars);
            let row = base - up as u16;
            if row > free || text.width() > room {
                continue;
            }
            buf.set_string(plot.x - 1 - text.width() as u16, row, text, dim);
            free = row.saturating_sub(1);
        }
        plot
    }

    /// Values below the bars, and marks.
    fn value_axis(&self, plot: Rect, buf: &mut Buffer) {
        let (style, base) = (|role| self.theme.style(role), plot.bottom() - 2);
        let width = usize::from(plot.width);
        buf.set_string(plot.x, base, self.glyphs.axis_h.repeat(width), style(Role::Border));
        let column =
            |share: f64| plot.x + (share.clamp(0.0, 1.0) * (width - 1) as f64).round() as u16;
        let places = ticks(self.x, (width / APART).max(1));
        let mut free = plot.x;
        for (k, (value, text)) in places.iter().enumerate() {
            let share = (value - self.x.0) / (self.x.1 - self.x.0);
            let at = column(share);
            // "0.0" says no more than "0".
            let text = if value.fract() == 0.0 { format!("{value:.0}") } else { text.clone() };
            let digits = text.width() as u16;
            let [first, last] = self.ends;
            // A word stands on the side of the number where there is room.
            let (words, before) = match (k == 0, k + 1 == places.len()) {
                (true, _) => (format!("{text} {first}"), 0),
                (_, true) if share > 0.99 => {
                    (format!("{last} {text}"), last.width() as u16 + 1 + digits)
                }
                (_, true) => (format!("{text} {last}"), digits / 2),
                _ => (text.clone(), digits / 2),
            };
            let fits =
                |from: u16, text: &str| from >= free && from + text.width() as u16 <= plot.right();
            let whole = (at + u16::from(share > 0.99)).saturating_sub(before);
            let bare = at.saturating_sub(digits / 2).min(plot.right().saturating_sub(digits));
            let (from, text) = match () {
                () if fits(whole, &words) => (whole, words),
                () if fits(bare, &text) => (bare, text),
                () => continue,
            };
            free = from + text.width() as u16 + 1;
            buf.set_string(at, base, self.glyphs.axis_tick, style(Role::Border));
            buf.set_string(from, base + 1, text, style(Role::Dim));
        }
        for mark in self.marks {
            let at = column(f64::from(*mark));
            buf.set_string(at, base, self.glyphs.quartile, style(Role::Quartile));
        }
    }
}

impl Widget for Columns<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        if area.width < 4 || area.height < 3 || self.counts.is_empty() {
            return;
        }
        let plot = self.count_axis(area, buf);
        let (width, height) = (usize::from(plot.width), usize::from(plot.height));
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
                let at = (plot.x + x as u16, plot.y + row as u16);
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
        self.value_axis(plot, buf);
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
