//! A full disk at each place where a deploy writes: the output names the server, and the old version serves.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::broken::Filled;
use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Ran, Sandbox, Server};

const FULL: &str = "No space left on device";

/// A project on servers whose disks for `.kamal` can be filled, with `v1` serving. The first server has the lock.
fn serving(lease: &Lease, name: &str) -> Project {
    for server in lease.iter() {
        server.with_small_disk();
    }
    let mut project = Project::new(Sandbox::get(), lease, name);
    project.set("env", "\n  secret:\n    - TOKEN");
    project.secret("TOKEN", &"x".repeat(3000));
    project.deploy("v1").ok();
    project
}

#[track_caller]
fn nothing_changed(project: &Project, lease: &Lease, ran: &Ran) {
    ran.exits(1).says(FULL).says("its disk is full: `df -h; df -i`");
    for server in lease.iter() {
        expect::runs(project, server, &[("web", "v1")]);
        expect::unlocked(project, server);
        assert_eq!(server.get("/version").as_deref(), Some("v1"), "{ran}");
    }
}

#[test]
fn a_full_disk_at_the_lock_changes_nothing_and_is_told() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(&lease, "full-lock");
    // No directory can be created, and so no lock.
    let full = lease[0].without_inodes();
    let ran = project.deploy("v2");
    nothing_changed(&project, &lease, &ran);
    drop(full);
    // The lock's directory can be created, but not its files.
    let full = lease[0].without_blocks();
    let ran = project.deploy("v2");
    nothing_changed(&project, &lease, &ran);
    drop(full);
    project.deploy("v2").ok();
    expect::runs(&project, &lease[0], &[("web", "v2")]);
}

#[test]
fn a_full_disk_where_files_and_images_go_fails_that_server_alone() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(&lease, "full-files");
    let ways: [fn(&Server) -> Filled; 2] = [Server::without_blocks, Server::without_room_for_images];
    // No other test builds these versions, so the servers have none of their layers.
    let [second, third] = ["v2", "v3"].map(|version| format!("{version}-{}", std::process::id()));
    let steps = [("v1", second.as_str()), (second.as_str(), third.as_str())];
    for (fill, (before, version)) in ways.into_iter().zip(steps) {
        let full = fill(&lease[1]);
        project.build_arg("VERSION", version);
        let ran = project.bowline(&["deploy", "--version", version]);
        ran.exits(1).says("1 of 2 servers").says(&lease[1].address);
        assert!(ran.stderr.to_lowercase().contains(&FULL.to_lowercase()), "{ran}");
        ran.says("its disk is full");
        expect::runs(&project, &lease[0], &[("web", version)]);
        expect::runs(&project, &lease[1], &[("web", before)]);
        assert_eq!(lease[1].get("/version").as_deref(), Some(before), "{ran}");
        drop(full);
        for server in lease.iter() {
            expect::unlocked(&project, server);
        }
        project.bowline(&["deploy", "--version", version]).ok();
        expect::runs(&project, &lease[1], &[("web", version)]);
        expect::no_loose_cords(&project, &lease[1]);
    }
}
