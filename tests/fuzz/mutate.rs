//! Changes of bytes and of structured text, from a seed: the same on every machine.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// What a number is replaced by.
const NUMBERS: [&str; 22] = [
    "0",
    "-1",
    "1",
    "2",
    "255",
    "65536",
    "4294967295",
    "4294967296",
    "4611686018427387904",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999",
    "1e308",
    "-1e308",
    "1e-308",
    "0.5",
    "1e39",
    "1e999",
    "-0.0",
    "nan",
    "inf",
];

/// A changed copy of one of `corpus`.
pub fn mutated(rng: &mut ChaCha8Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..=rng.random_range(0..3) {
        if bytes.is_empty() {
            return bytes;
        }
        let (a, b) = (rng.random_range(0..bytes.len()), rng.random_range(0..bytes.len()));
        let (from, to) = (a.min(b), a.max(b));
        match rng.random_range(0..9) {
            0 => bytes[a] ^= 1 << rng.random_range(0..8),
            1 => bytes[a] = rng.next_u32() as u8,
            2 => bytes[a] = [0, 255, 127, 128, b'"', b'[', b'{', b'.'][rng.random_range(0..8)],
            3 => bytes.truncate(a),
            4 => drop(bytes.drain(from..to.min(from + 64))),
            5 => {
                let part = bytes[from..to.min(from + 256)].to_vec();
                bytes.splice(a..a, part);
            }
            6 => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let at = rng.random_range(0..=other.len());
                bytes.truncate(a);
                bytes.extend(&other[at..]);
            }
            7 => {
                let width = [2, 4, 8][rng.random_range(0..3)].min(bytes.len() - a);
                bytes[a..a + width].fill([0, 0xff, 0x7f][rng.random_range(0..3)]);
            }
            _ => number(rng, &mut bytes),
        }
    }
    bytes
}

/// Replaces a number in text.
fn number(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|i| bytes[*i].is_ascii_digit() && (*i == 0 || !bytes[i - 1].is_ascii_digit()))
        .collect();
    let Some(&from) = starts.get(rng.random_range(0..starts.len().max(1))) else { return };
    let len = bytes[from..].iter().take_while(|b| b.is_ascii_digit() || b".e".contains(b)).count();
    bytes.splice(from..from + len, NUMBERS[rng.random_range(0..NUMBERS.len())].bytes());
}

/// A copy of `json` with values of other kinds and sizes at one to three places.
pub fn mutated_json(rng: &mut ChaCha8Rng, json: &Value) -> Value {
    let mut json = json.clone();
    for _ in 0..=rng.random_range(0..3) {
        let places = count(&json);
        let mut place = rng.random_range(0..places);
        change(rng, &mut json, &mut place);
    }
    json
}

fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(a) => a.iter().map(count).sum(),
        Value::Object(o) => o.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// Changes the value that comes `place`-th.
fn change(rng: &mut ChaCha8Rng, json: &mut Value, place: &mut usize) -> bool {
    if *place == 0 {
        *json = replacement(rng, json);
        return true;
    }
    *place -= 1;
    match json {
        Value::Array(a) => a.iter_mut().any(|v| change(rng, v, place)),
        Value::Object(o) => o.values_mut().any(|v| change(rng, v, place)),
        _ => false,
    }
}

fn replacement(rng: &mut ChaCha8Rng, old: &Value) -> Value {
    match (rng.random_range(0..20), old) {
        (0, _) => Value::Null,
        (1, _) => json!(""),
        (2, _) => json!([]),
        (3, _) => json!({}),
        (4, _) => json!("\u{1b}[2J\u{202e}x\n"),
        (5, _) => (0..100).fold(json!(1), |inner, _| json!([inner])),
        (6, _) => json!(!old.as_bool().unwrap_or(false)),
        (7..=9, Value::Array(a)) if !a.is_empty() => json!(a[..rng.random_range(0..a.len())]),
        (10, Value::Array(a)) => json!([a.clone(), a.clone()].concat()),
        (11..=12, Value::Object(o)) if !o.is_empty() => {
            let gone = rng.random_range(0..o.len());
            Value::Object(
                o.iter()
                    .enumerate()
                    .filter(|(i, _)| *i != gone)
                    .map(|(_, (k, v))| (k.clone(), v.clone()))
                    .collect::<Map<_, _>>(),
            )
        }
        (13, Value::Object(o)) => {
            let mut o = o.clone();
            o.insert("more".into(), json!(1));
            Value::Object(o)
        }
        (14, Value::String(s)) => json!(s.repeat(300)),
        _ => {
            serde_json::from_str(NUMBERS[rng.random_range(0..NUMBERS.len())]).unwrap_or(json!(-1.5))
        }
    }
}
