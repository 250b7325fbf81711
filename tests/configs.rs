//! Configs: the shipped ones parse, a resolved one reads back as itself, and every bad one is told what is wrong and where.

use earlybird::config::{self, RunConfig};
use std::path::Path;

#[test]
fn every_shipped_config_parses() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("configs").unwrap() {
        let path = entry.unwrap().path();
        config::load(&path, &[]).unwrap_or_else(|e| panic!("{e}"));
        names.push(path.file_stem().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "cifar10",
            "cifar100",
            "demo",
            "fashion-mnist",
            "fast-cifar10",
            "fast-embedded",
            "fast-fashion-mnist",
            "folder",
            "long-tail",
        ]
    );
}

#[test]
fn a_resolved_config_reads_back_as_itself() {
    let config = config::demo(&["importance.exponent=2".into(), "data.class_counts=[]".into()]).unwrap();
    let text = toml::to_string(&config).unwrap();
    assert_eq!(config::from_str(&text, "printed", &[]).unwrap(), config);
    assert_eq!(config::from_str("", "empty", &[]).unwrap(), RunConfig::default());
}

#[test]
fn set_comes_after_the_file_and_takes_bare_words() {
    let set = ["train.lr=0.5".to_owned(), "model.name = resnet18".into(), "seed=9".into()];
    let config = config::from_str("seed = 3\n[train]\nlr = 0.1\n", "my.toml", &set).unwrap();
    assert_eq!(
        (config.seed, config.train.lr, toml::Value::try_from(config.model.name).unwrap().as_str()),
        (9, 0.5, Some("resnet18"))
    );
}

/// Every way to be wrong, with the message a person gets.
#[test]
fn bad_configs_say_file_line_key_value_and_range() {
    let cases: &[(&str, &[&str])] = &[
        ("[train]\nepohcs = 5\n", &[]),
        ("sed = 5\n", &[]),
        ("[importance]\n\npretrain_epoch = 3\n", &[]),
        ("zzzzzzzz = 1\n", &[]),
        ("[trian]\nlr = 0.1\n", &[]),
        ("[nothing]\n", &[]),
        ("train = 5\n", &[]),
        ("[train]\nlr = -1.0\n", &[]),
        ("[train]\nlr = nan\n", &[]),
        ("[train]\nlr = \"fast\"\n", &[]),
        ("[train]\nbatch_size = 1\n", &[]),
        ("[train]\nepochs = 2.5\n", &[]),
        ("[train]\nepochs = 0\n", &[]),
        ("[train]\nnesterov = 1\n", &[]),
        ("[train]\nmomentum = 0\nnesterov = true\n", &[]),
        ("[model]\nname = \"vgg\"\n", &[]),
        ("name = \"../../etc\"\n", &[]),
        ("seed = -1\n", &[]),
        ("[data]\nclass_counts = [10, -1]\n", &[]),
        ("[data]\nimbalance = 10.0\nclass_counts = [10, 10]\n", &[]),
        ("[data]\nsource = \"folder\"\n", &[]),
        ("[importance]\npretrain_epochs = 40\n", &[]),
        ("[importance]\nexponent = 0.0\ndrop_hardest = 1.0\n", &[]),
        ("[train\nlr = 1\n", &[]),
        ("[train]\nlr = 1\nlr = 2\n", &[]),
        ("", &["train.epochs"]),
        ("", &["train.epoch=3"]),
        ("", &["train.epochs=many"]),
        ("", &["importance.pretrain_epochs=21"]),
    ];
    let mut out = String::new();
    for (text, set) in cases {
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        let error = config::from_str(text, "my.toml", &set).expect_err(text);
        out += &format!("{}{}\n{error}\n\n", text.trim_end(), set.join(" "));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn a_missing_file_says_so() {
    let error = config::load(Path::new("no/such.toml"), &[]).expect_err("missing").to_string();
    assert!(error.starts_with("no/such.toml: ") && error.contains("configs/"), "{error}");
}
