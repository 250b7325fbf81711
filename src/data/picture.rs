//! Images of a data set as PNG, for people.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use std::io;

/// Images of `shape` (channels, height, width), each bytes `[h, w, c]`, side by side as one PNG
/// with `gap` white pixels between. Grey for one channel, RGB for three; of other counts the first
/// is shown.
///
/// # Errors
/// When there is no image, or one has another size.
pub fn strip(images: &[&[u8]], shape: [usize; 3], gap: usize) -> io::Result<Vec<u8>> {
    let [c, h, w] = shape;
    if images.is_empty() || images.iter().any(|i| i.len() != c * h * w) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no images of that shape"));
    }
    let out_c = if c == 3 { 3 } else { 1 };
    let width = images.len() * (w + gap) - gap;
    let mut pixels = vec![255; width * h * out_c];
    for (k, image) in images.iter().enumerate() {
        for y in 0..h {
            for x in 0..w {
                let (from, to) = ((y * w + x) * c, (y * width + k * (w + gap) + x) * out_c);
                pixels[to..to + out_c].copy_from_slice(&image[from..from + out_c]);
            }
        }
    }
    let color = if out_c == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&pixels, width as u32, h as u32, color)
        .map_err(io::Error::other)?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_has_its_images_side_by_side() {
        let png = strip(&[&[10, 20, 30, 40], &[50, 60, 70, 80]], [1, 2, 2], 1).expect("encoded");
        let image = image::load_from_memory(&png).expect("a PNG").to_luma8();
        assert_eq!(
            (image.dimensions(), image.into_raw()),
            ((5, 2), vec![10, 20, 255, 50, 60, 30, 40, 255, 70, 80])
        );
        assert!(strip(&[], [1, 2, 2], 0).is_err() && strip(&[&[1]], [1, 2, 2], 0).is_err());
    }
}
