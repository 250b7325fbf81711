//! Names that somebody else gave: how they are shown, which are a system's own, which only look
//! alike. Knows nothing of what the files hold.

use crate::printable::is_unprintable;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// What file managers, archivers and file servers leave beside the data, in lower case. Names that
/// begin with a dot are theirs, too.
const SYSTEM: [&str; 15] = [
    "@eadir",                    // Synology
    "#recycle",                  // Synology
    "#snapshot",                 // Synology
    "@recycle",                  // QNAP
    "@recently-snapshot",        // QNAP
    "@tmp",                      // Synology
    "__macosx",                  // zip files of macOS
    "icon\r",                    // macOS
    "thumbs.db",                 // Windows
    "ehthumbs.db",               // Windows
    "desktop.ini",               // Windows
    "$recycle.bin",              // Windows
    "system volume information", // Windows
    "lost+found",                // ext4
    "__pycache__",               // Python
];

/// Whether a file or directory of this name is hidden or a system's own: no class, no image.
pub(super) fn is_system(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    name.starts_with('.') || SYSTEM.contains(&name.as_str())
}

/// The name as it may be printed anywhere. Control characters, what turns the direction of text,
/// bytes that are not UTF-8, and the backslash are escaped as in Rust, so that two names are never
/// shown alike because of it.
pub fn printable_name(name: &OsStr) -> String {
    let mut shown = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => shown.push_str("\\\\"),
                c if is_unprintable(c) => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}"); // writing to a String cannot fail
        }
    }
    shown
}

/// [`printable_name`] for a whole path.
pub(super) fn shown(path: &Path) -> String {
    printable_name(path.as_os_str())
}

/// What names that look alike have in common: their composed form (NFC).
pub(super) fn composed(name: &OsStr) -> Option<String> {
    name.to_str().map(|name| name.nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_are_shown_differently_and_hold_nothing_that_moves_a_cursor() {
        let names: [&[u8]; 8] = [
            b"cat",
            b"ca\x1b[2Jt",
            b"caf\xe9",
            b"caf\\xe9",
            "café".as_bytes(),
            b"a\nb",
            b"a\\nb",
            b"\xff\xfe",
        ];
        let shown: Vec<String> =
            names.iter().map(|n| printable_name(OsStr::from_bytes(n))).collect();
        assert_eq!(
            shown,
            [
                "cat",
                "ca\\u{1b}[2Jt",
                "caf\\xe9",
                "caf\\\\xe9",
                "café",
                "a\\nb",
                "a\\\\nb",
                "\\xff\\xfe"
            ],
            "every one is its own"
        );
        assert_eq!(printable_name(OsStr::new("safe\u{202e}gnp.exe")), "safe\\u{202e}gnp.exe");
    }

    #[test]
    fn hidden_and_system_names_are_known_in_any_case() {
        for name in [
            ".DS_Store",
            "._000.png",
            ".ipynb_checkpoints",
            "@eaDir",
            "Thumbs.db",
            "DESKTOP.INI",
            "$Recycle.Bin",
            "lost+found",
        ] {
            assert!(is_system(OsStr::new(name)), "{name}");
        }
        for name in ["cat", "thumbs", "@home", "$", "_", "n01440764"] {
            assert!(!is_system(OsStr::new(name)), "{name}");
        }
    }
}
