//! The command line: what can be typed, and which exit code it ends with.

mod arguments;
mod attach;
mod bench;
mod compare;
mod data;
mod doctor;
mod evaluate;
mod headless;
mod keys;
mod limits;
mod models;
mod output;
mod peers;
mod reach;
mod report;
mod runs;
mod send;
mod train;
mod watch;

use self::arguments::{
    AttachArgs, BenchArgs, BenchWhat, BiasWord, CompareArgs, DataCommand, EvaluateArgs, ExportArgs,
    HowArgs, ModelsArgs, PlaceArgs, ReplayArgs, ResumeArgs, SendArgs, SendWhat, TrainArgs,
};
use self::output::say;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 0: everything that was asked for is done.
    Done,
    /// 1: it failed.
    Failed,
    /// 2: it was asked wrongly (command line or config).
    Usage,
    /// 130, or 128 and the number of the signal that stopped it (143 for TERM).
    Interrupted(u8),
}

impl From<u8> for Outcome {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Failed,
            2 => Self::Usage,
            code => Self::Interrupted(code),
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Usage => 2,
            Outcome::Interrupted(code) => code,
        })
    }
}

/// Train image classifiers with SGD biased towards early important samples, live in the terminal.
#[derive(Debug, Parser)]
#[command(name = "earlybird", version, max_term_width = 110)]
#[command(
    after_help = "Without a command, earlybird trains the demo on its embedded data.\nA run is \
                  trained by a process of its own: it goes on when the cockpit is left or the line \
                  is cut.\nExit codes: 0 finished (or left), 1 failed, 2 bad usage or config, 130 \
                  interrupted, 143 terminated (128 and the number of the signal that stopped the \
                  run)."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train (in the cockpit, or with plain lines: --headless).
    Train(TrainArgs),
    /// Go on with a run that was stopped, from its newest checkpoint.
    Resume(ResumeArgs),
    /// Open the cockpit on a run that is being trained.
    Attach(AttachArgs),
    /// Ask something of a run from a script: prints the answer; exit code 0 applied, 1 refused.
    Send(SendArgs),
    /// The runs there are: state, epoch, best accuracy, size.
    Runs {
        /// As JSON, one object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Train several arms of one run, forked at E and paired by seed, and put them side by side.
    Compare(CompareArgs),
    /// A trained model on its test set: accuracy, recall and precision by class, confusion matrix.
    Evaluate(EvaluateArgs),
    /// Write a run's newest model to a safetensors file with PyTorch's names and layouts.
    Export(ExportArgs),
    /// Write a page about runs, or about a comparison: figures, tables, cautions.
    Report {
        /// Runs or one comparison: names under the runs' directory, or paths.
        #[arg(required = true)]
        what: Vec<String>,
        /// Directory for the page. Default: `report` in the (first) run's directory.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Watch a run's journal like a film (or print it: --headless).
    Replay(ReplayArgs),
    /// Train a run in a process of its own (what `train` and `resume` start).
    #[command(hide = true)]
    Host(crate::host::Arguments),
    /// Measure the trainer's step, the data path, the sampler, the journal, or the cockpit's
    /// frames.
    Bench(BenchArgs),
    /// The models there are: parameters, operations, memory.
    Models(ModelsArgs),
    /// The cockpit's keys as a table, with your own ones, and where to change them.
    Keys,
    /// Say what this machine, its LibTorch and its terminal can do.
    Doctor,
    /// Data sets: list them, fetch them, check files.
    #[command(subcommand)]
    Data(DataCommand),
}

/// Carries out the command line that this process was started with.
pub fn run() -> Outcome {
    crate::host::take_its_name();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return output::explain(&e),
    };
    let settled = limits::settle().map_err(failed);
    output::settle(settled.map_or_else(|outcome| outcome, |()| carry_out(cli)))
}

impl Command {
    /// Whether this process computes, not only one that it starts.
    fn computes_here(&self) -> bool {
        match self {
            Self::Train(TrainArgs { how, .. }) | Self::Resume(ResumeArgs { how, .. }) => {
                train::computes_here(how)
            }
            Self::Bench(args) => !args.against_pytorch,
            Self::Host(_) | Self::Evaluate(_) => true,
            _ => false,
        }
    }
}

fn carry_out(cli: Cli) -> Outcome {
    if cli.command.as_ref().map_or_else(|| watch::no_screen().is_some(), Command::computes_here) {
        crate::host::begin_with_passive_threads();
        crate::model::keep_memory();
    }
    match cli.command {
        None => train::run(TrainArgs::default()),
        Some(Command::Resume(args)) => train::resume(args),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Attach(args)) => attach::run(&args),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        Some(Command::Export(args)) => evaluate::export(&args),
        Some(Command::Report { what, out, place }) => report::run(&what, out, &place.runs_dir),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Replay(args)) => watch::replay(&args),
        Some(Command::Send(args)) => send::run(args),
        Some(Command::Runs { json, place }) => runs::run(&place.runs_dir, json),
        Some(Command::Host(arguments)) => Outcome::from(crate::host::run_process(&arguments)),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Models(args)) => models::run(&args),
        Some(Command::Keys) => keys::run(),
        Some(Command::Doctor) => doctor::run(),
        Some(Command::Data(DataCommand::List)) => data::list(),
        Some(Command::Data(DataCommand::Fetch { name })) => data::fetch(&name),
        Some(Command::Data(DataCommand::Check { path })) => data::check(&path),
        Some(Command::Data(DataCommand::Pack(args))) => data::pack(&args),
    }
}

/// This program as it was called, for commands that a person can copy.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "earlybird".into())
}

/// Prints an error of something that went wrong.
fn failed(e: impl std::fmt::Display) -> Outcome {
    complain(e);
    Outcome::Failed
}

/// Prints an error of something that was asked wrongly.
fn usage(e: impl std::fmt::Display) -> Outcome {
    complain(e);
    Outcome::Usage
}

/// Prints an error as people see it.
fn complain(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr(),
        "earlybird: {}",
        crate::printable::printable(&text.to_string())
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
