//! A line that is being typed, and the last lines of the screen, where questions stand.

use super::Press;
use crate::tui::look::text::clip;
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use tui_input::backend::crossterm::EventHandler;
use tui_input::{Input, InputRequest};
use unicode_width::UnicodeWidthStr;

/// Characters that a line may have: what is pasted by mistake can be a book, and may come as single
/// keys.
pub const LONGEST: usize = 1000;

/// The line.
#[derive(Clone, Debug, Default)]
pub struct Field(Input);

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self(Input::from(text))
    }
}

impl Field {
    pub fn value(&self) -> &str {
        self.0.value()
    }

    /// Columns before the cursor.
    pub fn cursor(&self) -> usize {
        self.0.visual_cursor()
    }

    /// Room that is left, in characters.
    fn room(&self) -> usize {
        LONGEST.saturating_sub(self.value().chars().count())
    }

    /// Takes a key; false when it is one more character than there is room for.
    pub fn press(&mut self, press: &Press<'_>) -> bool {
        let types = matches!(press.key.code, KeyCode::Char(_))
            && !press.key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        if types && self.room() == 0 {
            return false;
        }
        self.0.handle_event(press.event);
        true
    }

    /// Takes pasted text as one line; false when there was more than there is room for.
    pub fn paste(&mut self, text: &str) -> bool {
        let spaced = text.trim().chars().map(|c| if c.is_whitespace() { ' ' } else { c });
        let mut pasted = spaced.filter(|c| !c.is_control());
        for c in pasted.by_ref().take(self.room()) {
            self.0.handle(InputRequest::InsertChar(c));
        }
        pasted.next().is_none()
    }

    /// Draws it after `label` on the last lines, and a hint below.
    pub fn draw(
        &self,
        frame: &mut Frame<'_>,
        scene: &Scene<'_>,
        label: &str,
        (hint, role): (&str, Role),
    ) {
        let area = last_lines(frame);
        let cut = scene.look.glyphs.cut;
        let label = clip(label, usize::from(area.width) / 2 + 10, cut);
        let room = usize::from(area.width).saturating_sub(label.width() + 1).max(1);
        let scroll = self.0.visual_scroll(room);
        let shown: String = skip_columns(self.value(), scroll).chars().take(room).collect();
        let words = clip(hint, usize::from(area.width).saturating_sub(2), cut);
        let x = label.width() + self.cursor().saturating_sub(scroll);
        let lines = vec![
            Line::from(vec![scene.span(label, Role::Title), scene.span(shown, Role::Key)]),
            Line::from(vec![Span::raw(" "), scene.span(words, role)]),
        ];
        frame.render_widget(Paragraph::new(lines), area);
        frame.set_cursor_position(Position {
            x: (area.x + x as u16).min(area.right().saturating_sub(1)),
            y: area.y,
        });
    }
}

/// Empties the last lines of the screen; gives where they are.
fn last_lines(frame: &mut Frame<'_>) -> Rect {
    let screen = frame.area();
    let height = 2.min(screen.height);
    let area = Rect { x: 0, y: screen.height - height, width: screen.width, height };
    frame.render_widget(Clear, area);
    area
}

/// Draws a question on the last lines, and keys that answer it, each with what it does.
pub fn draw_choice(
    frame: &mut Frame<'_>,
    scene: &Scene<'_>,
    question: &str,
    choices: &[(&'static str, &'static str)],
) {
    let area = last_lines(frame);
    let mut answers = vec![Span::raw(" ")];
    for (key, text) in choices {
        answers.extend([scene.span(*key, Role::Key), scene.span(*text, Role::Text)]);
    }
    let question = Line::from(scene.span(format!(" {question}"), Role::Title));
    frame.render_widget(Paragraph::new(vec![question, Line::from(answers)]), area);
}

/// `text` without its first `columns` columns.
fn skip_columns(text: &str, columns: usize) -> &str {
    let mut passed = 0;
    for (at, c) in text.char_indices() {
        if passed >= columns {
            return &text[at..];
        }
        passed += c.to_string().width();
    }
    ""
}
