//! The tabs of the cockpit. Each is one file: what a person chose on it, what its keys mean, and
//! its picture. A new one is a file here and a row in [`TABLE`].

mod classes;
mod compare;
mod importance;
mod overview;
mod panels;
mod samples;
mod system;
mod weights;

use super::feeds::Feed;
use super::input::keymap::{Action, Tab, TabKeys};
use super::look::list::matches;
use super::scene::{Hit, Hits, Scene, Shared, class_names};
use crate::dashboard::Dashboard;
use ratatui::Frame;
use ratatui::layout::Rect;
use std::fmt;

/// All tabs, in their order.
const TABLE: &[Row] = &[
    Row { keys: overview::KEYS, open: || Box::<overview::Overview>::default() },
    Row { keys: importance::KEYS, open: || Box::<importance::Importance>::default() },
    Row { keys: classes::KEYS, open: || Box::<classes::Classes>::default() },
    Row { keys: samples::KEYS, open: || Box::<samples::Samples>::default() },
    Row { keys: compare::KEYS, open: || Box::<compare::Compare>::default() },
    Row { keys: system::KEYS, open: || Box::<system::System>::default() },
];

struct Row {
    keys: TabKeys,
    open: fn() -> Box<dyn TabView>,
}

/// What a key or the mouse meant on a tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing there: it means what it means everywhere.
    Pass,
    Done,
    /// It was done, and this is to be said.
    Say(String),
}

/// What a tab decides by.
#[derive(Debug)]
pub struct Desk<'a> {
    pub run: &'a Dashboard,
    pub shared: &'a mut Shared,
    /// Where the tab is on the screen.
    pub area: Rect,
}

impl Desk<'_> {
    /// How many classes are listed: those that the filter lets through.
    fn listed_classes(&self) -> usize {
        class_names(self.run).iter().filter(|name| matches(name, &self.shared.filter)).count()
    }
}

/// A tab.
pub trait TabView: fmt::Debug {
    /// What an action means here.
    fn press(&mut self, action: Action, desk: &mut Desk<'_>) -> Reply;

    /// What a click at this means here.
    fn click(&mut self, hit: Hit, desk: &mut Desk<'_>);

    /// What a turn of the wheel means here; down: 1.
    fn wheel(&mut self, down: i64, desk: &mut Desk<'_>) {
        self.press(Action::Down(down), desk);
    }

    /// Somebody comes to it.
    fn opened(&mut self);

    /// Less or more is listed: another filter, or another class.
    fn narrowed(&mut self) {}

    /// What is to be read in the background while it is shown.
    fn needs(&self) -> &'static [Feed] {
        &[]
    }

    /// Its picture; gives what was drawn where.
    fn draw(&self, frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) -> Hits;
}

impl Tab {
    /// All, in their order.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [TABLE[0].keys.tab; TABLE.len()];
        let mut i = 0;
        while i < all.len() {
            all[i] = TABLE[i].keys.tab;
            i += 1;
        }
        all
    };

    /// As people read it.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The tab that is `by` further on; after the last comes the first.
    pub fn next(self, by: i64) -> Self {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0) as i64;
        Self::ALL[(at + by).rem_euclid(Self::ALL.len() as i64) as usize]
    }

    /// The one of this name, or whose name begins so.
    pub fn named(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|t| !text.is_empty() && t.name().to_lowercase().starts_with(&text))
    }
}

impl Default for Tab {
    /// The first.
    fn default() -> Self {
        Self::ALL[0]
    }
}

/// What the tabs bring to the table of keys.
pub fn keys() -> Vec<TabKeys> {
    TABLE.iter().map(|row| row.keys).collect()
}

/// The tabs of a cockpit, one of which is shown.
#[derive(Debug)]
pub struct Tabs {
    shown: Tab,
    all: Vec<(Tab, Box<dyn TabView>)>,
}

impl Default for Tabs {
    fn default() -> Self {
        let all = TABLE.iter().map(|row| (row.keys.tab, (row.open)())).collect();
        Self { shown: Tab::default(), all }
    }
}

impl Tabs {
    /// The one that is shown.
    pub fn shown(&self) -> Tab {
        self.shown
    }

    pub fn show(&mut self, tab: Tab) {
        self.shown = tab;
        self.view_mut().opened();
    }

    fn view(&self) -> &dyn TabView {
        let found = self.all.iter().find(|(tab, _)| *tab == self.shown);
        found.map_or(&*self.all[0].1, |(_, view)| &**view)
    }

    fn view_mut(&mut self) -> &mut dyn TabView {
        let at = self.all.iter().position(|(tab, _)| *tab == self.shown).unwrap_or(0);
        &mut *self.all[at].1
    }

    /// What an action means on the tab that is shown.
    pub fn press(&mut self, action: Action, desk: &mut Desk<'_>) -> Reply {
        let class = desk.shared.class;
        let reply = self.view_mut().press(action, desk);
        if desk.shared.class != class {
            self.narrowed();
        }
        reply
    }

    pub fn click(&mut self, hit: Hit, desk: &mut Desk<'_>) {
        self.view_mut().click(hit, desk);
    }

    pub fn wheel(&mut self, down: i64, desk: &mut Desk<'_>) {
        self.view_mut().wheel(down, desk);
    }

    /// Less or more is listed on all of them.
    pub fn narrowed(&mut self) {
        self.all.iter_mut().for_each(|(_, view)| view.narrowed());
    }

    pub fn needs(&self) -> &'static [Feed] {
        self.view().needs()
    }

    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) -> Hits {
        self.view().draw(frame, area, scene)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tabs_have_one_name() {
        let names: std::collections::HashSet<_> = Tab::ALL.iter().map(|t| t.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }
}
