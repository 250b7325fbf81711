//! `earlybird keys`: the table that the cockpit goes by, with a person's own keys.

use super::{Outcome, complain, say};
use crate::tui::{Asked, Preferences, Wrong, config_directory, keys_table, tab_keys};

/// Prints it.
pub(super) fn run() -> Outcome {
    let (preferences, wrong) = Preferences::load(&Asked::default(), &tab_keys());
    wrong.iter().for_each(complain);
    say(keys_table(&preferences.keymap));
    let file = config_directory().join("cockpit.toml");
    say(format!(
        "To put an action on other keys, in {}:\n\n    [keys]\n    theme = [\"T\", \"f2\"]",
        file.display()
    ));
    // Who looks here whether a file of theirs is right is told by the code, too.
    if wrong.iter().any(|w| matches!(w, Wrong::Content(_))) {
        Outcome::Usage
    } else {
        Outcome::Done
    }
}
