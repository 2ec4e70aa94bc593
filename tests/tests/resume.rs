//! Running a deploy again after it failed on one server: it continues there and leaves the other servers alone.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::Sandbox;
use bowline_tests::watch::{Watch, told};

#[test]
fn a_deploy_that_failed_on_one_server_goes_on_there_and_leaves_the_others_alone() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    let mut project = Project::new(sandbox, &lease, "resume");
    project.secret("TOKEN", "one").set("env", "{secret: [TOKEN]}");
    let servers = |tag: &str| -> String {
        let host = |(n, address): (usize, &str)| format!("\n  - {address}{}", if n == 1 { tag } else { "" });
        lease.addresses().into_iter().enumerate().map(host).collect()
    };
    project.set("servers", &servers(": odd")).set("env_tags", "\n  odd:\n    EXIT_AT_BOOT: 5");
    project.deploy("v1").exits(1).says("1 of 3 servers");
    project.set("servers", &servers("")).unset("env_tags");

    project
        .bowline(&["plan", "--version", "v1"])
        .says(&format!("{}, {} already run v1: nothing to do there", lease[0].address, lease[2].address))
        .ok();
    let watches = [Watch::on(&lease[0]), Watch::on(&lease[2])];
    let again = project.deploy("v1");
    again.says("already run v1: nothing to do there").ok();
    for watch in watches {
        let all = watch.stop();
        assert!(all.iter().all(|event| event.kind != "container"), "{}", told(&all));
    }
    for server in lease.iter() {
        expect::runs(&project, server, &[("web", "v1")]);
        expect::unlocked(&project, server);
        let latest = expect::image_id(&project, server, "latest");
        assert_eq!(latest, expect::image_id(&project, server, "v1"), "latest on {}", server.name);
    }
}
