// Images out of resident bytes, a thread a pixel: the kernel that CUDA devices run. NVRTC compiles
// this file for the device at the first start; the C++ compiler compiles it for the tests, which
// hold it to the ordinary operations bit by bit. So it includes nothing.

#ifdef __CUDACC_RTC__
#define ON_EITHER __device__ inline
#else
#define ON_EITHER inline
#endif

// What is to be made, laid out as in images.rs.
struct ImagesTask {
  const unsigned char* bytes;  // [n, h w c]
  const long long* index;      // [b]: an image of `bytes` each
  const long long* crops;      // [b, 3]: down, right, mirrored; null for none
  const float* scale;          // [c]
  const float* shift;          // [c]
  float* images;               // [b, h, w, c], written
  long long n, b;
  int h, w, c;
};

// Rounded twice, as ordinary operations round; left alone, NVRTC would make one fused operation.
ON_EITHER float scaled(float value, float scale, float shift) {
#ifdef __CUDACC_RTC__
  return __fadd_rn(__fmul_rn(value, scale), shift);
#else
  return value * scale + shift;
#endif
}

// Pixel `at` of image `i`, zero bytes where the crop shows what is outside. A number that is no
// image's gives NaN, which training notices, and reads nothing.
ON_EITHER void images_pixel(const ImagesTask& task, long long i, int at) {
  const int y = at / task.w, x = at % task.w;
  const long long number = task.index[i];
  const bool known = number >= 0 && number < task.n;
  long long row = y, column = x;
  bool inside = true;
  if (task.crops) {
    const long long down = task.crops[i * 3], right = task.crops[i * 3 + 1];
    // Asked before anything is added: a crop may be as far away as it likes.
    inside = down >= -y && down < task.h - y && right >= -x && right < task.w - x;
    if (inside) {
      row = y + down;
      column = task.crops[i * 3 + 2] ? task.w - 1 - x - right : x + right;
    }
  }
  const unsigned char* from = nullptr;
  if (known && inside) from = task.bytes + ((number * task.h + row) * task.w + column) * task.c;
  float* to = task.images + (i * task.h * task.w + at) * task.c;
  for (int k = 0; k < task.c; k++) {
    const float value = from ? float(from[k]) : 0.0f;
    to[k] = known ? scaled(value, task.scale[k], task.shift[k]) : 0.0f / 0.0f;
  }
}

// The share of thread `thread` of `threads` in row `row` of `rows`: rows are images.
ON_EITHER void images_thread(const ImagesTask& task, int thread, int threads, int row, int rows) {
  for (long long i = row; i < task.b; i += rows)
    for (int at = thread; at < task.h * task.w; at += threads) images_pixel(task, i, at);
}

#ifdef __CUDACC_RTC__
extern "C" __global__ void earlybird_images(const ImagesTask task) {
  images_thread(task, int(blockIdx.x * blockDim.x + threadIdx.x), int(gridDim.x * blockDim.x),
                int(blockIdx.y), int(gridDim.y));
}
#endif
