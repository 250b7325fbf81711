//! `earlybird doctor`: each line ok, or a warning with what to do about it.

mod devices;

use super::{Outcome, say};
use crate::cache::cache_dir;
use crate::host;
use crate::model::libtorch::{self, Flavour};
use crate::model::{device, threads_for};
use crate::protocol::{Because, Threads, Waiting};
use crate::tui::Terminal;

/// Prints all findings. Warnings do not make it fail: training on the CPU needs none of it.
pub(super) fn run() -> Outcome {
    for finding in findings() {
        let mark = if finding.remedy.is_none() { "ok     " } else { "warning" };
        say(format!("{mark}  {:<10} {}", finding.about, finding.text));
        if let Some(remedy) = finding.remedy {
            say(format!("                    -> {remedy}"));
        }
    }
    Outcome::Done
}

struct Finding {
    about: &'static str,
    text: String,
    remedy: Option<String>,
}

fn ok(about: &'static str, text: impl Into<String>) -> Finding {
    Finding { about, text: text.into(), remedy: None }
}

fn warning(about: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { about, text: text.into(), remedy: Some(remedy.into()) }
}

fn findings() -> Vec<Finding> {
    let mut found = vec![ok("earlybird", env!("CARGO_PKG_VERSION"))];
    found.push(libtorch());
    found.extend(devices::findings());
    found.push(precision());
    found.push(threads());
    found.extend(terminal());
    found.extend(caches());
    found
}

/// What the program was compiled for, and what it runs with.
fn libtorch() -> Finding {
    let (compiled, loaded) = (Flavour::compiled(), Flavour::loaded());
    let from = libtorch::loaded_from()
        .map_or_else(|| libtorch::built_in_folder().to_owned(), |lib| lib.display().to_string());
    if compiled != loaded {
        let text = format!("compiled for {compiled}, runs with {loaded} from {from}");
        let remedy = "make build compiles for what is there now; LD_LIBRARY_PATH may lead to \
                      another LibTorch than the built-in folder.";
        return warning("libtorch", text, remedy);
    }
    let text = format!("{loaded} from {from}, as it was compiled for");
    match loaded.series() {
        "2.9" => ok("libtorch", text),
        _ if loaded.is_known() => warning(
            "libtorch",
            text,
            "This program is made for LibTorch 2.9.0; with this version it is tested now and then \
             (make test-libtorch).",
        ),
        _ => warning(
            "libtorch",
            text,
            "This program is made for LibTorch 2.9.0, and 2.10 and 2.11 are known to work. `rm -rf \
             .libtorch && make build` fetches the right one.",
        ),
    }
}

/// fp32 is the default everywhere; whether bf16 pays is the processor's.
fn precision() -> Finding {
    let known = device::bf16_units();
    if known.is_empty() {
        ok(
            "precision",
            "fp32 (this processor has no units for bf16: train.precision = \"bf16\" works, but is \
             no faster on it)",
        )
    } else {
        ok(
            "precision",
            format!(
                "fp32; bf16 in hardware ({}): --set train.precision=bf16 is faster",
                known.join(", ")
            ),
        )
    }
}

fn threads() -> Finding {
    let Threads { count, because, waiting } = threads_for(None);
    // This process does not compute, so it was not started with passive threads, as trainers are.
    let waiting = if host::user_decides_waiting() { waiting } else { Waiting::Passive };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let text =
        format!("{count} by {because}, {waiting}; this process may use {processors} processor(s)");
    let remedy = match (because, waiting) {
        (Because::Variable(name), _) if count > processors => {
            format!(
                "More threads than processors slow training down: --threads {processors}, or unset \
                 {name}."
            )
        }
        (_, Waiting::Spinning) => {
            "Threads that spin starve each other beside other work: unset OMP_WAIT_POLICY and \
                                   GOMP_SPINCOUNT, unless the machine is yours alone."
                .into()
        }
        _ => return ok("threads", text),
    };
    warning("threads", text, remedy)
}

fn terminal() -> Vec<Finding> {
    let t = Terminal::find();
    let Some((width, height)) = t.size else {
        return vec![warning(
            "terminal",
            "stdout is not a terminal",
            "The cockpit needs one; --headless prints lines instead.",
        )];
    };
    let size = format!("{width}x{height}");
    vec![
        if !t.draws {
            warning(
                "terminal",
                "it can only print (TERM is dumb, or not set): lines instead of the cockpit",
                "export TERM=xterm-256color",
            )
        } else if width >= 80 && height >= 24 {
            ok("terminal", size)
        } else {
            warning(
                "terminal",
                size,
                "The cockpit shows a short form; 80x24 and more show all panels.",
            )
        },
        if t.unicode {
            ok("unicode", "the locale is UTF-8")
        } else {
            warning(
                "unicode",
                "the locale is not UTF-8: the cockpit draws with ASCII",
                "export LANG=C.UTF-8",
            )
        },
        match t.colors.as_str() {
            "truecolor" => ok("colors", "truecolor"),
            "none" => warning(
                "colors",
                "none (NO_COLOR or TERM=dumb)",
                "unset NO_COLOR, and set TERM to your terminal's name, for colours.",
            ),
            level => warning(
                "colors",
                level.to_owned(),
                "If your terminal can do truecolor: export COLORTERM=truecolor",
            ),
        },
    ]
}

fn caches() -> Vec<Finding> {
    let cache = cache_dir();
    let mut found = vec![ok(
        "data",
        format!("embedded fashion-mnist-mini; downloads go to {}", cache.display()),
    )];
    for (source, _) in super::data::published() {
        let name = source.name();
        found.push(match source.locate() {
            Some(path) => ok("data", format!("{name} in {}", path.display())),
            None => {
                ok("data", format!("{name} is not here; `earlybird data fetch {name}` gets it"))
            }
        });
    }
    found
}
