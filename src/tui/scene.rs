//! What pictures are made of, and what they tell of themselves: where a mouse may point.

use super::chart::axis::AxisView;
use super::chart::classes::ClassOrder;
use super::chart::plot::Plot;
use super::connection::Connection;
use super::feeds::{Costs, MachineFigures, Others, Sheet};
use super::input::keymap::{Keymap, Tab, Where};
use super::look::appearance::Appearance;
use super::look::images::Images;
use super::look::theme::Role;
use crate::dashboard::Dashboard;
use ratatui::layout::Rect;
use ratatui::text::Span;
use std::borrow::Cow;

/// Something on the screen that a mouse may point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// A tab's name.
    Tab(Tab),
    /// A panel, by its place in the tab's panels.
    Panel(usize),
    /// The curves of a panel.
    Plot,
    /// A line of the tab's list.
    Row(usize),
    /// A sample of the gallery.
    Sample(usize),
}

/// Where things were drawn; what was drawn last lies on top.
pub type Hits = Vec<(Rect, Hit)>;

/// What tabs have in common on purpose: what somebody chose on one holds on the others, too.
/// Everything else that a person chooses belongs to one tab.
#[derive(Debug, Default)]
pub struct Shared {
    /// Only what has this in its name is listed.
    pub filter: String,
    /// The step axis: charts are compared place by place, so all show the same part.
    pub axis: AxisView,
    /// Order of the classes, wherever they are listed.
    pub order: ClassOrder,
    /// The class that is looked at; `None`: all.
    pub class: Option<usize>,
    /// How pictures are drawn on this terminal.
    pub images: Images,
    /// Single samples, once they were read.
    pub sheet: Option<Sheet>,
    /// The runs beside this one, those that are drawn, and the baseline.
    pub others: Others,
    /// The machine, while somebody looks at it.
    pub machine: Option<MachineFigures>,
    /// What the cockpit itself costs.
    pub costs: Costs,
}

impl Shared {
    /// The next order of the classes; gives what to say of it.
    pub fn sort_classes(&mut self) -> String {
        self.order = self.order.next();
        format!("classes {}", self.order.words())
    }

    /// Another of `count` classes, so many further; before the first come all.
    pub fn choose_class(&mut self, by: i64, count: usize) {
        let at = self.class.map_or(0, |c| c as i64 + 1);
        self.class = usize::try_from((at + by).rem_euclid(count as i64 + 1) - 1).ok();
    }
}

/// Everything that is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub run: &'a Dashboard,
    pub look: &'a Appearance,
    pub keymap: &'a Keymap,
    pub shared: &'a Shared,
    pub connection: &'a Connection,
    /// The tab that is shown.
    pub tab: Tab,
    /// What was wrong before there was a screen, until somebody presses a key.
    pub warnings: &'a [String],
}

impl<'a> Scene<'a> {
    /// `text` in the look of `role`.
    pub fn span<'t>(&self, text: impl Into<Cow<'t, str>>, role: Role) -> Span<'t> {
        self.look.span(text, role)
    }

    /// Plots of the run.
    pub fn plot(&self) -> Plot<'a> {
        Plot { run: self.run, axis: &self.shared.axis, look: self.look }
    }

    /// Names of classes, the number of each.
    pub fn classes(&self) -> &'a [String] {
        class_names(self.run)
    }

    /// Where somebody is, for keys.
    pub fn here(&self) -> Where {
        self.connection.here(self.tab)
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.connection.is_over(self.run)
    }
}

/// Names of a run's classes, the number of each.
pub fn class_names(run: &Dashboard) -> &[String] {
    run.data.as_ref().map_or(&[], |d| &d.classes)
}
