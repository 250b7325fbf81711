//! The forest plot of a comparison in a terminal: for each arm its difference to the baseline with
//! the 95% interval, the highest first. Knows no keys and no journals.

use crate::compare::{Finding, Side, Standing, points};
use crate::tui::chart::axis::ticks;
use crate::tui::look::appearance::Appearance;
use crate::tui::look::list::first_shown;
use crate::tui::look::text::clip;
use crate::tui::look::theme::Role;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

/// Lines that are no arms: what stands above them, and the axis.
pub const EXTRA: u16 = 2;
/// Columns of a name at most.
const NAME: usize = 22;
/// Columns that a plot needs beside names and values.
const PLOT: usize = 24;

/// The forest plot within `area`, `selected` marked.
pub fn draw(
    frame: &mut Frame<'_>,
    look: &Appearance,
    finding: &Finding,
    selected: &str,
    area: Rect,
) {
    if finding.standings.is_empty() {
        let words = "comes when the baseline and an arm have finished a seed";
        return frame.render_widget(Paragraph::new(look.span(words, Role::Dim)), area);
    }
    let plot = Plot::new(finding, usize::from(area.width));
    let room = usize::from(area.height.saturating_sub(EXTRA));
    let mut lines = vec![plot.head(look)];
    let at = finding.standings.iter().position(|s| s.arm == selected).unwrap_or(0);
    let first = first_shown(at, finding.standings.len(), room);
    let shown = finding.standings.iter().skip(first).take(room);
    lines.extend(shown.map(|s| plot.row(look, s, s.arm == selected)));
    lines.push(plot.axis(look));
    frame.render_widget(Paragraph::new(lines), area);
}

/// Where columns are.
struct Plot {
    names: usize,
    /// Columns of the plot.
    width: usize,
    /// Columns of the values; with intervals where there is room.
    values: usize,
    with_interval: bool,
    /// What the plot spans.
    low: f64,
    high: f64,
    /// The null arm's interval.
    chance: Option<(f64, f64)>,
}

impl Plot {
    fn new(finding: &Finding, width: usize) -> Self {
        let standings = &finding.standings;
        let widest = |of: &dyn Fn(&Standing) -> usize| standings.iter().map(of).max().unwrap_or(0);
        let names = widest(&|s| s.arm.width()).min(NAME);
        let whole = widest(&|s| s.gain.points().width());
        // Mark, name and gaps.
        let rest = width.saturating_sub(2 + names + 2);
        let with_interval = rest >= PLOT + whole;
        let values = if with_interval { whole } else { widest(&|s| mean(s).width()) };
        let (low, high) = finding.span();
        let room = 0.04 * (high - low).max(1e-6);
        let null = finding.standings.iter().find(|s| s.is_null);
        Self {
            names,
            width: rest.saturating_sub(values + 1).max(1),
            values,
            with_interval,
            low: low - room,
            high: high + room,
            chance: null.and_then(|s| s.gain.interval),
        }
    }

    /// The column of a difference; before the first, or after the last, for one beyond.
    fn column(&self, value: f64) -> i64 {
        let share = (value - self.low) / (self.high - self.low);
        (share * self.width as f64).floor() as i64
    }

    /// A line of the plot that is empty but for what is behind the arms.
    fn behind(&self, look: &Appearance) -> Vec<(&'static str, Role)> {
        let mut cells = vec![(" ", Role::Text); self.width];
        if let Some((low, high)) = self.chance {
            for at in self.column(low)..=self.column(high) {
                put(&mut cells, at, (look.glyphs.shades[1], Role::Dim));
            }
        }
        put(&mut cells, self.column(0.0), (look.glyphs.axis_v, Role::Mark));
        cells
    }

    fn head(&self, look: &Appearance) -> Line<'static> {
        let zero = usize::try_from(self.column(0.0)).unwrap_or(0).min(self.width);
        let after = self.width - zero;
        let (worse, better) = ("worse ", " better");
        let left = if worse.len() <= zero { worse } else { "" };
        let right = if better.len() < after { better } else { "" };
        let head = if self.with_interval { "points [95%]" } else { "points" };
        let indent = 2 + self.names + 2;
        look_dim(
            look,
            format!(
                "{:indent$}{left:>zero$}{right:<after$} {head:>values$}",
                "",
                values = self.values
            ),
        )
    }

    fn row(&self, look: &Appearance, s: &Standing, is_selected: bool) -> Line<'static> {
        let g = &look.glyphs;
        let role = match s.side() {
            _ if s.is_null => Role::Dim,
            Side::Better => Role::Good,
            Side::Worse => Role::Bad,
            Side::Open => Role::Text,
        };
        let mut cells = self.behind(look);
        if let Some((low, high)) = s.gain.interval {
            let (from, to) = (self.column(low), self.column(high));
            (from.max(0)..=to).for_each(|at| put(&mut cells, at, (g.axis_h, role)));
            self.beyond(&mut cells, from, role);
            self.beyond(&mut cells, to, role);
        }
        let mark = match s.side() {
            _ if s.is_null => g.expected,
            Side::Open => g.off,
            _ => g.on,
        };
        let at = self.column(s.gain.mean);
        put(&mut cells, at, (mark, role));
        self.beyond(&mut cells, at, role);
        let name = clip(&s.arm, self.names, g.cut);
        let pad = " ".repeat(self.names.saturating_sub(name.width()));
        let value = if self.with_interval { s.gain.points() } else { mean(s) };
        let mut spans = vec![
            look.span(if is_selected { "> " } else { "  " }, Role::Key),
            look.span(format!("{name}{pad}  "), if s.holds() { role } else { Role::Text }),
        ];
        spans.extend(runs(cells).map(|(text, role)| look.span(text, role)));
        spans.push(look.span(format!(" {value:>0$}", self.values), role));
        Line::from(spans)
    }

    /// An arrow at the edge that something lies beyond.
    fn beyond(&self, cells: &mut [(&'static str, Role)], at: i64, role: Role) {
        if at < 0 {
            put(cells, 0, ("<", role));
        } else if at >= self.width as i64 {
            put(cells, self.width as i64 - 1, (">", role));
        }
    }

    fn axis(&self, look: &Appearance) -> Line<'static> {
        let mut line = vec![' '; self.width];
        let mut free = 0;
        for (value, words) in ticks((100.0 * self.low, 100.0 * self.high), self.width / 9) {
            let at = usize::try_from(self.column(value / 100.0)).unwrap_or(0);
            let start = at.saturating_sub(words.len() / 2);
            if start < free || start + words.len() > self.width {
                continue;
            }
            words.chars().enumerate().for_each(|(k, c)| line[start + k] = c);
            free = start + words.len() + 1;
        }
        let indent = " ".repeat(2 + self.names + 2);
        look_dim(look, indent + &line.into_iter().collect::<String>())
    }
}

fn look_dim(look: &Appearance, text: String) -> Line<'static> {
    Line::from(look.span(text, Role::Dim))
}

/// Only the mean, where there is no room for the interval.
fn mean(s: &Standing) -> String {
    points(100.0 * s.gain.mean)
}

/// Puts something into a cell, if that is within.
fn put(cells: &mut [(&'static str, Role)], at: i64, what: (&'static str, Role)) {
    if let Some(cell) = usize::try_from(at).ok().and_then(|at| cells.get_mut(at)) {
        *cell = what;
    }
}

/// Neighbours of one role as one text.
fn runs(cells: Vec<(&'static str, Role)>) -> impl Iterator<Item = (String, Role)> {
    let mut out: Vec<(String, Role)> = Vec::new();
    for (symbol, role) in cells {
        match out.last_mut() {
            Some((text, last)) if *last == role => text.push_str(symbol),
            _ => out.push((symbol.to_owned(), role)),
        }
    }
    out.into_iter()
}
