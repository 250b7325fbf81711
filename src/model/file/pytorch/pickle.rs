//! The part of Python's pickles that `torch.save` needs. A pickle is a program that makes objects;
//! here it makes containers, texts, whole numbers, and notes of tensors. Whatever else it asks for,
//! calls above all, is noted by name and never done. Knows nothing of files.
//!
//! Opcodes: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>, those of protocols 2
//! to 5.

use super::Damage;
use std::collections::{BTreeMap, HashMap};

/// Objects, and items in those that are copied, of one pickle: a checkpoint has less than 100,000.
const MOST_OBJECTS: usize = 1 << 22;
/// Dimensions of a tensor.
const MOST_DIMENSIONS: usize = 8;

/// An object of a pickle, by its number: what is the same object in Python is the same number.
pub type Ref = u32;

/// What is neither of use nor of harm: None, False, a float, bytes.
const PLAIN: Ref = 0;
const TRUE: Ref = 1;

/// An object, as far as it matters here.
#[derive(Debug)]
pub enum Object<'a> {
    Plain,
    True,
    Integer(i64),
    Text(&'a str),
    Tuple(Vec<Ref>),
    List(Vec<Ref>),
    Dict(Vec<(Ref, Ref)>),
    Class(Class<'a>),
    /// Of a class, or of a function, that is not known here.
    Instance(Class<'a>),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
}

/// A class or function by module and name.
#[derive(Clone, Copy, Debug)]
pub struct Class<'a>(pub &'a str, pub &'a str);

/// Values that stand beside the pickle.
#[derive(Clone, Copy, Debug)]
pub struct Storage<'a> {
    /// Their type, as `FloatStorage`.
    pub dtype: &'a str,
    pub key: &'a str,
    /// How many there are.
    pub len: usize,
}

/// A view of a storage.
#[derive(Debug)]
pub struct Tensor<'a> {
    pub storage: Storage<'a>,
    /// The type of its values, as `FloatStorage` or `float32`.
    pub dtype: &'a str,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a pickle makes.
pub struct Pickle<'a> {
    objects: Vec<Object<'a>>,
    root: Ref,
    /// Its bytes.
    pub len: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that `bytes` begin with.
    ///
    /// # Errors
    /// When there is none, or it wants what is not known here.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut machine = Machine {
            bytes,
            at: 0,
            objects: vec![Object::Plain, Object::True],
            copied: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while !machine.step()? {}
        let root = machine.pop()?;
        Ok(Self { objects: machine.objects, root, len: machine.at })
    }

    /// The object that it is about.
    pub fn root(&self) -> &Object<'a> {
        self.get(self.root)
    }

    pub fn get(&self, object: Ref) -> &Object<'a> {
        &self.objects[object as usize]
    }

    /// The items of a dict whose keys are texts, in their order; of equal keys the last counts, as
    /// in Python.
    pub fn by_name(&self, items: &[(Ref, Ref)]) -> BTreeMap<&'a str, Ref> {
        let text =
            |key: Ref| if let Object::Text(text) = self.get(key) { Some(*text) } else { None };
        items.iter().filter_map(|(key, value)| Some((text(*key)?, *value))).collect()
    }

    /// All storages that it names.
    pub fn storages(&self) -> impl Iterator<Item = Storage<'a>> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(*storage),
            _ => None,
        })
    }
}

/// What runs a pickle: as CPython's, with a stack of objects, marks in it, and a memo.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object<'a>>,
    /// Items that were copied from one container into another.
    copied: usize,
    stack: Vec<Ref>,
    /// How high the stack was at each.
    marks: Vec<usize>,
    memo: HashMap<u32, Ref>,
}

impl<'a> Machine<'a> {
    fn damage(&self, what: &str) -> Damage {
        Damage::of(format!("its pickle is damaged at byte {}: {what}", self.at))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let taken = self.bytes[self.at..].get(..len).ok_or_else(|| self.damage("it is cut off"))?;
        self.at += len;
        Ok(taken)
    }

    /// A number of `N` bytes.
    fn number<const N: usize>(&mut self) -> Result<u64, Damage> {
        let mut all = [0; 8];
        all[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(all))
    }

    /// As many bytes as a number of `N` bytes says.
    fn counted<const N: usize>(&mut self) -> Result<&'a [u8], Damage> {
        let len = self.number::<N>()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a str, Damage> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|b| *b == b'\n');
        let line = self.take(len.unwrap_or(rest.len()))?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| self.damage("a name is no text"))
    }

    fn make(&mut self, object: Object<'a>) -> Result<Ref, Damage> {
        if self.objects.len() + self.copied >= MOST_OBJECTS {
            return Err(Damage::of(format!("it has more than {MOST_OBJECTS} objects")));
        }
        self.objects.push(object);
        Ok((self.objects.len() - 1) as Ref)
    }

    fn push(&mut self, object: Object<'a>) -> Result<(), Damage> {
        let made = self.make(object)?;
        self.stack.push(made);
        Ok(())
    }

    /// Text; bytes that are none are no name of anything.
    fn push_text(&mut self, bytes: &'a [u8]) -> Result<(), Damage> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.push(Object::Text(text)),
            Err(_) => {
                self.stack.push(PLAIN);
                Ok(())
            }
        }
    }

    /// A whole number in two's complement; none that counts here has more than 64 bits.
    fn push_long(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        if bytes.len() > 8 {
            self.stack.push(PLAIN);
            return Ok(());
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        self.push(Object::Integer(i64::from_le_bytes(all)))
    }

    fn top(&self) -> Result<Ref, Damage> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(<[Ref]>::last);
        top.copied().ok_or_else(|| self.damage("an object is missing"))
    }

    fn pop(&mut self) -> Result<Ref, Damage> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The topmost `count` objects, in their order.
    fn pop_some(&mut self, count: usize) -> Result<Vec<Ref>, Damage> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(from) if from >= floor => Ok(self.stack.split_off(from)),
            _ => Err(self.damage("an object is missing")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Ref>, Damage> {
        let mark = self.marks.pop().ok_or_else(|| self.damage("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn pairs(&self, items: &[Ref]) -> Result<Vec<(Ref, Ref)>, Damage> {
        match items.as_chunks::<2>() {
            (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
            _ => Err(self.damage("a value is missing")),
        }
    }

    /// Puts items into the dict on top, or nowhere, where that is an object of a class that is not
    /// known here.
    fn set(&mut self, items: &[Ref]) -> Result<(), Damage> {
        let (top, pairs) = (self.top()?, self.pairs(items)?);
        match &mut self.objects[top as usize] {
            Object::Dict(dict) => dict.extend(pairs),
            Object::Instance(_) => {}
            _ => return Err(self.damage("no dict")),
        }
        Ok(())
    }

    /// The same for a list or a set.
    fn append(&mut self, items: &[Ref]) -> Result<(), Damage> {
        let top = self.top()?;
        match &mut self.objects[top as usize] {
            Object::List(list) => list.extend(items),
            Object::Instance(_) => {}
            _ => return Err(self.damage("no list")),
        }
        Ok(())
    }

    fn keep(&mut self, index: u64) -> Result<(), Damage> {
        let top = self.top()?;
        self.memo.insert(index as u32, top); // of at most four bytes
        Ok(())
    }

    fn fetch(&mut self, index: u64) -> Result<(), Damage> {
        let kept = self.memo.get(&(index as u32)).copied();
        self.stack.push(kept.ok_or_else(|| self.damage("an object is not there"))?);
        Ok(())
    }

    /// Does what the next opcode says; whether that was the end.
    fn step(&mut self) -> Result<bool, Damage> {
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return Ok(true),
            0x80 => _ = self.take(1)?, // PROTO
            0x95 => _ = self.take(8)?, // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => _ = self.pop_to_mark()?,
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            // Values.
            b'N' | 0x89 => self.stack.push(PLAIN),
            0x88 => self.stack.push(TRUE),
            b'J' => {
                let number = self.number::<4>()? as u32;
                self.push(Object::Integer(number.cast_signed().into()))?;
            }
            b'K' => {
                let number = self.number::<1>()?;
                self.push(Object::Integer(number.cast_signed()))?;
            }
            b'M' => {
                let number = self.number::<2>()?;
                self.push(Object::Integer(number.cast_signed()))?;
            }
            0x8a => {
                let bytes = self.counted::<1>()?;
                self.push_long(bytes)?;
            }
            0x8b => {
                let bytes = self.counted::<4>()?;
                self.push_long(bytes)?;
            }
            b'G' => {
                self.take(8)?;
                self.stack.push(PLAIN);
            }
            b'U' | 0x8c => {
                let bytes = self.counted::<1>()?;
                self.push_text(bytes)?;
            }
            b'T' | b'X' => {
                let bytes = self.counted::<4>()?;
                self.push_text(bytes)?;
            }
            0x8d => {
                let bytes = self.counted::<8>()?;
                self.push_text(bytes)?;
            }
            b'C' => {
                self.counted::<1>()?;
                self.stack.push(PLAIN);
            }
            b'B' => {
                self.counted::<4>()?;
                self.stack.push(PLAIN);
            }
            0x8e | 0x96 => {
                self.counted::<8>()?;
                self.stack.push(PLAIN);
            }
            // Containers. A set is a list here.
            b')' => self.push(Object::Tuple(Vec::new()))?,
            b']' | 0x8f => self.push(Object::List(Vec::new()))?,
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items))?;
            }
            0x85..=0x87 => {
                let items = self.pop_some(usize::from(opcode - 0x84))?;
                self.push(Object::Tuple(items))?;
            }
            b'l' | 0x91 => {
                let items = self.pop_to_mark()?;
                self.push(Object::List(items))?;
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let pairs = self.pairs(&items)?;
                self.push(Object::Dict(pairs))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let items = self.pop_some(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }
            // The memo.
            b'q' => {
                let index = self.number::<1>()?;
                self.keep(index)?;
            }
            b'r' => {
                let index = self.number::<4>()?;
                self.keep(index)?;
            }
            0x94 => self.keep(self.memo.len() as u64)?,
            b'h' => {
                let index = self.number::<1>()?;
                self.fetch(index)?;
            }
            b'j' => {
                let index = self.number::<4>()?;
                self.fetch(index)?;
            }
            // Classes, calls and state. What a class would make of its state is not asked.
            b'c' => {
                let class = Class(self.line()?, self.line()?);
                self.push(Object::Class(class))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.get(module), self.get(name)) {
                    (Object::Text(module), Object::Text(name)) => {
                        let class = Class(module, name);
                        self.push(Object::Class(class))?;
                    }
                    _ => return Err(self.damage("a class has no name")),
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let found = self.found(id)?;
                self.stack.push(found);
            }
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                let made = self.called(callable, args)?;
                self.stack.push(made);
            }
            0x92 => {
                self.pop()?; // arguments by name
                let (args, callable) = (self.pop()?, self.pop()?);
                let made = self.called(callable, args)?;
                self.stack.push(made);
            }
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            _ => return Err(self.damage(&format!("opcode {opcode:#04x} is not known"))),
        }
        Ok(false)
    }

    fn get(&self, object: Ref) -> &Object<'a> {
        &self.objects[object as usize]
    }

    fn tuple(&self, object: Ref) -> Result<&[Ref], Damage> {
        match self.get(object) {
            Object::Tuple(items) => Ok(items),
            _ => Err(self.damage("no tuple")),
        }
    }

    fn count(&self, object: Ref) -> Result<usize, Damage> {
        match self.get(object) {
            Object::Integer(number) => {
                usize::try_from(*number).map_err(|_| self.damage("a number is negative"))
            }
            _ => Err(self.damage("no whole number")),
        }
    }

    fn text(&self, object: Ref) -> Result<&'a str, Damage> {
        match self.get(object) {
            Object::Text(text) => Ok(text),
            _ => Err(self.damage("no text")),
        }
    }

    /// What stands outside the pickle: `('storage', class, key, device, count)`, in older files
    /// with a view after it, or `('module', class, file, source)`.
    fn found(&mut self, id: Ref) -> Result<Ref, Damage> {
        let items = self.tuple(id)?;
        let kind = items.first().map(|kind| self.text(*kind)).transpose()?;
        match (kind, items) {
            (Some("module"), [_, class, ..]) => Ok(*class),
            (Some("storage"), [_, class, key, _, len, view @ ..]) => {
                if view.iter().any(|view| *view != PLAIN) {
                    return Err(Damage::of(
                        "it has views of storages, as old versions of PyTorch wrote",
                    ));
                }
                let Object::Class(Class(_, dtype)) = self.get(*class) else {
                    return Err(self.damage("a storage has no class"));
                };
                let storage = Storage { dtype, key: self.text(*key)?, len: self.count(*len)? };
                self.make(Object::Storage(storage))
            }
            _ => Err(self.damage("it refers to something that is not known")),
        }
    }

    /// What a call makes: containers and tensors are made, everything else is noted by name.
    fn called(&mut self, callable: Ref, args: Ref) -> Result<Ref, Damage> {
        let class = match self.get(callable) {
            Object::Class(class) | Object::Instance(class) => *class,
            _ => return Err(self.damage("it calls what is no class")),
        };
        match (class, self.tuple(args)?) {
            (Class("collections", "OrderedDict"), [list]) => {
                let pairs = self.items_of(*list)?;
                self.copied += pairs.len();
                self.make(Object::Dict(pairs))
            }
            (Class("collections", "OrderedDict" | "defaultdict"), _) => {
                self.make(Object::Dict(Vec::new()))
            }
            // (function, class, arguments, state), around tensors of a class of their own.
            (Class("torch._tensor", "_rebuild_from_type_v2"), [function, _, args, ..]) => {
                match self.get(*function) {
                    Object::Class(function) => self.rebuilt(*function, *args),
                    _ => Err(self.damage("it calls what is no class")),
                }
            }
            _ => self.rebuilt(class, args),
        }
    }

    /// The pairs in a list, as Python 2 hands them to an `OrderedDict`.
    fn items_of(&self, list: Ref) -> Result<Vec<(Ref, Ref)>, Damage> {
        let Object::List(items) = self.get(list) else { return Err(self.damage("no pairs")) };
        let pair = |item: &Ref| match self.get(*item) {
            Object::Tuple(pair) | Object::List(pair) => {
                <[Ref; 2]>::try_from(&pair[..]).ok().map(|[key, value]| (key, value))
            }
            _ => None,
        };
        let pairs: Option<Vec<_>> = items.iter().map(pair).collect();
        pairs.ok_or_else(|| self.damage("no pairs"))
    }

    /// A tensor or parameter, where `class` is a function that makes one.
    fn rebuilt(&mut self, class: Class<'a>, args: Ref) -> Result<Ref, Damage> {
        let Class("torch._utils", name) = class else {
            return self.make(Object::Instance(class));
        };
        let args = self.tuple(args)?;
        let (view, rest) = match (name, args) {
            ("_rebuild_parameter" | "_rebuild_parameter_with_state", [data, ..]) => {
                return Ok(*data);
            }
            // (storage, offset, shape, strides), later with (requires_grad, hooks), and, for types
            // that have no storages of their own, (dtype).
            ("_rebuild_tensor", [storage, offset, shape, strides]) => {
                (self.view([*storage, *offset, *shape, *strides])?, &[][..])
            }
            ("_rebuild_tensor_v2", [storage, offset, shape, strides, _, _, rest @ ..]) => {
                (self.view([*storage, *offset, *shape, *strides])?, rest)
            }
            ("_rebuild_tensor_v3", [storage, offset, shape, strides, _, _, dtype, rest @ ..]) => {
                let mut view = self.view([*storage, *offset, *shape, *strides])?;
                let Object::Class(Class(_, dtype)) = self.get(*dtype) else {
                    return Err(self.damage("a tensor has no type"));
                };
                view.dtype = dtype;
                (view, rest)
            }
            _ => return self.make(Object::Instance(class)),
        };
        // What may follow says that the values are conjugated or negated where they are used.
        let is_said = |rest: &Ref| match self.get(*rest) {
            Object::Plain => false,
            Object::Dict(items) => !items.is_empty(),
            _ => true,
        };
        match rest.iter().any(is_said) {
            true => self.make(Object::Instance(class)),
            false => self.make(Object::Tensor(Box::new(view))),
        }
    }

    fn view(&self, [storage, offset, shape, strides]: [Ref; 4]) -> Result<Tensor<'a>, Damage> {
        let Object::Storage(storage) = self.get(storage) else {
            return Err(self.damage("a tensor has no storage"));
        };
        let counts = |list: Ref| -> Result<Vec<usize>, Damage> {
            let items = self.tuple(list)?;
            if items.len() > MOST_DIMENSIONS {
                let more = format!("it has a tensor of {} dimensions", items.len());
                return Err(Damage::of(more));
            }
            items.iter().map(|item| self.count(*item)).collect()
        };
        Ok(Tensor {
            storage: *storage,
            dtype: storage.dtype,
            offset: self.count(offset)?,
            shape: counts(shape)?,
            strides: counts(strides)?,
        })
    }
}
