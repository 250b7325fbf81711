//! The command line: what can be typed, and which exit code it ends with.

mod data;
mod doctor;
mod headless;
mod train;

use clap::{Args, Parser, Subcommand};
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
    /// 130: somebody stopped it.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Usage => 2,
            Outcome::Interrupted => 130,
        })
    }
}

/// Train image classifiers with SGD biased towards early important samples, live in the terminal.
#[derive(Debug, Parser)]
#[command(name = "earlybird", version, max_term_width = 110)]
#[command(
    after_help = "Without a command, earlybird trains the demo on its embedded data.\nExit codes: 0 finished, 1 failed, 2 bad usage or config, 130 interrupted."
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
    /// Say what this machine, its LibTorch and its terminal can do.
    Doctor,
    /// Data sets: list them, fetch them, check files.
    #[command(subcommand)]
    Data(DataCommand),
}

/// Arguments of `earlybird train`.
#[derive(Debug, Default, Args)]
pub struct TrainArgs {
    /// Config file in TOML; none = the demo on the embedded data. The shipped ones are in configs/.
    config: Option<PathBuf>,
    /// Set a config value, e.g. --set train.epochs=10 (may be repeated; comes after the file).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of every random stream (the same as --set seed=S).
    #[arg(long)]
    seed: Option<u64>,
    /// Print the resolved config and exit.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    how: HowArgs,
}

/// Where a run is computed, kept and shown.
#[derive(Debug, Default, Args)]
struct HowArgs {
    /// Where to train: cpu, cuda:0, flex. Default: the first CUDA device, else the CPU.
    #[arg(long)]
    device: Option<String>,
    /// Plain lines instead of the cockpit.
    #[arg(long)]
    headless: bool,
    /// Every event as a line of JSON on stdout (implies --headless).
    #[arg(long)]
    json: bool,
    /// Directory that holds the runs' directories.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs_dir: PathBuf,
    /// CPU threads of LibTorch. Default: what LibTorch chooses (the physical cores).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    screen: ScreenArgs,
}

/// Arguments of `earlybird resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run: its name under the runs' directory, or a path. Default: the newest.
    run: Option<String>,
    /// Change a value that may change while a run goes on, e.g. --set train.epochs=30 (may be repeated).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    how: HowArgs,
}

/// How the cockpit looks.
#[derive(Debug, Default, Clone, Args)]
pub struct ScreenArgs {
    /// Theme: dark, light, high-contrast, colorblind, mono.
    #[arg(long, value_name = "NAME")]
    theme: Option<String>,
    /// Draw with ASCII only. Default: when the locale is not UTF-8.
    #[arg(long)]
    ascii: bool,
    /// Frames per second at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=60))]
    fps: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// The data sets there are, and where they are on this machine.
    List,
    /// Download a data set into the cache.
    Fetch {
        /// fashion-mnist, cifar10 or cifar100.
        name: String,
    },
    /// Read a data directory or archive from end to end and say what is in it, or what is wrong.
    Check {
        /// Directory or archive.
        path: PathBuf,
    },
}

/// Carries out a parsed command line.
pub fn run(cli: Cli) -> Outcome {
    match cli.command {
        None => {
            let how = HowArgs { runs_dir: "runs".into(), ..HowArgs::default() };
            train::run(TrainArgs { how, ..TrainArgs::default() })
        }
        Some(Command::Resume(args)) => train::resume(args),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Doctor) => doctor::run(),
        Some(Command::Data(DataCommand::List)) => data::list(),
        Some(Command::Data(DataCommand::Fetch { name })) => data::fetch(&name),
        Some(Command::Data(DataCommand::Check { path })) => data::check(&path),
    }
}

/// Prints a line to stdout; a closed pipe is no reason to panic.
fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints an error as people see it.
fn complain(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "earlybird: {text}");
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
