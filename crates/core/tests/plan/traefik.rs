//! Traefik's part in a plan: labels, and whether Bowline asks its API.

use super::*;
use bowline_config::ServedBy;
use bowline_core::plan::accessory;
use bowline_core::proxy::Attach;
use bowline_core::proxy::OnServer;
use bowline_core::proxy::traefik::Api;

#[test]
fn a_route_that_changes_gets_names_of_its_own() {
    let mut observed = fleet(&container("app-web-v1", "web", 1, Some("healthy"), true), "");
    let labels = &mut observed.get_mut("a").unwrap().containers[0].labels;
    labels.insert("traefik.http.routers.app-web.rule".into(), "Host(`old.example`)".into());
    let plan = planned(&config(""), DeployKind::Deploy, "v2", &observed).unwrap();
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
    let plan = planned(&config, DeployKind::Deploy, "v2", &fleet("", "")).unwrap();
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
        let plan = planned(&config, DeployKind::Deploy, "v2", &observed.into()).unwrap();
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
    let plan = planned(&config(labels), DeployKind::Deploy, "v2", &fleet("", "")).unwrap();
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
    let error = planned(&both, DeployKind::Deploy, "v2", &fleet("", "")).unwrap_err();
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
    let plan = planned(&config(""), DeployKind::Deploy, "v2", &observed).unwrap();
    let [OnServer::Traefik(on_a)] = plan.servers[0].proxies.as_slice() else { panic!("one proxy") };
    let [OnServer::Traefik(on_b)] = plan.servers[1].proxies.as_slice() else { panic!("one proxy") };
    assert_eq!(on_a.api, Api::Silent);
    assert_eq!(plan.servers[0].notes.len(), 1);
    assert_eq!(on_b.api, Api::AfterStart);
    assert!(on_a.ensure.is_none() && on_b.ensure.is_some());
}
