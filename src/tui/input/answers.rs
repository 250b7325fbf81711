//! What a terminal says of itself when it is asked. Pure.

use super::scanner::{StringKind, Token};

/// Asks for the background's colour (OSC 11).
pub const ASK_BACKGROUND: &str = "\x1b]11;?\x07";
/// Asks what kind of terminal it is (DA1). All terminals answer that, and in turn: what was asked
/// before it and has no answer by then has none.
pub const ASK_KIND: &str = "\x1b[c";

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Whether the background is light.
    Background {
        /// More than half as light as white to the eye.
        is_light: bool,
    },
    /// It shows images the way kitty does.
    Kitty,
    /// What kind of terminal it is.
    Kind {
        /// Whether it shows sixels.
        sixel: bool,
    },
    /// Width and height of a character in pixels.
    Cell(u16, u16),
    /// It is there.
    Status,
}

impl Answer {
    /// Whether everything that was asked before has been answered by now.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Kind { .. } | Self::Status)
    }
}

/// The answer that `token` is, if it is one that is asked for.
pub(super) fn answer(token: &Token) -> Option<Answer> {
    match token {
        Token::String(StringKind::Osc, body) => {
            let text = std::str::from_utf8(body).ok()?;
            let is_light = is_light(text.strip_prefix("11;")?)?;
            Some(Answer::Background { is_light })
        }
        Token::String(StringKind::Apc, body) => (body == b"Gi=31;OK").then_some(Answer::Kitty),
        Token::Csi(body, b'c') => {
            let kind = body.strip_prefix(b"?")?;
            Some(Answer::Kind { sixel: kind.split(|b| *b == b';').any(|part| part == b"4") })
        }
        Token::Csi(body, b't') => {
            let text = std::str::from_utf8(body).ok()?.strip_prefix("6;")?;
            let (height, width) = text.split_once(';')?;
            let [width, height] = [width, height].map(|n| n.parse::<u16>().ok().filter(|n| *n > 0));
            Some(Answer::Cell(width?, height?))
        }
        Token::Csi(body, b'n') => (body == b"0").then_some(Answer::Status),
        _ => None,
    }
}

/// Whether a colour as X11 writes it (`rgb:RR/GG/BB` with one to four digits a part, `rgba:`,
/// `#RRGGBB`) is a light one: CIE lightness above 50, which is a luminance above 0.184.
fn is_light(color: &str) -> Option<bool> {
    let part = |digits: &str| {
        let most =
            16_u32.checked_pow(u32::try_from(digits.len()).ok()?).filter(|_| digits.len() <= 4)?
                - 1;
        let value = u32::from_str_radix(digits, 16).ok()?;
        Some(f64::from(value) / f64::from(most.max(1)))
    };
    let parts: Vec<&str> = match (color.split_once(':'), color.strip_prefix('#')) {
        (Some(("rgb" | "rgba", parts)), _) => parts.split('/').collect(),
        (_, Some(hex)) if hex.is_ascii() && matches!(hex.len(), 3 | 6 | 12) => {
            let n = hex.len() / 3;
            vec![&hex[..n], &hex[n..2 * n], &hex[2 * n..]]
        }
        _ => return None,
    };
    let [red, green, blue] =
        [part(parts.first()?)?, part(parts.get(1)?)?, part(parts.get(2)?)?].map(linear);
    Some(0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.184)
}

/// A part of a colour in sRGB as a share of the light.
fn linear(part: f64) -> f64 {
    if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
}
