//! The shells that servers have as `sh`. `bin/setup` installs those that a machine lacks. A missing one fails the test.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that can't go on has failed"
)]

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// This machine's `sh`, and shells that other systems use as `sh`.
const SHELLS: [&str; 4] = ["sh", "dash", "bash", "busybox"];

thread_local! {
    static SHELL: Cell<&'static str> = const { Cell::new("sh") };
}

/// Prints the shell under which a test failed.
struct Under(&'static str);

impl Drop for Under {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was under {}", self.0);
        }
    }
}

fn program(shell: &str) -> PathBuf {
    let found =
        ["/bin", "/usr/bin"].map(|at| Path::new(at).join(shell)).into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{shell} is not installed (`bin/setup` does that)"))
}

/// The shells one after the other. Servers that [`link`] sets up in the meantime use the current one.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    let mut tried = Vec::new();
    SHELLS.into_iter().filter(move |shell| {
        let program = fs::canonicalize(program(shell)).unwrap();
        let new = !tried.contains(&program);
        tried.push(program);
        SHELL.set(shell);
        new
    })
}

pub(crate) fn each(test: impl Fn()) {
    for shell in all() {
        let _under = Under(shell);
        test();
    }
}

/// Puts the current shell into a directory of programs, as `sh`.
pub(crate) fn link(bin: &Path) {
    fs::create_dir_all(bin).unwrap();
    symlink(program(SHELL.get()), bin.join("sh")).unwrap();
}
