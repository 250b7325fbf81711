//! One file: an image scaled to a square, or why it is none. Knows nothing of classes.

use super::account::Reason;
use super::jpeg;
use super::kind::{HEAD, Kind, Named};
use crate::data::names::printable_name;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::sync::Mutex;

/// Longest side that is decoded, in pixels.
const LONGEST: u32 = 1 << 15;
/// Most bytes of a decoded image, and of a file.
const MOST_BYTES: u64 = 1 << 30;
/// Images of more bytes than this are decoded one at a time, whatever the number of threads.
const LARGE: u64 = 1 << 26;
/// The aspect up to which an image is scaled as a whole before its centre is cut out. Beyond it
/// that would take much more memory than the image itself, so that the centre is cut out first.
const ASPECT: u32 = 4;

/// What became of a file.
#[derive(Debug)]
pub(super) enum Read {
    /// RGB bytes of shape `[size, size, 3]`.
    Pixels(Vec<u8>),
    /// It looks like an image, but counts for nothing.
    Lost(Reason),
    /// It should be an image, and is damaged or none.
    Broken(String),
    /// It cannot be read, which says nothing of what it is.
    Unreadable(std::io::Error),
    /// It is something else.
    Foreign,
}

/// Reads files at `size` x `size` pixels.
#[derive(Debug)]
pub(super) struct Decoder {
    size: u32,
    large: Mutex<()>,
}

/// Why a file of a format that is read gives no pixels.
#[derive(Debug, thiserror::Error)]
enum DecodeError {
    #[error("the JPEG is cut: its end is missing after {0} bytes")]
    Cut(usize),
    #[error(transparent)]
    Image(#[from] image::ImageError),
}

impl Decoder {
    pub(super) fn new(size: usize) -> Self {
        Self { size: size as u32, large: Mutex::default() }
    }

    /// Reads one file.
    pub(super) fn read(&self, path: &Path) -> Read {
        let named = Named::of(path);
        let unreadable = |e: std::io::Error| {
            if named == Named::Foreign { Read::Foreign } else { Read::Unreadable(e) }
        };
        let mut head = Vec::with_capacity(HEAD);
        let opened = File::open(path)
            .and_then(|file| (&file).take(HEAD as u64).read_to_end(&mut head).map(|_| file));
        let file = match opened {
            Ok(file) => file,
            Err(e) => return unreadable(e),
        };
        let format = match (Kind::of(&head), named) {
            (Kind::Png, Named::Foreign) => return Read::Lost(Reason::Named("PNG")),
            (Kind::Jpeg, Named::Foreign) => return Read::Lost(Reason::Named("JPEG")),
            (Kind::Png, _) => ImageFormat::Png,
            (Kind::Jpeg, _) => ImageFormat::Jpeg,
            // few bytes tell them: it may be text
            (Kind::Other("PNM" | "ICO" | "BMP"), Named::Foreign) => return Read::Foreign,
            (Kind::Other(format), _) | (_, Named::Other(format)) => {
                return Read::Lost(Reason::Format(format));
            }
            (_, Named::Read) if head.is_empty() => return Read::Broken("the file is empty".into()),
            (Kind::NoImage(what), Named::Read) => return Read::Broken(format!("it is {what}")),
            (_, Named::Read) => {
                return Read::Broken(format!(
                    "it is no image: it begins with \"{}\"",
                    beginning(&head)
                ));
            }
            (_, Named::Nothing | Named::Foreign) => return Read::Foreign,
        };
        let mut bytes = head;
        match (&file).take(MOST_BYTES).read_to_end(&mut bytes) {
            Err(e) => unreadable(e),
            Ok(_) if bytes.len() as u64 >= MOST_BYTES => {
                Read::Broken("the file has more than 1 GiB".into())
            }
            Ok(_) => match self.decode(bytes, format) {
                Ok(pixels) => Read::Pixels(pixels),
                Err(e) => Read::Broken(printable_name(e.to_string().as_ref())),
            },
        }
    }

    fn decode(&self, bytes: Vec<u8>, format: ImageFormat) -> Result<Vec<u8>, DecodeError> {
        if format == ImageFormat::Jpeg && !jpeg::is_whole(&bytes) {
            return Err(DecodeError::Cut(bytes.len()));
        }
        let mut limits = Limits::default();
        limits.max_image_width = Some(LONGEST);
        limits.max_image_height = Some(LONGEST);
        limits.max_alloc = Some(MOST_BYTES);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits.clone());
        let mut decoder = reader.into_decoder()?;
        limits.reserve(decoder.total_bytes())?;
        decoder.set_limits(limits)?;
        let _one_at_a_time = (decoder.total_bytes() > LARGE).then(|| self.large.lock());
        let image = DynamicImage::from_decoder(decoder)?;
        Ok(square(image, self.size).to_rgb8().into_raw())
    }
}

/// The short side scaled to `size`, the centre kept.
fn square(image: DynamicImage, size: u32) -> DynamicImage {
    let (w, h) = (image.width(), image.height());
    let side = w.min(h);
    if w.max(h).div_ceil(side) <= ASPECT {
        return image.resize_to_fill(size, size, FilterType::Triangle);
    }
    image.crop_imm((w - side) / 2, (h - side) / 2, side, side).resize_exact(
        size,
        size,
        FilterType::Triangle,
    )
}

/// The first bytes of a file, printable.
fn beginning(head: &[u8]) -> String {
    head[..head.len().min(16)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    /// A slope along both sides, so that every place has its own value.
    fn slope(w: u32, h: u32) -> DynamicImage {
        let at = |x: u32, w: u32| (x * 255 / w) as u8;
        RgbImage::from_fn(w, h, |x, y| image::Rgb([at(x, w), at(y, h), 7])).into()
    }

    #[test]
    fn ordinary_images_are_scaled_as_a_whole_and_their_centre_is_kept() {
        for (w, h) in [(20, 30), (100, 40), (32, 32), (500, 125), (7, 9)] {
            let image = slope(w, h);
            assert_eq!(
                square(image.clone(), 16),
                image.resize_to_fill(16, 16, FilterType::Triangle),
                "{w} x {h}"
            );
        }
    }

    #[test]
    fn the_centre_of_a_strip_is_within_two_levels_of_what_scaling_all_of_it_gives() {
        for (w, h) in [(20, 400), (1000, 60), (64, 640)] {
            let image = slope(w, h);
            let (a, b) = (
                square(image.clone(), 16).to_rgb8(),
                image.resize_to_fill(16, 16, FilterType::Triangle).to_rgb8(),
            );
            let far = a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far <= Some(2), "{w} x {h}: {far:?}");
        }
    }

    #[test]
    fn a_strip_of_any_length_takes_the_memory_of_a_square() {
        // Scaled as a whole it would have 512 x 16,384,000 pixels.
        let strip = DynamicImage::ImageRgb8(RgbImage::from_pixel(1, 32_000, image::Rgb([9, 8, 7])));
        let square = square(strip, 512).to_rgb8();
        assert_eq!((square.dimensions(), square.get_pixel(511, 0).0), ((512, 512), [9, 8, 7]));
    }
}
