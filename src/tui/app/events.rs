//! What the cockpit hears: from the trainer, from the mouse, and of the terminal.

use super::{App, Effect, Hit, Lost, Overlay, Watching};
use crate::dashboard::{Dashboard, Tone};
use crate::link::Delivery;
use crate::protocol::{Cause, Event};
use crate::tui::input::{ASK_BACKGROUND, ASK_KIND, Answer};
use crate::tui::keymap::Action;
use crate::tui::tabs::Tab;
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

/// Lines that a turn of the wheel moves.
const WHEEL: i64 = 3;

impl App {
    /// Takes a delivery; true when the cockpit should leave.
    pub fn hear(&mut self, delivery: Delivery) -> bool {
        match delivery {
            Delivery::Record(record) => {
                self.note(&record.event);
                self.dashboard.fold(record);
            }
            Delivery::Reply(reply) => self.requests.answered(reply),
            Delivery::Snapshot(dashboard) => self.begin_with(*dashboard),
            Delivery::Notice(text) => self.dashboard.say(Tone::Warning, text),
            Delivery::Closed(why) => self.lose(Lost::Gone(why)),
            Delivery::Parted(why) => self.lose(Lost::Parted(why)),
        }
        self.leaving && self.is_over()
    }

    /// Nothing more will come. After the end of a run that is as it should be.
    fn lose(&mut self, lost: Lost) {
        if self.dashboard.is_over() {
            return;
        }
        let (why, words) = match &lost {
            Lost::Gone(why) => {
                (why, format!("{why}: r resumes from the last checkpoint, q leaves"))
            }
            Lost::Parted(why) => {
                (why, format!("{why} (the run goes on): r attaches again, q leaves"))
            }
        };
        self.notice = Some(format!("{}: {why}", self.dashboard.run));
        self.dashboard.say(Tone::Bad, words);
        self.lost = Some(lost);
    }

    /// Shows what was wrong before there was a screen.
    pub fn warn(&mut self, text: &str) {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.dashboard.say(Tone::Warning, line.clone());
        self.warnings.push(line);
    }

    /// What the terminal is to be asked when it is taken; empty: nothing.
    pub fn questions(&self) -> String {
        let background = self.appearance.asks_background.then_some(ASK_BACKGROUND);
        match (background, self.images.question()) {
            (None, None) => String::new(),
            (Some(background), None) => [background, ASK_KIND].concat(),
            (background, Some(images)) => background.unwrap_or_default().to_owned() + &images,
        }
    }

    /// Takes what the terminal says of itself; whether it changes the screen.
    pub fn learn(&mut self, answer: Answer) -> bool {
        let look = self.appearance.learn(answer);
        self.images.learn(answer) || look
    }

    /// Everything so far, instead of what was known.
    fn begin_with(&mut self, dashboard: Dashboard) {
        self.requests.forget();
        self.dashboard = dashboard;
        for text in &self.warnings {
            self.dashboard.say(Tone::Warning, text.clone());
        }
    }

    /// What an event means for the cockpit beyond its figures.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Paused { cause: Cause::NotFinite | Cause::Disk, reason, .. } => {
                let why = reason.as_deref().unwrap_or_default();
                self.notice = Some(format!("{} is paused: {why}", self.dashboard.run));
            }
            Event::Failed { reason } => {
                self.notice = Some(format!("{} failed: {reason}", self.dashboard.run))
            }
            Event::Finished { best_accuracy, best_epoch, .. } => {
                let best = 100.0 * best_accuracy;
                self.notice = Some(format!(
                    "{} is over: best {best:.2}% (epoch {best_epoch})",
                    self.dashboard.run
                ));
                if matches!(self.overlay, Overlay::None)
                    && !matches!(self.watching, Watching::Replay { .. })
                {
                    self.overlay = Overlay::Summary;
                }
            }
            _ => {}
        }
    }

    /// Takes what the mouse does.
    pub(super) fn point(&mut self, mouse: &MouseEvent) -> Effect {
        let at = Position { x: mouse.column, y: mouse.row };
        // What was drawn last lies on top.
        let hits = self.hits.borrow();
        let found: Vec<_> =
            hits.iter().rev().filter(|(area, _)| area.contains(at)).copied().collect();
        drop(hits);
        let over_list = !matches!(self.overlay, Overlay::None);
        match mouse.kind {
            MouseEventKind::ScrollDown | MouseEventKind::ScrollUp => {
                let down = if mouse.kind == MouseEventKind::ScrollDown { 1 } else { -1 };
                if over_list {
                    self.scroll_overlay(down * WHEEL);
                } else if matches!(found.first(), Some((_, Hit::Plot(_)))) {
                    return self.act(Action::Scale(-down));
                } else if self.tab == Tab::Overview {
                    self.select(self.selected() as i64 + down * WHEEL);
                } else {
                    self.down(down);
                }
            }
            MouseEventKind::Down(MouseButton::Left) if !over_list => {
                found.iter().for_each(|(area, hit)| match hit {
                    Hit::Tab(tab) => self.show(*tab),
                    Hit::Panel(panel) => self.focus[self.tab as usize] = *panel,
                    Hit::Plot(_) => {
                        let share = f64::from(at.x - area.x) / f64::from(area.width.max(2) - 1);
                        self.axis.point_at(share, &self.dashboard);
                    }
                    Hit::Row(row) => self.select(*row as i64),
                    Hit::Sample(at) if self.gallery.selected == *at => {
                        self.gallery.enlarged = !self.gallery.enlarged
                    }
                    Hit::Sample(at) => self.select_sample(*at as i64),
                })
            }
            MouseEventKind::Down(MouseButton::Left) => self.overlay = Overlay::None,
            _ => {}
        }
        Effect::None
    }
}
