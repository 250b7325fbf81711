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
    /// Write the run's state now.
    Checkpoint,
    /// Back to the last checkpoint: of a failed run, or of one whose loss is not finite.
    GoBack,
    /// Give the terminal back to the shell until `fg`.
    Suspend,
    /// Move through a replay.
    Play(Playback),
    /// Another arm of a comparison, so many further down.
    Arm(i64),
    /// Another seed of a comparison, so many further; before the first is their mean.
    Seed(i64),
}

/// How a replay moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Playback {
    /// Stop, or go on.
    Toggle,
    /// By so many epochs.
    Epochs(i64),
    /// To the beginning.
    Beginning,
    /// To the end.
    End,
    /// Twice as fast.
    Faster,
    /// Half as fast.
    Slower,
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Everywhere.
    Everywhere,
    /// In a run's cockpit.
    Run,
    /// In a replay.
    Replay,
    /// On a comparison.
    Comparison,
}

impl Place {
    /// Whether a binding of this place holds in `other`.
    pub fn holds_in(self, other: Self) -> bool {
        self == Self::Everywhere || self == other
    }
}

impl Action {
    /// Whether it still means something when the run is over.
    pub fn outlives_the_run(self) -> bool {
        matches!(self, Self::SortClasses | Self::NextTheme | Self::Help | Self::Quit | Self::Suspend | Self::GoBack)
    }
}

/// One row: what is pressed, what happens, and what people are told.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Keys.
    pub on: &'static [Key],
    /// What they do.
    pub run: Action,
    /// Where it holds.
    pub place: Place,
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
    /// Cursor keys.
    Left,
    /// Cursor keys.
    Right,
    /// Cursor keys.
    Up,
    /// Cursor keys.
    Down,
    /// To the beginning.
    Home,
    /// To the end.
    End,
}

impl Key {
    /// Whether this is what was pressed.
    pub fn matches(self, event: &KeyEvent) -> bool {
        match self {
            Self::Char(c) => {
                event.code == KeyCode::Char(c) && !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
            }
            Self::Ctrl(c) => event.code == KeyCode::Char(c) && event.modifiers.contains(KeyModifiers::CONTROL),
            Self::Left => event.code == KeyCode::Left,
            Self::Right => event.code == KeyCode::Right,
            Self::Up => event.code == KeyCode::Up,
            Self::Down => event.code == KeyCode::Down,
            Self::Home => event.code == KeyCode::Home,
            Self::End => event.code == KeyCode::End,
        }
    }

    /// As it is written.
    pub fn label(self) -> String {
        match self {
            Self::Char(' ') => "space".into(),
            Self::Char(c) => c.to_string(),
            Self::Ctrl(c) => format!("ctrl-{c}"),
            Self::Left => "left".into(),
            Self::Right => "right".into(),
            Self::Up => "up".into(),
            Self::Down => "down".into(),
            Self::Home => "home".into(),
            Self::End => "end".into(),
        }
    }
}

use Key::{Char, Ctrl};

const fn binding(on: &'static [Key], run: Action, place: Place, short: &'static str, description: &'static str) -> Binding {
    Binding { on, run, place, short, description }
}

/// All bindings, the most wanted first.
pub const BINDINGS: &[Binding] = {
    use Action::*;
    use Place::{Comparison, Everywhere, Replay, Run};
    &[
        binding(&[Char(' '), Char('p')], PauseResume, Run, "pause", "pause, or go on"),
        binding(&[Char('e')], Ask("importance.pretrain_epochs"), Run, "set E", "set E: how many epochs are pretraining"),
        binding(&[Char('+'), Char('=')], MoveE(1), Run, "E+1", "one pretraining epoch more"),
        binding(&[Char('-')], MoveE(-1), Run, "E-1", "one pretraining epoch less"),
        binding(&[Char(' '), Char('p')], Play(Playback::Toggle), Replay, "play", "replay: stop, or go on"),
        binding(&[Key::Right], Play(Playback::Epochs(1)), Replay, "epoch on", "replay: to the end of the next epoch"),
        binding(&[Key::Left], Play(Playback::Epochs(-1)), Replay, "back", "replay: back to the end of the epoch before"),
        binding(&[Char(']')], Play(Playback::Faster), Replay, "faster", "replay: twice as fast"),
        binding(&[Char('[')], Play(Playback::Slower), Replay, "slower", "replay: half as fast"),
        binding(&[Key::Home], Play(Playback::Beginning), Replay, "begin", "replay: to the beginning"),
        binding(&[Key::End], Play(Playback::End), Replay, "end", "replay: to the end"),
        binding(&[Key::Down, Char('j')], Arm(1), Comparison, "arm", "comparison: the next arm"),
        binding(&[Key::Up, Char('k')], Arm(-1), Comparison, "", "comparison: the arm before"),
        binding(&[Key::Right, Char(']')], Seed(1), Comparison, "seed", "comparison: the next seed"),
        binding(&[Key::Left, Char('[')], Seed(-1), Comparison, "", "comparison: the seed before; first the mean of all"),
        binding(&[Char('?'), Char('h')], Help, Everywhere, "help", "this help"),
        binding(&[Char('q'), Ctrl('c')], Quit, Everywhere, "leave", "leave: asks whether training goes on without you"),
        binding(&[Char('b')], Bias, Run, "bias", "bias now (while pretraining), bias off, bias on"),
        binding(&[Char('n')], Ask("train.epochs"), Run, "set N", "set N: how many epochs in all"),
        binding(&[Char('l')], Ask("train.lr_scale"), Run, "lr", "scale the learning rate (a factor on the schedule)"),
        binding(&[Char('s')], SortClasses, Everywhere, "sort", "order of the classes: as given, by share, by draws, by recall"),
        binding(&[Char('t')], NextTheme, Everywhere, "theme", "next theme"),
        binding(&[Char('x')], Ask("importance.exponent"), Run, "exponent", "set the exponent on the weights"),
        binding(&[Char('u')], Ask("importance.uniform_mix"), Run, "mix", "set the share of uniform draws"),
        binding(&[Char('c')], Checkpoint, Run, "keep", "write a checkpoint now"),
        binding(
            &[Char('r')],
            GoBack,
            Run,
            "",
            "back to the last checkpoint, after a failure or (with half the rate) a loss that is not finite",
        ),
        binding(&[Ctrl('z')], Suspend, Everywhere, "", "to the shell; fg comes back (training goes on meanwhile)"),
    ]
};

/// The bindings that hold in `place`.
pub fn bindings(place: Place) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |b| b.place.holds_in(place))
}

/// What a key press does in `place`; `None` for a key without a meaning.
pub fn action(event: &KeyEvent, place: Place) -> Option<Action> {
    bindings(place).find(|b| b.on.iter().any(|k| k.matches(event))).map(|b| b.run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        for place in [Place::Run, Place::Replay, Place::Comparison] {
            let mut keys: Vec<String> = bindings(place).flat_map(|b| b.on.iter().map(|k| k.label())).collect();
            keys.sort();
            let count = keys.len();
            keys.dedup();
            assert_eq!(keys.len(), count, "{place:?}");
        }
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
