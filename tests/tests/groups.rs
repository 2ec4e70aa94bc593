//! Boot groups: their order, the hooks around each, and how a failure in one affects the others.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::rollout::{Visitors, under_load};
use bowline_tests::sandbox::{Lease, Sandbox};

/// A project with two web servers that boot one after the other. Tags set each server's environment.
fn one_by_one(sandbox: &Sandbox, lease: &Lease, name: &str, boot: &str) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    let servers = format!("\n  - {}: first\n  - {}: second", lease[0].address, lease[1].address);
    project.set("servers", &servers).set("boot", boot).build_arg("ON_TERM", "exit");
    tags(&mut project, "", "");
    for hook in ["pre-app-boot", "post-app-boot"] {
        project.hook(hook, &format!("#!/bin/sh\necho {hook} $KAMAL_HOSTS >> hooks.txt\n"));
    }
    project
}

fn tags(project: &mut Project, first: &str, second: &str) {
    project.set(
        "env_tags",
        &format!("\n  first: {{EXIT_AT_BOOT: '{first}'}}\n  second: {{EXIT_AT_BOOT: '{second}'}}"),
    );
}

fn hooks(project: &Project) -> String {
    let path = project.path().join("hooks.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    text
}

#[test]
fn a_failure_in_a_group_stops_those_after_it_and_those_before_it_keep_what_they_have() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = one_by_one(sandbox, &lease, "turns", "{limit: 1, wait: 1}");
    let (first, second) = (lease[0].address.clone(), lease[1].address.clone());
    project.deploy("v1").ok();
    let turns = [&first, &second].map(|host| format!("pre-app-boot {host}\npost-app-boot {host}\n")).concat();
    assert_eq!(hooks(&project), turns);
    tags(&mut project, "7", "");
    let ran = project.deploy("v2");
    ran.exits(1)
        .says("failed on 1 of 2 servers")
        .says(&format!("{first} (web): v1"))
        .says(&format!("{second} (web): v1"));
    assert_eq!(hooks(&project), format!("pre-app-boot {first}\n"), "the second group is not begun");
    tags(&mut project, "", "7");
    let ran = project.deploy("v3");
    ran.exits(1).says(&format!("{first} (web): v3")).says(&format!("{second} (web): v1"));
    expect::runs(&project, &lease[0], &[("web", "v3")]);
    expect::runs(&project, &lease[1], &[("web", "v1")]);
}

#[test]
fn on_failure_rollback_takes_switched_servers_back_and_loses_no_request() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = one_by_one(sandbox, &lease, "all-or-none", "{limit: 50%, on_failure: rollback}");
    project.deploy("v1").ok();
    let had = expect::inspect(&lease[0], &project.container("web", "v1"), "{{.Id}}");
    tags(&mut project, "", "7");
    let visitors = Visitors::new(vec![lease[0].url("/")], 2, 2000);
    let rollout = under_load(&visitors, "v2", "v1", || project.deploy("v2"));
    rollout.ran.exits(1).says("went back to version v1").says(&format!("{} (web): v1", lease[0].address));
    for (_, report) in rollout.reports() {
        report.assert_clean(2000);
        assert!(report.by_version.contains_key("v2"), "the first server had been switched: {report:#}");
    }
    for server in lease.iter() {
        expect::runs(&project, server, &[("web", "v1")]);
        expect::unlocked(&project, server);
        let latest = expect::image_id(&project, server, "latest");
        assert_eq!(latest, expect::image_id(&project, server, "v1"), "latest on {}", server.name);
    }
    let has = expect::inspect(&lease[0], &project.container("web", "v1"), "{{.Id}}");
    assert_eq!(has, had, "the very container that served before");
    tags(&mut project, "", "");
    project.deploy("v3").ok();
    project.bowline(&["rollback"]).says("v1").ok();
    expect::runs(&project, &lease[0], &[("web", "v1")]);
}
