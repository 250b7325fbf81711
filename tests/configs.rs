//! Configs: the shipped ones parse, a resolved one reads back as itself, and every bad one is told
//! what is wrong and where.

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
            "cifar10-wide",
            "cifar100",
            "demo",
            "fashion-mnist",
            "fast-cifar10",
            "fast-embedded",
            "fast-fashion-mnist",
            "folder",
            "imagenet",
            "long-tail",
            "study-cifar10-lt",
            "study-cifar100-lt",
            "study-embedded",
            "study-fashion-mnist",
        ]
    );
}

#[test]
fn a_resolved_config_reads_back_as_itself() {
    let config =
        config::demo(&["importance.exponent=2".into(), "data.class_counts=[]".into()]).unwrap();
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
        ("[importance]\npretrain_epochs = \"soon\"\n", &[]),
        ("[importance]\npretrain_epochs = auto\n", &[]),
        ("[importance]\npretrain_epochs = \"auto\"\nauto_least = 11\n", &[]),
        ("[importance]\npretrain_epochs = \"auto\"\nauto_least = 6\nauto_most = 5\n", &[]),
        ("[arms.x]\nimportance.auto_most = 5\n", &[]),
        ("[importance]\nexponent = -1.0\ndrop_hardest = 1.0\n", &[]),
        ("[train\nlr = 1\n", &[]),
        ("[train]\nlr = 1\nlr = 2\n", &[]),
        ("\"train.epochs\" = 2\n", &[]),
        ("[train]\n\"lr.peak\" = 2\n", &[]),
        ("[arms.\"a.b\"]\nimportance.exponent = 0.5\n", &[]),
        ("[data]\nsource = folder\n", &[]),
        ("[data]\npath = /data/cats # mine\n", &[]),
        ("[data]\nsource = \"folder\n", &[]),
        ("data.flip = True\n", &[]),
        ("name = my-run\n", &[]),
        ("[train]\nlr = 0,1\n", &[]),
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
fn a_file_in_another_encoding_says_which_line_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let utf16: Vec<u8> = "\u{feff}seed = 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &str); 4] = [
        (&utf16, "my.toml:1: the file is UTF-16"),
        (&utf16[2..], "my.toml:1: the file holds zero bytes"),
        (b"seed = 1\n# caf\xe9\n", "my.toml:2: byte 0xe9 is not UTF-8"),
        (b"seed = 1\n[train]\nlr = \"\xff\"\n", "my.toml:3: byte 0xff is not UTF-8"),
    ];
    let file = directory.path().join("my.toml");
    for (bytes, words) in cases {
        std::fs::write(&file, bytes).unwrap();
        let error = config::load(&file, &[]).expect_err(words).to_string();
        assert!(error.contains(words) && error.contains("Save it as UTF-8"), "{error}");
    }
    std::fs::write(&file, b"\xef\xbb\xbfseed = 5\n").unwrap();
    assert_eq!(config::load(&file, &[]).unwrap().seed, 5, "UTF-8 with its mark");
}

#[test]
fn e_follows_n_where_nobody_set_it() {
    let e = |text: &str, set: &[&str]| {
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        config::from_str(text, "my.toml", &set).map(|c| c.pretrain_epochs())
    };
    for (n, wanted) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (100, 3)] {
        assert_eq!(e(&format!("train.epochs = {n}"), &[]).unwrap(), wanted, "N = {n}");
        assert_eq!(e("", &[&format!("train.epochs={n}")]).unwrap(), wanted, "N = {n}");
    }
    // What somebody wrote stands, and contradicts N where it does.
    assert_eq!(e("[importance]\npretrain_epochs = 4", &["train.epochs=5"]).unwrap(), 4);
    assert!(e("[importance]\npretrain_epochs = 4", &["train.epochs=3"]).is_err());
    assert!(e("train.epochs = 2", &["importance.pretrain_epochs=3"]).is_err());
    // The demo's E is nobody's choice.
    assert_eq!(config::demo(&["train.epochs=2".into()]).unwrap().pretrain_epochs(), 1);
    assert!(
        config::demo(&["train.epochs=2".into(), "importance.pretrain_epochs=3".into()]).is_err()
    );
}

#[test]
fn an_e_that_is_to_be_found_is_half_of_n_at_most_where_nobody_says_so() {
    let read = |text: &str, set: &[&str]| {
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        config::from_str(text, "my.toml", &set).unwrap()
    };
    let auto = "importance.pretrain_epochs=auto";
    for (more, most) in [
        (&["train.epochs=1"][..], 1),
        (&["train.epochs=2"], 1),
        (&["train.epochs=21"], 10),
        (&["train.epochs=6", "importance.auto_most=4"], 4),
        (&["train.epochs=6", "importance.auto_most=40"], 6),
        (&["importance.auto_most=5", "importance.auto_least=5"], 5),
    ] {
        let config = read("", &[&[auto], more].concat());
        assert!(config.finds_e());
        assert_eq!((config.pretrain_epochs(), config.auto().most), (most, most), "{more:?}");
    }
    let written = read("[importance]\npretrain_epochs = \"auto\"", &[]);
    assert_eq!(written.importance.pretrain_epochs.to_string(), "auto");
    let json = serde_json::to_value(&written).unwrap();
    assert_eq!(json["importance"]["pretrain_epochs"], "auto");
    assert_eq!(serde_json::from_value::<RunConfig>(json).unwrap(), written);
    // Bounds say nothing where E is a number.
    assert_eq!(read("importance.auto_least = 15", &[]).pretrain_epochs(), 3);
}

#[test]
fn other_data_than_the_demo_s_is_taken_as_it_is() {
    let imbalance = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        config::demo(&set).unwrap().data.imbalance
    };
    assert_eq!(imbalance(&[]), 10.0);
    assert_eq!(imbalance(&["data.source=folder", "data.path=images"]), 1.0);
    assert_eq!(imbalance(&["data.class_counts=[20, 10]"]), 1.0);
    assert_eq!(imbalance(&["data.source=fashion-mnist", "data.imbalance=5"]), 5.0);
}

#[test]
fn a_missing_file_says_so() {
    let error = config::load(Path::new("no/such.toml"), &[]).expect_err("missing").to_string();
    assert!(error.starts_with("no/such.toml: ") && error.contains("configs/"), "{error}");
}
