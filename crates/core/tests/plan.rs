//! The plan as a function: the same configuration and the same servers give the same steps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that can't go on has failed.

use bowline_core::names::Names;
use std::collections::BTreeMap;

use bowline_config::secret::Secret;
use bowline_config::{Config, Destination, ServedBy, SourceFile, load};
use bowline_core::commands::Scope;
use bowline_core::commands::app::Tag;
use bowline_core::observed::Observed;
use bowline_core::plan::accessory::check_route;
use bowline_core::plan::deploy::{PlanError, Request, named_version, plan, previous_version};
use bowline_core::plan::secrets::Secrets;
use bowline_core::plan::step::Step;
use bowline_core::plan::{Kind, Plan, accessory, show};
use bowline_core::proxy::{Attach, OnServer, traefik::Api};
use bowline_core::selection::{Filters, Selection, servers};
use serde_json::json;

const BASE: &str = "service: app
image: org/app
registry: {server: r.test, username: u, password: [PW]}
servers:
  web: {hosts: [a, b]}
  workers: {hosts: [b], cmd: work}
env: {secret: [PW]}
";

fn config(more: &str) -> Config {
    load(SourceFile::new("deploy.yml", format!("{BASE}{more}")), None)
        .unwrap_or_else(|e| panic!("{e}"))
        .config
}

fn container(name: &str, role: &str, created: u32, health: Option<&str>, cord: bool) -> String {
    let version = name.rsplit('-').next().unwrap();
    let mounts = if cord {
        json!([{"Source": format!("/root/.kamal/cords/{name}"), "Destination": "/tmp/kamal-cord"}])
    } else {
        json!([])
    };
    let container = json!({
        "id": format!("id-{name}"), "name": format!("/{name}"), "created": format!("2026-01-01T00:00:{created:02}Z"),
        "image": format!("r.test/org/app:{version}"), "image_id": format!("sha256:{version}"), "status": "running", "exit_code": 0,
        "health": health, "finished": "", "labels": {"service": "app", "role": role, "destination": ""}, "mounts": mounts,
        "healthcheck": {"Test": ["CMD-SHELL", "(x) && (stat /tmp/kamal-cord/cord > /dev/null || exit 1)"], "Interval": 1_000_000_000_u64},
        "networks": {"kamal": {"IPAddress": "172.18.0.9"}}, "args": [],
    });
    format!("@container {container}\n")
}

fn server(containers: &str) -> Observed {
    let traefik = json!({
        "id": "t", "name": "/traefik", "created": "", "image": "traefik", "image_id": "", "status": "running", "exit_code": 0,
        "health": null, "finished": "", "labels": {}, "mounts": [], "healthcheck": null,
        "networks": {"kamal": {"IPAddress": "172.18.0.2"}}, "args": ["--api.insecure=true"],
    });
    Observed::parse(&format!("@docker 26.1.5\n{containers}@proxy {traefik}\n@network kamal\n@image sha256:v1 r.test/org/app:v1\n@image sha256:v1 r.test/org/app:latest\n@end\n"))
        .unwrap()
}

fn planned(
    config: &Config,
    kind: Kind,
    version: &str,
    observed: &BTreeMap<String, Observed>,
) -> Result<Plan, PlanError> {
    let selection = Selection::new(config, &Filters::default()).unwrap();
    let secrets: Secrets = [("PW".to_string(), Secret::new("sentinel"))].into();
    let scope = Scope { names: Names::of(config), run: "f".repeat(32), performer: "me".into() };
    let request =
        Request { kind, version: version.into(), scope, secrets_known: true, pages: Default::default() };
    plan(config, &selection, &secrets, &request, observed)
}

fn fleet(a: &str, b: &str) -> BTreeMap<String, Observed> {
    [("a".to_string(), server(a)), ("b".to_string(), server(b))].into()
}

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
    let plan = planned(&config(""), Kind::Deploy, "v2", &observed).unwrap();
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
    let plan = planned(&config(""), Kind::Deploy, "v2", &fleet(&half, "")).unwrap();
    let retired: Vec<(&str, bool)> = plan.servers[0].roles[0]
        .retire
        .iter()
        .map(|old| (old.stop.name.as_str(), old.detach.is_some()))
        .collect();
    // The one that starts may be healthy when it is retired.
    assert_eq!(retired, [("app-web-v2", true), ("app-web-v2_replaced_00ff", true), ("app-web-v1", true)]);
    assert_eq!(plan.servers[1].roles[0].retire, [], "nothing there is an empty plan, not an error");
}

#[test]
fn a_route_that_changes_gets_names_of_its_own() {
    let mut observed = fleet(&container("app-web-v1", "web", 1, Some("healthy"), true), "");
    let labels = &mut observed.get_mut("a").unwrap().containers[0].labels;
    labels.insert("traefik.http.routers.app-web.rule".into(), "Host(`old.example`)".into());
    let plan = planned(&config(""), Kind::Deploy, "v2", &observed).unwrap();
    let rule = |server: usize| {
        let labels = &plan.servers[server].roles[0].boot.labels;
        labels.iter().find(|(key, _)| key.ends_with(".rule")).unwrap().0.clone()
    };
    assert_eq!(rule(0), "traefik.http.routers.app-web-b.rule");
    assert_eq!(rule(1), "traefik.http.routers.app-web.rule");
    let written = |server: usize| {
        let Attach::Traefik(route) = &plan.servers[server].roles[0].attach else { panic!("Traefik") };
        route.written(&route.routers[0].name).to_owned()
    };
    assert_eq!([written(0), written(1)], ["app-web", "app-web"], "what messages call them");
}

#[test]
fn traefik_is_kept_away_from_what_it_has_no_route_to() {
    let config = config(
        "accessories: {search: {image: i, host: b}, ui: {image: i, host: b, labels: {traefik.enable: 'true'}}}\n",
    );
    let plan = planned(&config, Kind::Deploy, "v2", &fleet("", "")).unwrap();
    let seen = |role: usize| {
        let labels = &plan.servers[1].roles[role].boot.labels;
        let mut own =
            labels.iter().filter(|(key, _)| key == "traefik.enable" || key == "traefik.docker.network");
        (own.next().map(|(_, value)| value.as_str()), own.next().map(|(_, value)| value.as_str()))
    };
    assert_eq!(
        seen(0),
        (Some("true"), Some("kamal")),
        "a role behind Traefik, on the network that they share"
    );
    assert_eq!(seen(1), (Some("false"), None), "a role without");
    let accessory = |at: usize| {
        let own = &config.accessories[at];
        accessory::container(&config, &Secrets::new(), own, "b").unwrap().labels
    };
    let label = |value: &str| vec![("traefik.enable".to_owned(), value.to_owned())];
    assert_eq!(accessory(0), label("false"));
    assert_eq!(accessory(1), label("true"), "what its own labels say counts");
}

#[test]
fn an_accessory_from_before_that_traefik_still_sees_is_told() {
    let config = config("accessories: {search: {image: i, host: b}}\n");
    let notes = |labels: serde_json::Value| {
        let other = json!({"name": "/app-search", "labels": labels});
        let observed = [("a".to_owned(), server("")), ("b".to_owned(), server(&format!("@other {other}\n")))];
        let plan = planned(&config, Kind::Deploy, "v2", &observed.into()).unwrap();
        plan.servers
            .iter()
            .flat_map(|server| server.notes.clone())
            .filter(|note| note.contains("app-search"))
            .collect::<Vec<_>>()
    };
    let told = notes(json!({"service": "app-search"}));
    assert_eq!(
        told,
        [
            "Traefik sends requests for `Host: app-search` to the accessory search; `accessory reboot search` ends that"
        ]
    );
    assert_eq!(notes(json!({"service": "app-search", "traefik.enable": "false"})), [""; 0]);
}

#[test]
fn labels_for_traefik_at_the_root_are_for_the_roles_behind_it_and_must_agree() {
    let labels = "labels: {team: x, traefik.http.routers.app-web.rule: 'Host(`a.example`)'}\n";
    let plan = planned(&config(labels), Kind::Deploy, "v2", &fleet("", "")).unwrap();
    let labels_of = |role: usize| {
        let labels = &plan.servers[1].roles[role].boot.labels;
        labels.iter().filter(|(key, _)| key.starts_with("t")).map(|(key, _)| key.as_str()).collect::<Vec<_>>()
    };
    assert!(labels_of(0).contains(&"traefik.http.routers.app-web.rule"), "{:?}", labels_of(0));
    assert_eq!(labels_of(1), ["traefik.enable", "team"]);

    let behind = config(labels);
    let mut both = behind.clone();
    let worker = both.roles.iter_mut().find(|role| role.name == "workers").unwrap();
    worker.served_by = ServedBy::Traefik;
    worker.labels = behind.roles[0].labels.clone();
    let error = planned(&both, Kind::Deploy, "v2", &fleet("", "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`traefik.http.routers.app-web` is set differently by the roles web and workers on b: Traefik would drop both"
    );
}

#[test]
fn a_traefik_without_api_is_not_asked() {
    let mut observed = fleet("", "");
    observed.get_mut("a").unwrap().proxies[0].args.clear();
    observed.get_mut("b").unwrap().proxies.clear();
    let plan = planned(&config(""), Kind::Deploy, "v2", &observed).unwrap();
    let [OnServer::Traefik(on_a)] = plan.servers[0].proxies.as_slice() else { panic!("one proxy") };
    let [OnServer::Traefik(on_b)] = plan.servers[1].proxies.as_slice() else { panic!("one proxy") };
    assert_eq!(on_a.api, Api::Silent);
    assert_eq!(plan.servers[0].notes.len(), 1);
    assert_eq!(on_b.api, Api::AfterStart);
    assert!(on_a.ensure.is_none() && on_b.ensure.is_some());
}

#[test]
fn a_rollback_needs_the_version_everywhere_and_says_what_there_is() {
    let web = container("app-web-v1", "web", 1, Some("healthy"), true);
    let workers = container("app-workers-v1", "workers", 1, None, false);
    let observed = fleet(&web, &format!("{web}{workers}"));
    let error = planned(&config(""), Kind::Rollback, "v0", &observed).unwrap_err();
    let PlanError::NoSuchVersion { missing, choices, .. } = error else { panic!("{error:?}") };
    assert_eq!(missing, ["a (web)", "b (web)", "b (workers)"]);
    assert_eq!(choices, ["v1"]);
    let plan = planned(&config(""), Kind::Rollback, "v1", &observed).unwrap();
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
        // More than one begins so, none does, and too short a beginning.
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
fn groups_count_all_configured_servers() {
    for (limit, groups) in [("1", 2), ("'50%'", 2), ("'10%'", 2), ("5", 1)] {
        let plan =
            planned(&config(&format!("boot: {{limit: {limit}}}\n")), Kind::Deploy, "v2", &fleet("", ""))
                .unwrap();
        assert_eq!(plan.groups.len(), groups, "limit {limit}");
    }
    // Half of four servers, two of which only an accessory has.
    let more = "boot: {limit: '50%'}\naccessories: {db: {image: db, hosts: [b, c, d]}}\n";
    let plan = planned(&config(more), Kind::Deploy, "v2", &fleet("", "")).unwrap();
    assert_eq!(plan.groups, [[0, 1]]);
    assert_eq!(plan.servers.len(), 2, "a deploy leaves accessories alone");
}

#[test]
fn a_plan_says_how_a_failure_would_end_and_knows_the_way_back() {
    let config = config("boot: {on_failure: rollback, parallel_roles: false}\n");
    let running = fleet(&container("app-web-v1", "web", 1, Some("healthy"), true), "");
    let plan = planned(&config, Kind::Deploy, "v2", &running).unwrap();
    let text = bowline_core::plan::show::text(&plan);
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
    let first = planned(&config, Kind::Deploy, "v2", &fleet("", "")).unwrap();
    assert_eq!(first.servers[0].roles[0].back, None);
}

#[test]
fn s09_the_latest_tag_carries_the_destination() {
    let destination =
        Destination { name: "staging".into(), file: SourceFile::new("deploy.staging.yml", "{}") };
    let config =
        load(SourceFile::new("deploy.yml", BASE), Some(destination)).unwrap_or_else(|e| panic!("{e}")).config;
    assert_eq!(config.latest_image(), "r.test/org/app:latest-staging");
    let plan = planned(&config, Kind::Deploy, "v2", &fleet("", "")).unwrap();
    assert_eq!(plan.servers[0].tag.latest, "r.test/org/app:latest-staging");
    assert_eq!(plan.servers[0].roles[0].boot.container(), "app-web-staging-v2");
}

#[test]
fn the_latest_image_is_not_tagged_as_itself() {
    let plan = planned(&config(""), Kind::Deploy, "v2", &fleet("", "")).unwrap();
    let tag = plan.servers[0].tag.clone();
    assert_eq!(Step::Tag(tag.clone()).describe(), "tag r.test/org/app:v2 as r.test/org/app:latest");
    assert!(tag.script().text.contains("docker tag"));
    let latest = Tag { image: tag.latest.clone(), ..tag };
    assert_eq!(Step::Tag(latest.clone()).describe(), "record that r.test/org/app:latest serves");
    assert!(!latest.script().text.contains("docker tag"));
}

#[test]
fn a_filter_that_matches_nothing_says_what_there_is() {
    let config = config("");
    let error = |hosts: &[&str], roles: &[&str]| {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect();
        Selection::new(&config, &Filters { hosts: list(hosts), roles: list(roles), primary: false })
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error(&["c"], &[]), "no host matches c; the hosts are: a, b");
    assert_eq!(error(&[], &["cron"]), "no role matches cron; the roles are: web, workers");
    assert_eq!(error(&["a"], &["work*"]), "none of the roles workers runs on a");
    let primary = Filters { primary: true, ..Filters::default() };
    assert_eq!(Selection::new(&config, &primary).unwrap().hosts, ["a"]);
}

#[test]
fn the_servers_are_those_of_roles_and_accessories_unless_roles_are_asked_for() {
    let config = config(
        "primary_role: workers\naccessories:\n  db: {image: db, host: z}\n  cache: {image: cache, roles: [web]}\n",
    );
    let list = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let of = |hosts: &[&str], roles: &[&str], primary| {
        servers(&config, &Filters { hosts: list(hosts), roles: list(roles), primary })
            .map(|hosts| hosts.join(" "))
            .map_err(|error| error.to_string())
    };
    let found = |hosts: &str| Ok(hosts.to_owned());
    assert_eq!(of(&[], &[], false), found("b a z"), "the primary role's first");
    assert_eq!(of(&[], &[], true), found("b"));
    assert_eq!(of(&[], &["w*"], false), found("b a"));
    assert_eq!(of(&["[az]"], &[], false), found("a z"));
    assert_eq!(of(&["z"], &[], true), found("z"));
    assert_eq!(of(&["y*"], &[], false), Err("no host matches y*; the hosts are: b, a, z".into()));
    assert_eq!(of(&[], &["job"], false), Err("no role matches job; the roles are: workers, web".into()));
    assert_eq!(of(&["z"], &["web"], false), Err("none of the roles web runs on z".into()));
}

/// A container that has an asset volume in this directory.
fn with_assets(container: &str, directory: &str, at: &str) -> String {
    container.replace(
        "\"mounts\":[]",
        &format!("\"mounts\":[{{\"Source\":\"{directory}\",\"Destination\":\"{at}\"}}]"),
    )
}

fn stopped(container: &str) -> String {
    container.replace("\"status\":\"running\"", "\"status\":\"exited\"")
}

#[test]
fn s15_assets_are_bridged_with_every_volume_that_is_in_use_whoever_made_it() {
    let config = config("asset_path: /public\n");
    let ours = "/root/.kamal/apps/app/assets/volumes";
    let web = |version: &str, created| {
        container(&format!("app-web-{version}"), "web", created, Some("healthy"), false)
    };
    let replaced =
        container("app-web-v2", "web", 3, None, false).replace("app-web-v2\"", "app-web-v2_replaced_00ff\"");
    let running = [
        with_assets(&web("v2", 4), &format!("{ours}/web-v2"), "/public"),
        with_assets(&replaced, &format!("{ours}/web-v2"), "/public"),
        with_assets(&web("v1", 2), "/root/.kamal/assets/volumes/app-web-v1", "/old"),
        web("v0", 1),
        stopped(&with_assets(&web("v9", 0), &format!("{ours}/web-v9"), "/public")),
    ];
    let observed = fleet(&running.concat(), "");
    let plan = planned(&config, Kind::Deploy, "v2", &observed).unwrap();
    let [prepare] = plan.servers[0].assets.as_slice() else { panic!("one role with assets") };
    let found: Vec<_> = prepare
        .running
        .iter()
        .map(|old| (old.image.as_str(), old.volume.as_ref().map(|v| (v.directory.as_str(), v.at.as_str()))))
        .collect();
    let v2 = format!("{ours}/web-v2");
    assert_eq!(
        found,
        [
            ("sha256:v2", Some((v2.as_str(), "/public"))),
            ("sha256:v1", Some(("/root/.kamal/assets/volumes/app-web-v1", "/old"))),
            ("sha256:v0", None)
        ]
    );
    assert!(prepare.in_use, "a container of v2 runs already");
    let [prepare] = plan.servers[1].assets.as_slice() else { panic!("workers have none") };
    assert_eq!((prepare.running.len(), prepare.in_use), (0, false));

    // The app was stopped: what served last hands its assets on, and its directories are nobody's.
    let last = stopped(&with_assets(&web("v1", 2), &format!("{ours}/web-v1"), "/public"));
    let plan = planned(&config, Kind::Deploy, "v1", &fleet(&last, "")).unwrap();
    let prepare = &plan.servers[0].assets[0];
    assert_eq!((prepare.running.len(), prepare.in_use), (1, false));
}

#[test]
fn s14_what_is_cleaned_is_told_by_what_is_there() {
    let roles = BASE.replace("  workers:", "  web-api: {hosts: [a]}\n  workers:");
    let config = |more: &str| {
        load(SourceFile::new("deploy.yml", format!("{roles}{more}")), None)
            .unwrap_or_else(|e| panic!("{e}"))
            .config
    };
    let web = |version: &str, created| {
        container(&format!("app-web-{version}"), "web", created, Some("healthy"), false)
    };
    let kamal = "/root/.kamal/assets/volumes/app-web-v0";
    let helper = container("app-web-assets", "", 5, None, false);
    let here = [web("v1", 1), stopped(&with_assets(&web("v0", 0), kamal, "/p")), stopped(&helper)].concat();
    let clean = |config: &Config, kind, version: &str, observed: &Observed| {
        let observed = [("a".to_string(), observed.clone())].into();
        let plan = planned(config, kind, version, &observed).unwrap();
        plan.servers[0].prune.clone().map(|prune| (prune.parts, prune.assets))
    };
    let keeps = |config: &Config, kind, version: &str, observed: &Observed| {
        clean(config, kind, version, observed).unwrap().1[0].keep.join(" ")
    };
    let with = config("asset_path: /p\n");
    let mut observed = server(&here);
    let (parts, roles) = clean(&with, Kind::Deploy, "v2", &observed).unwrap();
    assert_eq!(parts, Some(bowline_core::commands::prune::Parts::All));
    assert_eq!((roles[0].role.as_str(), roles[0].siblings.join(" ").as_str()), ("web", "web-api"));
    assert_eq!((roles[0].elsewhere.join(" ").as_str(), roles[0].helper), (kamal, true));
    assert_eq!((roles[1].role.as_str(), roles[1].siblings.len(), roles[1].helper), ("web-api", 0, false));

    assert_eq!(keeps(&with, Kind::Deploy, "v2", &observed), "v2 v1");
    assert_eq!(keeps(&with, Kind::Redeploy, "v1", &observed), "v1", "nobody knows what was before");
    observed.served = vec!["v0".into(), "v1".into()];
    assert_eq!(keeps(&with, Kind::Redeploy, "v1", &observed), "v1 v0");
    observed.containers.clear();
    assert_eq!(keeps(&with, Kind::Boot, "latest", &observed), "latest v1");

    // A role that has no asset path any more is cleaned by the next deploy; other runs have nothing to do with it.
    assert_eq!(keeps(&config(""), Kind::Deploy, "v2", &observed), "v2 v1");
    assert_eq!(clean(&config(""), Kind::Redeploy, "v2", &observed), None);
    assert_eq!(clean(&with, Kind::Redeploy, "v2", &observed).unwrap().0, None, "only assets");
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

/// A container with the label that a plan gives it.
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
        let fresh = planned(&config, Kind::Redeploy, "v1", &fleet("", "")).unwrap();
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
    assert_eq!(kept(Kind::Deploy, &all), [false, false, false], "all is done: it is booted anew");
    let mut one_untagged = all.clone();
    one_untagged.get_mut("b").unwrap().served.clear();
    assert_eq!(kept(Kind::Deploy, &one_untagged), [true, true, true]);
    let sick = seen(&web("unhealthy"), &both);
    assert_eq!(kept(Kind::Deploy, &sick), [false, true, true]);
    assert_eq!(kept(Kind::Rollback, &sick), [false, true, true]);
    assert_eq!(kept(Kind::Redeploy, &sick), [false, false, false]);
    assert_eq!(kept(Kind::Boot, &sick), [false, false, false]);
    let missing = seen(&web("healthy"), &workers);
    assert_eq!(kept(Kind::Deploy, &missing), [true, false, true]);
    let half = format!("{both}{}", container("app-web-v0", "web", 0, Some("healthy"), true));
    assert_eq!(
        kept(Kind::Deploy, &seen(&web("healthy"), &half)),
        [true, false, true],
        "one is to be retired"
    );
    let mut other = all.clone();
    let labels = &mut other.get_mut("a").unwrap().containers[0].labels;
    labels.insert("bowline.config".into(), "0-0".into());
    assert_eq!(kept(Kind::Deploy, &other), [false, true, true], "it was made of something else");
    let mut kamals = all;
    kamals.get_mut("a").unwrap().containers[0].labels.remove("bowline.config");
    assert_eq!(kept(Kind::Deploy, &kamals), [false, true, true]);
}

/// A server with kamal-proxy, of this image and with these rows in its table, and a container of each role that runs.
fn behind_kamal_proxy(image: &str, rows: &str) -> Observed {
    let proxy = json!({
        "id": "p", "name": "/kamal-proxy", "created": "", "image": image, "image_id": "", "status": "running", "exit_code": 0,
        "health": null, "finished": "", "labels": {}, "mounts": [], "healthcheck": null, "networks": null, "args": [],
    });
    let web = container("app-web-v1", "web", 1, None, false);
    let rows: String = rows.lines().map(|row| format!("@service {}\n", row.trim())).collect();
    Observed::parse(&format!("@docker 26.1.5\n{web}@proxy {proxy}\n@network kamal\n@services\n{rows}@end\n"))
        .unwrap()
}

fn proxied(proxy: &str) -> Config {
    let text = format!(
        "service: app\nimage: org/app\nregistry: {{server: r.test, username: u, password: [PW]}}\nbuilder: {{arch: amd64}}\n\
         servers: {{web: {{hosts: [a], proxy: {proxy}}}}}\n"
    );
    load(SourceFile::new("deploy.yml", text), None).unwrap_or_else(|e| panic!("{e}")).config
}

const OURS: &str = "bowline-proxy:v10.9999.0.0";

#[test]
fn a_route_that_another_app_has_is_refused_before_anything_begins() {
    let refused = |proxy: &str, rows: &str| {
        let observed = [("a".to_string(), behind_kamal_proxy(OURS, rows))].into();
        planned(&proxied(proxy), Kind::Deploy, "v2", &observed).err().map(|error| error.to_string())
    };
    let shop = "shop-web  a.test,b.test  /,/api  0123456789ab:80  running  no";
    let wanted =
        |what: &str| Some(format!("app-web can't have {what} on a: kamal-proxy sends it to shop-web"));
    assert_eq!(refused("{host: b.test}", shop), wanted("b.test"));
    assert_eq!(refused("{hosts: [c.test, A.test], path_prefix: api/}", shop), wanted("a.test/api"));
    assert_eq!(refused("true", "shop-web  *  /  0123456789ab:80  running  no"), wanted("all hosts"));
    // The proxy tells these apart.
    for (proxy, rows) in [
        ("{host: c.test}", shop),
        ("{host: a.test, path_prefix: /other}", shop),
        ("true", shop),
        ("{host: '*.test'}", shop),
        ("{host: a.test}", "app-web  a.test  /  0123456789ab:80  running  no"),
        ("{host: a.test}", "a row of some other proxy"),
    ] {
        assert_eq!(refused(proxy, rows), None, "{proxy} beside {rows}");
    }
}

#[test]
fn a_route_of_an_accessory_that_another_app_has_is_noted_and_refused_when_it_boots() {
    let text = "service: app\nimage: org/app\nregistry: {server: r.test, username: u, password: [PW]}\nbuilder: {arch: amd64}\n\
         servers: {web: {hosts: [a], proxy: {host: a.test}}}\n\
         accessories: {tool: {image: tool, host: a, proxy: {host: tool.test}}}\n";
    let config = load(SourceFile::new("deploy.yml", text), None).unwrap_or_else(|e| panic!("{e}")).config;
    let scope = Scope { names: Names::of(&config), run: "f00d".into(), performer: "me".into() };
    let said = |service: &str| {
        let rows = format!("{service}  tool.test  /  0123456789ab:80  running  no");
        let observed = behind_kamal_proxy(OURS, &rows);
        let refused = check_route(&config, &scope, &config.accessories[0], "a", &observed).err();
        let plan = planned(&config, Kind::Deploy, "v2", &[("a".to_string(), observed)].into()).unwrap();
        (plan.servers[0].notes.join("\n"), refused.map(|refusal| refusal.to_string()).unwrap_or_default())
    };
    let conflict = "app-tool can't have tool.test on a: kamal-proxy sends it to shop-web";
    assert_eq!(said("shop-web"), (format!("the accessory {conflict}"), conflict.to_owned()));
    assert_eq!(said("app-tool"), (String::new(), String::new()));
}

#[test]
fn an_older_proxy_and_a_service_that_does_not_serve_are_noted() {
    let notes = |observed: Observed| {
        let plan =
            planned(&proxied("{host: a.test}"), Kind::Deploy, "v2", &[("a".to_string(), observed)].into());
        plan.unwrap().servers[0].notes.join("\n")
    };
    let row = |state: &str| format!("app-web  a.test  /  0123456789ab:80  {state}  no");
    assert_eq!(notes(behind_kamal_proxy(OURS, &row("running"))), "");
    assert!(notes(behind_kamal_proxy(OURS, &row("stopped"))).contains("web is in maintenance here"));
    assert!(notes(behind_kamal_proxy(OURS, &row("paused"))).contains("web is paused here"));
    assert_eq!(notes(behind_kamal_proxy("basecamp/kamal-proxy:v0.9.2", "")), "");
    let older = || behind_kamal_proxy("bowline-proxy:v10.0.0.1", "");
    let note = format!(
        "kamal-proxy on a is bowline-proxy 0.0.1; `bowline proxy upgrade` brings it to {} without a gap",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(notes(older()), note);
    let upgraded = |id: &str| Some((id.to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    assert_eq!(notes(Observed { upgraded: upgraded("p"), ..older() }), "");
    assert_eq!(notes(Observed { upgraded: upgraded("the one before"), ..older() }), note);
}

#[test]
fn a_role_without_its_proxy_gives_its_service_back() {
    let target = |target: &str| format!("app-web  a.test  /  {target}:80  running  no");
    let detached = |rows: &str| {
        let observed = [("a".to_string(), behind_kamal_proxy(OURS, rows))].into();
        let plan = planned(&proxied("false"), Kind::Deploy, "v2", &observed).unwrap();
        plan.servers[0].roles[0].retire[0].detach.is_some()
    };
    assert!(detached(&target("id-app-web-v1")));
    assert!(!detached(&target("0123456789ab")) && !detached(""));
}
