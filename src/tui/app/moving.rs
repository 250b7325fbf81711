//! Moving about: tabs, focus, selections, views. Asks nothing of the trainer.

use super::App;
use crate::dashboard::Tone;
use crate::tui::gallery::Grid;
use crate::tui::tabs::Tab;
use ratatui::layout::Rect;

/// Lines of a page.
const PAGE: i64 = 10;

impl App {
    /// Shows a tab.
    pub fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.zoomed = false;
    }

    /// Leaves one of the things that lie over a tab, or narrow it.
    pub(super) fn escape(&mut self) {
        if self.gallery.enlarged && self.tab == Tab::Samples {
            self.gallery.enlarged = false;
        } else if self.zoomed {
            self.zoomed = false;
        } else if self.axis.cursor.is_some() {
            self.axis.cursor = None;
        } else {
            self.filter.clear();
        }
    }

    /// Down on this tab: to the next line of a list, or to the next panel.
    pub(super) fn down(&mut self, by: i64) {
        match self.tab {
            Tab::Overview | Tab::Importance => {
                let panels = self.tab.panels() as i64;
                let focus = &mut self.focus[self.tab as usize];
                *focus = (*focus as i64 + by).rem_euclid(panels) as usize;
            }
            Tab::Samples => {
                let across = self
                    .dashboard
                    .data
                    .as_ref()
                    .map_or(1, |data| Grid::on(self.gallery_area(), data).across);
                self.select_sample(self.gallery.selected as i64 + by * i64::from(across));
            }
            // The newest message is the first.
            Tab::Classes | Tab::Compare | Tab::System => self.select(self.selected() as i64 + by),
        }
    }

    /// So many pages down this tab's list.
    pub(super) fn page(&mut self, by: i64) {
        self.select(self.selected() as i64 + by * PAGE);
    }

    /// Selects a line of this tab's list, or what is nearest.
    pub(super) fn select(&mut self, line: i64) {
        if self.tab == Tab::Samples {
            return self.select_sample(line);
        }
        let last = self.lines().saturating_sub(1) as i64;
        self.selected[self.tab as usize] = line.clamp(0, last) as usize;
    }

    /// The same of the gallery.
    pub(super) fn select_sample(&mut self, at: i64) {
        let last = self.listed_samples().len().saturating_sub(1) as i64;
        self.gallery.selected = at.clamp(0, last) as usize;
    }

    /// Where pictures are laid out: within the panel's frame, between the lines above and below.
    pub fn gallery_area(&self) -> Rect {
        let (width, height) = self.size;
        Rect { x: 1, y: 5, width: width.saturating_sub(2), height: height.saturating_sub(8) }
    }

    /// The next view of this tab.
    pub(super) fn next_view(&mut self) {
        match self.tab {
            Tab::Importance => self.shows_draws = !self.shows_draws,
            Tab::Classes => self.class_map = self.class_map.next(),
            Tab::Samples => self.gallery.next(),
            Tab::Compare => self.figure = self.figure.next(),
            Tab::Overview | Tab::System => {}
        }
    }

    /// Another class to look at; before the first come all.
    pub(super) fn choose_class(&mut self, by: i64) {
        let at = self.gallery.class.map_or(0, |c| c as i64 + 1);
        let next = (at + by).rem_euclid(self.classes().len() as i64 + 1);
        (self.gallery.class, self.gallery.selected) = (usize::try_from(next - 1).ok(), 0);
    }

    /// The selected run becomes the baseline, or stops being it.
    pub(super) fn choose_baseline(&mut self) {
        let Some(at) = self.listed_runs().get(self.selected()).copied() else { return };
        let other = &mut self.others.list[at];
        let is_it = self.others.baseline.as_ref() == Some(&other.id);
        other.shown |= !is_it;
        let words =
            if is_it { "no baseline".to_owned() } else { format!("baseline: {}", other.id) };
        self.others.baseline = (!is_it).then(|| other.id.clone());
        self.dashboard.say(Tone::Note, words);
    }
}
