//! kamal-proxy's part in a plan: routes that other apps have, and services.

use super::*;
use bowline_core::plan::accessory::check_proxy;

/// A server with kamal-proxy, with this image and these rows in its table, and a running container of each role.
fn behind_kamal_proxy(image: &str, rows: &str) -> Observed {
    let proxy = json!({
        "id": "p", "name": "/kamal-proxy", "created": "", "image": image, "image_id": "", "status": "running",
        "health": null, "labels": {}, "mounts": [], "healthcheck": null, "networks": null, "args": [],
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
        planned(&proxied(proxy), DeployKind::Deploy, "v2", &observed).err().map(|error| error.to_string())
    };
    let shop = "shop-web  a.test,b.test  /,/api  0123456789ab:80  running  no";
    let wanted = |what: &str| {
        Some(format!("app-web can't use {what} on a: kamal-proxy already routes it to shop-web"))
    };
    assert_eq!(refused("{host: b.test}", shop), wanted("b.test"));
    assert_eq!(refused("{hosts: [c.test, A.test], path_prefix: api/}", shop), wanted("a.test/api"));
    assert_eq!(refused("true", "shop-web  *  /  0123456789ab:80  running  no"), wanted("all hosts"));
    // These routes don't conflict.
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
        let refused = check_proxy(&config, &scope, &config.accessories[0], "a", &observed).err();
        let plan = planned(&config, DeployKind::Deploy, "v2", &[("a".to_string(), observed)].into()).unwrap();
        (plan.servers[0].notes.join("\n"), refused.map(|refusal| refusal.to_string()).unwrap_or_default())
    };
    let conflict = "app-tool can't use tool.test on a: kamal-proxy already routes it to shop-web";
    assert_eq!(said("shop-web"), (format!("the accessory {conflict}"), conflict.to_owned()));
    assert_eq!(said("app-tool"), (String::new(), String::new()));
}

#[test]
fn an_older_proxy_and_a_service_that_does_not_serve_are_noted() {
    let notes = |observed: Observed| {
        let plan = planned(
            &proxied("{host: a.test}"),
            DeployKind::Deploy,
            "v2",
            &[("a".to_string(), observed)].into(),
        );
        plan.unwrap().servers[0].notes.join("\n")
    };
    let row = |state: &str| format!("app-web  a.test  /  0123456789ab:80  {state}  no");
    assert_eq!(notes(behind_kamal_proxy(OURS, &row("running"))), "");
    assert!(notes(behind_kamal_proxy(OURS, &row("stopped"))).contains("web is in maintenance here"));
    assert!(notes(behind_kamal_proxy(OURS, &row("paused"))).contains("web is paused here"));
    assert_eq!(notes(behind_kamal_proxy("basecamp/kamal-proxy:v0.9.2", "")), "");
    let older = || behind_kamal_proxy("bowline-proxy:v10.0.0.1", "");
    let note = format!(
        "kamal-proxy on a is bowline-proxy 0.0.1; `bowline proxy upgrade` upgrades it to {} without downtime",
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
        let plan = planned(&proxied("false"), DeployKind::Deploy, "v2", &observed).unwrap();
        plan.servers[0].roles[0].retire[0].detach.is_some()
    };
    assert!(detached(&target("id-app-web-v1")));
    assert!(!detached(&target("0123456789ab")) && !detached(""));
}
