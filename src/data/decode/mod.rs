//! Bytes to an image, or why they are none. Nothing that is damaged is filled up. Knows nothing of
//! files.

mod gif;
mod jpeg;
mod kind;
pub(super) mod portable;
mod webp;

pub(super) use self::kind::{HEAD, Kind, Named, called};

use image::imageops::FilterType;
use image::metadata::Orientation;
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

/// What is made of the orientation that cameras note in a file (Exif 2.3, tag 0x0112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exif {
    /// Pixels are taken as they are stored, as torchvision does.
    Ignored,
    /// The image is turned and mirrored as it says.
    Applied,
}

/// Why bytes give no pixels.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The end of a file of this format is missing after so many bytes.
    #[error("the {0} is cut: its end is missing after {1} bytes")]
    Cut(&'static str, usize),
    /// It has no pixels.
    #[error("it has no pixels: a side of 0")]
    Empty,
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
    pub fn decode_any(&self, bytes: &[u8], exif: Exif) -> Result<DynamicImage, DecodeError> {
        let format = match Kind::of(&bytes[..bytes.len().min(HEAD)]) {
            Kind::Image(format) => format,
            Kind::Other(_) | Kind::NoImage(_) | Kind::Unknown => return Err(DecodeError::Format),
        };
        self.decode(bytes, format, exif)
    }

    /// The image in `encoded`.
    pub(super) fn decode_encoded(
        &self,
        encoded: &Encoded,
        exif: Exif,
    ) -> Result<DynamicImage, DecodeError> {
        self.decode(&encoded.bytes, encoded.format, exif)
    }

    fn decode(
        &self,
        bytes: &[u8],
        format: ImageFormat,
        exif: Exif,
    ) -> Result<DynamicImage, DecodeError> {
        if !is_whole(bytes, format) {
            return Err(DecodeError::Cut(called(format), bytes.len()));
        }
        let mut limits = Limits::default();
        limits.max_image_width = Some(LONGEST);
        limits.max_image_height = Some(LONGEST);
        limits.max_alloc = Some(MOST_BYTES);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits.clone());
        let mut decoder = reader.into_decoder()?;
        if decoder.total_bytes() == 0 {
            return Err(DecodeError::Empty);
        }
        limits.reserve(decoder.total_bytes())?;
        decoder.set_limits(limits)?;
        let _one_at_a_time = (decoder.total_bytes() > LARGE).then(|| self.large.lock());
        let orientation = match exif {
            Exif::Ignored => Orientation::NoTransforms,
            Exif::Applied => decoder.orientation()?,
        };
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image)
    }
}

/// Whether the end of the file is there, of formats whose decoders do not miss it.
fn is_whole(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Jpeg => jpeg::is_whole(bytes),
        ImageFormat::Gif => gif::is_whole(bytes),
        ImageFormat::WebP => webp::is_whole(bytes),
        _ => true,
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

    fn decoded(bytes: &[u8], exif: Exif) -> Result<DynamicImage, DecodeError> {
        Decoder::default().decode_any(bytes, exif)
    }

    fn noise(format: ImageFormat) -> Vec<u8> {
        let mut x = 7_u32;
        let image = RgbImage::from_fn(24, 24, |_, _| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(x >> 24) as u8, (x >> 16) as u8, (x >> 8) as u8])
        });
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(image).write_to(&mut bytes, format).expect("encoded");
        bytes.into_inner()
    }

    /// Files of Pillow's: what the encoders here cannot write.
    const FILES: [(&str, &[u8]); 8] = [
        ("lossy.webp", include_bytes!("../../../tests/field/lossy.webp")),
        ("animated.webp", include_bytes!("../../../tests/field/animated.webp")),
        ("animated.gif", include_bytes!("../../../tests/field/animated.gif")),
        ("palette.bmp", include_bytes!("../../../tests/field/palette.bmp")),
        ("plain.tif", include_bytes!("../../../tests/field/plain.tif")),
        ("lzw.tif", include_bytes!("../../../tests/field/lzw.tif")),
        ("deflate.tif", include_bytes!("../../../tests/field/deflate.tif")),
        ("packbits.tif", include_bytes!("../../../tests/field/packbits.tif")),
    ];

    #[test]
    fn a_cut_file_of_any_format_is_refused_or_lacks_no_pixel() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
        let own = [Png, Jpeg, WebP, Gif, Bmp, Tiff, Pnm].map(|f| (called(f), noise(f)));
        let files = FILES.map(|(name, bytes)| (name, bytes.to_vec()));
        for (name, bytes) in own.into_iter().chain(files) {
            let whole = decoded(&bytes, Exif::Ignored).expect(name);
            assert_eq!((whole.width(), whole.height()), (24, 24), "{name}");
            for end in 0..bytes.len() {
                if let Ok(image) = decoded(&bytes[..end], Exif::Ignored) {
                    // What pads the end of a file may be missing.
                    assert!(image == whole && end + 8 > bytes.len(), "{name} cut at {end}");
                }
            }
        }
    }

    /// A TIFF-like Exif record that holds an orientation, as an APP1 segment of a JPEG.
    fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let length = (exif.len() as u16 + 2).to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
    }

    #[test]
    fn each_orientation_of_exif_puts_the_light_corner_where_it_belongs() {
        // Light where row and column 0 meet as stored; 32 wide, 16 high.
        let light = |x, y| if x < 16 && y < 8 { 255 } else { 0 };
        let image = RgbImage::from_fn(32, 16, |x, y| image::Rgb([light(x, y); 3]));
        let mut jpeg = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(image).write_to(&mut jpeg, ImageFormat::Jpeg).expect("encoded");
        let jpeg = jpeg.into_inner();
        // Exif 2.3, tag 0x0112: where row 0 and column 0 are seen.
        let (left, right, top, bottom) = (false, true, false, true);
        let seen = [
            (1, left, top, [32, 16]),
            (2, right, top, [32, 16]),
            (3, right, bottom, [32, 16]),
            (4, left, bottom, [32, 16]),
            (5, left, top, [16, 32]),
            (6, right, top, [16, 32]),
            (7, right, bottom, [16, 32]),
            (8, left, bottom, [16, 32]),
        ];
        for (orientation, is_right, is_bottom, [w, h]) in seen {
            let turned = with_orientation(&jpeg, orientation);
            let image = decoded(&turned, Exif::Applied).expect("read").to_rgb8();
            assert_eq!(image.dimensions(), (w, h), "{orientation}");
            let at = |far: bool, side: u32| if far { side - 2 } else { 1 };
            let value = |far_x, far_y| image.get_pixel(at(far_x, w), at(far_y, h)).0[0];
            assert!(value(is_right, is_bottom) > 240, "{orientation}");
            assert!(value(!is_right, is_bottom) < 15 && value(is_right, !is_bottom) < 15);
            let ignored = decoded(&turned, Exif::Ignored).expect("read");
            assert_eq!(ignored, decoded(&jpeg, Exif::Applied).expect("read"), "{orientation}");
        }
    }
}
