//! Cuts the bytes that a terminal sends into keys, escape sequences, strings and pasted text,
//! wherever reads cut them (ECMA-48 and xterm's ctlseqs). What an answer of the terminal is made of
//! never comes out as a key. Pure: it is told what time it is.

use std::time::{Duration, Instant};

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const PASTE_END: &[u8] = b"\x1b[201~";

/// An escape that nothing follows for so long is the key.
const ESCAPE_KEY: Duration = Duration::from_millis(50);
/// The same while the terminal owes an answer, which a slow line may cut behind its first byte.
const ESCAPE_KEY_EXPECTING: Duration = Duration::from_millis(500);
/// The rest of a sequence that has begun is awaited for so long: a slow line pauses, but a key like
/// Alt-] is no beginning.
const REST: Duration = Duration::from_secs(10);
/// Bytes that are kept of a string, and of pasted text; the rest is read and dropped.
const KEPT: usize = 4096;

/// What bytes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A character; whether with Alt.
    Char(char, bool),
    /// A control character, DEL included; whether with Alt.
    Control(u8, bool),
    /// The escape key.
    Escape,
    /// `ESC O` and this byte.
    Ss3(u8),
    /// `ESC [`, these parameters and intermediates, and the final byte.
    Csi(Vec<u8>, u8),
    /// Button and place of the mouse, as three bytes.
    Mouse([u8; 3]),
    /// A string that the terminal sent.
    String(StringKind, Vec<u8>),
    /// Pasted text.
    Paste(Vec<u8>),
}

/// How a string begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringKind {
    /// Operating system command: `ESC ]`.
    Osc,
    /// Device control string: `ESC P`.
    Dcs,
    /// Application program command: `ESC _`.
    Apc,
    /// Privacy message or start of string: `ESC ^`, `ESC X`.
    Other,
}

impl StringKind {
    fn begun_by(byte: u8) -> Option<Self> {
        Some(match byte {
            b']' => Self::Osc,
            b'P' => Self::Dcs,
            b'_' => Self::Apc,
            b'^' | b'X' => Self::Other,
            _ => return None,
        })
    }
}

/// Where in a sequence the bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After `ESC`.
    Escape,
    /// After two of them: the key was told, but the second one may begin something.
    EscapeTwice,
    /// The escape key was told. Should an answer have been cut behind its first byte, its rest
    /// comes now.
    Late,
    /// After that, and this byte, which is a key unless an answer goes on behind it.
    Opening(u8),
    /// Inside a UTF-8 sequence; whether with Alt.
    Char(bool),
    Ss3,
    Csi,
    Mouse,
    String(StringKind),
    /// After an `ESC` inside a string: its end, if `\` comes.
    StringEscape(StringKind),
    Paste,
}

/// The state machine.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    state: State,
    /// What has been read of the sequence.
    body: Vec<u8>,
    /// When the rest of the sequence is not awaited any longer.
    deadline: Option<Instant>,
    /// Whether the terminal owes an answer.
    expecting: bool,
    found: Vec<Token>,
}

impl Scanner {
    /// Whether the terminal was asked something and has not answered.
    pub(super) fn expect(&mut self, expecting: bool) {
        self.expecting = expecting;
    }

    /// When [`Self::pass`] has something to decide.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes bytes that came at `now`; gives what they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], now: Instant) -> Vec<Token> {
        bytes.iter().for_each(|byte| self.take(*byte, now));
        if self.state == State::Paste {
            self.deadline = Some(now + REST); // as long as there is more, it is not over
        }
        std::mem::take(&mut self.found)
    }

    /// Nothing came until `now`: gives what that means.
    pub(super) fn pass(&mut self, now: Instant) -> Vec<Token> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let state = self.state;
            self.enter(State::Ground);
            match state {
                State::Escape => {
                    self.found.push(Token::Escape);
                    self.enter(State::Late);
                }
                State::EscapeTwice => self.enter(State::Late),
                State::Opening(byte) => self.found.push(Token::Char(char::from(byte), false)),
                State::Paste => self.end_paste(),
                _ => {}
            }
        }
        std::mem::take(&mut self.found)
    }

    fn enter(&mut self, state: State) {
        (self.state, self.deadline) = (state, None);
    }

    /// Enters a state that is left at the latest when `patience` is over.
    fn begin(&mut self, state: State, now: Instant, patience: Duration) {
        self.body.clear();
        (self.state, self.deadline) = (state, Some(now + patience));
    }

    fn begin_string(&mut self, kind: StringKind, now: Instant) {
        self.begin(State::String(kind), now, REST);
    }

    fn end(&mut self, token: Token) {
        self.found.push(token);
        self.enter(State::Ground);
    }

    fn take(&mut self, byte: u8, now: Instant) {
        match self.state {
            State::Ground => self.ground(byte, false, now),
            State::Escape => self.after_escape(byte, now),
            State::EscapeTwice => match byte {
                b'[' | b'O' => self.after_escape(byte, now),
                _ if StringKind::begun_by(byte).is_some() => self.after_escape(byte, now),
                _ => self.ground(byte, false, now),
            },
            State::Late => match byte {
                b'[' | b']' | b'P' | b'_' => {
                    self.begin(State::Opening(byte), now, self.escape_patience())
                }
                _ => self.ground(byte, false, now),
            },
            State::Opening(opener) if goes_on(opener, byte) => {
                self.after_escape(opener, now);
                self.take(byte, now);
            }
            State::Opening(opener) => {
                self.end(Token::Char(char::from(opener), false));
                self.take(byte, now);
            }
            State::Char(alt) => self.go_on_with_char(byte, alt, now),
            State::Ss3 => match byte {
                b' '..=b'~' => self.end(Token::Ss3(byte)),
                _ => self.ground(byte, false, now),
            },
            State::Csi => self.go_on_with_csi(byte, now),
            State::Mouse => {
                self.body.push(byte);
                if let [button, x, y] = self.body[..] {
                    self.end(Token::Mouse([button, x, y]));
                }
            }
            State::String(kind) => self.go_on_with_string(kind, byte, now),
            State::StringEscape(kind) if byte == b'\\' => self.end_string(kind),
            // The string broke off, and something else has begun.
            State::StringEscape(_) => self.after_escape(byte, now),
            State::Paste => self.go_on_with_paste(byte),
        }
    }

    fn escape_patience(&self) -> Duration {
        if self.expecting { ESCAPE_KEY_EXPECTING } else { ESCAPE_KEY }
    }

    /// A byte outside of any sequence; `alt`: an `ESC` came before it.
    fn ground(&mut self, byte: u8, alt: bool, now: Instant) {
        self.enter(State::Ground);
        match byte {
            ESC => self.begin(State::Escape, now, self.escape_patience()),
            0..=0x1f | 0x7f => self.end(Token::Control(byte, alt)),
            b' '..=b'~' => self.end(Token::Char(char::from(byte), alt)),
            // The same sequences as a terminal in its eight-bit mode begins them; no character of
            // UTF-8 begins so.
            0x90 => self.begin_string(StringKind::Dcs, now),
            0x9b => self.begin(State::Csi, now, REST),
            0x9d => self.begin_string(StringKind::Osc, now),
            0x9f => self.begin_string(StringKind::Apc, now),
            0x98 | 0x9e => self.begin_string(StringKind::Other, now),
            0xc2..=0xf4 => {
                self.begin(State::Char(alt), now, REST);
                self.body.push(byte);
            }
            _ => {} // the middle of a character whose beginning was lost
        }
    }

    fn after_escape(&mut self, byte: u8, now: Instant) {
        match byte {
            b'[' => self.begin(State::Csi, now, REST),
            b'O' => self.begin(State::Ss3, now, ESCAPE_KEY_EXPECTING),
            ESC => {
                self.found.push(Token::Escape);
                self.begin(State::EscapeTwice, now, self.escape_patience());
            }
            _ => match StringKind::begun_by(byte) {
                Some(kind) => self.begin_string(kind, now),
                None => self.ground(byte, true, now),
            },
        }
    }

    fn go_on_with_char(&mut self, byte: u8, alt: bool, now: Instant) {
        if !matches!(byte, 0x80..=0xbf) {
            return self.ground(byte, false, now); // the rest of the character was lost
        }
        self.body.push(byte);
        match std::str::from_utf8(&self.body) {
            Ok(text) => {
                let c = text.chars().next();
                self.found.extend(c.filter(|c| !c.is_control()).map(|c| Token::Char(c, alt)));
                self.enter(State::Ground);
            }
            Err(e) if e.error_len().is_some() => self.enter(State::Ground),
            Err(_) => {} // there is more of it
        }
    }

    fn go_on_with_csi(&mut self, byte: u8, now: Instant) {
        match byte {
            // F1 to F5 of the Linux console: a second bracket is no final byte.
            b'[' if self.body.is_empty() => self.body.push(byte),
            b'M' if self.body.is_empty() => self.begin(State::Mouse, now, REST),
            b'~' if self.body == b"200" => self.begin(State::Paste, now, REST),
            b'@'..=b'~' => {
                let body = std::mem::take(&mut self.body);
                self.end(Token::Csi(body, byte));
            }
            b' '..=b'?' if self.body.len() < KEPT => self.body.push(byte),
            b' '..=b'?' => {}
            0x18 | 0x1a => self.enter(State::Ground), // CAN and SUB: the terminal gave it up
            _ => self.ground(byte, false, now),       // the sequence broke off
        }
    }

    fn go_on_with_string(&mut self, kind: StringKind, byte: u8, now: Instant) {
        match byte {
            BEL => self.end_string(kind),
            ESC => self.state = State::StringEscape(kind),
            // Eight-bit ST; inside UTF-8 it is the middle of a character.
            0x9c if self.body.last().is_none_or(|b| *b < 0x80) => self.end_string(kind),
            0x18 | 0x1a => self.enter(State::Ground), // CAN and SUB: the terminal gave it up
            // No answer has ctrl-c or enter in it: it was no answer that began, but a person with
            // Alt.
            0x03 | b'\r' => self.ground(byte, false, now),
            _ if self.body.len() < KEPT => self.body.push(byte),
            _ => {}
        }
    }

    fn end_string(&mut self, kind: StringKind) {
        let body = std::mem::take(&mut self.body);
        self.end(Token::String(kind, body));
    }

    fn go_on_with_paste(&mut self, byte: u8) {
        self.body.push(byte);
        if self.body.ends_with(PASTE_END) {
            self.body.truncate(self.body.len() - PASTE_END.len());
            self.end_paste();
        } else if self.body.len() >= KEPT + 2 * PASTE_END.len() {
            // Only as much of the end is kept as its mark may have begun with.
            let surplus = self.body.len() - PASTE_END.len();
            self.body.drain(KEPT..surplus);
        }
    }

    fn end_paste(&mut self) {
        self.body.truncate(KEPT);
        let text = std::mem::take(&mut self.body);
        self.end(Token::Paste(text));
    }
}

/// Whether an answer that begins with `ESC` and `opener` may go on with `byte`: a person who types
/// these two one after the other means two keys, but does not type them at once.
fn goes_on(opener: u8, byte: u8) -> bool {
    match opener {
        b'[' => matches!(byte, b'0'..=b'?' | b'A'..=b'D' | b'F' | b'H' | b'I' | b'O' | b'Z'),
        b']' => matches!(byte, b'0'..=b'9' | b'l' | b'L' | b'I'),
        b'P' => matches!(byte, b'0'..=b'9' | b'>' | b'!'),
        _ => byte == b'G',
    }
}
