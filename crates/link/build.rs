//! The build script of both programs: links them statically on Linux with glibc.
//!
//! Such a program runs in an image that holds nothing else, and on any Linux, whatever its C library is. `-C target-feature=+crt-static`
//! does the same for a whole build, but not for `cargo install` or a workspace with procedural macros, unless a target is named. Where the
//! C library has no static part to link with, the program is linked as usual. `BOWLINE_LINK=dynamic` asks for that.
//!
//! glibc loads the modules of `/etc/nsswitch.conf` at run time, also into a static program. They fit the glibc of the machine, not ours,
//! and the program crashes. `names.c` keeps it to what is built in: files and DNS.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What Rust's standard library asks the linker for.
const LIBRARIES: [&str; 6] = ["c", "m", "rt", "pthread", "dl", "util"];
/// Unwinding is in a shared library or in these two.
const UNWINDING: &str = "GROUP(-lgcc_eh -lgcc -lc)\n";
/// Chooses the linking: `dynamic`, else static where that is possible.
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

/// Has the linker find static libraries first, by a directory of scripts that name them. Says whether it can.
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
