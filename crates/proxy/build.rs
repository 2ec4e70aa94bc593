//! Links the program statically, so that it runs in an image that holds nothing else.
//!
//! `-C target-feature=+crt-static` does the same for a whole build, but not for `cargo install` or a workspace with procedural macros,
//! unless a target is named. Where the C library has no static part to link with, the program is linked as usual, and `image` refuses it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What Rust's standard library asks the linker for.
const LIBRARIES: [&str; 6] = ["c", "m", "rt", "pthread", "dl", "util"];
/// Unwinding is in a shared library or in these two.
const UNWINDING: &str = "GROUP(-lgcc_eh -lgcc -lc)\n";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let static_already =
        variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    let glibc = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if glibc && !static_already && variable("HOST") == variable("TARGET") {
        link_statically(&PathBuf::from(variable("OUT_DIR")))?;
    }
    Ok(())
}

/// Has the linker find static libraries first, by a directory of scripts that name them.
fn link_statically(directory: &Path) -> io::Result<()> {
    for library in LIBRARIES {
        let file = format!("lib{library}.a");
        let Some(path) = static_library(&file) else {
            println!("cargo::warning=there is no {file}: bowline-proxy can't become an image");
            return Ok(());
        };
        fs::write(directory.join(file), format!("INPUT({})\n", path.display()))?;
    }
    fs::write(directory.join("libgcc_s.a"), UNWINDING)?;
    println!("cargo::rustc-link-arg-bins=-L{}", directory.display());
    println!("cargo::rustc-link-arg-bins=-static-pie");
    Ok(())
}

fn static_library(file: &str) -> Option<PathBuf> {
    let compiler = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let found = Command::new(compiler).arg(format!("-print-file-name={file}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(found.stdout).ok()?.trim_end());
    path.is_absolute().then_some(path)
}
