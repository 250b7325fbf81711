//! The zip archives that `torch.save` writes: entries that stand in the file as they are. Knows
//! nothing of what is in them.

use super::Damage;
use std::collections::HashMap;

/// What an archive begins with.
pub const BEGIN: &[u8] = b"PK\x03\x04";
/// What one without entries begins with, and what the end of each begins with.
pub const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const ENTRY: &[u8] = b"PK\x01\x02";
/// Bytes of the end, of what may follow it, and of the locator before it.
const END_BYTES: usize = 22;
const COMMENT_BYTES: usize = 65_535;
const LOCATOR_BYTES: usize = 20;
/// What stands for a number that an extra field holds in 64 bits.
const ELSEWHERE: u64 = 0xffff_ffff;

/// Where things are in an archive.
pub struct Archive<'a> {
    bytes: &'a [u8],
    entries: HashMap<&'a str, Entry>,
}

struct Entry {
    flags: u64,
    method: u64,
    crc32: u64,
    /// Bytes, and bytes in the file: the same where nothing is compressed.
    size: u64,
    packed: u64,
    /// Where its own header begins.
    header: u64,
}

/// The number of `N` bytes at `at`, little-endian.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut all = [0; 8];
    all[..N].copy_from_slice(bytes.get(at..at.checked_add(N)?)?);
    Some(u64::from_le_bytes(all))
}

fn place<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(number::<N>(bytes, at)?).ok()
}

fn begins(bytes: &[u8], at: usize, with: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(with))
}

/// Where the directory begins, and how many entries it has.
fn directory(bytes: &[u8]) -> Option<(usize, u64)> {
    let from = bytes.len().saturating_sub(END_BYTES + COMMENT_BYTES);
    let end = from + bytes[from..].windows(END.len()).rposition(|part| part == END)?;
    bytes.get(end..end + END_BYTES)?;
    if let Some(locator) = end.checked_sub(LOCATOR_BYTES)
        && begins(bytes, locator, LOCATOR_64)
    {
        let end = place::<8>(bytes, locator + 8)?;
        if !begins(bytes, end, END_64) {
            return None;
        }
        let rest = &bytes[end..];
        return Some((place::<8>(rest, 48)?, number::<8>(rest, 32)?));
    }
    Some((place::<4>(bytes, end + 16)?, number::<2>(bytes, end + 10)?))
}

/// The sizes and the place of an entry, those of them that its extra field holds from there.
fn in_64_bits(mut extra: &[u8], fields: [u64; 3]) -> Option<[u64; 3]> {
    if !fields.contains(&ELSEWHERE) {
        return Some(fields);
    }
    while number::<2>(extra, 0)? != 1 {
        extra = extra.get(4 + place::<2>(extra, 2)?..)?;
    }
    let (mut out, mut at) = (fields, 4);
    for field in out.iter_mut().filter(|field| **field == ELSEWHERE) {
        *field = number::<8>(extra, at)?;
        at += 8;
    }
    Some(out)
}

/// An entry of the directory, its name and how many bytes it takes.
fn entry(bytes: &[u8]) -> Option<(&[u8], Entry, usize)> {
    if !bytes.starts_with(ENTRY) {
        return None;
    }
    let (name, extra) = (place::<2>(bytes, 28)?, place::<2>(bytes, 30)?);
    let whole = 46 + name + extra + place::<2>(bytes, 32)?;
    let (name, rest) = bytes.get(46..whole)?.split_at(name);
    let fields = [number::<4>(bytes, 24)?, number::<4>(bytes, 20)?, number::<4>(bytes, 42)?];
    let [size, packed, header] = in_64_bits(&rest[..extra], fields)?;
    let entry = Entry {
        flags: number::<2>(bytes, 8)?,
        method: number::<2>(bytes, 10)?,
        crc32: number::<4>(bytes, 16)?,
        size,
        packed,
        header,
    };
    Some((name, entry, whole))
}

impl<'a> Archive<'a> {
    /// Reads the directory.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Damage> {
        let lost = || Damage::of("its directory is damaged or cut off");
        let (mut at, count) = directory(bytes).ok_or_else(lost)?;
        let mut entries = HashMap::new();
        let mut left = bytes.len() as u64;
        for _ in 0..count {
            let (name, entry, whole) = bytes.get(at..).and_then(entry).ok_or_else(lost)?;
            at += whole;
            // Else a small file could have a sum over the same bytes made again and again.
            let overlap = || Damage::of("its entries are more than the file");
            left = left.checked_sub(entry.packed).ok_or_else(overlap)?;
            let Ok(name) = std::str::from_utf8(name) else { continue }; // none of PyTorch's
            if entries.insert(name, entry).is_some() {
                return Err(Damage::of(format!("two of its entries are called {name}")));
            }
        }
        Ok(Self { bytes, entries })
    }

    /// The names of all entries, in no order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// The bytes of an entry, if there is one of that name.
    ///
    /// # Errors
    /// When they are not there, packed, or have another checksum.
    pub fn get(&self, name: &str) -> Result<Option<&'a [u8]>, Damage> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        if entry.method != 0 || entry.size != entry.packed || entry.flags & 1 != 0 {
            return Err(Damage::of(format!("its {name} is compressed or encrypted")));
        }
        let bytes =
            self.stored(entry).ok_or_else(|| Damage::of(format!("its {name} is cut off")))?;
        // PyTorch writes 0 where it is told not to compute it.
        if entry.crc32 != 0 && u64::from(crc32fast::hash(bytes)) != entry.crc32 {
            return Err(Damage::of(format!("its {name} does not have its checksum")));
        }
        Ok(Some(bytes))
    }

    fn stored(&self, entry: &Entry) -> Option<&'a [u8]> {
        let header = self.bytes.get(usize::try_from(entry.header).ok()?..)?;
        if !header.starts_with(BEGIN) {
            return None;
        }
        let begin = 30 + place::<2>(header, 26)? + place::<2>(header, 28)?;
        header.get(begin..)?.get(..usize::try_from(entry.size).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the directory says of an entry of three bytes.
    struct Said {
        name: &'static str,
        flags: u16,
        method: u16,
        crc32: u32,
        size: u32,
        extra: Vec<u8>,
    }

    fn said(name: &'static str) -> Said {
        let crc32 = crc32fast::hash(b"abc");
        Said { name, flags: 0, method: 0, crc32, size: 3, extra: Vec::new() }
    }

    /// An archive of one file with as many entries for it.
    fn archive(said: &[Said]) -> Vec<u8> {
        let mut bytes = [BEGIN, &[0; 26], b"abc"].concat();
        let begin = bytes.len() as u32;
        for Said { name, flags, method, crc32, size, extra } in said {
            bytes.extend([ENTRY, &[0; 4], &flags.to_le_bytes(), &method.to_le_bytes()].concat());
            bytes.extend([[0; 4], crc32.to_le_bytes(), size.to_le_bytes()].concat());
            bytes.extend(size.to_le_bytes());
            bytes.extend((name.len() as u16).to_le_bytes());
            bytes.extend((extra.len() as u16).to_le_bytes());
            bytes.extend([&[0; 14][..], name.as_bytes(), extra].concat());
        }
        let len = bytes.len() as u32 - begin;
        bytes.extend([END, &[0; 4], &[said.len() as u8, 0], &[said.len() as u8, 0]].concat());
        bytes.extend([&len.to_le_bytes()[..], &begin.to_le_bytes(), &[0; 2]].concat());
        bytes
    }

    #[test]
    fn an_entry_is_found_by_its_name_also_where_its_size_has_64_bits() {
        let other = [9, 0, 1, 0, 7];
        let sizes = [&other[..], &[1, 0, 16, 0], &[3, 0, 0, 0, 0, 0, 0, 0].repeat(2)].concat();
        let wide = Said { size: u32::MAX, extra: sizes, ..said("wide") };
        let unsummed = Said { crc32: 0, ..said("unsummed") };
        let bytes = archive(&[said("plain"), unsummed, wide]);
        let archive = Archive::open(&bytes).expect("opened");
        for name in ["plain", "unsummed", "wide"] {
            assert_eq!(archive.get(name).expect("read"), Some(&b"abc"[..]), "{name}");
        }
        assert_eq!(archive.get("other").expect("looked for"), None);
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_told() {
        for (said, expected) in [
            (vec![Said { method: 8, ..said("x") }], "x is compressed or encrypted"),
            (vec![Said { flags: 1, ..said("x") }], "x is compressed or encrypted"),
            (vec![Said { crc32: 1, ..said("x") }], "x does not have its checksum"),
            (vec![said("x"), said("x")], "two of its entries are called x"),
            (vec![Said { size: u32::MAX, ..said("x") }], "its directory is damaged"),
            (vec![Said { size: 60, ..said("x") }, said("y")], "x does not have its checksum"),
            (vec![Said { size: 1_000, ..said("x") }], "its entries are more than the file"),
        ] {
            let bytes = archive(&said);
            let read = Archive::open(&bytes).and_then(|a| a.get("x").map(|_| ()));
            let Damage(text) = read.expect_err(expected);
            assert!(text.contains(expected), "{text}");
        }
    }
}
