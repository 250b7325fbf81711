//! Charts: what is drawn from plain figures, over axes with round ticks. Know no key and no tab.

pub mod axis;
mod class_bars;
pub mod classes;
mod curves;
mod heatmap;
mod histogram;
pub mod plot;
mod sparkline;
mod timeline;

pub use class_bars::{ClassBars, classes_legend};
pub use curves::{Curve, CurveChart, CurveKind};
pub use heatmap::{HeatRow, Heatmap};
pub use histogram::Columns;
pub use sparkline::sparkline;
pub use timeline::Timeline;
