//! A program that is replaced or removed while it works, and files or processes of another version.

use crate::environment::{EARLYBIRD, plain, program, skipped};
use crate::support::{Headless, Runs, epochs, small_args};
use earlybird::protocol::Event;
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A copy of the program in a directory of its own.
fn copy_of_the_program(directory: &Path) -> PathBuf {
    let (copy, original) = (directory.join("earlybird"), EARLYBIRD);
    std::fs::hard_link(original, &copy)
        .or_else(|_| std::fs::copy(original, &copy).map(drop))
        .unwrap();
    copy
}

/// Puts another program in its place, which trains nothing.
fn replace(program: &Path) {
    std::fs::remove_file(program).unwrap();
    std::fs::write(program, "#!/bin/sh\nexit 7\n").unwrap();
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_comparison_goes_on_when_its_program_is_replaced_or_removed() {
    if !cfg!(target_os = "linux") {
        skipped("2 cases, which need /proc/self/exe");
        return;
    }
    for change in [replace, |program: &Path| std::fs::remove_file(program).unwrap()] {
        let (runs, place) = (Runs::new(), tempfile::tempdir().unwrap());
        let program = copy_of_the_program(place.path());
        let mut command = plain(Command::new(&program));
        command
            .args(small_args(&["compare", "--json", "--seeds", "1", "--runs-dir"]))
            .arg(runs.path());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().expect("the first epoch").unwrap();
        change(&program);
        let last = lines.map(|l| l.unwrap()).last();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(last.is_some_and(|l| l.contains("\"rows\"")));
    }
}

#[test]
fn a_run_s_process_has_the_program_s_name() {
    let runs = Runs::new();
    let args = small_args(&["train", "--set", "train.epochs=100000"]);
    let mut t = crate::terminal::Terminal::start(runs.path(), &args);
    t.wait("training", |s| s.contains("images/s"));
    let host = runs.host("demo-001").unwrap().as_raw_nonzero();
    if let Ok(name) = std::fs::read_to_string(format!("/proc/{host}/comm")) {
        assert_eq!(name.trim(), "earlybird");
    }
    t.press("qs");
    t.wait("the end", |s| s.contains("Kept in"));
}

#[test]
fn a_checkpoint_of_another_version_is_told_and_neither_skipped_nor_set_aside() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", "train.epochs=100000"]);
    child.until(|e| matches!(e, Event::Checkpoint { epoch: 3, .. }));
    child.kill(Signal::INT);
    child.end();
    let directory = runs.directory("demo-001");
    let (_, arrays) = directory.checkpoints().newest().unwrap().checkpoint.unwrap();
    let manifest = arrays.with_extension("json");
    let ours = std::fs::read_to_string(&manifest).unwrap();
    let newer = ours.replacen("\"format\":2", "\"format\":3", 1).replacen(
        "\"version\":\"0.1.0\"",
        "\"version\":\"9.8.7\"",
        1,
    );
    // What this version does not know in the state, with the right checksum, is no damage either.
    let whole: serde_json::Value = serde_json::from_str(&ours).unwrap();
    let state =
        whole["state"].to_string().replacen("\"train\":{", "\"train\":{\"unheard_of\":1,", 1);
    let sum = sha(&state);
    let foreign = format!(
        "{{\"format\":2,\"version\":\"9.8.7\",\"arrays_sha256\":{},\
         \"state_sha256\":\"{sum}\",\"state\":{state}}}",
        whole["arrays_sha256"]
    );
    for text in [newer, foreign, "{\"format\":99}".to_owned()] {
        std::fs::write(&manifest, &text).unwrap();
        let output =
            program().args(["resume", "--json", "--runs-dir"]).arg(runs.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("another version") && (text.len() < 20 || said.contains("9.8.7")),
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(&manifest).unwrap(), text, "it is left where it is");
    }
    std::fs::write(&manifest, ours).unwrap();
    let args = ["resume", "--json", "--set", "train.epochs=1000", "--runs-dir"];
    let mut resumed = program();
    resumed.args(args).arg(runs.path());
    let child = Headless::start(resumed);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    child.kill(Signal::INT);
    let (code, events) = child.end();
    assert!(code == 130 && !epochs(&events).is_empty());
}

fn sha(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// A process that greets as another version does, then sends `frames`.
fn stranger(socket: &Path, welcome: &str, frames: &str) -> std::thread::JoinHandle<()> {
    use std::io::Write;
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    let text = format!("{welcome}\n{frames}");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(text.as_bytes());
        let _ = BufReader::new(stream).lines().map_while(Result::ok).last(); // until it hangs up
    })
}

#[test]
fn a_host_of_another_version_is_told_by_name_and_not_tried_again_for_ever() {
    use earlybird::link::{Delivery, PROTOCOL, connect};
    let welcome = |protocol: u32| {
        format!(
            "{{\"welcome\":{{\"protocol\":{protocol},\"version\":\"9.8.7\",\
             \"run\":\"demo-001\",\"pid\":1,\"client\":1,\"paused\":false}}}}"
        )
    };
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("newer.sock");
    let host = stranger(&socket, &welcome(PROTOCOL + 1), "");
    let why = connect(&socket).expect_err("another protocol").to_string();
    assert!(why.contains("9.8.7") && why.contains("update this program"), "{why}");
    host.join().unwrap();
    // The same protocol by its number, and yet a frame that this version does not know.
    let socket = place.path().join("like.sock");
    let host = stranger(&socket, &welcome(PROTOCOL), "{\"poem\":\"of a newer version\"}\n");
    let mut end = connect(&socket).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = runtime.block_on(end.next());
    let Some(Delivery::Parted(why)) = first else { panic!("{first:?}") };
    assert!(why.contains("not understood") && why.contains("9.8.7"), "{why}");
    drop(end);
    host.join().unwrap();
}
