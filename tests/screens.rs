//! Every tab at three sizes: what is read, in which colours, and which bytes a terminal gets.

use crate::film::{app_in, furnish, hear, press, records, screen, tab};
use crossterm::event::{
    Event as TermEvent, KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use earlybird::config::Pretrain;
use earlybird::link::Delivery;
use earlybird::protocol::{Event, Record};
use earlybird::tui::{App, GpuFigures, Gpus, Tab, draw};
use ratatui::backend::{CrosstermBackend, TestBackend};
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::fmt::Write;
use termprofile::TermProfile;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 60)];

fn furnished(level: TermProfile, ascii: bool) -> App {
    let mut app = app_in(if level < TermProfile::Ansi16 { "mono" } else { "dark" }, level, ascii);
    hear(&mut app, records(8));
    furnish(&mut app);
    app
}

#[test]
fn every_tab_at_three_sizes() {
    for (look, ascii) in [("unicode", false), ("ascii", true)] {
        let mut app = furnished(TermProfile::TrueColor, ascii);
        for tab in Tab::ALL {
            app.show(tab);
            for (width, height) in SIZES {
                let text = screen(&mut app, width, height);
                assert!(!ascii || text.is_ascii(), "{text}");
                insta::assert_snapshot!(
                    format!("{}_{width}x{height}_{look}", tab.name().to_lowercase()),
                    text
                );
            }
        }
    }
}

#[test]
fn the_gpus_of_the_trainer_are_numbered_as_it_does_and_what_is_not_told_is_not_zero() {
    let mut app = app_in("dark", TermProfile::TrueColor, false);
    let on_a_gpu = |event| match event {
        Event::RunStarted { run, config, data, model, versions, threads, .. } => {
            let device = "libtorch:cuda:1".to_owned();
            Event::RunStarted { run, config, data, model, device, versions, threads }
        }
        other => other,
    };
    hear(&mut app, records(8).into_iter().map(on_a_gpu).collect());
    furnish(&mut app);
    let whole = GpuFigures {
        name: "NVIDIA H100 80GB HBM3".into(),
        utilization: Some(97),
        memory: Some((61 << 30, 80 << 30)),
        power: Some(612.0),
        temperature: Some(64),
        ..GpuFigures::default()
    };
    let part = GpuFigures {
        cuda: 1,
        name: "NVIDIA H100 80GB HBM3 MIG 1g.10gb".into(),
        is_mig: true,
        utilization: None,
        memory: Some((3 << 30, 10 << 30)),
        ..whole.clone()
    };
    let mute = GpuFigures { cuda: 2, name: "Tesla K80".into(), ..GpuFigures::default() };
    let machine = app.shared.machine.as_mut().unwrap();
    machine.gpus = Gpus { visible: vec![whole, part, mute], hidden: 5, is_order_unsure: true };
    app.show(tab("System"));
    for key in ['j', 'z'] {
        press(&mut app, KeyCode::Char(key));
    }
    for (width, height) in [(80, 24), (120, 36)] {
        let text = screen(&mut app, width, height);
        assert!(text.contains("cuda:1*") && !text.contains("cuda:0*"), "{text}");
        assert!(!text.contains("0% Tesla") && !text.contains("0 W"), "{text}");
        insta::assert_snapshot!(format!("system_gpus_{width}x{height}"), text);
    }
}

#[test]
fn views_behind_a_key_and_panels_on_the_whole_screen() {
    let mut app = furnished(TermProfile::TrueColor, false);
    let shot = |name: &str, tab: Tab, keys: &[KeyCode], app: &mut App| {
        app.show(tab);
        keys.iter().for_each(|key| press(app, *key));
        insta::assert_snapshot!(name.to_owned(), screen(app, 80, 24));
        press(app, KeyCode::Esc);
        press(app, KeyCode::Esc);
    };
    let key = KeyCode::Char;
    shot("importance_of_a_class", tab("Importance"), &[key('J'), key('v'), key('y')], &mut app);
    shot("classes_map_of_draws", tab("Classes"), &[key('v')], &mut app);
    shot("classes_map_of_recall", tab("Classes"), &[key('v'), key('s')], &mut app);
    shot("sample_enlarged", tab("Samples"), &[key('v'), key('l'), KeyCode::Enter], &mut app);
    shot(
        "compare_losses_over_time",
        tab("Compare"),
        &[key('v'), key('x'), key('x'), key('x')],
        &mut app,
    );
    shot(
        "overview_zoomed_with_cursor",
        tab("Overview"),
        &[key('j'), key('z'), key('i'), key('h'), key('h'), key('h')],
        &mut app,
    );
    shot("settings", tab("Overview"), &[key('S'), key('j'), KeyCode::Enter, key('9')], &mut app);
    shot(
        "command_line",
        tab("Overview"),
        &[key(':'), key('s'), key('e'), key('t'), key(' '), key('s')],
        &mut app,
    );
}

#[test]
fn an_e_that_is_to_be_found_is_shown_as_what_it_will_probably_be() {
    let finding = |until: usize| {
        let mut events = records(until);
        if let Some(Event::RunStarted { config, .. }) = events.first_mut() {
            config.importance.pretrain_epochs = Pretrain::Auto;
        }
        events
    };
    for (name, until) in [("nothing_known", 1), ("foreseen", 3)] {
        let mut app = app_in("dark", TermProfile::TrueColor, false);
        hear(&mut app, finding(until));
        app.show(tab("Importance"));
        insta::assert_snapshot!(format!("found_e_{name}"), screen(&mut app, 80, 24));
    }
}

/// The screen after a click at the first cell of `text`.
fn clicked(app: &mut App, text: &str) -> String {
    let before = screen(app, 80, 24);
    let (row, line) = before
        .lines()
        .enumerate()
        .find(|(_, line)| line.contains(text))
        .unwrap_or_else(|| panic!("no {text} on\n{before}"));
    let column = line[..line.find(text).unwrap()].chars().count() as u16;
    click(app, column, row as u16);
    screen(app, 80, 24)
}

fn click(app: &mut App, column: u16, row: u16) {
    let kind = MouseEventKind::Down(MouseButton::Left);
    let modifiers = KeyModifiers::NONE;
    app.handle(&TermEvent::Mouse(MouseEvent { kind, column, row, modifiers }));
}

/// The cell in which a gallery marks the selected sample.
fn mark(text: &str) -> (usize, usize) {
    let mut lines = text.lines().enumerate().skip(5);
    lines.find_map(|(row, l)| l.chars().position(|c| c == '▸').map(|column| (column, row))).unwrap()
}

#[test]
fn a_click_means_what_is_under_it_on_every_tab_while_a_message_takes_three_lines() {
    let reason = "the trainer panicked: ".to_owned() + &"index out of bounds, ".repeat(8);
    let mut app = furnished(TermProfile::TrueColor, false);
    app.hear(Delivery::Record(Record { seq: 999, t: 24.0, event: Event::Failed { reason } }));
    let text = screen(&mut app, 80, 24);
    let below = text.lines().rev().take_while(|l| !l.starts_with('╰')).count();
    assert_eq!(below, 4, "three lines of message, one of keys\n{text}");
    for (name, target, found) in [
        ("Overview", " train loss", "▸ train loss"),
        ("Overview", " class freq", "▸ class freq"),
        ("Importance", " figures ", "▸ figures "),
        ("Importance", " draws by epoch", "▸ draws by epoch"),
        ("Classes", "Shirt  ", "▸ Shirt "),
        ("Classes", "Trouser", "▸ Trouser"),
        ("Compare", "demo-005", "▸○ demo-005"),
        ("Compare", " accuracy ", "▸ accuracy "),
        ("System", " throughput ", "▸ throughput "),
        ("System", " messages ", "▸ messages "),
    ] {
        let text = clicked(&mut app, &format!(" {name}"));
        assert!(text.contains(target), "{name}\n{text}");
        let text = clicked(&mut app, target);
        assert!(text.contains(found), "{name}: {target}\n{text}");
    }
    // Every sample that is shown, and from the first of them a row down.
    let text = clicked(&mut app, " Samples");
    let first = mark(&text);
    let label: Vec<char> = text.lines().nth(first.1).unwrap().chars().collect();
    let columns = (first.0 + 1..label.len() - 1)
        .filter(|x| label[*x - 1] == ' ' && label[*x - 2] == ' ' && label[*x] != ' ');
    let columns: Vec<usize> = columns.collect();
    assert!(columns.len() > 1, "{text}");
    for column in columns {
        click(&mut app, column as u16, first.1 as u16);
        let marked = mark(&screen(&mut app, 80, 24));
        assert!(marked.1 == first.1 && marked.0 + 1 == column, "{column} {marked:?}\n{text}");
    }
}

/// Which colours and modifiers there are on each line, and on how many cells.
fn colours(app: &mut App, width: u16, height: u16) -> String {
    app.handle(&TermEvent::Resize(width, height));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|f| draw(f, app)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut out = String::new();
    for y in 0..height {
        let mut runs: Vec<(String, usize)> = Vec::new();
        for x in 0..width {
            let cell = &buffer[(x, y)];
            let name = match (cell.fg, cell.bg, cell.modifier) {
                (Color::Reset, Color::Reset, _) if cell.modifier.is_empty() => "-".to_owned(),
                (fg, Color::Reset, _) if cell.modifier.is_empty() => fg.to_string(),
                (fg, Color::Reset, modifier) => format!("{fg}+{modifier:?}"),
                (fg, bg, _) => format!("{fg}/{bg}"),
            };
            match runs.last_mut().filter(|(last, _)| *last == name) {
                Some((_, count)) => *count += 1,
                None => runs.push((name, 1)),
            }
        }
        // Pictures change colour in every cell: their count says enough.
        let runs: Vec<String> = if runs.len() > 24 {
            vec![format!("{} changes", runs.len())]
        } else {
            runs.into_iter().map(|(name, count)| format!("{name} {count}")).collect()
        };
        let _ = writeln!(out, "{y:>2} {}", runs.join(", "));
    }
    out
}

#[test]
fn every_tab_in_the_colours_that_there_are() {
    for (look, level) in [
        ("truecolor", TermProfile::TrueColor),
        ("16", TermProfile::Ansi16),
        ("none", TermProfile::NoColor),
    ] {
        let mut app = furnished(level, false);
        for tab in Tab::ALL {
            app.show(tab);
            let text = colours(&mut app, 80, 24);
            assert!(level == TermProfile::TrueColor || !text.contains('#'), "{text}");
            insta::assert_snapshot!(format!("{}_colours_{look}", tab.name().to_lowercase()), text);
        }
    }
}

/// The bytes that a terminal gets for one frame.
fn bytes(app: &mut App, width: u16, height: u16) -> Vec<u8> {
    app.handle(&TermEvent::Resize(width, height));
    let mut out = Vec::new();
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    let mut terminal =
        Terminal::with_options(CrosstermBackend::new(&mut out), TerminalOptions { viewport })
            .unwrap();
    terminal.draw(|f| draw(f, app)).unwrap();
    drop(terminal);
    out
}

#[test]
fn the_real_escape_stream_makes_the_screen_and_has_only_the_colours_that_there_are() {
    crossterm::style::force_color_output(true); // whoever runs the tests may have NO_COLOR
    for (level, ascii) in [
        (TermProfile::TrueColor, false),
        (TermProfile::Ansi256, false),
        (TermProfile::Ansi16, false),
        (TermProfile::NoColor, false),
        (TermProfile::Ansi16, true),
    ] {
        let mut app = furnished(level, ascii);
        for tab in Tab::ALL {
            app.show(tab);
            let (text, raw) = (screen(&mut app, 120, 36), bytes(&mut app, 120, 36));
            let mut parser = vt100::Parser::new(36, 120, 0);
            parser.process(&raw);
            let trim = |text: &str| {
                text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
            };
            assert_eq!(trim(&parser.screen().contents()), trim(&text), "{tab:?} {level:?}");
            let raw = String::from_utf8(raw).unwrap();
            let colours: Vec<&str> =
                raw.split("\x1b[").filter_map(|s| s.split_once('m').map(|(sgr, _)| sgr)).collect();
            let has = |part: &str| colours.iter().any(|sgr| sgr.contains(part));
            assert_eq!(has("38;2;"), level == TermProfile::TrueColor, "{tab:?} {level:?}");
            if level == TermProfile::NoColor {
                let coloured =
                    colours.iter().find(|sgr| sgr.starts_with("38;") || sgr.starts_with("48;"));
                assert_eq!(coloured, None, "{tab:?}");
            }
            if level == TermProfile::Ansi16 {
                let beyond = |sgr: &&&str| {
                    sgr.split("8;5;")
                        .nth(1)
                        .and_then(|n| n.split(';').next()?.parse::<u8>().ok())
                        .is_some_and(|n| n > 15)
                };
                assert_eq!(colours.iter().find(beyond), None, "{tab:?}");
            }
        }
    }
}

/// The screen as a terminal shows it.
fn seen(app: &mut App, width: u16, height: u16) -> String {
    let mut parser = vt100::Parser::new(height, width, 0);
    parser.process(&bytes(app, width, height));
    parser.screen().contents()
}

/// A run with so many classes, with names in several scripts and widths.
fn with_classes(count: usize) -> App {
    let mut app = app_in("dark", TermProfile::TrueColor, false);
    let name = |c: usize| match c % 4 {
        0 => format!("class {c}"),
        1 => format!("動物園の中の珍しい動物たち {c}"),
        2 => format!("a very long name of a class that no table has room for, number {c}"),
        _ => format!("Пожарная машина 🚒 {c}"),
    };
    let mut events = records(8);
    for event in &mut events {
        match event {
            Event::RunStarted { data, .. } => {
                (data.classes, data.counts, data.train) =
                    ((0..count).map(name).collect(), vec![40; count], 40 * count);
            }
            Event::EpochEnd(e) => {
                e.drawn = (0..count as u64).map(|c| 20 + c % 40).collect();
                e.expected = (0..count).map(|c| 20.5 + (c % 40) as f64).collect();
                e.recall = (0..count).map(|c| ((c * 37) % 100) as f64 / 100.0).collect();
            }
            Event::Weights(w) | Event::WeightsPreview(w) => w.class_mean = vec![0.4; count],
            _ => {}
        }
    }
    hear(&mut app, events);
    app
}

#[test]
fn a_thousand_classes_with_long_and_wide_names_stay_in_their_columns() {
    use unicode_width::UnicodeWidthStr;
    for count in [100, 1_000] {
        let mut app = with_classes(count);
        for tab in [tab("Overview"), tab("Classes")] {
            app.show(tab);
            for (width, height) in SIZES {
                for key in ['v', 's', 'v', 'G', 'v', 'g'] {
                    press(&mut app, KeyCode::Char(key));
                    let text = seen(&mut app, width, height);
                    // Frames meet at the right edge on every line of the panels: nothing pushed
                    // them.
                    let edges = text
                        .lines()
                        .filter(|l| l.starts_with('│'))
                        .all(|l| l.ends_with(['│', '╮', '╯']) && l.width() == usize::from(width));
                    assert!(edges, "{tab:?} {width}x{height}\n{text}");
                }
            }
        }
    }
}

#[test]
fn classes_are_sorted_scrolled_and_filtered() {
    let mut app = with_classes(1_000);
    app.show(tab("Classes"));
    press(&mut app, KeyCode::Char('G'));
    assert!(seen(&mut app, 120, 36).contains("Пожарная машина 🚒 999"));
    (0..4).for_each(|_| press(&mut app, KeyCode::Char('s'))); // by recall
    assert!(seen(&mut app, 120, 36).contains("by recall"));
    press(&mut app, KeyCode::Char('/'));
    "珍しい".chars().for_each(|c| press(&mut app, KeyCode::Char(c)));
    press(&mut app, KeyCode::Enter);
    let text = seen(&mut app, 120, 36);
    assert!(
        text.contains("250 of 1000") && text.contains("only: 珍しい") && !text.contains("Пожарная"),
        "{text}"
    );
    app.show(tab("Overview"));
    let text = seen(&mut app, 80, 24);
    assert!(text.contains("動物") && !text.contains("Пож") && text.contains("more"), "{text}");
    press(&mut app, KeyCode::Char('/'));
    press(&mut app, KeyCode::Esc);
    assert!(seen(&mut app, 120, 36).contains("class 0"));
    press(&mut app, KeyCode::PageDown);
    press(&mut app, KeyCode::PageDown);
    assert!(seen(&mut app, 80, 24).contains("above"));
}
