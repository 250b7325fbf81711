//! What is trained: the architectures, their initial parameters, and reading their state by
//! name. Knows nothing of epochs, data sets or samplers. Only [`kernels`], [`device`] and
//! [`libtorch`] name LibTorch.

pub mod device;
pub mod kernels;
pub mod libtorch;

mod computing;
mod convnet;
mod cost;
mod file;
mod layers;
mod memory;
mod resnet;
mod state;
mod threads;
mod wide_resnet;

pub use computing::{Because, Threads, Waiting};
pub use convnet::Convnet;
pub use cost::Cost;
pub use file::{TensorFileError, from_bytes, from_safetensors, to_safetensors};
pub use layers::{BatchNorm, Conv, Init, Linear, Mode};
pub use memory::keep_memory;
pub use resnet::{BasicBlock, BottleneckBlock, Downsample, ResidualBlock, Resnet};
pub use state::{
    FreezeError, LeavingState, Misfit, Misfits, NamedTensor, Start, Unread, is_of_head,
    named_parameters, sha256,
};

pub use threads::{threads_for, threads_in_use, use_threads};
pub use wide_resnet::{Group, WideBlock, WideResnet};

use crate::table::table;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Defines [`ModelName`] and [`Model`] from one row for each architecture: its type and what makes
/// it, its name in configs, and what `earlybird bench` measures of it.
macro_rules! architectures {
    ($(
        $(#[$doc:meta])*
        $Variant:ident($Type:ident::$new:ident) = $name:literal => $usual:expr,
    )+) => {
        table! {
            /// Architectures.
            pub enum ModelName: Usual {
                $($(#[$doc])* $Variant = $name => $usual,)+
            }
        }

        /// Any of the architectures. Input `[batch, channels, height, width]` with sides >= 8,
        /// output logits `[batch, classes]`.
        #[derive(Module, Debug)]
        #[expect(clippy::large_enum_variant, reason = "there is one model a run")]
        pub enum Model {
            $($(#[$doc])* $Variant($Type),)+
        }

        /// The rows' names, which are no part of a parameter's name.
        const TYPES: &[&str] = &[$(stringify!($Variant),)+];

        impl Model {
            /// A model with initial parameters from `init`.
            pub fn new(name: ModelName, channels: usize, classes: usize, init: &mut Init) -> Self {
                match name {
                    $(ModelName::$Variant => {
                        Self::$Variant($Type::$new(channels, classes, init))
                    })+
                }
            }

            /// Logits `[batch, classes]` of images `[batch, channels, height, width]`.
            /// [`Mode::Train`] normalises by the batch and updates the running statistics, but for
            /// batch norms that are frozen (or have no autodiff), which do as [`Mode::Evaluate`]
            /// does: it normalises by these.
            pub fn forward(&self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
                match self {
                    $(Self::$Variant(m) => m.forward(images, mode),)+
                }
            }

            /// Its name in configs.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$Variant(_) => $name,)+
                }
            }
        }
    };
}

architectures! {
    /// Three 3x3 convolutions (32, 64, 128) with batch norm, two max pools, global average pool.
    Convnet(Convnet::new) = "convnet" =>
        Usual { image: [1, 28, 28], batch: 128, steps: 60, warmup: 10 },
    /// ResNet-18 for small images, as CIFAR's.
    Resnet18(Resnet::small_18) = "resnet18" =>
        Usual { image: [3, 32, 32], batch: 64, steps: 8, warmup: 2 },
    /// Wide ResNet, 28 layers, ten times as wide, for small images.
    WideResnet28x10(WideResnet::deep_28_wide_10) = "wide-resnet-28-10" =>
        Usual { image: [3, 32, 32], batch: 32, steps: 2, warmup: 1 },
    /// ResNet-18 in ImageNet's form.
    Resnet18Imagenet(Resnet::imagenet_18) = "resnet18-imagenet" =>
        Usual { image: [3, 224, 224], batch: 16, steps: 4, warmup: 1 },
    /// ResNet-34 in ImageNet's form.
    Resnet34(Resnet::imagenet_34) = "resnet34" =>
        Usual { image: [3, 224, 224], batch: 16, steps: 3, warmup: 1 },
    /// ResNet-50 in ImageNet's form.
    Resnet50(Resnet::imagenet_50) = "resnet50" =>
        Usual { image: [3, 224, 224], batch: 16, steps: 3, warmup: 1 },
}

/// What an architecture is measured with, unless somebody asks for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// Channels, height, width.
    pub image: [usize; 3],
    /// Images a step.
    pub batch: usize,
    /// Steps that are timed: some seconds of them on two processors.
    pub steps: usize,
    /// Steps before them.
    pub warmup: usize,
}

impl ModelName {
    /// What it is measured with.
    pub fn usual(self) -> Usual {
        self.row()
    }
}

/// What convolutions compute in. Parameters, statistics of batch norms, losses and the optimizer
/// are f32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32 bits.
    Fp32,
    /// Products and activations of 16 bits with the range of 32 (bfloat16); LibTorch only.
    Bf16,
}

impl Model {
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

    /// The same model with these values, from whatever file, to train on from there: its classifier
    /// begins anew where theirs is missing or is one for other classes.
    ///
    /// # Errors
    /// Every other parameter that is missing or has another shape.
    pub fn started_from(
        self,
        state: &[NamedTensor],
        device: &Device,
    ) -> Result<(Self, Start), Misfits> {
        state::start(self, state, device)
    }

    /// The same model, of which the parameters whose names begin with one of `parts` are not
    /// trained, as `layer1` or `layer1.0.bn1`; batch norms there normalise by their running
    /// statistics, which stay as they are.
    ///
    /// # Errors
    /// A part that there is not; when nothing would be left to be trained.
    pub fn frozen(self, parts: &[String]) -> Result<Self, FreezeError> {
        state::freeze(self, parts)
    }

    /// This model, which has no gradients and shares its memory with nobody, moved towards `model`
    /// of the same architecture by the share that `numbers` say.
    pub fn pulled(self, model: &Self, numbers: kernels::StepNumbers<'_>) -> Self {
        state::pulled(self, model, numbers)
    }

    /// The same model without gradients, in memory of its own: no later step of training changes
    /// it.
    pub fn copy(&self) -> Self {
        state::copy(self)
    }

    /// Its parameters and running statistics, where training changes them in place; else none.
    pub fn held(&self) -> kernels::Held {
        state::held(self)
    }

    /// All parameters and running statistics by name, on the host, in the order of the forward
    /// pass.
    pub fn state(&self) -> Vec<NamedTensor> {
        self.unread().read()
    }

    /// The same, its values not read yet.
    pub fn unread(&self) -> Unread {
        state::unread(self)
    }
}

#[cfg(test)]
mod tests;
