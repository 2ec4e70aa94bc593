//! The binary `bowline`. Its code is in the library, where tests and examples can use it.

fn main() -> std::process::ExitCode {
    bowline_cli::main()
}
