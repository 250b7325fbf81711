//! What `--set` asks of a run that goes on: changes that its session takes, and where its data is
//! now.

use crate::config::{self, Key, Live, Problem, absolute};
use crate::protocol::Command;

/// The only key that is no live change and may be set all the same: the data must be what it was,
/// wherever it lies.
pub const DATA_PATH: &str = "data.path";

/// See above.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// What is asked of the session before its first step.
    pub commands: Vec<Command>,
    /// Where the data is now, absolute; `None`: where it was.
    pub data: Option<String>,
}

/// Why a run cannot go on with a change.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// There is no such key, or it takes no such value.
    #[error("{0}")]
    Problem(Problem),
    /// It is the same for the whole run.
    #[error("{} is {}", .0.path, config::FIXED)]
    Fixed(&'static Key),
    /// The value has no JSON, in which commands are.
    #[error(transparent)]
    Value(#[from] serde_json::Error),
}

impl Changes {
    /// What the items `key=value` ask for.
    ///
    /// # Errors
    /// [`ChangesError`].
    pub fn of(items: &[String]) -> Result<Self, ChangesError> {
        let mut changes = Self::default();
        for item in items {
            let (key, value) = config::parse_set(item).map_err(ChangesError::Problem)?;
            match (key.path, value.as_str()) {
                (DATA_PATH, Some(path)) => changes.data = Some(absolute(path)),
                _ if key.live == Live::No => return Err(ChangesError::Fixed(key)),
                _ => {
                    let value = serde_json::to_value(value)?;
                    changes.commands.push(Command::Set { key: key.path.into(), value });
                }
            }
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_may_lie_elsewhere_and_what_is_fixed_stays() {
        let items = ["train.epochs=9", "data.path=/mnt/images"].map(String::from);
        let changes = Changes::of(&items).expect("both may change");
        assert_eq!((changes.commands.len(), changes.data.as_deref()), (1, Some("/mnt/images")));
        let error = Changes::of(&["data.source=folder".into()]).expect_err("fixed");
        let error = error.to_string();
        assert!(error.contains("data.source is fixed for the run"), "{error}");
    }
}
