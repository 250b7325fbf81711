//! The rows of the table of keys that belong to no tab, the most wanted first.

use super::action::{Action, Binding, Place, Playback, TabKeys};
use super::key::Key::{self, Char, Ctrl, Named, Shift};
use crate::config;
use crossterm::event::KeyCode;

/// All rows: those of tabs come where they are wanted.
pub(super) fn table(tabs: &[TabKeys]) -> Vec<Binding> {
    let of_tabs = || tabs.iter().flat_map(|t| t.rows).copied();
    let is_own = |b: &Binding| matches!(b.place, Place::On(_));
    let mut rows = FIRST.to_vec();
    rows.extend(of_tabs().filter(is_own));
    rows.extend(LISTS);
    rows.extend(of_tabs().filter(|b| !is_own(b)));
    rows.extend(LAST);
    rows
}

/// A row of the table.
pub const fn row(
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

/// Before what tabs add: what a run, a replay and a comparison are steered with.
const FIRST: &[Binding] = {
    use Action::*;
    use Place::{Comparison, Everywhere, Replay, Run};
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
        row(
            "view-comparison",
            &[Char('v')],
            NextView,
            Comparison,
            "view",
            "curves, or differences to the baseline with intervals",
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
    ]
};

/// After it: lists, questions, panels.
const LISTS: &[Binding] = {
    use Action::*;
    use Place::{Classes, Cockpit, OneClass};
    &[
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
    ]
};

/// After the rows that show a tab.
const LAST: &[Binding] = {
    use Action::*;
    use Place::{Charts, Cockpit, Everywhere, Run};
    &[
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
