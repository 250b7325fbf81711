//! The method, driven step by step without threads: phases, weights, E moved, streams, degenerate
//! cases.

use crate::support::{
    advance_to, advance_until, apply, epochs, finish, hash, session, session_on, set, small_config,
    weights,
};
use earlybird::config::{KEYS, Key, Live, Rule};
use earlybird::model::device::DeviceName;
use earlybird::protocol::{Bias, Cause, Command, Effective, End, Event, Phase, Stop};
use earlybird::train::Progress;
use serde_json::{Value, json};
use std::collections::HashMap;

fn phases(events: &[Event]) -> Vec<Phase> {
    epochs(events).iter().map(|e| e.phase).collect()
}

fn is_refused(events: &[Event], part: &str) -> bool {
    matches!(events, [Event::Refused { reason, .. }] if reason.contains(part))
}

#[test]
fn pretraining_then_weights_once_then_biased_draws_as_expected() {
    let events = finish(&mut session(&["data.train_limit=1000", "train.epochs=5"]));
    assert_eq!(
        phases(&events),
        [Phase::Pretrain, Phase::Pretrain, Phase::Biased, Phase::Biased, Phase::Biased]
    );
    let w = weights(&events);
    assert_eq!(w.len(), 1);
    assert_eq!(
        (w[0].epoch, w[0].n, w[0].unseen, w[0].counts.iter().sum::<u64>()),
        (2, 1000, 0, 1000)
    );
    assert!(w[0].ess > 0.1 && w[0].ess < 1.0);
    let position = |f: &dyn Fn(&Event) -> bool| events.iter().position(f).unwrap();
    assert!(
        position(&|e| matches!(e, Event::EpochEnd(e) if e.epoch == 2))
            < position(&|e| matches!(e, Event::Weights(_)))
            && position(&|e| matches!(e, Event::Weights(_)))
                < position(&|e| matches!(e, Event::Phase { epoch: 3, .. }))
    );
    let counts = events.iter().find_map(|e| {
        if let Event::RunStarted { data, .. } = e { Some(data.counts.clone()) } else { None }
    });
    for e in epochs(&events) {
        assert_eq!(e.drawn.iter().sum::<u64>(), 1000);
        assert!((e.expected.iter().sum::<f64>() - 1000.0).abs() < 1e-6);
        if e.phase == Phase::Pretrain {
            assert_eq!(Some(&e.drawn), counts.as_ref());
            assert_eq!((e.coverage, e.max_multiplicity), (1.0, 1));
            continue;
        }
        for (drawn, expected) in e.drawn.iter().zip(&e.expected) {
            let sd = (expected * (1.0 - expected / 1000.0)).sqrt();
            assert!(
                (*drawn as f64 - expected).abs() < 4.0 * sd,
                "epoch {}: {drawn} drawn, {expected} expected",
                e.epoch
            );
        }
        // Standard deviation of the coverage of 1000 draws is about 0.01.
        assert!(
            (e.coverage - e.expected_coverage).abs() < 0.05,
            "{} {}",
            e.coverage,
            e.expected_coverage
        );
        assert!(e.max_multiplicity >= 2 && e.never_drawn < 1000);
    }
}

#[test]
fn the_same_seed_gives_the_same_parameters_and_another_seed_others() {
    let run = |set: &[&str]| hash(&finish(&mut session(set)));
    let first = run(&[]);
    assert_eq!(first, run(&[]));
    assert_ne!(first, run(&["seed=2"]));
    assert_eq!(first, run(&["train.eval_batch_size=7"]), "evaluation must not disturb training");
}

#[test]
fn asking_for_figures_changes_nothing() {
    let quiet = hash(&finish(&mut session(&[])));
    let mut watched = session(&[]);
    let events = advance_until(&mut watched, |_, _, _| false);
    let mut asked = session(&[]);
    let mut all = Vec::new();
    while asked.advance() != Progress::Finished {
        asked.step_event();
        all.extend(asked.take_events());
    }
    all.extend(asked.take_events());
    assert_eq!(hash(&events), quiet);
    assert_eq!(hash(&all), quiet);
}

#[test]
fn e_moved_in_the_first_epoch_is_the_same_as_e_configured() {
    let configured =
        hash(&finish(&mut session(&["train.epochs=6", "importance.pretrain_epochs=4"])));
    let mut moved = session(&["train.epochs=6", "importance.pretrain_epochs=2"]);
    advance_to(&mut moved, 1, 3);
    let answer = set(&mut moved, "importance.pretrain_epochs", 4);
    assert!(
        matches!(
            &answer[..],
            [Event::Changed { epoch: 1, step: 3, effective, .. }]
                if *effective == Effective::WeightsAfter(4)
        ),
        "{answer:?}"
    );
    let events = finish(&mut moved);
    assert_eq!(hash(&events), configured);
    assert_eq!(weights(&events)[0].epoch, 4);
}

#[test]
fn an_e_that_lies_behind_means_the_next_boundary() {
    let mut s = session(&["train.epochs=5", "importance.pretrain_epochs=4"]);
    advance_to(&mut s, 3, 2);
    let answer = set(&mut s, "importance.pretrain_epochs", 1);
    assert!(matches!(&answer[..], [Event::Changed { new, .. }] if new == 3), "{answer:?}");
    let events = finish(&mut s);
    assert_eq!(weights(&events).iter().map(|w| w.epoch).collect::<Vec<_>>(), [3]);
    assert_eq!(phases(&events), [Phase::Pretrain, Phase::Biased, Phase::Biased]);
}

#[test]
fn bias_now_is_the_epoch_in_progress() {
    let mut s = session(&["train.epochs=4", "importance.pretrain_epochs=4"]);
    advance_to(&mut s, 2, 1);
    let answer = apply(&mut s, Command::Bias { bias: Bias::Now });
    assert!(matches!(&answer[..], [Event::Changed { new, .. }] if new == 2), "{answer:?}");
    assert_eq!(phases(&finish(&mut s)), [Phase::Pretrain, Phase::Biased, Phase::Biased]);
}

#[test]
fn an_e_that_was_moved_to_later_and_back_before_it_took_effect_changes_nothing() {
    let keys = ["train.epochs=5", "importance.pretrain_epochs=1"];
    let unmoved = hash(&finish(&mut session(&keys)));
    let mut s = session(&keys);
    advance_to(&mut s, 3, 1);
    for (e, wanted) in [
        (5, Effective::BackToPretraining { after: 3, weights_after: 5 }),
        (4, Effective::WeightsAfter(4)),
        (1, Effective::NextEpoch),
        (4, Effective::BackToPretraining { after: 3, weights_after: 4 }),
        (1, Effective::NextEpoch),
    ] {
        let answer = set(&mut s, "importance.pretrain_epochs", e);
        assert!(
            matches!(&answer[..], [Event::Changed { new, effective, .. }]
                if *new == json!(e) && *effective == wanted),
            "{answer:?}"
        );
    }
    let events = finish(&mut s);
    assert_eq!(phases(&events), [Phase::Biased; 3]);
    assert!(weights(&events).is_empty(), "those of epoch 1 serve on");
    assert_eq!(hash(&events), unmoved);
}

#[test]
fn a_later_e_goes_back_to_pretraining_and_weighs_anew() {
    let mut s = session(&["train.epochs=6", "importance.pretrain_epochs=1"]);
    let mut events = advance_to(&mut s, 3, 1);
    assert_eq!(weights(&events).len(), 1);
    assert!(is_refused(
        &set(&mut s, "importance.pretrain_epochs", 1),
        "the switch was made after epoch 1"
    ));
    assert!(is_refused(&set(&mut s, "importance.pretrain_epochs", 3), "only an E of 4 to 6"));
    set(&mut s, "importance.pretrain_epochs", 5);
    events.extend(finish(&mut s));
    let order = [
        Phase::Pretrain,
        Phase::Biased,
        Phase::Biased,
        Phase::Pretrain,
        Phase::Pretrain,
        Phase::Biased,
    ];
    assert_eq!(phases(&events), order);
    assert_eq!(weights(&events).iter().map(|w| w.epoch).collect::<Vec<_>>(), [1, 5]);
}

#[test]
fn bad_values_are_refused_with_the_reason_and_change_nothing() {
    let mut s = session(&[]);
    advance_to(&mut s, 2, 1);
    let before = s.config().clone();
    for (key, value, reason) in [
        ("importance.pretrain_epochs", serde_json::json!(5), "0..=4"),
        ("importance.pretrain_epochs", serde_json::json!(-1), "0..=4"),
        ("importance.pretrain_epochs", serde_json::json!("x"), "whole number or \"auto\""),
        ("importance.pretrain_epochs", serde_json::json!(2), "already"),
        ("train.epochs", serde_json::json!(1), "beyond train.epochs"),
        ("train.lr_scale", serde_json::json!(-1), "expected a number"),
        ("train.batch_size", serde_json::json!(8), "fixed for the run"),
        ("model.name", serde_json::json!("resnet18"), "fixed for the run"),
        ("importance.exponnt", serde_json::json!(2), "importance.exponent"),
        ("train.lr_scale", serde_json::Value::Null, ""),
    ] {
        let answer = set(&mut s, key, value.clone());
        assert!(is_refused(&answer, reason), "{key} = {value}: {answer:?}");
    }
    assert_eq!(*s.config(), before);
}

#[test]
fn n_moves_but_never_behind_the_epoch_in_progress() {
    let mut s = session(&["train.epochs=5", "importance.pretrain_epochs=1"]);
    advance_to(&mut s, 3, 1);
    assert!(is_refused(&set(&mut s, "train.epochs", 2), "N must be at least 3"));
    set(&mut s, "train.epochs", 3);
    let events = finish(&mut s);
    assert!(matches!(events.last(), Some(Event::Finished { epochs: 3, end: End::Complete, .. })));
}

#[test]
fn pause_answers_at_once_and_nothing_happens_until_resume() {
    let mut s = session(&[]);
    advance_to(&mut s, 1, 2);
    assert!(matches!(
        apply(&mut s, Command::Pause)[..],
        [Event::Paused { epoch: 1, step: 2, reason: None, cause: Cause::Asked }]
    ));
    assert!((0..50).all(|_| s.advance() == Progress::Paused));
    assert!(s.take_events().is_empty());
    assert!(is_refused(&apply(&mut s, Command::Pause), "already"));
    assert!(matches!(apply(&mut s, Command::Resume)[..], [Event::Resumed { epoch: 1, step: 2 }]));
    let paused = hash(&finish(&mut s));
    assert_eq!(paused, hash(&finish(&mut session(&[]))));
}

#[test]
fn stop_now_and_stop_after_the_epoch() {
    let mut s = session(&[]);
    advance_to(&mut s, 2, 1);
    apply(&mut s, Command::Stop { stop: Stop::Now });
    assert!(matches!(
        finish(&mut s).last(),
        Some(Event::Finished { epochs: 1, end: End::Stopped, .. })
    ));
    let mut s = session(&[]);
    advance_to(&mut s, 2, 1);
    apply(&mut s, Command::Stop { stop: Stop::AfterEpoch });
    assert!(matches!(
        finish(&mut s).last(),
        Some(Event::Finished { epochs: 2, end: End::Stopped, .. })
    ));
    assert!(is_refused(&apply(&mut s, Command::Pause), "over"));
}

#[test]
fn bias_off_and_on_keep_the_weights() {
    let mut s = session(&["train.epochs=5", "importance.pretrain_epochs=1"]);
    let mut events = advance_to(&mut s, 2, 1);
    apply(&mut s, Command::Bias { bias: Bias::Off });
    assert!(is_refused(&apply(&mut s, Command::Bias { bias: Bias::Off }), "uniform already"));
    events.extend(advance_to(&mut s, 3, 1));
    apply(&mut s, Command::Bias { bias: Bias::On });
    events.extend(finish(&mut s));
    assert_eq!(
        phases(&events),
        [Phase::Pretrain, Phase::Biased, Phase::Uniform, Phase::Biased, Phase::Biased]
    );
    assert_eq!(weights(&events).len(), 1);
}

#[test]
fn e_zero_is_biased_from_the_start_with_uniform_weights_and_e_n_is_the_baseline() {
    let events = finish(&mut session(&["train.epochs=2", "importance.pretrain_epochs=0"]));
    assert_eq!(phases(&events), [Phase::Biased, Phase::Biased]);
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Warning { code, .. } if code == "uniform-weights"))
    );
    assert!((epochs(&events)[0].ess - 1.0).abs() < 1e-9);
    assert!((epochs(&events)[0].coverage - 0.632).abs() < 0.08);

    let baseline = finish(&mut session(&["train.epochs=2", "importance.pretrain_epochs=2"]));
    assert!(weights(&baseline).is_empty());
    let uniform = finish(&mut session(&[
        "train.epochs=2",
        "importance.pretrain_epochs=1",
        "importance.sampler=uniform",
    ]));
    assert_eq!(hash(&baseline), hash(&uniform), "uniform sampling after E is the baseline");
}

#[test]
fn every_option_of_the_method_trains() {
    for options in [
        &["importance.sampler=class-balanced"][..],
        &["importance.sampler=uniform-replacement"],
        &["importance.draw=systematic", "importance.exponent=2.0", "importance.uniform_mix=0.3"],
        &["importance.level=class", "importance.drop_hardest=0.1"],
        &["importance.reweight=1.0", "importance.metric=el2n"],
        &["importance.metric=loss", "importance.window=last"],
        &["importance.metric=margin", "importance.window=fresh"],
        &["importance.metric=entropy", "importance.rescore_every=1"],
        &["importance.uniform_tail=0.5"],
        &["importance.level=balanced", "importance.doubt=1.0"],
        &["importance.level=within", "importance.class_exponent=0.5", "importance.exponent=0.0"],
        &["importance.adjust=drawn", "importance.adjust_tau=1.5", "train.label_smoothing=0.1"],
        &["importance.adjust=data", "importance.adjust_from=start", "train.precision=bf16"],
        &["importance.class_weights=effective-number", "importance.margin=2.0"],
        &["importance.defer=0.75", "importance.adjust_posthoc=1.0"],
        &["data.crop_padding=2", "data.flip=true"],
        &["train.schedule=cosine", "train.nesterov=true", "train.label_smoothing=0.1"],
        &["train.schedule=step", "train.momentum=0.0", "train.weight_decay=0.0"],
        // leaves a last batch of one image, which batch norm cannot train on
        &["train.batch_size=299"],
        &["train.batch_size=5000"],
    ] {
        let events = finish(&mut session(options));
        let ends = epochs(&events);
        assert_eq!(ends.len(), 4, "{options:?}");
        for e in ends {
            assert!(e.train_loss.is_finite() && e.measured.loss.is_finite(), "{options:?}: {e:?}");
            assert_eq!(e.drawn.iter().sum::<u64>(), 300, "{options:?}");
        }
    }
}

#[test]
fn epochs_that_draw_fewer_images_say_so_and_end_at_the_same_learning_rate() {
    for options in [
        &["importance.sampler=uniform", "importance.draws=0.5"][..],
        &["importance.draws=0.5"],
        &["importance.sampler=rcap", "importance.draws=0.5"],
        &["importance.sampler=top-share", "importance.draws=0.5"],
        &["importance.sampler=infobatch", "importance.reweight=1.0"],
    ] {
        let events = finish(&mut session(options));
        let ends = epochs(&events);
        let drawn = |k: usize| ends[k].drawn.iter().sum::<u64>();
        assert_eq!((drawn(0), drawn(1)), (300, 300), "pretraining draws all: {options:?}");
        assert!((150..300).contains(&drawn(3)), "{options:?}: {}", drawn(3));
        assert_eq!(ends[3].samples, (0..4).map(drawn).sum::<u64>());
        let expected = ends[3].expected.iter().sum::<f64>();
        assert!((expected - drawn(3) as f64).abs() < 1e-6, "{options:?}: {expected}");
        assert!(ends[3].coverage <= 1.0 && ends[3].expected_coverage <= 1.0);
    }
}

#[test]
fn a_corrected_run_says_by_what_and_measures_and_records_the_plain_logits() {
    let plain = finish(&mut session(&["importance.adjust=none"]));
    let corrected = finish(&mut session(&["importance.adjust=drawn"]));
    let (a, b) = (epochs(&plain), epochs(&corrected));
    // Up to E nothing differs, what is recorded included: the same weights, the same draws.
    assert_eq!((&a[1].measured, weights(&plain)), (&b[1].measured, weights(&corrected)));
    assert_eq!((&a[2].drawn, a[1].correction.len()), (&b[2].drawn, 0));
    assert!(a.iter().all(|e| e.correction.is_empty()) && b[1].correction.is_empty());
    let (by, of) = (&b[2].correction, &b[2].expected);
    for (by, expected) in by.iter().zip(of) {
        assert!((by - (10.0 * expected / 300.0).ln()).abs() < 1e-5, "{by} for {expected} draws");
    }
    assert_ne!(hash(&plain), hash(&corrected));
    let tau_zero = finish(&mut session(&["importance.adjust=drawn", "importance.adjust_tau=0.0"]));
    assert_eq!(hash(&tau_zero), hash(&plain), "tau = 0 is none, to the bit");
}

#[test]
fn a_correction_after_training_changes_what_is_measured_and_no_parameter() {
    let plain = finish(&mut session(&[]));
    let corrected = finish(&mut session(&["importance.adjust_posthoc=1.0"]));
    assert_eq!(hash(&plain), hash(&corrected));
    let loss = |events: &[Event]| epochs(events).last().unwrap().measured.loss;
    assert_ne!(loss(&plain), loss(&corrected));
}

#[test]
fn a_change_of_the_loss_takes_effect_with_the_next_epoch_and_not_before() {
    for (key, value) in [
        ("importance.adjust", json!("drawn")),
        ("importance.margin", json!(2.0)),
        ("importance.class_weights", json!("effective-number")),
        ("importance.reweight", json!(1.0)),
    ] {
        let at = |epoch: usize, step: usize| {
            let mut s = session(&["train.epochs=5"]);
            advance_to(&mut s, epoch, step);
            let told = apply(&mut s, Command::Set { key: key.into(), value: value.clone() });
            assert!(
                matches!(told[..], [Event::Changed { effective: Effective::NextEpoch, .. }]),
                "{key}: {told:?}"
            );
            hash(&finish(&mut s))
        };
        assert_eq!(at(3, 1), at(3, 7), "{key}: whenever in an epoch it is set, the next has it");
        assert_ne!(at(3, 1), at(4, 1), "{key}: the next epoch does have it");
    }
}

#[test]
fn a_correction_in_evaluations_begins_with_the_next_epoch() {
    let losses =
        |events: &[Event]| -> Vec<f64> { epochs(events).iter().map(|e| e.measured.loss).collect() };
    let plain = losses(&finish(&mut session(&[])));
    let mut s = session(&[]);
    let mut events = advance_to(&mut s, 3, 1);
    set(&mut s, "importance.adjust_posthoc", 1.0);
    events.extend(finish(&mut s));
    let corrected = losses(&events);
    assert_eq!(corrected[..3], plain[..3], "the epoch in progress is measured as it began");
    assert_ne!(corrected[3], plain[3]);
}

#[test]
fn what_is_deferred_begins_after_that_share_of_all_epochs() {
    let events = finish(&mut session(&[
        "train.epochs=5",
        "importance.pretrain_epochs=1",
        "importance.defer=0.6",
        "importance.adjust=drawn",
    ]));
    let (p, u, b) = (Phase::Pretrain, Phase::Uniform, Phase::Biased);
    assert_eq!(phases(&events), [p, u, u, b, b]);
    let corrected: Vec<bool> = epochs(&events).iter().map(|e| !e.correction.is_empty()).collect();
    assert_eq!(corrected, [false, false, false, true, true]);
}

#[test]
fn class_balanced_draws_and_the_uniform_tail_show_in_the_figures() {
    let events = finish(&mut session(&["importance.sampler=class-balanced"]));
    let last = epochs(&events)[3];
    assert!(last.expected.iter().all(|e| (e - 30.0).abs() < 1e-6), "{:?}", last.expected);
    let events = finish(&mut session(&[
        "train.epochs=5",
        "importance.pretrain_epochs=1",
        "importance.uniform_tail=0.5",
    ]));
    assert_eq!(
        phases(&events),
        [Phase::Pretrain, Phase::Biased, Phase::Biased, Phase::Uniform, Phase::Uniform]
    );
}

#[test]
fn rescoring_weighs_again_by_an_evaluation_pass() {
    let events = finish(&mut session(&[
        "train.epochs=5",
        "importance.pretrain_epochs=1",
        "importance.rescore_every=2",
    ]));
    assert_eq!(weights(&events).iter().map(|w| w.epoch).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_run_that_diverges_pauses_with_the_reason_and_can_be_resumed() {
    let options =
        ["train.lr=100.0", "train.schedule=constant", "train.warmup=0.0", "train.weight_decay=1.0"];
    let mut s = session(&options);
    let mut paused = None;
    for _ in 0..2_000 {
        let progress = s.advance();
        s.step_event();
        for event in s.take_events() {
            if let Event::Paused { reason: Some(reason), cause: Cause::NotFinite, .. } = event {
                paused = Some(reason);
            }
        }
        if paused.is_some() || progress == Progress::Finished {
            break;
        }
    }
    let reason = paused.expect("lr = 100 diverges");
    assert!(reason.contains("not finite") || reason.contains("not a finite number"), "{reason}");
    assert!(reason.contains("smaller train.lr") && s.is_paused(), "{reason}");
    // Nothing of that step was kept: the parameters are those of a session that made the steps
    // before it and no other.
    let at: usize =
        reason.split("at step ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut straight = session(&options);
    advance_to(&mut straight, 1, at - 1);
    assert!(s.state() == straight.state(), "paused at step {at}");
    assert!(
        s.state().iter().filter(|t| t.trainable).all(|t| t.values.iter().all(|v| v.is_finite()))
    );
    apply(&mut s, Command::Resume);
    // Nothing is ever drawn from broken weights: the run ends, pausing once more at E at the most.
    for _ in 0..2_000 {
        match s.advance() {
            Progress::Paused => drop(apply(&mut s, Command::Resume)),
            Progress::Finished => return,
            _ => {}
        }
    }
    panic!("the run did not end");
}

#[test]
fn two_hundred_steps_on_libtorch_follow_the_reference() {
    let on = |device, seed: &str| {
        let mut set =
            vec!["train.epochs=10", "importance.pretrain_epochs=5", "train.batch_size=20", seed];
        set.extend(["data.train_limit=400", "data.test_limit=50", "data.imbalance=1.0"]);
        let mut s = session_on(small_config(&set), device);
        let start = s.state();
        let events = finish(&mut s);
        (start, epochs(&events).iter().map(|e| e.train_loss).collect::<Vec<_>>())
    };
    let (libtorch, flex) = (on(DeviceName::LibtorchCpu, "seed=1"), on(DeviceName::Flex, "seed=1"));
    assert_eq!(libtorch.0, flex.0);
    // The noise of training: what another seed's losses are away.
    let apart =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a / b).ln().abs()).fold(0.0, f64::max);
    let noise = apart(&libtorch.1, &on(DeviceName::LibtorchCpu, "seed=2").1);
    let distance = apart(&libtorch.1, &flex.1);
    assert!(
        distance < 0.5 * noise,
        "{distance} apart, seeds {noise}: {:?} {:?}",
        libtorch.1,
        flex.1
    );
}

#[test]
fn resnet18_has_torchvision_s_names_and_count() {
    let config = small_config(&[
        "model.name=resnet18",
        "train.epochs=1",
        "importance.pretrain_epochs=1",
        "data.train_limit=10",
        "data.test_limit=10",
    ]);
    let mut s = session_on(config, DeviceName::LibtorchCpu);
    let started = s.take_events();
    // torchvision's resnet18 for ten classes with a 3x3 stem of one channel: 11,172,810.
    assert!(
        matches!(&started[..], [Event::RunStarted { model, .. }] if model.parameters == 11_172_810),
        "{started:?}"
    );
    let names: Vec<String> = s.state().into_iter().map(|t| t.name).collect();
    for name in [
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.running_var",
        "layer4.1.bn2.bias",
        "fc.weight",
        "fc.bias",
    ] {
        assert!(names.iter().any(|n| n == name), "{name} is missing in {names:?}");
    }
    assert_eq!(names.len(), 102); // 62 parameters and 40 running statistics
    assert_eq!(epochs(&finish(&mut s)).len(), 1);
}

#[test]
fn flipped_labels_attract_the_bias_and_dropping_the_hardest_keeps_them_out() {
    let noisy = [
        "data.label_noise=0.1",
        "data.train_limit=3000",
        "data.imbalance=1.0",
        "data.test_limit=100",
        "train.lr=0.1",
    ];
    let run = |more: &[&str]| {
        let mut s = session(
            &[&noisy[..], &["train.epochs=4", "importance.pretrain_epochs=3"], more].concat(),
        );
        finish(&mut s)
    };
    let share = |events: &[Event]| epochs(events).last().unwrap().flipped_share.unwrap();
    let biased = run(&[]);
    assert_eq!(epochs(&biased)[0].flipped_share, Some(0.1), "each sample once");
    assert!(share(&biased) > 0.15, "{}", share(&biased));
    let warned = |events: &[Event]| {
        events.iter().any(|e| matches!(e, Event::Warning { code, .. } if code == "label-noise"))
    };
    assert!(warned(&biased), "the caution appears: {:?}", epochs(&biased)[3].suspect_share);
    let dropped = run(&["importance.drop_hardest=0.1"]);
    assert!(share(&dropped) < 0.06, "{}", share(&dropped));
    let clean = finish(&mut session(
        &[&noisy[1..], &["train.epochs=4", "importance.pretrain_epochs=3"]].concat(),
    ));
    assert!(
        !warned(&clean) && epochs(&clean)[3].flipped_share.is_none(),
        "{:?}",
        epochs(&clean)[3].suspect_share
    );
}

#[test]
fn while_pretraining_the_weights_that_an_earlier_e_would_give_are_told() {
    let told = |e: &str| {
        let mut session = session(&[&format!("importance.pretrain_epochs={e}"), "train.epochs=4"]);
        advance_until(&mut session, |_, events, _| {
            events.iter().any(|e| matches!(e, Event::Weights(_)))
        })
    };
    let (later, earlier) = (told("3"), told("2"));
    let previews = |events: &[Event]| -> Vec<_> {
        events
            .iter()
            .filter_map(|e| if let Event::WeightsPreview(w) = e { Some(w.clone()) } else { None })
            .collect()
    };
    assert_eq!(
        previews(&later).iter().map(|w| w.epoch).collect::<Vec<_>>(),
        [1, 2],
        "not of the last one: it gives the weights"
    );
    let real = earlier
        .iter()
        .find_map(|e| if let Event::Weights(w) = e { Some(w.clone()) } else { None })
        .unwrap();
    assert_eq!(previews(&later)[1], real, "the same as E = 2 gives");
}

/// A session's config in which a change of `key` shows: what tells how E is found does so where it
/// is to be found.
fn where_it_shows(key: &Key) -> &'static [&'static str] {
    const N: &str = "train.epochs=8";
    const AUTO: &str = "importance.pretrain_epochs=auto";
    match key.path {
        "importance.auto_least" => {
            &[N, AUTO, "importance.auto_threshold=0", "importance.auto_least=2"]
        }
        "importance.auto_threshold" | "importance.auto_most" => {
            &[N, AUTO, "importance.auto_threshold=1"]
        }
        "train.mixup" | "train.cutmix" => &["importance.window=fresh"],
        // Nothing gets better, so that N becomes less.
        "train.patience" => &[N, "train.lr=1e-8"],
        "importance.class_exponent" => &["importance.level=within"],
        "importance.adjust_tau" | "importance.adjust_from" => &["importance.adjust=drawn"],
        // E = 2 of N = 4, so a half of N would be E.
        "importance.defer" => &["importance.defer=0.75"],
        _ => &["importance.draw=systematic"],
    }
}

/// Another value of `key` than the one it has.
fn another(key: &Key, now: &Value) -> Value {
    let now = key.path.split('.').fold(now, |v, part| &v[part]);
    match key.rule {
        Rule::OneOf(words) => json!(words.iter().find(|word| **word != now).unwrap()),
        Rule::Integer(..) | Rule::IntegerOr(..) => json!(now.as_i64().unwrap() + 1),
        Rule::Number(..) if now.as_f64() == Some(0.0) => json!(0.5),
        Rule::Number(..) => json!(0.5 * now.as_f64().unwrap()),
        Rule::Flag => json!(now != true),
        ref other => panic!("{}: no live key is {other:?} so far", key.path),
    }
}

#[test]
fn every_key_that_is_marked_live_changes_what_comes_after_it() {
    // Parameters, and what they are measured by.
    let outcome = |events: &[Event]| {
        let losses: Vec<f64> = epochs(events).iter().map(|e| e.measured.loss).collect();
        (hash(events), losses)
    };
    let mut known = HashMap::new();
    for key in KEYS.iter().filter(|key| key.live != Live::No) {
        // What is kept on the disk is the trainer thread's: tests/faults.rs.
        if key.path.starts_with("checkpoint.") {
            continue;
        }
        let set = where_it_shows(key);
        let config = serde_json::to_value(small_config(set)).unwrap();
        let unchanged = known.entry(set).or_insert_with(|| outcome(&finish(&mut session(set))));
        let mut session = session(set);
        let mut events = advance_to(&mut session, 1, 1);
        let value = another(key, &config);
        let answer = apply(&mut session, Command::Set { key: key.path.into(), value });
        assert!(matches!(answer[..], [Event::Changed { .. }]), "{}: {answer:?}", key.path);
        events.extend(finish(&mut session));
        assert_ne!(
            outcome(&events),
            *unchanged,
            "{} is marked live, and nobody reads it again",
            key.path
        );
    }
}
