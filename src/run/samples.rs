//! What became of every training sample, on the disk: `importance.csv`, a row for each, and
//! `samples.safetensors`, the images of some. Both are written anew each time, whole or not at all.

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
    durable::write(
        &directory.file(ROWS),
        &rows.into_inner().map_err(|e| io::Error::other(e.to_string()))?,
    )?;
    let Pictures { index, pixels, shape: [c, h, w] } = &sheet.pictures;
    let numbers: Vec<u8> = index.iter().flat_map(|i| i.to_le_bytes()).collect();
    let views = [
        (
            "index",
            TensorView::new(Dtype::U32, vec![index.len()], &numbers).map_err(io::Error::other)?,
        ),
        (
            "pixels",
            TensorView::new(Dtype::U8, vec![index.len(), *h, *w, *c], pixels)
                .map_err(io::Error::other)?,
        ),
    ];
    let bytes =
        safetensors::serialize(views, None::<HashMap<String, String>>).map_err(io::Error::other)?;
    durable::write(&directory.file(PICTURES), &bytes)
}

/// When that of the run in `directory` was last written; `None` before there were weights.
pub fn samples_written(directory: &RunDirectory) -> Option<std::time::SystemTime> {
    std::fs::metadata(directory.file(PICTURES)).and_then(|m| m.modified()).ok()
}

/// What became of the samples of the run in `directory`, as of its last epoch; `None` before there
/// were weights.
///
/// # Errors
/// When a file cannot be read, or is not what was written.
pub fn read_samples(directory: &RunDirectory) -> io::Result<Option<SampleSheet>> {
    let rows = directory.file(ROWS);
    if !rows.exists() {
        return Ok(None);
    }
    let samples: Vec<Sample> =
        csv::Reader::from_path(&rows)?.deserialize().collect::<Result<_, _>>()?;
    if let Some(sample) = samples.iter().find(|s| !is_possible(s)) {
        return Err(wrong(ROWS, &format!("the figures of sample {} cannot be", sample.index)));
    }
    let pictures = pictures(&std::fs::read(directory.file(PICTURES))?)?;
    Ok(Some(SampleSheet { samples, pictures }))
}

fn wrong(file: &str, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{file}: {what}"))
}

/// Whether a sample can have these figures: shares are shares.
fn is_possible(s: &Sample) -> bool {
    let is_share = |v: f64| (0.0..=1.0).contains(&v);
    let shares =
        [s.p, s.confidence, Some(s.weight)].into_iter().flatten().all(|v| is_share(v.into()));
    shares && is_share(s.probability)
}

/// The images in the bytes of `samples.safetensors`.
fn pictures(bytes: &[u8]) -> io::Result<Pictures> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| wrong(PICTURES, &e.to_string()))?;
    let tensor = |name: &str, dtype: Dtype| {
        let tensor = file.tensor(name).map_err(|e| wrong(PICTURES, &e.to_string()))?;
        if tensor.dtype() == dtype {
            Ok(tensor)
        } else {
            Err(wrong(PICTURES, &format!("{name} is of type {:?}", tensor.dtype())))
        }
    };
    let (index, pixels) = (tensor("index", Dtype::U32)?, tensor("pixels", Dtype::U8)?);
    let [m, h, w, c] = *pixels.shape() else { return Err(wrong(PICTURES, "it holds no images")) };
    let index: Vec<u32> =
        index.data().as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    let image =
        [h, w, c].into_iter().try_fold(1_usize, usize::checked_mul).filter(|bytes| *bytes > 0);
    if index.len() != m || image.and_then(|image| image.checked_mul(m)) != Some(pixels.data().len())
    {
        return Err(wrong(PICTURES, "it does not hold as many images as numbers"));
    }
    if !index.is_sorted_by(|a, b| a < b) {
        return Err(wrong(PICTURES, "its numbers are not in order"));
    }
    Ok(Pictures { index, pixels: pixels.data().to_vec(), shape: [c, h, w] })
}
