//! Faults during a deploy, S4 and S5: the old version keeps serving, and the output says what happened where.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::{DEADLINE, Project};
use bowline_tests::sandbox::{Lease, Ran, Sandbox};
use bowline_tests::watch::Watch;

const WORKER: &str = "cmd: /app/server worker";

/// A project with web on both servers and a worker on the second, with `v1` serving.
fn serving(sandbox: &Sandbox, lease: &Lease, name: &str) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    let (first, second) = (lease[0].address.as_str(), lease[1].address.as_str());
    project.roles(&[("web", &[first, second], ""), ("worker", &[second], WORKER)]);
    project.deploy("v1").ok();
    project
}

/// Asserts that the deploy failed, the old version runs and serves everywhere, and the new containers are stopped.
#[track_caller]
fn all_as_before(project: &Project, lease: &Lease, ran: &Ran, versions: [&str; 2]) {
    expect::all_as_before(project, lease, ran, versions);
    for server in lease.iter() {
        assert_eq!(server.get("/version").as_deref(), Some(versions[0]), "{ran}");
    }
}

#[test]
fn s04_an_image_that_exits_at_boot_or_never_gets_healthy_leaves_the_old_version_everywhere() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(sandbox, &lease, "sick");
    project.build_arg("EXIT_AT_BOOT", "7");
    let ran = project.deploy("v2");
    all_as_before(&project, &lease, &ran, ["v1", "v2"]);
    ran.says("cannot boot: EXIT_AT_BOOT=7 asks version v2 to exit at once").says("code 7");
    // Once fixed, the same version can be deployed over the failed containers.
    project.build_arg("EXIT_AT_BOOT", "");
    project.deploy("v2").ok();
    expect::runs(&project, &lease[1], &[("web", "v2"), ("worker", "v2")]);

    project.set("deploy_timeout", "6").set("stop_wait_time", "2");
    project.build_arg("HEALTH", "fail").build_arg("ON_TERM", "ignore");
    let ran = project.deploy("v3");
    all_as_before(&project, &lease, &ran, ["v2", "v3"]);
    ran.says("not healthy within 6 s").says("last health checks").says("503").says("last log lines");
}

#[test]
fn s05_one_servers_failure_is_named_and_the_others_run_to_their_own_end() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    let mut project = Project::new(sandbox, &lease, "one-fails");
    let servers = |tag: &str| -> String {
        lease
            .iter()
            .enumerate()
            .map(|(n, server)| format!("\n  - {}{}", server.address, if n == 1 { tag } else { "" }))
            .collect()
    };
    project.deploy("v1").ok();
    project.set("servers", &servers(": odd")).set("env_tags", "\n  odd:\n    EXIT_AT_BOOT: 5");
    let ran = project.deploy("v2");
    ran.exits(1)
        .says(&format!("{} (web): could not boot", lease[1].address))
        .says("code 5")
        .says("1 of 3 servers");
    for sound in [0, 2] {
        expect::runs(&project, &lease[sound], &[("web", "v2")]);
        let latest = expect::image_id(&project, &lease[sound], "latest");
        assert_eq!(latest, expect::image_id(&project, &lease[sound], "v2"), "tagged: at its own end");
        ran.never_says(&format!("{} (web): could not", lease[sound].address));
    }
    expect::runs(&project, &lease[1], &[("web", "v1")]);
    assert_eq!(lease[1].get("/version").as_deref(), Some("v1"));
    for server in lease.iter() {
        expect::unlocked(&project, server);
        expect::no_loose_cords(&project, server);
    }
}

#[test]
fn s05_a_server_whose_docker_is_gone_or_that_freezes_is_named_and_the_others_finish() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "no-docker");
    project.deploy("v1").ok();
    let broken = lease[1].without_docker();
    let ran = project.deploy("v2");
    ran.exits(1).says(&lease[1].address).says("docker");
    expect::runs(&project, &lease[0], &[("web", "v2")]);
    expect::unlocked(&project, &lease[0]);
    drop(broken);
    project.deploy("v2").ok();
    expect::runs(&project, &lease[1], &[("web", "v2")]);

    // The server freezes during the deploy. The deploy gives up on it in time.
    project.build_arg("START_DELAY_MS", "3000");
    let new = project.container("web", "v3");
    let watch = Watch::on(&lease[1]);
    let running = project.start_deploy("v3");
    watch.wait_for("the new container's start", Duration::from_secs(60), |event| event.is("start", &new));
    let frozen = lease[1].frozen();
    let ran = running.wait(DEADLINE);
    // Exit status 4 means that the only problem was an unreachable server.
    ran.exits(4).says(&format!("{} (web): could not boot", lease[1].address)).says("the connection was lost");
    assert!(ran.took < Duration::from_secs(100), "{ran}");
    expect::runs(&project, &lease[0], &[("web", "v3")]);
    expect::unlocked(&project, &lease[0]);
    drop(frozen);
    drop(watch);
    // Whatever the server's state after the freeze, the same command repairs it.
    project.deploy("v3").ok();
    for server in lease.iter() {
        expect::runs(&project, server, &[("web", "v3")]);
        expect::unlocked(&project, server);
        expect::no_loose_cords(&project, server);
    }
}

#[test]
fn what_people_run_into_is_told_with_its_fix() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "reasons");
    project.set("deploy_timeout", "3");
    let check = |port: u16, path: &str| {
        format!("\n  cmd: wget -q -O /dev/null http://localhost:{port}/{path} || exit 1\n  interval: 1s")
    };
    project.set("healthcheck", &check(8080, "up"));
    project.deploy("v1").says("the app listens on port 3000, and the check asks port 8080").exits(1);
    project.set("healthcheck", &check(3000, "nowhere"));
    project.deploy("v1").says("the health path returns 404").exits(1);
    project.set("healthcheck", "\n  cmd: curl -f http://localhost:3000/up\n  interval: 1s");
    project.deploy("v1").says("the check's own command isn't in the image").exits(1);
    project.set("healthcheck", &check(3000, "moved"));
    project.deploy("v1").says("does the health path redirect, to https or another port?").exits(1);
    project.set("healthcheck", &check(3000, "up"));
    let web = lease[0].address.as_str();
    // Each container runtime has its own error messages.
    for (runtime, command) in
        [("runc", "/app/sever"), ("runc", "sever"), ("crun", "/app/sever"), ("crun", "sever")]
    {
        project.roles(&[("web", &[web], &format!("cmd: {command}\noptions: {{runtime: {runtime}}}"))]);
        project.deploy("v1").says("the command was not found in the image").exits(1);
    }
    for runtime in ["runc", "crun"] {
        let options = format!("{{memory: 32m, runtime: {runtime}}}");
        project.roles(&[("web", &[web], &format!("cmd: tail /dev/zero\noptions: {options}"))]);
        project
            .deploy("v1")
            .says("the container was killed: out of memory")
            .says("`options: memory:`")
            .exits(1);
    }
    project.roles(&[("web", &[web], "options: {publish: \"22:3000\"}")]);
    project.deploy("v1").says("a fixed port can't be published").exits(1);
    // An ELF header for another machine: 64-bit, type 0xfff0.
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    program[16..20].copy_from_slice(&[2, 0, 0xf0, 0xff]);
    let foreign = project.path().join("app/foreign");
    std::fs::write(&foreign, program).unwrap();
    std::fs::set_permissions(&foreign, std::fs::Permissions::from_mode(0o755)).unwrap();
    let dockerfile = std::fs::read_to_string(project.path().join("app/Dockerfile")).unwrap();
    project.write("app/Dockerfile", &format!("{dockerfile}\nCOPY foreign /app/foreign\n"));
    for runtime in ["runc", "crun"] {
        project.roles(&[("web", &[web], &format!("cmd: /app/foreign\noptions: {{runtime: {runtime}}}"))]);
        project.deploy("v1").says("the image was built for a different platform").exits(1);
    }
    expect::runs(&project, &lease[0], &[]);
}
