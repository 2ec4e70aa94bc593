//! The deploy lock: one deploy at a time, manual locks are respected, a dead owner's lock is taken over.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::{DEADLINE, Project};
use bowline_tests::sandbox::{Sandbox, wait_until};
use bowline_tests::watch::{Watch, told};

#[test]
fn a_lock_by_hand_stops_deploys_and_says_whose_it_is_and_why() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "by-hand");
    project.deploy("v1").ok();
    project.commit();
    project.bowline(&["lock", "status"]).exits(0).never_says("Message:");
    project.bowline(&["lock", "acquire", "-m", "moving house until noon"]).ok();
    project.bowline(&["lock", "status"]).says("moving house until noon").says(&server.address).exits(0);

    let watch = Watch::on(server);
    let refused = project.deploy("v2");
    refused.exits(3).says("moving house until noon").says(&server.address).says("lock release");
    project.bowline(&["rollback", "v1"]).exits(3);
    project.bowline(&["lock", "acquire", "-m", "me too"]).exits(3).says("moving house until noon");
    let all = watch.stop();
    assert!(all.iter().all(|event| event.kind != "container"), "{}", told(&all));
    expect::runs(&project, server, &[("web", "v1")]);

    project.bowline(&["lock", "release"]).ok();
    expect::unlocked(&project, server);
    project.deploy("v2").ok();
    expect::runs(&project, server, &[("web", "v2")]);
}

#[test]
fn of_two_deploys_at_once_one_goes_on_and_the_other_says_who_is_first_and_a_killed_ones_lock_is_taken_over() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "two");
    project.deploy("v1").ok();
    project.build_arg("START_DELAY_MS", "4000");
    let first = project.start_deploy("v2");
    let lock = format!(".kamal/lock-{}/owner", project.service);
    wait_until("the first one's lock", Duration::from_secs(60), || server.has(&lock));
    let second = project.deploy("v3");
    second.exits(3).says("Automatic deploy lock").says("v2");
    first.wait(DEADLINE).ok();
    expect::runs(&project, server, &[("web", "v2")]);
    expect::unlocked(&project, server);

    // A killed deploy leaves its lock, and the next one doesn't wait for it.
    let watch = Watch::on(server);
    let new = project.container("web", "v3");
    let running = project.start_deploy("v3");
    watch.wait_for("the new container", Duration::from_secs(60), |event| event.is("start", &new));
    running.signal("KILL");
    let _ = running.wait(DEADLINE);
    let lock = format!(".kamal/lock-{}", project.service);
    assert!(server.has(&lock), "a killed run leaves its lock");
    let second = project.deploy("v4");
    second.says("took over").exits(0);
    expect::runs(&project, server, &[("web", "v4")]);
    expect::unlocked(&project, server);
    project.bowline(&["audit"]).says("Took over the deploy lock").exits(0);
}

#[test]
fn kamal_s_own_lock_is_never_taken_over() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "kamal");
    let lock = format!(".kamal/lock-{}", project.service);
    let details = "echo 'Locked by: Kim at 2026-01-01T00:00:00Z' | base64";
    lease[0]
        .run(&format!(
            "mkdir -p {lock} && {details} > {lock}/details && touch -d '3 days ago' {lock}/details {lock}"
        ))
        .ok();
    project.deploy("v1").exits(3).says("Locked by: Kim");
    assert_eq!(lease[0].containers(&project.service), [""; 0]);
    assert!(lease[0].has(&lock));
}

#[test]
fn kamal_and_bowline_keep_out_of_each_others_deploys() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "theirs");
    // A configuration that both can deploy.
    project
        .set("servers", &format!("\n  web: {{hosts: [{}], proxy: false}}", server.address))
        .set("builder", "\n  arch: amd64\n  context: app")
        .set("readiness_delay", "0")
        .unset("healthcheck")
        .unset("traefik");
    sandbox.push_version(&project.service, &project.service, "v1", &[]);
    project.commit();
    project.hook("pre-deploy", "#!/bin/sh\nuntil [ -e go-on ]; do sleep 0.1; done");
    let words = ["deploy", "--skip-push", "--version", "v1"];

    let ours = project.spawn(&words);
    let lock = format!(".kamal/lock-{}/details", project.service);
    wait_until("our lock", Duration::from_secs(60), || server.has(&lock));
    let refused = project.kamal(&words);
    refused.exits(1).says("Deploy lock found");
    project.kamal(&["lock", "status"]).says("Version: v1").ok();
    project.write("go-on", "");
    ours.wait(DEADLINE).ok();
    expect::unlocked(&project, server);

    project.kamal(&["lock", "acquire", "-m", "theirs until noon"]).ok();
    project.bowline(&words).exits(3).says("theirs until noon");
    project.bowline(&["--lock-wait", "1", "app", "stop"]).exits(3).says("theirs until noon");
    project.kamal(&["lock", "release"]).ok();
    project.bowline(&["app", "stop"]).ok();
}
