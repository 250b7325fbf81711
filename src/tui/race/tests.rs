//! The screen of a comparison of made-up runs, at three sizes.

use super::{Race, RaceApp, View, draw};
use crate::compare::fixture::{outcome, thirteen, write};
use crate::compare::{Finding, Outcome};
use crate::run::RunDirectory;
use crate::tui::Setup;
use crate::tui::look::appearance::Appearance;
use crate::tui::look::preferences::{Asked, Preferences};
use crate::tui::look::theme::Themes;
use crate::tui::tabs;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;
use termprofile::TermProfile;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 60)];

fn look(ascii: bool) -> Appearance {
    Appearance::new("dark", TermProfile::TrueColor, ascii, Themes::default()).expect("a theme")
}

fn app(outcome: &Outcome, ascii: bool) -> RaceApp {
    let root = tempfile::tempdir().expect("a directory");
    let directory = RunDirectory::open(&root.path().join("demo-compare-001"));
    write(outcome, &directory);
    let race = Race::open(&directory).expect("a comparison");
    let (preferences, _) = Preferences::load_from(root.path(), &Asked::default(), &tabs::keys());
    let setup = Setup { preferences, look: look(ascii), warnings: Vec::new() };
    RaceApp::new(race, &setup, false)
}

fn text(size: (u16, u16), draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a terminal");
    terminal.draw(draw).expect("drawn");
    let buffer = terminal.backend().buffer().clone();
    let line = |y: u16| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..size.1).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

fn screen(app: &RaceApp, size: (u16, u16)) -> String {
    text(size, |frame| draw::draw(frame, app))
}

fn press(app: &mut RaceApp, key: char) {
    app.handle(&Event::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE)));
}

fn forest(finding: &Finding, size: (u16, u16)) -> String {
    let area = Rect::new(0, 0, size.0, size.1);
    text(size, |frame| super::forest::draw(frame, &look(true), finding, "biased", area))
}

#[test]
fn a_comparison_of_thirteen_arms_at_three_sizes_with_both_views() {
    insta::with_settings!({ snapshot_path => "../../../tests/snapshots" }, {
        for (words, ascii) in [("unicode", false), ("ascii", true)] {
            let mut app = app(&thirteen(), ascii);
            for view in ["curves", "differences"] {
                for (width, height) in SIZES {
                    let text = screen(&app, (width, height));
                    assert!(!ascii || text.is_ascii(), "{text}");
                    insta::assert_snapshot!(format!("{view}_{width}x{height}_{words}"), text);
                }
                press(&mut app, 'v');
            }
            assert_eq!(app.view, View::Curves, "the key leads back");
        }
    });
}

#[test]
fn the_forest_plot_is_sorted_and_marks_what_is_decided_and_what_lies_beyond() {
    let finding = thirteen().finding();
    let text = forest(&finding, (80, 14));
    let lines: Vec<&str> = text.lines().collect();
    for (line, s) in lines[1..].iter().zip(&finding.standings) {
        assert!(line[2..].starts_with(&s.arm) && line.ends_with(&s.gain.points()), "{text}");
    }
    assert!(lines[1].contains("-*-") && lines[5].contains("-o"), "decided, not decided\n{text}");
    assert!(lines[2].starts_with("> biased") && lines[7].contains('x'), "selected, null\n{text}");
    assert!(lines[12].contains(" <") && !lines[12].contains('*'), "beyond the axis\n{text}");
}

#[test]
fn on_a_narrow_screen_the_intervals_give_way_to_the_plot() {
    let finding = thirteen().finding();
    assert!(forest(&finding, (60, 14)).contains(" +1.12\n"));
    assert!(forest(&finding, (20, 5)).lines().all(|line| line.chars().count() <= 20));
}

#[test]
fn before_an_arm_has_a_seed_it_is_said_what_is_waited_for() {
    let finding = outcome(&[("uniform", &[0.8]), ("biased", &[])]).finding();
    assert!(forest(&finding, (60, 14)).contains("comes when the baseline and an arm"));
}
