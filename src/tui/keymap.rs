//! The one table of keys. Dispatch, footer, help and the README go by it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pause or go on.
    PauseResume,
    /// Ask for a new value of this config key.
    Ask(&'static str),
    /// Move E by so much.
    MoveE(i64),
    /// Bias now, off or on, whichever makes sense.
    Bias,
    /// Next order of the classes.
    SortClasses,
    /// Next theme.
    NextTheme,
    /// Show or leave the help.
    Help,
    /// Ask how to leave.
    Quit,
}

impl Action {
    /// Whether it still means something when the run is over.
    pub fn outlives_the_run(self) -> bool {
        matches!(self, Self::SortClasses | Self::NextTheme | Self::Help | Self::Quit)
    }
}

/// One row: what is pressed, what happens, and what people are told.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Keys.
    pub on: &'static [Key],
    /// What they do.
    pub run: Action,
    /// Two words for the footer; empty: only in the help.
    pub short: &'static str,
    /// A line for the help.
    pub description: &'static str,
}

/// A key with its modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character, as typed.
    Char(char),
    /// A character with Control.
    Ctrl(char),
}

impl Key {
    /// Whether this is what was pressed.
    pub fn matches(self, event: &KeyEvent) -> bool {
        match self {
            Self::Char(c) => {
                event.code == KeyCode::Char(c) && !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
            }
            Self::Ctrl(c) => event.code == KeyCode::Char(c) && event.modifiers.contains(KeyModifiers::CONTROL),
        }
    }

    /// As it is written.
    pub fn label(self) -> String {
        match self {
            Self::Char(' ') => "space".into(),
            Self::Char(c) => c.to_string(),
            Self::Ctrl(c) => format!("ctrl-{c}"),
        }
    }
}

use Key::{Char, Ctrl};

/// All bindings, the most wanted first.
pub const BINDINGS: &[Binding] = &[
    Binding { on: &[Char(' '), Char('p')], run: Action::PauseResume, short: "pause", description: "pause, or go on" },
    Binding {
        on: &[Char('e')],
        run: Action::Ask("importance.pretrain_epochs"),
        short: "set E",
        description: "set E: how many epochs are pretraining",
    },
    Binding { on: &[Char('+'), Char('=')], run: Action::MoveE(1), short: "E+1", description: "one pretraining epoch more" },
    Binding { on: &[Char('-')], run: Action::MoveE(-1), short: "E-1", description: "one pretraining epoch less" },
    Binding { on: &[Char('?'), Char('h')], run: Action::Help, short: "help", description: "this help" },
    Binding { on: &[Char('q'), Ctrl('c')], run: Action::Quit, short: "quit", description: "leave: asks whether to stop the run" },
    Binding {
        on: &[Char('b')],
        run: Action::Bias,
        short: "bias",
        description: "bias now (while pretraining), bias off, bias on",
    },
    Binding { on: &[Char('n')], run: Action::Ask("train.epochs"), short: "set N", description: "set N: how many epochs in all" },
    Binding {
        on: &[Char('l')],
        run: Action::Ask("train.lr_scale"),
        short: "lr",
        description: "scale the learning rate (a factor on the schedule)",
    },
    Binding {
        on: &[Char('s')],
        run: Action::SortClasses,
        short: "sort",
        description: "order of the classes: as given, by share, by draws, by recall",
    },
    Binding { on: &[Char('t')], run: Action::NextTheme, short: "theme", description: "next theme" },
    Binding {
        on: &[Char('x')],
        run: Action::Ask("importance.exponent"),
        short: "exponent",
        description: "set the exponent on the weights",
    },
    Binding {
        on: &[Char('u')],
        run: Action::Ask("importance.uniform_mix"),
        short: "mix",
        description: "set the share of uniform draws",
    },
];

/// What a key press does; `None` for a key without a meaning.
pub fn action(event: &KeyEvent) -> Option<Action> {
    BINDINGS.iter().find(|b| b.on.iter().any(|k| k.matches(event))).map(|b| b.run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        let mut keys: Vec<String> = BINDINGS.iter().flat_map(|b| b.on.iter().map(|k| k.label())).collect();
        keys.sort();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn every_key_that_asks_asks_for_a_known_live_key() {
        for binding in BINDINGS {
            if let Action::Ask(key) = binding.run {
                let found = crate::config::find(key).unwrap_or_else(|| panic!("{key} is unknown"));
                assert_ne!(found.live, crate::config::Live::No, "{key}");
            }
        }
    }

    #[test]
    fn the_readme_lists_every_key() {
        let readme = include_str!("../../README.md");
        for b in BINDINGS {
            let keys = b.on.iter().map(|k| format!("`{}`", k.label())).collect::<Vec<_>>().join(", ");
            let row = format!("| {keys} | {} |", b.description);
            assert!(readme.contains(&row), "README.md lacks the row\n{row}");
        }
    }
}
