//! Deploys to many simulated servers, which speak SSH and answer a deploy's scripts.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::path::Path;
use std::time::Duration;

use bowline_tests::fleet::Fleet;
use bowline_tests::project::binary;

#[test]
fn three_hundred_servers_are_deployed_with_256_open_files() {
    let fleet = Fleet::start(Path::new(env!("CARGO_BIN_EXE_fleet")), 300, Duration::ZERO);
    let took = fleet.deploy(&binary(), Some(256));
    assert!(took.good, "{}", took.said);
    assert_eq!(took.started, 300, "servers that started the new version: {}", took.said);
}
