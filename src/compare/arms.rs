//! The arms of a comparison: names for config values that differ after E. Knows nothing of
//! training.

use crate::config::{self, ArmChanges, ConfigError, RunConfig};
use sha2::{Digest, Sha256};
use toml::Value;

/// Draws as vanilla SGD does; what all others are measured against.
pub const BASELINE: &str = "uniform";
/// The baseline once more, with another shuffle: what chance alone does. In every comparison.
pub const NULL: &str = "uniform-null";

/// The arms that every comparison knows, and what they change.
const KNOWN: &[(&str, &[(&str, &str)])] = &[
    (BASELINE, &[("importance.sampler", "uniform")]),
    (NULL, &[("importance.sampler", "uniform")]),
    ("biased", &[("importance.sampler", "biased"), ("importance.level", "sample")]),
    ("biased-class-level", &[("importance.sampler", "biased"), ("importance.level", "class")]),
    (
        "biased-systematic",
        &[
            ("importance.sampler", "biased"),
            ("importance.level", "sample"),
            ("importance.draw", "systematic"),
        ],
    ),
    (
        "el2n",
        &[
            ("importance.sampler", "biased"),
            ("importance.level", "sample"),
            ("importance.metric", "el2n"),
        ],
    ),
    ("class-balanced", &[("importance.sampler", "class-balanced")]),
    ("uniform-replacement", &[("importance.sampler", "uniform-replacement")]),
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
/// `own` are the config's.
///
/// # Errors
/// [`ArmError::Unknown`], and [`ArmError::Taken`] where the config gives an arm a known name.
pub fn choose(names: &[String], own: &[ArmChanges]) -> Result<Vec<Arm>, ArmError> {
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
            (None, Some((_, changes))) => changes
                .iter()
                .map(|(key, word)| ((*key).to_owned(), Value::String((*word).to_owned())))
                .collect(),
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

impl Arm {
    /// The config of this arm of a run with `base`: what differs, and random streams of its own
    /// (the baseline keeps the run's).
    ///
    /// # Errors
    /// [`ArmError::Contradiction`].
    pub fn config(&self, base: &RunConfig) -> Result<RunConfig, ArmError> {
        let mut config = base.clone();
        for (key, value) in &self.changes {
            config = config::from_value(&config, key, value)
                .map_err(|p| ArmError::Contradiction { name: self.name.clone(), what: p.what })?;
        }
        config.fork = if self.name == BASELINE { 0 } else { fork_of(&self.name) };
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
    use crate::importance::{Level, Metric, Sampler};

    #[test]
    fn baseline_and_null_are_always_there_and_first() {
        let names: Vec<String> = ["biased", "uniform", "biased"].map(String::from).to_vec();
        let arms: Vec<String> =
            choose(&names, &[]).expect("known").into_iter().map(|a| a.name).collect();
        assert_eq!(arms, ["uniform", "uniform-null", "biased"]);
    }

    #[test]
    fn an_arm_changes_what_it_says_and_draws_on_its_own() {
        let base = config::demo(&[]).expect("demo");
        let names: Vec<String> = KNOWN.iter().map(|(n, _)| (*n).to_owned()).collect();
        let configs: Vec<RunConfig> = choose(&names, &[])
            .expect("known")
            .iter()
            .map(|a| a.config(&base).expect("fits"))
            .collect();
        assert_eq!((configs[0].importance.sampler, configs[0].fork), (Sampler::Uniform, 0));
        let forks: std::collections::HashSet<u32> = configs.iter().map(|c| c.fork).collect();
        assert_eq!(forks.len(), KNOWN.len());
        assert_eq!(configs[3].importance.level, Level::Class);
        assert_eq!(configs[5].importance.metric, Metric::El2n);
        for c in &configs {
            assert_eq!(
                (c.seed, &c.train, c.importance.pretrain_epochs),
                (base.seed, &base.train, 3),
                "the same budget"
            );
        }
    }

    #[test]
    fn a_config_defines_its_own_arms() {
        let text =
            "[arms.half]\nimportance.exponent = 0.5\n[arms.mixed.importance]\nuniform_mix = 0.5\n";
        let own = config::arms(text, "mine.toml").expect("arms");
        let arms = choose(&["half".into(), "mixed".into()], &own).expect("known");
        let base = config::from_str(text, "mine.toml", &[]).expect("a config that also trains");
        assert_eq!(arms[2].config(&base).expect("fits").importance.exponent, 0.5);
        assert_eq!(arms[3].config(&base).expect("fits").importance.uniform_mix, 0.5);
        let error = choose(&["best".into()], &own).expect_err("unknown").to_string();
        assert!(error.contains("class-balanced, uniform-replacement, half, mixed"), "{error}");
        for known in ["uniform", "biased"] {
            let text = format!("[arms.{known}]\nimportance.exponent = 0.5\n");
            let own = config::arms(&text, "mine.toml").expect("arms");
            let error = choose(&[], &own).expect_err("taken").to_string();
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
            ("[arms.\"a b\"]\nimportance.exponent = 1\n", "cannot be called"),
        ] {
            let error = config::from_str(text, "mine.toml", &[]).expect_err(text).to_string();
            assert!(error.starts_with("mine.toml:2: ") && error.contains(part), "{error}");
        }
    }
}
