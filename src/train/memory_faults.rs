//! The texts by which LibTorch and the libraries under it say that memory is short, and what to do
//! about each: one table. Knows nothing of who shows them.

/// What is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Short {
    /// Memory of a CUDA device.
    Device,
    /// Memory of the computer.
    Processor,
    /// Perhaps memory of a CUDA device: cuDNN says the same where a GPU cannot compute so at all.
    Perhaps,
}

/// Parts of messages, in lower case, and what they mean. The first row that fits counts.
const TEXTS: &[(&str, Short)] = &[
    // ATen's allocators for the processor, and the shim's own word for std::bad_alloc.
    ("defaultcpuallocator: can't allocate memory", Short::Processor),
    ("defaultcpuallocator: not enough memory", Short::Processor),
    ("std::bad_alloc", Short::Processor),
    ("libtorch: out of memory", Short::Processor),
    // ATen's caching allocator; the driver; NVML, which the allocator asks when it fails.
    ("cuda out of memory", Short::Device),
    ("cuda error: out of memory", Short::Device),
    ("cudaerrormemoryallocation", Short::Device),
    ("cuda_error_out_of_memory", Short::Device),
    ("nvml_success == r internal assert failed", Short::Device),
    // Libraries that allocate by themselves.
    ("cublas_status_alloc_failed", Short::Device),
    ("cusolver_status_alloc_failed", Short::Device),
    ("cusparse_status_insufficient_resources", Short::Device),
    ("cudnn_status_alloc_failed", Short::Device),
    ("device_allocation_failed", Short::Device), // cuDNN 9's internal errors
    ("cuda failure 2 'out of memory'", Short::Device), // NCCL
    ("cuda failure 'out of memory'", Short::Device),
    ("unable to find an engine to execute this computation", Short::Perhaps),
    ("no valid execution plans", Short::Perhaps),
    // What no row above knows better.
    ("out of memory", Short::Device),
    ("can't allocate memory", Short::Processor),
    ("cannot allocate memory", Short::Processor),
    ("alloc_failed", Short::Device),
];

/// What to do about a failure whose message is `text`, with the message's first line; `None` where
/// memory is not short.
pub(super) fn advice(text: &str, batch_size: usize) -> Option<String> {
    let lower = text.to_lowercase();
    let (_, short) = TEXTS.iter().find(|(part, _)| lower.contains(part))?;
    let first = text.lines().next().unwrap_or(text);
    let smaller = "start a new run with a smaller train.batch_size";
    Some(match short {
        Short::Device => format!(
            "the device is out of memory with train.batch_size = {batch_size}; what was reached is \
             kept. {} Then resume, or {smaller} or train.precision = \"bf16\".{} ({first})",
            holders(text),
            fragments(&lower),
        ),
        Short::Processor => format!(
            "the computer is out of memory with train.batch_size = {batch_size}; what was reached \
             is kept. Free some, or raise what this process may have (ulimit -v, the memory of its \
             control group or batch job). Then resume, or {smaller}. ({first})"
        ),
        Short::Perhaps => format!(
            "cuDNN found no way to compute a step with train.batch_size = {batch_size}; what was \
             reached is kept. Most often the device is out of memory: see nvidia-smi, then resume, \
             or {smaller}. If a small one fails, too, the GPU does not compute so: see earlybird \
             doctor. ({first})"
        ),
    })
}

/// Who has the device's memory: ATen names other processes.
fn holders(text: &str) -> String {
    let mut others = text.split("Process ").skip(1).filter_map(|rest| {
        let (number, rest) = rest.split_once(" has ")?;
        let (memory, _) = rest.split_once(" memory in use")?;
        number.parse::<u32>().ok().map(|number| format!("process {number} has {memory}"))
    });
    match others.next() {
        None => "nvidia-smi lists the processes that hold some.".to_owned(),
        Some(first) => {
            let all: Vec<String> = std::iter::once(first).chain(others).collect();
            format!("Beside this run, {} of it.", all.join(", "))
        }
    }
}

/// A word where much is reserved, but in pieces that are too small.
fn fragments(lower: &str) -> &'static str {
    let Some((before, _)) = lower.split_once(" is reserved by pytorch but unallocated") else {
        return "";
    };
    let amount = before.rsplit(", and ").next().unwrap_or_default();
    if amount.ends_with(" gib") && !amount.starts_with("0.") {
        " Much of it is reserved in pieces: PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True may \
         help."
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATEN: &str = "LibTorch: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a \
        total capacity of 79.11 GiB of which 1.02 GiB is free. Process 4711 has 60.31 GiB memory \
        in use. Including non-PyTorch memory, this process has 17.70 GiB memory in use. Of the \
        allocated memory 13.10 GiB is allocated by PyTorch, and 4.02 GiB is reserved by PyTorch \
        but unallocated. If reserved but unallocated memory is large try setting \
        PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.\nmore";

    /// A message of each row, as it comes.
    const MESSAGES: &[(&str, Short)] = &[
        (
            "Torch(\"[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't \
             allocate memory: you tried to allocate 9000 bytes. Error code 12 (Cannot allocate \
             memory)\")",
            Short::Processor,
        ),
        (
            "[enforce fail at alloc_cpu.cpp:75] data. DefaultCPUAllocator: not enough memory: you \
             tried to allocate 9000 bytes.",
            Short::Processor,
        ),
        ("std::bad_alloc", Short::Processor),
        ("LibTorch: out of memory", Short::Processor),
        (ATEN, Short::Device),
        (
            "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
            Short::Device,
        ),
        ("cudaErrorMemoryAllocation: out of memory", Short::Device),
        ("cuModuleLoadData: CUDA_ERROR_OUT_OF_MEMORY", Short::Device),
        (
            "NVML_SUCCESS == r INTERNAL ASSERT FAILED at \
             \"/pytorch/c10/cuda/CUDACachingAllocator.cpp\":1090, please report a bug",
            Short::Device,
        ),
        (
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            Short::Device,
        ),
        ("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED", Short::Device),
        ("CUDA error: CUSPARSE_STATUS_INSUFFICIENT_RESOURCES", Short::Device),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", Short::Device),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", Short::Device),
        ("NCCL WARN Cuda failure 2 'out of memory'", Short::Device),
        ("NCCL WARN Cuda failure 'out of memory'", Short::Device),
        ("GET was unable to find an engine to execute this computation", Short::Perhaps),
        ("cuDNN Frontend error: [cudnn_frontend] Error: No valid execution plans", Short::Perhaps),
        ("HIP out of memory. Tried to allocate 2.00 GiB", Short::Device),
        ("mmap: can't allocate memory", Short::Processor),
        ("fork: Cannot allocate memory", Short::Processor),
        ("CUFFT_ALLOC_FAILED", Short::Device),
    ];

    #[test]
    fn every_text_says_what_is_short_and_names_the_batch_size_and_a_way_on() {
        assert_eq!(MESSAGES.len(), TEXTS.len(), "a message for each row");
        for ((message, short), (part, of_row)) in MESSAGES.iter().zip(TEXTS) {
            assert_eq!(short, of_row, "{message}");
            let lower = message.to_lowercase();
            let first = TEXTS.iter().find(|(part, _)| lower.contains(part));
            assert_eq!(first.map(|(first, _)| first), Some(part), "another row takes {message}");
            let advice = advice(message, 512).expect("memory is short");
            let whose = match short {
                Short::Device => "the device is out of memory",
                Short::Processor => "the computer is out of memory",
                Short::Perhaps => "see earlybird doctor",
            };
            assert!(advice.contains(whose) && advice.contains("= 512"), "{advice}");
            assert!(advice.contains("resume") && advice.contains("smaller train.batch_size"));
            assert!(!advice.contains('\n') && !advice.contains("more"), "one line: {advice}");
        }
    }

    #[test]
    fn other_processes_and_pieces_are_told_where_the_message_tells_them() {
        let told = advice(ATEN, 512).expect("memory is short");
        assert!(told.contains("Beside this run, process 4711 has 60.31 GiB of it."), "{told}");
        assert!(told.contains("expandable_segments"), "{told}");
        let little = ATEN.replace("and 4.02 GiB", "and 12.00 MiB").replace("Process", "process");
        let told = advice(&little, 512).expect("memory is short");
        let own_words = told.split(" (LibTorch").next().unwrap_or_default();
        assert!(!own_words.contains("expandable_segments"), "{own_words}");
        assert!(own_words.contains("nvidia-smi"), "{own_words}");
    }

    #[test]
    fn other_failures_are_not_taken_for_a_lack_of_memory() {
        for message in [
            "index 3 is out of bounds",
            "CUDA error: no kernel image is available for execution on the device",
            "CUDA error: an illegal memory access was encountered",
            "CUDNN_STATUS_EXECUTION_FAILED",
        ] {
            assert_eq!(advice(message, 512), None, "{message}");
        }
    }
}
