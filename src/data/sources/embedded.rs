//! The data set inside the binary: 10,000 + 5,000 class-balanced images of Fashion-MNIST
//! (MIT, (c) 2017 Zalando SE, <https://github.com/zalandoresearch/fashion-mnist>).

use super::idx;
use crate::data::origin::{DataSource, Origin};
use crate::data::read::DataError;
use crate::data::{Dataset, Progress, Wanted};
use flate2::read::GzDecoder;
use std::path::Path;

const FILES: [&[u8]; 4] = [
    include_bytes!("../fashion-mnist-mini/train-images-idx3-ubyte.gz"),
    include_bytes!("../fashion-mnist-mini/train-labels-idx1-ubyte.gz"),
    include_bytes!("../fashion-mnist-mini/t10k-images-idx3-ubyte.gz"),
    include_bytes!("../fashion-mnist-mini/t10k-labels-idx1-ubyte.gz"),
];

/// See above.
pub(super) struct Embedded;

impl DataSource for Embedded {
    fn about(&self) -> &'static str {
        "10,000 + 5,000 grey 28x28, 10 classes (inside the program)"
    }

    fn origin(&self) -> Origin {
        Origin::Program
    }

    fn load(
        &self,
        _path: &Path,
        _wanted: &Wanted,
        _progress: &mut dyn FnMut(Progress),
    ) -> Result<Dataset, DataError> {
        let part = |images: usize, labels: usize| {
            let (images, labels) = (GzDecoder::new(FILES[images]), GzDecoder::new(FILES[labels]));
            idx::read_part((images, "embedded images".into()), (labels, "embedded labels".into()))
        };
        idx::assemble("fashion-mnist-mini", part(0, 1)?, part(2, 3)?, Some(idx::FASHION))
    }
}
