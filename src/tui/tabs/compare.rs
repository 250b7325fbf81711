//! Compare: the runs beside this one, and the curves of those that somebody chose.

use super::panels::{Panels, Pen};
use super::{Desk, Reply, TabView};
use crate::compare::{Speedup, points as points_in_words};
use crate::dashboard::{Dashboard, RunState};
use crate::protocol::End;
use crate::tui::chart::axis::Scale;
use crate::tui::chart::plot::{self, AMOUNT, PERCENT, SHARE, Values};
use crate::tui::chart::{Curve, CurveKind};
use crate::tui::feeds::{Feed, Figure, Other};
use crate::tui::input::key::Key::{Char, Named};
use crate::tui::input::keymap::{Action, Place, Tab, TabKeys};
use crate::tui::input::row;
use crate::tui::look::list::{Selection, first_shown, matches};
use crate::tui::look::panel::title;
use crate::tui::look::text::{clip, fit};
use crate::tui::look::theme::{ARMS, Role};
use crate::tui::scene::{Hit, Hits, Scene, Shared};
use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

const TAB: Tab = Tab { name: "Compare", places: &[Place::Charts] };

pub const KEYS: TabKeys = TabKeys {
    tab: TAB,
    rows: &[
        row("compare", &[Char('5')], Action::Show(TAB), Place::Cockpit, "", "tab Compare"),
        row(
            "view-compare",
            &[Char('v')],
            Action::NextView,
            Place::On(TAB),
            "figure",
            "accuracy, losses, balance",
        ),
        row(
            "overlay",
            &[Named(KeyCode::Enter)],
            Action::Enter,
            Place::On(TAB),
            "overlay",
            "draw the selected run, or not",
        ),
        row(
            "baseline",
            &[Char('=')],
            Action::Baseline,
            Place::On(TAB),
            "baseline",
            "the selected run is the baseline, or is not",
        ),
    ],
};

/// Columns from which the list has room beside the chart.
const SIDE_BY_SIDE: u16 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panel {
    List,
    Chart,
}

impl super::panels::Panel for Panel {
    const ALL: &'static [Self] = &[Self::List, Self::Chart];
}

#[derive(Debug, Default)]
pub struct Compare {
    panels: Panels<Panel>,
    run: Selection,
    /// What is drawn of all runs.
    figure: Figure,
}

impl TabView for Compare {
    fn press(&mut self, action: Action, desk: &mut Desk<'_>) -> Reply {
        let runs = listed(desk.shared);
        match action {
            Action::Down(by) => self.run.down(by, runs.len()),
            Action::Page(by) => self.run.page(by, runs.len()),
            Action::Edge(by) => self.run.edge(by, runs.len()),
            Action::NextView => self.figure = self.figure.next(),
            Action::Enter => {
                if let Some(at) = runs.get(self.run.of(runs.len())) {
                    desk.shared.others.list[*at].shown ^= true;
                }
            }
            Action::Baseline => {
                if let Some(at) = runs.get(self.run.of(runs.len())) {
                    return Reply::Say(desk.shared.others.choose_baseline(*at));
                }
            }
            _ => return self.panels.press(action),
        }
        Reply::Done
    }

    fn click(&mut self, hit: Hit, desk: &mut Desk<'_>) {
        self.panels.click(hit);
        if let Hit::Row(line) = hit {
            self.run.set(line as i64, listed(desk.shared).len());
        }
    }

    fn opened(&mut self) {
        self.panels.unzoom();
    }

    fn needs(&self) -> &'static [Feed] {
        &[Feed::Runs]
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) -> Hits {
        let mut pen = Pen::new(frame, scene);
        for (area, panel) in self.layout(area, scene) {
            match panel {
                Panel::List => self.list(&mut pen, area),
                Panel::Chart => self.chart(&mut pen, area),
            }
        }
        pen.hits
    }
}

/// The runs that are listed, by their places among all.
fn listed(shared: &Shared) -> Vec<usize> {
    let all = shared.others.list.iter().enumerate();
    all.filter(|(_, run)| matches(&run.id, &shared.filter)).map(|(at, _)| at).collect()
}

/// The look of a run that is drawn: this one, then the others in the order of the list.
fn role_of(scene: &Scene<'_>, at: usize) -> Role {
    let before = scene.shared.others.list[..at].iter().filter(|o| o.shown).count();
    ARMS[1 + before % (ARMS.len() - 1)]
}

fn state(d: &Dashboard) -> &'static str {
    match d.state {
        RunState::Finished { end: End::Complete } => "done",
        RunState::Finished { end: End::Stopped } => "stopped",
        RunState::Failed => "failed",
        RunState::Paused(_) => "paused",
        RunState::Starting => "begins",
        RunState::Training | RunState::Evaluating => "",
    }
}

impl Compare {
    fn layout(&self, body: Rect, scene: &Scene<'_>) -> Vec<(Rect, Panel)> {
        if let Some(panel) = self.panels.zoomed() {
            return vec![(body, panel)];
        }
        let [runs, curves] = if body.width < SIDE_BY_SIDE {
            let height = (listed(scene.shared).len() as u16 + 5).min(body.height / 2);
            Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(body)
        } else {
            let width = (body.width * 2 / 5).clamp(44, 64);
            Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(body)
        };
        vec![(runs, Panel::List), (curves, Panel::Chart)]
    }

    fn list(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let g = &scene.look.glyphs;
        let listed = listed(scene.shared);
        let selected = self.run.of(listed.len());
        let rest = vec![scene.span(format!("{} ", listed.len() + 1), Role::Dim)];
        let inner = pen.panel(
            &self.panels,
            Panel::List,
            area,
            title(scene.look, "runs", rest),
            Some(gain_words(scene)),
        );
        let names = usize::from(inner.width).saturating_sub(27);
        let best = |d: &Dashboard| {
            d.best.map_or_else(|| "-".to_owned(), |(best, _)| format!("{:.2}%", 100.0 * best))
        };
        let row = |pointer: &str, on: &str, role: Role, name: &str, d: &Dashboard, after: &str| {
            let epochs = format!("{}/{}", d.epochs.len(), d.config.train.epochs);
            Line::from(vec![
                scene.span(pointer.to_owned(), Role::Key),
                scene.span(format!("{on} "), role),
                scene.span(fit(name, names, g.cut), role),
                scene.span(format!(" {:>7} {epochs:>7} ", best(d)), Role::Text),
                scene.span(after.to_owned(), Role::Dim),
            ])
        };
        let mut lines = vec![Line::from(scene.span(
            format!("   {} {:>7} {:>7}", fit("run", names, ""), "best", "epochs"),
            Role::Dim,
        ))];
        lines.push(row(" ", g.on, ARMS[0], &scene.run.run, scene.run, "this"));
        let height = usize::from(inner.height).saturating_sub(2);
        let first = first_shown(selected, listed.len(), height);
        for (k, at) in listed.iter().enumerate().skip(first).take(height) {
            let other: &Other = &scene.shared.others.list[*at];
            let is_baseline = scene.shared.others.baseline.as_ref() == Some(&other.id);
            let role = if other.shown { role_of(scene, *at) } else { Role::Dim };
            let pointer = if k == selected { g.pointer } else { " " };
            let after = if is_baseline { "base" } else { state(&other.dashboard) };
            lines.push(row(
                pointer,
                if other.shown { g.on } else { g.off },
                role,
                &other.id,
                &other.dashboard,
                after,
            ));
            pen.hits.push((
                Rect { y: inner.y + 2 + (k - first) as u16, height: 1, ..inner },
                Hit::Row(k),
            ));
        }
        if listed.is_empty() {
            let words = if scene.shared.filter.is_empty() {
                " There is no other run here."
            } else {
                " No run has that in its name."
            };
            lines.push(Line::from(scene.span(words, Role::Dim)));
        }
        pen.lines(lines, inner);
    }

    fn chart(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let look = scene.look;
        let figure = self.figure;
        let shown: Vec<usize> = (0..scene.shared.others.list.len())
            .filter(|i| scene.shared.others.list[*i].shown)
            .collect();
        let words = scene.shared.axis.words();
        let hint = if words.is_empty() {
            "one seed says little: earlybird compare has seeds and a null arm".to_owned()
        } else {
            words
        };
        let mut rest = vec![
            scene.span(format!("{} ", look.glyphs.on), ARMS[0]),
            scene.span(format!("{} ", scene.run.run), Role::Dim),
        ];
        for at in &shown {
            rest.push(scene.span(format!("{} ", look.glyphs.on), role_of(scene, *at)));
            rest.push(scene.span(
                format!("{} ", clip(&scene.shared.others.list[*at].id, 24, look.glyphs.cut)),
                Role::Dim,
            ));
        }
        let bottom = Line::from(scene.span(format!(" {hint} "), Role::Dim));
        let inner = pen.panel(
            &self.panels,
            Panel::Chart,
            area,
            title(look, figure.words(), rest),
            Some(bottom),
        );
        let points = |d: &Dashboard| -> Vec<(f64, f64)> {
            d.epochs.iter().map(|e| (e.epoch as f64, figure.of(e))).collect()
        };
        let everything = |d: &Dashboard| (0.0, d.epochs.len() as f64 + 1.0);
        let mut curves = Vec::new();
        if let (Figure::Accuracy, Some((best, _))) =
            (figure, scene.shared.others.baseline().and_then(|b| b.dashboard.best))
        {
            curves.push(Curve::level(100.0 * best, Role::Best));
        }
        for at in shown {
            let other = &scene.shared.others.list[at];
            let kind = if look.is_colorless() { CurveKind::Points } else { CurveKind::Line };
            let curve = Curve { points: points(&other.dashboard), role: role_of(scene, at), kind };
            let scale = Scale::of(&other.dashboard, scene.shared.axis.unit);
            curves.push(plot::mapped(curve, &scale, everything(&other.dashboard)));
        }
        let own = Curve { points: points(scene.run), role: ARMS[0], kind: CurveKind::Line };
        curves.push(plot::mapped(
            own,
            &Scale::of(scene.run, scene.shared.axis.unit),
            everything(scene.run),
        ));
        if curves.iter().all(|c| c.points.is_empty() || c.kind == CurveKind::Mark) {
            let words = "Curves come with the first epoch.";
            return pen.frame.render_widget(
                Paragraph::new(scene.span(words, Role::Dim)).wrap(Wrap { trim: true }),
                inner,
            );
        }
        let values = match figure {
            Figure::Accuracy => PERCENT,
            Figure::Balance => SHARE,
            Figure::MeasuredLoss | Figure::TrainLoss => {
                Values { from_zero: false, margin: 0.05, ..AMOUNT }
            }
        };
        let plot = scene.plot().draw_mapped(pen.frame, inner, curves, &values);
        pen.hits.push((plot, Hit::Plot));
    }
}

/// What this run gains on the baseline.
fn gain_words(scene: &Scene<'_>) -> Line<'static> {
    let keys = &scene.keymap;
    let (enter, equals) = (keys.key_of(Action::Enter), keys.key_of(Action::Baseline));
    let words = match scene.shared.others.gain(scene.run) {
        None => format!(" {enter} draws a run, {equals} makes it the baseline "),
        Some((points, speedup)) => {
            let speedup = match speedup {
                Some(Speedup::Reached { epochs, .. }) => format!("{epochs:.2}x"),
                _ if scene.run.is_over() => "not reached".into(),
                _ => "not reached yet".into(),
            };
            format!(" best {} points to the baseline, speedup {speedup} ", points_in_words(points))
        }
    };
    Line::from(scene.span(words, Role::Dim))
}
