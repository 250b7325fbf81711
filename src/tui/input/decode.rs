//! Keys, mouse and pasted text out of a terminal's sequences, as crossterm's events. What is none
//! of them is `None`: above all no answer of a terminal. Pure.

use super::scanner::Token;
use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyEventState, KeyModifiers, MouseButton, MouseEvent,
    MouseEventKind,
};

/// The event that `token` is.
pub(super) fn event(token: &Token) -> Option<Event> {
    match token {
        Token::Char(c, alt) => Some(character(*c, alt_if(*alt))),
        Token::Control(byte, alt) => Some(control(*byte, alt_if(*alt))),
        Token::Escape => Some(key(KeyCode::Esc, KeyModifiers::NONE)),
        Token::Ss3(byte) => letter(*byte).map(|code| key(code, KeyModifiers::NONE)),
        Token::Csi(body, last) => csi(body, *last),
        Token::Mouse([button, x, y]) => {
            let [x, y] = [x, y].map(|at| u16::from(at.saturating_sub(32)));
            mouse(u16::from(button.checked_sub(32)?), x, y, false)
        }
        Token::Paste(bytes) => Some(Event::Paste(String::from_utf8_lossy(bytes).into_owned())),
        Token::String(..) => None,
    }
}

fn alt_if(alt: bool) -> KeyModifiers {
    if alt { KeyModifiers::ALT } else { KeyModifiers::NONE }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

fn character(c: char, mut modifiers: KeyModifiers) -> Event {
    modifiers.set(KeyModifiers::SHIFT, c.is_uppercase());
    key(KeyCode::Char(c), modifiers)
}

fn control(byte: u8, modifiers: KeyModifiers) -> Event {
    let with_control = |c: u8| key(KeyCode::Char(char::from(c)), modifiers | KeyModifiers::CONTROL);
    match byte {
        b'\r' => key(KeyCode::Enter, modifiers),
        b'\t' => key(KeyCode::Tab, modifiers),
        0x7f => key(KeyCode::Backspace, modifiers),
        0 => with_control(b' '),
        1..=0x1a => with_control(byte + b'a' - 1),
        _ => with_control(byte.saturating_sub(0x1c) + b'4'),
    }
}

/// Keys that end in a letter.
fn letter(byte: u8) -> Option<KeyCode> {
    Some(match byte {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'M' => KeyCode::Enter,
        b'P'..=b'S' => KeyCode::F(byte - b'P' + 1),
        _ => return None,
    })
}

/// Keys that end in a tilde.
fn numbered(number: u16) -> Option<KeyCode> {
    let f = |first: u16, at: u16| u8::try_from(first + number - at).ok().map(KeyCode::F);
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => return f(1, 11),
        17..=21 => return f(6, 17),
        23..=26 => return f(11, 23),
        28..=29 => return f(15, 28),
        31..=34 => return f(17, 31),
        _ => return None,
    })
}

/// Parameters and their parts; `None` where they are no numbers: a private prefix or an
/// intermediate byte, as answers have.
fn parameters(body: &[u8]) -> Option<Vec<Vec<u16>>> {
    let text = std::str::from_utf8(body).ok()?;
    let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse().ok() };
    text.split(';').map(|parameter| parameter.split(':').map(number).collect()).collect()
}

fn csi(body: &[u8], last: u8) -> Option<Event> {
    match (body, last) {
        ([b'<', rest @ ..], b'M' | b'm') => return sgr_mouse(rest, last == b'm'),
        (b"", b'I') => return Some(Event::FocusGained),
        (b"", b'O') => return Some(Event::FocusLost),
        (b"", b'Z') => return Some(key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        (b"[", b'A'..=b'E') => return Some(key(KeyCode::F(last - b'A' + 1), KeyModifiers::NONE)),
        // With numbers it says where the cursor is.
        (b"", b'R') => return Some(key(KeyCode::F(3), KeyModifiers::NONE)),
        (_, b'R') => return None,
        _ => {}
    }
    let parameters = parameters(body)?;
    let first = *parameters.first()?.first()?;
    match last {
        b'~' if first == 27 => {
            let modifiers = modifiers(parameters.get(1)?)?;
            typed(*parameters.get(2)?.first()?, modifiers, KeyEventKind::Press)
        }
        b'~' => with_modifiers(numbered(first)?, parameters.get(1)),
        b'u' => {
            let (modifiers, kind) = modifiers_and_kind(parameters.get(1))?;
            typed(first, modifiers, kind)
        }
        // Other first numbers are answers that end in the same letter.
        b'A'..=b'D' | b'F' | b'H' | b'P' | b'Q' | b'S' if first <= 1 && parameters.len() <= 2 => {
            with_modifiers(letter(last)?, parameters.get(1))
        }
        b'Z' if first <= 1 => Some(key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        _ => None,
    }
}

fn with_modifiers(code: KeyCode, parameter: Option<&Vec<u16>>) -> Option<Event> {
    let (modifiers, kind) = modifiers_and_kind(parameter)?;
    Some(Event::Key(KeyEvent::new_with_kind(code, modifiers, kind)))
}

fn modifiers_and_kind(parameter: Option<&Vec<u16>>) -> Option<(KeyModifiers, KeyEventKind)> {
    let Some(parameter) = parameter else { return Some((KeyModifiers::NONE, KeyEventKind::Press)) };
    let kind = match parameter.get(1) {
        Some(2) => KeyEventKind::Repeat,
        Some(3) => KeyEventKind::Release,
        _ => KeyEventKind::Press,
    };
    Some((modifiers(parameter)?, kind))
}

/// Bits of `parameter - 1`: Shift, Alt, Control, Super, Hyper, Meta, and locks that do not matter.
fn modifiers(parameter: &[u16]) -> Option<KeyModifiers> {
    let bits = parameter.first()?.saturating_sub(1);
    let all = [
        KeyModifiers::SHIFT,
        KeyModifiers::ALT,
        KeyModifiers::CONTROL,
        KeyModifiers::SUPER,
        KeyModifiers::HYPER,
        KeyModifiers::META,
    ];
    Some(
        all.into_iter()
            .enumerate()
            .filter(|(bit, _)| bits >> bit & 1 == 1)
            .map(|(_, modifier)| modifier)
            .collect(),
    )
}

/// A key that is told by the number of its character.
fn typed(number: u16, modifiers: KeyModifiers, kind: KeyEventKind) -> Option<Event> {
    let keypad = |c: u8| KeyCode::Char(char::from(c));
    let code = match number {
        9 if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
        9 => KeyCode::Tab,
        13 | 57414 => KeyCode::Enter,
        27 => KeyCode::Esc,
        127 => KeyCode::Backspace,
        57399..=57408 => keypad(b'0' + (number - 57399) as u8),
        57409..=57413 => keypad(b"./*-+"[usize::from(number - 57409)]),
        57417 => KeyCode::Left,
        57418 => KeyCode::Right,
        57419 => KeyCode::Up,
        57420 => KeyCode::Down,
        57421 => KeyCode::PageUp,
        57422 => KeyCode::PageDown,
        57423 => KeyCode::Home,
        57424 => KeyCode::End,
        57344..=63743 => return None, // modifiers by themselves, media keys
        _ => KeyCode::Char(char::from_u32(u32::from(number)).filter(|c| !c.is_control())?),
    };
    let code = match code {
        // The number is that of the key without Shift.
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::SHIFT) && c.is_alphabetic() => {
            KeyCode::Char(c.to_uppercase().next().unwrap_or(c))
        }
        code => code,
    };
    Some(Event::Key(KeyEvent::new_with_kind_and_state(code, modifiers, kind, KeyEventState::NONE)))
}

fn sgr_mouse(body: &[u8], released: bool) -> Option<Event> {
    let parameters = parameters(body)?;
    let [button, x, y] = parameters.iter().map(|p| p[0]).collect::<Vec<_>>()[..] else {
        return None;
    };
    mouse(button, x, y, released)
}

/// `button` as xterm encodes it; `x`, `y` from 1.
fn mouse(button: u16, x: u16, y: u16, released: bool) -> Option<Event> {
    let which = match button & 3 {
        0 => MouseButton::Left,
        1 => MouseButton::Middle,
        _ => MouseButton::Right,
    };
    if button > 255 {
        return None;
    }
    let kind = match (button & 0b1100_0011, button & 32 != 0) {
        (0..=2, false) if released => MouseEventKind::Up(which),
        (0..=2, false) => MouseEventKind::Down(which),
        (0..=2, true) => MouseEventKind::Drag(which),
        (3, false) => MouseEventKind::Up(MouseButton::Left),
        (3, true) => MouseEventKind::Moved,
        (64, _) => MouseEventKind::ScrollUp,
        (65, _) => MouseEventKind::ScrollDown,
        (66, _) => MouseEventKind::ScrollLeft,
        (67, _) => MouseEventKind::ScrollRight,
        _ => return None,
    };
    let held = [(4, KeyModifiers::SHIFT), (8, KeyModifiers::ALT), (16, KeyModifiers::CONTROL)];
    let modifiers = held
        .into_iter()
        .filter(|(bit, _)| button & bit != 0)
        .map(|(_, modifier)| modifier)
        .collect();
    Some(Event::Mouse(MouseEvent {
        kind,
        column: x.checked_sub(1)?,
        row: y.checked_sub(1)?,
        modifiers,
    }))
}
