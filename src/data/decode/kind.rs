//! What a file is, by its first bytes, and what its name says that it is.

use image::ImageFormat;
use std::ffi::OsStr;
use std::path::Path;

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Kind {
    /// An image of a format that is read.
    Image(ImageFormat),
    /// An image of a format that is not read.
    Other(&'static str),
    /// Not an image, but known.
    NoImage(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// What a file's name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Named {
    /// An image of a format that is read.
    Read,
    /// An image of a format that is not read.
    Other(&'static str),
    /// Nothing: it has no extension.
    Nothing,
    /// Something else.
    Foreign,
}

/// Bytes that [`Kind::of`] looks at.
pub(in crate::data) const HEAD: usize = 64;

impl Kind {
    pub(in crate::data) fn of(head: &[u8]) -> Self {
        let has =
            |at: usize, what: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(what));
        let brand = |brands: &[&[u8]]| has(4, b"ftyp") && brands.iter().any(|b| has(8, b));
        let bmp = has(0, b"BM") && head.get(6..10) == Some(&[0; 4]);
        let rows: [(bool, Self); 22] = [
            (has(0, b"\x89PNG\r\n\x1a\n"), Self::Image(ImageFormat::Png)),
            (has(0, b"\xff\xd8\xff"), Self::Image(ImageFormat::Jpeg)),
            (has(0, b"RIFF") && has(8, b"WEBP"), Self::Image(ImageFormat::WebP)),
            (has(0, b"GIF87a") || has(0, b"GIF89a"), Self::Image(ImageFormat::Gif)),
            (bmp, Self::Image(ImageFormat::Bmp)),
            (
                has(0, b"II*\0") || has(0, b"MM\0*") || has(0, b"II+\0") || has(0, b"MM\0+"),
                Self::Image(ImageFormat::Tiff),
            ),
            (brand(&[b"avif", b"avis"]), Self::Other("AVIF")),
            (brand(&[b"heic", b"heix", b"hevc", b"mif1", b"msf1"]), Self::Other("HEIF")),
            (has(0, b"\0\0\0\x0cjP  ") || has(0, b"\xff\x4f\xff\x51"), Self::Other("JPEG 2000")),
            (has(0, b"\0\0\0\x0cJXL ") || has(0, b"\xff\x0a"), Self::Other("JPEG XL")),
            (has(0, b"qoif"), Self::Other("QOI")),
            (has(0, b"8BPS"), Self::Other("Photoshop")),
            (has(0, b"\x76\x2f\x31\x01"), Self::Other("OpenEXR")),
            (has(0, b"#?RADIANCE"), Self::Other("Radiance HDR")),
            (has(0, b"DDS "), Self::Other("DDS")),
            (has(0, b"\0\0\x01\0") && head.get(5) == Some(&0), Self::Other("ICO")),
            (is_portable_map(head), Self::Image(ImageFormat::Pnm)),
            (
                has(0, b"version https://git-lfs"),
                Self::NoImage("a Git LFS pointer: `git lfs pull` fetches the image"),
            ),
            (has(0, b"\0\x05\x16\x07"), Self::NoImage("an AppleDouble file of macOS")),
            (has(0, b"\x1f\x8b"), Self::NoImage("a gzip file")),
            (has(0, b"PK\x03\x04"), Self::NoImage("a zip file")),
            (is_markup(head), Self::NoImage("a web page or XML")),
        ];
        rows.into_iter().find_map(|(is, kind)| is.then_some(kind)).unwrap_or(Self::Unknown)
    }
}

/// What people call a format that is read.
pub(in crate::data) fn called(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Pnm => "PNM",
        _ => "image",
    }
}

/// `P1` to `P7`, then white space.
fn is_portable_map(head: &[u8]) -> bool {
    matches!(head, [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace())
}

fn is_markup(head: &[u8]) -> bool {
    let text =
        head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start().to_ascii_lowercase();
    [&b"<!doctype"[..], b"<html", b"<?xml", b"<head", b"<body", b"<svg"]
        .iter()
        .any(|tag| text.starts_with(tag))
}

impl Named {
    pub(in crate::data) fn of(path: &Path) -> Self {
        let Some(extension) = path.extension().map(OsStr::to_string_lossy) else {
            return Self::Nothing;
        };
        match extension.to_lowercase().as_str() {
            "png" | "apng" | "jpg" | "jpeg" | "jpe" | "jfif" | "jfi" | "jif" | "pjpeg" | "pjp"
            | "webp" | "gif" | "bmp" | "dib" | "tif" | "tiff" | "pbm" | "pgm" | "ppm" | "pnm"
            | "pam" => Self::Read,
            "avif" => Self::Other("AVIF"),
            "heic" | "heif" => Self::Other("HEIF"),
            "jp2" | "j2k" | "jpf" | "jpx" => Self::Other("JPEG 2000"),
            "jxl" => Self::Other("JPEG XL"),
            "qoi" => Self::Other("QOI"),
            "psd" => Self::Other("Photoshop"),
            "exr" => Self::Other("OpenEXR"),
            "hdr" => Self::Other("Radiance HDR"),
            "dds" => Self::Other("DDS"),
            "ico" => Self::Other("ICO"),
            "tga" => Self::Other("TGA"),
            "svg" => Self::Other("SVG"),
            _ => Self::Foreign,
        }
    }

    /// Whether the name is an image's.
    pub(in crate::data) fn is_image(self) -> bool {
        matches!(self, Self::Read | Self::Other(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Kind); 12] = [
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind::Image(ImageFormat::Png)),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Kind::Image(ImageFormat::Jpeg)),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Kind::Image(ImageFormat::WebP)),
            (b"RIFF\x24\0\0\0WAVEfmt ", Kind::Unknown),
            (b"GIF89a\x20\0", Kind::Image(ImageFormat::Gif)),
            (b"BM\x36\x0c\0\0\0\0\0\0\x36", Kind::Image(ImageFormat::Bmp)),
            (b"BMW is a car", Kind::Unknown),
            (b"MM\0*\0\0\0\x08", Kind::Image(ImageFormat::Tiff)),
            (b"\0\0\0\x20ftypavif", Kind::Other("AVIF")),
            (b"P6\n32 32\n", Kind::Image(ImageFormat::Pnm)),
            (b" \n<!DOCTYPE html>", Kind::NoImage("a web page or XML")),
            (b"", Kind::Unknown),
        ];
        for (head, kind) in cases {
            assert_eq!(Kind::of(head), kind, "{}", head.escape_ascii());
        }
    }
}
