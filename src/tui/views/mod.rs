//! Draw the app. One file a screen; none of them decides anything.

mod chrome;
mod classes;
mod compare;
mod help;
mod importance;
mod overview;
mod plot;
mod prompt;
mod race;
mod samples;
mod settings;
mod small;
mod summary;
mod system;

use super::app::{App, Hit, Overlay};
use super::appearance::Appearance;
use super::key::Key;
use super::keymap::Binding;
use super::tabs::Tab;
use super::theme::Role;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};
use unicode_width::UnicodeWidthStr;

/// Smallest screen with panels; below it there is a fact a line, and below that a message.
const PANELS: (u16, u16) = (60, 16);
const FACTS: (u16, u16) = (40, 8);

pub(super) use race::draw as draw_race;
pub(super) use summary::text as summary_text;

/// Draws one frame of any size.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    app.hits.borrow_mut().clear();
    let area = frame.area();
    let fits = |(width, height)| area.width >= width && area.height >= height;
    if !fits(FACTS) {
        small::too_small(frame, app);
    } else if !fits(PANELS) {
        small::draw(frame, app);
    } else {
        let body = chrome::draw(frame, app);
        match app.tab {
            Tab::Overview => overview::draw(frame, app, body),
            Tab::Importance => importance::draw(frame, app, body),
            Tab::Classes => classes::draw(frame, app, body),
            Tab::Samples => samples::draw(frame, app, body),
            Tab::Compare => compare::draw(frame, app, body),
            Tab::System => system::draw(frame, app, body),
        }
    }
    match &app.overlay {
        Overlay::None => {}
        Overlay::Help(top) => help::draw(frame, &app.appearance, &app.keymap, app.here(), *top),
        Overlay::Settings(list) => settings::draw(frame, app, list),
        Overlay::Summary => summary::draw(frame, app),
        Overlay::Prompt(_)
        | Overlay::Command(_)
        | Overlay::Filter(_)
        | Overlay::Confirm(_)
        | Overlay::Quit => {
            prompt::draw(frame, app);
        }
    }
}

impl App {
    /// `text` in the look of `role`.
    fn span<'a>(&self, text: impl Into<std::borrow::Cow<'a, str>>, role: Role) -> Span<'a> {
        self.appearance.span(text, role)
    }

    /// Remembers where something was drawn that a mouse may point at.
    fn at(&self, area: Rect, hit: Hit) {
        self.hits.borrow_mut().push((area, hit));
    }

    /// Draws the frame of panel `number` of this tab; gives what is inside.
    fn panel(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        number: usize,
        top: Line<'static>,
        bottom: Option<Line<'static>>,
    ) -> Rect {
        let look = &self.appearance;
        let mut top = top;
        let mut block = panel(look, Line::default(), bottom);
        if self.tab.panels() > 1 && self.focused() == number && !self.zoomed {
            block = block.border_style(look.theme.style(Role::Dim));
            top.spans.insert(0, look.span(look.glyphs.pointer, Role::Key));
        }
        let block = block.title_top(top);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        self.at(area, Hit::Panel(number));
        inner
    }
}

/// A frame around something, with a title and maybe a line below.
fn panel(look: &Appearance, title: Line<'static>, bottom: Option<Line<'static>>) -> Block<'static> {
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
fn title(look: &Appearance, name: &str, rest: Vec<Span<'static>>) -> Line<'static> {
    let mut spans = vec![look.span(format!(" {name} "), Role::Title)];
    spans.extend(rest);
    Line::from(spans)
}

/// A box of at most this size in the middle of the screen, emptied; gives what is inside.
fn middle(
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
fn keys_line<'a>(
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
