//! Which version a rollback goes to.

use super::*;
use bowline_core::commands::app::MADE_LABEL;
use bowline_core::plan::deploy::named_version;
use bowline_core::plan::deploy::previous_version;

#[test]
fn a_rollback_needs_the_version_everywhere_and_says_what_there_is() {
    let web = container("app-web-v1", "web", 1, Some("healthy"), true);
    let workers = container("app-workers-v1", "workers", 1, None, false);
    let observed = fleet(&web, &format!("{web}{workers}"));
    let error = planned(&config(""), DeployKind::Rollback, "v0", &observed).unwrap_err();
    let PlanError::NoSuchVersion { missing, choices, .. } = error else { panic!("{error:?}") };
    assert_eq!(missing, ["a (web)", "b (web)", "b (workers)"]);
    assert_eq!(choices, ["v1"]);
    let plan = planned(&config(""), DeployKind::Rollback, "v1", &observed).unwrap();
    assert!(plan.servers.iter().all(|server| server.delivery.is_none() && server.prune.is_none()));
}

#[test]
fn a_rollback_may_name_the_beginning_of_a_version() {
    let config = config("");
    let selection = Selection::new(&config, &Filters::default()).unwrap();
    let versions = ["1f3a9c2d04", "1f3a9c2d04_uncommitted_77", "1f3ab", "77aa00bb"];
    let containers: String = (0..)
        .zip(versions)
        .map(|(at, version)| container(&format!("app-web-{version}"), "web", at, None, true))
        .collect();
    let workers: String = (0..)
        .zip(versions)
        .map(|(at, version)| container(&format!("app-workers-{version}"), "workers", at, None, true))
        .collect();
    let observed = fleet(&containers, &format!("{containers}{workers}"));
    for (name, version) in [
        ("77aa", "77aa00bb"),
        ("77aa00bb", "77aa00bb"),
        ("1f3ab", "1f3ab"),
        ("1f3a9c2d04", "1f3a9c2d04"),
        ("1f3a9c2d04_u", "1f3a9c2d04_uncommitted_77"),
        // Several versions begin like this, none does, or the abbreviation is too short.
        ("1f3a", "1f3a"),
        ("1f3a9c2", "1f3a9c2"),
        ("9999", "9999"),
        ("77a", "77a"),
    ] {
        assert_eq!(named_version(&config, &selection, &observed, name), version, "{name}");
    }
}

#[test]
fn the_version_before_is_the_one_that_served_not_one_that_failed() {
    let config = config("");
    let selection = Selection::new(&config, &Filters::default()).unwrap();
    let mut failed = container("app-web-v2", "web", 2, None, true);
    failed = failed.replace("\"status\":\"running\"", "\"status\":\"exited\"");
    let mut old = container("app-web-v0", "web", 0, None, true);
    old = old.replace("\"status\":\"running\"", "\"status\":\"exited\"");
    let observed =
        fleet(&format!("{old}{}{failed}", container("app-web-v1", "web", 1, Some("healthy"), true)), "");
    assert_eq!(previous_version(&config, &selection, &observed).as_deref(), Ok("v0"));
}

#[test]
fn servers_that_differ_go_back_to_what_some_serve_and_others_did_before() {
    let observed = |a: &str, b: &str| -> BTreeMap<String, Observed> {
        let server = |current: &str| {
            let images: String =
                ["v1", "v2", "v3"].map(|v| format!("@image sha256:{v} r.test/org/app:{v}\n")).concat();
            let served: String = ["v1", "v2", "v3"]
                .into_iter()
                .take_while(|version| *version <= current)
                .map(|version| format!("@served deploy {version}\n"))
                .collect();
            let web = container(&format!("app-web-{current}"), "web", 4, Some("healthy"), true);
            let stopped: String = ["v1", "v2", "v3"].map(|version| stopped(version, 1)).concat();
            Observed::parse(&format!("@docker 26\n{stopped}{web}{images}{served}@end\n")).unwrap()
        };
        [("a".to_string(), server(a)), ("b".to_string(), server(b))].into()
    };
    let config = config("");
    let selection = Selection::new(&config, &Filters::default()).unwrap();
    for (a, b, back) in [("v3", "v3", "v2"), ("v2", "v3", "v2"), ("v3", "v2", "v2"), ("v2", "v2", "v1")] {
        let previous = previous_version(&config, &selection, &observed(a, b));
        assert_eq!(previous.as_deref(), Ok(back), "{a} {b}");
    }
}

/// A stopped container of Kamal.
fn stopped(version: &str, created: u32) -> String {
    let running = container(&format!("app-web-{version}"), "web", created, None, true);
    running.replace("\"status\":\"running\"", "\"status\":\"exited\"")
}

fn by_bowline(container: &str) -> String {
    container.replace("\"labels\":{", &format!("\"labels\":{{\"{MADE_LABEL}\":\"f0-0f\","))
}

/// Where a rollback goes on a server with these containers and this history. v1 to v5 have images.
fn back(containers: &[String], latest: &str, history: &[&str]) -> Result<String, PlanError> {
    let config = config("");
    let images: String = (1..=5).map(|at| format!("@image sha256:v{at} r.test/org/app:v{at}\n")).collect();
    let served: String = history.iter().map(|entry| format!("@served {entry}\n")).collect();
    let containers = containers.concat();
    let text = format!(
        "@docker 26\n{containers}{images}@image sha256:{latest} r.test/org/app:latest\n{served}@end\n"
    );
    let observed = [("a".to_string(), Observed::parse(&text).unwrap())].into();
    previous_version(&config, &Selection::new(&config, &Filters::default()).unwrap(), &observed)
}

fn runs(version: &str, created: u32) -> String {
    by_bowline(&container(&format!("app-web-{version}"), "web", created, Some("healthy"), true))
}

fn ended(version: &str, created: u32) -> String {
    by_bowline(&stopped(version, created))
}

#[test]
fn a_rollback_goes_to_no_version_that_never_served() {
    let history = ["deploy v1", "deploy v3"];
    let failed = ended("v2", 2);
    assert_eq!(back(&[ended("v1", 1), failed.clone(), runs("v3", 3)], "v3", &history).as_deref(), Ok("v1"));
    // The container of v1 is gone. Its image may stay, for example because another destination uses it.
    let none = PlanError::NoneBefore { choices: vec!["v2".into()] };
    assert_eq!(back(&[failed, ended("v3_replaced_00", 3), runs("v3", 4)], "v3", &history), Err(none));
}

#[test]
fn a_rollback_without_a_version_does_not_go_forward() {
    let history = ["deploy v1", "deploy v2", "rollback v1"];
    let none = PlanError::NoneBefore { choices: vec!["v2".into()] };
    assert_eq!(back(&[ended("v2", 2), runs("v1", 3)], "v1", &history), Err(none));
}

#[test]
fn after_a_deploy_that_ended_before_its_entry_a_rollback_goes_to_the_last_version_that_served() {
    let history = ["deploy v1", "deploy v2"];
    let earlier = [ended("v1", 1), ended("v3", 3)];
    for v2 in [ended("v2", 2), runs("v2", 2)] {
        let containers = [&earlier[..], &[v2, runs("v4", 4)]].concat();
        assert_eq!(back(&containers, "v2", &history).as_deref(), Ok("v2"));
    }
    let first = [container("app-web-v1", "web", 1, None, true), runs("v2", 2)];
    assert_eq!(back(&first, "v1", &[]).as_deref(), Ok("v1"));
}

/// A deploy that ended before its switch may leave its container running too.
#[test]
fn a_rollback_goes_back_from_the_version_that_the_proxy_routes_to() {
    let history = ["deploy v1", "deploy v2"];
    for (routed, previous) in [("v2", "v1"), ("v3", "v2")] {
        let route = format!("@services\n@service app-web  *  /  id-app-web-{routed}:3000  running  no\n");
        let containers = [ended("v1", 1), runs("v2", 2), runs("v3", 3), route];
        assert_eq!(back(&containers, "v2", &history).as_deref(), Ok(previous), "{routed}");
    }
}

#[test]
fn a_rollback_goes_to_versions_that_kamal_deployed() {
    // Kamal deployed v1, then Bowline v2.
    assert_eq!(back(&[stopped("v1", 1), runs("v2", 2)], "v2", &["deploy v2"]).as_deref(), Ok("v1"));
    // Bowline deployed v1, failed to deploy v2, then Kamal deployed v3 and v4.
    let kamal = container("app-web-v4", "web", 4, Some("healthy"), true);
    let mut containers = vec![ended("v1", 1), ended("v2", 2), stopped("v3", 3), kamal];
    assert_eq!(back(&containers, "v4", &["deploy v1"]).as_deref(), Ok("v3"));
    containers.remove(2);
    assert_eq!(back(&containers, "v4", &["deploy v1"]).as_deref(), Ok("v1"));
}
