//! Tests that a deploy only succeeds once requests reach the new version, and that nothing else is reachable.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server, wait_until};

fn asked_for(server: &Server, host: &str) -> String {
    let curl = format!("curl -s --max-time 5 -H 'Host: {host}' http://127.0.0.1/version; true");
    server.run(&curl).ok().trim().to_owned()
}

#[test]
fn labels_that_traefik_refuses_fail_the_deploy_in_its_words_and_the_old_version_goes_on() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "refused");
    project.set("timeouts", "\n  route: 4");
    project.deploy("v1").ok();
    let router = format!("traefik.http.routers.{}-web", project.service);
    let cases = [
        ("entrypoints: websecure", "entryPoint \"websecure\" doesn't exist", "entryPoints.websecure.address"),
        ("tls.certresolver: nosuch", "nonexistent certificate resolver", "certificatesresolvers.NAME.acme"),
        ("rule: Host(shop.example.com)", "error while parsing rule Host(shop.example.com)", "in backticks"),
    ];
    for (label, error, fix) in cases {
        project.set("labels", &format!("\n  {router}.{label}"));
        let ran = project.deploy("v2");
        ran.says(error).says(fix).says(&format!("{} (web): v1", server.address)).exits(1);
        expect::runs(&project, server, &[("web", "v1")]);
        assert_eq!(server.get("/version").as_deref(), Some("v1"), "{label}");
    }
    project.set("labels", &format!("\n  {router}.rule: PathPrefix(`/`)"));
    project.deploy("v2").ok();
    assert_eq!(server.get("/version").as_deref(), Some("v2"));
}

#[test]
fn a_container_on_two_networks_is_reached_on_the_one_that_it_shares_with_traefik() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "networks");
    server.run("docker network create aaa").ok();
    project.set("timeouts", "\n  route: 4");
    project.roles(&[("web", &[&server.address], "options: {network: aaa}")]);
    project.deploy("v1").ok();
    let name = project.container("web", "v1");
    let networks =
        expect::inspect(server, &name, "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}");
    assert_eq!(networks, "aaa kamal");
    assert_eq!(
        expect::inspect(server, &name, "{{index .Config.Labels \"traefik.docker.network\"}}"),
        "kamal"
    );
    for _ in 0..10 {
        assert_eq!(server.get("/version").as_deref(), Some("v1"));
    }
    // Traefik isn't on that network, so its requests there would hang.
    project.set("labels", "\n  traefik.docker.network: aaa");
    project.deploy("v2").says("on the network aaa").exits(1);
    expect::runs(&project, server, &[("web", "v1")]);
    assert_eq!(server.get("/version").as_deref(), Some("v1"));
}

#[test]
fn a_traefik_that_can_not_reach_docker_says_so_and_does_not_stay() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "deaf");
    project.set("timeouts", "\n  route: 4");
    let image = project.section("traefik").to_owned();
    let gone = format!("{image}\n  docker_socket: /run/gone.sock");
    project.set("traefik", &gone);
    let ran = project.deploy("v1");
    ran.says("Cannot connect to the Docker daemon").says("it was removed").says("docker_socket").exits(1);
    ran.never_says("(web): v1");
    assert_eq!(server.run("docker ps -aq --filter name=traefik").ok().trim(), "");
    project.bowline(&["traefik", "boot"]).says("Cannot connect to the Docker daemon").exits(1);
    assert_eq!(server.run("docker ps -aq --filter name=traefik").ok().trim(), "");

    project.set("traefik", &image);
    project.deploy("v1").ok();
    let id = expect::inspect(server, "traefik", "{{.Id}}");
    project.set("traefik", &gone);
    project.bowline(&["plan", "--version", "v1"]).says("its Docker is at").ok();
    let ran = project.bowline(&["traefik", "reboot", "-y"]);
    ran.says("Cannot connect to the Docker daemon").says("the old one was started again").exits(1);
    assert_eq!(expect::inspect(server, "traefik", "{{.Id}} {{.State.Status}}"), format!("{id} running"));
    wait_until("the app to be routed again", Duration::from_secs(20), || server.get("/version").is_some());

    // The key sets another path for Docker's socket, as rootless Docker needs.
    server.run("rm -rf /run/gone.sock; ln /run/docker.sock /run/elsewhere.sock").ok();
    project.set("traefik", &format!("{image}\n  docker_socket: /run/elsewhere.sock"));
    project.bowline(&["traefik", "reboot", "-y"]).ok();
    assert_eq!(server.get("/version").as_deref(), Some("v1"));
    server.run("rm -f /run/elsewhere.sock").ok();
}

#[test]
fn what_has_no_route_is_reached_under_no_name() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "exposed");
    let (service, address) = (project.service.clone(), server.address.clone());
    // Both roles listen, as they share an image.
    project.roles(&[("web", &[&address], ""), ("job", &[&address], "")]);
    project.set("labels", &format!("\n  traefik.http.routers.{service}-web.rule: Host(`shop.test`)"));
    project.deploy("v1").ok();
    let accessory = format!("\n  search:\n    image: {}\n    host: {address}", project.image("v1"));
    project.set("accessories", &accessory);
    project.bowline(&["accessory", "boot", "search"]).ok();
    // Traefik exposes a container without any labels. Once it serves this one, it has seen all others.
    let image = project.image("v1");
    server
        .run(&format!(
            "docker run -d --name {service}-plain --label service={service}-search --network kamal {image}"
        ))
        .ok();
    let plain = format!("{service}-plain");
    wait_until("Traefik to see the container", Duration::from_secs(20), || asked_for(server, &plain) == "v1");
    assert_eq!(asked_for(server, "shop.test"), "v1");
    for hidden in [format!("{service}-search"), project.container("job", "v1")] {
        assert_eq!(
            server.run(&format!("docker exec {hidden} wget -qO- http://localhost:3000/version")).ok().trim(),
            "v1"
        );
        assert_ne!(asked_for(server, &hidden), "v1", "{hidden}");
    }
}
