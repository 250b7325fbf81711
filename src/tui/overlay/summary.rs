//! The end: what the run reached, where its files are, what to do next; on the screen, and as text
//! for after it.

use super::{Layer, Outcome, Press};
use crate::compare::{Speedup, points as points_in_words};
use crate::dashboard::Dashboard;
use crate::importance::balance;
use crate::tui::feeds::Others;
use crate::tui::look::panel::middle;
use crate::tui::look::text::{clock, percent, thousands, wrap};
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

#[derive(Clone, Copy, Debug)]
pub struct Summary;

impl Layer for Summary {
    fn press(&mut self, press: &Press<'_>, _: &Scene<'_>) -> Outcome {
        let leaves = press.key.code == KeyCode::Char('q') || press.is_control_c();
        if leaves { Outcome::Leave } else { Outcome::Close }
    }

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        let width = 76.min(frame.area().width);
        let mut lines = Vec::new();
        for (name, value) in facts(scene.run, &scene.shared.others) {
            for (k, part) in
                wrap(&value, usize::from(width).saturating_sub(18)).into_iter().enumerate()
            {
                let name = if k == 0 { name } else { "" };
                lines.push(Line::from(vec![
                    scene.span(format!(" {name:<13}"), Role::Dim),
                    scene.span(part, Role::Text),
                ]));
            }
        }
        lines.push(Line::default());
        let run = &scene.run.run;
        for (what, command) in [
            ("a page", format!("earlybird report {run}")),
            ("as a film", format!("earlybird replay {run}")),
        ] {
            lines.push(Line::from(vec![
                scene.span(format!(" {what:<13}"), Role::Dim),
                scene.span(command, Role::Key),
            ]));
        }
        let inner = middle(
            frame,
            scene.look,
            run,
            "q leaves, any other key looks on",
            (width, lines.len() as u16 + 2),
        );
        frame.render_widget(Paragraph::new(lines), inner);
    }
}

/// What the run reached: names and values.
fn facts(d: &Dashboard, others: &Others) -> Vec<(&'static str, String)> {
    let on = d.config.measured_on().word();
    let mut facts = Vec::new();
    if let (Some((best, epoch)), Some(last)) = (d.best, d.epochs.last()) {
        facts.push(("best", format!("{} {on} accuracy after epoch {epoch}", percent(best))));
        facts.push((
            "last",
            format!(
                "{} after epoch {} of {}",
                percent(last.measured.accuracy),
                last.epoch,
                d.config.train.epochs
            ),
        ));
    }
    if let (Some((best, epoch)), Some((last, _))) = (d.tested_best, d.tested_last) {
        facts.push((
            "test set",
            format!(
                "{} with the best model (epoch {epoch}), {} with the last",
                percent(best),
                percent(last)
            ),
        ));
    }
    if let Some((points, speedup)) = others.gain(d) {
        let speedup = match speedup {
            Some(Speedup::Reached { epochs, samples, seconds }) => {
                format!(
                    "its best reached {epochs:.2}x sooner in epochs ({samples:.2}x samples, \
                     {seconds:.2}x seconds)"
                )
            }
            _ => "its best was not reached".into(),
        };
        let name = others.baseline.as_deref().unwrap_or_default();
        facts.push((
            "to baseline",
            format!("{} points to {name}; {speedup}", points_in_words(points)),
        ));
    }
    if let (Some(data), Some(last)) = (&d.data, d.epochs.last()) {
        let counts: Vec<f64> = data.counts.iter().map(|c| *c as f64).collect();
        facts.push((
            "balance",
            format!(
                "{:.3} in the data, {:.3} in the last epoch's draws",
                balance::balance_index(&counts),
                last.balance
            ),
        ));
    }
    let samples = d.epochs.last().map_or(0, |e| e.samples);
    facts.push(("took", format!("{}, {} samples drawn", clock(d.t), thousands(samples as usize))));
    facts
}

/// The same in lines for the normal screen, after the run's own summary; `None` before there is
/// one.
pub fn text(d: &Dashboard, others: &Others) -> Option<String> {
    let mut text = d.summary.clone()?;
    for (name, value) in
        facts(d, others).into_iter().filter(|(name, _)| matches!(*name, "to baseline" | "balance"))
    {
        text.push_str(&format!("\n  {name}: {value}"));
    }
    Some(text)
}
