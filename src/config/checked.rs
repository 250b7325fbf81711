//! A config that is read from anywhere - a journal, a checkpoint, a comparison, a socket - is
//! checked as a typed one is: whatever has one need not ask again.

use super::load::contradictions;
use super::{KEYS, Origin, RunConfig};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

impl Serialize for RunConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // That of the attribute `remote`, which does nothing else.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for RunConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Self::deserialize(deserializer)?;
        config.objection().map_or(Ok(config), |why| Err(serde::de::Error::custom(why)))
    }
}

impl RunConfig {
    /// Why it is not allowed, or `None`. Not of its name: directories are renamed as people like.
    fn objection(&self) -> Option<String> {
        let values = match Value::try_from(self) {
            Ok(values) => values,
            Err(e) => return Some(e.to_string()),
        };
        let of_a_key = KEYS.iter().filter(|key| key.path != "name").find_map(|key| {
            let value = key.path.split('.').try_fold(&values, |v, part| v.get(part))?;
            let objection = key.rule.objection(value)?;
            Some(format!("{} = {value} is not allowed: {objection}", key.path))
        });
        let of_two = || contradictions(self, |_| Origin::Live).into_iter().next().map(|p| p.what);
        of_a_key.or_else(of_two)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_checked_wherever_it_is_read() {
        let good = serde_json::to_value(RunConfig::default()).expect("JSON");
        assert_eq!(serde_json::from_value(good.clone()).ok(), Some(RunConfig::default()));
        for (table, key, value) in [
            ("train", "batch_size", serde_json::json!(0)),
            ("train", "eval_batch_size", serde_json::json!(0)),
            ("train", "epochs", serde_json::json!(1_u64 << 62)),
            ("train", "lr", serde_json::json!(-1.0)),
            ("train", "lr", serde_json::json!(1e308)),
            ("importance", "pretrain_epochs", serde_json::json!(1_000)),
            ("checkpoint", "every_minutes", serde_json::json!(-1)),
        ] {
            let mut bad = good.clone();
            bad[table][key] = value.clone();
            let why =
                serde_json::from_value::<RunConfig>(bad).expect_err("not allowed").to_string();
            assert!(why.contains(&format!("{table}.{key}")), "{why}");
        }
    }
}
