//! What a data source is asked for. Knows no source by name.

use super::fetch::Remote;
use super::read::DataError;
use super::{Dataset, Progress, Wanted};
use std::path::{Path, PathBuf};

/// Where a source's images come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They are inside the program.
    Program,
    /// Whoever uses them has them: what `data.path` has to name.
    Own(&'static str),
    /// They are published, in these files.
    Published(Vec<Remote>),
}

/// A kind of data.
pub(super) trait DataSource: Sync {
    /// What it holds, in one line.
    fn about(&self) -> &'static str;

    fn origin(&self) -> Origin;

    /// Where it may lie on this machine, in the order in which places are looked at.
    fn places(&self, _cache: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether it lies at `path`.
    fn is_at(&self, _path: &Path) -> bool {
        false
    }

    /// What to do where it lies at `path` in a form that is not read.
    fn hint(&self, _path: &Path) -> Option<String> {
        None
    }

    /// Reads it from `path`. Images that come in many sizes are scaled to squares with sides of
    /// `image_size` pixels; those that can be read one by one may stay where they are.
    ///
    /// # Errors
    /// [`DataError`] says which file and byte, or what to do.
    fn load(
        &self,
        path: &Path,
        wanted: &Wanted,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Dataset, DataError>;
}
