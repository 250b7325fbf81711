//! The panels of a tab: which one has the focus, whether it has the whole screen, and what they are
//! drawn with.

use super::Reply;
use crate::tui::chart::Curve;
use crate::tui::chart::plot::Values;
use crate::tui::input::keymap::Action;
use crate::tui::look::panel;
use crate::tui::look::theme::Role;
use crate::tui::scene::{Hit, Hits, Scene};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// The panels that a tab has: an enum, so that every one is drawn.
pub trait Panel: Copy + PartialEq + 'static {
    /// In the order in which the focus moves.
    const ALL: &'static [Self];
}

/// Which of them has the focus.
#[derive(Clone, Copy, Debug)]
pub struct Panels<P> {
    focused: P,
    is_zoomed: bool,
}

impl<P: Panel> Default for Panels<P> {
    fn default() -> Self {
        Self { focused: P::ALL[0], is_zoomed: false }
    }
}

impl<P: Panel> Panels<P> {
    pub fn focused(&self) -> P {
        self.focused
    }

    /// The panel that has the whole screen.
    pub fn zoomed(&self) -> Option<P> {
        self.is_zoomed.then_some(self.focused)
    }

    /// All panels again.
    pub fn unzoom(&mut self) {
        self.is_zoomed = false;
    }

    /// The focus, so many panels further.
    pub fn next(&mut self, by: i64) {
        let at = place(self.focused) as i64 + by;
        self.focused = P::ALL[at.rem_euclid(P::ALL.len() as i64) as usize];
    }

    /// What keys mean on panels.
    pub fn press(&mut self, action: Action) -> Reply {
        match action {
            Action::Zoom => self.is_zoomed = !self.is_zoomed,
            Action::Escape if self.is_zoomed => self.is_zoomed = false,
            _ => return Reply::Pass,
        }
        Reply::Done
    }

    /// Focuses the panel that was clicked at.
    pub fn click(&mut self, hit: Hit) {
        if let Hit::Panel(at) = hit
            && let Some(panel) = P::ALL.get(at)
        {
            self.focused = *panel;
        }
    }

    /// Whether the frame of `panel` shows that it has the focus.
    fn marks(&self, panel: P) -> bool {
        P::ALL.len() > 1 && self.focused == panel && !self.is_zoomed
    }
}

fn place<P: Panel>(panel: P) -> usize {
    P::ALL.iter().position(|p| *p == panel).unwrap_or(0)
}

/// What a tab draws with; it remembers where things are.
pub struct Pen<'a, 'f> {
    pub frame: &'a mut Frame<'f>,
    pub scene: &'a Scene<'a>,
    pub hits: Hits,
}

impl<'a, 'f> Pen<'a, 'f> {
    pub fn new(frame: &'a mut Frame<'f>, scene: &'a Scene<'a>) -> Self {
        Self { frame, scene, hits: Hits::new() }
    }

    /// Draws the frame of one of `panels`; gives what is inside.
    pub fn panel<P: Panel>(
        &mut self,
        panels: &Panels<P>,
        panel: P,
        area: Rect,
        mut top: Line<'static>,
        bottom: Option<Line<'static>>,
    ) -> Rect {
        let look = self.scene.look;
        let mut block = panel::panel(look, Line::default(), bottom);
        if panels.marks(panel) {
            block = block.border_style(look.theme.style(Role::Dim));
            top.spans.insert(0, look.span(look.glyphs.pointer, Role::Key));
        }
        let block = block.title_top(top);
        let inner = block.inner(area);
        self.frame.render_widget(block, area);
        self.hits.push((area, Hit::Panel(place(panel))));
        inner
    }

    /// Lines of text.
    pub fn lines(&mut self, lines: Vec<Line<'_>>, area: Rect) {
        self.frame.render_widget(Paragraph::new(lines), area);
    }

    /// What is said where there is nothing to draw yet.
    pub fn hint(&mut self, words: &str, area: Rect) {
        let words = Paragraph::new(self.scene.span(words, Role::Dim));
        self.frame.render_widget(words, area);
    }

    /// Curves of the run, x in epochs.
    pub fn plot(&mut self, area: Rect, curves: Vec<Curve>, values: &Values) {
        let plot = self.scene.plot().draw(self.frame, area, curves, values);
        self.hits.push((plot, Hit::Plot));
    }
}
