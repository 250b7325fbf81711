//! LibTorch's bodies against the default ones (on Flex): values to 1e-5, gradients to 1e-4, relative to the largest.

use super::*;
use crate::model::device::DeviceName;
use crate::stream::{Purpose, stream};
use rand::RngExt;

/// A tensor of values in -1..1 that are the same on every device; strides as training has them (NHWC) where it is 4-d.
fn values<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut rng = stream(seed, Purpose::Init, 0);
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(data, shape), device)
}

fn images(shape: [usize; 4], seed: u64, device: &Device) -> Tensor<4> {
    let [b, c, h, w] = shape;
    values([b, h, w, c], seed, device).permute([0, 3, 1, 2])
}

fn host<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().iter::<f32>().collect()
}

/// Runs `body` on both backends and compares everything that it gives, in order, to the tolerance beside it.
fn same_on_both(body: impl Fn(&Device) -> Vec<(&'static str, Vec<f32>, f32)>) {
    let on = |name: DeviceName| body(&name.open().expect("device").autodiff());
    for ((name, fast, tolerance), (_, reference, _)) in on(DeviceName::LibtorchCpu).into_iter().zip(on(DeviceName::Flex)) {
        assert_eq!(fast.len(), reference.len(), "{name}");
        let largest = reference.iter().fold(1e-3_f32, |a, v| a.max(v.abs()));
        for (i, (a, b)) in fast.iter().zip(&reference).enumerate() {
            assert!((a - b).abs() <= tolerance * largest, "{name}[{i}]: {a} on LibTorch, {b} by the reference");
        }
    }
}

const VALUE: f32 = 1e-5;
const GRADIENT: f32 = 1e-4;

#[test]
fn convolution_and_its_gradients() {
    for (size, stride) in [(3, 1), (3, 2), (1, 2)] {
        same_on_both(|device| {
            let x = images([3, 4, 9, 10], 1, device).require_grad();
            let weight = values([5, 4, size, size], 2, device).require_grad();
            let y = conv2d(x.clone(), weight.clone(), stride, size / 2);
            let weighting = values(y.dims(), 3, device);
            let grads = (y.clone() * weighting).sum().backward();
            vec![
                ("y", host(y), VALUE),
                ("dx", host(x.grad(&grads).expect("dx")), GRADIENT),
                ("dw", host(weight.grad(&grads).expect("dw")), GRADIENT),
            ]
        });
    }
}

#[test]
fn batch_norm_in_training_with_all_its_endings_and_gradients() {
    for (residual, relu) in [(false, false), (false, true), (true, true), (true, false)] {
        same_on_both(|device| {
            let x = images([4, 6, 5, 7], 1, device).require_grad();
            let z = images([4, 6, 5, 7], 2, device).require_grad();
            let gamma = (values([6], 3, device) + 1.5).require_grad();
            let beta = values([6], 4, device).require_grad();
            let (mean, var) = (values([6], 5, device), values([6], 6, device) + 2.0);
            let p = NormParameters { gamma: gamma.clone(), beta: beta.clone(), mean, var };
            let op = Norm { momentum: 0.1, epsilon: 1e-5, relu };
            let (y, mean, var) = batch_norm_train(x.clone(), residual.then(|| z.clone()), p, op);
            let grads = (y.clone() * values(y.dims(), 7, device)).sum().backward();
            let mut out = vec![
                ("y", host(y), VALUE),
                ("running mean", host(mean), VALUE),
                ("running var", host(var), VALUE),
                ("dx", host(x.grad(&grads).expect("dx")), GRADIENT),
                ("dgamma", host(gamma.grad(&grads).expect("dgamma")), GRADIENT),
                ("dbeta", host(beta.grad(&grads).expect("dbeta")), GRADIENT),
            ];
            if residual {
                out.push(("dresidual", host(z.grad(&grads).expect("dresidual")), GRADIENT));
            }
            out
        });
    }
}

#[test]
fn the_running_variance_is_pytorch_s_unbiased_one() {
    // Two values -1 and 1 per channel: biased variance 1, unbiased 2; momentum 0.1 from 1: 0.9 + 0.2.
    same_on_both(|device| {
        let x = Tensor::<4>::from_data(TensorData::new(vec![-1.0_f32, 1.0], [2, 1, 1, 1]), device);
        let one = |v: f32| Tensor::<1>::full([1], v, device);
        let p = NormParameters { gamma: one(1.0), beta: one(0.0), mean: one(0.0), var: one(1.0) };
        let (_, _, var) = batch_norm_train(x, None, p, Norm { momentum: 0.1, epsilon: 1e-5, relu: false });
        assert!((host(var.clone())[0] - 1.1).abs() < 1e-6);
        vec![("running var", host(var), VALUE)]
    });
}

#[test]
fn batch_norm_by_given_statistics() {
    for relu in [false, true] {
        same_on_both(|device| {
            let device = device.clone().without_autodiff();
            let p = NormParameters {
                gamma: values([6], 3, &device),
                beta: values([6], 4, &device),
                mean: values([6], 5, &device),
                var: values([6], 6, &device) + 2.0,
            };
            let y = batch_norm(images([4, 6, 5, 7], 1, &device), p, Norm { momentum: 0.1, epsilon: 1e-5, relu });
            vec![("y", host(y), VALUE)]
        });
    }
}

#[test]
fn global_average_pool_and_its_gradient() {
    same_on_both(|device| {
        let x = images([3, 4, 5, 6], 1, device).require_grad();
        let y = global_avg_pool(x.clone());
        let grads = (y.clone() * values([3, 4], 2, device)).sum().backward();
        vec![("y", host(y), VALUE), ("dx", host(x.grad(&grads).expect("dx")), GRADIENT)]
    });
}

#[test]
fn an_error_of_aten_is_a_panic_with_its_message() {
    let device = DeviceName::LibtorchCpu.open().expect("device").autodiff();
    let attempt = std::panic::catch_unwind(|| {
        let x = images([1, 3, 8, 8], 1, &device).require_grad();
        let weight = values([4, 5, 3, 3], 2, &device).require_grad(); // five channels where the images have three
        conv2d(x, weight, 1, 1).sum().backward()
    });
    let panic = attempt.err().expect("it cannot work");
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("channels"), "{text}");
}
