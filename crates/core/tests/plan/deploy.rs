//! A deploy's plan as a whole: what it retires, keeps and tags, and in which groups.

use super::*;
use bowline_config::Destination;
use bowline_core::commands::app::Tag;
use bowline_core::plan::step::Step;
use bowline_core::plan::{retire, show};

#[test]
fn a_deploy_over_a_running_version() {
    let observed = fleet(
        &container("app-web-v1", "web", 1, Some("healthy"), true),
        &format!(
            "{}{}",
            container("app-web-v1", "web", 1, Some("unhealthy"), true),
            container("app-workers-v1", "workers", 1, None, false)
        ),
    );
    let plan = planned(&config(""), DeployKind::Deploy, "v2", &observed).unwrap();
    insta::assert_snapshot!(show::text(&plan));
    assert!(!format!("{plan:?}").contains("sentinel"), "a plan shows no secret");
}

#[test]
fn what_a_killed_run_left_is_retired_with_the_rest() {
    let half = format!(
        "{}{}{}",
        container("app-web-v1", "web", 1, Some("healthy"), true),
        container("app-web-v2_replaced_00ff", "web", 2, Some("healthy"), true),
        container("app-web-v2", "web", 3, Some("starting"), true)
    );
    let plan = planned(&config(""), DeployKind::Deploy, "v2", &fleet(&half, "")).unwrap();
    let retired: Vec<(&str, bool)> = plan.servers[0].roles[0]
        .retire
        .iter()
        .map(|old| (old.stop.name.as_str(), old.detach.is_some()))
        .collect();
    // The container that is starting may be healthy by the time it is retired.
    assert_eq!(retired, [("app-web-v2", true), ("app-web-v2_replaced_00ff", true), ("app-web-v1", true)]);
    assert_eq!(plan.servers[1].roles[0].retire, [], "nothing there is an empty plan, not an error");
}

#[test]
fn groups_count_all_configured_servers() {
    for (limit, groups) in [("1", 2), ("'50%'", 2), ("'10%'", 2), ("5", 1)] {
        let plan = planned(
            &config(&format!("boot: {{limit: {limit}}}\n")),
            DeployKind::Deploy,
            "v2",
            &fleet("", ""),
        )
        .unwrap();
        assert_eq!(plan.groups.len(), groups, "limit {limit}");
    }
    // Half of four servers, of which two only have an accessory.
    let more = "boot: {limit: '50%'}\naccessories: {db: {image: db, hosts: [b, c, d]}}\n";
    let plan = planned(&config(more), DeployKind::Deploy, "v2", &fleet("", "")).unwrap();
    assert_eq!(plan.groups, [[0, 1]]);
    assert_eq!(plan.servers.len(), 2, "a deploy leaves accessories alone");
}

#[test]
fn a_plan_says_how_a_failure_would_end_and_knows_the_way_back() {
    let config = config("boot: {on_failure: rollback, parallel_roles: false}\n");
    let running = fleet(&container("app-web-v1", "web", 1, Some("healthy"), true), "");
    let plan = planned(&config, DeployKind::Deploy, "v2", &running).unwrap();
    let text = show::text(&plan);
    assert!(
        text.contains(
            "if a server fails, servers that have already switched go back to their previous version"
        ),
        "{text}"
    );
    let back = plan.servers[0].roles[0].back.as_ref().unwrap();
    assert_eq!((back.name.as_str(), back.version.as_str()), ("app-web-v1", "v1"));
    let tag = plan.servers[0].tag_back.as_ref().unwrap();
    assert_eq!((tag.version.as_str(), tag.kind), ("v1", Some("rollback")));
    let first = planned(&config, DeployKind::Deploy, "v2", &fleet("", "")).unwrap();
    assert_eq!(first.servers[0].roles[0].back, None);
}

#[test]
fn s09_the_latest_tag_carries_the_destination() {
    let destination =
        Destination { name: "staging".into(), file: SourceFile::new("deploy.staging.yml", "{}") };
    let config =
        load(SourceFile::new("deploy.yml", BASE), Some(destination)).unwrap_or_else(|e| panic!("{e}")).config;
    assert_eq!(config.latest_image(), "r.test/org/app:latest-staging");
    let plan = planned(&config, DeployKind::Deploy, "v2", &fleet("", "")).unwrap();
    assert_eq!(plan.servers[0].tag.latest, "r.test/org/app:latest-staging");
    assert_eq!(plan.servers[0].roles[0].boot.container(), "app-web-staging-v2");
}

#[test]
fn the_latest_image_is_not_tagged_as_itself() {
    let plan = planned(&config(""), DeployKind::Deploy, "v2", &fleet("", "")).unwrap();
    let tag = plan.servers[0].tag.clone();
    assert_eq!(Step::Tag(tag.clone()).describe(), "tag r.test/org/app:v2 as r.test/org/app:latest");
    assert!(tag.script().text.contains("docker tag"));
    let latest = Tag { image: tag.latest.clone(), ..tag };
    assert_eq!(Step::Tag(latest.clone()).describe(), "record that r.test/org/app:latest serves");
    assert!(!latest.script().text.contains("docker tag"));
}

/// The labels of a container that this plan boots.
fn labelled(plan: &Plan, server: usize, role: usize) -> BTreeMap<String, String> {
    let boot = &plan.servers[server].roles[role].boot;
    let made = boot.made.expose().split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    boot.labels.iter().cloned().chain(made).collect()
}

#[test]
fn what_is_as_wanted_is_kept_while_something_else_is_not() {
    let config = config("healthcheck: {cmd: 'true'}\n");
    let web = |health| container("app-web-v1", "web", 1, Some(health), true);
    let workers = container("app-workers-v1", "workers", 1, Some("healthy"), false);
    let seen = |a: &str, b: &str| {
        let mut observed = fleet(a, b);
        let fresh = planned(&config, DeployKind::Redeploy, "v1", &fleet("", "")).unwrap();
        for (number, server) in observed.values_mut().enumerate() {
            for container in &mut server.containers {
                let role = usize::from(container.name.contains("workers"));
                container.labels = labelled(&fresh, number, role);
            }
            server.served = vec!["v1".into()];
        }
        observed
    };
    let kept = |kind, observed: &BTreeMap<String, Observed>| -> Vec<bool> {
        let plan = planned(&config, kind, "v1", observed).unwrap();
        plan.servers.iter().flat_map(|server| &server.roles).map(|role| role.kept.is_some()).collect()
    };
    let both = format!("{}{workers}", web("healthy"));
    let all = seen(&web("healthy"), &both);
    assert_eq!(kept(DeployKind::Deploy, &all), [false, false, false], "all is done: it is booted anew");
    let mut one_untagged = all.clone();
    one_untagged.get_mut("b").unwrap().served.clear();
    assert_eq!(kept(DeployKind::Deploy, &one_untagged), [true, true, true]);
    let sick = seen(&web("unhealthy"), &both);
    assert_eq!(kept(DeployKind::Deploy, &sick), [false, true, true]);
    assert_eq!(kept(DeployKind::Rollback, &sick), [false, true, true]);
    assert_eq!(kept(DeployKind::Redeploy, &sick), [false, false, false]);
    assert_eq!(kept(DeployKind::Boot, &sick), [false, false, false]);
    let missing = seen(&web("healthy"), &workers);
    assert_eq!(kept(DeployKind::Deploy, &missing), [true, false, true]);
    let half = format!("{both}{}", container("app-web-v0", "web", 0, Some("healthy"), true));
    assert_eq!(
        kept(DeployKind::Deploy, &seen(&web("healthy"), &half)),
        [true, false, true],
        "one is to be retired"
    );
    let mut other = all.clone();
    let labels = &mut other.get_mut("a").unwrap().containers[0].labels;
    labels.insert("bowline.config".into(), "0-0".into());
    assert_eq!(kept(DeployKind::Deploy, &other), [false, true, true], "it was made of something else");
    let mut kamals = all;
    kamals.get_mut("a").unwrap().containers[0].labels.remove("bowline.config");
    assert_eq!(kept(DeployKind::Deploy, &kamals), [false, true, true]);
}

#[test]
fn a_container_that_comes_back_gets_the_restart_policy_that_it_had_not_the_configured_one() {
    let always = BASE.replace("web: {hosts: [a, b]}", "web: {hosts: [a, b], options: {restart: always}}");
    let config = load(SourceFile::new("deploy.yml", always), None).unwrap().config;
    let scope = Scope { names: Names::of(&config), run: "f".repeat(32), performer: "me".into() };
    for (observed, status, given) in [
        ("on-failure:5", "running", Some("on-failure:5")),
        // Stopping doesn't change these.
        ("unless-stopped", "running", None),
        ("no", "running", None),
        // A previous stop may have changed this one.
        ("unless-stopped", "exited", Some("always")),
    ] {
        let old = container("app-web-v1", "web", 1, Some("healthy"), true);
        let old = old.replace(
            "\"status\":\"running\"",
            &format!("\"status\":\"{status}\",\"restart\":\"{observed}\""),
        );
        let server = server(&old);
        let start = retire::restart(&config, &scope, &config.roles[0], &server.containers[0]);
        assert_eq!(start.restart.as_deref(), given, "{observed} {status}");
    }
}
