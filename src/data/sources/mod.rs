//! The table of data sources. A new one is a file beside this one that implements [`DataSource`],
//! and a row here.

mod cifar;
mod embedded;
mod folder;
mod idx;
mod packed;

pub use packed::{Pack, Packing, pack};

use crate::cache::cache_dir;
use crate::data::fetch::{PATIENCE, Remote, download};
use crate::data::names::shown;
use crate::data::origin::{DataSource, Origin};
use crate::data::read::DataError;
use crate::data::{Dataset, Progress, Wanted};
use crate::table::table;
use std::path::{Path, PathBuf};

table! {
    /// Kinds of data source.
    pub enum Source: &'static dyn DataSource {
        /// 10,000 + 5,000 images of Fashion-MNIST inside the program.
        Embedded = "embedded" => &embedded::Embedded,
        /// Fashion-MNIST (or any data in its IDX files), 60,000 + 10,000 images.
        FashionMnist = "fashion-mnist" => &idx::FashionMnist,
        /// CIFAR-10, binary version.
        Cifar10 = "cifar10" => &cifar::Kind::Ten,
        /// CIFAR-100, binary version, fine labels.
        Cifar100 = "cifar100" => &cifar::Kind::Hundred,
        /// `train/<class>/*.jpg` and `test/<class>/...`.
        Folder = "folder" => &folder::Folder,
        /// The same in one file, made by `earlybird data pack`.
        Packed = "packed" => &packed::PackedFile,
    }
}

impl Source {
    /// What it holds, in one line.
    pub fn about(self) -> &'static str {
        self.row().about()
    }

    /// Where its images come from.
    pub fn origin(self) -> Origin {
        self.row().origin()
    }

    /// Where its files are on this machine, if they are.
    pub fn locate(self) -> Option<PathBuf> {
        self.row().places(&cache_dir()).into_iter().find(|path| self.is_at(path))
    }

    /// Whether its files are at `path`.
    pub(super) fn is_at(self, path: &Path) -> bool {
        self.row().is_at(path)
    }

    /// What to do where its files are at `path` in a form that is not read.
    pub(super) fn hint(self, path: &Path) -> Option<String> {
        self.row().hint(path)
    }

    /// Reads it from `path`, or from where it usually is; published files that are not on this
    /// machine are downloaded.
    pub(super) fn load(
        self,
        path: Option<&Path>,
        wanted: &Wanted,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Dataset, DataError> {
        let provided;
        let path = match (path, self.origin()) {
            (Some(path), _) => path,
            (None, Origin::Published(remotes)) => {
                provided = self.provide(&remotes, progress)?;
                &provided
            }
            (None, Origin::Program | Origin::Own(_)) => Path::new(""),
        };
        self.row().load(path, wanted, progress)
    }

    fn provide(
        self,
        remotes: &[Remote],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, DataError> {
        if let Some(path) = self.locate() {
            return Ok(path);
        }
        for remote in remotes {
            download(remote, &cache_dir(), PATIENCE, progress)?;
        }
        self.locate().ok_or_else(|| DataError::Missing {
            what: format!(
                "the downloaded files are not where they belong in {}",
                shown(&cache_dir())
            ),
            help: "Remove that directory and try again, or set data.path.".into(),
        })
    }
}
