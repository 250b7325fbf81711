//! What the cockpit hears from the trainer.

use super::App;
use crate::dashboard::{Dashboard, Tone};
use crate::link::Delivery;
use crate::protocol::{Cause, Event};
use crate::tui::connection::Lost;
use crate::tui::overlay::{Overlay, Summary};

impl App {
    /// Takes a delivery; true when the cockpit should leave.
    pub fn hear(&mut self, delivery: Delivery) -> bool {
        match delivery {
            Delivery::Record(record) => {
                self.note(&record.event);
                self.dashboard.fold(record);
            }
            Delivery::Reply(reply) => self.connection.requests.answered(reply),
            Delivery::Snapshot(dashboard) => self.begin_with(*dashboard),
            Delivery::Notice(text) => self.say(Tone::Warning, text),
            Delivery::Closed(why) => self.lose(Lost::Gone(why)),
            Delivery::Parted(why) => self.lose(Lost::Parted(why)),
        }
        self.connection.leaving && self.is_over()
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
        self.say(Tone::Bad, words);
        self.connection.lost = Some(lost);
    }

    /// Shows what was wrong before there was a screen.
    pub fn warn(&mut self, text: &str) {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.say(Tone::Warning, line.clone());
        self.warnings.push(line);
    }

    /// Everything so far, instead of what was known.
    fn begin_with(&mut self, dashboard: Dashboard) {
        self.dashboard = dashboard;
        for text in &self.warnings {
            self.dashboard.say(Tone::Warning, text.clone());
        }
    }

    /// What an event means for the cockpit beyond its figures.
    fn note(&mut self, event: &Event) {
        let run = &self.dashboard.run;
        match event {
            Event::Paused { cause, reason, .. } if *cause != Cause::Asked => {
                let why = reason.as_deref().unwrap_or_default();
                self.notice = Some(format!("{run} is paused: {why}"));
            }
            Event::Failed { reason } => self.notice = Some(format!("{run} failed: {reason}")),
            Event::Finished { best_accuracy, best_epoch, .. } => {
                let best = 100.0 * best_accuracy;
                self.notice = Some(format!("{run} is over: best {best:.2}% (epoch {best_epoch})"));
                if self.overlay.is_none() && !self.connection.is_replay() {
                    self.overlay = Overlay::Summary(Summary);
                }
            }
            _ => {}
        }
    }
}
