//! What make does about a LibTorch that changes under its path, on folders that only look like one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the script with LibTorch at `root/libtorch`, and a cargo that only notes what it is asked.
fn flavour(root: &Path, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/flavour.sh");
    let mut command = Command::new(script);
    command.args(arguments).env("LIBTORCH", root.join("libtorch"));
    command.env("CARGO_TARGET_DIR", root.join("target")).env("CARGO", root.join("cargo"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn printed(root: &Path) -> String {
    String::from_utf8(flavour(root, &[]).stdout).unwrap().trim().to_owned()
}

/// The packages that were removed from the target folder, since this was last called.
fn removed(root: &Path) -> Vec<String> {
    flavour(root, &["--notice"]);
    let asked = fs::read_to_string(root.join("asked")).unwrap_or_default();
    let _ = fs::remove_file(root.join("asked"));
    let packages = asked.lines().filter(|line| line.contains("--profile dev "));
    packages.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

fn machine() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("libtorch/lib")).unwrap();
    fs::write(root.join("libtorch/build-version"), "2.9.0+cpu\n").unwrap();
    let cargo = root.join("cargo");
    let noting = format!("#!/bin/sh\necho \"$@\" >> '{}'\n", root.join("asked").display());
    fs::write(&cargo, noting).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn another_kind_or_version_under_the_same_path_is_built_for_anew_and_nothing_else_is() {
    let dir = machine();
    let root = dir.path();
    let all = ["torch-sys", "burn-tch", "earlybird"];
    assert_eq!(printed(root), "2.9.0+cpu");
    assert!(removed(root).is_empty(), "nothing is known of a former one");
    assert!(removed(root).is_empty(), "it is the same");
    let cuda = root.join("libtorch/lib/libtorch_cuda.so");
    fs::write(&cuda, "").unwrap();
    assert_eq!(printed(root), "2.9.0+cuda");
    assert_eq!(removed(root), all);
    assert!(removed(root).is_empty());
    fs::remove_file(cuda).unwrap();
    assert_eq!(removed(root), all);
    fs::remove_file(root.join("libtorch/build-version")).unwrap();
    let python = "from typing import Optional\n__version__ = '2.11.0+cu130'\ncuda = '13.0'\n";
    fs::write(root.join("libtorch/version.py"), python).unwrap();
    assert_eq!(printed(root), "2.11.0+cpu");
    assert_eq!(removed(root), all);
    fs::remove_file(root.join("libtorch/version.py")).unwrap();
    assert_eq!(printed(root), "unknown+cpu");
}

#[test]
fn a_folder_that_was_built_in_before_there_were_notes_is_built_in_anew() {
    let dir = machine();
    let root = dir.path();
    fs::create_dir_all(root.join("target/debug/build/torch-sys-0123456789abcdef")).unwrap();
    assert_eq!(removed(root), ["torch-sys", "burn-tch", "earlybird"]);
    assert!(removed(root).is_empty(), "it is noted now");
}
