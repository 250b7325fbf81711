//! The border to C++: each function, given each of its tensors in forms that it must refuse, says
//! so in words and reads nothing; in forms that it takes, the values decide alone.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tch::{Device, Kind};

/// A tensor that a function takes, in a form that is right.
struct Argument {
    name: &'static str,
    right: Tensor,
    /// Types that it may have while the others stay as they are.
    kinds: &'static [Kind],
    /// Dimensions that may have another size while the others stay as they are.
    free: &'static [usize],
    /// How it must lie in memory.
    layout: Layout,
    /// Whether its rank may be another while the others stay as they are.
    any_rank: bool,
}

/// How a tensor must lie in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// As it likes.
    Any,
    /// In any order, without gaps or overlaps.
    Dense,
    /// Row-major.
    Contiguous,
}

/// A function of the shim.
struct Entrance {
    name: &'static str,
    arguments: Vec<Argument>,
    /// Calls it; gives its outputs.
    call: fn(&mut [Tensor]) -> Vec<Option<Tensor>>,
    /// Whether this machine can carry out a right call.
    possible: bool,
}

const IMAGE: &[Kind] = &[Kind::Float, Kind::BFloat16];
const FLOAT: &[Kind] = &[Kind::Float];
const WHOLE: &[Kind] = &[Kind::Int64];
const BYTE: &[Kind] = &[Kind::Uint8];
const EVERY: &[Kind] = &[
    Kind::Uint8,
    Kind::Int8,
    Kind::Int16,
    Kind::Int,
    Kind::Int64,
    Kind::Half,
    Kind::Float,
    Kind::Double,
    Kind::ComplexFloat,
    Kind::Bool,
    Kind::BFloat16,
];

/// Values that differ, from 0.25 on.
fn floats(shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    ((Tensor::arange(n, (Kind::Float, Device::Cpu)) * 7.0).remainder(13.0) * 0.25 + 0.25)
        .reshape(shape)
}

/// Images as training has them, channels-last.
fn images(shape: [i64; 4]) -> Tensor {
    let [b, c, h, w] = shape;
    floats(&[b, h, w, c]).permute([0, 3, 1, 2])
}

fn argument(name: &'static str, right: Tensor, kinds: &'static [Kind]) -> Argument {
    Argument { name, right, kinds, free: &[], layout: Layout::Any, any_rank: false }
}

/// The same for a tensor that must be contiguous.
fn contiguous(name: &'static str, right: Tensor, kinds: &'static [Kind]) -> Argument {
    Argument { layout: Layout::Contiguous, ..argument(name, right, kinds) }
}

/// The same for one that must lie without gaps.
fn dense(name: &'static str, right: Tensor, kinds: &'static [Kind]) -> Argument {
    Argument { layout: Layout::Dense, ..argument(name, right, kinds) }
}

/// One that may have any size.
fn of_any_size(argument: Argument) -> Argument {
    Argument { free: &[0, 1, 2], any_rank: true, ..argument }
}

fn per_channel(name: &'static str, channels: i64) -> Argument {
    contiguous(name, floats(&[channels]), FLOAT)
}

const OP: Norm = Norm { momentum: 0.1, epsilon: 1e-5, relu: true };

fn there(tensor: &Tensor) -> Given<'_> {
    Given { number: f64::NAN, there: Some(tensor) }
}

/// Every function of the shim that takes tensors.
fn entrances() -> Vec<Entrance> {
    vec![
        Entrance {
            name: "convolution_backward",
            arguments: vec![
                argument("grad", images([2, 4, 5, 6]), FLOAT),
                argument("input", images([2, 3, 5, 6]), FLOAT),
                argument("weight", floats(&[4, 3, 3, 3]), FLOAT),
            ],
            call: |a| {
                let op = Convolution { stride: 1, padding: 1, bf16: false };
                convolution_backward(&a[0], &a[1], &a[2], op, true).into()
            },
            possible: true,
        },
        Entrance {
            name: "batch_norm_backward",
            arguments: vec![
                argument("grad", images([2, 3, 4, 5]), FLOAT),
                argument("input", images([2, 3, 4, 5]), FLOAT),
                per_channel("weight", 3),
                per_channel("mean", 3),
                per_channel("invstd", 3),
            ],
            call: |a| batch_norm_backward(&a[0], &a[1], &a[2], [&a[3], &a[4]], 1e-5).into(),
            possible: true,
        },
        Entrance {
            name: "sgd_step",
            arguments: vec![
                dense("weights", floats(&[4, 3, 2]), FLOAT),
                argument("gradients", floats(&[4, 3, 2]), FLOAT),
                dense("velocities", floats(&[4, 3, 2]), FLOAT),
                argument("rate", Tensor::from(0.1_f32), FLOAT),
                argument("scale", Tensor::from(2.0_f32), FLOAT),
            ],
            call: |a| {
                let [weight, gradient, velocity, rate, scale] = a else { panic!("five tensors") };
                let one = std::slice::from_mut::<Tensor>;
                let gradient = std::slice::from_ref(gradient);
                let op = (0.9, true);
                sgd_step(one(weight), gradient, one(velocity), there(rate), op, 0.1, Some(scale));
                vec![]
            },
            possible: true,
        },
        Entrance {
            name: "adamw_step",
            arguments: vec![
                dense("weights", floats(&[4, 3, 2]), FLOAT),
                argument("gradients", floats(&[4, 3, 2]), FLOAT),
                dense("means", floats(&[4, 3, 2]), FLOAT),
                dense("squares", floats(&[4, 3, 2]) + 1.0, FLOAT),
                argument("rate", Tensor::from(0.1_f32), FLOAT),
                argument("step", Tensor::from(3.0_f32), FLOAT),
                argument("scale", Tensor::from(2.0_f32), FLOAT),
            ],
            call: |a| {
                let [weight, gradient, mean, square, rate, step, scale] = a else {
                    panic!("seven tensors")
                };
                let one = std::slice::from_mut::<Tensor>;
                let gradient = std::slice::from_ref(gradient);
                let (kept, numbers) = ([one(mean), one(square)], [there(rate), there(step)]);
                let op = (0.9, 0.999, 1e-8);
                adamw_step(one(weight), gradient, kept, numbers, op, 0.1, Some(scale));
                vec![]
            },
            possible: true,
        },
        Entrance {
            name: "norm",
            arguments: vec![of_any_size(argument("tensors", floats(&[4, 3, 2]), FLOAT))],
            call: |a| norm(&[&a[0]], 0.5).into(),
            possible: true,
        },
        Entrance {
            name: "pull",
            arguments: vec![
                dense("tensors", floats(&[4, 3, 2]), FLOAT),
                argument("to", floats(&[4, 3, 2]) + 1.0, FLOAT),
                argument("share", Tensor::from(0.25_f32), FLOAT),
            ],
            call: |a| {
                let [tensor, to, share] = a else { panic!("three tensors") };
                let to = std::slice::from_ref(to);
                pull(std::slice::from_mut(tensor), to, there(share));
                vec![]
            },
            possible: true,
        },
        Entrance {
            name: "copy_all",
            arguments: vec![
                dense("to", floats(&[4, 3, 2]), FLOAT),
                argument("from", floats(&[4, 3, 2]) + 1.0, FLOAT),
            ],
            call: |a| {
                let [to, from] = a else { panic!("two tensors") };
                copy_all(std::slice::from_mut(to), std::slice::from_ref(from));
                vec![]
            },
            possible: true,
        },
        Entrance {
            name: "are_finite",
            arguments: vec![of_any_size(argument("tensors", floats(&[4, 3, 2]), FLOAT))],
            call: |a| are_finite(a).into(),
            possible: true,
        },
        Entrance {
            name: "leave",
            arguments: vec![of_any_size(argument("tensors", floats(&[4, 3, 2]), FLOAT))],
            call: |a| vec![Some(Leaving::new(a).arrived().expect("values"))],
            possible: true,
        },
        Entrance {
            name: "batch_norm_forward",
            arguments: vec![
                argument("input", images([2, 3, 4, 5]), IMAGE),
                argument("residual", images([2, 3, 4, 5]), IMAGE),
                per_channel("weight", 3),
                per_channel("bias", 3),
                per_channel("running_mean", 3),
                per_channel("running_var", 3),
            ],
            call: |a| {
                let [x, z, weight, bias, mean, var] = a else { panic!("six tensors") };
                let mut running = [mean, var].map(|t| t.shallow_clone());
                batch_norm_forward(x, Some(z), [weight, bias], &mut running, OP).into()
            },
            possible: true,
        },
        Entrance {
            name: "batch_norm_gradients",
            arguments: vec![
                argument("grad", images([2, 3, 4, 5]), IMAGE),
                argument("input", images([2, 3, 4, 5]), FLOAT),
                argument("output", images([2, 3, 4, 5]), FLOAT),
                per_channel("weight", 3),
                per_channel("mean", 3),
                per_channel("invstd", 3),
            ],
            call: |a| {
                batch_norm_gradients(&a[0], &a[1], &a[2], &a[3], [&a[4], &a[5]], true, true).into()
            },
            possible: true,
        },
        Entrance {
            name: "cross_entropy",
            arguments: vec![
                Argument { free: &[1], ..argument("logits", floats(&[4, 5]), FLOAT) },
                argument("labels", Tensor::from_slice(&[3_i64, 0, 2, 1]), WHOLE),
                argument("factors", floats(&[4]), FLOAT),
                argument("shifts", floats(&[2, 5]), FLOAT),
            ],
            call: |a| cross_entropy(&a[0], &a[1], &a[2], Some(&a[3]), 0.1).into(),
            possible: true,
        },
        Entrance {
            name: "gather_images",
            arguments: vec![
                Argument {
                    free: &[0],
                    ..contiguous(
                        "bytes",
                        (floats(&[6, 3 * 4 * 2]) * 4.0).to_kind(Kind::Uint8),
                        BYTE,
                    )
                },
                argument("index", Tensor::from_slice(&[4_i64, 0, 2]), WHOLE),
                argument(
                    "crops",
                    Tensor::from_slice(&[0_i64, 1, 0, 2, -1, 1, -9, 0, 1]).view([3, 3]),
                    WHOLE,
                ),
                per_channel("scale", 2),
                per_channel("shift", 2),
            ],
            call: |a| gather_images(&a[0], &a[1], Some(&a[2]), [&a[3], &a[4]], [2, 3, 4]).into(),
            possible: true,
        },
        Entrance {
            name: "to_cuda",
            arguments: vec![Argument {
                free: &[0, 1],
                any_rank: true,
                ..argument("tensor", floats(&[2, 3]), &[Kind::Float, Kind::Int64, Kind::Uint8])
            }],
            call: |a| to_cuda(&a[0], 0).into(),
            possible: tch::Cuda::is_available(),
        },
        Entrance {
            name: "to_meta",
            arguments: vec![Argument {
                free: &[0, 1],
                any_rank: true,
                ..argument("tensor", floats(&[2, 3]), EVERY)
            }],
            call: |a| to_meta(&a[0]).into(),
            possible: true,
        },
    ]
}

impl Entrance {
    /// Copies of the right tensors, the one at `place` replaced.
    fn with(&self, place: usize, other: Tensor) -> Vec<Tensor> {
        let mut tensors: Vec<Tensor> = self.arguments.iter().map(|a| a.right.copy()).collect();
        tensors[place] = other;
        tensors
    }

    /// Outputs and what was written in place, or the message of the panic.
    fn called(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
        let out = catch_unwind(AssertUnwindSafe(|| (self.call)(&mut tensors)));
        let out = out.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default());
        Ok(out?.into_iter().flatten().chain(tensors).collect())
    }

    /// That `fault` in the argument at `place` is refused, by the shim's own check and not by ATen.
    fn refuses(&self, place: usize, fault: &str, tensors: Vec<Tensor>) {
        let (function, argument) = (self.name, self.arguments[place].name);
        let text = match self.called(tensors) {
            Err(text) => text,
            Ok(_) => panic!("{function} takes {argument} that is {fault}"),
        };
        let names = self.arguments.iter().map(|a| a.name);
        let starts = names.map(|name| format!("LibTorch: {function}: {name} is "));
        assert!(
            starts.into_iter().any(|start| text.starts_with(&start)),
            "{function}, {argument} {fault}: {text}"
        );
        assert!(!text.contains('\n'), "{function}, {argument} {fault}: a backtrace: {text}");
    }

    /// That `tensor` in place of the right one gives the same as a contiguous copy of it.
    fn goes_by_values(&self, place: usize, form: &str, tensor: &Tensor) {
        // The copy first: what is written in place changes the other.
        let plain = self.called(self.with(place, tensor.contiguous()));
        let strided = self.called(self.with(place, tensor.shallow_clone()));
        let (function, argument) = (self.name, self.arguments[place].name);
        match (strided, plain) {
            (Ok(strided), Ok(plain)) => {
                for (a, b) in strided.iter().zip(&plain) {
                    let same = same_form(a, b) && (self.name == "to_meta" || a.equal(b));
                    assert!(same, "{function}: {argument}, {form}, is read wrongly");
                }
            }
            (Err(e), _) | (_, Err(e)) => panic!("{function} refuses {argument}, {form}: {e}"),
        }
    }
}

fn same_form(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size() && a.kind() == b.kind()
}

/// The same sizes and type as `right` in memory with gaps, in another order, and with overlaps, as
/// far as the sizes allow.
fn strided(right: &Tensor) -> Vec<(&'static str, Tensor)> {
    if right.dim() == 0 {
        return Vec::new();
    }
    let last = right.dim() as i64 - 1;
    let twice = Tensor::stack(&[right, right], right.dim() as i64).flatten(last, last + 1);
    let mut forms = vec![("narrowed", twice.slice(last, 0, None, 2))];
    if right.dim() > 1 {
        forms.push(("transposed", right.transpose(0, last).contiguous().transpose(0, last)));
    }
    forms.push(("expanded", right.narrow(0, 1, 1).expand(right.size(), false)));
    forms
}

#[test]
fn every_entrance_is_in_the_table_with_all_its_tensors() {
    let table = entrances();
    let listed: Vec<(String, Vec<&str>)> = table
        .iter()
        .map(|e| (format!("earlybird_{}", e.name), e.arguments.iter().map(|a| a.name).collect()))
        .collect();
    let declared: Vec<(String, Vec<&str>)> =
        TAKE_TENSORS.iter().map(|(name, tensors)| ((*name).to_owned(), tensors.to_vec())).collect();
    let sorted = |mut list: Vec<(String, Vec<&'static str>)>| {
        list.sort();
        list
    };
    assert_eq!(sorted(listed), sorted(declared));
}

#[test]
fn right_tensors_are_taken() {
    for entrance in entrances().iter().filter(|e| e.possible) {
        let right: Vec<Tensor> = entrance.arguments.iter().map(|a| a.right.copy()).collect();
        entrance.called(right).unwrap_or_else(|e| panic!("{}: {e}", entrance.name));
    }
}

#[test]
fn tensors_of_another_type_are_refused() {
    for entrance in entrances() {
        for (place, argument) in entrance.arguments.iter().enumerate() {
            for kind in EVERY {
                let other = argument.right.to_kind(*kind);
                if !argument.kinds.contains(kind) {
                    entrance.refuses(place, &format!("{kind:?}"), entrance.with(place, other));
                } else if entrance.possible {
                    let taken = entrance.called(entrance.with(place, other));
                    taken.unwrap_or_else(|e| panic!("{}: {e}", entrance.name));
                }
            }
        }
    }
}

#[test]
fn tensors_of_another_size_or_rank_are_refused() {
    for entrance in entrances() {
        for (place, argument) in entrance.arguments.iter().enumerate() {
            let right = &argument.right;
            for d in (0..right.dim()).filter(|d| !argument.free.contains(d)) {
                let (dim, size) = (d as i64, right.size()[d]);
                let longer = Tensor::cat(&[right, &right.narrow(dim, 0, 1)], dim);
                let shorter = right.narrow(dim, 0, size - 1).contiguous();
                let none = right.narrow(dim, 0, 0).contiguous();
                for (fault, other) in [("longer", longer), ("shorter", shorter), ("empty", none)] {
                    let fault = format!("{fault} in dimension {d}");
                    entrance.refuses(place, &fault, entrance.with(place, other));
                }
            }
            if !argument.any_rank {
                let lower = (right.dim() > 0).then(|| right.select(0, 0));
                let ranks = [Some(right.unsqueeze(0)), lower, Some(right.flatten(0, -1))];
                for other in ranks.iter().flatten().filter(|t| t.dim() != right.dim()) {
                    let fault = format!("of rank {}", other.dim());
                    entrance.refuses(place, &fault, entrance.with(place, other.contiguous()));
                }
            }
        }
    }
}

#[test]
fn tensors_on_another_device_or_without_plain_memory_are_refused() {
    for entrance in entrances() {
        for (place, argument) in entrance.arguments.iter().enumerate() {
            let right = &argument.right;
            let [meta] = to_meta(right);
            let mut faults = vec![
                ("on another device", meta.expect("a tensor")),
                ("sparse", right.to_sparse_sparse_dim(right.dim() as i64)),
                (
                    "all zeros without memory",
                    Tensor::internal_efficientzerotensor(
                        right.size(),
                        (right.kind(), right.device()),
                    ),
                ),
            ];
            if right.kind() == Kind::Float && right.dim() > 0 {
                faults.push(("oneDNN's", right.contiguous().to_mkldnn()));
                faults.push(("negated", Tensor::complex(right, right).conj().imag()));
            }
            faults.push(("missing", Tensor::new()));
            for (fault, other) in faults {
                entrance.refuses(place, fault, entrance.with(place, other));
            }
        }
        if entrance.arguments.len() > 1 {
            let meta = |a: &Argument| to_meta(&a.right).map(|t| t.expect("a tensor"));
            let all = entrance.arguments.iter().flat_map(meta).collect();
            entrance.refuses(0, "with all others on another device", all);
        }
    }
}

#[test]
fn strides_are_refused_or_followed() {
    for entrance in entrances() {
        for (place, argument) in entrance.arguments.iter().enumerate() {
            for (form, tensor) in strided(&argument.right) {
                assert!(same_form(&tensor, &argument.right), "{form}");
                assert!(!tensor.is_contiguous(), "{form}");
                let is_refused = match argument.layout {
                    Layout::Any => false,
                    Layout::Dense => form != "transposed",
                    Layout::Contiguous => true,
                };
                if is_refused {
                    entrance.refuses(place, form, entrance.with(place, tensor));
                } else if entrance.possible {
                    entrance.goes_by_values(place, form, &tensor);
                }
            }
        }
    }
}

fn message(call: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).expect_err("it must be refused");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn labels_and_indices_beyond_what_there_is_are_refused() {
    let table = entrances();
    let of = |name: &str| table.iter().find(|e| e.name == name).expect("in the table");
    for wrong in [-1, 6, i64::MAX, i64::MIN] {
        let labels = Tensor::from_slice(&[3, 0, wrong, 1]);
        let text = of("cross_entropy").called(of("cross_entropy").with(1, labels));
        let text = text.expect_err("refused");
        assert!(text.contains(&format!("labels[2] is {wrong}; it must be in 0..5")), "{text}");
        let index = Tensor::from_slice(&[4, 0, wrong]);
        let text = of("gather_images").called(of("gather_images").with(1, index));
        let text = text.expect_err("refused");
        assert!(text.contains(&format!("index[2] is {wrong}; it must be in 0..6")), "{text}");
    }
    let crops = Tensor::from_slice(&[0, 0, 0, 0, i64::MIN, 1, i64::MAX, 0, 0]).view([3, 3]);
    let text = of("gather_images").called(of("gather_images").with(2, crops));
    assert!(text.expect_err("refused").contains("right in crops is "));
}

#[test]
fn constants_that_would_lead_out_of_memory_are_refused() {
    let (g, x, w) = (images([2, 4, 3, 3]), images([2, 3, 5, 6]), floats(&[4, 3, 3, 3]));
    for (stride, padding, word) in
        [(0, 1, "stride"), (usize::MAX, 1, "stride"), (1, 1 << 40, "pad")]
    {
        let op = Convolution { stride, padding, bf16: false };
        let text = message(|| _ = convolution_backward(&g, &x, &w, op, true));
        assert!(text.contains(&format!("convolution_backward: {word}")), "{text}");
    }
    let (bytes, index) = (Tensor::zeros([2, 24], (Kind::Uint8, Device::Cpu)), [0_i64, 1]);
    let (index, channel) = (Tensor::from_slice(&index), floats(&[2]));
    for shape in [
        [2, 3, 5],
        [0, 3, 4],
        [2, usize::MAX, 12],
        [2, 1 << 31, 1 << 30],
        [2, (1 << 31) - 1, (1 << 31) - 1],
        [usize::MAX - 1, usize::MAX - 2, 4],
    ] {
        let both = [&channel, &channel];
        let text = message(|| _ = gather_images(&bytes, &index, None, both, shape));
        assert!(text.contains("LibTorch: gather_images: "), "{shape:?}: {text}");
    }
    let text = message(|| _ = to_cuda(&channel, 256));
    assert!(text.contains("to_cuda: index is 256"), "{text}");
}

#[test]
fn a_refusal_says_what_there_is_and_what_is_needed() {
    let (x, c) = (images([2, 3, 4, 5]), floats(&[3]));
    let four = floats(&[4]).to_kind(Kind::Double);
    let text =
        message(|| _ = batch_norm_forward(&x, None, [&c, &four], &mut [c.copy(), c.copy()], OP));
    assert_eq!(
        text,
        "LibTorch: batch_norm_forward: bias is Double [4] on cpu with strides [1]; it must be \
         Float [3] on cpu, contiguous"
    );
    let labels = Tensor::from_slice(&[0_i64, 1]);
    let text = message(|| _ = cross_entropy(&floats(&[2, 0]), &labels, &floats(&[2]), None, 0.0));
    assert_eq!(
        text,
        "LibTorch: cross_entropy: logits is Float [2, 0] on cpu with strides [1, 1]; it must be \
         Float [any, 1..] on cpu"
    );
}
