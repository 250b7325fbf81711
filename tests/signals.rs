//! Signals, to everything that trains or shows: what trains ends in order, with a checkpoint; what
//! shows gives the terminal back.

use crate::support::{Runs, small_args};
use crate::terminal::Terminal;
use earlybird::protocol::{CheckpointKind, End, Event};
use rustix::process::{Signal, kill_process};

const ENDLESS: &str = "train.epochs=100000";

/// Every signal that would end a process, and that a program may mind; its name, and the exit code
/// that says so.
const STOPPING: &[(Signal, &str, u32)] = &[
    (Signal::INT, "SIGINT", 130),
    (Signal::QUIT, "SIGQUIT", 131),
    (Signal::TERM, "SIGTERM", 143),
    (Signal::USR1, "SIGUSR1", 138),
    (Signal::USR2, "SIGUSR2", 140),
    (Signal::XCPU, "SIGXCPU", 152),
    (Signal::ALARM, "SIGALRM", 142),
    (Signal::VTALARM, "SIGVTALRM", 154),
    (Signal::PROF, "SIGPROF", 155),
    (Signal::IO, "SIGIO", 157),
    (Signal::POWER, "SIGPWR", 158),
    (Signal::STKFLT, "SIGSTKFLT", 144),
];

/// Whether the run ended in order, because of the signal of this name, and can go on.
fn assert_in_order(events: &[Event], name: &str) {
    let has = |done: &dyn Fn(&Event) -> bool| {
        assert!(events.iter().any(done), "{name}: {:?}", events.last())
    };
    has(&|e| matches!(e, Event::Note { text } if text.ends_with(name)));
    has(&|e| matches!(e, Event::Checkpoint { kind: CheckpointKind::Stopped, .. }));
    has(&|e| matches!(e, Event::Finished { end: End::Stopped, .. }));
}

fn journal(runs: &Runs) -> Vec<Event> {
    let records =
        earlybird::run::read_journal(&runs.path().join("demo-001/journal.jsonl")).unwrap().records;
    records.into_iter().map(|r| r.event).collect()
}

#[test]
fn every_signal_that_would_kill_a_run_stops_it_in_order_and_it_goes_on_later() {
    for (signal, name, code) in STOPPING {
        let runs = Runs::new();
        let child = runs.headless("train", &["--set", ENDLESS]);
        child.until(|e| matches!(e, Event::EpochEnd(_)));
        child.kill(Signal::HUP); // does not matter
        child.kill(*signal);
        let (got, events) = child.end();
        assert_eq!(got, *code as i32, "{name}");
        assert_in_order(&events, name);
        if *signal == Signal::USR1 {
            let again = runs.headless("resume", &[]);
            again.until(|e| matches!(e, Event::EpochEnd(_)));
            again.kill(Signal::TERM);
            assert_eq!(again.end().0, 143);
        }
    }
}

#[test]
fn a_host_process_is_stopped_in_order_by_what_batch_systems_send() {
    for (signal, name, _) in
        STOPPING.iter().filter(|(_, name, _)| ["SIGUSR1", "SIGXCPU", "SIGQUIT"].contains(name))
    {
        let runs = Runs::new();
        let mut t = Terminal::start(runs.path(), &small_args(&["train", "--set", ENDLESS]));
        t.wait("some epochs", |s| s.contains("best"));
        kill_process(runs.host("demo-001").unwrap(), *signal).unwrap();
        t.wait("the end", |s| s.contains("STOPPED"));
        assert_in_order(&journal(&runs), name);
    }
}

#[test]
fn an_inline_cockpit_gives_the_terminal_back_and_says_which_signal_ended_its_run() {
    for (signal, name, code) in &STOPPING[..4] {
        let runs = Runs::new();
        let mut t =
            Terminal::start(runs.path(), &small_args(&["train", "--inline", "--set", ENDLESS]));
        t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
        t.kill(*signal);
        t.wait("the last words", |s| s.contains("Kept in") && s.contains("resume demo-001"));
        assert_eq!(t.end(), *code, "{name}");
        assert!(t.is_given_back(), "{name}");
        assert_in_order(&journal(&runs), name);
    }
}

#[test]
fn an_attached_cockpit_gives_the_terminal_back_and_the_run_does_not_notice() {
    let runs = Runs::new();
    let run = runs.headless("train", &["--set", ENDLESS]);
    run.until(|e| matches!(e, Event::EpochEnd(_)));
    for (signal, name, _) in &STOPPING[..7] {
        let mut t = Terminal::start(runs.path(), &["attach"]);
        t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
        t.kill(*signal);
        t.wait("the last words", |s| s.contains("trains on"));
        assert_eq!(t.end(), 0, "{name}");
        assert!(t.is_given_back(), "{name}");
    }
    run.until(|e| matches!(e, Event::EpochEnd(_)));
    run.kill(Signal::TERM);
    let (code, events) = run.end();
    assert!(
        code == 143
            && !events
                .iter()
                .any(|e| matches!(e, Event::Note { text } if !text.ends_with("SIGTERM")))
    );
}

#[test]
fn a_terminal_that_is_closed_ends_its_cockpit_without_a_panic_and_an_inline_run_goes_on() {
    for _ in 0..5 {
        let runs = Runs::new();
        let mut t = Terminal::start(
            runs.path(),
            &small_args(&["train", "--inline", "--set", "train.epochs=12"]),
        );
        t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
        t.hang_up();
        assert_eq!(t.child.wait().unwrap().exit_code(), 0);
        let events = journal(&runs);
        assert!(
            matches!(events.last(), Some(Event::Finished { epochs: 12, end: End::Complete, .. })),
            "{:?}",
            events.last()
        );
        let log = std::fs::read_to_string(runs.path().join("demo-001/host.log")).unwrap();
        assert!(!log.contains("panicked"), "{log}");
    }
    let runs = Runs::new();
    let run = runs.headless("train", &["--set", ENDLESS]);
    run.until(|e| matches!(e, Event::EpochEnd(_)));
    for _ in 0..5 {
        let mut t = Terminal::start(runs.path(), &["attach"]);
        t.wait("training", |s| s.contains("TRAINING") && s.contains("images/s"));
        t.hang_up();
        assert_eq!(t.child.wait().unwrap().exit_code(), 0);
    }
    run.until(|e| matches!(e, Event::EpochEnd(_)));
}

#[test]
fn processor_time_that_the_kernel_reports_again_and_again_still_ends_in_order() {
    let runs = Runs::new();
    let child = runs.headless("train", &["--set", ENDLESS]);
    child.until(|e| matches!(e, Event::EpochEnd(_)));
    for _ in 0..20 {
        let _ = kill_process(child.pid(), Signal::XCPU);
    }
    let (code, events) = child.end();
    assert_eq!(code, 152);
    assert_in_order(&events, "SIGXCPU");
}
