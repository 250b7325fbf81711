//! What holds for every file of `src/`: who imports whom, how errors are passed on, how wide a line
//! is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest line of code, in columns.
const COLUMNS: usize = 100;

/// A path of a module or of an item in it, from the root of the crate.
type Names = Vec<String>;

fn files(directory: &Path, ends: &str, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ends, out);
        } else if path.to_string_lossy().ends_with(ends) {
            out.push(path);
        }
    }
}

fn sources(ends: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), ends, &mut out);
    assert!(!out.is_empty());
    out
}

/// The code of a file, without its tests, comments and texts.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\"'") {
            3
        } else if let Some(inside) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = inside.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else {
            out.push_str(&rest[..1]);
            1
        };
        rest = &rest[skipped..];
    }
    out + rest
}

/// The paths of `use` declarations, each written out: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn written_out(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((stem, inside)) = tree.split_once('{') else {
        return vec![tree.to_owned()];
    };
    let inside = inside.trim_end().trim_end_matches('}');
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inside.chars() {
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                parts.last_mut().unwrap().push(c);
            }
        }
    }
    let whole = |part: &String| written_out(part).into_iter().map(|p| format!("{stem}{p}"));
    parts.iter().filter(|p| !p.trim().is_empty()).flat_map(whole).collect()
}

/// `(whether it is public, path)` of everything that a file imports, and the paths that it names in
/// full.
fn imports(code: &str) -> Vec<(bool, String)> {
    let mut out = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].rsplit(['\n', ';', '}']).next().unwrap_or_default().trim();
        let Some(end) = code[at..].find(';') else { continue };
        if before.is_empty() || before.starts_with("pub") {
            let tree = code[at + 4..at + end].split_whitespace().collect::<Vec<_>>().join(" ");
            out.extend(written_out(&tree).into_iter().map(|p| (!before.is_empty(), p)));
        }
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c: char| !is_name(c));
    let whole = words.filter(|w| w.starts_with("crate::") || w.starts_with("super::"));
    out.extend(whole.map(|w| (false, w.trim_end_matches(':').to_owned())));
    out
}

#[derive(Default)]
struct Modules {
    /// Each with what it imports.
    modules: BTreeMap<Names, Vec<String>>,
    /// What a module exports of others: name, and the path that it stands for.
    exports: BTreeMap<Names, BTreeMap<String, String>>,
}

impl Modules {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut all = Self::default();
        for file in sources(".rs") {
            let path = file.strip_prefix(&root).unwrap().with_extension("");
            let mut names: Names =
                path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if matches!(names.last().map(String::as_str), Some("tests" | "main")) {
                continue;
            }
            if matches!(names.last().map(String::as_str), Some("mod" | "lib")) {
                names.pop();
            }
            let mut paths = Vec::new();
            for (public, path) in imports(&code(&fs::read_to_string(&file).unwrap())) {
                let (path, alias) = path.split_once(" as ").unwrap_or((&path, ""));
                let path = path.trim_end_matches("::self").to_owned();
                let name = if alias.is_empty() { path.rsplit("::").next().unwrap() } else { alias };
                if public {
                    let exports = all.exports.entry(names.clone()).or_default();
                    exports.insert(name.to_owned(), path.clone());
                }
                paths.push(path);
            }
            all.modules.insert(names, paths);
        }
        all
    }

    /// The module that defines what `path` names in `of`; `None` for another crate's.
    fn module(&self, of: &Names, path: &str, depth: usize) -> Option<Names> {
        let mut parts: Vec<&str> = path.split("::").collect();
        let mut base = of.clone();
        match parts[0] {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                while parts.first() == Some(&"super") {
                    base.pop();
                    parts.remove(0);
                }
                parts.insert(0, "");
            }
            child => {
                base.push(child.to_owned());
                if !self.modules.contains_key(&base) {
                    return None;
                }
            }
        }
        let mut rest = parts[1..].iter();
        let mut last = None;
        for part in rest.by_ref() {
            base.push((*part).to_owned());
            if !self.modules.contains_key(&base) {
                last = base.pop();
                break;
            }
        }
        let exported = last.and_then(|name| self.exports.get(&base)?.get(&name).cloned());
        match exported {
            Some(path) if depth < 5 => self.module(&base, &path, depth + 1).or(Some(base)),
            _ => Some(base),
        }
    }

    /// For each folder: which of its files and folders imports which other one, and where.
    fn neighbours(&self) -> BTreeMap<Names, BTreeMap<(String, String), String>> {
        let mut out: BTreeMap<Names, BTreeMap<_, _>> = BTreeMap::new();
        for (from, paths) in &self.modules {
            for path in paths {
                let Some(to) = self.module(from, path, 0) else { continue };
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                // What a folder's own file says of its parts, and they of it, is no cycle.
                if let (Some(a), Some(b)) = (from.get(shared), to.get(shared)) {
                    let place = format!("{}: {path}", from.join("/"));
                    let edges = out.entry(from[..shared].to_vec()).or_default();
                    edges.entry((a.clone(), b.clone())).or_insert(place);
                }
            }
        }
        out
    }
}

/// What can be reached from `start`.
fn reached<'a>(edges: &'a BTreeMap<(String, String), String>, start: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
    while let Some(at) = open.pop() {
        for ((_, to), _) in edges.iter().filter(|((from, _), _)| from == at) {
            if seen.insert(to.as_str()) {
                open.push(to);
            }
        }
    }
    seen
}

#[test]
fn no_two_files_or_folders_import_each_other() {
    let all = Modules::read();
    let neighbours = all.neighbours();
    assert!(neighbours[&Vec::new()].len() > 50, "imports were found");
    let mut cycles = Vec::new();
    for (folder, edges) in &neighbours {
        for ((a, b), place) in edges {
            if reached(edges, b).contains(a.as_str()) {
                cycles.push(format!("{}/: {a} needs {b} ({place})", folder.join("/")));
            }
        }
    }
    assert!(cycles.is_empty(), "\n{}", cycles.join("\n"));
}

#[test]
fn no_function_but_of_the_command_line_fails_with_a_string() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let mut found = Vec::new();
    let is_inside = |file: &PathBuf| !file.starts_with(&root) && !file.ends_with("tests.rs");
    for file in sources(".rs").into_iter().filter(is_inside) {
        let code = code(&fs::read_to_string(&file).unwrap());
        let flat = code.split_whitespace().collect::<Vec<_>>().join(" ");
        for (at, _) in flat.match_indices(", String>") {
            // The innermost type that ends here.
            let (mut depth, mut begin) = (0, at);
            for (i, c) in flat[..at].char_indices().rev() {
                depth += i32::from(c == '>') - i32::from(c == '<');
                if depth < 0 {
                    begin = i;
                    break;
                }
            }
            if flat[..begin].ends_with("Result") {
                found.push(format!("{}: Result{}", file.display(), &flat[begin..at + 9]));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn cuda_devices_are_opened_in_one_place_which_says_how_they_compute() {
    for call in ["libtorch_cuda(", "set_cuda_math(&"] {
        let calls = |file: &PathBuf| code(&fs::read_to_string(file).unwrap()).contains(call);
        let found: Vec<PathBuf> = sources(".rs").into_iter().filter(calls).collect();
        assert!(
            matches!(found.as_slice(), [file] if file.ends_with("model/device.rs")),
            "{found:?}"
        );
    }
}

#[test]
fn no_line_of_code_is_over_100_columns() {
    let mut found = Vec::new();
    for file in sources("") {
        // What is no text has no lines.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (i, line) in text.lines().enumerate() {
            if line.chars().count() > COLUMNS {
                found.push(format!("{}:{}", file.display(), i + 1));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
