//! `earlybird bench`: measurements as a table and as JSON, and PyTorch on the same work in turn
//! with ours.

use super::{BenchArgs, BenchWhat, Outcome, failed, say, usage};
use crate::bench::{self, StepBench, StepFigures, StepOperators};
use crate::config::Precision;
use crate::model::use_threads;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// `earlybird bench`
pub(super) fn run(args: &BenchArgs) -> Outcome {
    try_run(args).unwrap_or_else(|outcome| outcome)
}

fn try_run(args: &BenchArgs) -> Result<Outcome, Outcome> {
    use_threads(args.compute.threads());
    match &args.what {
        BenchWhat::Step if args.against_pytorch => return against_pytorch(args),
        BenchWhat::Step => {
            let f = bench::step(&step_bench(args)?).map_err(failed)?;
            let counted = f.operators.as_ref().map(operator_words).unwrap_or_default();
            show(args, &json!(f), &(step_words(args, &f) + &counted));
        }
        BenchWhat::Epoch => {
            let f = bench::epoch(&step_bench(args)?, usize::from(args.rounds)).map_err(failed)?;
            let middle = |v: &[f64]| {
                let mut v = v.to_vec();
                v.sort_by(f64::total_cmp);
                v.get(v.len() / 2).copied().unwrap_or(f64::NAN)
            };
            let words = format!(
                "an epoch of a headless run {:.3} s, of a bare loop {:.3} s (medians of {}): \
                 {:+.2}%\n\
                 by the run's own clock {:.2}% of its time is not spent in steps: the method and \
                 all around it",
                middle(&f.run_s),
                middle(&f.bare_s),
                args.rounds,
                100.0 * f.overhead,
                100.0 * middle(&f.around_steps)
            );
            show(args, &json!(f), &words);
        }
        BenchWhat::Data => {
            let f = bench::data(&step_bench(args)?).map_err(failed)?;
            let words = format!(
                "{:.0} images/s as they are, {:.0} cropped and flipped",
                f.plain_images_per_s, f.augmented_images_per_s
            );
            show(args, &json!(f), &words);
        }
        BenchWhat::Sampler if args.against_pytorch => return sampler_against_peers(args),
        BenchWhat::Sampler => {
            let f = bench::sampler(args.samples.unwrap_or(10_000_000)).map_err(failed)?;
            let words = format!(
                "{} weights: table in {:.3} s, as many draws in {:.3} s; {:.1} million draws/s in \
                 all; {:.0} MiB at most",
                f.samples,
                f.build_s,
                f.draw_s,
                f.draws_per_s / 1e6,
                f.peak_mib
            );
            show(args, &json!(f), &words);
        }
        BenchWhat::Journal => {
            let f = bench::journal(args.steps.unwrap_or(100_000)).map_err(failed)?;
            let words = format!(
                "{:.0} step records/s, {:.0} events/s each on the disk before the next, {:.0} \
                 records/s read back",
                f.step_records_per_s, f.durable_events_per_s, f.records_read_per_s
            );
            show(args, &json!(f), &words);
        }
        BenchWhat::Cockpit => {
            let f = bench::screen(args.steps.unwrap_or(1_000_000), args.classes.unwrap_or(1_000))
                .map_err(failed)?;
            let mut words = format!(
                "{} steps, {} classes: {:.0} ns to fold a record; frames of 200x60:",
                f.steps, f.classes, f.fold_ns
            );
            for tab in &f.tabs {
                let [median, longest] = tab.frame_ms;
                words.push_str(&format!(
                    "\n  {:<12} {median:.2} ms (median), {longest:.2} ms (longest of 100)",
                    tab.tab
                ));
            }
            show(args, &json!(f), &words);
        }
    }
    Ok(Outcome::Done)
}

fn show(args: &BenchArgs, figures: &Value, words: &str) {
    if args.json { say(figures) } else { say(words) }
}

fn step_bench(args: &BenchArgs) -> Result<StepBench, Outcome> {
    let usual = args.model.usual();
    let shape = match args.shape.as_slice() {
        [] => usual.image,
        [c, h, w] if *c > 0 && *h >= 8 && *w >= 8 => [*c, *h, *w],
        _ => {
            return Err(usage(
                "--shape takes channels,height,width, the sides at least 8, as 3,32,32",
            ));
        }
    };
    Ok(StepBench {
        model: args.model,
        shape,
        classes: args.classes.unwrap_or(10).max(2),
        samples: args.samples.unwrap_or(10_000).max(2),
        batch: args.batch.unwrap_or(usual.batch).max(2),
        steps: args.steps.unwrap_or(usual.steps).max(1),
        warmup: usual.warmup,
        precision: if args.bf16 { Precision::Bf16 } else { Precision::Fp32 },
        augment: args.augment,
        count_ops: args.count_ops,
        device: args.compute.device(None)?,
    })
}

/// Operators by name, those that are called most first.
fn operator_words(operators: &StepOperators) -> String {
    let path = if operators.device_path { ", by the bodies of a device of its own" } else { "" };
    let mut words = format!(
        "\n{:.1} operators of ATen a step that work on memory, {:.1} calls in all{path}:",
        operators.ops_per_step, operators.calls_per_step
    );
    let mut listed: Vec<(&String, &f64)> = operators.operators.iter().collect();
    listed.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(b.0)));
    for (name, times) in listed {
        words.push_str(&format!("\n{times:>8.1}  {name}"));
    }
    words
}

fn step_words(args: &BenchArgs, f: &StepFigures) -> String {
    let t = &f.times;
    let precision = if args.bf16 { "bf16" } else { "fp32" };
    format!(
        "{:?} {precision}, {} thread(s): {:.0} images/s, {:.2} ms a step (data {:.2}, forward \
         {:.2}, backward {:.2}, optimizer {:.2}, bookkeeping \
         {:.2}, waiting {:.2}); {:.0} MiB at most, {:.0} then {:.0} MiB",
        args.model,
        f.threads,
        f.images_per_s,
        f.step_ms,
        t.data,
        t.forward,
        t.backward,
        t.optimizer,
        t.bookkeeping,
        t.waiting,
        f.peak_mib,
        f.memory_mib[0],
        f.memory_mib[1]
    )
    .to_lowercase()
    .replace("mib", "MiB")
}

/// Who is measured: what its line is called, and what it is called with.
type Runner = (String, Box<dyn Fn() -> Command>);

/// Runs ours and PyTorch's forms in turn, as often as asked, each in a process of its own.
fn against_pytorch(args: &BenchArgs) -> Result<Outcome, Outcome> {
    let b = step_bench(args)?;
    let python = peers()?;
    let shape = b.shape.map(|v| v.to_string()).join(",");
    let threads = args.compute.threads().unwrap_or(0);
    let peer = |format: &'static str, lean: bool| -> Box<dyn Fn() -> Command> {
        let (python, shape, model) =
            (python.clone(), shape.clone(), format!("{:?}", args.model).to_lowercase());
        let (batch, steps, bf16, classes) = (b.batch, b.steps, args.bf16, b.classes);
        Box::new(move || {
            let mut command = Command::new(&python);
            command
                .arg(PEERS.to_owned() + "/step.py")
                .args(["--model", &model, "--shape", &shape, "--format", format]);
            command.args([
                "--batch",
                &batch.to_string(),
                "--steps",
                &steps.to_string(),
                "--threads",
                &threads.to_string(),
            ]);
            command.args([
                "--classes",
                &classes.to_string(),
                "--dtype",
                if bf16 { "bf16" } else { "fp32" },
            ]);
            if lean {
                command.arg("--lean");
            }
            command
        })
    };
    let program = crate::host::where_it_is().map_err(failed)?;
    let own: Vec<String> =
        std::env::args().skip(1).filter(|a| a != "--against-pytorch" && a != "--json").collect();
    let ours: Box<dyn Fn() -> Command> = Box::new(move || {
        let mut command = Command::new(&program);
        command.args(&own).arg("--json");
        command
    });
    let runners: Vec<Runner> = vec![
        ("earlybird".into(), ours),
        ("pytorch channels_last".into(), peer("channels_last", false)),
        ("pytorch channels_last, inplace ReLU, fused SGD".into(), peer("channels_last", true)),
    ];
    compare(args, &runners, "images_per_s", "images/s")
}

fn sampler_against_peers(args: &BenchArgs) -> Result<Outcome, Outcome> {
    let samples = args.samples.unwrap_or(10_000_000);
    let python = peers()?;
    let peer = |what: &'static str| -> Box<dyn Fn() -> Command> {
        let python = python.clone();
        Box::new(move || {
            let mut command = Command::new(&python);
            command.arg(PEERS.to_owned() + "/sampler.py").args([
                "--samples",
                &samples.to_string(),
                "--what",
                what,
            ]);
            command
        })
    };
    let program = crate::host::where_it_is().map_err(failed)?;
    let ours: Box<dyn Fn() -> Command> = Box::new(move || {
        let mut command = Command::new(&program);
        command.args(["bench", "sampler", "--json", "--samples", &samples.to_string()]);
        command
    });
    let runners: Vec<Runner> = vec![
        ("earlybird".into(), ours),
        ("torch.multinomial".into(), peer("multinomial")),
        ("numpy choice".into(), peer("choice")),
    ];
    compare(args, &runners, "draws_per_s", "draws/s")
}

/// Where the peers' scripts are, from the project's directory.
const PEERS: &str = "tests/peers";

/// A Python with PyTorch, which is fetched the first time.
fn peers() -> Result<PathBuf, Outcome> {
    let made = Command::new("scripts/peers.sh").stderr(Stdio::inherit()).output();
    let made = made.map_err(|e| {
        usage(format!("scripts/peers.sh: {e}\n  Call this from the project's directory."))
    })?;
    if !made.status.success() {
        return Err(failed("PyTorch cannot be provided (the reason is above)"));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
}

/// Every runner in turn, `args.rounds` times; medians, and ours as a ratio of each.
fn compare(
    args: &BenchArgs,
    runners: &[Runner],
    key: &str,
    unit: &str,
) -> Result<Outcome, Outcome> {
    let mut figures: Vec<Vec<Value>> = vec![Vec::new(); runners.len()];
    for _ in 0..args.rounds {
        for ((name, command), figures) in runners.iter().zip(&mut figures) {
            let output = command()
                .stderr(Stdio::inherit())
                .output()
                .map_err(|e| failed(format!("{name}: {e}")))?;
            let text = String::from_utf8_lossy(&output.stdout);
            let value = text
                .lines()
                .rev()
                .find_map(|l| serde_json::from_str::<Value>(l).ok())
                .filter(|_| output.status.success());
            figures.push(
                value.ok_or_else(|| failed(format!("{name} gave no figures: {}", text.trim())))?,
            );
        }
    }
    let median = |of: &[Value], key: &str| -> f64 {
        let mut v: Vec<f64> = of.iter().filter_map(|f| f[key].as_f64()).collect();
        v.sort_by(f64::total_cmp);
        v.get(v.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let ours = median(&figures[0], key);
    let rows: Vec<Value> = runners
        .iter()
        .zip(&figures)
        .map(|((name, _), f)| {
            let theirs = median(f, key);
            json!({
                "name": name,
                "median": theirs,
                "earlybird_over_it": ours / theirs,
                "peak_mib": median(f, "peak_mib"),
                "all": f.iter().map(|v| v[key].clone()).collect::<Vec<_>>(),
            })
        })
        .collect();
    if args.json {
        say(json!({ "unit": unit, "rounds": args.rounds, "rows": rows }));
    } else {
        for row in &rows {
            say(format!(
                "{:<48} {:>14.0} {unit}  earlybird is {:.3} of it  {:>6.0} MiB at most",
                row["name"].as_str().unwrap_or_default(),
                row["median"].as_f64().unwrap_or(f64::NAN),
                row["earlybird_over_it"].as_f64().unwrap_or(f64::NAN),
                row["peak_mib"].as_f64().unwrap_or(f64::NAN)
            ));
        }
    }
    Ok(Outcome::Done)
}
