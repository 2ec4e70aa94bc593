//! The binary `bowline-proxy`, also called under the name `kamal-proxy`. Everything is in the library.

fn main() -> std::process::ExitCode {
    bowline_proxy::main()
}
