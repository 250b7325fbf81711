//! What the mouse means. It goes by what was drawn: nothing here knows where anything is.

use super::{App, Effect};
use crate::tui::input::keymap::Action;
use crate::tui::overlay::Overlay;
use crate::tui::scene::{Hit, Hits};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

/// Lines that a turn of the wheel moves in an overlay.
const WHEEL: i64 = 3;

impl App {
    /// Takes what the mouse does.
    pub(super) fn point(&mut self, mouse: &MouseEvent) -> Effect {
        let at = Position { x: mouse.column, y: mouse.row };
        // What was drawn last lies on top.
        let hits = self.picture.hits.iter().rev();
        let found: Hits = hits.filter(|(area, _)| area.contains(at)).copied().collect();
        match mouse.kind {
            MouseEventKind::ScrollDown => return self.turn(1, &found),
            MouseEventKind::ScrollUp => return self.turn(-1, &found),
            MouseEventKind::Down(MouseButton::Left) if self.overlay.is_none() => {
                found.into_iter().for_each(|hit| self.click(at, hit));
            }
            MouseEventKind::Down(MouseButton::Left) => self.overlay = Overlay::None,
            _ => {}
        }
        Effect::None
    }

    /// The wheel turns down (1) or up (-1).
    fn turn(&mut self, down: i64, found: &[(Rect, Hit)]) -> Effect {
        if !self.overlay.is_none() {
            self.overlay.scroll(down * WHEEL);
        } else if matches!(found.first(), Some((_, Hit::Plot))) {
            return self.act(Action::Scale(-down));
        } else {
            let (tabs, mut desk) = self.desk();
            tabs.wheel(down, &mut desk);
        }
        Effect::None
    }

    fn click(&mut self, at: Position, (area, hit): (Rect, Hit)) {
        match hit {
            Hit::Tab(tab) => self.show(tab),
            Hit::Plot => {
                let share = f64::from(at.x - area.x) / f64::from(area.width.max(2) - 1);
                self.shared.axis.point_at(share, &self.dashboard);
            }
            Hit::Panel(_) | Hit::Row(_) | Hit::Sample(_) => {
                let (tabs, mut desk) = self.desk();
                tabs.click(hit, &mut desk);
            }
        }
    }
}
