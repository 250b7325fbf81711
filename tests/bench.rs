//! Measurements run and give figures; how fast is nobody's business here.

use crate::environment::program;
use serde_json::Value;

fn bench(args: &[&str]) -> Value {
    let output = program().arg("bench").args(args).arg("--json").output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {output:?}"))
}

fn above_zero(figures: &Value, keys: &[&str]) {
    for key in keys {
        assert!(figures[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {figures}");
    }
}

#[test]
fn every_measurement_gives_its_figures() {
    let small = ["--samples", "200", "--batch", "16", "--steps", "4"];
    for precision in [&[][..], &["--bf16", "--augment"]] {
        let step = bench(&[&["step"], &small[..], precision].concat());
        above_zero(&step, &["images_per_s", "step_ms", "peak_mib"]);
        above_zero(&step["times"], &["data", "forward", "backward", "optimizer"]);
        let parts: f64 =
            step["times"].as_object().unwrap().values().map(|v| v.as_f64().unwrap()).sum();
        assert!(
            parts <= step["step_ms"].as_f64().unwrap(),
            "the parts of a step are no more than the whole: {step}"
        );
    }
    above_zero(
        &bench(&[&["data"], &small[..]].concat()),
        &["plain_images_per_s", "augmented_images_per_s"],
    );
    above_zero(&bench(&["sampler", "--samples", "20000"]), &["build_s", "draw_s", "draws_per_s"]);
    above_zero(
        &bench(&["journal", "--steps", "1000"]),
        &["step_records_per_s", "durable_events_per_s", "records_read_per_s"],
    );
    let cockpit = bench(&["cockpit", "--steps", "1000", "--classes", "30"]);
    above_zero(&cockpit, &["fold_ns"]);
    for tab in cockpit["tabs"].as_array().unwrap() {
        assert!(
            tab["frame_ms"][0].as_f64() <= tab["frame_ms"][1].as_f64(),
            "the median is no longer than the longest: {tab}"
        );
    }
    let epoch = bench(&["epoch", "--rounds", "1", "--samples", "100", "--batch", "20"]);
    assert!(
        epoch["overhead"].as_f64().is_some() && epoch["run_s"].as_array().unwrap().len() == 1,
        "{epoch}"
    );
    let around = epoch["around_steps"][0].as_f64().unwrap();
    assert!((0.0..1.0).contains(&around), "a share of the run: {epoch}");
}

#[test]
fn a_step_on_a_device_asks_for_few_operators_and_waits_for_none() {
    for (model, most, precision) in [
        ("convnet", 90.0, &[][..]),
        ("convnet", 90.0, &["--bf16"]),
        ("resnet18", 300.0, &[]),
        ("resnet18", 300.0, &["--bf16"]),
    ] {
        let size = ["--samples", "64", "--batch", "4", "--steps", "2", "--count-ops"];
        let mut command = program();
        command.env("EARLYBIRD_DEVICE_PATH", "1").args(["bench", "step", "--model", model]);
        let output = command.args(size).args(precision).arg("--json").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ops = figures["ops_per_step"].as_f64().unwrap();
        // At least a forward and a backward pass of each layer, and an update.
        assert!(ops > most / 5.0 && ops <= most, "{model} {precision:?}: {figures}");
        assert_eq!(figures["device_path"], true);
        let named = figures["operators"].as_object().unwrap();
        for stalls in ["_local_scalar_dense", "nonzero", "masked_select", "item"] {
            assert!(!named.contains_key(&format!("aten::{stalls}")), "{model}: {figures}");
        }
        assert_eq!(named["aten::_fused_sgd_"], 1.0, "{model}: all parameters together");
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    for args in [
        &["step", "--shape", "3,4"][..],
        &["step", "--shape", "1,4,4"],
        &["step", "--bf16", "--device", "flex"],
    ] {
        let output = program().arg("bench").args(args).output().unwrap();
        assert!(!output.status.success() && !output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}
