//! A packed file as a data source, and how one is made of an image folder.

mod write;

pub use self::write::{Pack, Packing, pack};

use crate::data::names::{printable_name, shown};
use crate::data::origin::{DataSource, Origin};
use crate::data::pack::{PackError, Packed};
use crate::data::read::DataError;
use crate::data::store::Store;
use crate::data::{Dataset, Progress, Split, Wanted};
use std::path::Path;
use std::sync::Arc;

/// A packed file.
pub(super) struct PackedFile;

impl DataSource for PackedFile {
    fn about(&self) -> &'static str {
        "your own images in one file, made by earlybird data pack, with data.path"
    }

    fn origin(&self) -> Origin {
        Origin::Own("the file that earlybird data pack made")
    }

    fn is_at(&self, path: &Path) -> bool {
        path.is_file() && Packed::open(path).is_ok()
    }

    fn load(
        &self,
        path: &Path,
        wanted: &Wanted,
        _progress: &mut dyn FnMut(Progress),
    ) -> Result<Dataset, DataError> {
        if path.as_os_str().is_empty() {
            return Err(DataError::Missing {
                what: "data.source = \"packed\" needs data.path".into(),
                help: "Set it to the file that earlybird data pack made.".into(),
            });
        }
        let packed = Packed::open(path).map_err(|e| match e {
            PackError::Io(source) => DataError::io(path)(source),
            other => DataError::Missing {
                what: format!("{}: {other}", shown(path)),
                help: "Pack the images again: earlybird data pack DIR --to FILE.tar".into(),
            },
        })?;
        let index = packed.index();
        let (train, n) = (index.train as u32, index.members.len() as u32);
        let classes = index.classes.clone();
        let label = |number: u32| index.members[number as usize].label;
        let labels = [(0..train), (train..n)].map(|numbers| numbers.map(label).collect());
        let store = Arc::new(Store::Packed(packed, wanted.exif));
        let [train_labels, test_labels] = labels;
        let split = |numbers, labels| Split::stored(&store, numbers, labels);
        let (train, test) = (split(0..train, train_labels), split(train..n, test_labels));
        let name = path.file_stem().map_or_else(|| shown(path), printable_name);
        Ok(Dataset::new(name, [3, wanted.image_size, wanted.image_size], classes, train, test))
    }
}
