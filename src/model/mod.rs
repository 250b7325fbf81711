//! What is trained: the two architectures, their initial parameters, and reading their state by
//! name. Knows nothing of epochs, data sets or samplers. Only [`kernels`] and [`device`] name
//! LibTorch.

pub mod device;
pub mod kernels;

mod convnet;
mod file;
mod layers;
mod resnet;
mod state;
mod threads;

pub use convnet::Convnet;
pub use file::{TensorFileError, from_safetensors, to_safetensors};
pub use layers::{BatchNorm, Conv, Init, Linear, Mode};
pub use resnet::{Downsample, ResidualBlock, Resnet18};
pub use state::{Misfit, Misfits, NamedTensor, named_parameters, sha256};

pub use threads::{threads_for, threads_in_use, use_threads};

use crate::config::{ModelName, RunConfig};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// Any of the architectures. Input `[batch, channels, height, width]` with sides >= 8, output
/// logits `[batch, classes]`.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one model a run")]
pub enum Model {
    /// See [`Convnet`].
    Convnet(Convnet),
    /// See [`Resnet18`].
    Resnet18(Resnet18),
}

impl Model {
    /// The model that `config` asks for, with initial parameters by its seed, on the autodiff form
    /// of `device`.
    pub fn new(config: &RunConfig, channels: usize, classes: usize, device: &Device) -> Self {
        let mut init = Init::new(config.seed, config.train.precision, &device.clone().autodiff());
        match config.model.name {
            ModelName::Convnet => Self::Convnet(Convnet::new(channels, classes, &mut init)),
            ModelName::Resnet18 => Self::Resnet18(Resnet18::new(channels, classes, &mut init)),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, channels, height, width]`. [`Mode::Train`]
    /// normalises by the batch and updates the running statistics, [`Mode::Evaluate`] normalises by
    /// these.
    pub fn forward(&self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        match self {
            Self::Convnet(m) => m.forward(images, mode),
            Self::Resnet18(m) => m.forward(images, mode),
        }
    }

    /// Its name in configs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Convnet(_) => "convnet",
            Self::Resnet18(_) => "resnet18",
        }
    }

    /// Trainable parameters (running statistics not counted).
    pub fn parameters(&self) -> usize {
        let state = self.state();
        state.iter().filter(|t| t.trainable).map(|t| t.values.len()).sum()
    }

    /// The same model with these values, which [`state`](Self::state) gave.
    ///
    /// # Errors
    /// Every parameter that is missing or has another shape.
    pub fn with_state(self, state: &[NamedTensor], device: &Device) -> Result<Self, Misfits> {
        state::replace(self, state, device)
    }

    /// All parameters and running statistics by name, on the host, in the order of the forward
    /// pass.
    pub fn state(&self) -> Vec<NamedTensor> {
        state::collect(self)
    }
}
