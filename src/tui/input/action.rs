//! What keys can mean: actions, and the places where they hold. Knows nothing of which key does
//! what.

use super::key::Key;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A tab, as far as keys go. Its file says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tab {
    /// As people read it; no two have the same.
    pub name: &'static str,
    /// Places that it is one of: [`Place::Charts`], [`Place::Classes`], [`Place::OneClass`].
    pub places: &'static [Place],
}

/// The rows of the table that a tab brings along.
#[derive(Clone, Copy, Debug)]
pub struct TabKeys {
    /// Whose rows they are.
    pub tab: Tab,
    /// The row that shows it, and rows that hold on it alone.
    pub rows: &'static [Binding],
}

/// How a replay moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Where there are curves over steps, or a histogram with a logarithmic axis.
    Charts,
    /// On one tab.
    On(Tab),
    /// Where classes are listed: tabs that say so, and a comparison.
    Classes,
    /// Where one class can be chosen.
    OneClass,
    /// On a comparison.
    Comparison,
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
    /// The tab; `None` on a comparison.
    pub fn tab(self) -> Option<Tab> {
        match self {
            Self::Run(tab) | Self::Replay(tab) => Some(tab),
            Self::Comparison => None,
        }
    }

    /// Whether a binding of `place` holds here.
    pub fn has(self, place: Place) -> bool {
        let tab = self.tab();
        let is_one = || tab.is_some_and(|tab| tab.places.contains(&place));
        match place {
            Place::Everywhere => true,
            Place::Cockpit => tab.is_some(),
            Place::Run => matches!(self, Self::Run(_)),
            Place::Replay => matches!(self, Self::Replay(_)),
            Place::Charts | Place::OneClass => is_one(),
            Place::Classes => tab.is_none() || is_one(),
            Place::On(other) => tab == Some(other),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
