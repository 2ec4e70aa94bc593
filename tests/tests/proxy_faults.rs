//! Faults of a server's proxy, between deploys and during one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::proxy::CONTAINER;
use bowline_tests::sandbox::{Sandbox, wait_until};

#[test]
fn a_proxy_that_lost_its_routes_gets_them_back_by_the_same_deploy() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "lost-routes");
    let (host, address) = (project.host(), server.address.as_str());
    let other = format!("proxy: {{host: other.{host}, app_port: 3000, healthcheck: {{interval: 1}}}}");
    project.roles(&[("web", &[address], ""), ("other", &[address], &other)]);
    project.deploy("v1").ok();
    let lost = format!("docker rm -f {CONTAINER} && docker volume rm kamal-proxy-config");
    for again in [
        &["deploy", "--version", "v1"][..],
        &["redeploy", "--version", "v1"],
        &["app", "boot", "--version", "v1"],
    ] {
        server.run(&lost).ok();
        let ran = project.bowline(again);
        ran.ok();
        assert!(server.serves(&host, "v1"), "{again:?}: {ran}");
        assert!(server.serves(&format!("other.{host}"), "v1"), "{again:?}: {ran}");
        expect::runs(&project, server, &[("other", "v1"), ("web", "v1")]);
    }
    // A running proxy that has lost its routes is repaired the same way.
    server.run(&format!("docker exec {CONTAINER} kamal-proxy remove {}", project.route("web"))).ok();
    assert_eq!(server.ask(&host, "/version").0, 404);
    project.deploy("v1").ok();
    assert!(server.serves(&host, "v1"));
}

#[test]
fn a_proxy_whose_disk_is_full_goes_on_with_the_old_version_and_says_so() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "full-proxy");
    let host = project.host();
    server.with_small_proxy_disk();
    project.deploy("v1").ok();
    let full = server.without_room_for_the_proxy();
    let ran = project.deploy("v2");
    ran.exits(1).says("can't save the state").says("df -h");
    assert!(server.serves(&host, "v1"), "{ran}");
    expect::runs(&project, server, &[("web", "v1")]);
    drop(full);
    project.deploy("v2").ok();
    // After a restart, a route that wasn't saved would lead to the old version.
    server.run(&format!("docker restart -t 0 {CONTAINER}")).ok();
    wait_until("v2 after the restart", Duration::from_secs(10), || server.serves(&host, "v2"));
    project.bowline(&["remove", "-y"]).ok();
    server.mend();
}
