//! Things that are drawn from plain figures. Know no dashboard and no key.

mod chart;
mod class_bars;
mod heatmap;
mod histogram;
mod sparkline;
mod timeline;

pub use chart::{Curve, CurveChart, CurveKind};
pub use class_bars::ClassBars;
pub use heatmap::{HeatRow, Heatmap};
pub use histogram::Columns;
pub use sparkline::sparkline;
pub use timeline::Timeline;
