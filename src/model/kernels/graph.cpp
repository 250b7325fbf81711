// CUDA graphs: work that is captured once and launched as a whole from then on. Compiled for CUDA
// where LibTorch has it and CUDA's headers are there (EARLYBIRD_CUDA); else there are no graphs.

#include "shim.h"

#include <ATen/ATen.h>

#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#ifdef EARLYBIRD_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace {

thread_local char message[4096];

template <class F>
const char* guarded(F body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& e) {
    std::strncpy(message, e.what_without_backtrace(), sizeof message - 1);
  } catch (const std::exception& e) {
    std::strncpy(message, e.what(), sizeof message - 1);
  } catch (...) {
    std::strncpy(message, "unknown C++ exception", sizeof message - 1);
  }
  return message;
}

#ifdef EARLYBIRD_CUDA

// The streams are changed by hand: LibTorch's guard for that calls CUDA's runtime from its header,
// and this program links with none.
struct Graph {
  explicit Graph(c10::DeviceIndex device)
      : stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)) {}

  ~Graph() {
    if (!before) return;
    // A capture that broke off: nothing of it is kept.
    try {
      end();
    } catch (...) {
    }
  }

  void begin() {
    TORCH_CHECK(!before, "the graph is being captured already");
    // A capture goes by the thread's current device.
    const c10::DeviceGuard on(stream.device());
    c10::cuda::device_synchronize();
    // A capture takes memory anew: what is kept for steps without it may be in the way.
    c10::cuda::CUDACachingAllocator::emptyCache();
    before = c10::cuda::getCurrentCUDAStream(stream.device_index());
    c10::cuda::setCurrentCUDAStream(stream);
    try {
      graph.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    } catch (...) {
      give_up();
      throw;
    }
  }

  void end() {
    TORCH_CHECK(before, "the graph is not being captured");
    const c10::DeviceGuard on(stream.device());
    try {
      graph.capture_end();
    } catch (...) {
      give_up();
      throw;
    }
    c10::cuda::setCurrentCUDAStream(*std::exchange(before, std::nullopt));
  }

  // LibTorch's graph leaves the allocator in the middle of a capture that fails: its memory would
  // never be given back, nor any other while there is too little.
  void give_up() {
    c10::cuda::setCurrentCUDAStream(*std::exchange(before, std::nullopt));
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(stream.device_index(), pool);
      c10::cuda::CUDACachingAllocator::releasePool(stream.device_index(), pool);
    } catch (...) {
    }
  }

  const at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
  at::cuda::CUDAGraph graph;
  c10::cuda::CUDAStream stream;
  // The stream that was current before the capture, while there is one.
  std::optional<c10::cuda::CUDAStream> before;
};

Graph& of(void* graph) {
  TORCH_CHECK(graph, "there is no graph");
  return *static_cast<Graph*>(graph);
}

#endif

}  // namespace

#ifdef EARLYBIRD_CUDA

bool earlybird_has_graphs() { return true; }

const char* earlybird_graph_new(int64_t device, void* out[1]) {
  return guarded([&] { out[0] = new Graph(c10::DeviceIndex(device)); });
}

const char* earlybird_graph_begin(void* graph) {
  return guarded([&] { of(graph).begin(); });
}

const char* earlybird_graph_end(void* graph) {
  return guarded([&] { of(graph).end(); });
}

const char* earlybird_graph_launch(void* graph) {
  return guarded([&] { of(graph).graph.replay(); });
}

void earlybird_graph_free(void* graph) { delete static_cast<Graph*>(graph); }

#else

namespace {

const char* none() noexcept {
  return guarded([] { TORCH_CHECK(false, "this program was compiled without CUDA graphs"); });
}

}  // namespace

bool earlybird_has_graphs() { return false; }
const char* earlybird_graph_new(int64_t, void*[1]) { return none(); }
const char* earlybird_graph_begin(void*) { return none(); }
const char* earlybird_graph_end(void*) { return none(); }
const char* earlybird_graph_launch(void*) { return none(); }
void earlybird_graph_free(void*) {}

#endif
