//! The command line: commands, flags, environment, exit codes.

use std::process::ExitCode;

/// Does what the command line says.
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
