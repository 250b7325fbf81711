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
    TrainCrop, mean_std,
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
    /// Short side that images are scaled to in evaluation before their middle is cut out; 0: to
    /// `size`.
    pub resized: usize,
    /// In training; `None`: the square in the middle.
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
        // Training shows what it shows of images in memory.
        if crop.is_none() && (draw.is_some() || views.resized <= views.size) {
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
        scaled.map_err(|e| stored.unscaled(at, &e))
    }
}

/// Pixels of some images of `stored`, always the same ones, as evaluation shows them: what their
/// mean is taken of.
fn sampled(stored: &Stored, size: usize) -> Result<Vec<u8>, ReadError> {
    let n = stored.numbers.len();
    let count = n.min(SAMPLED);
    let decoder = Decoder::default();
    let read = |k: usize| Ok(square_rgb(stored.image(k * n / count, &decoder)?, size));
    let pixels: Result<Vec<Vec<u8>>, ReadError> = (0..count).into_par_iter().map(read).collect();
    Ok(pixels?.concat())
}

/// Refuses what contradicts itself, before anything is read.
pub(super) fn check(config: &DataConfig) -> Result<(), DataError> {
    let wrong =
        |what: &str, help: &str| Err(DataError::Missing { what: what.into(), help: help.into() });
    let is_cropped = config.train_crop == TrainCrop::RandomResized;
    if is_cropped && config.resident == Resident::Device {
        return wrong(
            "data.train_crop = \"random-resized\" shows parts of whole images, which \
             data.resident = \"device\" does not keep",
            "data.resident = \"stream\" (or \"auto\") reads them when they are drawn.",
        );
    }
    if is_cropped && config.crop_padding > 0 {
        return wrong(
            "data.crop_padding moves the whole image, data.train_crop = \"random-resized\" shows a \
             part of it",
            "Set one of them only.",
        );
    }
    if config.eval_resize > 0 && config.eval_resize < config.image_size {
        return wrong(
            "data.eval_resize is smaller than data.image_size",
            "An image is scaled to eval_resize, and its middle of image_size is cut out.",
        );
    }
    Ok(())
}

/// Reads images that are stored into memory where the config wants them there, and settles what
/// bytes are normalised by.
pub(super) fn settle(
    data: &mut Dataset,
    config: &DataConfig,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DataError> {
    let wrong = |what: String, help: &str| Err(DataError::Missing { what, help: help.into() });
    let is_stored = matches!(data.train.images, Images::Stored(_));
    let streamed_only = [
        (config.resident == Resident::Stream, "data.resident = \"stream\""),
        (config.train_crop == TrainCrop::RandomResized, "data.train_crop = \"random-resized\""),
        (config.eval_resize > 0, "data.eval_resize"),
    ];
    if let Some((_, key)) = streamed_only.iter().find(|(is_set, _)| *is_set && !is_stored) {
        return wrong(
            format!("{key} needs images that are streamed"),
            "data.source = \"packed\" or \"folder\" with data.resident = \"stream\" has such.",
        );
    }
    if config.normalize == Normalize::Imagenet {
        if data.shape[0] != 3 {
            return wrong(
                "data.normalize = \"imagenet\" is for three channels".into(),
                "data.normalize = \"data\" takes the images' own mean and deviation.",
            );
        }
        data.normal = Some((IMAGENET.0.to_vec(), IMAGENET.1.to_vec()));
    }
    let splits = [&data.train, &data.validation, &data.test];
    let of = splits.map(Split::len).iter().sum::<usize>();
    let needed = (of * data.shape.iter().product::<usize>()) as u64;
    if is_stored && !config.wanted().is_streamed(needed) {
        check_room(needed, &config.path)?;
        let from = shown(Path::new(&config.path));
        let mut done = 0;
        for split in [&mut data.train, &mut data.validation, &mut data.test] {
            done = read_all(split, config.image_size, (&from, done, of), progress)?;
        }
    }
    if let (None, Images::Stored(stored)) = (&data.normal, &data.train.images) {
        let pixels = sampled(stored, config.image_size);
        let pixels = pixels.map_err(|e| DataError::Unread(Box::new(e)))?;
        data.normal = Some(mean_std(&pixels, data.shape[0]));
    }
    Ok(())
}

/// Images that are read between two words on how far it is.
const BLOCK: usize = 256;

/// Reads every image of a split, and keeps none: what is wrong with them, a line each.
pub(super) fn read_through(
    split: &Split,
    (from, done, of): (&str, usize, usize),
    progress: &mut dyn FnMut(Progress),
) -> Vec<String> {
    let Images::Stored(stored) = &split.images else { return Vec::new() };
    let (decoder, mut wrong) = (Decoder::default(), Vec::new());
    for (block, numbers) in stored.numbers.chunks(BLOCK).enumerate() {
        let done = (done + block * BLOCK) as u64;
        progress(Progress::Images { from: from.into(), done, of: of as u64 });
        let read = |number: &u32| stored.store.image(*number, &decoder).err();
        let unread: Vec<ReadError> = numbers.par_iter().filter_map(read).collect();
        wrong.extend(unread.iter().map(ToString::to_string));
    }
    wrong
}

/// Reads all images of a split into memory.
fn read_all(
    split: &mut Split,
    size: usize,
    (from, mut done, of): (&str, usize, usize),
    progress: &mut dyn FnMut(Progress),
) -> Result<usize, DataError> {
    let Images::Stored(stored) = &split.images else { return Ok(done) };
    let decoder = Decoder::default();
    let mut pixels = Vec::with_capacity(3 * size * size * stored.numbers.len());
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
