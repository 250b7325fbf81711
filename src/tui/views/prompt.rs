//! Questions: a value or a command being typed, a filter, whether something should really be done,
//! how to leave. They take the last lines of the screen.

use super::super::app::{App, Asking, Overlay, Prompt, Watching};
use super::super::command;
use super::super::text::clip;
use super::super::theme::Role;
use crate::config;
use crate::protocol::{Bias, Command, Stop};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use tui_input::Input;
use unicode_width::UnicodeWidthStr;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let screen = frame.area();
    let height = 2.min(screen.height);
    let area = Rect { x: 0, y: screen.height - height, width: screen.width, height };
    frame.render_widget(Clear, area);
    match &app.overlay {
        Overlay::Prompt(prompt) => value(frame, app, prompt, area),
        Overlay::Command(asking) => command_line(frame, app, asking, area),
        Overlay::Filter(input) => {
            let hint = (
                "only what has this in its name is listed; enter keeps it, esc shows all"
                    .to_owned(),
                Role::Dim,
            );
            typed(frame, app, " / ", input, hint, area);
        }
        Overlay::Confirm(command) => {
            frame.render_widget(Paragraph::new(confirm_lines(app, command)), area)
        }
        _ => frame.render_widget(Paragraph::new(quit_lines(app)), area),
    }
}

fn choice(app: &App, key: &'static str, text: &'static str) -> [Span<'static>; 2] {
    [app.span(key, Role::Key), app.span(text, Role::Text)]
}

fn confirm_lines(app: &App, command: &Command) -> Vec<Line<'static>> {
    let question = match command {
        Command::Stop { stop: Stop::Now } => {
            "Stop the run now? It can be resumed from a checkpoint that is written first."
                .to_owned()
        }
        Command::Stop { stop: Stop::AfterEpoch } => "Stop the run after this epoch?".to_owned(),
        Command::Stop { stop: Stop::AtEpoch(epoch) } => {
            format!("Stop the run after epoch {epoch}?")
        }
        Command::Bias { bias: Bias::Now } => {
            "Bias now? Pretraining ends with this epoch, for good once the next begins.".to_owned()
        }
        other => format!("{other:?}?"),
    };
    let mut second = vec![Span::raw(" ")];
    second.extend(choice(app, "y", " yes  "));
    second.extend(choice(app, "n", " no"));
    vec![Line::from(app.span(format!(" {question}"), Role::Title)), Line::from(second)]
}

fn quit_lines(app: &App) -> Vec<Line<'static>> {
    let mut second = vec![Span::raw(" ")];
    let question = match app.watching {
        Watching::InlineRun => "Stop the run? It trains in this process and ends with it.",
        _ => {
            second.extend(choice(app, "enter", " leave, training goes on  "));
            "Leave the cockpit? The run does not need it."
        }
    };
    second.extend(choice(app, "a", " stop after epoch  "));
    second.extend(choice(app, "s", " stop now  "));
    second.extend(choice(app, "esc", " stay"));
    vec![Line::from(app.span(format!(" {question}"), Role::Title)), Line::from(second)]
}

fn value(frame: &mut Frame<'_>, app: &App, prompt: &Prompt, area: Rect) {
    let about = config::find(prompt.key).map_or("", |k| k.about);
    let now = config::value_text(&app.dashboard.config, prompt.key);
    let label = format!(" {about} (now {now}): ");
    let hint = match app.check(prompt) {
        Ok(_) => ("enter applies, esc leaves".to_owned(), Role::Dim),
        Err(what) if prompt.input.value().is_empty() => (format!("{what}; esc leaves"), Role::Dim),
        Err(what) => (what, Role::Bad),
    };
    typed(frame, app, &label, &prompt.input, hint, area);
}

fn command_line(frame: &mut Frame<'_>, app: &App, asking: &Asking, area: Rect) {
    let text = asking.input.value();
    let candidates = command::complete(text, &app.appearance.themes.names());
    let last = |line: &String| line.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
    let hint = match &asking.objection {
        Some(why) => (why.clone(), Role::Bad),
        None if candidates.len() > 1 => {
            (candidates.iter().map(last).collect::<Vec<_>>().join(" "), Role::Dim)
        }
        None => (command::about(text, &app.dashboard.config), Role::Dim),
    };
    typed(frame, app, " :", &asking.input, hint, area);
}

/// A line being typed after `label`, and a hint below.
fn typed(
    frame: &mut Frame<'_>,
    app: &App,
    label: &str,
    input: &Input,
    hint: (String, Role),
    area: Rect,
) {
    let cut = app.appearance.glyphs.cut;
    let label = clip(label, usize::from(area.width) / 2 + 10, cut);
    let room = usize::from(area.width).saturating_sub(label.width() + 1).max(1);
    let scroll = input.visual_scroll(room);
    let shown: String = skip_columns(input.value(), scroll).chars().take(room).collect();
    let words = clip(&hint.0, usize::from(area.width).saturating_sub(2), cut);
    let x = label.width() + input.visual_cursor().saturating_sub(scroll);
    let lines = vec![
        Line::from(vec![app.span(label, Role::Title), app.span(shown, Role::Key)]),
        Line::from(vec![Span::raw(" "), app.span(words, hint.1)]),
    ];
    frame.render_widget(Paragraph::new(lines), area);
    frame.set_cursor_position(Position {
        x: (area.x + x as u16).min(area.right().saturating_sub(1)),
        y: area.y,
    });
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
