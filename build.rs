//! Writes the folder of LibTorch's libraries into the binary (rpath), so that it starts without
//! `LD_LIBRARY_PATH`, and compiles the C++ shim of `src/model/kernels`.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/model/kernels/shim.cpp");
    // Set by torch-sys (`links = "tch"`) for the crates that depend on it directly.
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        println!("cargo:warning=torch-sys names no LibTorch folder: call make, which provides one");
        return;
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    println!("cargo:rustc-env=EARLYBIRD_LIBTORCH_LIB={lib}");
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
        .flag("-isystem") // ATen's headers have warnings of their own
        .flag(include.display().to_string())
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .file("src/model/kernels/shim.cpp");
    // The shim's loops share LibTorch's threads where both mean the same OpenMP; else they leave
    // them to ATen.
    if build.get_compiler().is_like_gnu() && Path::new(&lib).join("libgomp.so.1").exists() {
        build.flag("-fopenmp");
        println!("cargo:rustc-link-lib=dylib=gomp");
    }
    build.compile("earlybird_shim");
    println!("cargo:rustc-link-search=native={lib}");
    println!("cargo:rustc-link-lib=dylib=torch_cpu");
    println!("cargo:rustc-link-lib=dylib=c10");
}
