// What LibTorch's Rust binding lacks, behind the C ABI of shim.h: backward passes of ATen that the
// tch crate does not generate (their output mask is a `bool[3]`), the optimizer's step as one
// operation, and three passes over memory that ATen makes as many: batch norm with what follows it,
// cross entropy with what is recorded of each sample, and images out of resident bytes.

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/_fused_sgd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <vector>

// Loops over channels are compiled for several processors; which one runs is decided once, at the
// program's start.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

namespace {

// ---- Errors ----

// The message of a call that failed, until this thread's next one. It lies here already: there may
// be no memory left to allocate.
thread_local char message[4096];

const char* failed_by(const char* text) noexcept {
  std::strncpy(message, text, sizeof message - 1);
  return message;
}

// What an extern "C" function does.
template <class F>
const char* guarded(F body) noexcept {
  try {
    // The tensors carry no autograd of LibTorch's own: Burn keeps the graph.
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    body();
    return nullptr;
  } catch (const c10::Error& e) {
    return failed_by(e.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return failed_by("out of memory");
  } catch (const std::exception& e) {
    return failed_by(e.what());
  } catch (...) {
    return failed_by("unknown C++ exception");
  }
}

at::Tensor* hand_over(at::Tensor tensor) {
  return tensor.defined() ? new at::Tensor(std::move(tensor)) : nullptr;
}

at::Tensor channels_last(const at::Tensor& t) {
  return t.contiguous(at::MemoryFormat::ChannelsLast);
}

template <class T>
const T* read(const at::Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}

template <class T>
T* write(const at::Tensor& t) {
  return static_cast<T*>(t.mutable_data_ptr());
}

// ---- Values in memory: f32, or the upper half of one ----

using bf16 = uint16_t;

inline float load(float v) { return v; }
inline float load(bf16 v) {
  const uint32_t bits = uint32_t(v) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
inline void store(float* to, float v) { *to = v; }
inline void store(bf16* to, float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  // To the nearest even; NaN stays NaN.
  *to = v == v ? bf16((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) : bf16(0x7fc0);
}

// ---- Batch norm in training, with `+ residual` and ReLU ----
// Each function works on `rows` rows of `c` channels. They are written out for both value types:
// compilers make versions for several processors of plain functions only, not of templates.

// Pointers do not overlap, and every value is loaded whatever becomes of it: else no compiler makes
// vectors of the loops. Comparisons are written so that NaN passes a ReLU: it must be noticed.

// Adds v - origin and its square to two sums for each channel.
#define SUMS(T)                                                                                    \
  EACH_PROCESSOR void sums(const T* __restrict x, const float* __restrict origin, int64_t rows,    \
                           int64_t c, float* __restrict first, float* __restrict second) {         \
    for (int64_t r = 0; r < rows; r++, x += c)                                                     \
      for (int64_t k = 0; k < c; k++) {                                                            \
        const float v = load(x[k]) - origin[k];                                                    \
        first[k] += v;                                                                             \
        second[k] += v * v;                                                                        \
      }                                                                                            \
  }
// y = max(floor, x * scale + shift (+ z))
#define AFFINE(T)                                                                                  \
  EACH_PROCESSOR void affine(const T* __restrict x, const T* __restrict z, T* __restrict y,        \
                             const float* __restrict scale, const float* __restrict shift,         \
                             float floor, int64_t rows, int64_t c) {                               \
    for (int64_t r = 0; r < rows; r++, x += c, y += c) {                                           \
      if (z) {                                                                                     \
        for (int64_t k = 0; k < c; k++) {                                                          \
          const float v = load(x[k]) * scale[k] + shift[k] + load(z[k]);                           \
          store(y + k, v < floor ? floor : v);                                                     \
        }                                                                                          \
        z += c;                                                                                    \
      } else {                                                                                     \
        for (int64_t k = 0; k < c; k++) {                                                          \
          const float v = load(x[k]) * scale[k] + shift[k];                                        \
          store(y + k, v < floor ? floor : v);                                                     \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }
// Adds g and g * (x - mean) to two sums for each channel, where g passed the ReLU: its output y was
// above `floor`.
#define GRADIENT_SUMS(T)                                                                           \
  EACH_PROCESSOR void gradient_sums(                                                               \
      const T* __restrict g, const T* __restrict x, const T* __restrict y,                         \
      const float* __restrict mean, float floor, int64_t rows, int64_t c,                          \
      float* __restrict first, float* __restrict second) {                                         \
    for (int64_t r = 0; r < rows; r++, g += c, x += c, y += c)                                     \
      for (int64_t k = 0; k < c; k++) {                                                            \
        const float v = load(g[k]), d = load(y[k]) <= floor ? 0.0f : v;                            \
        first[k] += d;                                                                             \
        second[k] += d * (load(x[k]) - mean[k]);                                                   \
      }                                                                                            \
  }
// dx = scale * (g - a - (x - mean) * b), and (unless null) dz = g, where g passed the ReLU.
#define GRADIENTS(T)                                                                               \
  EACH_PROCESSOR void gradients(                                                                   \
      const T* __restrict g, const T* __restrict x, const T* __restrict y, T* __restrict dx,       \
      T* __restrict dz, const float* __restrict scale, const float* __restrict mean,               \
      const float* __restrict a, const float* __restrict b, float floor, int64_t rows,             \
      int64_t c) {                                                                                 \
    for (int64_t r = 0; r < rows; r++, g += c, x += c, y += c, dx += c) {                          \
      for (int64_t k = 0; k < c; k++) {                                                            \
        const float v = load(g[k]), d = load(y[k]) <= floor ? 0.0f : v;                            \
        store(dx + k, scale[k] * (d - a[k] - (load(x[k]) - mean[k]) * b[k]));                      \
      }                                                                                            \
      if (dz) {                                                                                    \
        for (int64_t k = 0; k < c; k++) {                                                          \
          const float v = load(g[k]);                                                              \
          store(dz + k, load(y[k]) <= floor ? 0.0f : v);                                           \
        }                                                                                          \
        dz += c;                                                                                   \
      }                                                                                            \
    }                                                                                              \
  }

SUMS(float) SUMS(bf16) AFFINE(float) AFFINE(bf16)
GRADIENT_SUMS(float) GRADIENT_SUMS(bf16) GRADIENTS(float) GRADIENTS(bf16)

// Rows that one thread takes at least, and rows summed in f32 before the sums go on in f64.
int64_t grain(int64_t c) { return std::max<int64_t>(1, 32768 / c); }
constexpr int64_t BLOCK = 128;

// Two sums for each channel over all rows; `add(first_row, rows, sums, more_sums)` adds some rows.
template <class F>
void sum_rows(int64_t rows, int64_t c, std::vector<double>& first, std::vector<double>& second,
              F add) {
  const int64_t threads = at::get_num_threads();
  std::vector<double> parts(size_t(threads * 2 * c), 0.0);
  at::parallel_for(0, rows, grain(c), [&](int64_t begin, int64_t end) {
    double* mine = parts.data() + size_t(at::get_thread_num()) * 2 * size_t(c);
    std::vector<float> block(size_t(2 * c));
    for (int64_t r = begin; r < end; r += BLOCK) {
      std::fill(block.begin(), block.end(), 0.0f);
      add(r, std::min(BLOCK, end - r), block.data(), block.data() + c);
      for (int64_t k = 0; k < 2 * c; k++) mine[k] += block[size_t(k)];
    }
  });
  first.assign(size_t(c), 0.0);
  second.assign(size_t(c), 0.0);
  for (int64_t t = 0; t < threads; t++)
    for (int64_t k = 0; k < c; k++) {
      first[size_t(k)] += parts[size_t(t * 2 * c + k)];
      second[size_t(k)] += parts[size_t((t * 2 + 1) * c + k)];
    }
}

constexpr float NO_FLOOR = -std::numeric_limits<float>::infinity();

// `x`, `z` (unless undefined) and `y` are channels-last of one shape, the others per channel.
template <class T>
void batch_norm_forward(const at::Tensor& x, const at::Tensor& z, const at::Tensor& weight,
                        const at::Tensor& bias, const at::Tensor& running_mean,
                        const at::Tensor& running_var, double momentum, double eps, float floor,
                        const at::Tensor& y, const at::Tensor& mean, const at::Tensor& invstd) {
  const int64_t c = x.size(1), rows = x.numel() / c;
  const T* in = read<T>(x);
  const float *gamma = read<float>(weight), *beta = read<float>(bias);
  float *batch_mean = write<float>(mean), *deviation = write<float>(invstd);
  float *mean_so_far = write<float>(running_mean), *var_so_far = write<float>(running_var);
  // Variance around the first row: values far from zero lose no digits.
  std::vector<float> origin(static_cast<size_t>(c)), scale(origin), shift(origin);
  for (int64_t k = 0; k < c; k++) origin[size_t(k)] = load(in[k]);
  std::vector<double> first, second;
  sum_rows(rows, c, first, second, [&](int64_t r, int64_t n, float* a, float* b) {
    sums(in + r * c, origin.data(), n, c, a, b);
  });
  for (int64_t k = 0; k < c; k++) {
    const auto i = size_t(k);
    const double offset = first[i] / double(rows), mu = origin[i] + offset;
    const double var = std::max(0.0, second[i] / double(rows) - offset * offset);
    const double unbiased = var * double(rows) / double(std::max<int64_t>(1, rows - 1));
    batch_mean[k] = float(mu);
    deviation[k] = float(1.0 / std::sqrt(var + eps));
    mean_so_far[k] = float(momentum * mu + (1.0 - momentum) * double(mean_so_far[k]));
    var_so_far[k] = float(momentum * unbiased + (1.0 - momentum) * double(var_so_far[k]));
    scale[i] = gamma[k] * deviation[k];
    shift[i] = beta[k] - float(mu) * scale[i];
  }
  const T* other = z.defined() ? read<T>(z) : nullptr;
  T* to = write<T>(y);
  at::parallel_for(0, rows, grain(c), [&](int64_t begin, int64_t end) {
    affine(in + begin * c, other ? other + begin * c : nullptr, to + begin * c, scale.data(),
           shift.data(), floor, end - begin, c);
  });
}

// `g`, `x`, `y`, `dx` and `dz` (unless undefined) are channels-last of one shape, the others per
// channel.
template <class T>
void batch_norm_gradients(const at::Tensor& g, const at::Tensor& x, const at::Tensor& y,
                          const at::Tensor& weight, const at::Tensor& mean,
                          const at::Tensor& invstd, float floor, const at::Tensor& dx,
                          const at::Tensor& dz, const at::Tensor& dweight,
                          const at::Tensor& dbias) {
  const int64_t c = x.size(1), rows = x.numel() / c;
  const T *gradient = read<T>(g), *in = read<T>(x), *out = read<T>(y);
  const float *gamma = read<float>(weight), *mu = read<float>(mean);
  const float* deviation = read<float>(invstd);
  float *dgamma = write<float>(dweight), *dbeta = write<float>(dbias);
  std::vector<double> first, second;
  sum_rows(rows, c, first, second, [&](int64_t r, int64_t n, float* a, float* b) {
    gradient_sums(gradient + r * c, in + r * c, out + r * c, mu, floor, n, c, a, b);
  });
  std::vector<float> scale(static_cast<size_t>(c)), a(scale), b(scale);
  for (int64_t k = 0; k < c; k++) {
    const auto i = size_t(k);
    dbeta[k] = float(first[i]);
    dgamma[k] = float(second[i] * deviation[k]);
    scale[i] = gamma[k] * deviation[k];
    a[i] = float(first[i] / double(rows));
    b[i] = float(second[i] / double(rows) * deviation[k] * deviation[k]);
  }
  T *to = write<T>(dx), *through = dz.defined() ? write<T>(dz) : nullptr;
  at::parallel_for(0, rows, grain(c), [&](int64_t begin, int64_t end) {
    gradients(gradient + begin * c, in + begin * c, out + begin * c, to + begin * c,
              through ? through + begin * c : nullptr, scale.data(), mu, a.data(), b.data(), floor,
              end - begin, c);
  });
}

// ---- Cross entropy ----

// One row of logits: its loss, its five figures, and the gradient of its loss.
void cross_entropy_row(const float* z, int64_t classes, int64_t truth, float smoothing,
                       float factor, float* loss, float* figures, float* gradient) {
  const float largest = *std::max_element(z, z + classes);
  float sum = 0.0f, logits = 0.0f;
  for (int64_t k = 0; k < classes; k++) {
    gradient[k] = std::exp(z[k] - largest);
    sum += gradient[k];
    logits += z[k] - largest;
  }
  const float log_sum = std::log(sum);
  float other = -1.0f, squares = 0.0f, entropy = 0.0f;
  int64_t which = 0;
  for (int64_t k = 0; k < classes; k++) {
    const float p = gradient[k] / sum;
    gradient[k] = p;
    squares += p * p;
    if (p > 0.0f) entropy -= p * (z[k] - largest - log_sum);
    // NaN stays NaN in the figures.
    if (k != truth && (p > other || p != p)) {
      other = p;
      which = k;
    }
  }
  const float nll = log_sum - (z[truth] - largest), mean = log_sum - logits / float(classes);
  *loss = factor * ((1.0f - smoothing) * nll + smoothing * mean);
  figures[0] = gradient[truth];
  figures[1] = other;
  figures[2] = float(which);
  figures[3] = squares;
  figures[4] = sum == sum ? entropy : sum;
  for (int64_t k = 0; k < classes; k++)
    gradient[k] = factor * (gradient[k] - smoothing / float(classes));
  gradient[truth] -= factor * (1.0f - smoothing);
}

}  // namespace

const char* earlybird_convolution_backward(const at::Tensor* grad, const at::Tensor* input,
                                           const at::Tensor* weight, int64_t stride,
                                           int64_t padding, bool want_input, at::Tensor* out[2]) {
  return guarded([&] {
    const std::array<int64_t, 2> s{stride, stride}, p{padding, padding}, one{1, 1}, zero{0, 0};
    auto r = at::convolution_backward(*grad, *input, *weight, at::OptionalIntArrayRef(), s, p, one,
                                      false, zero, 1, {want_input, true, false});
    out[0] = hand_over(std::get<0>(r));
    out[1] = hand_over(std::get<1>(r));
  });
}

const char* earlybird_batch_norm_backward(const at::Tensor* grad, const at::Tensor* input,
                                          const at::Tensor* weight, const at::Tensor* mean,
                                          const at::Tensor* invstd, double eps,
                                          at::Tensor* out[3]) {
  return guarded([&] {
    auto r = at::native_batch_norm_backward(*grad, *input, *weight, {}, {}, *mean, *invstd, true,
                                            eps, {true, true, true});
    out[0] = hand_over(std::get<0>(r));
    out[1] = hand_over(std::get<1>(r));
    out[2] = hand_over(std::get<2>(r));
  });
}

const char* earlybird_sgd_step(at::Tensor* weight, const at::Tensor* gradient,
                               at::Tensor* velocity, double lr, double momentum,
                               double weight_decay, bool nesterov) {
  return guarded([&] {
    at::Tensor g = *gradient;
    if (g.strides() != weight->strides()) {
      g = at::empty_strided(weight->sizes(), weight->strides(), weight->options()).copy_(g);
    }
    at::Tensor w = *weight, v = *velocity;
    at::_fused_sgd_({w}, {g}, momentum != 0.0 ? at::TensorList(v) : at::TensorList(), weight_decay,
                    momentum, lr, 0.0, nesterov, false, false);
  });
}

bool earlybird_has_threads() {
#ifdef _OPENMP
  return true;
#else
  return false;
#endif
}

const char* earlybird_batch_norm_forward(const at::Tensor* input, const at::Tensor* residual,
                                         const at::Tensor* weight, const at::Tensor* bias,
                                         at::Tensor* running_mean, at::Tensor* running_var,
                                         double momentum, double eps, bool relu,
                                         at::Tensor* out[3]) {
  return guarded([&] {
    const at::Tensor x = channels_last(*input);
    const at::Tensor z = residual ? channels_last(residual->to(x.scalar_type())) : at::Tensor();
    const at::Tensor y = at::empty_like(x);
    const at::Tensor mean = at::empty_like(*weight), invstd = at::empty_like(*weight);
    const float floor = relu ? 0.0f : NO_FLOOR;
    const auto forward =
        x.scalar_type() == at::kBFloat16 ? batch_norm_forward<bf16> : batch_norm_forward<float>;
    forward(x, z, *weight, *bias, *running_mean, *running_var, momentum, eps, floor, y, mean,
            invstd);
    out[0] = hand_over(y);
    out[1] = hand_over(mean);
    out[2] = hand_over(invstd);
  });
}

const char* earlybird_batch_norm_gradients(const at::Tensor* grad, const at::Tensor* input,
                                           const at::Tensor* output, const at::Tensor* weight,
                                           const at::Tensor* mean, const at::Tensor* invstd,
                                           bool relu, bool want_residual, at::Tensor* out[4]) {
  return guarded([&] {
    const at::Tensor x = channels_last(*input), y = channels_last(*output);
    const at::Tensor g = channels_last(grad->to(x.scalar_type()));
    const at::Tensor dx = at::empty_like(x), dz = want_residual ? at::empty_like(x) : at::Tensor();
    const at::Tensor dweight = at::empty_like(*weight), dbias = at::empty_like(*weight);
    const float floor = relu ? 0.0f : NO_FLOOR;
    const auto backward = x.scalar_type() == at::kBFloat16 ? batch_norm_gradients<bf16>
                                                           : batch_norm_gradients<float>;
    backward(g, x, y, *weight, *mean, *invstd, floor, dx, dz, dweight, dbias);
    out[0] = hand_over(dx);
    out[1] = hand_over(dweight);
    out[2] = hand_over(dbias);
    out[3] = hand_over(dz);
  });
}

const char* earlybird_cross_entropy(const at::Tensor* logits, const at::Tensor* labels,
                                    const at::Tensor* factors, double smoothing,
                                    at::Tensor* out[3]) {
  return guarded([&] {
    const at::Tensor z = logits->contiguous(), y = labels->contiguous(), f = factors->contiguous();
    const int64_t b = z.size(0), classes = z.size(1);
    TORCH_CHECK(z.scalar_type() == at::kFloat && y.scalar_type() == at::kLong,
                "cross entropy of other types");
    const at::Tensor figures = at::empty({b, 5}, z.options()), gradient = at::empty_like(z);
    double sum = 0.0;
    for (int64_t i = 0; i < b; i++) {
      const int64_t truth = read<int64_t>(y)[i];
      TORCH_CHECK(truth >= 0 && truth < classes, "label ", truth, " of ", classes, " classes");
      float loss;
      cross_entropy_row(read<float>(z) + i * classes, classes, truth, float(smoothing),
                        read<float>(f)[i], &loss, write<float>(figures) + i * 5,
                        write<float>(gradient) + i * classes);
      sum += loss;
    }
    out[0] = hand_over(at::full({1}, sum / double(b), z.options()));
    out[1] = hand_over(figures);
    out[2] = hand_over(gradient.div_(double(b)));
  });
}

const char* earlybird_gather_images(const at::Tensor* bytes, const at::Tensor* index,
                                    const at::Tensor* crops, const at::Tensor* scale,
                                    const at::Tensor* shift, int64_t h, int64_t w, int64_t c,
                                    at::Tensor* out[1]) {
  return guarded([&] {
    const int64_t b = index->size(0), n = bytes->size(0), image = h * w * c;
    TORCH_CHECK(bytes->is_contiguous() && bytes->size(1) == image && index->is_contiguous(),
                "images of another shape");
    const at::Tensor moves = crops ? crops->contiguous() : at::Tensor();
    const float *factor = read<float>(*scale), *offset = read<float>(*shift);
    std::vector<float> table(size_t(256 * c));
    for (int64_t v = 0; v < 256; v++)
      for (int64_t k = 0; k < c; k++) table[size_t(v * c + k)] = float(v) * factor[k] + offset[k];
    const at::Tensor images = at::empty({b, h, w, c}, scale->options());
    float* to = write<float>(images);
    for (int64_t i = 0; i < b; i++) {
      const int64_t number = read<int64_t>(*index)[i];
      TORCH_CHECK(number >= 0 && number < n, "image ", number, " of ", n);
      const uint8_t* from = read<uint8_t>(*bytes) + number * image;
      if (!crops) {
        for (int64_t p = 0; p < h * w; p++, to += c)
          for (int64_t k = 0; k < c; k++) to[k] = table[size_t(from[p * c + k] * c + k)];
        continue;
      }
      const int64_t* move = read<int64_t>(moves) + i * 3;
      for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, to += c) {
          const int64_t row = y + move[0], column = move[2] ? w - 1 - x - move[1] : x + move[1];
          const bool inside = row >= 0 && row < h && column >= 0 && column < w;
          for (int64_t k = 0; k < c; k++) {
            const uint8_t value = inside ? from[(row * w + column) * c + k] : 0;
            to[k] = table[size_t(value * c + k)];
          }
        }
    }
    out[0] = hand_over(images);
  });
}

const char* earlybird_to_cuda(const at::Tensor* tensor, int64_t index, at::Tensor* out[1]) {
  return guarded([&] {
    const at::Device device(at::kCUDA, at::DeviceIndex(index));
    const auto type = tensor->scalar_type();
    out[0] = hand_over(tensor->pin_memory().to(device, type, /*non_blocking=*/true));
  });
}

const char* earlybird_cuda_math(bool tf32, bool benchmark) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuDNN(tf32);
    at::globalContext().setAllowTF32CuBLAS(tf32);
    at::globalContext().setBenchmarkCuDNN(benchmark);
    at::globalContext().setDeterministicCuDNN(!benchmark);
  });
}
