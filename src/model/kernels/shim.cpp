// What LibTorch's Rust binding lacks, behind the C ABI of shim.h: backward passes of ATen that the
// tch crate does not generate (their output mask is a `bool[3]`), the optimizer's step as one
// operation, and three passes over memory that ATen makes as many: batch norm with what follows it,
// cross entropy with what is recorded of each sample, and images out of resident bytes.

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/safe_numerics.h>

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <vector>

// Bodies that CUDA devices run, too.
#include "cuda/images.h"
#include "cuda/loss.h"

// Loops over channels are compiled for several processors; which one runs is decided once, at the
// program's start.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

namespace {

// ---- What a call may be given ----

// In place of a size: any, any but zero; and as the only one, any number of sizes.
constexpr int64_t ANY = -1, SOME = -2, ANY_RANK = -3;

enum class Strides { any, dense, contiguous };
enum class Where { processor, one_device };

constexpr int64_t LARGEST = std::numeric_limits<int32_t>::max();

// The arguments of one call. A function asks for each of its tensors here before it touches any
// memory: the loops of this file go by the sizes that were asked for.
class Arguments {
 public:
  Arguments(const char* function, Where where) : function_(function) {
    if (where == Where::processor) device_ = at::Device(at::kCPU);
  }

  // The tensor, which has one of `types` (any, if there are none) and these sizes.
  const at::Tensor& tensor(const char* name, const at::Tensor* given,
                           at::ArrayRef<at::ScalarType> types, at::IntArrayRef sizes,
                           Strides strides) {
    TORCH_CHECK(given && given->defined(), function_, ": ", name, " is missing");
    const at::Tensor& t = *given;
    if (!device_ && (t.is_cpu() || t.is_cuda())) device_ = t.device();
    const bool fits = device_ == t.device() && is_in_memory(t) && is_one_of(types, t) &&
                      is_of(sizes, t.sizes()) && lies(strides, t);
    TORCH_CHECK(fits, function_, ": ", name, " is ", form_of(t), "; it must be ",
                form(types, sizes, strides));
    return t;
  }

  // The same, or an undefined tensor where null is given.
  at::Tensor optional(const char* name, const at::Tensor* given,
                      at::ArrayRef<at::ScalarType> types, at::IntArrayRef sizes, Strides strides) {
    return given ? tensor(name, given, types, sizes, strides) : at::Tensor();
  }

  void number(const char* name, int64_t value, int64_t least, int64_t most) const {
    TORCH_CHECK(value >= least && value <= most, function_, ": ", name, " is ", value,
                "; it must be in ", least, "..=", most);
  }

  // Value number `at` of `name`, which says which of `count` things is meant.
  void index(const char* name, int64_t at, int64_t value, int64_t count) const {
    TORCH_CHECK(value >= 0 && value < count, function_, ": ", name, "[", at, "] is ", value,
                "; it must be in 0..", count);
  }

 private:
  // Whether its values lie in memory as its sizes and strides say.
  static bool is_in_memory(const at::Tensor& t) {
    if (t.layout() != at::kStrided || t.is_neg() || t._is_zerotensor()) return false;
    int64_t last = t.storage_offset();
    for (int64_t d = 0; d < t.dim(); ++d) last += (t.size(d) - 1) * t.stride(d);
    const auto bytes = static_cast<uint64_t>(last + 1) * t.element_size();
    return t.numel() == 0 || t.is_meta() || bytes <= t.storage().nbytes();
  }

  static bool lies(Strides strides, const at::Tensor& t) {
    return strides == Strides::any || t.is_contiguous() ||
           (strides == Strides::dense && t.is_non_overlapping_and_dense());
  }

  static bool is_one_of(at::ArrayRef<at::ScalarType> types, const at::Tensor& t) {
    return types.empty() || std::find(types.begin(), types.end(), t.scalar_type()) != types.end();
  }

  static bool is_of(at::IntArrayRef wanted, at::IntArrayRef sizes) {
    if (wanted.size() == 1 && wanted[0] == ANY_RANK) return true;
    const auto fits = [](int64_t want, int64_t size) {
      return want == ANY || (want == SOME ? size > 0 : size == want);
    };
    return std::equal(wanted.begin(), wanted.end(), sizes.begin(), sizes.end(), fits);
  }

  static std::string form_of(const at::Tensor& t) {
    const std::string form = c10::str(t.scalar_type(), " ", t.sizes(), " on ", t.device());
    if (!is_in_memory(t)) return c10::str(form, ", not in plain memory (", t.layout(), ")");
    return c10::str(form, " with strides ", t.strides());
  }

  std::string form(at::ArrayRef<at::ScalarType> types, at::IntArrayRef sizes,
                   Strides strides) const {
    std::string text = types.empty() ? "of any type" : "";
    for (const at::ScalarType type : types) text += c10::str(text.empty() ? "" : " or ", type);
    const char* separator = " [";
    for (const int64_t size : sizes) {
      text += separator;
      text += size == ANY ? "any" : size == SOME ? "1.." : size == ANY_RANK ? ".." : c10::str(size);
      separator = ", ";
    }
    text += sizes.empty() ? " []" : "]";
    text += device_ ? c10::str(" on ", *device_) : " on cpu or cuda";
    return text + (strides == Strides::contiguous ? ", contiguous"
                   : strides == Strides::dense    ? ", without gaps"
                                                  : "");
  }

  const char* function_;
  // Where all tensors must be: that of the first one, unless it was known before.
  std::optional<at::Device> device_;
};

// ---- Errors ----

// The message of a call that failed, until this thread's next one. It lies here already: there may
// be no memory left to allocate.
thread_local char message[4096];

const char* failed_by(const char* text) noexcept {
  std::strncpy(message, text, sizeof message - 1);
  return message;
}

// What an extern "C" function does; `name` is its own, `where` where its tensors are.
template <class F>
const char* guarded(const char* name, Where where, F body) noexcept {
  try {
    // The tensors carry no autograd of LibTorch's own: Burn keeps the graph.
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    Arguments arguments(name + std::strlen("earlybird_"), where);
    body(arguments);
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

// `t`, or a copy that lies in memory as `like` does.
at::Tensor laid_out_as(const at::Tensor& like, const at::Tensor& t) {
  if (t.strides() == like.strides()) return t;
  // The stride of a dimension of one does not matter.
  bool is_same = true;
  for (int64_t d = 0; d < t.dim(); d++)
    is_same = is_same && (t.size(d) == 1 || t.stride(d) == like.stride(d));
  if (is_same) return t.as_strided(like.sizes(), like.strides());
  return at::empty_strided(like.sizes(), like.strides(), t.options()).copy_(t);
}

// Parameters of a step of an optimizer, with their gradients.
struct Parameters {
  std::vector<at::Tensor> w, g;

  Parameters(Arguments& given, at::Tensor* const* weights, const at::Tensor* const* gradients,
             int64_t n) {
    for (int64_t i = 0; i < n; i++) {
      const at::Tensor& weight =
          given.tensor("weights", weights[i], at::kFloat, {ANY_RANK}, Strides::dense);
      w.push_back(weight);
      g.push_back(laid_out_as(weight, given.tensor("gradients", gradients[i], at::kFloat,
                                                   weight.sizes(), Strides::any)));
    }
  }

  // Gradients from here on are others than those that were given, where there is a `scale`.
  void divide(const at::Tensor& scale) {
    if (scale.defined() && !g.empty()) g = at::_foreach_div(g, scale);
  }
};

// What an optimizer keeps of each parameter, laid out as these are.
struct Kept {
  at::Tensor* const* given_;
  std::vector<at::Tensor> laid_out;

  // None where `kept` is null.
  Kept(Arguments& given, const char* name, const std::vector<at::Tensor>& weights,
       at::Tensor* const* kept)
      : given_(kept) {
    for (size_t i = 0; kept != nullptr && i < weights.size(); i++)
      laid_out.push_back(laid_out_as(weights[i], given.tensor(name, kept[i], at::kFloat,
                                                              weights[i].sizes(), Strides::dense)));
  }

  // Copies the new values back to where the old ones lay in memory as they do no more.
  void keep() {
    for (size_t i = 0; i < laid_out.size(); i++)
      if (!laid_out[i].is_same(*given_[i])) given_[i]->copy_(laid_out[i]);
  }
};

template <class T>
const T* read(const at::Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}

template <class T>
T* write(const at::Tensor& t) {
  return static_cast<T*>(t.mutable_data_ptr());
}

const std::array<at::ScalarType, 2> IMAGES{at::kFloat, at::kBFloat16};

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

// Values on their way to the host.
struct Leaving {
  explicit Leaving(const at::Tensor& values) {
    if (!values.is_cuda()) {
      there = values.cpu();
      return;
    }
    // The allocators keep both memories until the copy is made.
    there = at::empty_like(values, values.options().device(at::kCPU).pinned_memory(true));
    there.copy_(values, /*non_blocking=*/true);
    copied.emplace(values.device().type());
    copied->record(c10::impl::VirtualGuardImpl(values.device().type()).getStream(values.device()));
  }

  at::Tensor arrived() const {
    if (copied) copied->synchronize();
    return there;
  }

  at::Tensor there;
  std::optional<c10::Event> copied;
};

}  // namespace

const char* earlybird_convolution_backward(const at::Tensor* grad, const at::Tensor* input,
                                           const at::Tensor* weight, int64_t stride,
                                           int64_t padding, bool want_input, at::Tensor* out[2]) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    given.number("stride", stride, 1, LARGEST);
    given.number("padding", padding, 0, LARGEST);
    const at::Tensor& x =
        given.tensor("input", input, IMAGES, {ANY, SOME, SOME, SOME}, Strides::any);
    const at::Tensor& w = given.tensor("weight", weight, x.scalar_type(),
                                       {SOME, x.size(1), SOME, SOME}, Strides::any);
    std::array<int64_t, 2> places;
    for (const int64_t k : {2, 3}) {
      const int64_t padded = x.size(k) + 2 * padding;
      given.number("a side of weight", w.size(k), 1, padded);
      places[size_t(k - 2)] = (padded - w.size(k)) / stride + 1;
    }
    const at::Tensor& g =
        given.tensor("grad", grad, x.scalar_type(), {x.size(0), w.size(0), places[0], places[1]},
                     Strides::any);
    const std::array<int64_t, 2> s{stride, stride}, p{padding, padding}, one{1, 1}, zero{0, 0};
    auto r = at::convolution_backward(g, x, w, at::OptionalIntArrayRef(), s, p, one, false, zero,
                                      1, {want_input, true, false});
    out[0] = hand_over(std::get<0>(r));
    out[1] = hand_over(std::get<1>(r));
  });
}

const char* earlybird_batch_norm_backward(const at::Tensor* grad, const at::Tensor* input,
                                          const at::Tensor* weight, const at::Tensor* mean,
                                          const at::Tensor* invstd, double eps,
                                          at::Tensor* out[3]) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    const at::Tensor& x =
        given.tensor("input", input, IMAGES, {SOME, SOME, SOME, SOME}, Strides::any);
    const at::Tensor& g = given.tensor("grad", grad, x.scalar_type(), x.sizes(), Strides::any);
    const auto per_channel = [&](const char* name, const at::Tensor* t) -> const at::Tensor& {
      return given.tensor(name, t, at::kFloat, {x.size(1)}, Strides::contiguous);
    };
    const at::Tensor& w = per_channel("weight", weight);
    const at::Tensor &m = per_channel("mean", mean), &d = per_channel("invstd", invstd);
    auto r = at::native_batch_norm_backward(g, x, w, {}, {}, m, d, true, eps, {true, true, true});
    out[0] = hand_over(std::get<0>(r));
    out[1] = hand_over(std::get<1>(r));
    out[2] = hand_over(std::get<2>(r));
  });
}

const char* earlybird_sgd_step(at::Tensor* const* weights, const at::Tensor* const* gradients,
                               at::Tensor* const* velocities, int64_t n, const at::Tensor* rate,
                               const at::Tensor* scale, double lr, double momentum,
                               double weight_decay, bool nesterov) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    Parameters of(given, weights, gradients, n);
    Kept v(given, "velocities", of.w, momentum != 0.0 ? velocities : nullptr);
    const at::Tensor r = given.optional("rate", rate, at::kFloat, {}, Strides::any);
    of.divide(given.optional("scale", scale, at::kFloat, {}, Strides::any));
    if (r.defined())
      at::_fused_sgd_(of.w, of.g, v.laid_out, weight_decay, momentum, r, 0.0, nesterov, false,
                      false);
    else
      at::_fused_sgd_(of.w, of.g, v.laid_out, weight_decay, momentum, lr, 0.0, nesterov, false,
                      false);
    v.keep();
  });
}

const char* earlybird_adamw_step(at::Tensor* const* weights, const at::Tensor* const* gradients,
                                 at::Tensor* const* means, at::Tensor* const* squares, int64_t n,
                                 const at::Tensor* rate, const at::Tensor* step,
                                 const at::Tensor* scale, double lr, double number, double beta1,
                                 double beta2, double eps, double weight_decay) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    Parameters of(given, weights, gradients, n);
    Kept m(given, "means", of.w, means), v(given, "squares", of.w, squares);
    const at::Tensor r = given.optional("rate", rate, at::kFloat, {}, Strides::any);
    at::Tensor t = given.optional("step", step, at::kFloat, {}, Strides::any);
    of.divide(given.optional("scale", scale, at::kFloat, {}, Strides::any));
    if (n == 0) return;
    if (!t.defined()) t = at::full({}, number, of.w[0].options());
    const std::vector<at::Tensor> steps(of.w.size(), t); // each parameter's own in PyTorch
    if (r.defined())
      at::_fused_adamw_(of.w, of.g, m.laid_out, v.laid_out, {}, steps, r, beta1, beta2,
                        weight_decay, eps, false, false);
    else
      at::_fused_adamw_(of.w, of.g, m.laid_out, v.laid_out, {}, steps, lr, beta1, beta2,
                        weight_decay, eps, false, false);
    m.keep();
    v.keep();
  });
}

const char* earlybird_norm(const at::Tensor* const* tensors, int64_t n, double largest,
                           at::Tensor* out[2]) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    std::vector<at::Tensor> all;
    for (int64_t i = 0; i < n; i++)
      all.push_back(given.tensor("tensors", tensors[i], at::kFloat, {ANY_RANK}, Strides::any));
    TORCH_CHECK(n > 0, "norm: no tensors");
    const auto norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(all, 2)), 2);
    out[0] = hand_over(norm.view({1}));
    out[1] = hand_over(((norm + 1e-6) / largest).clamp_min(1.0));
  });
}

const char* earlybird_pull(at::Tensor* const* tensors, const at::Tensor* const* to, int64_t n,
                           const at::Tensor* share, double by) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    std::vector<at::Tensor> moved, ends;
    for (int64_t i = 0; i < n; i++) {
      const at::Tensor& t =
          given.tensor("tensors", tensors[i], at::kFloat, {ANY_RANK}, Strides::dense);
      moved.push_back(t);
      ends.push_back(given.tensor("to", to[i], at::kFloat, t.sizes(), Strides::any));
    }
    const at::Tensor s = given.optional("share", share, at::kFloat, {}, Strides::any);
    if (s.defined())
      for (size_t i = 0; i < moved.size(); i++) moved[i].lerp_(ends[i], s);
    else
      at::_foreach_lerp_(moved, ends, by);
  });
}

const char* earlybird_copy_all(at::Tensor* const* to, const at::Tensor* const* from, int64_t n) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    std::vector<at::Tensor> targets, sources;
    for (int64_t i = 0; i < n; i++) {
      const at::Tensor& t = given.tensor("to", to[i], {}, {ANY_RANK}, Strides::dense);
      targets.push_back(t);
      sources.push_back(
          given.tensor("from", from[i], t.scalar_type(), t.sizes(), Strides::any));
    }
    at::_foreach_copy_(targets, sources);
  });
}

const char* earlybird_are_finite(const at::Tensor* const* tensors, int64_t n,
                                 at::Tensor* out[1]) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    std::vector<at::Tensor> all;
    for (int64_t i = 0; i < n; i++)
      all.push_back(given.tensor("tensors", tensors[i], at::kFloat, {ANY_RANK}, Strides::any));
    TORCH_CHECK(n > 0, "are_finite: no tensors");
    const auto largest = at::_foreach_norm(all, std::numeric_limits<double>::infinity());
    out[0] = hand_over(at::isfinite(at::stack(largest)).all());
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
  return guarded(__func__, Where::processor, [&](Arguments& given) {
    const at::Tensor x = channels_last(
        given.tensor("input", input, IMAGES, {SOME, SOME, SOME, SOME}, Strides::any));
    at::Tensor z = given.optional("residual", residual, IMAGES, x.sizes(), Strides::any);
    if (z.defined()) z = channels_last(z.to(x.scalar_type()));
    const auto per_channel = [&](const char* name, const at::Tensor* t) -> const at::Tensor& {
      return given.tensor(name, t, at::kFloat, {x.size(1)}, Strides::contiguous);
    };
    const at::Tensor &w = per_channel("weight", weight), &b = per_channel("bias", bias);
    const at::Tensor& mean_so_far = per_channel("running_mean", running_mean);
    const at::Tensor& var_so_far = per_channel("running_var", running_var);
    const at::Tensor y = at::empty_like(x), mean = at::empty_like(w), invstd = at::empty_like(w);
    const float floor = relu ? 0.0f : NO_FLOOR;
    const auto forward =
        x.scalar_type() == at::kBFloat16 ? batch_norm_forward<bf16> : batch_norm_forward<float>;
    forward(x, z, w, b, mean_so_far, var_so_far, momentum, eps, floor, y, mean, invstd);
    out[0] = hand_over(y);
    out[1] = hand_over(mean);
    out[2] = hand_over(invstd);
  });
}

const char* earlybird_batch_norm_gradients(const at::Tensor* grad, const at::Tensor* input,
                                           const at::Tensor* output, const at::Tensor* weight,
                                           const at::Tensor* mean, const at::Tensor* invstd,
                                           bool relu, bool want_residual, at::Tensor* out[4]) {
  return guarded(__func__, Where::processor, [&](Arguments& given) {
    const at::Tensor x = channels_last(
        given.tensor("input", input, IMAGES, {SOME, SOME, SOME, SOME}, Strides::any));
    const at::Tensor y = channels_last(
        given.tensor("output", output, x.scalar_type(), x.sizes(), Strides::any));
    const at::Tensor g = channels_last(
        given.tensor("grad", grad, IMAGES, x.sizes(), Strides::any).to(x.scalar_type()));
    const auto per_channel = [&](const char* name, const at::Tensor* t) -> const at::Tensor& {
      return given.tensor(name, t, at::kFloat, {x.size(1)}, Strides::contiguous);
    };
    const at::Tensor& w = per_channel("weight", weight);
    const at::Tensor &m = per_channel("mean", mean), &d = per_channel("invstd", invstd);
    const at::Tensor dx = at::empty_like(x), dz = want_residual ? at::empty_like(x) : at::Tensor();
    const at::Tensor dweight = at::empty_like(w), dbias = at::empty_like(w);
    const float floor = relu ? 0.0f : NO_FLOOR;
    const auto backward = x.scalar_type() == at::kBFloat16 ? batch_norm_gradients<bf16>
                                                           : batch_norm_gradients<float>;
    backward(g, x, y, w, m, d, floor, dx, dz, dweight, dbias);
    out[0] = hand_over(dx);
    out[1] = hand_over(dweight);
    out[2] = hand_over(dbias);
    out[3] = hand_over(dz);
  });
}

const char* earlybird_cross_entropy(const at::Tensor* logits, const at::Tensor* labels,
                                    const at::Tensor* factors, const at::Tensor* shifts,
                                    double smoothing, at::Tensor* out[3]) {
  return guarded(__func__, Where::processor, [&](Arguments& given) {
    const at::Tensor z =
        given.tensor("logits", logits, at::kFloat, {ANY, SOME}, Strides::any).contiguous();
    const int64_t b = z.size(0), classes = z.size(1);
    given.number("the classes of logits", classes, 1, LARGEST);
    const at::Tensor y =
        given.tensor("labels", labels, at::kLong, {b}, Strides::any).contiguous();
    const at::Tensor f =
        given.tensor("factors", factors, at::kFloat, {b}, Strides::any).contiguous();
    at::Tensor s = given.optional("shifts", shifts, at::kFloat, {2, classes}, Strides::any);
    if (s.defined()) s = s.contiguous();
    const float* by = s.defined() ? read<float>(s) : nullptr;
    const at::Tensor figures = at::empty({b, 5}, z.options()), gradient = at::empty_like(z);
    const int64_t* truth = read<int64_t>(y);
    const float *row = read<float>(z), *factor = read<float>(f);
    float *to = write<float>(figures), *slope = write<float>(gradient);
    double sum = 0.0;
    for (int64_t i = 0; i < b; i++) {
      given.index("labels", i, truth[i], classes);
      float loss;
      cross_entropy_row(row + i * classes, by, int(classes), int(truth[i]), float(smoothing),
                        factor[i], &loss, to + i * 5, slope + i * classes);
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
  return guarded(__func__, Where::processor, [&](Arguments& given) {
    given.number("h", h, 1, LARGEST);
    given.number("w", w, 1, LARGEST);
    given.number("c", c, 1, LARGEST);
    int64_t image = 0;
    TORCH_CHECK(!c10::mul_overflows(h * w, c, &image), "gather_images: h, w and c are too large");
    const at::Tensor& pixels =
        given.tensor("bytes", bytes, at::kByte, {ANY, image}, Strides::contiguous);
    const at::Tensor which =
        given.tensor("index", index, at::kLong, {ANY}, Strides::any).contiguous();
    const int64_t n = pixels.size(0), b = which.size(0);
    at::Tensor moves = given.optional("crops", crops, at::kLong, {b, 3}, Strides::any);
    if (moves.defined()) moves = moves.contiguous();
    const float* factor =
        read<float>(given.tensor("scale", scale, at::kFloat, {c}, Strides::contiguous));
    const float* offset =
        read<float>(given.tensor("shift", shift, at::kFloat, {c}, Strides::contiguous));
    std::vector<float> table(size_t(256 * c));
    for (int64_t v = 0; v < 256; v++)
      for (int64_t k = 0; k < c; k++) table[size_t(v * c + k)] = float(v) * factor[k] + offset[k];
    const at::Tensor images = at::empty({b, h, w, c}, scale->options());
    const int64_t* numbers = read<int64_t>(which);
    const int64_t* move = moves.defined() ? read<int64_t>(moves) : nullptr;
    float* to = write<float>(images);
    for (int64_t i = 0; i < b; i++) {
      given.index("index", i, numbers[i], n);
      const uint8_t* from = read<uint8_t>(pixels) + numbers[i] * image;
      if (!move) {
        for (int64_t p = 0; p < h * w; p++, to += c)
          for (int64_t k = 0; k < c; k++) to[k] = table[size_t(from[p * c + k] * c + k)];
        continue;
      }
      const int64_t down = move[i * 3], right = move[i * 3 + 1], mirrored = move[i * 3 + 2];
      given.number("down in crops", down, -LARGEST, LARGEST);
      given.number("right in crops", right, -LARGEST, LARGEST);
      for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, to += c) {
          const int64_t row = y + down, column = mirrored ? w - 1 - x - right : x + right;
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
  return guarded(__func__, Where::processor, [&](Arguments& given) {
    given.number("index", index, 0, std::numeric_limits<at::DeviceIndex>::max());
    const at::Tensor& t =
        given.tensor("tensor", tensor, {at::kFloat, at::kLong, at::kByte}, {ANY_RANK},
                     Strides::any);
    const at::Device device(at::kCUDA, at::DeviceIndex(index));
    out[0] = hand_over(t.pin_memory().to(device, t.scalar_type(), /*non_blocking=*/true));
  });
}

const char* earlybird_leave(const at::Tensor* const* tensors, int64_t n, void* out[1]) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    std::vector<at::Tensor> flat;
    for (int64_t i = 0; i < n; i++)
      flat.push_back(given.tensor("tensors", tensors[i], at::kFloat, {ANY_RANK}, Strides::any)
                         .reshape({-1}));
    TORCH_CHECK(n > 0, "leave: no tensors");
    out[0] = new Leaving(at::cat(flat));
  });
}

const char* earlybird_arrived(const void* leaving, at::Tensor* out[1]) {
  return guarded(__func__, Where::processor, [&](Arguments&) {
    TORCH_CHECK(leaving, "arrived: nothing was sent");
    out[0] = hand_over(static_cast<const Leaving*>(leaving)->arrived());
  });
}

void earlybird_leaving_free(void* leaving) { delete static_cast<Leaving*>(leaving); }

const char* earlybird_to_meta(const at::Tensor* tensor, at::Tensor* out[1]) {
  return guarded(__func__, Where::processor, [&](Arguments& given) {
    out[0] = hand_over(
        given.tensor("tensor", tensor, {}, {ANY_RANK}, Strides::any).to(at::kMeta));
  });
}

const char* earlybird_cuda_math(bool tf32, bool benchmark) {
  return guarded(__func__, Where::processor, [&](Arguments&) {
    at::globalContext().setAllowTF32CuDNN(tf32);
    at::globalContext().setAllowTF32CuBLAS(tf32);
    at::globalContext().setBenchmarkCuDNN(benchmark);
    at::globalContext().setDeterministicCuDNN(!benchmark);
  });
}

const char* earlybird_cuda_stream(int64_t index, int64_t out[1]) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    given.number("index", index, 0, std::numeric_limits<at::DeviceIndex>::max());
    const at::Device device(at::kCUDA, at::DeviceIndex(index));
    const c10::Stream stream = c10::impl::VirtualGuardImpl(at::kCUDA).getStream(device);
    // A CUDAStream is a Stream and nothing else. Its own header asks for CUDA's, which a build
    // need not have: so its function is looked up where LibTorch has put it.
    using Native = void* (*)(const c10::Stream*);
    static const auto native =
        reinterpret_cast<Native>(dlsym(RTLD_DEFAULT, "_ZNK3c104cuda10CUDAStream6streamEv"));
    TORCH_CHECK(native, "cuda_stream: this LibTorch has no c10::cuda::CUDAStream::stream");
    out[0] = reinterpret_cast<int64_t>(native(&stream));
  });
}

const char* earlybird_cuda_memory(int64_t index, int64_t out[2]) {
  return guarded(__func__, Where::one_device, [&](Arguments& given) {
    given.number("index", index, 0, std::numeric_limits<at::DeviceIndex>::max());
    const auto* guard = c10::impl::device_guard_impl_registry[int(at::kCUDA)].load();
    TORCH_CHECK(guard && index < guard->deviceCount(), "cuda_memory: no CUDA device ", index);
    const auto stats = c10::getDeviceAllocator(at::kCUDA)->getDeviceStats(at::DeviceIndex(index));
    out[0] = stats.allocated_bytes[0].peak;  // 0: of all pools
    out[1] = stats.reserved_bytes[0].peak;
  });
}

const char* earlybird_cudnn_version(int64_t out[1]) {
  return guarded(__func__, Where::processor,
                 [&](Arguments&) { out[0] = at::detail::getCUDAHooks().versionCuDNN(); });
}

const char* earlybird_images_threads(const void* task, int64_t threads, int64_t rows) {
  return guarded(__func__, Where::processor, [&](Arguments&) {
    const auto& images = *static_cast<const ImagesTask*>(task);
    for (int row = 0; row < rows; row++)
      for (int thread = 0; thread < threads; thread++)
        images_thread(images, thread, int(threads), row, int(rows));
  });
}

const char* earlybird_loss_threads(const void* task, int64_t threads) {
  return guarded(__func__, Where::processor, [&](Arguments&) {
    const auto& loss = *static_cast<const LossTask*>(task);
    for (int thread = 0; thread < threads && thread < loss.b; thread++) loss_row(loss, thread);
  });
}
