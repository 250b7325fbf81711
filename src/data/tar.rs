//! Tar archives that somebody else made, read in memory: a header may claim what it likes, nothing
//! is read beyond what the reader of its contents can use, and nothing is ever written.

use super::names::{printable_name, shown};
use super::read::{DataError, open};
use std::io::{self, Read};
use std::path::Path;
use tar::EntryType;

/// Entries that are looked at.
const MOST_ENTRIES: usize = 10_000;
/// Bytes that an archive unpacks to: five times the larger of those that are read.
const MOST_BYTES: u64 = 1 << 30;
/// Bytes of a header that gives the next entry's name or attributes.
const MOST_HEADER: u64 = 1 << 16;

/// Calls `take` with the file name, size and contents of every plain file.
pub(super) fn each_file(
    path: &Path,
    mut take: impl FnMut(&str, u64, &mut dyn Read) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let wrong = |what: String| DataError::Corrupt { file: shown(path), byte: 0, what };
    let broken = |e: io::Error| {
        wrong(format!("not a readable tar archive: {}", printable_name(e.to_string().as_ref())))
    };
    let mut archive = tar::Archive::new(Bounded { reader: open(path)?, left: MOST_BYTES });
    // Raw: this crate would read the whole of a long name into memory, however long.
    let entries = archive.entries().map_err(broken)?.raw(true);
    let mut long_name = None;
    for (k, entry) in entries.enumerate() {
        let mut entry = entry.map_err(broken)?;
        if k == MOST_ENTRIES {
            return Err(wrong(format!("more than {MOST_ENTRIES} entries")));
        }
        let size = entry.header().entry_size().map_err(broken)?;
        let kind = entry.header().entry_type();
        let most = if is_extension(kind) { MOST_HEADER } else { MOST_BYTES };
        if size > most {
            let name = String::from_utf8_lossy(&entry.path_bytes()).escape_debug().to_string();
            return Err(wrong(format!("the archive claims {size} bytes for its entry \"{name}\"")));
        }
        if is_extension(kind) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(broken)?;
            long_name = name_in(kind, &bytes).or(long_name);
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        if kind == EntryType::GNUSparse {
            return Err(wrong(
                "a sparse entry, which is not read: unpack the archive and set \
                              data.path to the folder"
                    .into(),
            ));
        }
        if matches!(kind, EntryType::Regular | EntryType::Continuous) {
            take(&String::from_utf8_lossy(file_name(&name)), size, &mut entry)?;
        }
    }
    Ok(())
}

fn is_extension(kind: EntryType) -> bool {
    use EntryType::{GNULongLink, GNULongName, XGlobalHeader, XHeader};
    matches!(kind, GNULongName | GNULongLink | XHeader | XGlobalHeader)
}

/// The next entry's name, if this header gives it.
fn name_in(kind: EntryType, bytes: &[u8]) -> Option<Vec<u8>> {
    match kind {
        EntryType::GNULongName => {
            Some(bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec())
        }
        // Records are `length key=value\n`.
        EntryType::XHeader => {
            let records = bytes.split(|b| *b == b'\n');
            let path = |record: &[u8]| {
                record.splitn(2, |b| *b == b' ').nth(1)?.strip_prefix(b"path=").map(<[u8]>::to_vec)
            };
            records.filter_map(path).next_back()
        }
        _ => None,
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// A reader that gives up where an archive is larger than any that is read.
struct Bounded<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(got as u64).ok_or_else(|| {
            io::Error::other(format!(
                "it unpacks to more than the {MOST_BYTES} bytes that such an archive can have"
            ))
        })?;
        Ok(got)
    }
}
