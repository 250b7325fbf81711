//! Measures what reading streamed images costs a core: decoding alone, and decoding with what is
//! shown of an image cut out and scaled.

use super::BenchError;
use crate::data::{self, DataConfig, Dataset, Decoder, Images, Resident, Source, TrainCrop};
use crate::data::{Stored, Viewer, Views};
use rayon::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// What reading images of a folder or a packed file costs.
#[derive(Clone, Debug, Serialize)]
pub struct ReadFigures {
    /// Images that each figure is of.
    pub images: usize,
    /// Side of what is shown, in pixels.
    pub size: usize,
    /// Images that a core decodes a second.
    pub decoded_per_core_s: f64,
    /// Random resized crops that a core makes a second, decoding included.
    pub crops_per_core_s: f64,
    /// Views of evaluation that a core makes a second, decoding included: the short side scaled to
    /// 8/7 of the size, the middle cut out.
    pub evaluated_per_core_s: f64,
    /// Random resized crops that all cores make a second.
    pub crops_per_s: f64,
    /// How many cores these are.
    pub cores: usize,
}

/// Times the training images of the folder or packed file at `path`, at most `images` of them, at
/// `size` pixels: the medians of `rounds` rounds, by the time that a thread computed.
///
/// # Errors
/// When they cannot be read.
pub fn read(
    path: &Path,
    (images, size): (usize, usize),
    rounds: usize,
) -> Result<ReadFigures, BenchError> {
    let (stored, views) = streamed(path, size)?;
    let n = stored.numbers.len().min(images);
    let decoder = Decoder::default();
    let mut viewer = Viewer::default();
    let mut figures: [Vec<f64>; 4] = Default::default();
    for round in 0..rounds {
        let decode = per_second(n, |i| stored.image(i, &decoder).map(drop))?;
        let mut show = |is_training: bool| {
            let mut out = Vec::new();
            per_second(n, |i| {
                out.clear();
                let draw = is_training.then_some((1, round as u64, i));
                viewer.show((&stored, i), &views, draw, &decoder, &mut out)
            })
        };
        let (crops, evaluated) = (show(true)?, show(false)?);
        let began = Instant::now();
        (0..n).into_par_iter().try_for_each_init(Viewer::default, |viewer, i| {
            viewer.show((&stored, i), &views, Some((2, round as u64, i)), &decoder, &mut Vec::new())
        })?;
        let all = n as f64 / began.elapsed().as_secs_f64();
        for (all, one) in figures.iter_mut().zip([decode, crops, evaluated, all]) {
            all.push(one);
        }
    }
    let [decoded_per_core_s, crops_per_core_s, evaluated_per_core_s, crops_per_s] =
        figures.map(median);
    Ok(ReadFigures {
        images: n,
        size,
        decoded_per_core_s,
        crops_per_core_s,
        evaluated_per_core_s,
        crops_per_s,
        cores: rayon::current_num_threads(),
    })
}

/// The training images at `path`, and ImageNet's views of them.
fn streamed(path: &Path, size: usize) -> Result<(Stored, Views), BenchError> {
    let config = DataConfig {
        source: if path.is_dir() { Source::Folder } else { Source::Packed },
        path: path.to_string_lossy().into_owned(),
        image_size: size,
        resident: Resident::Stream,
        train_crop: TrainCrop::RandomResized,
        flip: true,
        eval_resize: size * 8 / 7,
        ..DataConfig::default()
    };
    let Dataset { train, .. } = data::load(&config, 1, &mut |_| {})?;
    match train.images {
        Images::Stored(stored) => Ok((stored, Views::from_config(&config))),
        Images::Bytes(_) => Err(BenchError::Failed("the images are not streamed".into())),
    }
}

/// Calls `body` for `n` numbers; how many a second of the thread's own time.
fn per_second<E>(n: usize, mut body: impl FnMut(usize) -> Result<(), E>) -> Result<f64, E> {
    let began = thread_seconds();
    (0..n).try_for_each(&mut body)?;
    Ok(n as f64 / (thread_seconds() - began).max(1e-9))
}

/// Seconds that this thread has computed.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
