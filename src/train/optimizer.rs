//! SGD and AdamW as PyTorch defines them, with a learning rate of its own for the classifier, and
//! gradients that are clipped. Knows nothing of schedules: the numbers of a step come with it.

use crate::config::{OptimizerName, TrainConfig};
use crate::model::kernels::{self, AnyRank, Group, Held, Rule, StepNumbers, Update};
use crate::model::{NamedTensor, Unread, is_of_head, named_parameters};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;

/// What makes the steps of one optimizer different from those of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    rule: Rule,
    /// Weight decay of parameters of two and more dimensions: filters and matrices.
    weight_decay: f64,
    /// That of the others: scales and shifts of batch norms, biases.
    small_decay: f64,
    /// Whether the classifier has a learning rate of its own.
    has_head: bool,
    /// The largest norm of all gradients; `None`: any.
    clip: Option<f64>,
}

impl Settings {
    /// Those that the config asks for.
    pub fn of(config: &TrainConfig) -> Self {
        let rule = match config.optimizer {
            OptimizerName::Sgd => {
                Rule::Sgd { momentum: config.momentum, nesterov: config.nesterov }
            }
            OptimizerName::Adamw => Rule::AdamW {
                beta1: config.adam_beta1,
                beta2: config.adam_beta2,
                epsilon: config.adam_epsilon,
            },
        };
        Self {
            rule,
            weight_decay: config.weight_decay,
            small_decay: if config.decay_norms { config.weight_decay } else { 0.0 },
            has_head: config.head_lr > 0.0,
            clip: (config.clip_norm > 0.0).then_some(config.clip_norm),
        }
    }

    /// Whether the classifier has a learning rate of its own.
    pub fn has_head(&self) -> bool {
        self.has_head
    }

    /// Whether it matters which step it is.
    pub fn goes_by_steps(&self) -> bool {
        matches!(self.rule, Rule::AdamW { .. })
    }

    /// How gradients change parameters.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    fn group(&self, is_of_head: bool, dimensions: usize) -> Group {
        Group {
            is_head: self.has_head && is_of_head,
            weight_decay: if dimensions > 1 { self.weight_decay } else { self.small_decay },
        }
    }
}

/// The optimizer and what it keeps of each parameter. A clone shares its memory.
#[derive(Clone, Debug)]
pub struct Optimizer {
    settings: Settings,
    /// In the order of the rule's words, each of the parameter's shape.
    kept: HashMap<ParamId, Vec<AnyRank>>,
}

impl Optimizer {
    /// With nothing kept yet.
    pub fn new(config: &TrainConfig) -> Self {
        Self { settings: Settings::of(config), kept: HashMap::new() }
    }

    /// What makes its steps different.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Takes what may change while it trains; the rule is for good.
    pub fn tune(&mut self, config: &TrainConfig) {
        self.settings = Settings { rule: self.settings.rule, ..Settings::of(config) };
    }

    /// One step: the new model and, where gradients are clipped, the norm of all of them before,
    /// `[1]`. A parameter without a gradient stays as it is.
    pub fn step<M: Module>(
        &mut self,
        numbers: StepNumbers<'_>,
        model: M,
        of: GradientsParams,
    ) -> (M, Option<Tensor<1>>) {
        let head = if self.settings.has_head { head_of(&model) } else { Vec::new() };
        let clip = self.settings.clip;
        let by_hand = clip.filter(|_| !kernels::steps_together(&model)).map(|largest| {
            let mut squares = Squares { gradients: &of, sum: None };
            model.visit(&mut squares);
            let norm = squares.sum.map_or(0.0, |sum| sum.sqrt().into_scalar::<f32>());
            (norm, ((f64::from(norm) + 1e-6) / largest).max(1.0))
        });
        let update = Update::new(self.settings.rule, numbers);
        let scale = by_hand.map(|(_, scale)| scale);
        let mut step = Step { optimizer: self, update, gradients: of, head, scale };
        let model = model.map(&mut step);
        let norm = step.update.make(clip);
        let device = || model.devices().first().cloned().unwrap_or_default();
        let by_hand = by_hand.map(|(norm, _)| kernels::numbers(&[norm], [1], &device()));
        (model, norm.or(by_hand))
    }

    /// The same optimizer, what it keeps in memory of its own.
    pub fn copy(&self) -> Self {
        let copied = |kept: &Vec<AnyRank>| kept.iter().map(AnyRank::copied).collect();
        let kept = self.kept.iter().map(|(id, kept)| (*id, copied(kept))).collect();
        Self { kept, ..self.clone() }
    }

    /// Adds what it keeps to `held`, in the order of the parameters of `model`, where that is
    /// changed in place.
    pub fn hold(&self, model: &impl Module, held: &mut Held) {
        for (_, id) in named_parameters(model) {
            for kept in self.kept.get(&id).into_iter().flatten() {
                kept.hold(held);
            }
        }
    }

    /// What it keeps, by parameter name behind the rule's word, as `velocity.fc.bias`, on the
    /// host; nothing before the first step.
    pub fn state(&self, model: &impl Module) -> Vec<NamedTensor> {
        self.unread(model).read()
    }

    /// The same, its values not read yet.
    pub fn unread(&self, model: &impl Module) -> Unread {
        let names = named_parameters(model).into_iter().map(|(name, id)| (id, name)).collect();
        let words = self.settings.rule.kept().iter().enumerate();
        words.fold(Unread::default(), |all, (at, word)| {
            let (unread, names) = (Unread::default(), &names);
            let mut collect = Collect { optimizer: self, at, names, unread };
            model.visit(&mut collect);
            all.and(collect.unread.under(&format!("{word}.")))
        })
    }

    /// Takes what [`state`](Self::state) gave.
    pub fn load(&mut self, model: &impl Module, state: &[NamedTensor], device: &Device) {
        self.kept.clear();
        let names = named_parameters(model).into_iter().map(|(name, id)| (id, name)).collect();
        model.visit(&mut Load { optimizer: self, names, state, device });
    }
}

/// The classifier's parameters.
fn head_of(model: &impl Module) -> Vec<ParamId> {
    let all = named_parameters(model).into_iter();
    all.filter(|(name, _)| is_of_head(name)).map(|(_, id)| id).collect()
}

struct Step<'a, 'n> {
    optimizer: &'a mut Optimizer,
    update: Update<'n>,
    gradients: GradientsParams,
    head: Vec<ParamId>,
    /// What gradients are divided by, where the update does not see to that.
    scale: Option<f64>,
}

impl ModuleMapper for Step<'_, '_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        // Running statistics and frozen parameters have no gradient and stay as they are.
        let Some(gradient) = self.gradients.remove::<D>(id) else { return param };
        let gradient = match self.scale {
            Some(scale) => gradient / scale,
            None => gradient,
        };
        let Settings { rule, .. } = self.optimizer.settings;
        let kept = self.optimizer.kept.remove(&id);
        let kept = match kept {
            Some(kept) => kept.into_iter().map(|v| Some(v.get(gradient.dims()))).collect(),
            None => vec![None; rule.kept().len()],
        };
        let group = self.optimizer.settings.group(self.head.contains(&id), D);
        param.map(|weight| {
            let (weight, kept) = self.update.take(group, weight.inner(), gradient, kept);
            if !kept.is_empty() {
                let kept = kept.into_iter().map(AnyRank::of).collect();
                self.optimizer.kept.insert(id, kept);
            }
            Tensor::from_inner(weight).require_grad()
        })
    }
}

/// Sums up the squares of all gradients, by ordinary ops.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let square = gradient.powi_scalar(2).sum();
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + square,
            None => square,
        });
    }
}

/// Collects what is kept under one of the rule's words.
struct Collect<'a> {
    optimizer: &'a Optimizer,
    at: usize,
    names: &'a HashMap<ParamId, String>,
    unread: Unread,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let kept = self.optimizer.kept.get(&param.id);
        let Some(kept) = kept.and_then(|kept| kept.get(self.at)) else { return };
        let name = self.names.get(&param.id).cloned().unwrap_or_default();
        let about = (name, kept.shape(), false);
        let values = || kept.clone().get(param.dims()).into_data().iter::<f32>().collect();
        self.unread.add(about, |held| kept.hold(held), values);
    }
}

/// Puts what is kept to the parameters of their names.
struct Load<'a> {
    optimizer: &'a mut Optimizer,
    names: HashMap<ParamId, String>,
    state: &'a [NamedTensor],
    device: &'a Device,
}

impl ModuleVisitor for Load<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(name) = self.names.get(&param.id) else { return };
        let tensor = |word: &&str| {
            let is_it = |t: &&NamedTensor| {
                t.name
                    .strip_prefix(word)
                    .is_some_and(|rest| rest.strip_prefix('.') == Some(name.as_str()))
            };
            let found = self.state.iter().find(is_it)?;
            let data = TensorData::new(found.values.clone(), found.shape.clone());
            let tensor: Tensor<D> = kernels::stored(Tensor::from_data(data, self.device));
            Some(AnyRank::of(tensor))
        };
        let words = self.optimizer.settings.rule.kept();
        let kept: Vec<AnyRank> = words.iter().filter_map(tensor).collect();
        if !kept.is_empty() && kept.len() == words.len() {
            self.optimizer.kept.insert(param.id, kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::DeviceName;
    use crate::model::kernels::Numbers;

    /// A matrix and a vector, the second one of the classifier.
    #[derive(Module, Debug)]
    struct Two {
        conv: Param<Tensor<2>>,
        fc: Bias,
    }

    #[derive(Module, Debug)]
    struct Bias {
        bias: Param<Tensor<1>>,
    }

    /// Both parameters, whose values are 1 and 2, after some steps whose gradients are 0.5 and -3;
    /// and the last norm of these.
    fn after(steps: u64, config: &TrainConfig, device: &Device) -> ([f32; 2], Option<f32>) {
        let device = &device.clone().autodiff();
        let mut model = Two {
            conv: Param::from_tensor(Tensor::ones([1, 1], device)),
            fc: Bias { bias: Param::from_tensor(Tensor::ones([1], device) * 2.0) },
        };
        let (mut optimizer, mut norm) = (Optimizer::new(config), None);
        for step in 1..=steps {
            let loss = model.conv.val().sum() * 0.5 - model.fc.bias.val().sum() * 3.0;
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let head_lr = 0.1 * config.head_share();
            let numbers = Numbers { lr: 0.1, head_lr, step, pull: 0.0 };
            (model, norm) = optimizer.step(StepNumbers::Now(numbers), model, gradients);
        }
        let values = [model.conv.val().flatten::<1>(0, 1), model.fc.bias.val()];
        (values.map(|v| v.into_scalar::<f32>()), norm.map(|norm| norm.into_scalar::<f32>()))
    }

    /// What torch.optim gives: `lr=0.1, weight_decay=0.1`.
    #[test]
    fn three_steps_are_those_of_pytorch() {
        use OptimizerName::{Adamw, Sgd};
        let base = TrainConfig { weight_decay: 0.1, lr: 0.1, ..TrainConfig::default() };
        let sgd = |momentum, nesterov| TrainConfig { momentum, nesterov, ..base.clone() };
        let adamw = TrainConfig { optimizer: Adamw, ..base.clone() };
        assert_eq!(base.optimizer, Sgd);
        for device in [DeviceName::tested(), DeviceName::Flex] {
            let device = device.open().expect("device");
            for (config, expected, expected_norm) in [
                (sgd(0.0, false), [0.821_794, 2.831_628], None),
                (sgd(0.9, false), [0.666_274, 3.557_388], None),
                (sgd(0.9, true), [0.525_364, 4.214_97], None),
                (adamw.clone(), [0.673_289, 2.237_608], None),
                (
                    TrainConfig { clip_norm: 1.0, ..sgd(0.9, false) },
                    [0.852_939, 2.437_4],
                    Some(3.041_381),
                ),
                (
                    TrainConfig { clip_norm: 1.0, adam_epsilon: 1.0, ..adamw.clone() },
                    [0.928365, 2.088086],
                    Some(3.041_381),
                ),
                (
                    TrainConfig { clip_norm: 1e6, ..sgd(0.9, false) },
                    [0.666_274, 3.557_388],
                    Some(3.041_381),
                ),
                (TrainConfig { head_lr: 0.5, ..sgd(0.9, false) }, [0.666_274, 9.521_501], None),
                (TrainConfig { decay_norms: false, ..adamw.clone() }, [0.673_289, 2.3], None),
            ] {
                let (values, norm) = after(3, &config, &device);
                for (value, expected) in values.iter().zip(expected) {
                    assert!((value - expected).abs() < 2e-5, "{values:?} {expected:?} {config:?}");
                }
                let is_near = |norm: f32| (norm - expected_norm.unwrap_or(0.0)).abs() < 1e-5;
                assert_eq!(norm.map(is_near), expected_norm.map(|_| true), "{norm:?}");
            }
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
        fn step(self, optimizer: &mut Optimizer) -> Self {
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
            let numbers = Numbers { lr: 0.1, head_lr: 0.1, step: 1, pull: 0.0 };
            optimizer.step(StepNumbers::Now(numbers), self, gradients).0
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
    fn what_is_kept_of_a_parameter_of_any_rank_survives_a_save_and_a_load() {
        let adamw = TrainConfig { optimizer: OptimizerName::Adamw, ..TrainConfig::default() };
        for (device, config, words) in [
            (DeviceName::tested(), TrainConfig::default(), 1),
            (DeviceName::Flex, TrainConfig::default(), 1),
            (DeviceName::tested(), adamw.clone(), 2),
            (DeviceName::Flex, adamw, 2),
        ] {
            let device = device.open().expect("device");
            let mut optimizer = Optimizer::new(&config);
            let model = EachRank::new(&device.clone().autodiff()).step(&mut optimizer);
            let saved = optimizer.state(&model);
            let shapes: Vec<(&str, &[usize])> =
                saved.iter().map(|t| (t.name.as_str(), t.shape.as_slice())).collect();
            let wanted: [(&str, &[usize]); 5] = [
                ("one", &[2]),
                ("two", &[2, 3]),
                ("three", &[2, 3, 1]),
                ("four", &[2, 1, 3, 2]),
                ("five", &[1, 2, 3, 2, 2]),
            ];
            assert_eq!(shapes.len(), 5 * words);
            let names = optimizer.settings().rule().kept();
            for (word, of_word) in names.iter().zip(shapes.chunks(5)) {
                for ((name, shape), wanted) in of_word.iter().zip(wanted) {
                    assert_eq!((*name, *shape), (&*format!("{word}.{}", wanted.0), wanted.1));
                }
            }
            for tensor in saved.iter().filter(|t| t.name.starts_with("velocity.")) {
                assert_eq!(tensor.values.len(), tensor.shape.iter().product::<usize>());
                assert!(tensor.values.iter().zip(1..).all(|(v, k)| (v - k as f32).abs() < 0.01));
            }
            let mut loaded = Optimizer::new(&config);
            loaded.load(&model, &saved, &device);
            assert_eq!(loaded.state(&model), saved);
            let mut copied = optimizer.clone();
            let [gone_on, restored, copy] = [&mut optimizer, &mut loaded, &mut copied]
                .map(|optimizer| model.clone().step(optimizer).values());
            assert_eq!(gone_on, restored);
            assert_eq!(gone_on, copy);
        }
    }
}
