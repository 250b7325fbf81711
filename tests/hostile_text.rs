//! Text that somebody else chose, wherever it is shown: no terminal, page, figure or spreadsheet
//! acts on it.

use crate::environment::ran;
use crate::support::{Runs, small_args};
use earlybird::printable::is_unprintable;

/// Class names as an older version, or another program, may have written them into a journal.
const NAMES: [&str; 4] = [
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "=cmd|'/c calc'!A1",
    "<script>alert(1)</script>&",
    "a\u{202e}b\u{9b}31m\u{fffe}",
];

/// A run whose classes have those names, and with a note that moves the cursor.
fn run_with_such_names(runs: &Runs) {
    assert!(ran(runs.path(), &small_args(&["train", "--headless"])).status.success());
    let journal = runs.path().join("demo-001/journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("crc"); // lines without a checksum pass
        if record["event"] == "run_started" {
            for (class, name) in NAMES.iter().enumerate() {
                record["data"]["classes"][class] = (*name).into();
            }
        }
        lines.push(record.to_string());
    }
    let text = "\u{1b}[31mred\u{1b}[0m\rgone";
    let note = serde_json::json!({ "seq": 1_000_000, "t": 0.5, "event": "note", "text": text });
    lines.insert(1, note.to_string());
    std::fs::write(&journal, lines.join("\n") + "\n").unwrap();
}

fn is_safe(text: &str) -> bool {
    !text.contains(|c| is_unprintable(c) && c != '\n' && c != '\t')
}

#[test]
fn what_is_printed_holds_no_control_characters() {
    let runs = Runs::new();
    run_with_such_names(&runs);
    for args in [
        &["replay", "demo-001", "--headless"][..],
        &["replay", "demo-001", "--json"],
        &["runs"],
        &["runs", "--json"],
    ] {
        let output = ran(runs.path(), args);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success() && is_safe(&text), "{args:?}: {text:?}");
    }
    let output = ran(runs.path(), &["replay", "demo-001", "--headless"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("note: \\u001b[31mred"), "{output:?}");
    let output = ran(runs.path(), &["attach", "no\u{1b}[2Jsuch"]);
    assert!(is_safe(&String::from_utf8_lossy(&output.stderr)), "{output:?}");
}

#[test]
fn a_report_shows_names_as_text_in_page_figures_and_tables() {
    let runs = Runs::new();
    run_with_such_names(&runs);
    let output = ran(runs.path(), &["report", "demo-001"]);
    assert!(output.status.success(), "{output:?}");
    let report = runs.path().join("demo-001/report");
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(is_safe(&page) && !page.contains("<script") && page.contains("&lt;script&gt;"));
    for figure in ["classes", "recall"] {
        let svg = std::fs::read_to_string(report.join(format!("figures/{figure}.svg"))).unwrap();
        assert!(is_safe(&svg) && svg.contains("\\u001b") && !svg.contains("<script"), "{figure}");
        assert!(
            report.join(format!("figures/{figure}.png")).exists(),
            "XML that a strict reader takes"
        );
    }
    let mut table = csv::Reader::from_path(report.join("tables/classes.csv")).unwrap();
    let cells: Vec<String> = table
        .records()
        .flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert!(cells.iter().all(|cell| is_safe(cell)));
    let formulas = cells.iter().filter(|cell| {
        cell.starts_with(['=', '+', '@']) || cell.starts_with('-') && cell.parse::<f64>().is_err()
    });
    assert_eq!(formulas.count(), 0);
    assert!(cells.iter().any(|cell| cell == "'=cmd|'/c calc'!A1"));
}
