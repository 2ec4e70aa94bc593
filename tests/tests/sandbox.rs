//! Tests the sandbox itself, without Bowline, because the other end-to-end tests rely on it.

use std::time::{Duration, Instant};

use bowline_tests::delay::Delay;
use bowline_tests::load::{Load, Mode, Options};
use bowline_tests::project::{Project, wait_for_version};
use bowline_tests::sandbox::{Sandbox, Server};

const SERVICE: &str = "sandbox-test";

fn login(sandbox: &Sandbox, server: &Server) {
    let Sandbox { registry, registry_user, registry_password, .. } = sandbox;
    let command =
        format!("echo {registry_password} | docker login -u {registry_user} --password-stdin {registry}");
    server.ssh(&command).exits(0).says("Login Succeeded");
}

fn boot(sandbox: &Sandbox, server: &Server, version: &str) {
    let image = format!("{}/{SERVICE}:{version}", sandbox.registry);
    let rule = "traefik.http.routers.app.rule=PathPrefix(`/`)";
    server
        .run(&format!(
            "docker run -d --name {SERVICE}-{version} --network kamal --label service={SERVICE} --label '{rule}' \
             --health-interval 1s --health-cmd 'wget -q -O /dev/null http://localhost:3000/up && stat /bin >/dev/null' {image}"
        ))
        .ok();
}

#[test]
fn an_app_is_pulled_with_a_login_and_served_through_traefik_and_a_reset_leaves_nothing() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    sandbox.push_version(SERVICE, SERVICE, "v1", &[]);
    let refused = server.run(&format!("docker pull {}/{SERVICE}:v1", sandbox.registry));
    refused.exits(1).says("no basic auth credentials");
    login(sandbox, server);
    server
        .run(&format!(
            "docker network create kamal && docker run -d --name traefik --network kamal --publish 80:80 \
             --volume /var/run/docker.sock:/var/run/docker.sock {} --providers.docker \
             --entryPoints.http.address=:80",
            sandbox.traefik_image
        ))
        .ok();
    boot(sandbox, server, "v1");
    wait_for_version(server, "v1");
    assert_eq!(server.running(SERVICE), ["sandbox-test-v1"]);
    assert_eq!(server.get("/assets/app-v1.js").as_deref(), Some("console.log('version v1');\n"));
    assert_eq!(server.get("/assets/../server"), None);
    for mode in [Mode::KeepAlive, Mode::NewConnection] {
        let mut options = Options::new(server.url("/version"), mode);
        options.count = Some(500);
        let load = Load::start(options);
        load.expect_from_now_on("v1");
        load.finish().assert_clean(500);
    }

    server.run("mkdir -p .kamal/apps").ok();
    lease.empty();
    assert_eq!(server.run("docker ps -aq; ls -A .kamal .docker 2>/dev/null").stdout, "");
    assert_eq!(server.get("/version"), None);
}

#[test]
fn a_version_can_be_broken_by_its_build_arguments() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    sandbox.push_version(SERVICE, SERVICE, "gone", &[("EXIT_AT_BOOT", "7")]);
    sandbox.push_version(SERVICE, SERVICE, "sick", &[("HEALTH", "fail"), ("ON_TERM", "ignore")]);
    sandbox.push_version(SERVICE, SERVICE, "rude", &[("ON_TERM", "exit"), ("START_DELAY_MS", "500")]);
    login(sandbox, server);
    server.run("docker network create kamal").ok();
    for version in ["gone", "sick", "rude"] {
        boot(sandbox, server, version);
    }
    let gone = server.run("docker wait sandbox-test-gone; docker logs sandbox-test-gone");
    assert_eq!(gone.ok(), "7\ncannot boot: EXIT_AT_BOOT=7 asks version gone to exit at once");
    server.run("docker stop -t 60 sandbox-test-rude").ok();
    assert_eq!(server.run("docker inspect -f '{{.State.ExitCode}}' sandbox-test-rude").ok(), "0");
    server.run("docker stop -t 1 sandbox-test-sick").ok();
    assert_eq!(server.run("docker inspect -f '{{.State.ExitCode}}' sandbox-test-sick").ok(), "137");
    server.run("docker logs sandbox-test-sick").says("SIGTERM: ignored");
    server.run("docker inspect -f '{{json .State.Health}}' sandbox-test-sick").says("503");
}

#[test]
fn a_server_can_be_broken_and_is_mended() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let broken = server.without_sshd();
    server.ssh("true").exits(255).says("refused");
    drop(broken);
    server.ssh("true").ok();
    let broken = server.without_docker();
    server.ssh("docker info").exits(1);
    drop(broken);
    server.ssh("docker info").ok();
    let broken = server.frozen();
    assert_eq!(server.ssh("true").code, Some(255));
    drop(broken);
    server.ssh("true").ok();
}

#[test]
fn a_delay_line_puts_distance_in_front_of_sshd() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let target = format!("{}:22", lease[0].address).parse().unwrap();
    let delay = Delay::start("127.0.0.2:0".parse().unwrap(), target, Duration::from_millis(50)).unwrap();
    let started = Instant::now();
    bowline_tests::sandbox::run(
        std::process::Command::new("ssh")
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "LogLevel=ERROR",
            ])
            .arg("-i")
            .arg(&sandbox.ssh_key)
            .args(["-p", &delay.address().port().to_string(), "root@127.0.0.2", "true"]),
    )
    .ok();
    // Handshake, versions, key exchange, authentication, command: every client needs at least five round trips.
    assert!(started.elapsed() > Duration::from_millis(500), "took {:?}", started.elapsed());
}

/// A script in place of `bowline` prints what the real one would find.
#[test]
fn a_project_has_all_that_a_deploy_needs() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "stand-in");
    project.write(
        "bowline",
        "#!/bin/sh\necho \"args: $*\"\ncat config/deploy.yml .kamal/secrets\n\
         docker build -q -t $IMAGE --build-arg VERSION=v7 --build-arg HEALTH=fail -f app/Dockerfile app >&2 || exit 4\n\
         echo ready\nsleep 60\n",
    );
    let program = project.path().join("bowline");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let image = format!("{}/{}:v7", sandbox.registry, project.service);
    project.env("BOWLINE_BIN", program.to_str().unwrap()).env("IMAGE", &image).env("DOCKER_BUILDKIT", "0");
    project
        .set("env", "\n  clear:\n    A: b")
        .unset("healthcheck")
        .secret("X", "1")
        .build_arg("HEALTH", "fail");
    project.commit();
    let mut running = project.start_deploy("v7");
    running.wait_for("ready", Duration::from_secs(30));
    running.signal("TERM");
    let ran = running.wait(Duration::from_secs(5));
    assert_eq!(ran.code, None, "{ran}");
    ran.says("args: deploy --version v7")
        .says("    VERSION: \"v7\"")
        .says("    HEALTH: \"fail\"")
        .says("X=1");
    ran.says(&format!("  - {}", lease[1].address)).never_says("healthcheck");
    let exists = || {
        bowline_tests::sandbox::run(std::process::Command::new("docker").args(["inspect", &image])).code
            == Some(0)
    };
    assert!(exists());
    drop(project);
    assert!(!exists(), "a project takes its images with it");
}
