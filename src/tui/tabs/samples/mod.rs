//! Samples: pictures of those that somebody wants to look at, each with its figures; or one by
//! itself.

mod gallery;

use super::panels::{Panels, Pen};
use super::{Desk, Reply, TabView};
use crate::dashboard::Dashboard;
use crate::importance::{PICKS, Pick, Sample};
use crate::protocol::DataSummary;
use crate::tui::feeds::Feed;
use crate::tui::input::key::Key::{Char, Named};
use crate::tui::input::keymap::{Action, Place, Tab, TabKeys};
use crate::tui::input::row;
use crate::tui::look::list::{Selection, matches};
use crate::tui::look::panel::title;
use crate::tui::look::text::clip;
use crate::tui::look::theme::Role;
use crate::tui::scene::{Hit, Hits, Scene, Shared, class_names};
use crossterm::event::KeyCode;
use gallery::{GAP, Grid, WORDS, list, words};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

const TAB: Tab = Tab { name: "Samples", places: &[Place::OneClass] };

pub const KEYS: TabKeys = TabKeys {
    tab: TAB,
    rows: &[
        row("samples", &[Char('4')], Action::Show(TAB), Place::Cockpit, "", "tab Samples"),
        row(
            "view-samples",
            &[Char('v')],
            Action::NextView,
            Place::On(TAB),
            "which",
            "hardest, easiest, most drawn, never drawn, suspect",
        ),
        row(
            "open",
            &[Named(KeyCode::Enter)],
            Action::Enter,
            Place::On(TAB),
            "enlarge",
            "the sample by itself",
        ),
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panel {
    Gallery,
}

impl super::panels::Panel for Panel {
    const ALL: &'static [Self] = &[Self::Gallery];
}

#[derive(Debug, Default)]
pub struct Samples {
    panels: Panels<Panel>,
    /// Which of [`PICKS`].
    pick: usize,
    sample: Selection,
    /// Whether the selected one is shown by itself.
    is_enlarged: bool,
}

impl TabView for Samples {
    fn press(&mut self, action: Action, desk: &mut Desk<'_>) -> Reply {
        let count = self.listed(desk.run, desk.shared).len();
        match action {
            Action::Down(by) => {
                // A row of pictures.
                let data = desk.run.data.as_ref();
                let across = data.map_or(1, |data| Grid::on(within(desk.area), data).across);
                self.sample.down(by * i64::from(across), count);
            }
            Action::Right(by) => self.sample.down(by, count),
            Action::Page(by) => self.sample.page(by, count),
            Action::Edge(by) => self.sample.edge(by, count),
            Action::NextView => {
                (self.pick, self.sample) = ((self.pick + 1) % PICKS.len(), Selection::default());
            }
            Action::Class(by) => desk.shared.choose_class(by, class_names(desk.run).len()),
            Action::Enter => self.is_enlarged = !self.is_enlarged,
            Action::Escape if self.is_enlarged => self.is_enlarged = false,
            _ => return self.panels.press(action),
        }
        Reply::Done
    }

    fn click(&mut self, hit: Hit, desk: &mut Desk<'_>) {
        let count = self.listed(desk.run, desk.shared).len();
        match hit {
            Hit::Sample(at) if at == self.sample.of(count) => self.is_enlarged = !self.is_enlarged,
            Hit::Sample(at) => self.sample.set(at as i64, count),
            Hit::Tab(_) | Hit::Panel(_) | Hit::Plot | Hit::Row(_) => {}
        }
    }

    fn opened(&mut self) {
        self.panels.unzoom();
    }

    fn narrowed(&mut self) {
        self.sample = Selection::default();
    }

    fn needs(&self) -> &'static [Feed] {
        &[Feed::Samples]
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) -> Hits {
        let mut pen = Pen::new(frame, scene);
        self.gallery(&mut pen, area);
        pen.hits
    }
}

/// Where pictures are laid out on the tab's area: within the panel's frame.
fn within(area: Rect) -> Rect {
    area.inner(Margin::new(1, 1))
}

impl Samples {
    fn pick(&self) -> Pick {
        PICKS[self.pick % PICKS.len()]
    }

    fn listed<'a>(&self, run: &'a Dashboard, shared: &'a Shared) -> Vec<&'a Sample> {
        let names = class_names(run);
        let wanted = |c: usize| names.get(c).is_some_and(|name| matches(name, &shared.filter));
        let sheet = shared.sheet.as_ref();
        sheet.map_or_else(Vec::new, |sheet| list(self.pick(), sheet, shared.class, wanted))
    }

    fn gallery(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let listed = self.listed(scene.run, scene.shared);
        let selected = self.sample.of(listed.len());
        let class = scene.shared.class.and_then(|c| scene.classes().get(c));
        let class = clip(class.map_or("all classes", String::as_str), 30, scene.look.glyphs.cut);
        let mut rest = vec![scene.span(format!("{class} "), Role::Drawn)];
        if !listed.is_empty() {
            let words = format!("{} of {} ", selected + 1, listed.len());
            rest.push(scene.span(words, Role::Dim));
        }
        let bottom = Line::from(scene.span(
            " p, weight, times drawn since E; what the model took it for when last drawn ",
            Role::Dim,
        ));
        let top = title(scene.look, words(self.pick()), rest);
        let inner = pen.panel(&self.panels, Panel::Gallery, area, top, Some(bottom));
        let (Some(data), Some(_)) = (&scene.run.data, &scene.shared.sheet) else {
            return why_none(pen, inner);
        };
        if listed.is_empty() {
            let words = format!(
                "none here; {} shows others, {} another class",
                scene.keymap.key_of(Action::NextView),
                scene.keymap.key_of(Action::Class(1))
            );
            return pen.hint(&words, inner);
        }
        if self.is_enlarged {
            return one(pen, listed[selected], data, inner);
        }
        self.grid(pen, &listed, Grid::on(within(area), data), inner);
    }

    /// Pictures in whole rows, the selected one among them.
    fn grid(&self, pen: &mut Pen<'_, '_>, listed: &[&Sample], grid: Grid, inner: Rect) {
        let selected = self.sample.of(listed.len());
        let (width, height) = (grid.picture.0, grid.picture.1 + WORDS);
        let (across, down) = (usize::from(grid.across), usize::from(grid.down));
        let first_row = (selected / across).saturating_sub(down - 1);
        let shown = listed.iter().enumerate().skip(first_row * across).take(across * down);
        for (k, sample) in shown {
            let (column, line) = ((k % across) as u16, (k / across - first_row) as u16);
            let (x, y) = (inner.x + column * (width + GAP), inner.y + line * height);
            let area = Rect { x, y, width, height }.intersection(inner);
            if area.height < height {
                continue;
            }
            pen.hits.push((area, Hit::Sample(k)));
            picture(pen, sample, Rect { height: grid.picture.1, ..area });
            let mark = if k == selected { pen.scene.look.glyphs.pointer } else { " " };
            let lines = cell_words(pen.scene, sample, mark, usize::from(width));
            pen.lines(lines, Rect { y: area.y + grid.picture.1, height: WORDS, ..area });
        }
    }
}

fn why_none(pen: &mut Pen<'_, '_>, area: Rect) {
    let scene = pen.scene;
    let d = scene.run;
    let words = match (&d.weights, d.pretrain_epochs()) {
        (Some(_), _) => "the samples are being read".to_owned(),
        (None, _) if d.config.finds_e() => {
            "samples come with the weights, once the importance is settled".to_owned()
        }
        (None, e) if e >= d.config.train.epochs => {
            "E = N: no weights are computed, so no sample is singled out".to_owned()
        }
        (None, e) => format!("samples come with the weights, after epoch {e}"),
    };
    pen.frame.render_widget(
        Paragraph::new(scene.span(words, Role::Dim)).wrap(Wrap { trim: true }),
        area,
    );
}

fn picture(pen: &mut Pen<'_, '_>, sample: &Sample, area: Rect) {
    let scene = pen.scene;
    let pictures = scene.shared.sheet.as_ref().map(|s| &s.pictures);
    if let Some((pictures, pixels)) = pictures.and_then(|p| Some((p, p.of(sample.index)?))) {
        scene.shared.images.draw(
            sample.index,
            pixels,
            pictures.shape,
            area,
            pen.frame.buffer_mut(),
        );
    }
}

/// What the model took it for, and how it is meant.
fn verdict(scene: &Scene<'_>, s: &Sample) -> (String, Role) {
    let Some((class, p)) = s.predicted.zip(s.confidence) else {
        return ("not drawn yet".into(), Role::Dim);
    };
    let name = scene.classes().get(class as usize).map_or("?", String::as_str);
    if class == s.class {
        (format!("{p:.2} right"), Role::Good)
    } else {
        (format!("{p:.2} {name}"), Role::Bad)
    }
}

fn cell_words(scene: &Scene<'_>, s: &Sample, mark: &str, width: usize) -> Vec<Line<'static>> {
    let cut = scene.look.glyphs.cut;
    let class = scene.classes().get(s.class as usize).map_or("?", String::as_str);
    // Without the zeros there is room on the narrowest cells.
    let short =
        |v: f32| if v >= 0.995 { "1.0".to_owned() } else { format!("{v:.2}")[1..].to_owned() };
    let p = s.p.map_or_else(|| "?".to_owned(), short);
    let index = if width >= 22 { format!(" #{}", s.index) } else { String::new() };
    let (said, role) = verdict(scene, s);
    let flipped = if s.flipped == Some(true) { " flipped" } else { "" };
    vec![
        Line::from(vec![
            scene.span(mark.to_owned(), Role::Key),
            scene.span(
                clip(&format!("{class}{flipped}{index}"), width.saturating_sub(1), cut),
                Role::Text,
            ),
        ]),
        Line::from(scene.span(
            clip(&format!(" p{p} w{} x{}", short(s.weight), s.drawn), width, cut),
            Role::Dim,
        )),
        Line::from(scene.span(clip(&format!(" {said}"), width, cut), role)),
    ]
}

/// One sample by itself: as large as there is room, its figures beside it.
fn one(pen: &mut Pen<'_, '_>, s: &Sample, data: &DataSummary, area: Rect) {
    let scene = pen.scene;
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(38.min(area.width / 2))])
            .areas(area);
    let [_, h, w] = data.shape.map(|v| v.max(1) as f64);
    let height = f64::from(left.height).min(f64::from(left.width) * h / w / 2.0).floor();
    let size = ((height * 2.0 * w / h) as u16, height as u16);
    picture(
        pen,
        s,
        Rect { width: size.0.min(left.width), height: size.1.min(left.height), ..left },
    );
    let fact = |name: &str, value: String, role| {
        Line::from(vec![scene.span(format!(" {name:<15}"), Role::Dim), scene.span(value, role)])
    };
    let class = scene.classes().get(s.class as usize).cloned().unwrap_or_default();
    let (said, role) = verdict(scene, s);
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
        lines.push(Line::from(scene.span(" Hard, and confidently another class:", Role::Warning)));
        lines.push(Line::from(scene.span(" the usual sign of a wrong label.", Role::Warning)));
    }
    pen.lines(lines, right);
}
