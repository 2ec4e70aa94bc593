//! An operator's commands between deploys: stop and start, stale containers, listings, pruning, removing.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::Sandbox;
use bowline_tests::terminal::Terminal;

#[test]
fn the_app_is_stopped_started_listed_pruned_and_removed_without_a_trace() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "operate");
    project.deploy("v1").ok();
    project.deploy("v2").ok();
    let container = |version: &str| project.container("web", version);
    project.bowline(&["app", "stop"]).says(&format!("stopped {}", container("v2"))).ok();
    expect::runs(&project, server, &[]);
    project.bowline(&["app", "start"]).says(&format!("started {}", container("v2"))).ok();
    expect::runs(&project, server, &[("web", "v2")]);
    assert_eq!(server.get("/version").as_deref(), Some("v2"), "it is routed when the command is back");
    project.bowline(&["app", "start", "--version", "v9"]).says("no container of version v9").exits(1);

    server.ssh(&format!("docker start {}", container("v1"))).ok();
    project.bowline(&["app", "stale-containers"]).says(&container("v1")).ok();
    project.bowline(&["app", "stale_containers", "-s"]).says(&format!("stopped {}", container("v1"))).ok();
    expect::runs(&project, server, &[("web", "v2")]);

    project.bowline(&["app", "containers"]).says(&container("v1")).says(&container("v2")).ok();
    project.bowline(&["app", "images"]).says("v1").says("v2").says("latest").ok();
    project.bowline(&["details"]).says("traefik").says(&container("v2")).ok();
    project.bowline(&["prune", "containers", "--retain", "0"]).exits(2);
    project.bowline(&["app", "remove-container", "v2"]).says("it is running").exits(1);
    project.bowline(&["app", "remove-container", "v1"]).says("removed").ok();
    project.bowline(&["prune", "all"]).says("pruned containers and images").ok();
    project.bowline(&["prune", "images"]).says("pruned").ok();
    project.bowline(&["app", "remove-containers", "-y"]).says("removed the stopped containers").ok();
    let images = server.ssh(&format!("docker image ls -q {}", project.image("v1")));
    assert_eq!(images.ok().trim(), "", "no container needs v1 any more");

    // Without confirmation nothing happens, not even at the end of input.
    for ask in [&["remove"][..], &["app", "remove"], &["app", "remove-images"], &["traefik", "reboot"]] {
        project.bowline(ask).says("-y").exits(2);
    }
    let mut asked = Terminal::start(&project.command(&["remove"]), 80, 24);
    asked.wait_for("[y/N]").keys("\x04").wait_for("Nothing was changed");
    assert_eq!(asked.exit_code(), Some(1));
    expect::runs(&project, server, &[("web", "v2")]);
    project.bowline(&["remove", "-y"]).ok();
    expect::unlocked(&project, server);
    let left = server.ssh(&format!(
        "docker ps -aq; docker image ls -q --filter label=service={}; ls .kamal/apps",
        project.service
    ));
    assert_eq!(left.ok().trim(), "", "containers, images and files are gone");
    project.bowline(&["remove", "-y"]).ok();
    project.deploy("v3").ok();
    expect::runs(&project, server, &[("web", "v3")]);
}

#[test]
fn what_another_app_needs_stays_when_one_is_removed() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut first = Project::new(sandbox, &lease, "leaving");
    let mut second = Project::new(sandbox, &lease, "staying");
    let rule = |name: &str| format!("\n  traefik.http.routers.{name}-web.rule: Host(`{name}.test`)");
    first.set("labels", &rule("leaving"));
    second.set("labels", &rule("staying"));
    first.deploy("v1").ok();
    second.deploy("v1").ok();
    first.bowline(&["remove", "-y"]).says("kept Traefik").ok();
    expect::runs(&first, server, &[]);
    expect::runs(&second, server, &[("web", "v1")]);
    assert_eq!(expect::inspect(server, "traefik", "{{.State.Status}}"), "running");
    second.bowline(&["app", "version"]).says("v1").ok();
}
