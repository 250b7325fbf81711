//! The help overlay: all keys, from the one table.

use super::super::appearance::Appearance;
use super::super::keymap::{Place, bindings};
use super::super::theme::Role;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

pub(super) fn draw(frame: &mut Frame<'_>, look: &Appearance, place: Place) {
    let screen = frame.area();
    let mut lines: Vec<Line<'_>> = bindings(place)
        .map(|b| {
            let keys = b.on.iter().map(|k| k.label()).collect::<Vec<_>>().join(" ");
            Line::from(vec![look.span(format!(" {keys:<10}"), Role::Key), look.span(b.description, Role::Text)])
        })
        .collect();
    lines.push(Line::default());
    let method = "Epochs 1 to E: vanilla SGD. At E: weight = 1 - p. After E: draws by weight.";
    lines.push(Line::from(look.span(format!(" {method}"), Role::Dim)));
    lines.push(Line::from(look.span(" Changes are applied between two steps; the line above the keys answers.", Role::Dim)));
    let (width, height) = (80.min(screen.width), (lines.len() as u16 + 2).min(screen.height));
    let area = Rect { x: (screen.width - width) / 2, y: (screen.height - height) / 2, width, height };
    let block = Block::bordered()
        .border_set(look.glyphs.border)
        .border_style(look.theme.style(Role::Key))
        .title_top(look.span(" keys ", Role::Title))
        .title_bottom(Line::from(vec![Span::raw(" "), look.span("any key leaves ", Role::Dim)]));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
