//! The run on one line: what lies behind us and ahead, where E is, where we are.

use crate::protocol::Phase;
use crate::tui::look::glyphs::Glyphs;
use crate::tui::look::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use std::collections::BTreeMap;
use unicode_width::UnicodeWidthStr;

/// One line over the epochs 0 to N.
#[derive(Debug)]
pub struct Timeline<'a> {
    /// N.
    pub epochs: usize,
    /// E, or what it will probably be.
    pub switch: usize,
    /// What stands there: `E=3`.
    pub label: &'a str,
    /// Where E would be if it were found while the run trains.
    pub found: Option<usize>,
    /// Where we are, in epochs.
    pub position: f64,
    /// Phases of the epochs that began.
    pub phases: &'a BTreeMap<usize, Phase>,
    pub glyphs: &'a Glyphs,
    pub theme: &'a Theme,
}

impl Widget for Timeline<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let end = format!(" N={}", self.epochs);
        let width = usize::from(area.width).saturating_sub(end.width());
        if width < 8 || area.height == 0 {
            return;
        }
        let n = self.epochs.max(1) as f64;
        let column = |epoch: f64| ((epoch / n) * (width - 1) as f64).round() as usize;
        let here = column(self.position.clamp(0.0, n));
        for x in 0..width {
            let epoch = (x as f64 / (width - 1) as f64 * n).floor() as usize + 1;
            let phase = self.phases.get(&epoch).copied();
            let planned = if epoch <= self.switch { Role::Pretrain } else { Role::Biased };
            let (glyph, role) = match phase {
                Some(Phase::Pretrain) if x < here => (self.glyphs.pretrain, Role::Pretrain),
                Some(Phase::Biased) if x < here => (self.glyphs.biased, Role::Biased),
                Some(Phase::Uniform) if x < here => (self.glyphs.uniform, Role::Uniform),
                _ => (self.glyphs.ahead, planned),
            };
            buf.set_string(area.x + x as u16, area.y, glyph, self.theme.style(role));
        }
        buf.set_string(area.x + width as u16, area.y, &end, self.theme.style(Role::Dim));
        let label = format!("{}{}", self.glyphs.switch, self.label);
        let at = column(self.switch as f64).min(width.saturating_sub(label.width()));
        buf.set_string(area.x + at as u16, area.y, &label, self.theme.style(Role::Title));
        // Next to the label it would be read as a part of that.
        let is_apart = |x: &usize| *x < at || *x > at + label.width();
        let found = self.found.filter(|e| *e <= self.epochs).map(|e| column(e as f64));
        if let Some(x) = found.filter(is_apart) {
            buf.set_string(area.x + x as u16, area.y, "?", self.theme.style(Role::Dim));
        }
        buf.set_string(area.x + here as u16, area.y, self.glyphs.here, self.theme.style(Role::Key));
    }
}
