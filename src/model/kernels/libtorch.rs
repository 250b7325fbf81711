//! LibTorch's bodies of the kernels: ATen's own fused operations forward, their own backward passes as nodes of Burn's graph,
//! channels-last throughout.

use super::{Kernels, NormInput, NormOutput, shim};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, LibTorch};
use burn_tch::TchTensor;
use tch::{Kind, Tensor};

type Tracked<C> = FloatTensor<Autodiff<LibTorch, C>>;

fn wrap(tensor: Tensor) -> TchTensor {
    TchTensor::new(tensor)
}

fn convolve(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Tensor {
    let (stride, padding) = ([stride as i64; 2], [padding as i64; 2]);
    x.convolution(weight, None::<Tensor>, stride, padding, [1, 1], false, [0, 0], 1)
}

/// What ATen's batch norm gives: output, saved mean, saved inverse deviation; and the running statistics with this batch in them.
struct Normalized {
    output: TchTensor,
    mean: TchTensor,
    invstd: TchTensor,
    running: [TchTensor; 2],
}

/// Batch norm by the batch, then `+ residual`, then ReLU where asked for. ATen updates the running statistics in place, so
/// they are copied first: the old ones may be shared.
fn normalize_train(input: &NormInput<LibTorch>, residual: Option<&Tensor>, op: Norm) -> Normalized {
    let running = [&input.running_mean, &input.running_var].map(|t| t.tensor.copy());
    let (mut output, mean, invstd) = native_batch_norm(input, &running, true, op);
    if let Some(residual) = residual {
        output += residual;
    }
    if op.relu {
        let _ = output.relu_();
    }
    Normalized { output: wrap(output), mean: wrap(mean), invstd: wrap(invstd), running: running.map(wrap) }
}

fn native_batch_norm(input: &NormInput<LibTorch>, running: &[Tensor; 2], training: bool, op: Norm) -> (Tensor, Tensor, Tensor) {
    let (gamma, beta) = (Some(&input.gamma.tensor), Some(&input.beta.tensor));
    let (mean, var) = (Some(&running[0]), Some(&running[1]));
    input.x.tensor.native_batch_norm(gamma, beta, mean, var, training, op.momentum, op.epsilon)
}

/// Constants of a batch norm in training.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Weight of the batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

fn average(x: &Tensor) -> Tensor {
    x.mean_dim([2_i64, 3].as_slice(), false, Kind::Float)
}

impl From<Normalized> for NormOutput<LibTorch> {
    fn from(n: Normalized) -> Self {
        let [running_mean, running_var] = n.running;
        Self { output: n.output, running_mean, running_var }
    }
}

impl Kernels for LibTorch {
    // Burn's own select would not take bytes, and widening the whole set would cost eight times the memory.
    fn gather_rows(data: IntTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        wrap(data.tensor.index_select(0, &indices.tensor).to_kind(Kind::Float))
    }

    fn convolve(x: TchTensor, weight: TchTensor, stride: usize, padding: usize) -> TchTensor {
        wrap(convolve(&x.tensor, &weight.tensor, stride, padding))
    }

    fn normalize_train(input: NormInput<Self>, op: Norm) -> NormOutput<Self> {
        normalize_train(&input, None, op).into()
    }

    fn normalize_add_train(input: NormInput<Self>, residual: TchTensor, op: Norm) -> NormOutput<Self> {
        normalize_train(&input, Some(&residual.tensor), op).into()
    }

    fn normalize(input: NormInput<Self>, op: Norm) -> TchTensor {
        let running = [&input.running_mean, &input.running_var].map(|t| t.tensor.shallow_clone());
        let (mut y, _, _) = native_batch_norm(&input, &running, false, op);
        if op.relu {
            let _ = y.relu_();
        }
        wrap(y)
    }

    fn average_pool(x: TchTensor) -> TchTensor {
        wrap(average(&x.tensor))
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<LibTorch, C> {
    fn convolve(x: Tracked<C>, weight: Tracked<C>, stride: usize, padding: usize) -> Tracked<C> {
        #[derive(Debug)]
        struct Convolution;
        impl Backward<LibTorch, 2> for Convolution {
            /// Input, weight, stride, padding.
            type State = (TchTensor, TchTensor, usize, usize);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [input_node, weight_node] = ops.parents;
                let (x, weight, stride, padding) = ops.state;
                let grad = grads.consume::<LibTorch>(&ops.node);
                let wanted = input_node.is_some();
                let [dx, dw] = shim::convolution_backward(&grad.tensor, &x.tensor, &weight.tensor, stride, padding, wanted);
                register(grads, [input_node, weight_node].map(|n| n.map(|n| n.id)), [dx, dw]);
            }
        }
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        let out = wrap(convolve(&x.tensor, &weight.tensor, stride, padding));
        match Convolution.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, weight, stride, padding), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn normalize_train(input: NormInput<Self>, op: Norm) -> NormOutput<Self> {
        #[derive(Debug)]
        struct BatchNorm;
        impl Backward<LibTorch, 3> for BatchNorm {
            type State = NormState;

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<LibTorch>(&ops.node);
                let (_, gradients) = ops.state.backward(&grad.tensor);
                register(grads, ops.parents.map(|n| n.map(|n| n.id)), gradients);
            }
        }
        let (input, [x, gamma, beta]) = untrack(input);
        let (n, state) = NormState::of(normalize_train(&input, None, op), input, op);
        let output = match BatchNorm.prepare::<C>([x, gamma, beta]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state, n.output),
            OpsKind::UnTracked(prepared) => prepared.finish(n.output),
        };
        let [running_mean, running_var] = n.running.map(Self::from_inner);
        NormOutput { output, running_mean, running_var }
    }

    fn normalize_add_train(input: NormInput<Self>, residual: Tracked<C>, op: Norm) -> NormOutput<Self> {
        #[derive(Debug)]
        struct BatchNormAdd;
        impl Backward<LibTorch, 4> for BatchNormAdd {
            type State = NormState;

            fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<LibTorch>(&ops.node);
                let (through, [dx, dgamma, dbeta]) = ops.state.backward(&grad.tensor);
                register(grads, ops.parents.map(|n| n.map(|n| n.id)), [dx, dgamma, dbeta, Some(through)]);
            }
        }
        let (input, [x, gamma, beta]) = untrack(input);
        let (residual, residual_node) = residual.into_parts();
        let (n, state) = NormState::of(normalize_train(&input, Some(&residual.tensor), op), input, op);
        let output = match BatchNormAdd.prepare::<C>([x, gamma, beta, residual_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state, n.output),
            OpsKind::UnTracked(prepared) => prepared.finish(n.output),
        };
        let [running_mean, running_var] = n.running.map(Self::from_inner);
        NormOutput { output, running_mean, running_var }
    }

    fn average_pool(x: Tracked<C>) -> Tracked<C> {
        #[derive(Debug)]
        struct AveragePool;
        impl Backward<LibTorch, 1> for AveragePool {
            /// Shape of the input.
            type State = [i64; 4];

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [n, c, h, w] = ops.state;
                let grad = grads.consume::<LibTorch>(&ops.node);
                let [Some(node)] = ops.parents else { return };
                // Spread in NHWC order: any other would make the whole backward pass leave channels-last.
                let mean = grad.tensor * (1.0 / (h * w) as f64);
                let spread = mean.view([n, 1, 1, c]).expand([n, h, w, c], false).contiguous().permute([0, 3, 1, 2]);
                grads.register::<LibTorch>(node.id, wrap(spread));
            }
        }
        let (x, node) = x.into_parts();
        let size = x.tensor.size();
        let out = wrap(average(&x.tensor));
        match AveragePool.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish([size[0], size[1], size[2], size[3]], out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}

/// What the backward pass of a batch norm needs.
#[derive(Clone, Debug)]
struct NormState {
    x: TchTensor,
    /// The output, where a ReLU made it: its zeros are the mask.
    y: Option<TchTensor>,
    gamma: TchTensor,
    mean: TchTensor,
    invstd: TchTensor,
    epsilon: f64,
}

impl NormState {
    /// What the backward pass needs of a forward pass, which is given back.
    fn of(n: Normalized, input: NormInput<LibTorch>, op: Norm) -> (Normalized, Self) {
        let y = op.relu.then(|| n.output.clone());
        let (mean, invstd) = (n.mean.clone(), n.invstd.clone());
        (n, Self { x: input.x, y, gamma: input.gamma, mean, invstd, epsilon: op.epsilon })
    }

    /// The gradient before the ReLU (that of a residual), and those of input, scale and shift.
    fn backward(&self, grad: &Tensor) -> (Tensor, [Option<Tensor>; 3]) {
        let grad = match &self.y {
            Some(y) => y.tensor.threshold_backward(grad, 0.0), // receiver: the argument that ATen calls `self`
            None => grad.shallow_clone(),
        };
        let (x, gamma) = (&self.x.tensor, &self.gamma.tensor);
        let gradients = shim::batch_norm_backward(&grad, x, gamma, &self.mean.tensor, &self.invstd.tensor, self.epsilon);
        (grad, gradients)
    }
}

/// The tensors without their graph, and the nodes of those that may want gradients: images, scale, shift.
fn untrack<C: CheckpointStrategy>(input: NormInput<Autodiff<LibTorch, C>>) -> (NormInput<LibTorch>, [NodeGuard; 3]) {
    let ((x, x_node), (gamma, gamma_node), (beta, beta_node)) =
        (input.x.into_parts(), input.gamma.into_parts(), input.beta.into_parts());
    let (running_mean, running_var) = (input.running_mean.into_primitive(), input.running_var.into_primitive());
    (NormInput { x, gamma, beta, running_mean, running_var }, [x_node, gamma_node, beta_node])
}

/// Hands gradients to those parents that want them.
fn register<const N: usize>(grads: &mut Gradients, parents: [Option<NodeId>; N], gradients: [Option<Tensor>; N]) {
    for (node, gradient) in parents.into_iter().zip(gradients) {
        if let (Some(node), Some(gradient)) = (node, gradient) {
            grads.register::<LibTorch>(node, wrap(gradient));
        }
    }
}
