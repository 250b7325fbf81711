//! What every architecture promises.

use super::device::DeviceName;
use super::*;
use crate::model::kernels::with_device_path;
use burn::tensor::TensorData;

/// Two images, the same on every device; so large that the last layer has more than one place,
/// without which a batch norm has too few numbers.
fn images(name: ModelName, device: &Device) -> Tensor<4> {
    let side = if name.usual().image[1] > 100 { 64 } else { 16 };
    let pixels = (0..2 * 3 * side * side).map(|i| (i * 37 % 251) as f32 / 125.0 - 1.0);
    Tensor::from_data(TensorData::new(pixels.collect::<Vec<f32>>(), [2, 3, side, side]), device)
}

/// Logits by running statistics, which no batch changes, and the norms of a training step's
/// gradients by name.
fn step(name: ModelName, precision: Precision, device: &Device) -> (Vec<f32>, Vec<(String, f32)>) {
    let model = Model::new(name, 3, 4, &mut Init::new(3, precision, device));
    let device = device.clone().autodiff();
    let evaluated = model.forward(images(name, &device), Mode::Evaluate);
    let logits = model.forward(images(name, &device), Mode::Train);
    assert_eq!((evaluated.dims(), logits.dims()), ([2, 4], [2, 4]));
    let weights = TensorData::new((0..8).map(|i| i as f32 - 3.0).collect::<Vec<_>>(), [2, 4]);
    let loss = (logits * Tensor::from_data(weights, &device)).sum();
    let gradients = burn::optim::GradientsParams::from_grads(loss.backward(), &model);
    let names = named_parameters(&model);
    let mut norms = Norms { gradients, names: &names, found: Vec::new() };
    model.visit(&mut norms);
    (evaluated.into_data().iter::<f32>().collect(), norms.found)
}

/// Reads the norm of each parameter's gradient.
struct Norms<'a> {
    gradients: burn::optim::GradientsParams,
    names: &'a [(String, burn::module::ParamId)],
    found: Vec<(String, f32)>,
}

impl burn::module::ModuleVisitor for Norms<'_> {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let name = self.names.iter().find(|(_, id)| *id == param.id).expect("a name");
        let norm = gradient.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
        self.found.push((name.0.clone(), norm));
    }
}

#[test]
fn every_architecture_gives_the_same_on_both_backends_and_trains_by_each_path() {
    let open = |name: DeviceName| name.open().expect("device");
    for name in ModelName::ALL {
        let (logits, norms) = step(*name, Precision::Fp32, &open(DeviceName::Flex));
        let init = &mut Init::new(3, Precision::Fp32, &open(DeviceName::Flex));
        let state = Model::new(*name, 3, 4, init).state();
        let trainable = state.iter().filter(|t| t.trainable).count();
        let all_train = |norms: &[(String, f32)]| {
            norms.len() == trainable
                && norms.iter().all(|(_, norm)| norm.is_finite() && *norm > 0.0)
        };
        assert!(all_train(&norms), "{}: {norms:?}", name.name());
        for (is_forced, precision) in
            [(false, Precision::Fp32), (true, Precision::Fp32), (false, Precision::Bf16)]
        {
            with_device_path(is_forced, || {
                let (ours, of_ours) = step(*name, precision, &open(DeviceName::tested()));
                assert!(all_train(&of_ours), "{}: {of_ours:?}", name.name());
                let is_near = |a: f32, b: f32| (a - b).abs() <= 0.05 * b.abs().max(1e-3);
                for ((at, a), (_, b)) in of_ours.iter().zip(&norms) {
                    let is_exact = precision == Precision::Fp32;
                    assert!(!is_exact || is_near(*a, *b), "{}: {at}: {a}, {b}", name.name());
                }
                let largest = logits.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
                let allowed = if precision == Precision::Bf16 { 0.1 } else { 1e-4 } * largest;
                let pairs = ours.iter().zip(&logits);
                let far = pairs.map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
                assert!(far <= allowed, "{}: {far} apart: {ours:?} {logits:?}", name.name());
            });
        }
    }
}

#[test]
fn names_are_those_that_pytorch_s_models_have() {
    let names = |name: ModelName| -> Vec<String> {
        let device = DeviceName::Flex.open().expect("device");
        let model = Model::new(name, 3, 10, &mut Init::new(1, Precision::Fp32, &device));
        model.state().into_iter().map(|t| t.name).collect()
    };
    for (model, count, some) in [
        (ModelName::Resnet50, 267, ["layer1.0.conv3.weight", "layer3.5.bn3.running_var"]),
        (ModelName::Resnet34, 182, ["layer2.3.bn2.bias", "layer4.0.downsample.1.running_mean"]),
        (ModelName::WideResnet28x10, 130, ["block1.layer.0.convShortcut.weight", "bn1.bias"]),
    ] {
        let names = names(model);
        assert_eq!(names.len(), count, "{names:?}");
        assert!(some.iter().all(|some| names.iter().any(|name| name == some)), "{names:?}");
    }
}

#[test]
fn a_model_starts_from_values_of_another_classifier_and_says_what_it_took() {
    let device = DeviceName::tested().open().expect("device");
    let with = |seed, classes| {
        Model::new(ModelName::Convnet, 3, classes, &mut Init::new(seed, Precision::Fp32, &device))
    };
    let mut values = with(1, 10).state();
    values.push(NamedTensor { name: "aux.weight".into(), ..values[0].clone() });
    let of = |state: &[NamedTensor], name: &str| {
        state.iter().find(|t| t.name == name).expect("a tensor").values.clone()
    };
    let (started, told) = with(2, 4).started_from(&values, &device).expect("it fits");
    let (state, own) = (started.state(), with(2, 4).state());
    assert_eq!(of(&state, "conv3.weight"), of(&values, "conv3.weight"));
    assert_eq!(of(&state, "fc.weight"), of(&own, "fc.weight"));
    let told = told.to_string();
    assert!(told.starts_with("15 tensors were taken; the classifier begins anew: "), "{told}");
    assert!(told.contains("fc.weight has shape [10, 128], the model's has [4, 128]"), "{told}");
    assert!(told.ends_with("not used: aux.weight"), "{told}");
    // The same classes: all of it. Another layer that does not fit: nothing.
    let (same, told) = with(2, 10).started_from(&values[..17], &device).expect("it fits");
    assert_eq!(
        (same.state(), told.to_string()),
        (with(1, 10).state(), "17 tensors were taken".into())
    );
    values.retain(|t| t.name != "conv2.weight");
    let refused = with(2, 4).started_from(&values, &device).expect_err("refused").to_string();
    assert_eq!(refused, "it lacks conv2.weight [64, 32, 3, 3]");
}
