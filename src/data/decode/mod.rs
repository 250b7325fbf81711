//! Bytes to an image, or why they are none. Nothing that is damaged is filled up. Knows nothing of
//! files.

mod jpeg;
mod kind;

pub(super) use self::kind::{HEAD, Kind, Named};

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::sync::Mutex;

/// Longest side that is decoded, in pixels.
const LONGEST: u32 = 1 << 15;
/// Most bytes of a decoded image, and of a file.
pub(super) const MOST_BYTES: u64 = 1 << 30;
/// Images of more bytes than this are decoded one at a time, whatever the number of threads.
const LARGE: u64 = 1 << 26;
/// The aspect up to which an image is scaled as a whole before its centre is cut out. Beyond it
/// that would take much more memory than the image itself, so that the centre is cut out first.
const ASPECT: u32 = 4;

/// Reads images, of which few are large, on many threads.
#[derive(Debug, Default)]
pub struct Decoder {
    large: Mutex<()>,
}

/// Why bytes give no pixels.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The end of a JPEG is missing.
    #[error("the JPEG is cut: its end is missing after {0} bytes")]
    Cut(usize),
    /// Its format is none that is read.
    #[error("it is no image that is read")]
    Format,
    /// The decoder's own words.
    #[error(transparent)]
    Image(#[from] image::ImageError),
}

/// The bytes of a file, and what they are.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) format: ImageFormat,
}

impl Decoder {
    /// The image in `bytes` of any format that is read.
    ///
    /// # Errors
    /// What is wrong with them: nothing that is damaged is filled up.
    pub fn decode_any(&self, bytes: &[u8]) -> Result<DynamicImage, DecodeError> {
        let format = match Kind::of(&bytes[..bytes.len().min(HEAD)]) {
            Kind::Png => ImageFormat::Png,
            Kind::Jpeg => ImageFormat::Jpeg,
            Kind::Other("PNM") => ImageFormat::Pnm,
            Kind::Other(_) | Kind::NoImage(_) | Kind::Unknown => return Err(DecodeError::Format),
        };
        self.decode(bytes, format)
    }

    /// The image in `encoded`.
    pub(super) fn decode_encoded(&self, encoded: &Encoded) -> Result<DynamicImage, DecodeError> {
        self.decode(&encoded.bytes, encoded.format)
    }

    fn decode(&self, bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, DecodeError> {
        if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
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
        Ok(DynamicImage::from_decoder(decoder)?)
    }
}

/// The short side scaled to `size`, the centre kept: RGB bytes of shape `[size, size, 3]`.
pub fn square_rgb(image: DynamicImage, size: usize) -> Vec<u8> {
    square(image, size as u32).to_rgb8().into_raw()
}

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
