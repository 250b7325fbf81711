//! The documents: every link leads somewhere, every command and option named is there, every key
//! of the config is listed, and nothing grows too long.

use crate::environment::program;
use earlybird::config::{KEYS, RunConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Columns of a line, tables and code excepted.
const COLUMNS: usize = 100;
/// Words of the README.
const WORDS: usize = 1_000;

/// The Markdown files of a directory.
fn markdown(directory: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    files.sort();
    files
}

fn documents() -> Vec<PathBuf> {
    [markdown("."), markdown("docs")].concat()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A line of Markdown, and whether it is code.
fn lines(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut fenced = false;
    text.lines().map(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (fenced || fence || line.starts_with("    "), line)
    })
}

/// What stands between backquotes in a line.
fn inline_code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of a line's links and images.
fn links(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text).filter(|(code, line)| !code && line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let folder = document.parent().unwrap();
        for (_, line) in lines(&text(&document)).filter(|(code, _)| !code) {
            for link in links(line).iter().filter(|l| !l.starts_with("http")) {
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { document.clone() } else { folder.join(file) };
                let there = target.exists()
                    && (anchor.is_empty() || anchors(&text(&target)).contains(anchor));
                if !there {
                    broken.push(format!("{}: {link}", document.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn the_index_of_the_documents_names_every_one() {
    let index = text(Path::new("docs/README.md"));
    for document in markdown("docs") {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        let named = index.contains(&format!("({name})"));
        assert!(named || name == "README.md", "docs/README.md does not link to {name}");
    }
}

#[test]
fn the_documents_keep_to_their_width_and_the_readme_to_its_length() {
    let words = text(Path::new("README.md")).split_whitespace().count();
    assert!(words <= WORDS, "README.md has {words} words, more than {WORDS}");
    for document in documents() {
        for (number, (code, line)) in lines(&text(&document)).enumerate() {
            let width = line.chars().count();
            let free = code || line.starts_with('|');
            assert!(
                free || width <= COLUMNS,
                "{}:{}: {width} columns, more than {COLUMNS}",
                document.display(),
                number + 1
            );
        }
    }
}

#[test]
fn the_documents_list_every_config_key_as_it_is() {
    let defaults = toml::Value::try_from(RunConfig::default()).unwrap();
    let document = text(Path::new("docs/configuration.md"));
    for key in KEYS {
        let value = key.path.split('.').try_fold(&defaults, |v, part| v.get(part)).unwrap();
        let live = key.live.words();
        let values = key.rule.describe();
        let row = format!("| `{}` | `{value}` | {values} | {live} | ", key.path);
        assert!(
            document.contains(&row),
            "docs/configuration.md lacks a row that begins with\n{row}"
        );
    }
    let rows = document.lines().filter(|l| l.starts_with("| `") && l.matches(" | ").count() == 4);
    assert_eq!(rows.count(), KEYS.len(), "docs/configuration.md lists a key that there is not");
}

/// The commands in the documents that name this program: those in code, whole lines or between
/// backquotes, without a prompt, a comment, and what comes after a pipe. Those with words to be
/// replaced, such as RUN, are no commands.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found: Vec<&str> = Vec::new();
    for (code, line) in lines(text) {
        if code {
            found.extend(line.split("$ ").last());
        } else {
            found.extend(inline_code(line));
        }
    }
    let is_placeholder =
        |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    found
        .into_iter()
        .filter_map(|command| {
            let command = command.split(['#', ';', '|', '[', '(']).next().unwrap_or(command);
            let words: Vec<&str> = command.split_whitespace().collect();
            let (first, rest) = words.split_first()?;
            let ours = first.trim_start_matches("target/debug/") == "earlybird";
            (ours && !rest.iter().any(is_placeholder))
                .then(|| rest.iter().map(|word| (*word).to_owned()).collect())
        })
        .collect()
}

#[test]
fn the_documents_name_only_commands_options_and_configs_that_exist() {
    let mut asked: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
    for document in documents() {
        for words in commands(&text(&document)) {
            for config in words.iter().filter(|word| word.starts_with("configs/")) {
                assert!(Path::new(config).is_file(), "{}: {config}", document.display());
            }
            // A command within a command comes second, after the run third.
            let depth = match words.first().map(String::as_str) {
                Some("send") => 3,
                Some("data") => 2,
                _ => 1,
            };
            let command = words.iter().take(depth).filter(|word| !word.starts_with('-'));
            let options = words.iter().filter(|word| word.starts_with("--"));
            asked.entry(command.cloned().collect()).or_default().extend(options.cloned());
        }
    }
    assert!(asked.len() > 15, "the documents name {} commands", asked.len());
    for (command, options) in asked {
        let help = program().args(&command).arg("--help").output().unwrap();
        let said = String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).into_owned();
        assert!(help.status.success(), "earlybird {}: {said}", command.join(" "));
        let is_part = |c: char| c.is_alphanumeric() || c == '-';
        let known: BTreeSet<&str> = said.split(|c| !is_part(c)).collect();
        for option in options {
            let name = option.split(|c| !is_part(c)).next().unwrap();
            assert!(known.contains(name), "earlybird {} {option}\n{said}", command.join(" "));
        }
    }
}
