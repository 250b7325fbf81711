//! What a packed file holds and where, as its last members say. Knows nothing of pixels.
//!
//! The index is a safetensors file, `index.safetensors`, with a row for each image; NumPy reads it,
//! too. The member behind it, `INDEX`, says where it lies, and is itself found from the end of the
//! file: both have a fixed size.

use crate::data::names::printable_name;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};
use std::collections::{HashMap, HashSet};
use std::io;

/// Name of the member with the index.
pub(in crate::data) const INDEX: &str = "index.safetensors";
/// Name of the member that says where it is.
pub(in crate::data) const PLACE: &str = "INDEX";
/// Bytes behind the place's own: what is left of its block, and the two blocks that end a tar.
const BLOCK: u64 = 512;
/// Version of the index.
const FORMAT: &str = "1";
/// Most bytes of an image: those of a file that is packed.
const MOST_OF_AN_IMAGE: u32 = 1 << 30;
/// Most bytes of an index: that of 100 million images.
const MOST_BYTES: u64 = 1 << 33;

/// One image of a packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// How many there are.
    pub length: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Its class.
    pub label: u32,
    /// CRC-32 of its bytes.
    pub crc32: u32,
}

/// What a packed file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Class names, shape `[C]`.
    pub classes: Vec<String>,
    /// Count of training images. They come first; all others are for tests.
    pub train: usize,
    /// Shape `[n]`.
    pub members: Vec<Member>,
    /// Paths in the archive, shape `[n]`.
    pub names: Vec<String>,
    /// SHA-256 of the label, the length and the SHA-256 of each image, in hex.
    pub sha256: String,
}

/// Where an index lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Place {
    pub(in crate::data) offset: u64,
    pub(in crate::data) length: u64,
    pub(in crate::data) crc32: u32,
}

impl Place {
    /// What the member [`PLACE`] says.
    pub(in crate::data) fn text(self) -> String {
        let Self { offset, length, crc32 } = self;
        format!("index at byte {offset}, {length} bytes, crc32 {crc32:08x}\n")
    }

    /// Bytes before the end of a packed file at which that member's contents begin.
    pub(in crate::data) const BEFORE_THE_END: u64 = 3 * BLOCK;

    /// Reads what [`text`](Self::text) gave, of a file of `size` bytes; `None` for anything else.
    pub(in crate::data) fn read(block: &[u8], size: u64) -> Option<Self> {
        let line = std::str::from_utf8(block).ok()?.lines().next()?;
        let (offset, rest) = line.strip_prefix("index at byte ")?.split_once(", ")?;
        let (length, crc32) = rest.split_once(" bytes, crc32 ")?;
        let (offset, length) = (offset.parse().ok()?, length.parse().ok()?);
        let is_inside = u64::checked_add(offset, length).is_some_and(|end| end <= size);
        let crc32 = u32::from_str_radix(crc32, 16).ok()?;
        (is_inside && length <= MOST_BYTES).then_some(Self { offset, length, crc32 })
    }
}

/// Why the bytes of an index are none.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is something else, or damaged.
    #[error("its index is no safetensors file: {0}")]
    Format(String),
    /// It was written by another version.
    #[error("its index is of format {0}; this version of earlybird reads {FORMAT}")]
    Version(String),
    /// A column, or a word about it, is missing.
    #[error("its index lacks \"{0}\", or it has another type or length")]
    Lacks(&'static str),
    /// Two classes have one name.
    #[error("its index has a class twice")]
    Twice,
    /// An image cannot be where it says, or what it says.
    #[error("its index puts image {0} outside the file, or into no class")]
    Member(usize),
}

impl Index {
    /// Its bytes.
    pub(in crate::data) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let n = self.members.len();
        let of = |value: fn(&Member) -> u32| -> Vec<u8> {
            self.members.iter().flat_map(|m| value(m).to_le_bytes()).collect()
        };
        let offsets: Vec<u8> = self.members.iter().flat_map(|m| m.offset.to_le_bytes()).collect();
        let names = self.names.join("\n").into_bytes();
        let rows = [
            ("offset", Dtype::U64, n, offsets),
            ("length", Dtype::U32, n, of(|m| m.length)),
            ("width", Dtype::U32, n, of(|m| m.width)),
            ("height", Dtype::U32, n, of(|m| m.height)),
            ("label", Dtype::U32, n, of(|m| m.label)),
            ("crc32", Dtype::U32, n, of(|m| m.crc32)),
            ("names", Dtype::U8, names.len(), names),
        ];
        let mut views = Vec::new();
        for (name, dtype, len, bytes) in &rows {
            let view = TensorView::new(*dtype, vec![*len], bytes).map_err(io::Error::other)?;
            views.push((*name, view));
        }
        let about = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("classes".to_owned(), serde_json::to_string(&self.classes)?),
            ("train".to_owned(), self.train.to_string()),
            ("sha256".to_owned(), self.sha256.clone()),
        ]);
        safetensors::serialize(views, Some(about)).map_err(io::Error::other)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave, of a packed file of `size` bytes.
    pub(in crate::data) fn from_bytes(bytes: &[u8], size: u64) -> Result<Self, IndexError> {
        let format = |e: safetensors::SafeTensorError| IndexError::Format(e.to_string());
        let (_, about) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        let version = word(&about, "format").unwrap_or_default();
        if version != FORMAT {
            return Err(IndexError::Version(version.escape_debug().to_string()));
        }
        let classes = word(&about, "classes").and_then(|text| serde_json::from_str(text).ok());
        let classes: Vec<String> = classes.ok_or(IndexError::Lacks("classes"))?;
        let classes: Vec<String> = classes.iter().map(|c| printable_name(c.as_ref())).collect();
        if classes.iter().collect::<HashSet<_>>().len() < classes.len() {
            return Err(IndexError::Twice);
        }
        let offsets = column(&file, "offset", Dtype::U64)?;
        let offsets: Vec<u64> =
            offsets.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        let n = offsets.len();
        let whole = |name| u32s(&file, name, n);
        let (length, label, crc32) = (whole("length")?, whole("label")?, whole("crc32")?);
        let (width, height) = (whole("width")?, whole("height")?);
        let member = |i: usize| {
            let member = Member {
                offset: offsets[i],
                length: length[i],
                width: width[i],
                height: height[i],
                label: label[i],
                crc32: crc32[i],
            };
            let end = member.offset.checked_add(u64::from(member.length));
            let is_inside = end.is_some_and(|end| end <= size)
                && (1..=MOST_OF_AN_IMAGE).contains(&member.length);
            let is_class = (member.label as usize) < classes.len();
            (is_inside && is_class).then_some(member).ok_or(IndexError::Member(i))
        };
        let members = (0..n).map(member).collect::<Result<Vec<_>, _>>()?;
        let names = column(&file, "names", Dtype::U8)?;
        let names = std::str::from_utf8(names).map_err(|_| IndexError::Lacks("names"))?;
        let printable = |name: &str| printable_name(name.as_ref());
        let names: Vec<String> = names.split_terminator('\n').map(printable).collect();
        if names.len() != n {
            return Err(IndexError::Lacks("names"));
        }
        let train = word(&about, "train").and_then(|text| text.parse().ok());
        let train = train.filter(|train| *train <= n).ok_or(IndexError::Lacks("train"))?;
        let sha256 = word(&about, "sha256").ok_or(IndexError::Lacks("sha256"))?.to_owned();
        Ok(Self { classes, train, members, names, sha256 })
    }
}

fn word<'a>(about: &'a Metadata, name: &str) -> Option<&'a str> {
    about.metadata().as_ref()?.get(name).map(String::as_str)
}

fn column<'a>(
    file: &SafeTensors<'a>,
    name: &'static str,
    dtype: Dtype,
) -> Result<&'a [u8], IndexError> {
    let view = file.tensor(name).map_err(|_| IndexError::Lacks(name))?;
    if view.dtype() == dtype { Ok(view.data()) } else { Err(IndexError::Lacks(name)) }
}

fn u32s(file: &SafeTensors<'_>, name: &'static str, n: usize) -> Result<Vec<u32>, IndexError> {
    let bytes = column(file, name, Dtype::U32)?.as_chunks().0;
    if bytes.len() != n {
        return Err(IndexError::Lacks(name));
    }
    Ok(bytes.iter().map(|b| u32::from_le_bytes(*b)).collect())
}
