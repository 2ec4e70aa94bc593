//! What commands other than a deploy do, from what was observed.

use super::*;
use bowline_core::plan::change::{Given, Intent, Page};
use bowline_core::plan::{change, show};

/// The plan as people read it.
fn told(config: &Config, intent: &Intent, observed: &BTreeMap<String, Observed>) -> String {
    let selection = Selection::new(config, &Filters::default()).unwrap();
    let scope = Scope { names: Names::of(config), run: "f".repeat(32), performer: "me".into() };
    let given = &Given::default();
    let basis = change::Basis { config, given, scope: &scope, selection: &selection, observed };
    show::change(&change::plan(intent, basis))
}

fn stopped(container: &str) -> String {
    container.replace("\"status\":\"running\"", "\"status\":\"exited\"")
}

/// `web` runs on a and is stopped on b, where two versions of `workers` run.
fn uneven() -> BTreeMap<String, Observed> {
    let web = container("app-web-v1", "web", 1, Some("healthy"), true);
    let workers =
        |version: u32| container(&format!("app-workers-v{version}"), "workers", version, None, false);
    fleet(
        &web,
        &[stopped(&web), workers(1), workers(2), container("app-old-v1", "old", 1, None, false)].concat(),
    )
}

#[test]
fn stopping_takes_each_container_from_its_proxy_first() {
    let told = [Intent::Stop, Intent::StopStale].map(|intent| told(&config(""), &intent, &uneven()));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_start_says_what_it_can_and_what_it_cannot_do() {
    let versions = [None, Some("v2".into())];
    let told = versions.map(|version| told(&config(""), &Intent::Start(version), &uneven()));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn maintenance_is_for_roles_behind_a_proxy() {
    let page = Page { message: None, retry_after: 60, drain_timeout: None };
    let before = [Intent::Pause(page), Intent::Resume].map(|intent| told(&config(""), &intent, &uneven()));
    let mut observed = uneven();
    observed.values_mut().for_each(|server| server.maintenance.push("web".into()));
    observed.get_mut("a").unwrap().proxies.clear();
    let after = told(&config(""), &Intent::Resume, &observed);
    insta::assert_snapshot!([before.join("\n"), after].join("\n"));
}
