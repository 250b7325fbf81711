//! Whether a GIF is whole. Only the first picture is decoded, so the blocks are followed to the
//! trailer (GIF89a specification, appendix B). Knows nothing of pixels.

const EXTENSION: u8 = 0x21;
const PICTURE: u8 = 0x2c;
const TRAILER: u8 = 0x3b;

/// Whether the trailer is there. What comes after it is no part of the image.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    end_of(bytes).is_some()
}

/// What is behind the trailer.
fn end_of(bytes: &[u8]) -> Option<&[u8]> {
    // Signature and version (6), size (4), table of colours, background, aspect.
    let mut rest = bytes.get(13 + colours(*bytes.get(10)?)..)?;
    loop {
        let (kind, behind) = rest.split_first()?;
        rest = match *kind {
            TRAILER => return Some(behind),
            EXTENSION => blocks(behind.get(1..)?)?, // behind its label
            // Place and size (8), table of colours, least size of a code (1).
            PICTURE => blocks(behind.get(10 + colours(*behind.get(8)?)..)?)?,
            _ => return None,
        };
    }
}

/// Bytes of a table of colours, by the field that tells of it.
fn colours(field: u8) -> usize {
    if field & 0x80 == 0 { 0 } else { 3 << ((field & 7) + 1) }
}

/// What is behind a row of blocks, each of which begins with its length; an empty one is the last.
fn blocks(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        let (length, behind) = rest.split_first()?;
        rest = behind.get(usize::from(*length)..)?;
        if *length == 0 {
            return Some(rest);
        }
    }
}
