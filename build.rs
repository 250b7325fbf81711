//! Writes the folder of LibTorch's libraries into the binary (rpath), so that it starts without
//! `LD_LIBRARY_PATH`; compiles the C++ shim of `src/model/kernels`, and writes its header's
//! declarations in Rust.

use std::path::{Path, PathBuf};

const SOURCES: [&str; 3] = [
    "src/model/kernels/shim.cpp",
    "src/model/kernels/operators.cpp",
    "src/model/kernels/graph.cpp",
];
const HEADER: &str = "src/model/kernels/shim.h";
/// The bodies of kernels that NVRTC compiles, too.
const BODIES: [&str; 2] = ["src/model/kernels/cuda/images.h", "src/model/kernels/cuda/loss.h"];

fn main() {
    for file in SOURCES.into_iter().chain(BODIES).chain(["build.rs", HEADER]) {
        println!("cargo:rerun-if-changed={file}");
    }
    write_declarations();
    // Set by torch-sys (`links = "tch"`) for the crates that depend on it directly.
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        println!("cargo:warning=torch-sys names no LibTorch folder: call make, which provides one");
        return;
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    println!("cargo:rustc-env=EARLYBIRD_LIBTORCH_LIB={lib}");
    notice_flavour(Path::new(&lib));
    let include = Path::new(&lib).parent().map(|root| root.join("include")).unwrap_or_default();
    // LibTorch 2.9 is built with the C++11 ABI everywhere; LIBTORCH_CXX11_ABI says otherwise to
    // torch-sys, too.
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .pic(true)
        .opt_level(3) // its loops are training's
        .warnings(true)
        .flag_if_supported("-Werror=missing-declarations") // the header has all that Rust calls
        .flag("-isystem") // ATen's headers have warnings of their own
        .flag(include.display().to_string())
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .files(SOURCES);
    // The shim's loops share LibTorch's threads where both mean the same OpenMP; else they leave
    // them to ATen.
    if build.get_compiler().is_like_gnu() && Path::new(&lib).join("libgomp.so.1").exists() {
        build.flag("-fopenmp");
        println!("cargo:rustc-link-lib=dylib=gomp");
    }
    let cuda = cuda_headers(Path::new(&lib));
    for headers in &cuda {
        build.flag("-isystem").flag(headers.display().to_string());
    }
    if !cuda.is_empty() {
        build.define("EARLYBIRD_CUDA", None);
    }
    build.compile("earlybird_shim");
    println!("cargo:rustc-link-search=native={lib}");
    if !cuda.is_empty() {
        println!("cargo:rustc-link-lib=dylib=torch_cuda");
        println!("cargo:rustc-link-lib=dylib=c10_cuda");
    }
    println!("cargo:rustc-link-lib=dylib=torch_cpu");
    println!("cargo:rustc-link-lib=dylib=c10");
}

/// Hands the program what it is compiled for, and compiles anew when LibTorch changes under its
/// path. What other crates compiled for the former one stays: scripts/flavour.sh, which make calls,
/// sees to that.
fn notice_flavour(lib: &Path) {
    let root = lib.parent().unwrap_or(lib);
    // Cargo takes a file that is not there for one that has changed.
    let files = ["build-version", "version.py", "lib"].map(|file| root.join(file));
    for file in files.iter().filter(|file| file.exists()) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let python = read("version.py");
    let python = python.lines().find(|line| line.starts_with("__version__"));
    let version = match read("build-version").trim() {
        "" => python.and_then(|line| line.split(['\'', '"']).nth(1)).unwrap_or("").to_owned(),
        version => version.to_owned(),
    };
    let kind = if root.join("lib/libtorch_cuda.so").exists() { "CUDA" } else { "CPU" };
    println!("cargo:rustc-env=EARLYBIRD_LIBTORCH_VERSION={version}");
    println!("cargo:rustc-env=EARLYBIRD_LIBTORCH_KIND={kind}");
}

/// The folders of CUDA's headers, where LibTorch at `lib` has CUDA: those of its Python packages,
/// else those of an installed toolkit. None without CUDA, or where a header is missing.
fn cuda_headers(lib: &Path) -> Vec<PathBuf> {
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    if !lib.join("libtorch_cuda.so").exists() {
        return Vec::new();
    }
    let lib = lib.canonicalize().unwrap_or_else(|_| lib.to_owned());
    let packages = lib.ancestors().nth(2).map(|site| site.join("nvidia")).unwrap_or_default();
    let toolkit = std::env::var_os("CUDA_HOME").map_or("/usr/local/cuda".into(), PathBuf::from);
    let folders = [
        packages.join("cuda_runtime/include"),
        packages.join("cuda_nvcc/include"),
        packages.join("cu13/include"),
        toolkit.join("include"),
    ];
    let holds = |header: &str| folders.iter().any(|folder| folder.join(header).exists());
    if let Some(missing) =
        ["cuda_runtime_api.h", "crt/host_defines.h"].iter().find(|header| !holds(header))
    {
        // Cargo looks again at each build, until they are there.
        for folder in &folders {
            println!("cargo:rerun-if-changed={}", folder.join(missing).display());
        }
        println!(
            "cargo:warning=no CUDA graphs: {missing} is missing. Set CUDA_HOME to a CUDA toolkit, \
             or pip install nvidia-cuda-nvcc-cu12 (CUDA 13: nvidia-cuda-crt) beside torch"
        );
        return Vec::new();
    }
    folders.into_iter().filter(|folder| folder.exists()).collect()
}

/// What each type of the header is in Rust.
const TYPES: [(&str, &str); 11] = [
    ("const at::Tensor*", "*const C_tensor"),
    ("at::Tensor*", "*mut C_tensor"),
    ("const at::Tensor* const*", "*const *const C_tensor"),
    ("at::Tensor* const*", "*const *mut C_tensor"),
    ("void", "()"),
    ("void*", "*mut c_void"),
    ("const char*", "*const c_char"),
    ("const void*", "*const c_void"),
    ("int64_t", "i64"),
    ("double", "f64"),
    ("bool", "bool"),
];

/// One function of the header.
struct Prototype {
    name: String,
    /// Name and type of each parameter, in Rust.
    parameters: Vec<(String, String)>,
    returns: String,
}

/// Writes the Rust declarations of the header's functions to `shim.rs` in the output folder. So
/// there is one source for both sides: the C++ compiler holds the definitions to the header, and
/// Rust sees nothing else.
fn write_declarations() {
    let header = std::fs::read_to_string(HEADER).unwrap_or_else(|e| panic!("{HEADER}: {e}"));
    let functions: Vec<Prototype> = prototypes(&header)
        .map(|text| read(text.trim()).unwrap_or_else(|why| panic!("{HEADER}: {why}: {text}")))
        .collect();
    let mut rust = format!(
        "// Written by build.rs from {HEADER}.\n#[cfg_attr(not(test), allow(dead_code))] // tests \
         alone call some\nunsafe extern \"C\" {{\n"
    );
    let mut takes_tensors = String::new();
    for Prototype { name, parameters, returns } in &functions {
        let listed: Vec<String> = parameters.iter().map(|(n, t)| format!("{n}: {t}")).collect();
        rust.push_str(&format!("    fn {name}({}) -> {returns};\n", listed.join(", ")));
        let is_tensor = |(_, t): &&(String, String)| t.ends_with(" C_tensor");
        let tensors: Vec<&str> =
            parameters.iter().filter(is_tensor).map(|(n, _)| n.as_str()).collect();
        if !tensors.is_empty() {
            takes_tensors.push_str(&format!("    ({name:?}, &{tensors:?}),\n"));
        }
    }
    rust.push_str(&format!(
        "}}\n/// The functions that take tensors, and the names of these.\n#[cfg(test)]\nconst \
         TAKE_TENSORS: &[(&str, &[&str])] = &[\n{takes_tensors}];\n"
    ));
    let folder = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    let file = folder.join("shim.rs");
    std::fs::write(&file, rust).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

/// The prototypes in the header's `extern "C"` block, without comments, each on one line.
fn prototypes(header: &str) -> impl Iterator<Item = String> {
    let code: Vec<&str> =
        header.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, block) = code.split_once("extern \"C\" {").unwrap_or_default();
    let block = block.rsplit_once('}').map_or(block, |(block, _)| block).to_owned();
    let each: Vec<String> = block.split(';').map(|text| text.trim().to_owned()).collect();
    each.into_iter().filter(|text| !text.is_empty())
}

/// Reads `TYPE NAME(TYPE NAME, TYPE NAME[LENGTH])`.
fn read(prototype: &str) -> Result<Prototype, String> {
    let (declared, parameters) = prototype
        .strip_suffix(')')
        .and_then(|text| text.split_once('('))
        .ok_or("not a prototype")?;
    let (name, returns) = named(declared)?;
    let parameters = parameters.split(',').map(str::trim).filter(|p| !p.is_empty()).map(named);
    Ok(Prototype { name, parameters: parameters.collect::<Result<_, _>>()?, returns })
}

/// The name, and its type in Rust, of `TYPE NAME` or `TYPE NAME[LENGTH]`.
fn named(declared: &str) -> Result<(String, String), String> {
    let (kind, name) = declared.rsplit_once(' ').ok_or("a type or a name is missing")?;
    let known = TYPES.iter().find(|(cpp, _)| *cpp == kind);
    let (_, rust) = known.ok_or_else(|| format!("build.rs does not know the type \"{kind}\""))?;
    match name.strip_suffix(']').and_then(|n| n.split_once('[')) {
        None => Ok((name.to_owned(), (*rust).to_owned())),
        Some((name, length)) => Ok((name.to_owned(), format!("*mut [{rust}; {length}]"))),
    }
}
