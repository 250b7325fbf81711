//! The words that events carry, as types. Each stands in JSON as it always has, so that older
//! journals are read and tools that read journals go on; this is the only place that knows how.

use crate::config::{self, Key};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What an answer is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Topic {
    /// A config key.
    Key(&'static Key),
    /// A command that belongs to no key.
    Verb(Verb),
    /// What this version does not know: a key of another one, or one that was mistyped.
    Unknown(String),
}

/// A command that belongs to no key, or the run as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Run,
    Pause,
    Resume,
    Bias,
    Rescore,
    Checkpoint,
    Rewind,
    Stop,
}

const VERBS: [(Verb, &str); 8] = [
    (Verb::Run, "run"),
    (Verb::Pause, "pause"),
    (Verb::Resume, "resume"),
    (Verb::Bias, "bias"),
    (Verb::Rescore, "rescore"),
    (Verb::Checkpoint, "checkpoint"),
    (Verb::Rewind, "rewind"),
    (Verb::Stop, "stop"),
];

impl Verb {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        VERBS.iter().find(|(verb, _)| *verb == self).map_or("", |(_, word)| word)
    }
}

impl Topic {
    /// The config key, if it is about one.
    pub fn key(&self) -> Option<&'static Key> {
        match self {
            Self::Key(key) => Some(key),
            Self::Verb(_) | Self::Unknown(_) => None,
        }
    }

    /// As it stands in JSON: the key's path, or the verb.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(key) => key.path,
            Self::Verb(verb) => verb.word(),
            Self::Unknown(text) => text,
        }
    }

    /// As people call it: `E`, `N`, or the last part of the key's path.
    pub fn short(&self) -> &str {
        match self {
            Self::Key(key) => key.short(),
            Self::Verb(verb) => verb.word(),
            Self::Unknown(text) => text.rsplit('.').next().unwrap_or(text),
        }
    }
}

impl From<String> for Topic {
    fn from(text: String) -> Self {
        let verb = VERBS.iter().find(|(_, word)| *word == text);
        match (config::find(&text), verb) {
            (Some(key), _) => Self::Key(key),
            (None, Some((verb, _))) => Self::Verb(*verb),
            (None, None) => Self::Unknown(text),
        }
    }
}

impl From<&str> for Topic {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Verb> for Topic {
    fn from(verb: Verb) -> Self {
        Self::Verb(verb)
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.as_str().to_owned()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a change takes effect. In JSON, as on a screen, it is a phrase that follows the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Effective {
    /// At once.
    Now,
    NextStep,
    NextEpoch,
    /// When the epoch in progress has been evaluated.
    AfterThisEpoch,
    /// When the epoch that the change names has been evaluated.
    AfterThatEpoch,
    /// When the weights are computed, whenever that is.
    WithTheWeights,
    /// With the weights, which are computed once the importance is settled.
    WhenSettled,
    /// With the weights, which are computed after this epoch.
    WeightsAfter(usize),
    /// Epochs after `after` are vanilla again, up to `weights_after`, after which weights are
    /// computed anew.
    BackToPretraining {
        after: usize,
        weights_after: usize,
    },
    /// In the words of another version.
    Other(String),
}

const PHRASES: [(Effective, &str); 7] = [
    (Effective::Now, "now"),
    (Effective::NextStep, "with the next step"),
    (Effective::NextEpoch, "with the next epoch"),
    (Effective::AfterThisEpoch, "when this epoch has been evaluated"),
    (Effective::AfterThatEpoch, "when that epoch has been evaluated"),
    (Effective::WithTheWeights, "when the weights are computed"),
    (Effective::WhenSettled, "when the importance is settled"),
];
const WEIGHTS: &str = "weights after epoch ";
const BACK: &str = "back to pretraining after epoch ";
const ANEW: &str = ", weights anew after epoch ";

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WeightsAfter(epoch) => write!(f, "{WEIGHTS}{epoch}"),
            Self::BackToPretraining { after, weights_after } => {
                write!(f, "{BACK}{after}{ANEW}{weights_after}")
            }
            Self::Other(text) => f.write_str(text),
            fixed => {
                let phrase = PHRASES.iter().find(|(effective, _)| effective == fixed);
                f.write_str(phrase.map_or("", |(_, phrase)| phrase))
            }
        }
    }
}

impl From<String> for Effective {
    fn from(text: String) -> Self {
        let epoch = |digits: &str| usize::from_str(digits).ok();
        let back = || {
            let (after, weights_after) = text.strip_prefix(BACK)?.split_once(ANEW)?;
            let (after, weights_after) = (epoch(after)?, epoch(weights_after)?);
            Some(Self::BackToPretraining { after, weights_after })
        };
        let weights = || text.strip_prefix(WEIGHTS).and_then(epoch).map(Self::WeightsAfter);
        let phrase = PHRASES.iter().find(|(_, phrase)| *phrase == text);
        let known = phrase.map(|(effective, _)| effective.clone()).or_else(weights).or_else(back);
        // Digits of another form would not be written as they were read.
        let known = known.filter(|effective| effective.to_string() == text);
        known.unwrap_or(Self::Other(text))
    }
}

impl From<Effective> for String {
    fn from(effective: Effective) -> Self {
        effective.to_string()
    }
}

/// Why a state was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// An epoch is over.
    Epoch,
    /// `checkpoint.every_minutes` have passed since the last one.
    Time,
    /// Somebody asked.
    Asked,
    /// The run is about to be stopped before its end.
    Stopped,
    /// The run is over: this is its model.
    Final,
}

impl CheckpointKind {
    /// Whether nobody waits to hear of it: such are written all the time.
    pub fn is_routine(self) -> bool {
        matches!(self, Self::Epoch | Self::Time)
    }
}

/// Which of a run's models was tested: `best` in JSON, true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum TestedModel {
    /// The one with the best validation accuracy.
    Best,
    /// The one at the end.
    Last,
}

impl TestedModel {
    pub fn word(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Last => "last",
        }
    }
}

impl From<bool> for TestedModel {
    fn from(best: bool) -> Self {
        if best { Self::Best } else { Self::Last }
    }
}

impl From<TestedModel> for bool {
    fn from(model: TestedModel) -> Self {
        model == TestedModel::Best
    }
}

/// Why a run changed a value by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByItself {
    /// E: the ranking of the samples is settled.
    Settled,
    /// E: it may not become larger.
    AtMost,
    /// N: for so many epochs none was better.
    NoBetter,
}

impl ByItself {
    /// In words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Settled => "the importance is settled",
            Self::AtMost => "E may not become larger",
            Self::NoBetter => "no epoch was better for train.patience epochs",
        }
    }
}

impl From<crate::importance::Ended> for ByItself {
    fn from(ended: crate::importance::Ended) -> Self {
        match ended {
            crate::importance::Ended::Settled => Self::Settled,
            crate::importance::Ended::AtMost => Self::AtMost,
        }
    }
}

/// How a run came to its end: `stopped` in JSON, true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum End {
    /// It trained to epoch N.
    Complete,
    /// Somebody stopped it before N.
    Stopped,
}

impl End {
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "finished",
            Self::Stopped => "stopped",
        }
    }
}

impl From<bool> for End {
    fn from(stopped: bool) -> Self {
        if stopped { Self::Stopped } else { Self::Complete }
    }
}

impl From<End> for bool {
    fn from(end: End) -> Self {
        end == End::Stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_phrase_is_read_back_and_the_words_of_other_versions_are_kept() {
        let back = Effective::BackToPretraining { after: 3, weights_after: 6 };
        let with_numbers = [Effective::WeightsAfter(4), back];
        for effective in PHRASES.into_iter().map(|(e, _)| e).chain(with_numbers) {
            let text = json!(effective);
            assert!(text.as_str().is_some_and(|t| !t.is_empty()), "{effective:?}");
            assert_eq!(serde_json::from_value::<Effective>(text).expect("read"), effective);
        }
        for text in ["", "weights after epoch 04", "weights after epoch x", "at full moon"] {
            let effective = Effective::from(text.to_owned());
            assert_eq!(effective, Effective::Other(text.into()));
            assert_eq!(json!(effective), json!(text));
        }
    }

    #[test]
    fn every_topic_is_read_back() {
        let texts = VERBS.iter().map(|(_, word)| *word);
        let texts = texts.chain(config::KEYS.iter().map(|k| k.path)).chain(["a.key.of.tomorrow"]);
        for text in texts {
            let topic = serde_json::from_value::<Topic>(json!(text)).expect("read");
            assert_eq!(matches!(topic, Topic::Unknown(_)), text == "a.key.of.tomorrow");
            assert_eq!(json!(topic), json!(text));
        }
    }
}
