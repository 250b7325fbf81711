//! One file: an image, or why it is none. Knows nothing of classes.

use super::account::Reason;
use crate::data::decode::{DecodeError, Encoded, HEAD, Kind, MOST_BYTES, Named, called};
use crate::data::names::printable_name;
use crate::data::store::Looked;
use image::ImageFormat;
use std::convert::Infallible;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What became of a file.
#[derive(Debug)]
pub(in crate::data) enum Read<T> {
    /// It is an image, and this was made of it.
    Image(T),
    /// It looks like an image, but counts for nothing.
    Lost(Reason),
    /// It should be an image, and is damaged or none.
    Broken(String),
    /// It cannot be read, which says nothing of what it is.
    Unreadable(std::io::Error),
    /// It is something else.
    Foreign,
}

impl Read<Infallible> {
    /// The same of another type: it holds no image.
    fn without<T>(self) -> Read<T> {
        match self {
            Self::Image(never) => match never {},
            Self::Lost(reason) => Read::Lost(reason),
            Self::Broken(why) => Read::Broken(why),
            Self::Unreadable(e) => Read::Unreadable(e),
            Self::Foreign => Read::Foreign,
        }
    }
}

/// A file that begins as an image does which is read.
struct Opened {
    file: File,
    head: Vec<u8>,
    format: ImageFormat,
    /// Bytes.
    length: u64,
}

impl Opened {
    fn of(path: &Path) -> Result<Self, Read<Infallible>> {
        let named = Named::of(path);
        let unreadable = |e: std::io::Error| {
            if named == Named::Foreign { Read::Foreign } else { Read::Unreadable(e) }
        };
        let mut head = Vec::with_capacity(HEAD);
        let opened = File::open(path).and_then(|file| {
            (&file).take(HEAD as u64).read_to_end(&mut head)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        });
        let (file, length) = opened.map_err(unreadable)?;
        let format = match (Kind::of(&head), named) {
            // few bytes tell them: it may be text
            (Kind::Image(ImageFormat::Pnm | ImageFormat::Bmp), Named::Foreign)
            | (Kind::Other("ICO"), Named::Foreign) => return Err(Read::Foreign),
            (Kind::Image(format), Named::Foreign) => {
                return Err(Read::Lost(Reason::Named(called(format))));
            }
            (Kind::Image(format), _) => format,
            (Kind::Other(format), _) | (_, Named::Other(format)) => {
                return Err(Read::Lost(Reason::Format(format)));
            }
            (_, Named::Read) if head.is_empty() => {
                return Err(Read::Broken("the file is empty".into()));
            }
            (Kind::NoImage(what), Named::Read) => {
                return Err(Read::Broken(format!("it is {what}")));
            }
            (_, Named::Read) => {
                return Err(Read::Broken(format!(
                    "it is no image: it begins with \"{}\"",
                    beginning(&head)
                )));
            }
            (_, Named::Nothing | Named::Foreign) => return Err(Read::Foreign),
        };
        Ok(Self { file, head, format, length })
    }
}

/// Looks at one file, without reading more than its beginning and its end.
pub(super) fn look(path: &Path) -> Read<Looked> {
    match Opened::of(path) {
        Ok(Opened { file, length, .. }) => match ends(&file, length) {
            Ok(ends) => Read::Image(Looked { length, crc32: crc32fast::hash(&ends) }),
            Err(e) => Read::Unreadable(e),
        },
        Err(other) => other.without(),
    }
}

/// The first and the last bytes of a file of `length` bytes, or all of them.
fn ends(file: &File, length: u64) -> std::io::Result<Vec<u8>> {
    const EACH: u64 = 4_096;
    let mut bytes = vec![0; length.min(2 * EACH) as usize];
    if length <= 2 * EACH {
        file.read_exact_at(&mut bytes, 0)?;
    } else {
        let (first, last) = bytes.split_at_mut(EACH as usize);
        file.read_exact_at(first, 0)?;
        file.read_exact_at(last, length - EACH)?;
    }
    Ok(bytes)
}

/// Reads one file, and what `make` makes of it.
pub(in crate::data) fn read<T>(
    path: &Path,
    make: impl FnOnce(Encoded) -> Result<T, DecodeError>,
) -> Read<T> {
    let Opened { file, head: mut bytes, format, .. } = match Opened::of(path) {
        Ok(opened) => opened,
        Err(other) => return other.without(),
    };
    match (&file).take(MOST_BYTES).read_to_end(&mut bytes) {
        Err(_) if Named::of(path) == Named::Foreign => Read::Foreign,
        Err(e) => Read::Unreadable(e),
        Ok(_) if bytes.len() as u64 >= MOST_BYTES => {
            Read::Broken("the file has more than 1 GiB".into())
        }
        Ok(_) => match make(Encoded { bytes, format }) {
            Ok(made) => Read::Image(made),
            Err(e) => Read::Broken(printable_name(e.to_string().as_ref())),
        },
    }
}

/// The first bytes of a file, printable.
fn beginning(head: &[u8]) -> String {
    head[..head.len().min(16)].escape_ascii().to_string()
}
