//! Classes: a line each with its figures and the course of its recall; or all draws, or all
//! recalls, by epoch.

use super::panels::{Panels, Pen};
use super::{Desk, Reply, TabView};
use crate::importance::balance;
use crate::protocol::EpochSummary;
use crate::tui::chart::classes::{ClassRow, rows};
use crate::tui::chart::plot::{SHARE, epoch_at};
use crate::tui::chart::{Curve, CurveKind, HeatRow, Heatmap, sparkline};
use crate::tui::input::key::Key::Char;
use crate::tui::input::keymap::{Action, Place, Tab, TabKeys};
use crate::tui::input::row;
use crate::tui::look::list::{Selection, first_shown};
use crate::tui::look::panel::{panel, title};
use crate::tui::look::text::{fit, signed};
use crate::tui::look::theme::Role;
use crate::tui::scene::{Hit, Hits, Scene};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

const TAB: Tab = Tab { name: "Classes", places: &[Place::Charts, Place::Classes] };

pub const KEYS: TabKeys = TabKeys {
    tab: TAB,
    rows: &[
        row("classes", &[Char('3')], Action::Show(TAB), Place::Cockpit, "", "tab Classes"),
        row(
            "view-classes",
            &[Char('v')],
            Action::NextView,
            Place::On(TAB),
            "table/maps",
            "table, heatmap of draws, heatmap of recall",
        ),
    ],
};

/// Rows of the body from which the course of the balance fits, too, and its rows.
const WITH_BALANCE: u16 = 26;
const BALANCE: u16 = 9;
/// Columns of the figures of a class, and of one that is there only where logits are corrected.
const FIGURES: usize = 44;
const CORRECTION: usize = 7;

/// What is shown of the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ClassMap {
    /// A line a class.
    #[default]
    Table,
    /// Draws of every class in every epoch.
    Draws,
    /// Recall of every class after every epoch.
    Recall,
}

impl ClassMap {
    fn next(self) -> Self {
        match self {
            Self::Table => Self::Draws,
            Self::Draws => Self::Recall,
            Self::Recall => Self::Table,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panel {
    /// The balance below it has no focus of its own.
    Classes,
}

impl super::panels::Panel for Panel {
    const ALL: &'static [Self] = &[Self::Classes];
}

#[derive(Debug, Default)]
pub struct Classes {
    panels: Panels<Panel>,
    line: Selection,
    map: ClassMap,
}

impl TabView for Classes {
    fn press(&mut self, action: Action, desk: &mut Desk<'_>) -> Reply {
        let lines = desk.listed_classes();
        match action {
            Action::Down(by) => self.line.down(by, lines),
            Action::Page(by) => self.line.page(by, lines),
            Action::Edge(by) => self.line.edge(by, lines),
            Action::NextView => self.map = self.map.next(),
            Action::SortClasses => {
                self.line = Selection::default();
                return Reply::Say(desk.shared.sort_classes());
            }
            _ => return self.panels.press(action),
        }
        Reply::Done
    }

    fn click(&mut self, hit: Hit, desk: &mut Desk<'_>) {
        if let Hit::Row(line) = hit {
            self.line.set(line as i64, desk.listed_classes());
        }
    }

    fn opened(&mut self) {
        self.panels.unzoom();
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) -> Hits {
        let is_whole = self.panels.zoomed().is_some();
        let below = if area.height >= WITH_BALANCE && !is_whole { BALANCE } else { 0 };
        let [list, course] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(area);
        let mut pen = Pen::new(frame, scene);
        self.list(&mut pen, list);
        if below > 0 {
            balance_course(&mut pen, course);
        }
        pen.hits
    }
}

impl Classes {
    fn list(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let (filter, order) = (&scene.shared.filter, scene.shared.order);
        let rows = rows(scene.run, order, filter);
        let name = match self.map {
            ClassMap::Table => "classes",
            ClassMap::Draws => "draws by class and epoch",
            ClassMap::Recall => "recall by class and epoch",
        };
        let count = format!("{} of {} ", rows.len(), scene.classes().len());
        let order = format!("{} ", order.words());
        let rest = vec![scene.span(count, Role::Dim), scene.span(order, Role::Dim)];
        let top = title(scene.look, name, rest);
        let legend = Some(legend(scene, self.map));
        let inner = pen.panel(&self.panels, Panel::Classes, area, top, legend);
        match self.map {
            _ if rows.is_empty() && filter.is_empty() => pen.hint("the data is being read", inner),
            _ if rows.is_empty() => {
                pen.hint(&format!("no class has \"{filter}\" in its name (esc: all)"), inner);
            }
            ClassMap::Table => self.table(pen, &rows, inner),
            ClassMap::Draws | ClassMap::Recall => self.map(pen, &rows, inner),
        }
    }

    fn table(&self, pen: &mut Pen<'_, '_>, rows: &[ClassRow], area: Rect) {
        let scene = pen.scene;
        let d = scene.run;
        let (width, height) = (usize::from(area.width), usize::from(area.height).saturating_sub(1));
        let is_corrected = rows.iter().any(|row| row.correction.is_some());
        let figures = FIGURES + if is_corrected { CORRECTION } else { 0 };
        let names = name_columns(rows, width, figures + 12);
        let room = width.saturating_sub(names + figures + 3);
        // Half of what is left for bars, where that is much.
        let trend = if room >= 40 { room / 2 } else { room }.min(40);
        let bars = room.saturating_sub(trend + 2);
        let heads = format!(
            "  {} {:>7} {:>8} {:>7} {:>6}{} {:>8}  {:<trend$}",
            fit("class", names, ""),
            "train",
            "expect",
            "drawn",
            "gain",
            if is_corrected { "  logit" } else { "" },
            "recall",
            "recall by epoch"
        );
        let mut lines =
            vec![Line::from(scene.span(heads.chars().take(width).collect::<String>(), Role::Dim))];
        let selected = self.line.of(rows.len());
        let first = first_shown(selected, rows.len(), height);
        let most = rows.iter().map(|r| r.drawn.unwrap_or(0.0).max(r.share)).fold(1e-9, f64::max);
        for (k, row) in rows.iter().enumerate().skip(first).take(height) {
            let y = area.y + 1 + (k - first) as u16;
            pen.hits.push((Rect { y, height: 1, ..area }, Hit::Row(k)));
            lines.push(line(scene, (row, is_corrected), k == selected, names, (trend, bars), most));
        }
        if d.epochs.is_empty() {
            lines.push(Line::from(
                scene.span("  draws and recall come with the first epoch", Role::Dim),
            ));
        }
        pen.lines(lines, area);
    }

    fn map(&self, pen: &mut Pen<'_, '_>, rows: &[ClassRow], area: Rect) {
        let scene = pen.scene;
        let selected = self.line.of(rows.len());
        let d = scene.run;
        let height = usize::from(area.height).saturating_sub(1);
        let first = first_shown(selected, rows.len(), height);
        let draws = self.map == ClassMap::Draws;
        let share = |e: &EpochSummary, class: usize| {
            e.drawn.get(class).map_or(0.0, |k| *k as f64)
                / e.drawn.iter().sum::<u64>().max(1) as f64
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
                selected: k == selected,
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
                            e.recall
                                .get(row.class)
                                .copied()
                                .filter(|r| r.is_finite())
                                .unwrap_or(0.0)
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
            pen.hits.push((Rect { y: area.y + k as u16, height: 1, ..area }, Hit::Row(first + k)));
        }
        let look = scene.look;
        let names = name_columns(rows, usize::from(area.width), usize::from(area.width) * 2 / 3);
        pen.frame.render_widget(
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
}

fn legend(scene: &Scene<'_>, map: ClassMap) -> Line<'static> {
    let is_corrected = scene.run.epochs.last().is_some_and(|e| !e.correction.is_empty());
    let words = match map {
        ClassMap::Table if is_corrected => {
            "gain: drawn/train; logit: added in training only, against frequent classes"
        }
        ClassMap::Table => "drawn / train = gain: above 1, the bias draws it more often",
        ClassMap::Draws => "full: the largest share of the draws that a class ever had",
        ClassMap::Recall => "full: every image of the class is found",
    };
    Line::from(scene.span(format!(" {words} "), Role::Dim))
}

/// Columns that names get: as many as the longest has, if figures fit beside it.
fn name_columns(rows: &[ClassRow], width: usize, others: usize) -> usize {
    let longest = rows.iter().map(|r| r.name.width()).max().unwrap_or(0);
    longest.clamp(5, 60).min(width.saturating_sub(others).max(8))
}

fn line(
    scene: &Scene<'_>,
    (row, is_corrected): (&ClassRow, bool),
    selected: bool,
    names: usize,
    room: (usize, usize),
    most: f64,
) -> Line<'static> {
    let g = &scene.look.glyphs;
    let percent =
        |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{:.2}%", 100.0 * v));
    let gain = row.gain().map_or_else(|| "-".to_owned(), |g| format!("{g:.2}"));
    let gain_role = match row.gain() {
        Some(g) if g > 1.05 => Role::Biased,
        Some(g) if g < 0.95 => Role::Pretrain,
        _ => Role::Text,
    };
    let recalls: Vec<f64> =
        scene.run.epochs.iter().filter_map(|e| e.recall.get(row.class).copied()).collect();
    let pointer = if selected { g.pointer } else { " " };
    let mut spans = vec![
        scene.span(format!("{pointer} "), Role::Key),
        scene.span(fit(&row.name, names, g.cut), if selected { Role::Title } else { Role::Text }),
        scene.span(format!(" {:>7}", percent(Some(row.share))), Role::Share),
        scene.span(format!(" {:>8}", percent(row.expected)), Role::Expected),
        scene.span(format!(" {:>7}", percent(row.drawn)), Role::Drawn),
        scene.span(format!(" {gain:>6}"), gain_role),
    ];
    if is_corrected {
        let by = row.correction.map_or_else(|| "-".to_owned(), signed);
        spans.push(scene.span(format!("{by:>CORRECTION$}"), Role::Biased));
    }
    spans.extend([
        scene.span(format!(" {:>8}  ", percent(row.recall)), Role::Accuracy),
        scene.span(fit(&sparkline(&recalls, room.0, g), room.0, ""), Role::Accuracy),
    ]);
    if room.1 >= 4 {
        spans.push(Span::styled("  ", Style::new()));
        spans.extend(bar(scene, row, room.1, most));
    }
    Line::from(spans)
}

/// Draws as a bar, and where the share of the training set lies.
fn bar(scene: &Scene<'_>, row: &ClassRow, width: usize, most: f64) -> Vec<Span<'static>> {
    let g = &scene.look.glyphs;
    let eighths = (row.drawn.unwrap_or(0.0) / most * (width * 8) as f64).round() as usize;
    let share = ((row.share / most * width as f64).round() as usize).min(width - 1);
    let cell = |k: usize| match k == share {
        true => scene.span(g.share, Role::Share),
        false => scene.span(g.row(eighths.saturating_sub(k * 8)), Role::Drawn),
    };
    (0..width).map(cell).collect()
}

fn balance_course(pen: &mut Pen<'_, '_>, area: Rect) {
    let scene = pen.scene;
    let d = scene.run;
    let now = || {
        let mut words = Vec::new();
        if let (Some(data), Some(e)) = (&d.data, d.epochs.last()) {
            let counts: Vec<f64> = data.counts.iter().map(|c| *c as f64).collect();
            let arrow = scene.look.glyphs.arrow;
            words.push(scene.span(
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
    let there =
        scene.plot().cursor_words(|at| epoch_at(d, at).map(|e| format!("{:.3}", e.balance)));
    let hint =
        Line::from(scene.span(" H(f) / ln C of the draws: 1 = all classes alike ", Role::Dim));
    let top = title(scene.look, "balance", there.unwrap_or_else(now));
    let block = panel(scene.look, top, Some(hint));
    let inner = block.inner(area);
    pen.frame.render_widget(block, area);
    if d.epochs.is_empty() {
        return pen.hint("comes with the first epoch", inner);
    }
    let points = d.epochs.iter().map(|e| (e.epoch as f64, e.balance)).collect();
    let curve = Curve { points, role: Role::Drawn, kind: CurveKind::Line };
    pen.plot(inner, vec![curve], &SHARE);
}
