// What shim.cpp gives to Rust. build.rs writes the Rust declarations from this file, and refuses a
// prototype of a type that its table lacks; the C++ compiler holds the definitions to it.
//
// A function that can fail returns null, or its error message, which stays this thread's until the
// next call; no exception crosses the border. `out[n]` is room for n tensors that the caller owns
// afterwards; a null there stands for none. A tensor behind a pointer to const is only read, any
// other one is written in place. Every function checks device, type, sizes and strides of all of
// its tensors before it touches their memory.
//
// Images are [b, c, h, w] in f32 or bf16, all of one call on one device, in any strides:
// channels-last ones are not copied. What is said to be per channel is f32 [c], contiguous.

#pragma once

#include <cstdint>

namespace at {
class Tensor;
}

extern "C" {

// ---- On any device ----

// Gradients of the images `input` (unless unwanted) and of `weight` [o, c, k, l] of a convolution
// without bias, by `grad` [b, o, ...]. All three have one type.
const char* earlybird_convolution_backward(const at::Tensor* grad, const at::Tensor* input,
                                           const at::Tensor* weight, int64_t stride,
                                           int64_t padding, bool want_input, at::Tensor* out[2]);

// Gradients of input, weight and bias of a batch norm in training. `mean` and `invstd` are those
// that the forward pass saved; everything but `grad` and `input` is per channel.
const char* earlybird_batch_norm_backward(const at::Tensor* grad, const at::Tensor* input,
                                          const at::Tensor* weight, const at::Tensor* mean,
                                          const at::Tensor* invstd, double eps,
                                          at::Tensor* out[3]);

// One step of SGD on `n` parameters as one operation. What belongs to one of them is f32 of one
// shape; `weights` and `velocities` (read only where there is momentum) lie in memory without gaps.
// `rate` (f32 []; null for none) is the learning rate where the device is to read it, instead of
// `lr`. Gradients are divided by `scale` (f32 []; null for none).
const char* earlybird_sgd_step(at::Tensor* const* weights, const at::Tensor* const* gradients,
                               at::Tensor* const* velocities, int64_t n, const at::Tensor* rate,
                               const at::Tensor* scale, double lr, double momentum,
                               double weight_decay, bool nesterov);

// One step of AdamW, likewise: `means` are those of gradients, `squares` those of their squares.
// The device reads the number of the step in `step` (f32 []; null: it is `number`).
const char* earlybird_adamw_step(at::Tensor* const* weights, const at::Tensor* const* gradients,
                                 at::Tensor* const* means, at::Tensor* const* squares, int64_t n,
                                 const at::Tensor* rate, const at::Tensor* step,
                                 const at::Tensor* scale, double lr, double number, double beta1,
                                 double beta2, double eps, double weight_decay);

// The Euclidean norm [1] of all values of `n` f32 tensors, and what they are divided by [] so that
// it is at most `largest`: at least 1.
const char* earlybird_norm(const at::Tensor* const* tensors, int64_t n, double largest,
                           at::Tensor* out[2]);

// Moves `n` f32 tensors, which lie in memory without gaps, towards those of `to`, of the same
// shapes: by the share `by`, or by that which the device reads in `share` (f32 []; null for none).
const char* earlybird_pull(at::Tensor* const* tensors, const at::Tensor* const* to, int64_t n,
                           const at::Tensor* share, double by);

// Copies the values of `n` tensors as one operation, each to one of its shape and type.
const char* earlybird_copy_all(at::Tensor* const* to, const at::Tensor* const* from, int64_t n);

// Whether all values of `n` f32 tensors are finite: a bool [] that stays on their device.
const char* earlybird_are_finite(const at::Tensor* const* tensors, int64_t n, at::Tensor* out[1]);

// ---- On the processor only ----

// Whether the two functions that follow use LibTorch's threads. Without them ATen's own functions,
// which do, are faster.
bool earlybird_has_threads();

// Batch norm in training, `+ residual` (images; null for none), ReLU if wanted: output, mean and
// inverse deviation. Everything but `input` and `residual` is per channel.
const char* earlybird_batch_norm_forward(const at::Tensor* input, const at::Tensor* residual,
                                         const at::Tensor* weight, const at::Tensor* bias,
                                         at::Tensor* running_mean, at::Tensor* running_var,
                                         double momentum, double eps, bool relu,
                                         at::Tensor* out[3]);

// Its gradients: those of input, weight and bias, and that of the residual (if wanted). `output`
// has the type of `input`; `weight`, `mean` and `invstd` are per channel.
const char* earlybird_batch_norm_gradients(const at::Tensor* grad, const at::Tensor* input,
                                           const at::Tensor* output, const at::Tensor* weight,
                                           const at::Tensor* mean, const at::Tensor* invstd,
                                           bool relu, bool want_residual, at::Tensor* out[4]);

// Mean loss [1], figures of each sample [b, 5] and gradient of the logits [b, n]. `logits` are f32
// [b, n], `labels` i64 [b] in 0..n, `factors` f32 [b]. `shifts` (f32 [2, n]; null for none) are
// added to logits for the loss and its gradient, not for the figures: the first row to each logit,
// the second to that of the true class.
const char* earlybird_cross_entropy(const at::Tensor* logits, const at::Tensor* labels,
                                    const at::Tensor* factors, const at::Tensor* shifts,
                                    double smoothing, at::Tensor* out[3]);

// Images `index` (i64 [b] in 0..n) out of `bytes` (u8 [n, h w c], contiguous) as f32 [b, h, w, c]:
// byte * scale[channel] + shift[channel], moved by `crops` (i64 [b, 3]: down, right, mirrored; null
// for none), zero bytes outside. `scale` and `shift` are per channel.
const char* earlybird_gather_images(const at::Tensor* bytes, const at::Tensor* index,
                                    const at::Tensor* crops, const at::Tensor* scale,
                                    const at::Tensor* shift, int64_t h, int64_t w, int64_t c,
                                    at::Tensor* out[1]);

// ---- Between devices ----

// A copy of an f32, i64 or u8 tensor of the processor's on CUDA device `index`, for which the host
// does not wait: through pinned memory, which LibTorch keeps until it is read.
const char* earlybird_to_cuda(const at::Tensor* tensor, int64_t index, at::Tensor* out[1]);

// Sends the values of `n` f32 tensors to the host, each row-major, one after another: those that
// they have when the device is done with what it was asked for before. The host does not wait.
// earlybird_leaving_free takes back what is given.
const char* earlybird_leave(const at::Tensor* const* tensors, int64_t n, void* out[1]);

// Waits for them, on whatever thread: f32 on the processor.
const char* earlybird_arrived(const void* leaving, at::Tensor* out[1]);

void earlybird_leaving_free(void* leaving);

// The form of a tensor without memory, on LibTorch's device "meta": the tests' second device.
const char* earlybird_to_meta(const at::Tensor* tensor, at::Tensor* out[1]);

// How CUDA devices of this process compute from here on.
const char* earlybird_cuda_math(bool tf32, bool benchmark);

// ---- CUDA graphs ----

// Whether there are any in this build. Without them the functions that follow fail.
bool earlybird_has_graphs();

// A graph of CUDA device `device`, with nothing in it. earlybird_graph_free takes it back.
const char* earlybird_graph_new(int64_t device, void* out[1]);

// From here to the end, what this thread launches on the device goes into the graph, and is not
// done.
const char* earlybird_graph_begin(void* graph);
const char* earlybird_graph_end(void* graph);

// Launches all of it.
const char* earlybird_graph_launch(void* graph);

// Ends a capture that broke off, too.
void earlybird_graph_free(void* graph);

// ---- What ATen is asked for ----

// Counts the operators that this thread calls, from here on.
void earlybird_count_operators();

// Ends the count: how many calls there were, then a line for each operator that works on memory,
// its name and how often it was called; what such an operator calls itself is its own affair, which
// differs from device to device. The text stays this thread's until the next count.
const char* earlybird_counted_operators();

// ---- CUDA devices ----

// LibTorch's current stream on CUDA device `index`, a cudaStream_t.
const char* earlybird_cuda_stream(int64_t index, int64_t out[1]);

// Bytes of CUDA device `index` that LibTorch's allocator had in use at most, and that it held at
// most: what torch.cuda.max_memory_allocated and max_memory_reserved tell.
const char* earlybird_cuda_memory(int64_t index, int64_t out[2]);

// cuDNN's version, as 91002.
const char* earlybird_cudnn_version(int64_t out[1]);

// The tests' CUDA device: every thread of a launch of a kernel, one after the other. `task` is an
// ImagesTask or a LossTask.
const char* earlybird_images_threads(const void* task, int64_t threads, int64_t rows);
const char* earlybird_loss_threads(const void* task, int64_t threads);

}  // extern "C"
