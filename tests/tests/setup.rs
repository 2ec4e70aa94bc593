//! `setup`: after one command, bare servers serve the app, even without Docker.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::Sandbox;

#[test]
fn bare_servers_serve_after_one_command_and_again_after_the_next() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "setup");
    project.build_arg("VERSION", "v1");
    project.hook("docker-setup", "#!/bin/sh\necho \"$KAMAL_COMMAND $KAMAL_HOSTS $KAMAL_VERSION\" >>hooked\n");
    for server in lease.iter() {
        server.run("rm -rf .kamal; ! docker network inspect kamal; ! docker inspect traefik").ok();
    }
    let _bare = lease[1].without_docker_installed();
    let ran = project.bowline(&["setup", "--version", "v1"]);
    ran.exits(0).says("installed Docker").says("deployed").says("to 2 servers").never_says("took over");
    for server in lease.iter() {
        expect::runs(&project, server, &[("web", "v1")]);
        assert_eq!(server.get("/version").as_deref(), Some("v1"));
        expect::unlocked(&project, server);
    }
    let hooked = std::fs::read_to_string(project.path().join("hooked")).unwrap();
    assert_eq!(hooked, format!("setup {} v1\n", lease.addresses().join(",")));
    // On prepared servers, `setup` deploys. Here it uses an image that is already in the registry.
    let file = format!(".kamal/apps/{}/env/roles/web.env", project.service);
    lease[1].run(&format!("rm {file}")).ok();
    project.set("env", "{secret: [TOKEN]}").secret("TOKEN", "'a $b'");
    project.bowline(&["env", "push"]).exits(0).says(&format!("wrote {file}")).never_says("$b");
    assert_eq!(lease[1].run(&format!("stat -c %a {file}; cat {file}")).ok(), "600\nTOKEN=a $b");
    project.bowline(&["env", "delete", "-h", &lease[1].address]).ok();
    assert!(lease[0].has(&file) && !lease[1].has(&file));
    let again = project.bowline(&["setup", "-P", "--version", "v1", "-h", &lease[0].address]);
    again.exits(0).never_says("install").never_says("Building");
    expect::runs(&project, &lease[0], &[("web", "v1")]);
}

#[test]
fn of_a_project_without_an_app_the_accessories_are_set_up() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "no-app");
    sandbox.push_version(&project.service, &project.service, "v1", &[]);
    let accessories = format!(
        "\n  tool: {{image: {}, cmd: /app/server worker, host: {}}}",
        project.image("v1"),
        server.address
    );
    project.set("accessories", &accessories).unset("servers").unset("traefik").unset("healthcheck");
    project.bowline(&["setup"]).says("booted tool").never_says("Building").ok();
    assert_eq!(server.ssh("docker ps --format '{{.Names}}'").ok(), format!("{}-tool", project.service));
    expect::unlocked(&project, server);
    project.bowline(&["deploy", "--version", "v1"]).says("there is no app to deploy").exits(2);
}
