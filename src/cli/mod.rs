//! The command line: what can be typed, and which exit code it ends with.

mod compare;
mod data;
mod doctor;
mod evaluate;
mod headless;
mod report;
mod runs;
mod send;
mod train;
mod watch;

use crate::model::device::DeviceName;
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
    /// 130, or 143 for TERM: somebody stopped it.
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
    after_help = "Without a command, earlybird trains the demo on its embedded data.\nA run is trained by a process of its own: it goes on when the cockpit is left or the line is cut.\nExit codes: 0 finished (or left), 1 failed, 2 bad usage or config, 130 interrupted, 143 terminated."
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
    #[command(flatten)]
    compute: ComputeArgs,
    /// Plain lines instead of the cockpit.
    #[arg(long)]
    headless: bool,
    /// Every event as a line of JSON on stdout (implies --headless).
    #[arg(long)]
    json: bool,
    /// Train in this process: the run ends with the cockpit.
    #[arg(long, conflicts_with_all = ["headless", "json"])]
    inline: bool,
    #[command(flatten)]
    place: PlaceArgs,
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

/// What computes.
#[derive(Debug, Default, Args)]
struct ComputeArgs {
    /// cpu, cuda:0 or flex. Default: the device that a run to be continued was on, else the first CUDA device, else the CPU.
    #[arg(long)]
    device: Option<String>,
    /// CPU threads of LibTorch. Default: what LibTorch chooses (the physical cores).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl ComputeArgs {
    /// The device that was named; else `before`, the one that a run to be continued was on; else the best there is.
    fn device(&self, before: Option<DeviceName>) -> Result<DeviceName, Outcome> {
        let name = self.device.as_deref().map_or_else(|| Ok(before.unwrap_or_else(DeviceName::best)), str::parse);
        name.map_err(usage)
    }

    fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }
}

/// Where runs are kept.
#[derive(Debug, Clone, Args)]
struct PlaceArgs {
    /// Directory that holds the runs' directories.
    #[arg(long, value_name = "DIR", default_value = "runs", global = true)]
    runs_dir: PathBuf,
}

impl Default for PlaceArgs {
    fn default() -> Self {
        Self { runs_dir: "runs".into() }
    }
}

/// Arguments of `earlybird attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The run: its name under the runs' directory, or a path. Default: the newest that is being trained.
    run: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    screen: ScreenArgs,
}

/// Arguments of `earlybird send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The run: its name under the runs' directory, a path, or `latest`.
    run: String,
    #[command(subcommand)]
    what: SendWhat,
    #[command(flatten)]
    place: PlaceArgs,
    /// The answer as a line of JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum SendWhat {
    /// Wait after the step in progress.
    Pause,
    /// Go on.
    Resume,
    /// Write a checkpoint now.
    Checkpoint,
    /// End the run, with a checkpoint.
    Stop {
        /// When the epoch in progress has been evaluated, instead of now.
        #[arg(long)]
        after_epoch: bool,
    },
    /// Change a config value, e.g. set train.lr_scale 0.5
    Set {
        /// The config key.
        key: String,
        /// Its new value.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Change the bias.
    Bias {
        /// now, off or on.
        how: BiasWord,
    },
    /// Compute the weights anew at the next epoch boundary.
    Rescore,
    /// Go back to the newest checkpoint, with the learning rate scaled.
    Rewind {
        /// Factor on the learning rate.
        #[arg(long, default_value_t = 0.5)]
        lr_factor: f64,
    },
    /// Keep a remark with the run.
    Note {
        /// The remark.
        text: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum BiasWord {
    Now,
    Off,
    On,
}

/// Arguments of `earlybird evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// A run (its name or path), or a safetensors file.
    what: String,
    /// Config that names model and data. Default: the run's own; for a file the demo's.
    #[arg(long, value_name = "CONFIG")]
    data: Option<PathBuf>,
    /// Set a config value (may be repeated; comes after the file).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    compute: ComputeArgs,
    /// Write the logits, shape [n, C], to this safetensors file.
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Arguments of `earlybird export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run: its name under the runs' directory, or a path.
    run: String,
    /// The file.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Arguments of `earlybird compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Config file in TOML; none = the demo on the embedded data. [arms.NAME] tables in it define arms.
    config: Option<PathBuf>,
    /// Arms, separated by commas; uniform and uniform-null are always among them.
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "biased,class-balanced")]
    arms: Vec<String>,
    /// How many seeds, from the config's on.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Name of the comparison. Default: the config's, with -compare.
    #[arg(long, value_parser = run_name)]
    name: Option<String>,
    /// Go on with this comparison; finished arms are not trained again.
    #[arg(long, value_name = "COMPARISON", conflicts_with_all = ["config", "name", "set", "seed"])]
    resume: Option<String>,
    /// Set a config value (may be repeated; comes after the file).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The first seed.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    compute: ComputeArgs,
    /// Plain lines (there is nothing else yet: this flag is for scripts that say so).
    #[arg(long)]
    headless: bool,
    /// Every epoch, and the table at the end, as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

fn run_name(text: &str) -> Result<String, String> {
    let set = crate::config::parse_set(&format!("name={text}"));
    set.map(|_| text.to_owned()).map_err(|p| p.what)
}

/// Arguments of `earlybird replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The run: its name under the runs' directory, or a path. Default: the newest.
    run: Option<String>,
    /// As a multiple of the run's own speed. Default: so that it takes a minute.
    #[arg(long, value_name = "X", value_parser = positive)]
    speed: Option<f64>,
    /// Print the story as plain lines instead.
    #[arg(long)]
    headless: bool,
    /// Print every event as a line of JSON instead.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    screen: ScreenArgs,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|v: &f64| v.is_finite() && *v > 0.0).ok_or_else(|| "expected a number above 0".into())
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
        None => train::run(TrainArgs::default()),
        Some(Command::Resume(args)) => train::resume(args),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Attach(args)) => watch::attach(&args),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        Some(Command::Export(args)) => evaluate::export(&args),
        Some(Command::Report { what, out, place }) => report::run(&what, out, &place.runs_dir),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Replay(args)) => watch::replay(&args),
        Some(Command::Send(args)) => send::run(args),
        Some(Command::Runs { json, place }) => runs::run(&place.runs_dir, json),
        Some(Command::Host(arguments)) => Outcome::from(crate::host::run_process(&arguments)),
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
