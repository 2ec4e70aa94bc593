//! Deploys without a registry: I1 to I5, on servers that only reach the deploying machine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::fs;
use std::io::Read;
use std::time::Duration;

use bowline_tests::delay::Delay;
use bowline_tests::expect;
use bowline_tests::project::{DEADLINE, Project};
use bowline_tests::sandbox::{Ran, Sandbox, Server};

const MIB: u64 = 1024 * 1024;

/// A project whose image has a random layer of `mib` MiB that is the same in all versions.
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

/// Asserts that no temporary image name is left on a server.
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
    // Some servers may have the app's base image.
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
    // The oldest image is pruned with its container. The rest have the names that a registry would have given them.
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
    again.exits(0).says(&format!("{}: note:", one.address)).says("copying it from this server");
    assert!(lease.iter().all(|server| server.serves(&project.host(), "v1")));
    assert_eq!(id, expect::image_id(&project, other, "v1"));
    nothing_else_is_named(other);
}

fn far(sandbox: &Sandbox, project: &mut Project, lines: &[Delay]) {
    let hosts: Vec<String> = lines.iter().map(|line| line.address().ip().to_string()).collect();
    let (port, key) = (lines[0].address().port(), sandbox.ssh_key.display());
    let ssh = format!("\n  user: root\n  port: {port}\n  keys_only: true\n  keys:\n    - {key}");
    project.set("servers", &format!("[{}]", hosts.join(", "))).set("ssh", &ssh);
}

/// A delay line to a server with a round trip of 200 ms.
fn line(number: usize, port: u16, server: &Server) -> Delay {
    let listen = format!("127.0.7.{}:{port}", number + 2).parse().unwrap();
    let target = format!("{}:22", server.address).parse().unwrap();
    Delay::start(listen, target, Duration::from_millis(100)).unwrap()
}

/// The size in MiB of the layer that is sent through delay lines: `IMAGES_MIB`, or 48.
fn far_mib() -> u64 {
    std::env::var("IMAGES_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(48)
}

#[test]
fn i4_over_long_lines_other_commands_are_answered_and_what_was_cut_off_has_less_to_send() {
    let (sandbox, mib) = (Sandbox::get(), far_mib());
    let lease = sandbox.lease(3);
    let mut project = project(sandbox, &lease, "long", mib);
    let first = line(0, 0, &lease[0]);
    let port = first.address().port();
    let mut lines = vec![first, line(1, port, &lease[1]), line(2, port, &lease[2])];
    far(sandbox, &mut project, &lines);
    project.build_arg("VERSION", "v1");
    project.bowline(&["build", "push", "--version", "v1"]).ok();

    let mut deploy = project.spawn(&["deploy", "-P", "--version", "v1", "--json"]);
    deploy.wait_for("\"event\":\"sending\"", DEADLINE);
    // Uses a second connection over the same delay line.
    let asked = project.bowline(&["server", "exec", "echo there"]);
    asked.exits(0).says("there");
    assert!(asked.took < Duration::from_secs(20), "{asked}");
    drop(lines.remove(0));
    // The failure is reported when it happens, before the others have the image.
    deploy.wait_for("connection_lost", DEADLINE);
    deploy.wait_for("\"event\":\"sent\"", DEADLINE);
    let memory = deploy.most_memory();
    assert!(memory < 64 * MIB, "{memory} bytes");
    let cut = deploy.wait(DEADLINE);
    cut.exits(4).says("connection_lost");
    assert!(cut.stdout.find("connection_lost") < cut.stdout.find("\"event\":\"sent\""), "{cut}");
    for server in lease.iter().skip(1) {
        assert!(server.serves(&project.host(), "v1"), "the others finish");
    }

    lines.insert(0, line(0, port, &lease[0]));
    let again = project.bowline(&["deploy", "-P", "--version", "v1"]);
    println!(
        "{mib} MiB: {} MiB of memory, answered in {} ms, {} bytes the second time",
        memory / MIB,
        asked.took.as_millis(),
        sent(&again)
    );
    assert!(sent(&again) < (mib + 3) * MIB, "{again}");
    assert!(lease.iter().all(|server| server.serves(&project.host(), "v1")));
}

#[test]
fn i4_a_deploy_interrupted_while_it_sends_an_image_holds_up_no_later_one() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = project(sandbox, &lease, "interrupted", 48);
    let lines = [line(0, 0, &lease[0])];
    far(sandbox, &mut project, &lines);
    project.build_arg("VERSION", "v1");
    project.bowline(&["build", "push", "--version", "v1"]).ok();
    let mut deploy = project.spawn(&["deploy", "-P", "--version", "v1", "--json"]);
    // Docker has started on the layer. After an interruption it would request that again, but not the manifest.
    deploy.wait_for("\"seconds\":2.", DEADLINE);
    deploy.signal("INT");
    deploy.wait(DEADLINE).exits(130);
    let again = project.bowline(&["deploy", "-P", "--version", "v1"]);
    again.exits(0).never_says("the previous run");
    assert!(lease[0].serves(&project.host(), "v1"));
}

/// The status codes of requests on a server, for each of these ports and paths.
fn answers(server: &Server, user: &str, ports: &[&str], more: &str, paths: &[String]) -> Vec<String> {
    let urls =
        ports.iter().flat_map(|port| paths.iter().map(move |path| format!("http://127.0.0.1:{port}{path}")));
    let ask = |url: String| format!("curl -s -m 60 -o /dev/null -w '%{{http_code}}\\n' {more} {url}");
    let script: Vec<String> = urls.map(ask).collect();
    let ran = server.run(&format!("su -s /bin/sh {user} <<'END'\n{}\nEND", script.join("\n")));
    ran.ok().lines().map(str::to_owned).collect()
}

#[test]
fn i4_no_other_user_reads_or_writes_and_two_deploys_do_not_see_each_other() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let lines = [line(10, 0, server)];
    let mut projects = ["mine", "other"].map(|name| project(sandbox, &lease, name, 32));
    for project in &mut projects {
        far(sandbox, project, &lines);
        let host = lines[0].address().ip();
        project.set("servers", &format!("\n  web:\n    hosts: [{host}]\n    proxy: false"));
        project.set("readiness_delay", "1");
        project.build_arg("VERSION", "v1");
        project.bowline(&["build", "push", "--version", "v1"]).ok();
    }
    let mut deploys =
        projects.each_ref().map(|project| project.spawn(&["deploy", "-P", "--version", "v1", "--json"]));
    for deploy in &mut deploys {
        deploy.wait_for("\"event\":\"sending\"", DEADLINE);
    }
    // Pauses both pulls while the test inspects them.
    server.run("kill -STOP $(pgrep -x dockerd)").ok();
    let configs = server.run("cat /tmp/tmp.*/config.json; echo; ls -ld /tmp/tmp.*");
    let auths: Vec<(&str, &str)> = configs
        .ok()
        .split("\"localhost:")
        .skip(1)
        .map(|entry| {
            (
                entry.split('"').next().unwrap(),
                entry.split("\"auth\":\"").nth(1).unwrap().split('"').next().unwrap(),
            )
        })
        .collect();
    assert_eq!(auths.len(), 2, "both pull: {configs}");
    let ports: Vec<&str> = auths.iter().map(|(port, _)| *port).collect();
    let names = projects.each_ref().map(|project| format!("/v2/bowline/app-{}", project.service));
    let manifests = names.each_ref().map(|name| format!("{name}/manifests/v1"));
    let uploads = names.each_ref().map(|name| format!("{name}/blobs/uploads/"));

    let read = answers(server, "nobody", &ports, "", &manifests);
    assert_eq!(read, ["401"; 4], "without a password nothing is read");
    let written = answers(server, "nobody", &ports, "-X POST", &uploads);
    assert_eq!(written, ["401"; 4], "nor written");
    let looked = server.run(
        "su -s /bin/sh nobody -c 'cat /tmp/tmp.*/config.json /proc/[0-9]*/environ 2>/dev/null; ps axww'",
    );
    for (port, auth) in &auths {
        assert!(!looked.stdout.contains(auth), "the password of {port} can be seen");
        // Each deploy has its own password.
        let header = format!("-H 'Authorization: Basic {auth}'");
        let mut read = answers(server, "nobody", &ports, &header, &manifests);
        read.sort();
        assert_eq!(read, ["200", "401", "401", "404"], "it opens one image on one port");
        let mut written = answers(server, "nobody", &[port], &format!("{header} -X POST"), &uploads);
        written.dedup();
        assert_eq!(written, ["405"], "nothing can be written");
    }
    server.run("kill -CONT $(pgrep -x dockerd)").ok();
    for (project, deploy) in projects.iter().zip(deploys) {
        deploy.wait(DEADLINE).exits(0);
        expect::runs(project, server, &[("web", "v1")]);
    }
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
fn i3_where_sshd_can_open_no_port_the_image_is_loaded_too() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = project(sandbox, &lease, "portless", 2);
    let full = lease[0].without_free_ports();
    let loaded = "sshd opened no port here, so the whole image is sent";
    project.deploy("v1").exits(0).says("sent ").says(loaded).says("sshd's log");
    drop(full);
    project.deploy("v2").exits(0).never_says(loaded);
    for server in lease.iter() {
        assert!(server.serves(&project.host(), "v2"), "on {}", server.name);
        nothing_else_is_named(server);
    }
}

#[test]
fn i2_what_came_without_a_registry_is_whole_in_both_of_dockers_stores() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let _store = lease[1].with_containerd_store();
    // Resetting a server doesn't see containers in this store.
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

fn build_elsewhere(project: &Project, version: &str, labels: &[&str]) -> String {
    let image = format!("elsewhere-{}:{version}", project.service);
    let mut words = vec!["build", "-q", "-t", &image, "--build-arg"];
    let argument = format!("VERSION={version}");
    words.push(&argument);
    for label in labels {
        words.extend(["--label", label]);
    }
    let context = project.path().join("app");
    words.push(context.to_str().unwrap());
    bowline_tests::docker::docker(&words).ok();
    image
}

#[test]
fn i2_an_image_archive_is_deployed_without_a_build() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let project = project(sandbox, &lease, "given", 1);
    let label = format!("service={}", project.service);
    let path = |name: &str| project.path().join(name).to_str().unwrap().to_owned();
    let mut built = Vec::new();
    for (version, labels) in [("v1", &[label.as_str()][..]), ("bare", &[])] {
        let image = build_elsewhere(&project, version, labels);
        bowline_tests::docker::docker(&["save", "-o", &path(&format!("{version}.tar")), &image]).ok();
        built.push(image);
    }
    fs::remove_file(project.path().join("app/Dockerfile")).unwrap();

    // An unusable archive is rejected before the run connects.
    project.write("text.tar", "FROM scratch\n");
    for (file, says) in
        [("text.tar", "is not a tar archive"), ("bare.tar", "doesn't have the label `service`")]
    {
        let refused = project.bowline(&["deploy", "--image-archive", file, "--version", "v1"]);
        assert_ne!(refused.code, Some(0), "{refused}");
        refused.says(&format!("reading {file} failed")).says(says).never_says("Connecting");
    }

    let refused = project.bowline(&["deploy", "--image-archive", "absent.tar", "--version", "v1"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    refused.says("`absent.tar`: there is no such file");

    let kept = project.home().join(".cache/bowline/images/images");
    let planned = project.bowline(&["plan", "--image-archive", "v1.tar", "--version", "v1"]);
    planned
        .exits(0)
        .says(&format!("send {}: ", project.image("v1")))
        .says(" MB")
        .never_says("on this machine");
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 0, "a plan keeps no image");
    project
        .bowline(&["setup", "--image-archive", "v1.tar", "--version", "v1"])
        .exits(0)
        .never_says("Building");
    assert!(server.serves(&project.host(), "v1"));
    // Newer versions of Docker save another format, and gzip is accepted too.
    let save = format!("docker save {} | gzip -1 >/tmp/v1.tgz", project.image("v1"));
    server.run(&save).ok();
    bowline_tests::docker::docker(&["cp", &format!("{}:/tmp/v1.tgz", server.name), &path("v2.tgz")]).ok();
    let again = project.bowline(&["redeploy", "--image-archive", "v2.tgz", "--version", "v2"]);
    again.exits(0);
    // Docker may still have the manifest as well.
    let nothing = again.stderr.contains("nothing was missing");
    assert!(nothing || sent(&again) < MIB / 4, "its layers are there: {again}");
    expect::runs(&project, server, &[("web", "v2")]);
    assert_eq!(expect::image_id(&project, server, "v1"), expect::image_id(&project, server, "v2"));
    let kept = project.bowline(&["build", "push", "--image-archive", "v1.tar", "--version", "v3"]);
    kept.exits(0);
    project.bowline(&["build", "pull", "--version", "v3"]).exits(0).says("received");
    for image in built {
        let _ = bowline_tests::docker::docker(&["rmi", "-f", "--no-prune", &image]);
    }
}

#[test]
fn i2_a_plan_says_what_would_be_sent() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = project(sandbox, &lease, "planned", 8);
    project.build_arg("VERSION", "v1");
    let unbuilt = project.bowline(&["plan", "--version", "v1"]);
    unbuilt.exits(0).says(&format!("send {}: size unknown until the image is built", project.image("v1")));
    project.bowline(&["plan", "-P", "--version", "v1"]).exits(0).says("not on this machine");
    project.bowline(&["deploy", "--version", "v1", "-h", &lease[0].address]).ok();

    let planned = |project: &Project, version: &str| -> Vec<(u64, u64, u64)> {
        let plan = project.bowline(&["plan", "--version", version, "--json"]);
        let plan: serde_json::Value =
            serde_json::from_str(plan.ok().lines().find(|line| line.contains("\"event\":\"plan\"")).unwrap())
                .unwrap();
        let image = |server: &serde_json::Value| {
            let number = |key: &str| server["image"][key].as_u64().unwrap_or_else(|| panic!("{plan}"));
            (number("layers"), number("of"), number("bytes"))
        };
        plan["servers"].as_array().unwrap().iter().map(image).collect()
    };
    let [there, lacking] = planned(&project, "v1")[..] else { panic!() };
    assert_eq!((there.0, there.2), (0, 0), "{there:?}");
    assert!(lacking.0 > 0 && lacking.2 > 8 * MIB, "{lacking:?}");
    project
        .bowline(&["plan", "--version", "v1"])
        .says(&format!("none of its {} layers", there.1))
        .says(" MB");

    project.build_arg("VERSION", "v2");
    project.bowline(&["build", "push", "--version", "v2"]).ok();
    let [changed, _] = planned(&project, "v2")[..] else { panic!() };
    assert!(changed.0 < changed.1 && changed.2 < 4 * MIB, "{changed:?}");
    let deploy = project.bowline(&["deploy", "-P", "--version", "v2", "-h", &lease[0].address]);
    let really = sent(&deploy);
    assert!(
        really >= changed.2 / 10 * 9 && really < changed.2 + MIB / 8,
        "{really} of {changed:?}: {deploy}"
    );
}

#[test]
fn i1_accessories_of_the_apps_own_image_get_it_from_here() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = project(sandbox, &lease, "beside", 1);
    let (app, beside) = (&lease[0], &lease[1]);
    project.set("servers", &format!("[{}]", app.address));
    let own = |image: &str| {
        format!("\n  own:\n    image: {image}\n    host: {}\n    cmd: /app/server worker", beside.address)
    };
    project.set("accessories", &own(&project.service)).build_arg("VERSION", "v1");
    project.bowline(&["setup", "--version", "v1"]).ok();
    let name = format!("{}-own", project.service);
    let runs = |project: &Project, version: &str| {
        let of = beside.run(&format!("docker inspect -f '{{{{.State.Running}}}} {{{{.Image}}}}' {name}"));
        assert_eq!(of.ok(), format!("true {}", expect::image_id(project, app, version)));
    };
    runs(&project, "v1");
    nothing_else_is_named(beside);
    project.bowline(&["accessory", "boot", "own"]).exits(0).says("is already running");

    project.build_arg("VERSION", "v2");
    project.bowline(&["deploy", "--version", "v2"]).ok();
    project.bowline(&["accessory", "pull-image", "own"]).exits(0).says("received");
    project.bowline(&["accessory", "reboot", "own"]).exits(0).says("with a newer image");
    runs(&project, "v2");
    project.set("accessories", &own(&project.image("v9")));
    let absent = project.bowline(&["accessory", "reboot", "own"]);
    absent.says(&format!("{} is neither on this server nor on this machine", project.image("v9")));
    assert_ne!(absent.code, Some(0));
    runs(&project, "v2");
}

#[test]
fn i4_a_server_without_room_says_so_and_the_other_one_goes_on() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = project(sandbox, &lease, "full", 4);
    let full = lease[0].without_room_for_images();
    let ran = project.deploy("v1");
    ran.exits(1).says("no space left on device").says("its disk is full");
    assert!(lease[1].serves(&project.host(), "v1"));
    drop(full);
    project.bowline(&["deploy", "-P", "--version", "v1"]).ok();
    assert!(lease[0].serves(&project.host(), "v1"));
}

/// A file system of `mib` MiB, mounted on a directory until this is dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn on(path: std::path::PathBuf, mib: u64) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(&path)
            .status();
        assert!(mount.unwrap().success());
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn i2_without_room_on_this_machine_nothing_is_sent_and_nothing_left_behind() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = project(sandbox, &lease, "tight", 8);
    let cache = project.home().join(".cache");
    let small = Small::on(cache.clone(), 4);
    let ran = project.deploy("v1");
    ran.exits(1).says("saving the image failed").says("No space left on device");
    ran.says(&cache.join("bowline/images/incoming").display().to_string()).says("set XDG_CACHE_HOME");
    for part in ["incoming", "images", "blobs/sha256"] {
        let left = fs::read_dir(cache.join("bowline/images").join(part)).unwrap().count();
        assert_eq!(left, 0, "files in {part}");
    }
    assert_eq!(expect::image_id(&project, &lease[0], "v1"), "");
    expect::unlocked(&project, &lease[0]);
    drop(small);
    project.deploy("v1").ok();
    assert!(lease[0].serves(&project.host(), "v1"));
}

#[test]
fn i1_a_server_whose_docker_asks_a_proxy_gets_it_all_the_same() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = project(sandbox, &lease, "behind", 1);
    let _proxy = lease[0].with_proxy();
    project.deploy("v1").ok();
    assert!(lease[0].serves(&project.host(), "v1"));
}
