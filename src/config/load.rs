//! From TOML text and `--set key=value` to a checked [`RunConfig`], or to errors that say file,
//! line, key, value and range. Live changes go the same way. Knows nothing of what the values do.

use super::keys::{self, EPOCHS, Key, Live, PRETRAIN_EPOCHS};
use super::pretrain::{Pretrain, most_by_default};
use super::{OptimizerName, RunConfig, syntax};
use crate::data;
use crate::importance::{Sampler, Window};
use std::fmt;
use std::path::Path;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// The demo on the embedded data: what runs when no config is named.
pub const DEMO: &str = include_str!("../../configs/demo.toml");

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, with the line (from 1).
    File(String, usize),
    /// `--set` on the command line.
    Set,
    /// A command to a running session.
    Live,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, line) => write!(f, "{file}:{line}: "),
            Self::Set => write!(f, "--set "),
            Self::Live => Ok(()),
        }
    }
}

/// One thing wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong, with key and value.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

impl Problem {
    /// What is wrong, and what to write instead.
    pub fn in_a_line(&self) -> String {
        let end = if self.what.ends_with('.') { "" } else { "." };
        match self.help.as_str() {
            "" => self.what.clone(),
            help => format!("{}{end} {help}", self.what),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.what)?;
        if !self.help.is_empty() {
            write!(f, "\n  {}", self.help)?;
        }
        Ok(())
    }
}

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "{file}: {source}\n  Give the path of a config file (the shipped ones are in configs/), or \
         none for the demo."
    )]
    Unreadable {
        /// Its path.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML.
    #[error("{0}")]
    Syntax(Problem),
    /// It is TOML, but some of it is not allowed: all such places at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// The demo with `--set` values on top.
///
/// # Errors
/// [`ConfigError`] for a bad `set`.
pub fn demo(set: &[String]) -> Result<RunConfig, ConfigError> {
    // The demo's long tail is made for its own data: other data, or other class sizes, are taken as
    // they are.
    let sets = |key: &str| {
        set.iter().any(|item| item.split('=').next().is_some_and(|path| path.trim() == key))
    };
    let is_as_it_is = (sets("data.source") || sets("data.class_counts")) && !sets("data.imbalance");
    let first = is_as_it_is.then(|| "data.imbalance=1".to_owned());
    let set: Vec<String> = first.into_iter().chain(set.iter().cloned()).collect();
    from_str(DEMO, "the built-in demo", &set).map(from_here)
}

/// Its paths are meant from where it is read; whoever reads the resolved config may be elsewhere.
fn from_here(mut config: RunConfig) -> RunConfig {
    config.make_paths_absolute();
    config
}

/// Reads a config file with `--set` values on top.
///
/// # Errors
/// [`ConfigError`], with every problem at once.
pub fn load(file: &Path, set: &[String]) -> Result<RunConfig, ConfigError> {
    from_str(&text(file)?, &file.display().to_string(), set).map(from_here)
}

/// The text of a config file.
///
/// # Errors
/// [`ConfigError`], when it cannot be read or is no UTF-8.
pub fn text(file: &Path) -> Result<String, ConfigError> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file)
        .map_err(|source| ConfigError::Unreadable { file: name.clone(), source })?;
    let text = syntax::text_of(&bytes).map_err(|(line, what, help)| {
        ConfigError::Syntax(Problem { origin: Origin::File(name, line), what, help })
    })?;
    Ok(text.to_owned())
}

/// Reads config text; `file` is what errors call it.
///
/// # Errors
/// [`ConfigError`], with every problem at once.
pub fn from_str(text: &str, file: &str, set: &[String]) -> Result<RunConfig, ConfigError> {
    let line_of = |offset: usize| syntax::line_of(text.as_bytes(), offset);
    let syntax = |e: &toml::de::Error| {
        let line = e.span().map_or(1, |s| line_of(s.start));
        ConfigError::Syntax(Problem {
            origin: Origin::File(file.to_owned(), line),
            what: format!("not valid TOML: {}", e.message().trim()),
            help: syntax::advice(text, line),
        })
    };
    let spans = DeTable::parse(text).map_err(|e| syntax(&e))?;
    let mut values: Value = toml::from_str(text).map(Value::Table).map_err(|e| syntax(&e))?;

    let mut problems: Vec<Problem> = Vec::new();
    let mut origins: Vec<(String, Origin)> = Vec::new();
    collect(spans.get_ref(), "", &mut |leaf| {
        let origin = Origin::File(file.to_owned(), line_of(leaf.offset));
        match leaf.dotted {
            None => origins.push((leaf.path, origin)),
            Some(part) => problems.push(quoted(&part, origin)),
        }
    });
    origins.retain(|(path, origin)| {
        let Some(change) = path.strip_prefix(ARMS) else { return true };
        let value =
            path_get(&values, path).cloned().unwrap_or_else(|| Value::String(String::new()));
        problems.extend(check_arm(change, &value, origin).err());
        false
    });
    if let Value::Table(t) = &mut values {
        t.remove("arms");
    }
    for (path, origin) in &origins {
        let value =
            path_get(&values, path).cloned().unwrap_or_else(|| Value::String(String::new()));
        if let Err(p) = check(path, &value, origin) {
            problems.push(p);
        }
    }
    for item in set {
        match parse_set(item) {
            Ok((key, value)) => {
                path_set(&mut values, key.path, value);
                origins.retain(|(p, _)| p != key.path);
                origins.push((key.path.to_owned(), Origin::Set));
            }
            Err(p) => problems.push(p),
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(problems));
    }
    let origin_of = |path: &str| {
        let found = origins.iter().rev().find(|(p, _)| p == path).map(|(_, o)| o.clone());
        found.unwrap_or_else(|| Origin::File(file.to_owned(), 1))
    };
    // Checked below, where lines are known.
    let mut config = RunConfig::deserialize(values).map_err(|e| syntax(&e))?;
    if let Pretrain::Epochs(e) = &mut config.importance.pretrain_epochs
        && !origins.iter().any(|(path, _)| path == PRETRAIN_EPOCHS)
    {
        *e = (*e).min(most_by_default(config.train.epochs));
    }
    let problems = contradictions(&config, origin_of);
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
}

/// A key whose dot stands inside quotes, so that it is no path to TOML.
fn quoted(part: &str, origin: Origin) -> Problem {
    let what = format!("unknown key \"{part}\": a dot inside quotes is part of the name");
    let help = match part.rsplit_once('.') {
        Some((table, name)) if keys::find(part).is_some() => {
            format!("Write {part} without quotes, or {name} under a heading [{table}].")
        }
        _ => "Names have no dots in them; without quotes, a dot separates a table from its key."
            .into(),
    };
    Problem { origin, what, help }
}

/// Arms that a config defines for comparisons: `[arms.NAME]` with the values that differ.
const ARMS: &str = "arms.";

/// What an arm may have beside keys: the epoch after which it begins (a whole number), or the share
/// of N. It stands for `importance.defer`.
const FROM: &str = "from";
pub const DEFER: &str = "importance.defer";

/// Name of what all arms of a seed share.
pub const SHARED: &str = "pretrain";

/// An arm of a config: its name, and the keys that it changes.
pub type ArmChanges = (String, Vec<(&'static Key, Value)>);

/// The arms that config text defines, in its order.
///
/// # Errors
/// As [`from_str`].
pub fn arms(text: &str, file: &str) -> Result<Vec<ArmChanges>, ConfigError> {
    from_str(text, file, &[])?;
    let mut arms: Vec<ArmChanges> = Vec::new();
    let (Ok(spans), Ok(values)) = (DeTable::parse(text), toml::from_str(text).map(Value::Table))
    else {
        return Ok(arms);
    };
    collect(spans.get_ref(), "", &mut |Leaf { path, .. }| {
        let Some((name, key)) = path.strip_prefix(ARMS).and_then(|rest| rest.split_once('.'))
        else {
            return;
        };
        let Some(value) = path_get(&values, &path) else { return };
        // A whole number is an epoch as `from`, and a share as the key that it stands for.
        let (key, value) = match (key, value.as_integer()) {
            (FROM, _) => (DEFER, value.clone()),
            (DEFER, Some(share)) => (DEFER, Value::Float(share as f64)),
            _ => (key, value.clone()),
        };
        let Some(key) = keys::find(key) else { return };
        let change = (key, value);
        match arms.iter_mut().find(|(n, _)| n == name) {
            Some((_, changes)) => changes.push(change),
            None => arms.push((name.to_owned(), vec![change])),
        }
    });
    Ok(arms)
}

/// Why no arm can have this name, or `None`: it is that of a directory, beside others.
pub fn arm_name_objection(name: &str) -> Option<&'static str> {
    match name {
        SHARED => Some("That is what all arms of a seed share is called: choose another name."),
        _ if name.contains('.') || !keys::NAME.accepts(name) => {
            Some("Letters, digits, - and _ make a name, at most 64 of them.")
        }
        _ => None,
    }
}

/// Whether arms may differ in this: they share everything up to E, and the budget.
pub fn is_for_arms(key: &Key) -> bool {
    let budget = [PRETRAIN_EPOCHS, EPOCHS, "train.lr", "train.head_lr", "train.patience"];
    let shared = budget.contains(&key.path) || key.path.starts_with("importance.auto_");
    !shared && key.live != Live::No
}

/// Whether an arm may change this: the arms of a comparison share everything up to E, and the
/// budget.
fn check_arm(path: &str, value: &Value, origin: &Origin) -> Result<(), Problem> {
    let problem =
        |what: String, help: &str| Err(Problem { origin: origin.clone(), what, help: help.into() });
    let Some((name, key)) = path.split_once('.') else {
        return problem(
            format!("arms.{path} is no arm"),
            "An arm is a table: [arms.mine] with importance.exponent = 0.5, say.",
        );
    };
    if let Some(help) = arm_name_objection(name) {
        return problem(format!("an arm cannot be called \"{name}\""), help);
    }
    if key == FROM {
        let is_epoch = value.as_integer().is_some_and(|epoch| epoch >= 0);
        let is_share = value.as_float().is_some_and(|share| (0.0..=1.0).contains(&share));
        return if is_epoch || is_share {
            Ok(())
        } else {
            problem(
                format!("arms.{name}.from = {value} is not allowed"),
                "The epoch after which the arm begins, as 16, or the share of all epochs, as 0.8.",
            )
        };
    }
    check(key, value, origin)?;
    if !keys::find(key).is_some_and(is_for_arms) {
        return problem(
            format!("arm {name} cannot change {key}"),
            "Arms share everything up to E, and the budget; what a live run can change after E may \
             differ.",
        );
    }
    Ok(())
}

/// The same config with one value changed while the run goes on. The key must be known; whether it
/// may change live is the session's to say.
///
/// # Errors
/// The problem, without a place.
pub fn from_value(config: &RunConfig, path: &str, value: &Value) -> Result<RunConfig, Problem> {
    check(path, value, &Origin::Live)?;
    let internal = |e: &dyn fmt::Display| Problem {
        origin: Origin::Live,
        what: format!("{path}: {e}"),
        help: String::new(),
    };
    let mut values = Value::try_from(config).map_err(|e| internal(&e))?;
    path_set(&mut values, path, value.clone());
    let changed = RunConfig::deserialize(values).map_err(|e| internal(&e.message()))?;
    match contradictions(&changed, |_| Origin::Live).into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(changed),
    }
}

/// The value of the key with this path as TOML; `-` where there is no such key.
pub fn value_text(config: &RunConfig, path: &str) -> String {
    let whole = Value::try_from(config).ok();
    let value = whole.as_ref().and_then(|w| path.split('.').try_fold(w, |v, part| v.get(part)));
    value.map_or_else(|| "-".into(), ToString::to_string)
}

/// `key=value` as after `--set`, the value as TOML or as a bare word, checked alone.
///
/// # Errors
/// The problem: no such key, or a value out of its range.
pub fn parse_set(item: &str) -> Result<(&'static Key, Value), Problem> {
    let problem =
        |what: String, help: &str| Problem { origin: Origin::Set, what, help: help.into() };
    let Some((path, text)) = item.split_once('=') else {
        return Err(problem(item.to_owned(), "Expected key=value, as in --set train.epochs=10."));
    };
    let (path, text) = (path.trim(), text.trim());
    let value = match toml::from_str::<toml::Table>(&format!("v = {text}")) {
        Ok(mut t) if t.len() == 1 => t.remove("v").unwrap_or_else(|| Value::String(text.into())),
        _ => Value::String(text.into()),
    };
    check(path, &value, &Origin::Set)?;
    let key = keys::find(path).ok_or_else(|| unknown(path, &Origin::Set))?;
    Ok((key, value))
}

fn check(path: &str, value: &Value, origin: &Origin) -> Result<(), Problem> {
    let key = keys::find(path).ok_or_else(|| unknown(path, origin))?;
    match key.rule.objection(value) {
        None => Ok(()),
        Some(objection) => Err(Problem {
            origin: origin.clone(),
            what: format!("{path} = {value} is not allowed: {objection}"),
            help: format!("{path}: {}.", key.about),
        }),
    }
}

fn unknown(path: &str, origin: &Origin) -> Problem {
    let help = match keys::nearest(path) {
        Some(near) => format!("Did you mean {}? ({})", near.path, near.about),
        None => "`earlybird train --print-config` shows all keys.".into(),
    };
    Problem { origin: origin.clone(), what: format!("unknown key {path}"), help }
}

/// What is allowed value by value, but not together.
pub(super) fn contradictions(c: &RunConfig, origin_of: impl Fn(&str) -> Origin) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut problem = |path: &str, what: String, help: String| {
        found.push(Problem { origin: origin_of(path), what, help })
    };
    let (e, n, auto) = (c.pretrain_epochs(), c.train.epochs, c.auto());
    if c.finds_e() && auto.least > auto.most {
        problem(
            "importance.auto_least",
            format!(
                "importance.auto_least = {} is beyond the largest E, {}",
                auto.least, auto.most
            ),
            format!("Set importance.auto_most (0 = half of N, N = {n}) to at least as much."),
        );
    }
    if e > n {
        problem(
            PRETRAIN_EPOCHS,
            format!("{PRETRAIN_EPOCHS} = {e} is beyond {EPOCHS} = {n}"),
            format!("E must lie in 0..={n}; E = {n} trains the uniform baseline throughout."),
        );
    }
    if c.data.imbalance > 1.0 && !c.data.class_counts.is_empty() {
        problem(
            "data.class_counts",
            format!(
                "data.class_counts and data.imbalance = {} both set the class sizes",
                c.data.imbalance
            ),
            "Keep one of them: imbalance = 1.0, or class_counts = [].".into(),
        );
    }
    if c.importance.sampler == Sampler::TopShare && c.importance.reweight > 0.0 {
        problem(
            "importance.reweight",
            format!(
                "importance.reweight = {} cannot make up for the samples that the sampler \
                 \"top-share\" never draws",
                c.importance.reweight
            ),
            "Set importance.reweight = 0, or use another sampler (\"infobatch\", say).".into(),
        );
    }
    if c.train.mixes() && c.importance.sampler.sampling().needs_losses() {
        problem(
            "importance.sampler",
            "this importance.sampler draws by the losses of images while it trains, and those of \
             mixed images are of none"
                .into(),
            "Use another sampler (\"biased\", say), or set train.mixup and train.cutmix to 0."
                .into(),
        );
    }
    let is_sgd = c.train.optimizer == OptimizerName::Sgd;
    if is_sgd && c.train.nesterov && c.train.momentum == 0.0 {
        problem(
            "train.nesterov",
            "train.nesterov = true needs a momentum, and train.momentum = 0".into(),
            "Set train.momentum (0.9 is usual) or train.nesterov = false.".into(),
        );
    }
    if c.train.mixes() && c.importance.window != Window::Fresh {
        let key = if c.train.mixup > 0.0 { "train.mixup" } else { "train.cutmix" };
        problem(
            "importance.window",
            format!(
                "{key} trains on mixed images: what the model says of these says nothing of the \
                 importance of one of them"
            ),
            "Set importance.window = \"fresh\": the weights come of a pass over the images as they \
             are."
                .into(),
        );
    }
    if c.train.mixes() && c.finds_e() {
        problem(
            PRETRAIN_EPOCHS,
            "E = \"auto\" looks at what the model says of each image while it trains, and mixed \
             images do not tell"
                .into(),
            "Set E to a number, or train.mixup and train.cutmix to 0.".into(),
        );
    }
    if let (data::Origin::Own(what), true) = (c.data.source.origin(), c.data.path.is_empty()) {
        problem(
            "data.source",
            format!("data.source = \"{}\" needs data.path", c.data.source.name()),
            format!("Set data.path to {what}."),
        );
    }
    found
}

/// Paths of the keys whose values differ between two configs, in the order of the table.
pub fn differing(a: &RunConfig, b: &RunConfig) -> Vec<&'static str> {
    let (Ok(a), Ok(b)) = (Value::try_from(a), Value::try_from(b)) else { return Vec::new() };
    let keys = keys::KEYS.iter().map(|key| key.path);
    keys.filter(|path| path_get(&a, path) != path_get(&b, path)).collect()
}

/// A value of the file that is no table.
struct Leaf {
    /// Its dotted path.
    path: String,
    /// Byte of its key.
    offset: usize,
    /// A part of its path that has a dot itself: written in quotes.
    dotted: Option<String>,
}

/// Calls `each` with every value that is no table.
fn collect(table: &DeTable<'_>, prefix: &str, each: &mut impl FnMut(Leaf)) {
    for (key, value) in table {
        let (name, offset) = (key.get_ref(), key.span().start);
        let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
        match value.get_ref() {
            _ if name.contains('.') => each(Leaf { path, offset, dotted: Some(name.to_string()) }),
            // An unknown empty table is reported like a key, not overlooked.
            DeValue::Table(t)
                if !t.is_empty()
                    || keys::KEYS.iter().any(|k| k.path.starts_with(&format!("{path}."))) =>
            {
                collect(t, &path, each);
            }
            _ => each(Leaf { path, offset, dotted: None }),
        }
    }
}

fn path_get<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |v, part| v.get(part))
}

fn path_set(root: &mut Value, path: &str, value: Value) {
    let (tables, last) = path.rsplit_once('.').map_or((None, path), |(t, l)| (Some(t), l));
    let mut at = root;
    for part in tables.into_iter().flat_map(|t| t.split('.')) {
        let Value::Table(t) = at else { return };
        at = t.entry(part).or_insert_with(|| Value::Table(toml::Table::new()));
    }
    if let Value::Table(t) = at {
        t.insert(last.to_owned(), value);
    }
}
