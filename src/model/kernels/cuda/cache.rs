//! Files of the cache: bytes that were made once, behind their checksum. Knows nothing of what they
//! are.

use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

const CHECKSUM: usize = 32;

/// The bytes of file `name` in `folder`. Where it is not there, or not as it was written, `make`
/// makes them, and they are kept for the next time; a folder that takes no files costs that only.
///
/// # Errors
/// Those of `make`.
pub(super) fn kept<E>(
    folder: &Path,
    name: &str,
    make: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let path = folder.join(name);
    if let Some(bytes) = fs::read(&path).ok().and_then(whole) {
        return Ok(bytes);
    }
    let bytes = make()?;
    let _ = keep(&path, &bytes);
    Ok(bytes)
}

/// What is behind the checksum, where it is that.
fn whole(file: Vec<u8>) -> Option<Vec<u8>> {
    let (checksum, bytes) = file.split_at_checked(CHECKSUM)?;
    let sound = !bytes.is_empty() && Sha256::digest(bytes).as_slice() == checksum;
    sound.then(|| bytes.to_vec())
}

/// Under a name of this process's own, then renamed: another one never reads a part.
fn keep(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let written = fs::write(&part, [Sha256::digest(bytes).as_slice(), bytes].concat())
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// What is kept, and how often it was made.
    fn twice(folder: &Path, between: impl FnOnce(&Path)) -> (Vec<u8>, u32) {
        let made = Cell::new(0);
        let kept = || {
            kept::<()>(folder, "a.cubin", || {
                made.set(made.get() + 1);
                Ok(vec![made.get() as u8, 7, 7])
            })
        };
        assert_eq!(kept().expect("it works"), [1, 7, 7]);
        between(&folder.join("a.cubin"));
        (kept().expect("it works"), made.get())
    }

    #[test]
    fn what_was_made_once_is_read_and_no_other_file_stays() {
        let folder = tempfile::tempdir().expect("it works");
        assert_eq!(twice(&folder.path().join("new"), |_| ()), (vec![1, 7, 7], 1));
        assert_eq!(fs::read_dir(folder.path().join("new")).expect("it works").count(), 1);
    }

    #[test]
    fn a_damaged_file_is_made_again() {
        type Damage = fn(&Path);
        let damages: [(&str, Damage); 4] = [
            ("empty", |path| fs::write(path, []).expect("it works")),
            ("a part", |path| fs::write(path, [0; CHECKSUM]).expect("it works")),
            ("without its end", |path| {
                let bytes = fs::read(path).expect("it works");
                fs::write(path, &bytes[..bytes.len() - 1]).expect("it works");
            }),
            ("of a bit less", |path| {
                let mut bytes = fs::read(path).expect("it works");
                *bytes.last_mut().expect("it works") ^= 1;
                fs::write(path, bytes).expect("it works");
            }),
        ];
        for (how, damage) in damages {
            let folder = tempfile::tempdir().expect("it works");
            assert_eq!(twice(folder.path(), damage), (vec![2, 7, 7], 2), "{how}");
        }
    }

    #[test]
    fn a_folder_that_takes_no_files_costs_the_work_only() {
        let folder = tempfile::tempdir().expect("it works");
        let file = folder.path().join("a file");
        fs::write(&file, []).expect("it works");
        assert_eq!(twice(&file, |_| ()), (vec![2, 7, 7], 2));
    }

    #[test]
    fn what_cannot_be_made_is_not_kept() {
        let folder = tempfile::tempdir().expect("it works");
        assert_eq!(kept(folder.path(), "a", || Err(3)), Err(3));
        assert_eq!(fs::read_dir(folder.path()).expect("it works").count(), 0);
    }
}
