//! What a run is made of: one struct per TOML table, all values with defaults.
//! Knows nothing of files or command lines (`load`) nor of ranges (`keys`).

mod checked;
mod keys;
mod load;
mod paths;
mod pretrain;
mod syntax;

pub use crate::data::{DataConfig, Source};
pub use crate::model::{ModelName, Precision};
pub use keys::{EPOCHS, FIXED, KEYS, Key, LR_SCALE, Live, PRETRAIN_EPOCHS, Rule, find, nearest};
pub use load::{
    ArmChanges, ConfigError, DEFER, DEMO, Origin, Problem, SHARED, arm_name_objection, arms, demo,
    differing, from_str, from_value, is_for_arms, load, parse_set, text, value_text,
};
pub use paths::absolute;
pub use pretrain::{AUTO, Pretrain};

use crate::importance::{
    Adjust, AdjustFrom, ClassWeights, Draw, Level, Metric, Sampler, Shaping, Window,
};
use crate::model::device::CudaMath;
use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct RunConfig {
    /// Name of the run; its directory begins with it.
    pub name: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// Which fork of the run this is, for the draws from here on; 0 = the run itself. Arms of a
    /// comparison are forks.
    pub fork: u32,
    /// Where the images come from.
    pub data: DataConfig,
    /// What is trained.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// The method.
    pub importance: ImportanceConfig,
    /// What is kept, and when.
    pub checkpoint: CheckpointConfig,
}

/// Table `model`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Architecture.
    pub name: ModelName,
    /// A safetensors file with the values to start from, PyTorch's names and layouts; empty:
    /// initialised by the seed.
    pub init: String,
}

/// Whether steps become a CUDA graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CudaGraph {
    /// Where there can be one.
    Auto,
    /// Never.
    Off,
}

/// Table `train`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Total epochs, N.
    pub epochs: usize,
    /// What activations are computed in.
    pub precision: Precision,
    /// Whether a CUDA device multiplies f32 as TF32 (ten bits of mantissa).
    pub tf32: bool,
    /// Whether cuDNN looks for its fastest algorithms by trying: other ones, and other last bits,
    /// in another run.
    pub cudnn_benchmark: bool,
    /// Whether a CUDA device captures a step and makes it at one launch from then on.
    pub cuda_graph: CudaGraph,
    /// Images per step.
    pub batch_size: usize,
    /// Images per forward pass of an evaluation.
    pub eval_batch_size: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// Factor on the scheduled learning rate.
    pub lr_scale: f64,
    /// Course of the learning rate over the run's steps.
    pub schedule: ScheduleName,
    /// Share of the run's steps in which the rate climbs to its peak.
    pub warmup: f64,
    /// Learning rate at the end, as a share of the peak (cosine, one-cycle).
    pub final_lr: f64,
    /// Epochs between two drops (step schedule).
    pub step_epochs: usize,
    /// Factor of each drop (step schedule).
    pub step_factor: f64,
    /// How gradients change parameters.
    pub optimizer: OptimizerName,
    /// Momentum (SGD).
    pub momentum: f64,
    /// Nesterov's form of momentum (SGD).
    pub nesterov: bool,
    /// beta1, of the mean of gradients (AdamW).
    pub adam_beta1: f64,
    /// beta2, of the mean of their squares (AdamW).
    pub adam_beta2: f64,
    /// Added to the root of that mean (AdamW).
    pub adam_epsilon: f64,
    /// Weight decay: as PyTorch's SGD adds it to gradients, or as its AdamW takes it from
    /// parameters.
    pub weight_decay: f64,
    /// Whether scales and shifts of batch norms, and biases, decay, too.
    pub decay_norms: bool,
    /// Peak learning rate of the classifier; 0 = `lr`.
    pub head_lr: f64,
    /// Parts of the model that are not trained, by the beginning of their parameters' names.
    pub freeze: Vec<String>,
    /// Largest norm of all gradients of a step; 0 = any.
    pub clip_norm: f64,
    /// Decay of an average of the parameters, which is evaluated, too; 0 = none.
    pub ema_decay: f64,
    /// Epochs after E without a better one, after which the run ends; 0 = it goes on to N.
    pub patience: usize,
    /// Share of the target spread over all classes.
    pub label_smoothing: f64,
    /// alpha of mixup (Zhang et al. 2018); 0 = off.
    pub mixup: f64,
    /// alpha of CutMix (Yun et al. 2019); 0 = off.
    pub cutmix: f64,
}

/// Optimizers, as PyTorch defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// SGD with momentum.
    Sgd,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw,
}

/// Learning-rate schedules, all by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// The peak throughout.
    Constant,
    /// Dropped by `step_factor` every `step_epochs`.
    Step,
    /// Half a cosine from the peak to `final_lr`.
    Cosine,
    /// A cosine up from 1/25 of the peak during `warmup`, a cosine down to `final_lr` after (Smith
    /// 2018).
    OneCycle,
}

/// Table `importance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportanceConfig {
    /// Pretraining epochs, E: 0 = biased from the start with uniform weights, N = the vanilla
    /// baseline, auto = until the importance is settled.
    /// [`RunConfig::pretrain_epochs`] is the number.
    pub pretrain_epochs: Pretrain,
    /// E = auto: how settled the ranking of the samples has to be, in [0, 1].
    pub auto_threshold: f64,
    /// E = auto: the fewest pretraining epochs.
    pub auto_least: usize,
    /// E = auto: the most; 0 = half of N.
    pub auto_most: usize,
    /// What the epochs after E draw from.
    pub sampler: Sampler,
    /// What makes a sample important.
    pub metric: Metric,
    /// Which recorded epochs count.
    pub window: Window,
    /// Exponent a on the weights.
    pub exponent: f64,
    /// Exponent b on how sure the model is of a sample compared with its class.
    pub doubt: f64,
    /// Share u of uniform draws.
    pub uniform_mix: f64,
    /// Share of the hardest samples that is never drawn.
    pub drop_hardest: f64,
    /// What the weights decide: samples, classes, or samples within classes.
    pub level: Level,
    /// Exponent g on the class sizes at level `within`.
    pub class_exponent: f64,
    /// k: the loss of a drawn sample is multiplied by `(1/(n q))^k`.
    pub reweight: f64,
    /// Last share of the biased epochs that is drawn uniformly again.
    pub uniform_tail: f64,
    /// Independent draws or systematic ones.
    pub draw: Draw,
    /// Compute the weights anew every so many biased epochs; 0 = never.
    pub rescore_every: usize,
    /// Share of N up to which draws stay uniform, and losses uncorrected, after E.
    pub defer: f64,
    /// Images that an epoch after E draws, as a share of n.
    pub draws: f64,
    /// The class shares that logits are corrected for while training.
    pub adjust: Adjust,
    /// tau: how much they are corrected.
    pub adjust_tau: f64,
    /// Since when.
    pub adjust_from: AdjustFrom,
    /// tau of a correction for the data's class shares when epochs are measured; 0 = none.
    pub adjust_posthoc: f64,
    /// What the losses of a class are multiplied by.
    pub class_weights: ClassWeights,
    /// What is taken from the logit of the true class of the smallest class; 0 = nothing.
    pub margin: f64,
}

/// Table `checkpoint`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Minutes after which the run's state is kept in mid-epoch, too; 0 = only at the end of each
    /// epoch.
    pub every_minutes: f64,
    /// Whether TensorBoard's event files are written, too.
    pub tensorboard: bool,
    /// What to do when the disk takes no more.
    pub on_disk_error: OnDiskError,
}

/// What a run does when its state cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDiskError {
    /// Pause after the next epoch, and go on by itself when the disk takes writes again.
    Pause,
    /// Go on; what is not written by the time of a failure is lost.
    Continue,
}

impl RunConfig {
    /// The images that epochs are measured on.
    pub fn measured_on(&self) -> MeasuredOn {
        if self.data.validation > 0.0 { MeasuredOn::Validation } else { MeasuredOn::Test }
    }
}

impl RunConfig {
    /// Whether `epoch`, counted from 1, comes before the sampler, and what goes with it, begins.
    pub fn is_deferred(&self, epoch: usize) -> bool {
        let until = (self.importance.defer * self.train.epochs as f64).round() as usize;
        epoch <= until.max(self.pretrain_epochs())
    }

    /// Whether the loss of `epoch`, counted from 1, is taken of corrected logits.
    pub fn corrects_logits(&self, epoch: usize) -> bool {
        let c = &self.importance;
        let has_begun = !self.is_deferred(epoch) || c.adjust_from == AdjustFrom::Start;
        c.adjust != Adjust::None && c.adjust_tau > 0.0 && has_begun
    }
}

impl TrainConfig {
    /// Whether images are mixed with others of their batch.
    pub fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }

    /// Peak learning rate of the classifier, as a share of [`lr`](Self::lr).
    pub fn head_share(&self) -> f64 {
        if self.head_lr > 0.0 { self.head_lr / self.lr } else { 1.0 }
    }

    /// Steps of an epoch of `samples` draws: a last batch of one sample (batch norm cannot train on
    /// it) joins the one before.
    pub fn steps_per_epoch(&self, samples: usize) -> usize {
        let steps = samples.div_ceil(self.batch_size);
        if samples % self.batch_size == 1 && steps > 1 { steps - 1 } else { steps }
    }

    /// How a CUDA device computes.
    pub fn cuda_math(&self) -> CudaMath {
        CudaMath { tf32: self.tf32, cudnn_benchmark: self.cudnn_benchmark }
    }
}

impl ImportanceConfig {
    /// How weights become probabilities under these options.
    pub fn shaping(&self) -> Shaping {
        Shaping {
            exponent: self.exponent,
            doubt: self.doubt,
            uniform_mix: self.uniform_mix,
            drop_hardest: self.drop_hardest,
            level: self.level,
            class_exponent: self.class_exponent,
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            name: "run".into(),
            seed: 1,
            fork: 0,
            data: DataConfig::default(),
            model: ModelConfig::default(),
            train: TrainConfig::default(),
            importance: ImportanceConfig::default(),
            checkpoint: CheckpointConfig::default(),
        }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every_minutes: 10.0, tensorboard: false, on_disk_error: OnDiskError::Pause }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { name: ModelName::Convnet, init: String::new() }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            precision: Precision::Fp32,
            tf32: CudaMath::default().tf32,
            cudnn_benchmark: CudaMath::default().cudnn_benchmark,
            cuda_graph: CudaGraph::Auto,
            batch_size: 128,
            eval_batch_size: 500,
            lr: 0.1,
            lr_scale: 1.0,
            schedule: ScheduleName::OneCycle,
            warmup: 0.2,
            final_lr: 0.0,
            step_epochs: 30,
            step_factor: 0.1,
            optimizer: OptimizerName::Sgd,
            momentum: 0.9,
            nesterov: false,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            weight_decay: 5e-4,
            decay_norms: true,
            head_lr: 0.0,
            freeze: Vec::new(),
            clip_norm: 0.0,
            ema_decay: 0.0,
            patience: 0,
            label_smoothing: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
        }
    }
}

impl Default for ImportanceConfig {
    fn default() -> Self {
        Self {
            pretrain_epochs: Pretrain::Epochs(3),
            auto_threshold: 0.85,
            auto_least: 1,
            auto_most: 0,
            sampler: Sampler::Biased,
            metric: Metric::PCorrect,
            window: Window::Mean,
            exponent: 1.0,
            doubt: 0.0,
            uniform_mix: 0.0,
            drop_hardest: 0.0,
            level: Level::Sample,
            class_exponent: 0.0,
            reweight: 0.0,
            uniform_tail: 0.0,
            draw: Draw::Multinomial,
            rescore_every: 0,
            defer: 0.0,
            draws: 1.0,
            adjust: Adjust::None,
            adjust_tau: 1.0,
            adjust_from: AdjustFrom::Bias,
            adjust_posthoc: 0.0,
            class_weights: ClassWeights::None,
            margin: 0.0,
        }
    }
}
/// The images that epochs are measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasuredOn {
    /// The test set.
    Test,
    /// A part of the training set that is not trained on.
    Validation,
}

impl MeasuredOn {
    /// As a word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation => "validation",
        }
    }
}
