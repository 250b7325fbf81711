use super::*;
use crate::model::device::DeviceName;
use burn::tensor::Tensor;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A message for each row of [`TEXTS`], in its order, as LibTorch 2.9 gives it.
const MESSAGES: [&str; TEXTS.len()] = [
    "CUDA out of memory. Tried to allocate more than 1EB memory.\nException raised from malloc at \
     /pytorch/c10/cuda/CUDACachingAllocator.cpp:3889 (most recent call first):",
    PIECES,
    "NVML_SUCCESS == r INTERNAL ASSERT FAILED at \
     \"/pytorch/c10/cuda/CUDACachingAllocator.cpp\":1015, please report a bug to PyTorch. ",
    "CUDA driver error: out of memory\nException raised from map at \
     /pytorch/c10/cuda/CUDACachingAllocator.cpp:446 (most recent call first):",
    "cuMemCreate failed: CUDA_ERROR_OUT_OF_MEMORY (2)",
    "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in \
     https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more \
     information.\nCUDA kernel errors might be asynchronously reported at some other API call, so \
     the stacktrace below might be incorrect.\nFor debugging consider passing \
     CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n",
    "cudaMalloc: cudaErrorMemoryAllocation (error 2)",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "GET was unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm to run convolution",
    "cuDNN Frontend error: [cudnn_frontend] Error: No valid execution plans built.",
    "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:77, unhandled cuda error \
     (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5\nncclUnhandledCudaError: Call to \
     CUDA function failed.\nLast error:\nCuda failure 2 'out of memory'",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "CURAND_STATUS_ALLOCATION_FAILED when calling `curandCreateGenerator`",
    "alloc_cpu() seems to have been called with negative number: 18446744069414584320",
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you \
     tried to allocate 4503599627370496 bytes. Error code 12 (Cannot allocate memory)",
    "unable to mmap 1048576 bytes from file </torch_4711_1>: Cannot allocate memory (12)",
    "std::bad_alloc",
    "Cannot allocate memory (os error 12)",
    "memory allocation failed because the memory allocator returned an error",
    "HIP out of memory. Tried to allocate 2.00 GiB.",
];

/// There is room, and it is in pieces.
const PIECES: &str = "CUDA out of memory. \
     Tried to allocate 1.99 GiB. GPU 0 has a total capacity of 23.56 GiB of \
     which 1.23 GiB is free. Including non-PyTorch memory, this process has 22.27 GiB memory in \
     use. Of the allocated memory 14.73 GiB is allocated by PyTorch, and 6.39 GiB is reserved by \
     PyTorch but unallocated. If reserved but unallocated memory is large try setting \
     PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See \
     documentation for Memory Management  \
     (https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)";

/// Another process holds most of it.
const SHARED: &str = "CUDA out of memory. \
     Tried to allocate 512.00 MiB. GPU 1 has a total capacity of 79.10 GiB of \
     which 111.25 MiB is free. Process 562167 has 70.25 GiB memory in use. Including non-PyTorch \
     memory, this process has 8.74 GiB memory in use. Of the allocated memory 8.10 GiB is \
     allocated by PyTorch, with 46.00 MiB allocated in private pools (e.g., CUDA Graphs), and \
     74.86 MiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is large \
     try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.";

/// In a container, LibTorch takes this process for another one.
const CONTAINER: &str = "CUDA out of memory. \
     Tried to allocate 546.00 MiB. GPU 0 has a total capacity of 15.77 GiB of \
     which 514.19 MiB is free. Process 562167 has 15.25 GiB memory in use. Of the allocated memory \
     14.73 GiB is allocated by PyTorch, and 6.86 MiB is reserved by PyTorch but unallocated.";

fn train(precision: Precision) -> TrainConfig {
    TrainConfig { batch_size: 512, precision, ..TrainConfig::default() }
}

fn told(text: &str) -> String {
    explained(text, During::Training(&train(Precision::Fp32)))
        .expect("it is about memory")
        .to_string()
}

#[test]
fn every_text_is_known_by_its_row() {
    for (message, (part, shortage)) in MESSAGES.iter().zip(TEXTS) {
        let lower = message.to_lowercase();
        let first = TEXTS.iter().find(|(other, _)| lower.contains(other)).expect(message);
        assert_eq!(first.0, part, "{message}");
        let told = told(message);
        let as_told = match shortage {
            Absurd => told.contains("report this"),
            Host => told.contains("ulimit -v") && !told.contains("nvidia-smi"),
            Perhaps(other) => told.contains("probably") && told.contains(other),
            Library(name) => told.contains(name) && told.contains("nvidia-smi"),
            DeviceOrPinned => told.contains("ulimit -l") && told.contains("nvidia-smi"),
            Unreported => told.contains("nvidia-smi -L"),
            Device => told.contains("nvidia-smi"),
        };
        assert!(as_told, "{told}");
        assert_eq!(shortage == Absurd, !told.contains("smaller train.batch_size"), "{told}");
        assert!(told.contains("train.batch_size = 512; what was reached is kept"), "{told}");
        assert!(!told.contains("Exception raised") && !told.contains('\n'), "{told}");
    }
}

#[test]
fn what_is_not_about_memory_is_left_alone() {
    for text in [
        "index 3 is out of bounds",
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: no kernel image is available for execution on the device",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "NCCL error in: NCCLUtils.cpp:77, unhandled cuda error\nCuda failure 1 'invalid argument'",
    ] {
        assert_eq!(explained(text, During::Start), None);
    }
}

#[test]
fn memory_in_pieces_and_memory_of_others_are_told_apart() {
    let pieces = told(PIECES);
    assert!(pieces.contains("6.4 GiB are reserved") && pieces.contains("expandable_segments:True"));
    assert!(!pieces.contains("Other processes"), "{pieces}");
    let shared = told(SHARED);
    assert!(shared.contains("Other processes hold about 70.3 GiB"), "{shared}");
    assert!(!shared.contains("expandable_segments"), "{shared}");
    let alone = told(CONTAINER);
    assert!(!alone.contains("Other processes") && !alone.contains("expandable"), "{alone}");
}

#[test]
fn bf16_is_offered_where_it_is_not_in_use() {
    assert!(told(PIECES).contains("train.precision = \"bf16\""));
    let by_bf16 =
        explained(PIECES, During::Training(&train(Precision::Bf16))).expect("known").to_string();
    assert!(!by_bf16.contains("bf16") && by_bf16.contains("smaller train.batch_size"), "{by_bf16}");
    let start = explained(PIECES, During::Start).expect("known").to_string();
    assert!(start.starts_with("the device is out of memory before the first step"), "{start}");
    assert!(!start.contains("batch_size"), "{start}");
}

#[test]
fn the_first_line_is_the_messages_own() {
    let quoted = format!("called `Result::unwrap()` on an `Err` value: Torch({:?})", MESSAGES[5]);
    assert_eq!(first_line(&quoted), "CUDA error: out of memory");
    let whole = format!("Torch({:?})", MESSAGES[2]);
    assert_eq!(first_line(&whole), MESSAGES[2].trim());
    assert_eq!(first_line("LibTorch: std::bad_alloc\nmore"), "std::bad_alloc");
}

/// The text of this LibTorch, by asking for 4 PiB.
#[test]
fn an_allocation_that_the_cpu_refuses_is_told_as_such() {
    let device = DeviceName::LibtorchCpu.open().expect("device");
    let asked =
        catch_unwind(AssertUnwindSafe(|| Tensor::<1>::zeros([1_usize << 50], &device).dims()));
    let panic = asked.expect_err("no machine has that");
    let text = panic.downcast_ref::<String>().expect("a text");
    let told = told(text);
    assert!(told.starts_with("this process is out of memory"), "{told}");
    assert!(first_line(text).contains("DefaultCPUAllocator: can't allocate memory"), "{text}");
    assert!(!told.contains("Exception raised"), "{told}");
}
