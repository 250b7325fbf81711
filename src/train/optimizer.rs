//! SGD with momentum, Nesterov's form and weight decay, as PyTorch defines them.
//! Knows nothing of schedules: the learning rate comes with each step.

use crate::config::TrainConfig;
use crate::model::kernels;
use crate::model::{NamedTensor, named_parameters};
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;

/// The optimizer and its velocities, one per parameter.
#[derive(Clone, Debug)]
pub struct Sgd {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    velocities: HashMap<ParamId, Velocity>,
}

/// What the gradients of a parameter, of any rank, have accumulated to. A clone shares its memory
/// until the next step.
#[derive(Clone, Debug)]
struct Velocity {
    /// Row-major.
    values: Tensor<1>,
    /// The parameter's.
    shape: Vec<usize>,
}

impl<const D: usize> From<Tensor<D>> for Velocity {
    fn from(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims();
        Self { values: tensor.reshape([shape.iter().product::<usize>()]), shape: shape.to_vec() }
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
    pub fn step<M: Module>(&mut self, lr: f64, model: M, gradients: GradientsParams) -> M {
        model.map(&mut Step { sgd: self, lr, gradients })
    }

    fn update<const D: usize>(
        &mut self,
        id: ParamId,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        lr: f64,
    ) -> Tensor<D> {
        let velocity = match self.velocities.remove(&id) {
            None => gradient.zeros_like(),
            Some(Velocity { values, shape }) => {
                assert_eq!(shape, gradient.dims(), "the velocity has another shape");
                values.reshape(gradient.dims())
            }
        };
        let op = kernels::Sgd {
            lr,
            momentum: self.momentum,
            nesterov: self.nesterov,
            weight_decay: self.weight_decay,
        };
        let [weight, velocity] = kernels::sgd_step(weight, gradient, velocity, op);
        if self.momentum != 0.0 {
            self.velocities.insert(id, velocity.into());
        }
        weight
    }

    /// The velocities by parameter name, on the host; none before the first step.
    pub fn state(&self, model: &impl Module) -> Vec<NamedTensor> {
        let read = |(name, id): (String, ParamId)| {
            let Velocity { values, shape } = self.velocities.get(&id)?.clone();
            let values = values.into_data().iter::<f32>().collect();
            Some(NamedTensor { name, shape, values, trainable: false })
        };
        named_parameters(model).into_iter().filter_map(read).collect()
    }

    /// Takes velocities that [`state`](Self::state) gave.
    pub fn load(&mut self, model: &impl Module, state: &[NamedTensor], device: &Device) {
        self.velocities.clear();
        for (name, id) in named_parameters(model) {
            if let Some(NamedTensor { values, shape, .. }) = state.iter().find(|t| t.name == name) {
                let data = TensorData::new(values.clone(), [values.len()]);
                let values = Tensor::from_data(data, device);
                self.velocities.insert(id, Velocity { values, shape: shape.clone() });
            }
        }
    }
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
    /// A parameter of each rank, as models have them or may come to.
    #[derive(Module, Debug)]
    struct EachRank {
        one: Param<Tensor<1>>,
        two: Param<Tensor<2>>,
        three: Param<Tensor<3>>,
        four: Param<Tensor<4>>,
        five: Param<Tensor<5>>,
    }

    impl EachRank {
        fn new(device: &Device) -> Self {
            Self {
                one: Param::from_tensor(Tensor::ones([2], device)),
                two: Param::from_tensor(Tensor::ones([2, 3], device)),
                three: Param::from_tensor(Tensor::ones([2, 3, 1], device)),
                four: Param::from_tensor(Tensor::ones([2, 1, 3, 2], device)),
                five: Param::from_tensor(Tensor::ones([1, 2, 3, 2, 2], device)),
            }
        }

        /// One step with gradients that differ from value to value.
        fn step(self, sgd: &mut Sgd) -> Self {
            fn part<const D: usize>(param: &Param<Tensor<D>>) -> Tensor<1> {
                let (value, n) = (param.val(), param.dims().iter().product::<usize>());
                let device = value.device().without_autodiff();
                let slopes: Vec<f32> = (1..=n).map(|k| k as f32).collect();
                let slopes = Tensor::<1>::from_data(TensorData::new(slopes, [n]), &device);
                (value.reshape([n]) * Tensor::from_inner(slopes)).sum()
            }
            let loss = part(&self.one) + part(&self.two) + part(&self.three);
            let loss = loss + part(&self.four) + part(&self.five);
            let gradients = GradientsParams::from_grads(loss.backward(), &self);
            sgd.step(0.1, self, gradients)
        }

        fn values(&self) -> Vec<Vec<f32>> {
            fn host<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
                param.val().into_data().iter::<f32>().collect()
            }
            vec![
                host(&self.one),
                host(&self.two),
                host(&self.three),
                host(&self.four),
                host(&self.five),
            ]
        }
    }

    #[test]
    fn a_velocity_of_any_rank_survives_a_save_and_a_load() {
        for device in [DeviceName::LibtorchCpu, DeviceName::Flex] {
            let device = device.open().expect("device");
            let mut sgd = Sgd::new(&TrainConfig { momentum: 0.9, ..TrainConfig::default() });
            let model = EachRank::new(&device.clone().autodiff()).step(&mut sgd);
            let saved = sgd.state(&model);
            let shapes: Vec<(&str, &[usize])> =
                saved.iter().map(|t| (t.name.as_str(), t.shape.as_slice())).collect();
            let wanted: [(&str, &[usize]); 5] = [
                ("one", &[2]),
                ("two", &[2, 3]),
                ("three", &[2, 3, 1]),
                ("four", &[2, 1, 3, 2]),
                ("five", &[1, 2, 3, 2, 2]),
            ];
            assert_eq!(shapes, wanted);
            for tensor in &saved {
                assert_eq!(tensor.values.len(), tensor.shape.iter().product::<usize>());
                assert!(tensor.values.iter().zip(1..).all(|(v, k)| (v - k as f32).abs() < 0.01));
            }
            let mut loaded = Sgd::new(&TrainConfig { momentum: 0.9, ..TrainConfig::default() });
            loaded.load(&model, &saved, &device);
            assert_eq!(loaded.state(&model), saved);
            let mut copied = sgd.clone();
            let [gone_on, restored, copy] =
                [&mut sgd, &mut loaded, &mut copied].map(|sgd| model.clone().step(sgd).values());
            assert_eq!(gone_on, restored);
            assert_eq!(gone_on, copy);
        }
    }
}
