//! Tensors whose values change in place: their memory stays where it is for a whole run, so that
//! each step of training finds it there. LibTorch's only; on other backends a tensor's values never
//! change, and a clone is a copy.

use super::{libtorch, shim};
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
pub(super) fn primitive<const D: usize>(tensor: Tensor<D>) -> TchTensor {
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

    /// Moves its values towards those of `to`, tensor by tensor, by a share.
    ///
    /// # Panics
    /// When `to` has another count of tensors, or one of another shape.
    pub(super) fn pull(&mut self, to: &Self, by: shim::Given<'_>) {
        shim::pull(&mut self.0, &to.0, by);
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
