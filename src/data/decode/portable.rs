//! The PPM file that packing writes of raw pixels: a short header, RGB bytes behind it. Both ways,
//! and without a second copy.

use super::LONGEST;
use image::RgbImage;

/// The image as a file.
pub(in crate::data) fn file(image: &RgbImage) -> Vec<u8> {
    let mut bytes = header(image.width(), image.height()).into_bytes();
    bytes.extend_from_slice(image.as_raw());
    bytes
}

fn header(width: u32, height: u32) -> String {
    format!("P6\n{width} {height}\n255\n")
}

/// The image of a file of exactly this form, in the memory of the file.
///
/// # Errors
/// The bytes, where they are another file: other PPM files have a decoder.
pub(in crate::data) fn pixels(mut bytes: Vec<u8>) -> Result<RgbImage, Vec<u8>> {
    let Some((width, height)) = size(&bytes) else { return Err(bytes) };
    bytes.drain(..header(width, height).len());
    // The length was looked at, so that none is left out.
    Ok(RgbImage::from_raw(width, height, bytes).unwrap_or_default())
}

fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let rest = bytes.strip_prefix(b"P6\n")?;
    let line = rest.get(..rest.iter().take(16).position(|b| *b == b'\n')?)?;
    let (width, height) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    let header = header(width, height);
    let is_size = (1..=LONGEST).contains(&width) && (1..=LONGEST).contains(&height);
    let length = header.len() as u64 + 3 * u64::from(width) * u64::from(height);
    // Numbers that parse may be written otherwise ("+1", "01").
    (is_size && bytes.len() as u64 == length && bytes.starts_with(header.as_bytes()))
        .then_some((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_anything_else_is_given_back() {
        let image = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8, y as u8, 7]));
        let bytes = file(&image);
        assert_eq!(pixels(bytes.clone()), Ok(image.clone()));
        assert_eq!(image::load_from_memory(&bytes).expect("a PPM file").into_rgb8(), image);
        let others: [&[u8]; 6] = [
            &bytes[..bytes.len() - 1],
            &[&bytes[..], b"x"].concat(),
            b"P6\n+5 3\n255\n",
            b"P6\n0 0\n255\n",
            b"P6\n4294967295 4294967295\n255\n",
            b"P6\n",
        ];
        for other in others {
            assert_eq!(pixels(other.to_vec()), Err(other.to_vec()));
        }
    }
}
