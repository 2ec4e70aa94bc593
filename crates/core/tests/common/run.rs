//! Runs a script as a server would, in a directory whose `bin` has the server's programs.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bowline_core::shell::{Input, Script};

/// Runs a script to its end in its own process group, so that a test can end all its processes.
pub(crate) fn run(home: &Path, script: &Script) -> Output {
    let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
    let mut child = Command::new("sh")
        .args(["-c", &script.sent()])
        .current_dir(home)
        .env("PATH", path)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Input::Secret(input) = &script.input {
        // A script that exits early may not read its input.
        let _ = stdin.write_all(input.expose().as_bytes());
    }
    drop(stdin);
    child.wait_with_output().unwrap()
}
