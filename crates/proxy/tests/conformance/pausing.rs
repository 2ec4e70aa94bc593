//! Pause, stop, resume.

use crate::app::App;
use crate::proxy::{Proxy, command, outcome, until};

/// Waits for requests to arrive at the gate. The proxy logs them only afterwards, so this is a fixed time.
fn let_them_arrive() {
    std::thread::sleep(std::time::Duration::from_millis(150));
}

#[test]
fn paused_requests_wait_for_the_resume() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    proxy.ok("pause web");
    assert!(proxy.list().contains("paused"));
    let waiting: Vec<_> = (0..3).map(|_| proxy.later("a.example", "/x")).collect();
    let_them_arrive();
    assert!(app.seen().is_empty());
    proxy.ok("resume web");
    for answer in waiting {
        assert_eq!(answer.get().text(), "app GET /x");
    }
    assert!(proxy.list().contains("running"));
    for event in ["Service paused", "Service drained", "Service resumed"] {
        proxy.logged(event, |line| line["service"] == "web");
    }
}

#[test]
fn a_pause_ends_for_each_request_after_its_own_time() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    proxy.ok("pause web --max-pause 200ms");
    let_them_arrive();
    assert_eq!(proxy.get("a.example", "/x").status, 504);
    assert_eq!(proxy.get("a.example", "/x").status, 504);
    proxy.logged("Rejecting request due to expired pause", |_| true);
    assert!(app.seen().is_empty());
}

#[test]
fn a_stopped_service_answers_503_with_its_message() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let outcome = proxy.run(&["stop", "web", "--message", "Back at <five>"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let answer = proxy.get("a.example", "/");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("Back at &lt;five&gt;"), "{}", answer.text());
    proxy.ok("resume web");
    assert_eq!(proxy.get("a.example", "/").status, 200);
}

#[test]
fn a_stopped_service_says_when_to_retry() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let asked = || proxy.get("a.example", "/").header("retry-after").map(str::to_owned);
    proxy.ok("stop web --retry-after 3600");
    assert_eq!(asked().as_deref(), Some("3600"));
    proxy.ok("stop web");
    assert_eq!(asked(), None);
    let mut stop = command(proxy.home.path());
    let stopped = outcome(stop.args(["stop", "web"]).env("KAMAL_PROXY_RETRY_AFTER", "60"));
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert_eq!(asked().as_deref(), Some("60"));
    assert!(proxy.fails("stop web --retry-after -1").contains("-1"));
}

#[test]
fn stop_ends_the_wait_of_paused_requests() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    proxy.ok("pause web");
    let waiting = proxy.later("a.example", "/x");
    let_them_arrive();
    proxy.ok("stop web");
    assert_eq!(waiting.get().status, 503);
}

#[test]
fn health_checks_from_outside_are_answered_meanwhile() {
    let (proxy, app, api) = (Proxy::start(), App::start("app"), App::start("api"));
    proxy.deploy("web", &app, "");
    proxy.deploy("api", &api, "--path-prefix /api");
    for command in ["pause", "stop"] {
        proxy.ok(&format!("{command} web"));
        proxy.ok(&format!("{command} api"));
        assert_eq!(proxy.get("a.example", "/up").status, 200, "{command}");
        assert_eq!(proxy.get("a.example", "/api/up").status, 200, "{command}");
        assert_eq!(proxy.request("HEAD /up HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    }
    assert_eq!(proxy.get("a.example", "/api/other").status, 503);
    let post = proxy.request("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(post.status, 503);
    assert!(app.seen().is_empty() && api.seen().is_empty());
}

#[test]
fn pause_and_stop_drain_first() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let held = proxy.later("a.example", "/hold");
    app.wait_held(1);
    std::thread::scope(|scope| {
        let pause = scope.spawn(|| proxy.ok("pause web"));
        until("paused", || proxy.list().contains("paused"));
        assert!(!pause.is_finished());
        app.release();
        assert_eq!(held.get().text(), "app GET /hold");
        pause.join().unwrap();
    });
}

#[test]
fn what_does_not_drain_in_time_is_ended() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let held = proxy.later("a.example", "/hold");
    app.wait_held(1);
    proxy.ok("stop web --drain-timeout 100ms");
    assert_eq!(held.get().status, 504);
    app.release();
    // The targets take requests again afterwards.
    proxy.ok("resume web");
    assert_eq!(proxy.get("a.example", "/").status, 200);
}

#[test]
fn a_deploy_does_not_end_a_pause() {
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "");
    proxy.ok("pause web");
    let waiting = proxy.later("a.example", "/x");
    let_them_arrive();
    proxy.deploy("web", &new, "");
    assert!(proxy.list().contains("paused"));
    proxy.ok("resume web");
    assert_eq!(waiting.get().text(), "new GET /x");
    proxy.ok("stop web");
    proxy.deploy("web", &old, "");
    assert_eq!(proxy.get("a.example", "/").status, 503);
}

#[test]
fn the_state_survives_a_restart() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    proxy.ok("stop web --message later");
    let proxy = proxy.restart();
    let answer = proxy.get("a.example", "/");
    assert!(answer.status == 503 && answer.text().contains("later"), "{answer:?}");
    proxy.ok("resume web");
    assert_eq!(proxy.get("a.example", "/").text(), "app GET /");
}
