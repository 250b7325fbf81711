//! Classes: a line each with its figures and the course of its recall; or all draws, or all
//! recalls, by epoch.

use super::super::app::{App, Hit};
use super::super::classes::{ClassMap, ClassRow, first_shown, rows};
use super::super::text::fit;
use super::super::theme::Role;
use super::super::widgets::{Curve, CurveKind, HeatRow, Heatmap, sparkline};
use super::plot::{self, Values, cursor_words, epoch_at};
use super::title;
use crate::importance::balance;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

/// Rows of the body from which the course of the balance fits, too, and its rows.
const WITH_BALANCE: u16 = 26;
const BALANCE: u16 = 9;
/// Columns of the figures of a class.
const FIGURES: usize = 44;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, body: Rect) {
    let below = if body.height >= WITH_BALANCE && !app.zoomed { BALANCE } else { 0 };
    let [list, course] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(body);
    let rows = rows(&app.dashboard, app.order, &app.filter);
    let look = &app.appearance;
    let name = match app.class_map {
        ClassMap::Table => "classes",
        ClassMap::Draws => "draws by class and epoch",
        ClassMap::Recall => "recall by class and epoch",
    };
    let mut rest = vec![app.span(format!("{} of {} ", rows.len(), app.classes().len()), Role::Dim)];
    rest.push(app.span(format!("{} ", app.order.words()), Role::Dim));
    let inner = app.panel(frame, list, 0, title(look, name, rest), Some(legend(app)));
    if rows.is_empty() {
        let words = if app.filter.is_empty() {
            "the data is being read".into()
        } else {
            format!("no class has \"{}\" in its name (esc: all)", app.filter)
        };
        frame.render_widget(Paragraph::new(app.span(words, Role::Dim)), inner);
    } else if app.class_map == ClassMap::Table {
        table(frame, app, &rows, inner);
    } else {
        map(frame, app, &rows, inner);
    }
    if below > 0 {
        balance_course(frame, app, course);
    }
}

fn legend(app: &App) -> Line<'static> {
    let words = match app.class_map {
        ClassMap::Table => "drawn / train = gain: above 1, the bias draws it more often",
        ClassMap::Draws => "full: the largest share of the draws that a class ever had",
        ClassMap::Recall => "full: every image of the class is found",
    };
    Line::from(app.span(format!(" {words} "), Role::Dim))
}

/// Columns that names get: as many as the longest has, if figures fit beside it.
fn name_columns(rows: &[ClassRow], width: usize, others: usize) -> usize {
    let longest = rows.iter().map(|r| r.name.width()).max().unwrap_or(0);
    longest.clamp(5, 60).min(width.saturating_sub(others).max(8))
}

fn table(frame: &mut Frame<'_>, app: &App, rows: &[ClassRow], area: Rect) {
    let d = &app.dashboard;
    let (width, height) = (usize::from(area.width), usize::from(area.height).saturating_sub(1));
    let names = name_columns(rows, width, FIGURES + 12);
    let room = width.saturating_sub(names + FIGURES + 3);
    // Half of what is left for bars, where that is much.
    let trend = if room >= 40 { room / 2 } else { room }.min(40);
    let bars = room.saturating_sub(trend + 2);
    let heads = format!(
        "  {} {:>7} {:>8} {:>7} {:>6} {:>8}  {:<trend$}",
        fit("class", names, ""),
        "train",
        "expect",
        "drawn",
        "gain",
        "recall",
        "recall by epoch"
    );
    let mut lines =
        vec![Line::from(app.span(heads.chars().take(width).collect::<String>(), Role::Dim))];
    let first = first_shown(app.selected(), rows.len(), height);
    let most = rows.iter().map(|r| r.drawn.unwrap_or(0.0).max(r.share)).fold(1e-9, f64::max);
    for (k, row) in rows.iter().enumerate().skip(first).take(height) {
        let y = area.y + 1 + (k - first) as u16;
        app.at(Rect { y, height: 1, ..area }, Hit::Row(k));
        lines.push(line(app, row, k == app.selected(), names, (trend, bars), most));
    }
    if d.epochs.is_empty() {
        lines.push(Line::from(app.span("  draws and recall come with the first epoch", Role::Dim)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn line(
    app: &App,
    row: &ClassRow,
    selected: bool,
    names: usize,
    room: (usize, usize),
    most: f64,
) -> Line<'static> {
    let g = &app.appearance.glyphs;
    let percent =
        |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{:.2}%", 100.0 * v));
    let gain = row.gain().map_or_else(|| "-".to_owned(), |g| format!("{g:.2}"));
    let gain_role = match row.gain() {
        Some(g) if g > 1.05 => Role::Biased,
        Some(g) if g < 0.95 => Role::Pretrain,
        _ => Role::Text,
    };
    let recalls: Vec<f64> =
        app.dashboard.epochs.iter().filter_map(|e| e.recall.get(row.class).copied()).collect();
    let pointer = if selected { g.pointer } else { " " };
    let mut spans = vec![
        app.span(format!("{pointer} "), Role::Key),
        app.span(fit(&row.name, names, g.cut), if selected { Role::Title } else { Role::Text }),
        app.span(format!(" {:>7}", percent(Some(row.share))), Role::Share),
        app.span(format!(" {:>8}", percent(row.expected)), Role::Expected),
        app.span(format!(" {:>7}", percent(row.drawn)), Role::Drawn),
        app.span(format!(" {gain:>6}"), gain_role),
        app.span(format!(" {:>8}  ", percent(row.recall)), Role::Accuracy),
        app.span(fit(&sparkline(&recalls, room.0, g), room.0, ""), Role::Accuracy),
    ];
    if room.1 >= 4 {
        spans.push(Span::styled("  ", Style::new()));
        spans.extend(bar(app, row, room.1, most));
    }
    Line::from(spans)
}

/// Draws as a bar, and where the share of the training set lies.
fn bar(app: &App, row: &ClassRow, width: usize, most: f64) -> Vec<Span<'static>> {
    let g = &app.appearance.glyphs;
    let eighths = (row.drawn.unwrap_or(0.0) / most * (width * 8) as f64).round() as usize;
    let share = ((row.share / most * width as f64).round() as usize).min(width - 1);
    let cell = |k: usize| match k == share {
        true => app.span(g.share, Role::Share),
        false => app.span(g.row(eighths.saturating_sub(k * 8)), Role::Drawn),
    };
    (0..width).map(cell).collect()
}

fn map(frame: &mut Frame<'_>, app: &App, rows: &[ClassRow], area: Rect) {
    let d = &app.dashboard;
    let height = usize::from(area.height).saturating_sub(1);
    let first = first_shown(app.selected(), rows.len(), height);
    let draws = app.class_map == ClassMap::Draws;
    let share = |e: &crate::protocol::EpochSummary, class: usize| {
        e.drawn.get(class).map_or(0.0, |k| *k as f64) / e.drawn.iter().sum::<u64>().max(1) as f64
    };
    let totals: Vec<f64> =
        d.epochs.iter().map(|e| e.drawn.iter().sum::<u64>().max(1) as f64).collect();
    let most = d
        .epochs
        .iter()
        .zip(&totals)
        .map(|(e, total)| e.drawn.iter().copied().max().unwrap_or(0) as f64 / total)
        .fold(1e-9, f64::max);
    let shown: Vec<HeatRow> = rows
        .iter()
        .enumerate()
        .skip(first)
        .take(height)
        .map(|(k, row)| HeatRow {
            name: row.name.clone(),
            selected: k == app.selected(),
            values: if draws {
                d.epochs
                    .iter()
                    .zip(&totals)
                    .map(|(e, n)| e.drawn.get(row.class).map_or(0.0, |k| *k as f64) / n / most)
                    .collect()
            } else {
                d.epochs
                    .iter()
                    .map(|e| {
                        e.recall.get(row.class).copied().filter(|r| r.is_finite()).unwrap_or(0.0)
                    })
                    .collect()
            },
            end: match d.epochs.last() {
                Some(e) if draws => format!("{:>6.2}%", 100.0 * share(e, row.class)),
                _ => row.recall.map_or_else(String::new, |r| format!("{:>6.2}%", 100.0 * r)),
            },
        })
        .collect();
    for k in 0..shown.len() {
        app.at(Rect { y: area.y + k as u16, height: 1, ..area }, Hit::Row(first + k));
    }
    let look = &app.appearance;
    let names = name_columns(rows, usize::from(area.width), usize::from(area.width) * 2 / 3);
    frame.render_widget(
        Heatmap {
            rows: &shown,
            epochs: d.config.train.epochs.max(d.epochs.len()),
            switch: d.pretrain_epochs(),
            role: if draws { Role::Drawn } else { Role::Accuracy },
            names,
            glyphs: &look.glyphs,
            theme: &look.theme,
        },
        Rect { height: (shown.len() as u16 + 1).min(area.height), ..area },
    );
}

fn balance_course(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let now = || {
        let mut words = Vec::new();
        if let (Some(data), Some(e)) = (&d.data, d.epochs.last()) {
            let counts: Vec<f64> = data.counts.iter().map(|c| *c as f64).collect();
            let arrow = app.appearance.glyphs.arrow;
            words.push(app.span(
                format!(
                    "{:.3} in the data {arrow} {:.3} drawn ",
                    balance::balance_index(&counts),
                    e.balance
                ),
                Role::Drawn,
            ));
        }
        words
    };
    let there = cursor_words(app, |at| epoch_at(d, at).map(|e| format!("{:.3}", e.balance)));
    let hint = Line::from(app.span(" H(f) / ln C of the draws: 1 = all classes alike ", Role::Dim));
    let top = title(&app.appearance, "balance", there.unwrap_or_else(now));
    let block = super::panel(&app.appearance, top, Some(hint));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if d.epochs.is_empty() {
        return frame.render_widget(
            Paragraph::new(app.span("comes with the first epoch", Role::Dim)),
            inner,
        );
    }
    let points = d.epochs.iter().map(|e| (e.epoch as f64, e.balance)).collect();
    let curve = Curve { points, role: Role::Drawn, kind: CurveKind::Line };
    let values =
        Values { from_zero: false, within: (0.0, 1.0), margin: 0.02, may_be_log: false, unit: "" };
    plot::draw(frame, app, inner, 0, vec![curve], &values);
}
