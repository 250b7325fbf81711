//! System: the machine, throughput, where the time of a step goes, and what was said.

use super::super::app::App;
use super::super::machine::ProcessFigures;
use super::super::text::{bytes, clock, thousands, wrap};
use super::super::theme::Role;
use super::super::widgets::{Curve, CurveKind, sparkline};
use super::chrome::role_of;
use super::plot::{self, Values, axis_words, cursor_words};
use super::title;
use crate::protocol::{StepTimes, Threads};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

const MACHINE: usize = 0;
const THROUGHPUT: usize = 1;
const STEP: usize = 2;
const MESSAGES: usize = 3;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, body: Rect) {
    if app.zoomed {
        return panel(frame, app, body, app.focused());
    }
    let [above, below] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(above);
    let [step, messages] =
        Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(below);
    for (area, number) in [(left, MACHINE), (right, THROUGHPUT), (step, STEP), (messages, MESSAGES)]
    {
        panel(frame, app, area, number);
    }
}

fn panel(frame: &mut Frame<'_>, app: &App, area: Rect, number: usize) {
    match number {
        MACHINE => machine(frame, app, area),
        THROUGHPUT => throughput(frame, app, area),
        STEP => step(frame, app, area),
        _ => messages(frame, app, area),
    }
}

/// A bar of `width` columns, full at 1.
fn bar(app: &App, share: f64, width: usize, role: Role) -> Span<'static> {
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let text: String =
        (0..width).map(|k| app.appearance.glyphs.row(eighths.saturating_sub(k * 8))).collect();
    app.span(text, role)
}

fn machine(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let inner =
        app.panel(frame, area, MACHINE, title(&app.appearance, "machine", Vec::new()), None);
    let Some(m) = &app.machine else {
        return frame.render_widget(Paragraph::new(app.span("looking", Role::Dim)), inner);
    };
    let width = usize::from(inner.width).saturating_sub(31).min(30);
    let line = |name: &str, share: f64, words: String| {
        Line::from(vec![
            app.span(format!(" {name:<9}"), Role::Dim),
            bar(app, share, width, Role::Accuracy),
            app.span(format!(" {words}"), Role::Text),
        ])
    };
    let cpu = m.cores.iter().sum::<f64>() / m.cores.len().max(1) as f64;
    let share = |(used, all): (u64, u64)| used as f64 / all.max(1) as f64;
    let both = |(used, all): (u64, u64)| format!("{} / {}", bytes(used as f64), bytes(all as f64));
    let process = |name: &str, p: &ProcessFigures| {
        let pid = if inner.width >= 46 { format!(", pid {}", p.pid) } else { String::new() };
        let words = format!("{:.0}% of a core, {}{pid}", p.cpu, bytes(p.memory as f64));
        Line::from(vec![app.span(format!(" {name:<9}"), Role::Dim), app.span(words, Role::Text)])
    };
    let mut lines = vec![
        line("cpu", cpu / 100.0, format!("{cpu:.0}% of {}, load {:.1}", m.cores.len(), m.load)),
        line("memory", share(m.memory), both(m.memory)),
    ];
    if let Some(Threads { count, because, waiting }) = &app.dashboard.threads {
        let how = if inner.width >= 56 { format!(", {waiting}") } else { String::new() };
        let words = format!("{count} by {because}{how}");
        lines
            .push(Line::from(vec![app.span(" threads  ", Role::Dim), app.span(words, Role::Text)]));
    }
    lines.extend(m.trainer.as_ref().map(|p| process("trainer", p)));
    lines.extend(m.cockpit.as_ref().map(|p| process("cockpit", p)));
    let c = app.costs;
    let all = if inner.width >= 50 {
        format!(", {} in all", bytes(c.bytes as f64))
    } else {
        String::new()
    };
    let words = format!("{}/s, {:.1} frames/s{all}", bytes(c.bytes_per_s), c.frames_per_s);
    lines.push(Line::from(vec![app.span(" screen   ", Role::Dim), app.span(words, Role::Text)]));
    for (k, gpu) in m.gpus.iter().enumerate() {
        lines.push(line(
            &format!("gpu {k}"),
            f64::from(gpu.utilization) / 100.0,
            format!("{}% {}", gpu.utilization, gpu.name),
        ));
        let words = format!("{}, {:.0} W, {} C", both(gpu.memory), gpu.power, gpu.temperature);
        lines.push(line("", share(gpu.memory), words));
    }
    if m.gpus.is_empty() {
        lines.push(Line::from(app.span(" gpu      none that NVML tells of", Role::Dim)));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn throughput(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let d = &app.dashboard;
    let look = &app.appearance;
    let now = || {
        d.images_per_s
            .map(|r| app.span(format!("{} images/s ", thousands(r as usize)), Role::Accuracy))
            .into_iter()
            .collect()
    };
    let there = cursor_words(app, |at| {
        d.rate.at(at).map(|[_, mean, _]| format!("{} images/s", thousands(mean as usize)))
    });
    let words = axis_words(app);
    let bottom = (!words.is_empty()).then(|| Line::from(app.span(format!(" {words} "), Role::Dim)));
    let inner = app.panel(
        frame,
        area,
        THROUGHPUT,
        title(look, "throughput", there.unwrap_or_else(now)),
        bottom,
    );
    if d.rate.is_empty() {
        return frame.render_widget(
            Paragraph::new(app.span("the first steps are under way", Role::Dim)),
            inner,
        );
    }
    let curves = vec![
        Curve { points: d.rate.extremes(), role: Role::LossRaw, kind: CurveKind::Points },
        Curve {
            points: d.rate.smoothed(app.axis.smoothing()),
            role: Role::Accuracy,
            kind: CurveKind::Line,
        },
    ];
    let values = Values {
        from_zero: true,
        within: (0.0, f64::INFINITY),
        margin: 0.0,
        may_be_log: true,
        unit: "",
    };
    plot::draw(frame, app, inner, THROUGHPUT, curves, &values);
}

fn step(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let look = &app.appearance;
    let last = app.dashboard.epochs.last().and_then(|e| Some((e, e.step_ms?)));
    let whole =
        |t: &StepTimes| t.data + t.forward + t.backward + t.optimizer + t.bookkeeping + t.waiting;
    let rest = last
        .map(|(e, t)| app.span(format!("{:.2} ms, epoch {} ", whole(&t), e.epoch), Role::Dim))
        .into_iter()
        .collect();
    let hint = Line::from(app.span(" GPU: asking, then waiting ", Role::Dim));
    let inner = app.panel(frame, area, STEP, title(look, "step", rest), Some(hint));
    let Some((_, t)) = last else {
        return frame.render_widget(
            Paragraph::new(app.span("comes with the first epoch", Role::Dim)),
            inner,
        );
    };
    let width = usize::from(inner.width).saturating_sub(33).min(40);
    let history: Vec<StepTimes> = app.dashboard.epochs.iter().filter_map(|e| e.step_ms).collect();
    let part = |name: &str, of: fn(&StepTimes) -> f64, role| {
        let share = of(&t) / whole(&t).max(1e-9);
        let course: Vec<f64> = history.iter().map(of).collect();
        Line::from(vec![
            app.span(format!(" {name:<12}"), Role::Dim),
            app.span(format!("{:>7.2} ms {:>3.0}% ", of(&t), 100.0 * share), Role::Text),
            bar(app, share, width, role),
            app.span(format!(" {}", sparkline(&course, 6, &look.glyphs)), Role::Dim),
        ])
    };
    let lines = vec![
        part("data", |t| t.data, Role::Share),
        part("forward", |t| t.forward, Role::Accuracy),
        part("backward", |t| t.backward, Role::Loss),
        part("optimizer", |t| t.optimizer, Role::Weights),
        part("bookkeeping", |t| t.bookkeeping, Role::Best),
        part("waiting", |t| t.waiting, Role::Text),
    ];
    frame.render_widget(Paragraph::new(lines), inner);
}

fn messages(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let listed = app.listed_messages();
    let rest = vec![app.span(format!("{}, newest first ", listed.len()), Role::Dim)];
    let inner = app.panel(frame, area, MESSAGES, title(&app.appearance, "messages", rest), None);
    let width = usize::from(inner.width).saturating_sub(10);
    let mut lines = Vec::new();
    for message in listed.iter().rev().skip(app.selected()) {
        if lines.len() >= usize::from(inner.height) {
            break;
        }
        for (k, part) in wrap(&message.text, width.max(10)).into_iter().enumerate() {
            let time = if k == 0 { clock(message.t) } else { String::new() };
            lines.push(Line::from(vec![
                app.span(format!(" {time:>7} "), Role::Dim),
                app.span(part, role_of(message.tone)),
            ]));
        }
    }
    frame.render_widget(Paragraph::new(lines), inner);
}
