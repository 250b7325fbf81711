//! The arms of a comparison: names for config values that differ after E. Knows nothing of
//! training.

use crate::config::{self, ArmChanges, ConfigError, RunConfig};
use sha2::{Digest, Sha256};
use toml::Value;

/// Draws as vanilla SGD does; what all others are measured against.
pub const BASELINE: &str = "uniform";
/// The baseline once more, with another shuffle: what chance alone does. In every comparison.
pub const NULL: &str = "uniform-null";

/// The baseline's model, its logits corrected after training: drawn and trained as the baseline.
pub const POSTHOC: &str = "posthoc";

/// A value of a key.
#[derive(Clone, Copy, Debug)]
enum Given {
    Word(&'static str),
    Number(f64),
}

use Given::{Number, Word};

impl Given {
    fn value(self) -> Value {
        match self {
            Word(word) => Value::String(word.to_owned()),
            Number(number) => Value::Float(number),
        }
    }
}

type Changes = &'static [(&'static str, Given)];

/// The run as its config has it, forked as every arm is.
const AS_CONFIGURED: &str = "as-configured";

/// The arms that every comparison knows, and what they change.
const KNOWN: &[(&str, Changes)] = &[
    (BASELINE, &[("importance.sampler", Word("uniform"))]),
    (NULL, &[("importance.sampler", Word("uniform"))]),
    ("biased", &[]),
    (AS_CONFIGURED, &[]),
    ("biased-adjusted", &[("importance.adjust", Word("drawn"))]),
    ("biased-doubted", &[("importance.adjust", Word("drawn")), ("importance.doubt", Number(1.0))]),
    ("biased-class-level", &[("importance.level", Word("class"))]),
    ("biased-systematic", &[("importance.draw", Word("systematic"))]),
    ("el2n", &[("importance.metric", Word("el2n"))]),
    ("class-balanced", &[("importance.sampler", Word("class-balanced"))]),
    ("balanced-importance", &[("importance.level", Word("balanced"))]),
    (
        "square-root",
        &[
            ("importance.level", Word("within")),
            ("importance.class_exponent", Number(0.5)),
            ("importance.exponent", Number(0.0)),
        ],
    ),
    ("uniform-replacement", &[("importance.sampler", Word("uniform-replacement"))]),
    (
        "logit-adjusted",
        &[("importance.sampler", Word("uniform")), ("importance.adjust", Word("data"))],
    ),
    (
        POSTHOC,
        &[("importance.sampler", Word("uniform")), ("importance.adjust_posthoc", Number(1.0))],
    ),
    ("drs", &[("importance.sampler", Word("class-balanced")), ("importance.defer", Number(0.8))]),
    (
        "drw",
        &[
            ("importance.sampler", Word("uniform")),
            ("importance.class_weights", Word("effective-number")),
            ("importance.defer", Number(0.8)),
        ],
    ),
    (
        "ldam-drw",
        &[
            ("importance.sampler", Word("uniform")),
            ("importance.margin", Number(2.0)),
            ("importance.class_weights", Word("effective-number")),
            ("importance.defer", Number(0.8)),
        ],
    ),
    (
        "infobatch",
        &[
            ("importance.sampler", Word("infobatch")),
            ("importance.reweight", Number(1.0)),
            ("importance.uniform_tail", Number(0.125)),
        ],
    ),
    ("rcap", &[("importance.sampler", Word("rcap")), ("importance.draws", Number(0.5))]),
    ("top-half", &[("importance.sampler", Word("top-share")), ("importance.draws", Number(0.5))]),
    ("uniform-half", &[("importance.sampler", Word("uniform")), ("importance.draws", Number(0.5))]),
];

/// One arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// The keys that it changes.
    changes: Vec<(String, Value)>,
}

/// Why there are no such arms.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// No such name.
    #[error(
        "unknown arm \"{name}\"\n  Known are {known}; a config defines its own: [arms.mine] with \
         importance.exponent = 0.5, say."
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A config defines an arm that every comparison knows.
    #[error(
        "[arms.{0}]: every comparison has an arm {0}, with a meaning of its own\n  Choose another \
         name for yours."
    )]
    Taken(String),
    /// Its values contradict the config's.
    #[error("arm {name}: {what}")]
    Contradiction {
        /// The arm.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// The config is not right.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The arms called `names`, each once, the baseline and the null arm first whether named or not.
/// `own` are those that the config of the run `base` has.
///
/// # Errors
/// [`ArmError::Unknown`], and [`ArmError::Taken`] where the config gives an arm a known name.
pub fn choose(
    names: &[String],
    own: &[ArmChanges],
    base: &RunConfig,
) -> Result<Vec<Arm>, ArmError> {
    if let Some((name, _)) = own.iter().find(|(own, _)| KNOWN.iter().any(|(known, _)| known == own))
    {
        return Err(ArmError::Taken(name.clone()));
    }
    let mut arms: Vec<Arm> = Vec::new();
    for name in [BASELINE, NULL].into_iter().chain(names.iter().map(String::as_str)) {
        if arms.iter().any(|a| a.name == name) {
            continue;
        }
        let mine = own.iter().find(|(n, _)| n == name);
        let changes = match (mine, KNOWN.iter().find(|(n, _)| *n == name)) {
            (Some((_, changes)), _) => {
                changes.iter().map(|(key, value)| (key.path.to_owned(), value.clone())).collect()
            }
            (None, Some((AS_CONFIGURED, _))) => Vec::new(),
            (None, Some((_, changes))) => {
                let own = changes.iter().map(|(key, given)| ((*key).to_owned(), given.value()));
                plain(base).into_iter().chain(own).collect()
            }
            (None, None) => {
                let known =
                    KNOWN.iter().map(|(n, _)| *n).chain(own.iter().map(|(n, _)| n.as_str()));
                return Err(ArmError::Unknown {
                    name: name.to_owned(),
                    known: known.collect::<Vec<_>>().join(", "),
                });
            }
        };
        arms.push(Arm { name: name.to_owned(), changes });
    }
    Ok(arms)
}

/// The paper's method, which every known arm is but for what it says, whatever else the config adds
/// to it: the default of each key of the method that arms may change. Where `base` mixes images,
/// weights come of a pass over them as they are, in any arm.
fn plain(base: &RunConfig) -> Vec<(String, Value)> {
    let defaults = Value::try_from(RunConfig::default()).ok();
    let value = |path: &str| {
        path.split('.').try_fold(defaults.as_ref()?, |values, part| values.get(part)).cloned()
    };
    let of_method = |key: &&config::Key| {
        let is_kept = key.path == "importance.window" && base.train.mixes();
        key.path.starts_with("importance.") && config::is_for_arms(key) && !is_kept
    };
    let keys = config::KEYS.iter().filter(of_method);
    keys.filter_map(|key| Some((key.path.to_owned(), value(key.path)?))).collect()
}

impl Arm {
    /// The config of this arm of a run with `base`: what differs, and random streams of its own
    /// (the baseline, and what differs from it in evaluations only, keep the run's).
    ///
    /// # Errors
    /// [`ArmError::Contradiction`].
    pub fn config(&self, base: &RunConfig) -> Result<RunConfig, ArmError> {
        let mut config = base.clone();
        for (key, value) in &self.changes {
            // An epoch to begin after, as the share of N that it is.
            let share = value.as_integer().filter(|_| key == config::DEFER);
            if let Some(epoch) = share.filter(|epoch| *epoch > base.train.epochs as i64) {
                let what = format!("from = {epoch} lies beyond N = {}", base.train.epochs);
                return Err(ArmError::Contradiction { name: self.name.clone(), what });
            }
            let share = share.map(|epoch| epoch as f64 / base.train.epochs as f64);
            let value = share.map_or_else(|| value.clone(), Value::Float);
            config = config::from_value(&config, key, &value)
                .map_err(|p| ArmError::Contradiction { name: self.name.clone(), what: p.what })?;
        }
        let draws_as_the_run = [BASELINE, POSTHOC].contains(&self.name.as_str());
        config.fork = if draws_as_the_run { 0 } else { fork_of(&self.name) };
        Ok(config)
    }
}

/// The fork of an arm: by its name, so that it draws the same whatever other arms there are. Never
/// 0.
fn fork_of(name: &str) -> u32 {
    let digest = Sha256::digest(name.as_bytes());
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::importance::{Adjust, Level, Metric, Sampler};

    #[test]
    fn baseline_and_null_are_always_there_and_first() {
        let base = RunConfig::default();
        let names: Vec<String> = ["biased", "uniform", "biased"].map(String::from).to_vec();
        let arms: Vec<String> =
            choose(&names, &[], &base).expect("known").into_iter().map(|a| a.name).collect();
        assert_eq!(arms, ["uniform", "uniform-null", "biased"]);
    }

    #[test]
    fn an_arm_changes_what_it_says_and_draws_on_its_own() {
        let base = config::demo(&[]).expect("demo");
        let names: Vec<String> = KNOWN.iter().map(|(n, _)| (*n).to_owned()).collect();
        let configs: Vec<RunConfig> = choose(&names, &[], &base)
            .expect("known")
            .iter()
            .map(|a| a.config(&base).expect("fits"))
            .collect();
        assert_eq!((configs[0].importance.sampler, configs[0].fork), (Sampler::Uniform, 0));
        let forks: std::collections::HashSet<u32> = configs.iter().map(|c| c.fork).collect();
        assert_eq!(forks.len(), KNOWN.len() - 1);
        let arm = |name: &str| &configs[names.iter().position(|n| n == name).expect("known")];
        assert_eq!((arm(POSTHOC).fork, arm(POSTHOC).importance.adjust_posthoc), (0, 1.0));
        assert_eq!(arm("biased-class-level").importance.level, Level::Class);
        assert_eq!(arm("el2n").importance.metric, Metric::El2n);
        assert_eq!(arm("square-root").importance.class_exponent, 0.5);
        for c in &configs {
            assert_eq!(
                (c.seed, &c.train, c.pretrain_epochs()),
                (base.seed, &base.train, 3),
                "the same budget"
            );
        }
    }

    #[test]
    fn a_known_arm_is_what_it_is_whatever_the_config_adds_to_the_method() {
        let set = [
            "importance.adjust=drawn",
            "importance.level=within",
            "importance.draws=0.5",
            "importance.adjust_tau=0.5",
            "importance.metric=el2n",
            "importance.uniform_tail=0.3",
            "importance.reweight=1.0",
        ];
        let base = config::demo(&set.map(String::from)).expect("demo");
        let names = ["biased", "biased-adjusted", "as-configured"].map(String::from);
        let arms = choose(&names, &[], &base).expect("known");
        let configs: Vec<_> = arms.iter().map(|a| a.config(&base).expect("fits")).collect();
        let mut plain = config::demo(&[]).expect("demo").importance;
        plain.adjust = Adjust::None;
        assert_eq!(configs[2].importance, plain);
        plain.adjust = Adjust::Drawn;
        assert_eq!(configs[3].importance, plain);
        assert_eq!(configs[4].importance, base.importance);
    }

    #[test]
    fn arms_of_a_run_that_mixes_images_weigh_them_as_they_are() {
        let set = ["train.mixup=0.2", "importance.window=fresh"].map(String::from);
        let base = config::demo(&set).expect("demo");
        let drawn_by_losses = ["infobatch", "rcap", "top-half"];
        let names = KNOWN.iter().map(|(name, _)| (*name).to_owned());
        let names: Vec<String> = names.filter(|n| !drawn_by_losses.contains(&&**n)).collect();
        for arm in choose(&names, &[], &base).expect("known") {
            let config = arm.config(&base).unwrap_or_else(|e| panic!("{}: {e}", arm.name));
            assert_eq!(config.importance.window, base.importance.window);
        }
    }

    #[test]
    fn a_config_defines_its_own_arms() {
        let text =
            "[arms.half]\nimportance.exponent = 0.5\n[arms.mixed.importance]\nuniform_mix = 0.5\n";
        let own = config::arms(text, "mine.toml").expect("arms");
        let base = config::from_str(text, "mine.toml", &[]).expect("a config that also trains");
        let arms = choose(&["half".into(), "mixed".into()], &own, &base).expect("known");
        assert_eq!(arms[2].config(&base).expect("fits").importance.exponent, 0.5);
        assert_eq!(arms[3].config(&base).expect("fits").importance.uniform_mix, 0.5);
        let text = "train.epochs = 20\n[arms.late]\nfrom = 16\n[arms.later]\nfrom = 0.9\n";
        let late = config::arms(text, "mine.toml").expect("arms");
        let base = config::from_str(text, "mine.toml", &[]).expect("a config that also trains");
        let names = ["late", "later"].map(String::from);
        let arms = choose(&names, &late, &base).expect("known");
        let defer = |k: usize| arms[k].config(&base).expect("fits").importance.defer;
        assert_eq!((defer(2), defer(3)), (0.8, 0.9));
        let error = choose(&["best".into()], &own, &base).expect_err("unknown").to_string();
        assert!(error.contains("top-half, uniform-half, half, mixed"), "{error}");
        for known in ["uniform", "biased"] {
            let text = format!("[arms.{known}]\nimportance.exponent = 0.5\n");
            let own = config::arms(&text, "mine.toml").expect("arms");
            let error = choose(&[], &own, &base).expect_err("taken").to_string();
            assert!(error.contains(&format!("[arms.{known}]")), "{error}");
        }
    }

    #[test]
    fn an_arm_cannot_change_what_all_share() {
        for (text, part) in [
            ("[arms.x]\ntrain.epochs = 50\n", "arm x cannot change train.epochs"),
            ("[arms.x]\nmodel.name = \"resnet18\"\n", "arm x cannot change model.name"),
            ("[arms.x]\nimportance.exponnt = 1\n", "unknown key importance.exponnt"),
            ("[arms]\nx = 1\n", "arms.x is no arm"),
            ("[arms.x]\nfrom = -1\n", "arms.x.from = -1 is not allowed"),
            ("[arms.\"a b\"]\nimportance.exponent = 1\n", "cannot be called"),
        ] {
            let error = config::from_str(text, "mine.toml", &[]).expect_err(text).to_string();
            assert!(error.starts_with("mine.toml:2: ") && error.contains(part), "{error}");
        }
    }
}
