//! Which version a rollback goes to.

use super::*;
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
    assert_eq!(previous_version(&config, &selection, &observed).as_deref(), Some("v0"));
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
            let web = container(&format!("app-web-{current}"), "web", 1, Some("healthy"), true);
            Observed::parse(&format!("@docker 26\n{web}{images}{served}@end\n")).unwrap()
        };
        [("a".to_string(), server(a)), ("b".to_string(), server(b))].into()
    };
    let config = config("");
    let selection = Selection::new(&config, &Filters::default()).unwrap();
    for (a, b, back) in [("v3", "v3", "v2"), ("v2", "v3", "v2"), ("v3", "v2", "v2"), ("v2", "v2", "v1")] {
        let previous = previous_version(&config, &selection, &observed(a, b));
        assert_eq!(previous.as_deref(), Some(back), "{a} {b}");
    }
}
