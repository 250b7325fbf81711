//! The recipe's options: average of the parameters, clipping, AdamW, frozen parts, an end that
//! comes by itself, mixed, erased and jittered images. Each does what it says, and all of them go
//! on after a checkpoint as if nothing had been.

use crate::environment::program;
use crate::support::{
    Runs, advance_to, advance_until, apply, epochs, finish, hash, session, session_on, set,
    small_config,
};
use earlybird::data;
use earlybird::model::NamedTensor;
use earlybird::model::device::{CudaMath, DeviceName};
use earlybird::protocol::{ByItself, Command, Event};
use earlybird::run::{Ending, read_journal};
use earlybird::train::{Checkpoint, Progress, Session, TrainError};

/// All that there is, on top of either optimizer.
const ALL: [&str; 11] = [
    "train.epochs=3",
    "train.clip_norm=1.0",
    "train.ema_decay=0.9",
    "train.decay_norms=false",
    "train.head_lr=0.05",
    "train.freeze=[\"conv1\", \"bn1\"]",
    "train.mixup=0.2",
    "train.cutmix=1.0",
    "importance.window=fresh",
    "data.color_jitter=0.4",
    "data.random_erasing=0.25",
];
const ADAMW: [&str; 2] = ["train.optimizer=adamw", "train.lr=0.002"];

fn restore(checkpoint: &Checkpoint) -> Session {
    let config = checkpoint.state.config.clone();
    let dataset = data::load(&config.data, config.seed, &mut |_| {}).unwrap();
    let device = DeviceName::LibtorchCpu.open_with(CudaMath::default()).unwrap();
    Session::restore(checkpoint, dataset, &device, "cpu").unwrap()
}

fn tensor(state: &[NamedTensor], name: &str) -> Vec<f32> {
    state.iter().find(|t| t.name == name).unwrap().values.clone()
}

#[test]
fn a_run_with_all_of_it_goes_on_from_any_step_with_the_same_parameters() {
    for more in [&[][..], &ADAMW] {
        let all = [&ALL[..], more].concat();
        let straight = finish(&mut session(&all));
        let figures = |events: &[Event]| -> Vec<_> {
            // Sums are read at other times, which rounds them otherwise.
            let norm = |norm: f64| (norm * 1e5).round();
            epochs(events).iter().map(|e| (e.average, e.grad_norm.map(norm))).collect()
        };
        assert!(epochs(&straight).iter().all(|e| e.average.is_some() && e.grad_norm.is_some()));
        for (epoch, steps) in [(1, 1), (2, 0), (2, 5), (3, 2)] {
            let mut first = session(&all);
            let mut events = advance_to(&mut first, epoch, steps);
            let mut second = restore(&first.checkpoint());
            assert_eq!(second.config(), first.config());
            events.extend(finish(&mut second));
            assert_eq!(hash(&events), hash(&straight), "epoch {epoch}, step {steps}");
            assert_eq!(figures(&events), figures(&straight), "epoch {epoch}, step {steps}");
        }
    }
}

#[test]
fn a_checkpoint_between_the_two_evaluations_of_an_epoch_loses_neither() {
    let all = [&ALL[..], &["train.eval_batch_size=200"]].concat();
    let straight = finish(&mut session(&all));
    let mut first = session(&all);
    let mut events = advance_until(&mut first, |_, _, progress| progress == Progress::Evaluated);
    events.extend(finish(&mut restore(&first.checkpoint())));
    assert_eq!(hash(&events), hash(&straight));
    let measured = |events: &[Event]| {
        epochs(events).iter().map(|e| (e.measured, e.average)).collect::<Vec<_>>()
    };
    assert_eq!(measured(&events), measured(&straight));
}

#[test]
fn each_of_it_changes_what_is_learned() {
    let outcome =
        |more: &[&str]| hash(&finish(&mut session(&[&["train.epochs=2"], more].concat())));
    let mut hashes = vec![outcome(&["importance.window=fresh"])];
    for option in &ALL[1..] {
        let is_for_the_loss = !option.contains("ema_decay") && !option.contains("window");
        if is_for_the_loss {
            hashes.push(outcome(&["importance.window=fresh", option]));
        }
    }
    hashes.push(outcome(&[&["importance.window=fresh"], &ADAMW[..]].concat()));
    let mut distinct = hashes.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), hashes.len(), "{hashes:?}");
    // The average learns nothing: it is looked at.
    assert_eq!(outcome(&["importance.window=fresh", "train.ema_decay=0.9"]), hashes[0]);
}

#[test]
fn the_average_follows_the_parameters_and_is_evaluated_beside_them() {
    let mut s = session(&["train.ema_decay=0.8", "train.epochs=4"]);
    let events = finish(&mut s);
    let checkpoint = s.checkpoint();
    let (model, average) = (checkpoint.model(), checkpoint.average());
    assert_eq!(model.len(), average.len());
    let distance = |a: &[f32], b: &[f32]| {
        let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        (squares / a.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>()).sqrt()
    };
    for name in ["conv1.weight", "fc.weight", "bn1.running_var"] {
        let apart = distance(&tensor(&model, name), &tensor(&average, name));
        assert!(apart > 0.0 && apart < 0.5, "{name}: {apart}");
    }
    let last = *epochs(&events).last().unwrap();
    let averaged = last.average.unwrap();
    assert_ne!(averaged.loss, last.measured.loss);
    assert!((averaged.accuracy - last.measured.accuracy).abs() < 0.2, "{averaged:?}");
}

#[test]
fn what_is_frozen_stays_as_it_was_running_statistics_too() {
    let mut s = session(&["train.freeze=[\"conv1\", \"bn1\", \"bn2.weight\"]"]);
    let before = s.state();
    advance_to(&mut s, 2, 3);
    let resumed = restore(&s.checkpoint());
    let mut kinds = [0, 0];
    for mut s in [s, resumed] {
        finish(&mut s);
        for tensor in s.state() {
            let was = before.iter().find(|t| t.name == tensor.name).unwrap();
            let is_frozen = tensor.name.starts_with("conv1.")
                || tensor.name.starts_with("bn1.")
                // A batch norm whose scale is frozen is frozen altogether.
                || tensor.name.starts_with("bn2.");
            assert_eq!(tensor.values == was.values, is_frozen, "{}", tensor.name);
            kinds[usize::from(is_frozen)] += 1;
        }
    }
    assert!(kinds[0] > 0 && kinds[1] > 0);
}

#[test]
fn a_part_that_there_is_not_is_refused_with_those_that_there_are() {
    let refused = |freeze: &str| {
        let config = small_config(&[freeze]);
        let dataset = data::load(&config.data, config.seed, &mut |_| {}).unwrap();
        let device = DeviceName::LibtorchCpu.open_with(CudaMath::default()).unwrap();
        match Session::new(config, dataset, &[], &device, "cpu") {
            Err(e @ TrainError::Freeze(_)) => e.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let told = refused("train.freeze=[\"layer1\"]");
    assert!(told.contains("\"layer1\"") && told.contains("conv1, bn1, conv2"), "{told}");
    // The beginning of a name is not the name.
    assert!(refused("train.freeze=[\"conv\"]").contains("no \"conv\""));
    let all =
        refused("train.freeze=[\"conv1\",\"bn1\",\"conv2\",\"bn2\",\"conv3\",\"bn3\",\"fc\"]");
    assert!(all.contains("nothing of the model would be left"), "{all}");
}

#[test]
fn mixed_images_need_weights_of_images_as_they_are() {
    let refused = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        earlybird::config::demo(&set).unwrap_err().to_string()
    };
    let told = refused(&["train.mixup=0.2"]);
    assert!(told.contains("importance.window") && told.contains("\"fresh\""), "{told}");
    let told =
        refused(&["train.cutmix=1", "importance.window=fresh", "importance.pretrain_epochs=auto"]);
    assert!(told.contains("mixed images do not tell"), "{told}");
    // While it trains, too.
    let mut s = session(&[]);
    let answer = set(&mut s, "train.mixup", 0.2);
    assert!(matches!(&answer[..], [Event::Refused { reason, .. }] if reason.contains("mixed")));
}

/// A run that does not get any better.
fn stuck(more: &[&str]) -> Session {
    let base = ["train.lr=1e-8", "train.epochs=9", "data.validation=0.2", "train.patience=2"];
    session_on(small_config(&[&base[..], more].concat()), DeviceName::LibtorchCpu)
}

#[test]
fn a_run_that_gets_no_better_ends_with_the_best_model_measured() {
    let early = |events: &[Event]| -> Vec<_> {
        let of = |e: &Event| match e {
            Event::Changed { epoch, old, new, by_itself: Some(ByItself::NoBetter), .. } => {
                Some((*epoch, old.clone(), new.clone()))
            }
            _ => None,
        };
        events.iter().filter_map(of).collect()
    };
    let mut s = stuck(&[]);
    let events = finish(&mut s);
    // E = 2, and its two epochs have their time.
    assert_eq!(early(&events), [(4, 9.into(), 4.into())]);
    assert_eq!(epochs(&events).len(), 4);
    let tested = events.iter().filter(|e| matches!(e, Event::Tested { .. })).count();
    assert_eq!(tested, 2, "the test set was read once, of the best and the last model");
    assert!(s.is_complete() || s.is_finished());
    // From a checkpoint in between, the same.
    let mut first = stuck(&[]);
    advance_to(&mut first, 4, 1);
    let resumed = finish(&mut restore(&first.checkpoint()));
    assert_eq!((early(&resumed), hash(&resumed)), (early(&events), hash(&events)));
    // Not where it is off, which it can be while it trains.
    let mut first = stuck(&[]);
    advance_to(&mut first, 4, 1);
    apply(&mut first, Command::Set { key: "train.patience".into(), value: 0.into() });
    let on = finish(&mut first);
    assert!(early(&on).is_empty());
    assert_eq!(epochs(&on).last().map(|e| e.epoch), Some(9));
}

/// A run as people start one, which ends early; its code and what a second call says.
#[test]
fn a_run_that_ended_early_is_finished_for_everybody() {
    for more in [&[][..], &["--set", "data.validation=0.2"]] {
        let runs = Runs::new();
        let stuck =
            ["--set", "train.lr=1e-8", "--set", "train.patience=1", "--set", "train.epochs=9"];
        let (code, events) = runs.headless("train", &[&stuck[..], more].concat()).end();
        assert_eq!(code, 0);
        assert_eq!(epochs(&events).len(), 3, "E = 2, and one more");
        let directory = runs.directory("demo-001");
        let ending = directory.ending().unwrap();
        assert!(ending.is_finished() && directory.has_its_model(&ending), "{ending:?}");
        let ask = |args: &[&str]| {
            let output = program().args(args).arg("--runs-dir").arg(runs.path()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let said = ask(&["resume"]);
        assert!(said.contains("is finished (3 of 3 epochs)"), "{said}");
        assert!(said.contains("--set train.patience=0"), "{said}");
        let journal = read_journal(&directory.file("journal.jsonl")).unwrap().records;
        let tested = journal.iter().filter(|r| matches!(r.event, Event::Tested { .. })).count();
        assert_eq!(tested, if more.is_empty() { 0 } else { 2 }, "the test set is read once");
        // Who wants more gets it.
        let on = ["--headless", "--set", "train.epochs=5", "--set", "train.patience=0"];
        ask(&[&["resume"][..], &on].concat());
        let ending = directory.ending().unwrap();
        assert!(matches!(ending, Ending::Finished { epochs: 5, .. }), "{ending:?}");
    }
}

#[test]
fn patience_counts_all_epochs_where_all_are_pretraining() {
    let set =
        ["train.lr=1e-8", "train.epochs=8", "importance.pretrain_epochs=8", "train.patience=3"];
    let events = finish(&mut session(&set));
    let first = epochs(&events)[0].measured.accuracy;
    assert!(epochs(&events).iter().all(|e| e.measured.accuracy <= first), "it stays as it was");
    assert_eq!(epochs(&events).len(), 4);
}

#[test]
fn what_the_model_says_of_mixed_images_is_not_recorded() {
    let set = ["train.mixup=0.4", "importance.window=fresh"];
    let mut s = session(&set);
    advance_to(&mut s, 2, 5);
    assert_eq!(s.checkpoint().state.recorded_epochs, 0);
    // Nor is it once that is over: an epoch counts from its beginning.
    apply(&mut s, Command::Set { key: "train.mixup".into(), value: 0.into() });
    let events = finish(&mut s);
    let weighed: Vec<_> = events
        .iter()
        .filter_map(|e| if let Event::Weights(w) = e { Some((w.epoch, w.unseen)) } else { None })
        .collect();
    assert_eq!(weighed, [(2, 0)], "by a pass over the images as they are");
    let refused = earlybird::config::demo(
        &["train.mixup=0.4", "importance.window=fresh", "importance.sampler=infobatch"]
            .map(String::from),
    );
    assert!(refused.unwrap_err().to_string().contains("draws by the losses"));
}
