//! Images that stay on the disk until they are needed, each of which can be read by itself. Knows
//! nothing of classes.

use super::decode::{DecodeError, Decoder, Exif, portable};
use super::names::shown;
use super::pack::{MemberError, Packed};
use super::view::ScaleError;
use image::DynamicImage;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// Where images lie.
#[derive(Debug)]
pub enum Store {
    /// In one file.
    Packed(Packed, Exif),
    /// In files of their own.
    Files(Files),
}

/// What is known of a file that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Bytes.
    pub length: u64,
    /// CRC-32 of its first and last 4 KiB.
    pub crc32: u32,
}

/// Images in files of their own.
#[derive(Debug)]
pub struct Files {
    /// The folder that they are in.
    root: PathBuf,
    /// Path below it, and what was seen of each.
    files: Vec<(PathBuf, Looked)>,
    exif: Exif,
}

/// Why an image cannot be read: which, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{} of {} cannot be read: {}.", .0.name, .0.place, .0.fault)]
pub struct ReadError(Box<Unread>);

#[derive(Debug)]
struct Unread {
    name: String,
    place: String,
    fault: Fault,
    /// Where it is.
    image: Option<(Arc<Store>, u32)>,
}

impl ReadError {
    fn new(name: &str, place: &str, fault: Fault) -> Self {
        let (name, place) = (name.to_owned(), place.to_owned());
        Self(Box::new(Unread { name, place, fault, image: None }))
    }

    /// Whether the image can be read by now.
    pub fn is_mended(&self) -> bool {
        let read =
            |(store, number): &(Arc<Store>, u32)| store.image(*number, &Decoder::default()).is_ok();
        self.0.image.as_ref().is_some_and(read)
    }
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// What the file system says.
    #[error("{error}. {}", crate::advice::on(error).trim_end_matches('.'))]
    Io {
        /// Its error.
        error: io::Error,
    },
    /// Other bytes than those that were packed or listed.
    #[error("it has changed since it was packed or listed. Put back what it was")]
    Changed,
    /// What the decoder says.
    #[error("{0}. Put back the file as it was, or remove it and begin a new run")]
    Decode(DecodeError),
    /// The decoder broke off: its last words.
    #[error("its decoder broke off ({0}). Remove it, or write it anew, and begin a new run")]
    BrokeOff(String),
    /// No part of it can be shown.
    #[error("{0}. Remove it and begin a new run")]
    Scale(ScaleError),
}

impl Files {
    /// Files below `root`.
    pub(super) fn new(root: PathBuf, files: Vec<(PathBuf, Looked)>, exif: Exif) -> Self {
        Self { root, files, exif }
    }
}

impl Store {
    /// An image of the store; `decoder` is that of all threads.
    ///
    /// # Errors
    /// When it cannot be read, has changed, or is damaged.
    pub fn image(&self, number: u32, decoder: &Decoder) -> Result<DynamicImage, ReadError> {
        let bytes = self.bytes(number)?;
        let exif = match self {
            Self::Packed(_, exif) | Self::Files(Files { exif, .. }) => *exif,
        };
        // Pixels that were packed as they are need no decoder.
        let bytes = match portable::pixels(bytes) {
            Ok(image) => return Ok(image.into()),
            Err(bytes) => bytes,
        };
        decoder.decode_any(&bytes, exif).map_err(|e| self.error(number, Fault::Decode(e)))
    }

    fn bytes(&self, number: u32) -> Result<Vec<u8>, ReadError> {
        match self {
            Self::Packed(packed, _) => packed.bytes(number).map_err(|e| {
                let fault = match e {
                    MemberError::Io(error) => Fault::Io { error },
                    MemberError::Changed => Fault::Changed,
                };
                self.error(number, fault)
            }),
            Self::Files(Files { root, files, .. }) => {
                let (path, Looked { length, .. }) = &files[number as usize];
                let read = File::open(root.join(path)).and_then(|file| {
                    let mut bytes = Vec::with_capacity(*length as usize);
                    file.take(*length + 1).read_to_end(&mut bytes)?;
                    Ok(bytes)
                });
                match read {
                    Ok(bytes) if bytes.len() as u64 == *length => Ok(bytes),
                    Ok(_) => Err(self.error(number, Fault::Changed)),
                    Err(error) => Err(self.error(number, Fault::Io { error })),
                }
            }
        }
    }

    fn error(&self, number: u32, fault: Fault) -> ReadError {
        let place = match self {
            Self::Packed(packed, _) => packed.place(),
            Self::Files(files) => shown(&files.root),
        };
        ReadError::new(&self.name(number), &place, fault)
    }

    /// The name of an image, for people.
    pub fn name(&self, number: u32) -> String {
        match self {
            Self::Packed(packed, _) => packed.name(number).to_owned(),
            Self::Files(files) => shown(&files.files[number as usize].0),
        }
    }

    /// What tells an image from another without reading it: length and checksum, of a file of
    /// its own with the name.
    pub(super) fn mark(&self, number: u32) -> Vec<u8> {
        match self {
            Self::Packed(packed, _) => packed.mark(number).to_vec(),
            Self::Files(Files { files, .. }) => {
                let (path, Looked { length, crc32 }) = &files[number as usize];
                let name = path.as_os_str().as_encoded_bytes();
                [&length.to_le_bytes()[..], &crc32.to_le_bytes(), name, &[0]].concat()
            }
        }
    }
}

/// Some images of a store.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where they are.
    pub store: Arc<Store>,
    /// Their numbers there, shape `[n]`.
    pub numbers: Vec<u32>,
}

impl Stored {
    /// The error for image `at`, whose decoder panicked with these words.
    pub fn broke_off(&self, at: usize, words: &str) -> ReadError {
        self.store.error(self.numbers[at], Fault::BrokeOff(words.to_owned()))
    }

    /// The error for image `at`, which was read, and cannot be scaled.
    pub(super) fn unscaled(&self, at: usize, error: &ScaleError) -> ReadError {
        self.store.error(self.numbers[at], Fault::Scale(error.clone()))
    }

    /// Image `at` of these.
    ///
    /// # Errors
    /// As [`Store::image`].
    pub fn image(&self, at: usize, decoder: &Decoder) -> Result<DynamicImage, ReadError> {
        let number = self.numbers[at];
        self.store.image(number, decoder).map_err(|mut unread| {
            unread.0.image = Some((self.store.clone(), number));
            unread
        })
    }
}

/// Equal where they are the same images of the same store.
impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.store, &other.store) && self.numbers == other.numbers
    }
}

impl Eq for Stored {}
