//! Whether a WebP is whole: its header says how long it is (RFC 9649, section 2.4).
//! Knows nothing of pixels.

/// Whether as many bytes are there as the header says.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let length = bytes.get(4..8).and_then(|field| field.first_chunk());
    length.is_some_and(|field| bytes.len() as u64 >= 8 + u64::from(u32::from_le_bytes(*field)))
}
