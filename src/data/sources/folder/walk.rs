//! The files of a class, and the directories of a directory. Hidden and system names are left out,
//! links are followed. Knows nothing of what files hold, but for their names.

use super::account::{Account, Reason};
use crate::data::decode::Named;
use crate::data::names::{is_system, shown};
use crate::data::read::DataError;
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An entry of a directory, links followed.
#[derive(Debug)]
pub(super) enum Entry {
    Directory(PathBuf),
    File(PathBuf),
    /// It leads nowhere, or to what cannot be read as a file.
    Neither(PathBuf, Reason),
}

/// What lies in `directory`, in the order of the names.
pub(super) fn entries(directory: &Path) -> Result<Vec<Entry>, DataError> {
    let read = std::fs::read_dir(directory).map_err(DataError::io(directory))?;
    let found = read.collect::<Result<Vec<_>, _>>().map_err(DataError::io(directory))?;
    let mut found: Vec<_> = found.into_iter().filter(|e| !is_system(&e.file_name())).collect();
    found.sort_by_cached_key(std::fs::DirEntry::file_name);
    Ok(found.into_iter().map(|e| entry(&e)).collect())
}

fn entry(found: &std::fs::DirEntry) -> Entry {
    let path = found.path();
    // Following costs a call for each entry, which only links need.
    let kind = match found.file_type() {
        Ok(kind) if !kind.is_symlink() => Ok(kind),
        _ => std::fs::metadata(&path).map(|m| m.file_type()),
    };
    match kind {
        Ok(kind) if kind.is_dir() => Entry::Directory(path),
        Ok(kind) if kind.is_file() => Entry::File(path),
        Ok(_) => Entry::Neither(path, Reason::Special),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ELOOP | libc::ENOTDIR)) => {
            Entry::Neither(path, Reason::Link)
        }
        Err(_) => Entry::File(path), // reading it will say why not
    }
}

/// Names of the directories in `directory`, in their order.
pub(super) fn directories(directory: &Path) -> Result<Vec<OsString>, DataError> {
    let name = |entry| {
        if let Entry::Directory(path) = entry { path.file_name().map(OsString::from) } else { None }
    };
    Ok(entries(directory)?.into_iter().filter_map(name).collect())
}

/// Directories by device and inode, whatever path leads to them.
pub(super) type Places = HashSet<(u64, u64)>;

/// Which directory lies at `path`, links followed.
pub(super) fn identity(path: &Path) -> Result<(u64, u64), DataError> {
    let here = std::fs::metadata(path).map_err(DataError::io(path))?;
    Ok((here.dev(), here.ino()))
}

/// All files in `directory` and below, in the order of their paths. `place` is what the account
/// calls it; a link to one of the `others`, which are no part of this class, is not followed.
pub(super) fn files(
    directory: &Path,
    place: &str,
    others: &Places,
    account: &mut Account,
) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    let mut seen = others.clone();
    seen.remove(&identity(directory)?);
    below(directory, place, account, &mut seen, &mut files)?;
    files.sort();
    Ok(files)
}

/// `seen`: directories that were read or belong elsewhere, so that links among them lead to an end.
fn below(
    directory: &Path,
    place: &str,
    account: &mut Account,
    seen: &mut Places,
    files: &mut Vec<PathBuf>,
) -> Result<(), DataError> {
    if !seen.insert(identity(directory)?) {
        account.add(place, Reason::Loop);
        return Ok(());
    }
    for entry in entries(directory)? {
        match entry {
            Entry::Directory(path) => below(&path, place, account, seen, files)?,
            Entry::File(path) => files.push(path),
            Entry::Neither(path, reason) => {
                // A link that leads nowhere may have led to a folder.
                if Named::of(&path).is_image() || reason == Reason::Link {
                    account.add(place, reason);
                }
            }
        }
    }
    Ok(())
}

/// The path below `root`, printable.
pub(super) fn below_root(root: &Path, path: &Path) -> String {
    shown(path.strip_prefix(root).unwrap_or(path))
}
