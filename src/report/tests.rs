//! The page of a comparison with many arms, from made-up runs.

use super::figures::{self, Figure};
use super::{ArmFigures, SeedFigures, Subject, page};
use crate::compare::fixture::{CLASSES, E, thirteen};
use crate::compare::{ArmOutcome, Outcome};
use crate::protocol::DataSummary;
use crate::run::RunDirectory;
use std::path::Path;

fn subject(outcome: Option<Outcome>, runs: &[ArmOutcome]) -> Subject {
    let arm = |arm: &ArmOutcome| {
        let seed = |s: &crate::compare::SeedOutcome| SeedFigures {
            directory: RunDirectory::open(Path::new("runs/none")),
            seed: s.seed,
            pretrain_epochs: E,
            epochs: s.epochs.clone(),
            weights: None,
            changes: Vec::new(),
        };
        ArmFigures { name: arm.arm.clone(), seeds: arm.seeds.iter().map(seed).collect() }
    };
    Subject {
        title: "demo-compare-001".into(),
        arms: runs.iter().map(arm).collect(),
        outcome,
        facts: vec![("data".into(), "made up, 600 training and 200 test images".into())],
        config: thirteen().config,
        data: DataSummary {
            name: "made up".into(),
            train: 600,
            test: 200,
            validation: 0,
            classes: (0..CLASSES).map(|c| format!("class {c}")).collect(),
            counts: vec![60; CLASSES],
            shape: [1, 28, 28],
            sha256: String::new(),
        },
        samples: None,
    }
}

fn compared() -> (Subject, Vec<Figure>) {
    let outcome = thirteen();
    let runs = outcome.arms.clone();
    let subject = subject(Some(outcome), &runs);
    let figures = figures::all(&subject);
    (subject, figures)
}

fn svg<'a>(figures: &'a [Figure], name: &str) -> &'a str {
    &figures.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no figure {name}")).svg
}

#[test]
fn the_page_begins_with_the_finding_and_the_forest_plot() {
    let (subject, figures) = compared();
    let html = page::html(&subject, &figures);
    let at = |part: &str| html.find(part).unwrap_or_else(|| panic!("no {part}"));
    let order = ["biased-systematic beats uniform", svg(&figures, "forest"), "Before you believe"];
    assert!(order.map(at).is_sorted());
    assert!(at("class=\"first\"") < at("<table class=\"arms\""));
}

#[test]
fn the_page_suits_dark_screens_phones_and_paper_and_asks_for_nothing() {
    let (subject, figures) = compared();
    let html = page::html(&subject, &figures);
    for part in
        ["prefers-color-scheme:dark", "@media print", "max-width:46rem", "data-of=\"best %\""]
    {
        assert!(html.contains(part), "{part}");
    }
    let requests = html.replace("http://www.w3.org/2000/svg", "");
    for part in ["<script", "<link", "<img", "http", "url(", "@import"] {
        assert!(!requests.contains(part), "{part}");
    }
    // What has a colour has a name for it, which a dark page gives another colour.
    for figure in &figures {
        let colours =
            figure.svg.matches(" fill=\"#").count() + figure.svg.matches(" stroke=\"#").count();
        assert!(colours > 0 && figure.svg.contains("class=\"f-paper\""), "{}", figure.name);
        for element in figure.svg.lines().filter(|l| l.contains("=\"#")) {
            assert!(element.contains("class=\""), "{}: {element}", figure.name);
        }
    }
}

#[test]
fn every_curve_of_thirteen_arms_has_a_dash_pattern_and_its_name_at_its_end() {
    let (subject, figures) = compared();
    for name in ["late", "accuracy", "images", "seconds", "loss", "balance"] {
        let svg = svg(&figures, name);
        for arm in &subject.arms {
            let label = |text: &str| text.trim_start_matches("\u{2193} ").starts_with(&arm.name);
            let texts = svg.split("</text>").filter_map(|t| t.rsplit('>').next());
            assert_eq!(texts.filter(|t| label(t)).count().min(1), 1, "{name}: {}", arm.name);
        }
        // Of the samples beside the names, which are all of one length.
        let dashes: std::collections::HashSet<&str> = svg
            .lines()
            .filter(|l| l.starts_with("<line") && l.contains("linejoin") && !l.contains("\"0.7\""))
            .map(|l| l.split("dasharray=").nth(1).map_or("", |d| d.split('"').nth(1).unwrap_or("")))
            .collect();
        assert_eq!(dashes.len(), 13, "{name}: {dashes:?}");
    }
}

#[test]
fn the_enlarged_half_shows_what_is_decided_and_names_the_arm_that_failed() {
    let (_, figures) = compared();
    let ticks = |name: &str| -> Vec<f64> {
        let left = svg(&figures, name).lines().filter(|l| l.contains("<text x=\"37\""));
        left.filter_map(|l| l.split('>').nth(1)?.split('<').next()?.parse().ok()).collect()
    };
    let (late, all) = (ticks("late"), ticks("accuracy"));
    assert!(late[0] >= 77.0 && all[0] <= 40.0, "{late:?} {all:?}");
    assert!(svg(&figures, "late").contains("\u{2193} hardest-only"), "its arrow");
}

#[test]
fn recall_is_told_by_class_and_arm_in_numbers() {
    let (subject, figures) = compared();
    let svg = svg(&figures, "recalls");
    let cells = svg.matches("text-anchor=\"middle\"").count();
    assert_eq!(cells, subject.arms.len() * CLASSES);
}

#[test]
fn an_arm_that_draws_less_ends_at_fewer_images() {
    let (subject, figures) = compared();
    let saving = &subject.arms.iter().find(|a| a.name == "saving-70").expect("an arm").seeds[0];
    let all = &subject.arms[0].seeds[0];
    let images = |s: &SeedFigures| s.epochs.last().expect("epochs").samples;
    assert!(images(saving) < images(all));
    assert!(svg(&figures, "images").contains("images drawn"));
}

#[test]
fn one_run_has_its_losses_in_one_chart_and_nothing_that_compares() {
    let runs = &thirteen().arms[..1];
    let subject = subject(None, runs);
    let figures = figures::all(&subject);
    let names: Vec<&str> = figures.iter().map(|f| f.name).collect();
    assert_eq!(names, ["accuracy", "loss", "balance", "classes", "draws", "recall"]);
    let html = page::html(&subject, &figures);
    assert!(svg(&figures, "loss").contains(">training<") && !html.contains("Before you believe"));
}
