//! Deploys, health checks, draining.

use serde_json::json;

use crate::app::{Answer, App, ok};
use crate::proxy::{Proxy, until};

#[test]
fn deploy_returns_when_the_new_target_serves() {
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "");
    assert_eq!(proxy.get("a.example", "/").text(), "old GET /");
    proxy.deploy("web", &new, "--host a.example,b.example");
    for _ in 0..20 {
        assert_eq!(proxy.get("a.example", "/").text(), "new GET /");
    }
    assert_eq!(old.seen().len(), 1);
    proxy.logged("Deploying", |line| {
        line["service"] == "web"
            && line["targets"] == json!([new.address])
            && line["hosts"] == json!(["a.example", "b.example"])
            && line["paths"] == json!(["/"])
            && line["tls"] == false
    });
    proxy.logged("Deployed", |line| line["service"] == "web");
}

#[test]
fn an_unhealthy_target_changes_nothing() {
    let (proxy, old, sick) = (Proxy::start(), App::start("old"), App::start("sick"));
    proxy.deploy("web", &old, "--host a.example");
    sick.set_healthy(false);
    let line = format!(
        "deploy web --target {} --host b.example --deploy-timeout 300ms --health-check-interval 50ms",
        sick.address
    );
    let error = proxy.fails(&line);
    assert!(
        error.starts_with("target failed to become healthy within configured timeout (300ms)"),
        "{error}"
    );
    assert_eq!(proxy.get("a.example", "/").text(), "old GET /");
    assert_eq!(proxy.get("b.example", "/").status, 404);
    assert!(sick.seen().is_empty());
    proxy.logged("Healthcheck failed", |line| line["error"] == "unexpected status (500)");
}

#[test]
fn a_target_that_is_not_there_fails_the_deploy() {
    let proxy = Proxy::start();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = proxy.fails(&format!("deploy web --target {gone} --deploy-timeout 200ms"));
    assert!(
        error.starts_with("target failed to become healthy within configured timeout (200ms)"),
        "{error}"
    );
    assert!(!proxy.list().contains("web"));
}

#[test]
fn all_targets_must_be_healthy() {
    let (proxy, well, sick) = (Proxy::start(), App::start("well"), App::start("sick"));
    sick.set_healthy(false);
    let line = format!(
        "deploy web --target {},{} --deploy-timeout 300ms --health-check-interval 50ms",
        well.address, sick.address
    );
    assert!(proxy.fails(&line).starts_with("target failed to become healthy"));
}

#[test]
fn health_checks_ask_as_configured() {
    // kamal-proxy has no query in this path: it requests a file with a question mark in its name.
    let asked = if crate::ours() { "/health?x=1" } else { "/health%3Fx=1" };
    let app = App::with("app", move |request| (request.target == asked).then(|| ok("fine")));
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "--health-check-path /health?x=1 --health-check-host check.example");
    let check = app.checks().remove(0);
    assert_eq!((check.method.as_str(), check.target.as_str()), ("GET", asked));
    assert_eq!(check.header("Host").as_deref(), Some("check.example"));
    assert_eq!(check.header("User-Agent").as_deref(), Some("kamal-proxy"));
    proxy.logged("Target health updated", |line| line["state"] == "healthy" && line["was"] == "adding");
}

#[test]
fn health_checks_may_ask_another_port() {
    let (proxy, app, health) = (Proxy::start(), App::start("app"), App::start("health"));
    app.set_healthy(false);
    proxy.deploy("web", &app, &format!("--health-check-port {}", health.port()));
    assert_eq!(proxy.get("a.example", "/").text(), "app GET /");
    assert!(app.checks().is_empty() && !health.checks().is_empty());
}

#[test]
fn health_checks_follow_redirects() {
    let app = App::with("app", |request| match request.target.as_str() {
        "/up" => Some(Answer::Plain(302, vec![("Location", "/really-up".into())], vec![])),
        "/really-up" => Some(ok("fine")),
        _ => None,
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "--deploy-timeout 5s");
    assert_eq!(app.checks().len(), 2);
}

#[test]
fn a_slow_health_check_times_out() {
    let app = App::with("app", |request| {
        (request.target == "/up").then(|| {
            Answer::Stream(Box::new(|stream| {
                std::thread::sleep(crate::app::PATIENCE);
                drop(stream);
            }))
        })
    });
    let proxy = Proxy::start();
    let line =
        format!("deploy web --target {} --deploy-timeout 500ms --health-check-timeout 100ms", app.address);
    assert!(proxy.fails(&line).starts_with("target failed to become healthy"));
    proxy.logged("Healthcheck failed", |line| line["error"] == "request timed out");
}

#[test]
fn success_after_failures_lets_a_target_in() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    app.set_healthy(false);
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| proxy.deploy("web", &app, "--health-check-interval 20ms"));
        until("checked", || app.checks().len() >= 3);
        assert!(!deploy.is_finished());
        app.set_healthy(true);
        deploy.join().unwrap();
    });
    assert_eq!(proxy.get("a.example", "/").text(), "app GET /");
}

#[test]
fn a_single_target_is_checked_until_it_is_healthy() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--health-check-interval 20ms");
    let checks = app.checks().len();
    app.set_healthy(false);
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        assert_eq!(proxy.get("a.example", "/").status, 200);
    }
    assert!(app.checks().len() <= checks + 1, "checks go on");
}

#[test]
fn of_several_targets_the_unhealthy_are_skipped() {
    let (proxy, one, two) = (Proxy::start(), App::start("one"), App::start("two"));
    proxy.ok(&format!("deploy web --target {},{} --health-check-interval 20ms", one.address, two.address));
    let answers = |n: usize| -> Vec<String> { (0..n).map(|_| proxy.get("a.example", "/").text()).collect() };
    let both = |answers: &[String]| ["one GET /", "two GET /"].iter().all(|a| answers.iter().any(|b| a == b));
    assert!(both(&answers(4)));
    two.set_healthy(false);
    proxy.logged("Target health updated", |line| line["state"] == "unhealthy");
    until("skipped", || answers(4).iter().all(|answer| answer == "one GET /"));
    two.set_healthy(true);
    until("back", || both(&answers(4)));
    one.set_healthy(false);
    two.set_healthy(false);
    until("refused", || proxy.get("a.example", "/").status == 503);
}

#[test]
fn force_switches_without_a_check() {
    let (proxy, old, sick) = (Proxy::start(), App::start("old"), App::start("sick"));
    proxy.deploy("web", &old, "");
    sick.set_healthy(false);
    proxy.deploy("web", &sick, "--force --health-check-interval 20ms");
    assert_eq!(proxy.get("a.example", "/").status, 503);
    sick.set_healthy(true);
    until("healthy", || proxy.get("a.example", "/").status == 200);
}

#[test]
fn requests_in_flight_finish_on_the_old_target() {
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "");
    let held = proxy.later("a.example", "/hold");
    old.wait_held(1);
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| proxy.deploy("web", &new, ""));
        until("switched", || proxy.get("a.example", "/").text() == "new GET /");
        assert!(!deploy.is_finished(), "the deploy returns before the drain");
        old.release();
        assert_eq!(held.get().text(), "old GET /hold");
        deploy.join().unwrap();
    });
}

#[test]
fn a_drain_ends_requests_that_take_too_long() {
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "");
    let held = proxy.later("a.example", "/hold");
    old.wait_held(1);
    proxy.deploy("web", &new, "--drain-timeout 100ms");
    assert_eq!(held.get().status, 504);
    proxy.logged("Request cancelled due to draining", |_| true);
}

#[test]
fn a_redeploy_replaces_all_options() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--host a.example,b.example --path-prefix /api");
    assert_eq!(proxy.get("b.example", "/api/x").status, 200);
    proxy.deploy("web", &app, "--host a.example");
    assert_eq!(proxy.get("b.example", "/api/x").status, 404);
    assert_eq!(proxy.get("a.example", "/x").text(), "app GET /x");
    // Hosts that the service gave up are free.
    proxy.deploy("other", &app, "--host b.example");
}

#[test]
fn a_conflict_is_refused_and_nothing_changes() {
    let (proxy, first, second) = (Proxy::start(), App::start("first"), App::start("second"));
    proxy.deploy("first", &first, "--host a.example");
    let deploy = |flags: &str| format!("deploy second --target {} {flags}", second.address);
    assert_eq!(
        proxy.fails(&deploy("--host b.example,a.example")),
        "host settings conflict with another service"
    );
    assert_eq!(proxy.get("a.example", "/").text(), "first GET /");
    assert_eq!(proxy.get("b.example", "/").status, 404);
    proxy.ok(&deploy("--host a.example --path-prefix /api"));
    proxy.deploy("third", &second, "");
    assert_eq!(
        proxy.fails(&format!("deploy fourth --target {}", first.address)),
        "host settings conflict with another service"
    );
}

#[test]
fn bad_options_leave_the_running_service_as_it_is() {
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "--host a.example");
    let deploy = |flags: &str| format!("deploy web --target {} {flags}", new.address);
    assert_eq!(proxy.fails(&deploy("--error-pages /not/there")), "unable to load error pages");
    assert_eq!(proxy.get("a.example", "/").text(), "old GET /");
    assert_eq!(proxy.get("b.example", "/").status, 404);
    assert!(new.seen().is_empty());
}

#[test]
fn removal_forgets_a_service_at_once() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    proxy.ok("remove web");
    assert_eq!(proxy.get("a.example", "/").status, 404);
    assert_eq!(proxy.fails("rm web"), "service not found");
    proxy.deploy("other", &app, "");
}
