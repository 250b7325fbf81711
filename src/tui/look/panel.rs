//! Frames around what is drawn, boxes over it, and lines of keys.

use super::appearance::Appearance;
use super::theme::Role;
use crate::tui::input::key::Key;
use crate::tui::input::keymap::Binding;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};
use unicode_width::UnicodeWidthStr;

/// A frame around something, with a title and maybe a line below.
pub fn panel(
    look: &Appearance,
    title: Line<'static>,
    bottom: Option<Line<'static>>,
) -> Block<'static> {
    let border = look.theme.style(Role::Border);
    let mut block = Block::bordered().border_set(look.glyphs.border).border_style(border);
    if !title.spans.is_empty() {
        block = block.title_top(title);
    }
    match bottom {
        Some(line) => block.title_bottom(line),
        None => block,
    }
}

/// What a panel shows, and its most wanted figures.
pub fn title(look: &Appearance, name: &str, rest: Vec<Span<'static>>) -> Line<'static> {
    let mut spans = vec![look.span(format!(" {name} "), Role::Title)];
    spans.extend(rest);
    Line::from(spans)
}

/// A box of at most this size in the middle of the screen, emptied; gives what is inside.
pub fn middle(
    frame: &mut Frame<'_>,
    look: &Appearance,
    name: &str,
    hint: &str,
    size: (u16, u16),
) -> Rect {
    let screen = frame.area();
    let (width, height) = (size.0.min(screen.width), size.1.min(screen.height));
    let area =
        Rect { x: (screen.width - width) / 2, y: (screen.height - height) / 2, width, height };
    let block = Block::bordered()
        .border_set(look.glyphs.border)
        .border_style(look.theme.style(Role::Key))
        .title_top(look.span(format!(" {name} "), Role::Title))
        .title_bottom(Line::from(vec![Span::raw(" "), look.span(format!("{hint} "), Role::Dim)]));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    inner
}

/// The keys of `wanted` that fit, with two words each.
pub fn keys_line<'a>(
    look: &Appearance,
    wanted: impl Iterator<Item = (&'a Binding, &'a [Key], &'static str)>,
    width: u16,
) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    for (_, keys, short) in wanted {
        let Some(key) = keys.first().map(Key::to_string) else { continue };
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
