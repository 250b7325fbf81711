//! The short form for small terminals: one fact a line, the most important first.

use super::chrome::{footer_line, message_line, state_word};
use crate::tui::look::text::{clip, clock, thousands};
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use ratatui::Frame;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// On less than that: what to do.
pub fn too_small(frame: &mut Frame<'_>, scene: &Scene<'_>) {
    let width = usize::from(frame.area().width);
    let (word, role) = state_word(scene);
    let cut = scene.look.glyphs.cut;
    let best =
        scene.run.best.map_or_else(String::new, |(best, _)| format!("best {:.2}%", 100.0 * best));
    let lines = vec![
        Line::from(scene.span(clip(&word, width, cut), role)),
        Line::from(scene.span(clip("needs 40x8", width, cut), Role::Warning)),
        Line::from(scene.span(clip(&best, width, cut), Role::Text)),
    ];
    frame.render_widget(Paragraph::new(lines), frame.area());
}

pub fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>) {
    let d = scene.run;
    let area = frame.area();
    let (word, role) = state_word(scene);
    let percent = |v: f64| format!("{:.2}%", 100.0 * v);
    let fact = |name: &str, value: String| {
        Line::from(vec![scene.span(format!("{name:<9}"), Role::Dim), scene.span(value, Role::Text)])
    };
    let mut lines = vec![Line::from(vec![
        scene.span(format!("{word} "), role),
        scene.span(d.run.clone(), Role::Title),
    ])];
    lines.push(fact(
        "epoch",
        format!(
            "{}/{} {} {}/{}",
            d.epoch,
            d.config.train.epochs,
            d.phase.word(),
            d.step.0,
            d.step.1
        ),
    ));
    if let Some(last) = d.epochs.last() {
        lines.push(fact("accuracy", percent(last.measured.accuracy)));
    }
    if let Some((best, epoch)) = d.best {
        lines.push(fact("best", format!("{} epoch {epoch}", percent(best))));
    }
    if let Some((_, loss)) = d.loss.smoothed(scene.shared.axis.smoothing()).last() {
        lines.push(fact("loss", format!("{loss:.4}")));
    }
    lines.push(fact("E", d.pretrain_words()));
    if let Some(left) = d.seconds_left() {
        lines.push(fact("left", clock(left)));
    }
    if let Some(rate) = d.images_per_s {
        lines.push(fact("images/s", thousands(rate as usize)));
    }
    if let Some(w) = &d.weights {
        let [q1, median, q3] = w.spread.quartiles;
        lines.push(fact("weights", format!("{q1:.2} {median:.2} {q3:.2}")));
    }
    let rows = usize::from(area.height);
    if rows > 3 {
        lines.truncate(rows - 2);
        lines.resize(rows - 2, Line::default());
        lines.push(message_line(scene, area.width));
        lines.push(footer_line(scene, area.width));
    }
    frame.render_widget(Paragraph::new(lines), area);
}
