// What LibTorch's Rust binding lacks, behind a C ABI: backward passes of ATen that the tch crate does not generate (their output
// mask is a `bool[3]`), the optimizer's step as one operation, and three passes over memory that ATen makes as many: batch norm
// with what follows it, cross entropy with what is recorded of each sample, and images out of resident bytes.
// Every function gives nullptr, or an error message that the caller frees; no exception crosses the border.
// Images are channels-last: rows of C values, one for each pixel.

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/_fused_sgd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <vector>

// Loops over channels are compiled for several processors; which one runs is decided once, at the program's start.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

namespace {

template <class F>
char* guarded(F body) {
  try {
    // The tensors carry no autograd of LibTorch's own: Burn keeps the graph.
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    body();
    return nullptr;
  } catch (const std::exception& e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}

at::Tensor* hand_over(at::Tensor tensor) { return tensor.defined() ? new at::Tensor(std::move(tensor)) : nullptr; }

at::Tensor channels_last(const at::Tensor& t) { return t.contiguous(at::MemoryFormat::ChannelsLast); }

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
  // To the nearest even; what is not a number stays none.
  *to = v == v ? bf16((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) : bf16(0x7fc0);
}

// ---- Batch norm in training, with `+ residual` and ReLU ----
// Each function works on `rows` rows of `c` channels. They are written out for both kinds of values: compilers make one
// function for several processors of plain functions only.

// Pointers do not overlap, and every value is loaded whatever becomes of it: else no compiler makes vectors of the loops.
// Comparisons are written so that what is not a number passes a ReLU as such: it must be noticed.

// Adds v - origin and its square to two sums for each channel.
#define SUMS(T)                                                                                                        \
  EACH_PROCESSOR void sums(const T* __restrict x, const float* __restrict origin, int64_t rows, int64_t c,             \
                           float* __restrict first, float* __restrict second) {                                        \
    for (int64_t r = 0; r < rows; r++, x += c)                                                                         \
      for (int64_t k = 0; k < c; k++) {                                                                                \
        const float v = load(x[k]) - origin[k];                                                                        \
        first[k] += v;                                                                                                 \
        second[k] += v * v;                                                                                            \
      }                                                                                                                \
  }
// y = max(floor, x * scale + shift (+ z))
#define AFFINE(T)                                                                                                      \
  EACH_PROCESSOR void affine(const T* __restrict x, const T* __restrict z, T* __restrict y,                            \
                             const float* __restrict scale, const float* __restrict shift, float floor, int64_t rows,  \
                             int64_t c) {                                                                              \
    for (int64_t r = 0; r < rows; r++, x += c, y += c) {                                                               \
      if (z) {                                                                                                         \
        for (int64_t k = 0; k < c; k++) {                                                                              \
          const float v = load(x[k]) * scale[k] + shift[k] + load(z[k]);                                               \
          store(y + k, v < floor ? floor : v);                                                                         \
        }                                                                                                              \
        z += c;                                                                                                        \
      } else {                                                                                                         \
        for (int64_t k = 0; k < c; k++) {                                                                              \
          const float v = load(x[k]) * scale[k] + shift[k];                                                            \
          store(y + k, v < floor ? floor : v);                                                                         \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
// Adds g and g * (x - mean) to two sums for each channel, where g passed the ReLU: its output y was above `floor`.
#define GRADIENT_SUMS(T)                                                                                               \
  EACH_PROCESSOR void gradient_sums(const T* __restrict g, const T* __restrict x, const T* __restrict y,               \
                                    const float* __restrict mean, float floor, int64_t rows, int64_t c,                \
                                    float* __restrict first, float* __restrict second) {                               \
    for (int64_t r = 0; r < rows; r++, g += c, x += c, y += c)                                                         \
      for (int64_t k = 0; k < c; k++) {                                                                                \
        const float v = load(g[k]), d = load(y[k]) <= floor ? 0.0f : v;                                                 \
        first[k] += d;                                                                                                 \
        second[k] += d * (load(x[k]) - mean[k]);                                                                       \
      }                                                                                                                \
  }
// dx = scale * (g - a - (x - mean) * b), and (unless null) dz = g, where g passed the ReLU.
#define GRADIENTS(T)                                                                                                   \
  EACH_PROCESSOR void gradients(const T* __restrict g, const T* __restrict x, const T* __restrict y, T* __restrict dx, \
                                T* __restrict dz, const float* __restrict scale, const float* __restrict mean,         \
                                const float* __restrict a, const float* __restrict b, float floor, int64_t rows,       \
                                int64_t c) {                                                                           \
    for (int64_t r = 0; r < rows; r++, g += c, x += c, y += c, dx += c) {                                              \
      for (int64_t k = 0; k < c; k++) {                                                                                \
        const float v = load(g[k]), d = load(y[k]) <= floor ? 0.0f : v;                                                 \
        store(dx + k, scale[k] * (d - a[k] - (load(x[k]) - mean[k]) * b[k]));                                          \
      }                                                                                                                \
      if (dz) {                                                                                                        \
        for (int64_t k = 0; k < c; k++) {                                                                              \
          const float v = load(g[k]);                                                                                  \
          store(dz + k, load(y[k]) <= floor ? 0.0f : v);                                                                \
        }                                                                                                              \
        dz += c;                                                                                                       \
      }                                                                                                                \
    }                                                                                                                  \
  }

SUMS(float) SUMS(bf16) AFFINE(float) AFFINE(bf16) GRADIENT_SUMS(float) GRADIENT_SUMS(bf16) GRADIENTS(float) GRADIENTS(bf16)

// Rows that one thread takes at least, and rows summed in f32 before the sums go on in f64.
int64_t grain(int64_t c) { return std::max<int64_t>(1, 32768 / c); }
constexpr int64_t BLOCK = 128;

// Two sums for each channel over all rows; `add(first_row, rows, sums, more_sums)` adds some rows.
template <class F>
void sum_rows(int64_t rows, int64_t c, std::vector<double>& first, std::vector<double>& second, F add) {
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

template <class T>
T* data(const at::Tensor& t) {
  return static_cast<T*>(t.data_ptr());
}

template <class T>
void batch_norm_forward(const at::Tensor& x, const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias,
                        const at::Tensor& running_mean, const at::Tensor& running_var, double momentum, double eps, float floor,
                        const at::Tensor& y, const at::Tensor& mean, const at::Tensor& invstd) {
  const int64_t c = x.size(1), rows = x.numel() / c;
  const T* in = data<T>(x);
  // Variance around the first row: values far from zero lose no digits.
  std::vector<float> origin(static_cast<size_t>(c)), scale(origin), shift(origin);
  for (int64_t k = 0; k < c; k++) origin[size_t(k)] = load(in[k]);
  std::vector<double> first, second;
  sum_rows(rows, c, first, second, [&](int64_t r, int64_t n, float* a, float* b) { sums(in + r * c, origin.data(), n, c, a, b); });
  for (int64_t k = 0; k < c; k++) {
    const auto i = size_t(k);
    const double offset = first[i] / double(rows);
    const double var = std::max(0.0, second[i] / double(rows) - offset * offset), mu = origin[i] + offset;
    const double unbiased = var * double(rows) / double(std::max<int64_t>(1, rows - 1));
    data<float>(mean)[k] = float(mu);
    data<float>(invstd)[k] = float(1.0 / std::sqrt(var + eps));
    float &mean_so_far = data<float>(running_mean)[k], &var_so_far = data<float>(running_var)[k];
    mean_so_far = float(momentum * mu + (1.0 - momentum) * double(mean_so_far));
    var_so_far = float(momentum * unbiased + (1.0 - momentum) * double(var_so_far));
    scale[i] = data<float>(weight)[k] * data<float>(invstd)[k];
    shift[i] = data<float>(bias)[k] - float(mu) * scale[i];
  }
  const T* other = z.defined() ? data<T>(z) : nullptr;
  at::parallel_for(0, rows, grain(c), [&](int64_t begin, int64_t end) {
    affine(in + begin * c, other ? other + begin * c : nullptr, data<T>(y) + begin * c, scale.data(), shift.data(), floor, end - begin, c);
  });
}

template <class T>
void batch_norm_gradients(const at::Tensor& g, const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                          const at::Tensor& mean, const at::Tensor& invstd, float floor, const at::Tensor& dx, const at::Tensor& dz,
                          const at::Tensor& dweight, const at::Tensor& dbias) {
  const int64_t c = x.size(1), rows = x.numel() / c;
  const T *gradient = data<T>(g), *in = data<T>(x), *out = data<T>(y);
  const float *mu = data<float>(mean), *deviation = data<float>(invstd);
  std::vector<double> first, second;
  sum_rows(rows, c, first, second, [&](int64_t r, int64_t n, float* a, float* b) {
    gradient_sums(gradient + r * c, in + r * c, out + r * c, mu, floor, n, c, a, b);
  });
  std::vector<float> scale(static_cast<size_t>(c)), a(scale), b(scale);
  for (int64_t k = 0; k < c; k++) {
    const auto i = size_t(k);
    data<float>(dbias)[k] = float(first[i]);
    data<float>(dweight)[k] = float(second[i] * deviation[k]);
    scale[i] = data<float>(weight)[k] * deviation[k];
    a[i] = float(first[i] / double(rows));
    b[i] = float(second[i] / double(rows) * deviation[k] * deviation[k]);
  }
  T* through = dz.defined() ? data<T>(dz) : nullptr;
  at::parallel_for(0, rows, grain(c), [&](int64_t begin, int64_t end) {
    gradients(gradient + begin * c, in + begin * c, out + begin * c, data<T>(dx) + begin * c, through ? through + begin * c : nullptr,
              scale.data(), mu, a.data(), b.data(), floor, end - begin, c);
  });
}

// ---- Cross entropy ----

// One row of logits: its loss, its five figures, and the gradient of its loss.
void cross_entropy_row(const float* z, int64_t classes, int64_t truth, float smoothing, float factor, float* loss, float* figures,
                       float* gradient) {
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
    // What is not a number stays one in the figures.
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
  for (int64_t k = 0; k < classes; k++) gradient[k] = factor * (gradient[k] - smoothing / float(classes));
  gradient[truth] -= factor * (1.0f - smoothing);
}

}  // namespace

extern "C" {

// out[0] = gradient of the input (null unless wanted), out[1] = gradient of the weight.
char* earlybird_convolution_backward(const at::Tensor* grad, const at::Tensor* input, const at::Tensor* weight, int64_t stride,
                                     int64_t padding, int want_input, at::Tensor** out) {
  return guarded([&] {
    const std::array<int64_t, 2> s{stride, stride}, p{padding, padding}, one{1, 1}, zero{0, 0};
    auto r = at::convolution_backward(*grad, *input, *weight, at::OptionalIntArrayRef(), s, p, one, false, zero, 1,
                                      {want_input != 0, true, false});
    out[0] = hand_over(std::get<0>(r));
    out[1] = hand_over(std::get<1>(r));
  });
}

// Gradients of input, weight and bias in out[0..3]; `mean` and `invstd` are those that the forward pass saved.
char* earlybird_batch_norm_backward(const at::Tensor* grad, const at::Tensor* input, const at::Tensor* weight,
                                    const at::Tensor* mean, const at::Tensor* invstd, double eps, at::Tensor** out) {
  return guarded([&] {
    auto r = at::native_batch_norm_backward(*grad, *input, *weight, {}, {}, *mean, *invstd, true, eps, {true, true, true});
    out[0] = hand_over(std::get<0>(r));
    out[1] = hand_over(std::get<1>(r));
    out[2] = hand_over(std::get<2>(r));
  });
}

// Whether the two functions below use LibTorch's threads. Without them ATen's own, which do, are faster.
int earlybird_has_threads() {
#ifdef _OPENMP
  return 1;
#else
  return 0;
#endif
}

// Batch norm in training of images on the processor, `+ residual` (unless null), ReLU if wanted: output, mean and inverse
// deviation in out[0..3]. The running statistics are updated in place.
char* earlybird_batch_norm_forward(const at::Tensor* input, const at::Tensor* residual, const at::Tensor* weight,
                                   const at::Tensor* bias, at::Tensor* running_mean, at::Tensor* running_var, double momentum,
                                   double eps, int relu, at::Tensor** out) {
  return guarded([&] {
    const at::Tensor x = channels_last(*input);
    const at::Tensor z = residual ? channels_last(residual->to(x.scalar_type())) : at::Tensor();
    const at::Tensor y = at::empty_like(x), mean = at::empty_like(*weight), invstd = at::empty_like(*weight);
    const float floor = relu ? 0.0f : NO_FLOOR;
    const auto forward = x.scalar_type() == at::kBFloat16 ? batch_norm_forward<bf16> : batch_norm_forward<float>;
    forward(x, z, *weight, *bias, *running_mean, *running_var, momentum, eps, floor, y, mean, invstd);
    out[0] = hand_over(y);
    out[1] = hand_over(mean);
    out[2] = hand_over(invstd);
  });
}

// Its gradients: those of input, weight and bias in out[0..3], that of the residual (if wanted) in out[3].
char* earlybird_batch_norm_gradients(const at::Tensor* grad, const at::Tensor* input, const at::Tensor* output,
                                     const at::Tensor* weight, const at::Tensor* mean, const at::Tensor* invstd, int relu,
                                     int want_residual, at::Tensor** out) {
  return guarded([&] {
    const at::Tensor x = channels_last(*input), y = channels_last(*output), g = channels_last(grad->to(x.scalar_type()));
    const at::Tensor dx = at::empty_like(x), dz = want_residual ? at::empty_like(x) : at::Tensor();
    const at::Tensor dweight = at::empty_like(*weight), dbias = at::empty_like(*weight);
    const float floor = relu ? 0.0f : NO_FLOOR;
    const auto backward = x.scalar_type() == at::kBFloat16 ? batch_norm_gradients<bf16> : batch_norm_gradients<float>;
    backward(g, x, y, *weight, *mean, *invstd, floor, dx, dz, dweight, dbias);
    out[0] = hand_over(dx);
    out[1] = hand_over(dweight);
    out[2] = hand_over(dbias);
    out[3] = hand_over(dz);
  });
}

// Mean loss, figures of each sample [b, 5], gradient of the logits [b, C] in out[0..3], on the processor. `labels` are i64.
char* earlybird_cross_entropy(const at::Tensor* logits, const at::Tensor* labels, const at::Tensor* factors, double smoothing,
                              at::Tensor** out) {
  return guarded([&] {
    const at::Tensor z = logits->contiguous(), y = labels->contiguous(), f = factors->contiguous();
    const int64_t b = z.size(0), classes = z.size(1);
    TORCH_CHECK(z.scalar_type() == at::kFloat && y.scalar_type() == at::kLong, "cross entropy of other types");
    const at::Tensor figures = at::empty({b, 5}, z.options()), gradient = at::empty_like(z);
    double sum = 0.0;
    for (int64_t i = 0; i < b; i++) {
      const int64_t truth = y.const_data_ptr<int64_t>()[i];
      TORCH_CHECK(truth >= 0 && truth < classes, "label ", truth, " of ", classes, " classes");
      float loss;
      cross_entropy_row(data<float>(z) + i * classes, classes, truth, float(smoothing), data<float>(f)[i], &loss,
                        data<float>(figures) + i * 5, data<float>(gradient) + i * classes);
      sum += loss;
    }
    out[0] = hand_over(at::full({1}, sum / double(b), z.options()));
    out[1] = hand_over(figures);
    out[2] = hand_over(gradient.div_(double(b)));
  });
}

// One step of SGD, in place.
char* earlybird_sgd_step(const at::Tensor* weight, const at::Tensor* gradient, const at::Tensor* velocity, double lr,
                         double momentum, double weight_decay, int nesterov) {
  return guarded([&] {
    at::Tensor g = *gradient;
    if (g.strides() != weight->strides()) {
      g = at::empty_strided(weight->sizes(), weight->strides(), weight->options()).copy_(g);
    }
    at::Tensor w = *weight, v = *velocity;
    at::_fused_sgd_({w}, {g}, momentum != 0.0 ? at::TensorList(v) : at::TensorList(), weight_decay, momentum, lr, 0.0, nesterov != 0,
                    false, false);
  });
}

// Images `index` [b] out of bytes [n, h w c] as f32 [b, h, w, c] on the processor: byte * scale[channel] + shift[channel], moved
// by `crops` [b, 3] (down, right, mirrored; i64) unless that is null, zero bytes outside.
char* earlybird_gather_images(const at::Tensor* bytes, const at::Tensor* index, const at::Tensor* crops, const at::Tensor* scale,
                              const at::Tensor* shift, int64_t h, int64_t w, int64_t c, at::Tensor** out) {
  return guarded([&] {
    const int64_t b = index->size(0), n = bytes->size(0), image = h * w * c;
    TORCH_CHECK(bytes->is_contiguous() && bytes->size(1) == image && index->is_contiguous(), "images of another shape");
    const at::Tensor moves = crops ? crops->contiguous() : at::Tensor();
    std::vector<float> table(size_t(256 * c));
    for (int64_t v = 0; v < 256; v++)
      for (int64_t k = 0; k < c; k++) table[size_t(v * c + k)] = float(v) * data<float>(*scale)[k] + data<float>(*shift)[k];
    const at::Tensor images = at::empty({b, h, w, c}, scale->options());
    for (int64_t i = 0; i < b; i++) {
      const int64_t number = index->const_data_ptr<int64_t>()[i];
      TORCH_CHECK(number >= 0 && number < n, "image ", number, " of ", n);
      const uint8_t* from = bytes->const_data_ptr<uint8_t>() + number * image;
      float* to = data<float>(images) + i * image;
      if (!crops) {
        for (int64_t p = 0; p < h * w; p++)
          for (int64_t k = 0; k < c; k++) to[p * c + k] = table[size_t(from[p * c + k] * c + k)];
        continue;
      }
      const int64_t* move = moves.const_data_ptr<int64_t>() + i * 3;
      for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, to += c) {
          const int64_t row = y + move[0], column = move[2] ? w - 1 - x - move[1] : x + move[1];
          const bool inside = row >= 0 && row < h && column >= 0 && column < w;
          for (int64_t k = 0; k < c; k++) to[k] = table[size_t((inside ? from[(row * w + column) * c + k] : 0) * c + k)];
        }
    }
    out[0] = hand_over(images);
  });
}

// A copy on CUDA device `index` that the host does not wait for: through pinned memory, which LibTorch keeps until it is read.
char* earlybird_to_cuda(const at::Tensor* tensor, int64_t index, at::Tensor** out) {
  return guarded([&] {
    const at::Device device(at::kCUDA, at::DeviceIndex(index));
    out[0] = hand_over(tensor->pin_memory().to(device, tensor->scalar_type(), /*non_blocking=*/true));
  });
}

// How CUDA devices of this process compute from here on.
char* earlybird_cuda_math(int tf32, int benchmark) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuDNN(tf32 != 0);
    at::globalContext().setAllowTF32CuBLAS(tf32 != 0);
    at::globalContext().setBenchmarkCuDNN(benchmark != 0);
    at::globalContext().setDeterministicCuDNN(benchmark == 0);
  });
}

void earlybird_free(char* message) { std::free(message); }

}  // extern "C"
