//! What a terminal sends, cut anywhere and with any pause.

use super::answers::{Answer, answer};
use super::decode::event;
use super::scanner::{Scanner, Token};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEventKind};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// What terminals answer, and send unasked.
const ANSWERS: &[&[u8]] = &[
    b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\",
    b"\x1b]11;rgb:1e1e/1e1e/2e2e\x07",
    b"\x1b]10;rgb:cdcd/d6d6/f4f4\x1b\\",
    b"\x1b]12;rgba:ffff/ffff/ffff/8080\x07",
    b"\x1b]4;1;rgb:f3f3/8b8b/a8a8\x1b\\",
    b"\x1b]52;c;YmlhcyBub3cK\x1b\\",
    b"\x1b]l a window's title\x1b\\",
    b"\x1b]99;i=1:p=?;p=title\x1b\\",
    b"\x1b]1337;ReportCellSize=18.0;8.5;2.0\x1b\\",
    b"\x1bP>|XTerm(388)\x1b\\",
    b"\x1bP>|tmux 3.4\x1b\\",
    b"\x1bP1$r0;1m\x1b\\",
    b"\x1bP0$r\x1b\\",
    b"\x1bP1+r524742=38\x1b\\",
    b"\x1bP!|7E565445\x1b\\",
    b"\x1b_Gi=31;OK\x1b\\",
    b"\x1b_Gi=31;ENOENT:bad\x1b\\",
    b"\x1b[?62;22c",
    b"\x1b[?64;4;6c",
    b"\x1b[>41;388;0c",
    b"\x1b[=0c",
    b"\x1b[?2026;2$y",
    b"\x1b[4;3$y",
    b"\x1b[24;80R",
    b"\x1b[1;1R",
    b"\x1b[?1;1R",
    b"\x1b[0n",
    b"\x1b[?997;1n",
    b"\x1b[?1u",
    b"\x1b[>4;2m",
    b"\x1b[4;600;800t",
    b"\x1b[6;18;9t",
    b"\x1b[8;24;80t",
    b"\x1b[48;24;80;600;800t",
    b"\x1b[?1;0;256S",
    b"\x1b[2;1;1;120;120;1;0x",
    b"\x9d11;rgb:1e1e/1e1e/2e2e\x9c",
    b"\x9b?62;22c",
    b"\x90>|XTerm(388)\x9c",
];

/// What comes of `parts` with this pause after each.
fn tokens(parts: &[&[u8]], pause: Duration) -> Vec<Token> {
    let (mut scanner, mut now, mut all) = (Scanner::default(), Instant::now(), Vec::new());
    for part in parts {
        all.extend(scanner.feed(part, now));
        now += pause;
        all.extend(scanner.pass(now));
    }
    all
}

fn events(parts: &[&[u8]], pause: Duration) -> Vec<Event> {
    tokens(parts, pause).iter().filter_map(event).collect()
}

fn key(c: char) -> Event {
    Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE))
}

const LONG: Duration = Duration::from_millis(3_000);

#[test]
fn no_answer_is_a_key_wherever_it_is_cut_and_however_long_the_pause() {
    for answer in ANSWERS {
        for pause in [Duration::ZERO, Duration::from_millis(30), Duration::from_millis(200), LONG] {
            for cut in 1..=answer.len() {
                let (first, rest) = answer.split_at(cut);
                let got = events(&[b"j", first, rest, b"k"], pause);
                let mut expected = vec![key('j'), key('k')];
                // An escape by itself, with a pause behind it, is the key; it asks nothing of the
                // trainer.
                if cut == 1 && first == b"\x1b" && pause > Duration::from_millis(50) {
                    expected.insert(1, Event::Key(KeyCode::Esc.into()));
                }
                assert_eq!(
                    got,
                    expected,
                    "{:?} cut after {cut} bytes, {pause:?}",
                    String::from_utf8_lossy(answer)
                );
            }
        }
    }
}

#[test]
fn while_an_answer_is_owed_an_escape_waits_longer_for_its_rest() {
    let (mut scanner, now) = (Scanner::default(), Instant::now());
    scanner.expect(true);
    assert!(scanner.feed(b"\x1b", now).is_empty());
    assert!(scanner.pass(now + Duration::from_millis(300)).is_empty());
    let rest = scanner.feed(b"]11;rgb:1e1e/1e1e/2e2e\x1b\\", now + Duration::from_millis(300));
    assert!(matches!(&rest[..], [Token::String(..)]), "{rest:?}");
}

#[test]
fn an_answer_in_single_bytes_is_no_key_while_it_is_owed() {
    let (mut scanner, mut now) = (Scanner::default(), Instant::now());
    scanner.expect(true);
    for byte in b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\" {
        let found =
            [scanner.feed(&[*byte], now), scanner.pass(now + Duration::from_millis(200))].concat();
        assert!(found.iter().filter_map(event).next().is_none(), "{found:?}");
        now += Duration::from_millis(200);
    }
}

#[test]
fn answers_say_what_the_terminal_can_do() {
    let told = |bytes: &[u8]| tokens(&[bytes], Duration::ZERO).iter().find_map(answer);
    for (bytes, expected) in [
        (&b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\"[..], Some(Answer::Background { is_light: false })),
        (b"\x1b]11;rgb:ffff/ffff/ffff\x07", Some(Answer::Background { is_light: true })),
        (b"\x1b]11;rgb:f/f/f\x07", Some(Answer::Background { is_light: true })),
        (b"\x1b]11;rgba:ef/f1/f5/ff\x07", Some(Answer::Background { is_light: true })),
        (b"\x1b]11;#282a36\x07", Some(Answer::Background { is_light: false })),
        (b"\x1b]11;rgb:ffff/ffff\x07", None),
        (b"\x1b]11;rgb:fffff/0/0\x07", None),
        (b"\x1b]10;rgb:ffff/ffff/ffff\x07", None),
        (b"\x1b_Gi=31;OK\x1b\\", Some(Answer::Kitty)),
        (b"\x1b_Gi=31;EINVAL\x1b\\", None),
        (b"\x1b[?62;4;22c", Some(Answer::Kind { sixel: true })),
        (b"\x1b[?62;42c", Some(Answer::Kind { sixel: false })),
        (b"\x1b[6;18;9t", Some(Answer::Cell(9, 18))),
        (b"\x1b[6;0;0t", None),
        (b"\x1b[0n", Some(Answer::Status)),
    ] {
        assert_eq!(told(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn keys_are_what_they_are_whole_and_cut() {
    let named = |code: KeyCode, modifiers| Event::Key(KeyEvent::new(code, modifiers));
    let none = KeyModifiers::NONE;
    for (bytes, expected) in [
        (&b"a"[..], key('a')),
        (b"G", named(KeyCode::Char('G'), KeyModifiers::SHIFT)),
        ("é".as_bytes(), key('é')),
        ("字".as_bytes(), key('字')),
        ("🐦".as_bytes(), key('🐦')),
        (b"\r", named(KeyCode::Enter, none)),
        (b"\t", named(KeyCode::Tab, none)),
        (b"\x7f", named(KeyCode::Backspace, none)),
        (b"\x03", named(KeyCode::Char('c'), KeyModifiers::CONTROL)),
        (b"\x1b[A", named(KeyCode::Up, none)),
        (b"\x1bOB", named(KeyCode::Down, none)),
        (b"\x1b[1;2C", named(KeyCode::Right, KeyModifiers::SHIFT)),
        (b"\x1b[1;5D", named(KeyCode::Left, KeyModifiers::CONTROL)),
        (b"\x1b[H", named(KeyCode::Home, none)),
        (b"\x1b[4~", named(KeyCode::End, none)),
        (b"\x1b[5~", named(KeyCode::PageUp, none)),
        (b"\x1b[6;2~", named(KeyCode::PageDown, KeyModifiers::SHIFT)),
        (b"\x1b[Z", named(KeyCode::BackTab, KeyModifiers::SHIFT)),
        (b"\x1bOP", named(KeyCode::F(1), none)),
        (b"\x1b[[B", named(KeyCode::F(2), none)),
        (b"\x1b[15~", named(KeyCode::F(5), none)),
        (b"\x1b[24~", named(KeyCode::F(12), none)),
        (b"\x1b[97u", key('a')),
        (b"\x1b[97;5u", named(KeyCode::Char('a'), KeyModifiers::CONTROL)),
        (b"\x1b[27u", named(KeyCode::Esc, none)),
        (b"\x1b[27;5;99~", named(KeyCode::Char('c'), KeyModifiers::CONTROL)),
        (b"\x1b[I", Event::FocusGained),
        (b"\x1b[O", Event::FocusLost),
    ] {
        for cut in 1..=bytes.len() {
            let (first, rest) = bytes.split_at(cut);
            assert_eq!(
                events(&[first, rest], Duration::from_millis(20)),
                std::slice::from_ref(&expected),
                "{bytes:?} cut after {cut}"
            );
        }
    }
}

#[test]
fn an_escape_is_a_key_alone_twice_and_before_an_answer() {
    let escape = Event::Key(KeyCode::Esc.into());
    let wait = Duration::from_millis(60);
    assert_eq!(events(&[b"\x1b"], wait), std::slice::from_ref(&escape));
    assert_eq!(events(&[b"\x1b", b"q"], wait), [escape.clone(), key('q')]);
    assert_eq!(events(&[b"\x1b\x1b"], wait), std::slice::from_ref(&escape));
    assert_eq!(events(&[b"\x1b\x1b1"], wait), [escape.clone(), key('1')]);
    assert_eq!(events(&[b"\x1b", b"\x1b", b"j"], wait), [escape.clone(), escape.clone(), key('j')]);
    assert_eq!(events(&[b"\x1b\x1b]11;rgb:bb/bb/bb\x07j"], wait), [escape.clone(), key('j')]);
    // Brackets are keys of a replay.
    assert_eq!(events(&[b"\x1b", b"]", b"[", b"1"], wait), [escape, key(']'), key('['), key('1')]);
}

#[test]
fn what_breaks_off_does_not_swallow_keys_for_ever() {
    let eleven = Duration::from_secs(11);
    for beginning in [
        &b"\x1b]"[..],
        b"\x1b]11;rgb:",
        b"\x1bP1$r",
        b"\x1b_G",
        b"\x1b[",
        b"\x1b[?62",
        b"\x1bO",
        b"\x1b[M",
    ] {
        assert_eq!(events(&[beginning, b"j"], eleven), [key('j')], "{beginning:?}");
    }
    let ctrl_c = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(events(&[b"\x1b]ab", b"\x03j"], Duration::from_millis(60)), [ctrl_c, key('j')]);
}

#[test]
fn pasted_text_is_one_paste_however_it_is_cut_and_however_long_it_is() {
    let paste = b"\x1b[200~bias now\r:stop now\r\x1b[A\x1b[201~";
    let text = Event::Paste("bias now\r:stop now\r\u{1b}[A".into());
    for cut in 1..=paste.len() {
        let (first, rest) = paste.split_at(cut);
        let pause = if cut == 1 { Duration::from_millis(20) } else { LONG };
        assert_eq!(
            events(&[first, rest, b"j"], pause),
            [text.clone(), key('j')],
            "cut after {cut}"
        );
    }
    let long = [&b"\x1b[200~"[..], &vec![b'b'; 100_000], b"\x1b[201~q"].concat();
    let got = events(&long.chunks(4096).collect::<Vec<_>>(), Duration::ZERO);
    let [Event::Paste(kept), last] = &got[..] else { panic!("{}", got.len()) };
    assert_eq!((kept.len(), last), (4096, &key('q')));
    assert!(matches!(
        &events(&[b"\x1b[200~never ended"], Duration::from_secs(11))[..],
        [Event::Paste(_)]
    ));
}

#[test]
fn the_mouse_is_told_with_its_place() {
    let told = |bytes: &[u8]| match &events(&[bytes], Duration::ZERO)[..] {
        [Event::Mouse(m)] => (m.kind, m.column, m.row),
        other => panic!("{bytes:?}: {other:?}"),
    };
    assert_eq!(told(b"\x1b[<0;10;5M"), (MouseEventKind::Down(MouseButton::Left), 9, 4));
    assert_eq!(told(b"\x1b[<0;10;5m"), (MouseEventKind::Up(MouseButton::Left), 9, 4));
    assert_eq!(told(b"\x1b[<64;1;1M"), (MouseEventKind::ScrollUp, 0, 0));
    assert_eq!(told(b"\x1b[<65;300;200M"), (MouseEventKind::ScrollDown, 299, 199));
    assert_eq!(told(b"\x1b[M !!"), (MouseEventKind::Down(MouseButton::Left), 0, 0));
    assert!(events(&[b"\x1b[<0;0;0M", b"\x1b[<9999;1;1M"], Duration::ZERO).is_empty());
}

proptest! {
    #[test]
    fn no_bytes_break_it_and_it_comes_to_rest(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
    ) {
        let (mut scanner, mut now) = (Scanner::default(), Instant::now());
        for part in &parts {
            scanner.feed(part, now).iter().for_each(|token| {
                let _ = (event(token), answer(token));
            });
            now += Duration::from_millis(40);
            scanner.pass(now);
        }
        for _ in 0..3 {
            now += Duration::from_secs(11);
            scanner.pass(now);
        }
        prop_assert_eq!(scanner.deadline(), None);
    }

    #[test]
    fn answers_between_keys_never_change_the_keys(
        keys in "[a-zA-Z0-9 :?/]{1,12}",
        picks in proptest::collection::vec((0..ANSWERS.len(), 0..12_usize), 0..6),
        size in 1..40_usize,
    ) {
        let mut bytes = Vec::new();
        for (at, c) in keys.bytes().enumerate() {
            let here = picks.iter().filter(|(_, place)| *place == at);
            here.for_each(|(pick, _)| bytes.extend(ANSWERS[*pick]));
            bytes.push(c);
        }
        let parts: Vec<&[u8]> = bytes.chunks(size).collect();
        let got = events(&parts, Duration::from_millis(10));
        let expected = events(&[keys.as_bytes()], Duration::ZERO);
        prop_assert_eq!(got, expected);
    }
}
