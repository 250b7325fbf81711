//! Tensors whose values change in place: their memory stays where it is for a whole run, so that
//! each step of training finds it there. LibTorch's only; on other backends a tensor's values never
//! change, and a clone is a copy.

use super::{Sgd, libtorch, shim};
use burn::backend::{DispatchDevice, DispatchTensor, LibTorch, TensorMetadata};
use burn::tensor::{Device, Int, Tensor};
use burn_tch::TchTensor;

/// Whether the tensors on `device` are changed in place.
pub(super) fn changes_in_place(device: &Device) -> bool {
    let device = device.clone().without_autodiff();
    matches!(device.as_dispatch(), DispatchDevice::LibTorch(_))
}

/// LibTorch's tensor behind `tensor`.
///
/// # Panics
/// When it is on another backend, or has a graph.
fn primitive<const D: usize>(tensor: Tensor<D>) -> TchTensor {
    tensor
        .try_into_primitive::<LibTorch>()
        .unwrap_or_else(|_| panic!("LibTorch: a tensor is on another backend"))
}

/// The tensor as parameters are kept: filters `[o, i, k, l]` with `i` last in memory on LibTorch,
/// where convolutions would turn them at every step otherwise. It has no graph.
pub fn stored<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if !changes_in_place(&tensor.device()) {
        return tensor;
    }
    Tensor::from_primitive::<LibTorch>(libtorch::stored(primitive(tensor)))
}

/// A copy in memory of its own, which lies there as `tensor` does. It has no graph.
pub fn copied<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    if !changes_in_place(&tensor.device()) {
        return tensor.clone();
    }
    let tensor = primitive(tensor.clone());
    Tensor::from_primitive::<LibTorch>(TchTensor::new(libtorch::copied(&tensor.tensor)))
}

/// The same of whole numbers.
pub fn copied_whole<const D: usize>(tensor: &Tensor<D, Int>) -> Tensor<D, Int> {
    match tensor.clone().try_into_primitive::<LibTorch>() {
        Ok(tensor) => {
            Tensor::from_primitive::<LibTorch>(TchTensor::new(libtorch::copied(&tensor.tensor)))
        }
        Err(_) => tensor.clone(),
    }
}

/// A learning rate that the device reads: work that is repeated as it is takes another one so.
#[derive(Debug)]
pub struct Rate(tch::Tensor);

impl Rate {
    /// On a device of LibTorch's.
    ///
    /// # Panics
    /// When `device` is another backend's.
    pub fn new(device: &Device) -> Self {
        Self(primitive(Tensor::<1>::zeros([1], device)).tensor.squeeze())
    }

    /// Changes it.
    pub fn set(&mut self, rate: f64) {
        let _ = self.0.fill_(rate);
    }
}

/// One step of SGD on many parameters, which LibTorch makes as one operation.
#[derive(Debug)]
pub struct SgdStep<'a> {
    op: Sgd,
    /// Where the device reads the learning rate.
    rate: Option<&'a Rate>,
    weights: Vec<tch::Tensor>,
    gradients: Vec<tch::Tensor>,
    velocities: Vec<tch::Tensor>,
}

impl<'a> SgdStep<'a> {
    /// A step as PyTorch defines it: `g += wd w; v = m v + g; w -= lr (nesterov ? g + m v : v)`.
    /// The learning rate is `rate` where there is one, which only LibTorch knows, instead of that
    /// of `op`.
    pub fn new(op: Sgd, rate: Option<&'a Rate>) -> Self {
        let (weights, gradients, velocities) = Default::default();
        Self { op, rate, weights, gradients, velocities }
    }

    /// Takes a parameter, its gradient and its velocity (`None`: zeros); gives weight and velocity,
    /// which have their new values once the step is [made](Self::make). Nothing here has a graph.
    pub fn take<const D: usize>(
        &mut self,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        velocity: Option<Tensor<D>>,
    ) -> [Tensor<D>; 2] {
        if !changes_in_place(&weight.device()) {
            let velocity = velocity.unwrap_or_else(|| gradient.zeros_like());
            return by_ordinary_ops(weight, gradient, velocity, self.op);
        }
        let (weight, velocity) = (primitive(weight), velocity.map(primitive));
        // A copy would be lost on work that is repeated: that goes on with the memory that it had.
        let is_alone = weight.can_mut() && velocity.as_ref().is_none_or(TchTensor::can_mut);
        assert!(self.rate.is_none() || is_alone, "LibTorch: somebody else holds a parameter");
        let weight = libtorch::owned(weight);
        let velocity = match velocity {
            Some(velocity) => libtorch::owned(velocity),
            None => libtorch::zeros_like(&weight),
        };
        self.weights.push(weight.tensor.shallow_clone());
        self.gradients.push(primitive(gradient).tensor);
        self.velocities.push(velocity.tensor.shallow_clone());
        [weight, velocity].map(Tensor::from_primitive::<LibTorch>)
    }

    /// Makes the step.
    pub fn make(mut self) {
        if !self.weights.is_empty() {
            let (weights, velocities) = (&mut self.weights, &mut self.velocities);
            let rate = self.rate.map(|rate| &rate.0);
            shim::sgd_step(weights, &self.gradients, velocities, rate, self.op);
        }
    }
}

/// The reference for a step of SGD, of ordinary ops.
fn by_ordinary_ops<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Tensor<D>,
    op: Sgd,
) -> [Tensor<D>; 2] {
    let gradient =
        if op.weight_decay == 0.0 { gradient } else { weight.clone() * op.weight_decay + gradient };
    if op.momentum == 0.0 {
        return [weight - gradient * op.lr, velocity];
    }
    let velocity = velocity * op.momentum + gradient.clone();
    let direction =
        if op.nesterov { velocity.clone() * op.momentum + gradient } else { velocity.clone() };
    [weight - direction * op.lr, velocity]
}

/// Tensors of any ranks whose values change in place; none of another backend's.
#[derive(Debug, Default)]
pub struct Held(Vec<tch::Tensor>);

impl Held {
    /// Adds `tensor`, which shares its memory with this from here on. It has no graph.
    pub fn add<const D: usize>(&mut self, tensor: Tensor<D>) {
        if changes_in_place(&tensor.device()) {
            self.0.push(primitive(tensor).tensor);
        }
    }

    /// The same for whole numbers.
    pub fn add_whole<const D: usize>(&mut self, tensor: Tensor<D, Int>) {
        if changes_in_place(&tensor.device())
            && let Ok(tensor) = tensor.try_into_primitive::<LibTorch>()
        {
            self.0.push(tensor.tensor);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where their values lie in memory.
    #[cfg(test)]
    pub(crate) fn places(&self) -> Vec<usize> {
        self.0.iter().map(|t| t.data_ptr() as usize).collect()
    }

    /// Copies the values of `from` here, tensor by tensor, as one operation: what shares its memory
    /// with these tensors sees them change.
    ///
    /// # Panics
    /// When `from` has another count of tensors, or one of another shape.
    pub fn assign(&mut self, from: &Self) {
        shim::copy_all(&mut self.0, &from.0);
    }

    /// Adds those of `others` after its own.
    pub fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// Whether all values are finite: waits for one number from the device.
    pub fn are_finite(&self) -> bool {
        let [finite] = shim::are_finite(&self.0);
        finite.is_some_and(|finite| finite.int64_value(&[]) == 1)
    }

    /// Sends all values as they are now to the host, each tensor's row-major, in the order in which
    /// the tensors were added: one copy from the device, for which nobody waits yet.
    ///
    /// # Panics
    /// When there are none.
    pub fn leave(&self) -> Leaving {
        Leaving(shim::Leaving::new(&self.0))
    }
}

/// Why values did not come from a device: LibTorch's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device failed: {0}")]
pub struct Lost(String);

/// Values on their way from a device to the host.
#[derive(Debug)]
pub struct Leaving(shim::Leaving);

impl Leaving {
    /// Waits for them.
    ///
    /// # Errors
    /// When the device failed meanwhile.
    pub fn arrived(&self) -> Result<Vec<f32>, Lost> {
        let values = self.0.arrived().map_err(|refusal| Lost(refusal.to_string()))?;
        Vec::<f32>::try_from(&values).map_err(|e| Lost(e.to_string()))
    }
}

/// A tensor without its rank, which whoever takes it knows.
#[derive(Clone, Debug)]
pub struct AnyRank(DispatchTensor);

impl AnyRank {
    /// Of a tensor without a graph.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        Self(tensor.into_dispatch())
    }

    /// Its sizes.
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape().to_vec()
    }

    /// The tensor.
    ///
    /// # Panics
    /// When it has another shape.
    pub fn get<const D: usize>(self, shape: [usize; D]) -> Tensor<D> {
        assert_eq!(self.shape(), shape, "the tensor has another shape");
        Tensor::from_dispatch(self.0)
    }

    /// See [`copied`].
    pub fn copied(&self) -> Self {
        // Nothing that a copy does goes by the rank.
        Self::of(copied(&Tensor::<1>::from_dispatch(self.0.clone())))
    }

    /// Adds it to `held`.
    pub fn hold(&self, held: &mut Held) {
        held.add(Tensor::<1>::from_dispatch(self.0.clone()));
    }
}
