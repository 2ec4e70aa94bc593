//! Deploys without a registry: I1 to I5, on servers that reach nothing but the machine that deploys.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::fs;
use std::io::Read;
use std::time::Duration;

use bowline_tests::delay::Delay;
use bowline_tests::expect;
use bowline_tests::project::{DEADLINE, Project};
use bowline_tests::sandbox::{Ran, Sandbox, Server};

const MIB: u64 = 1024 * 1024;

/// A project whose image has a layer of so many MiB that no version changes.
fn project(sandbox: &Sandbox, servers: &bowline_tests::sandbox::Lease, name: &str, mib: u64) -> Project {
    let mut project = Project::proxied(sandbox, servers, name);
    project.without_registry();
    let mut random = fs::File::open("/dev/urandom").unwrap();
    let mut bytes = Vec::new();
    (&mut random).take(mib * MIB).read_to_end(&mut bytes).unwrap();
    fs::write(project.path().join("app/large"), bytes).unwrap();
    let dockerfile = fs::read_to_string(project.path().join("app/Dockerfile")).unwrap();
    let from = dockerfile.lines().find(|line| line.starts_with("FROM ")).unwrap().to_owned();
    project.write("app/Dockerfile", &dockerfile.replace(&from, &format!("{from}\nCOPY large /large")));
    project
}

/// How many bytes a run says that it sent to each server.
#[track_caller]
fn sent(ran: &Ran) -> u64 {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    let line =
        text.lines().find(|line| line.contains("sent ")).unwrap_or_else(|| panic!("no bytes in\n{ran}"));
    let mut words = line.split("sent ").nth(1).unwrap().split(' ');
    let number: f64 = words.next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
    let unit = match words.next().unwrap() {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        unit => panic!("{unit} in {line}"),
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    let bytes = (number * unit) as u64;
    bytes
}

/// No name but the app's own is left on a server.
#[track_caller]
fn nothing_else_is_named(server: &Server) {
    let names = server.run("docker image ls --format '{{.Repository}}:{{.Tag}}'");
    assert!(!names.ok().contains("/bowline/"), "{names}");
    let digests = server.run("docker image ls --digests --format '{{.Repository}}@{{.Digest}}'");
    assert!(!digests.ok().contains("/bowline/"), "{digests}");
}

#[test]
fn i1_i2_without_a_registry_three_bare_servers_are_set_up_deployed_rolled_back_and_pruned() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    let mut project = project(sandbox, &lease, "own", 8);
    project.set("retain_containers", "1");
    let host = project.host();
    for server in lease.iter() {
        server.run("rm -rf .kamal; ! docker network inspect kamal").ok();
    }
    project.build_arg("VERSION", "v1");
    let first = project.bowline(&["setup", "--version", "v1"]);
    // Some of them may have what the app is built on.
    first.exits(0).says("3 servers");
    assert!(sent(&first) > 8 * MIB, "{first}");
    for server in lease.iter() {
        assert!(server.serves(&host, "v1"));
        expect::runs(&project, server, &[("web", "v1")]);
        nothing_else_is_named(server);
        let config = ".kamal/docker-config.json .docker/config.json";
        server.run(&format!("! grep -l localhost: {config}")).ok();
    }

    for version in ["v2", "v3"] {
        let next = project.deploy(version);
        next.exits(0).says("to each of 3 servers");
        assert!(sent(&next) < 4 * MIB, "only the changed layer is sent: {next}");
        assert!(lease.iter().all(|server| server.serves(&host, version)));
    }
    // The oldest is pruned with its container, under the names that a registry would have given it.
    for server in lease.iter() {
        let tags = server.run(&format!("docker image ls --format '{{{{.Tag}}}}' {} | sort", project.service));
        assert_eq!(tags.ok(), "latest\nv2\nv3", "on {}", server.name);
        let ids = ["latest", "v3"].map(|tag| expect::image_id(&project, server, tag));
        assert_eq!(ids[0], ids[1]);
        nothing_else_is_named(server);
        expect::unlocked(&project, server);
    }

    project.bowline(&["rollback", "v2"]).ok();
    assert!(lease.iter().all(|server| server.serves(&host, "v2")));
    project.bowline(&["app", "exec", "--version", "v3", "echo there"]).ok();
    project.bowline(&["prune", "all"]).ok();
    // What is there needs no build.
    let again = project.bowline(&["deploy", "-P", "--version", "v3"]);
    again.exits(0).never_says("Building");
    assert!(lease.iter().all(|server| server.serves(&host, "v3")));
}

#[test]
fn i5_a_server_that_lacks_an_image_gets_it_from_here_or_from_another_server() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = project(sandbox, &lease, "lacks", 1);
    let (one, other) = (&lease[0], &lease[1]);
    project.build_arg("VERSION", "v1");
    project.bowline(&["deploy", "--version", "v1", "-h", &one.address]).ok();
    assert_eq!(expect::image_id(&project, other, "v1"), "");
    let exec = ["app", "exec", "--version", "v1", "-h", &other.address, "echo there"];
    project.bowline(&exec).exits(0).says("there");
    let id = expect::image_id(&project, other, "v1");
    assert_eq!(id, expect::image_id(&project, one, "v1"));

    other.run(&format!("docker rmi {}", project.image("v1"))).ok();
    let cache = project.home().join(".cache/bowline/images");
    fs::remove_dir_all(cache).unwrap();
    let again = project.bowline(&["deploy", "-P", "--version", "v1"]);
    again.exits(0).says(&format!("{}: note:", one.address)).says("getting it from here");
    assert!(lease.iter().all(|server| server.serves(&project.host(), "v1")));
    assert_eq!(id, expect::image_id(&project, other, "v1"));
    nothing_else_is_named(other);
}

/// The project with its servers at the end of delay lines.
fn far(sandbox: &Sandbox, project: &mut Project, lines: &[Delay]) {
    let hosts: Vec<String> = lines.iter().map(|line| line.address().ip().to_string()).collect();
    let (port, key) = (lines[0].address().port(), sandbox.ssh_key.display());
    let ssh = format!("\n  user: root\n  port: {port}\n  keys_only: true\n  keys:\n    - {key}");
    project.set("servers", &format!("[{}]", hosts.join(", "))).set("ssh", &ssh);
}

/// A delay line of 200 ms to a server and back.
fn line(number: usize, port: u16, server: &Server) -> Delay {
    let listen = format!("127.0.7.{}:{port}", number + 2).parse().unwrap();
    let target = format!("{}:22", server.address).parse().unwrap();
    Delay::start(listen, target, Duration::from_millis(100)).unwrap()
}

#[test]
fn i4_over_long_lines_other_commands_are_answered_and_what_was_cut_off_has_less_to_send() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = project(sandbox, &lease, "long", 48);
    let first = line(0, 0, &lease[0]);
    let port = first.address().port();
    let mut lines = vec![first, line(1, port, &lease[1])];
    far(sandbox, &mut project, &lines);
    project.build_arg("VERSION", "v1");
    project.bowline(&["build", "push", "--version", "v1"]).ok();

    let mut deploy = project.spawn(&["deploy", "-P", "--version", "v1", "--json"]);
    deploy.wait_for("\"event\":\"sending\"", DEADLINE);
    // A connection of its own, over the same line.
    let asked = project.bowline(&["server", "exec", "echo there"]);
    asked.exits(0).says("there");
    assert!(asked.took < Duration::from_secs(20), "{asked}");
    drop(lines.remove(0));
    let cut = deploy.wait(DEADLINE);
    cut.exits(4).says("connection_lost");
    assert!(lease[1].serves(&project.host(), "v1"), "the other one finishes");

    lines.insert(0, line(0, port, &lease[0]));
    let again = project.bowline(&["deploy", "-P", "--version", "v1"]);
    assert!(sent(&again) < 51 * MIB, "{again}");
    assert!(lease.iter().all(|server| server.serves(&project.host(), "v1")));
}

#[test]
fn i3_where_sshd_forwards_nothing_the_image_is_loaded() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = project(sandbox, &lease, "strict", 2);
    let _strict = lease[0].without_forwarding();
    for version in ["v1", "v2"] {
        project.deploy(version).exits(0).says("sent ");
        for server in lease.iter() {
            assert!(server.serves(&project.host(), version), "on {}", server.name);
            nothing_else_is_named(server);
        }
        let ids = [0, 1].map(|at| expect::image_id(&project, &lease[at], version));
        assert_eq!(ids[0], ids[1], "it is the same image");
    }
}

#[test]
fn i2_what_came_without_a_registry_is_whole_in_both_of_dockers_stores() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let _store = lease[1].with_containerd_store();
    // What was left in this store is out of sight of what empties servers.
    let empty = "docker ps -aq | xargs -r docker rm -f";
    lease[1].run(empty).ok();
    let mut project = project(sandbox, &lease, "whole", 2);
    for version in ["v1", "v2"] {
        project.deploy(version).ok();
    }
    let image = project.image("v2");
    let pushed = format!("{}/{image}", sandbox.registry);
    for server in lease.iter() {
        assert!(server.serves(&project.host(), "v2"), "on {}", server.name);
        nothing_else_is_named(server);
        let check = format!(
            "docker save {image} | tar t | grep -c blobs/sha256 && \
             echo '{}' | docker login -u '{}' --password-stdin {} && docker tag {image} {pushed} && docker push -q {pushed} && \
             docker rmi {pushed}",
            sandbox.registry_password, sandbox.registry_user, sandbox.registry
        );
        server.run(&check).ok();
    }
    lease[1].run(empty).ok();
}

#[test]
fn i1_a_registry_on_localhost_is_only_a_name() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = project(sandbox, &lease, "named", 1);
    project.with_local_registry(5999);
    project.deploy("v1").ok();
    assert!(lease[0].serves(&project.host(), "v1"));
    let list = "docker image ls --format '{{.Repository}}:{{.Tag}}' | grep";
    let names = lease[0].run(&format!("{list} {} | sort", project.service));
    assert_eq!(names.ok(), format!("{}\n{}", project.image("latest"), project.image("v1")));
    let here = bowline_tests::docker::docker(&["ps", "-aq", "--filter", "name=kamal-docker-registry"]);
    assert_eq!(here.ok(), "", "no registry runs here");
}
