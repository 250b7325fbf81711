//! Figures with a row for each name: the names at the left, the data at their right. Knows nothing
//! of arms and classes.

use super::palette::Paint;
use super::plot::{Axis, Plot};
use super::svg::{Anchor, LETTERS, SMALL, Svg, Type, WIDTH, shortened, wide};

/// Characters of a name at most.
const NAME: usize = 19;
/// Room above the rows, and below.
const ABOVE: f64 = 8.0;
const BELOW: f64 = 40.0;
/// A cell is as wide as this if its number shall be read.
const READABLE: f64 = 23.0;

/// An empty drawing with a row for each name, and where data lie in it: row k is at the height
/// [`row`] gives.
pub(super) fn by_name(names: &[&str], height: f64, x: &Axis) -> (Svg, Plot) {
    let left = 10.0 + names_width(names);
    let plot = Plot {
        left,
        top: ABOVE,
        width: WIDTH - left - 14.0,
        height: height * names.len().max(1) as f64,
        x: x.range.clone(),
        y: 0.0..names.len().max(1) as f64,
    };
    let mut svg = Svg::new(ABOVE + plot.height + BELOW);
    name_rows(&mut svg, &plot, names);
    plot.x_axis(&mut svg, x);
    (svg, plot)
}

/// The height of the middle of row `k`.
pub(super) fn row(plot: &Plot, k: usize) -> f64 {
    plot.top + plot.height * (k as f64 + 0.5) / plot.y.end
}

fn names_width(names: &[&str]) -> f64 {
    names.iter().map(|n| wide(&shortened(n, NAME), LETTERS)).fold(20.0, f64::max)
}

fn name_rows(svg: &mut Svg, plot: &Plot, names: &[&str]) {
    for (k, name) in names.iter().enumerate() {
        let look = Type::new(Paint::Ink, LETTERS, Anchor::Start);
        svg.text((4.0, row(plot, k) + 4.0), look, &shortened(name, NAME));
    }
}

/// A cell of a grid.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    /// How dark it is, from -1 (one colour) over 0 (paper) to 1 (the other).
    pub shade: f64,
    /// What stands in it, where there is room.
    pub words: String,
}

/// A table with coloured cells, the names of its columns standing upright above them.
pub(super) fn grid(
    rows: &[&str],
    columns: &[&str],
    cell: impl Fn(usize, usize) -> Option<Cell>,
) -> String {
    let tallest = columns.iter().map(|c| wide(&shortened(c, NAME), SMALL)).fold(20.0, f64::max);
    let left = 10.0 + names_width(rows);
    let width = (WIDTH - left - 4.0) / columns.len().max(1) as f64;
    let height = 21.0;
    let plot = Plot {
        left,
        top: tallest + 12.0,
        width: WIDTH - left - 4.0,
        height: height * rows.len().max(1) as f64,
        x: 0.0..columns.len().max(1) as f64,
        y: 0.0..rows.len().max(1) as f64,
    };
    let mut svg = Svg::new(plot.bottom() + 6.0);
    name_rows(&mut svg, &plot, rows);
    for (c, name) in columns.iter().enumerate() {
        let at = (plot.x(c as f64 + 0.5) + 3.5, plot.top - 5.0);
        let look = Type::new(Paint::Ink, SMALL, Anchor::Start);
        svg.turned(at, -90.0, look, &shortened(name, NAME));
    }
    for r in 0..rows.len() {
        for (c, cell) in (0..columns.len()).filter_map(|c| Some((c, cell(r, c)?))) {
            let (x, y) = (plot.x(c as f64), row(&plot, r) - height / 2.0);
            svg.rect((x + 0.5, y + 0.5), (width - 1.0, height - 1.0), &shade(cell.shade));
            if width >= READABLE {
                let look = Type::new(Paint::Ink, SMALL, Anchor::Middle);
                svg.text((x + width / 2.0, y + height / 2.0 + 3.6), look, &cell.words);
            }
        }
    }
    svg.finish()
}

/// Light enough that ink can be read on it.
fn shade(shade: f64) -> String {
    let paint = if shade < 0.0 { Paint::Worse } else { Paint::Better };
    paint.fill(0.06 + 0.54 * shade.abs().min(1.0))
}

/// A value for each row and each whole number of the x axis, from 0 (paper) to 1 (dark).
pub(super) fn heatmap(names: &[&str], x: &Axis, value: impl Fn(usize, usize) -> f64) -> String {
    let (mut svg, plot) = by_name(names, 17.0, x);
    let (first, last) = (x.range.start.ceil() as usize, x.range.end.floor() as usize);
    // Neighbours that overlap, or nearly touch, would have lines between them.
    let wide = plot.width / (last + 1 - first).max(1) as f64;
    let size = (wide - (0.1 * wide).min(0.7), 16.3);
    for (k, _) in names.iter().enumerate() {
        for i in first..=last {
            let at = (plot.x(i as f64 - 0.5), row(&plot, k) - 8.5);
            svg.rect(at, size, &Paint::Better.fill(0.05 + 0.85 * value(k, i).clamp(0.0, 1.0)));
        }
    }
    svg.finish()
}
