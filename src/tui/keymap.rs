//! The one table of keys. Dispatch, footer, help, docs/keys.md and `earlybird keys` go by it; a
//! person may put other keys on its rows.

use super::key::Key::{self, Char, Ctrl, Named, Shift};
use super::tabs::Tab;
use super::text::did_you_mean;
use crate::config;
use crossterm::event::{KeyCode, KeyEvent};
use std::collections::BTreeMap;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table describes them")]
pub enum Action {
    PauseResume,
    /// Ask for a new value of this config key.
    Ask(&'static str),
    /// Move E by so much.
    MoveE(i64),
    Bias,
    Undo,
    Checkpoint,
    /// Back to the last checkpoint: of a failed run, or of one whose loss is not finite.
    GoBack,
    Show(Tab),
    /// So many tabs further.
    NextTab(i64),
    CommandLine,
    Settings,
    Filter,
    Help,
    Quit,
    /// Leave what lies over the panels, the zoom, the filter, the cursor: one at a time.
    Escape,
    Suspend,
    Redraw,
    Mouse,
    NextTheme,
    /// Focus or selection, so many lines down.
    Down(i64),
    /// The same by pages.
    Page(i64),
    /// To the first or the last line.
    Edge(i64),
    /// Cursor or selection, so many columns to the right.
    Right(i64),
    /// The focused panel on the whole screen, or not.
    Zoom,
    /// More (1) or less (-1) of the step axis.
    Scale(i64),
    /// Along the step axis.
    Pan(i64),
    /// The whole step axis again.
    Whole,
    Log,
    NextUnit,
    /// Smoother (1) or rougher (-1) curves.
    Smooth(i64),
    SortClasses,
    /// The next view of this tab.
    NextView,
    /// Another class, so many further.
    Class(i64),
    Enter,
    /// Use the selected run as the baseline.
    Baseline,
    Play(Playback),
    /// Another arm of a comparison, so many further down.
    Arm(i64),
    /// Another seed of a comparison, so many further; before the first is their mean.
    Seed(i64),
}

/// How a replay moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table describes them")]
pub enum Playback {
    Toggle,
    /// By so many epochs.
    Epochs(i64),
    Beginning,
    End,
    Faster,
    Slower,
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Everywhere.
    Everywhere,
    /// In the cockpit of a run and in a replay.
    Cockpit,
    /// In a run's cockpit.
    Run,
    /// In a replay.
    Replay,
    /// Where there are curves over steps.
    Charts,
    /// On one tab.
    On(Tab),
    /// Where classes are listed: Overview, Classes, a comparison.
    Classes,
    /// Where one class can be chosen: Importance and Samples.
    OneClass,
    /// On a comparison.
    Comparison,
}

impl Place {
    /// In words, for the table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Everywhere | Self::Cockpit => "",
            Self::Run => "run",
            Self::Replay => "replay",
            Self::Charts => "charts",
            Self::On(tab) => tab.name(),
            Self::Classes => "Overview, Classes, comparison",
            Self::OneClass => "Importance, Samples",
            Self::Comparison => "comparison",
        }
    }
}

/// Which places somebody is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// A tab of a run's cockpit.
    Run(Tab),
    /// A tab of a replay.
    Replay(Tab),
    /// A comparison's screen.
    Comparison,
}

impl Where {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let tabs = || Tab::ALL.into_iter();
        tabs().map(Self::Run).chain(tabs().map(Self::Replay)).chain([Self::Comparison])
    }

    /// Whether a binding of `place` holds here.
    pub fn has(self, place: Place) -> bool {
        let tab = match self {
            Self::Run(tab) | Self::Replay(tab) => Some(tab),
            Self::Comparison => None,
        };
        match place {
            Place::Everywhere => true,
            Place::Cockpit => tab.is_some(),
            Place::Run => matches!(self, Self::Run(_)),
            Place::Replay => matches!(self, Self::Replay(_)),
            Place::Charts => tab.is_some_and(Tab::has_charts),
            Place::On(other) => tab == Some(other),
            Place::Classes => matches!(tab, None | Some(Tab::Overview | Tab::Classes)),
            Place::OneClass => matches!(tab, Some(Tab::Importance | Tab::Samples)),
            Place::Comparison => self == Self::Comparison,
        }
    }
}

impl Action {
    /// Whether it asks something of the trainer.
    pub fn asks_the_trainer(self) -> bool {
        matches!(
            self,
            Self::PauseResume
                | Self::Ask(_)
                | Self::MoveE(_)
                | Self::Bias
                | Self::Undo
                | Self::Checkpoint
        )
    }
}

/// One row: what is pressed, what happens, and what people are told.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What a person calls it when putting it on other keys.
    pub name: &'static str,
    /// Keys, unless a person chose others.
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

const fn row(
    name: &'static str,
    on: &'static [Key],
    run: Action,
    place: Place,
    short: &'static str,
    description: &'static str,
) -> Binding {
    Binding { name, on, run, place, short, description }
}

const LEFT: Key = Named(KeyCode::Left);
const RIGHT: Key = Named(KeyCode::Right);
const UP: Key = Named(KeyCode::Up);
const DOWN: Key = Named(KeyCode::Down);

/// All bindings, the most wanted first.
pub const BINDINGS: &[Binding] = {
    use Action::*;
    use Place::{Charts, Classes, Cockpit, Comparison, Everywhere, On, OneClass, Replay, Run};
    &[
        row("pause", &[Char(' '), Char('p')], PauseResume, Run, "pause", "pause, or go on"),
        row(
            "set-e",
            &[Char('e')],
            Ask(config::PRETRAIN_EPOCHS),
            Run,
            "set E",
            "set E: how many epochs are pretraining",
        ),
        row(
            "play",
            &[Char(' '), Char('p')],
            Play(Playback::Toggle),
            Replay,
            "play",
            "stop, or go on",
        ),
        row(
            "epoch-on",
            &[Char(']')],
            Play(Playback::Epochs(1)),
            Replay,
            "epoch on",
            "to the end of the next epoch",
        ),
        row(
            "epoch-back",
            &[Char('[')],
            Play(Playback::Epochs(-1)),
            Replay,
            "back",
            "back to the end of the epoch before",
        ),
        row("faster", &[Char('>')], Play(Playback::Faster), Replay, "faster", "twice as fast"),
        row("slower", &[Char('<')], Play(Playback::Slower), Replay, "slower", "half as fast"),
        row(
            "to-beginning",
            &[Named(KeyCode::Home)],
            Play(Playback::Beginning),
            Replay,
            "begin",
            "to the beginning",
        ),
        row("to-end", &[Named(KeyCode::End)], Play(Playback::End), Replay, "end", "to the end"),
        row("next-arm", &[DOWN, Char('j')], Arm(1), Comparison, "arm", "the next arm"),
        row("previous-arm", &[UP, Char('k')], Arm(-1), Comparison, "", "the arm before"),
        row("next-seed", &[RIGHT, Char('l')], Seed(1), Comparison, "seed", "the next seed"),
        row(
            "previous-seed",
            &[LEFT, Char('h')],
            Seed(-1),
            Comparison,
            "",
            "the seed before; first the mean of all",
        ),
        row("help", &[Char('?')], Help, Everywhere, "help", "this help"),
        row(
            "leave",
            &[Char('q'), Ctrl('c')],
            Quit,
            Everywhere,
            "leave",
            "leave: asks whether training goes on without you",
        ),
        row(
            "view",
            &[Char('v')],
            NextView,
            On(Tab::Importance),
            "weights/draws",
            "weights, or the draws expected of them",
        ),
        row(
            "view-classes",
            &[Char('v')],
            NextView,
            On(Tab::Classes),
            "table/maps",
            "table, heatmap of draws, heatmap of recall",
        ),
        row(
            "view-samples",
            &[Char('v')],
            NextView,
            On(Tab::Samples),
            "which",
            "hardest, easiest, most drawn, never drawn, suspect",
        ),
        row(
            "view-compare",
            &[Char('v')],
            NextView,
            On(Tab::Compare),
            "figure",
            "accuracy, losses, balance",
        ),
        row(
            "open",
            &[Named(KeyCode::Enter)],
            Enter,
            On(Tab::Samples),
            "enlarge",
            "the sample by itself",
        ),
        row(
            "overlay",
            &[Named(KeyCode::Enter)],
            Enter,
            On(Tab::Compare),
            "overlay",
            "draw the selected run, or not",
        ),
        row(
            "baseline",
            &[Char('=')],
            Baseline,
            On(Tab::Compare),
            "baseline",
            "the selected run is the baseline, or is not",
        ),
        row("next-class", &[Char('J')], Class(1), OneClass, "class", "the next class"),
        row("previous-class", &[Char('K')], Class(-1), OneClass, "", "the class before; first all"),
        row(
            "sort",
            &[Char('s')],
            SortClasses,
            Classes,
            "sort",
            "classes as given, by share, draws, gain, or recall",
        ),
        row(
            "filter",
            &[Char('/')],
            Filter,
            Cockpit,
            "find",
            "only what has this in its name: classes, runs, messages",
        ),
        row(
            "command",
            &[Char(':')],
            CommandLine,
            Cockpit,
            "command",
            "command line, e.g. :set train.lr 0.02 (tab completes)",
        ),
        row(
            "settings",
            &[Char('S')],
            Settings,
            Cockpit,
            "settings",
            "every value, its range, when it takes effect; edit in place",
        ),
        row(
            "zoom",
            &[Char('z')],
            Zoom,
            Cockpit,
            "zoom",
            "the focused panel on the whole screen, or not",
        ),
        row("next-tab", &[Named(KeyCode::Tab)], NextTab(1), Cockpit, "", "the next tab"),
        row("previous-tab", &[Named(KeyCode::BackTab)], NextTab(-1), Cockpit, "", "the tab before"),
        row("overview", &[Char('1')], Show(Tab::Overview), Cockpit, "", "tab Overview"),
        row("importance", &[Char('2')], Show(Tab::Importance), Cockpit, "", "tab Importance"),
        row("classes", &[Char('3')], Show(Tab::Classes), Cockpit, "", "tab Classes"),
        row("samples", &[Char('4')], Show(Tab::Samples), Cockpit, "", "tab Samples"),
        row("compare", &[Char('5')], Show(Tab::Compare), Cockpit, "", "tab Compare"),
        row("system", &[Char('6')], Show(Tab::System), Cockpit, "", "tab System"),
        row(
            "bias",
            &[Char('b')],
            Bias,
            Run,
            "bias",
            "bias now (while pretraining), bias off, bias on",
        ),
        row("undo", &[Char('u')], Undo, Run, "undo", "undo the last change"),
        row("more-e", &[Char('+')], MoveE(1), Run, "E+1", "one pretraining epoch more"),
        row("less-e", &[Char('-')], MoveE(-1), Run, "E-1", "one pretraining epoch less"),
        row(
            "set-n",
            &[Char('n')],
            Ask(config::EPOCHS),
            Run,
            "set N",
            "set N: how many epochs in all",
        ),
        row(
            "lr-scale",
            &[Char('L')],
            Ask(config::LR_SCALE),
            Run,
            "lr",
            "scale the learning rate (a factor on the schedule)",
        ),
        row(
            "exponent",
            &[Char('a')],
            Ask("importance.exponent"),
            Run,
            "exponent",
            "set the exponent a on the weights",
        ),
        row(
            "mix",
            &[Char('m')],
            Ask("importance.uniform_mix"),
            Run,
            "mix",
            "set the share of uniform draws",
        ),
        row("checkpoint", &[Char('c')], Checkpoint, Run, "keep", "write a checkpoint now"),
        row(
            "go-back",
            &[Char('r')],
            GoBack,
            Run,
            "",
            "back to the last checkpoint, after a fault at half the rate",
        ),
        row("theme", &[Char('t')], NextTheme, Everywhere, "theme", "next theme"),
        row(
            "down",
            &[DOWN, Char('j')],
            Down(1),
            Cockpit,
            "",
            "down: the next panel, class, row, message",
        ),
        row("up", &[UP, Char('k')], Down(-1), Cockpit, "", "up"),
        row(
            "right",
            &[RIGHT, Char('l')],
            Right(1),
            Cockpit,
            "",
            "cursor to the right, or the next sample",
        ),
        row(
            "left",
            &[LEFT, Char('h')],
            Right(-1),
            Cockpit,
            "",
            "cursor to the left, or the sample before",
        ),
        row(
            "page-down",
            &[Named(KeyCode::PageDown), Ctrl('d')],
            Page(1),
            Cockpit,
            "",
            "a page down",
        ),
        row("page-up", &[Named(KeyCode::PageUp), Ctrl('u')], Page(-1), Cockpit, "", "a page up"),
        row("first", &[Char('g')], Edge(-1), Cockpit, "", "to the first line"),
        row("last", &[Char('G')], Edge(1), Cockpit, "", "to the last line"),
        row("zoom-in", &[Char('i')], Scale(1), Charts, "", "half as much of the step axis"),
        row("zoom-out", &[Char('o')], Scale(-1), Charts, "", "twice as much of the step axis"),
        row(
            "pan-right",
            &[Shift(KeyCode::Right), Char('}')],
            Pan(1),
            Charts,
            "",
            "along the step axis, to newer ones",
        ),
        row(
            "pan-left",
            &[Shift(KeyCode::Left), Char('{')],
            Pan(-1),
            Charts,
            "",
            "along the step axis, to older ones",
        ),
        row("whole", &[Char('0')], Whole, Charts, "", "the whole step axis, following the newest"),
        row(
            "log",
            &[Char('y')],
            Log,
            Charts,
            "",
            "logarithmic axis, or linear (losses; counts of a histogram)",
        ),
        row(
            "unit",
            &[Char('x')],
            NextUnit,
            Charts,
            "",
            "step axis in epochs, steps, samples or time",
        ),
        row("smoother", &[Char('.')], Smooth(1), Charts, "", "smoother curves"),
        row("rougher", &[Char(',')], Smooth(-1), Charts, "", "rougher curves"),
        row(
            "escape",
            &[Named(KeyCode::Esc)],
            Escape,
            Cockpit,
            "",
            "leave: enlarged sample, zoom, cursor, filter",
        ),
        row(
            "mouse",
            &[Char('M')],
            Mouse,
            Cockpit,
            "",
            "mouse on, or off so that the terminal can select text",
        ),
        row("redraw", &[Ctrl('l')], Redraw, Everywhere, "", "draw the whole screen again"),
        row(
            "suspend",
            &[Ctrl('z')],
            Suspend,
            Everywhere,
            "",
            "to the shell; fg comes back (training goes on meanwhile)",
        ),
    ]
};

/// The table with a person's own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    /// Keys of each row.
    keys: Vec<Vec<Key>>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { keys: BINDINGS.iter().map(|b| b.on.to_vec()).collect() }
    }
}

impl Keymap {
    /// The table with other keys on the rows of these names.
    ///
    /// # Errors
    /// A name that no row has, what is no key, two rows on one key where both hold; in words.
    pub fn with(own: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let mut map = Self::default();
        for (name, keys) in own {
            let Some(at) = BINDINGS.iter().position(|b| b.name == name) else {
                let near = did_you_mean(name, BINDINGS.iter().map(|b| b.name));
                return Err(format!(
                    "keys.{name}: there is no such action{near} (`earlybird keys` lists them)"
                ));
            };
            map.keys[at] = keys
                .iter()
                .map(|k| k.parse())
                .collect::<Result<_, String>>()
                .map_err(|e| format!("keys.{name}: {e}"))?;
        }
        // Leaving and help must stay within reach.
        for needed in ["leave", "help"] {
            let at = BINDINGS.iter().position(|b| b.name == needed);
            if at.is_some_and(|at| map.keys[at].is_empty()) {
                return Err(format!("keys.{needed}: needs at least one key"));
            }
        }
        map.clash().map_or(Ok(map), Err)
    }

    /// Two rows on one key where both hold, in words.
    fn clash(&self) -> Option<String> {
        for here in Where::all() {
            let mut taken: Vec<(Key, &str)> = Vec::new();
            for (binding, keys) in self.rows().filter(|(b, _)| here.has(b.place)) {
                for key in keys {
                    if let Some((_, other)) = taken.iter().find(|(k, _)| k == key) {
                        return Some(format!(
                            "keys: {key} is on both {other} and {}: give one of them another key",
                            binding.name
                        ));
                    }
                    taken.push((*key, binding.name));
                }
            }
        }
        None
    }

    /// Every row with its keys.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Binding, &[Key])> {
        BINDINGS.iter().zip(&self.keys).map(|(b, k)| (b, k.as_slice()))
    }

    /// The rows that hold `here`.
    pub fn here(&self, here: Where) -> impl Iterator<Item = (&'static Binding, &[Key])> {
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

    fn own(rows: &[(&str, &[&str])]) -> Result<Keymap, String> {
        Keymap::with(
            &rows
                .iter()
                .map(|(n, k)| ((*n).to_owned(), k.iter().map(|k| (*k).to_owned()).collect()))
                .collect(),
        )
    }

    #[test]
    fn no_key_is_bound_twice() {
        assert_eq!(Keymap::default().clash(), None);
    }

    #[test]
    fn descriptions_fit_beside_their_keys_on_80_columns() {
        let long: Vec<_> =
            BINDINGS.iter().filter(|b| b.description.len() > 60).map(|b| b.description).collect();
        assert!(long.is_empty(), "{long:?}");
    }

    #[test]
    fn no_name_is_given_twice() {
        let names: std::collections::HashSet<_> = BINDINGS.iter().map(|b| b.name).collect();
        assert_eq!(names.len(), BINDINGS.len());
    }

    #[test]
    fn a_person_may_put_an_action_on_other_keys() {
        let map = own(&[("theme", &["T", "f2"])]).expect("allowed");
        let press = |c| KeyEvent::from(KeyCode::Char(c));
        assert_eq!(map.action(&press('T'), Where::Run(Tab::Overview)), Some(Action::NextTheme));
        assert_eq!(map.action(&press('t'), Where::Run(Tab::Overview)), None);
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
        for binding in BINDINGS {
            if let Action::Ask(key) = binding.run {
                let found = crate::config::find(key).unwrap_or_else(|| panic!("{key} is unknown"));
                assert_ne!(found.live, crate::config::Live::No, "{key}");
            }
        }
    }

    #[test]
    fn the_documents_list_every_key() {
        let document = include_str!("../../docs/keys.md");
        let table = super::super::keys_table(&Keymap::default());
        assert!(document.contains(&table), "docs/keys.md lacks this table:\n{table}");
    }
}
