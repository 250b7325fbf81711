//! A run stopped at any step and continued from its checkpoint ends with the same parameters as one never stopped.

use crate::support::{advance_to, apply, epochs, finish, hash, session, set, small_config};
use earlybird::data;
use earlybird::model::device::DeviceName;
use earlybird::protocol::{Command, Event};
use earlybird::train::{Checkpoint, Session, Values};

fn restore(checkpoint: &Checkpoint) -> Session {
    try_restore(checkpoint).unwrap()
}

fn try_restore(checkpoint: &Checkpoint) -> Result<Session, String> {
    let config = &checkpoint.state.config;
    let dataset = data::load(&config.data, config.seed, &mut |_| {}).unwrap();
    let device = DeviceName::LibtorchCpu.open().unwrap();
    Session::restore(checkpoint, dataset, &device, "libtorch:cpu").map_err(|e| e.to_string())
}

#[test]
fn a_run_continued_from_any_moment_ends_with_the_same_parameters() {
    let options = ["data.crop_padding=2", "data.flip=true", "importance.reweight=0.5"];
    let straight = finish(&mut session(&options));
    // In the middle of pretraining, at the switch, in the middle of a biased epoch, in its evaluation.
    for (epoch, steps, further) in [(1, 0, 0), (1, 4, 0), (2, 10, 1), (3, 1, 0), (3, 5, 0), (4, 10, 1)] {
        let mut first = session(&options);
        let mut events = advance_to(&mut first, epoch, steps.max(1));
        for _ in 0..further {
            first.advance();
            events.extend(first.take_events());
        }
        let checkpoint = first.checkpoint();
        drop(first);
        let mut second = restore(&checkpoint);
        events.extend(finish(&mut second));
        assert_eq!(hash(&events), hash(&straight), "stopped in epoch {epoch} after {steps} steps");
        let (a, b) = (epochs(&events), epochs(&straight));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert_eq!((a.epoch, &a.drawn, &a.recall, a.never_drawn), (b.epoch, &b.drawn, &b.recall, b.never_drawn));
            assert!((a.train_loss - b.train_loss).abs() < 1e-6, "{} {}", a.train_loss, b.train_loss);
        }
    }
}

#[test]
fn live_changes_survive() {
    let live = |s: &mut Session| {
        set(s, "importance.pretrain_epochs", 3);
        set(s, "train.lr_scale", 0.5);
        set(s, "importance.exponent", 2.0);
    };
    let mut straight = session(&["train.epochs=5"]);
    advance_to(&mut straight, 2, 3);
    live(&mut straight);
    let straight = finish(&mut straight);

    let mut first = session(&["train.epochs=5"]);
    advance_to(&mut first, 2, 3);
    live(&mut first);
    let checkpoint = first.checkpoint();
    let mut second = restore(&checkpoint);
    assert_eq!(second.config(), first.config());
    assert_eq!(hash(&finish(&mut second)), hash(&straight));
}

#[test]
fn a_checkpoint_of_a_paused_run_goes_on_when_continued() {
    let mut first = session(&[]);
    advance_to(&mut first, 1, 2);
    apply(&mut first, Command::Pause);
    let mut second = restore(&first.checkpoint());
    assert!(!second.is_paused());
    assert_eq!(hash(&finish(&mut second)), hash(&finish(&mut session(&[]))));
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused_with_the_reason() {
    let mut first = session(&[]);
    advance_to(&mut first, 3, 2);
    let whole = first.checkpoint();
    let mut other_data = whole.clone();
    other_data.state.config = small_config(&["seed=2"]);
    let error = try_restore(&other_data).err().unwrap();
    assert!(error.contains("not what this run trained on"), "{error}");
    for (name, arrays) in [("model.conv2.weight", 1), ("importance.hard", 1), ("epoch.draws", 1)] {
        let mut lacking = whole.clone();
        lacking.arrays.retain(|a| a.name != name);
        assert_eq!(lacking.arrays.len() + arrays, whole.arrays.len());
        let error = try_restore(&lacking).err().unwrap();
        assert!(error.contains(name), "{error}");
    }
    let mut wild = whole.clone();
    for array in &mut wild.arrays {
        if let (Values::U32(draws), "epoch.draws") = (&mut array.values, array.name.as_str()) {
            draws[0] = 1_000_000;
        }
    }
    assert!(try_restore(&wild).err().unwrap().contains("epoch.draws"));
}

#[test]
fn the_first_event_of_a_continued_run_is_its_config_of_then() {
    let mut first = session(&[]);
    advance_to(&mut first, 3, 2);
    set(&mut first, "train.epochs", 6);
    let events = restore(&first.checkpoint()).take_events();
    assert!(matches!(&events[0], Event::RunStarted { config, .. } if config.train.epochs == 6), "{events:?}");
}
