//! System: the machine, throughput, where the time of a step goes, and what was said.

use super::panels::{Panels, Pen};
use super::{Desk, Reply, TabView};
use crate::dashboard::{Dashboard, Message};
use crate::protocol::{StepTimes, Threads};
use crate::tui::chart::plot::AMOUNT;
use crate::tui::chart::{Curve, CurveKind, sparkline};
use crate::tui::feeds::{Feed, GpuFigures, Gpus, ProcessFigures};
use crate::tui::input::key::Key::Char;
use crate::tui::input::keymap::{Action, Place, Tab, TabKeys};
use crate::tui::input::row;
use crate::tui::look::list::{Selection, matches};
use crate::tui::look::panel::title;
use crate::tui::look::text::{bytes, clock, thousands, wrap};
use crate::tui::look::theme::{Role, role_of};
use crate::tui::scene::{Hit, Hits, Scene};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

const TAB: Tab = Tab { name: "System", places: &[Place::Charts] };

pub const KEYS: TabKeys = TabKeys {
    tab: TAB,
    rows: &[row("system", &[Char('6')], Action::Show(TAB), Place::Cockpit, "", "tab System")],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panel {
    Machine,
    Throughput,
    Step,
    Messages,
}

impl super::panels::Panel for Panel {
    const ALL: &'static [Self] = &[Self::Machine, Self::Throughput, Self::Step, Self::Messages];
}

#[derive(Debug, Default)]
pub struct System {
    panels: Panels<Panel>,
    /// The first message that is shown, the newest first.
    message: Selection,
}

impl TabView for System {
    fn press(&mut self, action: Action, desk: &mut Desk<'_>) -> Reply {
        let lines = listed(desk.run, &desk.shared.filter).len();
        match action {
            Action::Down(by) => self.message.down(by, lines),
            Action::Page(by) => self.message.page(by, lines),
            Action::Edge(by) => self.message.edge(by, lines),
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
        &[Feed::Machine]
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) -> Hits {
        let mut pen = Pen::new(frame, scene);
        for (area, panel) in self.layout(area) {
            match panel {
                Panel::Machine => self.machine(&mut pen, area),
                Panel::Throughput => self.throughput(&mut pen, area),
                Panel::Step => self.step(&mut pen, area),
                Panel::Messages => self.messages(&mut pen, area),
            }
        }
        pen.hits
    }
}

/// The messages that are listed, oldest first.
fn listed<'a>(run: &'a Dashboard, filter: &str) -> Vec<&'a Message> {
    run.messages.iter().filter(|m| matches(&m.text, filter)).collect()
}

/// A bar of `width` columns, full at 1.
fn bar(scene: &Scene<'_>, share: f64, width: usize, role: Role) -> Span<'static> {
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let text: String =
        (0..width).map(|k| scene.look.glyphs.row(eighths.saturating_sub(k * 8))).collect();
    scene.span(text, role)
}

impl System {
    fn layout(&self, body: Rect) -> Vec<(Rect, Panel)> {
        if let Some(panel) = self.panels.zoomed() {
            return vec![(body, panel)];
        }
        let [above, below] =
            Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
        let [left, right] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(above);
        let [step, messages] =
            Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(below);
        vec![
            (left, Panel::Machine),
            (right, Panel::Throughput),
            (step, Panel::Step),
            (messages, Panel::Messages),
        ]
    }

    fn machine(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let inner = pen.panel(
            &self.panels,
            Panel::Machine,
            area,
            title(scene.look, "machine", Vec::new()),
            None,
        );
        let Some(m) = &scene.shared.machine else {
            return pen.hint("looking", inner);
        };
        let width = usize::from(inner.width).saturating_sub(31).min(30);
        let line = |name: &str, share: f64, words: String| {
            Line::from(vec![
                scene.span(format!(" {name:<9}"), Role::Dim),
                bar(scene, share, width, Role::Accuracy),
                scene.span(format!(" {words}"), Role::Text),
            ])
        };
        let cpu = m.cores.iter().sum::<f64>() / m.cores.len().max(1) as f64;
        let share = |(used, all): (u64, u64)| used as f64 / all.max(1) as f64;
        let both =
            |(used, all): (u64, u64)| format!("{} / {}", bytes(used as f64), bytes(all as f64));
        let process = |name: &str, p: &ProcessFigures| {
            let pid = if inner.width >= 46 { format!(", pid {}", p.pid) } else { String::new() };
            let words = format!("{:.0}% of a core, {}{pid}", p.cpu, bytes(p.memory as f64));
            Line::from(vec![
                scene.span(format!(" {name:<9}"), Role::Dim),
                scene.span(words, Role::Text),
            ])
        };
        let mut lines = vec![
            line("cpu", cpu / 100.0, format!("{cpu:.0}% of {}, load {:.1}", m.cores.len(), m.load)),
            line("memory", share(m.memory), both(m.memory)),
        ];
        if let Some(Threads { count, because, waiting }) = &scene.run.threads {
            let how = if inner.width >= 56 { format!(", {waiting}") } else { String::new() };
            let words = format!("{count} by {because}{how}");
            lines.push(Line::from(vec![
                scene.span(" threads  ", Role::Dim),
                scene.span(words, Role::Text),
            ]));
        }
        lines.extend(m.trainer.as_ref().map(|p| process("trainer", p)));
        lines.extend(m.cockpit.as_ref().map(|p| process("cockpit", p)));
        let c = scene.shared.costs;
        let all = if inner.width >= 50 {
            format!(", {} in all", bytes(c.bytes as f64))
        } else {
            String::new()
        };
        let words = format!("{}/s, {:.1} frames/s{all}", bytes(c.bytes_per_s), c.frames_per_s);
        lines.push(Line::from(vec![
            scene.span(" screen   ", Role::Dim),
            scene.span(words, Role::Text),
        ]));
        lines.extend(gpu_lines(scene, &m.gpus, width));
        pen.lines(lines, inner);
    }

    fn throughput(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let d = scene.run;
        let look = scene.look;
        let now = || {
            d.images_per_s
                .map(|r| scene.span(format!("{} images/s ", thousands(r as usize)), Role::Accuracy))
                .into_iter()
                .collect()
        };
        let there = scene.plot().cursor_words(|at| {
            d.rate.at(at).map(|[_, mean, _]| format!("{} images/s", thousands(mean as usize)))
        });
        let words = scene.shared.axis.words();
        let bottom =
            (!words.is_empty()).then(|| Line::from(scene.span(format!(" {words} "), Role::Dim)));
        let inner = pen.panel(
            &self.panels,
            Panel::Throughput,
            area,
            title(look, "throughput", there.unwrap_or_else(now)),
            bottom,
        );
        if d.rate.is_empty() {
            return pen.hint("the first steps are under way", inner);
        }
        let curves = vec![
            Curve { points: d.rate.extremes(), role: Role::LossRaw, kind: CurveKind::Points },
            Curve {
                points: d.rate.smoothed(scene.shared.axis.smoothing()),
                role: Role::Accuracy,
                kind: CurveKind::Line,
            },
        ];
        pen.plot(inner, curves, &AMOUNT);
    }

    fn step(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let look = scene.look;
        let last = scene.run.epochs.last().and_then(|e| Some((e, e.step_ms?)));
        let rest = last
            .map(|(e, t)| scene.span(format!("{:.2} ms, epoch {} ", t.whole(), e.epoch), Role::Dim))
            .into_iter()
            .collect();
        let hint = Line::from(scene.span(" GPU: asking, then waiting ", Role::Dim));
        let inner =
            pen.panel(&self.panels, Panel::Step, area, title(look, "step", rest), Some(hint));
        let Some((_, t)) = last else {
            return pen.hint("comes with the first epoch", inner);
        };
        let width = usize::from(inner.width).saturating_sub(33).min(40);
        let history: Vec<StepTimes> = scene.run.epochs.iter().filter_map(|e| e.step_ms).collect();
        let part = |name: &str, of: fn(&StepTimes) -> f64, role| {
            let share = of(&t) / t.whole().max(1e-9);
            let course: Vec<f64> = history.iter().map(of).collect();
            Line::from(vec![
                scene.span(format!(" {name:<12}"), Role::Dim),
                scene.span(format!("{:>7.2} ms {:>3.0}% ", of(&t), 100.0 * share), Role::Text),
                bar(scene, share, width, role),
                scene.span(format!(" {}", sparkline(&course, 6, &look.glyphs)), Role::Dim),
            ])
        };
        let loading = (t.loading > 0.0).then(|| part("loading", |t| t.loading, Role::Bad));
        let lines = vec![
            part("data", |t| t.data, Role::Share),
            part("forward", |t| t.forward, Role::Accuracy),
            part("backward", |t| t.backward, Role::Loss),
            part("optimizer", |t| t.optimizer, Role::Weights),
            part("bookkeeping", |t| t.bookkeeping, Role::Best),
            part("waiting", |t| t.waiting, Role::Text),
        ];
        pen.lines(loading.into_iter().chain(lines).collect(), inner);
    }

    fn messages(&self, pen: &mut Pen<'_, '_>, area: Rect) {
        let scene = pen.scene;
        let listed = listed(scene.run, &scene.shared.filter);
        let rest = vec![scene.span(format!("{}, newest first ", listed.len()), Role::Dim)];
        let inner = pen.panel(
            &self.panels,
            Panel::Messages,
            area,
            title(scene.look, "messages", rest),
            None,
        );
        let width = usize::from(inner.width).saturating_sub(10);
        let mut lines = Vec::new();
        for message in listed.iter().rev().skip(self.message.of(listed.len())) {
            if lines.len() >= usize::from(inner.height) {
                break;
            }
            for (k, part) in wrap(&message.text, width.max(10)).into_iter().enumerate() {
                let time = if k == 0 { clock(message.t) } else { String::new() };
                lines.push(Line::from(vec![
                    scene.span(format!(" {time:>7} "), Role::Dim),
                    scene.span(part, role_of(message.tone)),
                ]));
            }
        }
        pen.lines(lines, inner);
    }
}

/// The GPUs that the trainer sees, the one that it trains on marked.
fn gpu_lines(scene: &Scene<'_>, gpus: &Gpus, width: usize) -> Vec<Line<'static>> {
    let dim = |words: String| Line::from(scene.span(words, Role::Dim));
    // What NVML does not tell has no bar, and is not told as zero.
    let line = |name: String, share: Option<f64>, words: String| {
        let mut spans = vec![scene.span(format!(" {name:<9}"), Role::Dim)];
        if let Some(share) = share {
            spans.push(bar(scene, share, width, Role::Accuracy));
        }
        let gap = if share.is_some() { " " } else { "" };
        spans.push(scene.span(format!("{gap}{words}"), Role::Text));
        Line::from(spans)
    };
    let trains = |gpu: &GpuFigures| scene.run.device.ends_with(&format!("cuda:{}", gpu.cuda));
    let mut lines = Vec::new();
    for gpu in &gpus.visible {
        let mark = if trains(gpu) { "*" } else { "" };
        let load = match (gpu.utilization, gpu.is_mig) {
            (Some(percent), _) => format!("{percent}% "),
            (None, true) => "no load told (MIG) ".to_owned(),
            (None, false) => "no load told ".to_owned(),
        };
        let share = gpu.utilization.map(|percent| f64::from(percent) / 100.0);
        lines.push(line(format!("cuda:{}{mark}", gpu.cuda), share, load + &gpu.name));
        let memory =
            gpu.memory.map(|(used, all)| format!("{} / {}", bytes(used as f64), bytes(all as f64)));
        let told = [
            Some(memory.unwrap_or_else(|| "memory not told".to_owned())),
            gpu.power.map(|watts| format!("{watts:.0} W")),
            gpu.temperature.map(|degrees| format!("{degrees} C")),
        ];
        let words = told.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let share = gpu.memory.map(|(used, all)| used as f64 / all.max(1) as f64);
        lines.push(line(String::new(), share, words));
    }
    if gpus.visible.iter().any(trains) {
        lines.push(dim(" * this run trains there".to_owned()));
    }
    if gpus.visible.is_empty() && gpus.hidden == 0 {
        lines.push(dim(" gpu      none that NVML tells of".to_owned()));
    } else if gpus.hidden > 0 {
        lines.push(dim(format!(" {} more that the trainer does not see", gpus.hidden)));
    }
    if gpus.is_order_unsure {
        lines.push(dim(" numbers by the bus; CUDA's may differ".to_owned()));
    }
    lines
}
