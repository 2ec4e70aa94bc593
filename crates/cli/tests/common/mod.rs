//! A project directory, and the binary run in it.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

/// Exit status, standard output, standard error.
pub(crate) type Ran = (i32, String, String);

pub(crate) fn project(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        // Makes stubs of programs executable.
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    directory
}

/// Runs `bowline` in a directory, with these variables and the test's own, except those that templates read.
pub(crate) fn bowline(directory: &Path, variables: &[(&str, &str)], words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bowline"));
    command
        .current_dir(directory)
        .env_remove("KAMAL_DESTINATION")
        .envs(variables.iter().copied())
        .args(words);
    ran(&mut command)
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
