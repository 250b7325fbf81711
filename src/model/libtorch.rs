//! Which LibTorch the program was compiled for, and which one it runs with.

use std::fmt;
use std::path::{Path, PathBuf};

/// A LibTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flavour {
    /// As `2.9.0+cpu`; empty where nothing tells it.
    pub version: String,
    /// Whether it has CUDA.
    pub has_cuda: bool,
}

/// Versions that the program compiles against and whose tests pass; it is made for the first.
pub const KNOWN: [&str; 3] = ["2.9", "2.10", "2.11"];

impl Flavour {
    /// What the program was compiled for.
    pub fn compiled() -> Self {
        let version = option_env!("EARLYBIRD_LIBTORCH_VERSION").unwrap_or_default().to_owned();
        Self { version, has_cuda: option_env!("EARLYBIRD_LIBTORCH_KIND") == Some("CUDA") }
    }

    /// What it runs with.
    pub fn loaded() -> Self {
        let has_cuda = tch::utils::has_cuda();
        match loaded_from() {
            Some(lib) => Self { version: version_beside(&lib).unwrap_or_default(), has_cuda },
            None => Self { has_cuda, ..Self::compiled() },
        }
    }

    /// The first two numbers of the version, as `2.9`.
    pub fn series(&self) -> &str {
        let ends = self.version.match_indices('.').map(|(at, _)| at).nth(1);
        ends.map_or(&self.version, |at| &self.version[..at])
    }

    /// Whether it is one of those that are [`KNOWN`] to work.
    pub fn is_known(&self) -> bool {
        KNOWN.contains(&self.series())
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.version.is_empty() { "unknown" } else { &self.version };
        match (version.contains('+'), self.has_cuda) {
            (true, _) => f.write_str(version), // as 2.9.0+cu128
            (false, true) => write!(f, "{version} with CUDA"),
            (false, false) => write!(f, "{version} for the CPU"),
        }
    }
}

/// The folder that the binary takes LibTorch from, as built in.
pub fn built_in_folder() -> &'static str {
    option_env!("EARLYBIRD_LIBTORCH_LIB").unwrap_or("the system's library path")
}

/// The folder of the library that this process has in memory; `None` where the system does not
/// tell.
pub fn loaded_from() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    folder_in(&maps)
}

fn folder_in(maps: &str) -> Option<PathBuf> {
    let path = maps.lines().find_map(|line| {
        let path = &line[line.find('/')?..];
        path.ends_with("/libtorch_cpu.so").then_some(path)
    })?;
    Path::new(path).parent().map(Path::to_owned)
}

/// What the files beside the library folder say.
fn version_beside(lib: &Path) -> Option<String> {
    let root = lib.parent()?;
    let read = |file: &str| std::fs::read_to_string(root.join(file)).ok();
    let python = || {
        let text = read("version.py")?;
        let line = text.lines().find(|line| line.starts_with("__version__"))?;
        Some(line.split(['\'', '"']).nth(1)?.to_owned())
    };
    read("build-version").map(|version| version.trim().to_owned()).or_else(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Flavour {
        Flavour { version: version.into(), has_cuda: false }
    }

    #[test]
    fn a_flavour_says_whether_it_has_cuda() {
        assert_eq!(of("2.9.0+cpu").to_string(), "2.9.0+cpu");
        assert_eq!(of("2.9.0").to_string(), "2.9.0 for the CPU");
        let cuda = Flavour { has_cuda: true, ..of("2.9.0") };
        assert_eq!(cuda.to_string(), "2.9.0 with CUDA");
        assert_eq!(of("").to_string(), "unknown for the CPU");
    }

    #[test]
    fn versions_of_a_series_are_known_by_it() {
        for known in ["2.9.0+cpu", "2.9.1", "2.10.0+cu128", "2.11.0+cu130"] {
            assert!(of(known).is_known(), "{known}");
        }
        for other in ["2.8.0", "2.12.0", "2.1.0", "2", "", "unknown", "2.90.0"] {
            assert!(!of(other).is_known(), "{other}");
        }
        assert_eq!(of("2.10.0+cu128").series(), "2.10");
    }

    #[test]
    fn the_version_is_in_a_file_beside_the_libraries() {
        let root = tempfile::tempdir().expect("a folder");
        let lib = root.path().join("lib");
        assert_eq!(version_beside(&lib), None);
        let python = "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n";
        std::fs::write(root.path().join("version.py"), python).expect("written");
        assert_eq!(version_beside(&lib).as_deref(), Some("2.11.0+cu130"));
        std::fs::write(root.path().join("build-version"), "2.9.0+cpu\n").expect("written");
        assert_eq!(version_beside(&lib).as_deref(), Some("2.9.0+cpu"));
    }

    #[test]
    fn the_loaded_library_is_the_one_in_memory() {
        let maps = "7f00-7f01 r--p 00000000 fe:00 12 /opt/other/libc10.so\n\
                    7f02-7f03 r-xp 00000000 fe:00 13 /opt/my torch/lib/libtorch_cpu.so\n";
        assert_eq!(folder_in(maps), Some(PathBuf::from("/opt/my torch/lib")));
        assert_eq!(folder_in(""), None);
        if cfg!(target_os = "linux") {
            assert!(loaded_from().is_some_and(|lib| lib.join("libtorch_cpu.so").exists()));
        }
        assert_eq!(Flavour::compiled().has_cuda, Flavour::loaded().has_cuda);
    }
}
