//! The files of `torch.save`, read without Python: a pickle that says which tensors there are, and
//! their values beside it. Knows nothing of models.
//!
//! Since PyTorch 1.6 a file is a zip archive of `NAME/data.pkl` and `NAME/data/KEY`; before, it was
//! pickles and values one after the other:
//! <https://github.com/pytorch/pytorch/blob/main/torch/serialization.py>.

mod archive;
mod pickle;

use self::archive::Archive;
use self::pickle::{Object, Pickle, Ref, Tensor};
use super::{Float, NamedTensor, TensorFileError, named};
use crate::printable::in_one_line;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What checkpoints call the values of their model, the first that is there.
const KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];
/// The pickle of a number that files before PyTorch 1.6 begin with, without its protocol.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The version of those files: there is no other.
const VERSION: i64 = 1001;
/// Names that are shown of those in a file.
const SHOWN: usize = 8;

/// What is wrong with a file.
#[derive(Debug)]
struct Damage(String);

impl Damage {
    fn of(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<Damage> for TensorFileError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(in_one_line(&damage.0))
    }
}

/// Where the values are.
enum Values<'a> {
    /// In an archive, under this name and a key.
    Archive(Archive<'a>, String),
    /// By their keys.
    Stream(HashMap<&'a str, &'a [u8]>),
}

impl<'a> Values<'a> {
    fn get(&self, key: &str) -> Result<&'a [u8], Damage> {
        let found = match self {
            Self::Archive(archive, root) => archive.get(&format!("{root}data/{key}"))?,
            Self::Stream(storages) => storages.get(key).copied(),
        };
        found.ok_or_else(|| Damage::of(format!("values are missing: storage {key}")))
    }
}

/// Whether a file begins as these do.
pub(super) fn is_begun(bytes: &[u8]) -> bool {
    let is_archive = bytes.starts_with(archive::BEGIN) || bytes.starts_with(archive::END);
    is_archive || matches!(bytes, [0x80, 2..=5, ..])
}

/// The tensors of the state dict in a file, without those of whole numbers.
///
/// # Errors
/// [`TensorFileError`].
pub(super) fn tensors(bytes: &[u8]) -> Result<Vec<NamedTensor>, TensorFileError> {
    let (pickle, values) = match bytes {
        [0x80, ..] => stream(bytes)?,
        _ => archived(bytes)?,
    };
    let mut opened = HashMap::new();
    let mut left = bytes.len(); // more values than that are stored nowhere
    let mut tensors = Vec::new();
    for (name, object) in state_dict(&pickle)? {
        let tensor = match pickle.get(object) {
            Object::Tensor(tensor) => tensor,
            Object::Instance(class) if !name.ends_with("_extra_state") => {
                let dtype = in_one_line(&format!("{}.{}", class.0, class.1));
                return Err(TensorFileError::Type { name: in_one_line(name), dtype });
            }
            _ => continue,
        };
        let float = match Kind::of(tensor.dtype) {
            Some((Kind::Whole, _)) => continue,
            Some((Kind::Float(float), _)) => float,
            _ => {
                let (name, dtype) = (in_one_line(name), in_one_line(tensor.dtype));
                return Err(TensorFileError::Type { name, dtype });
            }
        };
        let storage = match opened.get(tensor.storage.key) {
            Some(storage) => *storage,
            None => {
                let storage = values.get(tensor.storage.key)?;
                opened.insert(tensor.storage.key, storage);
                storage
            }
        };
        let Some(count) = values_of(tensor) else {
            return Err(Damage::of(format!("the shape of {name} is impossible")).into());
        };
        let more = || TensorFileError::Repeated(in_one_line(name));
        left = left.checked_sub(count).ok_or_else(more)?;
        if count > tensor.storage.len {
            return Err(more());
        }
        let values = gathered(tensor, count, float, storage)
            .ok_or_else(|| Damage::of(format!("{name} reaches beyond its values")))?;
        tensors.push(named(name.to_owned(), tensor.shape.clone(), values));
    }
    Ok(tensors)
}

/// The pickle and the values of an archive.
fn archived(bytes: &[u8]) -> Result<(Pickle<'_>, Values<'_>), TensorFileError> {
    let archive = Archive::open(bytes)?;
    let roots = archive.names().filter_map(|name| name.strip_suffix("data.pkl"));
    let roots = roots.filter(|root| root.is_empty() || root.ends_with('/'));
    let root = roots.min_by_key(|root| (root.len(), *root));
    let root = root.ok_or(TensorFileError::Unknown("an archive without data.pkl"))?.to_owned();
    if archive.names().any(|name| name.strip_prefix(&root) == Some("constants.pkl")) {
        return Err(TensorFileError::Script);
    }
    if archive
        .get(&format!("{root}byteorder"))?
        .is_some_and(|order| order.trim_ascii() != b"little")
    {
        return Err(Damage::of("of a big-endian machine").into());
    }
    let pickle = archive.get(&format!("{root}data.pkl"))?.unwrap_or_default();
    Ok((Pickle::read(pickle)?, Values::Archive(archive, root)))
}

/// The pickle and the values of a file before PyTorch 1.6: pickles of a number, a version, the
/// machine, the object and the keys of its storages, then their values in that order, each with
/// their count before them.
fn stream(bytes: &[u8]) -> Result<(Pickle<'_>, Values<'_>), TensorFileError> {
    // After the protocol, and from protocol 4 on the length of what follows.
    let is_at = |at: usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(MAGIC));
    if !is_at(2) && !is_at(11) {
        return Err(TensorFileError::Unknown("a pickle that torch.save did not write"));
    }
    let mut rest = bytes;
    let mut next = || -> Result<Pickle<'_>, Damage> {
        let pickle = Pickle::read(rest)?;
        rest = &rest[pickle.len..];
        Ok(pickle)
    };
    let (_, version, machine, pickle, keys) = (next()?, next()?, next()?, next()?, next()?);
    if !matches!(version.root(), Object::Integer(VERSION)) {
        return Err(Damage::of("of an unknown version").into());
    }
    let Object::Dict(machine_items) = machine.root() else {
        return Err(Damage::of("it does not say of which machine it is").into());
    };
    let little = machine.by_name(machine_items).get("little_endian").copied();
    if !matches!(little.map(|little| machine.get(little)), Some(Object::True)) {
        return Err(Damage::of("of a big-endian machine").into());
    }
    let Object::List(key_list) = keys.root() else {
        return Err(Damage::of("its list of storages is missing").into());
    };
    let declared: HashMap<&str, _> = pickle.storages().map(|s| (s.key, s)).collect();
    let mut storages = HashMap::new();
    for key in key_list {
        let Object::Text(key) = keys.get(*key) else {
            return Err(Damage::of("its list of storages is damaged").into());
        };
        let values = declared.get(key).and_then(|storage| {
            let (_, size) = Kind::of(storage.dtype)?;
            let (count, values) = rest.split_first_chunk::<8>()?;
            let (values, after) = values.split_at_checked(storage.len.checked_mul(size)?)?;
            rest = after;
            (u64::from_le_bytes(*count) == storage.len as u64).then_some(values)
        });
        let lost = || Damage::of(format!("storage {key} is damaged or cut off"));
        storages.insert(*key, values.ok_or_else(lost)?);
    }
    Ok((pickle, Values::Stream(storages)))
}

/// The values of the model in what a file holds: all of it, or the part of a checkpoint that has
/// tensors by name.
fn state_dict<'a>(pickle: &Pickle<'a>) -> Result<BTreeMap<&'a str, Ref>, TensorFileError> {
    let whole = match pickle.root() {
        Object::Dict(items) => pickle.by_name(items),
        Object::Instance(class) => return Err(model(class)),
        Object::Tensor(_) => return Err(TensorFileError::NoState("one tensor".into())),
        _ => return Err(TensorFileError::NoState("no dict".into())),
    };
    // Sparse ones and others of a kind that is not known here count, too.
    let is_tensor = |object: &Ref| match pickle.get(*object) {
        Object::Tensor(_) => true,
        Object::Instance(class) => class.0 == "torch._utils",
        _ => false,
    };
    let mut seen = HashSet::new();
    let mut parts = BTreeMap::new();
    for (name, object) in &whole {
        if let Object::Instance(class) = pickle.get(*object)
            && KEYS.contains(name)
        {
            return Err(model(class));
        }
        if let Object::Dict(items) = pickle.get(*object)
            && seen.insert(*object)
            && items.iter().any(|(_, value)| is_tensor(value))
        {
            parts.insert(*name, items);
        }
    }
    // A state dict itself may hold a dict beside its tensors, and a checkpoint tensors beside its
    // state dict: that has one of the usual names, or most of them.
    let tensors = whole.values().filter(|value| is_tensor(value)).count();
    let only = parts.values().next().filter(|items| {
        parts.len() == 1 && items.iter().filter(|(_, value)| is_tensor(value)).count() > tensors
    });
    match KEYS.iter().find_map(|key| parts.get(key)).or(only) {
        Some(items) => Ok(pickle.by_name(items)),
        None if tensors > 0 => Ok(whole),
        None if !parts.is_empty() => Err(TensorFileError::Several(listed(parts.keys()))),
        None if whole.is_empty() => Err(TensorFileError::NoState("an empty dict".into())),
        None => Err(TensorFileError::NoState(listed(whole.keys()))),
    }
}

fn model(class: &pickle::Class<'_>) -> TensorFileError {
    TensorFileError::Model(in_one_line(&format!("{}.{}", class.0, class.1)))
}

/// Names, not all of too many.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a &'a str>) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<String> = names.take(SHOWN).map(|name| in_one_line(name)).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What values are.
enum Kind {
    Float(Float),
    /// Whole numbers and masks.
    Whole,
    Other,
}

impl Kind {
    /// That of PyTorch's storages and types by name, and the bytes of one value.
    fn of(dtype: &str) -> Option<(Self, usize)> {
        let float = |float: Float| Some((Self::Float(float), float.size()));
        match dtype {
            "DoubleStorage" | "float64" => float(Float::F64),
            "FloatStorage" | "float32" => float(Float::F32),
            "HalfStorage" | "float16" => float(Float::F16),
            "BFloat16Storage" | "bfloat16" => float(Float::Bf16),
            "LongStorage" | "int64" | "uint64" => Some((Self::Whole, 8)),
            "IntStorage" | "int32" | "uint32" => Some((Self::Whole, 4)),
            "ShortStorage" | "int16" | "uint16" => Some((Self::Whole, 2)),
            "CharStorage" | "ByteStorage" | "BoolStorage" | "int8" | "uint8" | "bool" => {
                Some((Self::Whole, 1))
            }
            "ComplexDoubleStorage" => Some((Self::Other, 16)),
            "ComplexFloatStorage" => Some((Self::Other, 8)),
            "QInt32Storage" => Some((Self::Other, 4)),
            "QInt8Storage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage"
            | "UntypedStorage" => Some((Self::Other, 1)),
            _ => None,
        }
    }
}

/// How many values a tensor has, if its shape is one.
fn values_of(tensor: &Tensor<'_>) -> Option<usize> {
    if tensor.strides.len() != tensor.shape.len() {
        return None;
    }
    tensor.shape.iter().try_fold(1_usize, |count, side| count.checked_mul(*side))
}

/// The `count` values of a tensor in row-major order, if all are in its storage.
fn gathered(tensor: &Tensor<'_>, count: usize, float: Float, storage: &[u8]) -> Option<Vec<f32>> {
    if count == 0 {
        return Some(Vec::new());
    }
    let size = float.size();
    let (_, stored) = Kind::of(tensor.storage.dtype)?;
    let storage = storage.get(..tensor.storage.len.checked_mul(stored)?)?;
    // Sides of one are never stepped along: whatever their strides are.
    let steps = || tensor.shape.iter().zip(&tensor.strides).filter(|(side, _)| **side > 1);
    let last = steps().try_fold(tensor.offset, |last, (side, stride)| {
        last.checked_add((side - 1).checked_mul(*stride)?)
    })?;
    if last >= storage.len() / size {
        return None;
    }
    let row_major = steps()
        .rev()
        .try_fold(1, |expected, (side, stride)| (*stride == expected).then_some(expected * side));
    if row_major.is_some() {
        return Some(float.read(storage[tensor.offset * size..].get(..count * size)?));
    }
    let steps: Vec<(usize, usize)> = steps().map(|(side, stride)| (*side, *stride)).collect();
    let mut bytes = Vec::with_capacity(count * size);
    let (mut index, mut at) = (vec![0; steps.len()], tensor.offset);
    for _ in 0..count {
        bytes.extend_from_slice(&storage[at * size..][..size]);
        for (index, (side, stride)) in index.iter_mut().zip(&steps).rev() {
            *index += 1;
            at += stride;
            if *index < *side {
                break;
            }
            at -= side * stride;
            *index = 0;
        }
    }
    Some(float.read(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as before PyTorch 1.6, with one storage, `0`, or none.
    fn file(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
        let number = [&[0x80, 2][..], MAGIC, b"\x80\x02M\xe9\x03."].concat();
        let machine = b"\x80\x02}U\x0dlittle_endian\x88s.";
        let keys = if storage.is_empty() { &b"\x80\x02]."[..] } else { b"\x80\x02]U\x010a." };
        [&number, &machine[..], b"\x80\x02", pickle, b".", keys, storage].concat()
    }

    /// The opcodes that make a tensor of f32.
    fn tensor(len: u8, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
        let tuple = |items: &[u8]| {
            let items = items.iter().flat_map(|item| [b'K', *item]);
            [b'('].into_iter().chain(items).chain([b't']).collect::<Vec<u8>>()
        };
        let storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK";
        [
            &b"ctorch._utils\n_rebuild_tensor\n("[..],
            storage,
            &[len],
            b"tQK",
            &[offset],
            &tuple(shape),
            &tuple(strides),
            b"tR",
        ]
        .concat()
    }

    /// A dict of one such tensor, `w`.
    fn one(len: u8, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
        [b"}U\x01w", &tensor(len, offset, shape, strides)[..], b"s"].concat()
    }

    /// A storage of 0.0, 1.0 and so on.
    fn counted(len: u8) -> Vec<u8> {
        let values = (0..len).flat_map(|n| f32::from(n).to_le_bytes());
        u64::from(len).to_le_bytes().into_iter().chain(values).collect()
    }

    fn told(pickle: &[u8], storage: &[u8]) -> String {
        tensors(&file(pickle, storage)).expect_err("refused").to_string()
    }

    #[test]
    fn a_view_is_read_row_by_row_wherever_its_values_are() {
        for (offset, shape, strides, expected) in [
            (0, &[2, 3][..], &[3, 1][..], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..]),
            (0, &[3, 2], &[1, 3], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
            (1, &[2, 1, 2], &[3, 255, 1], &[1.0, 2.0, 4.0, 5.0]),
            (0, &[2, 1, 2], &[2, 255, 2], &[0.0, 2.0, 2.0, 4.0]),
            (5, &[], &[], &[5.0]),
            (5, &[1, 1], &[255, 255], &[5.0]),
            (9, &[0, 7], &[1, 1], &[]),
        ] {
            let read = tensors(&file(&one(6, offset, shape, strides), &counted(6)));
            assert_eq!(read.expect("read")[0].values, expected, "{shape:?} by {strides:?}");
        }
    }

    #[test]
    fn a_view_of_what_is_not_there_is_told() {
        for (pickle, expected) in [
            (one(6, 1, &[2, 3], &[3, 1]), "w reaches beyond its values"),
            (one(6, 0, &[2, 3], &[4, 1]), "w reaches beyond its values"),
            (one(6, 0, &[2, 3], &[3]), "the shape of w is impossible"),
            (one(6, 0, &[7], &[0]), "w repeats values"),
            (one(5, 0, &[5], &[1]), "storage 0 is damaged"),
            (one(6, 0, &[1; 9], &[1; 9]), "a tensor of 9 dimensions"),
        ] {
            let text = told(&pickle, &counted(6));
            assert!(text.contains(expected), "{text}");
        }
    }

    /// What a file asks Python to do is neither done nor in the way of the values beside it.
    #[test]
    fn calls_are_not_made() {
        let call = b"cposix\nsystem\n(U\x0fexit 1 # calledtR";
        let in_state = [b"}(U\x01w", &tensor(6, 0, &[6], &[1])[..], b"U\x01x", call, b"u"].concat();
        let text = told(&in_state, &counted(6));
        assert!(text.contains("tensor x is of type posix.system"), "{text}");
        let state = one(6, 0, &[6], &[1]);
        let beside = [b"}(U\x01x", &call[..], b"U\x05model", &state, b"u"].concat();
        assert_eq!(tensors(&file(&beside, &counted(6))).expect("read").len(), 1);
    }

    /// Small files that make many objects, or much work, out of little.
    #[test]
    fn bombs_do_not_go_off() {
        let nested = [&b"]"[..], &[0x85].repeat(1 << 20)].concat();
        let in_itself = b"}q\0U\x01ah\0s";
        let doubled = [&b"K\x01"[..], &b"2\x86".repeat(1 << 16)].concat();
        let long_list =
            [&b"](K\x01K\x02\x86q\x01"[..], &b"h\x01".repeat(1 << 14), b"eq\0"].concat();
        let dicts_of_it = b"ccollections\nOrderedDict\nh\0\x85R0".repeat(1 << 9);
        for (pickle, expected) in [
            (nested, "it holds no dict"),
            (in_itself.to_vec(), "it holds a;"),
            (doubled, "it holds no dict"),
            ([long_list, dicts_of_it].concat(), "more than 4194304 objects"),
            (b")".repeat(1 << 22), "more than 4194304 objects"),
        ] {
            let text = told(&pickle, &[]);
            assert!(text.contains(expected), "{text}");
        }
        let names = (0..100).flat_map(|n| [b'U', 1, n, b'h', 0]);
        let shared = [&tensor(200, 0, &[200], &[1])[..], b"q\0}("].concat();
        let shared: Vec<u8> = shared.into_iter().chain(names).chain([b'u']).collect();
        let text = told(&shared, &counted(200));
        assert!(text.contains("repeats values"), "{text}");
    }
}
