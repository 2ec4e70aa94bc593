//! What a deploy does on healthy servers: S1, S9, S10, S11, deploying a version again, rolling back, pruning.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::{Project, wait_for_version};
use bowline_tests::sandbox::{Sandbox, Server};
use bowline_tests::watch::{Watch, told, when};

fn latest_is(project: &Project, server: &Server, tag: &str, version: &str) {
    let (latest, image) =
        (expect::image_id(project, server, tag), expect::image_id(project, server, version));
    assert!(!latest.is_empty() && latest == image, "{tag} on {}: {latest}, {version}: {image}", server.name);
}

#[test]
fn s01_the_only_container_a_deploy_boots_is_the_one_that_serves_also_of_the_same_version_again() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "one-boot");
    project.deploy("v1").ok();
    let watches: Vec<Watch> = lease.iter().map(Watch::on).collect();
    project.deploy("v2").ok();
    let new = project.container("web", "v2");
    for (watch, server) in watches.into_iter().zip(lease.iter()) {
        let all = watch.stop();
        let made: Vec<&str> = all
            .iter()
            .filter(|event| event.action == "create" && event.kind == "container")
            .map(|event| event.name.as_str())
            .collect();
        assert_eq!(made, [new.as_str()], "{}", told(&all));
        let (healthy, gone) =
            (when(&all, "health_status: healthy", &new), when(&all, "kill", &project.container("web", "v1")));
        assert!(healthy < gone, "the old one goes only when the new one is healthy\n{}", told(&all));
        expect::runs(&project, server, &[("web", "v2")]);
        expect::unlocked(&project, server);
        expect::no_loose_cords(&project, server);
        wait_for_version(server, "v2");
    }

    let server = &lease[0];
    let before = expect::inspect(server, &new, "{{.Id}}");
    let watch = Watch::on(server);
    project.deploy("v2").ok();
    expect::runs(&project, server, &[("web", "v2")]);
    assert_ne!(before, expect::inspect(server, &new, "{{.Id}}"), "it is a new container");
    let all = watch.stop();
    assert!(all.iter().any(|event| event.action == "rename"), "{}", told(&all));
    wait_for_version(server, "v2");
    expect::no_loose_cords(&project, server);
}

#[test]
fn s09_s10_the_latest_tag_carries_the_destination_and_is_what_boots_without_a_version() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "latest");
    project.write("config/deploy.staging.yml", "env:\n  clear:\n    WHERE: staging\n");
    project
        .write(".kamal/secrets.staging", &format!("KAMAL_REGISTRY_PASSWORD={}\n", sandbox.registry_password));
    project.build_arg("VERSION", "v1");
    project.bowline(&["deploy", "-d", "staging", "--version", "v1"]).ok();
    latest_is(&project, server, "latest-staging", "v1");
    assert_eq!(expect::image_id(&project, server, "latest"), "", "there is no latest of another destination");
    assert_eq!(server.running(&project.service), [format!("{}-web-staging-v1", project.service)]);

    // Without a version, a new container uses the latest image, with the destination's environment.
    let ran = project.bowline(&["app", "exec", "-d", "staging", "env"]);
    ran.says("VERSION=v1").says("WHERE=staging").exits(0);
    server
        .run(&format!("docker stop {0}-web-staging-v1 && docker rm {0}-web-staging-v1", project.service))
        .ok();
    project.bowline(&["app", "boot", "-d", "staging"]).ok();
    assert_eq!(server.running(&project.service), [format!("{}-web-staging-latest-staging", project.service)]);
    assert_eq!(server.get("/version").as_deref(), Some("v1"));
    expect::unlocked(&project, server);
}

#[test]
fn s11_an_image_is_tagged_latest_at_the_end_and_only_where_all_roles_came_up() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let (first, second) = (lease[0].address.as_str(), lease[1].address.as_str());
    let mut project = Project::new(sandbox, &lease, "tagged");
    let worker = "cmd: /app/server worker";
    project.roles(&[("web", &[first, second], ""), ("worker", &[first], worker)]);
    project.deploy("v1").ok();
    let watch = Watch::on(&lease[1]);
    project.roles(&[
        ("web", &[first, second], ""),
        ("worker", &[first], &format!("{worker}\nenv:\n  EXIT_AT_BOOT: 7")),
    ]);
    project.deploy("v2").exits(1);

    latest_is(&project, &lease[0], "latest", "v1");
    expect::runs(&project, &lease[0], &[("web", "v2"), ("worker", "v1")]);
    latest_is(&project, &lease[1], "latest", "v2");
    expect::runs(&project, &lease[1], &[("web", "v2")]);
    let all = watch.stop();
    let tagged = all.iter().rfind(|event| event.action == "tag").unwrap_or_else(|| panic!("{}", told(&all)));
    let old = project.container("web", "v1");
    assert!(tagged.at > when(&all, "die", &old), "tagged when the boot is over\n{}", told(&all));
}

#[test]
fn rollback_goes_to_the_version_before_or_to_the_one_named_and_says_what_there_is() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "back");
    let none = project.bowline(&["rollback"]);
    none.exits(2).says("served before the current one");
    for version in ["v1", "v2", "v3-with-a-long-name"] {
        project.deploy(version).ok();
    }
    project.bowline(&["rollback"]).ok();
    for server in lease.iter() {
        expect::runs(&project, server, &[("web", "v2")]);
        latest_is(&project, server, "latest", "v2");
    }
    // A second rollback goes one version further back, and not forward again.
    project.bowline(&["rollback"]).ok();
    expect::runs(&project, &lease[0], &[("web", "v1")]);
    // A prefix identifies a version, like a commit in git.
    project.bowline(&["rollback", "v3-w"]).ok();
    let v3 = "v3-with-a-long-name";
    expect::runs(&project, &lease[1], &[("web", v3)]);
    wait_for_version(&lease[1], v3);
    let missing = project.bowline(&["rollback", "v9"]);
    missing.exits(2).says("v9").says(&lease[0].address).says("the versions on all servers are: v3");
    expect::runs(&project, &lease[0], &[("web", v3)]);
    for server in lease.iter() {
        expect::unlocked(&project, server);
    }
}

#[test]
fn s10_redeploy_boots_without_proxy_and_pruning_and_app_boot_without_a_version_boots_the_latest_image() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "redeploy");
    project.set("retain_containers", "1");
    project.deploy("v1").ok();
    for version in ["v2", "v3"] {
        project.build_arg("VERSION", version);
        project.bowline(&["redeploy", "--version", version]).ok();
    }
    expect::runs(&project, server, &[("web", "v3")]);
    assert_eq!(server.containers(&project.service).len(), 3, "nothing was pruned");
    latest_is(&project, server, "latest", "v3");

    project.bowline(&["app", "boot"]).ok();
    expect::runs(&project, server, &[("web", "latest")]);
    assert_eq!(server.get("/version").as_deref(), Some("v3"));
    project.bowline(&["app", "exec", "env"]).says("VERSION=v3").exits(0);
    expect::no_loose_cords(&project, server);
}

#[test]
fn pruning_keeps_so_many_containers_of_each_role_and_their_images() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "prune");
    let address = server.address.as_str();
    project.roles(&[("web", &[address], ""), ("worker", &[address], "cmd: /app/server worker")]);
    project.set("retain_containers", "1").set("stop_wait_time", "3");
    for version in ["v1", "v2", "v3", "v4"] {
        project.deploy(version).ok();
    }
    let expected: Vec<String> = ["web-v3", "web-v4", "worker-v3", "worker-v4"]
        .iter()
        .map(|name| format!("{}-{name}", project.service))
        .collect();
    assert_eq!(server.containers(&project.service), expected);
    let images = server.run(&format!("docker images --format '{{{{.Tag}}}}' '*/{}' | sort", project.service));
    assert_eq!(images.ok(), "latest\nv3\nv4");
    expect::no_loose_cords(&project, server);
}
