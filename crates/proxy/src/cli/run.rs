//! The options of `run` from its flags and environment, and the paths of the socket and the data.

use std::env;
use std::path::PathBuf;

use super::flags::{self, Flags};
use crate::options::RunOptions;

fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

pub(super) fn socket() -> PathBuf {
    set("KAMAL_PROXY_SOCKET")
        .unwrap_or_else(|| set("XDG_RUNTIME_DIR").unwrap_or_else(env::temp_dir).join("kamal-proxy.sock"))
}

/// The directory of the state and the certificates, created if missing. Falls back to the temporary directory.
pub(super) fn data() -> PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    let data = set("HOME").unwrap_or_else(env::temp_dir).join(".config").join("kamal-proxy");
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data) {
        Ok(()) => data,
        Err(_) => env::temp_dir(),
    }
}

pub(super) fn options(flags: &Flags<'_>) -> Result<RunOptions, String> {
    if flags.bool("http3") {
        return Err("HTTP/3 is not supported yet: start without --http3".to_owned());
    }
    let threads = flags.int("threads");
    let connections = flags.int("max-connections");
    Ok(RunOptions {
        debug: if flags.given.has("debug") { flags.bool("debug") } else { debug_of_environment() },
        http_port: port(flags, "http-port", "HTTP_PORT")?,
        https_port: port(flags, "https-port", "HTTPS_PORT")?,
        metrics_port: port(flags, "metrics-port", "METRICS_PORT")?,
        socket: socket(),
        data: data(),
        header_timeout: flags.duration("header-timeout"),
        idle_timeout: flags.duration("idle-timeout"),
        max_connections: usize::try_from(connections)
            .ok()
            .filter(|&connections| connections > 0)
            .ok_or_else(|| format!("--max-connections must be at least 1, not {connections}"))?,
        threads: usize::try_from(threads)
            .map_err(|_| format!("--threads must not be negative: {threads}"))?,
        proxy_protocol: flags.bool("proxy-protocol"),
        trusted_proxies: flags.list("trusted-proxies"),
        newer_binary: flags.text("newer-binary").into(),
    })
}

/// An environment variable. The one with the prefix `KAMAL_PROXY_` wins.
fn variable(name: &str) -> Option<String> {
    env::var(format!("KAMAL_PROXY_{name}")).or_else(|_| env::var(name)).ok()
}

fn debug_of_environment() -> bool {
    variable("DEBUG").and_then(|text| flags::bool(&text).ok()).unwrap_or_default()
}

/// The seconds from the flag, else from the environment: kamal-proxy ignores that variable but would reject the flag, so
/// a caller that doesn't know which program runs sets the variable.
pub(super) fn retry_after(flags: &Flags<'_>) -> Result<u32, String> {
    const FLAG: &str = "retry-after";
    if !flags.given.has(FLAG) {
        return Ok(variable("RETRY_AFTER").and_then(|text| text.parse().ok()).unwrap_or_default());
    }
    let seconds = flags.int(FLAG);
    u32::try_from(seconds).map_err(|_| format!("--{FLAG} must be a number of seconds, not {seconds}"))
}

/// The port from the flag, else from the environment if it is a number, else the flag's default.
fn port(flags: &Flags<'_>, flag: &str, name: &str) -> Result<u16, String> {
    let of_environment = || variable(name).and_then(|text| text.parse().ok());
    let port =
        if flags.given.has(flag) { flags.int(flag) } else { of_environment().unwrap_or(flags.int(flag)) };
    u16::try_from(port).map_err(|_| format!("listen tcp: address {port}: invalid port"))
}
