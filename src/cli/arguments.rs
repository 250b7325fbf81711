//! What can be typed after each command.

use super::{Outcome, complain, failed, usage};
use crate::model::ModelName;
use crate::model::device::DeviceName;
use crate::run::Which;
use crate::tui::{Asked, ColorLevel, ImageStyle, Notify, Setup};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Arguments of `earlybird train`.
#[derive(Debug, Default, Args)]
pub(super) struct TrainArgs {
    /// Config file in TOML; none = the demo on the embedded data. The shipped ones are in configs/.
    pub(super) config: Option<PathBuf>,
    /// Set a config value, e.g. --set train.epochs=10 (may be repeated; comes after the file).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Seed of every random stream (the same as --set seed=S).
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Write TensorBoard's event files into the run's directory (the same as --set
    /// checkpoint.tensorboard=true).
    #[arg(long)]
    pub(super) tensorboard: bool,
    /// Go on with the newest run of this name where there is one, and begin it only where there is
    /// none: for jobs that a queue starts again.
    #[arg(long)]
    pub(super) resume_if_there: bool,
    /// Print the resolved config and exit.
    #[arg(long)]
    pub(super) print_config: bool,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

/// Where a run is computed, kept and shown.
#[derive(Debug, Default, Args)]
pub(super) struct HowArgs {
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
    /// Plain lines instead of the cockpit.
    #[arg(long)]
    pub(super) headless: bool,
    /// Every event as a line of JSON on stdout (implies --headless).
    #[arg(long)]
    pub(super) json: bool,
    /// Train in this process: the run ends with the cockpit.
    #[arg(long, conflicts_with_all = ["headless", "json"])]
    pub(super) inline: bool,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) screen: ScreenArgs,
}

/// Arguments of `earlybird resume`.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The run: its name under the runs' directory, or a path. Default: the newest.
    pub(super) run: Option<String>,
    /// Change a value that may change while a run goes on, e.g. --set train.epochs=30 (may be
    /// repeated).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

/// What computes.
#[derive(Debug, Default, Args)]
pub(super) struct ComputeArgs {
    /// cpu, cuda:0 or flex. Default: the device that a run to be continued was on, else the first
    /// CUDA device, else the CPU.
    #[arg(long)]
    pub(super) device: Option<String>,
    /// CPU threads of LibTorch. Default: the physical cores, but no more than affinity mask, cgroup
    /// and batch job allow.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
}

impl ComputeArgs {
    /// The device that was named; else `before`, the one that a run to be continued was on; else
    /// the best there is.
    pub(super) fn device(&self, before: Option<DeviceName>) -> Result<DeviceName, Outcome> {
        let name = self
            .device
            .as_deref()
            .map_or_else(|| Ok(before.unwrap_or_else(DeviceName::best)), str::parse);
        name.map_err(usage)
    }

    pub(super) fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }
}

/// Where runs are kept.
#[derive(Debug, Clone, Args)]
pub(super) struct PlaceArgs {
    /// Directory that holds the runs' directories.
    #[arg(long, value_name = "DIR", default_value = "runs", global = true)]
    pub(super) runs_dir: PathBuf,
}

impl Default for PlaceArgs {
    fn default() -> Self {
        Self { runs_dir: "runs".into() }
    }
}

/// Arguments of `earlybird attach`.
#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    /// The run: its name under the runs' directory, or a path. Default: the newest that is being
    /// trained.
    pub(super) run: Option<String>,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) screen: ScreenArgs,
}

/// Arguments of `earlybird send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The run: its name under the runs' directory, a path, or `latest`.
    pub(super) run: String,
    #[command(subcommand)]
    pub(super) what: SendWhat,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// The answer as a line of JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum SendWhat {
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
pub(super) enum BiasWord {
    Now,
    Off,
    On,
}

/// Arguments of `earlybird evaluate`.
#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    /// A run (its name or path), or a safetensors file.
    pub(super) what: String,
    /// Config that names model and data. Default: the run's own; for a file the demo's.
    #[arg(long, value_name = "CONFIG")]
    pub(super) data: Option<PathBuf>,
    /// Set a config value (may be repeated; comes after the file).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
    /// Correct the logits for the training set's class shares: tau, usually 1 (Menon et al. 2021).
    /// Default: as the run measured its epochs.
    #[arg(long, value_name = "TAU", value_parser = tau)]
    pub(super) adjust: Option<f64>,
    /// Write the logits, shape [n, C], to this safetensors file.
    #[arg(long, value_name = "FILE")]
    pub(super) logits: Option<PathBuf>,
    /// Which of a run's models.
    #[arg(long, value_enum, default_value_t)]
    pub(super) which: WhichModel,
    /// As one JSON object.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
}

/// A run's models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum WhichModel {
    /// The newest.
    #[default]
    Last,
    /// That of the best epoch.
    Best,
    /// The newest average over the steps (train.ema_decay).
    Average,
}

impl From<WhichModel> for Which {
    fn from(which: WhichModel) -> Self {
        match which {
            WhichModel::Last => Self::Last,
            WhichModel::Best => Self::Best,
            WhichModel::Average => Self::Average,
        }
    }
}

/// Arguments of `earlybird export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The run: its name under the runs' directory, or a path.
    pub(super) run: String,
    /// The file.
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,
    /// Which of its models.
    #[arg(long, value_enum, default_value_t)]
    pub(super) which: WhichModel,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
}

/// Arguments of `earlybird compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Config file in TOML; none = the demo on the embedded data. [arms.NAME] tables in it define
    /// arms.
    pub(super) config: Option<PathBuf>,
    /// Arms, separated by commas; uniform and uniform-null are always among them.
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        default_value = "biased,class-balanced"
    )]
    pub(super) arms: Vec<String>,
    /// How many seeds, from the config's on.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(super) seeds: u64,
    /// Name of the comparison. Default: the config's, with -compare.
    #[arg(long, value_parser = run_name)]
    pub(super) name: Option<String>,
    /// Go on with this comparison; finished arms are not trained again.
    #[arg(long, value_name = "COMPARISON", conflicts_with_all = ["config", "name", "set", "seed"])]
    pub(super) resume: Option<String>,
    /// Set a config value (may be repeated; comes after the file).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// The first seed.
    #[arg(long)]
    pub(super) seed: Option<u64>,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
    /// Train so many runs at once. Default: as many as --devices names.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) jobs: Option<u16>,
    /// The devices of the runs in turn, e.g. cuda:0,cuda:1
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "device")]
    pub(super) devices: Vec<String>,
    /// Plain lines instead of the screen.
    #[arg(long)]
    pub(super) headless: bool,
    /// Every epoch, and the table at the end, as JSON (implies --headless).
    #[arg(long)]
    pub(super) json: bool,
    /// In a session of its own (what the screen starts).
    #[arg(long, hide = true)]
    pub(super) detached: bool,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) screen: ScreenArgs,
}

fn tau(text: &str) -> Result<f64, String> {
    let (key, value) = crate::config::parse_set(&format!("importance.adjust_posthoc={text}"))
        .map_err(|p| p.what)?;
    let whole = value.as_integer().map(|v| v as f64);
    value.as_float().or(whole).ok_or_else(|| format!("expected {}", key.rule.describe()))
}

pub(super) fn run_name(text: &str) -> Result<String, String> {
    let set = crate::config::parse_set(&format!("name={text}"));
    set.map(|_| text.to_owned()).map_err(|p| p.what)
}

fn model_name() -> impl TypedValueParser<Value = ModelName> {
    PossibleValuesParser::new(ModelName::NAMES).try_map(|name| {
        let named = ModelName::ALL.iter().find(|model| model.name() == name);
        named.copied().ok_or("no such model")
    })
}

/// Arguments of `earlybird bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// What is measured.
    pub(super) what: BenchWhat,
    /// Architecture.
    #[arg(long, default_value = "convnet", value_parser = model_name())]
    pub(super) model: ModelName,
    /// Channels, height, width of the images. Default: the model's usual ones.
    #[arg(long, value_name = "C,H,W", value_delimiter = ',')]
    pub(super) shape: Vec<usize>,
    /// Classes. Default: 10; of the cockpit 1,000.
    #[arg(long)]
    pub(super) classes: Option<usize>,
    /// Samples. Default: 10,000 (on a CUDA device as many as all steps take); of the sampler ten
    /// million.
    #[arg(long)]
    pub(super) samples: Option<usize>,
    /// Images a step. Default: the model's usual number.
    #[arg(long)]
    pub(super) batch: Option<usize>,
    /// Steps (of the journal: records).
    #[arg(long)]
    pub(super) steps: Option<usize>,
    /// Compute in bf16.
    #[arg(long)]
    pub(super) bf16: bool,
    /// Crop and flip.
    #[arg(long)]
    pub(super) augment: bool,
    /// step: count the operators that one step asks of ATen, too. With EARLYBIRD_DEVICE_PATH=1
    /// those that a device of its own is asked for.
    #[arg(long)]
    pub(super) count_ops: bool,
    /// On a CUDA device: no TF32 (`train.tf32 = false`).
    #[arg(long)]
    pub(super) no_tf32: bool,
    /// On a CUDA device: cuDNN's algorithms by trying (`train.cudnn_benchmark = true`).
    #[arg(long)]
    pub(super) cudnn_benchmark: bool,
    /// data: how fast the training images of an image folder or a packed file are decoded, and
    /// random parts of them cut out, by each core.
    #[arg(long, value_name = "PATH")]
    pub(super) stream: Option<PathBuf>,
    /// step and sampler: PyTorch (and NumPy) on the same work, in turn with ours, each in a process
    /// of its own. data --stream FOLDER: torchvision and Pillow.
    #[arg(long)]
    pub(super) against_pytorch: bool,
    /// PyTorch as it is only, without torch.compile, which takes a minute on a GPU.
    #[arg(long)]
    pub(super) eager: bool,
    /// How often in turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) rounds: u16,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
    /// As JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What `earlybird bench` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum BenchWhat {
    /// The trainer's step.
    Step,
    /// Whole epochs of a headless run against a bare loop: what the method and all around it cost.
    Epoch,
    /// Batches out of resident images.
    Data,
    /// The alias table, and an epoch of draws.
    Sampler,
    /// The journal.
    Journal,
    /// Frames of a long run with many classes.
    Cockpit,
}

/// Arguments of `earlybird replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The run: its name under the runs' directory, or a path. Default: the newest.
    pub(super) run: Option<String>,
    /// As a multiple of the run's own speed. Default: so that it takes a minute.
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(super) speed: Option<f64>,
    /// Print the story as plain lines instead.
    #[arg(long)]
    pub(super) headless: bool,
    /// Print every event as a line of JSON instead.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) screen: ScreenArgs,
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v: &f64| v.is_finite() && *v > 0.0)
        .ok_or_else(|| "expected a number above 0".into())
}

/// How the cockpit looks.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct ScreenArgs {
    /// Theme: dark, light, high-contrast, colorblind, mono, or one of your own. Default: by the
    /// terminal's background.
    #[arg(long, value_name = "NAME")]
    pub(super) theme: Option<String>,
    /// Colours that are used. Default: those that the terminal has.
    #[arg(long, value_name = "LEVEL")]
    pub(super) color: Option<ColorLevel>,
    /// Draw with ASCII only. Default: when the locale is not UTF-8.
    #[arg(long)]
    pub(super) ascii: bool,
    /// How samples are drawn. Default: as the terminal can.
    #[arg(long, value_name = "WAY")]
    pub(super) images: Option<ImageStyle>,
    /// Frames per second at most. Default: 15, over SSH 10.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=60))]
    pub(super) fps: Option<u16>,
    /// How you are told that a run ended, failed, or waits because of a fault.
    #[arg(long, value_name = "WAY", num_args = 0..=1, default_missing_value = "desktop")]
    pub(super) notify: Option<Notify>,
}

impl ScreenArgs {
    /// The set-up of a screen that is about to be opened. What is wrong there is told, and is no
    /// reason not to open it.
    pub(super) fn setup(&self) -> Result<Setup, Outcome> {
        let asked = Asked {
            theme: self.theme.clone(),
            color: self.color,
            ascii: self.ascii,
            images: self.images,
            fps: self.fps,
            notify: self.notify,
        };
        let setup = Setup::find(&asked).map_err(failed)?;
        setup.warnings.iter().for_each(complain);
        Ok(setup)
    }
}

/// Arguments of `earlybird models`.
#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    /// Channels, height, width of the images. Default: each model's usual ones.
    #[arg(long, value_name = "C,H,W", value_delimiter = ',')]
    pub(super) shape: Vec<usize>,
    /// Classes.
    #[arg(long, default_value_t = 10, value_parser = count(2))]
    pub(super) classes: usize,
    /// Images a step. Default: each model's usual number.
    #[arg(long, value_parser = count(1))]
    pub(super) batch: Option<usize>,
    /// Compute in bf16.
    #[arg(long)]
    pub(super) bf16: bool,
    /// As JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// The data sets there are, and where they are on this machine.
    List,
    /// Download a data set into the cache.
    Fetch {
        /// fashion-mnist, cifar10 or cifar100.
        name: String,
    },
    /// Read a data directory or archive from end to end and say what is in it, or what is wrong.
    Check {
        /// Directory, archive or packed file.
        path: PathBuf,
    },
    /// Pack an image folder as one file, for data.source = "packed": a tar with an index.
    Pack(PackArgs),
}

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// The folder that holds train/<class>/ and test/<class>/.
    pub(super) folder: PathBuf,
    /// The file to write; one that is there is not written over.
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,
    /// Scale images whose short side is longer down to so many pixels, as JPEG of quality 90.
    /// Default: the files as they are.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(8..=8192))]
    pub(super) short_side: Option<u32>,
    /// Write pixels instead of what the files hold: several times larger, much faster to read.
    #[arg(long)]
    pub(super) raw: bool,
    /// Leave damaged files out, and tell them, instead of refusing the folder.
    #[arg(long)]
    pub(super) skip_broken: bool,
}

/// A whole number from `least` to a hundred thousand.
fn count(least: u64) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u64).range(least..=100_000).map(|n| n as usize)
}
