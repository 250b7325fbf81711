//! A model's parameters and running statistics by name: read, hashed, put back.

use super::kernels::{self, Held, Leaving, Lost, StepNumbers};
use super::resnet::BLOCKS;
use super::{Model, TYPES};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;

/// One tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// PyTorch's name for it, as `layer1.0.conv1.weight`.
    pub name: String,
    /// Its shape, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
    /// Whether it is trained (running statistics are not).
    pub trainable: bool,
}

/// Named tensors, the values of which are still on the device where they can be read together.
#[derive(Debug, Default)]
pub struct Unread {
    tensors: Vec<NamedTensor>,
    /// All of them, or none.
    held: Held,
}

impl Unread {
    /// Adds a tensor, which `hold` adds to what is held, or whose values are `values`.
    pub fn add(
        &mut self,
        (name, shape, trainable): (String, Vec<usize>, bool),
        hold: impl FnOnce(&mut Held),
        values: impl FnOnce() -> Vec<f32>,
    ) {
        let before = self.held.len();
        hold(&mut self.held);
        let values = if self.held.len() > before { Vec::new() } else { values() };
        self.tensors.push(NamedTensor { name, shape, values, trainable });
    }

    /// The same, with `prefix` before each name.
    pub fn under(mut self, prefix: &str) -> Self {
        for tensor in &mut self.tensors {
            tensor.name.insert_str(0, prefix);
        }
        self
    }

    /// These and then those of `others`, of the same device.
    pub fn and(mut self, others: Self) -> Self {
        self.tensors.extend(others.tensors);
        self.held.append(others.held);
        self
    }

    /// Sends the values as they are now to the host, as one copy, for which nobody waits yet.
    pub fn leave(self) -> LeavingState {
        let Self { tensors, held } = self;
        LeavingState { tensors, values: (!held.is_empty()).then(|| held.leave()) }
    }

    /// The tensors with their values.
    ///
    /// # Panics
    /// When the device fails.
    pub fn read(self) -> Vec<NamedTensor> {
        self.leave().arrived().unwrap_or_else(|lost| panic!("LibTorch: {lost}"))
    }
}

/// Named tensors, the values of which may be on their way from the device.
#[derive(Debug)]
pub struct LeavingState {
    tensors: Vec<NamedTensor>,
    /// Those of all of them; `None` where they are with the tensors.
    values: Option<Leaving>,
}

impl LeavingState {
    /// Waits for the values.
    ///
    /// # Errors
    /// When the device failed meanwhile.
    pub fn arrived(&self) -> Result<Vec<NamedTensor>, Lost> {
        let mut tensors = self.tensors.clone();
        let Some(values) = &self.values else { return Ok(tensors) };
        let all = values.arrived()?;
        let mut rest = all.as_slice();
        for tensor in &mut tensors {
            let (values, others) = rest.split_at(tensor.shape.iter().product());
            tensor.values = values.to_vec();
            rest = others;
        }
        Ok(tensors)
    }
}

/// Walks a model: names and identities always, values where asked for.
#[derive(Default)]
struct Collector {
    path: Vec<String>,
    with_values: bool,
    names: Vec<(String, ParamId)>,
    unread: Unread,
}

impl Collector {
    fn walk(model: &impl Module, with_values: bool) -> Self {
        let mut collector = Self { with_values, ..Self::default() };
        model.visit(&mut collector);
        collector
    }
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = pytorch_name(&self.path);
        self.names.push((name.clone(), param.id));
        if self.with_values {
            let tensor = param.val();
            let trainable = !name.contains("running_");
            let about = (name, tensor.dims().to_vec(), trainable);
            let values = || tensor.to_data().iter::<f32>().collect();
            self.unread.add(about, |held| held.add(tensor.clone()), values);
        }
    }
}

/// Names and identities of all parameters and running statistics, in the order of the forward pass.
pub fn named_parameters(model: &impl Module) -> Vec<(String, ParamId)> {
    Collector::walk(model, false).names
}

/// All parameters and running statistics.
pub(super) fn unread(model: &Model) -> Unread {
    // The validation form has the running statistics up to the last step.
    Collector::walk(&model.valid(), true).unread
}

/// Holds the tensors of a model, in the order of the forward pass.
#[derive(Default)]
struct Holder(Held);

impl ModuleVisitor for Holder {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.add(param.val().without_autodiff());
    }
}

/// All parameters and running statistics, where these are changed in place.
pub(super) fn held(model: &Model) -> Held {
    let mut holder = Holder::default();
    model.visit(&mut holder);
    holder.0
}

/// Gives each tensor memory of its own.
struct Copier;

impl ModuleMapper for Copier {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| kernels::copied(&tensor))
    }
}

/// The validation form of a model, in memory of its own.
pub(super) fn copy(model: &Model) -> Model {
    model.valid().map(&mut Copier)
}

/// Puts values into the parameters and running statistics of these names.
struct Replacer<'a> {
    path: Vec<String>,
    state: &'a [NamedTensor],
    device: &'a Device,
    misfits: Vec<Misfit>,
}

impl ModuleMapper for Replacer<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = pytorch_name(&self.path);
        let wanted = param.dims().to_vec();
        let found = match self.state.iter().find(|t| t.name == name) {
            Some(found) if found.shape == wanted => found,
            found => {
                self.misfits.push(Misfit { name, wanted, found: found.map(|t| t.shape.clone()) });
                return param;
            }
        };
        let data = TensorData::new(found.values.clone(), found.shape.clone());
        // As at the beginning: on the autodiff form of the device. What is frozen stays so, and
        // running statistics have no gradient.
        let device = self.device.clone().without_autodiff();
        let values = kernels::stored(Tensor::from_data(data, &device));
        param.map(|old| Tensor::from_inner(values).set_require_grad(old.is_require_grad()))
    }
}

/// A parameter of a model that some values do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// PyTorch's name for it.
    pub name: String,
    /// Its shape in the model.
    pub wanted: Vec<usize>,
    /// Its shape among the values; `None` where they lack it.
    pub found: Option<Vec<usize>>,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, wanted, found } = self;
        match found {
            None => write!(f, "it lacks {name} {wanted:?}"),
            Some(found) => write!(f, "{name} has shape {found:?}, the model's has {wanted:?}"),
        }
    }
}

/// Why values do not fit a model: every parameter that is missing or has another shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Misfits(Vec<Misfit>);

/// Misfits of each of the two kinds that are told one by one.
const TOLD: usize = 2;

impl fmt::Display for Misfits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missing, others): (Vec<&Misfit>, Vec<&Misfit>) =
            self.0.iter().partition(|m| m.found.is_none());
        let told = missing.into_iter().take(TOLD).chain(others.into_iter().take(TOLD));
        let told: Vec<String> = told.map(ToString::to_string).collect();
        f.write_str(&told.join("; "))?;
        match self.0.len() - told.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// The model with the values of `state`, or what of them does not fit.
pub(super) fn replace(
    model: Model,
    state: &[NamedTensor],
    device: &Device,
) -> Result<Model, Misfits> {
    let mut replacer = Replacer { path: Vec::new(), state, device, misfits: Vec::new() };
    let model = model.map(&mut replacer);
    if replacer.misfits.is_empty() { Ok(model) } else { Err(Misfits(replacer.misfits)) }
}

/// How the names of the classifier's parameters begin, in every architecture.
const HEAD: &str = "fc.";

/// Whether the parameter of this name is one of the classifier's.
pub fn is_of_head(name: &str) -> bool {
    name.starts_with(HEAD)
}

/// Stops the training of parameters whose names begin with one of some parts.
struct Freezer<'a> {
    path: Vec<String>,
    parts: &'a [String],
}

impl ModuleMapper for Freezer<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = pytorch_name(&self.path);
        let is_frozen = self.parts.iter().any(|part| begins_with(&name, part));
        if is_frozen { param.set_require_grad(false) } else { param }
    }
}

fn begins_with(name: &str, part: &str) -> bool {
    name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Why parts of a model cannot be frozen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreezeError {
    /// The model has no such part.
    #[error(
        "the model has no \"{part}\": its parts are {}, and what they consist of",
        parts.join(", ")
    )]
    Unknown {
        /// What was asked for.
        part: String,
        /// The largest parts that there are.
        parts: Vec<String>,
    },
    /// Nothing would be left.
    #[error("nothing of the model would be left to be trained")]
    Everything,
}

/// The model without training of the parameters whose names begin with one of `parts`.
pub(super) fn freeze(model: Model, parts: &[String]) -> Result<Model, FreezeError> {
    if parts.is_empty() {
        return Ok(model);
    }
    let names = named_parameters(&model).into_iter().map(|(name, _)| name);
    let names: Vec<String> = names.filter(|name| !name.contains("running_")).collect();
    if let Some(part) = parts.iter().find(|part| !names.iter().any(|n| begins_with(n, part))) {
        let mut all: Vec<String> = Vec::new();
        for first in names.iter().filter_map(|name| name.split('.').next()) {
            if all.last().is_none_or(|last| last != first) {
                all.push(first.to_owned());
            }
        }
        return Err(FreezeError::Unknown { part: part.clone(), parts: all });
    }
    let is_left = |name: &String| !parts.iter().any(|part| begins_with(name, part));
    if !names.iter().any(is_left) {
        return Err(FreezeError::Everything);
    }
    Ok(model.map(&mut Freezer { path: Vec::new(), parts }))
}

/// Moves the parameters and running statistics of a model towards those of another one.
struct Puller {
    to: HashMap<ParamId, kernels::AnyRank>,
    by: f64,
}

impl ModuleVisitor for Puller {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().without_autodiff();
        self.to.insert(param.id, kernels::AnyRank::of(value));
    }
}

impl ModuleMapper for Puller {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(to) = self.to.remove(&param.id) else { return param };
        param.map(|value| {
            let to = to.get(value.dims());
            value.clone() + (to - value) * self.by
        })
    }
}

/// `average`, which has no gradients, moved towards `model` by the share that `numbers` say: in
/// place where that can be.
pub(super) fn pulled(average: Model, model: &Model, numbers: StepNumbers<'_>) -> Model {
    let mut held = held(&average);
    if !held.is_empty() {
        kernels::pull(&mut held, &self::held(model), numbers);
        return average;
    }
    let StepNumbers::Now(kernels::Numbers { pull: by, .. }) = numbers else { return average };
    let mut puller = Puller { to: HashMap::new(), by };
    // The validation form has the running statistics up to the last step.
    model.valid().visit(&mut puller);
    average.map(&mut puller)
}

/// What became of values that a model started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Tensors that were taken.
    taken: usize,
    /// Those of the classifier that begin anew.
    anew: Vec<Misfit>,
    /// Names of values that the model has no place for.
    left: Vec<String>,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, anew, left } = self;
        write!(f, "{taken} tensors were taken")?;
        if !anew.is_empty() {
            let anew: Vec<String> = anew.iter().map(ToString::to_string).collect();
            write!(f, "; the classifier begins anew: {}", anew.join("; "))?;
        }
        if !left.is_empty() {
            let more = left.len().saturating_sub(LEFT);
            write!(f, "; not used: {}", left[..left.len() - more].join(", "))?;
            if more > 0 {
                write!(f, ", and {more} more")?;
            }
        }
        Ok(())
    }
}

/// Names that were left which are told one by one.
const LEFT: usize = 6;

/// The model with the values of `state`; its classifier begins anew where that of `state` is
/// missing or is one for other classes.
pub(super) fn start(
    model: Model,
    state: &[NamedTensor],
    device: &Device,
) -> Result<(Model, Start), Misfits> {
    let names: Vec<String> = named_parameters(&model).into_iter().map(|(name, _)| name).collect();
    let mut replacer = Replacer { path: Vec::new(), state, device, misfits: Vec::new() };
    let model = model.map(&mut replacer);
    let (anew, others): (Vec<Misfit>, Vec<Misfit>) =
        replacer.misfits.into_iter().partition(|misfit| is_of_head(&misfit.name));
    if !others.is_empty() {
        return Err(Misfits(others));
    }
    let is_unknown = |tensor: &&NamedTensor| !names.contains(&tensor.name);
    let left = state.iter().filter(is_unknown).map(|tensor| tensor.name.clone()).collect();
    Ok((model, Start { taken: names.len() - anew.len(), anew, left }))
}

fn pytorch_name(path: &[String]) -> String {
    let named: Vec<&str> = path
        .iter()
        .enumerate()
        .filter(|(_, part)| !TYPES.iter().chain(&BLOCKS).any(|name| name == part))
        .map(|(i, part)| match (i > 0 && path[i - 1] == "downsample", part.as_str()) {
            (true, "conv") => "0",
            (true, "bn") => "1",
            (_, "conv_shortcut") => "convShortcut",
            (_, part) => part,
        })
        .collect();
    named.join(".")
}

/// SHA-256 over names, shapes and values (little-endian), hexadecimal.
pub fn sha256(state: &[NamedTensor]) -> String {
    let mut hasher = Sha256::new();
    for tensor in state {
        hasher.update(tensor.name.as_bytes());
        for d in &tensor.shape {
            hasher.update((*d as u64).to_le_bytes());
        }
        for v in &tensor.values {
            hasher.update(v.to_le_bytes());
        }
    }
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
