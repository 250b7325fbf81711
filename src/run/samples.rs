//! What became of every training sample, on the disk: `importance.csv`, a row for each, and `samples.safetensors`, the images of
//! some. Both are written anew each time, whole or not at all.

use super::{RunDirectory, durable};
use crate::importance::Sample;
use crate::train::{Pictures, SampleSheet};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::io;

const ROWS: &str = "importance.csv";
const PICTURES: &str = "samples.safetensors";

pub(super) fn write(directory: &RunDirectory, sheet: &SampleSheet) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    sheet.samples.iter().try_for_each(|s| rows.serialize(s))?;
    durable::write(&directory.file(ROWS), &rows.into_inner().map_err(|e| io::Error::other(e.to_string()))?)?;
    let Pictures { index, pixels, shape: [c, h, w] } = &sheet.pictures;
    let numbers: Vec<u8> = index.iter().flat_map(|i| i.to_le_bytes()).collect();
    let views = [
        ("index", TensorView::new(Dtype::U32, vec![index.len()], &numbers).map_err(io::Error::other)?),
        ("pixels", TensorView::new(Dtype::U8, vec![index.len(), *h, *w, *c], pixels).map_err(io::Error::other)?),
    ];
    let bytes = safetensors::serialize(views, None::<HashMap<String, String>>).map_err(io::Error::other)?;
    durable::write(&directory.file(PICTURES), &bytes)
}

/// When that of the run in `directory` was last written; `None` before there were weights.
pub fn samples_written(directory: &RunDirectory) -> Option<std::time::SystemTime> {
    std::fs::metadata(directory.file(PICTURES)).and_then(|m| m.modified()).ok()
}

/// What became of the samples of the run in `directory`, as of its last epoch; `None` before there were weights.
///
/// # Errors
/// When a file cannot be read, or is not what was written.
pub fn read_samples(directory: &RunDirectory) -> io::Result<Option<SampleSheet>> {
    let rows = directory.file(ROWS);
    if !rows.exists() {
        return Ok(None);
    }
    let samples: Vec<Sample> = csv::Reader::from_path(rows)?.deserialize().collect::<Result<_, _>>()?;
    let bytes = std::fs::read(directory.file(PICTURES))?;
    let file = SafeTensors::deserialize(&bytes).map_err(io::Error::other)?;
    let index = file.tensor("index").map_err(io::Error::other)?;
    let pixels = file.tensor("pixels").map_err(io::Error::other)?;
    let [_, h, w, c] = *pixels.shape() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{PICTURES} holds no images")));
    };
    let pictures = Pictures {
        index: index.data().as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect(),
        pixels: pixels.data().to_vec(),
        shape: [c, h, w],
    };
    Ok(Some(SampleSheet { samples, pictures }))
}
