//! Draw the app. One file a screen; none of them decides anything.

mod help;
mod overview;
mod prompt;
mod small;

use super::app::{App, Overlay};
use super::theme::Role;
use ratatui::Frame;
use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

/// Smallest screen on which all panels fit.
const FULL: (u16, u16) = (80, 24);

/// Draws one frame of any size.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    if area.width < FULL.0 || area.height < FULL.1 {
        small::draw(frame, app);
    } else {
        overview::draw(frame, app);
    }
    match &app.overlay {
        Overlay::Help => help::draw(frame, app),
        Overlay::Prompt(_) | Overlay::Quit => prompt::draw(frame, app),
        Overlay::None => {}
    }
}

impl App {
    /// `text` in the look of `role`.
    fn span<'a>(&self, text: impl Into<std::borrow::Cow<'a, str>>, role: Role) -> Span<'a> {
        Span::styled(text, self.appearance.theme.style(role))
    }
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
