//! SGD with momentum, Nesterov's form and weight decay, as PyTorch defines them.
//! Knows nothing of schedules: the learning rate comes with each step.

use crate::config::TrainConfig;
use crate::model::kernels;
use crate::model::{Model, NamedTensor, named_parameters};
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use std::any::Any;
use std::collections::HashMap;

/// The optimizer and its velocities, one per parameter.
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    /// `Tensor<D>` of the parameter's rank.
    velocities: HashMap<ParamId, Box<dyn Any + Send>>,
}

impl Clone for Sgd {
    /// Shares the velocities' memory until the next step.
    fn clone(&self) -> Self {
        let copy = |(id, any): (&ParamId, &Box<dyn Any + Send>)| {
            Some((
                *id,
                copy_any::<1>(any).or_else(|| copy_any::<2>(any)).or_else(|| copy_any::<4>(any))?,
            ))
        };
        let velocities = self.velocities.iter().filter_map(copy).collect();
        Self {
            momentum: self.momentum,
            nesterov: self.nesterov,
            weight_decay: self.weight_decay,
            velocities,
        }
    }
}

impl Sgd {
    /// With nothing accumulated yet.
    pub fn new(config: &TrainConfig) -> Self {
        let (momentum, nesterov, weight_decay) =
            (config.momentum, config.nesterov, config.weight_decay);
        Self { momentum, nesterov, weight_decay, velocities: HashMap::new() }
    }

    /// One step: `g += wd * w; v = m * v + g; w -= lr * (nesterov ? g + m * v : v)`; the first
    /// velocity is `g`.
    pub fn step(&mut self, lr: f64, model: Model, gradients: GradientsParams) -> Model {
        model.map(&mut Step { sgd: self, lr, gradients })
    }

    fn update<const D: usize>(
        &mut self,
        id: ParamId,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        lr: f64,
    ) -> Tensor<D> {
        let velocity = self.velocities.remove(&id).and_then(|v| v.downcast::<Tensor<D>>().ok());
        let velocity = velocity.map_or_else(|| gradient.zeros_like(), |v| *v);
        let op = kernels::Sgd {
            lr,
            momentum: self.momentum,
            nesterov: self.nesterov,
            weight_decay: self.weight_decay,
        };
        let [weight, velocity] = kernels::sgd_step(weight, gradient, velocity, op);
        if self.momentum != 0.0 {
            self.velocities.insert(id, Box::new(velocity));
        }
        weight
    }

    /// The velocities by parameter name, on the host; none before the first step.
    pub fn state(&self, model: &Model) -> Vec<NamedTensor> {
        let read = |(name, id): (String, ParamId)| {
            let any = self.velocities.get(&id)?;
            let (shape, values) =
                read_any::<1>(any).or_else(|| read_any::<2>(any)).or_else(|| read_any::<4>(any))?;
            Some(NamedTensor { name, shape, values, trainable: false })
        };
        named_parameters(model).into_iter().filter_map(read).collect()
    }

    /// Takes velocities that [`state`](Self::state) gave.
    pub fn load(&mut self, model: &Model, state: &[NamedTensor], device: &Device) {
        self.velocities.clear();
        for (name, id) in named_parameters(model) {
            if let Some(tensor) = state.iter().find(|t| t.name == name) {
                let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
                let velocity: Box<dyn Any + Send> = match tensor.shape.len() {
                    1 => Box::new(Tensor::<1>::from_data(data, device)),
                    2 => Box::new(Tensor::<2>::from_data(data, device)),
                    _ => Box::new(Tensor::<4>::from_data(data, device)),
                };
                self.velocities.insert(id, velocity);
            }
        }
    }
}

fn copy_any<const D: usize>(any: &Box<dyn Any + Send>) -> Option<Box<dyn Any + Send>> {
    Some(Box::new(any.downcast_ref::<Tensor<D>>()?.clone()))
}

fn read_any<const D: usize>(any: &Box<dyn Any + Send>) -> Option<(Vec<usize>, Vec<f32>)> {
    let tensor = any.downcast_ref::<Tensor<D>>()?;
    Some((tensor.dims().to_vec(), tensor.clone().into_data().iter::<f32>().collect()))
}

struct Step<'a> {
    sgd: &'a mut Sgd,
    lr: f64,
    gradients: GradientsParams,
}

impl ModuleMapper for Step<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        // Running statistics have no gradient and stay as they are.
        match self.gradients.remove::<D>(id) {
            None => param,
            Some(gradient) => param.map(|w| {
                Tensor::from_inner(self.sgd.update(id, w.inner(), gradient, self.lr)).require_grad()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;

    /// Two steps on one weight by hand: w = 1, g = 0.5 twice, lr = 0.1, m = 0.9, wd = 0.1.
    #[test]
    fn two_steps_are_those_of_pytorch() {
        let device = DeviceName::LibtorchCpu.open().expect("device");
        let one = |v: f32| Tensor::<1>::from_data(TensorData::new(vec![v], [1]), &device);
        for (momentum, nesterov, expected) in
            [(0.0, false, 0.880_6), (0.9, false, 0.826_6), (0.9, true, 0.725_566)]
        {
            let config =
                TrainConfig { momentum, nesterov, weight_decay: 0.1, ..TrainConfig::default() };
            let mut sgd = Sgd::new(&config);
            let id = ParamId::new();
            let w = sgd.update(id, one(1.0), one(0.5), 0.1);
            let w = sgd.update(id, w, one(0.5), 0.1).into_scalar::<f32>();
            assert!((w - expected).abs() < 1e-5, "momentum {momentum}, nesterov {nesterov}: {w}");
        }
    }
}
