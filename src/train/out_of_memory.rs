//! How LibTorch and the libraries below it say that memory has run out, and what to do about each
//! of these texts: one table. A new text is a row. Knows nothing of sessions.

use crate::config::TrainConfig;
use crate::model::Precision;
use std::fmt;

/// What ran out, as far as the text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    /// The device's memory, while a tensor was made.
    Device,
    /// The device's memory, while this library took some for itself, beside LibTorch's pool.
    Library(&'static str),
    /// The device's memory, or host memory that is pinned for its copies: CUDA has one text for
    /// both.
    DeviceOrPinned,
    /// The device's memory; LibTorch wanted to say who holds it, and NVML did not answer.
    Unreported,
    /// Probably the device's memory; what else it may be.
    Perhaps(&'static str),
    /// The memory that this process may use.
    Host,
    /// Nothing: no machine has what was asked for.
    Absurd,
}

use Shortage::{Absurd, Device, DeviceOrPinned, Host, Library, Perhaps, Unreported};

const NO_ENGINE: &str = "a cuDNN that does not fit the driver or the device";

/// Parts of texts, in lower case, and what they mean. The first row that is in a text counts, so
/// texts that hold another one come first.
const TEXTS: [(&str, Shortage); 26] = [
    // LibTorch's pool of device memory (c10/cuda/CUDACachingAllocator.cpp)
    ("tried to allocate more than 1eb", Absurd),
    ("cuda out of memory. tried to allocate", Device),
    ("nvml_success == r", Unreported),
    // CUDA itself, by the runtime and by the driver
    ("cuda driver error: out of memory", Device),
    ("cuda_error_out_of_memory", Device),
    ("cuda error: out of memory", DeviceOrPinned),
    ("cudaerrormemoryallocation", DeviceOrPinned),
    // cuBLAS, which says "not initialized" when there is no room for its handle
    ("cublas_status_alloc_failed", Library("cuBLAS")),
    ("cublas_status_not_initialized", Perhaps("a driver that is too old for this LibTorch")),
    // cuDNN; version 9 has names of its own, and a computation for which every algorithm wants more
    // memory than there is has no engine
    ("cudnn_status_alloc_failed", Library("cuDNN")),
    ("internal_error_device_allocation_failed", Library("cuDNN")),
    ("internal_error_host_allocation_failed", Host),
    ("cudnn_status_not_initialized", Perhaps(NO_ENGINE)),
    ("unable to find an engine to execute this computation", Perhaps(NO_ENGINE)),
    ("unable to find a valid cudnn algorithm", Perhaps(NO_ENGINE)),
    ("no valid execution plans built", Perhaps(NO_ENGINE)),
    // NCCL: "Cuda failure 'out of memory'", with a number before it in newer versions
    ("'out of memory'", Library("NCCL")),
    // cuFFT, cuSOLVER, cuSPARSE, cuRAND
    ("_alloc_failed", Library("a CUDA library")),
    ("_allocation_failed", Library("a CUDA library")),
    // LibTorch on the CPU (c10/core/impl/alloc_cpu.cpp, aten/src/ATen/MapAllocator.cpp)
    ("alloc_cpu() seems to have been called with negative number", Absurd),
    ("defaultcpuallocator: ", Host),
    ("unable to mmap", Host),
    // C++, C and Rust
    ("std::bad_alloc", Host),
    ("cannot allocate memory", Host),
    ("memory allocator returned an error", Host),
    // Whatever else says so
    ("out of memory", Device),
];

/// What was being done when memory ran out.
#[derive(Clone, Copy, Debug)]
pub enum During<'a> {
    /// Training, by this table of the config.
    Training(&'a TrainConfig),
    /// Bringing model and data to the device.
    Start,
    /// One step on a few small images.
    Trial,
}

/// What to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What ran out, and when.
    pub what: String,
    /// What to do, in sentences.
    pub advice: String,
    /// The text's [first line](first_line), without advice of its own.
    pub said: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {} ({})", self.what, self.advice, self.said)
    }
}

/// What to tell people when `text` says that memory has run out. `None`: it says something else.
pub fn explained(text: &str, during: During<'_>) -> Option<Told> {
    let shortage = shortage(text)?;
    let with = match during {
        During::Training(train) => {
            format!(" with train.batch_size = {}; what was reached is kept", train.batch_size)
        }
        During::Start => " before the first step".into(),
        During::Trial => String::new(),
    };
    let said = first_line(text);
    let advice = shortage.advice(&said, during).join(" ");
    let said = said.split(" If reserved but unallocated").next().unwrap_or_default().to_owned();
    Some(Told { what: format!("{}{with}", shortage.what()), advice, said })
}

/// The first line of LibTorch's message in a panic's text, which may hold the message as code.
pub fn first_line(text: &str) -> String {
    let line = |text: &str, end| text.split(end).next().unwrap_or_default().trim().to_owned();
    match text.split_once("Torch(\"") {
        Some((_, code)) => {
            line(code.trim_end_matches("\")"), "\\n").trim_end().replace("\\\"", "\"")
        }
        None => line(text.trim_start_matches("LibTorch: "), "\n"),
    }
}

fn shortage(text: &str) -> Option<Shortage> {
    let lower = text.to_lowercase();
    TEXTS.iter().find(|(part, _)| lower.contains(part)).map(|(_, shortage)| *shortage)
}

impl Shortage {
    fn what(self) -> &'static str {
        match self {
            Device | Library(_) | DeviceOrPinned | Unreported => "the device is out of memory",
            Perhaps(_) => "the device is probably out of memory",
            Host => "this process is out of memory",
            Absurd => "more memory was asked for than any machine has",
        }
    }

    /// What to do, in sentences.
    fn advice(self, said: &str, during: During<'_>) -> Vec<String> {
        let mut out = Vec::new();
        match self {
            Device => out.extend(Report::read(said).iter().flat_map(Report::advice)),
            Library(name) => out
                .push(format!("It was {name} that got none: it needs some beside LibTorch's own.")),
            DeviceOrPinned => out.push(
                "If the device has room, it was host memory that could not be pinned: see \
                 `ulimit -l` and the memory limit of the container or job."
                    .into(),
            ),
            Unreported => out.push(
                "LibTorch could not say who holds it, as NVML does not answer: in a container or \
                 with MIG, compare CUDA_VISIBLE_DEVICES with `nvidia-smi -L`."
                    .into(),
            ),
            Perhaps(other) => out.push(format!("If a smaller batch fails as well: {other}.")),
            Host => out.push(
                "See `free -h`, `ulimit -v`, and the memory limit of the container or job \
                 (/sys/fs/cgroup/memory.max)."
                    .into(),
            ),
            Absurd => {
                out.push(
                    "Please report this, with the config: a size was computed wrongly.".into(),
                );
                return out;
            }
        }
        if self != Host {
            out.push(
                "`nvidia-smi` shows which processes hold the device's memory. Once they have \
                 freed some, it may go on; or choose another device."
                    .into(),
            );
        }
        out.push(self.smaller(during).into());
        out
    }

    /// How to need less.
    fn smaller(self, during: During<'_>) -> &'static str {
        match during {
            During::Training(train) if self != Host && train.precision == Precision::Fp32 => {
                "Or start a new run with a smaller train.batch_size, or with train.precision = \
                 \"bf16\"."
            }
            During::Training(_) => {
                "Wait until others have freed some and resume, or start a new run with a smaller \
                 train.batch_size."
            }
            During::Start => "Data and model have to fit: take fewer images or a smaller model.",
            During::Trial => "A step on a few small images was refused: it takes very little.",
        }
    }
}

/// What LibTorch tells of the device's memory, in bytes.
#[derive(Debug, PartialEq)]
struct Report {
    tried: f64,
    capacity: f64,
    free: f64,
    /// Held by this process, the CUDA context included where LibTorch knows it.
    own: f64,
    /// Of that, what is held in pieces for later tensors.
    unallocated: f64,
}

impl Report {
    /// `None` of a text without these figures.
    fn read(said: &str) -> Option<Self> {
        let pool = before(said, " is allocated by PyTorch")?;
        let unallocated = before(said, " is reserved by PyTorch but unallocated")?;
        let context = after(said, "this process has ");
        Some(Self {
            tried: after(said, "Tried to allocate ")?,
            capacity: after(said, "total capacity of ")?,
            free: after(said, "of which ")?,
            own: context.unwrap_or(pool + unallocated),
            unallocated,
        })
    }

    fn advice(&self) -> Vec<String> {
        let gib = |bytes: f64| bytes / f64::from(1 << 30);
        let mut out = Vec::new();
        if self.unallocated > 0.0 && self.unallocated + self.free >= self.tried {
            out.push(format!(
                "There is room, but in pieces ({:.1} GiB are reserved and unallocated): set \
                 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True in the environment.",
                gib(self.unallocated)
            ));
        }
        let others = self.capacity - self.free - self.own;
        // A context takes less than a tenth, and is not always counted as this process's.
        if others > 0.1 * self.capacity {
            out.push(format!("Other processes hold about {:.1} GiB.", gib(others)));
        }
        out
    }
}

/// The size that follows `words`: `2.00 GiB` in bytes.
fn after(said: &str, words: &str) -> Option<f64> {
    let mut rest = said.split_once(words)?.1.split_whitespace();
    size(rest.next()?, rest.next()?)
}

/// The size before `words`.
fn before(said: &str, words: &str) -> Option<f64> {
    let mut rest = said.split_once(words)?.0.split_whitespace().rev();
    let unit = rest.next()?;
    size(rest.next()?, unit)
}

fn size(number: &str, unit: &str) -> Option<f64> {
    let power = match unit.trim_end_matches([';', '.', ',']) {
        "bytes" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * f64::from(1_u32 << power))
}

#[cfg(test)]
mod tests;
