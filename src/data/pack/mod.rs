//! Packed files: one file for a whole image folder, made by `earlybird data pack`. A plain tar in
//! the folder's own layout, which `tar` lists and extracts, with an index as its last members.
//! Any image is read by itself, at its place, and checked when it is first read. Knows nothing of
//! pixels.

mod index;

pub(super) use self::index::{INDEX, Index, Member, PLACE, Place};

pub use self::index::IndexError;
use super::names::shown;
use rustix::buffer::spare_capacity;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a packed file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// What the file system says.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is shorter than an empty one.
    #[error("it is too short to be a packed file")]
    Short,
    /// Its end is missing, or it is another tar.
    #[error("it ends without an index")]
    NoIndex,
    /// The index's checksum is wrong.
    #[error("its index is damaged (checksum)")]
    Damaged,
    /// The index is of another version, or contradicts itself.
    #[error("{0}")]
    Index(IndexError),
}

/// Why an image of one cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// What the file system says.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Other bytes than those that were packed.
    #[error("its bytes have changed since it was packed")]
    Changed,
}

/// An open packed file.
#[derive(Debug)]
pub struct Packed {
    path: PathBuf,
    file: File,
    index: Index,
    /// A bit for each image: whether its checksum was found right.
    checked: Vec<AtomicU64>,
}

impl Packed {
    /// Opens one, and reads its index.
    ///
    /// # Errors
    /// When it cannot be read, has no index, or one that is damaged or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, PackError> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let at = size.checked_sub(Place::BEFORE_THE_END).ok_or(PackError::Short)?;
        let mut block = [0; 512];
        file.read_exact_at(&mut block, at)?;
        let place = Place::read(&block, size).ok_or(PackError::NoIndex)?;
        // The place lies inside the file, so this is no more than there is.
        let mut bytes = vec![0; place.length as usize];
        file.read_exact_at(&mut bytes, place.offset)?;
        if crc32fast::hash(&bytes) != place.crc32 {
            return Err(PackError::Damaged);
        }
        let index = Index::from_bytes(&bytes, size).map_err(PackError::Index)?;
        let words = index.members.len().div_ceil(64);
        let checked = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { path: path.to_owned(), file, index, checked })
    }

    /// What it holds.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// The name of an image in the archive.
    pub fn name(&self, number: u32) -> &str {
        self.index.names.get(number as usize).map_or("", String::as_str)
    }

    /// The file's own name, for people.
    pub fn place(&self) -> String {
        shown(&self.path)
    }

    /// What an image is known by: its length and its checksum.
    pub(super) fn mark(&self, number: u32) -> [u8; 8] {
        let member = &self.index.members[number as usize];
        let mut mark = [0; 8];
        mark[..4].copy_from_slice(&member.length.to_le_bytes());
        mark[4..].copy_from_slice(&member.crc32.to_le_bytes());
        mark
    }

    /// So many bytes from `offset` on, into memory that nothing wrote to before.
    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = offset + bytes.len() as u64;
            match rustix::io::pread(&self.file, spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        bytes.truncate(length); // more room may have been made than was asked for
        Ok(bytes)
    }

    /// The bytes of an image; its checksum is looked at the first time.
    ///
    /// # Errors
    /// When they cannot be read, or are not those that were packed.
    pub fn bytes(&self, number: u32) -> Result<Vec<u8>, MemberError> {
        let member = self.index.members[number as usize];
        let bytes = self.read(member.offset, member.length as usize)?;
        let (word, bit) = (&self.checked[number as usize / 64], 1_u64 << (number % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            if crc32fast::hash(&bytes) != member.crc32 {
                return Err(MemberError::Changed);
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(bytes)
    }
}
