//! The report: one page that needs nothing but itself, figures and tables beside it.

use crate::environment::ran;
use crate::support::{Runs, small_args};
use earlybird::protocol::Event;
use std::path::Path;

/// What a page would fetch or run.
fn outside(html: &str) -> Vec<&str> {
    let links = html
        .split(['"', '\'', '(', '>'])
        .filter(|part| part.starts_with("http") || part.starts_with("//"));
    let scripts = html
        .match_indices("<script")
        .chain(html.match_indices("<link"))
        .chain(html.match_indices("<img"))
        .map(|(_, m)| m);
    links.filter(|l| *l != "http://www.w3.org/2000/svg").chain(scripts).collect()
}

fn rows(file: &Path) -> Vec<csv::StringRecord> {
    csv::Reader::from_path(file).unwrap().records().map(Result::unwrap).collect()
}

#[test]
fn a_comparison_s_report_has_every_figure_and_table_and_fetches_nothing() {
    let runs = Runs::new();
    let args = small_args(&["compare", "--arms", "biased", "--seeds", "2"]);
    assert!(ran(runs.path(), &args).status.success());
    let output = ran(runs.path(), &["report", "demo-compare-001"]);
    assert!(output.status.success(), "{output:?}");
    let report = runs.path().join("demo-compare-001/report");
    let html = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert_eq!(outside(&html), Vec::<&str>::new());
    let figures = [
        "forest",
        "late",
        "accuracy",
        "images",
        "seconds",
        "recalls",
        "speedup",
        "loss",
        "training-loss",
        "balance",
        "weights",
        "probabilities",
        "classes",
        "draws",
        "recall",
        "hardest",
        "easiest",
        "suspects",
    ];
    assert_eq!(html.matches("<svg").count(), figures.len());
    for figure in figures {
        let svg = std::fs::read_to_string(report.join(format!("figures/{figure}.svg"))).unwrap();
        assert!(
            html.contains(svg.trim_end()) && (svg.contains("base64") || !svg.contains("NaN")),
            "{figure}"
        );
        let png = image::open(report.join(format!("figures/{figure}.png"))).unwrap().to_luma8();
        let ink = png.pixels().filter(|p| p.0[0] < 128).count();
        assert!(
            png.width() >= 1_400 && ink > 1_000,
            "{figure}: {}x{}, {ink} dark pixels",
            png.width(),
            png.height()
        );
    }
    for part in
        ["uniform-null", "95%", "not", "Before you believe it", "pretrain_epochs = 2", "seeds"]
    {
        assert!(html.contains(part), "{part}");
    }
    let first = ["class=\"lead\"", "aria-label=\"Difference to uniform", "<table class=\"arms\""];
    let places = first.map(|part| html.find(part).unwrap_or_else(|| panic!("no {part}")));
    assert!(places.is_sorted(), "the finding, the forest plot, the table: {places:?}");
    assert!(html.contains("prefers-color-scheme:dark") && html.contains("@media print"));
    assert_eq!(rows(&report.join("tables/arms.csv")).len(), 3);
    assert_eq!(rows(&report.join("tables/epochs.csv")).len(), 3 * 2 * 5);
    let classes = rows(&report.join("tables/classes.csv"));
    assert_eq!(classes.len(), 3 * 2 * 5 * 10);
    // Draws of an epoch sum to n.
    let drawn: u64 = classes[..10].iter().map(|r| r[6].parse::<u64>().unwrap()).sum();
    assert_eq!(drawn, 300);
}

#[test]
fn runs_side_by_side_and_live_changes_are_reported() {
    let runs = Runs::new();
    runs.headless("train", &[]).end();
    let child = runs.headless("train", &["--set", "train.epochs=100000"]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    assert!(
        ran(runs.path(), &["send", "demo-002", "set", "train.lr_scale", "0.25"]).status.success()
    );
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    assert!(ran(runs.path(), &["send", "demo-002", "stop"]).status.success());
    child.end();
    let out = runs.path().join("page");
    let output =
        ran(runs.path(), &["report", "demo-001", "demo-002", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let html = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(
        html.contains("train.lr_scale: 1.0 to 0.25") && html.contains("demo-001, demo-002"),
        "changes are told"
    );
    assert!(!html.contains("Before you believe it"), "no comparison, no claims");
}

/// A tenth of the labels is planted wrong: the report tells where they went.
#[test]
fn planted_wrong_labels_are_found_among_the_hardest_and_left_out_with_drop_hardest() {
    let runs = Runs::new();
    let file = runs.path().join("noise.toml");
    let config = std::fs::read_to_string("configs/demo.toml").unwrap()
        + "\n[arms.dropped]\nimportance.drop_hardest = 0.15\n";
    std::fs::write(&file, config).unwrap();
    let file = file.display().to_string();
    let noise = [
        "--set",
        "data.label_noise=0.1",
        "--set",
        "data.imbalance=1.0",
        "--set",
        "data.train_limit=1000",
    ];
    let args = small_args(
        &[&["compare", &file, "--arms", "biased,dropped", "--seeds", "1"][..], &noise].concat(),
    );
    assert!(ran(runs.path(), &args).status.success());
    assert!(ran(runs.path(), &["report", "demo-compare-001"]).status.success());
    let report = runs.path().join("demo-compare-001/report");
    let html = std::fs::read_to_string(report.join("index.html")).unwrap();
    for figure in ["flipped", "flips"] {
        assert!(report.join(format!("figures/{figure}.svg")).exists(), "{figure}");
    }
    assert!(html.contains("of these pictures"), "the pictures say how many of them are flipped");
    let flips = std::fs::read_to_string(report.join("figures/hardest.svg"))
        .unwrap()
        .matches("<rect")
        .count()
        - 1;
    assert!(
        flips >= 15,
        "{flips} of 50 pictures of the hardest are flipped: three times the base rate at least"
    );
    let epochs = rows(&report.join("tables/epochs.csv"));
    let share = |arm: &str| -> f64 {
        epochs.iter().rev().find(|r| &r[0] == arm).unwrap()[17].parse().unwrap()
    };
    assert!(
        share("biased") > 0.11 && share("dropped") < 0.09,
        "{} {}",
        share("biased"),
        share("dropped")
    );
}

#[test]
fn nothing_to_report_is_said() {
    let runs = Runs::new();
    let unknown = ran(runs.path(), &["report", "demo-007"]);
    assert_eq!(unknown.status.code(), Some(2));
    runs.headless("train", &[]).end();
    let journal = runs.path().join("demo-001/journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let before: Vec<&str> =
        text.lines().take_while(|line| !line.contains("\"event\":\"epoch_end\"")).collect();
    std::fs::write(&journal, before.join("\n") + "\n").unwrap();
    let empty = ran(runs.path(), &["report", "demo-001"]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("no finished epoch"), "{empty:?}");
}
