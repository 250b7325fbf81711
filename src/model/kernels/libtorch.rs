//! LibTorch's bodies of the kernels: ATen's own fused operations forward, their own backward passes as nodes of Burn's graph,
//! channels-last throughout.

use super::{Kernels, NormOutput, shim};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
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

/// Output, saved mean, saved inverse deviation, and the running statistics with this batch in them.
struct Normalized {
    output: Tensor,
    mean: Tensor,
    invstd: Tensor,
    running: [TchTensor; 2],
}

/// Batch norm by the batch, then `+ residual`, then ReLU where asked for. ATen updates the running statistics in place, so
/// they are copied first: the old ones may be shared.
fn normalize(
    x: &Tensor,
    residual: Option<&Tensor>,
    gamma: &Tensor,
    beta: &Tensor,
    running: [&Tensor; 2],
    op: Norm,
) -> Normalized {
    let [running_mean, running_var] = running.map(Tensor::copy);
    let (mut output, mean, invstd) =
        x.native_batch_norm(Some(gamma), Some(beta), Some(&running_mean), Some(&running_var), true, op.momentum, op.epsilon);
    if let Some(residual) = residual {
        output += residual;
    }
    if op.relu {
        let _ = output.relu_();
    }
    Normalized { output, mean, invstd, running: [wrap(running_mean), wrap(running_var)] }
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

impl Kernels for LibTorch {
    // Burn's own select would not take bytes, and widening the whole set would cost eight times the memory.
    fn gather_rows(data: IntTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        wrap(data.tensor.index_select(0, &indices.tensor).to_kind(Kind::Float))
    }

    fn convolve(x: TchTensor, weight: TchTensor, stride: usize, padding: usize) -> TchTensor {
        wrap(convolve(&x.tensor, &weight.tensor, stride, padding))
    }

    fn normalize_train(
        x: TchTensor,
        gamma: TchTensor,
        beta: TchTensor,
        mean: TchTensor,
        var: TchTensor,
        op: Norm,
    ) -> NormOutput<Self> {
        let n = normalize(&x.tensor, None, &gamma.tensor, &beta.tensor, [&mean.tensor, &var.tensor], op);
        let [running_mean, running_var] = n.running;
        NormOutput { output: wrap(n.output), running_mean, running_var }
    }

    fn normalize_add_train(
        x: TchTensor,
        residual: TchTensor,
        gamma: TchTensor,
        beta: TchTensor,
        mean: TchTensor,
        var: TchTensor,
        op: Norm,
    ) -> NormOutput<Self> {
        let n = normalize(&x.tensor, Some(&residual.tensor), &gamma.tensor, &beta.tensor, [&mean.tensor, &var.tensor], op);
        let [running_mean, running_var] = n.running;
        NormOutput { output: wrap(n.output), running_mean, running_var }
    }

    fn normalize(x: TchTensor, gamma: TchTensor, beta: TchTensor, mean: TchTensor, var: TchTensor, op: Norm) -> TchTensor {
        let statistics = (Some(&mean.tensor), Some(&var.tensor));
        let (mut y, _, _) = x.tensor.native_batch_norm(
            Some(&gamma.tensor),
            Some(&beta.tensor),
            statistics.0,
            statistics.1,
            false,
            op.momentum,
            op.epsilon,
        );
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
                for (node, gradient) in [(input_node, dx), (weight_node, dw)] {
                    if let (Some(node), Some(gradient)) = (node, gradient) {
                        grads.register::<LibTorch>(node.id, wrap(gradient));
                    }
                }
            }
        }
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        let out = wrap(convolve(&x.tensor, &weight.tensor, stride, padding));
        match Convolution.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, weight, stride, padding), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn normalize_train(
        x: Tracked<C>,
        gamma: Tracked<C>,
        beta: Tracked<C>,
        mean: Tracked<C>,
        var: Tracked<C>,
        op: Norm,
    ) -> NormOutput<Self> {
        #[derive(Debug)]
        struct BatchNorm;
        impl Backward<LibTorch, 3> for BatchNorm {
            type State = NormState;

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<LibTorch>(&ops.node);
                let (_, gradients) = ops.state.backward(&grad.tensor);
                for (node, gradient) in ops.parents.into_iter().zip(gradients) {
                    if let (Some(node), Some(gradient)) = (node, gradient) {
                        grads.register::<LibTorch>(node.id, wrap(gradient));
                    }
                }
            }
        }
        let ((x, x_node), (gamma, gamma_node), (beta, beta_node)) = (x.into_parts(), gamma.into_parts(), beta.into_parts());
        let running = [mean.into_primitive(), var.into_primitive()];
        let n = normalize(&x.tensor, None, &gamma.tensor, &beta.tensor, [&running[0].tensor, &running[1].tensor], op);
        let (out, statistics, state) = NormState::of(n, x, gamma, op);
        let output = match BatchNorm.prepare::<C>([x_node, gamma_node, beta_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state, out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        };
        let [running_mean, running_var] = statistics.map(Self::from_inner);
        NormOutput { output, running_mean, running_var }
    }

    fn normalize_add_train(
        x: Tracked<C>,
        residual: Tracked<C>,
        gamma: Tracked<C>,
        beta: Tracked<C>,
        mean: Tracked<C>,
        var: Tracked<C>,
        op: Norm,
    ) -> NormOutput<Self> {
        #[derive(Debug)]
        struct BatchNormAdd;
        impl Backward<LibTorch, 4> for BatchNormAdd {
            type State = NormState;

            fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<LibTorch>(&ops.node);
                let (through, [dx, dgamma, dbeta]) = ops.state.backward(&grad.tensor);
                for (node, gradient) in ops.parents.into_iter().zip([dx, Some(through), dgamma, dbeta]) {
                    if let (Some(node), Some(gradient)) = (node, gradient) {
                        grads.register::<LibTorch>(node.id, wrap(gradient));
                    }
                }
            }
        }
        let ((x, x_node), (residual, residual_node)) = (x.into_parts(), residual.into_parts());
        let ((gamma, gamma_node), (beta, beta_node)) = (gamma.into_parts(), beta.into_parts());
        let running = [mean.into_primitive(), var.into_primitive()];
        let statistics = [&running[0].tensor, &running[1].tensor];
        let n = normalize(&x.tensor, Some(&residual.tensor), &gamma.tensor, &beta.tensor, statistics, op);
        let (out, statistics, state) = NormState::of(n, x, gamma, op);
        let nodes = [x_node, residual_node, gamma_node, beta_node];
        let output = match BatchNormAdd.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state, out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        };
        let [running_mean, running_var] = statistics.map(Self::from_inner);
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
    /// Splits a forward pass into its output, the running statistics, and what the backward pass needs.
    fn of(n: Normalized, x: TchTensor, gamma: TchTensor, op: Norm) -> (TchTensor, [TchTensor; 2], Self) {
        let out = wrap(n.output);
        let y = op.relu.then(|| out.clone());
        let state = Self { x, y, gamma, mean: wrap(n.mean), invstd: wrap(n.invstd), epsilon: op.epsilon };
        (out, n.running, state)
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
