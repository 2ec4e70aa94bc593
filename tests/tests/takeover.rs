//! Switching from Traefik to kamal-proxy and back (P6): the downtime, and what a failed or killed run leaves.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bowline_tests::expect;
use bowline_tests::project::{DEADLINE, Project};
use bowline_tests::proxy::CONTAINER;
use bowline_tests::sandbox::{Lease, Ran, Sandbox, Server};
use bowline_tests::watch::Watch;

const SOON: Duration = Duration::from_secs(60);
const WORKER: &str = "cmd: /app/server worker";

/// A project that can switch between both kinds of proxy.
struct Moving {
    project: Project,
    traefik: [String; 2],
}

impl Moving {
    /// Starts behind Traefik, with web on every server and a worker on the first.
    fn new(sandbox: &Sandbox, lease: &Lease, name: &str) -> Self {
        let mut project = Project::new(sandbox, lease, name);
        let web: Vec<&str> = lease.addresses();
        project.roles(&[("web", &web, ""), ("worker", &web[..1], WORKER)]);
        let traefik = ["traefik", "healthcheck"].map(|key| project.section(key).to_owned());
        Self { project, traefik }
    }

    fn for_proxy(&mut self) {
        self.project.unset("traefik").unset("healthcheck").set_proxy("healthcheck: {interval: 1}");
    }

    fn for_traefik(&mut self) {
        let [traefik, healthcheck] = self.traefik.clone();
        self.project.unset("proxy").set("traefik", &traefik).set("healthcheck", &healthcheck);
    }

    /// Asserts the state after a deploy of this version behind this proxy.
    #[track_caller]
    fn is_behind(&self, proxy: &str, lease: &Lease, version: &str) {
        for (number, server) in lease.iter().enumerate() {
            let roles = [("web", version), ("worker", version)];
            expect::runs(&self.project, server, if number == 0 { &roles } else { &roles[..1] });
            expect::unlocked(&self.project, server);
            assert!(server.serves(&self.project.host(), version), "on {}", server.name);
            let proxies = server.run("docker ps -a --format '{{.Names}}' | grep -e traefik -e kamal-proxy");
            assert_eq!(proxies.stdout.trim(), proxy, "on {}", server.name);
            assert_eq!(expect::inspect(server, proxy, "{{index .Config.Labels \"bowline.waits\"}}"), "");
            let latest = expect::image_id(&self.project, server, "latest");
            assert_eq!(latest, expect::image_id(&self.project, server, version), "on {}", server.name);
        }
    }
}

/// Sends requests during `work`. Returns the result and the shortest possible downtime: from the end of the first
/// failed request to the start of the last.
fn asked_while<T>(server: &Server, host: &str, version: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let (mut asked, mut first, mut last) = (0, None, Instant::now());
            while !over.load(Ordering::SeqCst) {
                let began = Instant::now();
                let (status, body) = server.ask(host, "/version");
                asked += 1;
                if status == 200 {
                    assert_eq!(body, version);
                } else {
                    first.get_or_insert_with(Instant::now);
                    last = began;
                }
            }
            assert!(asked > 20, "{asked}");
            // A request that hangs until its timeout doesn't show when the server recovered.
            first.map_or(Duration::ZERO, |first| last.saturating_duration_since(first))
        });
        let done = work();
        over.store(true, Ordering::SeqCst);
        (done, asking.join().unwrap())
    })
}

/// The downtime that a run reports.
#[track_caller]
fn told_gap(ran: &Ran) -> Duration {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    let (_, after) = all.split_once("the server was down for at most ").unwrap_or_else(|| panic!("{ran}"));
    let seconds: f64 = after.split_once(" s").unwrap().0.parse().unwrap();
    Duration::from_secs_f64(seconds)
}

#[test]
fn p6_an_app_moves_from_traefik_to_the_proxy_and_back_and_the_gap_is_told() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut moving = Moving::new(sandbox, &lease, "moving");
    let host = moving.project.host();
    server.forget_proxy_image();
    moving.project.deploy("v1").ok();
    let worker = moving.project.container("worker", "v1");
    let worker_id = server.short_id(&worker);

    moving.for_proxy();
    let refused = moving.project.deploy("v2");
    refused.says("Traefik on").says("uses port 80").says("`bowline upgrade`");
    assert_ne!(refused.code, Some(0), "{refused}");
    moving.project.bowline(&["upgrade"]).says("-y").exits(2);
    moving.is_behind("traefik", &lease, "v1");

    let (ran, gap) = asked_while(server, &host, "v1", || moving.project.bowline(&["upgrade", "-y"]));
    ran.says("kamal-proxy has replaced Traefik").ok();
    eprintln!("upgrade: {gap:?} without an answer, said {:?}", told_gap(&ran));
    assert!(gap < told_gap(&ran) + Duration::from_millis(500), "{gap:?}\n{ran}");
    moving.is_behind(CONTAINER, &lease, "v1");
    assert_eq!(server.short_id(&worker), worker_id, "a role without a proxy is left alone");
    moving.project.bowline(&["upgrade", "-y"]).says("already").ok();
    moving.project.deploy("v2").ok();
    moving.is_behind(CONTAINER, &lease, "v2");

    moving.for_traefik();
    moving.project.bowline(&["deploy", "--version", "v2", "-P"]).says("`bowline downgrade`");
    let (ran, gap) = asked_while(server, &host, "v2", || moving.project.bowline(&["downgrade", "-y"]));
    ran.says("Traefik has replaced kamal-proxy").ok();
    eprintln!("downgrade: {gap:?} without an answer, said {:?}", told_gap(&ran));
    assert!(gap < told_gap(&ran) + Duration::from_millis(500), "{gap:?}\n{ran}");
    moving.is_behind("traefik", &lease, "v2");
    moving.project.bowline(&["downgrade", "-y"]).says("already").ok();
    moving.project.deploy("v3").ok();
    moving.is_behind("traefik", &lease, "v3");
    expect::no_loose_cords(&moving.project, server);
}

#[test]
fn p6_a_rolling_move_is_seen_by_no_client_that_can_go_to_a_second_server() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut moving = Moving::new(sandbox, &lease, "moving-roll");
    moving.project.deploy("v1").ok();
    moving.project.hook("pre-proxy-reboot", "#!/bin/sh\necho \"pre $KAMAL_HOSTS\" >> turns\n");
    moving.project.hook("post-proxy-reboot", "#!/bin/sh\necho \"post $KAMAL_HOSTS\" >> turns\n");
    moving.for_proxy();
    let host = moving.project.host();
    let (over, asked, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for first in [0, 1] {
            let (lease, over, asked, failed, host) = (&lease, &over, &asked, &failed, &host);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let answered = lease[first].serves(host, "v1") || lease[1 - first].serves(host, "v1");
                    asked.fetch_add(1, Ordering::SeqCst);
                    failed.fetch_add(usize::from(!answered), Ordering::SeqCst);
                }
            });
        }
        let ran = moving.project.bowline(&["upgrade", "--rolling", "-y"]);
        over.store(true, Ordering::SeqCst);
        ran.ok();
    });
    assert!(asked.load(Ordering::SeqCst) > 20, "{asked:?}");
    assert_eq!(failed.load(Ordering::SeqCst), 0, "of {asked:?}");
    moving.is_behind(CONTAINER, &lease, "v1");
    let turns = std::fs::read_to_string(moving.project.path().join("turns")).unwrap();
    let [first, second] = [0, 1].map(|number: usize| lease[number].address.as_str());
    assert_eq!(turns, format!("pre {first}\npost {first}\npre {second}\npost {second}\n"));
}

#[test]
fn p6_what_does_not_fit_leaves_traefik_serving() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut moving = Moving::new(sandbox, &lease, "moving-not");
    moving.project.deploy("v1").ok();
    let id = expect::inspect(server, "traefik", "{{.Id}} {{.State.StartedAt}}");
    let untouched = |moving: &Moving| {
        assert_eq!(expect::inspect(server, "traefik", "{{.Id}} {{.State.StartedAt}}"), id);
        assert!(server.serves(&moving.project.host(), "v1"));
        let running = server.running(&moving.project.service);
        assert_eq!(running.len(), 2, "the old container and the worker: {running:?}");
        assert_eq!(server.run(&format!("docker ps -aq --filter name={CONTAINER}")).ok(), "");
        expect::unlocked(&moving.project, server);
    };
    moving.for_proxy();

    // The check requests a path that doesn't exist.
    moving.project.set("deploy_timeout", "6").set_proxy("healthcheck: {path: /nowhere, interval: 1}");
    moving.project.bowline(&["upgrade", "-y"]).says(":3000/nowhere").says("404").exits(1);
    untouched(&moving);
    moving.for_proxy();

    // The proxy needs a port that Traefik doesn't have and another program occupies.
    moving.project.set_proxy("healthcheck: {interval: 1}\nrun: {https_port: 22}");
    moving.project.bowline(&["upgrade", "-y"]).says("port 22").exits(1);
    untouched(&moving);
    moving.for_proxy();

    // Another app is behind Traefik.
    let mut other = Project::new(sandbox, &lease, "moving-other");
    let rule = format!("\n  traefik.http.routers.{}-web.rule: Host(`other.test`)", other.service);
    other.set("labels", &rule);
    other.deploy("v1").ok();
    let theirs = other.container("web", "v1");
    moving.project.bowline(&["upgrade", "-y"]).says(&theirs).says("--force").exits(2);
    untouched(&moving);
    moving.project.bowline(&["upgrade", "-y", "--force"]).says(&theirs).ok();
    moving.is_behind(CONTAINER, &lease, "v1");
    other.bowline(&["app", "remove", "-y"]).ok();
}

#[test]
fn p6_a_move_that_is_killed_anywhere_is_finished_by_the_same_command() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut moving = Moving::new(sandbox, &lease, "moving-kill");
    let host = moving.project.host();
    moving.project.deploy("v1").ok();
    let web = moving.project.container("web", "v1");
    // Kills it when the new proxy starts without ports, when the new container starts, and when the old proxy stops.
    for moment in 0..3 {
        for (command, from, to) in [("upgrade", "traefik", CONTAINER), ("downgrade", CONTAINER, "traefik")] {
            if command == "upgrade" {
                moving.for_proxy()
            } else {
                moving.for_traefik()
            }
            let (happens, container) = [("start", to), ("start", &web), ("die", from)][moment];
            let watch = Watch::on(server);
            let running = moving.project.spawn(&[command, "-y"]);
            watch.wait_for(happens, SOON, |event| event.is(happens, container));
            running.signal("KILL");
            assert_eq!(running.wait(DEADLINE).code, None);
            drop(watch);
            if happens == "start" {
                assert!(server.serves(&host, "v1"), "{command} killed at the {happens} of {container}");
            }
            moving.project.bowline(&[command, "-y", "--lock-wait", "90"]).ok();
            moving.is_behind(to, &lease, "v1");
        }
    }
    moving.project.deploy("v2").ok();
    moving.is_behind("traefik", &lease, "v2");
}

#[test]
fn p6_an_accessory_moves_with_the_app_and_a_downgrade_leaves_no_route_of_the_app() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut moving = Moving::new(sandbox, &lease, "moving-tool");
    let (service, host) = (moving.project.service.clone(), moving.project.host());
    let tool = format!("tool.{host}");
    sandbox.push_version(&service, &service, "tool", &[]);
    let accessory = |proxy: &str| {
        format!(
            "\n  tool:\n    image: {service}:tool\n    host: {}\n    registry: {{server: '{}', username: {}, password: \
             [KAMAL_REGISTRY_PASSWORD]}}{proxy}",
            server.address, sandbox.registry, sandbox.registry_user
        )
    };
    moving.project.set("accessories", &accessory(""));
    moving.project.deploy("v1").ok();
    moving.project.bowline(&["accessory", "boot", "tool"]).ok();

    moving.for_proxy();
    let proxy = format!("\n    proxy: {{host: {tool}, app_port: 3000, healthcheck: {{interval: 1}}}}");
    moving.project.set("accessories", &accessory(&proxy)).set("error_pages_path", "public");
    moving.project.write("public/502.html", "<h1>the tool is away</h1>");
    moving.project.bowline(&["upgrade", "-y"]).ok();
    moving.is_behind(CONTAINER, &lease, "v1");
    assert_eq!(server.ask(&tool, "/version"), (200, "tool".into()));
    server.run(&format!("docker kill {service}-tool")).ok();
    let (status, page) = server.ask(&tool, "/version");
    assert!(status == 502 && page.contains("the tool is away"), "{status} {page}");
    server.run(&format!("docker start {service}-tool")).ok();

    moving.for_traefik();
    moving.project.unset("error_pages_path").set("accessories", &accessory(""));
    moving.project.bowline(&["downgrade", "-y"]).says(&format!("{service}-tool")).says("--force").exits(2);
    moving.project.bowline(&["downgrade", "-y", "--force"]).ok();
    moving.is_behind("traefik", &lease, "v1");
    let left: Vec<String> = server.proxy_state().into_keys().collect();
    assert_eq!(left, [format!("{service}-tool")], "the volume keeps what others have");
}
