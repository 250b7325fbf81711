//! `earlybird bench`: measurements in words and as JSON.

use super::{BenchArgs, BenchWhat, Outcome, failed, peers, say, usage};
use crate::bench::{self, StepBench, StepFigures, StepOperators};
use crate::config::Precision;
use crate::model::device::{CudaMath, DeviceName};
use crate::model::use_threads;
use serde_json::{Value, json};

/// `earlybird bench`
pub(super) fn run(args: &BenchArgs) -> Outcome {
    try_run(args).unwrap_or_else(|outcome| outcome)
}

fn try_run(args: &BenchArgs) -> Result<Outcome, Outcome> {
    use_threads(args.compute.threads());
    match &args.what {
        BenchWhat::Step if args.against_pytorch => return peers::step(args, &step_bench(args)?),
        BenchWhat::Step => {
            let f = bench::step(&step_bench(args)?).map_err(failed)?;
            let counted = f.operators.as_ref().map(operator_words).unwrap_or_default();
            let warned: String = f.warnings.iter().map(|w| format!("\nwarning: {w}")).collect();
            show(args, &json!(f), &(step_words(args, &f) + &warned + &counted));
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
        BenchWhat::Data if args.stream.is_some() => return stream(args),
        BenchWhat::Data => {
            let f = bench::data(&step_bench(args)?).map_err(failed)?;
            let words = format!(
                "{:.0} images/s as they are, {:.0} cropped and flipped",
                f.plain_images_per_s, f.augmented_images_per_s
            );
            show(args, &json!(f), &words);
        }
        BenchWhat::Sampler if args.against_pytorch => return peers::sampler(args),
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

/// Images that are read, and their side, unless somebody asks for something else.
const READ: (usize, usize) = (320, 224);

/// `bench data --stream PATH`
fn stream(args: &BenchArgs) -> Result<Outcome, Outcome> {
    let Some(path) = &args.stream else { return Ok(Outcome::Done) };
    let images = args.samples.unwrap_or(READ.0);
    let size = args.shape.last().copied().unwrap_or(READ.1);
    let rounds = usize::from(args.rounds);
    let f = bench::read(path, (images, size), rounds).map_err(failed)?;
    let peers = match args.against_pytorch {
        true => peers::data(path, (images, size), rounds)?,
        false => Vec::new(),
    };
    let mut words = format!(
        "{} images, {size}x{size}, a second and core: {:.0} decoded, {:.0} random resized crops, \
         {:.0} as evaluated; {:.0} crops/s on {} cores",
        f.images,
        f.decoded_per_core_s,
        f.crops_per_core_s,
        f.evaluated_per_core_s,
        f.crops_per_s,
        f.cores
    );
    for (name, rate) in &peers {
        words += &format!(
            "\n{name}: {rate:.0} random resized crops a second and core, ours are {:.2} times that",
            f.crops_per_core_s / rate
        );
    }
    let peers: serde_json::Map<String, Value> =
        peers.into_iter().map(|(name, rate)| (name, json!(rate))).collect();
    show(args, &json!({"earlybird": f, "peers": peers}), &words);
    Ok(Outcome::Done)
}

fn show(args: &BenchArgs, figures: &Value, words: &str) {
    if args.json { say(figures) } else { say(words) }
}

/// Steps before the timed ones on a GPU, and timed ones: cuDNN tries its algorithms, compilers
/// compile and graphs are captured in the first, and a step takes milliseconds.
const ON_A_GPU: (usize, usize) = (50, 300);
/// Random samples that are made for steps on a GPU unless somebody asks for more: 600 MB of
/// 3x32x32.
const MOST_SAMPLES: usize = 200_000;

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
    let device = args.compute.device(None)?;
    let (warmup, usual_steps) =
        if device.is_gpu() { ON_A_GPU } else { (usual.warmup, usual.steps) };
    if args.count_ops && device == DeviceName::Flex {
        return Err(usage("--count-ops counts operators of LibTorch's ATen; flex has none"));
    }
    let steps = args.steps.unwrap_or(usual_steps).max(1);
    let batch = args.batch.unwrap_or(usual.batch).max(2);
    // A GPU's steps are many, and what happens between epochs is not theirs.
    let in_one_epoch = if device.is_gpu() { (warmup + steps) * batch } else { 0 };
    Ok(StepBench {
        model: args.model,
        shape,
        classes: args.classes.unwrap_or(10).max(2),
        samples: args.samples.unwrap_or(in_one_epoch.clamp(10_000, MOST_SAMPLES)).max(2),
        batch,
        steps,
        warmup,
        precision: if args.bf16 { Precision::Bf16 } else { Precision::Fp32 },
        augment: args.augment,
        count_ops: args.count_ops,
        device,
        math: CudaMath { tf32: !args.no_tf32, cudnn_benchmark: args.cudnn_benchmark },
    })
}

/// Operators by name, those that are called most first.
fn operator_words(operators: &StepOperators) -> String {
    let path = if operators.device_path { ", as a GPU without NVRTC is asked" } else { "" };
    let mut words = format!(
        "\n{:.1} operators of ATen a step{path}; {:.1} calls with views, allocations and what \
         operators call themselves:",
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
        + &f.device_mib.map_or_else(String::new, |[in_use, held]| {
            format!("; of the device {in_use:.0} MiB at most, {held:.0} held")
        })
}
