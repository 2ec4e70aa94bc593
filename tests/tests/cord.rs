//! The cord (S17, S18) and its purpose: no request is lost when versions change.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails with a panic")]

use std::time::{Duration, Instant};

use bowline_tests::expect;
use bowline_tests::load::{Load, Mode, Options};
use bowline_tests::project::{Project, wait_for_version};
use bowline_tests::rollout::{Visitors, under_load};
use bowline_tests::sandbox::{Lease, Sandbox};
use bowline_tests::watch::{Watch, told, when};

/// The number of requests of each kind. `bin/demo` sends more, and faster.
const EACH: u64 = 3_000;

#[test]
fn s17_the_cord_is_one_file_on_the_server_that_the_health_check_asks_for_elsewhere_or_left_out() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "tied");
    project.deploy("v1").ok();
    let name = project.container("web", "v1");
    let mount = "{{range .Mounts}}{{if eq .Destination \"/tmp/kamal-cord\"}}{{.Source}}{{end}}{{end}}";
    let cord = expect::inspect(server, &name, mount);
    assert!(cord.starts_with(&format!("/root/.kamal/apps/{}/cords/", project.service)), "{cord}");
    assert_eq!(server.run(&format!("ls -A {cord}")).ok(), "cord");
    let check = expect::inspect(server, &name, "{{json .Config.Healthcheck.Test}}");
    assert!(check.contains("/up") && check.contains("stat /tmp/kamal-cord/cord"), "{check}");
    // Without the file, the app counts as unhealthy and gets no requests, although it works.
    server.run(&format!("rm {cord}/cord")).ok();
    bowline_tests::sandbox::wait_until("Traefik to let it go", Duration::from_secs(20), || {
        server.get("/version").is_none()
    });
    assert_eq!(
        expect::inspect(server, &name, "{{.State.Status}} {{.State.Health.Status}}"),
        "running unhealthy"
    );

    let check = "\n  cmd: wget -q -O /dev/null http://localhost:3000/up || exit 1\n  cord: ";
    project.set("healthcheck", &format!("{check}/run/mine"));
    project.deploy("v2").ok();
    let mounts = "{{range .Mounts}}{{.Destination}} {{end}}";
    assert_eq!(expect::inspect(server, &project.container("web", "v2"), mounts), "/run/mine");
    project.set("healthcheck", &format!("{check}false"));
    project.deploy("v3").ok();
    assert_eq!(expect::inspect(server, &project.container("web", "v3"), mounts), "");
    expect::runs(&project, server, &[("web", "v3")]);
    project.deploy("v4").ok();
    expect::runs(&project, server, &[("web", "v4")]);
    expect::no_loose_cords(&project, server);
}

#[test]
fn s18_the_old_container_is_unhealthy_before_it_is_stopped_and_the_new_one_healthy_before_that() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "order");
    project.deploy("v1").ok();
    let watch = Watch::on(server);
    project.deploy("v2").ok();
    let all = watch.stop();
    let (old, new) = (project.container("web", "v1"), project.container("web", "v2"));
    let order = [
        when(&all, "start", &new),
        when(&all, "health_status: healthy", &new),
        when(&all, "health_status: unhealthy", &old),
        when(&all, "kill", &old),
        when(&all, "die", &old),
    ];
    assert!(order.is_sorted(), "{order:?}\n{}", told(&all));
    expect::no_loose_cords(&project, server);
    wait_for_version(server, "v2");
}

#[test]
fn s18_a_container_that_was_unhealthy_when_it_was_looked_at_is_let_go_gently_if_it_serves_again() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "recovers");
    project.deploy("v1").ok();
    let old = project.container("web", "v1");
    let mount = "{{range .Mounts}}{{if eq .Destination \"/tmp/kamal-cord\"}}{{.Source}}{{end}}{{end}}";
    let cord = expect::inspect(server, &old, mount);
    let health = |wanted: &str| {
        bowline_tests::sandbox::wait_until(wanted, Duration::from_secs(60), || {
            expect::inspect(server, &old, "{{.State.Health.Status}}") == wanted
        });
    };
    // The health check fails when the deploy observes the container, and succeeds again before the new one is ready.
    server.run(&format!("rm {cord}/cord")).ok();
    health("unhealthy");
    project.build_arg("START_DELAY_MS", "10000");
    let deploy = project.start_deploy("v2");
    let watch = Watch::on(server);
    let new = project.container("web", "v2");
    watch.wait_for("the new container", Duration::from_secs(120), |event| event.is("start", &new));
    server.run(&format!(": > {cord}/cord")).ok();
    health("healthy");
    deploy.wait(Duration::from_secs(120)).ok();
    let all = watch.stop();
    let (unhealthy, kill) = (when(&all, "health_status: unhealthy", &old), when(&all, "kill", &old));
    assert!(unhealthy < kill, "{}", told(&all));
    expect::runs(&project, server, &[("web", "v2")]);
    expect::no_loose_cords(&project, server);
}

#[test]
fn what_was_retired_stays_down_when_docker_restarts_and_can_be_started_again() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "policies");
    let address = server.address.as_str();
    let worker = "cmd: /app/server worker\noptions: {restart: always}";
    project.roles(&[("web", &[address], ""), ("worker", &[address], worker)]);
    for version in ["v1", "v2", "v3"] {
        project.deploy(version).ok();
    }
    drop(server.without_docker());
    let running = [("web", "v3"), ("worker", "v3")];
    bowline_tests::sandbox::wait_until("Docker to start them", Duration::from_secs(60), || {
        server.running(&project.service).len() >= running.len()
    });
    expect::runs(&project, server, &running);
    let policy = |version| {
        expect::inspect(server, &project.container("worker", version), "{{.HostConfig.RestartPolicy.Name}}")
    };
    assert_eq!([policy("v2"), policy("v3")], ["unless-stopped", "always"]);
    project.bowline(&["app", "stop", "--roles", "worker"]).ok();
    project.bowline(&["app", "start", "--roles", "worker", "--version", "v2"]).ok();
    assert_eq!(policy("v2"), "always");
    expect::runs(&project, server, &[("web", "v3"), ("worker", "v2")]);
}

fn visitors(lease: &Lease) -> Visitors {
    Visitors::new(lease.iter().map(|server| server.url("/version")).collect(), 4, EACH)
}

/// Turns off Traefik's retries, because no client may need them.
fn without_retry(project: &mut Project) {
    let name = format!("{}-web", project.service);
    project.set(
        "labels",
        &format!(
            "\n  traefik.http.routers.{name}.middlewares: {name}-plain@docker\
             \n  traefik.http.middlewares.{name}-plain.headers.customresponseheaders.X-Retry: none"
        ),
    );
}

/// Three deploys: with Traefik's retries, to a version without them (which also changes the routing labels), and
/// between versions without them.
fn nothing_is_lost(name: &str, on_term: &str) {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, name);
    project.build_arg("ON_TERM", on_term);
    project.deploy("v1").ok();
    wait_for_version(&lease[0], "v1");
    under_load(&visitors(&lease), "v1", "v2", || project.deploy("v2")).assert_clean(EACH);
    without_retry(&mut project);
    under_load(&visitors(&lease), "v2", "v3", || project.deploy("v3")).assert_clean(EACH);
    under_load(&visitors(&lease), "v3", "v4", || project.deploy("v4")).assert_clean(EACH);
    expect::runs(&project, &lease[0], &[("web", "v4")]);
}

#[test]
fn s18_no_request_is_lost_with_an_app_that_drains_retries_or_not() {
    nothing_is_lost("drains", "drain");
}

#[test]
fn s18_no_request_is_lost_with_an_app_that_exits_at_once_retries_or_not() {
    nothing_is_lost("exits", "exit");
}

#[test]
fn s18_a_rollback_and_the_same_version_again_lose_nothing_either() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "to-and-fro");
    project.build_arg("ON_TERM", "exit");
    project.deploy("v1").ok();
    project.deploy("v2").ok();
    wait_for_version(&lease[0], "v2");
    let visitors = visitors(&lease);
    under_load(&visitors, "v2", "v1", || project.bowline(&["rollback"])).assert_clean(EACH);
    under_load(&visitors, "v1", "v1", || project.deploy("v1")).assert_clean(EACH);
    expect::runs(&project, &lease[0], &[("web", "v1")]);
}

#[test]
fn s18_slow_requests_under_way_are_answered_though_the_app_exits_at_once() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "slow");
    project.build_arg("ON_TERM", "exit");
    project.deploy("v1").ok();
    wait_for_version(server, "v1");
    // Longer than the time from cutting the old container's cord to its stop, so that some requests are always open.
    let load = Load::start(Options {
        clients: 12,
        timeout: Duration::from_secs(15),
        at_most: Duration::from_secs(60),
        ..Options::new(server.url("/slow?ms=3000"), Mode::KeepAlive)
    });
    load.allow_from_now_on(&["v1", "v2"]);
    load.wait_for(13);
    let started = Instant::now();
    project.deploy("v2").ok();
    load.expect_from_now_on("v2");
    load.wait_for(24);
    let report = load.stop();
    report.assert_clean(48);
    assert!(report.by_version.contains_key("v1") && report.by_version.contains_key("v2"), "{report:#}");
    assert!(started.elapsed() < Duration::from_secs(45), "slow requests hold a deploy up only so long");
}
