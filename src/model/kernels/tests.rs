//! LibTorch's bodies against the default ones (on Flex): values to 1e-5, gradients to 1e-4,
//! relative to the largest.

use super::*;
use crate::model::device::DeviceName;
use crate::stream::{Purpose, stream};
use rand::RngExt;

/// A tensor of values in -1..1 that are the same on every device; strides as training has them
/// (NHWC) where it is 4-d.
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

/// The tolerance, or what products of ten bits of mantissa allow where they are asked for.
fn allowed(tolerance: f32) -> f32 {
    let is_coarse =
        DeviceName::tested().is_gpu() && std::env::var_os("EARLYBIRD_TEST_TF32").is_some();
    if is_coarse { tolerance.max(1e-2) } else { tolerance }
}

/// Runs `body` by each of LibTorch's bodies: the shim's loops, and those of other devices.
fn on_each_path(body: impl Fn(Device)) {
    for is_forced in [false, true] {
        path::with_device_path(is_forced, || {
            body(DeviceName::tested().open().expect("device").autodiff())
        });
    }
}

/// Runs `body` on both backends, on LibTorch by each of its bodies, and compares everything that it
/// gives, in order, to the tolerance beside it.
fn same_on_both(body: impl Fn(&Device) -> Vec<(&'static str, Vec<f32>, f32)>) {
    let reference = body(&DeviceName::Flex.open().expect("device").autodiff());
    on_each_path(|device| {
        for ((name, fast, tolerance), (_, reference, _)) in body(&device).iter().zip(&reference) {
            assert_eq!(fast.len(), reference.len(), "{name}");
            let largest = reference.iter().fold(1e-3_f32, |a, v| a.max(v.abs()));
            for (i, (a, b)) in fast.iter().zip(reference).enumerate() {
                assert!(
                    (a - b).abs() <= allowed(*tolerance) * largest,
                    "{name}[{i}]: {a} on LibTorch, {b} by the reference"
                );
            }
        }
    });
}

/// [`super::batch_norm_train`] with the running statistics that there are afterwards.
fn batch_norm_train(
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    parameters: NormParameters,
    op: Norm,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let [mean, var] = [&parameters.mean, &parameters.var].map(Clone::clone);
    let (y, running) = super::batch_norm_train(x, residual, parameters, op);
    let [mean, var] = running.unwrap_or([mean, var]);
    (y, mean, var)
}

const NUMBERS: Numbers = Numbers { lr: 0.1, head_lr: 0.1, step: 3, pull: 0.25 };

/// One step of an optimizer on one parameter.
fn step_of<const D: usize>(
    rule: Rule,
    weight_decay: f64,
    weight: Tensor<D>,
    gradient: Tensor<D>,
    kept: Vec<Tensor<D>>,
) -> (Tensor<D>, Vec<Tensor<D>>) {
    let mut update = Update::new(rule, StepNumbers::Now(NUMBERS));
    let group = Group { is_head: false, weight_decay };
    let kept = kept.into_iter().map(Some).collect();
    let updated = update.take(group, weight, gradient, kept);
    update.make(None);
    updated
}

const VALUE: f32 = 1e-5;
const GRADIENT: f32 = 1e-4;

#[test]
fn convolution_and_its_gradients() {
    for (size, stride) in [(3, 1), (3, 2), (1, 2)] {
        same_on_both(|device| {
            let x = images([3, 4, 9, 10], 1, device).require_grad();
            let weight = values([5, 4, size, size], 2, device).require_grad();
            let y = conv2d(
                x.clone(),
                weight.clone(),
                Convolution { stride, padding: size / 2, bf16: false },
            );
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
    // Two values -1 and 1 per channel: biased variance 1, unbiased 2; momentum 0.1 from 1: 0.9 +
    // 0.2.
    same_on_both(|device| {
        let x = Tensor::<4>::from_data(TensorData::new(vec![-1.0_f32, 1.0], [2, 1, 1, 1]), device);
        let one = |v: f32| Tensor::<1>::full([1], v, device);
        let p = NormParameters { gamma: one(1.0), beta: one(0.0), mean: one(0.0), var: one(1.0) };
        let (_, _, var) =
            batch_norm_train(x, None, p, Norm { momentum: 0.1, epsilon: 1e-5, relu: false });
        assert!((host(var.clone())[0] - 1.1).abs() < 1e-6);
        vec![("running var", host(var), VALUE)]
    });
}

#[test]
fn batch_norm_by_given_statistics() {
    for relu in [false, true] {
        same_on_both(|device| {
            let p = NormParameters {
                gamma: values([6], 3, device),
                beta: values([6], 4, device),
                mean: values([6], 5, device),
                var: values([6], 6, device) + 2.0,
            };
            let x = images([4, 6, 5, 7], 1, device).require_grad();
            let y = batch_norm(x.clone(), p, Norm { momentum: 0.1, epsilon: 1e-5, relu });
            let grads = (y.clone() * values(y.dims(), 7, device)).sum().backward();
            let dx = x.grad(&grads).expect("dx");
            vec![("y", host(y), VALUE), ("dx", host(dx), GRADIENT)]
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

fn whole(values: &[i64], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

const LABELS: [i64; 6] = [3, 0, 4, 1, 2, 2];

#[test]
fn cross_entropy_its_figures_and_its_gradient() {
    for (smoothing, is_shifted) in [(0.0, false), (0.1, false), (0.0, true), (0.1, true)] {
        same_on_both(|device| {
            let logits = (values([6, 5], 1, device) * 4.0).require_grad();
            let factors = values([6], 2, &device.clone().without_autodiff()).abs();
            let factors = Tensor::from_data(factors.into_data(), device);
            let shifts = is_shifted.then(|| values([2, 5], 3, device) * 3.0);
            let labels = whole(&LABELS, device);
            let (loss, figures) = cross_entropy(logits.clone(), labels, factors, shifts, smoothing);
            let grads = (loss.clone() * 3.0).backward();
            vec![
                ("loss", host(loss), VALUE),
                ("figures", host(figures), VALUE),
                ("dlogits", host(logits.grad(&grads).expect("dlogits")), GRADIENT),
            ]
        });
    }
}

/// That `gradient` is the one of `loss` at `values`, by central differences in f64, to 1e-4 of its
/// largest.
fn is_numeric(name: &str, gradient: &[f32], values: &[f32], loss: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    let mut at: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    let mut moved = |i: usize, by: f64| {
        let there = at[i];
        at[i] = there + by;
        let loss = loss(&at);
        at[i] = there;
        loss
    };
    let numeric: Vec<f64> =
        (0..values.len()).map(|i| (moved(i, STEP) - moved(i, -STEP)) / (2.0 * STEP)).collect();
    let largest = numeric.iter().fold(1e-3_f64, |a, v| a.max(v.abs()));
    assert_eq!(gradient.len(), numeric.len(), "{name}");
    for (i, (g, n)) in gradient.iter().zip(&numeric).enumerate() {
        let tolerance = f64::from(allowed(1e-4));
        assert!((f64::from(*g) - n).abs() < tolerance * largest, "{name}[{i}]: {g}, numeric {n}");
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

#[test]
fn gradients_of_convolution_are_the_numeric_ones() {
    on_each_path(|device| {
        let ([b, i, h, w], o) = ([2, 3, 5, 6], 4);
        for (size, stride) in [(3, 1), (3, 2), (1, 2)] {
            let pad = size / 2;
            let [height, width] = [h, w].map(|side| (side + 2 * pad - size) / stride + 1);
            // The definition: every filter at every place, zeros around the image.
            let loss = |x: &[f64], filters: &[f64], weighting: &[f64]| {
                let mut sum = 0.0;
                for (n, f, y, column) in (0..b).flat_map(|n| {
                    (0..o).flat_map(move |f| {
                        (0..height)
                            .flat_map(move |y| (0..width).map(move |column| (n, f, y, column)))
                    })
                }) {
                    let mut value = 0.0;
                    for (c, dy, dx) in (0..i).flat_map(|c| {
                        (0..size).flat_map(move |dy| (0..size).map(move |dx| (c, dy, dx)))
                    }) {
                        let (row, col) = (y * stride + dy, column * stride + dx);
                        if (pad..h + pad).contains(&row) && (pad..w + pad).contains(&col) {
                            let pixel = x[((n * i + c) * h + row - pad) * w + col - pad];
                            value += pixel * filters[((f * i + c) * size + dy) * size + dx];
                        }
                    }
                    sum += value * weighting[((n * o + f) * height + y) * width + column];
                }
                sum
            };
            let device = device.clone();
            let x = images([b, i, h, w], 1, &device).require_grad();
            let filters = values([o, i, size, size], 2, &device).require_grad();
            let weighting = values([b, o, height, width], 3, &device);
            let y = conv2d(
                x.clone(),
                filters.clone(),
                Convolution { stride, padding: pad, bf16: false },
            );
            let grads = (y * weighting.clone()).sum().backward();
            let (dx, dw) =
                (host(x.grad(&grads).expect("dx")), host(filters.grad(&grads).expect("dw")));
            let (x, filters, weighting) = (host(x), host(filters), wide(&host(weighting)));
            is_numeric("dx", &dx, &x, |x| loss(x, &wide(&filters), &weighting));
            is_numeric("dw", &dw, &filters, |filters| loss(&wide(&x), filters, &weighting));
        }
    });
}

#[test]
fn gradients_of_batch_norm_with_all_its_endings_are_the_numeric_ones() {
    on_each_path(|device| {
        let [b, c, h, w] = [3, 4, 3, 5];
        let (per_channel, epsilon) = ((b * h * w) as f64, 1e-5);
        for (residual, relu) in [(false, false), (false, true), (true, true), (true, false)] {
            let loss = |x: &[f64], z: &[f64], gamma: &[f64], beta: &[f64], weighting: &[f64]| {
                let channel = |k: usize| {
                    (0..b).flat_map(move |n| (0..h * w).map(move |at| (n * c + k) * h * w + at))
                };
                let mut sum = 0.0;
                for k in 0..c {
                    let mean = channel(k).map(|at| x[at]).sum::<f64>() / per_channel;
                    let var =
                        channel(k).map(|at| (x[at] - mean).powi(2)).sum::<f64>() / per_channel;
                    for at in channel(k) {
                        let y = (x[at] - mean) / (var + epsilon).sqrt() * gamma[k] + beta[k];
                        let y = if residual { y + z[at] } else { y };
                        sum += if relu { y.max(0.0) } else { y } * weighting[at];
                    }
                }
                sum
            };
            let device = device.clone();
            let (x, z) = (
                images([b, c, h, w], 1, &device).require_grad(),
                images([b, c, h, w], 2, &device).require_grad(),
            );
            let (gamma, beta) = (
                (values([c], 3, &device) + 1.5).require_grad(),
                values([c], 4, &device).require_grad(),
            );
            let (mean, var) = (Tensor::zeros([c], &device), Tensor::ones([c], &device));
            let p = NormParameters { gamma: gamma.clone(), beta: beta.clone(), mean, var };
            let weighting = values([b, c, h, w], 7, &device);
            let (y, _, _) = batch_norm_train(
                x.clone(),
                residual.then(|| z.clone()),
                p,
                Norm { momentum: 0.1, epsilon, relu },
            );
            let grads = (y * weighting.clone()).sum().backward();
            let dx = host(x.grad(&grads).expect("dx"));
            let (dgamma, dbeta) = (
                host(gamma.grad(&grads).expect("dgamma")),
                host(beta.grad(&grads).expect("dbeta")),
            );
            let dz = residual.then(|| host(z.grad(&grads).expect("dresidual")));
            let [x, z, gamma, beta] = [host(x), host(z), host(gamma), host(beta)];
            let [wx, wz, wgamma, wbeta, weighting] =
                [wide(&x), wide(&z), wide(&gamma), wide(&beta), wide(&host(weighting))];
            is_numeric("dx", &dx, &x, |x| loss(x, &wz, &wgamma, &wbeta, &weighting));
            is_numeric("dgamma", &dgamma, &gamma, |gamma| {
                loss(&wx, &wz, gamma, &wbeta, &weighting)
            });
            is_numeric("dbeta", &dbeta, &beta, |beta| loss(&wx, &wz, &wgamma, beta, &weighting));
            if let Some(dz) = dz {
                is_numeric("dresidual", &dz, &z, |z| loss(&wx, z, &wgamma, &wbeta, &weighting));
            }
        }
    });
}

#[test]
fn the_gradient_of_global_average_pool_is_the_numeric_one() {
    on_each_path(|device| {
        let device = device.clone();
        let x = images([2, 3, 4, 5], 1, &device).require_grad();
        let weighting = values([2, 3], 2, &device);
        let grads = (global_avg_pool(x.clone()) * weighting.clone()).sum().backward();
        let (dx, weighting) = (host(x.grad(&grads).expect("dx")), wide(&host(weighting)));
        is_numeric("dx", &dx, &host(x), |x| {
            x.chunks(20).zip(&weighting).map(|(x, w)| x.iter().sum::<f64>() / 20.0 * w).sum()
        });
    });
}

#[test]
fn the_gradient_of_cross_entropy_is_the_numeric_one() {
    on_each_path(|device| {
        let loss = |z: &[f64], shifts: &[f64], smoothing: f64| -> f64 {
            let rows = z.chunks(5).zip(LABELS).map(|(z, y)| {
                let y = y as usize;
                let of_truth = |k: usize| if k == y { shifts[5 + k] } else { 0.0 };
                let z: Vec<f64> = (0..5).map(|k| z[k] + shifts[k] + of_truth(k)).collect();
                let log_sum = z.iter().map(|v| v.exp()).sum::<f64>().ln();
                let nll = |k: usize| log_sum - z[k];
                (1.0 - smoothing) * nll(y) + smoothing * (0..5).map(nll).sum::<f64>() / 5.0
            });
            rows.sum::<f64>() / 6.0
        };
        let device = device.clone();
        for (smoothing, size) in [(0.0, 0.0), (0.2, 0.0), (0.0, 3.0), (0.2, 3.0)] {
            let logits = values([6, 5], 1, &device).require_grad();
            let shifts = values([2, 5], 2, &device) * size;
            let (mean, _) = cross_entropy(
                logits.clone(),
                whole(&LABELS, &device),
                Tensor::ones([6], &device),
                (size > 0.0).then(|| shifts.clone()),
                smoothing,
            );
            let grads = mean.clone().backward();
            let gradient = host(logits.grad(&grads).expect("gradient"));
            let (logits, shifts) = (host(logits), wide(&host(shifts)));
            let there = loss(&wide(&logits), &shifts, smoothing);
            assert!((f64::from(host(mean)[0]) - there).abs() < 1e-6);
            is_numeric("dlogits", &gradient, &logits, |z| loss(z, &shifts, smoothing));
        }
    });
}

#[test]
fn shifts_change_the_loss_only_and_shifts_of_zero_not_a_bit_of_it() {
    let check = |device: Device| {
        let of = |shifts: Option<Tensor<2>>| {
            let logits = (values([6, 5], 1, &device) * 4.0).require_grad();
            let (labels, factors) = (whole(&LABELS, &device), Tensor::ones([6], &device));
            let (loss, figures) = cross_entropy(logits.clone(), labels, factors, shifts, 0.1);
            let grads = loss.clone().backward();
            (host(loss), host(figures), host(logits.grad(&grads).expect("gradient")))
        };
        let plain = of(None);
        assert_eq!(of(Some(Tensor::zeros([2, 5], &device))), plain);
        let shifted = of(Some(values([2, 5], 2, &device)));
        assert_eq!(shifted.1, plain.1, "what is said of a sample is by the plain logits");
        assert!(shifted.0 != plain.0 && shifted.2 != plain.2);
    };
    check(DeviceName::Flex.open().expect("device").autodiff());
    on_each_path(check);
}

#[test]
fn a_forward_pass_that_is_not_finite_stays_visible() {
    same_on_both(|device| {
        let logits =
            Tensor::<2>::from_data(TensorData::new(vec![0.5_f32, f32::NAN, 0.1], [1, 3]), device);
        let (loss, figures) =
            cross_entropy(logits, whole(&[0], device), Tensor::ones([1], device), None, 0.0);
        let figures = host(figures);
        assert!(
            host(loss)[0].is_nan()
                && figures[0].is_nan()
                && figures[3].is_nan()
                && figures[4].is_nan(),
            "{figures:?}"
        );
        let x = Tensor::<4>::from_data(
            TensorData::new(vec![1.0_f32, f32::NAN, -1.0, 2.0], [2, 1, 1, 2]),
            device,
        );
        let one = |v: f32| Tensor::<1>::full([1], v, device);
        let p = NormParameters { gamma: one(1.0), beta: one(0.0), mean: one(0.0), var: one(1.0) };
        let (y, _, _) =
            batch_norm_train(x, None, p, Norm { momentum: 0.1, epsilon: 1e-5, relu: true });
        assert!(host(y).iter().any(|v| v.is_nan()), "no ReLU may hide it");
        vec![]
    });
}

#[test]
fn a_step_in_all_its_forms_leaves_what_others_hold_alone() {
    let sgd = |momentum, nesterov| Rule::Sgd { momentum, nesterov };
    let adamw = Rule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    for (rule, weight_decay) in
        [(sgd(0.0, false), 0.0), (sgd(0.9, false), 0.01), (sgd(0.9, true), 0.01), (adamw, 0.01)]
    {
        same_on_both(|device| {
            let device = &device.clone().without_autodiff();
            // A gradient with the strides of a convolution's, another order than the weight's.
            let (mut w, g) = (values([4, 3, 3, 3], 1, device), images([4, 3, 3, 3], 2, device));
            let (held, before) = (w.clone(), host(w.clone()));
            let of_word = |k: usize| values([4, 3, 3, 3], 3 + k as u64, device).abs();
            let mut kept: Vec<_> = (0..rule.kept().len()).map(of_word).collect();
            for _ in 0..3 {
                (w, kept) = step_of(rule, weight_decay, w, g.clone(), kept);
            }
            assert_eq!(host(held), before, "a clone of the weights stays as it was");
            let kept = rule.kept().iter().zip(kept).map(|(word, kept)| (*word, host(kept), VALUE));
            std::iter::once(("weight", host(w), VALUE)).chain(kept).collect()
        });
    }
}

#[test]
fn images_out_of_bytes_moved_and_mirrored() {
    let shape = [3, 9, 7];
    let bytes: Vec<u8> = (0..4 * 3 * 9 * 7).map(|i| (i * 31 % 251) as u8).collect();
    same_on_both(|device| {
        let device = &device.clone().without_autodiff();
        let data = resident_bytes(&bytes, [4, 3 * 9 * 7], device);
        let (scale, shift) = (values([3], 1, device), values([3], 2, device));
        let moves = vec![0_i64, 0, 0, 2, -1, 0, -3, 2, 1, 9, 0, 0, 0, 0, 1];
        let crops = Tensor::<2, Int>::from_data(TensorData::new(moves, [5, 3]), device);
        let index = whole(&[2, 0, 3, 1, 1], device);
        let plain = super::images(&data, index.clone(), None, [&scale, &shift], shape);
        let moved = super::images(&data, index, Some(crops), [&scale, &shift], shape);
        assert_eq!(moved.dims(), [5, 3, 9, 7]);
        vec![("plain", host(plain), VALUE), ("moved", host(moved), VALUE)]
    });
}

/// Eight bits of mantissa: to 2%, against the f32 body of the same device. Without ReLU and max
/// pool, where a value near a tie goes another way.
#[test]
fn bf16_is_near_fp32_and_its_gradients_are_those_of_parameters_in_f32() {
    on_each_path(|device| {
        let run = |bf16: bool| {
            let x = images([4, 8, 9, 10], 1, &device).require_grad();
            let z = images([4, 6, 9, 10], 5, &device).require_grad();
            let weight = values([6, 8, 3, 3], 2, &device).require_grad();
            let (gamma, beta) = (
                (values([6], 3, &device) + 1.5).require_grad(),
                values([6], 4, &device).require_grad(),
            );
            let y = conv2d(x, weight.clone(), Convolution { stride: 1, padding: 1, bf16 });
            let (mean, var) = (Tensor::zeros([6], &device), Tensor::ones([6], &device));
            let p = NormParameters { gamma: gamma.clone(), beta: beta.clone(), mean, var };
            let z = if bf16 { z.cast(burn::tensor::DType::BF16) } else { z };
            let (y, mean, var) =
                batch_norm_train(y, Some(z), p, Norm { momentum: 0.1, epsilon: 1e-5, relu: false });
            let y = global_avg_pool(max_pool2d(y.clone())) * 0.0 + global_avg_pool(y);
            let grads = (y.clone() * values(y.dims(), 7, &device)).sum().backward();
            let grad = |t: Option<Vec<f32>>| t.expect("a gradient");
            [
                host(y),
                host(mean),
                host(var),
                grad(weight.grad(&grads).map(host)),
                grad(gamma.grad(&grads).map(host)),
                grad(beta.grad(&grads).map(host)),
            ]
        };
        for (k, (narrow, wide)) in run(true).into_iter().zip(run(false)).enumerate() {
            let largest = wide.iter().fold(1e-3_f32, |a, v| a.max(v.abs()));
            for (a, b) in narrow.iter().zip(&wide) {
                assert!((a - b).abs() <= 0.02 * largest, "output {k}: {a} in bf16, {b} in fp32");
            }
        }
    });
}

#[test]
fn an_error_of_aten_is_a_panic_with_its_message() {
    let device = DeviceName::LibtorchCpu.open().expect("device").autodiff();
    let attempt = std::panic::catch_unwind(|| {
        let x = images([1, 3, 8, 8], 1, &device).require_grad();
        // five channels where the images have three
        let weight = values([4, 5, 3, 3], 2, &device).require_grad();
        conv2d(x, weight, Convolution { stride: 1, padding: 1, bf16: false }).sum().backward()
    });
    let panic = attempt.err().expect("it cannot work");
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("channels"), "{text}");
    assert!(!text.contains("Exception raised"), "without C++'s backtrace: {text}");
}
