//! Samples: pictures of those that somebody wants to look at, each with its figures; or one by
//! itself.

use super::super::app::{App, Hit};
use super::super::gallery::{GAP, Grid, WORDS, words};
use super::super::keymap::Action;
use super::super::text::clip;
use super::super::theme::Role;
use super::title;
use crate::importance::Sample;
use crate::protocol::DataSummary;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, body: Rect) {
    let listed = app.listed_samples();
    let class =
        app.gallery.class.and_then(|c| app.classes().get(c)).map_or("all classes", String::as_str);
    let class = clip(class, 30, app.appearance.glyphs.cut);
    let mut rest = vec![app.span(format!("{class} "), Role::Drawn)];
    if !listed.is_empty() {
        let at = app.gallery.selected.min(listed.len() - 1) + 1;
        rest.push(app.span(format!("{at} of {} ", listed.len()), Role::Dim));
    }
    let bottom = Line::from(app.span(
        " p, weight, times drawn since E; what the model took it for when last drawn ",
        Role::Dim,
    ));
    let inner = app.panel(
        frame,
        body,
        0,
        title(&app.appearance, words(app.gallery.pick()), rest),
        Some(bottom),
    );
    let (Some(data), Some(_)) = (&app.dashboard.data, &app.sheet) else {
        return why_none(frame, app, inner);
    };
    if listed.is_empty() {
        let words = format!(
            "none here; {} shows others, {} another class",
            app.keymap.key_of(Action::NextView),
            app.keymap.key_of(Action::Class(1))
        );
        return frame.render_widget(Paragraph::new(app.span(words, Role::Dim)), inner);
    }
    let selected = app.gallery.selected.min(listed.len() - 1);
    if app.gallery.enlarged {
        return one(frame, app, listed[selected], data, inner);
    }
    let grid = Grid::on(app.gallery_area(), data);
    let (width, height) = (grid.picture.0, grid.picture.1 + WORDS);
    let across = usize::from(grid.across);
    // Whole rows scroll, the selected one among them.
    let row = selected / across;
    let first_row = row.saturating_sub(usize::from(grid.down) - 1);
    for (k, sample) in
        listed.iter().enumerate().skip(first_row * across).take(across * usize::from(grid.down))
    {
        let (column, line) = ((k % across) as u16, (k / across - first_row) as u16);
        let area =
            Rect { x: inner.x + column * (width + GAP), y: inner.y + line * height, width, height }
                .intersection(inner);
        if area.height < height {
            continue;
        }
        app.at(area, Hit::Sample(k));
        picture(frame, app, sample, Rect { height: grid.picture.1, ..area });
        let mark = if k == selected { app.appearance.glyphs.pointer } else { " " };
        let lines = cell_words(app, sample, mark, usize::from(width));
        frame.render_widget(
            Paragraph::new(lines),
            Rect { y: area.y + grid.picture.1, height: WORDS, ..area },
        );
    }
}

fn why_none(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let words = match (&d.weights, d.pretrain_epochs()) {
        (Some(_), _) => "the samples are being read".to_owned(),
        (None, e) if e >= d.config.train.epochs => {
            "E = N: no weights are computed, so no sample is singled out".to_owned()
        }
        (None, e) => format!("samples come with the weights, after epoch {e}"),
    };
    frame.render_widget(Paragraph::new(app.span(words, Role::Dim)).wrap(Wrap { trim: true }), area);
}

fn picture(frame: &mut Frame<'_>, app: &App, sample: &Sample, area: Rect) {
    let pictures = app.sheet.as_ref().map(|s| &s.pictures);
    if let Some((pictures, pixels)) = pictures.and_then(|p| Some((p, p.of(sample.index)?))) {
        app.images.draw(sample.index, pixels, pictures.shape, area, frame.buffer_mut());
    }
}

/// What the model took it for, and how it is meant.
fn verdict(app: &App, s: &Sample) -> (String, Role) {
    let Some((class, p)) = s.predicted.zip(s.confidence) else {
        return ("not drawn yet".into(), Role::Dim);
    };
    let name = app.classes().get(class as usize).map_or("?", String::as_str);
    if class == s.class {
        (format!("{p:.2} right"), Role::Good)
    } else {
        (format!("{p:.2} {name}"), Role::Bad)
    }
}

fn cell_words(app: &App, s: &Sample, mark: &str, width: usize) -> Vec<Line<'static>> {
    let cut = app.appearance.glyphs.cut;
    let class = app.classes().get(s.class as usize).map_or("?", String::as_str);
    // Without the zeros there is room on the narrowest cells.
    let short =
        |v: f32| if v >= 0.995 { "1.0".to_owned() } else { format!("{v:.2}")[1..].to_owned() };
    let p = s.p.map_or_else(|| "?".to_owned(), short);
    let index = if width >= 22 { format!(" #{}", s.index) } else { String::new() };
    let (said, role) = verdict(app, s);
    let flipped = if s.flipped == Some(true) { " flipped" } else { "" };
    vec![
        Line::from(vec![
            app.span(mark.to_owned(), Role::Key),
            app.span(
                clip(&format!("{class}{flipped}{index}"), width.saturating_sub(1), cut),
                Role::Text,
            ),
        ]),
        Line::from(app.span(
            clip(&format!(" p{p} w{} x{}", short(s.weight), s.drawn), width, cut),
            Role::Dim,
        )),
        Line::from(app.span(clip(&format!(" {said}"), width, cut), role)),
    ]
}

/// One sample by itself: as large as there is room, its figures beside it.
fn one(frame: &mut Frame<'_>, app: &App, s: &Sample, data: &DataSummary, area: Rect) {
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(38.min(area.width / 2))])
            .areas(area);
    let [_, h, w] = data.shape.map(|v| v.max(1) as f64);
    let height = f64::from(left.height).min(f64::from(left.width) * h / w / 2.0).floor();
    let size = ((height * 2.0 * w / h) as u16, height as u16);
    picture(
        frame,
        app,
        s,
        Rect { width: size.0.min(left.width), height: size.1.min(left.height), ..left },
    );
    let fact = |name: &str, value: String, role| {
        Line::from(vec![app.span(format!(" {name:<15}"), Role::Dim), app.span(value, role)])
    };
    let class = app.classes().get(s.class as usize).cloned().unwrap_or_default();
    let (said, role) = verdict(app, s);
    let n = data.train as f64;
    let mut lines = vec![
        fact("sample", s.index.to_string(), Role::Title),
        fact("label", class, Role::Text),
        fact("model says", said, role),
        fact(
            "p, true class",
            s.p.map_or_else(|| "never observed".into(), |p| format!("{p:.4}")),
            Role::Text,
        ),
        fact("weight", format!("{:.4}", s.weight), Role::Weights),
        fact("drawn since E", s.drawn.to_string(), Role::Drawn),
        fact("expected draws", format!("{:.2} an epoch", n * s.probability), Role::Text),
    ];
    if let Some(flipped) = s.flipped {
        lines.push(fact(
            "label flipped",
            if flipped { "on purpose" } else { "no" }.into(),
            if flipped { Role::Bad } else { Role::Good },
        ));
    }
    if s.predicted.is_some_and(|p| p != s.class) && s.confidence.is_some_and(|c| c > 0.8) {
        lines.push(Line::default());
        lines.push(Line::from(app.span(" Hard, and confidently another class:", Role::Warning)));
        lines.push(Line::from(app.span(" the usual sign of a wrong label.", Role::Warning)));
    }
    frame.render_widget(Paragraph::new(lines), right);
}
