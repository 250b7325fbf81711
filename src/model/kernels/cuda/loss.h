// Cross entropy, what is said of each sample, and the gradient of the logits: a thread a row of
// logits on CUDA devices, a loop over rows on the processor (shim.cpp). See images.h for who
// compiles this file. It takes expf and logf from whoever does.

#ifndef ON_EITHER
#ifdef __CUDACC_RTC__
#define ON_EITHER __device__ inline
#else
#define ON_EITHER inline
#endif
#endif

// Loss and its gradient of one row of logits that have another prior: `by[k]` is added to each,
// and `by[classes + truth]` to that of the true class.
ON_EITHER void shifted_row(const float* z, const float* by, int classes, int truth,
                           float smoothing, float factor, float* loss, float* gradient) {
  for (int k = 0; k < classes; k++)
    gradient[k] = z[k] + by[k] + (k == truth ? by[classes + k] : 0.0f);
  float largest = gradient[0], sum = 0.0f, logits = 0.0f;
  for (int k = 1; k < classes; k++) largest = largest < gradient[k] ? gradient[k] : largest;
  const float of_truth = gradient[truth] - largest;
  for (int k = 0; k < classes; k++) {
    const float above = gradient[k] - largest;
    logits += above;
    gradient[k] = expf(above);
    sum += gradient[k];
  }
  const float log_sum = logf(sum);
  const float nll = log_sum - of_truth, mean = log_sum - logits / float(classes);
  *loss = factor * ((1.0f - smoothing) * nll + smoothing * mean);
  for (int k = 0; k < classes; k++)
    gradient[k] = factor * (gradient[k] / sum - smoothing / float(classes));
  gradient[truth] -= factor * (1.0f - smoothing);
}

// One row of logits: its loss, its five figures, and the gradient of its loss. The figures are
// those of the logits as they are, whatever `by` (null for none) makes of them for the loss.
ON_EITHER void cross_entropy_row(const float* z, const float* by, int classes, int truth,
                                 float smoothing, float factor, float* loss, float* figures,
                                 float* gradient) {
  float largest = z[0];
  for (int k = 1; k < classes; k++) largest = largest < z[k] ? z[k] : largest;
  float sum = 0.0f, logits = 0.0f;
  for (int k = 0; k < classes; k++) {
    gradient[k] = expf(z[k] - largest);
    sum += gradient[k];
    logits += z[k] - largest;
  }
  const float log_sum = logf(sum);
  float other = -1.0f, squares = 0.0f, entropy = 0.0f;
  int which = 0;
  for (int k = 0; k < classes; k++) {
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
  if (by) return shifted_row(z, by, classes, truth, smoothing, factor, loss, gradient);
  for (int k = 0; k < classes; k++)
    gradient[k] = factor * (gradient[k] - smoothing / float(classes));
  gradient[truth] -= factor * (1.0f - smoothing);
}

// What is to be computed, laid out as in loss.rs.
struct LossTask {
  const float* logits;      // [b, classes]
  const long long* labels;  // [b]
  const float* factors;     // [b]
  const float* shifts;      // [2, classes]; null for none
  float* losses;            // [b], written, as all that follow
  float* figures;           // [b, 5]
  float* gradient;          // [b, classes], of the mean of the losses
  int b, classes;
  float smoothing;
};

// Row `i`. A label that is no class's makes all of it NaN, which training notices, and reads
// nothing.
ON_EITHER void loss_row(const LossTask& task, int i) {
  const long long row = i, truth = task.labels[i];
  float* gradient = task.gradient + row * task.classes;
  float* figures = task.figures + row * 5;
  if (truth < 0 || truth >= task.classes) {
    for (int k = 0; k < task.classes; k++) gradient[k] = 0.0f / 0.0f;
    for (int k = 0; k < 5; k++) figures[k] = 0.0f / 0.0f;
    task.losses[i] = 0.0f / 0.0f;
    return;
  }
  cross_entropy_row(task.logits + row * task.classes, task.shifts, task.classes, int(truth),
                    task.smoothing, task.factors[i], task.losses + i, figures, gradient);
  for (int k = 0; k < task.classes; k++) gradient[k] /= float(task.b);
}

#ifdef __CUDACC_RTC__
extern "C" __global__ void earlybird_loss(const LossTask task) {
  const long long i = (long long)(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < task.b) loss_row(task, int(i));
}
#endif
