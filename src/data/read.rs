//! Reading bytes that somebody else wrote: bounded, gunzipped where needed, with errors that name
//! file and byte. Knows no format.

use super::names::shown;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Why there is no data.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file cannot be read or written.
    #[error("{}", crate::advice::about(shown(path), source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error(
        "{file}, byte {byte}: {what}\n  The file is damaged or of another kind: fetch it again \
         (earlybird data fetch), or set data.source to its kind."
    )]
    Corrupt {
        /// The file (or its place in an archive).
        file: String,
        /// Where in it, from 0.
        byte: u64,
        /// What is wrong there.
        what: String,
    },
    /// An image folder cannot be used as it is.
    #[error("{root}{}\n  {help}", listed(wrong))]
    Folder {
        /// The folder, printable.
        root: String,
        /// All that is wrong with it, a line each.
        wrong: Vec<String>,
        /// What to do.
        help: String,
    },
    /// An image cannot be read: which, and what to do.
    #[error("{0}")]
    Unread(Box<dyn std::error::Error + Send + Sync>),
    /// Something needed is not there.
    #[error("{what}\n  {help}")]
    Missing {
        /// What.
        what: String,
        /// What to do.
        help: String,
    },
    /// A download failed.
    #[error(
        "downloading {url}: {what}\n  What was received is kept and the next try goes on from \
         there. Without network: put the file into {} yourself, or set data.path.",
        shown(cache)
    )]
    Download {
        /// From where.
        url: String,
        /// Why.
        what: String,
        /// Into which directory.
        cache: PathBuf,
    },
    /// A download is not the file that was published.
    #[error(
        "{} has MD5 {got}, not {want}: it was set aside as {}\n  Try again; if it happens twice, \
         something between here and the server changes files.",
        shown(file),
        shown(aside)
    )]
    Checksum {
        /// The file.
        file: PathBuf,
        /// Its checksum.
        got: String,
        /// The published one.
        want: String,
        /// Where it is now.
        aside: PathBuf,
    },
}

/// One reason behind a colon; several below each other.
fn listed(wrong: &[String]) -> String {
    match wrong {
        [one] => format!(": {one}"),
        all => format!(" cannot be used:\n  {}", all.join("\n  ")),
    }
}

impl DataError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Opens a file, gunzipped if its first two bytes say so.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let mut file =
        BufReader::with_capacity(1 << 16, File::open(path).map_err(DataError::io(path))?);
    let gz = file.fill_buf().map_err(DataError::io(path))?.starts_with(&[0x1f, 0x8b]);
    Ok(if gz { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// A stream that counts its bytes and turns early ends into errors.
pub(super) struct Stream<R> {
    reader: R,
    name: String,
    at: u64,
}

impl<R: Read> Stream<R> {
    pub(super) fn new(reader: R, name: impl Into<String>) -> Self {
        Self { reader, name: name.into(), at: 0 }
    }

    pub(super) fn corrupt(&self, byte: u64, what: impl Into<String>) -> DataError {
        DataError::Corrupt { file: self.name.clone(), byte, what: what.into() }
    }

    /// Exactly `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DataError> {
        let bytes = self.bytes(N as u64)?;
        bytes.try_into().map_err(|_| self.corrupt(self.at, "the file ends here"))
    }

    /// Exactly `count` bytes. Memory grows with what is there, never with what a header claims.
    pub(super) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(count).read_to_end(&mut bytes);
        let got = bytes.len() as u64;
        let from = self.at;
        self.at += got;
        match read {
            Err(e) => Err(self.corrupt(self.at, format!("cannot be read on: {e}"))),
            Ok(_) if got < count && self.at == 0 => Err(self.corrupt(0, "the file is empty")),
            Ok(_) if got < count => Err(self.corrupt(
                self.at,
                format!("the file ends here, {} bytes from byte {from} on were expected", count),
            )),
            Ok(_) => Ok(bytes),
        }
    }

    /// Everything that is left, at most `limit` bytes.
    pub(super) fn rest(&mut self, limit: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(limit + 1).read_to_end(&mut bytes);
        self.at += bytes.len() as u64;
        match read {
            Err(e) => Err(self.corrupt(self.at, format!("cannot be read on: {e}"))),
            Ok(_) if bytes.len() as u64 > limit => Err(self
                .corrupt(limit, format!("more than the {limit} bytes that such a file can have"))),
            Ok(_) => Ok(bytes),
        }
    }

    /// The end, or an error: a longer file is not what its header says.
    pub(super) fn end(&mut self) -> Result<(), DataError> {
        let at = self.at;
        match self.rest(0) {
            Ok(_) => Ok(()),
            Err(DataError::Corrupt { what, .. }) if what.starts_with("cannot be read") => {
                Err(self.corrupt(at, what))
            }
            Err(_) => {
                Err(self.corrupt(at, "the file goes on here, though its header says that it ends"))
            }
        }
    }
}
