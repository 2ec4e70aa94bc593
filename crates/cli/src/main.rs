//! The binary `bowline`. Everything is in the library, where tests and examples reach it.

fn main() -> std::process::ExitCode {
    bowline_cli::main()
}
