//! `earlybird bench --against-pytorch`: PyTorch's forms of the same work in turn with ours, each in
//! a process of its own, and one table of all.

use super::{BenchArgs, Outcome, failed, say, usage};
use crate::bench::StepBench;
use crate::config::Precision;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who is measured.
struct Runner {
    name: &'static str,
    how: How,
}

/// How somebody is measured.
enum How {
    /// By a command whose last line is JSON.
    By(Box<dyn Fn() -> Command>),
    /// Not here, and why.
    Not(&'static str),
}

/// A form in which PyTorch's users write a step: name, and further arguments of `step.py`.
struct Form {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Whether torch.compile makes something of it first; measured on CUDA devices only.
    compiled: bool,
}

const FORMS: [Form; 4] = [
    Form { name: "pytorch channels_last", arguments: &[], compiled: false },
    Form {
        name: "pytorch channels_last, inplace ReLU, fused SGD",
        arguments: &["--lean"],
        compiled: false,
    },
    Form {
        name: "the same, torch.compile",
        arguments: &["--lean", "--compile", "default"],
        compiled: true,
    },
    Form {
        name: "the same, torch.compile with CUDA graphs",
        arguments: &["--lean", "--compile", "reduce-overhead"],
        compiled: true,
    },
];

/// Where the peers' scripts are, from the project's directory.
const PEERS: &str = "tests/peers";

/// Steps of `b` by us and by each of [`FORMS`].
pub(super) fn step(args: &BenchArgs, b: &StepBench) -> Result<Outcome, Outcome> {
    let python = peers()?;
    let mut common = step_arguments(b);
    let threads = args.compute.threads().unwrap_or(0);
    common.extend(["--threads".to_owned(), threads.to_string()]);
    let form = |form: &'static Form| {
        let how = if form.compiled && !b.device.is_gpu() {
            How::Not("compared on CUDA devices only")
        } else if form.compiled && args.eager {
            How::Not("not asked for (--eager)")
        } else {
            let (python, common) = (python.clone(), common.clone());
            How::By(Box::new(move || {
                let mut command = Command::new(&python);
                command.arg(PEERS.to_owned() + "/step.py").args(&common).args(form.arguments);
                command
            }))
        };
        Runner { name: form.name, how }
    };
    let program = crate::host::where_it_is().map_err(failed)?;
    let own: Vec<String> =
        std::env::args().skip(1).filter(|a| a != "--against-pytorch" && a != "--json").collect();
    let ours = How::By(Box::new(move || {
        let mut command = Command::new(&program);
        command.args(&own).arg("--json");
        command
    }));
    let ours = Runner { name: "earlybird", how: ours };
    let runners: Vec<Runner> = std::iter::once(ours).chain(FORMS.iter().map(form)).collect();
    compare(args, &runners, "images_per_s", "images/s")
}

/// What `step.py` is called with for the work of `b`: the same numbers, device and switches.
fn step_arguments(b: &StepBench) -> Vec<String> {
    let name = b.device.to_string();
    let device = name.strip_prefix("libtorch:").unwrap_or("cpu");
    let precision = if b.precision == Precision::Bf16 { "bf16" } else { "fp32" };
    let shape = b.shape.map(|side| side.to_string()).join(",");
    let pairs = [
        ("--model", b.model.name().to_owned()),
        ("--shape", shape),
        ("--format", "channels_last".to_owned()),
        ("--dtype", precision.to_owned()),
        ("--device", device.to_owned()),
        ("--classes", b.classes.to_string()),
        ("--samples", b.samples.to_string()),
        ("--batch", b.batch.to_string()),
        ("--steps", b.steps.to_string()),
        ("--warmup", b.warmup.to_string()),
    ];
    let switches = [
        ("--augment", b.augment),
        ("--no-tf32", !b.math.tf32),
        ("--cudnn-benchmark", b.math.cudnn_benchmark),
    ];
    let pairs = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    pairs
        .chain(switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned()))
        .collect()
}

/// Weighted draws by us, PyTorch and NumPy.
pub(super) fn sampler(args: &BenchArgs) -> Result<Outcome, Outcome> {
    let samples = args.samples.unwrap_or(10_000_000);
    let python = peers()?;
    let peer = |what: &'static str| -> How {
        let python = python.clone();
        How::By(Box::new(move || {
            let mut command = Command::new(&python);
            command.arg(PEERS.to_owned() + "/sampler.py").args([
                "--samples",
                &samples.to_string(),
                "--what",
                what,
            ]);
            command
        }))
    };
    let program = crate::host::where_it_is().map_err(failed)?;
    let ours = How::By(Box::new(move || {
        let mut command = Command::new(&program);
        command.args(["bench", "sampler", "--json", "--samples", &samples.to_string()]);
        command
    }));
    let runners = [
        Runner { name: "earlybird", how: ours },
        Runner { name: "torch.multinomial", how: peer("multinomial") },
        Runner { name: "numpy choice", how: peer("choice") },
    ];
    compare(args, &runners, "draws_per_s", "draws/s")
}

/// Random resized crops a second and core by others, of the JPEG files of an image folder.
pub(super) fn data(
    folder: &Path,
    (images, size): (usize, usize),
    rounds: usize,
) -> Result<Vec<(String, f64)>, Outcome> {
    if !folder.is_dir() {
        return Err(usage("--against-pytorch reads files: --stream needs an image folder for it"));
    }
    let mut command = Command::new(peers()?);
    command.arg(PEERS.to_owned() + "/data.py").arg(folder);
    command.args([images, size, rounds].map(|n| n.to_string()));
    let output = command.stderr(Stdio::inherit()).output().map_err(failed)?;
    let rates: serde_json::Map<String, Value> = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("PyTorch's part gave no figures (the reason is above)"))?;
    Ok(rates.into_iter().filter_map(|(name, rate)| Some((name, rate.as_f64()?))).collect())
}

/// A Python with PyTorch: the one that EARLYBIRD_PEERS names, or one that is fetched the first
/// time.
fn peers() -> Result<PathBuf, Outcome> {
    if let Some(python) = std::env::var_os("EARLYBIRD_PEERS") {
        return Ok(python.into());
    }
    let made = Command::new("scripts/peers.sh").stderr(Stdio::inherit()).output();
    let made = made.map_err(|e| {
        usage(format!("scripts/peers.sh: {e}\n  Call this from the project's directory."))
    })?;
    if !made.status.success() {
        return Err(failed("PyTorch cannot be provided (the reason is above)"));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
}

/// What is known of a runner.
struct Row {
    name: &'static str,
    measured: Result<Vec<Value>, String>,
}

impl Row {
    fn median(&self, get: impl Fn(&Value) -> Option<f64>) -> Option<f64> {
        let mut v: Vec<f64> = self.measured.as_ref().ok()?.iter().filter_map(get).collect();
        v.sort_by(f64::total_cmp);
        v.get(v.len() / 2).copied()
    }

    fn of(&self, key: &str) -> Option<f64> {
        self.median(|figures| figures[key].as_f64())
    }

    /// Of a CUDA device, in MiB: in use, and held.
    fn device_mib(&self) -> Option<[f64; 2]> {
        let of = |k: usize| self.median(|figures| figures["device_mib"][k].as_f64());
        of(0).zip(of(1)).map(|(in_use, held)| [in_use, held])
    }

    fn json(&self, key: &str, ours: f64) -> Value {
        let figures = match &self.measured {
            Ok(figures) => figures,
            Err(why) => return json!({ "name": self.name, "skipped": why }),
        };
        let mut row = json!({
            "name": self.name,
            "median": self.of(key),
            "earlybird_over_it": self.of(key).map(|theirs| ours / theirs),
            "peak_mib": self.of("peak_mib"),
            "all": figures.iter().map(|v| v[key].clone()).collect::<Vec<_>>(),
        });
        if let Some(device) = self.device_mib() {
            row["device_mib"] = json!(device);
        }
        row
    }

    fn words(&self, key: &str, unit: &str, ours: f64) -> String {
        let name = self.name;
        match (&self.measured, self.of(key)) {
            (Err(why), _) => format!("{name:<48} not measured: {why}"),
            (Ok(_), theirs) => {
                let theirs = theirs.unwrap_or(f64::NAN);
                let device = self.device_mib().map_or_else(String::new, |[in_use, held]| {
                    format!(", of the device {in_use:>6.0} ({held:.0} held)")
                });
                format!(
                    "{name:<48} {theirs:>14.0} {unit}  earlybird is {:.3} of it  {:>6.0} MiB at \
                     most{device}",
                    ours / theirs,
                    self.of("peak_mib").unwrap_or(f64::NAN)
                )
            }
        }
    }
}

/// Every runner in turn, `args.rounds` times; medians, and ours as a ratio of each.
fn compare(
    args: &BenchArgs,
    runners: &[Runner],
    key: &str,
    unit: &str,
) -> Result<Outcome, Outcome> {
    let mut rows: Vec<Row> = runners
        .iter()
        .map(|runner| Row {
            name: runner.name,
            measured: match runner.how {
                How::By(_) => Ok(Vec::new()),
                How::Not(why) => Err(why.to_owned()),
            },
        })
        .collect();
    for _ in 0..args.rounds {
        for (Runner { name, how }, row) in runners.iter().zip(&mut rows) {
            let (How::By(command), Ok(figures)) = (how, &mut row.measured) else { continue };
            let value = measure(name, command())?;
            match value["skipped"].as_str() {
                Some(why) => row.measured = Err(why.to_owned()),
                None => figures.push(value),
            }
        }
    }
    let ours = rows[0].of(key).unwrap_or(f64::NAN);
    if args.json {
        let rows: Vec<Value> = rows.iter().map(|row| row.json(key, ours)).collect();
        say(json!({ "unit": unit, "rounds": args.rounds, "rows": rows }));
    } else {
        rows.iter().for_each(|row| say(row.words(key, unit, ours)));
    }
    Ok(Outcome::Done)
}

/// The figures that a command prints last.
fn measure(name: &str, mut command: Command) -> Result<Value, Outcome> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| failed(format!("{name}: {e}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().rev();
    let value = lines.filter_map(|l| serde_json::from_str::<Value>(l).ok()).next();
    let value = value.filter(|_| output.status.success());
    value.ok_or_else(|| failed(format!("{name} gave no figures: {}", text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelName;
    use crate::model::device::{CudaMath, DeviceName};

    fn arguments(device: DeviceName, math: CudaMath) -> String {
        step_arguments(&StepBench {
            model: ModelName::Resnet18,
            shape: [3, 32, 32],
            classes: 10,
            samples: 500,
            batch: 128,
            steps: 300,
            warmup: 50,
            precision: Precision::Bf16,
            augment: true,
            count_ops: false,
            device,
            math,
        })
        .join(" ")
    }

    #[test]
    fn peers_get_the_device_the_switches_and_the_numbers_that_we_have() {
        let plain = arguments(DeviceName::LibtorchCpu, CudaMath::default());
        assert_eq!(
            plain,
            "--model resnet18 --shape 3,32,32 --format channels_last --dtype bf16 --device cpu \
             --classes 10 --samples 500 --batch 128 --steps 300 --warmup 50 --augment"
        );
        let other = CudaMath { tf32: false, cudnn_benchmark: true };
        let cuda = arguments(DeviceName::LibtorchCuda(1), other);
        let ends =
            plain.replace("--device cpu", "--device cuda:1") + " --no-tf32 --cudnn-benchmark";
        assert_eq!(cuda, ends);
        // Flex is the CPU to PyTorch.
        assert_eq!(arguments(DeviceName::Flex, CudaMath::default()), plain);
    }

    #[test]
    fn a_table_has_a_line_for_each_peer_with_the_device_s_memory_or_why_it_is_not_measured() {
        let figures = |speed: f64| {
            let device = [90.0, 120.0];
            json!({ "images_per_s": speed, "peak_mib": 700.0, "device_mib": device })
        };
        let measured = Row { name: "a", measured: Ok([3.0, 1.0, 2.0].map(figures).into()) };
        let words = measured.words("images_per_s", "images/s", 4.0);
        let ends = "2 images/s  earlybird is 2.000 of it     700 MiB at most, of the device     90 \
                    (120 held)";
        assert!(words.starts_with("a ") && words.ends_with(ends), "{words}");
        let json = measured.json("images_per_s", 4.0);
        assert_eq!(json["device_mib"], json!([90.0, 120.0]));
        let not = Row { name: "b", measured: Err("no compiler".into()) };
        assert!(not.words("images_per_s", "images/s", 4.0).ends_with("not measured: no compiler"));
        assert_eq!(not.json("k", 4.0), json!({ "name": "b", "skipped": "no compiler" }));
    }
}
