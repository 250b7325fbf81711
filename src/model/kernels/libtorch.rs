//! LibTorch's bodies of the kernels: ATen's own fused operations forward, their own backward passes
//! as nodes of Burn's graph, channels-last throughout.

use super::{Convolution, Kernels, LossOutput, Norm, NormInput, NormOutput, cuda, path, shim};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::libtorch::LibTorchDevice;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, LibTorch};
use burn_tch::TchTensor;
use tch::{Kind, TchError, Tensor};

type Tracked<C> = FloatTensor<Autodiff<LibTorch, C>>;

fn wrap(tensor: Tensor) -> TchTensor {
    TchTensor::new(tensor)
}

/// What ATen gives.
///
/// # Panics
/// With ATen's message, without the C++ backtrace that follows it.
fn given<T>(result: Result<T, TchError>) -> T {
    result.unwrap_or_else(|error| {
        let text = match &error {
            TchError::Torch(text) => text.clone(),
            other => other.to_string(),
        };
        panic!("LibTorch: {}", text.split("\nException raised from").next().unwrap_or_default())
    })
}

fn convolve(x: &Tensor, weight: &Tensor, op: Convolution) -> Tensor {
    let (stride, padding) = ([op.stride as i64; 2], [op.padding as i64; 2]);
    given(x.f_convolution(weight, None::<Tensor>, stride, padding, [1, 1], false, [0, 0], 1))
}

/// The tensor as bf16 where `op` says so.
fn narrowed(tensor: TchTensor, op: Convolution) -> TchTensor {
    if op.bf16 { wrap(tensor.tensor.to_kind(Kind::BFloat16)) } else { tensor }
}

/// The tensor `[o, i, h, w]` with `i` last in memory: a copy, unless it lies so already. Forward
/// and backward pass would make one each otherwise.
fn channels_last(tensor: TchTensor) -> TchTensor {
    wrap(tensor.tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]))
}

/// What ATen's batch norm gives: output, saved mean, saved inverse deviation; and the running
/// statistics with this batch in them.
struct Normalized {
    output: TchTensor,
    mean: TchTensor,
    invstd: TchTensor,
    running: [TchTensor; 2],
}

/// Whether the shim's own batch norm is the fast one here.
fn is_fused(x: &Tensor) -> bool {
    path::has_loops(x.device()) && shim::has_threads()
}

fn made(tensor: Option<Tensor>) -> TchTensor {
    // The shim hands over everything that it is asked for, or panics with ATen's words.
    wrap(tensor.unwrap_or_else(|| panic!("LibTorch: a kernel gave no tensor")))
}

/// Batch norm by the batch, then `+ residual`, then ReLU where asked for. The running statistics
/// are updated in place.
fn normalize_train(input: &NormInput<LibTorch>, residual: Option<&Tensor>, op: Norm) -> Normalized {
    let mut running = [&input.running_mean, &input.running_var].map(|t| t.tensor.shallow_clone());
    if is_fused(&input.x.tensor) {
        let parameters = [&input.gamma.tensor, &input.beta.tensor];
        let [output, mean, invstd] =
            shim::batch_norm_forward(&input.x.tensor, residual, parameters, &mut running, op)
                .map(made);
        return Normalized { output, mean, invstd, running: running.map(wrap) };
    }
    let (mut output, mean, invstd) = native_batch_norm(input, &running, true, op);
    if let Some(residual) = residual {
        output += residual;
    }
    if op.relu {
        let _ = output.relu_();
    }
    Normalized {
        output: wrap(output),
        mean: wrap(mean),
        invstd: wrap(invstd),
        running: running.map(wrap),
    }
}

fn native_batch_norm(
    input: &NormInput<LibTorch>,
    running: &[Tensor; 2],
    training: bool,
    op: Norm,
) -> (Tensor, Tensor, Tensor) {
    let (gamma, beta) = (Some(&input.gamma.tensor), Some(&input.beta.tensor));
    let (mean, var) = (Some(&running[0]), Some(&running[1]));
    let (momentum, epsilon) = (op.momentum, op.epsilon);
    given(input.x.tensor.f_native_batch_norm(gamma, beta, mean, var, training, momentum, epsilon))
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
    // Burn's own select would not take bytes, and widening the whole set would cost eight times the
    // memory.
    fn gather_rows(data: IntTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        wrap(data.tensor.index_select(0, &indices.tensor).to_kind(Kind::Float))
    }

    fn convolve(x: TchTensor, weight: TchTensor, op: Convolution) -> TchTensor {
        let (x, weight) = (narrowed(x, op), narrowed(weight, op));
        wrap(convolve(&x.tensor, &weight.tensor, op))
    }

    fn normalize_train(input: NormInput<Self>, op: Norm) -> NormOutput<Self> {
        normalize_train(&input, None, op).into()
    }

    fn normalize_add_train(
        input: NormInput<Self>,
        residual: TchTensor,
        op: Norm,
    ) -> NormOutput<Self> {
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

    fn cross_entropy(
        logits: TchTensor,
        labels: TchTensor,
        factors: TchTensor,
        smoothing: f64,
    ) -> LossOutput<Self> {
        cross_entropy(logits, labels, factors, None, smoothing)
    }

    fn shifted_cross_entropy(
        logits: TchTensor,
        labels: TchTensor,
        factors: TchTensor,
        shifts: TchTensor,
        smoothing: f64,
    ) -> LossOutput<Self> {
        cross_entropy(logits, labels, factors, Some(shifts), smoothing)
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<LibTorch, C> {
    fn convolve(x: Tracked<C>, weight: Tracked<C>, op: Convolution) -> Tracked<C> {
        #[derive(Debug)]
        struct Convolve;
        impl Backward<LibTorch, 2> for Convolve {
            /// Input and weight as they were multiplied.
            type State = (TchTensor, TchTensor, Convolution);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [input_node, weight_node] = ops.parents;
                let (x, weight, op) = ops.state;
                let grad = narrowed(grads.consume::<LibTorch>(&ops.node), op);
                let wanted = input_node.is_some();
                let [dx, dw] =
                    shim::convolution_backward(&grad.tensor, &x.tensor, &weight.tensor, op, wanted);
                let dw = dw.map(|dw| dw.to_kind(Kind::Float)); // parameters are f32
                register(grads, [input_node, weight_node].map(|n| n.map(|n| n.id)), [dx, dw]);
            }
        }
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        let (x, weight) = (narrowed(x, op), narrowed(weight, op));
        let weight = channels_last(weight);
        let out = wrap(convolve(&x.tensor, &weight.tensor, op));
        match Convolve.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, weight, op), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn normalize_train(input: NormInput<Self>, op: Norm) -> NormOutput<Self> {
        #[derive(Debug)]
        struct BatchNorm;
        impl Backward<LibTorch, 3> for BatchNorm {
            type State = NormState;

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<LibTorch>(&ops.node);
                let (gradients, _) = ops.state.backward(&grad.tensor, false);
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

    fn normalize_add_train(
        input: NormInput<Self>,
        residual: Tracked<C>,
        op: Norm,
    ) -> NormOutput<Self> {
        #[derive(Debug)]
        struct BatchNormAdd;
        impl Backward<LibTorch, 4> for BatchNormAdd {
            type State = NormState;

            fn backward(
                self,
                ops: Ops<Self::State, 4>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<LibTorch>(&ops.node);
                let ([dx, dgamma, dbeta], through) = ops.state.backward(&grad.tensor, true);
                register(grads, ops.parents.map(|n| n.map(|n| n.id)), [dx, dgamma, dbeta, through]);
            }
        }
        let (input, [x, gamma, beta]) = untrack(input);
        let (residual, residual_node) = residual.into_parts();
        let (n, state) =
            NormState::of(normalize_train(&input, Some(&residual.tensor), op), input, op);
        let output = match BatchNormAdd
            .prepare::<C>([x, gamma, beta, residual_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => prepared.finish(state, n.output),
            OpsKind::UnTracked(prepared) => prepared.finish(n.output),
        };
        let [running_mean, running_var] = n.running.map(Self::from_inner);
        NormOutput { output, running_mean, running_var }
    }

    /// Gradients go to the images only: what normalises by running statistics while it trains is
    /// frozen.
    fn normalize(input: NormInput<Self>, op: Norm) -> Tracked<C> {
        #[derive(Debug)]
        struct Normalize;
        impl Backward<LibTorch, 1> for Normalize {
            /// What each channel is multiplied by `[c]`, and the output where a ReLU is behind it.
            type State = (TchTensor, Option<TchTensor>);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let (factor, output) = ops.state;
                let grad = grads.consume::<LibTorch>(&ops.node).tensor;
                let [Some(node)] = ops.parents else { return };
                let grad = match output {
                    Some(output) => output.tensor.threshold_backward(&grad, 0.0),
                    None => grad,
                };
                let by_channel = factor.tensor.view([1, -1, 1, 1]).to_kind(grad.kind());
                grads.register::<LibTorch>(node.id, wrap(grad * by_channel));
            }
        }
        let (input, [x, ..]) = untrack(input);
        let NormInput { gamma, running_var, .. } = &input;
        let factor = &gamma.tensor / (&running_var.tensor + op.epsilon).sqrt();
        let output = LibTorch::normalize(input, op);
        match Normalize.prepare::<C>([x]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((wrap(factor), op.relu.then(|| output.clone())), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn average_pool(x: Tracked<C>) -> Tracked<C> {
        #[derive(Debug)]
        struct AveragePool;
        impl Backward<LibTorch, 1> for AveragePool {
            /// Shape and kind of the input.
            type State = ([i64; 4], Kind);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let ([n, c, h, w], kind) = ops.state;
                let grad = grads.consume::<LibTorch>(&ops.node);
                let [Some(node)] = ops.parents else { return };
                // Spread in NHWC order: any other would make the whole backward pass leave
                // channels-last.
                let mean = (grad.tensor * (1.0 / (h * w) as f64)).to_kind(kind);
                let spread = mean
                    .view([n, 1, 1, c])
                    .expand([n, h, w, c], false)
                    .contiguous()
                    .permute([0, 3, 1, 2]);
                grads.register::<LibTorch>(node.id, wrap(spread));
            }
        }
        let (x, node) = x.into_parts();
        let (size, kind) = (x.tensor.size(), x.tensor.kind());
        let out = wrap(average(&x.tensor));
        match AveragePool.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish(([size[0], size[1], size[2], size[3]], kind), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn cross_entropy(
        logits: Tracked<C>,
        labels: IntTensor<Self>,
        factors: Tracked<C>,
        smoothing: f64,
    ) -> LossOutput<Self> {
        tracked_cross_entropy(logits, labels, factors, None, smoothing)
    }

    fn shifted_cross_entropy(
        logits: Tracked<C>,
        labels: IntTensor<Self>,
        factors: Tracked<C>,
        shifts: Tracked<C>,
        smoothing: f64,
    ) -> LossOutput<Self> {
        tracked_cross_entropy(logits, labels, factors, Some(shifts), smoothing)
    }
}

/// Mean loss `[1]`, figures `[b, 5]` and the gradient of the logits `[b, C]`.
fn loss_and_gradient(
    logits: &TchTensor,
    labels: &TchTensor,
    factors: &TchTensor,
    shifts: Option<&TchTensor>,
    smoothing: f64,
) -> [TchTensor; 3] {
    let (logits, labels, factors) = (&logits.tensor, &labels.tensor, &factors.tensor);
    let shifts = shifts.map(|shifts| &shifts.tensor);
    if path::has_loops(logits.device()) {
        return shim::cross_entropy(logits, labels, factors, shifts, smoothing).map(made);
    }
    if let tch::Device::Cuda(device) = logits.device() {
        let parts = cuda::Logits { logits, labels, factors, shifts, smoothing };
        if let Some(made) = cuda::cross_entropy(device, &parts) {
            return made.map(wrap);
        }
    }
    loss_by_operators(logits, labels, factors, shifts, smoothing).map(wrap)
}

/// The same of ATen's operators, as few as there can be.
fn loss_by_operators(
    logits: &Tensor,
    labels: &Tensor,
    factors: &Tensor,
    shifts: Option<&Tensor>,
    smoothing: f64,
) -> [Tensor; 3] {
    let (b, classes) = (logits.size()[0] as f64, logits.size()[1] as f64);
    let truth = labels.unsqueeze(1);
    let log_p = logits.log_softmax(1, Kind::Float);
    let p = log_p.exp();
    let others = p.scatter_value(1, &truth, -1.0);
    let (p_other, other) = others.max_dim(1, true);
    let sum = |t: Tensor| t.sum_dim_intlist([1_i64].as_slice(), true, Kind::Float);
    let figures = Tensor::cat(
        &[
            p.gather(1, &truth, false),
            p_other,
            other.to_kind(Kind::Float),
            sum(p.square()),
            sum(p.special_entr()),
        ],
        1,
    );

    let (log_p, p) = match shifts {
        None => (log_p, p),
        Some(shifts) => {
            let of_truth = shifts.select(0, 1).gather(0, labels, false).unsqueeze(1);
            let shifted = (logits + shifts.select(0, 0)).scatter_add(1, &truth, &of_truth);
            let log_p = shifted.log_softmax(1, Kind::Float);
            let p = log_p.exp();
            (log_p, p)
        }
    };
    let of_truth = log_p.gather(1, &truth, false).squeeze_dim(1);
    let per_sample = if smoothing == 0.0 {
        of_truth
    } else {
        of_truth.lerp(&log_p.mean_dim([1_i64].as_slice(), false, Kind::Float), smoothing)
    };
    let shares = factors * (1.0 / b);
    let loss = -(per_sample * &shares).sum_dim_intlist([0_i64].as_slice(), true, Kind::Float);
    let spread = if smoothing == 0.0 { p } else { p - smoothing / classes };
    let gradient = spread.scatter_value_reduce(1, &truth, smoothing - 1.0, "add");
    [loss, figures, gradient * shares.unsqueeze(1)]
}

/// A cross entropy without a graph.
fn cross_entropy(
    logits: TchTensor,
    labels: TchTensor,
    factors: TchTensor,
    shifts: Option<TchTensor>,
    smoothing: f64,
) -> LossOutput<LibTorch> {
    let [loss, figures, _] =
        loss_and_gradient(&logits, &labels, &factors, shifts.as_ref(), smoothing);
    LossOutput { loss, figures }
}

/// A cross entropy whose loss has a gradient.
fn tracked_cross_entropy<C: CheckpointStrategy>(
    logits: Tracked<C>,
    labels: TchTensor,
    factors: Tracked<C>,
    shifts: Option<Tracked<C>>,
    smoothing: f64,
) -> LossOutput<Autodiff<LibTorch, C>> {
    #[derive(Debug)]
    struct CrossEntropy;
    impl Backward<LibTorch, 1> for CrossEntropy {
        /// Gradient of the loss.
        type State = TchTensor;

        fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
            let grad = grads.consume::<LibTorch>(&ops.node);
            let [Some(node)] = ops.parents else { return };
            grads.register::<LibTorch>(node.id, wrap(ops.state.tensor * grad.tensor));
        }
    }
    let ((logits, node), factors) = (logits.into_parts(), factors.into_primitive());
    let shifts = shifts.map(Tracked::<C>::into_primitive);
    let [loss, figures, gradient] =
        loss_and_gradient(&logits, &labels, &factors, shifts.as_ref(), smoothing);
    let loss = match CrossEntropy.prepare::<C>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(gradient, loss),
        OpsKind::UnTracked(prepared) => prepared.finish(loss),
    };
    LossOutput { loss, figures: Autodiff::<LibTorch, C>::from_inner(figures) }
}

/// The tensor to be changed in place: itself, or a copy where somebody else holds it.
pub(super) fn owned(tensor: TchTensor) -> TchTensor {
    if tensor.can_mut() { tensor } else { wrap(copied(&tensor.tensor)) }
}

/// A copy in memory of its own, which lies there as `tensor` does.
pub(super) fn copied(tensor: &Tensor) -> Tensor {
    let mut copy = tensor.empty_like();
    copy.copy_(tensor);
    copy
}

/// The tensor with its second dimension last in memory, which is what convolutions want, where it
/// has four; else as it is. A copy unless it lies so already.
pub(super) fn stored(tensor: TchTensor) -> TchTensor {
    if tensor.tensor.dim() == 4 { channels_last(tensor) } else { tensor }
}

/// A tensor of zeros that lies in memory as `tensor` does.
pub(super) fn zeros_like(tensor: &TchTensor) -> TchTensor {
    wrap(tensor.tensor.zeros_like())
}

/// Images `[b, h, w, c]` out of resident bytes in one pass, where `device` has one for that.
pub(super) fn images(
    device: LibTorchDevice,
    bytes: &TchTensor,
    index: &TchTensor,
    crops: Option<&TchTensor>,
    [scale, shift]: [&TchTensor; 2],
    shape: [usize; 3],
) -> Option<TchTensor> {
    let (bytes, index, crops) = (&bytes.tensor, &index.tensor, crops.map(|c| &c.tensor));
    let scale_shift = [&scale.tensor, &shift.tensor];
    match device {
        LibTorchDevice::Cpu if path::has_loops(tch::Device::Cpu) => {
            let [images] = shim::gather_images(bytes, index, crops, scale_shift, shape);
            Some(made(images))
        }
        LibTorchDevice::Cuda(device) => {
            cuda::images(device, &cuda::Parts { bytes, index, crops, scale_shift, shape }).map(wrap)
        }
        _ => None,
    }
}

/// What the backward pass of a batch norm needs.
#[derive(Clone, Debug)]
struct NormState {
    x: TchTensor,
    /// The output: where a ReLU made it, its zeros are the mask.
    y: TchTensor,
    gamma: TchTensor,
    mean: TchTensor,
    invstd: TchTensor,
    op: Norm,
}

impl NormState {
    /// What the backward pass needs of a forward pass, which is given back.
    fn of(n: Normalized, input: NormInput<LibTorch>, op: Norm) -> (Normalized, Self) {
        let (y, mean, invstd) = (n.output.clone(), n.mean.clone(), n.invstd.clone());
        (n, Self { x: input.x, y, gamma: input.gamma, mean, invstd, op })
    }

    /// The gradients of input, scale and shift, and that of the residual if there is one.
    fn backward(&self, grad: &Tensor, residual: bool) -> ([Option<Tensor>; 3], Option<Tensor>) {
        let (x, y, gamma) = (&self.x.tensor, &self.y.tensor, &self.gamma.tensor);
        let saved = [&self.mean.tensor, &self.invstd.tensor];
        if is_fused(x) {
            let [dx, dgamma, dbeta, through] =
                shim::batch_norm_gradients(grad, x, y, gamma, saved, self.op.relu, residual);
            return ([dx, dgamma, dbeta], through);
        }
        // Receiver of `threshold_backward`: the argument that ATen calls `self`.
        let grad =
            if self.op.relu { y.threshold_backward(grad, 0.0) } else { grad.shallow_clone() };
        (shim::batch_norm_backward(&grad, x, gamma, saved, self.op.epsilon), Some(grad))
    }
}

/// The tensors without their graph, and the nodes of those that may want gradients: images, scale,
/// shift.
fn untrack<C: CheckpointStrategy>(
    input: NormInput<Autodiff<LibTorch, C>>,
) -> (NormInput<LibTorch>, [NodeGuard; 3]) {
    let ((x, x_node), (gamma, gamma_node), (beta, beta_node)) =
        (input.x.into_parts(), input.gamma.into_parts(), input.beta.into_parts());
    let (running_mean, running_var) =
        (input.running_mean.into_primitive(), input.running_var.into_primitive());
    (NormInput { x, gamma, beta, running_mean, running_var }, [x_node, gamma_node, beta_node])
}

/// Hands gradients to those parents that want them.
fn register<const N: usize>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; N],
    gradients: [Option<Tensor>; N],
) {
    for (node, gradient) in parents.into_iter().zip(gradients) {
        if let (Some(node), Some(gradient)) = (node, gradient) {
            grads.register::<LibTorch>(node, wrap(gradient));
        }
    }
}
