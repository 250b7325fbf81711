//! Where a data set's images are while it is trained on: in memory as a whole, or on the disk, each
//! read when it is needed.

use super::decode::{Decoder, square_rgb};
use super::names::shown;
use super::read::DataError;
use super::store::Stored;
use super::view::{RandomResized, Scaler, centre};
use super::wanted::check_room;
use super::{
    DataConfig, Dataset, Images, Normalize, Picture, Progress, ReadError, Resident, Split,
    TrainCrop,
};
use rayon::prelude::*;
use std::path::Path;

/// Mean and standard deviation of ImageNet's channels.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// Images of which the mean is taken where not all are in memory.
const SAMPLED: usize = 1_024;

/// What is shown of images that are streamed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Views {
    /// Side of the square, in pixels.
    pub size: usize,
    /// Short side that images are scaled to before their middle is cut out; 0: to `size`.
    pub resized: usize,
    /// In training; `None`: as in evaluation.
    pub crop: Option<RandomResized>,
}

impl Views {
    /// What the config asks for.
    pub fn from_config(config: &DataConfig) -> Self {
        let crop = RandomResized {
            scale: [config.crop_scale, 1.0],
            ratio: [1.0 / config.crop_ratio, config.crop_ratio],
            flip: config.flip,
        };
        Self {
            size: config.image_size,
            resized: config.eval_resize,
            crop: (config.train_crop == TrainCrop::RandomResized).then_some(crop),
        }
    }
}

/// Reads images and cuts out what is shown. One for each thread.
#[derive(Debug, Default)]
pub struct Viewer {
    scaler: Scaler,
}

/// Which draw an image is shown for: seed, epoch, position in the epoch.
pub type Draw = (u64, u64, usize);

impl Viewer {
    /// Reads image `at` of `stored` and puts `[size, size, 3]` bytes of it after `out`: what
    /// training shows at `draw`, or what evaluation shows.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn show(
        &mut self,
        (stored, at): (&Stored, usize),
        views: &Views,
        draw: Option<Draw>,
        decoder: &Decoder,
        out: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let image = stored.image(at, decoder)?;
        let crop = draw.and_then(|draw| Some((views.crop?, draw)));
        if crop.is_none() && views.resized <= views.size {
            out.extend(square_rgb(image, views.size));
            return Ok(());
        }
        let (width, height) = (image.width(), image.height());
        let picture = Picture { width, height, rgb: image.into_rgb8().into_raw() };
        let (window, is_mirrored) = match crop {
            Some((crop, draw)) => crop.window(draw, [width, height]),
            None => (centre([width, height], views.size, views.resized), false),
        };
        let scaled = self.scaler.scale(&picture, window, (views.size, is_mirrored), out);
        scaled.map_err(|e| stored.store.unscaled(stored.numbers[at], &e))
    }
}

/// Pixels of some images of `stored`, always the same ones, as evaluation shows them: what their
/// mean is taken of. Those that cannot be read are left out: they are told when they are drawn.
pub(super) fn sampled(stored: &Stored, size: usize) -> Vec<u8> {
    let n = stored.numbers.len();
    let count = n.min(SAMPLED);
    let decoder = Decoder::default();
    let read = |k: usize| stored.store.image(stored.numbers[k * n / count], &decoder).ok();
    let pixels: Vec<Vec<u8>> =
        (0..count).into_par_iter().filter_map(|k| Some(square_rgb(read(k)?, size))).collect();
    pixels.concat()
}

/// Mean and standard deviation that bytes of `data` are normalised by, shape `[c]` each.
pub fn normalization(data: &Dataset, config: &DataConfig) -> (Vec<f32>, Vec<f32>) {
    match config.normalize {
        Normalize::Imagenet if data.shape[0] == 3 => (IMAGENET.0.to_vec(), IMAGENET.1.to_vec()),
        Normalize::Imagenet | Normalize::Data => data.mean_std(),
    }
}

/// Reads images that are stored into memory where the config wants them there.
pub(super) fn settle(
    data: &mut Dataset,
    config: &DataConfig,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DataError> {
    let wrong = |what: String, help: &str| Err(DataError::Missing { what, help: help.into() });
    let is_cropped = config.train_crop == TrainCrop::RandomResized;
    let is_stored = matches!(data.train.images, Images::Stored(_));
    if !is_stored && (config.resident == Resident::Stream || is_cropped) {
        let key = if is_cropped { "data.train_crop = \"random-resized\"" } else { STREAM };
        return wrong(
            format!("{key} needs images that can be read one by one"),
            "data.source = \"packed\" and \"folder\" have such images.",
        );
    }
    let splits = [&data.train, &data.validation, &data.test];
    let needed =
        splits.map(Split::len).iter().sum::<usize>() * data.shape.iter().product::<usize>();
    if !is_stored || config.wanted().is_streamed(needed as u64) {
        return Ok(());
    }
    if is_cropped {
        return wrong(
            "data.train_crop = \"random-resized\" shows parts of whole images".into(),
            "data.resident = \"stream\" (or \"auto\") reads them when they are drawn.",
        );
    }
    check_room(needed as u64, &config.path)?;
    let from = shown(Path::new(&config.path));
    let of: usize = [&data.train, &data.validation, &data.test].map(Split::len).iter().sum();
    let mut done = 0;
    for split in [&mut data.train, &mut data.validation, &mut data.test] {
        done = read_all(split, config.image_size, (&from, done, of), progress)?;
    }
    Ok(())
}

const STREAM: &str = "data.resident = \"stream\"";

/// Images that are read between two words on how far it is.
const BLOCK: usize = 256;

/// Reads all images of a split into memory.
fn read_all(
    split: &mut Split,
    size: usize,
    (from, mut done, of): (&str, usize, usize),
    progress: &mut dyn FnMut(Progress),
) -> Result<usize, DataError> {
    let Images::Stored(stored) = &split.images else { return Ok(done) };
    let decoder = Decoder::default();
    let mut pixels = Vec::new();
    for block in stored.numbers.chunks(BLOCK) {
        progress(Progress::Images { from: from.into(), done: done as u64, of: of as u64 });
        let read = |number: &u32| {
            stored.store.image(*number, &decoder).map(|image| square_rgb(image, size))
        };
        let read: Result<Vec<Vec<u8>>, ReadError> = block.par_iter().map(read).collect();
        let read = read.map_err(|e| DataError::Unread(Box::new(e)))?;
        read.into_iter().for_each(|image| pixels.extend(image));
        done += block.len();
    }
    progress(Progress::Images { from: from.into(), done: done as u64, of: of as u64 });
    split.images = Images::Bytes(pixels);
    Ok(done)
}
