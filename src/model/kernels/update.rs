//! One step of an optimizer on many parameters, which LibTorch makes as one operation for each
//! group of them. Knows nothing of models or of names.

use super::held::{changes_in_place, primitive};
use super::{Held, libtorch, shim};
use burn::backend::LibTorch;
use burn::tensor::{Device, Tensor};
use burn_tch::TchTensor;

/// How gradients change parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// PyTorch's SGD: `g += wd w; v = m v + g; w -= lr (nesterov ? g + m v : v)`; the first v is g.
    Sgd {
        /// m.
        momentum: f64,
        /// Nesterov's form of momentum.
        nesterov: bool,
    },
    /// AdamW (Loshchilov and Hutter 2019), as PyTorch defines it.
    AdamW {
        /// Share of the former mean of gradients that stays.
        beta1: f64,
        /// Share of the former mean of their squares that stays.
        beta2: f64,
        /// Added to the root of that mean.
        epsilon: f64,
    },
}

impl Rule {
    /// What it keeps of each parameter, of its shape: PyTorch's words, of which there are at most
    /// two.
    pub fn kept(self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } => &["velocity"],
            Self::AdamW { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }
}

/// Parameters that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Whether they are the classifier's, which has a learning rate of its own.
    pub is_head: bool,
    /// Weight decay.
    pub weight_decay: f64,
}

/// What changes from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers {
    /// Learning rate.
    pub lr: f64,
    /// That of the classifier, where it has one of its own.
    pub head_lr: f64,
    /// Which step it is, from 1, where the rule goes by that.
    pub step: u64,
    /// How far the average of the parameters moves towards them, in [0, 1], where there is one.
    pub pull: f64,
}

impl Numbers {
    /// As a device holds them, in f32.
    pub fn rounded(self) -> Self {
        let [lr, head_lr, pull] =
            [self.lr, self.head_lr, self.pull].map(|number| f64::from(number as f32));
        Self { lr, head_lr, pull, ..self }
    }
}

/// Where a step finds its numbers.
#[derive(Clone, Copy, Debug)]
pub enum StepNumbers<'a> {
    /// They are these.
    Now(Numbers),
    /// The device finds them there when it makes the step; LibTorch only.
    OnDevice(&'a DeviceNumbers),
}

/// Numbers that the device reads: work that is repeated as it is takes other ones so.
#[derive(Debug)]
pub struct DeviceNumbers {
    /// What they are there; none before they were first set.
    now: Option<Numbers>,
    lr: tch::Tensor,
    head_lr: tch::Tensor,
    step: tch::Tensor,
    pull: tch::Tensor,
}

impl DeviceNumbers {
    /// On a device of LibTorch's.
    ///
    /// # Panics
    /// When `device` is another backend's.
    pub fn new(device: &Device) -> Self {
        let number = || primitive(Tensor::<1>::zeros([1], device)).tensor.squeeze();
        let [lr, head_lr, step, pull] = std::array::from_fn(|_| number());
        Self { now: None, lr, head_lr, step, pull }
    }

    /// Changes those that are other ones: an operation each.
    pub fn set(&mut self, to: Numbers) {
        let values = |n: Numbers| [n.lr, n.head_lr, n.step as f64, n.pull];
        let (now, to_values) = (self.now.map(values), values(to));
        let tensors = [&mut self.lr, &mut self.head_lr, &mut self.step, &mut self.pull];
        for (k, tensor) in tensors.into_iter().enumerate() {
            if now.is_none_or(|now| now[k] != to_values[k]) {
                let _ = tensor.fill_(to_values[k]);
            }
        }
        self.now = Some(to);
    }
}

/// Tensors of a step, one of each kind a parameter.
#[derive(Debug, Default)]
struct Lists {
    weights: Vec<tch::Tensor>,
    gradients: Vec<tch::Tensor>,
    /// Of what the rule keeps, in its order.
    kept: [Vec<tch::Tensor>; 2],
}

/// A step of an optimizer.
#[derive(Debug)]
pub struct Update<'a> {
    rule: Rule,
    numbers: StepNumbers<'a>,
    groups: Vec<(Group, Lists)>,
}

impl<'a> Update<'a> {
    /// A step by `rule`.
    pub fn new(rule: Rule, numbers: StepNumbers<'a>) -> Self {
        Self { rule, numbers, groups: Vec::new() }
    }

    /// Takes a parameter of `group`, its gradient, and what the rule keeps of it (`None`: zeros);
    /// gives it and what is kept, which have their new values once the step is
    /// [made](Self::make). Nothing here has a graph.
    pub fn take<const D: usize>(
        &mut self,
        group: Group,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        kept: Vec<Option<Tensor<D>>>,
    ) -> (Tensor<D>, Vec<Tensor<D>>) {
        if !changes_in_place(&weight.device()) {
            let zeros = || gradient.zeros_like();
            let kept = kept.into_iter().map(|kept| kept.unwrap_or_else(zeros)).collect();
            let StepNumbers::Now(numbers) = self.numbers else {
                panic!("LibTorch: a step with numbers on the device is on another backend")
            };
            return by_ordinary_ops(self.rule, group, numbers, weight, gradient, kept);
        }
        let (weight, kept) = (primitive(weight), kept.into_iter().map(|k| k.map(primitive)));
        let kept: Vec<Option<TchTensor>> = kept.collect();
        // A copy would be lost on work that is repeated: that goes on with the memory that it had.
        let is_alone = weight.can_mut() && kept.iter().flatten().all(TchTensor::can_mut);
        let is_repeated = matches!(self.numbers, StepNumbers::OnDevice(_));
        assert!(!is_repeated || is_alone, "LibTorch: somebody else holds a parameter");
        let weight = libtorch::owned(weight);
        let kept = kept.into_iter().map(|kept| match kept {
            Some(kept) => libtorch::owned(kept),
            None => libtorch::zeros_like(&weight),
        });
        let kept: Vec<TchTensor> = kept.collect();
        let lists = self.lists(group);
        lists.weights.push(weight.tensor.shallow_clone());
        lists.gradients.push(primitive(gradient).tensor);
        for (list, kept) in lists.kept.iter_mut().zip(&kept) {
            list.push(kept.tensor.shallow_clone());
        }
        let kept = kept.into_iter().map(Tensor::from_primitive::<LibTorch>).collect();
        (Tensor::from_primitive::<LibTorch>(weight), kept)
    }

    fn lists(&mut self, group: Group) -> &mut Lists {
        let known = self.groups.iter().position(|(known, _)| *known == group);
        let at = known.unwrap_or_else(|| {
            self.groups.push((group, Lists::default()));
            self.groups.len() - 1
        });
        &mut self.groups[at].1
    }

    /// Makes the step. Where `clip` is a number, gradients are scaled first so that the norm of
    /// all of them is at most that; gives their norm before, `[1]`, on LibTorch.
    pub fn make(mut self, clip: Option<f64>) -> Option<Tensor<1>> {
        let norm = clip.filter(|_| !self.groups.is_empty()).map(|largest| {
            let all = self.groups.iter().flat_map(|(_, lists)| &lists.gradients);
            shim::norm(&all.collect::<Vec<_>>(), largest)
        });
        let [norm, scale] = norm.unwrap_or_default();
        for (group, lists) in &mut self.groups {
            make_group(self.rule, *group, self.numbers, lists, scale.as_ref());
        }
        norm.map(|norm| Tensor::from_primitive::<LibTorch>(TchTensor::new(norm)))
    }
}

/// The step of one group; gradients are divided by `scale` `[]`.
fn make_group(
    rule: Rule,
    group: Group,
    numbers: StepNumbers<'_>,
    lists: &mut Lists,
    scale: Option<&tch::Tensor>,
) {
    let Lists { weights, gradients, kept: [first, second] } = lists;
    let (lr, lr_there, step, step_there) = match numbers {
        StepNumbers::Now(n) => (if group.is_head { n.head_lr } else { n.lr }, None, n.step, None),
        StepNumbers::OnDevice(n) => {
            let lr = if group.is_head { &n.head_lr } else { &n.lr };
            (f64::NAN, Some(lr), 0, Some(&n.step))
        }
    };
    let lr = shim::Given { number: lr, there: lr_there };
    let wd = group.weight_decay;
    match rule {
        Rule::Sgd { momentum, nesterov } => {
            shim::sgd_step(weights, gradients, first, lr, (momentum, nesterov), wd, scale);
        }
        Rule::AdamW { beta1, beta2, epsilon } => {
            let step = shim::Given { number: step as f64, there: step_there };
            let op = (beta1, beta2, epsilon);
            shim::adamw_step(weights, gradients, [first, second], [lr, step], op, wd, scale);
        }
    }
}

/// The reference for a step of one parameter, of ordinary ops.
fn by_ordinary_ops<const D: usize>(
    rule: Rule,
    group: Group,
    numbers: Numbers,
    weight: Tensor<D>,
    gradient: Tensor<D>,
    kept: Vec<Tensor<D>>,
) -> (Tensor<D>, Vec<Tensor<D>>) {
    let lr = if group.is_head { numbers.head_lr } else { numbers.lr };
    let (wd, mut kept) = (group.weight_decay, kept.into_iter());
    let decayed = |gradient: Tensor<D>, weight: &Tensor<D>| {
        if wd == 0.0 { gradient } else { weight.clone() * wd + gradient }
    };
    match (rule, kept.next(), kept.next()) {
        (Rule::Sgd { momentum, nesterov }, Some(velocity), _) => {
            let gradient = decayed(gradient, &weight);
            let velocity = velocity * momentum + gradient.clone();
            let direction =
                if nesterov { velocity.clone() * momentum + gradient } else { velocity.clone() };
            (weight - direction * lr, vec![velocity])
        }
        (Rule::AdamW { beta1, beta2, epsilon }, Some(mean), Some(square)) => {
            let mean = mean * beta1 + gradient.clone() * (1.0 - beta1);
            let square = square * beta2 + gradient.powi_scalar(2) * (1.0 - beta2);
            let corrections = [beta1, beta2].map(|beta| 1.0 - beta.powf(numbers.step as f64));
            let root = (square.clone() / corrections[1]).sqrt() + epsilon;
            let weight = weight * (1.0 - lr * wd);
            (weight - mean.clone() / root * (lr / corrections[0]), vec![mean, square])
        }
        (_, _, _) => {
            let gradient = decayed(gradient, &weight);
            (weight - gradient * lr, Vec::new())
        }
    }
}

/// Moves the values of `average` towards those of `to`, tensor by tensor, by the share that
/// `numbers` say.
///
/// # Panics
/// When there are not as many of the same shapes.
pub fn pull(average: &mut Held, to: &Held, numbers: StepNumbers<'_>) {
    let by = match numbers {
        StepNumbers::Now(n) => shim::Given { number: n.pull, there: None },
        StepNumbers::OnDevice(n) => shim::Given { number: f64::NAN, there: Some(&n.pull) },
    };
    average.pull(to, by);
}
