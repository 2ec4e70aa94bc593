//! Rollouts.

use crate::app::App;
use crate::proxy::Proxy;

fn ask(proxy: &Proxy, cookie: &str) -> String {
    proxy.get_with("a.example", "/", &format!("Cookie: x=1; kamal-rollout={cookie}\r\n")).text()
}

fn deployed() -> (Proxy, App, App) {
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "");
    proxy.ok(&format!("rollout deploy web --target {}", new.address));
    (proxy, old, new)
}

/// FNV-1a.
fn hash(value: &str) -> u32 {
    value.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[test]
fn nothing_goes_to_the_rollout_until_it_is_set() {
    let (proxy, _old, new) = deployed();
    assert_eq!(ask(&proxy, "1"), "old GET /");
    assert!(new.seen().is_empty());
}

#[test]
fn a_rollout_needs_targets() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    assert_eq!(proxy.fails("rollout set web --percent 5"), "rollout target not set");
}

#[test]
fn a_list_names_values() {
    let (proxy, ..) = deployed();
    proxy.ok("rollout set web --list one,two --list three");
    for (value, app) in [("one", "new"), ("three", "new"), ("four", "old"), ("", "old")] {
        assert_eq!(ask(&proxy, value), format!("{app} GET /"), "{value}");
    }
    assert_eq!(proxy.get("a.example", "/").text(), "old GET /");
}

#[test]
fn a_percentage_splits_by_hash() {
    let (proxy, ..) = deployed();
    for percent in [0_u32, 30, 100] {
        proxy.ok(&format!("rollout set web --percent {percent}"));
        for value in (0..40).map(|number| format!("user-{number}")) {
            let point = f64::from(u32::MAX) * f64::from(percent) / 100.0;
            let app = if f64::from(hash(&value)) <= point { "new" } else { "old" };
            assert_eq!(ask(&proxy, &value), format!("{app} GET /"), "{percent} {value}");
            assert_eq!(ask(&proxy, &value), format!("{app} GET /"), "{percent} {value} again");
        }
    }
}

#[test]
fn list_and_percentage_are_either_or() {
    let (proxy, ..) = deployed();
    proxy.ok("rollout set web --percent 0 --list listed");
    assert_eq!(ask(&proxy, "listed"), "new GET /");
    assert_eq!(ask(&proxy, "other"), "old GET /");
}

#[test]
fn stop_ends_the_split_and_keeps_the_targets() {
    let (proxy, ..) = deployed();
    proxy.ok("rollout set web --percent 100");
    assert_eq!(ask(&proxy, "1"), "new GET /");
    proxy.ok("rollout stop web");
    assert_eq!(ask(&proxy, "1"), "old GET /");
    proxy.ok("rollout set web --percent 100");
    assert_eq!(ask(&proxy, "1"), "new GET /");
}

#[test]
fn a_deploy_leaves_the_rollout_as_it_is() {
    let (proxy, ..) = deployed();
    proxy.ok("rollout set web --percent 100");
    let newer = App::start("newer");
    proxy.deploy("web", &newer, "");
    assert_eq!(ask(&proxy, "1"), "new GET /");
    assert_eq!(proxy.get("a.example", "/").text(), "newer GET /");
}

#[test]
fn a_rollout_waits_for_health_and_survives_a_restart() {
    let (proxy, _old, _new) = deployed();
    let sick = App::start("sick");
    sick.set_healthy(false);
    let error = proxy.fails(&format!("rollout deploy web --target {} --deploy-timeout 200ms", sick.address));
    assert!(error.starts_with("target failed to become healthy"), "{error}");
    proxy.ok("rollout set web --percent 100 --list x");
    let proxy = proxy.restart();
    assert_eq!(ask(&proxy, "1"), "new GET /");
    assert_eq!(proxy.get("a.example", "/").text(), "old GET /");
}
