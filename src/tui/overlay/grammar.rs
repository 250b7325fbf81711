//! The command line: what can be typed after `:`, and how it is completed. Pure: carries nothing
//! out.

use crate::config::{self, KEYS, Key, Live, Rule, RunConfig};
use crate::link;
use crate::protocol::{Bias, Command, Stop};
use crate::tui::input::keymap::Tab;
use crate::tui::near::did_you_mean;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// Something of the trainer.
    Ask(Command),
    /// A theme.
    Theme(String),
    /// A tab.
    Show(Tab),
    /// Only what has this in its name.
    Filter(String),
    /// The keys.
    Help,
    /// The settings.
    Settings,
    /// To leave.
    Quit,
}

/// A command: its name, what comes after it, and what it does.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("set", "KEY VALUE", "change a value of the config"),
    ("E", "EPOCHS|auto", "set E: how many epochs are pretraining, or auto: until settled"),
    ("N", "EPOCHS", "set N: how many epochs in all"),
    ("lr", "FACTOR", "scale the learning rate"),
    ("bias", "now|off|on", "turn the bias on or off"),
    ("pause", "", "wait after the step in progress"),
    ("resume", "", "go on"),
    ("checkpoint", "", "write a checkpoint now"),
    ("rescore", "", "compute the weights anew with the next epoch"),
    ("note", "TEXT", "keep a remark with the run"),
    ("stop", "now|epoch|EPOCH", "end the run now, after this epoch, or after that one"),
    ("theme", "NAME", "another theme"),
    ("tab", "NAME", "another tab"),
    ("filter", "TEXT", "only what has this in its name"),
    ("settings", "", "every value that can be changed"),
    ("help", "", "the keys"),
    ("quit", "", "leave"),
];

/// What is wrong with what was typed.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("a command, e.g. set train.lr 0.02 (tab completes)")]
    Empty,
    /// Something is missing after the command, or is none of what may stand there.
    #[error("{name} {after}: {what}")]
    Usage { name: &'static str, after: &'static str, what: &'static str },
    #[error("there is no command \"{word}\"{near}")]
    NoCommand { word: String, near: String },
    #[error("there is no tab \"{name}\": {}", Tab::ALL.map(Tab::name).join(", "))]
    NoTab { name: String },
    #[error("there is no key \"{key}\"{near}")]
    NoKey { key: String, near: String },
    #[error("{} is {}", .0.path, config::FIXED)]
    Fixed(&'static Key),
    /// No value yet: what it may be.
    #[error("{0}")]
    NoValue(String),
    #[error("expected {0}")]
    Expected(String),
    /// It contradicts another value.
    #[error("{0}")]
    Contradiction(String),
    /// It has no JSON, in which commands are.
    #[error(transparent)]
    Value(#[from] serde_json::Error),
    #[error("{0}")]
    TooLong(String),
}

/// Reads a line.
///
/// # Errors
/// [`LineError`].
pub fn parse(text: &str, config: &RunConfig) -> Result<Line, LineError> {
    let text = text.trim();
    let (word, rest) =
        text.split_once(char::is_whitespace).map_or((text, ""), |(w, r)| (w, r.trim()));
    let usage = || {
        let found = COMMANDS.iter().find(|(name, ..)| *name == word);
        Err(found.map_or(LineError::Empty, |(name, after, what)| LineError::Usage {
            name,
            after,
            what,
        }))
    };
    if COMMANDS.iter().any(|(name, after, _)| *name == word && !after.is_empty())
        && rest.is_empty()
        && word != "filter"
    {
        return usage();
    }
    Ok(match word {
        "" => return Err(LineError::Empty),
        "set" => {
            let (key, value) = rest
                .split_once([' ', '='])
                .map(|(k, v)| (k.trim(), v.trim_start_matches('=').trim()))
                .unwrap_or((rest, ""));
            set(key, value, config)?
        }
        "E" => set(config::PRETRAIN_EPOCHS, rest, config)?,
        "N" => set(config::EPOCHS, rest, config)?,
        "lr" => set(config::LR_SCALE, rest, config)?,
        "bias" => Line::Ask(Command::Bias {
            bias: match rest {
                "now" => Bias::Now,
                "off" => Bias::Off,
                "on" => Bias::On,
                _ => return usage(),
            },
        }),
        "pause" => Line::Ask(Command::Pause),
        "resume" => Line::Ask(Command::Resume),
        "checkpoint" => Line::Ask(Command::Checkpoint),
        "rescore" => Line::Ask(Command::Rescore),
        "note" => {
            let note = Command::Note { text: rest.to_owned() };
            if let Some(why) = link::refusal(&note) {
                return Err(LineError::TooLong(why));
            }
            Line::Ask(note)
        }
        "stop" => Line::Ask(Command::Stop {
            stop: match (rest, rest.parse()) {
                ("now", _) => Stop::Now,
                ("epoch", _) => Stop::AfterEpoch,
                (_, Ok(epoch)) => Stop::AtEpoch(epoch),
                _ => return usage(),
            },
        }),
        "theme" => Line::Theme(rest.to_owned()),
        "tab" => {
            Line::Show(Tab::named(rest).ok_or_else(|| LineError::NoTab { name: rest.into() })?)
        }
        "filter" => Line::Filter(rest.to_owned()),
        "settings" => Line::Settings,
        "help" => Line::Help,
        "quit" | "q" => Line::Quit,
        // A key by itself is meant to be set.
        key if config::find(key).is_some() => {
            set(key, rest.trim_start_matches('=').trim(), config)?
        }
        other => {
            let near = did_you_mean(other, COMMANDS.iter().map(|(name, ..)| *name));
            return Err(LineError::NoCommand { word: other.into(), near });
        }
    })
}

fn set(key: &str, text: &str, config: &RunConfig) -> Result<Line, LineError> {
    let Some(found) = config::find(key) else {
        let near = config::nearest(key)
            .map_or_else(String::new, |k| format!("; did you mean {}?", k.path));
        return Err(LineError::NoKey { key: key.into(), near });
    };
    set_to(found.path, text, config).map(Line::Ask)
}

/// The command that sets the key of this path to what was typed.
///
/// # Errors
/// [`LineError`].
pub fn set_to(path: &str, text: &str, config: &RunConfig) -> Result<Command, LineError> {
    let no_key = || LineError::NoKey { key: path.into(), near: String::new() };
    let key = config::find(path).ok_or_else(no_key)?;
    let value = value(key, text, config)?;
    let value = serde_json::to_value(value)?;
    Ok(Command::Set { key: path.into(), value })
}

/// The value that was typed for `key`, or what is wrong with it: the same rules as for a config
/// file.
fn value(key: &'static Key, text: &str, config: &RunConfig) -> Result<toml::Value, LineError> {
    if key.live == Live::No {
        return Err(LineError::Fixed(key));
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(LineError::NoValue(range(key, config)));
    }
    let value =
        toml::from_str::<toml::Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
    let value = value.unwrap_or_else(|| toml::Value::String(text.to_owned()));
    config::from_value(config, key.path, &value).map(|_| value).map_err(|problem| {
        // A value outside its range: the range says it; two values that contradict each other: the
        // problem does.
        if problem.help.starts_with(key.path) {
            LineError::Expected(range(key, config))
        } else {
            LineError::Contradiction(problem.what)
        }
    })
}

/// The allowed values in words, as narrow as the run makes them.
pub fn range(key: &Key, config: &RunConfig) -> String {
    match key.path {
        config::PRETRAIN_EPOCHS => {
            format!("a whole number in 0..={} or \"{}\"", config.train.epochs, config::AUTO)
        }
        config::EPOCHS => {
            let least = match config.importance.pretrain_epochs {
                config::Pretrain::Epochs(e) => e.max(1),
                config::Pretrain::Auto => config.auto().least,
            };
            format!("a whole number from {least} on")
        }
        _ => key.rule.describe(),
    }
}

/// Whole lines that `text` may become, in order.
pub fn complete(text: &str, themes: &[String]) -> Vec<String> {
    let text = text.trim_start();
    let Some((head, last)) = text.rsplit_once(' ') else {
        return COMMANDS
            .iter()
            .filter(|(name, ..)| name.starts_with(text))
            .map(|(name, after, _)| with_room(name, after))
            .collect();
    };
    let words: Vec<&str> = head.split_whitespace().collect();
    let after: Vec<String> = match words.as_slice() {
        ["set"] => live_keys().map(|k| format!("{} ", k.path)).collect(),
        ["set", key] => config::find(key).map(|k| values(&k.rule)).unwrap_or_default(),
        ["E"] => vec![config::AUTO.to_owned()],
        ["bias"] => ["now", "off", "on"].map(String::from).to_vec(),
        ["stop"] => ["now", "epoch"].map(String::from).to_vec(),
        ["theme"] => themes.to_vec(),
        ["tab"] => Tab::ALL.map(|t| t.name().to_lowercase()).to_vec(),
        _ => Vec::new(),
    };
    // A key may be found by its last part.
    let fits = |word: &String| {
        word.starts_with(last)
            || word.split('.').skip(1).any(|part| !last.is_empty() && part.starts_with(last))
    };
    after.into_iter().filter(fits).map(|word| format!("{head} {word}")).collect()
}

fn with_room(name: &str, after: &str) -> String {
    if after.is_empty() { name.to_owned() } else { format!("{name} ") }
}

fn values(rule: &Rule) -> Vec<String> {
    match rule {
        Rule::OneOf(words) => words.iter().map(|w| (*w).to_owned()).collect(),
        Rule::Flag => vec!["true".into(), "false".into()],
        Rule::IntegerOr(.., word) => vec![(*word).to_owned()],
        _ => Vec::new(),
    }
}

/// What `text` says about itself: what the command or key is.
pub fn about(text: &str, config: &RunConfig) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["set", key, ..] => match config::find(key) {
            Some(k) => {
                format!(
                    "{}: {} (now {}, {})",
                    k.about,
                    range(k, config),
                    config::value_text(config, k.path),
                    k.live.words()
                )
            }
            None => String::new(),
        },
        [word, ..] => COMMANDS
            .iter()
            .find(|(n, ..)| n == word)
            .map_or_else(String::new, |(n, a, w)| format!("{n} {a}: {w}")),
        [] => {
            "set E N lr bias pause resume checkpoint rescore note stop theme tab filter settings \
               help quit"
                .into()
        }
    }
}

/// Keys that a running session takes.
pub fn live_keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|k| k.live != Live::No)
}

/// What all of these begin with.
pub fn common_start(all: &[String]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let shared = |a: &str, b: &str| {
        a.chars()
            .zip(b.chars())
            .take_while(|(a, b)| a == b)
            .map(|(c, _)| c.len_utf8())
            .sum::<usize>()
    };
    let length = all.iter().map(|line| shared(first, line)).min().unwrap_or(0);
    first[..length].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> RunConfig {
        config::demo(&[]).expect("demo")
    }

    fn asked(text: &str) -> Command {
        match parse(text, &config()) {
            Ok(Line::Ask(command)) => command,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn lines_become_commands() {
        let set = |key: &str, value| Command::Set { key: key.into(), value };
        assert_eq!(asked("set train.lr 0.02"), set("train.lr", json!(0.02)));
        assert_eq!(
            asked("set importance.sampler = class-balanced"),
            set("importance.sampler", json!("class-balanced"))
        );
        assert_eq!(asked("train.lr 0.02"), set("train.lr", json!(0.02)));
        assert_eq!(asked("E 8"), set("importance.pretrain_epochs", json!(8)));
        assert_eq!(asked("E auto"), set("importance.pretrain_epochs", json!("auto")));
        assert_eq!(asked("bias now"), Command::Bias { bias: Bias::Now });
        assert_eq!(
            asked("note loss looks odd  here"),
            Command::Note { text: "loss looks odd  here".into() }
        );
        assert_eq!(asked("stop 7"), Command::Stop { stop: Stop::AtEpoch(7) });
        assert_eq!(
            parse("tab imp", &config()).expect("a tab"),
            Line::Show(Tab::named("importance").expect("there"))
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |text: &str| parse(text, &config()).expect_err(text).to_string();
        assert!(wrong("E 99").contains("beyond train.epochs"), "{}", wrong("E 99"));
        assert!(wrong("E soon").contains("or \"auto\""), "{}", wrong("E soon"));
        assert!(wrong("set train.lrr 1").contains("did you mean train.lr?"));
        assert!(wrong("set train.batch_size 64").contains("fixed for the run"));
        assert!(wrong("set train.lr").contains("a number in"));
        assert!(wrong("bias sideways").contains("now|off|on"));
        assert!(wrong("chekpoint").contains("did you mean checkpoint?"));
        assert!(wrong("").contains("tab completes"));
        assert!(wrong("note").contains("TEXT"));
        let long = wrong(&format!("note {}", "x".repeat(66_000)));
        assert!(long.contains("not sent") && long.contains("at most 64 KiB"), "{long}");
    }

    #[test]
    fn completion_knows_commands_keys_and_words() {
        assert_eq!(complete("se", &[]), ["set ", "settings"]);
        assert_eq!(
            complete("set importance.uniform", &[]),
            ["set importance.uniform_mix ", "set importance.uniform_tail "]
        );
        assert_eq!(complete("set samp", &[]), ["set importance.sampler "]);
        assert_eq!(
            complete("set importance.sampler u", &[]),
            ["set importance.sampler uniform", "set importance.sampler uniform-replacement"]
        );
        assert_eq!(
            common_start(&complete("set importance.uniform", &[])),
            "set importance.uniform_"
        );
        assert!(complete("note any", &[]).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(text in ".{0,60}") {
            let _ = (parse(&text, &config()), complete(&text, &[]), about(&text, &config()));
        }
    }
}
