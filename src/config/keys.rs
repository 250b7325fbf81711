//! The one table of config keys: type, range, meaning, and whether a running session takes a
//! change. Reading files, `--set`, live commands, error messages and help all go by it.

use super::pretrain::AUTO;
use crate::data::Source;
use crate::importance::{ClassWeights, Sampler};
use crate::model::ModelName;
use toml::Value;

/// The keys that are called by name elsewhere, because people do: E, N, and the learning rate's
/// scale.
pub const PRETRAIN_EPOCHS: &str = "importance.pretrain_epochs";
pub const EPOCHS: &str = "train.epochs";
pub const LR_SCALE: &str = "train.lr_scale";

/// One key of the config.
#[derive(Debug, PartialEq)]
pub struct Key {
    /// Dotted path, as `train.lr`.
    pub path: &'static str,
    /// What values are allowed.
    pub rule: Rule,
    /// Whether and when a live change takes effect.
    pub live: Live,
    /// What it means, one line.
    pub about: &'static str,
    /// What people call it, where that is not the last part of its path.
    called: Option<&'static str>,
}

impl Key {
    /// As people call it: `E`, say, or the last part of its path.
    pub fn short(&self) -> &'static str {
        self.called.or_else(|| self.path.rsplit('.').next()).unwrap_or(self.path)
    }

    /// Whether people call it something that is not in its path.
    pub fn has_name(&self) -> bool {
        self.called.is_some()
    }

    const fn called(mut self, name: &'static str) -> Self {
        self.called = Some(name);
        self
    }
}

/// Allowed values. Numbers are closed ranges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Any text.
    Text,
    /// A name fit for a directory: letters, digits, `-`, `_` and `.`, 1 to 64 of them.
    Name,
    /// A whole number.
    Integer(i64, i64),
    /// A whole number, or this word.
    IntegerOr(i64, i64, &'static str),
    /// A number.
    Number(f64, f64),
    /// true or false.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of whole numbers, each in the range.
    Integers(i64, i64),
    /// A list of texts.
    Texts,
}

/// When a change of a running session takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// Fixed for the run.
    No,
    /// With the next step.
    NextStep,
    /// With the next epoch.
    NextEpoch,
    /// When the weights are computed: at E, or with the next re-scoring.
    AtScoring,
    /// It moves E, at the earliest to the end of the epoch in progress.
    MovesE,
}

impl Live {
    /// In two or three words, for tables.
    pub fn words(self) -> &'static str {
        match self {
            Self::No => "fixed",
            Self::NextStep => "next step",
            Self::NextEpoch | Self::MovesE => "next epoch",
            Self::AtScoring => "with the weights",
        }
    }
}

/// Why a fixed key is not changed, and what to do instead.
pub const FIXED: &str = "fixed for the run: start a new one to change it";

use Live::{AtScoring, MovesE, NextEpoch, NextStep, No};
use Rule::{Flag, Integer, IntegerOr, Integers, Name, Number, OneOf, Text, Texts};

const fn key(path: &'static str, rule: Rule, live: Live, about: &'static str) -> Key {
    Key { path, rule, live, about, called: None }
}

/// Every key there is, in the order of the config.
pub const KEYS: &[Key] = &[
    key("name", Name, No, "name of the run; its directory begins with it"),
    key("seed", Integer(0, i64::MAX), No, "seed of every random stream"),
    key(
        "fork",
        Integer(0, u32::MAX as i64),
        No,
        "which fork of the run, for its draws; 0 = the run itself",
    ),
    key("data.source", OneOf(Source::NAMES), No, "where the images come from"),
    key("data.path", Text, No, "directory or archive; empty = where the source usually is"),
    key(
        "data.train_limit",
        Integer(0, 1 << 31),
        No,
        "keep at most so many training samples; 0 = all",
    ),
    key("data.test_limit", Integer(0, 1 << 31), No, "keep at most so many test samples; 0 = all"),
    key(
        "data.imbalance",
        Number(1.0, 1e6),
        No,
        "long tail: largest over smallest class; 1 = as it is",
    ),
    key("data.class_counts", Integers(0, 1 << 31), No, "training samples per class; [] = as it is"),
    key(
        "data.image_size",
        Integer(8, 1024),
        No,
        "side in pixels to which an image folder is scaled",
    ),
    key("data.exif_orientation", Flag, No, "turn images as the orientation in their files says"),
    key(
        "data.resident",
        OneOf(&["auto", "device", "stream"]),
        No,
        "where images are while they are trained on; auto = on the device where they fit",
    ),
    key(
        "data.workers",
        Integer(0, 256),
        No,
        "threads that read streamed images; 0 = by the machine",
    ),
    key(
        "data.train_crop",
        OneOf(&["shift", "random-resized"]),
        No,
        "what part of an image a draw shows in training",
    ),
    key(
        "data.crop_scale",
        Number(0.001, 1.0),
        No,
        "random-resized: least share of an image's area that is shown",
    ),
    key(
        "data.crop_ratio",
        Number(1.0, 10.0),
        No,
        "random-resized: largest width over height; the least is its inverse",
    ),
    key(
        "data.eval_resize",
        Integer(0, 8_192),
        No,
        "short side of streamed images in evaluation, before the middle is cut out; 0 = image_size",
    ),
    key(
        "data.normalize",
        OneOf(&["data", "imagenet"]),
        No,
        "mean and deviation that bytes are normalised by",
    ),
    key(
        "data.crop_padding",
        Integer(0, 64),
        No,
        "random crop after padding by so many pixels; 0 = off",
    ),
    key("data.flip", Flag, No, "random horizontal flip"),
    key(
        "data.color_jitter",
        Number(0.0, 0.9),
        NextStep,
        "brightness, contrast and saturation by factors in 1 - s to 1 + s; 0 = off",
    ),
    key(
        "data.random_erasing",
        Number(0.0, 1.0),
        NextStep,
        "probability that a piece of an image is erased; 0 = off",
    ),
    key(
        "data.label_noise",
        Number(0.0, 0.9),
        No,
        "share of the training labels flipped to another class",
    ),
    key(
        "data.validation",
        Number(0.0, 0.9),
        No,
        "share of each class to measure epochs on; 0 = on the test set",
    ),
    key("model.name", OneOf(ModelName::NAMES), No, "architecture"),
    key(
        "model.init",
        Text,
        No,
        "safetensors or .pth file with the values to start from; empty = by the seed",
    ),
    key(EPOCHS, Integer(1, 100_000), NextEpoch, "total epochs N").called("N"),
    key("train.precision", OneOf(&["fp32", "bf16"]), No, "what activations are computed in"),
    key("train.tf32", Flag, No, "CUDA: multiply f32 as TF32"),
    key(
        "train.cudnn_benchmark",
        Flag,
        No,
        "CUDA: cuDNN's fastest algorithms by trying; false = the same bits in every run",
    ),
    key(
        "train.cuda_graph",
        OneOf(&["auto", "off"]),
        No,
        "CUDA: a step is captured and made at one launch from then on",
    ),
    key("train.batch_size", Integer(2, 65_536), No, "images per step"),
    key(
        "train.eval_batch_size",
        Integer(1, 65_536),
        No,
        "images per forward pass of an evaluation",
    ),
    key("train.lr", Number(1e-8, 100.0), NextStep, "peak learning rate"),
    key(LR_SCALE, Number(1e-6, 1e3), NextStep, "factor on the scheduled learning rate")
        .called("learning-rate scale"),
    key(
        "train.schedule",
        OneOf(&["constant", "step", "cosine", "one-cycle"]),
        No,
        "course of the learning rate, by step",
    ),
    key(
        "train.warmup",
        Number(0.0, 0.9),
        No,
        "share of all steps in which the rate climbs to its peak",
    ),
    key("train.final_lr", Number(0.0, 1.0), No, "learning rate at the end, as a share of the peak"),
    key(
        "train.step_epochs",
        Integer(1, 100_000),
        No,
        "epochs between two drops of the step schedule",
    ),
    key("train.step_factor", Number(1e-6, 1.0), No, "factor of each drop of the step schedule"),
    key("train.optimizer", OneOf(&["sgd", "adamw"]), No, "how gradients change parameters"),
    key("train.momentum", Number(0.0, 0.9999), No, "SGD: momentum"),
    key("train.nesterov", Flag, No, "SGD: Nesterov's form of momentum"),
    key("train.adam_beta1", Number(0.0, 0.9999), No, "AdamW: beta1, of the mean of gradients"),
    key("train.adam_beta2", Number(0.0, 0.999999), No, "AdamW: beta2, of the mean of squares"),
    key("train.adam_epsilon", Number(1e-12, 1.0), No, "AdamW: added to the root of that mean"),
    key("train.weight_decay", Number(0.0, 1.0), NextStep, "weight decay"),
    key(
        "train.decay_norms",
        Flag,
        No,
        "weight decay of batch norms and biases, too; false = of filters and matrices only",
    ),
    key(
        "train.head_lr",
        Number(0.0, 100.0),
        NextStep,
        "peak learning rate of the classifier; 0 = train.lr",
    ),
    key(
        "train.freeze",
        Texts,
        No,
        "parts of the model that are not trained, as [\"conv1\", \"layer1\"]; [] = none",
    ),
    key(
        "train.clip_norm",
        Number(0.0, 1e9),
        NextStep,
        "gradients are scaled down to at most this norm; 0 = off",
    ),
    key(
        "train.ema_decay",
        Number(0.0, 0.999999),
        No,
        "decay of an average of the parameters, evaluated beside them; 0 = none",
    ),
    key(
        "train.patience",
        Integer(0, 100_000),
        NextEpoch,
        "epochs after E without a better one that end the run; 0 = off",
    ),
    key(
        "train.label_smoothing",
        Number(0.0, 0.9),
        No,
        "share of the target spread over all classes",
    ),
    key(
        "train.mixup",
        Number(0.0, 10.0),
        NextStep,
        "mixup: alpha; two images of a batch in one; 0 = off",
    ),
    key(
        "train.cutmix",
        Number(0.0, 10.0),
        NextStep,
        "CutMix: alpha; a piece of one image in another; 0 = off",
    ),
    key(PRETRAIN_EPOCHS, IntegerOr(0, 100_000, AUTO), MovesE, "pretraining epochs E, at most N")
        .called("E"),
    key(
        "importance.auto_threshold",
        Number(0.0, 1.0),
        NextStep,
        "E = auto: how settled the importance has to be",
    ),
    key("importance.auto_least", Integer(1, 100_000), NextStep, "E = auto: the least E"),
    key(
        "importance.auto_most",
        Integer(0, 100_000),
        NextStep,
        "E = auto: the largest E, settled or not; 0 = half of N",
    ),
    key(
        "importance.sampler",
        OneOf(Sampler::NAMES),
        NextEpoch,
        "what the epochs after E draw from",
    ),
    key(
        "importance.metric",
        OneOf(&["p-correct", "el2n", "loss", "margin", "entropy"]),
        AtScoring,
        "what makes a sample important",
    ),
    key(
        "importance.window",
        OneOf(&["mean", "last", "fresh"]),
        AtScoring,
        "which recorded epochs count",
    ),
    key("importance.exponent", Number(0.0, 20.0), NextEpoch, "exponent a on the weights"),
    key(
        "importance.doubt",
        Number(0.0, 10.0),
        NextEpoch,
        "b: samples far harder than their class are drawn less; 0 = no less",
    ),
    key("importance.uniform_mix", Number(0.0, 1.0), NextEpoch, "share u of uniform draws"),
    key(
        "importance.drop_hardest",
        Number(0.0, 0.95),
        NextEpoch,
        "share of the hardest samples that is never drawn",
    ),
    key(
        "importance.level",
        OneOf(&["sample", "class", "balanced", "within"]),
        NextEpoch,
        "what weights decide: samples, classes, samples within classes of given shares",
    ),
    key(
        "importance.class_exponent",
        Number(0.0, 1.0),
        NextEpoch,
        "g: at level within, class shares go by n_c^(1 - g)",
    ),
    key(
        "importance.reweight",
        Number(0.0, 1.0),
        NextEpoch,
        "k: losses are multiplied by (1/(n q))^k",
    ),
    key(
        "importance.uniform_tail",
        Number(0.0, 1.0),
        NextEpoch,
        "last share of the biased epochs drawn uniformly again",
    ),
    key(
        "importance.draw",
        OneOf(&["multinomial", "systematic"]),
        NextEpoch,
        "independent draws or systematic ones",
    ),
    key(
        "importance.rescore_every",
        Integer(0, 100_000),
        NextEpoch,
        "weights anew every so many biased epochs; 0 = never",
    ),
    key(
        "importance.defer",
        Number(0.0, 1.0),
        NextEpoch,
        "share of N up to which epochs after E stay uniform and uncorrected",
    ),
    key(
        "importance.draws",
        Number(0.01, 1.0),
        NextEpoch,
        "images an epoch after E draws, as a share of n",
    ),
    key(
        "importance.adjust",
        OneOf(&["none", "data", "drawn"]),
        NextEpoch,
        "class shares that logits are corrected for in training",
    ),
    key("importance.adjust_tau", Number(0.0, 10.0), NextEpoch, "tau: how much they are corrected"),
    key(
        "importance.adjust_from",
        OneOf(&["bias", "start"]),
        NextEpoch,
        "since the first epoch that draws by the sampler, or since the first",
    ),
    key(
        "importance.adjust_posthoc",
        Number(0.0, 10.0),
        NextEpoch,
        "tau of a correction for the data's class shares in evaluation only; 0 = none",
    ),
    key(
        "importance.class_weights",
        OneOf(ClassWeights::NAMES),
        NextEpoch,
        "what the losses of a class are multiplied by",
    ),
    key(
        "importance.margin",
        Number(0.0, 30.0),
        NextEpoch,
        "LDAM: taken from the true class's logit, for the smallest class; 0 = none",
    ),
    key(
        "checkpoint.every_minutes",
        Number(0.0, 10_080.0),
        NextStep,
        "minutes between checkpoints in mid-epoch; 0 = none",
    ),
    key(
        "checkpoint.tensorboard",
        Flag,
        No,
        "write TensorBoard's event files into the run's directory, too",
    ),
    key(
        "checkpoint.on_disk_error",
        OneOf(&["pause", "continue"]),
        NextStep,
        "when the run's state cannot be written",
    ),
];

/// What makes a name.
pub(super) const NAME: Rule = Name;

/// The key with this path.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// The known key closest to an unknown one, by whole path or by last part; `None` when nothing is
/// near.
pub fn nearest(path: &str) -> Option<&'static Key> {
    let last = |p: &str| p.rsplit('.').next().unwrap_or(p).to_owned();
    let similarity = |k: &&Key| {
        let whole = strsim::normalized_damerau_levenshtein(k.path, path);
        let part = strsim::normalized_damerau_levenshtein(&last(k.path), &last(path));
        whole.max(part * 0.98) // of two equally close ones, the one in the same table
    };
    let best = KEYS.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(&best) >= 0.5).then_some(best)
}

impl Rule {
    /// Whether the text is allowed.
    pub(super) fn accepts(&self, text: &str) -> bool {
        self.objection(&Value::String(text.to_owned())).is_none()
    }

    /// Why `value` is not allowed, or `None`.
    pub fn objection(&self, value: &Value) -> Option<String> {
        let in_range = |low: i64, high: i64, v: i64| (low..=high).contains(&v);
        let ok = match (self, value) {
            (Text, Value::String(_)) | (Flag, Value::Boolean(_)) => true,
            (Name, Value::String(s)) => {
                (1..=64).contains(&s.len())
                    && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                    && !s.starts_with('.')
            }
            (Integer(low, high) | IntegerOr(low, high, _), Value::Integer(v)) => {
                in_range(*low, *high, *v)
            }
            (IntegerOr(.., word), Value::String(s)) => s == word,
            (Number(low, high), Value::Float(v)) => v.is_finite() && *low <= *v && *v <= *high,
            (Number(low, high), Value::Integer(v)) => *low <= *v as f64 && *v as f64 <= *high,
            (OneOf(words), Value::String(s)) => words.contains(&s.as_str()),
            (Integers(low, high), Value::Array(a)) => {
                a.iter().all(|v| v.as_integer().is_some_and(|v| in_range(*low, *high, v)))
            }
            (Texts, Value::Array(a)) => a.iter().all(Value::is_str),
            _ => false,
        };
        (!ok).then(|| format!("expected {}", self.describe()))
    }

    /// The allowed values in words.
    pub fn describe(&self) -> String {
        let top =
            |high: i64| if high == i64::MAX { "2^63 - 1".to_owned() } else { high.to_string() };
        match self {
            Text => "text in quotes".into(),
            Name => {
                "a name of 1 to 64 letters, digits, '-', '_' or '.', not beginning with '.'".into()
            }
            Integer(low, high) => format!("a whole number in {low}..={}", top(*high)),
            IntegerOr(low, high, word) => {
                format!("a whole number in {low}..={} or \"{word}\"", top(*high))
            }
            Number(low, high) => format!("a number in {low}..={high}"),
            Flag => "true or false".into(),
            OneOf(words) => format!(
                "one of {}",
                words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ")
            ),
            Integers(low, high) => format!("a list of whole numbers in {low}..={}", top(*high)),
            Texts => "a list of texts in quotes".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;

    fn leaves(value: &Value, path: &str, out: &mut Vec<String>) {
        match value {
            Value::Table(t) => {
                for (k, v) in t {
                    leaves(
                        v,
                        &if path.is_empty() { k.clone() } else { format!("{path}.{k}") },
                        out,
                    );
                }
            }
            _ => out.push(path.to_owned()),
        }
    }

    #[test]
    fn the_table_and_the_struct_have_the_same_keys_in_the_same_order() {
        let config = Value::try_from(RunConfig::default()).expect("defaults serialize");
        let mut paths = Vec::new();
        leaves(&config, "", &mut paths);
        assert_eq!(paths, KEYS.iter().map(|k| k.path).collect::<Vec<_>>());
    }

    #[test]
    fn every_default_is_in_its_range() {
        let config = Value::try_from(RunConfig::default()).expect("defaults serialize");
        for key in KEYS {
            let value =
                key.path.split('.').try_fold(&config, |v, part| v.get(part)).expect("same keys");
            assert_eq!(key.rule.objection(value), None, "{} = {value}", key.path);
        }
    }

    #[test]
    fn every_word_of_a_rule_is_known_to_the_struct() {
        for key in KEYS {
            if let Rule::OneOf(words) = key.rule {
                for word in words {
                    let set =
                        vec![format!("{}={word}", key.path), "data.path=somewhere".to_owned()];
                    crate::config::from_str("", "test.toml", &set)
                        .unwrap_or_else(|e| panic!("{} = {word}: {e}", key.path));
                }
            }
        }
    }
}
