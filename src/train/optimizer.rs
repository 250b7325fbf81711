//! SGD with momentum, Nesterov's form and weight decay, as PyTorch defines them.
//! Knows nothing of schedules: the learning rate comes with each step.

use crate::config::TrainConfig;
use crate::model::kernels::{self, AnyRank, Held, Rate, SgdStep};
use crate::model::{NamedTensor, Unread, named_parameters};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;

/// The learning rate of a step.
#[derive(Clone, Copy, Debug)]
pub enum LearningRate<'a> {
    /// This number.
    Now(f64),
    /// The number that the device finds there when it makes the step; LibTorch only.
    OnDevice(&'a Rate),
}

/// The optimizer and its velocities, one per parameter. A clone shares their memory.
#[derive(Clone, Debug)]
pub struct Sgd {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    /// What the gradients of each parameter have accumulated to, of its shape.
    velocities: HashMap<ParamId, AnyRank>,
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
    pub fn step<M: Module>(&mut self, lr: LearningRate<'_>, model: M, of: GradientsParams) -> M {
        let &mut Self { momentum, nesterov, weight_decay, .. } = self;
        let (lr, rate) = match lr {
            LearningRate::Now(lr) => (lr, None),
            LearningRate::OnDevice(rate) => (f64::NAN, Some(rate)),
        };
        let op = kernels::Sgd { lr, momentum, nesterov, weight_decay };
        let mut step = Step { sgd: self, step: SgdStep::new(op, rate), gradients: of };
        let model = model.map(&mut step);
        step.step.make();
        model
    }

    /// The same optimizer, its velocities in memory of their own.
    pub fn copy(&self) -> Self {
        let velocities = self.velocities.iter().map(|(id, v)| (*id, v.copied())).collect();
        Self { velocities, ..self.clone() }
    }

    /// Adds its velocities to `held`, in the order of the parameters of `model`, where they are
    /// changed in place.
    pub fn hold(&self, model: &impl Module, held: &mut Held) {
        for (_, id) in named_parameters(model) {
            if let Some(velocity) = self.velocities.get(&id) {
                velocity.hold(held);
            }
        }
    }

    /// What makes its steps different from those of another optimizer: momentum, whether it is
    /// Nesterov's, weight decay.
    pub fn constants(&self) -> (f64, bool, f64) {
        (self.momentum, self.nesterov, self.weight_decay)
    }

    /// The velocities by parameter name, on the host; none before the first step.
    pub fn state(&self, model: &impl Module) -> Vec<NamedTensor> {
        self.unread(model).read()
    }

    /// The same, their values not read yet.
    pub fn unread(&self, model: &impl Module) -> Unread {
        let names = named_parameters(model).into_iter().map(|(name, id)| (id, name)).collect();
        let mut collect = Collect { sgd: self, names, unread: Unread::default() };
        model.visit(&mut collect);
        collect.unread
    }

    /// Takes velocities that [`state`](Self::state) gave.
    pub fn load(&mut self, model: &impl Module, state: &[NamedTensor], device: &Device) {
        self.velocities.clear();
        let names = named_parameters(model).into_iter().map(|(name, id)| (id, name)).collect();
        model.visit(&mut Load { sgd: self, names, state, device });
    }
}

struct Step<'a> {
    sgd: &'a mut Sgd,
    step: SgdStep<'a>,
    gradients: GradientsParams,
}

impl ModuleMapper for Step<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        // Running statistics have no gradient and stay as they are.
        let Some(gradient) = self.gradients.remove::<D>(id) else { return param };
        let velocity = self.sgd.velocities.remove(&id).map(|v| v.get(gradient.dims()));
        param.map(|weight| {
            let [weight, velocity] = self.step.take(weight.inner(), gradient, velocity);
            if self.sgd.momentum != 0.0 {
                self.sgd.velocities.insert(id, AnyRank::of(velocity));
            }
            Tensor::from_inner(weight).require_grad()
        })
    }
}

/// Collects velocities.
struct Collect<'a> {
    sgd: &'a Sgd,
    names: HashMap<ParamId, String>,
    unread: Unread,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(velocity) = self.sgd.velocities.get(&param.id) else { return };
        let name = self.names.get(&param.id).cloned().unwrap_or_default();
        let about = (name, velocity.shape(), false);
        let values = || velocity.clone().get(param.dims()).into_data().iter::<f32>().collect();
        self.unread.add(about, |held| velocity.hold(held), values);
    }
}

/// Puts velocities to the parameters of their names.
struct Load<'a> {
    sgd: &'a mut Sgd,
    names: HashMap<ParamId, String>,
    state: &'a [NamedTensor],
    device: &'a Device,
}

impl ModuleVisitor for Load<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.names.get(&param.id);
        let Some(found) = self.state.iter().find(|t| Some(&t.name) == name) else { return };
        let data = TensorData::new(found.values.clone(), found.shape.clone());
        let velocity: Tensor<D> = kernels::stored(Tensor::from_data(data, self.device));
        self.sgd.velocities.insert(param.id, AnyRank::of(velocity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;

    /// Two steps on one weight by hand: w = 1, g = 0.5 twice, lr = 0.1, m = 0.9, wd = 0.1.
    #[test]
    fn two_steps_are_those_of_pytorch() {
        let device = DeviceName::tested().open().expect("device");
        let one = |v: f32| Tensor::<1>::from_data(TensorData::new(vec![v], [1]), &device);
        for (momentum, nesterov, expected) in
            [(0.0, false, 0.880_6), (0.9, false, 0.826_6), (0.9, true, 0.725_566)]
        {
            let config =
                TrainConfig { momentum, nesterov, weight_decay: 0.1, ..TrainConfig::default() };
            let TrainConfig { momentum, nesterov, weight_decay, .. } = config;
            let op = kernels::Sgd { lr: 0.1, momentum, nesterov, weight_decay };
            let update = |w: Tensor<1>, v: Option<Tensor<1>>| {
                let mut step = SgdStep::new(op, None);
                let updated = step.take(w, one(0.5), v);
                step.make();
                updated
            };
            let [w, v] = update(one(1.0), None);
            let [w, _] = update(w, Some(v));
            let w = w.into_scalar::<f32>();
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
            sgd.step(LearningRate::Now(0.1), self, gradients)
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
        for device in [DeviceName::tested(), DeviceName::Flex] {
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
