// The two backward passes of ATen that the tch crate does not generate (their output mask is a `bool[3]`), behind a C ABI.
// Every function gives nullptr, or an error message that the caller frees; no exception crosses the border.

#include <ATen/ATen.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>

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

void earlybird_free(char* message) { std::free(message); }

}  // extern "C"
