//! `plan` shows what would happen on each server for each role, and changes nothing.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Sandbox, Server};
use bowline_tests::watch::{Watch, told};

/// Everything on a server that a run could change: files with their contents, containers, images, networks.
fn picture(server: &Server) -> String {
    let seen = server.run(
        "find .kamal .docker -type f -exec sha256sum {} + 2>/dev/null | sort; find .kamal .docker -type d 2>/dev/null | sort
         docker ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.State}}' | sort
         docker images --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | sort
         docker network ls --format '{{.Name}}' | sort; docker volume ls -q | sort",
    );
    seen.ok().to_owned()
}

fn planned(project: &Project, lease: &Lease, args: &[&str]) -> String {
    let before: Vec<String> = lease.iter().map(picture).collect();
    let watches: Vec<Watch> = lease.iter().map(Watch::on).collect();
    let ran = project.bowline(args);
    let text = ran.ok().to_owned();
    for ((watch, before), server) in watches.into_iter().zip(before).zip(lease.iter()) {
        let all = watch.stop();
        assert!(all.is_empty(), "{ran}\nchanged {}:\n{}", server.name, told(&all));
        assert_eq!(picture(server), before, "{} after {ran}", server.name);
    }
    text
}

#[test]
fn a_plan_tells_for_each_role_and_server_what_would_happen_and_changes_nothing() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "planned");
    let (first, second) = (lease[0].address.as_str(), lease[1].address.as_str());
    project.roles(&[("web", &[first, second], ""), ("worker", &[second], "cmd: /app/server worker")]);
    let (new_web, new_worker) = (project.container("web", "v2"), project.container("worker", "v2"));
    let (old_web, old_worker) = (project.container("web", "v1"), project.container("worker", "v1"));

    // On servers without any deploy.
    let text = planned(&project, &lease, &["plan", "--version", "v2"]);
    for part in [
        first,
        second,
        &format!("boot {new_web}"),
        &format!("boot {new_worker}"),
        "make sure Traefik runs",
        "nothing to retire",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    for server in lease.iter() {
        expect::untouched(&project, server);
    }

    // On servers where the app runs.
    project.deploy("v1").ok();
    let text = planned(&project, &lease, &["plan", "--version", "v2"]);
    let (on_first, on_second) = text.split_once(&format!("\n{second}\n")).unwrap();
    for part in [
        &format!("boot {new_web}"),
        &format!("cut the cord of {old_web}"),
        &format!("stop {old_web}"),
        "prune",
    ] {
        assert!(on_first.contains(part) && on_second.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!on_first.contains(&old_worker) && on_second.contains(&format!("stop {old_worker}")), "{text}");
    assert!(on_second.contains("wait at the barrier") && text.contains("barrier:"), "{text}");
    assert!(!text.contains("make sure Traefik runs"), "it runs already\n{text}");

    project.deploy("v2").ok();
    expect::runs(&project, &lease[1], &[("web", "v2"), ("worker", "v2")]);
    let back = planned(&project, &lease, &["plan", "rollback"]);
    assert!(back.contains("roll back to") && back.contains(&format!("boot {old_web}")), "{back}");
}

#[test]
fn a_plan_without_a_server_that_can_t_be_asked_is_told_and_ends_with_4() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let project = Project::new(sandbox, &lease, "unplanned");
    let broken = lease[1].without_sshd();
    let ran = project.bowline(&["plan", "--version", "v1"]);
    ran.exits(4).says(&lease[1].address);
    assert!(ran.stdout.contains(&format!("\n{}\n", lease[0].address)), "{ran}");
    assert!(!ran.stdout.contains(&lease[1].address), "{ran}");
    drop(broken);
    expect::untouched(&project, &lease[0]);
}

#[test]
fn a_plan_of_another_change_tells_what_it_would_do_and_changes_nothing() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "planned-change");
    project.deploy("v1").ok();
    let serving = project.container("web", "v1");

    let text = planned(&project, &lease, &["plan", "app", "maintenance"]);
    assert!(text.contains("boot the maintenance page"), "{text}");
    let text = planned(&project, &lease, &["plan", "app", "stop"]);
    assert!(text.contains(&format!("cut the cord of {serving}")), "{text}");
    assert!(text.contains(&format!("stop {serving}")), "{text}");
    project.bowline(&["app", "stop"]).says(&format!("stopped {serving}")).ok();

    let text = planned(&project, &lease, &["plan", "app", "start", "--json"]);
    assert!(
        text.contains(r#""run":"app start""#) && text.contains(&format!("start {serving} again")),
        "{text}"
    );
    project.bowline(&["app", "start"]).says(&format!("started {serving}")).ok();
    project
        .bowline(&["plan", "app", "start", "--version", "v9"])
        .says("there is no container of version v9")
        .exits(1);

    let text = planned(&project, &lease, &["plan", "remove"]);
    let parts = [
        &format!("stop {serving}"),
        "remove Traefik",
        "remove the app's images",
        "remove the app's directory",
    ];
    let places: Vec<Option<usize>> = parts.iter().map(|part| text.find(*part)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{text}");
    let text = planned(&project, &lease, &["plan", "prune", "all", "--json"]);
    assert!(text.contains(r#""what":"prune old containers and images""#), "{text}");
    let text = planned(&project, &lease, &["plan", "env", "push"]);
    assert!(text.contains("/env/roles/web.env"), "{text}");
}
