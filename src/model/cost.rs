//! What an architecture costs: parameters, multiplications, memory.

use super::kernels::tallied;
use super::{Init, Mode, Model, ModelName, Precision};
use burn::module::Module;
use burn::tensor::Tensor;
use serde::Serialize;

/// What an architecture costs with images of a shape.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Numbers that are trained.
    pub parameters: usize,
    /// Floating-point operations of a forward pass of one image: two for each multiplication with
    /// its addition, in convolutions and the classifier. A training step takes about three times as
    /// many.
    pub flops: u64,
    /// Bytes of a training step: parameters, gradients and velocities, and for each image of the
    /// batch what convolutions, batch norms and pools give, kept for the backward pass. Room that
    /// libraries take beside that is not counted.
    pub memory: u64,
}

impl Cost {
    /// Of `name` with images of `shape` (channels, height, width), `classes` classes and batches of
    /// `batch`.
    pub fn of(
        name: ModelName,
        [c, h, w]: [usize; 3],
        classes: usize,
        batch: usize,
        precision: Precision,
    ) -> Self {
        // Shapes are all that counts, so the processor and fp32 will do.
        let device = burn::tensor::Device::flex();
        let model = Model::new(name, c, classes, &mut Init::new(0, Precision::Fp32, &device));
        let parameters = model.parameters();
        let model = model.valid();
        let (_, work) =
            tallied(|| model.forward(Tensor::zeros([1, c, h, w], &device), Mode::Evaluate));
        let bytes = match precision {
            Precision::Fp32 => 4,
            Precision::Bf16 => 2,
        };
        Self {
            parameters,
            flops: 2 * work.multiply_adds,
            memory: 12 * parameters as u64 + batch as u64 * work.kept * bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: ModelName, shape: [usize; 3], classes: usize) -> Cost {
        Cost::of(name, shape, classes, 1, Precision::Fp32)
    }

    #[test]
    fn parameters_and_operations_are_those_that_torchvision_and_the_papers_give() {
        // torchvision's table: 11,689,512 and 1.81 GFLOPS (multiply-adds) and so on; the wide one's
        // paper: 36.5 million and 5.2 billion.
        let of_imagenet = |name| of(name, [3, 224, 224], 1_000);
        for (cost, parameters, giga_multiply_adds) in [
            (of_imagenet(ModelName::Resnet18Imagenet), 11_689_512, 1.81),
            (of_imagenet(ModelName::Resnet34), 21_797_672, 3.66),
            (of_imagenet(ModelName::Resnet50), 25_557_032, 4.09),
            (of(ModelName::WideResnet28x10, [3, 32, 32], 10), 36_479_194, 5.25),
            (of(ModelName::Resnet18, [3, 32, 32], 10), 11_173_962, 0.56),
            (of(ModelName::Convnet, [1, 28, 28], 10), 94_186, 0.0074),
        ] {
            let giga = cost.flops as f64 / 2e9;
            assert_eq!(cost.parameters, parameters);
            let share = giga / giga_multiply_adds;
            assert!((0.985..1.015).contains(&share), "{giga}, not {giga_multiply_adds}");
        }
    }

    #[test]
    fn memory_is_that_of_parameters_and_of_what_layers_give() {
        // Convolution and batch norm, pool; twice; convolution and batch norm; classifier.
        let kept = 2 * 32 * 784 + 32 * 196 + 2 * 64 * 196 + 64 * 49 + 2 * 128 * 49 + 10;
        let one = of(ModelName::Convnet, [1, 28, 28], 10);
        assert_eq!(one.memory, 12 * 94_186 + 4 * kept);
        let of_ten = Cost::of(ModelName::Convnet, [1, 28, 28], 10, 10, Precision::Bf16);
        assert_eq!(of_ten.memory, 12 * 94_186 + 10 * 2 * kept);
    }
}
