//! Tests kamal-proxy's behaviour from outside: through a proxy's command line and ports.
//!
//! The proxy is ours, or the binary in `PROXY_UNDER_TEST`. Tests of what only ours does call `ours_alone!`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests"
)]

/// Whether the proxy is ours. Where kamal-proxy is known to differ, tests require less of other proxies.
fn ours() -> bool {
    std::env::var_os("PROXY_UNDER_TEST").is_none()
}

/// Ends a test that only our proxy must pass.
macro_rules! ours_alone {
    () => {
        if !crate::ours() {
            println!("not asked of other proxies");
            return;
        }
    };
}

#[path = "conformance/app.rs"]
mod app;
#[path = "conformance/client.rs"]
mod client;
#[path = "common/ports.rs"]
mod ports;
#[path = "conformance/proxy.rs"]
mod proxy;

#[path = "conformance/balancing.rs"]
mod balancing;
#[path = "conformance/beyond.rs"]
mod beyond;
#[path = "conformance/buffering.rs"]
mod buffering;
#[path = "conformance/commands.rs"]
mod commands;
#[path = "conformance/deploying.rs"]
mod deploying;
#[path = "conformance/errors.rs"]
mod errors;
#[path = "conformance/headers.rs"]
mod headers;
#[path = "conformance/ipv6.rs"]
mod ipv6;
#[path = "conformance/logging.rs"]
mod logging;
#[path = "conformance/pausing.rs"]
mod pausing;
#[path = "conformance/rollout.rs"]
mod rollout;
#[path = "conformance/routing.rs"]
mod routing;
#[path = "conformance/rules.rs"]
mod rules;
#[path = "conformance/state.rs"]
mod state;
#[path = "conformance/streams.rs"]
mod streams;
#[path = "conformance/tls.rs"]
mod tls;
