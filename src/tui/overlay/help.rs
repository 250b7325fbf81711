//! The keys that hold here, from the one table.

use super::{Layer, Outcome, Press};
use crate::tui::input::key::Key;
use crate::tui::input::keymap::{Keymap, Place, Where};
use crate::tui::look::appearance::Appearance;
use crate::tui::look::panel::middle;
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use ratatui::Frame;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// Columns of keys.
const KEYS: usize = 17;

#[derive(Clone, Copy, Debug, Default)]
pub struct Help {
    /// The first line that is shown.
    top: usize,
}

impl Layer for Help {
    fn press(&mut self, press: &Press<'_>, _: &Scene<'_>) -> Outcome {
        let Some(by) = press.lines() else { return Outcome::Close }; // any other key leaves it
        self.scroll(by);
        Outcome::Stay
    }

    fn scroll(&mut self, by: i64) {
        self.top = (self.top as i64 + by).max(0) as usize;
    }

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        draw_keys(frame, scene.look, scene.keymap, scene.here(), self.top);
    }
}

/// Draws the keys that hold `here`, from line `top` on.
pub fn draw_keys(
    frame: &mut Frame<'_>,
    look: &Appearance,
    keymap: &Keymap,
    here: Where,
    top: usize,
) {
    let mut rows: Vec<_> = keymap.here(here).filter(|(_, keys)| !keys.is_empty()).collect();
    // What is of this tab comes first.
    rows.sort_by_key(|(b, _)| {
        !matches!(b.place, Place::On(_) | Place::OneClass | Place::Comparison)
    });
    let mut lines: Vec<Line<'_>> = rows
        .into_iter()
        .map(|(b, keys)| {
            let keys = keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ");
            Line::from(vec![
                look.span(format!(" {keys:<KEYS$}"), Role::Key),
                look.span(b.description, Role::Text),
            ])
        })
        .collect();
    lines.push(Line::default());
    for text in [
        "Epochs 1 to E: vanilla SGD. At E: weight = 1 - p. After E: draws by weight.",
        "Changes are applied between two steps; the line above the keys answers.",
        "Other keys: cockpit.toml (earlybird keys prints names and its place).",
    ] {
        lines.push(Line::from(look.span(format!(" {text}"), Role::Dim)));
    }
    let (count, height) = (lines.len(), usize::from(frame.area().height).saturating_sub(2));
    let top = top.min(count.saturating_sub(height));
    let hint = if count > height {
        format!(
            "{} to {} of {count}: j k scroll, another key leaves",
            top + 1,
            top + height.min(count)
        )
    } else {
        "any key leaves".into()
    };
    let inner = middle(frame, look, "keys", &hint, (96, count.min(height) as u16 + 2));
    frame.render_widget(Paragraph::new(lines).scroll((top as u16, 0)), inner);
}
