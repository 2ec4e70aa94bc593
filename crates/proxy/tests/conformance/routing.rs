//! Finding the service for a host and a path.

use crate::app::{Answer, App};
use crate::proxy::Proxy;

#[test]
fn exact_then_wildcard_then_any() {
    let (proxy, exact, wild, any) =
        (Proxy::start(), App::start("exact"), App::start("wild"), App::start("any"));
    proxy.deploy("exact", &exact, "--host a.example.com");
    proxy.deploy("wild", &wild, "--host *.example.com");
    proxy.deploy("any", &any, "");
    for (host, app) in [
        ("a.example.com", "exact"),
        ("b.example.com", "wild"),
        ("a.b.example.com", "any"),
        ("example.com", "any"),
        ("other.test", "any"),
        ("127.0.0.1", "any"),
    ] {
        assert_eq!(proxy.get(host, "/").text(), format!("{app} GET /"), "{host}");
    }
}

#[test]
fn the_port_of_the_host_does_not_matter() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--host a.example");
    assert_eq!(proxy.get("a.example:8080", "/").status, 200);
    assert_eq!(app.last().header("Host").as_deref(), Some("a.example:8080"));
}

#[test]
fn the_longest_prefix_of_whole_segments_wins() {
    let (proxy, root, api, special) =
        (Proxy::start(), App::start("root"), App::start("api"), App::start("special"));
    proxy.deploy("root", &root, "--host a.example");
    proxy.deploy("api", &api, "--host a.example --path-prefix /api");
    proxy.deploy("special", &special, "--host a.example --path-prefix /api/special");
    for (target, answer) in [
        ("/", "root GET /"),
        ("/apiary", "root GET /apiary"),
        ("/api", "api GET /"),
        ("/api/", "api GET /"),
        ("/api/x", "api GET /x"),
        ("/api/specially", "api GET /specially"),
        ("/api/special", "special GET /"),
        ("/api/special/x?q=/api", "special GET /x?q=/api"),
    ] {
        assert_eq!(proxy.get("a.example", target).text(), answer, "{target}");
    }
}

#[test]
fn a_host_with_its_own_entry_never_falls_back() {
    let (proxy, own, api, any) = (Proxy::start(), App::start("own"), App::start("api"), App::start("any"));
    proxy.deploy("own", &own, "--host a.example --path-prefix /own");
    proxy.deploy("api", &api, "--path-prefix /api");
    proxy.deploy("any", &any, "");
    assert_eq!(proxy.get("a.example", "/own/x").text(), "own GET /x");
    assert_eq!(proxy.get("a.example", "/api").status, 404);
    assert_eq!(proxy.get("a.example", "/").status, 404);
    assert_eq!(proxy.get("b.example", "/api/x").text(), "api GET /x");
    assert_eq!(proxy.get("b.example", "/x").text(), "any GET /x");
}

#[test]
fn no_route_is_404() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    assert_eq!(proxy.get("a.example", "/").status, 404);
    proxy.deploy("web", &app, "--host a.example");
    let answer = proxy.get("b.example", "/");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(app.seen().is_empty());
}

#[test]
fn a_host_may_be_taken_from_a_service_without_hosts() {
    let (proxy, any, own) = (Proxy::start(), App::start("any"), App::start("own"));
    proxy.deploy("any", &any, "");
    assert_eq!(proxy.get("a.example", "/").text(), "any GET /");
    proxy.deploy("own", &own, "--host a.example");
    assert_eq!(proxy.get("a.example", "/").text(), "own GET /");
    assert_eq!(proxy.get("b.example", "/").text(), "any GET /");
}

#[test]
fn prefixes_are_kept_when_asked() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--path-prefix /api --strip-path-prefix=false");
    assert_eq!(proxy.get("a.example", "/api/x").text(), "app GET /api/x");
}

#[test]
fn several_prefixes() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--path-prefix /one,two/");
    assert_eq!(proxy.get("a.example", "/one/x").text(), "app GET /x");
    assert_eq!(proxy.get("a.example", "/two").text(), "app GET /");
    assert_eq!(proxy.get("a.example", "/three").status, 404);
}

#[test]
fn queries_arrive_as_they_are() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    for target in ["/?p=a;b", "/?%zz&&=", "/x?a=%2F+%20", "/?a?b", "/?"] {
        assert_eq!(proxy.get("a.example", target).text(), format!("app GET {target}"), "{target}");
    }
}

#[test]
fn encoded_slashes_stay_encoded() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--path-prefix /api");
    assert_eq!(proxy.get("a.example", "/api/a%2Fb").text(), "app GET /a%2Fb");
}

#[test]
fn cookie_paths_are_scoped() {
    let cookies = [
        "a=1; Path=/",
        "b=2",
        "c=3; path=/admin; HttpOnly",
        "d=4; Domain=a.example; Path=/",
        "e=5; Domain=other.example; Path=/",
    ];
    let app = App::with("app", move |request| {
        let headers = cookies.iter().map(|cookie| ("Set-Cookie", (*cookie).to_owned())).collect();
        (request.target != "/up").then(|| Answer::Plain(200, headers, vec![]))
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "--path-prefix /api --scope-cookie-paths");
    let answer = proxy.get("a.example:99", "/api/x");
    let path = |number: usize| {
        let cookie = answer.all("Set-Cookie")[number].to_owned();
        let attribute = cookie
            .split("; ")
            .find(|part| part.to_lowercase().starts_with("path="))
            .map(|part| part[5..].to_owned());
        attribute.unwrap_or_default()
    };
    assert_eq!([path(0), path(1), path(2), path(3), path(4)], ["/api", "/api", "/api/admin", "/api", "/"]);
    assert!(answer.all("Set-Cookie")[2].contains("HttpOnly"));
    proxy.deploy("web", &app, "--path-prefix /api");
    assert_eq!(proxy.get("a.example", "/api/x").all("Set-Cookie"), cookies);
    proxy.deploy("web", &app, "--scope-cookie-paths");
    assert_eq!(proxy.get("a.example", "/x").all("Set-Cookie"), cookies);
}
