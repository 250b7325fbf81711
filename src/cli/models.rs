//! `earlybird models`: the architectures and what they cost.

use super::arguments::ModelsArgs;
use super::{Outcome, say, usage};
use crate::config::Precision;
use crate::model::{Cost, ModelName};
use serde_json::json;

/// `earlybird models`
pub(super) fn run(args: &ModelsArgs) -> Outcome {
    let is_possible = match args.shape[..] {
        [] => true,
        [c, h, w] => (1..=64).contains(&c) && [h, w].iter().all(|side| (8..=512).contains(side)),
        _ => false,
    };
    if !is_possible {
        return usage("--shape needs 1 to 64 channels, and sides of 8 to 512 pixels");
    }
    let precision = if args.bf16 { Precision::Bf16 } else { Precision::Fp32 };
    let rows: Vec<_> = ModelName::ALL
        .iter()
        .map(|name| {
            let usual = name.usual();
            let image = <[usize; 3]>::try_from(args.shape.as_slice()).unwrap_or(usual.image);
            let batch = args.batch.unwrap_or(usual.batch);
            (*name, image, batch, Cost::of(*name, image, args.classes, batch, precision))
        })
        .collect();
    if args.json {
        let row = |(name, image, batch, cost): &(ModelName, [usize; 3], usize, Cost)| {
            json!({ "model": name.name(), "image": image, "batch": batch, "classes": args.classes,
                    "parameters": cost.parameters, "flops": cost.flops, "memory": cost.memory })
        };
        say(json!(rows.iter().map(row).collect::<Vec<_>>()));
        return Outcome::Done;
    }
    let (name, image) = ("model.name", "image");
    say(format!("{name:<18} {image:>11} parameters  GFLOPs an image  batch  memory of a step"));
    for (name, [c, h, w], batch, cost) in rows {
        let (image, parameters) = (format!("{c}x{h}x{w}"), cost.parameters as f64 / 1e6);
        let (giga, memory) = (cost.flops as f64 / 1e9, cost.memory as f64 / 1e9);
        let name = name.name();
        say(format!(
            "{name:<18} {image:>11} {parameters:>8.2} M {giga:>16.3} {batch:>6} {memory:>14.2} GB"
        ));
    }
    say(format!(
        "\nWith {} classes. GFLOPs: of a forward pass, a multiplication and an addition are two; a \
         training\nstep takes three times as many. Memory: parameters, gradients, velocities, and \
         what the backward\npass needs of the batch, in {}.",
        args.classes,
        if args.bf16 { "bf16" } else { "fp32" }
    ));
    Outcome::Done
}
