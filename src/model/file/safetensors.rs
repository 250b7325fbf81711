//! Tensors by name as a safetensors file: read as PyTorch's users write them, written with
//! PyTorch's names and layouts. Knows nothing of models.

use super::{Float, NamedTensor, TensorFileError, named, unwrapped};
use ::safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;

/// Whether a file begins as these do: with the length of a header, which is JSON.
pub(super) fn is_begun(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

/// The tensors in the bytes of a safetensors file, as [`super::from_bytes`] gives them.
///
/// # Errors
/// [`TensorFileError`].
pub fn from_safetensors(bytes: &[u8]) -> Result<Vec<NamedTensor>, TensorFileError> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|e| TensorFileError::Format(e.to_string()))?;
    let tensors = file.tensors().into_iter().filter(|(_, view)| !is_whole(view.dtype()));
    let tensors = tensors.map(|(name, view)| read(name, &view)).collect::<Result<Vec<_>, _>>()?;
    Ok(unwrapped(tensors))
}

fn is_whole(dtype: Dtype) -> bool {
    use Dtype::{BOOL, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(dtype, BOOL | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

fn read(name: String, view: &TensorView<'_>) -> Result<NamedTensor, TensorFileError> {
    let float = match view.dtype() {
        Dtype::F64 => Float::F64,
        Dtype::F32 => Float::F32,
        Dtype::F16 => Float::F16,
        Dtype::BF16 => Float::Bf16,
        dtype => return Err(TensorFileError::Type { name, dtype: format!("{dtype:?}") }),
    };
    Ok(named(name, view.shape().to_vec(), float.read(view.data())))
}

/// All tensors as the bytes of one safetensors file.
///
/// # Errors
/// When safetensors refuses a tensor.
pub fn to_safetensors(state: &[NamedTensor]) -> std::io::Result<Vec<u8>> {
    let bytes: Vec<Vec<u8>> =
        state.iter().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let mut views = Vec::with_capacity(state.len());
    for (tensor, bytes) in state.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)
            .map_err(std::io::Error::other)?;
        views.push((tensor.name.as_str(), view));
    }
    ::safetensors::serialize(views, None::<HashMap<String, String>>).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    fn file(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.to_vec(), bytes).expect("bytes of that shape"))
        });
        ::safetensors::serialize(views, None::<HashMap<String, String>>).expect("serialized")
    }

    fn names(tensors: &[&str]) -> Vec<String> {
        let tensors: Vec<_> =
            tensors.iter().map(|name| (*name, Dtype::F32, &[1][..], &[0_u8; 4][..])).collect();
        let mut names: Vec<String> =
            from_safetensors(&file(&tensors)).expect("read").into_iter().map(|t| t.name).collect();
        names.sort();
        names
    }

    #[test]
    fn every_floating_point_type_of_pytorch_is_read_as_the_same_number() {
        let types: [(Dtype, Vec<u8>); 4] = [
            (Dtype::F32, [-1.5_f32, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
            (Dtype::F64, [-1.5_f64, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
            (
                Dtype::F16,
                [-1.5, 0.0].iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            ),
            (
                Dtype::BF16,
                [-1.5, 0.0].iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            ),
        ];
        for (dtype, bytes) in types {
            let read =
                from_safetensors(&file(&[("fc.weight", dtype, &[1, 2], &bytes)])).expect("read");
            assert_eq!(
                (&read[0].values[..], &read[0].shape[..]),
                (&[-1.5, 0.0][..], &[1, 2][..]),
                "{dtype:?}"
            );
        }
    }

    #[test]
    fn whole_numbers_are_left_out_and_other_types_are_told() {
        let weight = ("bn.weight", Dtype::F32, &[1][..], &[0_u8; 4][..]);
        let counters = [
            weight,
            ("bn.num_batches_tracked", Dtype::I64, &[], &[7, 0, 0, 0, 0, 0, 0, 0]),
            ("n_averaged", Dtype::I32, &[1], &[7, 0, 0, 0]),
            ("mask", Dtype::BOOL, &[2], &[0, 1]),
            ("position_ids", Dtype::I8, &[1, 2], &[0, 1]),
        ];
        assert_eq!(from_safetensors(&file(&counters)).expect("read").len(), 1);
        let eight_bits = [weight, ("fc.weight", Dtype::F8_E4M3, &[2], &[1, 2])];
        let told = from_safetensors(&file(&eight_bits)).expect_err("refused").to_string();
        assert!(told.contains("fc.weight is of type F8_E4M3"), "{told}");
    }

    #[test]
    fn wrappers_of_pytorch_do_not_count_in_names() {
        let plain = ["conv1.weight", "fc.bias", "fc.weight"];
        for prefix in [
            "",
            "module.",
            "_orig_mod.",
            "module._orig_mod.",
            "_orig_mod.module.",
            "model.",
            "state.net.",
        ] {
            let wrapped: Vec<String> = plain.iter().map(|name| format!("{prefix}{name}")).collect();
            assert_eq!(
                names(&wrapped.iter().map(String::as_str).collect::<Vec<_>>()),
                plain,
                "{prefix}"
            );
        }
        // A part of the model that was compiled or wrapped by itself.
        assert_eq!(
            names(&["fc.weight", "layer1._orig_mod.0.weight"]),
            ["fc.weight", "layer1.0.weight"]
        );
        // A file of one layer is not taken apart, and no two tensors get one name.
        assert_eq!(names(&["fc.bias", "fc.weight"]), ["fc.bias", "fc.weight"]);
        assert_eq!(names(&["fc.bias", "module.fc.bias"]), ["fc.bias", "module.fc.bias"]);
    }
}
