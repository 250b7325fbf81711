//! Reports: runs or a comparison as one HTML page that needs no network and no script, with every
//! figure as SVG and PNG and every table as CSV beside it. A fold over journals, like a screen;
//! knows nothing of training.

mod figures;
mod page;
mod style;
mod subject;
mod tables;
#[cfg(test)]
mod tests;

pub use subject::{ArmFigures, SamplesOfRun, SeedFigures, Subject};

use crate::run::RunDirectory;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing was finished yet.
    #[error("{0} has no finished epoch: there is nothing to report yet")]
    Empty(String),
    /// A figure cannot be drawn.
    #[error("the figure {name} cannot be drawn: {why}")]
    Figure {
        /// Which.
        name: &'static str,
        /// Why.
        why: String,
    },
}

/// Writes the report of `directories` (runs, or one comparison) into `out`; gives the page's path.
///
/// # Errors
/// [`ReportError`].
pub fn write(directories: &[RunDirectory], out: &Path) -> Result<PathBuf, ReportError> {
    let subject = Subject::of(directories)?;
    let figures = figures::all(&subject);
    let put = |name: &Path, bytes: &[u8]| {
        let path = out.join(name);
        let made =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        made.map(|()| path.clone()).map_err(|source| ReportError::Io { path, source })
    };
    let renderer = figures::Renderer::new();
    for figure in &figures {
        put(&Path::new("figures").join(format!("{}.png", figure.name)), &renderer.png(figure)?)?;
        put(&Path::new("figures").join(format!("{}.svg", figure.name)), figure.svg.as_bytes())?;
    }
    for (name, bytes) in tables::all(&subject) {
        put(&Path::new("tables").join(name), &bytes)?;
    }
    put(Path::new("index.html"), page::html(&subject, &figures).as_bytes())
}
