//! The table of keys, with a person's own keys on its rows. Dispatch, footer, help, the documents
//! and `earlybird keys` go by it. The rows are in `bindings`, and those of a tab in that tab's
//! file.

pub use super::action::{Action, Binding, Place, Playback, Tab, TabKeys, Where};

use super::bindings;
use super::key::{Key, NoKey};
use crate::tui::near::did_you_mean;
use crossterm::event::KeyEvent;
use std::collections::BTreeMap;

/// What is wrong with a person's own keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// No row has this name.
    #[error("keys.{name}: there is no such action{near} (`earlybird keys` lists them)")]
    NoAction { name: String, near: String },
    #[error("keys.{name}: {why}")]
    NoKey { name: String, why: String },
    /// Leaving and help must stay within reach.
    #[error("keys.{0}: needs at least one key")]
    OutOfReach(&'static str),
    /// Two rows hold on one key.
    #[error("keys: {key} is on both {one} and {other}: give one of them another key")]
    Clash { key: Key, one: &'static str, other: &'static str },
}

/// The table with a person's own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    tabs: Vec<Tab>,
    rows: Vec<(Binding, Vec<Key>)>,
}

impl Keymap {
    /// The usual table of a cockpit with these tabs.
    pub fn new(tabs: &[TabKeys]) -> Self {
        let rows = bindings::table(tabs).into_iter().map(|b| (b, b.on.to_vec())).collect();
        Self { tabs: tabs.iter().map(|t| t.tab).collect(), rows }
    }

    /// The same with other keys on the rows of these names.
    ///
    /// # Errors
    /// `KeymapError`.
    pub fn with(
        tabs: &[TabKeys],
        own: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, KeymapError> {
        let mut map = Self::new(tabs);
        for (name, keys) in own {
            let Some(at) = map.rows.iter().position(|(b, _)| b.name == name) else {
                let near = did_you_mean(name, map.rows.iter().map(|(b, _)| b.name));
                return Err(KeymapError::NoAction { name: name.clone(), near });
            };
            let keys: Result<Vec<Key>, NoKey> = keys.iter().map(|k| k.parse()).collect();
            let no_key = |e: NoKey| KeymapError::NoKey { name: name.clone(), why: e.to_string() };
            map.rows[at].1 = keys.map_err(no_key)?;
        }
        for needed in ["leave", "help"] {
            if map.rows.iter().any(|(b, keys)| b.name == needed && keys.is_empty()) {
                return Err(KeymapError::OutOfReach(needed));
            }
        }
        map.clash().map_or(Ok(map), Err)
    }

    /// Two rows on one key where both hold.
    fn clash(&self) -> Option<KeymapError> {
        let tabs = || self.tabs.iter().copied();
        let everywhere =
            tabs().map(Where::Run).chain(tabs().map(Where::Replay)).chain([Where::Comparison]);
        for here in everywhere {
            let mut taken: Vec<(Key, &'static str)> = Vec::new();
            for (binding, keys) in self.rows().filter(|(b, _)| here.has(b.place)) {
                for key in keys {
                    if let Some((_, other)) = taken.iter().find(|(k, _)| k == key) {
                        let (key, one, other) = (*key, *other, binding.name);
                        return Some(KeymapError::Clash { key, one, other });
                    }
                    taken.push((*key, binding.name));
                }
            }
        }
        None
    }

    /// Every row with its keys.
    pub fn rows(&self) -> impl Iterator<Item = (&Binding, &[Key])> {
        self.rows.iter().map(|(b, k)| (b, k.as_slice()))
    }

    /// Where a row holds, in words, for the table.
    pub fn words(&self, place: Place) -> String {
        let tabs = || self.tabs.iter().filter(|tab| tab.places.contains(&place)).map(|t| t.name);
        match place {
            Place::Everywhere | Place::Cockpit => String::new(),
            Place::Run => "run".into(),
            Place::Replay => "replay".into(),
            Place::Charts => "charts".into(),
            Place::On(tab) => tab.name.into(),
            Place::Classes => tabs().chain(["comparison"]).collect::<Vec<_>>().join(", "),
            Place::OneClass => tabs().collect::<Vec<_>>().join(", "),
            Place::Comparison => "comparison".into(),
        }
    }

    /// The rows that hold `here`.
    pub fn here(&self, here: Where) -> impl Iterator<Item = (&Binding, &[Key])> {
        self.rows().filter(move |(b, _)| here.has(b.place))
    }

    /// What a key press does `here`; `None` for a key without a meaning.
    pub fn action(&self, event: &KeyEvent, here: Where) -> Option<Action> {
        self.here(here).find(|(_, keys)| keys.iter().any(|k| k.matches(event))).map(|(b, _)| b.run)
    }

    /// The first key of the row that does this, for hints.
    pub fn key_of(&self, action: Action) -> String {
        self.rows()
            .find(|(b, _)| b.run == action)
            .and_then(|(_, keys)| keys.first())
            .map_or_else(|| "-".into(), Key::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tabs;
    use crossterm::event::KeyCode;

    fn usual() -> Keymap {
        Keymap::new(&tabs::keys())
    }

    fn own(rows: &[(&str, &[&str])]) -> Result<Keymap, String> {
        Keymap::with(
            &tabs::keys(),
            &rows
                .iter()
                .map(|(n, k)| ((*n).to_owned(), k.iter().map(|k| (*k).to_owned()).collect()))
                .collect(),
        )
        .map_err(|e| e.to_string())
    }

    #[test]
    fn no_key_is_bound_twice() {
        assert_eq!(usual().clash(), None);
    }

    #[test]
    fn descriptions_fit_beside_their_keys_on_80_columns() {
        let map = usual();
        let long: Vec<_> = map
            .rows()
            .filter(|(b, _)| b.description.len() > 60)
            .map(|(b, _)| b.description)
            .collect();
        assert!(long.is_empty(), "{long:?}");
    }

    #[test]
    fn no_name_is_given_twice() {
        let map = usual();
        let names: std::collections::HashSet<_> = map.rows().map(|(b, _)| b.name).collect();
        assert_eq!(names.len(), map.rows().count());
    }

    #[test]
    fn a_person_may_put_an_action_on_other_keys() {
        let map = own(&[("theme", &["T", "f2"])]).expect("allowed");
        let press = |c| KeyEvent::from(KeyCode::Char(c));
        assert_eq!(map.action(&press('T'), Where::Run(Tab::default())), Some(Action::NextTheme));
        assert_eq!(map.action(&press('t'), Where::Run(Tab::default())), None);
        assert_eq!(map.key_of(Action::NextTheme), "T");
    }

    #[test]
    fn a_wrong_keymap_is_refused_with_names() {
        let clash = own(&[("theme", &["e"])]).expect_err("e is taken");
        assert!(
            clash.contains("set-e") && clash.contains("theme") && clash.contains("e is on both"),
            "{clash}"
        );
        let near = own(&[("them", &["T"])]).expect_err("unknown");
        assert!(near.contains("did you mean theme"), "{near}");
        let no_key = own(&[("theme", &["hyper-x"])]).expect_err("no key");
        assert!(no_key.contains("hyper-x") && no_key.contains("keys.theme"), "{no_key}");
        assert!(own(&[("leave", &[])]).expect_err("no way out").contains("at least one"));
        assert!(own(&[("theme", &[])]).is_ok(), "an action without a key is allowed");
    }

    #[test]
    fn every_key_that_asks_asks_for_a_known_live_key() {
        for (binding, _) in usual().rows() {
            if let Action::Ask(key) = binding.run {
                let found = crate::config::find(key).unwrap_or_else(|| panic!("{key} is unknown"));
                assert_ne!(found.live, crate::config::Live::No, "{key}");
            }
        }
    }

    #[test]
    fn the_documents_list_every_key() {
        let document = include_str!("../../../docs/keys.md");
        let table = crate::tui::keys_table(&usual());
        assert!(document.contains(&table), "docs/keys.md lacks this table:\n{table}");
    }
}
