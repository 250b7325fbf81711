//! Overview: accuracy, loss, importance weights, class frequencies.

use super::panels::{Panels, Pen};
use super::weights::{EASY_TO_HARD, known_weights, recording_words};
use super::{Desk, Reply, TabView};
use crate::importance::balance;
use crate::protocol::Phase;
use crate::tui::chart::classes::rows;
use crate::tui::chart::plot::{AMOUNT, PERCENT, epoch_at};
use crate::tui::chart::{ClassBars, Columns, Curve, CurveKind, classes_legend};
use crate::tui::input::key::Key::Char;
use crate::tui::input::keymap::{Action, Place, Tab, TabKeys};
use crate::tui::input::row;
use crate::tui::look::list::Selection;
use crate::tui::look::panel::title;
use crate::tui::look::theme::Role;
use crate::tui::scene::{Hit, Hits, Scene};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

const TAB: Tab = Tab { name: "Overview", places: &[Place::Charts, Place::Classes] };

pub const KEYS: TabKeys = TabKeys {
    tab: TAB,
    rows: &[row("overview", &[Char('1')], Action::Show(TAB), Place::Cockpit, "", "tab Overview")],
};

/// Rows of the body from which four panels fit.
const FOUR: u16 = 16;
/// Lines that a turn of the wheel moves.
const WHEEL: i64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panel {
    Accuracy,
    Loss,
    Weights,
    Classes,
}

impl super::panels::Panel for Panel {
    const ALL: &'static [Self] = &[Self::Accuracy, Self::Loss, Self::Weights, Self::Classes];
}

#[derive(Debug, Default)]
pub struct Overview {
    panels: Panels<Panel>,
    /// The line of the classes that is to be seen.
    line: Selection,
}

impl TabView for Overview {
    fn press(&mut self, action: Action, desk: &mut Desk<'_>) -> Reply {
        let lines = desk.listed_classes();
        match action {
            Action::Down(by) => self.panels.next(by),
            Action::Page(by) => self.line.page(by, lines),
            Action::Edge(by) => self.line.edge(by, lines),
            Action::SortClasses => {
                self.line = Selection::default();
                return Reply::Say(desk.shared.sort_classes());
            }
            _ => return self.panels.press(action),
        }
        Reply::Done
    }

    fn click(&mut self, hit: Hit, _: &mut Desk<'_>) {
        self.panels.click(hit);
    }

    fn wheel(&mut self, down: i64, desk: &mut Desk<'_>) {
        self.line.down(down * WHEEL, desk.listed_classes());
    }

    fn opened(&mut self) {
        self.panels.unzoom();
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) -> Hits {
        let mut pen = Pen::new(frame, scene);
        for (area, panel) in self.layout(area, scene) {
            match panel {
                Panel::Accuracy => self.accuracy(&mut pen, area),
                Panel::Loss => self.loss(&mut pen, area),
                Panel::Weights => self.weights(&mut pen, area),
                Panel::Classes => self.classes(&mut pen, area),
            }
        }
        pen.hits
    }
}

impl Overview {
    /// Which panels are drawn, and where.
    fn layout(&self, body: Rect, scene: &Scene<'_>) -> Vec<(Rect, Panel)> {
        if let Some(panel) = self.panels.zoomed() {
            return vec![(body, panel)];
        }
        let [left, right] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
        if body.height < FOUR {
            // Two of the four: those that say most, or the focused one in the place of its
            // neighbour.
            return match self.panels.focused() {
                Panel::Accuracy | Panel::Classes => {
                    vec![(left, Panel::Accuracy), (right, Panel::Classes)]
                }
                Panel::Loss => vec![(left, Panel::Loss), (right, Panel::Classes)],
                Panel::Weights => vec![(left, Panel::Accuracy), (right, Panel::Weights)],
            };
        }
        let [above, below] =
            Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(left);
        let classes = scene.classes().len().max(4);
        // All classes if they leave the histogram a third, the head of the table included where
        // there is room.
        let height = usize::from(right.height);
        let wanted = (classes + 3).min(height * 2 / 3).max(height.min(12));
        let [weights, bars] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(wanted as u16)]).areas(right);
        vec![
            (above, Panel::Accuracy),
            (below, Panel::Loss),
            (weights, Panel::Weights),
            (bars, Panel::Classes),
        ]
    }

    fn loss(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let d = scene.run;
        let smooth = d.loss.smoothed(scene.shared.axis.smoothing());
        let measured: Vec<(f64, f64)> =
            d.epochs.iter().map(|e| (e.epoch as f64, e.measured.loss)).collect();
        let on = d.config.measured_on().word();
        let now = || {
            let value = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
            let mut rest =
                vec![scene.span(format!("{} ", value(smooth.last().map(|p| p.1))), Role::Loss)];
            rest.extend(
                d.epochs
                    .last()
                    .map(|e| scene.span(format!("{on} {:.4} ", e.measured.loss), Role::Accuracy)),
            );
            rest
        };
        let there = scene.plot().cursor_words(|at| {
            let [low, mean, high] = d.loss.at(at)?;
            Some(if high > low {
                format!("{mean:.4} ({low:.3} to {high:.3})")
            } else {
                format!("{mean:.4}")
            })
        });
        let biased = d.epochs.iter().any(|e| e.phase == Phase::Biased);
        let legend = match scene.shared.axis.words() {
            words if !words.is_empty() => words,
            _ if biased => "harder draws after E: jump expected".to_owned(),
            _ => format!("train smoothed over raw, {on} by epoch"),
        };
        let bottom = Line::from(scene.span(format!(" {legend} "), Role::Dim));
        let inner = pen.panel(
            &self.panels,
            Panel::Loss,
            area,
            title(scene.look, "train loss", there.unwrap_or_else(now)),
            Some(bottom),
        );
        if d.loss.is_empty() {
            return pen.hint("the first steps are under way", inner);
        }
        let inner = self.gradients(pen, inner);
        let kind = if scene.look.is_colorless() { CurveKind::Points } else { CurveKind::Line };
        let curves = vec![
            Curve { points: d.loss.extremes(), role: Role::LossRaw, kind: CurveKind::Points },
            Curve { points: measured, role: Role::Accuracy, kind },
            Curve { points: smooth, role: Role::Loss, kind: CurveKind::Line },
        ];
        pen.plot(inner, curves, &AMOUNT);
    }

    /// The norm of the gradients in the lower part of the loss's panel, where they are clipped and
    /// there is room for both; gives what is left above.
    fn gradients(&self, pen: &mut Pen<'_, '_>, area: Rect) -> Rect {
        let scene = pen.scene;
        let d = scene.run;
        let Some(mean) = d.grad_norm.smoothed(scene.shared.axis.smoothing()).last().map(|p| p.1)
        else {
            return area;
        };
        let clip = d.config.train.clip_norm;
        let there = scene.plot().cursor_words(|at| {
            let [low, mean, high] = d.grad_norm.at(at)?;
            Some(format!("{mean:.3} ({low:.3} to {high:.3})"))
        });
        let words = there.unwrap_or_else(|| {
            let clipped = if clip > 0.0 && mean > clip { ", clipped" } else { "" };
            vec![scene.span(format!("{mean:.3}{clipped}"), Role::Loss)]
        });
        let height = if area.height < 12 { 1 } else { (area.height / 3).max(5) };
        let [above, below] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(height)]).areas(area);
        let [line, below] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(below);
        let mut spans = vec![scene.span("gradient norm ", Role::Dim)];
        spans.extend(words);
        pen.lines(vec![Line::from(spans)], line);
        if below.height > 0 {
            let level = (clip > 0.0).then(|| Curve::level(clip, Role::Mark));
            let curves = vec![
                Curve {
                    points: d.grad_norm.extremes(),
                    role: Role::LossRaw,
                    kind: CurveKind::Points,
                },
                Curve { points: d.grad_norm.means(), role: Role::Loss, kind: CurveKind::Line },
            ];
            pen.plot(below, level.into_iter().chain(curves).collect(), &AMOUNT);
        }
        above
    }

    fn accuracy(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let d = scene.run;
        let baseline = scene
            .shared
            .others
            .baseline()
            .and_then(|b| b.dashboard.best)
            .map(|(best, _)| 100.0 * best);
        let now = || {
            let mut rest = Vec::new();
            if let (Some(last), Some((best, epoch))) = (d.epochs.last(), d.best) {
                rest.push(
                    scene.span(format!("{:.2}% ", 100.0 * last.measured.accuracy), Role::Accuracy),
                );
                rest.extend(last.average.map(|average| {
                    scene.span(format!("average {:.2}% ", 100.0 * average.accuracy), Role::Average)
                }));
                rest.push(scene.span(format!("best {:.2}% @{epoch} ", 100.0 * best), Role::Best));
            }
            rest.extend(baseline.map(|b| scene.span(format!("baseline {b:.2}% "), Role::Uniform)));
            rest
        };
        let there = scene.plot().cursor_words(|at| {
            epoch_at(d, at).map(|e| {
                let average = e.average.map(|a| format!(", average {:.2}%", 100.0 * a.accuracy));
                format!("{:.2}%{}", 100.0 * e.measured.accuracy, average.unwrap_or_default())
            })
        });
        let name = format!("{} accuracy", d.config.measured_on().word());
        let inner = pen.panel(
            &self.panels,
            Panel::Accuracy,
            area,
            title(scene.look, &name, there.unwrap_or_else(now)),
            None,
        );
        if d.accuracy.is_empty() {
            return pen.hint("comes at the end of the first epoch", inner);
        }
        let mut curves = Vec::new();
        curves.extend(baseline.map(|b| Curve::level(b, Role::Uniform)));
        curves.extend(d.best.map(|(best, _)| Curve::level(100.0 * best, Role::Best)));
        // A baseline beyond the axis would be drawn on its edge.
        let points: Vec<(f64, f64)> = baseline.map(|b| (d.position(), b)).into_iter().collect();
        curves.push(Curve { points, role: Role::Uniform, kind: CurveKind::Points });
        let averages = d.epochs.iter().filter_map(|e| Some((e, e.average?)));
        curves.push(Curve {
            points: averages.map(|(e, a)| (e.epoch as f64, 100.0 * a.accuracy)).collect(),
            role: Role::Average,
            kind: if scene.look.is_colorless() { CurveKind::Points } else { CurveKind::Line },
        });
        curves.push(Curve {
            points: d.accuracy.means(),
            role: Role::Accuracy,
            kind: CurveKind::Line,
        });
        pen.plot(inner, curves, &PERCENT);
    }

    fn weights(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let d = scene.run;
        let look = scene.look;
        let Some((w, when)) = known_weights(scene) else {
            let top = title(look, "importance weights", vec![scene.span("not yet ", Role::Dim)]);
            let inner = pen.panel(&self.panels, Panel::Weights, area, top, None);
            return pen.frame.render_widget(
                Paragraph::new(recording_words(scene)).wrap(Wrap { trim: true }),
                inner,
            );
        };
        let [q1, median, q3] = w.spread.quartiles;
        let ess = d.epochs.last().filter(|e| e.phase == Phase::Biased).map_or(w.ess, |e| e.ess);
        let bottom = Line::from(vec![
            scene.span(
                format!(" {} {q1:.2} {median:.2} {q3:.2} ", look.glyphs.quartile),
                Role::Quartile,
            ),
            scene.span(format!("{} ESS {:.0}% of n ", look.glyphs.dot, 100.0 * ess), Role::Dim),
        ]);
        let inner = pen.panel(
            &self.panels,
            Panel::Weights,
            area,
            title(look, "importance weights", vec![when]),
            Some(bottom),
        );
        pen.frame.render_widget(
            Columns {
                counts: &w.counts,
                part: &[],
                marks: &w.spread.quartiles,
                log: scene.shared.axis.log,
                x: (0.0, 1.0),
                ends: EASY_TO_HARD,
                glyphs: &look.glyphs,
                theme: &look.theme,
            },
            inner,
        );
    }

    fn classes(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let d = scene.run;
        let rows = rows(d, scene.shared.order, &scene.shared.filter);
        let mut rest = Vec::new();
        if let (Some(e), Some(data)) = (d.epochs.last(), &d.data) {
            let counts: Vec<f64> = data.counts.iter().map(|c| *c as f64).collect();
            let drawn: Vec<f64> = e.drawn.iter().map(|c| *c as f64).collect();
            let arrow = scene.look.glyphs.arrow;
            let ratio = |v: &[f64]| match balance::max_min_ratio(v) {
                r if r.is_finite() => format!("{r:.1}"),
                _ => "inf".into(),
            };
            rest.push(scene.span(
                format!("max/min {} {arrow} {} ", ratio(&counts), ratio(&drawn)),
                Role::Text,
            ));
            if area.width >= 66 {
                rest.push(scene.span(
                    format!(
                        "balance {:.3} {arrow} {:.3} ",
                        balance::balance_index(&counts),
                        e.balance
                    ),
                    Role::Dim,
                ));
            }
        }
        let legend = classes_legend(scene.look, scene.shared.order);
        let name = if area.width < 34 { "classes" } else { "class frequencies" };
        let inner = pen.panel(
            &self.panels,
            Panel::Classes,
            area,
            title(scene.look, name, rest),
            Some(legend),
        );
        let (glyphs, theme) = (&scene.look.glyphs, &scene.look.theme);
        let selected = self.line.of(rows.len());
        pen.frame.render_widget(ClassBars { rows: &rows, selected, glyphs, theme }, inner);
    }
}
