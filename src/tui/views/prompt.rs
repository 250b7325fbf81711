//! Questions: a value being typed, and how to leave. They take the last lines of the screen.

use super::super::app::{App, Overlay, Prompt, Watching};
use super::super::theme::Role;
use super::super::widgets::clip;
use crate::config;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use unicode_width::UnicodeWidthStr;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let screen = frame.area();
    let height = 2.min(screen.height);
    let area = Rect { x: 0, y: screen.height - height, width: screen.width, height };
    frame.render_widget(Clear, area);
    match &app.overlay {
        Overlay::Prompt(prompt) => typed(frame, app, prompt, area),
        _ => frame.render_widget(Paragraph::new(quit_lines(app)), area),
    }
}

fn quit_lines(app: &App) -> Vec<Line<'static>> {
    let choice = |key: &'static str, text: &'static str| [app.span(key, Role::Key), app.span(text, Role::Text)];
    let mut second = vec![Span::raw(" ")];
    let question = match app.watching {
        Watching::InlineRun => "Stop the run? It trains in this process and ends with it.",
        _ => {
            second.extend(choice("enter", " leave, training goes on  "));
            "Leave the cockpit? The run does not need it."
        }
    };
    second.extend(choice("a", " stop after epoch  "));
    second.extend(choice("s", " stop now  "));
    second.extend(choice("esc", " stay"));
    vec![Line::from(app.span(format!(" {question}"), Role::Title)), Line::from(second)]
}

fn typed(frame: &mut Frame<'_>, app: &App, prompt: &Prompt, area: Rect) {
    let about = config::find(prompt.key).map_or("", |k| k.about);
    let now = current(app, prompt.key);
    let label = clip(&format!(" {about} (now {now}): "), usize::from(area.width) / 2 + 10, app.appearance.glyphs.cut);
    let room = usize::from(area.width).saturating_sub(label.width() + 1).max(1);
    let scroll = prompt.input.visual_scroll(room);
    let value: String = prompt.input.value().chars().skip(scroll).take(room).collect();
    let (hint, role) = match app.check(prompt) {
        Ok(_) => ("enter applies, esc leaves".to_owned(), Role::Dim),
        Err(what) if prompt.input.value().is_empty() => (format!("{what}; esc leaves"), Role::Dim),
        Err(what) => (what, Role::Bad),
    };
    let hint = clip(&hint, usize::from(area.width).saturating_sub(2), app.appearance.glyphs.cut);
    let lines = vec![
        Line::from(vec![app.span(label.clone(), Role::Title), app.span(value, Role::Key)]),
        Line::from(vec![Span::raw(" "), app.span(hint, role)]),
    ];
    frame.render_widget(Paragraph::new(lines), area);
    let x = label.width() + prompt.input.visual_cursor().saturating_sub(scroll);
    frame.set_cursor_position(Position { x: (area.x + x as u16).min(area.right().saturating_sub(1)), y: area.y });
}

fn current(app: &App, key: &str) -> String {
    let whole = toml::Value::try_from(&app.dashboard.config).ok();
    let value = whole.as_ref().and_then(|w| key.split('.').try_fold(w, |v, part| v.get(part)));
    value.map_or_else(|| "-".into(), ToString::to_string)
}
