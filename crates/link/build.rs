//! The build script of both programs. It links them statically on Linux with glibc.
//!
//! A static program runs in an image that contains no other file, and on any Linux, whatever its C library.
//! `-C target-feature=+crt-static` does the same for a whole build, but needs an explicit `--target` for
//! `cargo install` and in workspaces with procedural macros. With `BOWLINE_LINK=dynamic`, or if a static C library is
//! missing, the linking stays dynamic.
//!
//! Even in a static program, glibc loads the modules of `/etc/nsswitch.conf` at run time. They are built for the
//! machine's glibc, not ours, and crash the program. `names.c` restricts lookups to the built-in ones, files and DNS.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The libraries that Rust's standard library links with.
const LIBRARIES: [&str; 6] = ["c", "m", "rt", "pthread", "dl", "util"];
/// Linker script for `libgcc_s`, the shared library for unwinding: the static libraries that replace it.
const UNWINDING: &str = "GROUP(-lgcc_eh -lgcc -lc)\n";
/// The variable that selects the linking: `dynamic`, or else static where possible.
const CHOICE: &str = "BOWLINE_LINK";

fn main() -> io::Result<()> {
    let names = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../link/names.c");
    println!("cargo::rerun-if-changed=../link");
    println!("cargo::rerun-if-env-changed={CHOICE}");
    let glibc = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if !glibc || variable("HOST") != variable("TARGET") {
        return Ok(());
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let static_already =
        variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    if static_already || (variable(CHOICE) != "dynamic" && link_statically(&out)?) {
        keep_to_own_names(&names, &out.join("names.o"))?;
    }
    Ok(())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn compiler() -> String {
    env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into())
}

/// Makes the linker prefer static libraries, by linker scripts that name them. Returns false if one is missing.
fn link_statically(directory: &Path) -> io::Result<bool> {
    for library in LIBRARIES {
        let file = format!("lib{library}.a");
        let Some(path) = static_library(&file) else {
            let program = variable("CARGO_PKG_NAME");
            println!(
                "cargo::warning=there is no {file}: {program} is linked dynamically, and bowline-proxy can't become an image"
            );
            return Ok(false);
        };
        fs::write(directory.join(file), format!("INPUT({})\n", path.display()))?;
    }
    fs::write(directory.join("libgcc_s.a"), UNWINDING)?;
    println!("cargo::rustc-link-arg-bins=-L{}", directory.display());
    println!("cargo::rustc-link-arg-bins=-static-pie");
    Ok(true)
}

fn static_library(file: &str) -> Option<PathBuf> {
    let found = Command::new(compiler()).arg(format!("-print-file-name={file}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(found.stdout).ok()?.trim_end());
    path.is_absolute().then_some(path)
}

fn keep_to_own_names(source: &Path, object: &Path) -> io::Result<()> {
    let words = ["-c", "-O2", "-fPIC", "-o"];
    let status = Command::new(compiler()).args(words).arg(object).arg(source).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{} could not compile {}", compiler(), source.display())));
    }
    println!("cargo::rustc-link-arg-bins={}", object.display());
    Ok(())
}
