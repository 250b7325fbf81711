//! How much sooner each arm reaches the baseline's highest accuracy, seed by seed.

use super::palette::Paint;
use super::plot::{Axis, Unit, around};
use super::rows::{by_name, row};
use crate::compare::{Row, Speedup};

/// Height of a row.
const ROW: f64 = 23.0;

/// A row for each of `rows`, in their order; those without speedups, as the baseline, have none.
pub(super) fn draw(rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| !row.speedups.is_empty()).collect();
    let epochs = |s: &Speedup| match s {
        Speedup::Reached { epochs, .. } => Some(*epochs),
        Speedup::NotReached => None,
    };
    let reached = rows.iter().flat_map(|row| row.speedups.iter().filter_map(epochs));
    let range = around(reached.chain([0.5, 1.5]));
    let label = "speedup in epochs, 1 = as the baseline".into();
    let axis = Axis { label, unit: Unit::Plain, range };
    let names: Vec<&str> = rows.iter().map(|row| row.arm.as_str()).collect();
    let (mut svg, plot) = by_name(&names, ROW, &axis);
    let one = plot.x(1.0);
    svg.line((one, plot.top), (one, plot.bottom()), &Paint::Ink.stroke(1.2));
    for (k, arm) in rows.iter().enumerate() {
        let n = arm.speedups.len() as f64;
        for (seed, speedup) in arm.speedups.iter().enumerate() {
            // Seeds lie one above the other, and within their row however many there are.
            let apart = (ROW - 9.0) / n.max(4.0);
            let y = row(&plot, k) + apart * (seed as f64 - (n - 1.0) / 2.0);
            match epochs(speedup) {
                Some(epochs) => svg.circle((plot.x(epochs), y), 3.0, &Paint::Better.fill(0.85)),
                None => svg.circle((plot.left + 3.0, y), 2.6, &Paint::Dim.hollow(1.0)),
            }
        }
    }
    svg.finish()
}
