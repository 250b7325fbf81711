//! What is wrong with a file that is no TOML, in words that say what to write: bytes that are no
//! UTF-8, and the usual slips. Knows the table of keys, but no values.

use super::keys::{self, Rule};

/// The bytes of a config file as text.
///
/// # Errors
/// Line (from 1), what is wrong, and what to do.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str, (usize, String, String)> {
    let resave = "Save it as UTF-8: editors offer that under \"save with encoding\".";
    let utf16 = |what: &str| Err((1, format!("{what}, and TOML is UTF-8"), resave.to_owned()));
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return utf16("the file is UTF-16");
    }
    if bytes.contains(&0) {
        return utf16("the file holds zero bytes, as UTF-16 does");
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        let what = format!(
            "byte 0x{:02x} is not UTF-8, which TOML is (Latin-1 has such bytes)",
            bytes[at]
        );
        (line_of(bytes, at), what, resave.to_owned())
    })
}

/// The line, from 1, of the byte at `offset`.
pub(super) fn line_of(text: &[u8], offset: usize) -> usize {
    text[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// What to write instead, where TOML objects to this line (from 1): values without their quotes are
/// the usual slip.
pub(super) fn advice(text: &str, line: usize) -> String {
    const GENERAL: &str = "A config is lines of key = value under [table] headings; `earlybird \
                           train --print-config` shows a whole one.";
    let before = text.lines().take(line);
    let table = before
        .filter_map(|l| l.trim().strip_prefix('[')?.split(']').next())
        .last()
        .unwrap_or_default();
    let written = text.lines().nth(line - 1).and_then(|l| l.split_once('='));
    let Some((name, value)) = written.map(|(name, value)| (name.trim(), value)) else {
        return GENERAL.into();
    };
    // A value that is right by itself is not what TOML objects to: it stands there twice, say.
    if toml::from_str::<toml::Table>(&format!("value = {}", value.trim())).is_ok() {
        return GENERAL.into();
    }
    let value = unquoted(value);
    let path = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
    match keys::find(&path).map(|key| key.rule) {
        Some(rule @ (Rule::Text | Rule::Name | Rule::OneOf(_))) if !value.is_empty() => {
            format!("Text needs quotes: {name} = \"{value}\" ({path}: {}).", rule.describe())
        }
        Some(rule @ Rule::Number(..)) if value.contains(',') => {
            format!("{path}: expected {}; a point begins the decimals.", rule.describe())
        }
        Some(rule) => format!("{path}: expected {}.", rule.describe()),
        None => GENERAL.into(),
    }
}

/// A value as it was meant: without its comment and stray quotes.
fn unquoted(value: &str) -> &str {
    let value = value.split('#').next().unwrap_or_default().trim();
    value.trim_matches(|c| c == '"' || c == '\'')
}
