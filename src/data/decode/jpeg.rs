//! Whether a JPEG is whole. The decoder fills what is missing with grey and says nothing, so the
//! markers are followed from the first to the one that ends the image (ITU-T T.81, annex B). Knows
//! nothing of pixels.

const END_OF_IMAGE: u8 = 0xd9;

/// Whether the end of the image is there. What comes after it is no part of it.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, behind)) = marker(rest) {
        rest = match marker {
            END_OF_IMAGE => return true,
            0x01 | 0xd0..=0xd8 => behind, // they stand alone
            _ => {
                // A segment begins with its length, these two bytes included.
                let Some(&length) = behind.first_chunk() else { return false };
                let Some(behind) = behind.get(usize::from(u16::from_be_bytes(length)).max(2)..)
                else {
                    return false;
                };
                behind
            }
        };
    }
    false
}

/// The code of the first marker, and what is behind it. A marker is FF and a code; FF before FF
/// fills up, FF 00 is a value of the compressed data.
fn marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    loop {
        let at = rest.iter().position(|b| *b == 0xff)?;
        rest = &rest[at + 1..];
        match rest {
            [] => return None,
            [0x00 | 0xff, ..] => {}
            [code, behind @ ..] => return Some((*code, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;

    fn encoded() -> Vec<u8> {
        let mut x = 7_u32;
        let pixels = std::iter::repeat_with(|| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        });
        let pixels: Vec<u8> = pixels.take(48 * 48 * 3).collect();
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, 90)
            .encode(&pixels, 48, 48, image::ExtendedColorType::Rgb8)
            .expect("encoded");
        jpeg
    }

    #[test]
    fn a_jpeg_is_cut_wherever_it_is_cut() {
        let jpeg = encoded();
        assert!(is_whole(&jpeg));
        for end in 0..jpeg.len() {
            assert!(!is_whole(&jpeg[..end]), "the first {end} of {} bytes", jpeg.len());
        }
        let mut zeroed = jpeg.clone();
        zeroed[jpeg.len() / 3..].fill(0);
        assert!(!is_whole(&zeroed), "as a file system leaves it after a crash");
    }

    #[test]
    fn what_follows_the_image_does_not_matter_and_a_thumbnail_does_not_end_it() {
        let jpeg = encoded();
        assert!(is_whole(&[&jpeg[..], &[0; 500], b"trailing garbage"].concat()));
        let mut thumbnail = vec![0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xd9, 0, 0];
        thumbnail.extend(&jpeg[2..]);
        let whole = [&[0xff, 0xd8], &thumbnail[..]].concat();
        assert!(is_whole(&whole) && !is_whole(&whole[..whole.len() - 2]));
    }
}
