//! IPv6 from end to end: listeners, clients, targets.

use std::net::{IpAddr, Ipv6Addr, TcpListener};

use crate::app::App;
use crate::client::{Connection, Response};
use crate::proxy::Proxy;

const LOCALHOST: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// An app on `[::1]`.
fn app(name: &'static str) -> App {
    App::on(TcpListener::bind((LOCALHOST, 0)).unwrap(), name, |_| None)
}

/// Sends a request from `::1`.
fn request(proxy: &Proxy, text: &str) -> Response {
    let mut connection = Connection::open_at(LOCALHOST, proxy.http);
    connection.send(text.as_bytes());
    connection.answer("GET").unwrap()
}

#[test]
fn clients_are_named_by_their_addresses_of_either_kind() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let host = format!("[::1]:{}", proxy.http);
    assert_eq!(request(&proxy, &format!("GET /six HTTP/1.1\r\nHost: {host}\r\n\r\n")).status, 200);
    let seen = app.last();
    assert_eq!(seen.header("X-Forwarded-For").as_deref(), Some("::1"));
    assert_eq!(seen.header("X-Forwarded-Host").as_deref(), Some(&*host));
    assert_eq!(seen.header("Host").as_deref(), Some(&*host));
    let line = proxy.logged_request("/six");
    assert_eq!(
        (&line["client_addr"], &line["remote_addr"], &line["host"]),
        (&"::1".into(), &"::1".into(), &host.into())
    );
    // The listener is the same, but an IPv4 client keeps its IPv4 address.
    proxy.get("a.example", "/four");
    assert_eq!(app.last().header("X-Forwarded-For").as_deref(), Some("127.0.0.1"));
    assert_eq!(proxy.logged_request("/four")["client_addr"], "127.0.0.1");
}

#[test]
fn targets_on_ipv6_are_checked_asked_listed_and_restored() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), app("app"));
    proxy.deploy("web", &app, "");
    assert!(app.address.starts_with("[::1]:"));
    assert_eq!(app.checks()[0].header("Host").as_deref(), Some(&*app.address));
    assert_eq!(proxy.get("a.example", "/").text(), "app GET /");
    assert_eq!(app.last().header("X-Kamal-Target").as_deref(), Some(&*app.address));
    assert!(proxy.list().contains(&app.address), "{}", proxy.list());
    let proxy = proxy.restart();
    assert_eq!(proxy.get("a.example", "/").text(), "app GET /");
}

#[test]
fn a_service_can_have_an_ipv6_address_for_a_host() {
    ours_alone!();
    let (proxy, one, other) = (Proxy::start(), app("one"), app("other"));
    proxy.deploy("one", &one, "--host ::1");
    proxy.deploy("other", &other, "");
    let text = |host: &str| request(&proxy, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).text();
    assert_eq!(text(&format!("[::1]:{}", proxy.http)), "one GET /");
    assert_eq!(text("[::1]"), "one GET /");
    assert_eq!(text("[::2]"), "other GET /");
}

#[test]
fn networks_of_ipv6_are_allowed_and_trusted() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--allow-ip 2001:db8::/32 --trusted-proxies ::1/128");
    let status =
        |headers: &str| request(&proxy, &format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).status;
    assert_eq!(status(""), 403);
    assert_eq!(status("X-Forwarded-For: 2001:db8::7\r\n"), 200);
    assert_eq!(status("X-Forwarded-For: 2001:db9::7\r\n"), 403);
    assert_eq!(status("Forwarded: for=\"[2001:db8::7]:4711\"\r\n"), 200);
    assert_eq!(app.last().header("X-Forwarded-For").as_deref(), Some("::1"));
    proxy.deploy("web", &app, "--allow-ip ::1");
    assert_eq!(status(""), 200);
    assert_eq!(proxy.get("a", "/").status, 403);
}

#[test]
fn a_balancer_names_ipv6_clients() {
    ours_alone!();
    let flags = ["--proxy-protocol", "--trusted-proxies", "::1"];
    let (proxy, app) = (Proxy::start_with(&flags), App::start("app"));
    proxy.deploy("web", &app, "");
    let header = "PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n";
    assert_eq!(request(&proxy, &format!("{header}GET /six HTTP/1.1\r\nHost: a\r\n\r\n")).status, 200);
    assert_eq!(app.last().header("X-Forwarded-For").as_deref(), Some("2001:db8::7"));
    assert_eq!(proxy.logged_request("/six")["client_addr"], "2001:db8::7");
}
