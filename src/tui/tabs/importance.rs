//! Importance: the weights or the draws expected of them, of all samples and of one class; how far
//! draws reach; their course.

use super::panels::{Panels, Pen};
use super::weights::{EASY_TO_HARD, known_weights, recording_words, settled_words};
use super::{Desk, Reply, TabView};
use crate::protocol::EpochSummary;
use crate::tui::chart::plot::{PERCENT, epoch_at};
use crate::tui::chart::{Columns, Curve, CurveKind};
use crate::tui::feeds::Feed;
use crate::tui::input::key::Key::Char;
use crate::tui::input::keymap::{Action, Place, Tab, TabKeys};
use crate::tui::input::row;
use crate::tui::look::panel::title;
use crate::tui::look::text::{clip, percent, signed, thousands};
use crate::tui::look::theme::Role;
use crate::tui::scene::{Hit, Hits, Scene, class_names};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

const TAB: Tab = Tab { name: "Importance", places: &[Place::Charts, Place::OneClass] };

pub const KEYS: TabKeys = TabKeys {
    tab: TAB,
    rows: &[
        row("importance", &[Char('2')], Action::Show(TAB), Place::Cockpit, "", "tab Importance"),
        row(
            "view",
            &[Char('v')],
            Action::NextView,
            Place::On(TAB),
            "weights/draws",
            "weights, or the draws expected of them",
        ),
    ],
};

/// Columns of the figures.
const WIDTH: u16 = 36;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panel {
    Histogram,
    Figures,
    Course,
}

impl super::panels::Panel for Panel {
    const ALL: &'static [Self] = &[Self::Histogram, Self::Figures, Self::Course];
}

#[derive(Debug, Default)]
pub struct Importance {
    panels: Panels<Panel>,
    /// Whether the histogram is of expected draws, not of weights.
    shows_draws: bool,
}

impl TabView for Importance {
    fn press(&mut self, action: Action, desk: &mut Desk<'_>) -> Reply {
        match action {
            Action::Down(by) => self.panels.next(by),
            Action::NextView => self.shows_draws = !self.shows_draws,
            Action::Class(by) => desk.shared.choose_class(by, class_names(desk.run).len()),
            _ => return self.panels.press(action),
        }
        Reply::Done
    }

    fn click(&mut self, hit: Hit, _: &mut Desk<'_>) {
        self.panels.click(hit);
    }

    fn opened(&mut self) {
        self.panels.unzoom();
    }

    fn needs(&self) -> &'static [Feed] {
        &[Feed::Samples]
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) -> Hits {
        let mut pen = Pen::new(frame, scene);
        for (area, panel) in self.layout(area) {
            match panel {
                Panel::Histogram => self.histogram(&mut pen, area),
                Panel::Figures => self.figures(&mut pen, area),
                Panel::Course => self.course(&mut pen, area),
            }
        }
        pen.hits
    }
}

impl Importance {
    fn layout(&self, body: Rect) -> Vec<(Rect, Panel)> {
        if let Some(panel) = self.panels.zoomed() {
            return vec![(body, panel)];
        }
        let is_low = body.height < 16;
        let [above, below] =
            Layout::vertical([Constraint::Fill(3), Constraint::Fill(if is_low { 0 } else { 2 })])
                .areas(body);
        let [left, right] = Layout::horizontal([
            Constraint::Fill(1),
            Constraint::Length(WIDTH.min(body.width / 2)),
        ])
        .areas(above);
        let mut panels = vec![(left, Panel::Histogram), (right, Panel::Figures)];
        panels.extend((!is_low).then_some((below, Panel::Course)));
        panels
    }

    fn histogram(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let look = scene.look;
        let name = if self.shows_draws { "expected draws per epoch" } else { "importance weights" };
        let Some((w, when)) = known_weights(scene) else {
            let inner = pen.panel(
                &self.panels,
                Panel::Histogram,
                area,
                title(look, name, vec![scene.span("not yet ", Role::Dim)]),
                None,
            );
            return pen.frame.render_widget(
                Paragraph::new(recording_words(scene)).wrap(Wrap { trim: true }),
                inner,
            );
        };
        let mut rest = vec![when];
        let class = scene.shared.class.filter(|c| *c < scene.classes().len());
        let part = class.and_then(|c| {
            let sheet = scene.shared.sheet.as_ref()?;
            if self.shows_draws { sheet.draws.get(c) } else { sheet.weights.get(c) }
        });
        if let Some(class) = class {
            let name = clip(&scene.classes()[class], 24, look.glyphs.cut);
            let words = if part.is_some() { ", own scale" } else { " (comes with the weights)" };
            rest.push(scene.span(format!("{} {name}{words} ", look.glyphs.shades[2]), Role::Drawn));
        }
        let log = if scene.shared.axis.log { ", log count" } else { "" };
        let hint = format!(" {} samples{log} ", thousands(w.n));
        let inner = pen.panel(
            &self.panels,
            Panel::Histogram,
            area,
            title(look, name, rest),
            Some(Line::from(scene.span(hint, Role::Dim))),
        );
        let most = w.draw_edges.last().copied().unwrap_or(0.0);
        // One draw is what every sample gets without bias.
        let one_draw = [1.0 / most.max(1.0)];
        let columns = if self.shows_draws {
            let (x, ends) = ((0.0, f64::from(most)), ["never", "times"]);
            Columns { counts: &w.draw_counts, marks: &one_draw, x, ends, ..columns(scene) }
        } else {
            Columns { counts: &w.counts, marks: &w.spread.quartiles, ..columns(scene) }
        };
        pen.frame.render_widget(Columns { part: part.map_or(&[], |p| p), ..columns }, inner);
    }

    fn figures(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let d = scene.run;
        let inner = pen.panel(
            &self.panels,
            Panel::Figures,
            area,
            title(scene.look, "figures", Vec::new()),
            None,
        );
        let fact = |name: &str, value: String, role| {
            Line::from(vec![
                scene.span(format!(" {name:<18} "), Role::Dim),
                scene.span(value, role),
            ])
        };
        let mut lines = Vec::new();
        if let Some((w, _)) = known_weights(scene) {
            let [q1, median, q3] = w.spread.quartiles;
            lines.push(fact(
                "quartiles of w",
                format!("{q1:.2} {median:.2} {q3:.2}"),
                Role::Quartile,
            ));
            lines.push(fact(
                "smallest, largest",
                format!("{:.3} {:.3}", w.spread.min, w.spread.max),
                Role::Text,
            ));
            lines.push(fact("mean", format!("{:.3}", w.mean), Role::Text));
            lines.push(fact(
                "effective samples",
                format!("{} of n", percent(w.ess)),
                Role::Weights,
            ));
            if let Some(mean) = scene.shared.class.and_then(|c| w.class_mean.get(c)) {
                lines.push(fact("mean of the class", format!("{mean:.3}"), Role::Drawn));
            }
            if w.unseen > 0 {
                lines.push(fact("never observed", thousands(w.unseen), Role::Warning));
            }
        }
        let c = &d.config.importance;
        if c.doubt > 0.0 {
            lines.push(fact("doubt", format!("exponent {}", c.doubt), Role::Text));
        }
        if c.adjust_posthoc > 0.0 {
            lines.push(fact("measured post hoc", format!("tau {}", c.adjust_posthoc), Role::Text));
        }
        if let Some(words) = correction_words(scene) {
            lines.push(fact("logits corrected", words, Role::Biased));
        }
        let mut of_e = Vec::new();
        if let Some(found) = d.settling() {
            let by_itself = d.config.finds_e() || d.found_e().is_some();
            let name = if by_itself { "E, found by itself" } else { "E would be" };
            of_e.push(fact("settled", settled_words(&found), Role::Pretrain));
            of_e.push(fact(name, found.e.words(), Role::Pretrain));
        }
        if d.weights.is_none() {
            lines.append(&mut of_e); // afterwards they are history, and come last
        }
        if let Some(e) = d.epochs.last() {
            lines.push(Line::from(
                scene.span(format!(" epoch {} ({})", e.epoch, e.phase.word()), Role::Title),
            ));
            lines.push(fact("distinct samples", percent(e.coverage), Role::Text));
            lines.push(fact("  expected", percent(e.expected_coverage), Role::Dim));
            lines.push(fact("most draws of one", e.max_multiplicity.to_string(), Role::Text));
            if e.hard_share.is_some() {
                lines.push(fact("undrawn since E", thousands(e.never_drawn), Role::Text));
            }
            let shares = [
                ("draws with p < 0.1", e.hard_share),
                ("draws of suspects", e.suspect_share),
                ("draws, flipped", e.flipped_share),
            ];
            lines.extend(
                shares
                    .into_iter()
                    .filter_map(|(name, share)| share.map(|s| fact(name, percent(s), Role::Text))),
            );
        }
        lines.append(&mut of_e);
        if lines.is_empty() {
            lines.push(Line::from(scene.span(" come with the first epoch", Role::Dim)));
        }
        pen.lines(lines, inner);
    }

    fn course(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let d = scene.run;
        let look = scene.look;
        let legend = [
            ("distinct", Role::Accuracy),
            ("effective", Role::Weights),
            ("p < 0.1", Role::Loss),
            ("settled", Role::Pretrain),
        ];
        let was_settled = d.epochs.iter().any(|e| e.settled.is_some());
        let now = || {
            let shown = legend.iter().filter(|(_, role)| was_settled || *role != Role::Pretrain);
            shown
                .map(|(name, role)| scene.span(format!("{} {name} ", look.glyphs.on), *role))
                .collect()
        };
        let there = scene.plot().cursor_words(|at| {
            let e = epoch_at(d, at)?;
            let hard =
                e.hard_share.map_or_else(String::new, |s| format!(", p < 0.1 {}", percent(s)));
            let settled = e.settled.map_or_else(String::new, |s| format!(", settled {s:.3}"));
            let (distinct, effective) = (percent(e.coverage), percent(e.ess));
            Some(format!("distinct {distinct}, effective {effective}{hard}{settled}"))
        });
        let words = scene.shared.axis.words();
        let bottom =
            (!words.is_empty()).then(|| Line::from(scene.span(format!(" {words} "), Role::Dim)));
        let inner = pen.panel(
            &self.panels,
            Panel::Course,
            area,
            title(look, "draws by epoch", there.unwrap_or_else(now)),
            bottom,
        );
        if d.epochs.is_empty() {
            return pen.hint("comes with the first epoch", inner);
        }
        let curve = |of: &dyn Fn(&EpochSummary) -> Option<f64>, role, kind| {
            let points =
                d.epochs.iter().filter_map(|e| Some((e.epoch as f64, 100.0 * of(e)?))).collect();
            Curve { points, role, kind }
        };
        let kind = if look.is_colorless() { CurveKind::Points } else { CurveKind::Line };
        let mut curves = Vec::new();
        if was_settled && d.weights.is_none() {
            curves.push(Curve::level(100.0 * d.config.importance.auto_threshold, Role::Mark));
        }
        curves.extend([
            curve(&|e| e.settled, Role::Pretrain, CurveKind::Line),
            curve(&|e| e.hard_share, Role::Loss, kind),
            curve(&|e| Some(e.ess), Role::Weights, kind),
            curve(&|e| Some(e.coverage), Role::Accuracy, CurveKind::Line),
        ]);
        pen.plot(inner, curves, &PERCENT);
    }
}

/// What the last epoch's logits were corrected by: for the class looked at, or from the least to
/// the most of a class; `None` where they were not.
fn correction_words(scene: &Scene<'_>) -> Option<String> {
    let by = &scene.run.epochs.last().filter(|e| !e.correction.is_empty())?.correction;
    let words = scene.shared.class.and_then(|c| by.get(c)).map(|by| signed(*by));
    let (least, most) =
        by.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| (l.min(*v), m.max(*v)));
    Some(words.unwrap_or_else(|| format!("{} to {}", signed(least), signed(most))))
}

fn columns<'a>(scene: &Scene<'a>) -> Columns<'a> {
    let (glyphs, theme) = (&scene.look.glyphs, &scene.look.theme);
    Columns {
        counts: &[],
        part: &[],
        marks: &[],
        log: scene.shared.axis.log,
        x: (0.0, 1.0),
        ends: EASY_TO_HARD,
        glyphs,
        theme,
    }
}
