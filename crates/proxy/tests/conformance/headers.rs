//! Headers of requests to the target, and of its responses.

use crate::app::{Answer, App};
use crate::proxy::Proxy;

fn deployed(flags: &str) -> (Proxy, App) {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, flags);
    (proxy, app)
}

#[test]
fn each_request_gets_an_id_and_a_start() {
    let (proxy, app) = deployed("");
    proxy.get("a.example", "/");
    let (id, start) =
        (app.last().header("X-Request-ID").unwrap(), app.last().header("X-Request-Start").unwrap());
    let shape: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(shape, [8, 4, 4, 4, 12], "{id}");
    let millis: u128 = start.strip_prefix("t=").unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!(now - millis < 20_000, "{start}");
    proxy.get("a.example", "/");
    assert_ne!(app.last().header("X-Request-ID").unwrap(), id);
    proxy.get_with("a.example", "/", "X-Request-ID: mine\r\nX-Request-Start: t=7\r\n");
    assert_eq!(app.last().header("X-Request-ID").as_deref(), Some("mine"));
    assert_eq!(app.last().header("X-Request-Start").as_deref(), Some("t=7"));
}

const FORWARDED: &str = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: other.example\r\nForwarded: for=1.2.3.4\r\nX-Custom: kept\r\n";

#[test]
fn trusted_forwarding_headers_are_extended() {
    let (proxy, app) = deployed("");
    proxy.get_with("a.example", "/", FORWARDED);
    let last = app.last();
    assert_eq!(last.header("X-Forwarded-For").as_deref(), Some("1.2.3.4, 127.0.0.1"));
    assert_eq!(last.header("X-Forwarded-Proto").as_deref(), Some("https"));
    assert_eq!(last.header("X-Forwarded-Host").as_deref(), Some("other.example"));
    assert_eq!((last.header("Forwarded"), last.header("X-Custom").as_deref()), (None, Some("kept")));
}

#[test]
fn untrusted_forwarding_headers_are_replaced() {
    let (proxy, app) = deployed("--forward-headers=false");
    proxy.get_with("a.example", "/", FORWARDED);
    let last = app.last();
    assert_eq!(last.header("X-Forwarded-For").as_deref(), Some("127.0.0.1"));
    assert_eq!(last.header("X-Forwarded-Proto").as_deref(), Some("http"));
    assert_eq!(last.header("X-Forwarded-Host").as_deref(), Some("a.example"));
    assert_eq!(last.header("X-Custom").as_deref(), Some("kept"));
}

#[test]
fn the_target_is_named() {
    let (proxy, app) = deployed("");
    proxy.get_with("a.example", "/", "X-Kamal-Target: before:80\r\n");
    assert_eq!(app.last().header("X-Kamal-Target").unwrap(), format!("before:80, {}", app.address));
    proxy.deploy("web", &app, "--forward-headers=false");
    proxy.get_with("a.example", "/", "X-Kamal-Target: before:80\r\n");
    assert_eq!(app.last().header("X-Kamal-Target").unwrap(), app.address);
}

#[test]
fn host_and_other_peoples_headers_pass_untouched() {
    let (proxy, app) = deployed("");
    let headers = "X-Forwarded-Port: 1\r\nX-Real-IP: 2.2.2.2\r\nTrue-Client-IP: 3.3.3.3\r\nVia: 1.1 x\r\nAccept-Encoding: br\r\n";
    proxy.get_with("A.Example:81", "/", headers);
    let last = app.last();
    for (name, value) in [
        ("Host", "A.Example:81"),
        ("X-Forwarded-Port", "1"),
        ("X-Real-IP", "2.2.2.2"),
        ("True-Client-IP", "3.3.3.3"),
        ("Via", "1.1 x"),
        ("Accept-Encoding", "br"),
    ] {
        assert_eq!(last.header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn accept_encoding_is_left_alone() {
    ours_alone!();
    let (proxy, app) = deployed("");
    proxy.get("a.example", "/");
    assert_eq!(app.last().header("Accept-Encoding"), None);
}

#[test]
fn hop_by_hop_headers_stay_on_their_hop() {
    let app = App::with("app", |request| {
        let headers = vec![
            ("Connection", "X-Mine".into()),
            ("X-Mine", "1".into()),
            ("Keep-Alive", "timeout=5".into()),
            ("X-Kept", "1".into()),
        ];
        (request.target != "/up").then(|| Answer::Plain(200, headers, b"body".to_vec()))
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    let answer = proxy.get_with(
        "a.example",
        "/",
        "Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nProxy-Connection: x\r\nTE: gzip\r\nTrailer: X-T\r\n",
    );
    let last = app.last();
    for name in ["X-Secret", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE"] {
        assert_eq!(last.header(name), None, "{name}");
    }
    assert_eq!(
        (answer.header("X-Mine"), answer.header("Keep-Alive"), answer.header("X-Kept")),
        (None, None, Some("1"))
    );
}

#[test]
fn the_app_cannot_be_made_to_lose_what_the_proxy_says() {
    let (proxy, app) = deployed("--forward-headers=false");
    proxy.get_with("a.example", "/", "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Request-ID\r\n");
    // kamal-proxy loses the last one.
    let names = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Request-ID"];
    for name in &names[..if crate::ours() { 3 } else { 2 }] {
        assert!(app.last().header(name).is_some(), "{name}");
    }
}

#[test]
fn answers_get_nothing_of_these() {
    let (proxy, _app) = deployed("");
    let answer = proxy.get("a.example", "/");
    for name in ["X-Request-ID", "X-Request-Start", "X-Forwarded-For", "X-Kamal-Target", "Server", "Via"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[test]
fn the_clients_address_may_be_in_a_header() {
    let (proxy, app) = deployed("--client-ip-header CF-Connecting-IP");
    proxy.get_with("a.example", "/ip", "CF-Connecting-IP: 9.9.9.9\r\nX-Forwarded-For: 1.1.1.1\r\n");
    let last = app.last();
    assert_eq!(last.header("X-Forwarded-For").as_deref(), Some("9.9.9.9, 127.0.0.1"));
    assert_eq!(last.header("CF-Connecting-IP").as_deref(), Some("9.9.9.9"));
    assert_eq!(proxy.logged_request("/ip")["remote_addr"], "9.9.9.9");
    proxy.get_with("a.example", "/", "X-Forwarded-For: 1.1.1.1\r\n");
    assert_eq!(app.last().header("X-Forwarded-For").as_deref(), Some("1.1.1.1, 127.0.0.1"));
}

#[test]
fn repeated_headers_stay_apart() {
    let app = App::with("app", |request| {
        let headers = vec![("Set-Cookie", "a=1".into()), ("Set-Cookie", "b=2".into())];
        (request.target != "/up").then(|| Answer::Plain(200, headers, vec![]))
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    let answer = proxy.get_with("a.example", "/", "X-Many: 1\r\nX-Many: 2\r\n");
    assert_eq!(answer.all("Set-Cookie"), ["a=1", "b=2"]);
    assert_eq!(app.last().headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-many")).count(), 2);
}
