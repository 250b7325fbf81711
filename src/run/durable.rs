//! Files that are whole or not there. Some file systems (network ones, FUSE) cannot force what was
//! written to the disk and say so; the files are whole all the same, so that is no failure here.

use crate::advice::uninterrupted;
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Answers of a file system that cannot force anything to the disk.
const UNSUPPORTED: [Errno; 5] =
    [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::NOTTY];
/// What it may say, besides, of a directory: it cannot be opened like a file, or not be forced.
const NO_DIRECTORIES: [Errno; 4] = [Errno::BADF, Errno::ISDIR, Errno::ACCESS, Errno::PERM];

/// Writes under a temporary name, forces it to the disk, and only then gives it its name.
///
/// # Errors
/// Whatever the file system says; nothing half is left under either name.
pub(super) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = with_suffix(file, ".tmp");
    let write = || {
        let mut f = create_anew(&temporary)?;
        f.write_all(bytes)?;
        forced(f.sync_all())?;
        uninterrupted(|| fs::rename(&temporary, file))
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Makes a file that was not there: what has its name goes first, so that nothing is written
/// through a link to somewhere else.
///
/// # Errors
/// Whatever the file system says.
pub(super) fn create_anew(file: &Path) -> io::Result<File> {
    match File::create_new(file) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(file)?;
            File::create_new(file)
        }
        made => made,
    }
}

/// The outcome of forcing a file to the disk, where that is possible.
///
/// # Errors
/// What keeps a file system that can do it from doing it.
pub(super) fn forced(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(e) if is_one_of(&e, &UNSUPPORTED) => Ok(()),
        other => other,
    }
}

/// Forces the names in a directory to the disk; false where the file system cannot do that.
///
/// # Errors
/// As [`forced`].
pub(super) fn force_names(directory: &Path) -> io::Result<bool> {
    match uninterrupted(|| File::open(directory)?.sync_all()) {
        Ok(()) => Ok(true),
        Err(e) if is_one_of(&e, &UNSUPPORTED) || is_one_of(&e, &NO_DIRECTORIES) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The path with `suffix` behind its last part.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn is_one_of(e: &io::Error, errnos: &[Errno]) -> bool {
    Errno::from_io_error(e).is_some_and(|errno| errnos.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_cannot_be_forced_is_no_failure_and_one_that_fails_is() {
        for errno in UNSUPPORTED {
            assert!(forced(Err(errno.into())).is_ok(), "{errno:?}");
        }
        for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::FBIG, Errno::BADF]
        {
            assert!(forced(Err(errno.into())).is_err(), "{errno:?}");
        }
    }
}
