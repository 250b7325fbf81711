//! An image folder to a packed file: a plain tar of its images, as they are unless they are larger
//! than wanted, with an index at its end. All cores read and check them.

use crate::data::decode::{DecodeError, Decoder, Encoded, Exif, portable};
use crate::data::names::{printable_name, shown};
use crate::data::pack::{INDEX, Index, Member, PLACE, Place};
use crate::data::read::DataError;
use crate::data::sources::folder::{self, File, Listing, Part};
use crate::data::{Finding, Progress, Untested};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ExtendedColorType, GenericImageView};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Quality of images that are written anew, as JPEG.
const QUALITY: u8 = 90;

/// How a folder is packed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packing {
    /// Images with a longer short side are scaled down to this, in pixels.
    pub short_side: Option<u32>,
    /// Whether pixels are written instead of what the files hold: larger, and read ten times as
    /// fast.
    pub raw: bool,
    /// Whether damaged files are left out and told, instead of refused.
    pub skip_broken: bool,
}

/// What was packed.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Training and test images.
    pub images: [usize; 2],
    /// Of these, how many were written anew.
    pub rewritten: usize,
    /// Of the file.
    pub bytes: u64,
    /// Class names, shape `[C]`.
    pub classes: Vec<String>,
    /// What people should know of it.
    pub findings: Vec<Finding>,
}

/// Packs the image folder `root` as the file `to`, which is there only when it is whole.
///
/// # Errors
/// What is wrong with the folder, all of it in one go; when `to` is there already, or cannot be
/// written.
pub fn pack(
    root: &Path,
    to: &Path,
    packing: Packing,
    progress: &mut dyn FnMut(Progress),
) -> Result<Pack, DataError> {
    if to.exists() {
        return Err(DataError::Missing {
            what: format!("{} is there already", shown(to)),
            help: "Nothing is written over: remove it, or choose another name.".into(),
        });
    }
    let listing = Listing::of(root, Untested::Refused)?;
    let listing = if packing.skip_broken { listing.without_broken() } else { listing };
    let unfinished = Unfinished::beside(to)?;
    let mut writer = Writer::new(&unfinished.0, to)?;
    let make = |decoder: &Decoder, path: &Path| {
        folder::read(path, |encoded| Packed::of(decoder, encoded, packing))
    };
    let known = listing.read(make, progress, &mut |part, file, packed| {
        writer.add(&member_path(root, part, file), part, file.label, packed)
    })?;
    let pack = writer.end(known.classes, known.findings)?;
    fs::rename(&unfinished.0, to).map_err(DataError::io(to))?;
    Ok(pack)
}

/// A file that goes when it is dropped before it has its name.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(path: &Path) -> Result<Self, DataError> {
        let Some(name) = path.file_name() else {
            return Err(DataError::Missing {
                what: format!("\"{}\" is no name of a file", shown(path)),
                help: "Say where to: --to images.tar".into(),
            });
        };
        let mut name = name.to_owned();
        // Always the same, so that what an interrupted call left is written over.
        name.push(".tmp");
        Ok(Self(path.with_file_name(name)))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // once it has its name, there is none
    }
}

/// An image as it is written.
struct Packed {
    bytes: Vec<u8>,
    size: [u32; 2],
    /// What is put behind the name of a file that was written anew.
    suffix: Option<&'static str>,
    crc32: u32,
    sha256: [u8; 32],
}

impl Packed {
    /// Decodes an image, strictly, and gives what is written of it.
    fn of(decoder: &Decoder, encoded: Encoded, packing: Packing) -> Result<Self, DecodeError> {
        let image = decoder.decode_encoded(&encoded, Exif::Ignored)?;
        let short = image.width().min(image.height());
        let smaller = packing.short_side.filter(|side| *side < short).map(|side| {
            let scaled =
                |v: u32| (u64::from(v) * u64::from(side)).div_ceil(u64::from(short)) as u32;
            let (w, h) = (scaled(image.width()), scaled(image.height()));
            image.resize_exact(w, h, FilterType::Triangle)
        });
        let (bytes, image, suffix): (Vec<u8>, _, _) = match (packing.raw, smaller) {
            (true, smaller) => {
                let image = smaller.unwrap_or(image);
                (portable::file(&image.to_rgb8()), image, Some("ppm"))
            }
            (false, Some(smaller)) => (jpeg(&smaller)?, smaller, Some("jpg")),
            (false, None) => (encoded.bytes, image, None),
        };
        let crc32 = crc32fast::hash(&bytes);
        let sha256 = Sha256::digest(&bytes).into();
        Ok(Self { bytes, size: image.dimensions().into(), suffix, crc32, sha256 })
    }
}

fn jpeg(image: &DynamicImage) -> Result<Vec<u8>, DecodeError> {
    let rgb = image.to_rgb8();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode(
        rgb.as_raw(),
        rgb.width(),
        rgb.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

/// Where an image lies in the archive: `train/<class>/...` or `test/<class>/...`.
fn member_path(root: &Path, part: Part, file: &File) -> PathBuf {
    let below = file.path.strip_prefix(root).unwrap_or(&file.path);
    let split = match part {
        Part::Train => "train",
        Part::Test => "test",
    };
    Path::new(split).join(below.components().skip(1).collect::<PathBuf>())
}

/// A writer that counts.
struct Counted<W> {
    inner: W,
    at: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A packed file that is being written.
struct Writer<'a> {
    tar: tar::Builder<Counted<BufWriter<fs::File>>>,
    /// What it will be called.
    name: &'a Path,
    index: Index,
    images: [usize; 2],
    rewritten: usize,
    /// Over the labels, lengths and checksums of all images.
    all: Sha256,
}

impl<'a> Writer<'a> {
    fn new(path: &Path, name: &'a Path) -> Result<Self, DataError> {
        let file = fs::File::create(path).map_err(DataError::io(name))?;
        let counted = Counted { inner: BufWriter::with_capacity(1 << 20, file), at: 0 };
        Ok(Self {
            tar: tar::Builder::new(counted),
            name,
            index: Index::default(),
            images: [0, 0],
            rewritten: 0,
            all: Sha256::new(),
        })
    }

    /// Writes a member; where its bytes begin.
    fn append(&mut self, path: &Path, bytes: &[u8]) -> Result<u64, DataError> {
        const BLOCK: u64 = 512;
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let written = self.tar.append_data(&mut header, path, bytes);
        written.map_err(DataError::io(self.name))?;
        Ok(self.tar.get_ref().at - (bytes.len() as u64).next_multiple_of(BLOCK))
    }

    fn add(
        &mut self,
        path: &Path,
        part: Part,
        label: u32,
        packed: Packed,
    ) -> Result<(), DataError> {
        let Packed { bytes, size: [width, height], suffix, crc32, sha256 } = packed;
        let mut path = path.to_owned();
        if let Some(suffix) = suffix {
            self.rewritten += 1;
            if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case(suffix)) {
                path.as_mut_os_string().push(format!(".{suffix}"));
            }
        }
        let offset = self.append(&path, &bytes)?;
        // No image that is read has 4 GiB.
        let length = bytes.len() as u32;
        self.index.members.push(Member { offset, length, width, height, label, crc32 });
        self.index.names.push(printable_name(path.as_os_str()));
        self.images[part as usize] += 1;
        self.all.update(label.to_le_bytes());
        self.all.update(length.to_le_bytes());
        self.all.update(sha256);
        Ok(())
    }

    fn end(mut self, classes: Vec<String>, findings: Vec<Finding>) -> Result<Pack, DataError> {
        let name = self.name;
        let failed = |e: io::Error| DataError::io(name)(e);
        self.index.classes = classes.clone();
        self.index.train = self.images[0];
        let all = std::mem::take(&mut self.all).finalize();
        self.index.sha256 = all.iter().map(|b| format!("{b:02x}")).collect();
        let bytes = self.index.to_bytes().map_err(failed)?;
        let offset = self.append(Path::new(INDEX), &bytes)?;
        let (length, crc32) = (bytes.len() as u64, crc32fast::hash(&bytes));
        let place = Place { offset, length, crc32 }.text();
        self.append(Path::new(PLACE), place.as_bytes())?;
        let mut counted = self.tar.into_inner().map_err(failed)?;
        counted.flush().map_err(failed)?;
        counted.inner.get_ref().sync_all().map_err(failed)?;
        Ok(Pack {
            images: self.images,
            rewritten: self.rewritten,
            bytes: counted.at,
            classes,
            findings,
        })
    }
}
