//! `app logs`: from all servers, across a deploy, and without leaving processes on servers.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn follows(server: &Server) -> bool {
    server.run("pgrep -x docker -a | grep -w logs").code == Some(0)
}

/// Waits until no process of a log command runs on a server.
#[track_caller]
fn nothing_left(server: &Server) {
    wait_until("the end of what followed", Duration::from_secs(10), || {
        server.run("ps -eo stat=,args= | grep -E '^[^Z ]+ +(docker logs|grep --line)'").code == Some(1)
    });
}

#[test]
fn logs_are_followed_on_all_servers_through_a_deploy_and_leave_no_process() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "followed");
    project.set("readiness_delay", "1");
    project.deploy("v1").ok();
    let mut followed = project.spawn(&["app", "logs", "-f", "-T"]);
    for server in lease.iter() {
        followed.wait_for(&format!("{}: ", server.address), SOON);
    }
    project.deploy("v2").ok();
    let (old, new) = (project.container("web", "v1"), project.container("web", "v2"));
    for server in lease.iter() {
        followed.wait_for(&format!("{}: note: {old} has exited; following {new}", server.address), SOON);
    }
    followed.wait_for("version v2 listening", SOON);
    followed.signal("INT");
    followed.wait(SOON).exits(130).says("version v1 listening");
    lease.iter().for_each(nothing_left);

    // Without a matching line, the remote command would never notice that the reader is gone.
    let quiet = |signal| {
        let followed = project.spawn(&["app", "logs", "-f", "-g", "no line has this", "-o", "-F -i"]);
        lease.iter().for_each(|server| wait_until("it follows", SOON, || follows(server)));
        match signal {
            Some(signal) => followed.signal(signal),
            None => lease.iter().for_each(|server| drop(server.without_sshd())),
        }
        let ran = followed.wait(SOON);
        lease.iter().for_each(nothing_left);
        ran
    };
    quiet(Some("TERM")).exits(130);
    quiet(Some("KILL"));
    quiet(None).exits(4).says("the connection was lost");

    // Selects a stopped container by name, passes grep's flags, and reports a missing container.
    let stopped = project.bowline(&["app", "logs", "--container-id", &old, "-g", "LISTENING", "-o", "-i"]);
    stopped.exits(0).says("version v1 listening").never_says("version v2");
    project.bowline(&["app", "logs", "--container-id", "f00d"]).exits(2).says("app containers");
    project.bowline(&["app", "logs", "-o", "-i"]).exits(2).says("--grep");
}
