//! Compares what Kamal and Bowline make of the same files, and switches between them.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::inspect::{differences, inspected};
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Sandbox, Server};

/// A project that both can deploy. Kamal's own proxy isn't available here, so no role has one.
fn project(sandbox: &Sandbox, lease: &Lease, name: &str) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    let hosts = lease.addresses().join(", ");
    project
        .set(
            "servers",
            &format!(
                "
  web:
    hosts: [{hosts}]
    proxy: false
    asset_path: /app/assets
    env: {{clear: {{ROLE: web}}}}
    options: {{memory: 128m, cap-add: [NET_ADMIN, SYS_TIME]}}
  worker:
    hosts: [{hosts}]
    proxy: false
    cmd: /app/server --flag 'two words' \"${{HOME}}\"
    labels: {{kind: 'background work'}}
    env: {{clear: {{PORT: 3001}}, secret: [TOKEN, 'OTHER:ALIASED']}}"
            ),
        )
        .set("env", "\n  clear: {PLAIN: 'with \"quotes\" and $dollars', EMPTY: '', NUMBER: 5, FLAG: yes}\n  secret: [TOKEN]")
        .set("labels", "{team: shop}")
        .set("volumes", "[/var/tmp:/scratch, /srv/data:/data:ro]")
        .set("logging", "{driver: json-file, options: {max-size: 5m, max-file: 3}}")
        .set("builder", "\n  arch: amd64\n  context: app")
        .set("readiness_delay", "0")
        .unset("healthcheck")
        .unset("traefik");
    // An image that every sandbox has, and whose program keeps running.
    let image = sandbox.traefik_image.strip_prefix(&format!("{}/", sandbox.registry)).unwrap().to_owned();
    project.write("config/db.conf", "a = 1\n");
    project.set(
        "accessories",
        &format!(
            "
  db:
    image: {image}
    registry: {{server: '{}', username: {}, password: [KAMAL_REGISTRY_PASSWORD]}}
    hosts: [{hosts}]
    port: '127.0.0.1:5432:80'
    cmd: --log.level=ERROR
    env: {{clear: {{A: 'b c'}}, secret: [TOKEN, 'OTHER:ALIASED']}}
    labels: {{kind: data}}
    files: ['config/db.conf:/etc/db.conf']
    directories: ['data:/var/lib/db']
    volumes: ['/srv/more:/more:ro']
    options: {{memory: 128m}}",
            sandbox.registry, sandbox.registry_user
        ),
    );
    project.secret("TOKEN", "'t0k$en \"#'").secret("ALIASED", "an-alias");
    project
}

/// Bowline hides containers without a route from Traefik, which exposes every container by default.
const NOT_ROUTED: &str = "/Config/Labels/traefik.enable: nothing -> \"false\"";

#[test]
fn the_same_files_make_the_same_containers() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let project = project(sandbox, &lease, "peer");
    sandbox.push_version(&project.service, &project.service, "v1", &[]);
    project.kamal(&["deploy", "--skip-push", "--version", "v1", "-h", &lease[0].address]).ok();
    project.bowline(&["deploy", "--skip-push", "--version", "v1", "-h", &lease[1].address]).ok();
    for role in ["web", "worker"] {
        let container = project.container(role, "v1");
        let found = differences(&inspected(&lease[0], &container), &inspected(&lease[1], &container));
        let own =
            expect::inspect(&lease[1], &container, "{{json (index .Config.Labels \"bowline.config\")}}");
        let own = format!("/Config/Labels/bowline.config: nothing -> {own}");
        // Bowline keeps an empty value. Without `=`, Docker would use the variable of the server's environment.
        assert_eq!(found, ["/Config/Env: \"EMPTY\" -> \"EMPTY=\"", &own, NOT_ROUTED], "{role}");
    }
}

#[test]
fn the_same_files_make_the_same_accessories_and_each_replaces_the_others() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let project = project(sandbox, &lease, "beside");
    project.commit();
    let on = |server: &Server| ["-h".to_owned(), server.address.clone()];
    let run = |kamal: bool, what: &str, server: &Server| {
        let [flag, address] = on(server);
        let words = ["accessory", what, "db", &flag, &address, "-y"];
        let words = if what == "remove" { &words[..] } else { &words[..5] };
        if kamal { project.kamal(words) } else { project.bowline(words) }.ok();
    };
    let name = format!("{}-db", project.service);
    let states = || [&lease[0], &lease[1]].map(|server| inspected(server, &name));
    let same = |when: &str| {
        let [theirs, ours] = states();
        assert_eq!(differences(&theirs, &ours), [NOT_ROUTED], "{when}");
    };
    run(true, "boot", &lease[0]);
    run(false, "boot", &lease[1]);
    same("booted");
    let file = format!("cat {name}/etc/db.conf; stat -c '%a %U %n' {name} {name}/etc/db.conf {name}/data");
    assert_eq!(lease[0].run(&file).ok(), lease[1].run(&file).ok());
    run(false, "reboot", &lease[0]);
    run(true, "reboot", &lease[1]);
    let [ours, theirs] = states();
    // Bowline creates the container before it stops the old one, and starts it later, so nothing was attached to it.
    let found = differences(&theirs, &ours);
    assert_eq!(
        found,
        ["/Config/AttachStderr: false -> true", "/Config/AttachStdout: false -> true", NOT_ROUTED]
    );
    run(false, "remove", &lease[1]);
    run(true, "remove", &lease[0]);
    for server in lease.iter() {
        let left = server.run(&format!("docker ps -aq --filter name={name}; ls -d {name} 2>/dev/null; :"));
        assert_eq!(left.ok(), "", "on {}", server.name);
    }
}

#[test]
fn each_retires_what_the_other_booted() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let project = project(sandbox, &lease, "turns");
    for version in ["v1", "v2", "v3", "v4"] {
        sandbox.push_version(&project.service, &project.service, version, &[]);
    }
    for (number, version) in ["v1", "v2", "v3", "v4"].into_iter().enumerate() {
        let words = ["deploy", "--skip-push", "--version", version];
        if number % 2 == 0 { project.kamal(&words) } else { project.bowline(&words) }.ok();
        expect::runs(&project, server, &[("web", version), ("worker", version)]);
        expect::unlocked(&project, server);
    }
    project.commit();
    project.kamal(&["rollback", "v2"]).ok();
    expect::runs(&project, server, &[("web", "v2"), ("worker", "v2")]);
    project.bowline(&["rollback", "v3"]).ok();
    expect::runs(&project, server, &[("web", "v3"), ("worker", "v3")]);
    project.kamal(&["app", "version"]).says("v3").ok();
    project.kamal(&["audit"]).says("v4").ok();
}
