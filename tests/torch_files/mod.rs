//! Files of `torch.save`, each as PyTorch wrote it (`make.py`): the values are the same here, or it
//! is told why there are none.

use earlybird::model::{NamedTensor, TensorFileError, from_bytes};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch_files")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name)).unwrap()
}

/// All files, for those who change them.
pub fn all() -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory()).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|p| !p.extension().is_some_and(|kind| kind == "rs" || kind == "py"))
        .filter(|p| p.is_file())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn read(name: &str) -> Result<Vec<NamedTensor>, TensorFileError> {
    from_bytes(&bytes(name))
}

/// Halves, as the files have them.
fn halves(of: &[u16]) -> Vec<f32> {
    of.iter().map(|n| f32::from(*n) / 2.0).collect()
}

#[test]
fn every_type_and_layout_gives_the_values_that_pytorch_saved() {
    for name in ["kinds.pth", "kinds-protocol4.pth", "kinds-legacy.pth"] {
        let tensors = read(name).unwrap();
        let mut found: BTreeMap<_, _> =
            tensors.iter().map(|t| (t.name.as_str(), (&t.shape[..], &t.values[..]))).collect();
        let counted = halves(&[0, 1, 2, 3, 4, 5]);
        for kind in ["fc.f32", "fc.f64", "fc.f16", "fc.bf16"] {
            assert_eq!(found.remove(kind), Some((&[2, 3][..], &counted[..])), "{name}: {kind}");
        }
        let channels_last: Vec<u16> = (0..24).collect();
        for (tensor, shape, values) in [
            ("fc.transposed", &[2, 3][..], halves(&[0, 2, 4, 1, 3, 5])),
            ("fc.channels_last", &[2, 3, 2, 2], halves(&channels_last)),
            ("fc.every_second", &[5], halves(&[1, 3, 5, 7, 9])),
            ("fc.part", &[3], halves(&[4, 5, 6])),
            ("fc.parameter", &[2], halves(&[0, 1])),
            ("fc.scalar", &[], halves(&[3])),
            ("fc.empty", &[0, 3], vec![]),
            ("bn.running_mean", &[2], halves(&[0, 1])),
        ] {
            assert_eq!(found.remove(tensor), Some((shape, &values[..])), "{name}: {tensor}");
        }
        assert!(found.is_empty(), "{name}: whole numbers are left out, not {found:?}");
        let fixed: Vec<_> = tensors.iter().filter(|t| !t.trainable).map(|t| &t.name[..]).collect();
        assert_eq!(fixed, ["bn.running_mean"]);
    }
}

#[test]
fn the_model_in_a_checkpoint_is_found_under_its_own_names() {
    for name in ["lightning.ckpt", "parallel.pth", "compiled.pth", "net.pth"] {
        let tensors = read(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let found: Vec<_> =
            tensors.iter().map(|t| (&t.name[..], &t.shape[..], &t.values[..])).collect();
        assert_eq!(
            found,
            [("fc.bias", &[1][..], &[0.0][..]), ("fc.weight", &[1, 2], &[0.0, 0.5])],
            "{name}"
        );
    }
}

#[test]
fn what_is_no_state_dict_is_told_with_what_to_do() {
    for (name, told) in [
        ("model.pth", &["whole model", "(__main__.Net)", "torch.save(model.state_dict()"][..]),
        ("model-legacy.pth", &["whole model", "(__main__.Net)"]),
        ("model-inside.pth", &["whole model", "(__main__.Net)"]),
        ("script.pt", &["TorchScript", "torch.jit.load(FILE).state_dict()"]),
        ("several.pth", &["several", "discriminator, generator", "torch.load(FILE)[NAME]"]),
        ("list.pth", &["holds no dict", "torch.save(model.state_dict()"]),
        ("nothing.pth", &["holds epoch, lr", "torch.save(model.state_dict()"]),
        ("expanded.pth", &["fc.weight repeats", "v.clone()"]),
        ("complex.pth", &["fc.weight is of type ComplexFloatStorage"]),
        ("float8.pth", &["fc.weight is of type float8_e4m3fn"]),
        ("sparse.pth", &["fc.weight is of type torch._utils._rebuild_sparse_tensor"]),
    ] {
        let text = read(name).expect_err(name).to_string();
        assert!(told.iter().all(|part| text.contains(part)), "{name}: {text}");
    }
}

/// A file that lost its end, or one of whose bytes of values changed, gives no values.
#[test]
fn damaged_files_are_told() {
    for name in ["kinds.pth", "kinds-legacy.pth"] {
        let whole = bytes(name);
        for len in (4..whole.len()).step_by(7) {
            let text = from_bytes(&whole[..len]).expect_err(name).to_string();
            assert!(text.contains("torch.save"), "{name}, {len} bytes: {text}");
        }
    }
    let mut changed = bytes("kinds.pth");
    let values: Vec<u8> =
        halves(&[0, 1, 2, 3, 4, 5]).iter().flat_map(|v| v.to_le_bytes()).collect();
    let at = changed.windows(values.len()).position(|part| part == values).unwrap();
    changed[at] ^= 1;
    let text = from_bytes(&changed).unwrap_err().to_string();
    assert!(text.contains("data/0 does not have its checksum"), "{text}");
}
