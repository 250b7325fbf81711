//! A model's parameters and running statistics by name: read, hashed, put back.

use super::Model;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

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

/// Walks a model: names and identities always, values where asked for.
struct Collector {
    path: Vec<String>,
    with_values: bool,
    names: Vec<(String, ParamId)>,
    tensors: Vec<NamedTensor>,
}

impl Collector {
    fn walk(model: &Model, with_values: bool) -> Self {
        let mut collector = Self { path: Vec::new(), with_values, names: Vec::new(), tensors: Vec::new() };
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
            let shape = tensor.dims().to_vec();
            let values = tensor.into_data().iter::<f32>().collect();
            self.tensors.push(NamedTensor { name, shape, values, trainable });
        }
    }
}

/// Names and identities of all parameters and running statistics, in the order of the forward pass.
pub fn named_parameters(model: &Model) -> Vec<(String, ParamId)> {
    Collector::walk(model, false).names
}

/// All parameters and running statistics on the host.
pub(super) fn collect(model: &Model) -> Vec<NamedTensor> {
    // The validation form has the running statistics up to the last step.
    Collector::walk(&model.valid(), true).tensors
}

/// Puts values into the parameters and running statistics of these names.
struct Replacer<'a> {
    path: Vec<String>,
    state: &'a [NamedTensor],
    device: &'a Device,
    missing: Option<String>,
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
        let found = self.state.iter().find(|t| t.name == name && t.shape == param.dims());
        let Some(found) = found else {
            self.missing.get_or_insert(name);
            return param;
        };
        let data = TensorData::new(found.values.clone(), found.shape.clone());
        // As at the beginning: on the autodiff form of the device; running statistics drop the gradient again.
        param.map(|_| Tensor::from_data(data, &self.device.clone().autodiff()).require_grad())
    }
}

/// The model with the values of `state`, or the name of what it lacks.
pub(super) fn replace(model: Model, state: &[NamedTensor], device: &Device) -> Result<Model, String> {
    let mut replacer = Replacer { path: Vec::new(), state, device, missing: None };
    let model = model.map(&mut replacer);
    match replacer.missing {
        None => Ok(model),
        Some(name) => Err(format!("model.{name}")),
    }
}

fn pytorch_name(path: &[String]) -> String {
    let named: Vec<&str> = path
        .iter()
        .enumerate()
        .filter(|(_, part)| !["Convnet", "Resnet18"].contains(&part.as_str()))
        .map(|(i, part)| match (i > 0 && path[i - 1] == "downsample", part.as_str()) {
            (true, "conv") => "0",
            (true, "bn") => "1",
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

/// The tensors in the bytes of a safetensors file.
///
/// # Errors
/// What is wrong with it, for people.
pub fn from_safetensors(bytes: &[u8]) -> Result<Vec<NamedTensor>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("no safetensors file: {e}"))?;
    let read = |(name, view): (String, TensorView<'_>)| {
        if view.dtype() != Dtype::F32 {
            return Err(format!("tensor {name} is of type {:?}, not F32", view.dtype()));
        }
        let values = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let trainable = !name.contains("running_");
        Ok(NamedTensor { name, shape: view.shape().to_vec(), values, trainable })
    };
    file.tensors().into_iter().map(read).collect()
}

/// All tensors as the bytes of one safetensors file.
///
/// # Errors
/// When safetensors refuses a tensor.
pub fn to_safetensors(state: &[NamedTensor]) -> std::io::Result<Vec<u8>> {
    let bytes: Vec<Vec<u8>> = state.iter().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let mut views = Vec::with_capacity(state.len());
    for (tensor, bytes) in state.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map_err(std::io::Error::other)?;
        views.push((tensor.name.as_str(), view));
    }
    safetensors::serialize(views, None::<HashMap<String, String>>).map_err(std::io::Error::other)
}
