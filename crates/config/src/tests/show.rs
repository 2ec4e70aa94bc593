//! The output of `bowline config`.

use super::*;
use crate::show::show;

const FULL: &str = "\
service: app
image: me/app
registry: {server: r.io, username: me, password: hunter2}
builder: {args: {RUBY: 3.3, NPM_TOKEN: hunter2}, arch: [amd64]}
env: {clear: {A: root, B: root}, secret: [S]}
env_tags:
  fast: {clear: {B: tag}, secret: [\"S:OTHER\"]}
servers:
  jobs: {hosts: [1.1.1.2], cmd: \"bin/jobs --all\", options: {memory: 1g, init: true}}
  web:
    hosts: [1.1.1.1: fast, \"::1\"]
    env: {B: role, C: role}
    asset_path: /public:ro
    labels: {team: \"a, b\"}
volumes: [\"data:/data\"]
boot: {limit: 50%, wait: 2}
ssh: {proxy: \"me@gate:2222\", port: 2222}
healthcheck: {interval: 500ms}
traefik: {args: {accesslog: true, entrypoints: [\"web\"]}, env: {secret: [T]}}
stop_wait_time: 10
";

#[test]
fn a_configuration_in_full() {
    let shown = show(&read_for("staging", FULL, "service: app2\n").unwrap().config);
    assert!(!shown.contains("hunter2"));
    insta::assert_snapshot!(shown, @r#"
    service: app2
    destination: staging
    repository: r.io/me/app
    latest_image: r.io/me/app:latest-staging
    written_for: Kamal 1 (because of healthcheck)
    registry:
      server: r.io
      username: me
      password: "[REDACTED]"
    builder:
      context: a clone of the last commit
      dockerfile: Dockerfile
      arch: [amd64]
      args:
        RUBY: "3.3"
        NPM_TOKEN: "[REDACTED]"
    primary_role: web
    roles:
      web:
        traefik: true
        hosts:
          1.1.1.1:
            tags: [fast]
            env:
              A: root env
              B: tag fast (over role web and root env)
              S: tag fast (secret OTHER) (over root env)
              C: role web
          "::1":
            env:
              A: root env
              B: role web (over root env)
              S: root env (secret S)
              C: role web
        labels:
          team: "a, b"
        asset_path: /public:ro
        healthcheck:
          cmd: curl -f http://localhost:3000/up || exit 1
          port: 3000
          path: /up
          interval: 500ms
          cord: /tmp/kamal-cord
        stop_timeout: 10
      jobs:
        traefik: false
        cmd: bin/jobs --all
        hosts:
          1.1.1.2:
            env:
              A: root env
              B: root env
              S: root env (secret S)
        options:
          memory: 1g
          init: true
        stop_timeout: 10
    volumes: [data:/data]
    traefik:
      image: traefik:v2.11
      publish: true
      host_port: 80
      docker_socket: /var/run/docker.sock
      args:
        accesslog: true
        entrypoints: [web]
      env: [T (secret T)]
    boot:
      limit: 50%
      wait: 2
      barrier: after_boot
      parallel_roles: true
      on_failure: keep
    ssh:
      user: root
      port: 2222
      keys_only: false
      proxy: [me@gate:2222]
    readiness_delay: 7
    deploy_timeout: 30
    drain_timeout: 30
    retain_containers: 5
    hooks_path: .kamal/hooks
    secrets_path: .kamal/secrets
    "#);
}

#[test]
fn each_value_of_a_secret_name_is_hidden() {
    let shown =
        show(&read(&FULL.replace("entrypoints: [\"web\"]", "api.token: [\"hunter3\"]")).unwrap().config);
    assert!(shown.contains("api.token: \"[REDACTED]\"\n") && !shown.contains("hunter3"), "{shown}");
}

#[test]
fn what_is_shown_is_yaml_again() {
    let shown = show(&read(FULL).unwrap().config);
    let mut errors = Vec::new();
    assert!(crate::source::parse(0, &shown, &mut errors).is_some(), "{errors:?}");
    for text in [
        "",
        "a: b",
        "yes",
        "1.10",
        "1.2.3.4",
        "x #y",
        "[a]",
        "\"q\\\n\t\u{7}",
        "- a",
        "é",
        "*a",
        "a:",
        "null",
        "{a}",
        "a, b",
        ".5",
    ] {
        let line = format!("a: {}\n", crate::show::scalar(text));
        let node = crate::source::parse(0, &line, &mut errors).unwrap();
        let super::super::source::NodeKind::Map(entries) = node.kind else { panic!("{line}") };
        let super::super::source::NodeKind::Scalar(scalar) = &entries[0].1.kind else { panic!("{line}") };
        assert_eq!(scalar.text, text, "{line}");
    }
    assert_eq!(errors, []);
}
