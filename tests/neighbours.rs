//! A trainer beside other work: how many threads compute, how they wait, and that a run says so.

use crate::environment::{EARLYBIRD, plain, program, skipped};
use crate::support::{Runs, small_args};
use earlybird::protocol::{Because, Event, Record, Threads, Waiting};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// What `make test`, a user or a batch system set for everything that is started does not count.
fn forget_the_environment(command: &mut Command) {
    let waiting = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"];
    let numbers = [
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "SLURM_CPUS_PER_TASK",
        "NCPUS",
        "NSLOTS",
        "LSB_DJOB_NUMPROC",
    ];
    waiting.iter().chain(&numbers).for_each(|name| _ = command.env_remove(name));
}

/// The threads that a run in an environment tells of.
fn threads(environment: &[(&str, &str)], program: &[&str]) -> Threads {
    let runs = Runs::new();
    let mut command = plain(Command::new(program[0]));
    command.args(&program[1..]).args(small_args(&["train", "--json"]));
    forget_the_environment(&mut command);
    let output = command
        .arg("--runs-dir")
        .arg(runs.path())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let started =
        String::from_utf8(output.stdout).unwrap().lines().find_map(|line| match Record::from_line(
            line,
        )?
        .event
        {
            Event::RunStarted { threads, .. } => threads,
            _ => None,
        });
    started.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn threads_wait_passively_unless_the_user_decides() {
    for (environment, wanted) in [
        (&[][..], Waiting::Passive),
        (&[("OMP_WAIT_POLICY", "active")], Waiting::Spinning),
        (&[("GOMP_SPINCOUNT", "10000000")], Waiting::Spinning),
        (&[("OMP_WAIT_POLICY", "passive")], Waiting::Passive),
    ] {
        assert_eq!(threads(environment, &[EARLYBIRD]).waiting, wanted, "{environment:?}");
    }
}

#[test]
fn threads_are_no_more_than_the_job_and_the_affinity_mask_allow() {
    let job = threads(&[("SLURM_CPUS_PER_TASK", "1")], &[EARLYBIRD]);
    let cores = threads(&[], &[EARLYBIRD]);
    // On one core its own number is as small.
    let by = if cores.count > 1 {
        Because::Variable("SLURM_CPUS_PER_TASK".into())
    } else {
        cores.because.clone()
    };
    assert_eq!((job.count, job.because), (1, by));
    let asked = threads(&[("OMP_NUM_THREADS", "3"), ("SLURM_CPUS_PER_TASK", "1")], &[EARLYBIRD]);
    assert_eq!((asked.count, asked.because), (3, Because::Variable("OMP_NUM_THREADS".into())));
    if Command::new("taskset").arg("--version").output().is_err() {
        skipped("1 case of 4: there is no taskset to bind a process with");
        return;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = allowed.split(['-', ',']).next().unwrap();
    assert_eq!(threads(&[], &["taskset", "--cpu-list", first, EARLYBIRD]).count, 1);
}

#[test]
fn a_run_that_was_asked_for_in_no_words_waits_passively_and_has_the_program_s_name() {
    let runs = Runs::new();
    let mut command = program();
    forget_the_environment(&mut command);
    // Without a command, and not on a terminal: the demo, as lines.
    let mut child = command
        .current_dir(runs.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let name = std::fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let journal = std::fs::read_to_string(runs.path().join("runs/demo-001/journal.jsonl")).unwrap();
    assert!(journal.contains("\"waiting\":\"passive\""), "{first}{journal}");
    assert_eq!(name.trim(), "earlybird");
}

#[test]
fn doctor_says_how_many_threads_would_compute_and_why() {
    let said = |environment: &[(&str, &str)]| {
        let mut command = program();
        forget_the_environment(&mut command);
        let output = command.arg("doctor").envs(environment.iter().copied()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|l| l.contains("threads ")).unwrap_or_default().to_owned()
    };
    let plain = said(&[]);
    assert!(plain.starts_with("ok") && plain.contains("asleep while they wait"), "{plain}");
    let job = said(&[("OMP_NUM_THREADS", "1")]);
    assert!(job.contains("1 by OMP_NUM_THREADS"), "{job}");
    let spinning = said(&[("OMP_WAIT_POLICY", "active")]);
    assert!(spinning.starts_with("warning") && spinning.contains("spinning"), "{spinning}");
    let many = said(&[("OMP_NUM_THREADS", "512")]);
    assert!(many.starts_with("warning") && many.contains("512 by OMP_NUM_THREADS"), "{many}");
}
