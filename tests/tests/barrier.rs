//! The deployment barrier: S2 and S3, and every way that it opens or closes.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Sandbox};
use bowline_tests::watch::{Watch, ever, told, when};

const WORKER: &str = "cmd: /app/server worker";

fn web_and_worker(sandbox: &Sandbox, lease: &Lease, name: &str) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    project.roles(&[("web", &[&lease[0].address], ""), ("worker", &[&lease[1].address], WORKER)]);
    project
}

#[test]
fn s02_new_containers_start_at_once_or_behind_the_barrier_and_other_roles_keep_the_old_until_one_of_the_primary_is_healthy()
 {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = web_and_worker(sandbox, &lease, "barrier");
    project.deploy("v1").ok();
    let (web, worker) = (Watch::on(&lease[0]), Watch::on(&lease[1]));
    project.build_arg("START_DELAY_MS", "5000");
    let ran = project.deploy("v2");
    ran.says("barrier open").exits(0);

    let (web, worker) = (web.stop(), worker.stop());
    let healthy = when(&web, "health_status: healthy", &project.container("web", "v2"));
    let started = when(&worker, "start", &project.container("worker", "v2"));
    let stopped = when(&worker, "kill", &project.container("worker", "v1"));
    let story = format!("web:\n{}worker:\n{}", told(&web), told(&worker));
    assert!(started < healthy, "the new worker doesn't wait to be booted\n{story}");
    // The worker is ready after a second, and its old container keeps running until the web role is healthy.
    assert!(stopped > healthy && healthy - started > 3_000_000_000, "the old worker waits\n{story}");
    expect::runs(&project, &lease[0], &[("web", "v2")]);
    expect::runs(&project, &lease[1], &[("worker", "v2")]);

    project.set("boot", "\n  barrier: before_boot");
    let (web, worker) = (Watch::on(&lease[0]), Watch::on(&lease[1]));
    project.build_arg("START_DELAY_MS", "2000");
    project.deploy("v3").ok();
    let (web, worker) = (web.stop(), worker.stop());
    let healthy = when(&web, "health_status: healthy", &project.container("web", "v3"));
    let made = when(&worker, "create", &project.container("worker", "v3"));
    assert!(made > healthy, "web:\n{}worker:\n{}", told(&web), told(&worker));
}

#[test]
fn s02_a_role_without_health_check_is_ready_only_if_it_still_runs_after_the_readiness_delay() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "ready");
    let address = server.address.as_str();
    project.roles(&[("web", &[address], ""), ("worker", &[address], WORKER)]);
    project.deploy("v1").ok();
    project.roles(&[
        ("web", &[address], ""),
        ("worker", &[address], "cmd: sh -c 'echo leaving soon; sleep 1; exit 3'"),
    ]);
    project.set("readiness_delay", "3");
    let ran = project.deploy("v2");
    ran.exits(1).says("worker").says("leaving soon");
    expect::runs(&project, server, &[("web", "v2"), ("worker", "v1")]);
    expect::unlocked(&project, server);
}

#[test]
fn s02_a_worker_that_ends_while_it_waits_for_the_primary_takes_no_place() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = web_and_worker(sandbox, &lease, "waiting");
    project.set("readiness_delay", "1");
    project.deploy("v1").ok();
    // The worker is ready after one second and exits after five. The web role needs ten.
    project.roles(&[
        ("web", &[&lease[0].address], ""),
        ("worker", &[&lease[1].address], "cmd: sh -c 'echo leaving later; sleep 5; exit 3'"),
    ]);
    project.build_arg("START_DELAY_MS", "10000");
    let worker = Watch::on(&lease[1]);
    let ran = project.deploy("v2");
    let worker = worker.stop();
    ran.exits(1).says("leaving later").says("last with code 3");
    let old = project.container("worker", "v1");
    assert!(!ever(&worker, "kill", &old) && !ever(&worker, "die", &old), "never touched\n{}", told(&worker));
    expect::runs(&project, &lease[0], &[("web", "v2")]);
    expect::runs(&project, &lease[1], &[("worker", "v1")]);
    expect::unlocked(&project, &lease[0]);
}

#[test]
fn s03_a_primary_role_that_fails_closes_the_barrier_and_the_old_workers_go_on() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = web_and_worker(sandbox, &lease, "closed");
    project.deploy("v1").ok();
    let worker = Watch::on(&lease[1]);
    project.build_arg("EXIT_AT_BOOT", "9");
    // Only the web role exits at boot. The worker of the same version unsets the variable.
    project.roles(&[
        ("web", &[&lease[0].address], ""),
        ("worker", &[&lease[1].address], "cmd: sh -c 'EXIT_AT_BOOT= exec /app/server worker'"),
    ]);
    let ran = project.deploy("v2");
    ran.exits(1).says("keeps its old version: no web container became healthy");
    let worker = worker.stop();
    let (old, new) = (project.container("worker", "v1"), project.container("worker", "v2"));
    assert!(
        ever(&worker, "start", &new) && ever(&worker, "die", &new),
        "booted, and shut down\n{}",
        told(&worker)
    );
    assert!(!ever(&worker, "kill", &old) && !ever(&worker, "die", &old), "never touched\n{}", told(&worker));
    expect::runs(&project, &lease[0], &[("web", "v1")]);
    expect::runs(&project, &lease[1], &[("worker", "v1")]);
    expect::unlocked(&project, &lease[0]);
}

#[test]
fn a_primary_server_that_is_down_is_named_and_all_others_finish() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    let (down, up) = (lease[0].address.as_str(), lease[1].address.as_str());
    let mut project = Project::new(sandbox, &lease, "one-down");
    project.roles(&[("web", &[down, up], ""), ("worker", &[&lease[2].address], WORKER)]);
    project.deploy("v1").ok();
    let broken = lease[0].without_sshd();
    let ran = project.deploy("v2");
    ran.exits(4).says(down).says("refused");
    expect::runs(&project, &lease[1], &[("web", "v2")]);
    expect::runs(&project, &lease[2], &[("worker", "v2")]);
    drop(broken);
    expect::runs(&project, &lease[0], &[("web", "v1")]);
    for server in lease.iter() {
        expect::unlocked(&project, server);
    }
    project.deploy("v2").ok();
    expect::runs(&project, &lease[0], &[("web", "v2")]);
}

#[test]
fn a_run_without_the_primary_role_waits_for_nobody_and_one_that_cannot_reach_it_begins_nothing() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = web_and_worker(sandbox, &lease, "filtered");
    project.deploy("v1").ok();
    let watch = Watch::on(&lease[0]);
    project.build_arg("VERSION", "v2");
    project.bowline(&["deploy", "--version", "v2", "--roles", "worker"]).ok();
    let all = watch.stop();
    assert!(
        all.iter().all(|event| event.kind != "container"),
        "the web server isn't touched\n{}",
        told(&all)
    );
    expect::runs(&project, &lease[0], &[("web", "v1")]);
    expect::runs(&project, &lease[1], &[("worker", "v2")]);
    expect::unlocked(&project, &lease[1]);
    let nothing = project.bowline(&["deploy", "--version", "v3", "--roles", "wrker"]);
    nothing.exits(2).says("wrker");
    expect::runs(&project, &lease[1], &[("worker", "v2")]);

    // That was deliberate. If the primary role is unreachable instead, nothing starts.
    let broken = lease[0].without_sshd();
    let watch = Watch::on(&lease[1]);
    let ran = project.deploy("v3");
    ran.exits(4).says(&lease[0].address);
    let all = watch.stop();
    assert!(all.iter().all(|event| event.kind != "container"), "{}", told(&all));
    drop(broken);
    expect::runs(&project, &lease[1], &[("worker", "v2")]);
    expect::unlocked(&project, &lease[1]);
}
