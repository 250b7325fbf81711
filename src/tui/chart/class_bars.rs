//! One line per class: how much of the draws it gets, how much was expected, how much of the data
//! it is.

use super::classes::{ClassOrder, ClassRow};
use crate::tui::look::appearance::Appearance;
use crate::tui::look::glyphs::Glyphs;
use crate::tui::look::list::first_shown;
use crate::tui::look::text::fit;
use crate::tui::look::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

/// The lines. Those that do not fit are counted on the last one.
#[derive(Debug)]
pub struct ClassBars<'a> {
    /// One per class, in the order of the lines.
    pub rows: &'a [ClassRow],
    /// The line that is to be seen, whatever does not fit.
    pub selected: usize,
    pub glyphs: &'a Glyphs,
    pub theme: &'a Theme,
}

impl Widget for ClassBars<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let width = usize::from(area.width);
        if width < 20 || area.height == 0 {
            return;
        }
        let longest = self.rows.iter().map(|r| r.name.width()).max().unwrap_or(0);
        let names = longest.clamp(4, (width / 4).max(11));
        let wide = width >= names + 50;
        // "29.4>16.4%" or "  train   exp. drawn recall" as columns
        let figures = if wide { 30 } else { 11 };
        let room = width.saturating_sub(names + figures + 2);
        let mut y = area.y;
        let mut lines = usize::from(area.height);
        if wide && lines > self.rows.len() {
            let heads = format!("{:>7}{:>8}{:>7}{:>8}", "train", "expect", "drawn", "recall");
            buf.set_string(
                area.x + (names + room + 2) as u16,
                y,
                heads,
                self.theme.style(Role::Dim),
            );
            (y, lines) = (y + 1, lines - 1);
        }
        let shown = if self.rows.len() > lines { lines.saturating_sub(1) } else { self.rows.len() };
        let top = self
            .rows
            .iter()
            .flat_map(|r| [r.share, r.expected.unwrap_or(0.0), r.drawn.unwrap_or(0.0)])
            .fold(1e-9, f64::max);
        let first = first_shown(self.selected, self.rows.len(), shown);
        for row in &self.rows[first..first + shown] {
            self.line(row, (area.x, y), names, room, top, wide, buf);
            y += 1;
        }
        if shown < self.rows.len() {
            let text = match first {
                0 => format!("{} {} more", self.glyphs.cut, self.rows.len() - shown),
                _ => format!(
                    "{} {} above, {} below",
                    self.glyphs.cut,
                    first,
                    self.rows.len() - shown - first
                ),
            };
            buf.set_stringn(area.x, y, text, width, self.theme.style(Role::Dim));
        }
    }
}

impl ClassBars<'_> {
    #[expect(clippy::too_many_arguments, reason = "geometry of one line")]
    fn line(
        &self,
        row: &ClassRow,
        at: (u16, u16),
        names: usize,
        room: usize,
        top: f64,
        wide: bool,
        buf: &mut Buffer,
    ) {
        let (x, y) = at;
        let style = |role| self.theme.style(role);
        buf.set_string(x, y, fit(&row.name, names, self.glyphs.cut), style(Role::Text));
        let left = x + names as u16 + 1;
        let eighths = (row.drawn.unwrap_or(0.0) / top * (room * 8) as f64).round() as usize;
        for k in 0..room {
            buf.set_string(
                left + k as u16,
                y,
                self.glyphs.row(eighths.saturating_sub(k * 8)),
                style(Role::Drawn),
            );
        }
        let column = |v: f64| {
            left + ((v / top * room as f64).round() as usize).min(room.saturating_sub(1)) as u16
        };
        if room > 0 {
            buf.set_string(column(row.share), y, self.glyphs.share, style(Role::Share));
            if let Some(expected) = row.expected {
                buf.set_string(column(expected), y, self.glyphs.expected, style(Role::Expected));
            }
        }
        let percent =
            |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{:.1}", 100.0 * v));
        let mut cursor = left + room as u16 + 1;
        let mut put = |text: String, role| {
            buf.set_string(cursor, y, &text, style(role));
            cursor += text.width() as u16;
        };
        if wide {
            put(format!("{:>6}%", percent(Some(row.share))), Role::Share);
            put(format!("{:>7}%", percent(row.expected)), Role::Expected);
            put(format!("{:>6}%", percent(row.drawn)), Role::Drawn);
            put(format!("{:>7}%", percent(row.recall)), Role::Text);
        } else {
            put(format!("{:>4}", percent(Some(row.share))), Role::Share);
            if row.drawn.is_none() {
                return put("%".into(), Role::Share);
            }
            put(self.glyphs.arrow.chars().last().map(String::from).unwrap_or_default(), Role::Dim);
            put(format!("{:>4}%", percent(row.drawn)), Role::Drawn);
        }
    }
}

/// What the bars of a class are, and their order if it is not the data's.
pub fn classes_legend(look: &Appearance, order: ClassOrder) -> Line<'static> {
    let g = &look.glyphs;
    let mut spans = vec![
        Span::raw(" "),
        look.span(format!("{} train ", g.share), Role::Share),
        look.span(format!("{} expected ", g.expected), Role::Expected),
        look.span(format!("{} drawn ", g.row(8)), Role::Drawn),
    ];
    if order != ClassOrder::Given {
        spans.push(look.span(format!("{} ", order.words()), Role::Dim));
    }
    Line::from(spans)
}
