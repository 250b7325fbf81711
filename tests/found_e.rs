//! E = auto: pretraining ends by itself once the importance is settled. Whoever changes E meanwhile
//! has the last word, and a run that was interrupted finds the same E.

use crate::support::{
    advance_to, apply, epochs, finish, hash, session, session_on, set, small_config, weights,
};
use earlybird::config::Pretrain;
use earlybird::data;
use earlybird::model::device::{CudaMath, DeviceName};
use earlybird::protocol::{Bias, ByItself, Command, Effective, Event, Phase};
use earlybird::train::{Checkpoint, Session};
use serde_json::json;

const E: &str = "importance.pretrain_epochs";

/// A run of eight epochs that is to find E, with more on top.
fn auto(more: &[&str]) -> Vec<String> {
    let base = ["train.epochs=8", "importance.pretrain_epochs=auto"];
    base.iter().chain(more).map(|s| (*s).to_owned()).collect()
}

fn finding(more: &[&str]) -> Session {
    let set = auto(more);
    session(&set.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What changed by itself: the new value, and why.
fn by_itself(events: &[Event]) -> Vec<(serde_json::Value, ByItself)> {
    let change = |event: &Event| match event {
        Event::Changed { new, by_itself: Some(why), .. } => Some((new.clone(), *why)),
        _ => None,
    };
    events.iter().filter_map(change).collect()
}

/// How settled the importance is after each of the first seven epochs, where nothing ends them.
fn course() -> Vec<Option<f64>> {
    let events = finish(&mut session(&["train.epochs=8", "importance.pretrain_epochs=7"]));
    epochs(&events).iter().take(7).map(|e| e.settled).collect()
}

fn restore(checkpoint: &Checkpoint) -> Session {
    let config = &checkpoint.state.config;
    let dataset = data::load(&config.data, config.seed, &mut |_| {}).unwrap();
    let device = DeviceName::LibtorchCpu.open_with(CudaMath::default()).unwrap();
    Session::restore(checkpoint, dataset, &device, "libtorch:cpu").unwrap()
}

#[test]
fn e_is_the_epoch_that_settles_and_the_run_is_that_of_a_configured_e() {
    let course = course();
    assert_eq!(course[0], None, "one epoch has nothing to be compared with");
    let known: Vec<f64> = course[1..].iter().map(|s| s.unwrap()).collect();
    assert!(known.iter().all(|s| (0.0..=1.0).contains(s)) && known[0] < known[2], "{known:?}");
    // Between what epochs 2 and 3 left.
    let threshold = format!("importance.auto_threshold={}", 0.5 * (known[0] + known[1]));
    let events = finish(&mut finding(&[&threshold]));
    assert_eq!(by_itself(&events), [(json!(3), ByItself::Settled)]);
    let place = |f: &dyn Fn(&Event) -> bool| events.iter().position(f).unwrap();
    let changed = place(&|e| {
        matches!(e, Event::Changed { epoch: 3, key, old, effective, .. }
            if key.as_str() == E && old == "auto" && *effective == Effective::WeightsAfter(3))
    });
    assert!(
        place(&|e| matches!(e, Event::EpochEnd(e) if e.epoch == 3)) < changed
            && changed < place(&|e| matches!(e, Event::Weights(_)))
    );
    let told: Vec<Option<f64>> = epochs(&events).iter().map(|e| e.settled).collect();
    assert_eq!(told[..3], course[..3]);
    assert!(told[3..].iter().all(Option::is_none), "nothing is recorded after E");
    let configured = finish(&mut session(&["train.epochs=8", "importance.pretrain_epochs=3"]));
    assert_eq!(hash(&events), hash(&configured));
}

#[test]
fn both_bounds_are_kept() {
    for (more, wanted) in [
        (&["importance.auto_threshold=0"][..], (2, ByItself::Settled)),
        (&["importance.auto_threshold=0", "importance.auto_least=4"], (4, ByItself::Settled)),
        (&["importance.auto_threshold=1", "importance.auto_most=3"], (3, ByItself::AtMost)),
        (&["importance.auto_threshold=1"], (4, ByItself::AtMost)), // half of N
        (&["importance.auto_threshold=1", "importance.auto_most=100"], (8, ByItself::AtMost)),
    ] {
        let events = finish(&mut finding(more));
        let (e, why) = wanted;
        assert_eq!(by_itself(&events), [(json!(e), why)], "{more:?}");
        let pretrained = epochs(&events).iter().filter(|e| e.phase == Phase::Pretrain).count();
        assert_eq!(pretrained, e, "{more:?}");
        assert_eq!(
            weights(&events).iter().map(|w| w.epoch).sum::<usize>(),
            if e < 8 { e } else { 0 }
        );
    }
}

#[test]
fn what_a_person_changes_stays() {
    let mut s = finding(&["importance.auto_threshold=0"]);
    advance_to(&mut s, 2, 1);
    let answer = set(&mut s, E, 4);
    assert!(
        matches!(&answer[..], [Event::Changed { old, new, by_itself: None, .. }]
            if *old == "auto" && *new == 4),
        "{answer:?}"
    );
    // Half of N is no change of value, but it is a number now.
    let events = finish(&mut s);
    assert!(by_itself(&events).is_empty());
    assert_eq!(weights(&events)[0].epoch, 4);

    let mut s = finding(&["importance.auto_threshold=1"]);
    advance_to(&mut s, 2, 1);
    let answer = apply(&mut s, Command::Bias { bias: Bias::Now });
    assert!(matches!(&answer[..], [Event::Changed { new, .. }] if *new == 2), "{answer:?}");
    assert_eq!(weights(&finish(&mut s))[0].epoch, 2);
}

#[test]
fn it_can_be_asked_for_while_it_pretrains_and_not_later() {
    let refused = |answer: Vec<Event>, part: &str| {
        let [Event::Refused { reason, .. }] = &answer[..] else { panic!("{answer:?}") };
        assert!(reason.contains(part), "{reason}");
    };
    let set_up = ["train.epochs=8", "importance.pretrain_epochs=7", "importance.auto_threshold=0"];
    let mut s = session(&set_up);
    advance_to(&mut s, 3, 1);
    let answer = set(&mut s, E, "auto");
    assert!(
        matches!(&answer[..], [Event::Changed { old, new, effective, .. }]
            if *old == 7 && *new == "auto" && *effective == Effective::WhenSettled),
        "{answer:?}"
    );
    refused(set(&mut s, E, "auto"), "already");
    refused(set(&mut s, E, "soon"), "or \"auto\"");
    refused(set(&mut s, "importance.auto_most", 2), "epoch 2 is done");
    refused(set(&mut s, "train.epochs", 4), "at most 2");
    let events = advance_to(&mut s, 5, 1);
    assert_eq!(by_itself(&events), [(json!(3), ByItself::Settled)]);
    refused(set(&mut s, E, "auto"), "a later E, as a number, goes back");
    // It does, and then E can be found once more, from what is recorded anew.
    set(&mut s, E, 7);
    advance_to(&mut s, 6, 1);
    refused(set(&mut s, E, "auto"), "E would be at most 4");
    set(&mut s, "importance.auto_most", 8);
    assert!(matches!(set(&mut s, E, "auto")[..], [Event::Changed { .. }]));
    assert_eq!(by_itself(&finish(&mut s)), [(json!(7), ByItself::Settled)], "the second one again");
    // One that lies behind already.
    let mut s = session(&["train.epochs=8", "importance.pretrain_epochs=8"]);
    advance_to(&mut s, 5, 1);
    refused(set(&mut s, E, "auto"), "E would be at most 4 (importance.auto_most)");
    assert_eq!(s.config().importance.pretrain_epochs, Pretrain::Epochs(8));
}

#[test]
fn a_run_that_was_interrupted_finds_the_same_e_and_ends_with_the_same_parameters() {
    let threshold = format!("importance.auto_threshold={}", course()[2].unwrap());
    let straight = finish(&mut finding(&[&threshold]));
    assert_eq!(by_itself(&straight), [(json!(3), ByItself::Settled)], "reached exactly");
    for (epoch, steps) in [(2, 4), (3, 0), (3, 6), (4, 0), (4, 3)] {
        let mut first = finding(&[&threshold]);
        let mut events = advance_to(&mut first, epoch, steps);
        let mut second = restore(&first.checkpoint());
        assert_eq!(second.config(), first.config());
        events.extend(finish(&mut second));
        assert_eq!(hash(&events), hash(&straight), "epoch {epoch}, step {steps}");
        assert_eq!(by_itself(&events), by_itself(&straight));
        let settled = |events: &[Event]| -> Vec<_> {
            epochs(events).iter().map(|e| (e.epoch, e.settled)).collect()
        };
        assert_eq!(settled(&events), settled(&straight), "to the last bit");
    }
}

#[test]
fn a_fresh_window_is_scored_once_e_is_found() {
    let more = ["importance.window=fresh", "importance.auto_threshold=0"];
    let events = finish(&mut session_on(
        small_config(&auto(&more).iter().map(String::as_str).collect::<Vec<_>>()),
        DeviceName::LibtorchCpu,
    ));
    assert_eq!(weights(&events).iter().map(|w| (w.epoch, w.unseen)).collect::<Vec<_>>(), [(2, 0)]);
}
