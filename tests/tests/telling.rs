//! What commands report: `-v` counts few commands per server, and read-only commands show the right state.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Ran, Sandbox};

/// The servers and their numbers of sequential commands that `-v` prints at the end.
fn commands(ran: &Ran) -> Vec<(String, usize)> {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("commands in sequence: "))
        .filter_map(|rest| rest.rsplit_once(' '))
        .map(|(host, number)| (host.to_owned(), number.parse().unwrap()))
        .collect()
}

#[test]
fn a_deploy_takes_few_commands_on_each_server_and_says_how_many() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    let mut project = Project::new(sandbox, &lease, "counted");
    let all = lease.addresses();
    project.roles(&[("web", &all, ""), ("worker", &[all[2]], "cmd: /app/server worker")]);
    for version in ["v1", "v2"] {
        project.build_arg("VERSION", version);
        let ran = project.bowline(&["deploy", "-v", "--version", version]);
        ran.exits(0);
        let numbers = commands(&ran);
        assert_eq!(numbers.len(), 3, "{ran}");
        for (host, number) in numbers {
            let most = if host == lease[0].address { 12 } else { 10 };
            assert!(
                (3..=most).contains(&number),
                "{number} commands in sequence on {host}, at most {most}\n{ran}"
            );
        }
    }
    for server in lease.iter() {
        expect::unlocked(&project, server);
    }
}

#[test]
fn the_commands_that_look_tell_what_is_there() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "looks");
    project.deploy("v1").ok();
    let version = project.bowline(&["app", "version"]);
    version.exits(0).says("v1").says(&lease[0].address).says(&lease[1].address);
    project.bowline(&["app", "details"]).says(&project.container("web", "v1")).exits(0);
    project.bowline(&["app", "logs", "-n", "20"]).says("v1").exits(0);
    // Follows all servers at once. Lines appear as they are written, until an interrupt.
    let mut followed = project.spawn(&["app", "logs", "-f", "-T", "-g", "listening"]);
    for server in lease.iter() {
        followed.wait_for(&server.address, Duration::from_secs(20));
    }
    followed.signal("INT");
    followed.wait(Duration::from_secs(10)).says("version v1 listening");
    project.bowline(&["audit"]).says("Booted app version v1").exits(0);
    project.bowline(&["config"]).says(&project.service).never_says(&sandbox.registry_password).exits(0);
    project.bowline(&["version"]).says("0.1.0").exits(0);
    let exec = project.bowline(&["app", "exec", "--reuse", "sh -c 'echo here; exit 5'"]);
    exec.exits(5).says("here");
    let once =
        project.bowline(&["app", "exec", "-h", &lease[1].address, "sh -c 'echo on $KAMAL_HOST$VERSION'"]);
    once.exits(0).says("v1").never_says(&lease[0].address);
    assert_eq!(lease[1].containers(&project.service).len(), 1, "exec leaves no container");
}
