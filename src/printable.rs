//! Text that somebody else chose (names of files and classes, notes, what a peer or native code
//! says), made safe to show: it moves no cursor, turns no line around and breaks no XML.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something else than being seen, or is no character: controls, marks and
/// overrides of direction, line and paragraph separators, the byte order mark, what XML forbids.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fffe}'
                | '\u{ffff}'
        )
}

/// The text with what is not printable escaped as in JSON, `\u001b`; line feeds and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_odd = |c: char| is_unprintable(c) && c != '\n' && c != '\t';
    if !text.contains(is_odd) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_odd(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c)); // writing to a String cannot fail
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// Longest name that is shown.
const SHOWN: usize = 100;

/// A name as one short line: what is white in it is a space, what is long is cut.
pub fn in_one_line(name: &str) -> String {
    let spaced = name.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let text: String = spaced.take(SHOWN).collect();
    let cut = if name.chars().nth(SHOWN).is_some() { "..." } else { "" };
    format!("{}{cut}", printable(&text))
}

/// The text as a page or a figure has it: [`printable`], with HTML's own characters escaped.
pub fn in_markup(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_moves_a_cursor_or_turns_a_line_around() {
        assert_eq!(printable("a plain\nnote\twith é and 猫"), "a plain\nnote\twith é and 猫");
        assert_eq!(
            printable("\u{1b}[2Jgone\r\u{7f}\u{9b}31m"),
            "\\u001b[2Jgone\\u000d\\u007f\\u009b31m"
        );
        assert_eq!(printable("cat\u{202e}gnp.exe\u{feff}"), "cat\\u202egnp.exe\\ufeff");
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let name = "caf\u{e9}\u{1b}[0m\u{9b}\u{202e}\u{7f}";
        let text = serde_json::to_string(name).expect("serialized");
        let safe = printable(&text);
        assert!(!safe.contains(is_unprintable), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).expect("JSON"), name);
    }
}
