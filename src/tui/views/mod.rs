//! Draw the app. One file a screen; none of them decides anything.

mod help;
mod overview;
mod prompt;
mod race;
mod small;

use super::app::{App, Overlay};
use super::appearance::Appearance;
use super::keymap::Binding;
use super::theme::Role;
use ratatui::Frame;
use ratatui::text::{Line, Span};
use ratatui::widgets::Block;
use unicode_width::UnicodeWidthStr;

/// Smallest screen on which all panels fit.
const FULL: (u16, u16) = (80, 24);

pub(super) use race::draw as draw_race;

/// Draws one frame of any size.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    if area.width < FULL.0 || area.height < FULL.1 {
        small::draw(frame, app);
    } else {
        overview::draw(frame, app);
    }
    match &app.overlay {
        Overlay::Help => help::draw(frame, &app.appearance, app.place()),
        Overlay::Prompt(_) | Overlay::Quit => prompt::draw(frame, app),
        Overlay::None => {}
    }
}

impl App {
    /// `text` in the look of `role`.
    fn span<'a>(&self, text: impl Into<std::borrow::Cow<'a, str>>, role: Role) -> Span<'a> {
        self.appearance.span(text, role)
    }
}

/// A frame around something, with a title and maybe a line below.
fn panel(look: &Appearance, title: Line<'static>, bottom: Option<Line<'static>>) -> Block<'static> {
    let border = look.theme.style(Role::Border);
    let block = Block::bordered().border_set(look.glyphs.border).border_style(border).title_top(title);
    match bottom {
        Some(line) => block.title_bottom(line),
        None => block,
    }
}

/// What a panel shows, and its most wanted figures.
fn title(look: &Appearance, name: &str, rest: Vec<Span<'static>>) -> Line<'static> {
    let mut spans = vec![look.span(format!(" {name} "), Role::Title)];
    spans.extend(rest);
    Line::from(spans)
}

/// The keys of `wanted` that fit, with two words each.
fn keys_line<'a>(look: &Appearance, wanted: impl Iterator<Item = (&'a Binding, &'static str)>, width: u16) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    for (binding, short) in wanted {
        let key = binding.on.first().map(|k| k.label()).unwrap_or_default();
        let cost = key.width() + 1 + short.width() + 2;
        if short.is_empty() || used + cost > usize::from(width) {
            continue;
        }
        used += cost;
        spans.push(look.span(key, Role::Key));
        spans.push(look.span(format!(" {short}  "), Role::Dim));
    }
    Line::from(spans)
}

/// `75` as `1:15`, `3675` as `1:01:15`.
fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// `1234567` as `1,234,567`.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `text` in lines of at most `width` columns, broken between words where that is possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|l| l.width() + 1 + word.width() <= width) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_break_between_words() {
        assert_eq!(wrap("the disk takes no more writes", 11), ["the disk", "takes no", "more writes"]);
        assert_eq!(wrap("incomprehensibilities", 5), ["incomprehensibilities"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!((clock(75.0), clock(3675.4), clock(0.0)), ("1:15".into(), "1:01:15".into(), "0:00".into()));
        assert_eq!((thousands(7), thousands(1_234), thousands(1_234_567)), ("7".into(), "1,234".into(), "1,234,567".into()));
    }
}
