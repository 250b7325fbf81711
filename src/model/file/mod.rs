//! Tensors by name in files that others write and read: which format a file has, what the formats
//! have in common, and why a file gives no tensors. Knows nothing of models.

mod pytorch;
mod safetensors;

pub use self::safetensors::{from_safetensors, to_safetensors};

use super::NamedTensor;
use half::{bf16, f16};
use std::collections::HashSet;

/// What PyTorch's wrappers put into the names of the tensors that they wrap: `DataParallel`,
/// `DistributedDataParallel` and `AveragedModel` write `module`, `torch.compile` writes
/// `_orig_mod`.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// Why a file gives no tensors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorFileError {
    /// It is another file.
    #[error("not a safetensors file, nor one of torch.save, but {0}")]
    Unknown(&'static str),
    /// It is no safetensors file, or damaged.
    #[error("not a safetensors file: {0}")]
    Format(String),
    /// It is what `torch.save` writes, but damaged or of a kind that is not known here.
    #[error(
        "a file of torch.save, but {0}: copy or download it again, or load and save it again in \
         Python"
    )]
    Damaged(String),
    /// It is an object of Python: only its class knows what is in it.
    #[error(
        "a whole model, pickled by torch.save ({0}), which only Python can open: write its values \
         there with torch.save(model.state_dict(), \"model.pth\")"
    )]
    Model(String),
    /// It is a program of TorchScript.
    #[error(
        "a TorchScript program: write its values in Python with \
         torch.save(torch.jit.load(FILE).state_dict(), \"model.pth\")"
    )]
    Script,
    /// It is a file of `torch.save` that holds something else.
    #[error(
        "a file of torch.save without a state dict: it holds {0}; write one in Python with \
         torch.save(model.state_dict(), \"model.pth\")"
    )]
    NoState(String),
    /// It holds more than one model's values.
    #[error(
        "a file of torch.save with several state dicts ({0}): write one of them in Python with \
         torch.save(torch.load(FILE)[NAME], \"model.pth\")"
    )]
    Several(String),
    /// A tensor's values are no floating-point numbers that can be read.
    #[error("tensor {name} is of type {dtype}; F32, F64, F16 and BF16 can be read")]
    Type {
        /// The tensor.
        name: String,
        /// Its type in the file.
        dtype: String,
    },
    /// A tensor has more values than the file has for it.
    #[error(
        "tensor {0} repeats values that are stored once: write them all in Python with \
         torch.save({{k: v.clone() for k, v in model.state_dict().items()}}, \"model.pth\")"
    )]
    Repeated(String),
}

/// The tensors in the bytes of a safetensors file or of one of `torch.save`, as f32. Names lose
/// what PyTorch's wrappers (`module.`, `_orig_mod.`) or an enclosing module put before or into all
/// of them. Whole numbers and masks, as batch norm's `num_batches_tracked`, are left out: no
/// parameter is one. Nothing in the file is executed.
///
/// # Errors
/// [`TensorFileError`].
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<NamedTensor>, TensorFileError> {
    // A safetensors file may begin with the first bytes of a pickle: they are a length there.
    if safetensors::is_begun(bytes) {
        return from_safetensors(bytes);
    }
    if pytorch::is_begun(bytes) {
        return Ok(unwrapped(pytorch::tensors(bytes)?));
    }
    Err(TensorFileError::Unknown(if bytes.is_empty() { "empty" } else { "of another kind" }))
}

/// The types of the numbers that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Float {
    F64,
    F32,
    F16,
    Bf16,
}

impl Float {
    /// Bytes of a number.
    fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The numbers in `bytes`, little-endian.
    fn read(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F64 => {
                bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
            }
            Self::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Self::F16 => {
                bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
            }
            Self::Bf16 => {
                bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
            }
        }
    }
}

fn named(name: String, shape: Vec<usize>, values: Vec<f32>) -> NamedTensor {
    let trainable = !name.contains("running_");
    NamedTensor { name, shape, values, trainable }
}

/// The same tensors without the names of wrappers, and without a module that encloses all of them.
/// Should two get the same name by that, all keep theirs.
fn unwrapped(mut tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
    let paths: Vec<Vec<&str>> = tensors
        .iter()
        .map(|t| t.name.split('.').filter(|part| !WRAPPERS.contains(part)).collect())
        .collect();
    let mut enclosing = 0;
    let is_shared = |at: usize| {
        let part = paths.first().and_then(|path| path.get(at));
        part.is_some() && paths.iter().all(|path| path.len() > at + 2 && path.get(at) == part)
    };
    while is_shared(enclosing) {
        enclosing += 1;
    }
    let names: Vec<String> = paths.iter().map(|path| path[enclosing..].join(".")).collect();
    if names.iter().collect::<HashSet<_>>().len() == names.len() {
        for (tensor, name) in tensors.iter_mut().zip(names) {
            tensor.name = name;
        }
    }
    tensors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_told_apart() {
        for (bytes, told) in [
            (&b""[..], "but empty"),
            (b"nonsense", "not a safetensors file, nor one of torch.save"),
            (b"\x10\0\0\0\0\0\0\0{nonsense", "not a safetensors file: "),
            (b"PK\x03\x04rest", "a file of torch.save, but"),
            (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "an archive without data.pkl"),
            (b"\x80\x02}q\0.", "a pickle that torch.save did not write"),
        ] {
            let text = from_bytes(bytes).expect_err("refused").to_string();
            assert!(text.contains(told), "{text}");
        }
    }

    /// The length of its header is 640 or so: as a number of eight bytes it begins with 0x80, 2.
    #[test]
    fn a_safetensors_file_that_begins_as_a_pickle_is_read() {
        let found = (1..600).find_map(|length| {
            let tensor = named("w".repeat(length), vec![1], vec![1.0]);
            let bytes = to_safetensors(&[tensor]).expect("written");
            bytes.starts_with(&[0x80, 2]).then_some(bytes)
        });
        let bytes = found.expect("some name makes the header as long");
        assert_eq!(from_bytes(&bytes).expect("read").len(), 1);
    }
}
