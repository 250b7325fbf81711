//! A comparison: the curves of all arms, the class frequencies of the one looked at, and the table
//! of what they reached.

use super::{Over, RaceApp, View, forest};
use crate::compare::{Race, Speedup, speedup};
use crate::dashboard::RunState;
use crate::protocol::{Cause, EpochSummary};
use crate::tui::chart::axis::{Scale, Unit};
use crate::tui::chart::classes::rows as class_rows;
use crate::tui::chart::{ClassBars, Curve, CurveChart, CurveKind, classes_legend};
use crate::tui::input::keymap::Where;
use crate::tui::look::appearance::Appearance;
use crate::tui::look::panel::{keys_line, panel, title};
use crate::tui::look::text::{clip, clock};
use crate::tui::look::theme::{ARMS, Role};
use crate::tui::overlay::draw_keys;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

/// Columns from which the table has room for intervals.
const WITH_INTERVAL: u16 = 96;
/// Below this size there is only the table, or only the forest plot.
const FULL: (u16, u16) = (70, 20);
/// Lines that the sentences below the forest plot get at most, and lines from which a chart is
/// worth drawing.
const SENTENCES: u16 = 8;
const CHART: u16 = 8;
/// Columns of the forest plot from which it is shown beside the table.
const BESIDE: u16 = 70;

pub fn draw(frame: &mut Frame<'_>, app: &RaceApp) {
    let area = frame.area();
    let [head, facts, panels, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    header(frame, app, head);
    frame.render_widget(Paragraph::new(under_way(app, facts.width)), facts);
    match app.view {
        View::Curves => curves(frame, app, panels),
        View::Differences => differences_first(frame, app, panels),
    }
    let look = &app.appearance;
    let keys = match app.over {
        Over::Quit => Line::from(vec![
            look.span(" Leave? It does not need this screen. ", Role::Title),
            look.span("enter", Role::Key),
            look.span(" leave, it trains on  ", Role::Text),
            look.span("s", Role::Key),
            look.span(" stop it  ", Role::Text),
            look.span("esc", Role::Key),
            look.span(" stay", Role::Text),
        ]),
        _ => keys_line(
            look,
            app.keymap.here(Where::Comparison).map(|(b, keys)| (b, keys, b.short)),
            footer.width,
        ),
    };
    frame.render_widget(Paragraph::new(keys), footer);
    if app.over == Over::Help {
        draw_keys(frame, look, &app.keymap, Where::Comparison, 0);
    }
}

/// Curves and classes, the table below them, the forest plot beside that where there is room.
fn curves(frame: &mut Frame<'_>, app: &RaceApp, area: Rect) {
    if area.width < FULL.0 || area.height + 3 < FULL.1 {
        return table(frame, app, area);
    }
    let rows = app.race.arms().len() as u16 + 3;
    let [top, below] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(rows.min(area.height / 2))])
            .areas(area);
    chart_and_classes(frame, app, top);
    let [left, right] =
        Layout::horizontal([Constraint::Length(table_width(app)), Constraint::Fill(1)])
            .areas(below);
    if right.width < BESIDE {
        return table(frame, app, below);
    }
    table(frame, app, left);
    differences(frame, app, right);
}

fn chart_and_classes(frame: &mut Frame<'_>, app: &RaceApp, area: Rect) {
    let [chart, classes] =
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(area);
    accuracy(frame, app, chart);
    frequencies(frame, app, classes);
}

/// The forest plot, with what was found in sentences; below it, where there is room for all of
/// them, the table, and between both the curves.
fn differences_first(frame: &mut Frame<'_>, app: &RaceApp, area: Rect) {
    let arms = app.race.arms().len() as u16;
    let (plot, rows) = (arms + 1 + forest::EXTRA, arms + 3);
    if plot + rows > area.height {
        return differences(frame, app, area);
    }
    let room = area.height - plot - rows;
    let plot = Constraint::Length(plot + room.min(SENTENCES));
    let [top, between, below] =
        Layout::vertical([plot, Constraint::Fill(1), Constraint::Length(rows)]).areas(area);
    differences(frame, app, top);
    if between.height >= CHART {
        chart_and_classes(frame, app, between);
    }
    table(frame, app, below);
}

fn differences(frame: &mut Frame<'_>, app: &RaceApp, area: Rect) {
    let look = &app.appearance;
    let finding = app.race.outcome().finding();
    let (on, off, null) = (look.glyphs.on, look.glyphs.off, look.glyphs.expected);
    let words = format!("{on} decided, {off} not, {null} chance alone ");
    let top = title(look, "difference to uniform", vec![look.span(words, Role::Dim)]);
    let sentences = finding.sentences();
    let needed = finding.standings.len() as u16 + forest::EXTRA;
    let spare = area.height.saturating_sub(2 + needed);
    // The first sentence on the frame, or all of them within it.
    let on_frame = (spare < 3 && !finding.standings.is_empty()).then(|| {
        let room = usize::from(area.width).saturating_sub(6);
        let said = clip(sentences.first().map_or("", String::as_str), room, look.glyphs.cut);
        Line::from(look.span(format!(" {said} "), Role::Text))
    });
    let is_on_frame = on_frame.is_some();
    let block = panel(look, top, on_frame);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [plot, below] =
        Layout::vertical([Constraint::Length(needed), Constraint::Fill(1)]).areas(inner);
    forest::draw(frame, look, &finding, &app.race.arms()[app.arm].arm, plot);
    if !is_on_frame {
        // Whole sentences only: the end of one is where it says how sure it is.
        let mut room = usize::from(below.height);
        let fits = |s: &String| {
            let needed = wrapped_lines(s, usize::from(below.width));
            let is_room = needed <= room;
            room = room.saturating_sub(needed);
            is_room
        };
        let shown = sentences.into_iter().take_while(fits);
        let lines = shown.map(|s| Line::from(look.span(s, Role::Text)));
        let text = Paragraph::new(lines.collect::<Vec<_>>()).wrap(Wrap { trim: true });
        frame.render_widget(text, below);
    }
}

/// Lines that a text takes when it is wrapped between words.
fn wrapped_lines(text: &str, width: usize) -> usize {
    let (mut lines, mut used) = (1, 0);
    for word in text.split_whitespace() {
        let wanted = if used == 0 { word.width() } else { used + 1 + word.width() };
        if wanted <= width {
            used = wanted;
        } else {
            (lines, used) = (lines + usize::from(used > 0), word.width());
        }
    }
    lines
}

fn header(frame: &mut Frame<'_>, app: &RaceApp, area: Rect) {
    let (look, race) = (&app.appearance, &app.race);
    let (done, of) = (race.done(), race.of());
    let (word, role) = match (app.is_live, done == of) {
        (_, true) => ("FINISHED".to_owned(), Role::Best),
        (true, false) => (format!("TRAINING {done}/{of}"), Role::Good),
        (false, false) => (format!("NOBODY TRAINS IT {done}/{of}"), Role::Warning),
    };
    let config = &race.design().config;
    let dot = look.glyphs.dot;
    let facts = format!(
        " {dot} {} arms {dot} {} seed(s) {dot} E {} of N {}",
        race.arms().len(),
        race.design().seeds.len(),
        config.importance.pretrain_epochs,
        config.train.epochs
    );
    let name = race.name();
    let room = usize::from(area.width).saturating_sub(2 + name.width() + word.width());
    let facts = clip(&facts, room, look.glyphs.cut);
    let gap = " ".repeat(room.saturating_sub(facts.width()));
    let line = Line::from(vec![
        Span::raw(" "),
        look.span(name, Role::Title),
        look.span(facts, Role::Dim),
        Span::raw(gap),
        look.span(word, role),
    ]);
    frame.render_widget(Paragraph::new(line), area);
}

/// What is being trained right now.
fn under_way(app: &RaceApp, width: u16) -> Line<'static> {
    let look = &app.appearance;
    if !app.is_live {
        let words = if app.race.done() == app.race.of() {
            "as a page: earlybird report"
        } else {
            "it goes on with: earlybird compare --resume"
        };
        return Line::from(look.span(format!(" {words} {}", app.race.name()), Role::Dim));
    }
    let one = |(seed, arm, d): &(u64, &str, &crate::dashboard::Dashboard)| {
        // Nothing else on the screen tells why nothing moves.
        let left = match d.state {
            RunState::Paused(Cause::Disk) => ", waits for its disk".to_owned(),
            RunState::Paused(Cause::Data) => ", waits for its data".to_owned(),
            RunState::Paused(_) => ", paused".to_owned(),
            _ => d.seconds_left().map_or_else(String::new, |s| format!(", {} left", clock(s))),
        };
        format!("seed {seed} {arm}: epoch {}/{}{left}", d.epoch, d.config.train.epochs)
    };
    let words: Vec<String> = app.race.under_way().iter().map(one).collect();
    let text =
        if words.is_empty() { "the next run is starting".to_owned() } else { words.join("; ") };
    Line::from(look.span(
        format!(" {}", clip(&text, usize::from(width).saturating_sub(2), look.glyphs.cut)),
        Role::Text,
    ))
}

/// The arm's accuracy over epochs in percent: of the seed looked at, else the mean of those that
/// got there.
fn curve(app: &RaceApp, arm: usize) -> Vec<(f64, f64)> {
    let seeds: Vec<&[EpochSummary]> = match app.seed {
        Some(seed) => vec![app.race.epochs(arm, seed)],
        None => (0..app.race.design().seeds.len()).map(|s| app.race.epochs(arm, s)).collect(),
    };
    let longest = seeds.iter().map(|e| e.len()).max().unwrap_or(0);
    let at = |i: usize| {
        let values: Vec<f64> =
            seeds.iter().filter_map(|e| e.get(i)).map(|e| 100.0 * e.measured.accuracy).collect();
        ((i + 1) as f64, values.iter().sum::<f64>() / values.len() as f64)
    };
    (0..longest).map(at).collect()
}

fn arm_role(arm: usize) -> Role {
    ARMS[arm % ARMS.len()]
}

fn accuracy(frame: &mut Frame<'_>, app: &RaceApp, area: Rect) {
    let look = &app.appearance;
    let curves: Vec<Vec<(f64, f64)>> =
        (0..app.race.arms().len()).map(|arm| curve(app, arm)).collect();
    let target = curves[0].iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let whose = match app.seed {
        Some(seed) => format!("seed {} ", app.race.design().seeds[seed]),
        None => "mean ".to_owned(),
    };
    let mut rest = vec![look.span(whose, Role::Dim)];
    if target.is_finite() {
        rest.push(look.span(format!("baseline's best {target:.2}% "), Role::Best));
    }
    let config = &app.race.design().config;
    let on = config.measured_on().word();
    let block = panel(look, title(look, &format!("{on} accuracy"), rest), None);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let values = || curves.iter().flatten().map(|p| p.1);
    if values().next().is_none() {
        return frame.render_widget(
            Paragraph::new(look.span("comes at the end of the first epoch", Role::Dim)),
            inner,
        );
    }
    let (low, high) =
        values().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    // What comes after E is what is compared: early epochs may leave the chart below.
    let e = config.pretrain_epochs();
    let after =
        curves.iter().flat_map(|c| c.iter().skip(e)).map(|p| p.1).fold(f64::INFINITY, f64::min);
    let floor = if after.is_finite() { low.max(after - 5.0) } else { low };
    let y = ((floor - 1.0).max(0.0).floor(), (high + 1.0).min(100.0).ceil());
    let x = (0.0, config.train.epochs as f64);
    let mut drawn = vec![Curve::upright(e as f64, Role::Mark)];
    if target.is_finite() {
        drawn.push(Curve::level(target, Role::Best));
    }
    let mut order: Vec<usize> = (0..curves.len()).filter(|arm| *arm != app.arm).collect();
    order.push(app.arm); // on top
    for arm in order {
        let kind =
            if look.is_colorless() && arm != app.arm { CurveKind::Points } else { CurveKind::Line };
        drawn.push(Curve { points: curves[arm].clone(), role: arm_role(arm), kind });
    }
    let ticks =
        Scale::of(app.race.dashboard(0, 0), Unit::Epochs).ticks(x, usize::from(inner.width) / 9);
    let chart = CurveChart {
        curves: drawn,
        x,
        ticks,
        y,
        log: false,
        unit: "%",
        glyphs: &look.glyphs,
        theme: &look.theme,
    };
    frame.render_widget(chart, inner);
}

fn frequencies(frame: &mut Frame<'_>, app: &RaceApp, area: Rect) {
    let look = &app.appearance;
    // Draws of several seeds have no mean that anybody drew: the newest seed that got there is
    // shown.
    let seeds = app.race.design().seeds.len();
    let seed = app.seed.or_else(|| {
        (0..seeds).rev().find(|s| !app.race.arms()[app.arm].entries[*s].dashboard.epochs.is_empty())
    });
    let seed = seed.unwrap_or(0);
    let d = app.race.dashboard(app.arm, seed);
    let g = &look.glyphs;
    let epoch = d.epochs.last().map_or_else(String::new, |e| format!("epoch {} ", e.epoch));
    let words = format!("seed {} {epoch}", app.race.design().seeds[seed]);
    let name = app.race.arms()[app.arm].arm.clone();
    let top = Line::from(vec![
        look.span(format!(" {name} "), arm_role(app.arm)),
        look.span(words, Role::Dim),
    ]);
    let block = panel(look, top, Some(classes_legend(look, app.order)));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let rows = class_rows(d, app.order, "");
    frame.render_widget(
        ClassBars { rows: &rows, selected: 0, glyphs: g, theme: &look.theme },
        inner,
    );
}

/// What an arm reached, in words: each as soon as it is decided.
struct Reached {
    last: String,
    gain: String,
    speedup: String,
    done: usize,
}

fn reached(race: &Race, arm: usize) -> Reached {
    let row = race.outcome().rows().into_iter().find(|r| r.arm == race.arms()[arm].arm);
    let dash = || "-".to_owned();
    Reached {
        last: row.as_ref().map_or_else(dash, |r| r.last.percent()),
        gain: row.as_ref().and_then(|r| r.last_gain).map_or_else(dash, |d| d.points()),
        speedup: if arm == 0 { dash() } else { speedups(race, arm) },
        done: race.arms()[arm].entries.iter().filter(|e| e.is_done()).count(),
    }
}

/// Seed by seed: reached (as soon as it is), not reached, or still open.
fn speedups(race: &Race, arm: usize) -> String {
    let one = |seed: usize| {
        if !race.arms()[0].entries[seed].is_done() {
            return "?".to_owned(); // the baseline's best is not known yet
        }
        let own = &race.arms()[arm].entries[seed];
        match speedup(race.epochs(0, seed), &own.dashboard.epochs) {
            Some(Speedup::Reached { epochs, .. }) => format!("{epochs:.2}x"),
            _ if own.is_done() => "no".to_owned(),
            _ => "?".to_owned(),
        }
    };
    (0..race.design().seeds.len()).map(one).collect::<Vec<_>>().join(" ")
}

/// Columns of the names in the table.
fn names_width(race: &Race) -> usize {
    race.arms().iter().map(|l| l.arm.width()).max().unwrap_or(0).clamp(4, 24)
}

/// Columns of the whole table with intervals, the speedups of all seeds included.
fn table_width(app: &RaceApp) -> u16 {
    let seeds = app.race.design().seeds.len();
    let columns = 2 + 4 + names_width(&app.race) + 2 + 7 + 16 + 24 + (6 * seeds).max(15);
    u16::try_from(columns).unwrap_or(u16::MAX).max(WITH_INTERVAL + 2)
}

fn table(frame: &mut Frame<'_>, app: &RaceApp, area: Rect) {
    let (look, race) = (&app.appearance, &app.race);
    let null = "chance alone reached what uniform-null did; no = not reached, ? = open";
    let block = panel(
        look,
        title(
            look,
            "arms",
            vec![look.span(
                "final test accuracy, difference to the baseline, speedup to its best ",
                Role::Dim,
            )],
        ),
        Some(Line::from(look.span(format!(" {null} "), Role::Dim))),
    );
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let names = names_width(race);
    // On a narrow screen the interval gives way to the speedups of all seeds.
    let with_interval = inner.width >= WITH_INTERVAL;
    let (gain, gain_head) =
        if with_interval { (24, "to uniform [95%]") } else { (12, "to uniform") };
    let mut lines = vec![Line::from(look.span(
        format!(
            "    {:<names$}  {:<7}{:<16}{gain_head:<gain$}{}",
            "arm", "seeds", "final %", "speedup by seed"
        ),
        Role::Dim,
    ))];
    for (arm, progress) in race.arms().iter().enumerate() {
        let r = reached(race, arm);
        let words = if with_interval {
            r.gain.as_str()
        } else {
            r.gain.split(' ').next().unwrap_or_default()
        };
        let here = if arm == app.arm { ">" } else { " " };
        let name = clip(&progress.arm, names, look.glyphs.cut);
        let pad = " ".repeat(names.saturating_sub(name.width()));
        lines.push(Line::from(vec![
            look.span(format!("{here} "), Role::Key),
            look.span(format!("{} {name}{pad}", marker(look)), arm_role(arm)),
            look.span(
                format!(
                    "  {:<7}{:<16}{words:<gain$}{}",
                    format!("{}/{}", r.done, progress.entries.len()),
                    r.last,
                    r.speedup
                ),
                Role::Text,
            ),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn marker(look: &Appearance) -> &'static str {
    look.glyphs.here
}
