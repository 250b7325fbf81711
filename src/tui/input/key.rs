//! Keys as people write them: `space`, `ctrl-c`, `G`, `shift-left`. Knows nothing of what they do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::fmt;
use std::str::FromStr;

/// A key with its modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A character, as typed.
    Char(char),
    /// A character with Control.
    Ctrl(char),
    /// A key with a name.
    Named(KeyCode),
    /// A key with a name, with Shift.
    Shift(KeyCode),
}

const NAMES: &[(&str, KeyCode)] = &[
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("f1", KeyCode::F(1)),
    ("f2", KeyCode::F(2)),
    ("f3", KeyCode::F(3)),
    ("f4", KeyCode::F(4)),
    ("f5", KeyCode::F(5)),
    ("f6", KeyCode::F(6)),
    ("f7", KeyCode::F(7)),
    ("f8", KeyCode::F(8)),
    ("f9", KeyCode::F(9)),
    ("f10", KeyCode::F(10)),
    ("f11", KeyCode::F(11)),
    ("f12", KeyCode::F(12)),
];

impl Key {
    /// Whether this is what was pressed.
    pub fn matches(self, event: &KeyEvent) -> bool {
        let has = |modifier| event.modifiers.contains(modifier);
        let plain = !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match self {
            Self::Char(c) => event.code == KeyCode::Char(c) && plain,
            Self::Ctrl(c) => event.code == KeyCode::Char(c) && has(KeyModifiers::CONTROL),
            // A back-tab is a tab with Shift: terminals say so or do not.
            Self::Named(code) => {
                event.code == code
                    && plain
                    && (code == KeyCode::BackTab || !has(KeyModifiers::SHIFT))
            }
            Self::Shift(code) => event.code == code && plain && has(KeyModifiers::SHIFT),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |code: &KeyCode| NAMES.iter().find(|(_, c)| c == code).map_or("?", |(name, _)| name);
        match self {
            Self::Char(' ') => f.write_str("space"),
            Self::Char(c) => write!(f, "{c}"),
            Self::Ctrl(c) => write!(f, "ctrl-{c}"),
            Self::Named(code) => f.write_str(name(code)),
            Self::Shift(code) => write!(f, "shift-{}", name(code)),
        }
    }
}

/// What is no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no key: a character, space, ctrl-x, left, shift-left, pageup, enter, f5 and the \
     like are"
)]
pub struct NoKey(String);

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let named = |name: &str| {
            NAMES.iter().find(|(n, _)| *n == name.to_lowercase()).map(|(_, code)| *code)
        };
        let single = |text: &str| {
            let mut chars = text.chars();
            chars.next().filter(|c| chars.next().is_none() && !c.is_control())
        };
        let key = match (text, text.split_once('-')) {
            ("space", _) => Some(Self::Char(' ')),
            (_, Some(("ctrl", rest))) => single(rest).map(|c| Self::Ctrl(c.to_ascii_lowercase())),
            (_, Some(("shift", rest))) => named(rest).map(Self::Shift),
            _ => single(text).map(Self::Char).or_else(|| named(text).map(Self::Named)),
        };
        key.ok_or_else(|| NoKey(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_is_written() {
        let keys = [
            Key::Char('a'),
            Key::Char('G'),
            Key::Char(' '),
            Key::Char('-'),
            Key::Ctrl('z'),
            Key::Shift(KeyCode::Left),
        ];
        for key in keys.into_iter().chain(NAMES.iter().map(|(_, code)| Key::Named(*code))) {
            assert_eq!(key.to_string().parse(), Ok(key), "{key}");
        }
        for wrong in ["", "hyper-x", "ctrl-", "shift-a", "lleft"] {
            assert!(wrong.parse::<Key>().is_err(), "{wrong}");
        }
    }
}
