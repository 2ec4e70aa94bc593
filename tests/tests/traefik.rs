//! `traefik` commands on real servers.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::Sandbox;

#[test]
fn a_rolling_reboot_is_seen_by_no_client_that_can_go_to_a_second_server() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "rolling");
    project.deploy("v1").ok();
    let image = project.section("traefik").to_owned();
    project.set("traefik", &format!("{image}\n  args: {{accesslog: true}}"));
    project.bowline(&["plan", "--version", "v1"]).says("`traefik reboot` applies the configuration").ok();
    let ids = || lease.iter().map(|server| expect::inspect(server, "traefik", "{{.Id}}")).collect::<Vec<_>>();
    let before = ids();

    let (over, asked, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for first in [0, 1] {
            let (lease, over, asked, failed) = (&lease, &over, &asked, &failed);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let here = lease[first].get("/version");
                    let answered = here.or_else(|| lease[1 - first].get("/version"));
                    asked.fetch_add(1, Ordering::SeqCst);
                    failed.fetch_add(usize::from(answered.as_deref() != Some("v1")), Ordering::SeqCst);
                }
            });
        }
        project.bowline(&["traefik", "reboot", "--rolling", "-y"]).ok();
        over.store(true, Ordering::SeqCst);
    });
    assert!(asked.load(Ordering::SeqCst) > 20, "{asked:?}");
    assert_eq!(failed.load(Ordering::SeqCst), 0, "of {asked:?}");
    let after = ids();
    for (server, (before, after)) in lease.iter().zip(before.iter().zip(&after)) {
        assert_ne!(before, after, "a new container on {}", server.name);
        let args = expect::inspect(server, "traefik", "{{.Args}}");
        assert!(args.contains("--accesslog"), "{args}");
        expect::unlocked(&project, server);
    }
    project.bowline(&["plan", "--version", "v1"]).never_says("traefik reboot").ok();
}

#[test]
fn traefik_is_booted_stopped_started_and_removed_and_a_broken_one_gives_way_to_the_old() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "proxy");
    // The server has no image of Traefik and no registry login.
    server.run(&format!("docker rmi -f {}", sandbox.traefik_image)).ok();
    project.bowline(&["traefik", "boot"]).says("Traefik runs").ok();
    project.bowline(&["traefik", "details"]).says("traefik").ok();
    project.deploy("v1").ok();
    project.bowline(&["traefik", "stop"]).ok();
    assert_eq!(server.get("/version"), None);
    project.bowline(&["traefik", "start"]).ok();
    project.bowline(&["traefik", "restart"]).ok();
    project.bowline(&["traefik", "logs", "-n", "3"]).ok();

    let image = project.section("traefik").to_owned();
    let id = expect::inspect(server, "traefik", "{{.Id}}");
    project.set("traefik", &format!("{image}\n  args: {{no.such.setting: 1}}"));
    project.bowline(&["traefik", "reboot", "-y"]).says("the old one was started again").exits(1);
    assert_eq!(expect::inspect(server, "traefik", "{{.Id}} {{.State.Status}}"), format!("{id} running"));
    // One that gets nothing from Docker gives way too, and the old one gets its restart policy back.
    server.run("docker update --restart always traefik").ok();
    let deaf = "args: {providers.docker.endpoint: \"tcp://127.0.0.1:1\"}";
    project.set("traefik", &format!("{image}\n  {deaf}"));
    project.bowline(&["traefik", "reboot", "-y"]).says("the old one was started again").exits(1);
    let state = "{{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}}";
    assert_eq!(expect::inspect(server, "traefik", state), format!("{id} running always"));
    // A port conflict is found before the running Traefik is stopped.
    project.set("traefik", &format!("{image}\n  options: {{publish: \"22:443\"}}"));
    let started = expect::inspect(server, "traefik", "{{.Id}} {{.State.StartedAt}}");
    let ran = project.bowline(&["traefik", "reboot", "-y"]);
    ran.says("port 22/tcp is taken by sshd (process ").says("nothing was stopped").exits(1);
    assert_eq!(expect::inspect(server, "traefik", "{{.Id}} {{.State.StartedAt}}"), started);
    project.set("traefik", &image);
    project.bowline(&["traefik", "reboot", "-y"]).ok();

    project.bowline(&["traefik", "remove"]).says("-y").exits(2);
    project.bowline(&["traefik", "remove", "-y"]).says("kept Traefik").ok();
    project.bowline(&["app", "stop"]).ok();
    project.bowline(&["traefik", "remove", "-y"]).says("removed Traefik").ok();
    assert_eq!(server.ssh("docker ps -aq --filter name=traefik").ok().trim(), "");
}
