//! The binary `bowline-proxy`, also installed as `kamal-proxy`. All code is in the library.

fn main() -> std::process::ExitCode {
    bowline_proxy::main()
}
